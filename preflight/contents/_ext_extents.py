"""The tree of extents of a file in ext4, every node of which is refused where Linux refuses it.

Specification: Linux kernel documentation, ext4 Data Structures and Algorithms, section Extent Tree,
https://docs.kernel.org/filesystems/ext4/ifork.html; what Linux asks: fs/ext4/extents.c, __ext4_ext_check
"""

import struct
from bisect import bisect_right
from typing import NamedTuple, NoReturn

from preflight.binary import crc32c
from preflight.contents import ContentsError
from preflight.contents import _ext_layouts as layouts
from preflight.contents._ext_filesystem import Filesystem, Inode
from preflight.contents._ext_runs import MAX_LOGICAL_BLOCK, Run, kept

HEADER = struct.Struct(layouts.EXTENT_HEADER_FORMAT)
EXTENT = struct.Struct(layouts.EXTENT_FORMAT)
INDEX = struct.Struct(layouts.EXTENT_INDEX_FORMAT)
ENTRY_SIZE = 12


class Node(NamedTuple):
    """A node of the tree: a leaf with extents, or an index with the places of the nodes below."""

    depth: int
    """0 of a leaf."""
    firsts: tuple[int, ...]
    """The first block of the file in each entry."""
    lengths: tuple[int, ...]
    """Of each extent in blocks; of an entry of an index 1."""
    starts: tuple[int, ...]
    """The first block on the disk, of each extent or of the node below."""
    written: tuple[bool, ...]
    """Whether an extent was ever written; its blocks are zeros otherwise."""


def root(filesystem: Filesystem, inode: Inode) -> Node:
    """The node in the inode itself, raising `ContentsError`."""
    offset = inode.offset + layouts.I_BLOCK
    return kept(filesystem, inode, 0, lambda: _parse(filesystem, inode, inode.i_block, offset, None))


def find(filesystem: Filesystem, inode: Inode, logical: int) -> Run:
    """The run that begins with block `logical` of the file."""
    node, end = root(filesystem, inode), MAX_LOGICAL_BLOCK
    if node.depth > layouts.MAX_EXTENT_DEPTH:
        raise _depth_wrong(inode, inode.offset + layouts.I_BLOCK, node.depth, (0, layouts.MAX_EXTENT_DEPTH))
    while node.depth:
        at = max(bisect_right(node.firsts, logical) - 1, 0)
        if at + 1 < len(node.firsts):
            end = min(end, node.firsts[at + 1])
        node = _below(filesystem, inode, node, at)
    at = bisect_right(node.firsts, logical) - 1
    if at >= 0 and logical < node.firsts[at] + node.lengths[at]:
        skip = logical - node.firsts[at]
        if node.firsts[at] + node.lengths[at] > end:
            raise ContentsError(f"{inode.where}, extent tree: an extent goes beyond block {end}, where the next begins")
        return Run(node.lengths[at] - skip, node.starts[at] + skip if node.written[at] else None)
    if at + 1 < len(node.firsts):
        end = min(end, node.firsts[at + 1])
    return Run(end - logical, None)


def _below(filesystem: Filesystem, inode: Inode, parent: Node, at: int) -> Node:
    """The node to which an entry of an index leads."""
    block = parent.starts[at]

    def read() -> Node:
        offset = block * filesystem.block_size
        data = filesystem.source.read_at(offset, filesystem.block_size)
        return _parse(filesystem, inode, data, offset, (parent.depth - 1, parent.firsts[at]))

    node = kept(filesystem, inode, block, read)
    if node.depth != parent.depth - 1:  # kept from a place higher up: every level is one lower than the one above it
        raise _depth_wrong(inode, block * filesystem.block_size, node.depth, (parent.depth - 1,))
    return node


def _parse(filesystem: Filesystem, inode: Inode, data: bytes, offset: int, expected: tuple[int, int] | None) -> Node:
    """A node; `expected` are its depth and the first block of the file in it, None for the root."""
    eh_magic, eh_entries, eh_max, eh_depth = HEADER.unpack_from(data)

    def refuse(reason: str, field: int) -> NoReturn:
        raise ContentsError(f"{inode.where}, extent tree at byte {offset + field:#x}: {reason}")

    if eh_magic != layouts.EXT4_EXT_MAGIC:
        refuse(f"eh_magic is {eh_magic:#06x}, expected {layouts.EXT4_EXT_MAGIC:#06x}", 0)
    if expected is not None and eh_depth != expected[0]:
        raise _depth_wrong(inode, offset, eh_depth, expected[:1])
    room = (len(data) - HEADER.size) // ENTRY_SIZE
    if not 0 < eh_max <= room:
        refuse(f"eh_max is {eh_max}, there is room for {room}", 4)
    if eh_entries > eh_max or (eh_depth and not eh_entries):
        refuse(f"eh_entries is {eh_entries}, which the node has no room for, or none where some must be", 2)
    end = HEADER.size + eh_max * ENTRY_SIZE
    if expected is not None and inode.seed is not None:
        stored, computed = int.from_bytes(data[end : end + 4], "little"), crc32c(data[:end], inode.seed)
        if stored != computed:
            refuse(f"et_checksum is {stored:#010x}, computed is {computed:#010x}", end)
    used = memoryview(data)[HEADER.size : HEADER.size + eh_entries * ENTRY_SIZE]
    node = _index(used, eh_depth) if eh_depth else _leaf(used)
    if expected is not None and eh_entries and node.firsts[0] != expected[1]:
        refuse(f"the first entry is for block {node.firsts[0]} of the file, the index says {expected[1]}", HEADER.size)
    reached = 0
    for number, (first, length, start) in enumerate(zip(node.firsts, node.lengths, node.starts, strict=True)):
        field = HEADER.size + number * ENTRY_SIZE
        if first < reached:
            refuse(f"an entry is for block {first} of the file, expected is {reached} at least", field)
        if not length or first + length >= MAX_LOGICAL_BLOCK:
            refuse(f"an extent has {length} blocks from block {first} of the file", field)
        if not filesystem.may_have(start, length):
            found = f"{length} of its blocks are at {start}, which no file may have"
            refuse(f"{found}: there are {filesystem.blocks} blocks", field)
        reached = first + length
    return node


def _depth_wrong(inode: Inode, offset: int, depth: int, allowed: tuple[int, ...]) -> ContentsError:
    place = f"{inode.where}, extent tree at byte {offset + 6:#x}"
    return ContentsError(f"{place}: eh_depth is {depth}, allowed is {allowed[0]} to {allowed[-1]}")


def _index(entries: memoryview, depth: int) -> Node:
    found = list(INDEX.iter_unpack(entries))
    firsts, starts = tuple(first for first, _, _ in found), tuple(low | high << 32 for _, low, high in found)
    return Node(depth, firsts, (1,) * len(found), starts, (True,) * len(found))


def _leaf(entries: memoryview) -> Node:
    found = list(EXTENT.iter_unpack(entries))
    longest = layouts.EXT_INIT_MAX_LEN
    return Node(
        0,
        tuple(first for first, _, _, _ in found),
        tuple(length if length <= longest else length - longest for _, length, _, _ in found),
        tuple(low | high << 32 for _, _, high, low in found),
        tuple(length <= longest for _, length, _, _ in found),
    )
