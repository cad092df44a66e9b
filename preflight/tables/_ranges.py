"""Checks that every kind of table makes of the partitions it found."""

from collections.abc import Iterable

import msgspec

from preflight.facts import Partition, Problem
from preflight.source import BlockSource

MAX_PROBLEMS = 64  # of one table: a person reads the first few, and a hostile table has thousands


class Located(msgspec.Struct, frozen=True):
    """A partition, and what describes it."""

    partition: Partition
    where: str
    """The structure, as in `Problem.where`."""
    offset: int
    """Byte of its entry on the disk."""

    @property
    def end(self) -> int:
        """First byte behind it."""
        return self.partition.start + self.partition.size


def past_end(located: Located, source: BlockSource) -> list[Problem]:
    """The problem of a partition that ends behind the disk."""
    if located.end <= source.size:
        return []
    message = f"partition {located.partition.number} ends at byte {located.end}, the disk at byte {source.size}"
    return [Problem("partition-past-end", message, located.where, located.offset)]


def overlaps(all_located: Iterable[Located]) -> list[Problem]:
    """One problem for each partition that begins inside one that begins no later."""
    problems = []
    widest: Located | None = None
    for located in sorted(all_located, key=lambda located: (located.partition.start, located.offset)):
        if widest is not None and located.partition.start < widest.end:
            message = (
                f"partition {located.partition.number} begins at byte {located.partition.start}, "
                f"inside partition {widest.partition.number}, which ends at byte {widest.end}"
            )
            problems.append(Problem("partitions-overlap", message, located.where, located.offset))
        if widest is None or located.end > widest.end:
            widest = located
    return problems


def limited(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """The first `MAX_PROBLEMS`, the last of them saying how many more there are."""
    told = tuple(problems)
    if len(told) <= MAX_PROBLEMS:
        return told
    last = told[MAX_PROBLEMS - 1]
    message = f"{last.message}; {len(told) - MAX_PROBLEMS} more problems of this table are not listed"
    return (*told[: MAX_PROBLEMS - 1], Problem(last.code, message, last.where, last.offset))
