"""Logical partitions: the chain of boot records inside an extended partition.

Specification: none; as Linux reads it (block/partitions/msdos.c). The address of a logical partition counts from
its own boot record, that of the next boot record from the start of the extended partition.
"""

from collections.abc import Sequence

from preflight.errors import StructureError
from preflight.facts import Problem
from preflight.source import BlockSource
from preflight.tables._boot_sector import Record, locate, read_records, record_problems
from preflight.tables._ranges import Located, past_end
from preflight.units import SECTOR

FIRST_NUMBER = 5  # on Linux, however many primary partitions there are
MAX_BOOT_RECORDS = 256  # of one disk: Linux has no names for more partitions (DISK_MAX_PARTS), sfdisk stops at 60
EBR = "extended boot record"


class _Walk:
    """What is gathered while the chains of one disk are followed."""

    def __init__(self, source: BlockSource, sector_size: int, disk_signature: int) -> None:
        self.source = source
        self.sector_size = sector_size
        self.disk_signature = disk_signature
        self.visited: set[int] = set()  # LBAs of boot records, of all chains
        self.logical: list[Located] = []
        self.problems: list[Problem] = []


def read_logical(
    source: BlockSource, containers: Sequence[Record], sector_size: int, disk_signature: int
) -> tuple[list[Located], list[Problem]]:
    """The logical partitions in the extended ones, numbered in the order of the chains, and what is wrong there."""
    walk = _Walk(source, sector_size, disk_signature)
    for container in containers:
        link: Record | None = container
        lba = container.starting_lba
        while link is not None and _may_follow(walk, container, link, lba):
            walk.visited.add(lba)
            link = _read_boot_record(walk, container, link, lba)
            if link is not None:
                lba = container.starting_lba + link.starting_lba
    return walk.logical, walk.problems


def _may_follow(walk: _Walk, container: Record, link: Record, lba: int) -> bool:
    """Whether there can be a boot record at `lba`; else the chain ends here, and the reason is a problem."""
    if container.starting_lba == 0:
        return False  # told of the record itself: it names the master boot record
    end = container.starting_lba + container.size_in_lba
    if not container.starting_lba <= lba < end:
        reason = (
            f"the next boot record at LBA {lba}, outside LBAs {container.starting_lba} to {end - 1} of its partition"
        )
    elif lba in walk.visited:
        reason = f"the next boot record at LBA {lba}, which is already part of a chain"
    elif len(walk.visited) >= MAX_BOOT_RECORDS:
        reason = f"more than {MAX_BOOT_RECORDS} boot records"
    elif lba * walk.sector_size + SECTOR > walk.source.size:
        if link is container:
            return False  # told as a partition that ends past the disk
        reason = f"the next boot record at LBA {lba}, past the end of the disk at byte {walk.source.size}"
    else:
        return True
    walk.problems.append(Problem("ebr-chain-invalid", reason, EBR, link.offset))
    return False


def _read_boot_record(walk: _Walk, container: Record, via: Record, lba: int) -> Record | None:
    """Gather the logical partitions of one boot record; the link to the next one, None at the end of the chain."""
    offset = lba * walk.sector_size
    try:
        records = read_records(walk.source, offset, EBR)
    except StructureError as error:
        walk.problems.append(Problem("partition-table-unreadable", error.reason, EBR, offset))
        return None
    if records is None:
        walk.problems.append(Problem("ebr-chain-invalid", "no signature 55 AA at its end", EBR, offset))
        return None
    for index, record in enumerate(records):
        if record.extended or (index >= 2 and not _fits(record, container, via, lba)):
            continue
        walk.problems += record_problems(record, EBR)
        if record.size_in_lba:
            _add(walk, container, record, lba)
    links = [record for record in records if record.extended]
    if len(links) > 1:
        reason = f"{len(links)} links to further boot records, expected one at most; the first is followed"
        walk.problems.append(Problem("ebr-chain-invalid", reason, EBR, links[1].offset))
    return links[0] if links else None


def _fits(record: Record, container: Record, via: Record, lba: int) -> bool:
    """Whether a third or fourth record is to be believed: some tools leave garbage there, others use all four."""
    last = lba + record.starting_lba + record.size_in_lba
    return (
        record.size_in_lba > 0
        and record.starting_lba + record.size_in_lba <= via.size_in_lba
        and last <= container.starting_lba + container.size_in_lba
    )


def _add(walk: _Walk, container: Record, record: Record, lba: int) -> None:
    """Number one logical partition, and check that it stays where its container is."""
    start = lba + record.starting_lba
    number = FIRST_NUMBER + len(walk.logical)
    located = locate(record, number, start * walk.sector_size, walk.sector_size, walk.disk_signature, EBR)
    walk.logical.append(located)
    past = past_end(located, walk.source)
    end = container.starting_lba + container.size_in_lba
    if not past and start + record.size_in_lba > end:
        reason = f"partition {number} ends at LBA {start + record.size_in_lba - 1}, its extended partition at {end - 1}"
        walk.problems.append(Problem("ebr-chain-invalid", reason, EBR, record.offset))
    walk.problems += past
