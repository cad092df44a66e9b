"""The bytes of a file in ext2, ext3 and ext4: its blocks by extents or by indirect blocks.

Specification: Linux kernel documentation, ext4 Data Structures and Algorithms, section The Contents of inode.i_block,
https://docs.kernel.org/filesystems/ext4/ifork.html
"""

import struct
from collections.abc import Iterator
from typing import NamedTuple

from preflight.contents import ContentsError
from preflight.contents import _ext_layouts as layouts
from preflight.contents._ext_filesystem import Filesystem, Inode

UNREAD_FLAGS = {layouts.EXT4_ENCRYPT_FL: "encrypted", layouts.EXT4_COMPRBLK_FL: "compressed"}
UNREAD = layouts.EXT4_ENCRYPT_FL | layouts.EXT4_COMPRBLK_FL
EXTENT_HEADER = struct.Struct(layouts.EXTENT_HEADER_FORMAT)
EXTENT = struct.Struct(layouts.EXTENT_FORMAT)
EXTENT_INDEX = struct.Struct(layouts.EXTENT_INDEX_FORMAT)
MAX_LOGICAL_BLOCK = 1 << 32  # ee_block has 32 bits


class Run(NamedTuple):
    """Blocks of a file that follow each other on the disk."""

    length: int
    """In blocks."""
    start: int | None
    """The first; None for a hole."""


def read(filesystem: Filesystem, inode: Inode, offset: int, size: int) -> bytes:
    """`size` bytes of the file from `offset`, which must lie within it; holes are zeros.

    Raises `ContentsError`, and what `read_at` raises.
    """
    for flag, state in UNREAD_FLAGS.items():
        if inode.flags & flag:
            raise ContentsError(f"{inode.where}: it is {state}")
    if inode.flags & layouts.EXT4_INLINE_DATA_FL:
        return filesystem.inline_data(inode)[offset : offset + size]
    block_size = filesystem.block_size
    first, skip = divmod(offset, block_size)
    parts = []
    for run in _runs(filesystem, inode, first, -(-(skip + size) // block_size)):
        count = min(run.length * block_size - skip, size)
        if run.start is None:
            parts.append(bytes(count))
        elif run.start > 0 and run.start + run.length <= filesystem.blocks:
            parts.append(filesystem.source.read_at(run.start * block_size + skip, count))
        else:
            raise ContentsError(
                f"{inode.where}: {run.length} of its blocks are at {run.start}, there are {filesystem.blocks} blocks"
            )
        size -= count
        skip = 0
    return b"".join(parts)


def _runs(filesystem: Filesystem, inode: Inode, first: int, count: int) -> Iterator[Run]:
    """`count` blocks of the file from block `first`, adjoining ones together."""
    if first + count > MAX_LOGICAL_BLOCK:
        raise ContentsError(f"{inode.where}: it has over {MAX_LOGICAL_BLOCK} blocks")
    find = _find_in_extents if inode.flags & layouts.EXT4_EXTENTS_FL else _find_indirect
    before: Run | None = None
    while count:
        run = find(filesystem, inode, first)
        run = Run(min(run.length, count), run.start)
        first += run.length
        count -= run.length
        if before and (run.start is None if before.start is None else run.start == before.start + before.length):
            before = Run(before.length + run.length, before.start)
        else:
            if before:
                yield before
            before = run
    if before:
        yield before


def _find_in_extents(filesystem: Filesystem, inode: Inode, logical: int) -> Run:
    """The run that begins with block `logical` of the file, by its tree of extents."""
    node, depth, end = inode.i_block, None, MAX_LOGICAL_BLOCK
    while True:
        where = f"{inode.where}, extent tree"
        eh_magic, eh_entries, eh_depth = EXTENT_HEADER.unpack_from(node)
        if eh_magic != layouts.EXT4_EXT_MAGIC:
            raise ContentsError(f"{where}: eh_magic is {eh_magic:#06x}, expected {layouts.EXT4_EXT_MAGIC:#06x}")
        # Every level is one lower than the one above it, so that there can be no circle.
        allowed = range(layouts.MAX_EXTENT_DEPTH + 1) if depth is None else (depth - 1,)
        if eh_depth not in allowed:
            raise ContentsError(f"{where}: eh_depth is {eh_depth}, allowed is {allowed[0]} to {allowed[-1]}")
        depth = eh_depth
        entries = memoryview(node)[EXTENT_HEADER.size :][: eh_entries * EXTENT_HEADER.size]
        if len(entries) < eh_entries * EXTENT_HEADER.size:
            raise ContentsError(f"{where}: eh_entries is {eh_entries}, which the node has no room for")
        if not depth:
            return _find_in_leaf(entries, logical, end)
        leaf = 0
        for ei_block, leaf_lo, leaf_hi in EXTENT_INDEX.iter_unpack(entries):
            if ei_block > logical:
                end = min(end, ei_block)
                break
            leaf = leaf_lo | leaf_hi << 32
        if not leaf:
            return Run(end - logical, None)
        if leaf >= filesystem.blocks:
            raise ContentsError(f"{where}: ei_leaf is {leaf}, there are {filesystem.blocks} blocks")
        node = filesystem.source.read_at(leaf * filesystem.block_size, filesystem.block_size)


def _find_in_leaf(entries: memoryview, logical: int, end: int) -> Run:
    for ee_block, ee_len, start_hi, start_lo in EXTENT.iter_unpack(entries):
        if ee_block > logical:
            return Run(min(end, ee_block) - logical, None)
        unwritten = ee_len > layouts.EXT_INIT_MAX_LEN
        skip = logical - ee_block
        rest = (ee_len - layouts.EXT_INIT_MAX_LEN if unwritten else ee_len) - skip
        if rest > 0:
            return Run(rest, None if unwritten else (start_lo | start_hi << 32) + skip)
    return Run(end - logical, None)


def _find_indirect(filesystem: Filesystem, inode: Inode, logical: int) -> Run:
    """The run that begins with block `logical` of the file, by direct and indirect blocks."""
    per_block = filesystem.block_size // 4
    pointers, index, below = inode.i_block, logical, 1
    if logical < layouts.DIRECT_BLOCKS:
        pointers = pointers[: layouts.DIRECT_BLOCKS * 4]
    else:
        index -= layouts.DIRECT_BLOCKS
        level = 0
        while level < 3 and index >= per_block * below:
            index -= per_block * below
            below *= per_block
            level += 1
        if level == 3:
            raise ContentsError(f"{inode.where}: block {logical} is past what indirect blocks reach")
        block = _pointer(pointers, layouts.DIRECT_BLOCKS + level)
        while True:
            if not block:
                return Run(per_block * below - index, None)
            if block >= filesystem.blocks:
                raise ContentsError(
                    f"{inode.where}: an indirect block is at {block}, there are {filesystem.blocks} blocks"
                )
            pointers = filesystem.source.read_at(block * filesystem.block_size, filesystem.block_size)
            if below == 1:
                break
            slot, index = divmod(index, below)
            block = _pointer(pointers, slot)
            below //= per_block
    start = _pointer(pointers, index)
    count = 1
    while (index + count) * 4 < len(pointers):
        if _pointer(pointers, index + count) != (start + count if start else 0):
            break
        count += 1
    return Run(count, start or None)


def _pointer(pointers: bytes, index: int) -> int:
    return int.from_bytes(pointers[index * 4 : index * 4 + 4], "little")
