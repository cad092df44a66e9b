"""Whether the group descriptors of ext2, ext3 and ext4 lead to where bitmaps and inode tables can be.

Specification: Linux kernel documentation, ext4 Data Structures and Algorithms, section Block Group Descriptors,
https://docs.kernel.org/filesystems/ext4/group_descr.html; what Linux asks: fs/ext4/super.c, ext4_check_descriptors,
and fs/ext4/block_validity.c
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

from preflight.errors import StructureError
from preflight.facts import Problem
from preflight.filesystems._ext_checksums import (
    BG_CHECKSUM,
    HIGH_HALVES,
    descriptor_checksum,
    stored_descriptor_checksum,
)
from preflight.filesystems._ext_geometry import (
    EXT4_FEATURE_INCOMPAT_FLEX_BG,
    EXT4_FEATURE_INCOMPAT_META_BG,
    desc_size_of,
    inode_size_of,
)
from preflight.source import BlockSource
from preflight.units import KiB, ceil_div

MAX_DESCRIPTOR_BYTES = 8 * KiB  # 128 groups of 128 MiB; those behind them have the same form
WHERE = "ext group descriptors"


class Group(NamedTuple):
    """Where the three structures of a group begin, in blocks, and the byte of its descriptor."""

    offset: int
    block_bitmap: int
    inode_bitmap: int
    inode_table: int


def read_groups(source: BlockSource, superblock: Any, blocks: int) -> tuple[tuple[Group, ...], tuple[Problem, ...]]:
    """The first groups, and what is wrong with the first of them that is wrong.

    The superblock has a possible geometry. Nothing where these bytes are out of reach: who reads files will
    say so, and where the file system ends before, its size does.
    """
    start, descriptors = _descriptors(source, superblock, blocks)
    groups = _groups(start, descriptors)
    problem = next(_defects(superblock, blocks, groups), None) or next(_checksums(superblock, descriptors, start), None)
    return groups, () if problem is None else (problem,)


def first_groups(source: BlockSource, superblock: Any, blocks: int) -> tuple[Group, ...]:
    """As `read_groups`, and nothing is asked of them."""
    return _groups(*_descriptors(source, superblock, blocks))


def _descriptors(source: BlockSource, superblock: Any, blocks: int) -> tuple[int, list[bytes]]:
    """The byte of the first descriptor, and the descriptors of the first groups."""
    block_size = 1024 << superblock.s_log_block_size
    size = desc_size_of(superblock)
    count = ceil_div(blocks - superblock.s_first_data_block, superblock.s_blocks_per_group)
    # With meta_bg those of later groups lie elsewhere.
    meta = superblock.s_feature_incompat & EXT4_FEATURE_INCOMPAT_META_BG
    count = min(count, (block_size if meta else MAX_DESCRIPTOR_BYTES) // size, MAX_DESCRIPTOR_BYTES // size)
    start = (1024 // block_size + 1) * block_size
    try:
        data = source.read_at(start, count * size)
    except StructureError:
        return start, []
    return start, [data[at : at + size] for at in range(0, len(data), size)]


def _groups(start: int, descriptors: list[bytes]) -> tuple[Group, ...]:
    return tuple(_group(one, start + index * len(one)) for index, one in enumerate(descriptors))


def _group(descriptor: bytes, offset: int) -> Group:
    words = [int.from_bytes(descriptor[at : at + 4], "little") for at in (0, 4, 8)]
    if len(descriptor) > HIGH_HALVES:
        words = [
            word | int.from_bytes(descriptor[HIGH_HALVES + at : HIGH_HALVES + at + 4], "little") << 32
            for word, at in zip(words, (0, 4, 8), strict=True)
        ]
    return Group(offset, *words)


def _defects(superblock: Any, blocks: int, groups: tuple[Group, ...]) -> Iterator[Problem]:
    """What lies outside of where it may, or on something else."""
    block_size = 1024 << superblock.s_log_block_size
    table_blocks = ceil_div(superblock.s_inodes_per_group * inode_size_of(superblock), block_size)
    anywhere = superblock.s_feature_incompat & EXT4_FEATURE_INCOMPAT_FLEX_BG
    per_group = superblock.s_blocks_per_group
    taken = [(1024 // block_size, _descriptors_end(superblock, blocks), "the superblock and the descriptors", 0)]
    for index, group in enumerate(groups):
        first = superblock.s_first_data_block + (0 if anywhere else index * per_group)
        end = blocks if anywhere else min(first + per_group, blocks)
        for field, name, start, length in (
            (0x0, "bg_block_bitmap", group.block_bitmap, 1),
            (0x4, "bg_inode_bitmap", group.inode_bitmap, 1),
            (0x8, "bg_inode_table", group.inode_table, table_blocks),
        ):
            what = f"{name} of group {index}"
            if not first <= start <= end - length:
                reason = f"{what} is block {start}, expected is {first} to {end - length}"
                yield Problem("superblock-invalid", reason, WHERE, group.offset + field)
            taken.append((start, start + length, what, group.offset + field))
    taken.sort(key=lambda one: one[0])  # of two that begin together the later field is wrong
    reached, owner = 0, ""
    for start, end, what, offset in taken:
        if start < reached:
            reason = f"{what} begins at block {start}, inside of {owner}"
            yield Problem("superblock-invalid", reason, WHERE, offset or None)
        if end > reached:
            reached, owner = end, what


def _descriptors_end(superblock: Any, blocks: int) -> int:
    """The block behind the descriptors of the first group, and behind those that are reserved for growth."""
    block_size = 1024 << superblock.s_log_block_size
    count = ceil_div(blocks - superblock.s_first_data_block, superblock.s_blocks_per_group)
    length = ceil_div(count * desc_size_of(superblock), block_size)
    if superblock.s_feature_incompat & EXT4_FEATURE_INCOMPAT_META_BG:
        length = superblock.s_first_meta_bg or 1
    return int(1024 // block_size + 1 + length + superblock.s_reserved_gdt_blocks)


def _checksums(superblock: Any, descriptors: list[bytes], start: int) -> Iterator[Problem]:
    """Descriptors whose checksum is wrong: Linux mounts such a file system for reading only."""
    for index, data in enumerate(descriptors):
        computed, stored = descriptor_checksum(superblock, index, data), stored_descriptor_checksum(data)
        if computed is not None and stored != computed:
            reason = f"bg_checksum of group {index} is {stored:#06x}, computed is {computed:#06x}"
            yield Problem("superblock-invalid", reason, WHERE, start + index * len(data) + BG_CHECKSUM)
