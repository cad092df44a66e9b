"""The two copies of a GPT: header and partition entry array, read and verified.

Specification: UEFI 2.10, 5.3.2 "GPT Header"; https://uefi.org/specs/UEFI/2.10/05_GUID_Partition_Table_Format.html
"""

from typing import Literal

import msgspec
from construct import Bytes, Int32ul, Int64ul, Struct

from preflight.binary import crc32, guid_text, parse
from preflight.errors import BudgetExhausted, OutOfBounds, ReadFailed, StructureError, UnreachableBytes
from preflight.source import BlockSource
from preflight.units import KiB, MiB, is_power_of_two

GPT_HEADER = Struct(
    "signature" / Bytes(8),
    "revision" / Int32ul,
    "header_size" / Int32ul,
    "header_crc32" / Int32ul,
    "reserved" / Bytes(4),
    "my_lba" / Int64ul,
    "alternate_lba" / Int64ul,
    "first_usable_lba" / Int64ul,
    "last_usable_lba" / Int64ul,
    "disk_guid" / Bytes(16),
    "partition_entry_lba" / Int64ul,
    "number_of_partition_entries" / Int32ul,
    "size_of_partition_entry" / Int32ul,
    "partition_entry_array_crc32" / Int32ul,
)
SIGNATURE = b"EFI PART"
MIN_HEADER_SIZE = 92
HEADER_CRC32_OFFSET = 16
ALTERNATE_LBA_OFFSET = 32
PRIMARY_LBA = 1
PRIMARY = "gpt primary header"
BACKUP = "gpt backup header"

SectorSize = Literal[512, 4096]
SECTOR_SIZES: tuple[SectorSize, ...] = (512, 4096)
ENTRY_UNIT = 128  # an entry takes 128 × 2ⁿ bytes
USUAL_ARRAY_SIZE = 16 * KiB  # the least that UEFI reserves, and what every tool writes; it lies beside its header
MAX_ARRAY_SIZE = 1 * MiB  # 64 times the usual one; no tool writes more, and libblkid's and Linux' limits are far above

UNREADABLE = (UnreachableBytes, ReadFailed, BudgetExhausted)  # says nothing about what the disk holds


class Copy(msgspec.Struct, frozen=True):
    """A header whose own checksum and that of its array are right."""

    where: str
    sector_size: SectorSize
    my_lba: int
    alternate_lba: int
    first_usable_lba: int
    last_usable_lba: int
    disk_guid: str
    partition_entry_lba: int
    number_of_partition_entries: int
    size_of_partition_entry: int
    partition_entry_array_crc32: int
    array: bytes

    @property
    def offset(self) -> int:
        """Byte of the header."""
        return self.my_lba * self.sector_size

    @property
    def array_offset(self) -> int:
        """Byte of the partition entry array."""
        return self.partition_entry_lba * self.sector_size


def read_copy(source: BlockSource, lba: int, sector_size: SectorSize, where: str) -> Copy:
    """The copy whose header lies at `lba`.

    Raises a `StructureError` whose `offset` is the byte of the header: what is wrong with it, or what `read_at` raises.
    """
    offset = lba * sector_size
    try:
        return _read_copy(source, lba, sector_size, where)
    except OutOfBounds as error:
        raise OutOfBounds(where, offset, error.reason) from error
    except UNREADABLE as error:
        raise type(error)(where, offset, error.reason) from error


def read_primary(source: BlockSource) -> Copy | None:
    """The valid primary copy, for 512 or else for 4096 bytes a sector; None where there is none, or none readable."""
    for sector_size in SECTOR_SIZES:
        try:
            if has_signature(source, sector_size):
                return read_copy(source, PRIMARY_LBA, sector_size, PRIMARY)
        except StructureError:
            continue
    return None


def has_signature(source: BlockSource, offset: int) -> bool:
    """Whether the signature of a header lies at `offset`, whatever follows it; raises what `read_at` raises."""
    return offset + len(SIGNATURE) <= source.size and source.read_at(offset, len(SIGNATURE)) == SIGNATURE


def last_lba(source: BlockSource, sector_size: int) -> int:
    """Number of the last whole sector; -1 on a disk without one."""
    return source.size // sector_size - 1


def _read_copy(source: BlockSource, lba: int, sector_size: SectorSize, where: str) -> Copy:
    offset = lba * sector_size
    last = last_lba(source, sector_size)
    if not 0 < lba <= last:
        raise OutOfBounds(where, offset, f"LBA {lba} is not on the disk, whose last LBA is {last}")
    # The array of the primary lies behind its header, that of the backup before it: one read takes both.
    beside = USUAL_ARRAY_SIZE // sector_size
    first = lba if lba == PRIMARY_LBA else max(0, lba - beside)
    end = min(lba + beside if lba == PRIMARY_LBA else lba, last) + 1
    nearby = source.read_at(first * sector_size, (end - first) * sector_size)
    sector = nearby[(lba - first) * sector_size : (lba - first + 1) * sector_size]

    header = parse(GPT_HEADER, sector, where, offset)
    if header.signature != SIGNATURE:
        found = "zeros" if not any(header.signature) else header.signature.hex(" ")
        raise StructureError(where, offset, f"signature {found}, expected EFI PART")
    size = header.header_size
    if not MIN_HEADER_SIZE <= size <= sector_size:
        raise StructureError(where, offset, f"header_size {size} bytes, allowed {MIN_HEADER_SIZE} to {sector_size}")
    checksum = crc32(sector[:HEADER_CRC32_OFFSET] + bytes(4) + sector[HEADER_CRC32_OFFSET + 4 : size])
    if checksum != header.header_crc32:
        raise StructureError(where, offset, f"header_crc32 {header.header_crc32:#010x}, computed {checksum:#010x}")
    if header.my_lba != lba:
        raise StructureError(where, offset, f"my_lba {header.my_lba}, but it lies at LBA {lba}")
    usable = f"{header.first_usable_lba} to {header.last_usable_lba}"
    if header.first_usable_lba > header.last_usable_lba:
        raise StructureError(where, offset, f"usable LBAs {usable} are reversed")
    # A disk that lost its end after it was partitioned has its alternate header outside too: that is told as such.
    if header.last_usable_lba > last >= header.alternate_lba:
        raise StructureError(where, offset, f"usable LBAs {usable}, but the last LBA of the disk is {last}")

    count, entry_size = header.number_of_partition_entries, header.size_of_partition_entry
    if entry_size % ENTRY_UNIT or not is_power_of_two(entry_size // ENTRY_UNIT):
        raise StructureError(where, offset, f"size_of_partition_entry {entry_size} bytes, expected 128, 256, 512, …")
    if not 0 < count * entry_size <= MAX_ARRAY_SIZE:
        reason = f"partition entry array of {count} × {entry_size} bytes, allowed up to {MAX_ARRAY_SIZE}, not empty"
        raise StructureError(where, offset, reason)
    array_offset = header.partition_entry_lba * sector_size
    if header.partition_entry_lba <= PRIMARY_LBA or array_offset + count * entry_size > source.size:
        reason = f"partition_entry_lba {header.partition_entry_lba} does not leave room for its {count} entries"
        raise StructureError(where, offset, reason)
    skip = array_offset - first * sector_size
    array = nearby[skip : skip + count * entry_size] if skip >= 0 else b""
    if len(array) != count * entry_size:
        array = source.read_at(array_offset, count * entry_size)
    checksum = crc32(array)
    if checksum != header.partition_entry_array_crc32:
        stated = header.partition_entry_array_crc32
        raise StructureError(where, offset, f"partition_entry_array_crc32 {stated:#010x}, computed {checksum:#010x}")
    return Copy(
        where,
        sector_size,
        lba,
        header.alternate_lba,
        header.first_usable_lba,
        header.last_usable_lba,
        guid_text(header.disk_guid),
        header.partition_entry_lba,
        count,
        entry_size,
        header.partition_entry_array_crc32,
        array,
    )
