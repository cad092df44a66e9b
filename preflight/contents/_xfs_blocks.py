"""The bytes of a file in XFS: its blocks by extents, in the inode or in a B+tree.

Specification: XFS Algorithms & Data Structures, 3rd edition, section Data Extents,
https://mirrors.edge.kernel.org/pub/linux/utils/fs/xfs/docs/xfs_filesystem_structure.pdf
"""

import struct
from bisect import bisect_right
from collections.abc import Iterator
from typing import NamedTuple

from preflight.binary import parse
from preflight.contents import ContentsError
from preflight.contents import _xfs_layouts as layouts
from preflight.contents._xfs_filesystem import Filesystem, Inode

MAX_LEVEL = 16  # 2^48 extents in half-filled blocks of 1024 bytes, 29 entries each, take 10
RECORD = struct.Struct(layouts.EXTENT_FORMAT)


class Extent(NamedTuple):
    """A record of the map from a file to the disk."""

    offset: int
    """The first block, as the file counts them."""
    length: int
    """In blocks."""
    start: int | None
    """The first block on the disk, as `Filesystem.offset_of` takes it; None where nothing was written yet."""


class Run(NamedTuple):
    """Blocks of a file that follow each other on the disk."""

    length: int
    """In blocks."""
    start: int | None
    """The first; None for a hole."""


def read(filesystem: Filesystem, inode: Inode, offset: int, size: int) -> bytes:
    """`size` bytes of the file from `offset`; holes are zeros.

    Raises `ContentsError`, and what `read_at` raises.
    """
    block_size = filesystem.block_size
    first, skip = divmod(offset, block_size)
    parts = []
    for run in runs(filesystem, inode, first, -(-(skip + size) // block_size)):
        count = min(run.length * block_size - skip, size)
        if run.start is None:
            parts.append(bytes(count))
        else:
            start = filesystem.offset_of(run.start, run.length, inode.where)
            parts.append(filesystem.source.read_at(start + skip, count))
        size -= count
        skip = 0
    return b"".join(parts)


def runs(filesystem: Filesystem, inode: Inode, first: int, count: int) -> Iterator[Run]:
    """`count` blocks of the file from block `first`, adjoining ones together."""
    before: Run | None = None
    for run in _pieces(filesystem, inode, first, first + count):
        if before and (run.start is None if before.start is None else run.start == before.start + before.length):
            before = Run(before.length + run.length, before.start)
        else:
            if before:
                yield before
            before = run
    if before:
        yield before


def _pieces(filesystem: Filesystem, inode: Inode, first: int, end: int) -> Iterator[Run]:
    for extent in extents(filesystem, inode, first):
        if extent.offset > first:
            yield Run(min(extent.offset, end) - first, None)
            first = extent.offset
        if first >= end:
            return
        skip = first - extent.offset
        length = min(extent.length - skip, end - first)
        yield Run(length, None if extent.start is None else extent.start + skip)
        first += length
        if first == end:
            return
    yield Run(end - first, None)


def extents(filesystem: Filesystem, inode: Inode, first: int) -> Iterator[Extent]:
    """The extents of a file in order, from the one that block `first` is in or that comes next after it."""
    end = 0
    for records in _leaves(filesystem, inode, first):
        for upper, lower in RECORD.iter_unpack(records):
            offset, length = upper >> 9 & (1 << 54) - 1, lower & (1 << 21) - 1
            # Always forward: so a tree in which a block is found twice comes to an end.
            if not length or offset < end:
                raise ContentsError(f"{inode.where}: its extents are not in order at block {offset}")
            end = offset + length
            if end > first:
                start = (upper & 0x1FF) << 43 | lower >> 21
                filesystem.offset_of(start, length, inode.where)  # all of it must be there, as for xfs_verify_fsbext
                yield Extent(offset, length, None if upper >> 63 else start)


def _leaves(filesystem: Filesystem, inode: Inode, first: int) -> Iterator[bytes]:
    """The records of extents, in the inode or leaf by leaf, from those that may have block `first`."""
    if inode.format == layouts.XFS_DINODE_FMT_EXTENTS:
        size = inode.nextents * layouts.EXTENT_SIZE
        if size > len(inode.fork):
            raise ContentsError(f"{inode.where}: it has {inode.nextents} extents, {len(inode.fork)} bytes for them")
        yield inode.fork[:size]
        return
    if inode.format != layouts.XFS_DINODE_FMT_BTREE:
        raise ContentsError(f"{inode.where}: di_format is {inode.format}, with which it has no blocks")
    where = f"{inode.where}, extent tree"
    root = parse(layouts.BMDR_BLOCK, inode.fork[: layouts.BMDR_BLOCK_SIZE], where, 0)
    if not 0 < root.bb_level <= MAX_LEVEL:
        raise ContentsError(f"{where}: bb_level is {root.bb_level}, allowed is 1 to {MAX_LEVEL}")
    # From the root down to here: the blocks that are still to be visited, last first, and their level.
    path = [(_children(inode.fork[layouts.BMDR_BLOCK_SIZE :], root.bb_numrecs, first, where), root.bb_level - 1)]
    while path:
        blocks, level = path[-1]
        if not blocks:
            path.pop()
            continue
        numrecs, body = _block(filesystem, inode, blocks.pop(), level)
        if level:
            path.append((_children(body, numrecs, first, where), level - 1))
        elif 0 < numrecs * layouts.EXTENT_SIZE <= len(body):
            yield body[: numrecs * layouts.EXTENT_SIZE]
        else:
            raise ContentsError(f"{where}: bb_numrecs is {numrecs}, which a block has no room for")


def _children(body: bytes, numrecs: int, first: int, where: str) -> list[int]:
    """The blocks below a node, last first, from the one that may have block `first`."""
    room = len(body) // layouts.BMBT_PAIR_SIZE
    if not 0 < numrecs <= room:
        raise ContentsError(f"{where}: bb_numrecs is {numrecs}, allowed is 1 to {room}")
    keys = struct.unpack_from(f">{numrecs}Q", body)
    pointers = struct.unpack_from(f">{numrecs}Q", body, room * 8)
    return list(pointers[max(0, bisect_right(keys, first) - 1) :][::-1])


def _block(filesystem: Filesystem, inode: Inode, block: int, level: int) -> tuple[int, bytes]:
    """How many entries a block of the tree has, and what follows its header."""
    where = f"{inode.where}, extent tree"
    offset = filesystem.offset_of(block, 1, where)
    where = f"{where} at byte {offset:#x}"
    data = filesystem.source.read_at(offset, filesystem.block_size)
    header = parse(layouts.BMBT_BLOCK, data[: layouts.BMBT_BLOCK_SIZE], where, offset)
    magic = layouts.BMBT_MAGICS[filesystem.is_sealed]
    if header.bb_magic != magic or header.bb_level != level:
        raise ContentsError(
            f"{where}: bb_magic is {header.bb_magic!r} and bb_level {header.bb_level}, expected are {magic!r}, {level}"
        )
    filesystem.verify(data, layouts.BMBT_SEAL, inode.number, where)
    return header.bb_numrecs, data[layouts.BMBT_BLOCK_3_SIZE if filesystem.is_sealed else layouts.BMBT_BLOCK_SIZE :]
