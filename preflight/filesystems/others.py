"""Superblocks of rare owners, each little more than a magic and a few fields.

Specification: Linux kernel, fs/ubifs/ubifs-media.h, struct ubifs_sb_node; fs/zonefs/zonefs.h, struct zonefs_super;
fs/freevxfs/vxfs.h, struct vxfs_sb; for exfs, mpool, NSS and ScoutFS libblkid/src/superblocks/exfs.c, mpool.c,
netware.c and scoutfs.c of util-linux.
"""

from construct import Bytes, Construct, Int32ub, Int32ul, Int64ul, Padding, Struct

from preflight.binary import crc32, crc32c, parse_at, uuid_text
from preflight.facts import Problem
from preflight.filesystems import FileSystemReader, Superblock
from preflight.filesystems._fields import label
from preflight.filesystems._sizes import stated_size
from preflight.filesystems.xfs import SUPERBLOCK as EXFS_SUPERBLOCK  # exfs has changed the magic only
from preflight.filesystems.xfs import impossible
from preflight.source import BlockSource
from preflight.units import KiB

UBIFS_MAGIC = b"\x31\x18\x10\x06"
UBIFS_SB_NODE = Struct(
    "magic" / Bytes(4),
    "crc" / Int32ul,
    Padding(8),  # sqnum
    "len" / Int32ul,
    Padding(16),  # node_type … min_io_size
    "leb_size" / Int32ul,
    "leb_cnt" / Int32ul,
    Padding(64),  # max_leb_cnt … time_gran
    "uuid" / Bytes(16),
)
UBIFS_CRC_START = 8  # the CRC covers what follows it, up to len
UBIFS_SB_NODE_SIZE = 4 * KiB

ZONEFS_MAGIC = b"SFOZ"
ZONEFS_SUPER = Struct("s_magic" / Bytes(4), "s_crc" / Int32ul, "s_label" / Bytes(32), "s_uuid" / Bytes(16))
ZONEFS_SUPER_SIZE = 4 * KiB
ZONEFS_CRC_OFFSET = 4

MPOOL_MAGIC = b"mpoolDev"
MPOOL_SB = Struct(
    "osb_magic" / Bytes(8),
    "osb_name" / Bytes(32),
    "osb_poolid" / Bytes(16),
    Padding(6),  # osb_vers, osb_gen
    "osb_cksum1" / Int32ul,  # of all before it
)
MPOOL_CKSUM1_OFFSET = 62

NSS_OFFSET = 4 * KiB
NSS_SIGNATURE = b"SPB5"
NSS_SUPER_BLOCK = Struct("SBH_Signature" / Bytes(4), Padding(344), "SBH_PoolID" / Bytes(16))


def _vxfs_layout(int32: Construct) -> Struct:
    return Struct(Padding(32), "vs_bsize" / int32, "vs_size" / int32)  # vs_magic … vs_old_logend


VXFS_MAGIC = 0xA501FCF5
VXFS_PLACES = (
    (1 * KiB, VXFS_MAGIC.to_bytes(4, "little"), _vxfs_layout(Int32ul)),  # UnixWare
    (8 * KiB, VXFS_MAGIC.to_bytes(4, "big"), _vxfs_layout(Int32ub)),  # HP-UX
)

EXFS_MAGIC = b"EXFS"

SCOUTFS_OFFSET = 64 * KiB
SCOUTFS_MAGIC = b"\x8b\x42\x3c\x10"
SCOUTFS_MAGIC_OFFSET = SCOUTFS_OFFSET + 4
SCOUTFS_SUPER_BLOCK = Struct("crc" / Int32ul, Padding(44), "flags" / Int64ul, "uuid" / Bytes(16))
SCOUTFS_BLOCK_SIZE = 4 * KiB
SCOUTFS_FLAG_IS_META_BDEV = 0x01


def read(source: BlockSource) -> Superblock | None:
    """The superblock of whichever of them it is."""
    for offset, magic, reader in _READERS:
        if offset + len(magic) <= source.size and source.read_at(offset, len(magic)) == magic:
            found = reader(source)
            if found is not None:
                return found
    for offset, magic, layout in VXFS_PLACES:
        if offset + len(magic) <= source.size and source.read_at(offset, len(magic)) == magic:
            superblock = parse_at(layout, source, offset, "VxFS superblock")
            size, problems = stated_size(superblock.vs_size, superblock.vs_bsize, "VxFS superblock", offset + 36)
            return Superblock("vxfs", size=size, problems=problems)
    return None


def _read_ubifs(source: BlockSource) -> Superblock:
    node = parse_at(UBIFS_SB_NODE, source, 0, "UBIFS superblock node")
    problems: tuple[Problem, ...] = ()
    if node.len != UBIFS_SB_NODE_SIZE:
        message = f"len is {node.len} bytes, expected {UBIFS_SB_NODE_SIZE}"
        problems = _invalid(message, "UBIFS superblock node", 16)
    else:
        computed = crc32(source.read_at(0, UBIFS_SB_NODE_SIZE)[UBIFS_CRC_START:]) ^ 0xFFFFFFFF
        if node.crc != computed:
            message = f"crc is {node.crc:#010x}, computed is {computed:#010x}"
            problems = _invalid(message, "UBIFS superblock node", 4)
    size, more = stated_size(node.leb_cnt, node.leb_size, "UBIFS superblock node", 40)
    return Superblock("ubifs", uuid=uuid_text(node.uuid), size=size, problems=problems + more)


def _read_zonefs(source: BlockSource) -> Superblock:
    superblock = parse_at(ZONEFS_SUPER, source, 0, "zonefs superblock")
    data = source.read_at(0, ZONEFS_SUPER_SIZE)
    computed = crc32(data[:ZONEFS_CRC_OFFSET] + bytes(4) + data[ZONEFS_CRC_OFFSET + 4 :]) ^ 0xFFFFFFFF
    problems: tuple[Problem, ...] = ()
    if superblock.s_crc != computed:
        message = f"s_crc is {superblock.s_crc:#010x}, computed is {computed:#010x}"
        problems = _invalid(message, "zonefs superblock", ZONEFS_CRC_OFFSET)
    return Superblock("zonefs", uuid=uuid_text(superblock.s_uuid), label=label(superblock.s_label), problems=problems)


def _read_mpool(source: BlockSource) -> Superblock:
    superblock = parse_at(MPOOL_SB, source, 0, "mpool superblock")
    computed = crc32c(source.read_at(0, MPOOL_CKSUM1_OFFSET)) ^ 0xFFFFFFFF
    problems: tuple[Problem, ...] = ()
    if superblock.osb_cksum1 != computed:
        message = f"osb_cksum1 is {superblock.osb_cksum1:#010x}, computed is {computed:#010x}"
        problems = _invalid(message, "mpool superblock", MPOOL_CKSUM1_OFFSET)
    return Superblock(
        "mpool", uuid=uuid_text(superblock.osb_poolid), label=label(superblock.osb_name), problems=problems
    )


def _read_nss(source: BlockSource) -> Superblock:
    return Superblock("nss", uuid=uuid_text(parse_at(NSS_SUPER_BLOCK, source, NSS_OFFSET, "NSS superblock").SBH_PoolID))


def _read_exfs(source: BlockSource) -> Superblock | None:
    superblock = parse_at(EXFS_SUPERBLOCK, source, 0, "exfs superblock")
    if impossible(superblock) is not None:
        return None
    size, problems = stated_size(superblock.sb_dblocks, superblock.sb_blocksize, "exfs superblock", 8)
    return Superblock(
        "exfs", uuid=uuid_text(superblock.sb_uuid), label=label(superblock.sb_fname), size=size, problems=problems
    )


def _read_scoutfs(source: BlockSource) -> Superblock:
    superblock = parse_at(SCOUTFS_SUPER_BLOCK, source, SCOUTFS_OFFSET, "ScoutFS superblock")
    computed = crc32c(source.read_at(SCOUTFS_OFFSET, SCOUTFS_BLOCK_SIZE)[4:])
    problems: tuple[Problem, ...] = ()
    if superblock.crc != computed:
        message = f"crc is {superblock.crc:#010x}, computed is {computed:#010x}"
        problems = _invalid(message, "ScoutFS superblock", SCOUTFS_OFFSET)
    kind = "scoutfs_meta" if superblock.flags & SCOUTFS_FLAG_IS_META_BDEV else "scoutfs_data"
    return Superblock(kind, uuid=uuid_text(superblock.uuid), problems=problems)


def _invalid(message: str, where: str, offset: int) -> tuple[Problem]:
    return (Problem("superblock-invalid", message, where, offset),)


_READERS = (
    (0, UBIFS_MAGIC, _read_ubifs),
    (0, ZONEFS_MAGIC, _read_zonefs),
    (0, MPOOL_MAGIC, _read_mpool),
    (0, EXFS_MAGIC, _read_exfs),
    (NSS_OFFSET, NSS_SIGNATURE, _read_nss),
    (SCOUTFS_MAGIC_OFFSET, SCOUTFS_MAGIC, _read_scoutfs),
)

FILESYSTEM = FileSystemReader(read)
