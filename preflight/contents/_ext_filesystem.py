"""The superblock, the group descriptors and the inodes of ext2, ext3 and ext4.

Specification: Linux kernel documentation, ext4 Data Structures and Algorithms, sections Super Block, Block Group
Descriptors and Index Nodes, https://docs.kernel.org/filesystems/ext4/
"""

from typing import Any

import msgspec

from preflight.binary import parse, parse_at
from preflight.contents import ContentsError
from preflight.contents import _ext_layouts as layouts
from preflight.source import BlockSource
from preflight.units import is_power_of_two

MAX_LOG_BLOCK_SIZE = 6  # 64 KiB, Linux: EXT4_MAX_BLOCK_SIZE
MAX_DESC_SIZE = 1024  # Linux: EXT4_MAX_DESC_SIZE
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

    @property
    def where(self) -> str:
        """What it is called in errors."""
        return f"ext inode {self.number}"


class Filesystem:
    """One file system: where its inodes are, and what they say."""

    def __init__(self, source: BlockSource) -> None:
        """Read the superblock; `ContentsError` for features that are not read, and fields that cannot be."""
        self.source = source
        superblock = parse_at(layouts.SUPERBLOCK, source, layouts.SUPERBLOCK_OFFSET, WHERE)
        if superblock.s_magic != layouts.S_MAGIC:
            raise ContentsError(f"{WHERE}: s_magic is {superblock.s_magic:#06x}, expected is {layouts.S_MAGIC:#06x}")
        _check_features(superblock.s_feature_incompat)
        self.incompat: int = superblock.s_feature_incompat
        if superblock.s_log_block_size > MAX_LOG_BLOCK_SIZE:
            raise _impossible("s_log_block_size", superblock.s_log_block_size, f"0 to {MAX_LOG_BLOCK_SIZE}")
        self.block_size: int = 1024 << superblock.s_log_block_size
        self._desc_size = layouts.GROUP_DESCRIPTOR_SIZE
        self.blocks: int = superblock.s_blocks_count_lo
        if self.incompat & layouts.EXT4_FEATURE_INCOMPAT_64BIT:
            self.blocks |= superblock.s_blocks_count_hi << 32
            self._desc_size = superblock.s_desc_size
            if not 64 <= self._desc_size <= MAX_DESC_SIZE or not is_power_of_two(self._desc_size):
                raise _impossible("s_desc_size", self._desc_size, f"a power of two from 64 to {MAX_DESC_SIZE}")
        self._inode_size = layouts.EXT2_GOOD_OLD_INODE_SIZE
        if superblock.s_rev_level != layouts.EXT2_GOOD_OLD_REV:
            self._inode_size = superblock.s_inode_size
            if not 128 <= self._inode_size <= self.block_size or not is_power_of_two(self._inode_size):
                raise _impossible("s_inode_size", self._inode_size, f"a power of two from 128 to {self.block_size}")
        self._inodes_per_group: int = superblock.s_inodes_per_group
        if not 0 < self._inodes_per_group <= self.block_size * 8:  # they have one block as bitmap
            raise _impossible("s_inodes_per_group", self._inodes_per_group, f"1 to {self.block_size * 8}")
        self._superblock = superblock
        self._inode_tables: dict[int, int] = {}
        self.kept_directory: int | None = None
        """The number of the large directory that was read last."""
        self.kept_chunks: dict[int, bytes] = {}
        """What was read of it, by offset."""

    def inode(self, number: int) -> Inode:
        """The inode of this number; `ContentsError` where there is none, raises what `read_at` raises."""
        return self._parse(number)[0]

    def inline_data(self, inode: Inode) -> bytes:
        """The bytes of a file that lies in its inode: the first 60 in i_block, the others in an extended attribute."""
        data = inode.i_block
        if inode.size > len(data):
            data += _system_data(inode, self._parse(inode.number)[1])
        if inode.size > len(data):
            raise ContentsError(f"{inode.where}: of its {inode.size} bytes only {len(data)} are in the inode")
        return data[: inode.size]

    def _parse(self, number: int) -> tuple[Inode, bytes]:
        """The inode, and all its bytes."""
        where = f"ext inode {number}"
        if not 0 < number <= self._superblock.s_inodes_count:
            raise ContentsError(f"{where}: there are inodes 1 to {self._superblock.s_inodes_count}")
        group, index = divmod(number - 1, self._inodes_per_group)
        offset = self._inode_table(group) * self.block_size + index * self._inode_size
        data = self.source.read_at(offset, self._inode_size)
        fields = parse(layouts.INODE, data[: layouts.EXT2_GOOD_OLD_INODE_SIZE], where, offset)
        size: int = fields.i_size_lo
        is_regular = fields.i_mode & 0xF000 == 0x8000
        if is_regular or self.incompat & layouts.EXT4_FEATURE_INCOMPAT_LARGEDIR:
            size |= fields.i_size_high << 32  # of others it is i_dir_acl, in ext2
        return Inode(number, fields.i_mode, size, fields.i_flags, fields.i_block), data

    def _inode_table(self, group: int) -> int:
        """The block where the inode table of `group` begins."""
        if group not in self._inode_tables:
            offset = self._descriptor_offset(group)
            data = self.source.read_at(offset, self._desc_size)
            block = int.from_bytes(data[layouts.BG_INODE_TABLE_LO :][:4], "little")
            if self._desc_size > layouts.GROUP_DESCRIPTOR_SIZE:
                block |= int.from_bytes(data[layouts.BG_INODE_TABLE_HI :][:4], "little") << 32
            if not 0 < block < self.blocks:
                raise ContentsError(
                    f"ext group descriptor {group} at byte {offset:#x}: bg_inode_table is {block},"
                    f" there are {self.blocks} blocks"
                )
            self._inode_tables[group] = block
        return self._inode_tables[group]

    def _descriptor_offset(self, group: int) -> int:
        """Where a group descriptor is: all behind the superblock, or with meta_bg those of some groups together."""
        in_block = self.block_size // self._desc_size
        index, rest = divmod(group, in_block)
        superblock_at = layouts.SUPERBLOCK_OFFSET // self.block_size
        block = superblock_at + 1 + index
        first_meta_bg = self._superblock.s_first_meta_bg
        if self.incompat & layouts.EXT4_FEATURE_INCOMPAT_META_BG and index >= first_meta_bg:
            first = index * in_block
            start = self._superblock.s_first_data_block + first * self._superblock.s_blocks_per_group
            if not first:  # the superblock of group 0 is not the first block where a block has 1024 bytes
                start = superblock_at
            block = start + (1 if self._has_superblock(first) else 0)
        return block * self.block_size + rest * self._desc_size

    def _has_superblock(self, group: int) -> bool:
        """Whether a copy of the superblock is in `group`."""
        if self._superblock.s_feature_compat & layouts.EXT4_FEATURE_COMPAT_SPARSE_SUPER2:
            return group == 0 or group in self._superblock.s_backup_bgs
        if group < 2 or not self._superblock.s_feature_ro_compat & layouts.EXT2_FEATURE_RO_COMPAT_SPARSE_SUPER:
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


def _system_data(inode: Inode, data: bytes) -> bytes:
    """The value of the extended attribute `system.data`, from the bytes of the inode; empty where it has none."""
    start = layouts.EXT2_GOOD_OLD_INODE_SIZE
    extra = data[start : start + 2]
    start += int.from_bytes(extra, "little")
    if data[start : start + 4] != layouts.EXT4_XATTR_MAGIC.to_bytes(4, "little"):
        return b""
    first = offset = start + 4
    while len(data) - offset >= layouts.XATTR_ENTRY_SIZE and any(data[offset : offset + 4]):
        entry: Any = parse(layouts.XATTR_ENTRY, data[offset : offset + layouts.XATTR_ENTRY_SIZE], inode.where, offset)
        name = data[offset + layouts.XATTR_ENTRY_SIZE :][: entry.e_name_len]
        if entry.e_name_index == layouts.EXT4_XATTR_INDEX_SYSTEM and name == layouts.XATTR_SYSTEM_DATA:
            return data[first + entry.e_value_offs :][: entry.e_value_size]
        offset += layouts.XATTR_ENTRY_SIZE + (entry.e_name_len + 3) // 4 * 4
    return b""
