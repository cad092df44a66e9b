"""JFS, against mkfs.jfs and blkid."""

from pathlib import Path

import pytest
from hypothesis import given, settings

from preflight.filesystems.jfs import FILESYSTEM, SUPERBLOCK
from preflight.units import KiB, MiB
from tests.filesystems.building import agreed_on, build, damage, found, hostile, join, read, stays_within_protocol
from tests.filesystems.reading import agreed
from tests.tools import require, run, sparse

OFFSET = 32 * KiB
SOUND: dict[str, object] = {
    "s_magic": b"JFS1",
    "s_version": 1,
    "s_size": 30000,
    "s_bsize": 4096,
    "s_l2bsize": 12,
    "s_l2bfactor": 3,
    "s_pbsize": 512,
    "s_l2pbsize": 9,
    "s_uuid": bytes(range(1, 17)),
    "s_label": b"built".ljust(16, b"\0"),
}


def test_file_system_is_what_mkfs_jfs_made(tmp_path: Path) -> None:
    require("mkfs.jfs", "jfs_tune")
    run("mkfs.jfs", "-q", "-L", "jfs label", path := sparse(tmp_path / "disk", 32 * MiB))
    superblock = agreed(FILESYSTEM, path)
    assert (superblock.type, superblock.label, superblock.problems) == ("jfs", "jfs label", ())
    told = run("jfs_tune", "-l", path)
    assert superblock.size is not None
    assert f"Aggregate size:\t\t{superblock.size // 512} blocks" in told
    assert "Physical block size:\t512 bytes" in told


def test_built_superblock_is_read_as_blkid_reads_it(tmp_path: Path) -> None:
    superblock = agreed_on(FILESYSTEM, tmp_path / "disk", join((OFFSET, build(SUPERBLOCK, **SOUND))), 16 * MiB)
    assert (superblock.uuid, superblock.label) == ("01020304-0506-0708-090a-0b0c0d0e0f10", "built")
    assert superblock.size == 30000 * 512


@pytest.mark.parametrize(
    "fields",
    [{"s_bsize": 4097}, {"s_l2bsize": 13}, {"s_pbsize": 1024}, {"s_l2bfactor": 2}, {"s_l2bsize": 0xFFFF}],
)
def test_block_sizes_that_contradict_each_other_are_none(fields: dict[str, object]) -> None:
    assert read(FILESYSTEM, join((OFFSET, build(SUPERBLOCK, **{**SOUND, **fields}))), 16 * MiB) is None


def test_less_than_16_mib_is_none() -> None:
    assert read(FILESYSTEM, join((OFFSET, build(SUPERBLOCK, **SOUND))), 16 * MiB - 1) is None


def test_impossible_size_is_told() -> None:
    superblock = found(FILESYSTEM, join((OFFSET, build(SUPERBLOCK, **{**SOUND, "s_size": 1 << 54}))), 16 * MiB)
    assert (superblock.size, damage(superblock)) == (None, [("superblock-invalid", OFFSET + 8)])


@settings(max_examples=100, deadline=None)
@given(hostile((OFFSET, build(SUPERBLOCK, **SOUND))))
def test_any_bytes_stay_within_the_protocol(data: bytes) -> None:
    stays_within_protocol(FILESYSTEM, data, 16 * MiB)
