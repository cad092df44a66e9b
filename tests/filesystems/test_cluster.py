"""GFS, GFS2, OCFS, OCFS2 and Oracle ASM, against mkfs.gfs2, mkfs.ocfs2 and blkid."""

from pathlib import Path

import pytest
from hypothesis import given, settings

from preflight.filesystems.cluster import ASM_DISK_LABEL, FILESYSTEM, GFS2_SB, OCFS1_VOL_LABEL, OCFS2_DINODE
from preflight.units import KiB, MiB
from tests.filesystems.building import Part, agreed_on, build, found, hostile, join, read, stays_within_protocol
from tests.filesystems.reading import agreed
from tests.tools import require, run, sparse

UUID = "00010203-0405-0607-0809-0a0b0c0d0e0f"


def gfs(fs: int, multihost: int) -> Part:
    fields: dict[str, object] = {
        "mh_magic": b"\x01\x16\x19\x70",
        "sb_fs_format": fs,
        "sb_multihost_format": multihost,
        "sb_locktable": b"cluster:name".ljust(64, b"\0"),
        "sb_uuid": bytes(range(16)),
    }
    return 64 * KiB, build(GFS2_SB, **fields)


def ocfs2(offset: int, bits: int = 12) -> Part:
    fields: dict[str, object] = {
        "i_signature": b"OCFSV2\0\0",
        "i_clusters": 5000,
        "s_clustersize_bits": bits,
        "s_label": b"o" * 64,
        "s_uuid": bytes(range(16)),
    }
    return offset, build(OCFS2_DINODE, **fields)


def ocfs1(start: int, signature_offset: int) -> tuple[Part, Part]:
    volume = build(OCFS1_VOL_LABEL, label=b"volume12".ljust(64, b"3"), label_len=6, vol_id=bytes(range(16)))
    return (signature_offset, b"OracleCFS"), (start + 512, volume)


def test_gfs2_is_what_its_mkfs_made(tmp_path: Path) -> None:
    require("mkfs.gfs2")
    path = sparse(tmp_path / "disk", 64 * MiB)
    run("mkfs.gfs2", "-O", "-q", "-p", "lock_dlm", "-t", "cluster:data", "-U", UUID, "-j", "1", "-J", "8", path)
    superblock = agreed(FILESYSTEM, path)
    assert (superblock.type, superblock.uuid, superblock.label) == ("gfs2", UUID, "cluster:data")


@pytest.mark.parametrize("block_size", ["1024", "4096"])
def test_ocfs2_is_what_its_mkfs_made(tmp_path: Path, block_size: str) -> None:
    require("mkfs.ocfs2")
    path = sparse(tmp_path / "disk", 300 * MiB)
    options = ("-q", "-F", "-M", "local", "-L", "ocfs2 label", "-b", block_size, "-U", UUID.replace("-", "").upper())
    run("mkfs.ocfs2", *options, path)
    superblock = agreed(FILESYSTEM, path)
    assert (superblock.type, superblock.uuid, superblock.label) == ("ocfs2", UUID, "ocfs2 label")
    assert superblock.size == 300 * MiB


@pytest.mark.parametrize(("fs", "multihost", "kind"), [(1309, 1401, "gfs"), (1801, 1900, "gfs2")])
def test_built_gfs_is_read_as_blkid_reads_it(tmp_path: Path, fs: int, multihost: int, kind: str) -> None:
    superblock = agreed_on(FILESYSTEM, tmp_path / "disk", join(gfs(fs, multihost)), 32 * MiB)
    assert (superblock.type, superblock.uuid, superblock.label) == (kind, UUID, "cluster:name")


def test_gfs2_of_later_formats_is_known() -> None:
    assert found(FILESYSTEM, join(gfs(1802, 1900)), 32 * MiB).type == "gfs2"


@pytest.mark.parametrize(("fs", "multihost"), [(1309, 1900), (1801, 1401), (1799, 1900), (1900, 1900), (1801, 2000)])
def test_gfs_of_impossible_formats_is_none(fs: int, multihost: int) -> None:
    assert read(FILESYSTEM, join(gfs(fs, multihost)), 32 * MiB) is None


def test_gfs_smaller_than_a_journal_is_none() -> None:
    assert read(FILESYSTEM, join(gfs(1801, 1900)), 32 * MiB - 1) is None


@pytest.mark.parametrize("offset", [1 * KiB, 2 * KiB, 4 * KiB, 8 * KiB])
def test_ocfs2_is_found_at_each_place(tmp_path: Path, offset: int) -> None:
    superblock = agreed_on(FILESYSTEM, tmp_path / "disk", join(ocfs2(offset)), 16 * MiB)
    assert (superblock.type, superblock.uuid, superblock.label) == ("ocfs2", UUID, "o" * 64)
    assert superblock.size == 5000 * 4096


@pytest.mark.parametrize("bits", [11, 21, 0xFFFFFFFF])
def test_ocfs2_with_impossible_clusters_has_no_size(bits: int) -> None:
    superblock = found(FILESYSTEM, join(ocfs2(4 * KiB, bits)), 16 * MiB)
    assert (superblock.type, superblock.size) == ("ocfs2", None)


def test_ocfs_is_found_where_blkid_looks(tmp_path: Path) -> None:
    superblock = agreed_on(FILESYSTEM, tmp_path / "disk", join(*ocfs1(8 * KiB, 8 * KiB)), 16 * MiB)
    assert (superblock.type, superblock.uuid, superblock.label) == ("ocfs", UUID, "volume")


def test_ocfs_is_found_where_it_really_lies_unless_ocfs2_left_it_there() -> None:
    assert found(FILESYSTEM, join(*ocfs1(0, 8)), 16 * MiB).label == "volume"
    assert found(FILESYSTEM, join(*ocfs1(0, 8), ocfs2(4 * KiB)), 16 * MiB).type == "ocfs2"


def test_ocfs_on_too_little_is_none() -> None:
    for parts in (ocfs1(0, 8), (ocfs2(4 * KiB),)):
        assert read(FILESYSTEM, join(*parts), 14000 * KiB - 1) is None


def test_asm_disk_has_a_label_only(tmp_path: Path) -> None:
    data = build(ASM_DISK_LABEL, dl_tag=b"ORCLDISK", dl_id=b"VOL1".ljust(24, b"\0"))
    superblock = agreed_on(FILESYSTEM, tmp_path / "disk", data, 1 * MiB)
    assert (superblock.type, superblock.uuid, superblock.label, superblock.size) == ("oracleasm", None, "VOL1", None)


@settings(max_examples=100, deadline=None)
@given(hostile(gfs(1801, 1900)) | hostile(ocfs2(4 * KiB)) | hostile(*ocfs1(0, 8)))
def test_any_bytes_stay_within_the_protocol(data: bytes) -> None:
    stays_within_protocol(FILESYSTEM, data, 32 * MiB)
