"""GUID partition tables.

Specification: UEFI 2.10, chapter 5 "GUID Partition Table (GPT) Disk Layout";
https://uefi.org/specs/UEFI/2.10/05_GUID_Partition_Table_Format.html

A disk has a GPT where its MBR has a record of type 0xEE, as the specification, Linux and libfdisk demand. Headers
without that record are named as a problem and not followed, here where sector 0 holds no table, in `mbr` where it does.
"""

from collections.abc import Iterator
from typing import Literal

from preflight.errors import StructureError
from preflight.facts import PartitionTable, Problem, ProblemCode
from preflight.source import BlockSource
from preflight.tables import Layout, Table
from preflight.tables._boot_sector import (
    GPT_PROTECTIVE,
    BootSector,
    boot_indicator_problems,
    read_boot_sector,
    record_problems,
)
from preflight.tables._gpt_entries import read_entries
from preflight.tables._gpt_header import (
    ALTERNATE_LBA_OFFSET,
    BACKUP,
    PRIMARY,
    PRIMARY_LBA,
    SECTOR_SIZES,
    UNREADABLE,
    Copy,
    SectorSize,
    has_signature,
    last_lba,
    read_copy,
    read_primary,
)
from preflight.tables._ranges import limited, overlaps

MBR = "protective mbr"

Result = Copy | StructureError


def read(source: BlockSource) -> Layout | None:
    """The GPT of this disk; see `Table.read`."""
    boot = read_boot_sector(source)
    if boot.kind == "none":
        return _without_mbr(source)
    if boot.kind != "protective":
        return None
    problems = list(_protective_mbr_problems(boot))
    sector_size, primary, backup = _copies(source)
    kind: Literal["gpt", "hybrid"] = "hybrid" if boot.beside_gpt else "gpt"
    problems += _copy_problems(source, sector_size, primary, backup)
    if isinstance(primary, Copy):
        used = primary
    elif isinstance(backup, Copy):
        used = backup
    else:
        return Layout(PartitionTable(kind, sector_size, None, boot.boot_loader), (), limited(problems))
    copies = tuple(copy for copy in (primary, backup) if isinstance(copy, Copy))
    located, entry_problems = read_entries(source, used, copies)
    problems += entry_problems + overlaps(located)
    table = PartitionTable(kind, sector_size, used.disk_guid, boot.boot_loader)
    return Layout(table, tuple(found.partition for found in located), limited(problems))


def _without_mbr(source: BlockSource) -> Layout | None:
    """What is to be said of a valid GPT on a disk whose sector 0 announces none."""
    stale = read_primary(source)
    if stale is None:
        return None
    message = "a valid GPT header lies here, but sector 0 has no protective MBR with a record of type 0xee"
    problem = Problem("gpt-protective-mbr-missing", message, stale.where, stale.offset)
    return Layout(PartitionTable("none", stale.sector_size, None), (), (problem,))


def _protective_mbr_problems(boot: BootSector) -> Iterator[Problem]:
    """Only what breaks readers: a size of 0xffffffff or of an earlier, smaller disk, and an active flag, are common."""
    protective = [record for record in boot.records if record.os_type == GPT_PROTECTIVE]
    record = next((record for record in protective if record.starting_lba == PRIMARY_LBA), protective[0])
    reasons = []
    if boot.records[0].os_type != GPT_PROTECTIVE:
        reasons.append(f"the record of type 0xee is number {boot.records.index(record) + 1}, expected to be the first")
    if len(protective) > 1:
        reasons.append(f"{len(protective)} records have type 0xee, expected one")
    if record.starting_lba != PRIMARY_LBA:
        reasons.append(f"the record of type 0xee begins at LBA {record.starting_lba}, expected LBA 1")
    if record.size_in_lba == 0:
        reasons.append("the record of type 0xee covers 0 sectors, expected the whole disk")
    for reason in reasons:
        yield Problem("gpt-protective-mbr-invalid", reason, MBR, record.offset)
    for any_record in boot.records:
        check = boot_indicator_problems if any_record.os_type == GPT_PROTECTIVE else record_problems
        yield from check(any_record, MBR)


def _copies(source: BlockSource) -> tuple[SectorSize, Result, Result]:
    """The sector size, and both copies or what is wrong with them.

    A valid primary copy decides for the sector size, then a valid backup, then a primary's signature, then 512.
    """
    marked = tuple(size for size in SECTOR_SIZES if _marked(source, size))
    failed: list[tuple[SectorSize, Result, Result]] = []
    for size in marked or SECTOR_SIZES:
        primary = _attempt(source, PRIMARY_LBA, size, PRIMARY)
        if isinstance(primary, Copy):
            return size, primary, _backup(source, size, primary.alternate_lba)
        # Not to be trusted, but the backup found there must pass every check; else it is sought at the last LBA.
        alternate = 0
        if size in marked:
            alternate = int.from_bytes(source.read_at(size + ALTERNATE_LBA_OFFSET, 8), "little")
        failed.append((size, primary, _backup(source, size, alternate)))
    return next((result for result in failed if isinstance(result[2], Copy)), failed[0])


def _marked(source: BlockSource, sector_size: SectorSize) -> bool:
    """Whether LBA 1 has the signature of a header, and can be read as far as the address of the other copy."""
    try:
        return has_signature(source, sector_size) and bool(source.read_at(sector_size + ALTERNATE_LBA_OFFSET, 8))
    except StructureError:
        return False


def _backup(source: BlockSource, sector_size: SectorSize, alternate_lba: int) -> Result:
    """The backup at `alternate_lba`, or else at the last LBA; what is wrong with the first that lies on the disk."""
    last = last_lba(source, sector_size)
    failure: StructureError | None = None
    for lba in dict.fromkeys((alternate_lba, last)):
        if PRIMARY_LBA < lba <= last:
            result = _attempt(source, lba, sector_size, BACKUP)
            if isinstance(result, Copy):
                return result
            failure = failure or result
    return failure or StructureError(BACKUP, None, f"the disk has no room for it, its last LBA is {last}")


def _attempt(source: BlockSource, lba: int, sector_size: SectorSize, where: str) -> Result:
    try:
        return read_copy(source, lba, sector_size, where)
    except StructureError as error:
        return error


def _copy_problems(source: BlockSource, sector_size: int, primary: Result, backup: Result) -> Iterator[Problem]:
    """What is wrong with either copy, its place included; raises where neither copy could be reached."""
    last = last_lba(source, sector_size)
    if isinstance(primary, StructureError):
        if isinstance(backup, StructureError):
            for error in (primary, backup):
                if isinstance(error, UNREADABLE):
                    raise error
            message = f"neither header can be used; primary: {primary.reason}; backup: {backup.reason}"
            yield Problem("gpt-damaged", message, PRIMARY, primary.offset)
            return
        reason = f"{primary.reason}; the backup at LBA {backup.my_lba} is used"
        yield Problem(_code(primary, "gpt-primary-damaged"), reason, PRIMARY, primary.offset)
        place = backup.my_lba
    else:
        place = backup.my_lba if isinstance(backup, Copy) else primary.alternate_lba
        if place > last:
            message = f"alternate_lba {place}, but the last LBA of the disk is {last}: the end of the disk is missing"
            field = primary.offset + ALTERNATE_LBA_OFFSET
            yield Problem("gpt-backup-misplaced", message, PRIMARY, field)
            return
        if isinstance(backup, StructureError):
            reason = f"{backup.reason}; the primary is used"
            yield Problem(_code(backup, "gpt-backup-damaged"), reason, BACKUP, backup.offset)
    if place != last:
        message = f"it belongs to LBA {place}, expected at the last LBA of the disk, {last}"
        yield Problem("gpt-backup-misplaced", message, BACKUP, place * sector_size)
    if isinstance(primary, Copy) and isinstance(backup, Copy):
        different = _differences(primary, backup)
        if different:
            message = f"it differs from the primary header, which is used: {', '.join(different)}"
            yield Problem("gpt-headers-differ", message, BACKUP, backup.offset)


def _code(error: StructureError, damaged: ProblemCode) -> ProblemCode:
    return "partition-table-unreadable" if isinstance(error, UNREADABLE) else damaged


def _differences(primary: Copy, backup: Copy) -> list[str]:
    """The fields in which two valid copies contradict each other."""
    fields = (
        "disk_guid",
        "first_usable_lba",
        "last_usable_lba",
        "number_of_partition_entries",
        "size_of_partition_entry",
        "partition_entry_array_crc32",
    )
    different = [field for field in fields if getattr(primary, field) != getattr(backup, field)]
    if (primary.alternate_lba, backup.alternate_lba) != (backup.my_lba, primary.my_lba):
        different.append("alternate_lba")
    return different


TABLE = Table(read=read)
