"""The index of a large directory of XFS: from the hash of a name to where its entry is.

Specification: XFS Algorithms & Data Structures, 3rd edition, sections Leaf Directories and Node Directories,
https://mirrors.edge.kernel.org/pub/linux/utils/fs/xfs/docs/xfs_filesystem_structure.pdf
"""

import struct
from bisect import bisect_left
from collections.abc import Iterator
from typing import NamedTuple

from preflight.binary import parse
from preflight.contents import ContentsError, _xfs_blocks
from preflight.contents import _xfs_layouts as layouts
from preflight.contents._xfs_filesystem import Filesystem, Inode

MAX_COLLISIONS = 256  # entries, and leaves, with one hash: an honest directory has one, seldom two
MASK32 = (1 << 32) - 1
COUNTS = struct.Struct(layouts.DA_COUNT_FORMAT)


def hash_name(name: bytes) -> int:
    """The hash of a name: xfs_da_hashname of Linux."""
    value = 0
    for start in range(0, len(name), 4):
        part = name[start : start + 4]
        bits = 7 * len(part)
        mixed = 0
        for byte in part:
            mixed = mixed << 7 ^ byte
        value = (mixed ^ value << bits ^ value >> 32 - bits) & MASK32
    return value


def has_index(filesystem: Filesystem, directory: Inode) -> bool:
    """Whether the directory has an index apart from its entries."""
    first = layouts.XFS_DIR2_LEAF_OFFSET // filesystem.block_size
    extent = next(_xfs_blocks.extents(filesystem, directory, first), None)
    return extent is not None and extent.offset <= first


def addresses(filesystem: Filesystem, directory: Inode, hashval: int) -> Iterator[int]:
    """Where entries are whose names have this hash, in bytes from the beginning of the directory."""
    leaf = _leaf(filesystem, directory, hashval)
    found = 0
    for _ in range(MAX_COLLISIONS):
        if leaf is None:
            return
        for index in range(bisect_left(leaf.hashvals, hashval), len(leaf.hashvals)):
            if leaf.hashvals[index] != hashval or found == MAX_COLLISIONS:
                break
            if address := leaf.values[index]:  # none where the entry was removed
                found += 1
                yield address * layouts.XFS_DIR2_DATA_ALIGN
        else:
            leaf = _block(filesystem, directory, leaf.forw) if leaf.forw else None
            continue
        break
    if found == MAX_COLLISIONS:
        raise ContentsError(f"{directory.where}: over {MAX_COLLISIONS} of its names have one hash")


class Block(NamedTuple):
    """A verified block of the index."""

    forw: int
    """The block of the directory with the next leaf, 0 for the last."""
    level: int
    """Of a node, 1 or more; of a leaf 0."""
    hashvals: tuple[int, ...]
    """In a node the highest of each block below."""
    values: tuple[int, ...]
    """In a leaf addresses in units of 8 bytes, in a node the blocks below."""


def _leaf(filesystem: Filesystem, directory: Inode, hashval: int) -> Block | None:
    """The first leaf that may have this hash."""
    block = _block(filesystem, directory, layouts.XFS_DIR2_LEAF_OFFSET // filesystem.block_size)
    level = block.level
    if level > layouts.XFS_DA_NODE_MAXDEPTH:
        raise ContentsError(f"{directory.where}: its index has {level} levels")
    while level:
        index = bisect_left(block.hashvals, hashval)
        if index == len(block.hashvals):
            return None
        block = _block(filesystem, directory, block.values[index])
        level -= 1
        if block.level != level:
            raise ContentsError(f"{directory.where}: level {block.level} of its index is below level {level + 1}")
    return block


def _block(filesystem: Filesystem, directory: Inode, number: int) -> Block:
    """Block `number` of the directory, in blocks of the file system, which must be one of its index."""
    size, sealed = filesystem.directory_block_size, filesystem.is_sealed
    offset = number * filesystem.block_size
    where = f"{directory.where}, index at byte {offset:#x}"
    if not layouts.XFS_DIR2_LEAF_OFFSET <= offset < layouts.XFS_DIR2_FREE_OFFSET:
        raise ContentsError(f"{where}: it is outside of the index")
    data = _xfs_blocks.read(filesystem, directory, offset, size)
    header = parse(layouts.DA_BLOCK, data[: layouts.DA_BLOCK_SIZE], where, offset)
    count, level = COUNTS.unpack_from(data, layouts.DA3_BLOCK_SIZE if sealed else layouts.DA_BLOCK_SIZE)
    if header.magic in (layouts.DIR2_LEAF1_MAGICS[sealed], layouts.DIR2_LEAFN_MAGICS[sealed]):
        level = 0  # there it is the number of removed entries
    elif header.magic != layouts.DA_NODE_MAGICS[sealed] or not level:
        raise ContentsError(f"{where}: its magic is {header.magic.hex()}, its level {level}")
    filesystem.verify(data, layouts.DA_BLOCK_SEAL, directory.number, where)
    start = layouts.DA3_HEADER_SIZE if sealed else layouts.DA_HEADER_SIZE
    if count * layouts.DIR2_LEAF_ENTRY_SIZE > size - start:
        raise ContentsError(f"{where}: its count is {count}, which it has no room for")
    pairs = struct.unpack_from(f">{count * 2}I", data, start)
    return Block(header.forw, level, pairs[::2], pairs[1::2])
