"""What ties the metadata of XFS to their file system, and its blocks to bytes.

Specification: XFS Algorithms & Data Structures, 3rd edition, section Metadata Integrity,
https://mirrors.edge.kernel.org/pub/linux/utils/fs/xfs/docs/xfs_filesystem_structure.pdf
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

from preflight.binary import crc32c
from preflight.facts import Problem
from preflight.filesystems._xfs_geometry import XFS_SB_FEAT_INCOMPAT_META_UUID, incompat, is_version_5
from preflight.units import ceil_div

HEADER_SECTORS = 4  # superblock, AGF, AGI, AGFL: with these each allocation group begins
NULLCOMMITLSN = 0xFFFF_FFFF_FFFF_FFFF


class Seal(NamedTuple):
    """Where a structure of version 5 has its UUID, its checksum, and when it was logged last; in bytes of it."""

    uuid: int
    crc: int
    lsn: int | None = None
    """None where Linux does not look at it."""


class Moment(NamedTuple):
    """A place in the log, and so a time: which comes first, compares as less."""

    cycle: int
    block: int
    """In basic blocks of 512 bytes from the beginning of the log."""


def unseal(
    superblock: Any, data: bytes, offset: int, where: str, seal: Seal, newest: Moment | None
) -> Iterator[Problem]:
    """What is wrong with the seal of a structure of version 5, whose bytes are at `offset`.

    `newest`: the last moment that the log can have come to; None where that is not known.
    """
    if not is_version_5(superblock):
        return
    has_other = incompat(superblock) & XFS_SB_FEAT_INCOMPAT_META_UUID
    if data[seal.uuid : seal.uuid + 16] != (superblock.sb_meta_uuid if has_other else superblock.sb_uuid):
        yield problem("the UUID is another one than the superblock has", where, offset + seal.uuid)
    computed = crc32c(data[: seal.crc] + bytes(4) + data[seal.crc + 4 :]) ^ 0xFFFFFFFF
    stored = int.from_bytes(data[seal.crc : seal.crc + 4], "little")
    if stored != computed:
        yield problem(f"the checksum is {stored:#010x}, computed is {computed:#010x}", where, offset + seal.crc)
    if seal.lsn is None or newest is None:
        return
    lsn = int.from_bytes(data[seal.lsn : seal.lsn + 8], "big")
    logged = Moment(lsn >> 32, lsn & 0xFFFF_FFFF)
    if lsn != NULLCOMMITLSN and logged > newest:
        message = f"it was logged in cycle {logged.cycle} at block {logged.block}, and the log has come to no more than"
        yield problem(f"{message} cycle {newest.cycle}, block {newest.block}", where, offset + seal.lsn)


def is_inside(superblock: Any, block: int, count: int) -> bool:
    """Whether `count` blocks from this file-system block lie in one group, behind its headers."""
    group, start = divmod(block, 1 << superblock.sb_agblklog)
    if group >= superblock.sb_agcount:
        return False
    end = min(superblock.sb_agblocks, superblock.sb_dblocks - group * superblock.sb_agblocks)
    return bool(first_block(superblock) <= start and start + count <= end)


def first_block(superblock: Any) -> int:
    """The first one of a group that is behind its headers."""
    return ceil_div(HEADER_SECTORS * superblock.sb_sectsize, superblock.sb_blocksize)


def is_inode(superblock: Any, number: int) -> bool:
    """Whether an inode can have this number in a group."""
    return bool(first_block(superblock) <= number // superblock.sb_inopblock < superblock.sb_agblocks)


def offset_of(superblock: Any, block: int) -> int:
    """The byte of a block, by its number that has the allocation group in its upper bits."""
    group, start = divmod(block, 1 << superblock.sb_agblklog)
    return int((group * superblock.sb_agblocks + start) * superblock.sb_blocksize)


def problem(message: str, where: str, offset: int) -> Problem:
    """A defect with which Linux does not mount."""
    return Problem("superblock-invalid", message, where, offset)
