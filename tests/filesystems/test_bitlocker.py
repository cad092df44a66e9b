"""BitLocker volumes, against blkid."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from preflight.filesystems.bitlocker import ENTRY, FILESYSTEM, FVE_METADATA, TO_GO_HEADER, VOLUME_HEADER
from preflight.units import KiB, MiB
from tests.filesystems.blkid import blkid
from tests.filesystems.pieces import Pieces
from tests.filesystems.reading import ask, stays_within_protocol

IDENTIFIER = bytes.fromhex("a80b3383b707a84eb641ff7bdf18f6b3")  # of util-linux' own test image
SPELLED = "83330ba8-07b7-4ea8-b641-ff7bdf18f6b3"
DESCRIPTION = "KÄTHE C: 11/23/2026"
OFFSETS = [64 * KiB, 256 * KiB, 512 * KiB]
WINDOWS_7, TO_GO, VISTA = b"\xeb\x58\x90-FVE-FS-", b"\xeb\x58\x90MSWIN4.1", b"\xeb\x52\x90-FVE-FS-"


def entry(kind: int, value_type: int, data: bytes) -> bytes:
    return (
        bytes(ENTRY.build({"size": 8 + len(data), "entry_type": kind, "value_type": value_type, "version": 1})) + data
    )


def metadata() -> bytes:
    entries = entry(2, 8, bytes(40)) + entry(7, 2, DESCRIPTION.encode("utf-16-le") + b"\0\0")
    values = {"signature": b"-FVE-FS-", "size": 64, "version": 2, "metadata_size": 48 + len(entries)}
    return bytes(FVE_METADATA.build({**values, "volume_identifier": IDENTIFIER})) + entries


def boot(magic: bytes) -> bytes:
    layout = TO_GO_HEADER if magic == TO_GO else VOLUME_HEADER
    return bytes(layout.build({"magic": magic, "fve_metadata_offsets": OFFSETS}).ljust(510, b"\0") + b"\x55\xaa")


def disk(magic: bytes) -> Pieces:
    return Pieces(2 * MiB, {0: boot(magic), **{offset: metadata() for offset in OFFSETS}})


@pytest.mark.parametrize("magic", [WINDOWS_7, TO_GO])
def test_identifier_and_description_are_uuid_and_label(tmp_path: Path, magic: bytes) -> None:
    found = ask(FILESYSTEM, disk(magic))
    assert found is not None
    assert (found.type, found.uuid, found.label, found.problems) == ("BitLocker", SPELLED, DESCRIPTION, ())
    assert blkid(disk(magic).write(tmp_path / "disk"))["TYPE"] == "BitLocker"


def test_vista_has_neither(tmp_path: Path) -> None:
    found = ask(FILESYSTEM, disk(VISTA))
    assert found is not None
    assert (found.type, found.uuid, found.label) == ("BitLocker", None, None)
    assert blkid(disk(VISTA).write(tmp_path / "disk"))["TYPE"] == "BitLocker"


def test_copy_of_the_metadata_is_used_where_the_first_is_lost() -> None:
    for lost in (1, 2):
        pieces = {0: boot(WINDOWS_7), **{offset: metadata() for offset in OFFSETS[lost:]}}
        found = ask(FILESYSTEM, Pieces(2 * MiB, pieces))
        assert found is not None
        assert found.uuid == SPELLED
        assert [(problem.code, problem.offset) for problem in found.problems] == [("superblock-invalid", OFFSETS[0])]


def test_volume_without_metadata_is_named_with_a_problem(tmp_path: Path) -> None:
    only_boot = Pieces(2 * MiB, {0: boot(WINDOWS_7)})
    found = ask(FILESYSTEM, only_boot)
    assert found is not None
    assert (found.type, found.uuid) == ("BitLocker", None)
    assert [(problem.code, problem.offset) for problem in found.problems] == [("superblock-invalid", 176)]
    assert "TYPE" not in blkid(only_boot.write(tmp_path / "disk"))


def test_fat_of_windows_98_is_not_bitlocker() -> None:
    assert ask(FILESYSTEM, Pieces(2 * MiB, {0: boot(TO_GO)})) is None


@settings(max_examples=200, deadline=None)
@given(at=st.integers(0, 200), value=st.integers(0, 255), start=st.sampled_from([0, OFFSETS[0]]))
def test_any_changed_byte_stays_within_the_protocol(at: int, value: int, start: int) -> None:
    damaged = disk(WINDOWS_7).damaged(start, at % len(disk(WINDOWS_7).pieces[start]), value)
    stays_within_protocol(FILESYSTEM, damaged.read_at(0, 600 * KiB))


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=1024))
def test_any_bytes_stay_within_the_protocol(data: bytes) -> None:
    stays_within_protocol(FILESYSTEM, data)
    for magic in (WINDOWS_7, TO_GO):
        stays_within_protocol(FILESYSTEM, (magic + data).ljust(600, b"\0"))
    entries = metadata()[:112] + data
    stays_within_protocol(
        FILESYSTEM, Pieces(600 * KiB, {0: boot(WINDOWS_7), OFFSETS[0]: entries}).read_at(0, 600 * KiB)
    )
