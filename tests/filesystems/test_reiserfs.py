"""ReiserFS and Reiser4, against their mkfs and blkid."""

from pathlib import Path

import pytest
from hypothesis import given, settings

from preflight.filesystems.reiserfs import FILESYSTEM, FORMAT40, MASTER, SUPERBLOCK
from preflight.units import KiB, MiB
from tests.filesystems.building import agreed_on, build, damage, found, hostile, join, read, stays_within_protocol
from tests.filesystems.reading import agreed
from tests.tools import require, run, sparse

UUID = "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0"
SIZE = 64 * MiB

V36 = build(
    SUPERBLOCK,
    s_block_count=16384,
    s_journal_block=18,
    s_blocksize=4096,
    s_magic=b"ReIsEr2Fs\0",
    s_uuid=bytes.fromhex(UUID.replace("-", "")),
    s_label=b"sixteen bytes :)",
)
REISER4 = (
    (64 * KiB, build(MASTER, ms_magic=b"ReIsEr4".ljust(16, b"\0"), ms_blksize=4096, ms_uuid=bytes(range(16)))),
    (68 * KiB, build(FORMAT40, sb_block_count=1000, sb_magic=b"ReIsEr40FoRmAt\0\0")),
)


@pytest.mark.parametrize("options", [[], ["-s", "1024"]], ids=["3.6", "journal of another size"])
def test_reiserfs_is_what_mkreiserfs_made(tmp_path: Path, options: list[str]) -> None:
    require("mkreiserfs")
    path = sparse(tmp_path / "disk", SIZE)
    run("mkreiserfs", "-q", "-ff", "-u", UUID, "-l", "reiser label", *options, path)
    superblock = agreed(FILESYSTEM, path)
    assert (superblock.type, superblock.uuid, superblock.label) == ("reiserfs", UUID, "reiser label")
    assert (superblock.size, superblock.problems) == (SIZE, ())


def test_reiserfs_3_5_has_neither_uuid_nor_label(tmp_path: Path) -> None:
    require("mkreiserfs")
    run("mkreiserfs", "-q", "-ff", "--format", "3.5", path := sparse(tmp_path / "disk", SIZE))
    superblock = agreed(FILESYSTEM, path)
    assert (superblock.type, superblock.uuid, superblock.label, superblock.size) == ("reiserfs", None, None, SIZE)


def test_reiser4_is_what_its_mkfs_made(tmp_path: Path) -> None:
    require("mkfs.reiser4")
    run("mkfs.reiser4", "-y", "-f", "-U", UUID, "-L", "four", path := sparse(tmp_path / "disk", SIZE))
    superblock = agreed(FILESYSTEM, path)
    assert (superblock.type, superblock.uuid, superblock.label, superblock.size) == ("reiser4", UUID, "four", SIZE)


def test_built_superblocks_are_read_as_blkid_reads_them(tmp_path: Path) -> None:
    superblock = agreed_on(FILESYSTEM, tmp_path / "3.6", join((64 * KiB, V36)), SIZE)
    assert (superblock.uuid, superblock.label, superblock.size) == (UUID, "sixteen bytes :)", 16384 * 4096)
    superblock = agreed_on(FILESYSTEM, tmp_path / "4", join(*REISER4), SIZE)
    assert (superblock.type, superblock.label, superblock.size) == ("reiser4", None, 1000 * 4096)


def test_superblock_before_the_journal_was_invented_has_no_size(tmp_path: Path) -> None:
    old = bytearray(build(SUPERBLOCK, s_blocksize=4096, s_journal_block=18, s_block_count=99))
    old[20:28] = b"ReIsErFs"
    superblock = agreed_on(FILESYSTEM, tmp_path / "disk", join((8 * KiB, bytes(old))), SIZE)
    assert (superblock.type, superblock.size) == ("reiserfs", None)


def test_copy_inside_the_journal_is_passed_over() -> None:
    for fields in ({"s_journal_block": 15}, {"s_journal_block": 18, "s_blocksize": 511}):
        values = {"s_blocksize": 4096, "s_magic": b"ReIsEr2Fs\0", **fields}
        assert read(FILESYSTEM, join((64 * KiB, build(SUPERBLOCK, **values))), SIZE) is None


def test_less_than_128_kib_is_none() -> None:
    assert read(FILESYSTEM, join((64 * KiB, V36)), 128 * KiB - 1) is None
    assert read(FILESYSTEM, join((64 * KiB, V36)), 128 * KiB) is not None


def test_impossible_size_of_reiser4_is_told() -> None:
    format40 = build(FORMAT40, sb_block_count=1 << 62, sb_magic=b"ReIsEr40FoRmAt\0\0")
    superblock = found(FILESYSTEM, join(REISER4[0], (68 * KiB, format40)), SIZE)
    assert (superblock.size, damage(superblock)) == (None, [("superblock-invalid", 68 * KiB)])


def test_reiser4_of_an_unknown_format_has_no_size() -> None:
    superblock = found(FILESYSTEM, join(REISER4[0]), SIZE)
    assert (superblock.type, superblock.size, superblock.problems) == ("reiser4", None, ())


@settings(max_examples=100, deadline=None)
@given(hostile((64 * KiB, V36)) | hostile((8 * KiB, V36)) | hostile(*REISER4))
def test_any_bytes_stay_within_the_protocol(data: bytes) -> None:
    stays_within_protocol(FILESYSTEM, data, 128 * KiB)
