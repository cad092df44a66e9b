"""VHDX: recognised, and followed as far as the size of its disk.

Specification: [MS-VHDX] Virtual Hard Disk v2 (VHDX) File Format, sections 2.2 and 2.6,
https://learn.microsoft.com/openspecs/windows_protocols/ms-vhdx
"""

import struct
from typing import Any

from construct import Bytes, Int16ul, Int32ul, Int64ul, Struct

from preflight import binary
from preflight.errors import OutOfBounds, StructureError
from preflight.facts import Problem
from preflight.formats import Container, Format
from preflight.formats._recognised import head, invalid, not_closed, open_named, require
from preflight.source import BlockSource, Window
from preflight.units import KiB, MiB, TiB, is_power_of_two

SIGNATURE = b"vhdxfile"
HEADER_OFFSETS = (64 * KiB, 128 * KiB)
HEADER_SIZE = 4 * KiB
LOG_GUID = 48  # byte of it in a header
REGION_TABLE_OFFSETS = (192 * KiB, 256 * KiB)
REGION_TABLE_SIZE = 64 * KiB
MAX_ENTRIES = 2047  # what fits into 64 KiB, in a region table and in a metadata table
METADATA_TABLE_SIZE = 64 * KiB
MAX_VIRTUAL_SIZE = 64 * TiB

METADATA_REGION = "8b7ca206-4790-4b9a-b8fe-575f050f886e"
FILE_PARAMETERS = "caa16737-fa36-4d43-b3b6-33f0aa44e76b"
VIRTUAL_DISK_SIZE = "2fa54224-cd1b-4876-b211-5dbed83bf4b8"
LOGICAL_SECTOR_SIZE = "8141bf1d-a96f-4709-ba47-f233a8faab5f"
WANTED_ITEMS = {FILE_PARAMETERS: 8, VIRTUAL_DISK_SIZE: 8, LOGICAL_SECTOR_SIZE: 4}  # their sizes in bytes

Creator = Struct("signature" / Bytes(8), "creator" / Bytes(512))
Header = Struct(
    "signature" / Bytes(4),
    "checksum" / Int32ul,
    "sequence_number" / Int64ul,
    "file_write_guid" / Bytes(16),
    "data_write_guid" / Bytes(16),
    "log_guid" / Bytes(16),
    "log_version" / Int16ul,
    "version" / Int16ul,
    "log_length" / Int32ul,
    "log_offset" / Int64ul,
)
RegionTableHeader = Struct("signature" / Bytes(4), "checksum" / Int32ul, "entry_count" / Int32ul, "reserved" / Int32ul)
RegionTableEntry = Struct("guid" / Bytes(16), "file_offset" / Int64ul, "length" / Int32ul, "flags" / Int32ul)
MetadataTableHeader = Struct(
    "signature" / Bytes(8), "reserved" / Int16ul, "entry_count" / Int16ul, "reserved2" / Bytes(20)
)
MetadataTableEntry = Struct(
    "item_id" / Bytes(16), "offset" / Int32ul, "length" / Int32ul, "flags" / Int32ul, "reserved2" / Int32ul
)


def _claims(source: BlockSource) -> tuple[str, ...]:
    return ("vhdx",) if head(source, 8) == SIGNATURE else ()


def _verify(data: bytes, signature: bytes, where: str, offset: int) -> None:
    """Raise `StructureError` unless a header or region table has its signature and its CRC-32C."""
    if data[:4] != signature:
        raise StructureError(where, offset, f"signature is {data[:4]!r}, expected {signature!r}")
    stored = int.from_bytes(data[4:8], "little")
    computed = binary.crc32c(data[:4] + bytes(4) + data[8:]) ^ 0xFFFF_FFFF
    if stored != computed:
        raise StructureError(where, offset + 4, f"checksum is {stored:#010x}, the bytes give {computed:#010x}")


def _current_header(source: BlockSource) -> tuple[Any, list[Problem]]:
    """The valid header with the greater sequence number; one damaged copy is a problem, two are an error.

    Where it names a log, that is a problem too: who opens the disk has to replay it first (section 2.3).
    """
    found: list[tuple[int, Any]] = []
    problems = []
    for number, offset in enumerate(HEADER_OFFSETS, 1):
        where = f"vhdx header {number}"
        try:
            data = source.read_at(offset, HEADER_SIZE)
            _verify(data, b"head", where, offset)
            header = binary.parse(Header, data, where, offset)
            require(header.version == 1, where, Header, "version", f"is {header.version}, expected 1", offset)
            found.append((offset, header))
        except OutOfBounds:
            raise
        except StructureError as error:
            problems.append(invalid(error.where, error.offset, error.reason))
    if not found:
        raise StructureError("vhdx header 1", HEADER_OFFSETS[0], f"neither copy is valid: {problems[0].message}")
    offset, header = max(found, key=lambda one: int(one[1].sequence_number))
    if any(header.log_guid):
        reason = f"log_guid is {binary.guid_text(header.log_guid)}: the log may hold writes that are not in place yet"
        problems.append(not_closed("vhdx header", offset + LOG_GUID, reason))
    return header, problems


def _metadata_region(source: BlockSource) -> tuple[Window, int, list[Problem]]:
    """The metadata region and its byte in the file, from the first region table that is valid."""
    problems = []
    for number, offset in enumerate(REGION_TABLE_OFFSETS, 1):
        where = f"vhdx region table {number}"
        try:
            table = source.read_at(offset, REGION_TABLE_SIZE)
            _verify(table, b"regi", where, offset)
        except OutOfBounds:
            raise
        except StructureError as error:
            problems.append(invalid(error.where, error.offset, error.reason))
            continue
        count = binary.parse(RegionTableHeader, table[:16], where, offset).entry_count
        require(
            count <= MAX_ENTRIES, where, RegionTableHeader, "entry_count", f"is {count}, at most {MAX_ENTRIES}", offset
        )
        for start in range(16, 16 + 32 * count, 32):
            entry = binary.parse(RegionTableEntry, table[start : start + 32], where, offset + start)
            if binary.guid_text(entry.guid) == METADATA_REGION:
                if entry.file_offset + entry.length > source.size:
                    reason = f"the metadata region ends at byte {entry.file_offset + entry.length}, past the file's end"
                    raise StructureError(where, offset + start + 16, reason)
                region = Window(source, entry.file_offset, entry.length, "the metadata region")
                return region, entry.file_offset, problems
        raise StructureError(where, offset, f"none of its {count} entries is the metadata region")
    reason = f"neither copy is valid: {problems[0].message}"
    raise StructureError("vhdx region table 1", REGION_TABLE_OFFSETS[0], reason)


def _metadata(region: Window, base: int) -> dict[str, bytes]:
    """The wanted items of the metadata region that lies at byte `base`, by their ids."""
    where = "vhdx metadata table"
    header = binary.parse(MetadataTableHeader, _part(region, base, 0, 32), where, base)
    require(header.signature == b"metadata", where, MetadataTableHeader, "signature", "is missing", base)
    count = header.entry_count
    require(count <= MAX_ENTRIES, where, MetadataTableHeader, "entry_count", f"is {count}, at most {MAX_ENTRIES}", base)
    table = _part(region, base, 32, 32 * count)
    items: dict[str, bytes] = {}
    for start in range(0, len(table), 32):
        entry = binary.parse(MetadataTableEntry, table[start : start + 32], where, base + 32 + start)
        item = binary.guid_text(entry.item_id)
        size = WANTED_ITEMS.get(item)
        if size is not None and item not in items:
            if entry.length != size or entry.offset < METADATA_TABLE_SIZE:
                reason = f"item {item} has {entry.length} bytes at {entry.offset}, expected {size} from 65536"
                raise StructureError(where, base + 32 + start + 16, reason)
            items[item] = _part(region, base, entry.offset, size)
    missing = [item for item in WANTED_ITEMS if item not in items]
    if missing:
        raise StructureError(where, base, f"item {missing[0]} is missing")
    return items


def _part(region: Window, base: int, offset: int, size: int) -> bytes:
    """Bytes of the region; past its end, an error with the byte of the file."""
    try:
        return region.read_at(offset, size)
    except OutOfBounds as error:
        reason = f"{size} bytes are needed here, but the metadata region ends at byte {base + region.size:#x}"
        raise StructureError("vhdx metadata region", base + offset, reason) from error


def _read(source: BlockSource) -> Container:
    creator = binary.parse_at(Creator, source, 0, "vhdx file type identifier").creator
    header, problems = _current_header(source)
    region, base, more = _metadata_region(source)
    items = _metadata(region, base)
    block_size, flags = struct.unpack("<II", items[FILE_PARAMETERS])
    sector_size = int.from_bytes(items[LOGICAL_SECTOR_SIZE], "little")
    size = int.from_bytes(items[VIRTUAL_DISK_SIZE], "little")
    where = "vhdx metadata region"
    if sector_size not in (512, 4096):
        raise StructureError(where, base, f"LogicalSectorSize is {sector_size}, allowed are 512 and 4096")
    if not is_power_of_two(block_size) or not MiB <= block_size <= 256 * MiB:
        raise StructureError(where, base, f"BlockSize is {block_size}, allowed are powers of two from 1 MiB to 256 MiB")
    if size > MAX_VIRTUAL_SIZE or size % sector_size:
        reason = f"VirtualDiskSize is {size}, allowed are multiples of {sector_size} up to 64 TiB"
        raise StructureError(where, base, reason)
    details = {
        "creator": binary.text(creator, "utf-16-le"),
        "block_size": block_size,
        "logical_sector_size": sector_size,
        "leave_block_allocated": bool(flags & 1),
        "has_parent": bool(flags & 2),
        "log_guid": binary.guid_text(header.log_guid) if any(header.log_guid) else None,  # None: nothing to replay
    }
    return Container("vhdx", None, size, format_details=details, problems=(*problems, *more))


def _open(source: BlockSource, name: str) -> Container:
    return open_named(name, source, _read)


FORMAT = Format(("vhdx",), _claims, _open, own_first_sector=("vhdx",))
