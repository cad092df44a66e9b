"""Minix, against mkfs.minix and blkid."""

import random
from pathlib import Path

import pytest
from construct import Struct
from hypothesis import given, settings

from preflight.filesystems.minix import FILESYSTEM, SUPERBLOCK3_BE, SUPERBLOCK3_LE, SUPERBLOCK_BE, SUPERBLOCK_LE
from preflight.units import MiB
from tests.filesystems.building import agreed_on, build, change, found, hostile, join, read, stays_within_protocol
from tests.filesystems.reading import agreed, ask_file
from tests.tools import require, run, sparse

SIZE = 4 * MiB


def superblock(layout: Struct = SUPERBLOCK_LE, **fields: object) -> bytes:
    values: dict[str, object] = {
        "s_ninodes": 8191,
        "s_nzones": 4096,
        "s_imap_blocks": 1,
        "s_zmap_blocks": 1,
        "s_firstdatazone": 100,
        "s_magic": 0x137F,
        "s_state": 1,
    }
    return join((1024, build(layout, **{**values, **fields})), (2048, b"\0"))


def superblock3(layout: Struct = SUPERBLOCK3_LE, **fields: object) -> bytes:
    values: dict[str, object] = {
        "s_ninodes": 1000,
        "s_imap_blocks": 1,
        "s_zmap_blocks": 1,
        "s_zones": 1024,
        "s_magic": 0x4D5A,
        "s_blocksize": 4096,
    }
    return join((1024, build(layout, **{**values, **fields})), (2048, b"\0"))


@pytest.mark.parametrize("options", [["-1"], ["-1", "-n", "14"], ["-2"], ["-2", "-n", "14"], ["-3"]])
def test_file_system_is_what_mkfs_minix_made(tmp_path: Path, options: list[str]) -> None:
    require("mkfs.minix")
    run("mkfs.minix", *options, path := sparse(tmp_path / "disk", SIZE))
    found_ = agreed(FILESYSTEM, path)
    assert (found_.type, found_.uuid, found_.label, found_.size) == ("minix", None, None, SIZE)


@pytest.mark.parametrize("magic", [0x137F, 0x138F])
@pytest.mark.parametrize("layout", [SUPERBLOCK_LE, SUPERBLOCK_BE], ids=["little", "big"])
def test_version_1_is_read_in_either_endianness(tmp_path: Path, layout: Struct, magic: int) -> None:
    assert agreed_on(FILESYSTEM, tmp_path / "disk", superblock(layout, s_magic=magic), SIZE).size == 4096 * 1024


@pytest.mark.parametrize("magic", [0x2468, 0x2478])
@pytest.mark.parametrize("layout", [SUPERBLOCK_LE, SUPERBLOCK_BE], ids=["little", "big"])
def test_version_2_is_read_in_either_endianness(tmp_path: Path, layout: Struct, magic: int) -> None:
    data = superblock(layout, s_magic=magic, s_nzones=0, s_zones=8000)
    assert agreed_on(FILESYSTEM, tmp_path / "disk", data, SIZE).size == 8000 * 1024


def test_version_3_has_blocks_of_its_own_size(tmp_path: Path) -> None:
    assert agreed_on(FILESYSTEM, tmp_path / "disk", superblock3(), SIZE).size == 1024 * 4096
    assert found(FILESYSTEM, superblock3(SUPERBLOCK3_BE)).size == 1024 * 4096  # which libblkid misses


@pytest.mark.parametrize(
    "fields",
    [
        {"s_state": 4},
        {"s_log_zone_size": 1},
        {"s_ninodes": 0},
        {"s_ninodes": 8192},  # with inode 0 that is one bit more than a block of the map has
        {"s_imap_blocks": 0},
        {"s_zmap_blocks": 0},
        {"s_firstdatazone": 4097},
        {"s_nzones": 8292},
    ],
)
def test_impossible_counts_are_none(tmp_path: Path, fields: dict[str, object]) -> None:
    assert read(FILESYSTEM, superblock(), SIZE) is not None
    assert read(FILESYSTEM, superblock(**fields), SIZE) is None


def test_last_possible_counts_are_minix(tmp_path: Path) -> None:
    data = superblock(s_nzones=8291, s_firstdatazone=100)
    assert agreed_on(FILESYSTEM, tmp_path / "disk", data, 16 * MiB).size == 8291 * 1024


def test_ext_is_not_minix() -> None:
    assert read(FILESYSTEM, change(superblock(), 1024 + 0x38, b"\x53\xef"), SIZE) is None


def test_an_erofs_whose_count_of_inodes_is_the_magic_is_not_minix() -> None:
    # libblkid since 2.42; `inos` of EROFS is eight bytes long and begins where version 1 has its magic
    data = change(superblock3(), 1024, b"\xe2\xe1\xf5\xe0")
    assert read(FILESYSTEM, superblock3(), SIZE) is not None
    assert read(FILESYSTEM, data, SIZE) is None


def test_real_ext2_with_the_magic_in_a_field_of_its_own_is_not_minix(tmp_path: Path) -> None:
    run("mke2fs", "-q", "-t", "ext2", path := sparse(tmp_path / "disk", SIZE))
    with path.open("r+b") as file:
        file.seek(1024 + 0x10)  # s_free_inodes_count
        file.write(b"\x7f\x13")
    assert ask_file(FILESYSTEM, path) is None


def test_random_data_with_the_magic_is_hardly_ever_minix() -> None:
    generator = random.Random(1)
    claimed = sum(
        read(FILESYSTEM, change(generator.randbytes(2048), 1024 + 0x10, b"\x7f\x13")) is not None for _ in range(2000)
    )
    assert claimed == 0


@settings(max_examples=150, deadline=None)
@given(hostile((1024, superblock()[1024:])) | hostile((1024, superblock3()[1024:])))
def test_any_bytes_stay_within_the_protocol(data: bytes) -> None:
    stays_within_protocol(FILESYSTEM, data)
