"""Files that Windows 10 has compacted: the data are in a stream of their own, in chunks of which each is compressed.

Specification: [MS-XCA], https://learn.microsoft.com/openspecs/windows_protocols/ms-xca/; Windows SDK, wofapi.h,
https://learn.microsoft.com/windows/win32/api/wofapi/; the stream has the form of a resource in a WIM file.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

from preflight.contents import ContentsError, _ntfs_lzx, _ntfs_xpress
from preflight.contents._ntfs_streams import Stream
from preflight.units import KiB

CHUNKS_KEPT = 2  # 64 KiB at most, for each of some hundred files
LARGE = 1 << 32  # from this size on, offsets have 8 bytes


class Algorithm(NamedTuple):
    """How the chunks of a file are compressed."""

    chunk_size: int
    """That comes out, but for the last chunk."""
    decompress: Callable[[bytes, int], bytes]


ALGORITHMS = {
    0: Algorithm(4 * KiB, _ntfs_xpress.decompress),
    1: Algorithm(32 * KiB, _ntfs_lzx.decompress),
    2: Algorithm(8 * KiB, _ntfs_xpress.decompress),
    3: Algorithm(16 * KiB, _ntfs_xpress.decompress),
}
"""By the field of the reparse point, FILE_PROVIDER_COMPRESSION_…"""


class Compacted:
    """The bytes of a compacted file."""

    def __init__(self, stored: Stream, size: int, algorithm: Algorithm) -> None:
        """`stored` is what is compressed, `size` what the file has."""
        self.size = size
        self.is_encrypted = stored.is_encrypted
        self._stored = stored
        self._algorithm = algorithm
        self._count = -(-size // algorithm.chunk_size)
        self._chunk = lru_cache(CHUNKS_KEPT)(self._read_chunk)

    def read(self, offset: int, size: int) -> bytes:
        """See `Stream.read`."""
        parts = []
        number, skip = divmod(offset, self._algorithm.chunk_size)
        while size > 0:
            data = self._chunk(number)[skip : skip + size]
            parts.append(data)
            size -= len(data)
            number, skip = number + 1, 0
        return b"".join(parts)

    def _read_chunk(self, number: int) -> bytes:
        chunk_size = self._algorithm.chunk_size
        size = min(chunk_size, self.size - number * chunk_size)
        start, end = self._bounds(number)
        where = f"{self._stored.where}: compressed chunk {number}"
        if not 0 < end - start <= size or end > self._stored.size:
            raise ContentsError(
                f"{where}: it is at bytes {start:#x} to {end:#x} of {self._stored.size}, for {size} bytes"
            )
        data = self._stored.read(start, end - start)
        if len(data) == size:
            return data  # it would not have become shorter
        try:
            return self._algorithm.decompress(data, size)
        except ValueError as error:
            raise ContentsError(f"{where}: {error}") from error

    def _bounds(self, number: int) -> tuple[int, int]:
        """Where a chunk begins and ends: the stream begins with the offsets of all but the first."""
        width = 4 if self.size < LARGE else 8
        first = (self._count - 1) * width
        begin, end = max(0, number - 1) * width, min(number + 1, self._count - 1) * width
        if first > self._stored.size:
            raise ContentsError(
                f"{self._stored.where}: it has {self._stored.size} bytes, too few for {self._count} chunks"
            )
        table = self._stored.read(begin, end - begin)
        start = int.from_bytes(table[:width], "little") if number else 0
        stop = int.from_bytes(table[-width:], "little") if number < self._count - 1 else self._stored.size - first
        return first + start, first + stop
