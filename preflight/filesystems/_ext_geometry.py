"""Whether the numbers in a superblock of ext2, ext3 or ext4 can be a file system: what Linux asks before it mounts one.

Specification: Linux, fs/ext4/super.c, ext4_fill_super; https://docs.kernel.org/filesystems/ext4/super.html
"""

from collections.abc import Iterator
from typing import Any

from preflight.units import ceil_div, is_power_of_two

EXT2_DYNAMIC_REV = 1
EXT2_GOOD_OLD_INODE_SIZE, EXT2_GOOD_OLD_FIRST_INO = 128, 11
EXT4_FEATURE_COMPAT_ORPHAN_FILE = 0x1000
EXT4_FEATURE_INCOMPAT_META_BG = 0x0010
EXT4_FEATURE_INCOMPAT_64BIT = 0x0080
EXT4_FEATURE_INCOMPAT_MMP = 0x0100
EXT4_FEATURE_INCOMPAT_FLEX_BG = 0x0200
EXT4_FEATURE_INCOMPAT_SUPP = 0x3E7D6  # filetype … casefold; not compression and dirdata, which it never had
EXT4_FEATURE_RO_COMPAT_BIGALLOC = 0x0200
EXT4_FEATURE_RO_COMPAT_METADATA_CSUM = 0x0400
EXT4_CRC32C_CHKSUM = 1
MIN_DESC_SIZE, MIN_DESC_SIZE_64BIT, MAX_DESC_SIZE = 32, 64, 1024
MAX_CLUSTER_LOG_SIZE = 20  # EXT4_MAX_CLUSTER_LOG_SIZE, counted from 1 KiB
EXT4_OS_HURD = 1
DX_HASH_LAST = 5  # tea_unsigned; 6 is siphash, which only encrypted directories have
MAX_LOG_GROUPS_PER_FLEX = 31


def impossible(superblock: Any, blocks: int) -> Iterator[tuple[str, int]]:
    """What Linux refuses, each as a sentence and the byte of the field; the sizes of `blocks` were found possible.

    Not for an external journal, whose superblock has no groups.
    """
    block_size = 1024 << superblock.s_log_block_size
    bits = block_size * 8  # of one block of a bitmap
    if superblock.s_rev_level > EXT2_DYNAMIC_REV:
        yield f"s_rev_level is {superblock.s_rev_level}, known are 0 and {EXT2_DYNAMIC_REV}", 0x4C
    unknown = superblock.s_feature_incompat & ~EXT4_FEATURE_INCOMPAT_SUPP
    if unknown:
        yield f"s_feature_incompat has the bits {unknown:#x}, which Linux does not have", 0x60
        return
    inode_size = inode_size_of(superblock)
    if not (is_power_of_two(inode_size) and EXT2_GOOD_OLD_INODE_SIZE <= inode_size <= block_size):
        expected = f"a power of two from {EXT2_GOOD_OLD_INODE_SIZE} to {block_size}"
        yield f"s_inode_size is {inode_size} bytes, expected is {expected}", 0x58
        return
    # Linux looks at no more than the least one; e2fsck does, and refuses.
    if superblock.s_rev_level and not EXT2_GOOD_OLD_FIRST_INO <= superblock.s_first_ino <= superblock.s_inodes_count:
        expected = f"{EXT2_GOOD_OLD_FIRST_INO} to {superblock.s_inodes_count}, the number of inodes"
        yield f"s_first_ino is {superblock.s_first_ino}, expected is {expected}", 0x54
    extra = inode_size - EXT2_GOOD_OLD_INODE_SIZE
    for name, field in (("s_min_extra_isize", 0x15C), ("s_want_extra_isize", 0x15E)):
        if extra and superblock[name] > extra:
            yield f"{name} is {superblock[name]} bytes, an inode of {inode_size} has {extra} at most", field
    if superblock.s_feature_incompat & EXT4_FEATURE_INCOMPAT_64BIT:
        size = superblock.s_desc_size
        if not (is_power_of_two(size) and MIN_DESC_SIZE_64BIT <= size <= MAX_DESC_SIZE):
            expected = f"a power of two from {MIN_DESC_SIZE_64BIT} to {MAX_DESC_SIZE}"
            yield f"s_desc_size is {size} bytes, expected is {expected}", 0xFE
            return
    has_checksums = superblock.s_feature_ro_compat & EXT4_FEATURE_RO_COMPAT_METADATA_CSUM
    if has_checksums and superblock.s_checksum_type != EXT4_CRC32C_CHKSUM:
        yield f"s_checksum_type is {superblock.s_checksum_type}, known is {EXT4_CRC32C_CHKSUM} (crc32c)", 0x175
    per_block = block_size // inode_size
    if not per_block <= superblock.s_inodes_per_group <= bits:
        yield f"s_inodes_per_group is {superblock.s_inodes_per_group}, expected is {per_block} to {bits}", 0x28
        return
    yield from _settings(superblock, blocks)
    yield from _groups(superblock, blocks, block_size, bits)


def inode_size_of(superblock: Any) -> int:
    """Bytes of an inode."""
    return int(superblock.s_inode_size) if superblock.s_rev_level else EXT2_GOOD_OLD_INODE_SIZE


def desc_size_of(superblock: Any) -> int:
    """Bytes of a group descriptor."""
    return int(superblock.s_desc_size) if superblock.s_feature_incompat & EXT4_FEATURE_INCOMPAT_64BIT else MIN_DESC_SIZE


def _settings(superblock: Any, blocks: int) -> Iterator[tuple[str, int]]:
    """What is wrong with fields that hang together with no other."""
    incompat = superblock.s_feature_incompat
    if superblock.s_creator_os == EXT4_OS_HURD and incompat & EXT4_FEATURE_INCOMPAT_64BIT:
        yield "s_creator_os is 1 (Hurd), which has no file systems with the feature 64bit", 0x48
    if superblock.s_def_hash_version > DX_HASH_LAST:
        yield f"s_def_hash_version is {superblock.s_def_hash_version}, known are 0 to {DX_HASH_LAST}", 0xFC
    flex = superblock.s_log_groups_per_flex
    if incompat & EXT4_FEATURE_INCOMPAT_FLEX_BG and flex > MAX_LOG_GROUPS_PER_FLEX:
        yield f"s_log_groups_per_flex is {flex}, expected is at most {MAX_LOG_GROUPS_PER_FLEX}", 0x174
    reserved = superblock.s_r_blocks_count_lo
    if incompat & EXT4_FEATURE_INCOMPAT_64BIT:
        reserved |= superblock.s_r_blocks_count_hi << 32
    if reserved > blocks // 2:  # Linux takes it, e2fsck refuses
        yield f"s_r_blocks_count is {reserved}, expected is at most half of the {blocks} blocks", 0x8
    if incompat & EXT4_FEATURE_INCOMPAT_MMP and not superblock.s_first_data_block < superblock.s_mmp_block < blocks:
        yield f"s_mmp_block is {superblock.s_mmp_block}, expected is one of the {blocks} blocks", 0x168
    orphans = superblock.s_feature_compat & EXT4_FEATURE_COMPAT_ORPHAN_FILE
    if orphans and not 0 < superblock.s_orphan_file_inum <= superblock.s_inodes_count:
        expected = f"1 to {superblock.s_inodes_count}"
        yield f"s_orphan_file_inum is {superblock.s_orphan_file_inum}, expected is {expected}", 0x280


def _groups(superblock: Any, blocks: int, block_size: int, bits: int) -> Iterator[tuple[str, int]]:
    """What is wrong with how the blocks are divided into groups."""
    per_group, ratio = superblock.s_blocks_per_group, 1
    if superblock.s_feature_ro_compat & EXT4_FEATURE_RO_COMPAT_BIGALLOC:
        log = superblock.s_log_cluster_size
        if not superblock.s_log_block_size <= log <= MAX_CLUSTER_LOG_SIZE:
            expected = f"{superblock.s_log_block_size} to {MAX_CLUSTER_LOG_SIZE}"
            yield f"s_log_cluster_size is {log}, expected is {expected}", 0x1C
            return
        ratio = 1 << log - superblock.s_log_block_size
        clusters = superblock.s_clusters_per_group
        if clusters > bits or per_group != clusters * ratio:
            reason = f"s_clusters_per_group is {clusters}, of {ratio} blocks each, and s_blocks_per_group {per_group}"
            yield f"{reason}: expected are at most {bits} clusters, and as many blocks as these have", 0x24
            return
    if not 8 <= per_group <= bits * ratio:
        yield f"s_blocks_per_group is {per_group}, expected is 8 to {bits * ratio}", 0x20
        return
    if not superblock.s_feature_ro_compat & EXT4_FEATURE_RO_COMPAT_BIGALLOC:
        yield from _clusters(superblock)
    first = superblock.s_first_data_block
    # With blocks of 1 KiB the first one is the boot sector's and belongs to no group, unless clusters are larger.
    expected_first = int(block_size == 1024 and ratio == 1)
    if first != expected_first or first >= blocks:
        yield f"s_first_data_block is {first} and there are {blocks} blocks, expected is {expected_first}", 0x14
        return
    if superblock.s_reserved_gdt_blocks > block_size // 4:  # their numbers are kept in one block
        found = superblock.s_reserved_gdt_blocks
        yield f"s_reserved_gdt_blocks is {found}, expected is at most {block_size // 4}", 0xCE
    groups = ceil_div(blocks - first, per_group)
    if groups * superblock.s_inodes_per_group != superblock.s_inodes_count:
        reason = f"s_inodes_count is {superblock.s_inodes_count}, but {groups} groups have"
        yield f"{reason} {groups * superblock.s_inodes_per_group} inodes", 0x0
    if superblock.s_feature_incompat & EXT4_FEATURE_INCOMPAT_META_BG:
        tables = ceil_div(groups, block_size // desc_size_of(superblock))
        if superblock.s_first_meta_bg > tables:
            yield f"s_first_meta_bg is {superblock.s_first_meta_bg}, there are {tables} blocks of descriptors", 0x104


def _clusters(superblock: Any) -> Iterator[tuple[str, int]]:
    """What is wrong with the fields about clusters where a cluster is a block."""
    for name, other, field in (
        ("s_log_cluster_size", "s_log_block_size", 0x1C),
        ("s_clusters_per_group", "s_blocks_per_group", 0x24),
    ):
        if superblock[name] != superblock[other]:
            reason = f"{name} is {superblock[name]}, and {other} {superblock[other]}"
            yield f"{reason}: they only differ with the feature bigalloc", field
