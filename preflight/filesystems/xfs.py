"""The superblock of XFS, versions 4 and 5.

Specification: XFS Algorithms & Data Structures, 3rd edition, section Superblocks,
https://mirrors.edge.kernel.org/pub/linux/utils/fs/xfs/docs/xfs_filesystem_structure.pdf
"""

from collections.abc import Iterator
from typing import Any

from construct import Bytes, Int8ub, Int16ub, Int32ub, Int32ul, Int64ub, Padding, Struct

from preflight.binary import crc32c, parse_at, uuid_text
from preflight.facts import Problem
from preflight.filesystems import FileSystemReader, Superblock
from preflight.filesystems._fields import MAX_SIZE, label
from preflight.filesystems._xfs_geometry import defects, unknown_ro_compat, version_defects
from preflight.filesystems._xfs_structures import check_structures
from preflight.source import BlockSource
from preflight.units import GiB, KiB

XFS_SB_MAGIC = b"XFSB"

SUPERBLOCK = Struct(
    "sb_magicnum" / Bytes(4),
    "sb_blocksize" / Int32ub,
    "sb_dblocks" / Int64ub,
    "sb_rblocks" / Int64ub,
    "sb_rextents" / Int64ub,
    "sb_uuid" / Bytes(16),
    "sb_logstart" / Int64ub,
    "sb_rootino" / Int64ub,
    "sb_rbmino" / Int64ub,
    "sb_rsumino" / Int64ub,
    "sb_rextsize" / Int32ub,
    "sb_agblocks" / Int32ub,
    "sb_agcount" / Int32ub,
    "sb_rbmblocks" / Int32ub,
    "sb_logblocks" / Int32ub,
    "sb_versionnum" / Int16ub,
    "sb_sectsize" / Int16ub,
    "sb_inodesize" / Int16ub,
    "sb_inopblock" / Int16ub,
    "sb_fname" / Bytes(12),
    "sb_blocklog" / Int8ub,
    "sb_sectlog" / Int8ub,
    "sb_inodelog" / Int8ub,
    "sb_inopblog" / Int8ub,
    "sb_agblklog" / Int8ub,
    "sb_rextslog" / Int8ub,
    "sb_inprogress" / Int8ub,
    "sb_imax_pct" / Int8ub,
    Padding(24),  # sb_icount, sb_ifree, sb_fdblocks
    "sb_frextents" / Int64ub,
    Padding(16),  # sb_uquotino, sb_gquotino
    "sb_qflags" / Int16ub,
    Padding(1),  # sb_flags
    "sb_shared_vn" / Int8ub,
    "sb_inoalignmt" / Int32ub,
    "sb_unit" / Int32ub,
    "sb_width" / Int32ub,
    "sb_dirblklog" / Int8ub,
    "sb_logsectlog" / Int8ub,
    "sb_logsectsize" / Int16ub,
    "sb_logsunit" / Int32ub,
    "sb_features2" / Int32ub,
    "sb_bad_features2" / Int32ub,
    "sb_features_compat" / Int32ub,
    "sb_features_ro_compat" / Int32ub,
    "sb_features_incompat" / Int32ub,
    "sb_features_log_incompat" / Int32ub,
    "sb_crc" / Int32ul,  # the one little-endian field; crc32c of the sector, with zero in its place
    "sb_spino_align" / Int32ub,
    Padding(8),  # sb_pquotino
    "sb_lsn" / Int64ub,
    "sb_meta_uuid" / Bytes(16),
)

CRC_OFFSET = 0xE0
XFS_SB_VERSION_NUMBITS = 0x000F
XFS_SB_FEAT_INCOMPAT_NEEDSREPAIR = 0x0010  # xfs_repair was interrupted, or a feature was added by xfs_admin

# Bounds of libxfs/xfs_format.h and xfs_fs.h, which libblkid checks as well.
BLOCKLOG = range(9, 17)
SECTLOG = range(9, 16)
INODELOG = range(8, 12)
MIN_RTEXTSIZE = 4 * KiB
MAX_RTEXTSIZE = 1 * GiB
MIN_AG_BLOCKS = 64


def read(source: BlockSource) -> Superblock | None:
    """The superblock at byte 0; those of the other allocation groups are not looked at."""
    superblock = parse_at(SUPERBLOCK, source, 0, "XFS superblock")
    if superblock.sb_magicnum != XFS_SB_MAGIC:
        return None
    wrong = impossible(superblock)
    if wrong is not None:  # libblkid does not name it, and Linux does not mount it; a damaged one is better named
        return Superblock(
            "xfs",
            uuid=uuid_text(superblock.sb_uuid),
            label=label(superblock.sb_fname),
            size=None,
            problems=(_problem(*wrong),),
        )
    return Superblock(
        "xfs",
        uuid=uuid_text(superblock.sb_uuid),
        label=label(superblock.sb_fname),
        size=superblock.sb_dblocks * superblock.sb_blocksize,
        problems=_verify(source, superblock),
    )


def impossible(superblock: Any) -> tuple[str, int] | None:
    """The first thing about the geometry that cannot be, with its byte: what libblkid asks beside the magic."""
    one = superblock
    rextsize = one.sb_rextsize * one.sb_blocksize
    groups = one.sb_agcount * one.sb_agblocks
    checks = (
        ("sb_sectlog", 0x79, one.sb_sectlog in SECTLOG),
        ("sb_sectsize", 0x66, one.sb_sectlog in SECTLOG and one.sb_sectsize == 1 << one.sb_sectlog),
        ("sb_blocklog", 0x78, one.sb_blocklog in BLOCKLOG),
        ("sb_blocksize", 0x04, one.sb_blocklog in BLOCKLOG and one.sb_blocksize == 1 << one.sb_blocklog),
        ("sb_inodelog", 0x7A, one.sb_inodelog in INODELOG),
        ("sb_inodesize", 0x68, one.sb_inodelog in INODELOG and one.sb_inodesize == 1 << one.sb_inodelog),
        ("sb_inopblog", 0x7B, one.sb_blocklog - one.sb_inodelog == one.sb_inopblog),
        ("sb_rextsize", 0x50, MIN_RTEXTSIZE <= rextsize <= MAX_RTEXTSIZE),
        ("sb_imax_pct", 0x7F, one.sb_imax_pct <= 100),
        ("sb_agcount", 0x58, one.sb_agcount > 0),
        ("sb_dblocks", 0x08, 0 < one.sb_dblocks * one.sb_blocksize <= MAX_SIZE),
        ("sb_agblocks", 0x54, groups - one.sb_agblocks + MIN_AG_BLOCKS <= one.sb_dblocks <= groups),
    )
    for name, offset, possible in checks:
        if not possible:
            return f"{name} is {superblock[name]}, which the other fields or their bounds contradict", offset
    return None


def _verify(source: BlockSource, superblock: Any) -> tuple[Problem, ...]:
    """What is wrong with the superblock, or with the file system by what it says: the first thing that is.

    libblkid since 2.39 names no version 5 whose checksum is wrong; a damaged one is better named.
    """
    is_version_5 = superblock.sb_versionnum & XFS_SB_VERSION_NUMBITS == 5
    wrong = next(version_defects(superblock), None)
    if wrong is not None:
        return (_problem(*wrong),)
    if is_version_5 or superblock.sb_crc:  # Linux looks at one of version 4 too, where there is any
        sector = source.read_at(0, superblock.sb_sectsize)  # 512 bytes to 32 KiB: sb_sectlog was checked
        computed = crc32c(sector[:CRC_OFFSET] + bytes(4) + sector[CRC_OFFSET + 4 :]) ^ 0xFFFFFFFF
        if superblock.sb_crc != computed:
            return (_problem(f"sb_crc is {superblock.sb_crc:#010x}, computed is {computed:#010x}", CRC_OFFSET),)
    if is_version_5 and superblock.sb_features_incompat & XFS_SB_FEAT_INCOMPAT_NEEDSREPAIR:
        message = "sb_features_incompat has the bit NEEDSREPAIR (0x10): Linux mounts it only after xfs_repair"
        return (_problem(message, 0xD8),)
    wrong = next(defects(superblock), None)
    if wrong is not None:
        return (_problem(*wrong),)
    return (*check_structures(source, superblock), *_irregular(superblock))


def _irregular(superblock: Any) -> Iterator[Problem]:
    unknown = unknown_ro_compat(superblock)
    if unknown:
        message = f"sb_features_ro_compat has the bits {unknown:#x}: Linux mounts it for reading only"
        yield Problem("superblock-irregular", message, "XFS superblock", 0xD4)


def _problem(message: str, offset: int) -> Problem:
    return Problem("superblock-invalid", message, "XFS superblock", offset)


FILESYSTEM = FileSystemReader(read)
