"""The bytes of dynamic and differencing VHDs: the block allocation table and the blocks behind it.

Specification: Microsoft, "Virtual Hard Disk Image Format Specification" (2006-10-11), sections "Block Allocation
Table and Data Blocks" and "Mapping a Disk Sector to a Sector in the Block",
https://www.microsoft.com/en-us/download/details.aspx?id=23850
"""

import operator
import sys
from array import array
from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from itertools import islice, pairwise
from typing import NamedTuple

from preflight.errors import StructureError, UnreachableBytes
from preflight.facts import Problem
from preflight.source import BlockSource, check_bounds
from preflight.units import SECTOR, KiB, align_up, ceil_div

UNUSED = 0xFFFFFFFF  # a table entry of a block that was never written
ENTRY_SIZE = 4
TABLE_WHERE = "vhd block allocation table"

_PAGE_SIZE = 16 * KiB  # a page without an allocated block is not kept
_PIECE_SIZE = 256 * KiB  # read at once: pieces of this size stay in the allocator's arena, 4 MiB at once do not
_UNUSED_PIECE = b"\xff" * _PIECE_SIZE
_UNUSED_PAGE = b"\xff" * _PAGE_SIZE

_READ_WITH_BITMAP = 64 * KiB  # data that ends this near to its bitmap is read together with it
_MAX_BITMAPS = 64  # bitmaps kept: 512 bytes each for blocks of 2 MiB, 64 KiB for the largest


class Region(NamedTuple):
    """Bytes of the file that hold a structure, where no block may lie."""

    name: str
    start: int
    end: int


class BlockTable:
    """The block allocation table: per block of the disk the sector of the file at which it begins."""

    def __init__(self, source: BlockSource, offset: int, entries: int) -> None:
        """Read the `entries` entries at byte `offset`, which the caller has bounded; raises what `read_at` raises."""
        self.offset = offset
        self.entries = entries
        self._pages: dict[int, bytes] = {}
        size = entries * ENTRY_SIZE
        for start in range(0, size, _PIECE_SIZE):
            piece = source.read_at(offset + start, min(_PIECE_SIZE, size - start))
            if piece == (_UNUSED_PIECE if len(piece) == _PIECE_SIZE else _UNUSED_PIECE[: len(piece)]):
                continue
            for skip in range(0, len(piece), _PAGE_SIZE):
                page = piece[skip : skip + _PAGE_SIZE]
                if page != _UNUSED_PAGE:
                    self._pages[(start + skip) // _PAGE_SIZE] = page

    def entry(self, index: int) -> int:
        """First sector of block `index` in the file, or `UNUSED`; `StructureError` past the end of the table."""
        if not 0 <= index < self.entries:
            raise StructureError(
                TABLE_WHERE, self.offset, f"block {index} is needed, but the table has {self.entries} entries"
            )
        page, skip = divmod(index * ENTRY_SIZE, _PAGE_SIZE)
        if page not in self._pages:
            return UNUSED
        return int.from_bytes(self._pages[page][skip : skip + ENTRY_SIZE], "big")

    def allocated(self) -> "array[int]":
        """The entries that are used, sorted by sector."""
        values = array("I")
        for page in self._pages.values():
            values.frombytes(page)
        if sys.byteorder == "little":
            values.byteswap()
        starts = array("I", sorted(values))  # a list of a full table's integers takes 40 bytes for each
        del starts[bisect_left(starts, UNUSED) :]
        return starts

    def offset_of(self, sector: int, occurrence: int = 1) -> int:
        """Byte in the file of the first, second, … entry that has the value `sector`; it must exist."""
        wanted = sector.to_bytes(ENTRY_SIZE, "big")
        for number, page in sorted(self._pages.items()):
            found = page.find(wanted)
            while found >= 0:
                if found % ENTRY_SIZE == 0:
                    occurrence -= 1
                    if not occurrence:
                        return self.offset + number * _PAGE_SIZE + found
                found = page.find(wanted, found + 1)
        raise ValueError(f"no entry has the value {sector}")


def bitmap_size(block_size: int) -> int:
    """Bytes of the sector bitmap before a block: a bit per sector, padded to whole sectors.

    QEMU rounds down to whole bytes first and so has no bitmap for blocks under 4 KiB, which no tool writes.
    """
    return align_up(ceil_div(block_size // SECTOR, 8), SECTOR)


def table_problems(
    table: BlockTable, starts: Sequence[int], block_size: int, data_end: int, regions: Sequence[Region]
) -> list[Problem]:
    """What is wrong with the used entries `starts` (sorted), one problem for each kind of defect.

    A block, bitmap included, lies whole before `data_end`, outside of `regions`, and shares no byte with another.
    The specification knows no shortened last block, and QEMU refuses one ("The image has been truncated").
    """
    if not starts:
        return []
    span = (bitmap_size(block_size) + block_size) // SECTOR
    problems = []

    def add(count: int, sector: int, what: str, occurrence: int = 1) -> None:
        offset = table.offset_of(sector, occurrence)
        index = (offset - table.offset) // ENTRY_SIZE
        message = f"{count} of {len(starts)} used entries {what}; entry {index} is one: sector {sector}"
        problems.append(Problem("vhd-bat-invalid", message, TABLE_WHERE, offset))

    inside = bisect_right(starts, data_end // SECTOR - span)
    if inside < len(starts):
        reason = (
            f"point to blocks of {span * SECTOR} bytes that do not end before byte {data_end:#x}, where the data ends"
        )
        add(len(starts) - inside, starts[inside], reason)
    counted, seen, lowest = 0, 0, 0
    names: list[str] = []
    for region in sorted(regions, key=lambda region: region.start):
        first = bisect_right(starts, region.start // SECTOR - span)
        last = bisect_left(starts, ceil_div(region.end, SECTOR))
        if first < last:
            lowest = lowest if names else starts[first]
            names.append(region.name)
            counted += last - max(first, seen)
            seen = last
    if names:
        add(counted, lowest, f"point to blocks that lie on the {', '.join(names)}")
    if min(_gaps(starts), default=span) < span:
        overlaps = sum(gap < span for gap in _gaps(starts))
        first, second = next(pair for pair in pairwise(starts) if pair[1] - pair[0] < span)
        add(overlaps, second, "point to a block that overlaps another one's", 2 if first == second else 1)
    return problems


def _gaps(starts: Sequence[int]) -> Iterator[int]:
    """The distance of each block from the one before it, in sectors."""
    return map(operator.sub, islice(starts, 1, None), starts)


class DynamicDisk:
    """The guest's bytes of a dynamic or differencing disk."""

    def __init__(
        self,
        source: BlockSource,
        table: BlockTable,
        *,
        size: int,
        block_size: int,
        data_end: int,
        parent: str | None = None,
    ) -> None:
        """`size` bytes in blocks of `block_size`, stored before byte `data_end` of `source`.

        `parent`, a sentence on where they are, makes the bytes that the file lacks unreachable; else they are zeros.
        """
        self._source = source
        self._table = table
        self._size = size
        self._block_size = block_size
        self._bitmap_size = bitmap_size(block_size)
        self._data_end = data_end
        self._parent = parent
        self._bitmaps: OrderedDict[int, bytes] = OrderedDict()

    @property
    def size(self) -> int:
        """In bytes."""
        return self._size

    def read_at(self, offset: int, size: int) -> bytes:
        """See `BlockSource.read_at`."""
        check_bounds("the disk", self._size, offset, size)
        parts = []
        while size:
            index, skip = divmod(offset, self._block_size)
            count = min(size, self._block_size - skip)
            sector = self._table.entry(index)
            parts.append(self._absent(offset, count) if sector == UNUSED else self._stored(index, sector, skip, count))
            offset += count
            size -= count
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _absent(self, offset: int, count: int) -> bytes:
        """Bytes at `offset` of the disk that this file does not hold."""
        if self._parent is not None:
            raise UnreachableBytes("the disk", offset, self._parent)
        return bytes(count)

    def _stored(self, index: int, sector: int, skip: int, count: int) -> bytes:
        """`count` bytes at byte `skip` of block `index`, which begins at `sector` of the file."""
        start = sector * SECTOR
        begin = start + self._bitmap_size + skip
        if begin + count > self._data_end:
            where = self._table.offset + index * ENTRY_SIZE
            raise StructureError(
                TABLE_WHERE, where, f"block {index} ends past byte {self._data_end:#x}, where the data ends"
            )
        data = None
        if sector not in self._bitmaps:
            end = begin + count if skip + count <= _READ_WITH_BITMAP else start + self._bitmap_size
            both = self._source.read_at(start, end - start)
            self._bitmaps[sector] = both[: self._bitmap_size]
            if len(self._bitmaps) > _MAX_BITMAPS:
                self._bitmaps.popitem(last=False)
            if end == begin + count:
                data = both[begin - start :]
        # A bit that is 0 marks a sector that was never written: zeros, or the parent's. QEMU does not look at the
        # bitmap of a block that it reads (block/vpc.c, get_image_offset); what it writes has every bit set.
        first, last = skip // SECTOR, ceil_div(skip + count, SECTOR)
        bits = int.from_bytes(self._bitmaps[sector][first // 8 : ceil_div(last, 8)], "big")
        bits = bits >> (-last % 8) & (1 << (last - first)) - 1  # sector 0 is the highest bit of byte 0
        if not bits:
            return self._absent(index * self._block_size + skip, count)
        if data is None:
            data = self._source.read_at(begin, count)
        if bits == (1 << (last - first)) - 1:
            return data
        return self._masked(index, skip, data, bits, first, last)

    def _masked(self, index: int, skip: int, data: bytes, bits: int, first: int, last: int) -> bytes:
        """`data`, with what lies in sectors `first` to `last` (exclusive) without a bit in `bits` made absent."""
        masked = bytearray(data)
        for number in range(first, last):
            if not bits >> (last - 1 - number) & 1:
                begin = max(number * SECTOR - skip, 0)
                end = min((number + 1) * SECTOR - skip, len(data))
                masked[begin:end] = self._absent(index * self._block_size + skip + begin, end - begin)
        return bytes(masked)
