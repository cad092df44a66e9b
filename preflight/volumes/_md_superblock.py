"""Superblocks of Linux software RAID: 0.90 near the end of the member, 1.0 at its end, 1.1 at its start, 1.2 at 4 KiB.

Specification: Linux, include/uapi/linux/raid/md_p.h; md(4) and the RAID wiki, "RAID superblock formats",
https://archive.kernel.org/oldwiki/raid.wiki.kernel.org/index.php/RAID_superblock_formats.html
"""

import struct
from typing import Any

import msgspec
from construct import Array, Bytes, Int8ul, Int16ul, Int32sl, Int32ub, Int32ul, Int64ul, Struct

from preflight.binary import parse_at, text
from preflight.errors import StructureError
from preflight.source import BlockSource
from preflight.units import SECTOR, KiB

MD_SB_MAGIC = 0xA92B4EFC
MD_RESERVED_BYTES = 64 * KiB
MD_SB_BYTES = 4096


def _layout_90(u32: Any) -> Struct:
    """`mdp_super_t`: 1024 words in the byte order of the machine that made it."""
    return Struct(
        "md_magic" / u32,
        "major_version" / u32,
        "minor_version" / u32,
        "patch_version" / u32,
        "gvalid_words" / u32,
        "set_uuid0" / u32,
        "ctime" / u32,
        "level" / u32,  # signed
        "size" / u32,  # KiB that are used of each member
        "nr_disks" / u32,
        "raid_disks" / u32,
        "md_minor" / u32,
        "not_persistent" / u32,
        "set_uuid1" / u32,
        "set_uuid2" / u32,
        "set_uuid3" / u32,
        "gstate_creserved" / Array(16, u32),
        "utime" / u32,
        "state" / u32,
        "active_disks" / u32,
        "working_disks" / u32,
        "failed_disks" / u32,
        "spare_disks" / u32,
        "sb_csum" / u32,  # word 38
        "events" / Array(2, u32),  # high and low, in the byte order
        "cp_events" / Array(2, u32),
        "recovery_cp" / u32,
        "reshape_position" / Array(2, u32),
        "new_level" / u32,
        "delta_disks" / u32,
        "new_layout" / u32,
        "new_chunk" / u32,
        "gstate_sreserved" / Array(14, u32),
        "layout" / u32,  # word 64
        "chunk_size" / u32,
        "root_pv" / u32,
        "root_block" / u32,
        "pstate_reserved" / Array(60, u32),
        "disks" / Bytes(27 * 128),
        "this_disk_number" / u32,
        "this_disk_major" / u32,
        "this_disk_minor" / u32,
        "this_disk_raid_disk" / u32,
        "this_disk_state" / u32,
        "this_disk_reserved" / Array(27, u32),
    )


SUPERBLOCK_90 = _layout_90(Int32ul)
SUPERBLOCK_90_BIG = _layout_90(Int32ub)
SB_CSUM_WORD = 38
MD_DISK_FAULTY, MD_DISK_ACTIVE, MD_DISK_SYNC = 1, 2, 4  # of the state of a disk

SUPERBLOCK_1 = Struct(  # `mdp_superblock_1`
    "magic" / Int32ul,
    "major_version" / Int32ul,
    "feature_map" / Int32ul,
    "pad0" / Int32ul,
    "set_uuid" / Bytes(16),
    "set_name" / Bytes(32),
    "ctime" / Int64ul,
    "level" / Int32sl,
    "layout" / Int32ul,
    "size" / Int64ul,  # sectors that are used of each member
    "chunksize" / Int32ul,
    "raid_disks" / Int32ul,
    "bitmap_offset" / Int32sl,
    "new_level" / Int32ul,
    "reshape_position" / Int64ul,
    "delta_disks" / Int32ul,
    "new_layout" / Int32ul,
    "new_chunk" / Int32ul,
    "new_offset" / Int32sl,
    "data_offset" / Int64ul,  # sector where the data begins
    "data_size" / Int64ul,  # sectors
    "super_offset" / Int64ul,  # sector of this superblock
    "recovery_offset" / Int64ul,
    "dev_number" / Int32ul,
    "cnt_corrected_read" / Int32ul,
    "device_uuid" / Bytes(16),
    "devflags" / Int8ul,
    "bblog_shift" / Int8ul,
    "bblog_size" / Int16ul,
    "bblog_offset" / Int32ul,
    "utime" / Int64ul,
    "events" / Int64ul,
    "resync_offset" / Int64ul,
    "sb_csum" / Int32ul,
    "max_dev" / Int32ul,
    "pad3" / Bytes(32),
)
SB_CSUM_OFFSET = 216
MAX_DEV = (MD_SB_BYTES - 256) // 2  # dev_roles, 16 bits each, end with the superblock's 4 KiB
MD_DISK_ROLE_MAX = 0xFF00  # from here on a role is none: spare, faulty, journal
MD_FEATURE_RECOVERY_OFFSET = 2
MD_FEATURE_ALL = 0x1FFF

MAX_SECTORS = 2**54  # 2**63 bytes


class Superblock(msgspec.Struct, frozen=True):
    """What one member says of its array, the same for all versions."""

    offset: int
    """Byte on the member."""
    version: str
    uuid: str
    """As mdadm prints it."""
    name: str | None
    level: int
    raid_disks: int
    layout: int
    size: int
    """Bytes used of each member; 0 for levels that use what each has."""
    data_offset: int
    """In bytes."""
    in_sync: bool
    """Whether the member holds the array's current data, and is no spare."""
    events: int
    ctime: int


def read_superblock(source: BlockSource) -> Superblock:
    """The superblock of the array that was made last, as mdadm chooses among what older arrays have left.

    Raises `StructureError`: what is wrong with the first superblock, where none is good.
    """
    end = source.size // SECTOR
    places = (
        ("1.2", 8 * SECTOR),
        ("1.1", 0),
        ("1.0", (end - 16) // 8 * 8 * SECTOR),
        ("0.90", source.size // MD_RESERVED_BYTES * MD_RESERVED_BYTES - MD_RESERVED_BYTES),
    )
    good: list[Superblock] = []
    errors: list[StructureError] = []
    for version, offset in places:
        if offset < 0 or offset + MD_SB_BYTES > source.size:
            continue
        try:
            found = _read_90(source, offset) if version == "0.90" else _read_1(source, offset, version)
        except StructureError as error:
            errors.append(error)
        else:
            good += [found] if found is not None else []
    if good:
        return max(good, key=lambda superblock: superblock.ctime)
    raise errors[0] if errors else StructureError("md superblock", None, "there is none at any of its four places")


def _read_1(source: BlockSource, offset: int, version: str) -> Superblock | None:
    where = f"md superblock {version}"
    magic = source.read_at(offset, 4)
    if int.from_bytes(magic, "little") != MD_SB_MAGIC:
        return None
    header = parse_at(SUPERBLOCK_1, source, offset, where)
    if header.major_version != 1 or header.super_offset != offset // SECTOR:
        reason = (
            f"major_version {header.major_version} at sector {header.super_offset}, expected 1 at {offset // SECTOR}"
        )
        raise StructureError(where, offset, reason)
    if header.max_dev > MAX_DEV:
        raise StructureError(where, offset + 220, f"max_dev {header.max_dev}, at most {MAX_DEV}")
    data = source.read_at(offset, SUPERBLOCK_1.sizeof() + 2 * header.max_dev)
    total = _sum_1(data)
    if header.sb_csum != total:
        raise StructureError(
            where, offset + SB_CSUM_OFFSET, f"sb_csum {header.sb_csum:#010x}, the block has {total:#010x}"
        )
    if header.feature_map & ~MD_FEATURE_ALL:
        unknown = header.feature_map & ~MD_FEATURE_ALL
        raise StructureError(where, offset + 8, f"feature_map has the unknown bits {unknown:#x}")
    if max(header.size, header.data_offset) >= MAX_SECTORS:
        raise StructureError(
            where, offset, f"size {header.size} or data_offset {header.data_offset} sectors are too many"
        )
    role = MD_DISK_ROLE_MAX
    if header.dev_number < header.max_dev:
        role = int.from_bytes(data[256 + 2 * header.dev_number :][:2], "little")
    recovering = header.feature_map & MD_FEATURE_RECOVERY_OFFSET and header.recovery_offset < header.size
    digits = header.set_uuid.hex()
    return Superblock(
        offset=offset,
        version=version,
        uuid=":".join(digits[start : start + 8] for start in range(0, 32, 8)),
        name=text(header.set_name),
        level=header.level,
        raid_disks=header.raid_disks,
        layout=header.layout,
        size=header.size * SECTOR,
        data_offset=header.data_offset * SECTOR,
        in_sync=role < MD_DISK_ROLE_MAX and not recovering,
        events=header.events,
        ctime=header.ctime & (2**40 - 1),  # seconds; microseconds are in the upper 24 bits
    )


def _sum_1(data: bytes) -> int:
    """The sum of all 32-bit words but the checksum's own, and of half a word at the end, its carry added."""
    total: int = sum(struct.unpack_from(f"<{len(data) // 4}I", data))
    total -= int.from_bytes(data[SB_CSUM_OFFSET : SB_CSUM_OFFSET + 4], "little")
    total += int.from_bytes(data[len(data) // 4 * 4 :], "little")
    return ((total & 0xFFFFFFFF) + (total >> 32)) & 0xFFFFFFFF


def _read_90(source: BlockSource, offset: int) -> Superblock | None:
    where = "md superblock 0.90"
    magic = source.read_at(offset, 4)
    little = int.from_bytes(magic, "little") == MD_SB_MAGIC
    if not little and int.from_bytes(magic, "big") != MD_SB_MAGIC:
        return None
    header = parse_at(SUPERBLOCK_90 if little else SUPERBLOCK_90_BIG, source, offset, where)
    if (header.major_version, header.minor_version) not in ((0, 90), (0, 91)):
        reason = f"version {header.major_version}.{header.minor_version}, expected 0.90"
        raise StructureError(where, offset + 4, reason)
    words = struct.unpack("<1024I" if little else ">1024I", source.read_at(offset, MD_SB_BYTES))
    total = sum(words) - words[SB_CSUM_WORD]
    total = ((total & 0xFFFFFFFF) + (total >> 32)) & 0xFFFFFFFF
    if header.sb_csum != total:
        reason = f"sb_csum {header.sb_csum:#010x}, the block has {total:#010x}"
        raise StructureError(where, offset + 4 * SB_CSUM_WORD, reason)
    uuid = (header.set_uuid0, header.set_uuid1, header.set_uuid2, header.set_uuid3)
    active = MD_DISK_ACTIVE | MD_DISK_SYNC
    low, high = header.events if little else reversed(header.events)
    return Superblock(
        offset=offset,
        version="0.90",
        uuid=":".join(f"{word:08x}" for word in uuid),
        name=None,
        level=header.level - (header.level >> 31 << 32),
        raid_disks=header.raid_disks,
        layout=header.layout,
        size=header.size * KiB,
        data_offset=0,
        in_sync=header.this_disk_state & (active | MD_DISK_FAULTY) == active,
        events=high << 32 | low,
        ctime=header.ctime,
    )
