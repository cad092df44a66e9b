"""Where the clusters of an attribute of NTFS are: the mapping pairs, in one record or in many.

Specification: NTFS documentation, concept Data Runs, https://flatcap.github.io/linux-ntfs/ntfs/concepts/data_runs.html
"""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from preflight.binary import parse
from preflight.contents import ContentsError
from preflight.contents import _ntfs_layouts as layouts
from preflight.contents._ntfs_records import HEADER, Attribute

MAX_VCN = 1 << 54  # clusters of 512 bytes in 2^63 bytes, which is what a size can say
NO_RUNS = (1 << 64) - 1  # highest_vcn of an attribute without clusters


class Run(NamedTuple):
    """Clusters that follow each other, in the attribute and on the disk."""

    vcn: int
    """The first, as the attribute counts them."""
    length: int
    """In clusters."""
    lcn: int | None
    """The first on the disk; None for a hole."""


class Extents(NamedTuple):
    """What a piece of an attribute says of its clusters and, where it is the first, of the sizes of all."""

    lowest_vcn: int
    runs: tuple[Run, ...]
    compression_unit: int
    """As power of 2, in clusters; 0 for none."""
    allocated_size: int
    data_size: int
    initialized_size: int

    @property
    def end(self) -> int:
        """The cluster behind the last."""
        return self.runs[-1].vcn + self.runs[-1].length if self.runs else self.lowest_vcn


def extents(attribute: Attribute, clusters: int) -> Extents:
    """The clusters of one that is not resident, on a volume of so many `clusters`.

    Raises `ContentsError` or `StructureError` where they are not on the volume, or are not what its header says.
    """
    where = attribute.where
    if attribute.is_resident:
        raise ContentsError(f"{where}: it is resident, and has no clusters")
    header = parse(layouts.NON_RESIDENT, attribute.data[HEADER.size :], where, HEADER.size)
    if header.mapping_pairs_offset < HEADER.size + layouts.NON_RESIDENT_SIZE or header.lowest_vcn > MAX_VCN:
        raise ContentsError(
            f"{where}: its runs begin at byte {header.mapping_pairs_offset:#x} with cluster {header.lowest_vcn}"
        )
    pairs = attribute.data[header.mapping_pairs_offset :]
    runs = tuple(_decoded(pairs, header.lowest_vcn, clusters, where))
    found = Extents(
        header.lowest_vcn,
        runs,
        header.compression_unit,
        header.allocated_size,
        header.data_size,
        header.initialized_size,
    )
    # Of an attribute without clusters it is -1, or 0 as some write it.
    if header.highest_vcn != (found.end - 1) & NO_RUNS and (runs or header.highest_vcn):
        raise ContentsError(f"{where}: its runs end before cluster {found.end}, highest_vcn is {header.highest_vcn}")
    return found


def _decoded(pairs: bytes, vcn: int, clusters: int, where: str) -> Iterator[Run]:
    position, lcn = 0, 0
    while position < len(pairs) and pairs[position]:
        length_size, offset_size = pairs[position] & 15, pairs[position] >> 4
        middle = position + 1 + length_size
        position = middle + offset_size
        if not 0 < length_size <= 8 or offset_size > 8 or position > len(pairs):
            raise ContentsError(f"{where}: a run has {length_size} and {offset_size} bytes, {len(pairs)} are there")
        length = int.from_bytes(pairs[middle - length_size : middle], "little")
        lcn += int.from_bytes(pairs[middle:position], "little", signed=True)
        if not 0 < length <= MAX_VCN - vcn or (offset_size and not 0 <= lcn <= clusters - length):
            place = f"from {lcn}" if offset_size else "in a hole"
            raise ContentsError(f"{where}: a run has {length} clusters {place}, the volume {clusters}")
        yield Run(vcn, length, lcn if offset_size else None)
        vcn += length


class RunMap:
    """The runs of an attribute that may be in several pieces, each decoded when it is needed."""

    def __init__(self, starts: Sequence[int], load: Callable[[int], Extents], where: str) -> None:
        """`starts`: the first cluster of each piece, in ascending order from 0; `load` gives the piece of an index."""
        self._starts = starts
        self._load = load
        self._where = where

    def over(self, vcn: int, count: int) -> Iterator[Run]:
        """`count` clusters from `vcn`; `ContentsError` where there are fewer."""
        end = vcn + count
        index = bisect_right(self._starts, vcn) - 1
        while vcn < end:
            piece = self._load(index) if index < len(self._starts) else None
            if piece is None or piece.lowest_vcn != self._starts[index] or piece.end <= vcn:
                raise ContentsError(f"{self._where}: its runs have no cluster {vcn}")
            runs = piece.runs
            for number in range(bisect_right(runs, vcn, key=_start) - 1, len(runs)):
                run = runs[number]
                skip = vcn - run.vcn
                length = min(run.length - skip, end - vcn)
                yield Run(vcn, length, None if run.lcn is None else run.lcn + skip)
                vcn += length
                if vcn == end:
                    return
            index += 1


def _start(run: Run) -> int:
    return run.vcn
