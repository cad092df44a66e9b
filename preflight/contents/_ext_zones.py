"""The blocks of ext2, ext3 and ext4 that no file may have: of superblocks, descriptors, bitmaps, inodes, the journal.

Linux refuses files that claim them (option block_validity, which is the default).

Specification: Linux, fs/ext4/block_validity.c, ext4_setup_system_zone; fs/ext4/balloc.c, ext4_num_base_meta_blocks
"""

import struct
from bisect import bisect_right
from collections.abc import Callable, Iterable
from typing import Any

from preflight.contents import _ext_layouts as layouts
from preflight.filesystems._ext_geometry import desc_size_of, inode_size_of
from preflight.filesystems._ext_groups import Group
from preflight.units import ceil_div

HEADER = struct.Struct(layouts.EXTENT_HEADER_FORMAT)
EXTENT = struct.Struct(layouts.EXTENT_FORMAT)


class Zones:
    """Where the metadata of the groups are."""

    def __init__(
        self,
        superblock: Any,
        blocks: int,
        groups: Iterable[Group],
        journal: Iterable[tuple[int, int]],
        has_superblock: Callable[[int], bool],
    ) -> None:
        """`groups` are the first ones, whose bitmaps and tables are known; copies of superblocks need no reading.

        `journal` are the first blocks and the lengths of its runs.
        """
        block_size = 1024 << superblock.s_log_block_size
        table = ceil_div(superblock.s_inodes_per_group * inode_size_of(superblock), block_size)
        self._superblock = superblock
        self._has_superblock = has_superblock
        self._per_block = block_size // desc_size_of(superblock)
        count = ceil_div(blocks - superblock.s_first_data_block, superblock.s_blocks_per_group)
        self._descriptor_blocks = ceil_div(count, self._per_block)
        self._starts: list[int] = []
        self._ends: list[int] = []
        places = [*journal]
        for group in groups:
            places += [(group.block_bitmap, 1), (group.inode_bitmap, 1), (group.inode_table, table)]
        for start, length in sorted(places):
            if self._ends and start <= self._ends[-1]:
                self._ends[-1] = max(self._ends[-1], start + length)
            else:
                self._starts.append(start)
                self._ends.append(start + length)

    def meet(self, start: int, count: int) -> bool:
        """Whether any of these blocks is in a zone."""
        at = bisect_right(self._starts, start + count - 1) - 1
        if at >= 0 and self._ends[at] > start:
            return True
        first, per_group = self._superblock.s_first_data_block, self._superblock.s_blocks_per_group
        for group in range((start - first) // per_group, (start + count - 1 - first) // per_group + 1):
            begin = first + group * per_group
            if max(start, begin) < min(start + count, begin + self._base(group)):
                return True
        return False

    def _base(self, group: int) -> int:
        """Blocks at the begin of a group: the copy of the superblock, descriptors, and those kept for growth."""
        own = int(self._has_superblock(group))
        superblock = self._superblock
        first_meta_bg = superblock.s_first_meta_bg
        if not superblock.s_feature_incompat & layouts.EXT4_FEATURE_INCOMPAT_META_BG:
            return own and own + self._descriptor_blocks + int(superblock.s_reserved_gdt_blocks)
        if group < first_meta_bg * self._per_block:
            return own and own + int(first_meta_bg) + int(superblock.s_reserved_gdt_blocks)
        return own + (group % self._per_block in (0, 1, self._per_block - 1))


def extents_of_journal(inode: bytes) -> list[tuple[int, int]]:
    """The runs of the journal by the first 128 bytes of its inode, where they all are in it, as mke2fs puts them."""
    flags = int.from_bytes(inode[layouts.I_FLAGS : layouts.I_FLAGS + 4], "little")
    i_block = inode[layouts.I_BLOCK : layouts.I_BLOCK + layouts.I_BLOCK_SIZE]
    magic, entries, _, depth = HEADER.unpack_from(i_block)
    if not flags & layouts.EXT4_EXTENTS_FL or magic != layouts.EXT4_EXT_MAGIC or depth:
        return []
    used = i_block[HEADER.size :][: entries * EXTENT.size]
    return [(low | high << 32, length) for _, length, high, low in EXTENT.iter_unpack(used)]
