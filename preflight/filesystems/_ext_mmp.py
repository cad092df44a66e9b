"""The block by which ext4 keeps two hosts from mounting one file system (multiple mount protection).

Specification: Linux kernel documentation, ext4 Data Structures and Algorithms, section Multiple Mount Protection,
https://docs.kernel.org/filesystems/ext4/mmp.html; what Linux asks: fs/ext4/mmp.c, read_mmp_block and
ext4_multi_mount_protect
"""

from typing import Any

from construct import Int32ul, Padding, Struct

from preflight.binary import crc32c, parse
from preflight.facts import Problem
from preflight.filesystems._ext_checksums import seed
from preflight.filesystems._ext_geometry import EXT4_FEATURE_INCOMPAT_MMP, EXT4_FEATURE_RO_COMPAT_METADATA_CSUM
from preflight.source import BlockSource

MMP = Struct(
    "mmp_magic" / Int32ul,
    "mmp_seq" / Int32ul,
    Padding(1012),  # mmp_time … mmp_pad2
    "mmp_checksum" / Int32ul,
)
MMP_SIZE, MMP_SEQ, MMP_CHECKSUM = 1024, 0x4, 0x3FC
EXT4_MMP_MAGIC = 0x004D4D50
EXT4_MMP_SEQ_CLEAN, EXT4_MMP_SEQ_MAX = 0xFF4D4D50, 0xE24D4CFF


def check_mmp(source: BlockSource, superblock: Any) -> tuple[Problem, ...]:
    """Why Linux would not mount by what the block says; `StructureError` where it is out of reach.

    The superblock has a possible geometry. A file system that a host has mounted is passed over: Linux waits and looks
    whether the host still counts.
    """
    if not superblock.s_feature_incompat & EXT4_FEATURE_INCOMPAT_MMP:
        return ()
    offset = superblock.s_mmp_block * (1024 << superblock.s_log_block_size)
    data = source.read_at(offset, MMP_SIZE)
    mmp = parse(MMP, data, "ext mmp block", offset)
    if mmp.mmp_magic != EXT4_MMP_MAGIC:
        return (_problem(f"mmp_magic is {mmp.mmp_magic:#010x}, expected is {EXT4_MMP_MAGIC:#010x}", offset),)
    if superblock.s_feature_ro_compat & EXT4_FEATURE_RO_COMPAT_METADATA_CSUM:
        computed = crc32c(data[:MMP_CHECKSUM], seed(superblock))
        if mmp.mmp_checksum != computed:
            reason = f"mmp_checksum is {mmp.mmp_checksum:#010x}, computed is {computed:#010x}"
            return (_problem(reason, offset + MMP_CHECKSUM),)
    if EXT4_MMP_SEQ_MAX < mmp.mmp_seq != EXT4_MMP_SEQ_CLEAN:
        return (_problem(f"mmp_seq is {mmp.mmp_seq:#x}: e2fsck was at work, and has not ended", offset + MMP_SEQ),)
    return ()


def _problem(message: str, offset: int) -> Problem:
    return Problem("superblock-invalid", message, "ext mmp block", offset)
