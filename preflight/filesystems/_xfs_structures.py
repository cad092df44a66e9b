"""What an XFS superblock leads to, and Linux reads before it mounts: the log, the first group, the root directory.

Specification: XFS Algorithms & Data Structures, 3rd edition, sections Allocation Groups and On-disk Inode,
https://mirrors.edge.kernel.org/pub/linux/utils/fs/xfs/docs/xfs_filesystem_structure.pdf; Linux, fs/xfs/xfs_mount.c
"""

from collections.abc import Iterator
from typing import Any

from construct import Bytes, Int16ub, Int32ub, Int64ub, Padding, Struct

from preflight.binary import crc32c, parse
from preflight.errors import OutOfBounds
from preflight.facts import Problem
from preflight.filesystems._xfs_geometry import XFS_SB_FEAT_INCOMPAT_META_UUID, is_version_5
from preflight.source import BlockSource
from preflight.units import ceil_div

AG_HEADER = Struct(  # how AGF and AGI begin
    "magicnum" / Bytes(4),
    "versionnum" / Int32ub,
    "seqno" / Int32ub,
    "length" / Int32ub,  # blocks
)
AGF_MAGIC, AGI_MAGIC = b"XAGF", b"XAGI"
AGF_SECTOR, AGI_SECTOR = 1, 2
HEADER_SECTORS = 4  # superblock, AGF, AGI, AGFL
AGF_UUID, AGF_CRC = 64, 216
AGI_UUID, AGI_CRC = 296, 312

INODE = Struct(
    "di_magic" / Bytes(2),
    "di_mode" / Int16ub,
    Padding(96),  # di_version … di_next_unlinked
    "di_crc" / Bytes(4),
    Padding(48),  # di_changecount … di_crtime
    "di_ino" / Int64ub,
    "di_uuid" / Bytes(16),
)
INODE_CRC, INODE_INO, INODE_UUID = 100, 152, 160
DI_MAGIC = b"IN"
S_IFMT, S_IFDIR = 0xF000, 0x4000


def check_structures(source: BlockSource, superblock: Any) -> tuple[Problem, ...]:
    """The first thing that is wrong; nothing where the file system ends before, which its size tells.

    The superblock has a possible geometry.
    """
    try:
        problem = next(_defects(source, superblock), None)
    except OutOfBounds:
        return ()
    return () if problem is None else (problem,)


def _defects(source: BlockSource, superblock: Any) -> Iterator[Problem]:
    if superblock.sb_logstart and not _is_inside(superblock, superblock.sb_logstart, superblock.sb_logblocks):
        length = f"{superblock.sb_logblocks} blocks"
        message = f"sb_logstart is {superblock.sb_logstart:#x}: the log of {length} does not fit an allocation group"
        yield Problem("superblock-invalid", message, "XFS superblock", 0x30)
    length = min(superblock.sb_agblocks, superblock.sb_dblocks)
    for sector, magic, uuid, crc in (
        (AGF_SECTOR, AGF_MAGIC, AGF_UUID, AGF_CRC),
        (AGI_SECTOR, AGI_MAGIC, AGI_UUID, AGI_CRC),
    ):
        yield from _header(source, superblock, sector, magic, length)
        yield from _seal(source, superblock, sector * superblock.sb_sectsize, superblock.sb_sectsize, (uuid, crc))
    yield from _root(source, superblock)


def _is_inside(superblock: Any, block: int, count: int) -> bool:
    """Whether `count` blocks from this file-system block lie in one group, behind its headers."""
    group, start = divmod(block, 1 << superblock.sb_agblklog)
    if group >= superblock.sb_agcount:
        return False
    end = min(superblock.sb_agblocks, superblock.sb_dblocks - group * superblock.sb_agblocks)
    headers = ceil_div(HEADER_SECTORS * superblock.sb_sectsize, superblock.sb_blocksize)
    return bool(headers <= start and start + count <= end)


def _header(source: BlockSource, superblock: Any, sector: int, magic: bytes, length: int) -> Iterator[Problem]:
    """What is wrong with a header of the first allocation group."""
    offset = sector * superblock.sb_sectsize
    where = f"XFS {magic.decode()[1:]}"
    header = parse(AG_HEADER, source.read_at(offset, 16), where, offset)
    for field, name, expected in (
        (0, "magicnum", magic),
        (4, "versionnum", 1),
        (8, "seqno", 0),
        (12, "length", length),
    ):
        if header[name] != expected:
            message = f"{name} is {header[name]!r}, expected is {expected!r}"
            yield Problem("superblock-invalid", message, where, offset + field)


def _seal(source: BlockSource, superblock: Any, offset: int, size: int, places: tuple[int, int]) -> Iterator[Problem]:
    """What is wrong with UUID and checksum of a structure, at these bytes of it; of version 5."""
    if not is_version_5(superblock):
        return
    uuid, crc = places
    data = source.read_at(offset, size)
    has_other = superblock.sb_features_incompat & XFS_SB_FEAT_INCOMPAT_META_UUID
    if data[uuid : uuid + 16] != (superblock.sb_meta_uuid if has_other else superblock.sb_uuid):
        message = "the UUID is another one than the superblock has"
        yield Problem("superblock-invalid", message, "XFS metadata", offset + uuid)
    computed = crc32c(data[:crc] + bytes(4) + data[crc + 4 :]) ^ 0xFFFFFFFF
    stored = int.from_bytes(data[crc : crc + 4], "little")
    if stored != computed:
        message = f"the checksum is {stored:#010x}, computed is {computed:#010x}"
        yield Problem("superblock-invalid", message, "XFS metadata", offset + crc)


def _root(source: BlockSource, superblock: Any) -> Iterator[Problem]:
    """What is wrong with the inode of the root directory."""
    number = superblock.sb_rootino
    block, index = divmod(number, superblock.sb_inopblock)
    if not _is_inside(superblock, block, 1):
        message = f"sb_rootino is {number}, which is not in an allocation group"
        yield Problem("superblock-invalid", message, "XFS superblock", 0x38)
        return
    group, start = divmod(block, 1 << superblock.sb_agblklog)
    offset = (group * superblock.sb_agblocks + start) * superblock.sb_blocksize + index * superblock.sb_inodesize
    data = source.read_at(offset, superblock.sb_inodesize)
    inode = parse(INODE, data, "XFS root inode", offset)
    if inode.di_magic != DI_MAGIC or inode.di_mode & S_IFMT != S_IFDIR:
        message = f"di_magic is {inode.di_magic.hex()} and di_mode {inode.di_mode:#o}, expected is a directory"
        yield Problem("superblock-invalid", message, "XFS root inode", offset)
    elif is_version_5(superblock) and inode.di_ino != number:
        message = f"di_ino is {inode.di_ino}, expected is {number}"
        yield Problem("superblock-invalid", message, "XFS root inode", offset + INODE_INO)
    yield from _seal(source, superblock, offset, superblock.sb_inodesize, (INODE_UUID, INODE_CRC))
