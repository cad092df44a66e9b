"""A bounded audit of the L2 tables of a qcow2 image: whether their entries lead where guest data can be.

Specification: Qcow2 Image File Format, sections "Cluster mapping" and "Extended L2 Entries",
https://gitlab.com/qemu-project/qemu/-/blob/master/docs/interop/qcow2.rst
"""

from array import array
from collections.abc import Iterator
from itertools import compress, count, filterfalse, islice
from typing import NamedTuple

from preflight.errors import StructureError
from preflight.facts import Problem, ProblemCode
from preflight.formats._qcow2_header import EXTENDED_L2, Header, problem_from
from preflight.formats._qcow2_mapping import (
    COMPRESSED,
    COPIED,
    L2_WHERE,
    OFFSET_MASK,
    SUBCLUSTERS,
    ZERO,
    cluster_numbers,
    compressed_extent,
    reserved_bits,
    union,
    words,
)
from preflight.formats._qcow2_tables import L1, fixed_tables
from preflight.source import BlockSource
from preflight.units import SECTOR, KiB, ceil_div

MAX_AUDIT_BYTES = 256 * KiB  # of L2 tables: four of the usual size, which map 2 GiB of the guest
NOTHING = array("Q", bytes(4 * KiB))  # entries in a row that are passed over where none is in use
MAX_AUDIT_TABLES = 512  # one read each; as many as fit into those bytes with the smallest clusters

INVALID: ProblemCode = "qcow2-mapping-invalid"


class Table(NamedTuple):
    """An L2 table, or a first part of it."""

    l1_index: int
    offset: int
    entries: "array[int]"
    bitmaps: "array[int]"
    """Empty without extended L2 entries."""


def audit_l2(source: BlockSource, header: Header, l1: L1, blocks: set[int]) -> tuple[str, tuple[Problem, ...]]:
    """Check the entries of the first L2 tables; how many of those in use, as text, and what is wrong.

    `blocks` are the host clusters of the refcount blocks. Each kind of defect is told once, of its first entry.
    """
    size = header.cluster_size
    tables: list[Table] = []
    problems: list[Problem] = []
    budget, whole = MAX_AUDIT_BYTES, 0
    for index in islice(compress(count(), l1.tables), MAX_AUDIT_TABLES):
        offset = l1.tables[index] * size
        if not budget or offset + size > source.size:  # the latter is the L1 table's own problem
            continue
        # Of a table only what the virtual size reaches is looked at: with clusters of 2 MiB the rest is large.
        reached = min(size, ceil_div(max(0, header.size - index * header.l1_reach), size) * header.entry_size)
        length = min(reached, budget)
        try:
            numbers = words(source.read_at(offset, length))
        except StructureError as error:
            problems.append(problem_from(error, L2_WHERE, INVALID))
            break
        extended = header.incompatible_features & EXTENDED_L2
        entries, bitmaps = (numbers[::2], numbers[1::2]) if extended else (numbers, array("Q"))
        bitmaps.extend([0] * (len(entries) - len(bitmaps)) if extended else ())
        tables.append(Table(index, offset, entries, bitmaps))
        whole += length == reached
        budget -= length
    audit = Audit(header, source.size, (blocks, l1.unique))
    if not audit.sound(tables):
        problems += audit.defects(tables)
    return f"{whole} of {l1.used}", tuple(problems)


class Audit:
    """What holds for all entries together, by whole-table operations; and entry by entry where it does not hold."""

    def __init__(self, header: Header, file_size: int, metadata: tuple[set[int], set[int]]) -> None:
        """`metadata` are the host clusters of refcount blocks and L2 tables."""
        self._header = header
        self._size = header.cluster_size
        self._end = file_size
        self._taken: tuple[tuple[str, range | set[int]], ...] = (
            ("header", range(1)),
            *fixed_tables(header),
            *zip(("refcount blocks", "L2 tables"), metadata, strict=True),
        )
        self._reserved = reserved_bits(header)
        self._standard: set[int] = set()  # host clusters of standard clusters, as `defects` meets them
        self._shared: set[int] = set()  # and of compressed ones
        self._streams: set[int] = set()  # first bytes of compressed clusters

    def sound(self, tables: list[Table]) -> bool:
        """Whether nothing is wrong; False also where a closer look is needed. About 1 ms for 8192 entries."""
        entries = array("Q")
        for table in tables:
            for start in range(0, len(table.entries), len(NOTHING)):
                part = table.entries[start : start + len(NOTHING)]
                if part != NOTHING:
                    entries += part
        clusters: set[int] = set()
        if union(entries) & COMPRESSED:
            streams = array("Q", filter(COMPRESSED.__and__, entries))
            if union(streams) & COPIED:
                return False
            entries = array("Q", filterfalse(COMPRESSED.__and__, entries))
            starts = list(map(((1 << 62 - (self._header.cluster_bits - 8)) - 1).__and__, streams))
            clusters = {start >> self._header.cluster_bits for start in starts}
            last = self._end - 2 * self._size - SECTOR  # no compressed cluster is longer
            near = [entry for entry, start in zip(streams, starts, strict=True) if start > last]
            if len(set(starts)) != len(starts) or any(map(self._stream_cut, near)):
                return False
        return self._standard_sound(entries, clusters) and not any(
            self._bitmap_wrong(entry, bitmap)
            for table in tables
            for entry, bitmap in zip(table.entries, table.bitmaps, strict=False)
            if bitmap
        )

    def _standard_sound(self, entries: "array[int]", clusters: set[int]) -> bool:
        """The part of `sound` about standard clusters; `clusters` are those that hold compressed ones."""
        places = cluster_numbers(entries, self._header.cluster_bits)
        hosts = set(places)
        hosts.discard(0)
        unplaced = places.count(0)
        if (
            union(entries) & self._reserved
            or len(hosts) != len(places) - unplaced
            or max(hosts, default=0) * self._size >= self._end
            or (self._end % SECTOR and self._end // self._size in hosts)
            or (unplaced != entries.count(0) and any(map(self._host_missing, entries)))
        ):
            return False
        return hosts.isdisjoint(clusters) and all(
            hosts.isdisjoint(taken) and clusters.isdisjoint(taken) for _, taken in self._taken
        )

    def defects(self, tables: list[Table]) -> Iterator[Problem]:
        """What is wrong, each kind once."""
        told: set[str] = set()
        for table in tables:
            for number, entry in enumerate(table.entries):
                bitmap = table.bitmaps[number] if table.bitmaps else 0
                guest = table.l1_index * self._header.l1_reach + number * self._size
                code, kind = self._defect(entry, bitmap, guest) if entry or bitmap else (INVALID, "")
                if kind and kind not in told:
                    told.add(kind)
                    at = table.offset + number * self._header.entry_size
                    yield Problem(code, f"the entry of guest byte {guest:#x} is {entry:#018x}: {kind}", L2_WHERE, at)

    def _defect(self, entry: int, bitmap: int, guest: int) -> tuple[ProblemCode, str]:
        """Code and kind of what is wrong, "" for nothing; notes which place the entry takes."""
        if self._bitmap_wrong(entry, bitmap):
            return INVALID, "its subcluster bitmap contradicts itself or the entry"
        if entry & COMPRESSED:
            if entry & COPIED:
                return INVALID, "bit 63 is set, which no compressed cluster has"
            start, _ = compressed_extent(entry, self._header.cluster_bits)
            if self._stream_cut(entry):
                return "truncated-file", f"compressed data is said to lie past the end of the file, {self._end:#x}"
            if start in self._streams:
                return INVALID, "another guest cluster has the same compressed data"
            self._streams.add(start)
            cluster = start // self._size
            taken = cluster in self._standard  # compressed clusters may share a host cluster
            self._shared.add(cluster)
        else:
            host = entry & OFFSET_MASK
            if entry & self._reserved:
                return INVALID, "reserved bits are set, or the offset is not a whole cluster"
            if self._host_missing(entry):
                return INVALID, "bit 63 is set without a host offset, which only an external data file allows"
            if not host:
                return INVALID, ""
            if self._cut(entry, bitmap, guest, host):
                return "truncated-file", f"data is said to lie past the end of the file, {self._end:#x}"
            cluster = host // self._size
            taken = cluster in self._standard or cluster in self._shared
            self._standard.add(cluster)
        for what, place in self._taken:
            if cluster in place:
                return INVALID, f"it leads to the {what}"
        return INVALID, "another guest cluster has the same host cluster" if taken else ""

    def _bitmap_wrong(self, entry: int, bitmap: int) -> bool:
        """Whether a subcluster is both allocated and zero, or allocated nowhere; compressed clusters have none."""
        allocated = bitmap & 0xFFFF_FFFF
        return bool(
            allocated & bitmap >> SUBCLUSTERS
            or (bitmap and entry & COMPRESSED)
            or (allocated and not entry & OFFSET_MASK)
        )

    def _host_missing(self, entry: int) -> bool:
        return entry & (COPIED | OFFSET_MASK | ZERO) == COPIED

    def _stream_cut(self, entry: int) -> bool:
        """Whether even the last sector of a compressed cluster begins past the end of the file."""
        start, length = compressed_extent(entry, self._header.cluster_bits)
        return max(start, start + length - SECTOR) >= self._end

    def _cut(self, entry: int, bitmap: int, guest: int, host: int) -> bool:
        """Whether bytes of a standard cluster are missing.

        QEMU ends a file inside the last cluster where the rest is not needed, but always with a whole sector: an
        end elsewhere comes from a copy that broke off.
        """
        needed = min(self._size, self._header.size - guest) if guest < self._header.size else self._size
        if self._header.incompatible_features & EXTENDED_L2:
            subclusters = (bitmap & 0xFFFF_FFFF).bit_length()
            needed = min(needed, subclusters * self._size // SUBCLUSTERS)
        elif entry & ZERO:
            needed = 0
        return bool(needed) and (host >= self._end or (self._end % SECTOR > 0 and host + needed > self._end))
