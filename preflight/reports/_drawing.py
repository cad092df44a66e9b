"""The disk as one line, to scale: partitions with what they hold, and the free space between them."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from preflight.facts import Image, Partition
from preflight.reports import escape
from preflight.units import human_size

_EXTENDED = ("0x05", "0x0f", "0x85")


class Cell(NamedTuple):
    """A run of the drawing."""

    text: str
    is_partition: bool


class _Run(NamedTuple):
    """A stretch of the disk that gets a cell."""

    size: int
    """Bytes of it that lie on the disk."""
    labels: Sequence[str]
    """What may be written into it, best first; of a partition the last is its number, which always is."""
    is_partition: bool


def draw(image: Image, width: int) -> list[Cell]:
    """The disk in cells that fit into `width` characters with a bar around each.

    Empty where there is nothing to draw, or where there are so many partitions that nobody could tell them apart.
    """
    if not image.virtual_size or not image.partitions:
        return []
    runs = _runs(image, image.virtual_size)
    # The size of what is drawn; more than the disk's where partitions overlap.
    total = max(sum(run.size for run in runs), 1)
    runs = [run for run in runs if run.is_partition or width * run.size // total > 1]
    least = [len(run.labels[-1]) if run.is_partition else 0 for run in runs]
    room = width - len(runs) - 1 - sum(least)
    if room < len(runs):
        return []
    return [
        Cell(text, run.is_partition)
        for run, minimum in zip(runs, least, strict=True)
        if (text := _filled(run, minimum + room * run.size // total))
    ]


def _runs(image: Image, size: int) -> list[_Run]:
    """The partitions in the order of their places, with the free space before, between and after them."""
    types: dict[str, list[str]] = {}
    for filesystem in image.filesystems:
        types.setdefault(filesystem.on, []).append(escape(filesystem.type))
    runs: list[_Run] = []
    end = 0
    for partition in _outermost(image.partitions):
        start = min(partition.start, size)
        if start > end:
            runs.append(_free(start - end))
        stop = min(partition.start + partition.size, size)
        runs.append(_Run(max(stop - start, 0), _labels(partition, types), True))
        end = max(end, stop)
    if end < size:
        runs.append(_free(size - end))
    return runs


def _free(size: int) -> _Run:
    return _Run(size, (f" {human_size(size)} free ", " free "), False)


def _labels(partition: Partition, types: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    number = str(partition.number)
    contents = " ".join([number, *types.get(f"partition {partition.number}", ())])
    return f"{contents} {human_size(partition.size)}", contents, number


def _filled(run: _Run, width: int) -> str:
    """The best label that fits, and what tells a partition from free space around it."""
    if run.is_partition:
        label = next(label for label in run.labels if len(label) <= width)
        return label if len(label) == width else f"{label} ".ljust(width, "=")
    label = next((label for label in run.labels if len(label) + 2 <= width), "")
    return label.center(width, ".")


def _outermost(partitions: Sequence[Partition]) -> Iterable[Partition]:
    """The partitions by their start, without an extended one whose logical partitions stand for it."""
    has_logical = any(partition.number > 4 for partition in partitions)
    kept = [one for one in partitions if not (has_logical and one.type in _EXTENDED)]
    return sorted(kept, key=lambda partition: partition.start)
