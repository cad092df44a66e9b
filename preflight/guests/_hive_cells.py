"""The cells of a registry hive, with few reads: a hive has up to 100 MiB, a question needs some cells of it.

Specification: M. Suhanov, Windows registry file format specification, "Base block", "Hive bin", "Cell" and the lists
of subkeys, https://github.com/msuhanov/regf

Ready-made readers (libregf, hivex) go through every hive bin of the file before the first answer, so this is our own.
What transaction logs hold is not applied. Differing sequence numbers are no damage, as Windows applies the logs by
itself, but the hive is then not up to date.
"""

import struct

from construct import Bytes, Int16ul, Int32sl, Int32ul, Int64ul, Struct

from preflight.binary import parse
from preflight.contents.tree import Found
from preflight.errors import BudgetExhausted, StructureError
from preflight.source import Buffered
from preflight.units import KiB

BASE_BLOCK = Struct(
    "signature" / Bytes(4),
    "primary_sequence_number" / Int32ul,
    "secondary_sequence_number" / Int32ul,
    "last_written_timestamp" / Int64ul,
    "major_version" / Int32ul,
    "minor_version" / Int32ul,  # 3: NT 4 to Windows 2003, 5: since XP, 6: some of Windows 10
    "file_type" / Int32ul,
    "file_format" / Int32ul,
    "root_cell_offset" / Int32ul,  # as all offsets of cells: from the first hive bin
    "hive_bins_data_size" / Int32ul,
    "clustering_factor" / Int32ul,
    "file_name" / Bytes(64),
    "reserved" / Bytes(396),
    "checksum" / Int32ul,  # at 508: XOR of the 127 words before it
)
BASE_BLOCK_SIZE = 512
CHECKSUM_OFFSET = 508
REGF = b"regf"
PRIMARY_FILE, DIRECT_MEMORY_LOAD = 0, 1
HIVE_BINS = 4096  # where the first hive bin begins, and the unit of their sizes
HBIN = b"hbin"

CELL_SIZE = Struct("size" / Int32sl)  # with this field; negative: the cell is in use
SIZE_FIELD = 4
LIST_HEADER = Struct("signature" / Bytes(2), "number_of_elements" / Int16ul)
LIST_HEADER_SIZE = 4
NAME_HINTS, NAME_HASHES, INDEX_LEAF, INDEX_ROOT = b"lf", b"lh", b"li", b"ri"
ELEMENT_SIZES = {NAME_HINTS: 8, NAME_HASHES: 8, INDEX_LEAF: 4, INDEX_ROOT: 4}

NO_CELL = 0xFFFFFFFF
PAGE_SIZE = 4 * KiB
MAX_PAGES = 1024  # of one hive, 4 MiB: the longest task, a much patched server's list of updates, takes some 700
MAX_CACHED_PAGES = 128
MAX_SUBKEYS = 65_536  # of one key: Classes on a large system has some 10,000


class HiveFile:
    """The bytes of a hive as a `BlockSource`, with a limit to what is read of it."""

    def __init__(self, found: Found) -> None:
        """The regular file that was found."""
        self._found = found
        self._left = MAX_PAGES * PAGE_SIZE

    @property
    def size(self) -> int:
        """In bytes."""
        return self._found.node.size

    def read_at(self, offset: int, size: int) -> bytes:
        """See `BlockSource.read_at`; raises `ContentsError` as well."""
        self._left -= size
        if self._left < 0:
            raise BudgetExhausted(self._found.path, offset, f"over {MAX_PAGES * PAGE_SIZE} bytes of it would be read")
        data = self._found.reader.read(self._found.node, offset, size)
        if len(data) != size:
            raise StructureError(self._found.path, offset, f"{size} bytes are expected here, {len(data)} were read")
        return data


class Cells:
    """The cells of one hive by their offset. Methods raise `StructureError` and `ContentsError`."""

    def __init__(self, found: Found) -> None:
        """Check the base block and where the first hive bin begins."""
        self.path = found.path
        source = HiveFile(found)
        if source.size < HIVE_BINS + len(HBIN):
            raise self.damage(0, f"it has {source.size} bytes, too few for a hive")
        self._source = Buffered(source, PAGE_SIZE, MAX_CACHED_PAGES)
        data = self._source.read_at(0, BASE_BLOCK_SIZE)
        base = parse(BASE_BLOCK, data, self.path, 0)
        if base.signature != REGF:
            raise self.damage(0, f"signature is {base.signature.hex()}, expected is {REGF.hex()} (regf)")
        checksum = checksum_of(data)
        if base.checksum != checksum:
            raise self.damage(CHECKSUM_OFFSET, f"checksum is {base.checksum:#010x}, computed is {checksum:#010x}")
        if (base.major_version, base.file_type, base.file_format) != (1, PRIMARY_FILE, DIRECT_MEMORY_LOAD):
            fields = f"{base.major_version}, file_type {base.file_type}, file_format {base.file_format}"
            raise self.damage(0x14, f"major_version is {fields}, expected are 1, {PRIMARY_FILE}, {DIRECT_MEMORY_LOAD}")
        self.root = int(base.root_cell_offset)
        self.is_dirty: bool = base.primary_sequence_number != base.secondary_sequence_number
        """Whether writing it began and did not end: the rest is in its transaction logs."""
        self._end = HIVE_BINS + base.hive_bins_data_size
        if base.hive_bins_data_size % HIVE_BINS or not HIVE_BINS < self._end <= source.size:
            expected = f"expected is a multiple of {HIVE_BINS} within the file's {source.size}"
            raise self.damage(0x28, f"hive_bins_data_size is {base.hive_bins_data_size} bytes, {expected}")
        if self._source.read_at(HIVE_BINS, len(HBIN)) != HBIN:
            raise self.damage(HIVE_BINS, "no hive bin begins here")
        self._subkeys: dict[int, tuple[tuple[bytes, tuple[int, ...]], ...]] = {}
        self.names: dict[int, str] = {}
        """Of the keys that were looked at, in upper case, by offset."""

    def damage(self, position: int, reason: str) -> StructureError:
        """The error for what is wrong at this byte of the file."""
        return StructureError(self.path, position, reason)

    def cell(self, offset: int, needed: int, limit: int) -> bytes:
        """The content of the cell at `offset`, at least `needed` bytes of it and at most `limit`."""
        start = HIVE_BINS + offset
        if offset % 8 or start + SIZE_FIELD > self._end:
            raise self.damage(start, f"a cell would begin here, expected is a multiple of 8 before {self._end:#x}")
        data = self._source.read_at(start, min(SIZE_FIELD + limit, self._end - start))
        size = -parse(CELL_SIZE, data[:SIZE_FIELD], self.path, start).size
        if not SIZE_FIELD + needed <= size <= self._end - start:
            found = f"a cell in use has {size} bytes" if size > 0 else "this cell is not in use"
            raise self.damage(start, f"{found}, expected are {SIZE_FIELD + needed} to {self._end - start} bytes")
        return data[SIZE_FIELD:size]

    def words(self, offset: int, count: int) -> tuple[int, ...]:
        """The first `count` words of a cell."""
        return words(self.cell(offset, 4 * count, 4 * count)) if count else ()

    def subkeys(self, offset: int) -> tuple[tuple[bytes, tuple[int, ...]], ...]:
        """The list of subkeys at `offset`: signature and elements of its parts, which an index root divides it into."""
        if offset not in self._subkeys:
            signature, elements = self._list(offset)
            parts = [(signature, elements)]
            if signature == INDEX_ROOT:
                parts = []
                count = 0
                for place in dict.fromkeys(elements):
                    part = self._list(place)
                    if part[0] == INDEX_ROOT:
                        raise self.damage(HIVE_BINS + place, "an index root is within another")
                    parts.append(part)
                    count += len(part[1])
                    if count > 2 * MAX_SUBKEYS:
                        raise self.damage(HIVE_BINS + offset, f"a key has over {MAX_SUBKEYS} subkeys")
            self._subkeys[offset] = tuple(parts)
        return self._subkeys[offset]

    def _list(self, offset: int) -> tuple[bytes, tuple[int, ...]]:
        data = self.cell(offset, LIST_HEADER_SIZE, LIST_HEADER_SIZE)
        header = parse(LIST_HEADER, data, self.path, HIVE_BINS + offset)
        width = ELEMENT_SIZES.get(header.signature)
        if width is None:
            raise self.damage(HIVE_BINS + offset, f"{header.signature.hex()} is no signature of a list of subkeys")
        size = LIST_HEADER_SIZE + width * header.number_of_elements
        return header.signature, words(self.cell(offset, size, size)[LIST_HEADER_SIZE:])


def checksum_of(base_block: bytes) -> int:
    """What the checksum of a base block has to be; 0 and all ones are never written."""
    value = 0
    for word in words(base_block[:CHECKSUM_OFFSET]):
        value ^= word
    return {0: 1, 0xFFFFFFFF: 0xFFFFFFFE}.get(value, value)


def words(data: bytes) -> tuple[int, ...]:
    """The little-endian words of 32 bits in `data`, whose length is a multiple of 4."""
    return struct.unpack(f"<{len(data) // 4}I", data)
