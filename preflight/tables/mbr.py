"""Master boot records: four primary partitions, and logical ones in chains of extended boot records.

Specification: UEFI 2.10, 5.2 "LBA 0 Format"; https://uefi.org/specs/UEFI/2.10/05_GUID_Partition_Table_Format.html;
what it leaves open follows Linux (block/partitions/msdos.c).

The table does not say how large a sector is. It is 512 bytes, unless the disk itself shows that it is 4096: by a GPT
left behind at byte 4096, or because only with 4096 there is something where the partitions begin.
"""

from collections.abc import Sequence
from typing import Literal

from preflight.errors import StructureError
from preflight.facts import PartitionTable, Problem
from preflight.source import BlockSource
from preflight.tables import Layout, Table
from preflight.tables._boot_sector import Record, locate, read_boot_sector, record_problems
from preflight.tables._extended import read_logical
from preflight.tables._gpt_header import read_primary
from preflight.tables._ranges import Located, limited, overlaps, past_end
from preflight.units import SECTOR, KiB

LARGE_SECTOR: Literal[4096] = 4096
SUPERBLOCK_OFFSETS = (0, 64 * KiB)  # all but btrfs have theirs in the first 4 KiB
SUPERBLOCK_SIZE = 4 * KiB
MBR = "master boot record"


def read(source: BlockSource) -> Layout | None:
    """The MBR of this disk; see `Table.read`."""
    boot = read_boot_sector(source)
    if boot.kind != "mbr":
        return None
    problems: list[Problem] = []
    stale = read_primary(source)
    if stale is not None:
        message = "a valid GPT header lies here, but the MBR has no record of type 0xee; the MBR is used"
        problems.append(Problem("gpt-protective-mbr-missing", message, stale.where, stale.offset))
    sector_size = stale.sector_size if stale is not None else _sector_size(source, boot.records)

    primary: list[Located] = []
    for index, record in enumerate(boot.records):
        problems += record_problems(record, MBR)
        if not record.size_in_lba:
            continue
        start = record.starting_lba * sector_size
        located = locate(record, index + 1, start, sector_size, boot.disk_signature, MBR)
        primary.append(located)
        problems += past_end(located, source)
    containers = [record for record in boot.records if record.extended]
    logical, logical_problems = read_logical(source, containers, sector_size, boot.disk_signature)
    problems += overlaps(primary) + logical_problems + overlaps(logical)

    disk_id = f"{boot.disk_signature:#010x}" if boot.disk_signature else None
    partitions = tuple(located.partition for located in (*primary, *logical))
    return Layout(PartitionTable("mbr", sector_size, disk_id, boot.boot_loader), partitions, limited(problems))


def _sector_size(source: BlockSource, records: Sequence[Record]) -> Literal[512, 4096]:
    """4096 where the partitions fit on the disk with it, and only with it begin with anything but zeros."""
    used = [record for record in records if record.size_in_lba]
    end = max((record.starting_lba + record.size_in_lba for record in used), default=0)
    if end == 0 or end * LARGE_SECTOR > source.size:
        return 512
    if any(_holds_data(source, record.starting_lba * SECTOR) for record in used):
        return 512
    if any(_holds_data(source, record.starting_lba * LARGE_SECTOR) for record in used):
        return LARGE_SECTOR
    return 512


def _holds_data(source: BlockSource, start: int) -> bool:
    """Whether there is a superblock or boot record at byte `start`; also where that cannot be read."""
    try:
        return any(
            any(source.read_at(start + offset, SUPERBLOCK_SIZE))
            for offset in SUPERBLOCK_OFFSETS
            if start + offset + SUPERBLOCK_SIZE <= source.size
        )
    except StructureError:
        return True


TABLE = Table(read=read)
