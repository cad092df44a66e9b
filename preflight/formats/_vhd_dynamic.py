"""The header of dynamic and differencing VHDs, and what follows from it.

Specification: Microsoft, "Virtual Hard Disk Image Format Specification" (2006-10-11), section "Dynamic Disk Header
Format", https://www.microsoft.com/en-us/download/details.aspx?id=23850
"""

import time
from typing import Any, NamedTuple

from construct import Array, Bytes, Int32ub, Int64ub, Struct

from preflight.binary import parse, text, uuid_text
from preflight.facts import Problem, ProblemCode
from preflight.formats._vhd_blocks import ENTRY_SIZE, BlockTable, DynamicDisk, Region, table_problems
from preflight.source import BlockSource
from preflight.units import SECTOR, MiB, align_up, ceil_div, human_size, is_power_of_two

HEADER_COOKIE = b"cxsparse"
HEADER_SIZE = 1024
HEADER = Struct(
    "cookie" / Bytes(8),
    "data_offset" / Int64ub,
    "table_offset" / Int64ub,
    "header_version" / Int32ub,
    "max_table_entries" / Int32ub,
    "block_size" / Int32ub,
    "checksum" / Int32ub,
    "parent_unique_id" / Bytes(16),
    "parent_time_stamp" / Int32ub,
    "reserved" / Bytes(4),
    "parent_unicode_name" / Bytes(512),  # UTF-16, big-endian
    "parent_locator_entries"
    / Array(
        8,
        Struct(
            "platform_code" / Bytes(4),
            "platform_data_space" / Int32ub,
            "platform_data_length" / Int32ub,
            "reserved" / Bytes(4),
            "platform_data_offset" / Int64ub,
        ),
    ),
    "reserved_end" / Bytes(256),
)
# Byte of a field within the header, for problems.
NEXT_OFFSET, TABLE_OFFSET, HEADER_VERSION, MAX_TABLE_ENTRIES, BLOCK_SIZE, CHECKSUM = 8, 16, 24, 28, 32, 36
LOCATORS, LOCATOR_SIZE = 576, 24

# "None": the specification writes 0xFFFFFFFF for this 64-bit field, everyone else all 64 bits, a few tools zero.
NO_OFFSET = (0xFFFFFFFFFFFFFFFF, 0xFFFFFFFF, 0)
EPOCH = 946684800  # 2000-01-01 00:00 UTC, where VHD time begins

MAX_BLOCK_SIZE = 256 * MiB  # tools write 512 KiB or 2 MiB; VHDX ends at 256 MiB, and so a bitmap at 64 KiB
MAX_TABLE_BYTES = 8 * MiB  # 2040 GiB in blocks of 1 MiB; the usual 2 MiB take half of it

_WHERE = "vhd dynamic disk header"


class Opened(NamedTuple):
    """What the header gives."""

    guest: BlockSource | None
    details: dict[str, Any]
    problems: list[Problem]


def vhd_checksum(data: bytes, field: int) -> int:
    """The one's complement of the sum of all bytes but those of the 32-bit checksum itself, at byte `field`."""
    return ~(sum(data) - sum(data[field : field + 4])) & 0xFFFFFFFF


def time_text(time_stamp: int) -> str:
    """A VHD time stamp, in seconds since 2000, as ISO 8601."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(EPOCH + time_stamp))


def version_text(version: int) -> str:
    """A version whose halves are the major and minor number."""
    return f"{version >> 16}.{version & 0xFFFF}"


def printable(value: str | None) -> str | None:
    """The text with everything that could steer a terminal written as an escape."""
    if value is None:
        return None
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in value)


def open_dynamic(source: BlockSource, offset: int, *, size: int, data_end: int, differencing: bool) -> Opened:
    """Read the header at byte `offset`, whose bounds the caller has checked, and the table that it names.

    `size` is the disk's, `data_end` the byte of the file where the footer begins. Raises what `read_at` raises.
    """
    raw = source.read_at(offset, HEADER_SIZE)
    header = parse(HEADER, raw, _WHERE, offset)
    problems: list[Problem] = []

    def report(code: ProblemCode, field: int, message: str) -> None:
        problems.append(Problem(code, message, _WHERE, offset + field))

    if header.cookie != HEADER_COOKIE:
        report("vhd-header-invalid", 0, f"the cookie is {header.cookie!r}, expected {HEADER_COOKIE!r}")
        return Opened(None, {}, problems)
    computed = vhd_checksum(raw, CHECKSUM)
    if computed != header.checksum:
        report(
            "vhd-header-checksum",
            CHECKSUM,
            f"the checksum is {header.checksum:#010x}, the header's bytes give {computed:#010x}",
        )
    details = {
        "table_offset": header.table_offset,
        "header_version": version_text(header.header_version),
        "max_table_entries": header.max_table_entries,
        "block_size": header.block_size,
    }
    parent = None
    if differencing:
        details |= _parent_details(header)
        parent = _check_parent(source, header, offset, problems)
    if header.header_version >> 16 != 1:
        version = version_text(header.header_version)
        report("vhd-header-invalid", HEADER_VERSION, f"header_version is {version}, known is 1.0")
        return Opened(None, details, problems)
    if header.data_offset not in NO_OFFSET:
        message = f"data_offset is {header.data_offset:#x}, expected 0xffffffffffffffff: nothing follows this header"
        report("vhd-header-invalid", NEXT_OFFSET, message)
    if not (is_power_of_two(header.block_size) and SECTOR <= header.block_size <= MAX_BLOCK_SIZE):
        message = (
            f"block_size is {header.block_size} bytes, expected a power of two from {SECTOR} to {MAX_BLOCK_SIZE} bytes"
        )
        report("vhd-header-invalid", BLOCK_SIZE, message)
        return Opened(None, details, problems)
    mismatch = _table_size_mismatch(header.max_table_entries, header.block_size, size)
    if mismatch is not None:
        report("vhd-table-size-mismatch", MAX_TABLE_ENTRIES, mismatch)
    misplaced = _misplaced_table(header, offset, data_end)
    if misplaced is not None:
        field, message = misplaced
        report("vhd-header-invalid", field, message)
        return Opened(None, details, problems)

    table = BlockTable(source, header.table_offset, header.max_table_entries)
    starts = table.allocated()
    details["allocated_blocks"] = len(starts)
    table_end = align_up(header.table_offset + header.max_table_entries * ENTRY_SIZE, SECTOR)
    regions = (
        Region("footer copy", 0, SECTOR),
        Region("dynamic disk header", offset, offset + HEADER_SIZE),
        Region("block allocation table", header.table_offset, table_end),
    )
    problems += table_problems(table, starts, header.block_size, data_end, regions)
    guest = DynamicDisk(source, table, size=size, block_size=header.block_size, data_end=data_end, parent=parent)
    return Opened(guest, details, problems)


def _table_size_mismatch(entries: int, block_size: int, size: int) -> str | None:
    """How `max_table_entries` × `block_size` misses `size`, which Alibaba Cloud ECS demands them to fit."""
    covered = entries * block_size
    expected = ceil_div(size, block_size)
    if entries == expected:
        return None
    relation = "less than" if covered < size else "a block or more above"
    return (
        f"max_table_entries {entries} × block_size {block_size} is {covered} bytes, {relation} the size of the disk, "
        f"{size} bytes ({human_size(size)}), for which {expected} entries are expected"
    )


def _misplaced_table(header: Any, offset: int, data_end: int) -> tuple[int, str] | None:
    """The field at fault and why, where the table cannot lie where the header says."""
    size = header.max_table_entries * ENTRY_SIZE
    start, end = header.table_offset, header.table_offset + size
    if size > MAX_TABLE_BYTES:
        return MAX_TABLE_ENTRIES, (
            f"max_table_entries is {header.max_table_entries}, a table of {human_size(size)}; "
            f"the largest that is read has {human_size(MAX_TABLE_BYTES)}"
        )
    if start < SECTOR or end > data_end:
        return TABLE_OFFSET, (
            f"table_offset is {start:#x} and the table has {size} bytes, "
            f"expected between the footer copy's end, 0x200, and byte {data_end:#x}"
        )
    if start < offset + HEADER_SIZE and offset < end:
        return TABLE_OFFSET, f"table_offset is {start:#x}, inside the header, which lies at {offset:#x}"
    return None


def _parent_details(header: Any) -> dict[str, Any]:
    return {
        "parent_unique_id": uuid_text(header.parent_unique_id),
        "parent_time_stamp": time_text(header.parent_time_stamp),
        "parent_unicode_name": printable(text(header.parent_unicode_name, "utf-16-be")),
    }


def _check_parent(source: BlockSource, header: Any, offset: int, problems: list[Problem]) -> str:
    """Report the parent, which is never looked for, and locators out of bounds; say where missing bytes are."""
    name = printable(text(header.parent_unicode_name, "utf-16-be")) or "without a name"
    uuid = uuid_text(header.parent_unique_id) or "none"
    message = f"the disk holds only what differs from its parent disk, {name} (unique_id {uuid}); expected a whole disk"
    problems.append(Problem("vhd-differencing", message, _WHERE, offset + 40))
    for index, entry in enumerate(header.parent_locator_entries):
        if any(entry.platform_code):
            end = entry.platform_data_offset + entry.platform_data_length
            if end > source.size:
                message = (
                    f"parent locator {index} ends at byte {end:#x}, expected within the file, {source.size:#x} bytes"
                )
                field = LOCATORS + index * LOCATOR_SIZE
                problems.append(Problem("vhd-header-invalid", message, _WHERE, offset + field))
    return f"they are in the parent disk, {name}"
