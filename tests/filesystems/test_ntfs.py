"""NTFS and ReFS, against mkntfs and blkid."""

import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from preflight.filesystems.ntfs import FILESYSTEM
from preflight.source import Memory
from preflight.units import KiB, MiB
from tests.filesystems.blkid import blkid
from tests.filesystems.reading import agreed, ask, ask_file, stays_within_protocol
from tests.tools import run, sparse

SIZE = 16 * MiB


def make(path: Path, *options: str) -> Path:
    run("mkntfs", "-q", "-F", "-f", *options, sparse(path, SIZE), env={"LC_ALL": "C.UTF-8"})
    return path


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A whole NTFS."""
    return make(tmp_path_factory.mktemp("ntfs") / "disk", "-L", "System").read_bytes()


def volume_record(disk: bytes) -> int:
    cluster, sector_size = int.from_bytes(disk[0x30:0x38], "little"), int.from_bytes(disk[0xB:0xD], "little")
    return cluster * sector_size * disk[0xD] + 3 * KiB


@pytest.mark.parametrize(
    ("label", "options"),
    [
        (None, []),
        ("System Reserved", ["-c", "512"]),
        ("Новый том", ["-c", "65536"]),
        ("😀 beyond the BMP", ["-c", "2048", "-s", "1024"]),
        ("big sectors", ["-s", "4096"]),
        ("large clusters", ["-c", "1048576"]),
    ],
)
def test_type_uuid_label_and_size_are_those_of_the_tools(tmp_path: Path, label: str | None, options: list[str]) -> None:
    path = make(tmp_path / "disk", *(["-L", label] if label else []), *options)
    found = agreed(FILESYSTEM, path)
    data = path.read_bytes()[:512]
    assert found.type == "ntfs"
    assert found.uuid is not None
    assert found.uuid == f"{int.from_bytes(data[0x48:0x50], 'little'):016X}"
    assert found.label == label
    assert found.size == int.from_bytes(data[0x28:0x30], "little") * int.from_bytes(data[0xB:0xD], "little")
    assert 0 < SIZE - found.size <= 2 * MiB  # the backup boot sector and what is left of a cluster
    assert not found.problems


def test_long_label_is_read_through_the_fixup(tmp_path: Path) -> None:
    label = "x" * 119 + "y" + "z" * 8  # 128 characters, which cross the end of the first 512 bytes
    path = make(tmp_path / "disk", "-L", label)
    found = ask_file(FILESYSTEM, path)
    assert found is not None
    assert found.label == label
    data = path.read_bytes()
    record = data[volume_record(data) :][:1024]
    (position,) = struct.unpack_from("<H", record, 0x14)
    while struct.unpack_from("<I", record, position)[0] != 0x60:
        position += struct.unpack_from("<I", record, position + 4)[0]
    assert position + 24 < 510 < position + 24 + 256  # else this tests nothing


def test_serial_number_zero_is_none(disk: bytes, tmp_path: Path) -> None:
    path = tmp_path / "disk"
    path.write_bytes(disk[:0x48] + bytes(8) + disk[0x50:])
    assert agreed(FILESYSTEM, path).uuid is None


@pytest.mark.parametrize(
    ("offset", "value"),
    [
        (0x0B, b"\x80\x00"),  # bytes_per_sector 128
        (0x0B, b"\x00\x20"),
        (0x0D, b"\x00"),  # sectors_per_cluster
        (0x0D, b"\x03"),
        (0x0D, b"\xef"),
        (0x0E, b"\x01"),  # reserved_sectors
        (0x10, b"\x02"),  # fats
        (0x11, b"\x01"),  # root_entries
        (0x13, b"\x01"),  # sectors
        (0x16, b"\x01"),  # sectors_per_fat
        (0x20, b"\x01"),  # large_sectors
        (0x30, b"\xff" * 8),  # mft_lcn
        (0x38, b"\xff" * 8),  # mftmirr_lcn
        (0x40, b"\x00"),  # clusters_per_mft_record
        (0x40, b"\x03"),
        (0x40, b"\xe0"),
    ],
)
def test_impossible_field_is_not_ntfs(disk: bytes, tmp_path: Path, offset: int, value: bytes) -> None:
    data = disk[:offset] + value + disk[offset + len(value) :]
    assert ask(FILESYSTEM, Memory(data)) is None
    path = tmp_path / "disk"
    path.write_bytes(data)
    assert "TYPE" not in blkid(path)


def test_sector_size_that_is_no_power_of_two_is_not_ntfs(disk: bytes) -> None:
    assert ask(FILESYSTEM, Memory(disk[:0xB] + b"\x00\x03" + disk[0xD:])) is None  # libblkid since 2.39


@pytest.mark.parametrize(
    ("field", "value"),
    [
        (0x00, b"BAAD"),
        (0x04, b"\xff\xff"),  # usa_ofs
        (0x06, b"\x00\x00"),  # usa_count
        (0x06, b"\xff\xff"),
        (510, b"\x77\x77"),  # where the update sequence number stands
        (1022, b"\x77\x77"),
    ],
)
def test_broken_volume_record_names_the_file_system_and_tells(disk: bytes, field: int, value: bytes) -> None:
    start = volume_record(disk)
    data = disk[: start + field] + value + disk[start + field + len(value) :]
    found = ask(FILESYSTEM, Memory(data))
    assert found is not None
    assert (found.type, found.label) == ("ntfs", "System" if field else None)
    assert found.uuid is not None
    offset = start + (field if field > 100 else 0)
    assert [(problem.code, problem.offset) for problem in found.problems] == [("superblock-invalid", offset)]


def test_more_bytes_than_a_system_addresses_are_a_problem(disk: bytes) -> None:
    found = ask(FILESYSTEM, Memory(disk[:0x28] + struct.pack("<Q", 1 << 54) + disk[0x30:]))
    assert found is not None
    assert (found.label, found.size) == ("System", None)
    assert [(problem.code, problem.offset) for problem in found.problems] == [("superblock-invalid", 0x28)]
    found = ask(FILESYSTEM, Memory(disk[:0x28] + struct.pack("<Q", (1 << 54) - 1) + disk[0x30:]))
    assert found is not None
    assert found.size == (1 << 63) - 512


def test_master_file_table_past_the_end_is_a_problem(disk: bytes) -> None:
    found = ask(FILESYSTEM, Memory(disk[: 4 * KiB]))
    assert found is not None
    assert [problem.code for problem in found.problems] == ["superblock-invalid"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        (0x14, b"\xff\xff"),  # attrs_offset
        (0x1C, bytes(4)),  # bytes_allocated
        (0x38 + 4, bytes(4)),  # the length of the first attribute
        (0x38 + 4, b"\xff\xff\xff\xff"),
    ],
)
def test_attributes_that_lead_nowhere_give_no_label(disk: bytes, field: int, value: bytes) -> None:
    start = volume_record(disk)
    data = disk[: start + field] + value + disk[start + field + len(value) :]
    found = ask(FILESYSTEM, Memory(data))
    assert found is not None
    assert found.label is None


def test_refs_is_named(tmp_path: Path) -> None:
    sector = struct.pack("<3s8s5x4sHHQII", bytes(3), b"ReFS\0\0\0\0", b"FSRS", 512, 0, 4096, 512, 8)
    path = sparse(tmp_path / "disk", 2 * MiB)
    path.write_bytes(sector.ljust(2 * MiB, b"\0"))
    found = agreed(FILESYSTEM, path)
    assert (found.type, found.uuid, found.label, found.size) == ("ReFS", None, None, 2 * MiB)


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 0x60), st.integers(0, 255))
def test_any_changed_byte_stays_within_the_protocol(disk: bytes, position: int, value: int) -> None:
    data = bytearray(disk[: 32 * KiB])
    data[position] = value
    stays_within_protocol(FILESYSTEM, bytes(data))


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 0x200), st.integers(0, 255))
def test_any_changed_byte_of_the_volume_record_stays_within_the_protocol(
    disk: bytes, position: int, value: int
) -> None:
    start = volume_record(disk)
    data = bytearray(disk[: start + KiB])
    data[start + position] = value
    stays_within_protocol(FILESYSTEM, bytes(data))


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=512))
def test_any_bytes_stay_within_the_protocol(data: bytes) -> None:
    stays_within_protocol(FILESYSTEM, data)
    stays_within_protocol(FILESYSTEM, b"\xeb\x52\x90NTFS    " + data)
