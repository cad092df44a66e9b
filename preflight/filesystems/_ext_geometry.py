"""Whether the numbers in a superblock of ext2, ext3 or ext4 can be a file system: what Linux asks before it mounts one.

Specification: Linux, fs/ext4/super.c, ext4_fill_super; https://docs.kernel.org/filesystems/ext4/super.html
"""

from collections.abc import Iterator
from typing import Any

from preflight.units import ceil_div, is_power_of_two

EXT2_DYNAMIC_REV = 1
EXT2_GOOD_OLD_INODE_SIZE, EXT2_GOOD_OLD_FIRST_INO = 128, 11
EXT4_FEATURE_INCOMPAT_META_BG = 0x0010
EXT4_FEATURE_INCOMPAT_64BIT = 0x0080
EXT4_FEATURE_RO_COMPAT_BIGALLOC = 0x0200
EXT4_FEATURE_RO_COMPAT_METADATA_CSUM = 0x0400
EXT4_CRC32C_CHKSUM = 1
MIN_DESC_SIZE, MIN_DESC_SIZE_64BIT, MAX_DESC_SIZE = 32, 64, 1024
MAX_CLUSTER_LOG_SIZE = 20  # EXT4_MAX_CLUSTER_LOG_SIZE, counted from 1 KiB


def impossible(superblock: Any, blocks: int) -> Iterator[tuple[str, int]]:
    """What Linux refuses, each as a sentence and the byte of the field; the sizes of `blocks` were found possible.

    Not for an external journal, whose superblock has no groups.
    """
    block_size = 1024 << superblock.s_log_block_size
    bits = block_size * 8  # of one block of a bitmap
    if superblock.s_rev_level > EXT2_DYNAMIC_REV:
        yield f"s_rev_level is {superblock.s_rev_level}, known are 0 and {EXT2_DYNAMIC_REV}", 0x4C
    inode_size = _inode_size(superblock)
    if not (is_power_of_two(inode_size) and EXT2_GOOD_OLD_INODE_SIZE <= inode_size <= block_size):
        expected = f"a power of two from {EXT2_GOOD_OLD_INODE_SIZE} to {block_size}"
        yield f"s_inode_size is {inode_size} bytes, expected is {expected}", 0x58
        return
    if superblock.s_rev_level and superblock.s_first_ino < EXT2_GOOD_OLD_FIRST_INO:
        yield f"s_first_ino is {superblock.s_first_ino}, expected is {EXT2_GOOD_OLD_FIRST_INO} or more", 0x54
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
    yield from _groups(superblock, blocks, block_size, bits)


def _inode_size(superblock: Any) -> int:
    return int(superblock.s_inode_size) if superblock.s_rev_level else EXT2_GOOD_OLD_INODE_SIZE


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
    if not 0 < per_group <= bits * ratio:
        yield f"s_blocks_per_group is {per_group}, expected is 1 to {bits * ratio}", 0x20
        return
    first = superblock.s_first_data_block
    # With blocks of 1 KiB the first one is the boot sector's and belongs to no group, unless clusters are larger.
    if not (block_size == 1024 and ratio == 1) <= first < blocks:
        yield f"s_first_data_block is {first}, expected is less than the {blocks} blocks that there are", 0x14
        return
    groups = ceil_div(blocks - first, per_group)
    if groups * superblock.s_inodes_per_group != superblock.s_inodes_count:
        reason = f"s_inodes_count is {superblock.s_inodes_count}, but {groups} groups have"
        yield f"{reason} {groups * superblock.s_inodes_per_group} inodes", 0x0
    if superblock.s_feature_incompat & EXT4_FEATURE_INCOMPAT_META_BG:
        size = superblock.s_desc_size if superblock.s_feature_incompat & EXT4_FEATURE_INCOMPAT_64BIT else MIN_DESC_SIZE
        tables = ceil_div(groups, block_size // size)
        if superblock.s_first_meta_bg > tables:
            yield f"s_first_meta_bg is {superblock.s_first_meta_bg}, there are {tables} blocks of descriptors", 0x104
