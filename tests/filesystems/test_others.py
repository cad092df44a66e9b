"""The rare ones: UBIFS against mkfs.ubifs, the others built; read by blkid where it knows them."""

import zlib
from pathlib import Path

import pytest
from construct import Int32ub, Int32ul
from hypothesis import given, settings

from preflight.binary import crc32c
from preflight.filesystems.others import (
    FILESYSTEM,
    MPOOL_SB,
    NSS_SUPER_BLOCK,
    SCOUTFS_SUPER_BLOCK,
    UBIFS_SB_NODE,
    ZONEFS_SUPER,
)
from preflight.filesystems.xfs import SUPERBLOCK as EXFS_SUPERBLOCK
from preflight.units import KiB, MiB
from tests.filesystems.building import (
    Part,
    agreed_on,
    build,
    change,
    damage,
    disk,
    found,
    hostile,
    join,
    read,
    stays_within_protocol,
)
from tests.filesystems.reading import agreed
from tests.tools import require, run

SIZE = 1 * MiB
BYTES = bytes(range(16))
UUID = "00010203-0405-0607-0809-0a0b0c0d0e0f"


def ubifs(**fields: object) -> bytes:
    values: dict[str, object] = {"magic": b"\x31\x18\x10\x06", "len": 4096, "leb_size": 126976, "leb_cnt": 13}
    node = build(UBIFS_SB_NODE, **{**values, "uuid": BYTES, **fields}).ljust(4096, b"\0")
    return change(node, 4, (zlib.crc32(node[8:]) ^ 0xFFFFFFFF).to_bytes(4, "little"))


def zonefs() -> bytes:
    block = build(ZONEFS_SUPER, s_magic=b"SFOZ", s_label=b"zones".ljust(32, b"\0"), s_uuid=BYTES).ljust(4096, b"\0")
    return change(block, 4, (zlib.crc32(block) ^ 0xFFFFFFFF).to_bytes(4, "little"))


def mpool() -> bytes:
    block = build(MPOOL_SB, osb_magic=b"mpoolDev", osb_name=b"pool".ljust(32, b"\0"), osb_poolid=BYTES)
    return change(block, 62, (crc32c(block[:62]) ^ 0xFFFFFFFF).to_bytes(4, "little"))


def exfs(**fields: object) -> bytes:
    values: dict[str, object] = {
        "sb_magicnum": b"EXFS",
        "sb_blocksize": 4096,
        "sb_dblocks": 200,
        "sb_uuid": BYTES,
        "sb_rextsize": 1,
        "sb_agblocks": 100,
        "sb_agcount": 2,
        "sb_sectsize": 512,
        "sb_inodesize": 256,
        "sb_fname": b"exfs label\0\0",
        "sb_blocklog": 12,
        "sb_sectlog": 9,
        "sb_inodelog": 8,
        "sb_inopblog": 4,
        "sb_imax_pct": 25,
    }
    return build(EXFS_SUPERBLOCK, **{**values, **fields})


def nss() -> Part:
    return 4 * KiB, build(NSS_SUPER_BLOCK, SBH_Signature=b"SPB5", SBH_PoolID=BYTES).ljust(1024, b"\0")


def scoutfs(flags: int) -> Part:
    block = build(SCOUTFS_SUPER_BLOCK, flags=flags, uuid=BYTES).ljust(4096, b"\0")
    block = change(block, 4, b"\x8b\x42\x3c\x10")
    return 64 * KiB, change(block, 0, crc32c(block[4:]).to_bytes(4, "little"))


def vxfs(*, big: bool) -> Part:
    int32 = Int32ub if big else Int32ul
    fields = (0xA501FCF5, 7, 0, 0, 0, 0, 0, 0, 1024, 1000, 0)
    return (8 if big else 1) * KiB, b"".join(int32.build(field) for field in fields)


def test_ubifs_is_what_its_mkfs_made(tmp_path: Path) -> None:
    require("mkfs.ubifs")
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "file").write_text("content")
    options = ("-m", "2048", "-e", "126976", "-c", "100")
    run("mkfs.ubifs", "-r", tmp_path / "files", *options, "-o", tmp_path / "disk")
    superblock = agreed(FILESYSTEM, tmp_path / "disk")
    assert (superblock.type, superblock.label, superblock.problems) == ("ubifs", None, ())
    assert superblock.uuid is not None
    assert superblock.size == (tmp_path / "disk").stat().st_size


def test_ubifs_with_a_wrong_crc_or_length_is_told(tmp_path: Path) -> None:
    superblock = agreed_on(FILESYSTEM, tmp_path / "disk", ubifs(), SIZE)
    assert (superblock.uuid, superblock.size, superblock.problems) == (UUID, 13 * 126976, ())
    assert damage(found(FILESYSTEM, change(ubifs(), 2000, b"x"), SIZE)) == [("superblock-invalid", 4)]
    assert damage(found(FILESYSTEM, ubifs(len=0xFFFFFFFF), SIZE)) == [("superblock-invalid", 16)]


def test_ubifs_of_impossible_size_is_told() -> None:
    superblock = found(FILESYSTEM, ubifs(leb_size=0xFFFFFFFF, leb_cnt=0xFFFFFFFF), SIZE)
    assert (superblock.size, damage(superblock)) == (None, [("superblock-invalid", 40)])


def test_zonefs_is_read_as_blkid_reads_it(tmp_path: Path) -> None:
    superblock = agreed_on(FILESYSTEM, tmp_path / "disk", zonefs(), SIZE)
    assert (superblock.type, superblock.uuid, superblock.label) == ("zonefs", UUID, "zones")
    assert superblock.problems == ()
    assert damage(found(FILESYSTEM, change(zonefs(), 2000, b"x"), SIZE)) == [("superblock-invalid", 4)]


def test_mpool_is_read_as_blkid_reads_it(tmp_path: Path) -> None:
    superblock = agreed_on(FILESYSTEM, tmp_path / "disk", mpool(), SIZE)
    assert (superblock.type, superblock.uuid, superblock.label) == ("mpool", UUID, "pool")
    assert superblock.problems == ()
    assert damage(found(FILESYSTEM, change(mpool(), 20, b"x"), SIZE)) == [("superblock-invalid", 62)]


def test_exfs_is_read_as_blkid_reads_it(tmp_path: Path) -> None:
    superblock = agreed_on(FILESYSTEM, tmp_path / "disk", exfs(), SIZE)
    assert (superblock.type, superblock.uuid, superblock.label) == ("exfs", UUID, "exfs label")
    assert superblock.size == 200 * 4096


@pytest.mark.parametrize("fields", [{"sb_agcount": 0}, {"sb_blocksize": 4095}, {"sb_imax_pct": 101}, {"sb_dblocks": 0}])
def test_exfs_of_impossible_geometry_is_none(fields: dict[str, object]) -> None:
    assert read(FILESYSTEM, exfs(**fields), SIZE) is None


def test_nss_has_the_uuid_of_its_pool(tmp_path: Path) -> None:
    superblock = agreed_on(FILESYSTEM, tmp_path / "disk", join(nss()), SIZE)
    assert (superblock.type, superblock.uuid, superblock.label) == ("nss", UUID, None)


@pytest.mark.parametrize("big", [False, True])
def test_vxfs_is_read_in_either_endianness(tmp_path: Path, big: bool) -> None:
    superblock = agreed_on(FILESYSTEM, tmp_path / "disk", join(vxfs(big=big)), SIZE)
    assert (superblock.type, superblock.uuid, superblock.size) == ("vxfs", None, 1000 * 1024)


@pytest.mark.parametrize(("flags", "kind"), [(1, "scoutfs_meta"), (0, "scoutfs_data")])
def test_scoutfs_is_told_apart_by_its_flag(flags: int, kind: str) -> None:
    offset, block = scoutfs(flags)
    superblock = found(FILESYSTEM, join((offset, block)), SIZE)
    assert (superblock.type, superblock.uuid, superblock.problems) == (kind, UUID, ())
    torn = join((offset, change(block, 2000, b"x")))
    assert damage(found(FILESYSTEM, torn, SIZE)) == [("superblock-invalid", offset)]


def test_zeros_are_none() -> None:
    assert read(FILESYSTEM, b"", SIZE) is None
    assert FILESYSTEM.read(disk(b"", SIZE)) is None


@settings(max_examples=150, deadline=None)
@given(
    hostile((0, ubifs()[:128]))
    | hostile((0, zonefs()[:64]))
    | hostile((0, mpool()))
    | hostile((0, exfs()))
    | hostile(nss())
    | hostile(vxfs(big=True))
    | hostile(scoutfs(1))
)
def test_any_bytes_stay_within_the_protocol(data: bytes) -> None:
    stays_within_protocol(FILESYSTEM, data, 128 * KiB)
