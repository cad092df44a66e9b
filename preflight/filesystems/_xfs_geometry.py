"""Whether the numbers in a superblock of XFS can be a file system: what Linux asks beyond what libblkid does.

Specification: XFS Algorithms & Data Structures, 3rd edition, section Superblocks,
https://mirrors.edge.kernel.org/pub/linux/utils/fs/xfs/docs/xfs_filesystem_structure.pdf; Linux, fs/xfs/libxfs/xfs_sb.c,
xfs_sb_good_version and xfs_validate_sb_common
"""

from collections.abc import Iterator
from typing import Any

from preflight.units import KiB, ceil_div

XFS_SB_VERSION_NUMBITS = 0x000F
VERSION_BITS = {  # those that version 5 demands
    0x0020: "NLINK",
    0x0080: "ALIGN",
    0x0400: "LOGV2",
    0x1000: "EXTFLG",
    0x2000: "DIRV2",
    0x8000: "MOREBITS",
}
VERSION4_BITS = {0x1000: "EXTFLG", 0x2000: "DIRV2"}
VERSION2_BITS = {0x0002: "LAZYSBCOUNT", 0x0008: "ATTR2", 0x0080: "PROJID32", 0x0100: "CRC"}
XFS_SB_VERSION_DALIGNBIT = 0x0100
XFS_SB_VERSION_SHAREDBIT = 0x0200  # of IRIX
XFS_SB_VERSION_SECTORBIT = 0x0800
XFS_SB_VERSION_MOREBITSBIT = 0x8000
XFS_SB_VERSION2_LAZYSBCOUNTBIT, XFS_SB_VERSION2_CRCBIT, XFS_SB_VERSION2_FTYPE = 0x0002, 0x0100, 0x0200
FIRST_VERSION = 4  # those before are of IRIX, with directories that Linux cannot read

XFS_SB_FEAT_INCOMPAT_SPINODES = 0x0002
XFS_SB_FEAT_INCOMPAT_META_UUID = 0x0004
XFS_SB_FEAT_INCOMPAT_METADIR = 0x0100  # which has other tables for the real-time part
XFS_SB_FEAT_INCOMPAT_ALL = 0x07FF  # … ZONE_GAPS
XFS_SB_FEAT_RO_COMPAT_ALL = 0x000F  # … INOBTCNT
OLD_QUOTA_FLAGS = 0x0030  # XFS_OQUOTA_ENFD, XFS_OQUOTA_CHKD: of version 4
NEW_QUOTA_FLAGS = 0x0780  # groups and projects apart: enforced, checked

MAX_BLOCKLOG = 16  # XFS_MAX_BLOCKSIZE_LOG, for blocks of directories too
INODES_PER_CHUNK = 64
INODE_CLUSTER = 8 * KiB  # XFS_INODE_BIG_CLUSTER_SIZE, for inodes of 256 bytes
LEAST_INODE = 256
MIN_LOG_BLOCKS, MAX_LOG_BLOCKS = 512, 1 << 20
MAX_LOG_BYTES = (1 << 31) - 1
MAX_LOG_STRIPE = 256 * KiB  # XLOG_MAX_RECORD_BSIZE


def is_version_5(superblock: Any) -> bool:
    """Whether metadata have checksums."""
    return bool(superblock.sb_versionnum & XFS_SB_VERSION_NUMBITS == 5)


def incompat(superblock: Any) -> int:
    """The features without which nothing can be read; version 4 has none of them."""
    return int(superblock.sb_features_incompat) if is_version_5(superblock) else 0


def ro_compat(superblock: Any) -> int:
    """The features without which nothing can be written; version 4 has none of them."""
    return int(superblock.sb_features_ro_compat) if is_version_5(superblock) else 0


def has_lazy_counts(superblock: Any) -> bool:
    """Whether the groups alone say how much is free while the file system is mounted."""
    more = superblock.sb_versionnum & XFS_SB_VERSION_MOREBITSBIT
    return bool(more and superblock.sb_features2 & XFS_SB_VERSION2_LAZYSBCOUNTBIT)


def version_defects(superblock: Any) -> Iterator[tuple[str, int]]:
    """What is wrong with version and features, each as a sentence and the byte of the field."""
    version, features2 = superblock.sb_versionnum, superblock.sb_features2
    number = version & XFS_SB_VERSION_NUMBITS
    if not FIRST_VERSION <= number <= 5:
        yield f"sb_versionnum is {number} in its lowest bits, known are {FIRST_VERSION} and 5", 0x64
        return
    demanded = VERSION_BITS if number == 5 else VERSION4_BITS
    for bit, name in demanded.items():
        if not version & bit:
            yield f"sb_versionnum is {number} without the bit {name} ({bit:#x}), which that version demands", 0x64
    if version & XFS_SB_VERSION_SHAREDBIT:
        yield "sb_versionnum has the bit SHARED (0x200), with which Linux does not mount", 0x64
    for bit, name in VERSION2_BITS.items() if number == 5 else ():
        if not features2 & bit:
            yield f"sb_features2 lacks the bit {name} ({bit:#x}), which version 5 demands", 0xC8
    known = sum(VERSION2_BITS) | XFS_SB_VERSION2_FTYPE
    if number == 4:
        known &= ~XFS_SB_VERSION2_CRCBIT
    if version & XFS_SB_VERSION_MOREBITSBIT and features2 & ~known:
        yield f"sb_features2 has the bits {features2 & ~known:#x}, which Linux does not know", 0xC8
    unknown = incompat(superblock) & ~XFS_SB_FEAT_INCOMPAT_ALL
    if unknown:
        yield f"sb_features_incompat has the bits {unknown:#x}, which Linux does not know", 0xD8


def unknown_ro_compat(superblock: Any) -> int:
    """The features without which Linux mounts a file system for reading only."""
    return ro_compat(superblock) & ~XFS_SB_FEAT_RO_COMPAT_ALL


def defects(superblock: Any) -> Iterator[tuple[str, int]]:
    """What else is wrong, each as a sentence and the byte of the field; version and sizes were found possible."""
    one = superblock
    if one.sb_inprogress:
        yield f"sb_inprogress is {one.sb_inprogress}: mkfs.xfs or xfs_copy did not finish", 0x7E
    if one.sb_inopblock != one.sb_blocksize // one.sb_inodesize:
        yield f"sb_inopblock is {one.sb_inopblock}, a block has {one.sb_blocksize // one.sb_inodesize} inodes", 0x6A
    if one.sb_agblklog != (one.sb_agblocks - 1).bit_length():
        expected = (one.sb_agblocks - 1).bit_length()
        yield f"sb_agblklog is {one.sb_agblklog}, expected is {expected} for groups of {one.sb_agblocks} blocks", 0x7C
    if one.sb_blocklog + one.sb_dirblklog > MAX_BLOCKLOG:
        yield f"sb_dirblklog is {one.sb_dirblklog}, expected is at most {MAX_BLOCKLOG - one.sb_blocklog}", 0xC0
    if one.sb_shared_vn:
        yield f"sb_shared_vn is {one.sb_shared_vn}, expected is 0", 0xB3
    wrong = OLD_QUOTA_FLAGS if is_version_5(one) else NEW_QUOTA_FLAGS
    if one.sb_qflags & wrong:
        yield f"sb_qflags has the bits {one.sb_qflags & wrong:#x}, which are of another version", 0xB0
    yield from _alignment(one)
    yield from _real_time(one)
    yield from _log(one)


def _alignment(one: Any) -> Iterator[tuple[str, int]]:
    """What is wrong with stripes, and with how chunks of inodes are aligned."""
    if bool(one.sb_unit) != bool(one.sb_versionnum & XFS_SB_VERSION_DALIGNBIT):
        yield f"sb_unit is {one.sb_unit}, which the bit DALIGN (0x100) of sb_versionnum contradicts", 0xB8
    elif one.sb_width % one.sb_unit if one.sb_unit else one.sb_width:
        yield f"sb_width is {one.sb_width}, not a multiple of sb_unit, {one.sb_unit}", 0xBC
    elif one.sb_unit and not one.sb_width:
        yield "sb_width is 0, expected is a multiple of sb_unit", 0xBC
    if incompat(one) & XFS_SB_FEAT_INCOMPAT_SPINODES:
        chunk = INODES_PER_CHUNK * one.sb_inodesize >> one.sb_blocklog
        if one.sb_inoalignmt != chunk:
            yield f"sb_inoalignmt is {one.sb_inoalignmt} blocks, expected is {chunk}, a chunk of inodes", 0xB4
        cluster = INODE_CLUSTER * (one.sb_inodesize // LEAST_INODE) >> one.sb_blocklog
        cluster = cluster if chunk >= cluster else INODE_CLUSTER >> one.sb_blocklog
        if one.sb_spino_align != cluster:
            yield f"sb_spino_align is {one.sb_spino_align} blocks, expected is {cluster}, a cluster of inodes", 0xE4
    elif is_version_5(one) and one.sb_spino_align:
        yield f"sb_spino_align is {one.sb_spino_align}, expected is 0 without sparse inodes", 0xE4


def _real_time(one: Any) -> Iterator[tuple[str, int]]:
    """What is wrong with the numbers of the real-time part, which most file systems do not have."""
    if incompat(one) & XFS_SB_FEAT_INCOMPAT_METADIR:
        return
    extents = one.sb_rblocks // one.sb_rextsize
    expected = {
        "sb_rextents": (extents, 0x18),
        "sb_rbmblocks": (ceil_div(extents, one.sb_blocksize * 8), 0x5C),
        "sb_rextslog": (max(extents.bit_length() - 1, 0), 0x7D),
    }
    for name, (value, offset) in expected.items():
        if one[name] != value:
            yield f"{name} is {one[name]}, expected is {value} with sb_rblocks {one.sb_rblocks}", offset
    if one.sb_frextents > extents:
        yield f"sb_frextents is {one.sb_frextents}, there are {extents}", 0x98


def _log(one: Any) -> Iterator[tuple[str, int]]:
    """What is wrong with the size of the log."""
    if one.sb_versionnum & XFS_SB_VERSION_SECTORBIT:
        if one.sb_logsectsize != 1 << min(one.sb_logsectlog, 16):
            yield f"sb_logsectsize is {one.sb_logsectsize}, and sb_logsectlog {one.sb_logsectlog}", 0xC2
    elif one.sb_logsectsize or one.sb_logsectlog:
        yield f"sb_logsectsize is {one.sb_logsectsize}, and sb_logsectlog {one.sb_logsectlog}: expected are 0", 0xC2
    stripe = one.sb_logsunit
    if stripe > 1 and (stripe % one.sb_blocksize or stripe > MAX_LOG_STRIPE):
        yield f"sb_logsunit is {stripe} bytes, expected are whole blocks, at most {MAX_LOG_STRIPE} bytes", 0xC4
    # Linux warns of such a log in a file system of version 4, and refuses it in one of version 5.
    too_small = is_version_5(one) and one.sb_logblocks < MIN_LOG_BLOCKS
    too_large = one.sb_logblocks > MAX_LOG_BLOCKS or one.sb_logblocks * one.sb_blocksize > MAX_LOG_BYTES
    if not one.sb_logblocks or too_small or (is_version_5(one) and too_large):
        yield f"sb_logblocks is {one.sb_logblocks}, expected is {MIN_LOG_BLOCKS} to {MAX_LOG_BLOCKS}", 0x60
