"""The inodes of XFS that a mount reads: the root directory, and those of the real-time part, which all have.

Specification: XFS Algorithms & Data Structures, 3rd edition, section On-disk Inode,
https://mirrors.edge.kernel.org/pub/linux/utils/fs/xfs/docs/xfs_filesystem_structure.pdf; Linux,
fs/xfs/libxfs/xfs_inode_buf.c, xfs_inode_buf_verify and xfs_dinode_verify, and xfs_rtmount_inodes
"""

import struct
from collections.abc import Iterator
from typing import Any

from construct import Bytes, Int8ub, Int16ub, Int32ub, Int64ub, Padding, Struct

from preflight.binary import parse
from preflight.facts import Problem
from preflight.filesystems._xfs_geometry import (
    INODE_CLUSTER,
    LEAST_INODE,
    XFS_SB_FEAT_INCOMPAT_METADIR,
    incompat,
    is_version_5,
    ro_compat,
)
from preflight.filesystems._xfs_groups import XFS_SB_FEAT_RO_COMPAT_REFLINK
from preflight.filesystems._xfs_seals import Seal, is_inode, is_inside, offset_of, problem, unseal
from preflight.source import BlockSource

INODE = Struct(
    "di_magic" / Bytes(2),
    "di_mode" / Int16ub,
    "di_version" / Int8ub,
    "di_format" / Int8ub,
    Padding(18),  # di_onlink … di_projid_hi
    "di_big_nextents" / Int64ub,  # with NREXT64; without it padding, and di_flushiter before version 3
    Padding(24),  # di_atime, di_mtime, di_ctime
    "di_size" / Int64ub,
    "di_nblocks" / Int64ub,
    "di_extsize" / Int32ub,
    "di_nextents" / Int32ub,
    "di_anextents" / Int16ub,
    "di_forkoff" / Int8ub,  # in units of 8 bytes
    "di_aformat" / Int8ub,
    Padding(6),  # di_dmevmask, di_dmstate
    "di_flags" / Int16ub,
    Padding(4),  # di_gen
    "di_next_unlinked" / Int32ub,
)
INODE_SIZE = 100
INODE_3 = Struct(  # what version 3 has after it
    Padding(20),  # di_crc, di_changecount, di_lsn
    "di_flags2" / Int64ub,
    "di_cowextsize" / Int32ub,
    Padding(20),  # di_pad2, di_crtime
    "di_ino" / Int64ub,
    Padding(16),  # di_uuid
)
INODE_3_SIZE = 176
INODE_SEAL = Seal(uuid=160, crc=100)
NEXT_UNLINKED, INODE_INO = 96, 152
DI_MAGIC = b"IN"
S_IFMT, S_IFDIR, S_IFREG = 0xF000, 0x4000, 0x8000
LOCAL, EXTENTS, BTREE = 1, 2, 3  # XFS_DINODE_FMT_…
EXTENT_SIZE = 16
EXTENT = struct.Struct(">QQ")  # from the highest bit: 1 unwritten, 54 br_startoff, 52 br_startblock, 21 br_blockcount
STARTBLOCK_HIGH_BITS = 9
MAX_BLOCKCOUNT = (1 << 21) - 1
NULL = 0xFFFF_FFFF
DIFLAG_REALTIME, DIFLAG_EXTSIZE, DIFLAG_EXTSZINHERIT = 0x0001, 0x0800, 0x1000
DIFLAG2_REFLINK, DIFLAG2_COWEXTSIZE, DIFLAG2_BIGTIME, DIFLAG2_NREXT64 = 0x02, 0x04, 0x08, 0x10
INCOMPAT_BIGTIME, INCOMPAT_NREXT64 = 0x08, 0x20
MAX_SIZE = (1 << 63) - 1


def check_inodes(source: BlockSource, superblock: Any) -> Iterator[Problem]:
    """What is wrong with the inodes, each thing with its byte."""
    yield from _inode(source, superblock, superblock.sb_rootino, ("sb_rootino", 0x38), "XFS root inode", S_IFDIR)
    yield from _cluster(source, superblock)
    if not incompat(superblock) & XFS_SB_FEAT_INCOMPAT_METADIR:  # Linux reads them where there is no such part, too
        for name, field in (("sb_rbmino", 0x40), ("sb_rsumino", 0x48)):
            where = f"XFS inode of {name}"
            yield from _inode(source, superblock, superblock[name], (name, field), where, S_IFREG)


def _inode(
    source: BlockSource, superblock: Any, number: int, named: tuple[str, int], where: str, kind: int
) -> Iterator[Problem]:
    block, index = divmod(number, superblock.sb_inopblock)
    if not is_inside(superblock, block, 1):
        message = f"{named[0]} is {number}, which is not in an allocation group"
        yield problem(message, "XFS superblock", named[1])
        return
    offset = offset_of(superblock, block) + index * superblock.sb_inodesize
    data = source.read_at(offset, superblock.sb_inodesize)
    inode = parse(INODE, data, where, offset)
    version = 3 if is_version_5(superblock) else inode.di_version
    expected = "a directory" if kind == S_IFDIR else "a regular file"
    if inode.di_magic != DI_MAGIC or inode.di_mode & S_IFMT != kind:
        message = f"di_magic is {inode.di_magic.hex()} and di_mode {inode.di_mode:#o}, expected is {expected}"
        yield problem(message, where, offset)
    if inode.di_version != version or version not in ((3,) if is_version_5(superblock) else (1, 2)):
        yield problem(f"di_version is {inode.di_version}, which version of the file system has not", where, offset + 4)
    more = parse(INODE_3, data[INODE_SIZE:], where, offset) if version == 3 else None
    if more and more.di_ino != number:
        yield problem(f"di_ino is {more.di_ino}, expected is {number}", where, offset + INODE_INO)
    yield from unseal(superblock, data, offset, where, INODE_SEAL, None)
    for message, field in (*_counts(superblock, inode, more), *_hints(superblock, inode, more, kind)):
        yield problem(message, where, offset + field)
    if kind == S_IFDIR:
        for message, field in _directory(superblock, inode, _extents(inode, more), data):
            yield problem(message, where, offset + field)


def _is_large(more: Any) -> bool:
    return bool(more and more.di_flags2 & DIFLAG2_NREXT64)


def _extents(inode: Any, more: Any) -> int:
    return int(inode.di_big_nextents if _is_large(more) else inode.di_nextents)


def _counts(superblock: Any, inode: Any, more: Any) -> Iterator[tuple[str, int]]:
    """What is wrong with size and forks, each as a sentence and the byte of the field."""
    large = _is_large(more)
    extents = _extents(inode, more)
    attributes = inode.di_nextents if large else inode.di_anextents
    if more and not large and inode.di_big_nextents:
        yield f"di_pad is {inode.di_big_nextents:#x}, expected is 0 without the flag NREXT64", 24
    if large and not incompat(superblock) & INCOMPAT_NREXT64:
        yield "di_flags2 has NREXT64 (0x10), a feature that the file system has not", 120
    if inode.di_size > MAX_SIZE:
        yield f"di_size is {inode.di_size}, expected are less than 2**63 bytes", 56
    if extents + attributes > inode.di_nblocks:
        yield f"di_nextents are {extents}, and {attributes} of attributes, in di_nblocks {inode.di_nblocks}", 64
    if inode.di_format not in (LOCAL, EXTENTS, BTREE):
        yield f"di_format is {inode.di_format}, expected is 1 to 3", 5
    room = superblock.sb_inodesize - (INODE_3_SIZE if more else INODE_SIZE)
    start = inode.di_forkoff * 8
    if inode.di_forkoff and start >= room:
        yield f"di_forkoff is {inode.di_forkoff} units of 8 bytes, there are {room} bytes", 82
        return
    fork, attribute_fork = (start, room - start) if inode.di_forkoff else (room, 0)
    if inode.di_format == LOCAL and inode.di_size > fork:
        yield f"di_size is {inode.di_size}, the inode has {fork} bytes for them", 56
    if inode.di_format == EXTENTS and extents * EXTENT_SIZE > fork:
        yield f"di_nextents is {extents}, the inode has {fork} bytes for them", 24 if large else 76
    if not inode.di_forkoff and (inode.di_aformat not in (0, EXTENTS) or attributes):
        yield f"di_aformat is {inode.di_aformat} with {attributes} extents and no fork of attributes", 83
    if inode.di_forkoff:
        sound = {LOCAL: not attributes, EXTENTS: attributes * EXTENT_SIZE <= attribute_fork, BTREE: True}
        if not sound.get(inode.di_aformat, False):
            yield f"di_aformat is {inode.di_aformat} with {attributes} extents", 83


def _hints(superblock: Any, inode: Any, more: Any, kind: int) -> Iterator[tuple[str, int]]:
    """What is wrong with flags, and the sizes that some of them announce."""
    most = superblock.sb_agblocks // 2
    flag = DIFLAG_EXTSZINHERIT if kind == S_IFDIR else DIFLAG_EXTSIZE
    if inode.di_flags & (DIFLAG_EXTSIZE | DIFLAG_EXTSZINHERIT) & ~flag:
        yield f"di_flags are {inode.di_flags:#x}, with a hint of another kind of file", 90
    if bool(inode.di_extsize) != bool(inode.di_flags & flag) or inode.di_extsize > most:
        yield f"di_extsize is {inode.di_extsize} blocks with di_flags {inode.di_flags:#x}, allowed are {most}", 72
    if inode.di_flags & DIFLAG_REALTIME and not superblock.sb_rblocks:
        yield "di_flags have REALTIME (0x1), and the file system no real-time part", 90
    if not more:
        return
    if more.di_flags2 & DIFLAG2_REFLINK and kind == S_IFDIR:
        yield "di_flags2 has REFLINK (0x2), which only files have", 120
    if more.di_flags2 & DIFLAG2_BIGTIME and not incompat(superblock) & INCOMPAT_BIGTIME:
        yield "di_flags2 has BIGTIME (0x8), a feature that the file system has not", 120
    hinted = more.di_flags2 & DIFLAG2_COWEXTSIZE
    if hinted and not ro_compat(superblock) & XFS_SB_FEAT_RO_COMPAT_REFLINK:
        yield "di_flags2 has COWEXTSIZE (0x4), and the file system no reflinks", 120
    elif bool(more.di_cowextsize) != bool(hinted) or more.di_cowextsize > most:
        yield (
            f"di_cowextsize is {more.di_cowextsize} blocks with di_flags2 {more.di_flags2:#x}, allowed are {most}",
            128,
        )


def _directory(superblock: Any, inode: Any, count: int, data: bytes) -> Iterator[tuple[str, int]]:
    """What is wrong with the size of a directory, and with its first and last extents, of which it has `count`."""
    if not inode.di_size:
        yield "di_size is 0, the root directory is empty", 56
    if inode.di_format == LOCAL:
        return
    unit = superblock.sb_blocksize << superblock.sb_dirblklog
    if inode.di_size % unit:
        yield f"di_size is {inode.di_size}, expected are whole blocks of {unit} bytes", 56
    if inode.di_format != EXTENTS:
        return
    start = INODE_3_SIZE if is_version_5(superblock) else INODE_SIZE
    if EXTENT.unpack_from(data, start)[0] >> STARTBLOCK_HIGH_BITS:  # a flag for what is unwritten, and br_startoff
        yield "the first extent of the root directory is not its beginning", start
    if not count:
        yield "di_nextents is 0, the root directory has no block", 76
    last = start + (count - 1) * EXTENT_SIZE
    if not count or last + EXTENT_SIZE > len(data):
        return
    high, low = EXTENT.unpack_from(data, last)
    end = ((high >> STARTBLOCK_HIGH_BITS) + (low & MAX_BLOCKCOUNT)) * superblock.sb_blocksize
    if end == unit != inode.di_size:
        yield f"di_size is {inode.di_size}, the root directory has one block of {unit} bytes", 56


def _cluster(source: BlockSource, superblock: Any) -> Iterator[Problem]:
    """What is wrong with the inodes that Linux reads along with the root directory's, in use or not."""
    alignment = superblock.sb_inoalignmt * superblock.sb_blocksize
    size = INODE_CLUSTER * (superblock.sb_inodesize // LEAST_INODE if is_version_5(superblock) else 1)
    if size > alignment:
        size = INODE_CLUSTER
    if size > alignment:  # only the tree of inodes tells where a chunk of them begins
        size = 0
    size = max(size, superblock.sb_blocksize)
    block = superblock.sb_rootino // superblock.sb_inopblock
    count = size // superblock.sb_blocksize
    first = block // count * count
    if not is_inside(superblock, first, count):
        return
    offset = offset_of(superblock, first)
    data = source.read_at(offset, size)
    for at in range(0, size, superblock.sb_inodesize):
        inode = parse(INODE, data[at:], "XFS inode", offset + at)
        versions = (3,) if is_version_5(superblock) else (1, 2)
        if inode.di_magic != DI_MAGIC or inode.di_version not in versions:
            message = f"di_magic is {inode.di_magic.hex()} and di_version {inode.di_version}, beside the root directory"
            yield problem(message, "XFS inode", offset + at)
            return
        unlinked = inode.di_next_unlinked
        if unlinked != NULL and not is_inode(superblock, unlinked):
            yield problem(
                f"di_next_unlinked is {unlinked}, which no group has", "XFS inode", offset + at + NEXT_UNLINKED
            )
            return
