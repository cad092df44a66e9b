"""The files that NTFS keeps about itself, damaged; against ntfs-3g.probe, which mounts nothing."""

import struct
from pathlib import Path

import pytest

from preflight.facts import Problem
from preflight.filesystems import ntfs
from preflight.units import KiB, MiB
from tests.filesystems.reading import ask_file
from tests.tools import run, sparse

RECORD = KiB
SIZE = 16 * MiB
NAMES = {0: "$MFT", 1: "$MFTMirr", 2: "$LogFile", 4: "$AttrDef", 5: "the root directory", 6: "$Bitmap", 10: "$UpCase"}
CORRUPT, REFUSED = 12, 13  # exit codes: no NTFS for it, and one that is inconsistent


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = sparse(tmp_path_factory.mktemp("ntfs") / "disk", SIZE)
    run("mkntfs", "-q", "-F", "-c", "4096", path)
    return path.read_bytes()


def place(disk: bytes, field: int) -> int:
    """Byte of what the boot sector names by its cluster."""
    (cluster,) = struct.unpack_from("<Q", disk, field)
    return int(cluster) * 4096


def record(disk: bytes, number: int) -> int:
    return place(disk, 0x30) + number * RECORD


def attribute(disk: bytes, number: int, type_: int) -> int:
    """Byte of the attribute of this type."""
    start = record(disk, number)
    position = start + struct.unpack_from("<H", disk, start + 20)[0]
    while struct.unpack_from("<I", disk, position)[0] != type_:
        position += struct.unpack_from("<I", disk, position + 4)[0]
    return int(position)


def first_cluster(disk: bytes, number: int) -> int:
    """Byte of the first cluster of the file's data."""
    at = attribute(disk, number, 0x80)
    at += struct.unpack_from("<H", disk, at + 32)[0]
    length, offset = disk[at] & 15, disk[at] >> 4
    return int.from_bytes(disk[at + 1 + length : at + 1 + length + offset], "little") * 4096


def told(path: Path, disk: bytes, *changes: tuple[int, bytes]) -> tuple[Problem, ...]:
    data = bytearray(disk)
    for offset, content in changes:
        data[offset : offset + len(content)] = content
    path.write_bytes(data)
    found = ask_file(ntfs.FILESYSTEM, path)
    assert found is not None
    return found.problems


def probed(path: Path, *codes: int) -> None:
    run("ntfs-3g.probe", "--readonly", path, ok=codes)


@pytest.mark.parametrize("number", NAMES)
@pytest.mark.parametrize(
    ("field", "value"),
    [
        (0, b"\0\0\0\0"),
        (0, b"BAAD"),
        (510, b"\x55\x66"),
        (22, b"\0\0"),
        (28, b"\0\0"),
        (24, b"\xff\xff"),
        (20, b"\0\2"),
    ],
    ids=["zeroed", "BAAD", "torn", "not in use", "of no bytes", "of too many bytes", "no attributes"],
)
def test_a_record_that_ntfs_3g_refuses_is_told(
    disk: bytes, tmp_path: Path, number: int, field: int, value: bytes
) -> None:
    start = record(disk, number)
    (found,) = told(tmp_path / "disk", disk, (start + field, value))
    assert (found.code, found.where) == ("superblock-invalid", f"NTFS record {number}, {NAMES[number]}")
    assert found.offset is not None
    assert start <= found.offset < start + RECORD
    if number != 5 or field != 22:
        probed(tmp_path / "disk", 13, 18)


@pytest.mark.parametrize(("number", "type_"), [(0, 0x80), (0, 0xB0), (4, 0x80), (5, 0x90), (6, 0x80), (10, 0x80)])
def test_a_file_without_an_attribute_that_it_needs_is_told(
    disk: bytes, tmp_path: Path, number: int, type_: int
) -> None:
    at = attribute(disk, number, type_)
    (found,) = told(tmp_path / "disk", disk, (at, (type_ + 1).to_bytes(4, "little")))
    assert (found.code, found.offset) == ("superblock-invalid", record(disk, number))
    probed(tmp_path / "disk", 12, 13, 18)


@pytest.mark.parametrize("length", [0, 8, 25, 0x500])
def test_an_attribute_of_a_length_that_cannot_be_is_told(disk: bytes, tmp_path: Path, length: int) -> None:
    at = attribute(disk, 6, 0x80)
    (found,) = told(tmp_path / "disk", disk, (at + 4, length.to_bytes(4, "little")))
    assert found.offset == at
    probed(tmp_path / "disk", 13, 18)


@pytest.mark.parametrize(
    ("type_", "field", "value"),
    [
        (0x10, 0, bytes(4)),  # type
        (0x10, 8, b"\1"),  # non_resident
        (0x10, 16, b"\0\1"),  # value_length
        (0x80, 32, b"\0\1"),  # mapping_pairs_offset
    ],
)
def test_an_attribute_whose_value_is_not_in_it_is_told(
    disk: bytes, tmp_path: Path, type_: int, field: int, value: bytes
) -> None:
    at = attribute(disk, 6, type_)
    (found,) = told(tmp_path / "disk", disk, (at + field, value))
    assert (found.where, found.offset) == ("NTFS record 6, $Bitmap", at)
    probed(tmp_path / "disk", 13, 18)


@pytest.mark.parametrize(("number", "size"), [(10, 0), (10, 0x20002), (4, 1 << 24)])
def test_a_table_of_a_size_that_ntfs_3g_refuses_is_told(disk: bytes, tmp_path: Path, number: int, size: int) -> None:
    at = attribute(disk, number, 0x80)
    (found,) = told(tmp_path / "disk", disk, (at + 48, size.to_bytes(8, "little")))
    assert found.offset == at
    probed(tmp_path / "disk", 12, 13)


def test_capitals_that_are_none_are_told_at_their_byte(disk: bytes, tmp_path: Path) -> None:
    table = first_cluster(disk, 10)
    (found,) = told(tmp_path / "disk", disk, (table + 2 * ord("k"), b"k"))
    assert (found.code, found.where, found.offset) == ("superblock-invalid", "NTFS $UpCase", table + 2 * ord("k"))
    probed(tmp_path / "disk", REFUSED)


@pytest.mark.parametrize("number", range(4))
@pytest.mark.parametrize(("field", "value"), [(0, bytes(RECORD)), (8, b"\1"), (510, b"\x55\x66")])
def test_a_mirror_that_is_none_is_told_without_calling_it_damaged(
    disk: bytes, tmp_path: Path, number: int, field: int, value: bytes
) -> None:
    """Windows does without it."""
    start = place(disk, 0x38) + number * RECORD
    (found,) = told(tmp_path / "disk", disk, (start + field, value))
    assert (found.code, found.where) == ("superblock-irregular", f"NTFS $MFTMirr, record {number}")
    assert found.offset is not None
    assert start <= found.offset < start + RECORD
    probed(tmp_path / "disk", REFUSED)


def test_a_mirror_elsewhere_is_told(disk: bytes, tmp_path: Path) -> None:
    (found,) = told(tmp_path / "disk", disk, (0x38, (place(disk, 0x38) // 4096 - 1).to_bytes(8, "little")))
    assert found.code == "superblock-irregular"
    probed(tmp_path / "disk", 13, 18)


@pytest.mark.parametrize("value", [0, 3, 0x80, 0xFF])
def test_a_size_of_index_records_that_cannot_be_is_told(disk: bytes, tmp_path: Path, value: int) -> None:
    (found,) = told(tmp_path / "disk", disk, (0x44, bytes([value])))
    assert (found.code, found.where, found.offset) == ("superblock-invalid", "NTFS boot sector", 0x44)
    probed(tmp_path / "disk", CORRUPT)


@pytest.mark.parametrize(
    "options",
    [
        ("-c", "512"),
        ("-c", "2048"),
        ("-c", "65536"),
        ("-c", "1048576"),
        ("-s", "4096"),
        ("-s", "1024", "-c", "8192"),
        ("-L", "label"),
        ("-C",),
        ("-I",),
    ],
    ids=" ".join,
)
def test_an_honest_volume_has_no_problem(tmp_path: Path, options: tuple[str, ...]) -> None:
    path = sparse(tmp_path / "disk", 24 * MiB)
    run("mkntfs", "-q", "-F", *options, path)
    for _ in range(2):  # new, and with files
        found = ask_file(ntfs.FILESYSTEM, path)
        assert found is not None
        assert found.problems == ()
        probed(path, 0)
        for index in range(1 if "1048576" in options else 20):
            run("ntfscp", "-q", path, "/etc/passwd", f"file {index}")
