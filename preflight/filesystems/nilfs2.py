"""The superblocks of NILFS2: the one at its start, and the copy near its end.

Specification: Linux kernel, include/uapi/linux/nilfs2_ondisk.h, struct nilfs_super_block,
https://git.kernel.org/pub/scm/linux/kernel/git/torvalds/linux.git/tree/include/uapi/linux/nilfs2_ondisk.h
Which of the two counts: the kernel's fs/nilfs2/the_nilfs.c, nilfs_load_super_block().
"""

from typing import Any

from construct import Bytes, Int16ul, Int32ul, Int64ul, Padding, Struct

from preflight.binary import crc32, parse, uuid_text
from preflight.errors import OutOfBounds
from preflight.facts import Problem
from preflight.filesystems import FileSystemReader, Superblock
from preflight.filesystems._fields import label
from preflight.filesystems._sizes import stated_size
from preflight.source import BlockSource
from preflight.units import KiB, MiB

NILFS_SB_OFFSET_BYTES = 1 * KiB
BACKUP_SECTORS = 8  # the copy begins so many whole sectors before the end
SECTOR = 512
NILFS_SUPER_MAGIC = b"\x34\x34"
MAGIC_OFFSET = 6
MIN_SIZE = 1 * MiB  # what mkfs.nilfs2 can be brought to make

SUPERBLOCK = Struct(
    "s_rev_level" / Int32ul,
    "s_minor_rev_level" / Int16ul,
    "s_magic" / Bytes(2),
    "s_bytes" / Int16ul,  # that s_sum covers
    "s_flags" / Int16ul,
    "s_crc_seed" / Int32ul,
    "s_sum" / Int32ul,
    "s_log_block_size" / Int32ul,
    "s_nsegments" / Int64ul,
    "s_dev_size" / Int64ul,  # bytes
    Padding(16),  # s_first_data_block … s_r_segments_percentage
    "s_last_cno" / Int64ul,  # last checkpoint: the newer superblock has the greater one
    Padding(88),  # s_last_pseg … s_segment_usage_size
    "s_uuid" / Bytes(16),
    "s_volume_name" / Bytes(80),
)
SUPERBLOCK_SIZE = 1024  # with what is reserved
S_SUM_OFFSET = 16
S_SUM_END = S_SUM_OFFSET + 4


def read(source: BlockSource) -> Superblock | None:
    """What the newer of the valid superblocks says.

    Two bytes of magic prove nothing: a superblock without its right checksum is none. A copy that is not where its
    own device size says is left from another file system.
    """
    if source.size < MIN_SIZE:
        return None
    backup_offset = _backup_offset(source.size)
    primary = _read_at(source, NILFS_SB_OFFSET_BYTES)
    backup = _read_at(source, backup_offset)
    if backup is not None and _backup_offset(backup.s_dev_size) != backup_offset:
        backup = None
    problems: tuple[Problem, ...] = ()
    if primary is None:
        if backup is None:
            return None
        message = "there is no valid superblock at the start, only the copy at the end"
        problems = (Problem("superblock-invalid", message, "NILFS2 superblock", NILFS_SB_OFFSET_BYTES),)
    valid = [superblock for superblock in (primary, backup) if superblock is not None]
    superblock = max(valid, key=_last_checkpoint)  # the first of equals
    size, more = stated_size(superblock.s_dev_size, 1, "NILFS2 superblock", NILFS_SB_OFFSET_BYTES + 32)
    return Superblock(
        "nilfs2",
        uuid=uuid_text(superblock.s_uuid),
        label=label(superblock.s_volume_name),
        size=size,
        problems=problems + more,
    )


def _backup_offset(size: int) -> int:
    return (size // SECTOR - BACKUP_SECTORS) * SECTOR


def _last_checkpoint(superblock: Any) -> int:
    return int(superblock.s_last_cno)


def _read_at(source: BlockSource, offset: int) -> Any:
    """The superblock at a byte, None where it is none or not sound."""
    try:
        if source.read_at(offset + MAGIC_OFFSET, len(NILFS_SUPER_MAGIC)) != NILFS_SUPER_MAGIC:
            return None
        data = source.read_at(offset, SUPERBLOCK_SIZE)
    except OutOfBounds:
        return None
    superblock = parse(SUPERBLOCK, data, "NILFS2 superblock", offset)
    if not S_SUM_END <= superblock.s_bytes <= SUPERBLOCK_SIZE:
        return None
    covered = data[:S_SUM_OFFSET] + bytes(4) + data[S_SUM_END : superblock.s_bytes]
    return superblock if superblock.s_sum == _crc32_le(superblock.s_crc_seed, covered) else None


def _crc32_le(seed: int, data: bytes) -> int:
    """The kernel's crc32_le(): begun with a register of the caller's, and not inverted at the end.

    CRCs are linear: beginning with another register is the same as changing the first four bytes by the difference.
    """
    first = int.from_bytes(data[:4], "little") ^ seed ^ 0xFFFFFFFF
    return crc32(first.to_bytes(4, "little") + data[4:]) ^ 0xFFFFFFFF


FILESYSTEM = FileSystemReader(read)
