"""The structures of ext2, ext3 and ext4 that lead to the bytes of a file, in the order of their bytes.

Specification: Linux kernel documentation, ext4 Data Structures and Algorithms,
https://docs.kernel.org/filesystems/ext4/
"""

from construct import Bytes, Int8ul, Int16ul, Int32ul, Padding, Struct

SUPERBLOCK_OFFSET = 1024
S_MAGIC = 0xEF53

SUPERBLOCK = Struct(
    "s_inodes_count" / Int32ul,
    "s_blocks_count_lo" / Int32ul,
    Padding(12),  # s_r_blocks_count_lo … s_free_inodes_count
    "s_first_data_block" / Int32ul,
    "s_log_block_size" / Int32ul,  # the block size is 1024 << s_log_block_size
    Padding(4),  # s_log_cluster_size
    "s_blocks_per_group" / Int32ul,
    Padding(4),  # s_clusters_per_group
    "s_inodes_per_group" / Int32ul,
    Padding(12),  # s_mtime … s_max_mnt_count
    "s_magic" / Int16ul,
    Padding(18),  # s_state … s_creator_os
    "s_rev_level" / Int32ul,
    Padding(8),  # s_def_resuid … s_first_ino
    "s_inode_size" / Int16ul,
    Padding(2),  # s_block_group_nr
    "s_feature_compat" / Int32ul,
    "s_feature_incompat" / Int32ul,
    "s_feature_ro_compat" / Int32ul,
    Padding(150),  # s_uuid … s_jnl_backup_type and others
    "s_desc_size" / Int16ul,
    Padding(4),  # s_default_mount_opts
    "s_first_meta_bg" / Int32ul,
    Padding(72),  # s_mkfs_time … s_jnl_blocks
    "s_blocks_count_hi" / Int32ul,
    Padding(248),  # s_r_blocks_count_hi … s_overhead_blocks
    "s_backup_bgs" / Int32ul[2],
)
EXT2_GOOD_OLD_REV = 0
EXT2_GOOD_OLD_INODE_SIZE = 128

EXT4_FEATURE_COMPAT_SPARSE_SUPER2 = 0x0200
EXT2_FEATURE_RO_COMPAT_SPARSE_SUPER = 0x0001

EXT4_FEATURE_INCOMPAT_FILETYPE = 0x0002
EXT4_FEATURE_INCOMPAT_META_BG = 0x0010
EXT4_FEATURE_INCOMPAT_64BIT = 0x0080
EXT4_FEATURE_INCOMPAT_LARGEDIR = 0x4000
INCOMPATIBLE = {  # names as in `tune2fs -O`
    0x0001: "compression",
    0x0002: "filetype",
    0x0004: "needs_recovery",
    0x0008: "journal_dev",
    0x0010: "meta_bg",
    0x0040: "extent",
    0x0080: "64bit",
    0x0100: "mmp",
    0x0200: "flex_bg",
    0x0400: "ea_inode",
    0x1000: "dirdata",
    0x2000: "metadata_csum_seed",
    0x4000: "large_dir",
    0x8000: "inline_data",
    0x10000: "encrypt",
    0x20000: "casefold",
}
REFUSED = 0x0001 | 0x0008  # files compressed by a patch that nobody has any more, and a journal without files

GROUP_DESCRIPTOR_SIZE = 32  # of one without the feature 64bit
BG_INODE_TABLE_LO = 0x08
BG_INODE_TABLE_HI = 0x28

EXT4_ROOT_INO = 2
I_BLOCK_SIZE = 60
INODE = Struct(
    "i_mode" / Int16ul,
    Padding(2),  # i_uid
    "i_size_lo" / Int32ul,
    Padding(18),  # i_atime … i_gid
    "i_links_count" / Int16ul,
    Padding(4),  # i_blocks_lo
    "i_flags" / Int32ul,
    Padding(4),  # osd1
    "i_block" / Bytes(I_BLOCK_SIZE),
    Padding(8),  # i_generation, i_file_acl_lo
    "i_size_high" / Int32ul,
    Padding(16),  # i_obso_faddr and osd2, with which the 128 bytes of the first revision end
)
I_EXTRA_ISIZE_OFFSET = 0x80

EXT4_IMMUTABLE_FL = 0x10
EXT4_COMPRBLK_FL = 0x00000200
EXT4_ENCRYPT_FL = 0x00000800
EXT4_EXTENTS_FL = 0x00080000
EXT4_INLINE_DATA_FL = 0x10000000
EXT4_CASEFOLD_FL = 0x40000000

EXT4_EXT_MAGIC = 0xF30A
EXTENT_HEADER_FORMAT = "<HHxxHxxxx"  # eh_magic, eh_entries, eh_max, eh_depth, eh_generation; as large as an entry
EXTENT_FORMAT = "<IHHI"  # ee_block, ee_len, ee_start_hi, ee_start_lo
EXTENT_INDEX_FORMAT = "<IIHxx"  # ei_block, ei_leaf_lo, ei_leaf_hi, ei_unused
EXT_INIT_MAX_LEN = 32768  # an extent that is longer was never written, and has that much less
MAX_EXTENT_DEPTH = 5  # EXT4_MAX_EXTENT_DEPTH

DIRECT_BLOCKS = 12  # EXT4_NDIR_BLOCKS; then come one indirect, one double and one triple indirect block

DIRECTORY_ENTRY_FORMAT = "<IHBB"  # inode, rec_len, name_len, file_type
DIRECTORY_ENTRY_SIZE = 8  # without its name
INLINE_DIRECTORY_SKIP = 4  # bytes of i_block with the inode of the parent

EXT4_XATTR_MAGIC = 0xEA020000
XATTR_ENTRY = Struct(
    "e_name_len" / Int8ul,
    "e_name_index" / Int8ul,
    "e_value_offs" / Int16ul,
    "e_value_inum" / Int32ul,
    "e_value_size" / Int32ul,
    "e_hash" / Int32ul,
)
XATTR_ENTRY_SIZE = 16
EXT4_XATTR_INDEX_SYSTEM = 7
XATTR_SYSTEM_DATA = b"data"
