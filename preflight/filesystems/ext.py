"""The superblock of ext2, ext3 and ext4, and of an external journal (jbd).

Specification: Linux kernel documentation, ext4 Data Structures and Algorithms, section Super Block,
https://docs.kernel.org/filesystems/ext4/super.html
Which of the names applies: libblkid/src/superblocks/ext.c of util-linux. What features are called: lib/e2p/feature.c of
e2fsprogs.
"""

from collections.abc import Iterator
from typing import Any

from construct import Bytes, Int8ul, Int16ul, Int32ul, Int64ul, Padding, Struct

from preflight.binary import crc32c, parse, uuid_text
from preflight.errors import StructureError
from preflight.facts import Problem
from preflight.filesystems import FileSystemReader, Superblock
from preflight.filesystems._ext_geometry import impossible
from preflight.filesystems._ext_groups import read_groups
from preflight.filesystems._ext_journal import check_inodes
from preflight.filesystems._ext_mmp import check_mmp
from preflight.filesystems._fields import MAX_SIZE, label
from preflight.source import BlockSource

SUPERBLOCK_OFFSET = 1024
SUPERBLOCK_SIZE = 1024
CHECKSUM_OFFSET = 0x3FC  # s_checksum, the last field: it covers all before it
S_MAGIC = b"\x53\xef"  # 0xEF53

SUPERBLOCK = Struct(
    "s_inodes_count" / Int32ul,
    "s_blocks_count_lo" / Int32ul,
    "s_r_blocks_count_lo" / Int32ul,
    "s_free_blocks_count_lo" / Int32ul,
    "s_free_inodes_count" / Int32ul,
    "s_first_data_block" / Int32ul,
    "s_log_block_size" / Int32ul,  # the block size is 1024 << s_log_block_size
    "s_log_cluster_size" / Int32ul,
    "s_blocks_per_group" / Int32ul,
    "s_clusters_per_group" / Int32ul,
    "s_inodes_per_group" / Int32ul,
    Padding(12),  # s_mtime … s_max_mnt_count
    "s_magic" / Bytes(2),
    "s_state" / Int16ul,
    Padding(12),  # s_errors … s_checkinterval
    "s_creator_os" / Int32ul,
    "s_rev_level" / Int32ul,
    Padding(4),  # s_def_resuid, s_def_resgid
    "s_first_ino" / Int32ul,
    "s_inode_size" / Int16ul,
    Padding(2),  # s_block_group_nr
    "s_feature_compat" / Int32ul,
    "s_feature_incompat" / Int32ul,
    "s_feature_ro_compat" / Int32ul,
    "s_uuid" / Bytes(16),
    "s_volume_name" / Bytes(16),
    "s_last_mounted" / Bytes(64),
    Padding(6),  # s_algorithm_usage_bitmap … s_prealloc_dir_blocks
    "s_reserved_gdt_blocks" / Int16ul,
    Padding(16),  # s_journal_uuid
    "s_journal_inum" / Int32ul,
    "s_journal_dev" / Int32ul,
    Padding(20),  # s_last_orphan, s_hash_seed
    "s_def_hash_version" / Int8ul,
    Padding(1),  # s_jnl_backup_type
    "s_desc_size" / Int16ul,
    Padding(4),  # s_default_mount_opts
    "s_first_meta_bg" / Int32ul,
    Padding(72),  # s_mkfs_time … s_jnl_blocks
    "s_blocks_count_hi" / Int32ul,
    "s_r_blocks_count_hi" / Int32ul,
    Padding(4),  # s_free_blocks_count_hi
    "s_min_extra_isize" / Int16ul,
    "s_want_extra_isize" / Int16ul,
    "s_flags" / Int32ul,
    Padding(4),  # s_raid_stride, s_mmp_update_interval
    "s_mmp_block" / Int64ul,
    Padding(4),  # s_raid_stripe_width
    "s_log_groups_per_flex" / Int8ul,
    "s_checksum_type" / Int8ul,
    Padding(214),  # s_encryption_level … s_overhead_blocks and others
    "s_backup_bgs_0" / Int32ul,
    "s_backup_bgs_1" / Int32ul,
    Padding(28),  # s_encrypt_algos … s_prj_quota_inum
    "s_checksum_seed" / Int32ul,
    Padding(12),  # s_wtime_hi … s_encoding_flags
    "s_orphan_file_inum" / Int32ul,
    Padding(376),  # s_reserved
    "s_checksum" / Int32ul,
)

MAX_LOG_BLOCK_SIZE = 6  # 64 KiB, EXT2_MAX_BLOCK_LOG_SIZE 16 of e2fsprogs

EXT2_ERROR_FS = 0x0002  # s_state
EXT2_FLAGS_TEST_FILESYS = 0x0004

EXT3_FEATURE_COMPAT_HAS_JOURNAL = 0x0004

EXT2_FEATURE_INCOMPAT_FILETYPE = 0x0002
EXT3_FEATURE_INCOMPAT_RECOVER = 0x0004
EXT3_FEATURE_INCOMPAT_JOURNAL_DEV = 0x0008
EXT2_FEATURE_INCOMPAT_META_BG = 0x0010
EXT4_FEATURE_INCOMPAT_64BIT = 0x0080

EXT2_FEATURE_RO_COMPAT_SPARSE_SUPER = 0x0001
EXT2_FEATURE_RO_COMPAT_LARGE_FILE = 0x0002
EXT2_FEATURE_RO_COMPAT_BTREE_DIR = 0x0004
EXT4_FEATURE_RO_COMPAT_METADATA_CSUM = 0x0400
EXT4_FEATURE_RO_COMPAT_SUPP = 0x1A77F  # sparse_super … orphan_present; not those of snapshots, replicas and Android

EXT2_INCOMPAT = EXT2_FEATURE_INCOMPAT_FILETYPE | EXT2_FEATURE_INCOMPAT_META_BG
EXT3_INCOMPAT = EXT2_INCOMPAT | EXT3_FEATURE_INCOMPAT_RECOVER
EXT3_RO_COMPAT = (
    EXT2_FEATURE_RO_COMPAT_SPARSE_SUPER | EXT2_FEATURE_RO_COMPAT_LARGE_FILE | EXT2_FEATURE_RO_COMPAT_BTREE_DIR
)  # ext2 knows the same ones


# By bit, the names that dumpe2fs prints for the three words of features.
COMPAT_NAMES = {
    0: "dir_prealloc",
    1: "imagic_inodes",
    2: "has_journal",
    3: "ext_attr",
    4: "resize_inode",
    5: "dir_index",
    6: "lazy_bg",
    8: "snapshot_bitmap",
    9: "sparse_super2",
    10: "fast_commit",
    11: "stable_inodes",
    12: "orphan_file",
}
INCOMPAT_NAMES = {
    0: "compression",
    1: "filetype",
    2: "needs_recovery",
    3: "journal_dev",
    4: "meta_bg",
    6: "extent",
    7: "64bit",
    8: "mmp",
    9: "flex_bg",
    10: "ea_inode",
    12: "dirdata",
    13: "metadata_csum_seed",
    14: "large_dir",
    15: "inline_data",
    16: "encrypt",
    17: "casefold",
}
RO_COMPAT_NAMES = {
    0: "sparse_super",
    1: "large_file",
    3: "huge_file",
    4: "uninit_bg",
    5: "dir_nlink",
    6: "extra_isize",
    8: "quota",
    9: "bigalloc",
    10: "metadata_csum",
    11: "replica",
    12: "read-only",
    13: "project",
    14: "shared_blocks",
    15: "verity",
    16: "orphan_present",
}


def read(source: BlockSource) -> Superblock | None:
    """The superblock at byte 1024."""
    data = source.read_at(SUPERBLOCK_OFFSET, SUPERBLOCK_SIZE)
    superblock = parse(SUPERBLOCK, data, "ext superblock", SUPERBLOCK_OFFSET)
    if superblock.s_magic != S_MAGIC:
        return None
    type_ = _type(superblock)
    if type_ is None:
        return None
    size, problems = _size(superblock)
    if size is not None and type_ != "jbd":
        blocks = size // (1024 << superblock.s_log_block_size)
        found = [_problem(reason, field) for reason, field in impossible(superblock, blocks)]
        if not found:
            groups, wrong = read_groups(source, superblock, blocks)
            found += wrong or check_inodes(source, superblock, groups, blocks) or _mmp(source, superblock)
        problems += [*found, *_irregular(superblock)]
    if superblock.s_feature_ro_compat & EXT4_FEATURE_RO_COMPAT_METADATA_CSUM:
        # libblkid since 2.40 does not name a file system whose checksum differs; a damaged one is better named.
        computed = crc32c(data[:CHECKSUM_OFFSET])
        if superblock.s_checksum != computed:
            reason = f"s_checksum is {superblock.s_checksum:#010x}, computed is {computed:#010x}"
            problems.append(_problem(reason, CHECKSUM_OFFSET))
    return Superblock(
        type_,
        uuid=uuid_text(superblock.s_uuid),
        label=label(superblock.s_volume_name),
        size=size,
        features=_features(superblock),
        problems=tuple(problems),
    )


def _type(superblock: Any) -> str | None:
    """The name by the feature bits, None for bits that no name allows."""
    journal = superblock.s_feature_compat & EXT3_FEATURE_COMPAT_HAS_JOURNAL
    incompat, ro_compat = superblock.s_feature_incompat, superblock.s_feature_ro_compat
    if incompat & EXT3_FEATURE_INCOMPAT_JOURNAL_DEV:
        return "jbd"
    if superblock.s_flags & EXT2_FLAGS_TEST_FILESYS:
        return "ext4dev"
    if incompat & ~EXT3_INCOMPAT or ro_compat & ~EXT3_RO_COMPAT:
        return "ext4"
    if journal:
        return "ext3"
    # A journal to replay and no journal: neither name allows it.
    return None if incompat & ~EXT2_INCOMPAT else "ext2"


def _features(superblock: Any) -> tuple[str, ...]:
    """The names of all feature bits; those that nobody names are numbered, as dumpe2fs does it."""
    words = (
        (superblock.s_feature_compat, COMPAT_NAMES, "FEATURE_C"),
        (superblock.s_feature_incompat, INCOMPAT_NAMES, "FEATURE_I"),
        (superblock.s_feature_ro_compat, RO_COMPAT_NAMES, "FEATURE_R"),
    )
    return tuple(
        names.get(bit, f"{prefix}{bit}") for word, names, prefix in words for bit in range(32) if word >> bit & 1
    )


def _size(superblock: Any) -> tuple[int | None, list[Problem]]:
    """Bytes that the file system covers, None where the fields are impossible."""
    if superblock.s_log_block_size > MAX_LOG_BLOCK_SIZE:
        found = f"s_log_block_size is {superblock.s_log_block_size}, allowed is 0 to {MAX_LOG_BLOCK_SIZE}"
        return None, [_problem(found, 0x18)]
    blocks = superblock.s_blocks_count_lo
    if superblock.s_feature_incompat & EXT4_FEATURE_INCOMPAT_64BIT:
        blocks |= superblock.s_blocks_count_hi << 32
    size = blocks * (1024 << superblock.s_log_block_size)
    if not 0 < size <= MAX_SIZE:
        return None, [_problem(f"s_blocks_count is {blocks} blocks, expected is 1 block to 2**63 bytes", 0x4)]
    return size, []


def _mmp(source: BlockSource, superblock: Any) -> tuple[Problem, ...]:
    """What is wrong with its block; one that is out of reach is told with the size of the file system."""
    try:
        return check_mmp(source, superblock)
    except StructureError:
        return ()


def _irregular(superblock: Any) -> Iterator[Problem]:
    """What Linux mounts all the same, but not as one would like it to."""
    if superblock.s_state & EXT2_ERROR_FS:
        message = "s_state has the bit ERROR_FS (0x2): Linux met errors in it, and e2fsck has not been run since"
        yield Problem("superblock-irregular", message, "ext superblock", SUPERBLOCK_OFFSET + 0x3A)
    if superblock.s_feature_compat & EXT3_FEATURE_COMPAT_HAS_JOURNAL and superblock.s_journal_dev:
        message = f"s_journal_dev is {superblock.s_journal_dev:#x}: the journal is on another disk, which must be there"
        yield Problem("superblock-irregular", message, "ext superblock", SUPERBLOCK_OFFSET + 0xE4)
    unknown = superblock.s_feature_ro_compat & ~EXT4_FEATURE_RO_COMPAT_SUPP
    if unknown:
        message = f"s_feature_ro_compat has the bits {unknown:#x}: Linux mounts it for reading only"
        yield Problem("superblock-irregular", message, "ext superblock", SUPERBLOCK_OFFSET + 0x64)


def _problem(message: str, field: int) -> Problem:
    return Problem("superblock-invalid", message, "ext superblock", SUPERBLOCK_OFFSET + field)


FILESYSTEM = FileSystemReader(read)
