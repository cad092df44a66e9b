"""The bytes of an attribute of NTFS: within its record, in clusters, or compressed in them.

Specification: NTFS documentation, concepts Attribute Header, Data Runs, Compression,
https://flatcap.github.io/linux-ntfs/ntfs/
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from preflight.contents import ContentsError, _ntfs_lznt1
from preflight.contents import _ntfs_layouts as layouts
from preflight.contents._ntfs_records import Attribute
from preflight.contents._ntfs_runs import Extents, Run, RunMap
from preflight.source import BlockSource
from preflight.units import KiB

MAX_SIZE = (1 << 63) - 1  # sizes are signed
MAX_COMPRESSION_UNIT = 64 * KiB  # 16 clusters of 4 KiB: with larger ones Windows compresses nothing
CHUNKS_KEPT = 16  # of 4 KiB, for each of some hundred files: who reads on in pieces finds them again
UNITS_KEPT = 1


class Place(NamedTuple):
    """Where the clusters of a volume are."""

    source: BlockSource
    cluster_size: int


class Stream:
    """An attribute's bytes."""

    def __init__(self, first: Attribute, place: Place, runs: RunMap | None, sizes: Extents | None) -> None:
        """Of the attribute that begins with `first`; `runs` and `sizes` where it is not resident."""
        self.where = first.where
        self.is_encrypted = bool(first.flags & layouts.ATTR_IS_ENCRYPTED)
        self._place = place
        self._runs = runs
        self._unit = 0
        """Clusters that are compressed together; 0 where they are not."""
        if sizes is None:
            self._value = first.value
            self.size = self._initialized = len(self._value)
            return
        self._value = b""
        self.size = sizes.data_size
        self._initialized = sizes.initialized_size
        if not sizes.initialized_size <= sizes.data_size <= sizes.allocated_size <= MAX_SIZE:
            raise ContentsError(
                f"{self.where}: of its sizes, initialized {sizes.initialized_size}, data {sizes.data_size} and"
                f" allocated {sizes.allocated_size}, none may be above the next"
            )
        if compression := first.flags & layouts.ATTR_COMPRESSION_MASK:
            unit = place.cluster_size << min(sizes.compression_unit, 16)
            is_sane = sizes.compression_unit and _ntfs_lznt1.CHUNK_SIZE <= unit <= MAX_COMPRESSION_UNIT
            if compression != layouts.ATTR_IS_LZNT1 or not is_sane:
                raise ContentsError(
                    f"{self.where}: it is compressed in a way that is not read: method {compression}, compression_unit"
                    f" {sizes.compression_unit}"
                )
            self._unit = 1 << sizes.compression_unit
            self._unit_chunks = lru_cache(UNITS_KEPT)(self._read_unit)
            self._chunk = lru_cache(CHUNKS_KEPT)(self._read_chunk)

    def read(self, offset: int, size: int) -> bytes:
        """`size` bytes from `offset`, which must be there; holes, and what was never written, are zeros.

        Raises `ContentsError`, and what `read_at` raises.
        """
        if self._runs is None:
            return self._value[offset : offset + size]
        written = max(0, min(size, self._initialized - offset))
        if not written:
            return bytes(size)
        parts = self._inflated(offset, written) if self._unit else self._plain(self._runs, offset, written)
        return b"".join((*parts, bytes(size - written)))

    def place_of(self, offset: int) -> int:
        """The byte of the volume where the byte at `offset` of a plain one is."""
        vcn, skip = divmod(offset, self._place.cluster_size)
        run = next(self._runs.over(vcn, 1)) if self._runs else None
        if run is None or run.lcn is None:
            raise ContentsError(f"{self.where}: byte {offset:#x} of it has no place on the disk")
        return run.lcn * self._place.cluster_size + skip

    def _plain(self, runs: RunMap, offset: int, size: int) -> Iterator[bytes]:
        cluster_size = self._place.cluster_size
        vcn, skip = divmod(offset, cluster_size)
        for run in runs.over(vcn, -(-(skip + size) // cluster_size)):
            count = min(run.length * cluster_size - skip, size)
            yield self._bytes(run, skip, count)
            size -= count
            skip = 0

    def _bytes(self, run: Run, skip: int, count: int) -> bytes:
        """`count` bytes of a run without its first `skip`."""
        if run.lcn is None:
            return bytes(count)
        return self._place.source.read_at(run.lcn * self._place.cluster_size + skip, count)

    def _inflated(self, offset: int, size: int) -> Iterator[bytes]:
        chunk, skip = divmod(offset, _ntfs_lznt1.CHUNK_SIZE)
        while size > 0:
            data = self._chunk(chunk)[skip : skip + size]
            yield data
            size -= len(data)
            chunk, skip = chunk + 1, 0

    def _read_chunk(self, number: int) -> bytes:
        """So many bytes as a compressed chunk has, whether it is compressed or not."""
        unit, index = divmod(number, self._unit * self._place.cluster_size // _ntfs_lznt1.CHUNK_SIZE)
        chunks = self._unit_chunks(unit)
        if chunks is None:
            return bytes(_ntfs_lznt1.CHUNK_SIZE)
        if isinstance(chunks, bytes):
            return chunks[index * _ntfs_lznt1.CHUNK_SIZE : (index + 1) * _ntfs_lznt1.CHUNK_SIZE]
        try:
            return _ntfs_lznt1.decompress(chunks[index]) if index < len(chunks) else bytes(_ntfs_lznt1.CHUNK_SIZE)
        except ValueError as error:
            raise ContentsError(f"{self.where}: compression unit {unit}: {error}") from error

    def _read_unit(self, number: int) -> bytes | list[bytes] | None:
        """The clusters of a compression unit as they are; its chunks where they are compressed; None for a hole."""
        if self._runs is None:
            return None
        found = list(self._runs.over(number * self._unit, self._unit))
        stored = [run for run in found if run.lcn is not None]
        if stored != found[: len(stored)]:
            raise ContentsError(f"{self.where}: compression unit {number} has clusters behind a hole")
        if not stored:
            return None
        data = b"".join(self._bytes(run, 0, run.length * self._place.cluster_size) for run in stored)
        if stored == found:
            return data
        try:
            return _ntfs_lznt1.chunks(data, self._unit * self._place.cluster_size // _ntfs_lznt1.CHUNK_SIZE)
        except ValueError as error:
            raise ContentsError(f"{self.where}: compression unit {number}: {error}") from error
