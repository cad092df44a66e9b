"""The bytes of files in FAT12, FAT16 and FAT32: chains of clusters, followed as far as a read needs.

Specification: Microsoft Extensible Firmware Initiative FAT32 File System Specification, version 1.03, sections FAT Data
Structure and FAT Type Determination
"""

from bisect import bisect_right
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from preflight.contents import ContentsError
from preflight.filesystems._fat_geometry import SECTOR_SIZE, geometry
from preflight.source import BlockSource

FIRST_CLUSTER = 2  # FAT[0] and FAT[1] belong to no cluster
ENTRY_MASKS = {12: 0xFFF, 16: 0xFFFF, 32: 0x0FFFFFFF}  # the upper four bits of FAT32 are reserved
ENTRY_BYTES = {12: 2, 16: 2, 32: 4}  # that an entry lies in
MARKS = 8  # the last so many values end a chain, 0x…FF8 to 0x…FFF; the one before, 0x…FF7, is a bad cluster
WINDOW = 2048  # entries of the FAT that are read at once: a whole number of bytes for 12 bits as well
WINDOWS_KEPT = 32  # 256 KiB of FAT32, entries of 256 MiB in clusters of 4 KiB
CHAINS_KEPT = 8  # files that are read in turn: an initramfs is read piece by piece
MAX_RUNS = 65_536  # of one file, 10 MiB of memory: 256 MiB in clusters of 4 KiB, of which no two adjoin


class Filesystem:
    """One file system: where its clusters are, and which follows which."""

    def __init__(self, source: BlockSource) -> None:
        """Read the boot sector; `ContentsError` where it is none."""
        self.source = source
        found = geometry(source.read_at(0, SECTOR_SIZE))
        if found is None:
            raise ContentsError("fat boot sector: its fields contradict each other, or are of no FAT")
        self.geometry = found
        # Linux takes the smaller of what the data area has and what the FAT has entries for.
        self.last_cluster = min(found.clusters + FIRST_CLUSTER, found.fat_size * 8 // found.bits) - 1
        self._window = lru_cache(WINDOWS_KEPT)(self._read_window)
        self._chain = lru_cache(CHAINS_KEPT)(lambda first: _Chain(self, first))

    def read(self, first: int, offset: int, size: int, *, to_end: bool = False) -> bytes:
        """`size` bytes from `offset` of the chain that begins with cluster `first`.

        `to_end`: a chain that ends before is no error. Raises `ContentsError`, and what `read_at` raises.
        """
        cluster_size = self.geometry.cluster_size
        index, skip = divmod(offset, cluster_size)
        parts = []
        for run in self._chain(first).runs(index, -(-(skip + size) // cluster_size), to_end=to_end):
            count = min(run.length * cluster_size - skip, size)
            start = self.geometry.data_offset + (run.start - FIRST_CLUSTER) * cluster_size
            parts.append(self.source.read_at(start + skip, count))
            size -= count
            skip = 0
        return b"".join(parts)

    def next(self, cluster: int) -> int | None:
        """The cluster after this one, None after the last; `ContentsError` where the entry leads nowhere."""
        bits = self.geometry.bits
        window, index = divmod(cluster, WINDOW)
        at = index * bits // 8
        value = int.from_bytes(self._window(window)[at : at + ENTRY_BYTES[bits]], "little")
        mask = ENTRY_MASKS[bits]
        value = (value >> 4 if bits == 12 and index & 1 else value) & mask
        if FIRST_CLUSTER <= value <= self.last_cluster:
            return value
        if value > mask - MARKS:
            return None
        state = {0: "free", 1: "reserved", mask - MARKS: "bad"}.get(value)
        where = f"fat entry of cluster {cluster} at byte {self.geometry.fat_offset + cluster * bits // 8:#x}"
        if state:
            raise ContentsError(f"{where}: in a chain of clusters there is one that is {state}")
        raise ContentsError(f"{where}: it is {value}, clusters are {FIRST_CLUSTER} to {self.last_cluster}")

    def _read_window(self, number: int) -> bytes:
        size = WINDOW * self.geometry.bits // 8
        offset = number * size
        return self.source.read_at(self.geometry.fat_offset + offset, min(size, self.geometry.fat_size - offset))


class Run(NamedTuple):
    """Clusters of a file that follow each other on the disk."""

    start: int
    """The first."""
    length: int
    """In clusters."""


class _Chain:
    """The clusters of a file, as far as they were asked for."""

    def __init__(self, filesystem: Filesystem, first: int) -> None:
        self._filesystem = filesystem
        self._first = first
        self._ends: dict[int, int] = {}
        """The runs in the order of the file: the first cluster, and the one behind the last."""
        self._starts: list[int] = []
        """Where runs begin, in ascending order: what tells a chain that comes back to itself."""
        self._barrier = 0
        """The first cluster behind the run that grows which is of another one; 0 for none."""
        self._run = 0
        """Where the run that grows begins."""
        self._last = 0
        self._count = 0

    def runs(self, index: int, count: int, *, to_end: bool) -> Iterator[Run]:
        """`count` clusters from the one at `index`; `ContentsError` where there are fewer, unless `to_end`."""
        if not self._extend(index + count) and not to_end:
            raise ContentsError(
                f"{self._where}: it ends after {self._count} clusters of {self._filesystem.geometry.cluster_size}"
                f" bytes, the file has more"
            )
        for start, end in self._ends.items():
            length = end - start
            if index < length:
                yield Run(start + index, min(length - index, count))
                count -= length - index
                if count <= 0:
                    return
            index = max(0, index - length)

    @property
    def _where(self) -> str:
        return f"fat chain of cluster {self._first}"

    def _extend(self, count: int) -> bool:
        """Follow the chain until it has `count` clusters; whether it has so many."""
        if not self._count:
            last = self._filesystem.last_cluster
            if not FIRST_CLUSTER <= self._first <= last:
                raise ContentsError(f"{self._where}: there is none, clusters are {FIRST_CLUSTER} to {last}")
            self._add(self._first)
        while self._count < count:
            cluster = self._filesystem.next(self._last)
            if cluster is None:
                return False
            self._add(cluster)
        return True

    def _add(self, cluster: int) -> None:
        """Let `cluster` be the next one."""
        adjoins = self._count > 0 and cluster == self._last + 1
        place = bisect_right(self._starts, cluster)
        if cluster == self._barrier if adjoins else place and cluster < self._ends[self._starts[place - 1]]:
            raise ContentsError(f"{self._where}: it comes back to cluster {cluster}")
        if not adjoins:
            if len(self._starts) == MAX_RUNS:
                raise ContentsError(f"{self._where}: it is in over {MAX_RUNS} pieces, no more are followed")
            self._barrier = self._starts[place] if place < len(self._starts) else 0
            self._starts.insert(place, cluster)
            self._run = cluster
        self._ends[self._run] = cluster + 1
        self._last = cluster
        self._count += 1
