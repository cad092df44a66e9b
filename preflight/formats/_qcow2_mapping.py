"""The guest's disk in a qcow2 image: from a guest's byte through L1 and L2 table to the host cluster.

Specification: Qcow2 Image File Format, sections "Cluster mapping" and "Extended L2 Entries",
https://gitlab.com/qemu-project/qemu/-/blob/master/docs/interop/qcow2.rst
"""

import sys
from array import array
from collections import OrderedDict

from preflight.errors import OutOfBounds, StructureError, UnreachableBytes
from preflight.formats._qcow2_header import EXTENDED_L2, Header
from preflight.source import BlockSource, check_bounds
from preflight.units import SECTOR, KiB, MiB, align_up

L2_WHERE = "qcow2 l2 table"
L1_WHERE = "qcow2 l1 table"
CLUSTER_WHERE = "qcow2 compressed cluster"

SLICE_BYTES = 4 * KiB  # how much of an L2 table is read at once: QEMU's smallest, so large disks cost no more reads
SLICES_KEPT = 64
INFLATED_BYTES_KEPT = MiB  # decompressed clusters, but always two of them

OFFSET_MASK = 0x00FF_FFFF_FFFF_FE00  # bits 9 to 55 of L1 and standard L2 entries
L1_RESERVED = 0x7F00_0000_0000_01FF
L2_RESERVED = 0x3F00_0000_0000_01FE  # of standard clusters
COPIED = 1 << 63
COMPRESSED = 1 << 62
ZERO = 1
SUBCLUSTERS = 32


def words(data: bytes) -> "array[int]":
    """`data` as big-endian 64-bit numbers, without the zeros at its end."""
    kept, step = len(data), 1 << len(data).bit_length()
    while step >= 8:  # by halves, which compares memory; rstrip looks at every byte
        while kept >= step and data.endswith(bytes(step), 0, kept):
            kept -= step
        step //= 2
    kept = align_up(kept, 8)
    numbers = array("Q", data[:kept] if kept < len(data) else data)
    if sys.byteorder == "little":
        numbers.byteswap()
    return numbers


def union(numbers: "array[int]") -> int:
    """All of them or-ed together: as one large integer, folded in half, which is far faster than a loop."""
    folded, count = int.from_bytes(numbers.tobytes(), sys.byteorder), len(numbers)
    while count > 1:
        half = (count + 1) // 2
        folded = folded >> (64 * half) | folded & ((1 << 64 * half) - 1)
        count = half
    return folded


def cluster_numbers(numbers: "array[int]", cluster_bits: int) -> "array[int]":
    """Which host cluster each entry of an L1 or L2 table leads to, 0 for none; as one large integer too."""
    mask = OFFSET_MASK >> cluster_bits << cluster_bits
    pattern = int.from_bytes(mask.to_bytes(8, sys.byteorder) * len(numbers), sys.byteorder)
    clusters = (int.from_bytes(numbers.tobytes(), sys.byteorder) & pattern) >> cluster_bits
    return array("Q", clusters.to_bytes(len(numbers) * 8, sys.byteorder))


def compressed_extent(entry: int, cluster_bits: int) -> tuple[int, int]:
    """First byte of a compressed cluster, and how many bytes its sectors leave it at most."""
    shift = 62 - (cluster_bits - 8)
    start = entry & ((1 << shift) - 1)
    sectors = ((entry & (COMPRESSED - 1)) >> shift) + 1
    return start, sectors * SECTOR - start % SECTOR


def reserved_bits(header: Header) -> int:
    """Bits that have to be 0 in the entry of a standard cluster, low bits of a misaligned offset included."""
    reserved = L2_RESERVED | (OFFSET_MASK & (header.cluster_size - 1))
    if header.version == 2 or header.incompatible_features & EXTENDED_L2:
        reserved |= ZERO  # the flag came with version 3, and extended entries say it per subcluster
    return reserved


class Guest:
    """The guest's disk. Constant work per guest cluster, no recursion, whatever the tables say."""

    def __init__(
        self, file: BlockSource, header: Header, l1: "array[int]", backing: str | None, elsewhere: str | None
    ) -> None:
        """`l1` is the active L1 table; zeros at its end may be missing.

        `backing` says where clusters are that this image does not have, None where they are zero; `elsewhere` says
        where allocated ones are, None where they are in this file and can be read.
        """
        self._file = file
        self._size = header.size
        self._l1 = l1
        self._backing = backing
        self._elsewhere = elsewhere
        self._cluster_bits = header.cluster_bits
        self._cluster_size = header.cluster_size
        self._extended = bool(header.incompatible_features & EXTENDED_L2)
        self._reserved = reserved_bits(header)
        self._zstd = header.compression_type == 1
        self._l1_offset = header.l1_table_offset
        self._l1_reach = header.l1_reach
        self._entry_size = header.entry_size
        self._slices: OrderedDict[int, array[int]] = OrderedDict()
        self._inflated: OrderedDict[int, bytes] = OrderedDict()

    @property
    def size(self) -> int:
        """In bytes."""
        return self._size

    def read_at(self, offset: int, size: int) -> bytes:
        """See `BlockSource.read_at`; a `StructureError` where an entry breaks the specification."""
        check_bounds("the disk", self._size, offset, size)
        parts = []
        start = length = 0  # a stretch of the file, of clusters that follow each other there too
        end = offset + size
        while offset < end:
            found, count = self._find(offset, end - offset)
            if length and found == start + length:
                length += count
            else:
                if length:
                    parts.append(self._read_file(start, length))
                    length = 0
                if isinstance(found, int):
                    start, length = found, count
                else:
                    parts.append(found)
            offset += count
        if length:
            parts.append(self._read_file(start, length))
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _find(self, offset: int, limit: int) -> tuple[int | bytes, int]:
        """The guest's bytes at `offset`, or where they begin in the file, and how many, at most `limit`."""
        index, within = divmod(offset, self._l1_reach)
        entry = self._l1[index] if index < len(self._l1) else 0
        table = entry & OFFSET_MASK
        if entry & L1_RESERVED or table % self._cluster_size:
            reason = f"the entry {entry:#018x} has reserved bits set, or its offset is not a whole cluster"
            raise StructureError(L1_WHERE, self._l1_offset + index * 8, reason)
        if not table:
            return self._unallocated(offset, min(limit, self._l1_reach - within))
        skip = offset % self._cluster_size
        count = min(limit, self._cluster_size - skip)
        place = table + (within >> self._cluster_bits) * self._entry_size
        entry, bitmap = self._entry(place)
        if entry & COMPRESSED:
            return self._compressed(offset, entry)[skip : skip + count], count
        if entry & self._reserved:
            reason = f"the entry {entry:#018x} has reserved bits set, or its offset is not a whole cluster"
            raise StructureError(L2_WHERE, place, reason)
        host = entry & OFFSET_MASK
        allocated = bool(host) or (self._elsewhere is not None and bool(entry & COPIED))
        if self._extended:
            return self._subcluster(offset, limit, host, allocated, bitmap, place)
        if entry & ZERO:
            return bytes(count), count
        if not allocated:
            return self._unallocated(offset, count)
        return self._allocated(offset, host + skip), count

    def _subcluster(
        self, offset: int, limit: int, host: int, allocated: bool, bitmap: int, place: int
    ) -> tuple[int | bytes, int]:
        if bitmap & (bitmap >> SUBCLUSTERS) or (bitmap & 0xFFFF_FFFF and not allocated):
            reason = f"the subcluster bitmap {bitmap:#018x} contradicts itself or the missing host offset"
            raise StructureError(L2_WHERE, place + 8, reason)
        size = self._cluster_size // SUBCLUSTERS
        skip = offset % self._cluster_size
        count = min(limit, size - skip % size)
        status = bitmap >> (skip // size)
        if status >> SUBCLUSTERS & 1:
            return bytes(count), count
        if not status & 1:
            return self._unallocated(offset, count)
        return self._allocated(offset, host + skip), count

    def _unallocated(self, offset: int, count: int) -> tuple[bytes, int]:
        if self._backing is not None:
            raise UnreachableBytes("the disk", offset, self._backing)
        return bytes(count), count

    def _allocated(self, offset: int, host: int) -> int:
        if self._elsewhere is not None:
            raise UnreachableBytes("the disk", offset, self._elsewhere)
        return host

    def _read_file(self, start: int, length: int) -> bytes:
        """Host bytes; a file may end inside its last cluster, the rest of which is zero (QEMU reads it so)."""
        end = self._file.size
        if start + length <= end:
            return self._file.read_at(start, length)
        if start + length > align_up(end, self._cluster_size):
            raise OutOfBounds(
                "the file",
                start,
                f"{length} bytes of the guest are said to be here, but the file ends at byte {end:#x}",
            )
        present = max(0, end - start)
        return (self._file.read_at(start, present) if present else b"") + bytes(length - present)

    def _entry(self, place: int) -> tuple[int, int]:
        """The L2 entry at byte `place` of the file, and its subcluster bitmap, 0 where it has none."""
        slice_bytes = min(SLICE_BYTES, self._cluster_size)
        skip = place % slice_bytes  # tables are whole clusters, so their slices are aligned in the file
        start = place - skip
        numbers = self._slices.get(start)
        if numbers is None:
            numbers = self._slices[start] = words(self._file.read_at(start, slice_bytes))
            if len(self._slices) > SLICES_KEPT:
                self._slices.popitem(last=False)
        else:
            self._slices.move_to_end(start)
        at = skip // 8
        entry = numbers[at] if at < len(numbers) else 0
        return entry, numbers[at + 1] if self._extended and at + 1 < len(numbers) else 0

    def _compressed(self, offset: int, entry: int) -> bytes:
        """The whole cluster behind a compressed entry."""
        if self._elsewhere is not None:
            raise UnreachableBytes("the disk", offset, self._elsewhere)
        data = self._inflated.get(entry)
        if data is None:
            start, length = compressed_extent(entry, self._cluster_bits)
            # The last sector may be cut short by the end of the file: the stream ends by itself.
            length = min(length, max(1, self._file.size - start))
            data = self._inflated[entry] = self._inflate(self._file.read_at(start, length), start)
            if len(self._inflated) > max(2, INFLATED_BYTES_KEPT // self._cluster_size):
                self._inflated.popitem(last=False)
        else:
            self._inflated.move_to_end(entry)
        return data

    def _inflate(self, data: bytes, start: int) -> bytes:
        """One cluster out of `data`, whatever more it would give."""
        size = self._cluster_size
        try:
            inflated = _zstd(data, size) if self._zstd else _deflate(data, size)
        except ValueError as error:
            raise StructureError(CLUSTER_WHERE, start, f"decompressing failed: {error}") from error
        if len(inflated) != size:
            raise StructureError(CLUSTER_WHERE, start, f"it gives {len(inflated)} bytes, a cluster has {size}")
        return inflated


def _deflate(data: bytes, size: int) -> bytes:
    import zlib

    try:
        # QEMU compresses with a window of 4 KiB; a decoder with the largest window reads that as well.
        return zlib.decompressobj(-15).decompress(data, size)
    except zlib.error as error:
        raise ValueError(str(error)) from error


def _zstd(data: bytes, size: int) -> bytes:
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd
    try:
        return zstd.ZstdDecompressor().decompress(data, size)
    except zstd.ZstdError as error:
        raise ValueError(str(error)) from error
