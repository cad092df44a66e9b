"""The structures of ext2, ext3 and ext4 that lead to the bytes of a file, in the order of their bytes.

Specification: Linux kernel documentation, ext4 Data Structures and Algorithms,
https://docs.kernel.org/filesystems/ext4/
"""

from construct import Bytes, Int8ul, Int16ul, Int32ul, Padding, Struct

EXT4_FEATURE_COMPAT_DIR_INDEX = 0x0020
EXT4_FEATURE_COMPAT_SPARSE_SUPER2 = 0x0200
EXT2_FEATURE_RO_COMPAT_SPARSE_SUPER = 0x0001
EXT4_FEATURE_RO_COMPAT_HUGE_FILE = 0x0008
EXT4_FEATURE_INCOMPAT_RECOVER = 0x0004
EXT4_FEATURE_INCOMPAT_META_BG = 0x0010
EXT4_FEATURE_INCOMPAT_64BIT = 0x0080
EXT4_FEATURE_INCOMPAT_EA_INODE = 0x0400
EXT4_FEATURE_INCOMPAT_LARGEDIR = 0x4000
EXT4_FEATURE_INCOMPAT_CASEFOLD = 0x20000
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
    "i_blocks_lo" / Int32ul,
    "i_flags" / Int32ul,
    Padding(4),  # osd1
    "i_block" / Bytes(I_BLOCK_SIZE),
    Padding(4),  # i_generation
    "i_file_acl_lo" / Int32ul,
    "i_size_high" / Int32ul,
    Padding(4),  # i_obso_faddr
    "l_i_blocks_high" / Int16ul,
    "l_i_file_acl_high" / Int16ul,
    Padding(8),  # l_i_uid_high … l_i_reserved, with which the 128 bytes of the first revision end
)
I_MODE, I_SIZE, I_LINKS_COUNT, I_FLAGS, I_BLOCK, I_FILE_ACL = 0x0, 0x4, 0x1A, 0x20, 0x28, 0x68

EXT4_IMMUTABLE_FL = 0x10
EXT4_APPEND_FL = 0x20
EXT4_COMPRBLK_FL = 0x00000200
EXT4_ENCRYPT_FL = 0x00000800
EXT4_INDEX_FL = 0x00001000
EXT4_EXTENTS_FL = 0x00080000
EXT4_EA_INODE_FL = 0x00200000
EXT4_INLINE_DATA_FL = 0x10000000
EXT4_CASEFOLD_FL = 0x40000000

EXT4_EXT_MAGIC = 0xF30A
EXTENT_HEADER_FORMAT = "<HHHHxxxx"  # eh_magic, eh_entries, eh_max, eh_depth, eh_generation; as large as an entry
EXTENT_FORMAT = "<IHHI"  # ee_block, ee_len, ee_start_hi, ee_start_lo
EXTENT_INDEX_FORMAT = "<IIHxx"  # ei_block, ei_leaf_lo, ei_leaf_hi, ei_unused
EXT_INIT_MAX_LEN = 32768  # an extent that is longer was never written, and has that much less
MAX_EXTENT_DEPTH = 5  # EXT4_MAX_EXTENT_DEPTH

DIRECT_BLOCKS = 12  # EXT4_NDIR_BLOCKS; then come one indirect, one double and one triple indirect block

DIRECTORY_ENTRY_FORMAT = "<IHBB"  # inode, rec_len, name_len, file_type (0 where the names of files are without types)
DIRECTORY_ENTRY_SIZE = 8  # without its name
INLINE_DIRECTORY_SKIP = 4  # bytes of i_block with the inode of the parent
DIRENT_TAIL_FORMAT = "<IHBBI"  # det_reserved_zero1, det_rec_len, det_reserved_zero2, det_reserved_ft, det_checksum
EXT4_FT_DIR_CSUM = 0xDE
DX_ROOT_INFO_OFFSET = 24  # behind the entries `.` and `..`
DX_ROOT_INFO_FORMAT = "<IxBxx"  # reserved_zero, hash_version, info_length, indirect_levels, unused_flags
DX_COUNTLIMIT_FORMAT = "<HH"  # limit, count; they lie in the first dx_entry
DX_ENTRY_SIZE = 8
DX_TAIL_FORMAT = "<II"  # dt_reserved, dt_checksum

EXT4_XATTR_MAGIC = 0xEA020000
XATTR_HEADER = Struct(  # of a block; that in an inode has h_magic alone
    "h_magic" / Int32ul,
    Padding(4),  # h_refcount
    "h_blocks" / Int32ul,
    Padding(4),  # h_hash
    "h_checksum" / Int32ul,
    Padding(12),  # h_reserved
)
XATTR_HEADER_SIZE = 32
H_CHECKSUM = 0x10
XATTR_ENTRY = Struct(
    "e_name_len" / Int8ul,
    "e_name_index" / Int8ul,
    "e_value_offs" / Int16ul,
    "e_value_inum" / Int32ul,
    "e_value_size" / Int32ul,
    "e_hash" / Int32ul,
)
XATTR_ENTRY_SIZE = 16
EXT4_XATTR_SIZE_MAX = 1 << 24
EXT4_XATTR_INDEX_SYSTEM = 7
XATTR_SYSTEM_DATA = b"data"
