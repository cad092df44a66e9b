"""Members of Linux software RAID (md): superblocks 0.90 and 1.0 at the end, 1.1 and 1.2 at the start.

Specification: linux/include/uapi/linux/raid/md_p.h, `mdp_super_t` and `struct mdp_superblock_1`; checksums:
drivers/md/md.c, calc_sb_csum and calc_sb_1_csum, https://git.kernel.org/pub/scm/linux/kernel/git/torvalds/linux.git
"""

import struct
from typing import Any

from construct import Array, Bytes, Int16ul, Int32ub, Int32ul, Int64ul, Struct

from preflight.binary import parse, uuid_text
from preflight.facts import Problem
from preflight.filesystems import FileSystemReader, Superblock
from preflight.filesystems._fields import label
from preflight.filesystems._signatures import is_tiny, stated
from preflight.source import BlockSource
from preflight.units import SECTOR, KiB

MD_SB_MAGIC = 0xA92B4EFC
MD_RESERVED_BYTES = 64 * KiB
MD_SB_BYTES = 4096

# mdp_super_t in 32-bit words of the host's own order; only these words matter here.
MDP0_WORDS = 39
MDP0_LE = Array(MDP0_WORDS, Int32ul)
MDP0_BE = Array(MDP0_WORDS, Int32ub)
MINOR_VERSION, SET_UUID0, SIZE, SET_UUID1, SB_CSUM = 2, 5, 8, 13, 38  # `SIZE` in KiB

MDP1 = Struct(
    "magic" / Int32ul,
    "major_version" / Int32ul,
    "feature_map" / Int32ul,
    "pad0" / Int32ul,
    "set_uuid" / Bytes(16),
    "set_name" / Bytes(32),
    "ctime" / Int64ul,
    "level" / Int32ul,
    "layout" / Int32ul,
    "size" / Int64ul,  # sectors
    "chunksize" / Int32ul,
    "raid_disks" / Int32ul,
    "bitmap_offset" / Int32ul,
    "new_level" / Int32ul,
    "reshape_position" / Int64ul,
    "delta_disks" / Int32ul,
    "new_layout" / Int32ul,
    "new_chunk" / Int32ul,
    "new_offset" / Int32ul,
    "data_offset" / Int64ul,  # sectors
    "data_size" / Int64ul,  # sectors
    "super_offset" / Int64ul,  # sectors
    "recovery_offset" / Int64ul,
    "dev_number" / Int32ul,
    "cnt_corrected_read" / Int32ul,
    "device_uuid" / Bytes(16),
    "devflags" / Bytes(1),
    "bblog" / Bytes(7),
    "utime" / Int64ul,
    "events" / Int64ul,
    "resync_offset" / Int64ul,
    "sb_csum" / Int32ul,
    "max_dev" / Int32ul,
    "pad3" / Bytes(32),
)
SB_CSUM_1 = 216
MAX_DEV = (MD_SB_BYTES - 256) // Int16ul.sizeof()  # the roles must fit the superblock's 4 KiB


def read(source: BlockSource) -> Superblock | None:
    """The member by its superblock, looked for in libblkid's order: versions 0.90, 1.0, 1.1 and 1.2."""
    if is_tiny(source):  # and so never smaller than the 64 KiB that version 0.90 reserves
        return None
    return (
        _version_0(source, source.size // MD_RESERVED_BYTES * MD_RESERVED_BYTES - MD_RESERVED_BYTES)
        or _version_1(source, source.size // 4096 * 4096 - 8 * KiB, "1.0")
        or _version_1(source, 0, "1.1")
        or _version_1(source, 4 * KiB, "1.2")
    )


def _version_0(source: BlockSource, offset: int) -> Superblock | None:
    """Version 0.90, in the byte order of the machine that wrote it."""
    data = source.read_at(offset, 4)
    if data == MD_SB_MAGIC.to_bytes(4, "little"):
        layout, order = MDP0_LE, "<"
    elif data == MD_SB_MAGIC.to_bytes(4, "big"):
        layout, order = MDP0_BE, ">"
    else:
        return None
    data = source.read_at(offset, MD_SB_BYTES)
    words = parse(layout, data, "md superblock 0.90", offset)
    size = words[SIZE] * KiB
    if size + MD_RESERVED_BYTES > source.size or offset < size:
        return None  # it belongs to the disk of which this is a part
    uuid = (
        [words[SET_UUID0], *words[SET_UUID1 : SET_UUID1 + 3]]
        if words[MINOR_VERSION] >= 90
        else [words[SET_UUID0], 0, 0, 0]
    )
    # The kernel compares both sums folded to 16 bits, because architectures fold the carries differently.
    total = sum(struct.unpack(f"{order}{MD_SB_BYTES // 4}I", data)) - words[SB_CSUM]
    return Superblock(
        "linux_raid_member",
        uuid_text(struct.pack(">4I", *uuid)),
        size=stated(size),
        problems=_checksum(_fold(words[SB_CSUM]), _fold(total), "0.90", offset + SB_CSUM * 4),
    )


def _fold(value: int) -> int:
    while value > 0xFFFF:
        value = (value & 0xFFFF) + (value >> 16)
    return value


def _version_1(source: BlockSource, offset: int, version: str) -> Superblock | None:
    """Version 1: the minor number says only where the superblock lies."""
    if source.read_at(offset, 4) != MD_SB_MAGIC.to_bytes(4, "little"):
        return None
    data = source.read_at(offset, MD_SB_BYTES)
    superblock = parse(MDP1, data, f"md superblock {version}", offset)
    if superblock.major_version != 1 or superblock.super_offset * SECTOR != offset:
        return None
    return Superblock(
        "linux_raid_member",
        uuid_text(superblock.set_uuid),
        label(superblock.set_name),
        stated((superblock.data_offset + superblock.data_size) * SECTOR),
        _problems_1(superblock, data, version, offset),
    )


def _problems_1(superblock: Any, data: bytes, version: str, offset: int) -> tuple[Problem, ...]:
    # Older libblkid does not look at the checksum, newer says nothing where it is wrong, and the kernel does not
    # assemble the array: the member is named, and the problem with it.
    if superblock.max_dev > MAX_DEV:
        message = f"max_dev is {superblock.max_dev}, the superblock has room for {MAX_DEV}"
        return (Problem("md-superblock-invalid", message, f"md superblock {version}", offset + SB_CSUM_1 + 4),)
    words, half = divmod(MDP1.sizeof() + superblock.max_dev * 2, 4)
    total = sum(struct.unpack_from(f"<{words}I", data)) - superblock.sb_csum
    if half:
        total += int.from_bytes(data[words * 4 : words * 4 + 2], "little")
    total = (total & 0xFFFFFFFF) + (total >> 32)
    return _checksum(superblock.sb_csum, total & 0xFFFFFFFF, version, offset + SB_CSUM_1)


def _checksum(found: int, expected: int, version: str, offset: int) -> tuple[Problem, ...]:
    if found == expected:
        return ()
    message = f"sb_csum is {found:#x}, the content gives {expected:#x}"
    return (Problem("md-superblock-invalid", message, f"md superblock {version}", offset),)


FILESYSTEM = FileSystemReader(read, owner=True)
