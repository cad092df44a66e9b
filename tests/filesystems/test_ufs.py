"""UFS of either version and endianness, against makefs and blkid."""

from pathlib import Path

import pytest
from construct import Struct
from hypothesis import given, settings

from preflight.filesystems.ufs import FILESYSTEM, MAGICS, SUPERBLOCK_BE, SUPERBLOCK_LE
from preflight.units import KiB, MiB
from tests.filesystems.building import agreed_on, build, damage, found, hostile, join, read, stays_within_protocol
from tests.filesystems.reading import agreed
from tests.tools import require, run

UFS2 = 0x19540119
SIZE = 1 * MiB


def ufs2(layout: Struct = SUPERBLOCK_LE, **fields: object) -> bytes:
    values: dict[str, object] = {
        "fs_fsize": 2048,
        "fs_id": [0x12345, 0xDEADBEEF],
        "fs_volname": b"freebsd root".ljust(32, b"\0"),
        "fs_size": 5000,
        "fs_old_size": 77,
        "fs_magic": UFS2,
    }
    return build(layout, **{**values, **fields})


@pytest.mark.parametrize("endian", ["little", "big"])
@pytest.mark.parametrize("version", ["1", "2"])
def test_file_system_is_what_makefs_made(tmp_path: Path, version: str, endian: str) -> None:
    require("makefs")
    (tmp_path / "files").mkdir()
    options = ("-t", "ffs", "-s", "4m", "-B", endian, "-o", f"version={version}")
    run("makefs", *options, tmp_path / "disk", tmp_path / "files")
    superblock = agreed(FILESYSTEM, tmp_path / "disk")
    assert (superblock.type, superblock.size, superblock.problems) == ("ufs", 4 * MiB, ())
    assert superblock.uuid is not None


@pytest.mark.parametrize("offset", [0, 8 * KiB, 64 * KiB, 256 * KiB])
@pytest.mark.parametrize("layout", [SUPERBLOCK_LE, SUPERBLOCK_BE], ids=["little", "big"])
def test_superblock_is_found_at_each_place(tmp_path: Path, layout: Struct, offset: int) -> None:
    superblock = agreed_on(FILESYSTEM, tmp_path / "disk", join((offset, ufs2(layout))), SIZE)
    assert (superblock.uuid, superblock.label) == ("00012345deadbeef", "freebsd root")
    assert superblock.size == 5000 * 2048


@pytest.mark.parametrize("magic", MAGICS)
def test_every_magic_is_known_and_only_ufs2_has_a_label(tmp_path: Path, magic: int) -> None:
    data = join((8 * KiB, ufs2(fs_magic=magic, fs_id=[0, 0])))
    superblock = agreed_on(FILESYSTEM, tmp_path / "disk", data, SIZE)
    assert superblock.uuid is None
    assert superblock.label == ("freebsd root" if magic == UFS2 else None)
    assert superblock.size == (5000 if magic == UFS2 else 77) * 2048


@pytest.mark.parametrize("size", [0, 256, 513, 128 * KiB])
def test_impossible_fragment_is_told(size: int) -> None:
    superblock = found(FILESYSTEM, join((8 * KiB, ufs2(fs_fsize=size))), SIZE)
    assert (superblock.type, superblock.size) == ("ufs", None)
    assert damage(superblock) == [("superblock-invalid", 8 * KiB + 52)]


def test_impossible_size_is_told() -> None:
    superblock = found(FILESYSTEM, join((64 * KiB, ufs2(fs_size=1 << 52))), SIZE)
    assert (superblock.size, damage(superblock)) == (None, [("superblock-invalid", 64 * KiB + 1080)])


def test_zeros_and_short_files_are_none() -> None:
    assert read(FILESYSTEM, b"", SIZE) is None
    assert read(FILESYSTEM, b"", 1024) is None


@settings(max_examples=100, deadline=None)
@given(hostile((8 * KiB, ufs2())) | hostile((64 * KiB, ufs2(SUPERBLOCK_BE))))
def test_any_bytes_stay_within_the_protocol(data: bytes) -> None:
    stays_within_protocol(FILESYSTEM, data)
