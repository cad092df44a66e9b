"""The superblock of bcachefs.

Specification: bcachefs-tools, libbcachefs/bcachefs_format.h, struct bch_sb and bch_sb_field_members_v1 and _v2,
https://bcachefs.org/bcachefs-principles-of-operation.pdf
"""

from typing import Any

from construct import Bytes, Int8ul, Int16ul, Int32ul, Int64ul, Padding, Struct

from preflight.binary import crc32c, parse, parse_at, uuid_text
from preflight.facts import Problem
from preflight.filesystems import FileSystemReader, Superblock
from preflight.filesystems._fields import MAX_SIZE, label
from preflight.source import BlockSource
from preflight.units import KiB

BCH_SB_OFFSET = 4 * KiB
SECTOR = 512
BCACHE_MAGIC = bytes.fromhex("c68573f64e1a45ca8265f57f48ba6d81")  # bcache's, which early versions kept
BCHFS_MAGIC = bytes.fromhex("c68573f666ce90a9d96a60cf803df7ef")
MAGIC_OFFSET = 24
MIN_SIZE = 128 * KiB  # libblkid's

SUPERBLOCK = Struct(
    "csum" / Bytes(16),
    "version" / Int16ul,
    "version_min" / Int16ul,
    Padding(4),
    "magic" / Bytes(16),
    "uuid" / Bytes(16),
    "user_uuid" / Bytes(16),
    "label" / Bytes(32),
    "offset" / Int64ul,  # sectors; bcache has it elsewhere
    "seq" / Int64ul,
    "block_size" / Int16ul,
    "dev_idx" / Int8ul,
    "nr_devices" / Int8ul,
    "u64s" / Int32ul,  # of the fields that follow the fixed part
    Padding(16),  # time_base_lo … time_precision
    "flags0" / Int64ul,  # the first of eight
)
FIXED_SIZE = 752  # to the end of the layout
MAX_SB_SIZE = 64 * KiB  # an honest one has a few KiB; beyond this neither checksum nor fields are looked at
CSUM_SIZE = 16

BCH_CSUM_CRC32C_NONZERO = 1  # of BCH_SB_CSUM_TYPE, bits 2 to 7 of flags[0]; other types are not verified
FIELD = Struct("u64s" / Int32ul, "type" / Int32ul)
FIELD_SIZE = 8
BCH_SB_FIELD_MEMBERS_V1 = 1
BCH_SB_FIELD_MEMBERS_V2 = 11
MEMBER = Struct("uuid" / Bytes(16), "nbuckets" / Int64ul, "first_bucket" / Int16ul, "bucket_size" / Int16ul)
MEMBER_SIZE = 28  # of what is read of it
MEMBER_V1_BYTES = 56
MEMBER_V2_BYTES = Struct("member_bytes" / Int16ul, Padding(6))


def read(source: BlockSource) -> Superblock | None:
    """The first superblock of this device; its size is this device's share."""
    if source.size < MIN_SIZE:
        return None
    superblock = parse_at(SUPERBLOCK, source, BCH_SB_OFFSET, "bcachefs superblock")
    if (
        superblock.magic not in (BCACHE_MAGIC, BCHFS_MAGIC)
        or superblock.offset != BCH_SB_OFFSET // SECTOR
        or superblock.dev_idx >= superblock.nr_devices
    ):
        return None
    size: int | None = None
    problems: tuple[Problem, ...] = ()
    total = FIXED_SIZE + 8 * superblock.u64s
    if total <= min(MAX_SB_SIZE, source.size - BCH_SB_OFFSET):
        data = source.read_at(BCH_SB_OFFSET, total)
        size = _device_size(data[FIXED_SIZE:], superblock.dev_idx)
        problems = _verify(superblock, data)
    return Superblock(
        "bcachefs",
        uuid=uuid_text(superblock.user_uuid),
        label=label(superblock.label),
        size=size,
        problems=problems,
    )


def _verify(superblock: Any, data: bytes) -> tuple[Problem, ...]:
    if superblock.flags0 >> 2 & 0x3F != BCH_CSUM_CRC32C_NONZERO:
        return ()
    stored = int.from_bytes(superblock.csum[:4], "little")
    computed = crc32c(data[CSUM_SIZE:]) ^ 0xFFFFFFFF
    if stored == computed:
        return ()
    message = f"csum is {stored:#010x}, computed is {computed:#010x}"
    return (Problem("superblock-invalid", message, "bcachefs superblock", BCH_SB_OFFSET),)


def _device_size(fields: bytes, dev_idx: int) -> int | None:
    """Bytes of the device `dev_idx`, as the members field has it, of whichever version; None where there is none."""
    place = 0
    while place + FIELD_SIZE <= len(fields):
        field = parse(FIELD, fields[place : place + FIELD_SIZE], "bcachefs superblock field", BCH_SB_OFFSET)
        size = 8 * field.u64s
        if size < FIELD_SIZE or place + size > len(fields):
            break
        content = fields[place + FIELD_SIZE : place + size]
        if field.type == BCH_SB_FIELD_MEMBERS_V1:
            return _member_size(content, dev_idx * MEMBER_V1_BYTES)
        if field.type == BCH_SB_FIELD_MEMBERS_V2 and len(content) >= 8:
            header = parse(MEMBER_V2_BYTES, content[:8], "bcachefs superblock field", BCH_SB_OFFSET)
            return _member_size(content, 8 + dev_idx * header.member_bytes)
        place += size
    return None


def _member_size(content: bytes, start: int) -> int | None:
    if start + MEMBER_SIZE > len(content):
        return None
    member = parse(MEMBER, content[start : start + MEMBER_SIZE], "bcachefs member", BCH_SB_OFFSET)
    size = member.nbuckets * member.bucket_size * SECTOR
    return int(size) if size <= MAX_SIZE else None


FILESYSTEM = FileSystemReader(read)
