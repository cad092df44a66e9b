"""Whether the tables that the header of a qcow2 image names hold together: L1, refcounts, snapshots.

Specification: Qcow2 Image File Format, sections "Host cluster management", "Cluster mapping", "Snapshots",
https://gitlab.com/qemu-project/qemu/-/blob/master/docs/interop/qcow2.rst
"""

from array import array
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from construct import Int16ub, Int32ub, Int64ub, Struct

from preflight.binary import parse_at, text
from preflight.errors import StructureError
from preflight.facts import Problem, ProblemCode
from preflight.formats._qcow2_header import (
    CORRUPT,
    DIRTY,
    MAX_REFCOUNT_ORDER,
    MAX_REFCOUNT_TABLE_BYTES,
    MAX_SNAPSHOTS,
    Header,
    problem_from,
    well_placed,
)
from preflight.formats._qcow2_mapping import L1_RESERVED, L1_WHERE, OFFSET_MASK, cluster_numbers, union, words
from preflight.source import BlockSource
from preflight.units import KiB, align_up, ceil_div

REFCOUNT_WHERE = "qcow2 refcount table"
SNAPSHOT_WHERE = "qcow2 snapshot table"

MAX_REFCOUNT_BYTES = 64 * KiB  # of the table, and of one block: 16 TiB of file with the usual cluster size
MAX_SNAPSHOTS_SHOWN = 16
MAX_SNAPSHOT_EXTRA = 1024  # QEMU's own limit
MAX_SNAPSHOT_TEXT = 255  # bytes; QEMU's tools write no longer ones

SNAPSHOT = Struct(
    "l1_table_offset" / Int64ub,
    "l1_size" / Int32ub,
    "id_str_size" / Int16ub,
    "name_size" / Int16ub,
    "date_sec" / Int32ub,
    "date_nsec" / Int32ub,
    "vm_clock_nsec" / Int64ub,
    "vm_state_size" / Int32ub,
    "extra_data_size" / Int32ub,
)
SNAPSHOT_SIZE = 40
SNAPSHOT_EXTRA = Struct("vm_state_size" / Int64ub, "disk_size" / Int64ub)
SNAPSHOT_EXTRA_SIZE = 16
# Entries that are compared with each other: a set of all 4 Mi that a table of 32 MiB has would take 400 MB. So many
# reach 512 TiB in clusters of the usual size.
MAX_L1_COMPARED = 1 << 20


class L1(NamedTuple):
    """The active L1 table."""

    entries: "array[int]"
    """Zeros at the end may be missing."""
    tables: "array[int]"
    """By entry the host cluster of its L2 table, 0 for none."""
    unique: set[int]
    """The host clusters of the L2 tables, of the first `MAX_L1_COMPARED` entries."""

    @property
    def used(self) -> int:
        """How many entries have an L2 table."""
        return len(self.tables) - self.tables.count(0)


def read_l1(source: BlockSource, header: Header) -> L1:
    """The active L1 table, at most 32 MiB in a header without `mapping_defects`; raises what `read_at` raises."""
    entries = words(source.read_at(header.l1_table_offset, header.l1_size * 8) if header.l1_size else b"")
    tables = cluster_numbers(entries, header.cluster_bits)
    unique = set(tables[:MAX_L1_COMPARED])
    unique.discard(0)
    return L1(entries, tables, unique)


def check_l1(header: Header, l1: L1, file_size: int) -> Iterator[Problem]:
    """What is wrong with the entries of the active L1 table, each kind told once, of the first entry that has it."""
    size = header.cluster_size
    bad = L1_RESERVED | (OFFSET_MASK & (size - 1))

    def problem(code: ProblemCode, index: int, reason: str) -> Problem:
        at = header.l1_table_offset + index * 8
        return Problem(code, f"entry {index} is {l1.entries[index]:#018x}, {reason}", L1_WHERE, at)

    if union(l1.entries) & bad:  # no table, then, that anything else could be said of
        index = next(index for index, entry in enumerate(l1.entries) if entry & bad)
        reason = "with reserved bits set or an offset that is not a whole cluster"
        yield problem("qcow2-table-invalid", index, reason)
        return
    last = max(l1.tables, default=0)
    if last and (last + 1) * size > file_size:
        index = next(index for index, table in enumerate(l1.tables) if table and (table + 1) * size > file_size)
        reason = f"an L2 table of {size} bytes there passes the end of the file, {file_size:#x}"
        yield problem("truncated-file", index, reason)
    compared = l1.tables[:MAX_L1_COMPARED]
    if len(l1.unique) != len(compared) - compared.count(0):
        seen: set[int] = set()
        index = next(index for index, table in enumerate(compared) if _again(table, seen))
        yield problem("qcow2-table-invalid", index, "the L2 table of an earlier entry")
    for what, taken in fixed_tables(header):
        clash = l1.unique.intersection(taken)
        if clash:
            index = next(index for index, table in enumerate(l1.tables) if table in clash)
            yield problem("qcow2-table-invalid", index, f"which is where the {what} lies")


def _again(value: int, seen: set[int]) -> bool:
    """Whether `value` is not 0 and was asked for before."""
    if not value or value not in seen:
        seen.add(value)
        return False
    return True


def fixed_tables(header: Header) -> tuple[tuple[str, range], ...]:
    """The tables that the header places, and the host clusters that they take, by number."""
    bits, start = header.cluster_bits, header.refcount_table_offset
    l1_end = header.l1_table_offset + header.l1_size * 8
    clusters = min(header.refcount_table_clusters, MAX_REFCOUNT_TABLE_BYTES >> bits)
    return (
        ("L1 table", range(header.l1_table_offset >> bits, ceil_div(l1_end, header.cluster_size))),
        ("refcount table", range(start >> bits, (start >> bits) + clusters)),
    )


def check_refcounts(source: BlockSource, header: Header) -> tuple[set[int], tuple[Problem, ...]]:
    """The host clusters of the refcount blocks, as the first 64 KiB of the table have them, and what is wrong.

    A table that the header misplaces is told of there. The refcounts also tell how far the file should go: a cluster
    in use past its end means that it was cut.
    """
    size = header.refcount_table_clusters * header.cluster_size
    if not size or not well_placed(header, header.refcount_table_offset, size, source.size):
        return set(), ()
    try:
        size = min(size, MAX_REFCOUNT_BYTES)
        entries = words(source.read_at(header.refcount_table_offset, size))
    except StructureError as error:
        return set(), (problem_from(error, REFCOUNT_WHERE, "qcow2-table-invalid"),)
    blocks = {entry >> header.cluster_bits for entry in entries if entry}
    problems = list(_refcount_defects(header, entries, blocks, source.size))
    # After a crash the refcounts are known to be wrong, and may count clusters that were never written.
    if not problems and not header.incompatible_features & (DIRTY | CORRUPT):
        try:
            problems += _used_past_end(source, header, entries)
        except StructureError as error:
            problems.append(problem_from(error, REFCOUNT_WHERE, "qcow2-table-invalid"))
    return blocks, tuple(problems)


def _refcount_defects(header: Header, entries: "array[int]", blocks: set[int], file_size: int) -> Iterator[Problem]:
    """The first entry that is wrong."""
    size = header.cluster_size
    taken = fixed_tables(header)
    if not entries or not entries[0]:  # QEMU would take the header's cluster for free
        reason = "entry 0 is 0, there is no refcount block for the header's own cluster"
        yield Problem("qcow2-table-invalid", reason, REFCOUNT_WHERE, header.refcount_table_offset)
    sound = (
        union(entries) % size == 0
        and (max(blocks, default=0) + 1) * size <= file_size
        and len(blocks) == len(entries) - entries.count(0)
        and all(blocks.isdisjoint(place) for _, place in taken)
    )
    seen: set[int] = set()
    for index, block in enumerate(() if sound else entries):
        code: ProblemCode = "qcow2-table-invalid"
        reason = next((f"where the {what} lies" for what, place in taken if block // size in place), "")
        if block % size:
            reason = f"not a multiple of the cluster size {size}"
        elif block + size > file_size:
            code, reason = "truncated-file", f"a block there passes the end of the file, {file_size:#x}"
        elif _again(block, seen):
            reason = "the block of an earlier entry"
        if block and reason:
            at = header.refcount_table_offset + index * 8
            yield Problem(code, f"entry {index} is {block:#018x}, {reason}", REFCOUNT_WHERE, at)
            return


def _used_past_end(source: BlockSource, header: Header, entries: Sequence[int]) -> Iterator[Problem]:
    if header.refcount_order > MAX_REFCOUNT_ORDER:
        return
    bits = 1 << header.refcount_order
    per_block = header.cluster_size * 8 // bits
    clusters = ceil_div(source.size, header.cluster_size)  # the last one may be cut short, with nothing lost
    index, first = divmod(clusters, per_block)
    if index >= len(entries) or not entries[index]:
        return
    start = ceil_div(first * bits, 8)
    rest = source.read_at(entries[index] + start, min(header.cluster_size - start, MAX_REFCOUNT_BYTES)).rstrip(b"\0")
    if rest:
        last = index * per_block + ((start + len(rest)) * 8 - 1) // bits
        needed = last * header.cluster_size
        reason = f"the refcounts have a cluster in use at byte {needed:#x}, but the file ends at byte {source.size:#x}"
        yield Problem("truncated-file", reason, "qcow2 refcount block", entries[index] + start)


def read_snapshots(source: BlockSource, header: Header) -> tuple[list[dict[str, Any]], tuple[Problem, ...]]:
    """The first snapshots, and what is wrong with their entries in the table."""
    shown: list[dict[str, Any]] = []
    problems: list[Problem] = []
    least = header.nb_snapshots * SNAPSHOT_SIZE
    if header.nb_snapshots > MAX_SNAPSHOTS or not well_placed(header, header.snapshots_offset, least, source.size):
        return shown, ()
    offset = header.snapshots_offset
    try:
        for _ in range(min(header.nb_snapshots, MAX_SNAPSHOTS_SHOWN)):
            entry = parse_at(SNAPSHOT, source, offset, SNAPSHOT_WHERE)
            if entry.extra_data_size > MAX_SNAPSHOT_EXTRA:
                reason = f"extra_data_size is {entry.extra_data_size} bytes, allowed are {MAX_SNAPSHOT_EXTRA}"
                raise StructureError(SNAPSHOT_WHERE, offset + 36, reason)
            problems += _snapshot_defects(header, entry, offset, source.size)
            facts, disk_size = entry, None
            if entry.extra_data_size >= SNAPSHOT_EXTRA_SIZE:
                facts = parse_at(SNAPSHOT_EXTRA, source, offset + SNAPSHOT_SIZE, SNAPSHOT_WHERE)
                disk_size = facts.disk_size
            id_at = offset + SNAPSHOT_SIZE + entry.extra_data_size
            name_at = id_at + entry.id_str_size
            shown.append(
                {
                    "id": text(source.read_at(id_at, min(entry.id_str_size, MAX_SNAPSHOT_TEXT))),
                    "name": text(source.read_at(name_at, min(entry.name_size, MAX_SNAPSHOT_TEXT))),
                    "vm_state_size": facts.vm_state_size,
                    "disk_size": disk_size,
                    "date_sec": entry.date_sec,
                }
            )
            offset = align_up(name_at + entry.name_size, 8)
    except StructureError as error:
        problems.append(problem_from(error, SNAPSHOT_WHERE, "qcow2-table-invalid"))
    return shown, tuple(problems)


def _snapshot_defects(header: Header, entry: Any, offset: int, file_size: int) -> Iterator[Problem]:
    # QEMU looks at these only when the snapshot is used; here they tell of damage.
    if entry.l1_table_offset % header.cluster_size:
        reason = f"l1_table_offset is {entry.l1_table_offset:#x}, not a multiple of the cluster size"
        yield Problem("qcow2-table-invalid", reason, SNAPSHOT_WHERE, offset)
    elif entry.l1_table_offset + entry.l1_size * 8 > file_size:
        reason = f"the L1 table of {entry.l1_size} entries at {entry.l1_table_offset:#x} passes the end of the file"
        yield Problem("truncated-file", reason, SNAPSHOT_WHERE, offset)
    if header.version == 3 and entry.extra_data_size < SNAPSHOT_EXTRA_SIZE:
        reason = f"extra_data_size is {entry.extra_data_size} bytes, version 3 needs {SNAPSHOT_EXTRA_SIZE}"
        yield Problem("qcow2-table-invalid", reason, SNAPSHOT_WHERE, offset + 36)
