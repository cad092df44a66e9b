"""NILFS2, against mkfs.nilfs2 and blkid."""

import zlib
from pathlib import Path

import pytest
from hypothesis import given, settings

from preflight.filesystems.nilfs2 import FILESYSTEM, SUPERBLOCK
from preflight.units import MiB
from tests.filesystems.building import (
    agreed_on,
    build,
    change,
    damage,
    found,
    hostile,
    join,
    read,
    stays_within_protocol,
)
from tests.filesystems.reading import agreed
from tests.tools import require, run, sparse

SIZE = 4 * MiB
BACKUP = SIZE - 4096


def superblock(label: bytes, last_cno: int = 1, **fields: object) -> bytes:
    values: dict[str, object] = {
        "s_magic": b"\x34\x34",
        "s_bytes": 280,
        "s_crc_seed": 0x12345678,
        "s_dev_size": SIZE,
        "s_last_cno": last_cno,
        "s_uuid": bytes(range(16)),
        "s_volume_name": label.ljust(80, b"\0"),
    }
    values |= fields
    data = build(SUPERBLOCK, **values).ljust(1024, b"\0")
    # zlib inverts the register before and after, NILFS does not.
    register = zlib.crc32(data[: int(str(values["s_bytes"]))], 0x12345678 ^ 0xFFFFFFFF) ^ 0xFFFFFFFF
    return change(data, 16, register.to_bytes(4, "little"))


def test_file_system_is_what_mkfs_nilfs2_made(tmp_path: Path) -> None:
    require("mkfs.nilfs2")
    run("mkfs.nilfs2", "-q", "-b", "1024", "-B", "16", "-L", "nilfs label", path := sparse(tmp_path / "disk", SIZE))
    primary = agreed(FILESYSTEM, path)
    assert (primary.type, primary.label, primary.size, primary.problems) == ("nilfs2", "nilfs label", SIZE, ())
    with path.open("r+b") as file:
        file.write(bytes(4096))  # the primary is gone
    backup = agreed(FILESYSTEM, path)
    assert (backup.uuid, backup.label, backup.size) == (primary.uuid, "nilfs label", SIZE)
    assert damage(backup) == [("superblock-invalid", 1024)]


@pytest.mark.parametrize(("first", "second", "label"), [(1, 2, "backup"), (2, 2, "primary"), (3, 2, "primary")])
def test_newer_superblock_counts(first: int, second: int, label: str) -> None:
    # As the kernel chooses; libblkid 2.38 compares the other way round.
    data = join((1024, superblock(b"primary", first)), (BACKUP, superblock(b"backup", second)))
    assert found(FILESYSTEM, data, SIZE).label == label


def test_built_superblocks_are_read_as_blkid_reads_them(tmp_path: Path) -> None:
    for number, parts in enumerate((((1024, superblock(b"primary")),), ((BACKUP, superblock(b"backup")),))):
        read_ = agreed_on(FILESYSTEM, tmp_path / f"disk{number}", join(*parts), SIZE)
        assert (read_.type, read_.uuid) == ("nilfs2", "00010203-0405-0607-0809-0a0b0c0d0e0f")


def test_backup_whose_device_ended_elsewhere_is_none() -> None:
    assert read(FILESYSTEM, join((BACKUP, superblock(b"backup", s_dev_size=2 * SIZE))), SIZE) is None
    data = join((1024, superblock(b"primary")), (BACKUP, superblock(b"backup", 9, s_dev_size=2 * SIZE)))
    assert found(FILESYSTEM, data, SIZE).label == "primary"


def test_superblock_with_a_wrong_checksum_is_none() -> None:
    assert read(FILESYSTEM, join((1024, change(superblock(b"primary"), 200, b"x"))), SIZE) is None


@pytest.mark.parametrize("size", [0, 19, 1025])
def test_impossible_length_is_none(size: int) -> None:
    assert read(FILESYSTEM, join((1024, superblock(b"primary", s_bytes=size))), SIZE) is None


def test_primary_on_a_disk_of_any_size_is_read() -> None:
    assert found(FILESYSTEM, join((1024, superblock(b"primary"))), 1 * MiB + 77).label == "primary"
    assert read(FILESYSTEM, join((1024, superblock(b"primary"))), 1 * MiB - 1) is None


def test_impossible_size_is_told() -> None:
    superblock_ = found(FILESYSTEM, join((1024, superblock(b"primary", s_dev_size=1 << 63))), SIZE)
    assert (superblock_.size, damage(superblock_)) == (None, [("superblock-invalid", 1056)])


@settings(max_examples=100, deadline=None)
@given(hostile((1024, superblock(b"primary")), (1 * MiB - 4096, superblock(b"backup", s_dev_size=1 * MiB))))
def test_any_bytes_stay_within_the_protocol(data: bytes) -> None:
    stays_within_protocol(FILESYSTEM, data, 1 * MiB)
