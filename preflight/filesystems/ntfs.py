"""NTFS, and ReFS, which is only named.

Specification: the NTFS documentation of the Linux-NTFS project, files $Boot and $Volume, concepts FILE Record and
Fixup, https://flatcap.github.io/linux-ntfs/ntfs/
"""

from typing import Any

from construct import Bytes, Int8ul, Int16ul, Int32ul, Int64ul, Padding, Struct

from preflight.binary import parse, parse_at
from preflight.errors import OutOfBounds, StructureError
from preflight.facts import Problem
from preflight.filesystems import FileSystemReader, Superblock
from preflight.filesystems._fields import MAX_SIZE, utf16_label
from preflight.filesystems._ntfs_files import Table, check_files
from preflight.filesystems._ntfs_records import (
    AT_END,
    ATTRIBUTE,
    ATTRIBUTE_SIZE,
    FILE_MAGIC,
    FILE_RECORD,
    MIN_ATTRIBUTE,
    fixed_up,
)
from preflight.source import BlockSource
from preflight.units import KiB, MiB, is_power_of_two

OEM_ID = b"NTFS    "

BOOT_SECTOR = Struct(
    "jump" / Bytes(3),
    "oem_id" / Bytes(8),
    "bytes_per_sector" / Int16ul,
    "sectors_per_cluster" / Int8ul,
    "reserved_sectors" / Int16ul,
    "fats" / Int8ul,
    "root_entries" / Int16ul,
    "sectors" / Int16ul,
    "media_type" / Int8ul,
    "sectors_per_fat" / Int16ul,
    "sectors_per_track" / Int16ul,
    "heads" / Int16ul,
    "hidden_sectors" / Int32ul,
    "large_sectors" / Int32ul,
    Padding(4),
    "number_of_sectors" / Int64ul,
    "mft_lcn" / Int64ul,
    "mftmirr_lcn" / Int64ul,
    "clusters_per_mft_record" / Int8ul,  # from 0x80 on a negative exponent of 2 in bytes
    Padding(3),
    "clusters_per_index_record" / Int8ul,
    Padding(3),
    "volume_serial_number" / Int64ul,
)
MUST_BE_ZERO = ("reserved_sectors", "fats", "root_entries", "sectors", "sectors_per_fat", "large_sectors")

FILE_VOLUME = 3  # the record of $Volume
AT_VOLUME_NAME = 0x60
MAX_SECTOR = 4 * KiB
MAX_CLUSTER = 2 * MiB  # since Windows 10 1709
MAX_RECORD = 64 * KiB  # formatters make 1 and 4 KiB
MIN_RECORD = 512
INDEX_RECORDS = (1, 2, 4, 8, 16, 32, 64, *range(0xE1, 0xF8))  # clusters, and exponents as for records; ntfs-3g
MAX_LABEL = 256  # bytes: 128 characters, the limit of $AttrDef

REFS_BOOT_SECTOR = Struct(
    "jump" / Bytes(3),
    "fs_name" / Bytes(8),
    Padding(5),
    "identifier" / Bytes(4),
    "length" / Int16ul,
    "checksum" / Int16ul,
    "number_of_sectors" / Int64ul,
    "bytes_per_sector" / Int32ul,
)
REFS_MAGIC = b"\0\0\0ReFS\0"
REFS_IDENTIFIER = b"FSRS"


def read(source: BlockSource) -> Superblock | None:
    """The boot sector, with the label from the record of `$Volume` in the master file table."""
    boot = parse_at(BOOT_SECTOR, source, 0, "NTFS boot sector")
    if boot.oem_id != OEM_ID:
        return _read_refs(source)
    cluster_size, record_size = cluster_size_of(boot), record_size_of(boot)
    size = boot.number_of_sectors * boot.bytes_per_sector
    if (
        cluster_size is None
        or record_size is None
        or any(boot[field] for field in MUST_BE_ZERO)
        or max(boot.mft_lcn, boot.mftmirr_lcn) > size // cluster_size
    ):
        return None
    table = Table(boot.mft_lcn * cluster_size, boot.mftmirr_lcn * cluster_size, record_size, cluster_size)
    name, problems = _read_label(source, table.mft + FILE_VOLUME * record_size, record_size)
    if not problems:
        problems += check_files(source, table)
    if boot.clusters_per_index_record not in INDEX_RECORDS:
        found = f"clusters_per_index_record is {boot.clusters_per_index_record:#x}, which cannot be"
        problems.append(Problem("superblock-invalid", found, "NTFS boot sector", 0x44))
    if size > MAX_SIZE:
        found = f"number_of_sectors is {boot.number_of_sectors}, at most {MAX_SIZE // boot.bytes_per_sector}"
        problems.append(Problem("superblock-invalid", found, "NTFS boot sector", 0x28))
    return Superblock(
        "ntfs",
        uuid=f"{boot.volume_serial_number:016X}" if boot.volume_serial_number else None,
        label=name,
        size=size if size <= MAX_SIZE else None,
        problems=tuple(problems),
    )


def cluster_size_of(boot: Any) -> int | None:
    """Bytes in a cluster, None where it cannot be."""
    sectors = boot.sectors_per_cluster
    if sectors > 0x80:
        sectors = 1 << (0x100 - sectors)  # a negative exponent, for clusters above 64 KiB
    size: int = sectors * boot.bytes_per_sector
    sane = is_power_of_two(boot.bytes_per_sector) and 256 <= boot.bytes_per_sector <= MAX_SECTOR
    return size if sane and is_power_of_two(sectors) and size <= MAX_CLUSTER else None


def record_size_of(boot: Any) -> int | None:
    """Bytes in a record of the master file table, None where it cannot be."""
    clusters = boot.clusters_per_mft_record
    if clusters < 0x80:
        size = clusters * (cluster_size_of(boot) or 0)
    else:
        size = 1 << (0x100 - clusters)
    return size if is_power_of_two(size) and MIN_RECORD <= size <= MAX_RECORD else None


def _read_label(source: BlockSource, start: int, size: int) -> tuple[str | None, list[Problem]]:
    """The volume name in the record at `start`, and what is wrong with the record.

    libblkid does not name a file system whose $Volume is no record; a damaged one is better named.
    """
    try:
        data = source.read_at(start, size)
    except OutOfBounds as error:
        return None, [_problem(f"it is out of reach: {error.reason}", None)]
    record = parse(FILE_RECORD, data, "NTFS $Volume record", start)
    if record.magic != FILE_MAGIC:
        return None, [_problem(f"magic is {record.magic.hex()}, expected is {FILE_MAGIC.hex()} (FILE)", start)]
    problems = []
    try:
        data = fixed_up(data, record.usa_ofs, record.usa_count, "NTFS $Volume record", start)
    except StructureError as error:
        problems.append(_problem(error.reason, error.offset))
    position, end = record.attrs_offset, min(size, record.bytes_allocated)
    while position + ATTRIBUTE_SIZE <= end:
        attribute = parse(ATTRIBUTE, data[position:], "NTFS $Volume record", start + position)
        if attribute.type == AT_END or attribute.length < MIN_ATTRIBUTE:
            break
        if attribute.type == AT_VOLUME_NAME:
            value = position + attribute.value_offset
            if attribute.non_resident or attribute.value_length > MAX_LABEL or value + attribute.value_length > size:
                break
            return utf16_label(data[value : value + attribute.value_length]), problems
        position += attribute.length
    return None, problems


def _problem(message: str, offset: int | None) -> Problem:
    return Problem("superblock-invalid", message, "NTFS $Volume record", offset)


def _read_refs(source: BlockSource) -> Superblock | None:
    """ReFS, by the name that libblkid goes by; it shows no UUID and no label."""
    boot = parse_at(REFS_BOOT_SECTOR, source, 0, "ReFS boot sector")
    if (boot.jump + boot.fs_name)[: len(REFS_MAGIC)] != REFS_MAGIC:
        return None
    size = boot.number_of_sectors * boot.bytes_per_sector
    return Superblock("ReFS", size=size if boot.identifier == REFS_IDENTIFIER and 0 < size <= MAX_SIZE else None)


FILESYSTEM = FileSystemReader(read)
