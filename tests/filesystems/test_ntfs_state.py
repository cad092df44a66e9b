"""The dirty flag of NTFS, as mkntfs leaves it and as Windows sets it."""

import contextlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from preflight.errors import StructureError
from preflight.filesystems._ntfs_state import is_dirty
from preflight.source import Memory
from preflight.units import MiB
from tests.tools import run, sparse

SIZE = 2 * MiB


@pytest.fixture(scope="module")
def volume(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """An NTFS of mkntfs, clean, with clusters of 4 KiB and records of 1 KiB."""
    path: Path = sparse(tmp_path_factory.mktemp("ntfs") / "volume", SIZE)
    run("mkntfs", "--force", "--quick", "--quiet", "--cluster-size", "4096", path)
    return path.read_bytes()


def volume_record(volume: bytes) -> int:
    """Where the record of $Volume begins: the fourth, of 1 KiB, from the cluster at byte 0x30 of the boot sector."""
    return int.from_bytes(volume[0x30:0x38], "little") * 4096 + 3 * 1024


def flags_of(volume: bytes) -> int:
    """Where the flags are: at byte 10 of the value of the attribute 0x70, which has 12 bytes at byte 24."""
    record = volume_record(volume)
    header = volume.index(bytes.fromhex("70000000 28000000"), record, record + 1024)
    return header + 24 + 10


def test_a_new_volume_is_clean_and_one_with_the_flag_is_dirty(volume: bytes) -> None:
    assert is_dirty(Memory(volume)) is False
    flags = flags_of(volume)
    assert volume[flags : flags + 2] == b"\0\0"
    assert is_dirty(Memory(volume[:flags] + b"\x01" + volume[flags + 1 :])) is True
    assert is_dirty(Memory(volume[:flags] + b"\x02\x80" + volume[flags + 2 :])) is False  # other flags


def test_ntfsfix_sets_the_flag_that_is_read(volume: bytes, tmp_path: Path) -> None:
    path = tmp_path / "volume"
    path.write_bytes(volume)
    run("ntfsfix", path)  # schedules a check by Windows
    assert is_dirty(Memory(path.read_bytes())) is True
    run("ntfsfix", "--clear-dirty", path)
    assert is_dirty(Memory(path.read_bytes())) is False


def test_what_is_no_ntfs_and_a_damaged_record_are_refused(volume: bytes) -> None:
    record = volume_record(volume)
    for broken in (
        bytes(SIZE),
        volume[:0x0D] + b"\x03" + volume[0x0E:],  # sectors_per_cluster
        volume[:record] + b"BAAD" + volume[record + 4 :],
        volume[: record + 510] + b"\xff\xff" + volume[record + 512 :],  # update sequence number
        volume[: flags_of(volume) - 34] + b"\x90" + volume[flags_of(volume) - 33 :],  # the attribute's type
        volume[:record],
    ):
        with pytest.raises(StructureError):
            is_dirty(Memory(broken))


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_any_byte_gives_a_value_or_a_structure_error(volume: bytes, data: st.DataObject) -> None:
    start = data.draw(st.sampled_from((0, volume_record(volume))))
    offset = start + data.draw(st.integers(0, 1023))
    changed = volume[:offset] + data.draw(st.binary(min_size=1, max_size=4)) + volume[offset + 4 :]
    with contextlib.suppress(StructureError):
        assert is_dirty(Memory(changed)) in (True, False)
