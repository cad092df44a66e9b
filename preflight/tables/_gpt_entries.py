"""The partitions of a GPT, from the partition entry array of a verified copy.

Specification: UEFI 2.10, 5.3.3 "GPT Partition Entry Array";
https://uefi.org/specs/UEFI/2.10/05_GUID_Partition_Table_Format.html
"""

from collections.abc import Iterator, Sequence
from typing import Any

from construct import Bytes, Int64ul, Struct

from preflight.binary import guid_text, parse, text
from preflight.facts import Partition, Problem
from preflight.source import BlockSource
from preflight.tables._gpt_header import PRIMARY_LBA, Copy
from preflight.tables._ranges import Located, past_end
from preflight.tables._types import GPT_TYPE_NAMES
from preflight.units import ceil_div

PARTITION_ENTRY = Struct(
    "partition_type_guid" / Bytes(16),
    "unique_partition_guid" / Bytes(16),
    "starting_lba" / Int64ul,
    "ending_lba" / Int64ul,  # inclusive
    "attributes" / Int64ul,
    "partition_name" / Bytes(72),  # UTF-16LE, up to the first NUL
)
ENTRY_SIZE = 128  # of the part that is defined, whatever size_of_partition_entry says
UNUSED_ENTRY = bytes(16)
LEGACY_BIOS_BOOTABLE = 1 << 2
NAME_ENCODING = "utf-16-le"
MAX_DISK_SIZE = 2**63 - 1  # bytes; the largest file offset on Linux: no disk has what lies behind it


def read_entries(source: BlockSource, used: Copy, copies: Sequence[Copy]) -> tuple[list[Located], list[Problem]]:
    """The partitions in the array of `used`, and what is wrong with each; `copies` are all that are valid."""
    located, problems = [], []
    step = used.size_of_partition_entry
    for index in range(used.number_of_partition_entries):
        data = used.array[index * step : index * step + ENTRY_SIZE]
        if data.startswith(UNUSED_ENTRY):
            continue
        where = f"gpt partition entry {index + 1}"
        offset = used.array_offset + index * step
        entry = parse(PARTITION_ENTRY, data, where, offset)
        reason = _impossible(entry, used.sector_size)
        if reason is not None:
            problems.append(Problem("gpt-entry-invalid", reason, where, offset))
            continue
        found = Located(_partition(index + 1, entry, used.sector_size), where, offset)
        located.append(found)
        problems += past_end(found, source) or [
            Problem("gpt-entry-invalid", reason, where, offset) for reason in _misplaced(entry, used, copies)
        ]
        if not _is_utf16(entry.partition_name):
            problems.append(Problem("gpt-entry-invalid", "partition_name is not valid UTF-16LE", where, offset))
    return located, problems


def _impossible(entry: Any, sector_size: int) -> str | None:
    """Why an entry cannot be a stretch of any disk."""
    if entry.ending_lba < entry.starting_lba:
        return f"ending_lba {entry.ending_lba} is below starting_lba {entry.starting_lba}"
    if (entry.ending_lba + 1) * sector_size > MAX_DISK_SIZE:
        return f"ending_lba {entry.ending_lba} is beyond the largest possible disk of {MAX_DISK_SIZE} bytes"
    return None


def _partition(number: int, entry: Any, sector_size: int) -> Partition:
    guid = guid_text(entry.partition_type_guid)
    return Partition(
        number=number,
        start=entry.starting_lba * sector_size,
        size=(entry.ending_lba - entry.starting_lba + 1) * sector_size,
        type=guid,
        type_name=GPT_TYPE_NAMES.get(guid),
        name=text(entry.partition_name, NAME_ENCODING),
        uuid=guid_text(entry.unique_partition_guid),
        bootable=bool(entry.attributes & LEGACY_BIOS_BOOTABLE),
    )


def _misplaced(entry: Any, used: Copy, copies: Sequence[Copy]) -> Iterator[str]:
    """Why a partition on the disk may not lie where it does."""
    first, last = entry.starting_lba, entry.ending_lba
    if first < used.first_usable_lba or last > used.last_usable_lba:
        yield f"LBAs {first} to {last}, usable are {used.first_usable_lba} to {used.last_usable_lba}"
        return
    # A header may call usable what it occupies itself.
    if first <= PRIMARY_LBA:
        yield f"LBAs {first} to {last} cover the protective MBR or the primary header"
    for copy in copies:
        array_sectors = ceil_div(len(copy.array), copy.sector_size)
        for what, lba, count in (
            ("header", copy.my_lba, 1),
            ("partition entry array", copy.partition_entry_lba, array_sectors),
        ):
            if first < lba + count and lba <= last:
                yield f"LBAs {first} to {last} cover the {what} at LBA {lba}"


def _is_utf16(name: bytes) -> bool:
    """Whether the name is well-formed up to its end; lone surrogates are not."""
    for index in range(0, len(name), 2):
        if name[index : index + 2] == b"\0\0":
            name = name[:index]
            break
    try:
        name.decode(NAME_ENCODING)
    except UnicodeDecodeError:
        return False
    return True
