"""What btrfs writes: numbers, flags and the layouts of nodes and items.

Specification: btrfs on-disk format, sections Superblock, Header, Chunk item, Inode item, Root item, Directory item
and Extent data, https://btrfs.readthedocs.io/en/latest/dev/On-disk-format.html. The first part of the superblock is
`preflight.filesystems.btrfs.SUPERBLOCK`; its end, the header of nodes, keys and chunks are in
`preflight.filesystems._btrfs_layouts`.
"""

import struct

from construct import Bytes, Int8ul, Int16ul, Int32ul, Int64ul, Struct

from preflight.filesystems._btrfs_layouts import KEY, KEY_SIZE

Key = tuple[int, int, int]
"""objectid, type and offset: the order in which items lie in their tree."""

MAX_U64 = (1 << 64) - 1

# Objectids: trees, and what else stands in their place.
ROOT_TREE_OBJECTID = 1
DEV_ITEMS_OBJECTID = 1
EXTENT_TREE_OBJECTID = 2
EMPTY_SUBVOL_DIR_OBJECTID = 2
CHUNK_TREE_OBJECTID = 3
DEV_TREE_OBJECTID = 4
FS_TREE_OBJECTID = 5
ROOT_TREE_DIR_OBJECTID = 6
CSUM_TREE_OBJECTID = 7
QUOTA_TREE_OBJECTID = 8
UUID_TREE_OBJECTID = 9
FREE_SPACE_TREE_OBJECTID = 10
BLOCK_GROUP_TREE_OBJECTID = 11
FIRST_CHUNK_TREE_OBJECTID = 256
FIRST_FREE_OBJECTID = 256  # of subvolumes, and of the inodes in them
LAST_FREE_OBJECTID = (1 << 64) - 256
LAST_SUBVOLUME = (1 << 48) - 1  # the bits above are the level of a quota group
# Linux counts down from -1, here from 2^64.
FREE_INO_OBJECTID = (1 << 64) - 12
EXTENT_CSUM_OBJECTID = (1 << 64) - 10
DATA_RELOC_TREE_OBJECTID = (1 << 64) - 9
TREE_RELOC_OBJECTID = (1 << 64) - 8
TREE_LOG_OBJECTID = (1 << 64) - 6
ORPHAN_OBJECTID = (1 << 64) - 5

INODE_IMMUTABLE = 1 << 6  # flag of an inode: chattr +i

# Types of items.
INODE_ITEM_KEY = 1
INODE_REF_KEY = 12
INODE_EXTREF_KEY = 13
XATTR_ITEM_KEY = 24
ORPHAN_ITEM_KEY = 48
DIR_ITEM_KEY = 84
DIR_INDEX_KEY = 96
EXTENT_DATA_KEY = 108
EXTENT_CSUM_KEY = 128
ROOT_ITEM_KEY = 132
ROOT_BACKREF_KEY = 144
ROOT_REF_KEY = 156
EXTENT_ITEM_KEY = 168
METADATA_ITEM_KEY = 169
EXTENT_OWNER_REF_KEY = 172
TREE_BLOCK_REF_KEY = 176
EXTENT_DATA_REF_KEY = 178
SHARED_BLOCK_REF_KEY = 182
SHARED_DATA_REF_KEY = 184
BLOCK_GROUP_ITEM_KEY = 192
DEV_EXTENT_KEY = 204
DEV_ITEM_KEY = 216
RAID_STRIPE_KEY = 230
QGROUP_STATUS_KEY = 240

INCOMPAT_FLAGS = (
    "MIXED_BACKREF",
    "DEFAULT_SUBVOL",
    "MIXED_GROUPS",
    "COMPRESS_LZO",
    "COMPRESS_ZSTD",
    "BIG_METADATA",
    "EXTENDED_IREF",
    "RAID56",
    "SKINNY_METADATA",
    "NO_HOLES",
    "METADATA_UUID",
    "RAID1C34",
    "ZONED",
    "EXTENT_TREE_V2",
    "RAID_STRIPE_TREE",
    "ENCRYPT",
    "SIMPLE_QUOTA",
    "REMAP_TREE",
)
"""By bit."""
# Read are those that leave the way from a path to its bytes as it was. The compat_ro ones (free-space tree, block-group
# tree, verity) all do: they concern who writes.
INCOMPAT_NOT_READ = 1 << 13 | 1 << 14 | 1 << 15 | 1 << 17
INCOMPAT_MIXED_GROUPS = 1 << 2
INCOMPAT_SKINNY_METADATA = 1 << 8
COMPAT_RO_FREE_SPACE_TREE, COMPAT_RO_BLOCK_GROUP_TREE = 1 << 0, 1 << 3
CSUM_SIZES = (4, 8, 32, 32)  # bytes, by csum_type

HEADER_WRITTEN, HEADER_RELOC = 1 << 0, 1 << 1  # flags of a node

# The arrays behind a header are unpacked by the standard library: a node has hundreds of entries, of which a search
# wants one, and construct would take a hundred times as long for the same tuples. A key is objectid, type, offset.
ITEM = struct.Struct("<QBQII")  # key, offset (of the data, from the end of the header), size
KEY_PTR = struct.Struct("<QBQQQ")  # key, blockptr, generation

BLOCK_GROUP_DATA, BLOCK_GROUP_SYSTEM, BLOCK_GROUP_METADATA = 1 << 0, 1 << 1, 1 << 2
BLOCK_GROUP_KINDS = BLOCK_GROUP_DATA | BLOCK_GROUP_SYSTEM | BLOCK_GROUP_METADATA
BLOCK_GROUP_MIXED = BLOCK_GROUP_DATA | BLOCK_GROUP_METADATA
BLOCK_GROUP_USES = (BLOCK_GROUP_DATA, BLOCK_GROUP_SYSTEM, BLOCK_GROUP_METADATA, BLOCK_GROUP_MIXED)
BLOCK_GROUP_PROFILES = {
    1 << 3: "RAID0",
    1 << 4: "RAID1",
    1 << 5: "DUP",
    1 << 6: "RAID10",
    1 << 7: "RAID5",
    1 << 8: "RAID6",
    1 << 9: "RAID1C3",
    1 << 10: "RAID1C4",
}
PROFILE_BITS = sum(BLOCK_GROUP_PROFILES)


def is_subvolume(objectid: int) -> bool:
    """Whether a tree of this number holds files: Linux, btrfs_is_fstree."""
    return objectid == FS_TREE_OBJECTID or FIRST_FREE_OBJECTID <= objectid <= LAST_SUBVOLUME


INODE_ITEM = Struct(
    "generation" / Int64ul,
    "transid" / Int64ul,
    "size" / Int64ul,
    "nbytes" / Int64ul,
    "block_group" / Int64ul,
    "nlink" / Int32ul,
    "uid" / Int32ul,
    "gid" / Int32ul,
    "mode" / Int32ul,
    "rdev" / Int64ul,
    "flags" / Int64ul,
    "sequence" / Int64ul,
    "reserved_and_times" / Bytes(80),
)
INODE_ITEM_SIZE = 160

ROOT_ITEM = Struct(  # what every version has; Linux 3.6 and later put UUIDs and times behind it
    "inode" / Bytes(INODE_ITEM_SIZE),
    "generation" / Int64ul,
    "root_dirid" / Int64ul,
    "bytenr" / Int64ul,
    "byte_limit" / Int64ul,
    "bytes_used" / Int64ul,
    "last_snapshot" / Int64ul,
    "flags" / Int64ul,
    "refs" / Int32ul,
    "drop_progress" / Bytes(KEY_SIZE),
    "drop_level" / Int8ul,
    "level" / Int8ul,
)
ROOT_ITEM_SIZE = 239

ROOT_REF = Struct("dirid" / Int64ul, "sequence" / Int64ul, "name_len" / Int16ul)  # a ROOT_BACKREF is the same
ROOT_REF_SIZE = 18

INODE_REF = Struct("index" / Int64ul, "name_len" / Int16ul)
INODE_REF_SIZE = 10

DIR_ITEM = Struct(
    "location" / KEY,
    "transid" / Int64ul,
    "data_len" / Int16ul,
    "name_len" / Int16ul,
    "type" / Int8ul,
)
DIR_ITEM_SIZE = 30
MAX_NAME_LEN = 255
NAME_HASH_INITIAL = 0xFFFFFFFE  # the crc32c of a name begins with ~1 and is not inverted at its end

EXTENT_DATA = Struct(
    "generation" / Int64ul,
    "ram_bytes" / Int64ul,
    "compression" / Int8ul,
    "encryption" / Int8ul,
    "other_encoding" / Int16ul,
    "type" / Int8ul,
)
EXTENT_DATA_SIZE = 21
EXTENT_INLINE, EXTENT_REGULAR, EXTENT_PREALLOC = range(3)
# What follows where the extent is not inline: where it is (0: a hole), and which part of it is this one's.
EXTENT_ON_DISK = Struct(
    "disk_bytenr" / Int64ul,
    "disk_num_bytes" / Int64ul,
    "offset" / Int64ul,
    "num_bytes" / Int64ul,
)
EXTENT_ON_DISK_SIZE = 32
