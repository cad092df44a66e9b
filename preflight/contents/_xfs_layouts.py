"""How XFS lies on the disk: inodes, extents, directories and links. All is big-endian, but for the checksums.

Specification: XFS Algorithms & Data Structures, 3rd edition, sections On-disk Inode, Data Extents, Directories and
Symbolic Links, https://mirrors.edge.kernel.org/pub/linux/utils/fs/xfs/docs/xfs_filesystem_structure.pdf
"""

from typing import NamedTuple

from construct import Bytes, Int8ub, Int16ub, Int32ub, Int64ub, Padding, Struct

from preflight.units import GiB

# sb_versionnum
XFS_SB_VERSION_4, XFS_SB_VERSION_5 = 4, 5
XFS_SB_VERSION_DIRV2BIT = 0x2000
XFS_SB_VERSION_BORGBIT = 0x4000  # names are compared without case: mkfs.xfs -n version=ci
XFS_SB_VERSION2_FTYPE = 0x0200  # sb_features2
XFS_SB_FEAT_INCOMPAT_FTYPE = 0x0001
XFS_SB_FEAT_INCOMPAT_META_UUID = 0x0004
INCOMPATIBLE = {  # those that are read
    XFS_SB_FEAT_INCOMPAT_FTYPE: "ftype",
    0x0002: "spinodes",
    XFS_SB_FEAT_INCOMPAT_META_UUID: "meta_uuid",
    0x0008: "bigtime",
    0x0010: "needsrepair",
    0x0020: "nrext64",
    0x0040: "exchrange",
    0x0080: "parent",
    0x0100: "metadir",  # the inodes of quotas and of realtime devices have a directory of their own, beside the root
}


class Seal(NamedTuple):
    """Where the metadata of version 5 say which they are; in bytes from their beginning."""

    crc: int
    uuid: int
    owner: int


class Magics(NamedTuple):
    """What a structure begins with in version 4, and in version 5."""

    plain: bytes
    sealed: bytes


XFS_DINODE_MAGIC = 0x494E
DINODE = Struct(
    "di_magic" / Int16ub,
    "di_mode" / Int16ub,
    "di_version" / Int8ub,
    "di_format" / Int8ub,
    Padding(18),  # di_onlink … di_projid_hi
    "di_big_nextents" / Int64ub,  # with XFS_DIFLAG2_NREXT64; without it padding and di_flushiter
    Padding(24),  # di_atime, di_mtime, di_ctime
    "di_size" / Int64ub,
    Padding(12),  # di_nblocks, di_extsize
    "di_nextents" / Int32ub,
    Padding(2),  # di_anextents
    "di_forkoff" / Int8ub,  # in units of 8 bytes
    Padding(7),  # di_aformat … di_dmstate
    "di_flags" / Int16ub,
    Padding(8),  # di_gen, di_next_unlinked
)
DINODE_SIZE = 100
DINODE_3 = Struct(  # what version 3 has after it
    Padding(20),  # di_crc, di_changecount, di_lsn
    "di_flags2" / Int64ub,
    Padding(24),  # di_cowextsize … di_crtime
    "di_ino" / Int64ub,
    Padding(16),  # di_uuid
)
DINODE_3_SIZE = 176
DINODE_SEAL = Seal(crc=100, uuid=160, owner=152)

XFS_DINODE_FMT_LOCAL, XFS_DINODE_FMT_EXTENTS, XFS_DINODE_FMT_BTREE = 1, 2, 3
XFS_DIFLAG_REALTIME = 0x0001
XFS_DIFLAG_IMMUTABLE = 0x0008
XFS_DIFLAG2_NREXT64 = 0x0010

EXTENT_FORMAT = ">QQ"  # from the highest bit: 1 unwritten, 54 br_startoff, 52 br_startblock, 21 br_blockcount
EXTENT_SIZE = 16
BMDR_BLOCK = Struct("bb_level" / Int16ub, "bb_numrecs" / Int16ub)  # the root of a tree of extents, in the inode
BMDR_BLOCK_SIZE = 4
BMBT_BLOCK = Struct(
    "bb_magic" / Bytes(4),
    "bb_level" / Int16ub,
    "bb_numrecs" / Int16ub,
    Padding(16),  # bb_leftsib, bb_rightsib
)
BMBT_BLOCK_SIZE = 24
BMBT_BLOCK_3_SIZE = 72
BMBT_SEAL = Seal(crc=64, uuid=40, owner=56)
BMBT_MAGICS = Magics(b"BMAP", b"BMA3")
BMBT_PAIR_SIZE = 16  # a key of 8 bytes; behind the room for all keys are the pointers, of 8 bytes each

XFS_DIR2_LEAF_OFFSET = 32 * GiB  # in the directory: before it are names, behind it is the index
XFS_DIR2_FREE_OFFSET = 64 * GiB
XFS_DIR2_DATA_ALIGN = 8
XFS_DIR2_DATA_FREE_TAG = 0xFFFF
DIR2_SF_HEADER_SIZE = 2  # count, i8count; then comes the parent
DIR2_BLOCK_MAGICS = Magics(b"XD2B", b"XDB3")  # the one block of a directory, with its index at the end
DIR2_DATA_MAGICS = Magics(b"XD2D", b"XDD3")
DIR2_DATA_HEADER_SIZE = 16
DIR3_DATA_HEADER_SIZE = 64
DIR3_DATA_SEAL = Seal(crc=4, uuid=24, owner=40)
DIR2_DATA_ENTRY_FORMAT = ">QB"  # inumber, namelen; then the name, the file type where there are such, and the tag
DIR2_DATA_UNUSED_FORMAT = ">HH"  # freetag, length
DIR2_TAG_FORMAT = ">H"  # where in the block the entry begins
DIR2_BLOCK_TAIL = Struct("count" / Int32ub, "stale" / Int32ub)
DIR2_BLOCK_TAIL_SIZE = 8
DIR2_LEAF_ENTRY_SIZE = 8  # hashval, address in units of 8 bytes

DA_BLOCK = Struct(  # a block of the index, by its name in version 4 and 5
    "forw" / Int32ub,
    Padding(4),  # back
    "magic" / Bytes(2),
    Padding(2),
)
DA_BLOCK_SIZE = 12
DA3_BLOCK_SIZE = 56
DA_BLOCK_SEAL = Seal(crc=12, uuid=32, owner=48)
DA_COUNT_FORMAT = ">HH"  # behind both: count, and stale of a leaf or level of a node
DA_HEADER_SIZE = 16
DA3_HEADER_SIZE = 64
DA_NODE_MAGICS = Magics(b"\xfe\xbe", b"\x3e\xbe")
DIR2_LEAF1_MAGICS = Magics(b"\xd2\xf1", b"\x3d\xf1")
DIR2_LEAFN_MAGICS = Magics(b"\xd2\xff", b"\x3d\xff")
XFS_DA_NODE_MAXDEPTH = 5

XFS_SYMLINK_MAXLEN = 1024
XFS_SYMLINK_MAGIC = b"XSLM"
DSYMLINK = Struct(  # version 5 alone has one before each run of blocks
    "sl_magic" / Bytes(4),
    "sl_offset" / Int32ub,
    "sl_bytes" / Int32ub,
    Padding(44),  # sl_crc … sl_lsn
)
DSYMLINK_SIZE = 56
DSYMLINK_SEAL = Seal(crc=12, uuid=16, owner=32)
