"""The superblock and the group descriptors of ext2, ext3 and ext4: where inodes are, and which blocks files may have.

Specification: Linux kernel documentation, ext4 Data Structures and Algorithms, sections Super Block and Block Group
Descriptors, https://docs.kernel.org/filesystems/ext4/
"""

from functools import cached_property
from typing import Any

import msgspec

from preflight.binary import parse_at
from preflight.contents import ContentsError
from preflight.contents import _ext_layouts as layouts
from preflight.contents._ext_zones import Zones, extents_of_journal
from preflight.errors import StructureError
from preflight.filesystems._ext_checksums import (
    BG_CHECKSUM,
    GOOD_OLD_INODE_SIZE,
    HIGH_HALVES,
    descriptor_checksum,
    seed,
    stored_descriptor_checksum,
)
from preflight.filesystems._ext_geometry import (
    EXT2_GOOD_OLD_FIRST_INO,
    EXT4_FEATURE_RO_COMPAT_METADATA_CSUM,
    MAX_DESC_SIZE,
    desc_size_of,
    inode_size_of,
)
from preflight.filesystems._ext_groups import first_groups
from preflight.filesystems.ext import (
    EXT3_FEATURE_COMPAT_HAS_JOURNAL,
    MAX_LOG_BLOCK_SIZE,
    S_MAGIC,
    SUPERBLOCK,
    SUPERBLOCK_OFFSET,
)
from preflight.source import BlockSource
from preflight.units import is_power_of_two

MIN_BLOCKS_PER_GROUP = 8
WHERE = "ext superblock"


class Inode(msgspec.Struct, frozen=True):
    """What an inode says of its file."""

    number: int
    mode: int
    """Type and permissions, as `st_mode`."""
    size: int
    """In bytes."""
    flags: int
    """EXT4_…_FL."""
    i_block: bytes
    """60 bytes: the root of the map of its blocks, or the file itself."""
    offset: int = 0
    """Byte where it is."""
    seed: int | None = None
    """What the checksums of its extents and of its directory begin with; None where there are none."""
    file_acl: int = 0
    """The block with extended attributes, 0 for none."""
    inline: bytes | None = None
    """The bytes of a file that lies in its inode, with those behind its end; None for others."""
    is_fast_symlink: bool = False
    """Whether it is a symlink whose target is in i_block."""

    @property
    def where(self) -> str:
        """What it is called in errors."""
        return f"ext inode {self.number}"


class Filesystem:
    """One file system: where its inodes are, and what is kept of what was read."""

    def __init__(self, source: BlockSource, *, is_mounted: bool = True) -> None:
        """Read the superblock; `ContentsError` for features that are not read, and fields that cannot be.

        Until it `is_mounted`, which blocks are those of the metadata is of no account: Linux learns it when it has
        replayed the journal.
        """
        self.source = source
        self._is_mounted = is_mounted
        superblock = parse_at(SUPERBLOCK, source, SUPERBLOCK_OFFSET, WHERE)
        if superblock.s_magic != S_MAGIC:
            found = int.from_bytes(superblock.s_magic, "little")
            raise ContentsError(f"{WHERE}: s_magic is {found:#06x}, expected is {int.from_bytes(S_MAGIC, 'little'):#x}")
        _check_features(superblock.s_feature_incompat)
        self.superblock = superblock
        self.incompat: int = superblock.s_feature_incompat
        if superblock.s_log_block_size > MAX_LOG_BLOCK_SIZE:
            raise _impossible("s_log_block_size", superblock.s_log_block_size, f"0 to {MAX_LOG_BLOCK_SIZE}")
        self.block_size: int = 1024 << superblock.s_log_block_size
        self._desc_size = desc_size_of(superblock)
        self.blocks: int = superblock.s_blocks_count_lo
        if self.incompat & layouts.EXT4_FEATURE_INCOMPAT_64BIT:
            self.blocks |= superblock.s_blocks_count_hi << 32
            if not 64 <= self._desc_size <= MAX_DESC_SIZE or not is_power_of_two(self._desc_size):
                raise _impossible("s_desc_size", self._desc_size, f"a power of two from 64 to {MAX_DESC_SIZE}")
        self.inode_size = inode_size_of(superblock)
        if not 128 <= self.inode_size <= self.block_size or not is_power_of_two(self.inode_size):
            raise _impossible("s_inode_size", self.inode_size, f"a power of two from 128 to {self.block_size}")
        self._inodes_per_group: int = superblock.s_inodes_per_group
        if not 0 < self._inodes_per_group <= self.block_size * 8:  # they have one block as bitmap
            raise _impossible("s_inodes_per_group", self._inodes_per_group, f"1 to {self.block_size * 8}")
        if superblock.s_blocks_per_group < MIN_BLOCKS_PER_GROUP:
            expected = f"at least {MIN_BLOCKS_PER_GROUP}"
            raise _impossible("s_blocks_per_group", superblock.s_blocks_per_group, expected)
        has_checksums = superblock.s_feature_ro_compat & EXT4_FEATURE_RO_COMPAT_METADATA_CSUM
        self.seed = seed(superblock) if has_checksums else None
        """What the checksums of the metadata begin with; None where there are none."""
        self._inode_tables: dict[int, int] = {}
        self.kept_directory: int | None = None
        """The number of the large directory that was read last."""
        self.kept_chunks: dict[int, bytes] = {}
        """What was read of it, by offset."""
        self.kept_nodes: dict[tuple[int, int], Any] = {}
        """Nodes of the maps of files that were read and found sound, by inode and block."""
        self.verified: set[tuple[int, int]] = set()
        """Blocks of directories whose checksum was right, by inode and number in the directory."""

    def inode_offset(self, number: int) -> int:
        """The byte where an inode is; `ContentsError` where there is none, raises what `read_at` raises."""
        if not 0 < number <= self.superblock.s_inodes_count:
            raise ContentsError(f"ext inode {number}: there are inodes 1 to {self.superblock.s_inodes_count}")
        group, index = divmod(number - 1, self._inodes_per_group)
        return self._inode_table(group) * self.block_size + index * self.inode_size

    def may_be_named(self, number: int) -> bool:
        """Whether a name, or an attribute, may lead to this inode: to none that has its own use, nor to the root."""
        first: int = self.superblock.s_first_ino if self.superblock.s_rev_level else EXT2_GOOD_OLD_FIRST_INO
        return first <= number <= int(self.superblock.s_inodes_count)

    def may_have(self, start: int, count: int) -> bool:
        """Whether a file may have these blocks: Linux, ext4_inode_block_valid."""
        within = self.superblock.s_first_data_block < start and start + count <= self.blocks
        return within and not (self._is_mounted and self._zones.meet(start, count))

    @cached_property
    def _zones(self) -> Zones:
        groups = first_groups(self.source, self.superblock, self.blocks)
        return Zones(self.superblock, self.blocks, groups, self._journal(), self._has_superblock)

    def _journal(self) -> list[tuple[int, int]]:
        """Where the journal is; nothing where it cannot be found, which who looks at it tells."""
        number = self.superblock.s_journal_inum
        if not self.superblock.s_feature_compat & EXT3_FEATURE_COMPAT_HAS_JOURNAL or not number:
            return []
        try:
            return extents_of_journal(self.source.read_at(self.inode_offset(number), GOOD_OLD_INODE_SIZE))
        except (ContentsError, StructureError):
            return []

    def _inode_table(self, group: int) -> int:
        """The block where the inode table of `group` begins."""
        if group not in self._inode_tables:
            offset = self._descriptor_offset(group)
            data = self.source.read_at(offset, self._desc_size)
            block = int.from_bytes(data[layouts.BG_INODE_TABLE_LO :][:4], "little")
            if self._desc_size > HIGH_HALVES:
                block |= int.from_bytes(data[layouts.BG_INODE_TABLE_HI :][:4], "little") << 32
            if not self.superblock.s_first_data_block < block < self.blocks:
                raise ContentsError(
                    f"ext group descriptor {group} at byte {offset:#x}: bg_inode_table is {block},"
                    f" there are {self.blocks} blocks"
                )
            stored, computed = stored_descriptor_checksum(data), descriptor_checksum(self.superblock, group, data)
            if computed is not None and stored != computed:
                raise ContentsError(
                    f"ext group descriptor {group} at byte {offset + BG_CHECKSUM:#x}: bg_checksum is {stored:#06x},"
                    f" computed is {computed:#06x}"
                )
            self._inode_tables[group] = block
        return self._inode_tables[group]

    def _descriptor_offset(self, group: int) -> int:
        """Where a group descriptor is: all behind the superblock, or with meta_bg those of some groups together."""
        in_block = self.block_size // self._desc_size
        index, rest = divmod(group, in_block)
        superblock_at = SUPERBLOCK_OFFSET // self.block_size
        block = superblock_at + 1 + index
        first_meta_bg = self.superblock.s_first_meta_bg
        if self.incompat & layouts.EXT4_FEATURE_INCOMPAT_META_BG and index >= first_meta_bg:
            first = index * in_block
            start = self.superblock.s_first_data_block + first * self.superblock.s_blocks_per_group
            if not first:  # the superblock of group 0 is not the first block where a block has 1024 bytes
                start = superblock_at
            block = start + (1 if self._has_superblock(first) else 0)
        return block * self.block_size + rest * self._desc_size

    def _has_superblock(self, group: int) -> bool:
        """Whether a copy of the superblock is in `group`."""
        if self.superblock.s_feature_compat & layouts.EXT4_FEATURE_COMPAT_SPARSE_SUPER2:
            return group in (0, self.superblock.s_backup_bgs_0, self.superblock.s_backup_bgs_1)
        if group < 2 or not self.superblock.s_feature_ro_compat & layouts.EXT2_FEATURE_RO_COMPAT_SPARSE_SUPER:
            return True
        return any(_is_power(group, base) for base in (3, 5, 7))


def _is_power(value: int, base: int) -> bool:
    while value % base == 0:
        value //= base
    return value == 1


def _check_features(incompat: int) -> None:
    refused = [name for bit, name in layouts.INCOMPATIBLE.items() if incompat & bit & layouts.REFUSED]
    if unknown := incompat & ~sum(layouts.INCOMPATIBLE):
        refused.append(f"unknown {unknown:#x}")
    if refused:
        raise ContentsError(f"{WHERE}: has incompatible features that are not read: {', '.join(refused)}")


def _impossible(field: str, value: int, expected: str) -> ContentsError:
    return ContentsError(f"{WHERE}: {field} is {value}, allowed is {expected}")
