"""The bytes of a file in ext2, ext3 and ext4: its blocks by extents or by indirect blocks.

Specification: Linux kernel documentation, ext4 Data Structures and Algorithms, section The Contents of inode.i_block,
https://docs.kernel.org/filesystems/ext4/ifork.html
"""

import struct
from collections.abc import Iterator
from itertools import pairwise

from preflight.contents import ContentsError, NotRead, _ext_extents
from preflight.contents import _ext_layouts as layouts
from preflight.contents._ext_filesystem import Filesystem, Inode
from preflight.contents._ext_runs import MAX_LOGICAL_BLOCK, Run, kept

UNREAD_FLAGS = {layouts.EXT4_ENCRYPT_FL: "encrypted", layouts.EXT4_COMPRBLK_FL: "compressed"}
POINTER_SIZE = 4


def read(filesystem: Filesystem, inode: Inode, offset: int, size: int) -> bytes:
    """`size` bytes of the file from `offset`, which must lie within it; holes are zeros.

    Raises `ContentsError`, and what `read_at` raises.
    """
    for flag, state in UNREAD_FLAGS.items():
        if inode.flags & flag:
            raise NotRead(f"{inode.where}: it is {state}")
    if inode.flags & layouts.EXT4_INLINE_DATA_FL:
        return inline_data(inode)[offset : offset + size]
    block_size = filesystem.block_size
    first, skip = divmod(offset, block_size)
    parts = []
    for run in _runs(filesystem, inode, first, -(-(skip + size) // block_size)):
        count = min(run.length * block_size - skip, size)
        if run.start is None:
            parts.append(bytes(count))
        else:
            parts.append(filesystem.source.read_at(run.start * block_size + skip, count))
        size -= count
        skip = 0
    return b"".join(parts)


def inline_data(inode: Inode) -> bytes:
    """The bytes of a file that lies in its inode, raising `ContentsError`."""
    if inode.inline is None:
        raise ContentsError(f"{inode.where}: its data are said to be inline, and it has no attribute system.data")
    if inode.size > len(inode.inline):
        raise ContentsError(f"{inode.where}: of its {inode.size} bytes only {len(inode.inline)} are in the inode")
    return inode.inline[: inode.size]


def check_map(filesystem: Filesystem, inode: Inode) -> None:
    """`ContentsError` where the inode itself names blocks that no file may have, or its tree of extents is damaged."""
    if inode.flags & layouts.EXT4_EXTENTS_FL:
        _ext_extents.root(filesystem, inode)
    else:
        direct = inode.i_block[: layouts.DIRECT_BLOCKS * POINTER_SIZE]
        _check(filesystem, f"{inode.where}, i_block", inode.offset + layouts.I_BLOCK, _pointers(direct))


def _runs(filesystem: Filesystem, inode: Inode, first: int, count: int) -> Iterator[Run]:
    """`count` blocks of the file from block `first`, adjoining ones together."""
    if first + count > MAX_LOGICAL_BLOCK:
        raise ContentsError(f"{inode.where}: it has over {MAX_LOGICAL_BLOCK} blocks")
    before: Run | None = None
    while count:
        run = run_at(filesystem, inode, first)
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


def run_at(filesystem: Filesystem, inode: Inode, logical: int) -> Run:
    """The run that begins with block `logical` of the file; others may adjoin it. Raises as `read` does."""
    find = _ext_extents.find if inode.flags & layouts.EXT4_EXTENTS_FL else _find_indirect
    return find(filesystem, inode, logical)


def _find_indirect(filesystem: Filesystem, inode: Inode, logical: int) -> Run:
    """The run that begins with block `logical` of the file, by direct and indirect blocks."""
    per_block = filesystem.block_size // POINTER_SIZE
    pointers, index, below = _pointers(inode.i_block), logical, 1
    if logical < layouts.DIRECT_BLOCKS:
        pointers = pointers[: layouts.DIRECT_BLOCKS]
    else:
        index -= layouts.DIRECT_BLOCKS
        level = 0
        while level < 3 and index >= per_block * below:
            index -= per_block * below
            below *= per_block
            level += 1
        if level == 3:
            raise ContentsError(f"{inode.where}: block {logical} is past what indirect blocks reach")
        block = pointers[layouts.DIRECT_BLOCKS + level]
        if block and not filesystem.may_have(block, 1):
            raise ContentsError(
                f"{inode.where}: an indirect block is at {block}, which no file may have:"
                f" there are {filesystem.blocks} blocks"
            )
        while True:
            if not block:
                return Run(per_block * below - index, None)
            pointers = _indirect(filesystem, inode, block)
            if below == 1:
                break
            slot, index = divmod(index, below)
            block = pointers[slot]
            below //= per_block
    start = pointers[index]
    count = 1
    while index + count < len(pointers):
        if pointers[index + count] != (start + count if start else 0):
            break
        count += 1
    return Run(count, start or None)


def _indirect(filesystem: Filesystem, inode: Inode, block: int) -> tuple[int, ...]:
    """The blocks that an indirect one names, raising `ContentsError` where no file may have one of them."""

    def read() -> tuple[int, ...]:
        offset = block * filesystem.block_size
        pointers = _pointers(filesystem.source.read_at(offset, filesystem.block_size))
        _check(filesystem, f"{inode.where}, indirect block", offset, pointers)
        return pointers

    return kept(filesystem, inode, block, read)


def _pointers(data: bytes) -> tuple[int, ...]:
    return tuple(pointer for (pointer,) in struct.iter_unpack("<I", data))


def _check(filesystem: Filesystem, where: str, offset: int, pointers: tuple[int, ...]) -> None:
    """Linux: ext4_check_blockref. `offset` is where the pointers are."""
    begins = [
        index for index, block in enumerate(pointers) if not index or block != pointers[index - 1] + 1
    ]  # of blocks in a row
    for begin, end in pairwise([*begins, len(pointers)]):
        block = pointers[begin]
        if block and not filesystem.may_have(block, end - begin):
            raise ContentsError(
                f"{where} at byte {offset + begin * POINTER_SIZE:#x}: {end - begin} of its blocks are at {block},"
                f" which no file may have: there are {filesystem.blocks} blocks"
            )
