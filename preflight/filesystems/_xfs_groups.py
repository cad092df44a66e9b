"""The headers with which the allocation groups of XFS begin, and the tree that must lead to the root directory.

Specification: XFS Algorithms & Data Structures, 3rd edition, sections Allocation Groups, Inode B+trees,
https://mirrors.edge.kernel.org/pub/linux/utils/fs/xfs/docs/xfs_filesystem_structure.pdf; Linux,
fs/xfs/libxfs/xfs_alloc.c, xfs_agf_verify and xfs_agfl_verify, and fs/xfs/libxfs/xfs_ialloc.c, xfs_agi_verify,
xfs_inobt_verify and xfs_inobt_check_irec
"""

import struct
from collections.abc import Iterator
from typing import Any

from construct import Bytes, Int16ub, Int32ub, Int64ub, Padding, Struct

from preflight.binary import parse
from preflight.facts import Problem
from preflight.filesystems._xfs_geometry import (
    INODES_PER_CHUNK,
    XFS_SB_FEAT_INCOMPAT_SPINODES,
    has_lazy_counts,
    incompat,
    is_version_5,
    ro_compat,
)
from preflight.filesystems._xfs_seals import Moment, Seal, first_block, is_inode, problem, unseal
from preflight.source import BlockSource

AGF = Struct(
    "magicnum" / Bytes(4),
    "versionnum" / Int32ub,
    "seqno" / Int32ub,
    "length" / Int32ub,  # blocks
    Padding(12),  # agf_bno_root, agf_cnt_root, agf_rmap_root
    "bno_level" / Int32ub,
    "cnt_level" / Int32ub,
    "rmap_level" / Int32ub,
    "flfirst" / Int32ub,
    "fllast" / Int32ub,
    "flcount" / Int32ub,
    "freeblks" / Int32ub,
    "longest" / Int32ub,
    "btreeblks" / Int32ub,
    Padding(16),  # agf_uuid
    "rmap_blocks" / Int32ub,
    "refcount_blocks" / Int32ub,
    Padding(4),  # agf_refcount_root
    "refcount_level" / Int32ub,
)
AGI = Struct(
    "magicnum" / Bytes(4),
    "versionnum" / Int32ub,
    "seqno" / Int32ub,
    "length" / Int32ub,  # blocks
    Padding(4),  # agi_count
    "root" / Int32ub,
    "level" / Int32ub,
    Padding(12),  # agi_freecount, agi_newino, agi_dirino
    "unlinked" / Bytes(256),  # heads of 64 lists
    Padding(32),  # agi_uuid … agi_lsn
    "free_root" / Int32ub,
    "free_level" / Int32ub,
)
AGF_MAGIC, AGI_MAGIC, AGFL_MAGIC = b"XAGF", b"XAGI", b"XAFL"
AGF_SEAL, AGI_SEAL, AGFL_SEAL = Seal(64, 216, 208), Seal(296, 312, 320), Seal(8, 32, 24)
AGF_SECTOR, AGI_SECTOR, AGFL_SECTOR = 1, 2, 3
UNLINKED = 40  # agi_unlinked
UNLINKED_HEAD = struct.Struct(">I")
NO_UNLINKED = b"\xff" * 256
MIN_AG_BLOCKS = 64  # of the last group
MAX_LEVELS = 9  # XFS_BTREE_MAXLEVELS; what a group can fill is less still
AGFL_HEADER, AGFL_ENTRY = 36, 4  # the header of version 5
NULL = 0xFFFF_FFFF

XFS_SB_FEAT_RO_COMPAT_FINOBT, XFS_SB_FEAT_RO_COMPAT_RMAPBT, XFS_SB_FEAT_RO_COMPAT_REFLINK = 1, 2, 4

INOBT_BLOCK = Struct(
    "bb_magic" / Bytes(4),
    "bb_level" / Int16ub,
    "bb_numrecs" / Int16ub,
    "bb_leftsib" / Int32ub,
    "bb_rightsib" / Int32ub,
)
INOBT_BLOCK_SIZE, INOBT_BLOCK_5_SIZE = 16, 56
BLOCK_PLACE = Struct("bb_blkno" / Int64ub, Padding(24), "bb_owner" / Int32ub)  # of version 5, from byte 16
BLKNO = 16
INOBT_SEAL = Seal(32, 52, 24)
INOBT_RECORD_SIZE = 16
INOBT_RECORD, SPARSE_RECORD = struct.Struct(">IIQ"), struct.Struct(">IHBBQ")
PAIR_SIZE = 8  # a key and a pointer of a node
INODES_PER_HOLE_BIT = 4
BASIC_BLOCK = 512

MAX_GROUPS = 8  # that are looked at, one read each: mkfs.xfs makes four below 4 TiB; growing a disk makes more


def looked_at(superblock: Any) -> Iterator[int]:
    """The numbers of the groups whose headers are read: the first ones, and the last, whose length is its own."""
    yield from range(min(superblock.sb_agcount, MAX_GROUPS - 1))
    if superblock.sb_agcount >= MAX_GROUPS:
        yield superblock.sb_agcount - 1


def check_group(source: BlockSource, superblock: Any, group: int, newest: Moment | None) -> Iterator[Problem]:
    """What is wrong with the headers of an allocation group."""
    start = group * superblock.sb_agblocks * superblock.sb_blocksize
    size = superblock.sb_sectsize
    for sector, magic, layout, seal in (
        (AGF_SECTOR, AGF_MAGIC, AGF, AGF_SEAL),
        (AGI_SECTOR, AGI_MAGIC, AGI, AGI_SEAL),
    ):
        offset = start + sector * size
        data = source.read_at(offset, size)
        where = f"XFS {magic.decode()[1:]} {group}"
        header = parse(layout, data, where, offset)
        yield from _header(superblock, group, header, magic, offset, where)
        yield from unseal(superblock, data, offset, where, seal, newest)
        checks = _agf(superblock, header) if layout is AGF else _agi(superblock, header)
        for message, field in checks:
            yield problem(message, where, offset + field)
    if is_version_5(superblock):  # Linux reads it before it writes anything
        offset = start + AGFL_SECTOR * size
        data = source.read_at(offset, size)
        where = f"XFS AGFL {group}"
        if data[:4] != AGFL_MAGIC:
            yield problem(f"magicnum is {data[:4]!r}, expected is {AGFL_MAGIC!r}", where, offset)
        yield from unseal(superblock, data, offset, where, AGFL_SEAL, newest)


def _header(superblock: Any, group: int, header: Any, magic: bytes, offset: int, where: str) -> Iterator[Problem]:
    for field, name, expected in ((0, "magicnum", magic), (4, "versionnum", 1), (8, "seqno", group)):
        if header[name] != expected:
            yield problem(f"{name} is {header[name]!r}, expected is {expected!r}", where, offset + field)
    most = superblock.sb_agblocks
    least = MIN_AG_BLOCKS if group == superblock.sb_agcount - 1 else most
    if not least <= header.length <= most:
        yield problem(f"length is {header.length}, expected is {least} to {most} blocks", where, offset + 12)


def _agf(superblock: Any, agf: Any) -> Iterator[tuple[str, int]]:
    """What Linux refuses in the header of free space, each as a sentence and the byte of the field."""
    features = ro_compat(superblock)
    has_rmap, has_reflink = features & XFS_SB_FEAT_RO_COMPAT_RMAPBT, features & XFS_SB_FEAT_RO_COMPAT_REFLINK
    levels = [("bno_level", 28), ("cnt_level", 32)]
    counts = [("freeblks", 52), ("longest", 56)]
    if has_lazy_counts(superblock):
        counts.append(("btreeblks", 60))
    if has_rmap:
        levels.append(("rmap_level", 36))
        counts.append(("rmap_blocks", 80))
    if has_reflink:
        levels.append(("refcount_level", 92))
        counts.append(("refcount_blocks", 84))
    for name, field in levels:
        yield from _levels(name, agf[name], field)
    for name, field in counts:
        if agf[name] > agf.length:
            yield f"{name} is {agf[name]}, the group has {agf.length} blocks", field
    if agf.longest > agf.freeblks:
        yield f"longest is {agf.longest}, freeblks {agf.freeblks}", 56
    header = AGFL_HEADER if is_version_5(superblock) else 0
    entries = (superblock.sb_sectsize - header) // AGFL_ENTRY
    for name, field, most in (("flfirst", 40, entries - 1), ("fllast", 44, entries - 1), ("flcount", 48, entries)):
        if agf[name] > most:
            yield f"{name} is {agf[name]}, expected is at most {most}", field


def _agi(superblock: Any, agi: Any) -> Iterator[tuple[str, int]]:
    """What Linux refuses in the header of inodes."""
    yield from _levels("level", agi.level, 24)
    if ro_compat(superblock) & XFS_SB_FEAT_RO_COMPAT_FINOBT:
        yield from _levels("free_level", agi.free_level, 332)
    if agi.unlinked == NO_UNLINKED:  # as nearly all are
        return
    for index, (number,) in enumerate(UNLINKED_HEAD.iter_unpack(agi.unlinked)):
        if number != NULL and not is_inode(superblock, number):
            yield f"unlinked[{index}] is {number}, which is no inode of a group", UNLINKED + 4 * index


def _levels(name: str, levels: int, field: int) -> Iterator[tuple[str, int]]:
    if not 0 < levels <= MAX_LEVELS:
        yield f"{name} is {levels}, expected is 1 to {MAX_LEVELS}", field


def check_inode_tree(source: BlockSource, superblock: Any, newest: Moment | None) -> Iterator[Problem]:
    """What is wrong with the top of the tree by which Linux looks up the root directory.

    Of a file system that was unmounted: else what the group's header leads to may be in the log alone.
    """
    group, number = divmod(superblock.sb_rootino, superblock.sb_inopblock << superblock.sb_agblklog)
    start = group * superblock.sb_agblocks * superblock.sb_blocksize
    where = f"XFS AGI {group}"
    offset = start + AGI_SECTOR * superblock.sb_sectsize
    agi = parse(AGI, source.read_at(offset, superblock.sb_sectsize), where, offset)
    yield from _tree(source, superblock, (group, agi.root, agi.level), (b"IABT", b"IAB3"), number, newest)
    if ro_compat(superblock) & XFS_SB_FEAT_RO_COMPAT_FINOBT:
        yield from _tree(source, superblock, (group, agi.free_root, agi.free_level), (b"", b"FIB3"), None, newest)


def _tree(
    source: BlockSource,
    superblock: Any,
    place: tuple[int, int, int],
    magics: tuple[bytes, bytes],
    number: int | None,
    newest: Moment | None,
) -> Iterator[Problem]:
    """What is wrong with the root of a tree of inodes: `place` is its group, its block there and its levels.

    `number`: of an inode that must be in use, which a tree of one level says itself.
    """
    group, root, levels = place
    where = f"XFS {magics[1].decode()[:3]} {group}"
    if not first_block(superblock) <= root < superblock.sb_agblocks:
        field = 20 if number is not None else 328
        at = (group * superblock.sb_agblocks) * superblock.sb_blocksize + AGI_SECTOR * superblock.sb_sectsize + field
        yield problem(f"the root of the tree is block {root}, which the group does not have", f"XFS AGI {group}", at)
        return
    offset = (group * superblock.sb_agblocks + root) * superblock.sb_blocksize
    data = source.read_at(offset, superblock.sb_blocksize)
    block = parse(INOBT_BLOCK, data, where, offset)
    sealed = is_version_5(superblock)
    header = INOBT_BLOCK_5_SIZE if sealed else INOBT_BLOCK_SIZE
    most = (len(data) - header) // (INOBT_RECORD_SIZE if levels == 1 else PAIR_SIZE)
    for name, field, found, wanted in (
        ("bb_magic", 0, block.bb_magic, magics[sealed]),
        ("bb_level", 4, block.bb_level, levels - 1),
        ("bb_numrecs", 6, block.bb_numrecs, min(block.bb_numrecs, most)),
        ("bb_leftsib", 8, block.bb_leftsib, NULL),
        ("bb_rightsib", 12, block.bb_rightsib, NULL),
    ):
        if found != wanted:
            yield problem(f"{name} is {found!r}, expected is {wanted!r}", where, offset + field)
    if sealed:
        own = parse(BLOCK_PLACE, data[BLKNO:], where, offset)
        if own.bb_blkno != offset // BASIC_BLOCK or own.bb_owner != group:
            found = f"bb_blkno is {own.bb_blkno} and bb_owner {own.bb_owner}"
            yield problem(f"{found}, expected are {offset // BASIC_BLOCK} and {group}", where, offset + BLKNO)
    yield from unseal(superblock, data, offset, where, INOBT_SEAL, newest)
    if number is not None and levels == 1:
        records = data[header : header + block.bb_numrecs * INOBT_RECORD_SIZE]
        message = _in_use(superblock, records, number)
        if message:
            yield problem(message, where, offset + header)


def _in_use(superblock: Any, records: bytes, number: int) -> str | None:
    """Why these records do not tell that an inode is in use; None where they do."""
    sparse = incompat(superblock) & XFS_SB_FEAT_INCOMPAT_SPINODES
    for at in range(0, len(records) - INOBT_RECORD_SIZE + 1, INOBT_RECORD_SIZE):
        if sparse:
            start, holes, count, free, mask = SPARSE_RECORD.unpack_from(records, at)
        else:
            start, free, mask = INOBT_RECORD.unpack_from(records, at)
            holes, count = 0, INODES_PER_CHUNK
        if not start <= number < start + INODES_PER_CHUNK:
            continue
        there = sum(
            ((1 << INODES_PER_HOLE_BIT) - 1) << bit * INODES_PER_HOLE_BIT for bit in range(16) if not holes >> bit & 1
        )
        if (mask & there).bit_count() != free or there.bit_count() != count:
            return f"the record of inodes {start} to {start + 63} has {count} inodes, {free} free, and masks of others"
        if mask >> number - start & 1:
            return f"the record of inodes {start} to {start + 63} has the root directory, {number}, as free"
        return None
    return f"no record has the inode of the root directory, {number}"
