"""exFAT, against mkfs.exfat and blkid."""

import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from preflight.filesystems.exfat import BOOT_SECTOR, FILESYSTEM
from preflight.source import Memory
from preflight.units import KiB, MiB
from tests.filesystems.reading import agreed, ask, stays_within_protocol
from tests.tools import run, sparse

UUID = "CAFE-0123"


def make(path: Path, *options: str, size: int = 16 * MiB) -> Path:
    run("mkfs.exfat", *options, sparse(path, size), env={"LC_ALL": "C.UTF-8"})
    run("exfatlabel", "-i", path, "0xcafe0123")
    return path


@pytest.mark.parametrize(
    ("label", "options"),
    [
        (None, []),
        ("ELEVEN CHAR", ["-c", "4K"]),
        ("Новый том", ["-c", "64K"]),
        ("aligned", ["-b", "1M"]),
    ],
)
def test_type_uuid_label_and_size_are_those_of_the_tools(tmp_path: Path, label: str | None, options: list[str]) -> None:
    path = make(tmp_path / "disk", *(["-L", label] if label else []), *options)
    found = agreed(FILESYSTEM, path)
    assert (found.type, found.uuid, found.label, found.size) == ("exfat", UUID, label, 16 * MiB)
    assert not found.problems


def test_wrong_checksum_names_the_file_system_and_tells(tmp_path: Path) -> None:
    data = bytearray(make(tmp_path / "disk", "-L", "torn").read_bytes())
    data[200] ^= 1  # BootCode
    found = ask(FILESYSTEM, Memory(bytes(data)))
    assert found is not None
    assert (found.type, found.uuid, found.label, found.size) == ("exfat", UUID, "torn", 16 * MiB)
    assert [(problem.code, problem.offset) for problem in found.problems] == [("superblock-invalid", 11 * 512)]


def test_checksum_leaves_out_what_changes_on_every_mount(tmp_path: Path) -> None:
    path = make(tmp_path / "disk")
    with path.open("r+b") as file:
        file.seek(106)
        file.write(b"\x02\x00")  # VolumeFlags: dirty
        file.seek(112)
        file.write(b"\x63")  # PercentInUse
    assert not agreed(FILESYSTEM, path).problems


def built(*, entries: bytes = b"", fat: bytes = b"", **fields: object) -> bytes:
    """An exFAT of 64 KiB with clusters of 512 bytes, the FAT in sector 24 and the heap in sector 32."""
    values: dict[str, object] = {"JumpBoot": b"\xeb\x76\x90", "FileSystemName": b"EXFAT   ", "MustBeZero": bytes(53)}
    values |= {"PartitionOffset": 0, "VolumeLength": 128, "FatOffset": 24, "FatLength": 8, "ClusterHeapOffset": 32}
    values |= {"ClusterCount": 96, "FirstClusterOfRootDirectory": 2, "VolumeSerialNumber": 0x00010203}
    values |= {"FileSystemRevision": 0x100, "VolumeFlags": 0, "BytesPerSectorShift": 9, "SectorsPerClusterShift": 0}
    values |= {"NumberOfFats": 1, "DriveSelect": 0x80, "PercentInUse": 0, "BootSignature": 0xAA55, **fields}
    region = bytes(BOOT_SECTOR.build(values)).ljust(11 * 512, b"\0")
    checksum = 0
    for index, byte in enumerate(region):  # figure 1 of section 3.4
        if index not in (106, 107, 112):
            checksum = ((0x80000000 if checksum & 1 else 0) + (checksum >> 1) + byte) & 0xFFFFFFFF
    data = (region + struct.pack("<I", checksum) * 128).ljust(24 * 512, b"\0")
    return ((data + fat).ljust(32 * 512, b"\0") + entries).ljust(64 * KiB, b"\0")


def label_entry(label: str, length: int | None = None) -> bytes:
    data = label.encode("utf-16-le")
    return struct.pack("<BB22s8x", 0x83, len(data) // 2 if length is None else length, data)


@pytest.mark.parametrize(
    ("entries", "label"),
    [
        (label_entry("FIRST"), "FIRST"),
        (b"\x81" + bytes(31) + label_entry("second"), "second"),
        (label_entry("LONG", 255), "LONG"),
        (label_entry("CUT SHORT", 3), "CUT"),
        (label_entry("NONE", 0), None),
        (b"\x03" + label_entry("deleted")[1:], None),
        (bytes(32) + label_entry("behind"), None),
        (b"", None),
    ],
)
def test_label_entry_is_read_as_blkid_reads_it(tmp_path: Path, entries: bytes, label: str | None) -> None:
    path = tmp_path / "disk"
    path.write_bytes(built(entries=entries))
    found = agreed(FILESYSTEM, path)
    assert (found.label, found.uuid, found.size) == (label, "0001-0203", 64 * KiB)
    assert not found.problems


def test_label_in_the_second_cluster_of_the_root_directory_is_found(tmp_path: Path) -> None:
    fat = struct.pack("<6I", 0xFFFFFFF8, 0xFFFFFFFF, 5, 0, 0, 0xFFFFFFFF)
    path = tmp_path / "disk"
    path.write_bytes(built(fat=fat, entries=b"\x85".ljust(32, b"\1") * 16 + bytes(1024) + label_entry("FAR")))
    assert agreed(FILESYSTEM, path).label == "FAR"


def test_root_directory_that_loops_has_no_label() -> None:
    fat = struct.pack("<4I", 0xFFFFFFF8, 0xFFFFFFFF, 3, 2)
    found = ask(FILESYSTEM, Memory(built(fat=fat, entries=b"\x85".ljust(32, b"\1") * 32)))
    assert found is not None
    assert found.label is None


def test_root_directory_past_the_end_is_a_problem() -> None:
    found = ask(FILESYSTEM, Memory(built(ClusterCount=0x1000, FirstClusterOfRootDirectory=0x1000)))
    assert found is not None
    assert [(problem.code, problem.where) for problem in found.problems] == [
        ("superblock-invalid", "exFAT root directory")
    ]


def test_boot_region_past_the_end_is_a_problem() -> None:
    found = ask(FILESYSTEM, Memory(built()[:4096]))
    assert found is not None
    assert [problem.where for problem in found.problems] == ["exFAT main boot checksum", "exFAT root directory"]


@pytest.mark.parametrize(
    "fields",
    [
        {"JumpBoot": b"\xeb\x76\x91"},
        {"MustBeZero": bytes(52) + b"\1"},
        {"BootSignature": 0},
        {"NumberOfFats": 0},
        {"NumberOfFats": 3},
        {"BytesPerSectorShift": 8},
        {"BytesPerSectorShift": 13},
        {"SectorsPerClusterShift": 17},
        {"FatOffset": 23},
        {"FatLength": 9},
        {"ClusterHeapOffset": 31},
        {"FirstClusterOfRootDirectory": 1},
        {"FirstClusterOfRootDirectory": 98},
        {"VolumeLength": 0},
        {"VolumeLength": 1 << 54},
    ],
)
def test_impossible_field_is_not_exfat(fields: dict[str, Any]) -> None:
    assert ask(FILESYSTEM, Memory(built(**fields))) is None


@settings(max_examples=150, deadline=None)
@given(st.one_of(st.integers(0, 127), st.integers(24 * 512, 24 * 512 + 32)), st.integers(0, 255))
def test_any_changed_byte_stays_within_the_protocol(position: int, value: int) -> None:
    data = bytearray(built(entries=label_entry("x")))
    data[position] = value
    stays_within_protocol(FILESYSTEM, bytes(data))


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=512))
def test_any_bytes_stay_within_the_protocol(data: bytes) -> None:
    stays_within_protocol(FILESYSTEM, data)
    stays_within_protocol(FILESYSTEM, built()[:64] + data.ljust(448, b"\0")[:448] + bytes(8 * KiB))
