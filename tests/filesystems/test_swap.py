"""Swap space and suspended systems, against mkswap and blkid."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from preflight.filesystems.swap import FILESYSTEM, HEADER_LITTLE
from preflight.source import Memory
from preflight.units import KiB, MiB
from tests.filesystems.blkid import blkid
from tests.filesystems.reading import agreed, ask, ask_file, stays_within_protocol
from tests.tools import run, sparse

UUID = "0e1d6c52-3c9b-4f2c-9d4f-5b3c7a8e9f10"
TUXONICE = b"\xed\xc3\x02\xe9\x98\x56\xe5\x0c"
PAGES = [4 * KiB, 8 * KiB, 16 * KiB, 32 * KiB, 64 * KiB]


@pytest.mark.parametrize("page_size", PAGES)
@pytest.mark.parametrize("label", [None, "swap  space", "fünfzehn bytes"])
def test_type_uuid_label_and_size_are_those_of_the_tools(tmp_path: Path, page_size: int, label: str | None) -> None:
    path = sparse(tmp_path / "disk", 4 * MiB)
    run("mkswap", "-U", UUID, "-p", str(page_size), *(["-L", label] if label else []), path, ok=(0, 1))
    found = agreed(FILESYSTEM, path)
    assert (found.type, found.uuid, found.label, found.size) == ("swap", UUID, label, 4 * MiB)


def header(magic: bytes, page_size: int = 4 * KiB, **fields: object) -> bytes:
    values: dict[str, object] = {"version": 1, "last_page": 9, "nr_badpages": 0, "sws_uuid": bytes(range(16))}
    values |= {"sws_volume": b"built".ljust(16, b"\0"), "padding_32_33": bytes(8), **fields}
    data = bytearray(max(10 * page_size, 128 * KiB))
    built = HEADER_LITTLE.build(values)
    data[1024 : 1024 + len(built)] = built
    data[page_size - 10 : page_size - 10 + len(magic)] = magic
    return bytes(data)


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("page_size", PAGES)
@pytest.mark.parametrize("magic", [b"SWAP-SPACE", b"SWAPSPACE2"])
def test_every_page_size_of_both_versions_is_found(tmp_path: Path, page_size: int, magic: bytes) -> None:
    found = agreed(FILESYSTEM, write(tmp_path / "disk", header(magic, page_size)))
    assert found.type == "swap"
    assert found.size == (None if magic == b"SWAP-SPACE" else 10 * page_size)


@pytest.mark.parametrize("page_size", PAGES)
@pytest.mark.parametrize("magic", [b"S1SUSPEND", b"S2SUSPEND", b"ULSUSPEND", b"LINHIB0001"])
def test_suspended_system_keeps_uuid_and_label(tmp_path: Path, page_size: int, magic: bytes) -> None:
    found = agreed(FILESYSTEM, write(tmp_path / "disk", header(magic, page_size)))
    assert (found.type, found.label, found.size) == ("swsuspend", "built", 10 * page_size)


def test_tuxonice_is_told_by_its_first_bytes(tmp_path: Path) -> None:
    data = TUXONICE + header(b"SWAPSPACE2")[8:]
    found = agreed(FILESYSTEM, write(tmp_path / "disk", data))
    assert (found.type, found.label) == ("swsuspend", "built")


def test_big_endian_header_is_read(tmp_path: Path) -> None:
    fields = {"version": 1 << 24, "last_page": 9 << 24}
    found = agreed(FILESYSTEM, write(tmp_path / "disk", header(b"SWAPSPACE2", **fields)))
    assert (found.type, found.label, found.size) == ("swap", "built", 40 * KiB)


def test_header_with_other_things_in_its_padding_has_no_name(tmp_path: Path) -> None:
    path = write(tmp_path / "disk", header(b"SWAPSPACE2", padding_32_33=b"\0\0\0\0\0\0\0\1"))
    found = agreed(FILESYSTEM, path)
    assert (found.uuid, found.label) == (None, None)


@pytest.mark.parametrize("fields", [{"version": 0}, {"version": 2}, {"last_page": 0}])
def test_impossible_header_is_no_swap(tmp_path: Path, fields: dict[str, int]) -> None:
    path = write(tmp_path / "disk", header(b"SWAPSPACE2", **fields))
    assert ask_file(FILESYSTEM, path) is None
    assert "TYPE" not in blkid(path)


def test_space_below_10_pages_is_no_swap(tmp_path: Path) -> None:
    path = write(tmp_path / "disk", header(b"SWAPSPACE2")[: 40 * KiB - 1])
    assert ask_file(FILESYSTEM, path) is None
    assert "TYPE" not in blkid(path)
    assert ask(FILESYSTEM, Memory(header(b"SWAPSPACE2")[: 40 * KiB])) is not None


@settings(max_examples=200, deadline=None)
@given(st.one_of(st.integers(1024, 1250), st.integers(4086, 4095)), st.integers(0, 255))
def test_any_changed_byte_stays_within_the_protocol(position: int, value: int) -> None:
    data = bytearray(header(b"SWAPSPACE2"))
    data[position] = value
    stays_within_protocol(FILESYSTEM, bytes(data))


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=2048))
def test_any_bytes_stay_within_the_protocol(data: bytes) -> None:
    stays_within_protocol(FILESYSTEM, data)
    stays_within_protocol(FILESYSTEM, data.ljust(4086, b"\0") + b"S1SUSPEND\0" + bytes(40 * KiB))
