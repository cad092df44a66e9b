"""The two inodes of ext2, ext3 and ext4 without which Linux mounts nothing: the root directory and the journal.

Specification: Linux kernel documentation, ext4 Data Structures and Algorithms, section Index Nodes,
https://docs.kernel.org/filesystems/ext4/; what Linux asks: fs/ext4/super.c, ext4_iget, ext4_get_journal_inode
"""

from collections.abc import Iterator
from typing import Any

from construct import Bytes, Int16ul, Int32ul, Padding, Struct

from preflight.binary import parse
from preflight.errors import StructureError
from preflight.facts import Problem
from preflight.filesystems._ext_checksums import (
    L_I_CHECKSUM_LO,
    has_inode_checksums,
    inode_checksums,
    inode_seed,
    seed,
)
from preflight.filesystems._ext_geometry import inode_size_of
from preflight.filesystems._ext_groups import Group
from preflight.filesystems._jbd2_superblock import Journal
from preflight.source import BlockSource

EXT3_FEATURE_COMPAT_HAS_JOURNAL = 0x0004
EXT3_FEATURE_INCOMPAT_RECOVER = 0x0004
EXT4_ROOT_INO = 2
GOOD_OLD_SIZE = 128
INODE = Struct(
    "i_mode" / Int16ul,
    Padding(2),  # i_uid
    "i_size_lo" / Int32ul,
    Padding(18),  # i_atime … i_gid
    "i_links_count" / Int16ul,
    Padding(4),  # i_blocks_lo
    "i_flags" / Int32ul,
    Padding(4),  # osd1
    "i_block" / Bytes(60),
    Padding(4),  # i_generation
    "i_file_acl_lo" / Int32ul,
    "i_size_high" / Int32ul,
    Padding(6),  # i_obso_faddr, l_i_blocks_high
    "l_i_file_acl_high" / Int16ul,
    Padding(8),  # l_i_uid_high … l_i_reserved
)
I_MODE, I_SIZE, I_LINKS_COUNT, I_FLAGS, I_BLOCK, I_FILE_ACL = 0x0, 0x4, 0x1A, 0x20, 0x28, 0x68
S_IFMT, S_IFDIR, S_IFREG = 0xF000, 0x4000, 0x8000
EXT4_ENCRYPT_FL, EXT4_EXTENTS_FL, EXT4_INLINE_DATA_FL = 0x00000800, 0x00080000, 0x10000000
EXT4_EA_INODE_FL = 0x00200000
EXT4_EXT_MAGIC = 0xF30A
EXTENT_HEADER = Struct("eh_magic" / Int16ul, "eh_entries" / Int16ul, "eh_max" / Int16ul, "eh_depth" / Int16ul)
EXTENT_HEADER_SIZE, EXTENT_SIZE = 12, 12
EXTENT = Struct("ee_block" / Int32ul, "ee_len" / Int16ul, "ee_start_hi" / Int16ul, "ee_start_lo" / Int32ul)
EXTENT_INDEX = Struct("ei_block" / Int32ul, "ei_leaf_lo" / Int32ul, "ei_leaf_hi" / Int16ul, Padding(2))
MAX_EXTENT_DEPTH = 5  # EXT4_MAX_EXTENT_DEPTH
MAX_EXTENTS_IN_INODE = 4


class _Inode:
    """An inode, and where its fields lie."""

    def __init__(self, source: BlockSource, superblock: Any, groups: tuple[Group, ...], number: int) -> None:
        """Raises `StructureError` where it is out of reach, `IndexError` where its group is not among those read."""
        group, index = divmod(number - 1, superblock.s_inodes_per_group)
        size = inode_size_of(superblock)
        self.number = number
        self.offset = groups[group].inode_table * (1024 << superblock.s_log_block_size) + index * size
        self.data = source.read_at(self.offset, size)
        self.where = f"ext inode {number}"
        self.fields = parse(INODE, self.data[:GOOD_OLD_SIZE], self.where, self.offset)

    def problem(self, field: int, message: str) -> Problem:
        return Problem("superblock-invalid", message, self.where, self.offset + field)


def check_inodes(source: BlockSource, superblock: Any, groups: tuple[Group, ...], blocks: int) -> tuple[Problem, ...]:
    """What is wrong with the root directory's inode and with the journal, each thing once.

    The superblock has a possible geometry, and `groups` are where they can be. What is out of reach is passed over: the
    size of the file system tells it, or who reads files. Linux replays the journal before it looks at the root, so
    where that is to be done, whether the root is sound is left to who reads files.
    """
    problems: list[Problem] = []
    if not groups:
        return ()
    replays = superblock.s_feature_incompat & EXT3_FEATURE_INCOMPAT_RECOVER
    for check in (_journal,) if replays else (_root, _journal):
        try:
            problems += list(check(source, superblock, groups, blocks))[:1]
        except StructureError:
            continue
    return tuple(problems)


def _root(source: BlockSource, superblock: Any, groups: tuple[Group, ...], blocks: int) -> Iterator[Problem]:
    inode = _Inode(source, superblock, groups, EXT4_ROOT_INO)
    if inode.fields.i_mode & S_IFMT != S_IFDIR:
        yield inode.problem(I_MODE, f"i_mode is {inode.fields.i_mode:#o}, expected is a directory: the root")
    if not inode.fields.i_links_count:
        yield inode.problem(I_LINKS_COUNT, "i_links_count is 0, the root directory is deleted")
    if not inode.fields.i_size_lo:
        yield inode.problem(I_SIZE, "i_size is 0, the root directory is empty")
    if inode.fields.i_flags & EXT4_EA_INODE_FL:
        yield inode.problem(I_FLAGS, "i_flags has the bit EA_INODE (0x200000), which no directory has")
    yield from _checksum(superblock, inode)
    yield from _map(superblock, inode, blocks)


def _map(superblock: Any, inode: _Inode, blocks: int) -> Iterator[Problem]:
    """What is wrong with the blocks that the inode itself names; Linux asks when it reads the inode."""
    first = superblock.s_first_data_block
    acl = inode.fields.l_i_file_acl_high << 32 | inode.fields.i_file_acl_lo
    if acl and not first < acl < blocks:
        yield inode.problem(I_FILE_ACL, f"i_file_acl is block {acl}, expected is 0 or one of {blocks}")
    data: bytes = inode.fields.i_block
    if inode.fields.i_flags & EXT4_INLINE_DATA_FL:
        return
    if inode.fields.i_flags & EXT4_EXTENTS_FL:
        header = parse(EXTENT_HEADER, data, inode.where, inode.offset + I_BLOCK)
        if header.eh_magic != EXT4_EXT_MAGIC or not header.eh_entries <= header.eh_max <= MAX_EXTENTS_IN_INODE:
            found = f"eh_magic is {header.eh_magic:#x} and eh_entries {header.eh_entries} of {header.eh_max}"
            yield inode.problem(
                I_BLOCK, f"{found}, expected are {EXT4_EXT_MAGIC:#x} and at most {MAX_EXTENTS_IN_INODE}"
            )
        return
    for at in range(0, len(data), 4):
        block = int.from_bytes(data[at : at + 4], "little")
        if block and not first < block < blocks:
            yield inode.problem(I_BLOCK + at, f"i_block names block {block}, expected is 0 or one of {blocks}")


def _checksum(superblock: Any, inode: _Inode) -> Iterator[Problem]:
    if not has_inode_checksums(superblock):
        return
    stored, computed = inode_checksums(inode_seed(seed(superblock), inode.number, inode.data), inode.data)
    if stored != computed:
        yield inode.problem(L_I_CHECKSUM_LO, f"i_checksum is {stored:#x}, computed is {computed:#x}")


def _journal(source: BlockSource, superblock: Any, groups: tuple[Group, ...], blocks: int) -> Iterator[Problem]:
    if not superblock.s_feature_compat & EXT3_FEATURE_COMPAT_HAS_JOURNAL:
        return
    number = superblock.s_journal_inum
    if bool(number) == bool(superblock.s_journal_dev):
        found = f"s_journal_inum is {number} and s_journal_dev {superblock.s_journal_dev:#x}"
        yield Problem("superblock-invalid", f"{found}, expected is one of them", "ext superblock", 1024 + 0xE0)
        return
    if not number:  # on another device
        return
    if number > superblock.s_inodes_count:
        reason = f"s_journal_inum is {number}, there are {superblock.s_inodes_count} inodes"
        yield Problem("superblock-invalid", reason, "ext superblock", 1024 + 0xE0)
        return
    if (number - 1) // superblock.s_inodes_per_group >= len(groups):
        return
    inode = _Inode(source, superblock, groups, number)
    if inode.fields.i_mode & S_IFMT != S_IFREG or not inode.fields.i_links_count:
        found = f"i_mode is {inode.fields.i_mode:#o} with {inode.fields.i_links_count} links"
        yield inode.problem(I_MODE, f"{found}, expected is a regular file: the journal")
        return
    if inode.fields.i_flags & EXT4_ENCRYPT_FL:
        yield inode.problem(I_FLAGS, "i_flags has the bit ENCRYPT (0x800), which no journal has")
    yield from _checksum(superblock, inode)
    yield from _map(superblock, inode, blocks)
    block = _first_block(source, inode, 1024 << superblock.s_log_block_size)
    if block is None or not superblock.s_first_data_block < block < blocks:
        found = "cannot be found" if block is None else f"is block {block}"
        yield inode.problem(I_BLOCK, f"the first block of the journal {found}, expected is one of {blocks}")
        return
    block_size = 1024 << superblock.s_log_block_size
    length = (inode.fields.i_size_high << 32 | inode.fields.i_size_lo) // block_size
    yield from Journal(source, block * block_size).problems(block_size, length)


def _first_block(source: BlockSource, inode: _Inode, block_size: int) -> int | None:
    """The block with the first bytes of the file; None where the map of its blocks is damaged."""
    data: bytes = inode.fields.i_block
    if not inode.fields.i_flags & EXT4_EXTENTS_FL:
        return int.from_bytes(data[:4], "little")
    offset = inode.offset + I_BLOCK
    for _ in range(MAX_EXTENT_DEPTH + 1):
        header = parse(EXTENT_HEADER, data, inode.where, offset)
        if header.eh_magic != EXT4_EXT_MAGIC or not header.eh_entries or header.eh_depth > MAX_EXTENT_DEPTH:
            return None
        entry = data[EXTENT_HEADER_SIZE : EXTENT_HEADER_SIZE + EXTENT_SIZE]
        if not header.eh_depth:
            extent = parse(EXTENT, entry, inode.where, offset)
            return None if extent.ee_block else extent.ee_start_hi << 32 | extent.ee_start_lo
        index = parse(EXTENT_INDEX, entry, inode.where, offset)
        offset = (index.ei_leaf_hi << 32 | index.ei_leaf_lo) * block_size
        data = source.read_at(offset, EXTENT_HEADER_SIZE + EXTENT_SIZE)
    return None
