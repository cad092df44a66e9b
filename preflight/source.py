"""Bytes by position: the host's file, and views composed of other sources.

A source has a size and no cursor, so that sources compose and are shared safely. Every read is checked against
the bounds of its source before anything is asked of the one below.
"""

import os
import stat
from collections import OrderedDict
from collections.abc import Sequence
from typing import NamedTuple, Protocol, Self

from preflight.errors import BudgetExhausted, OutOfBounds, ReadFailed, StructureError, UnreadableImage
from preflight.limits import Limits
from preflight.units import KiB

MAX_READS = Limits().layout_reads
MAX_BYTES_READ = Limits().layout_bytes


class BlockSource(Protocol):
    """Something with `size` bytes that can be read at any offset."""

    @property
    def size(self) -> int:
        """In bytes."""

    def read_at(self, offset: int, size: int) -> bytes:
        """Exactly `size` bytes from `offset`.

        Raises a `StructureError`: `OutOfBounds` past either end, `UnreachableBytes` where the bytes are not in
        the file, `ReadFailed` where the host refuses, `BudgetExhausted` where the image asks too much.
        """


def check_bounds(what: str, total: int, offset: int, size: int) -> None:
    """Raise `OutOfBounds` unless `size` bytes at `offset` lie within `total`."""
    if offset < 0 or size < 0 or offset + size > total:
        raise OutOfBounds(what, offset, f"{size} bytes are needed here, but {what} ends at byte {total:#x}")


class FileSource:
    """The image file on the host: opened once, read-only, stat'ed once, counted."""

    def __init__(self, path: str, *, max_reads: int = MAX_READS, max_bytes: int = MAX_BYTES_READ) -> None:
        """Open `path`; `UnreadableImage` where it is absent, forbidden, or not a regular file."""
        self.path = path
        self.reads = 0
        self.bytes_read = 0
        self._max_reads = max_reads
        self._max_bytes = max_bytes
        # O_NONBLOCK: opening a FIFO must not wait for its writer.
        flags = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        try:
            self._fd = os.open(path, flags)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise UnreadableImage(f"cannot open: {reason}") from error
        self._stat = os.fstat(self._fd)
        if not stat.S_ISREG(self._stat.st_mode):
            os.close(self._fd)
            kind = _FILE_KINDS.get(stat.S_IFMT(self._stat.st_mode), "a special file")
            raise UnreadableImage(f"is {kind}, not a regular file")

    @property
    def size(self) -> int:
        """Length of the file when it was opened."""
        return self._stat.st_size

    @property
    def descriptor(self) -> int:
        """Of the open file."""
        return self._fd

    @property
    def allocated_size(self) -> int | None:
        """Bytes that the file occupies on the host's disk, where the host says so."""
        blocks = getattr(self._stat, "st_blocks", None)
        return None if blocks is None else blocks * 512  # st_blocks counts 512 bytes everywhere: POSIX <sys/stat.h>

    def read_at(self, offset: int, size: int) -> bytes:
        """See `BlockSource.read_at`."""
        check_bounds("the file", self.size, offset, size)
        self.reads += 1
        self.bytes_read += size
        if self.reads > self._max_reads or self.bytes_read > self._max_bytes:
            raise BudgetExhausted(
                "the file", offset, f"reading it would take over {self._max_reads} reads or {self._max_bytes} bytes"
            )
        try:
            data = os.pread(self._fd, size, offset)
            while len(data) < size:
                more = os.pread(self._fd, size - len(data), offset + len(data))
                if not more:
                    raise ReadFailed("the file", offset + len(data), "it became shorter while it was read")
                data += more
        except OSError as error:
            raise ReadFailed("the file", offset, f"reading failed: {error.strerror}") from error
        return data

    def allow(self, *, reads: int, size: int) -> None:
        """Let the budget be this from now on: `reads` reads, `size` bytes."""
        self._max_reads, self._max_bytes = self.reads + reads, self.bytes_read + size

    def count(self, reads: int, size: int) -> None:
        """Add what a child process has read of this file."""
        self.reads += reads
        self.bytes_read += size

    def changed(self) -> bool:
        """Whether someone wrote to the file since it was opened."""
        now = os.fstat(self._fd)
        return (now.st_size, now.st_mtime_ns) != (self._stat.st_size, self._stat.st_mtime_ns)

    def close(self) -> None:
        """Close the file, once."""
        os.close(self._fd)

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *exc: object) -> None:
        """Close the file."""
        self.close()


_FILE_KINDS = {
    stat.S_IFDIR: "a directory",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFBLK: "a block device",
    stat.S_IFCHR: "a character device",
    stat.S_IFSOCK: "a socket",
}


class Memory:
    """Bytes that are already here."""

    def __init__(self, data: bytes) -> None:
        """Serve `data`."""
        self._data = data

    @property
    def size(self) -> int:
        """Length of the data."""
        return len(self._data)

    def read_at(self, offset: int, size: int) -> bytes:
        """See `BlockSource.read_at`."""
        check_bounds("the data", self.size, offset, size)
        return self._data[offset : offset + size]


class Window:
    """A stretch of another source."""

    def __init__(self, parent: BlockSource, start: int, size: int, what: str = "this part of the disk") -> None:
        """`size` bytes of `parent` from `start`; the end may lie past the parent's, reads there are refused."""
        self._parent = parent
        self._start = start
        self._size = size
        self._what = what

    @property
    def size(self) -> int:
        """In bytes."""
        return self._size

    def read_at(self, offset: int, size: int) -> bytes:
        """See `BlockSource.read_at`."""
        check_bounds(self._what, self._size, offset, size)
        return self._parent.read_at(self._start + offset, size)


class Zeros:
    """Bytes that are all zero, as many as one likes."""

    def __init__(self, size: int) -> None:
        """`size` zeros."""
        self._size = size

    @property
    def size(self) -> int:
        """In bytes."""
        return self._size

    def read_at(self, offset: int, size: int) -> bytes:
        """See `BlockSource.read_at`."""
        check_bounds("the zeros", self._size, offset, size)
        return bytes(size)


class Extent(NamedTuple):
    """One run of an `Extents` source."""

    offset: int
    """First byte, as seen from above."""
    size: int
    source: BlockSource
    start: int
    """First byte in `source`."""


class Extents:
    """A source put together from runs of others, such as a logical volume from its segments."""

    def __init__(self, extents: Sequence[Extent]) -> None:
        """`extents` in order, each beginning where the one before ends, the first at 0."""
        end = 0
        for extent in extents:
            if extent.offset != end or extent.size <= 0:
                raise ValueError(f"the extent at {extent.offset:#x} does not follow the one that ends at {end:#x}")
            end += extent.size
        self._extents = tuple(extents)
        self._size = end

    @property
    def size(self) -> int:
        """In bytes."""
        return self._size

    def read_at(self, offset: int, size: int) -> bytes:
        """See `BlockSource.read_at`."""
        check_bounds("the volume", self._size, offset, size)
        low, high = 0, len(self._extents)
        while low < high:
            middle = (low + high) // 2
            extent = self._extents[middle]
            if extent.offset + extent.size <= offset:
                low = middle + 1
            else:
                high = middle
        parts = []
        while size:
            extent = self._extents[low]
            skip = offset - extent.offset
            count = min(size, extent.size - skip)
            parts.append(extent.source.read_at(extent.start + skip, count))
            offset += count
            size -= count
            low += 1
        return b"".join(parts)


class Buffered:
    """A source that keeps the pages it read last, so that neighbouring small reads cost one."""

    def __init__(self, parent: BlockSource, page_size: int = 16 * KiB, pages: int = 128) -> None:
        """Read `parent` in pages of `page_size` bytes and keep the last `pages` of them."""
        self._parent = parent
        self._page_size = page_size
        self._capacity = pages
        self._pages: OrderedDict[int, bytes] = OrderedDict()

    @property
    def size(self) -> int:
        """In bytes."""
        return self._parent.size

    def read_at(self, offset: int, size: int) -> bytes:
        """See `BlockSource.read_at`."""
        kept = self.kept(offset, size)
        if kept is not None:
            return kept
        check_bounds("the disk", self.size, offset, size)
        if not size:
            return b""
        first, skip = divmod(offset, self._page_size)
        last = (offset + size - 1) // self._page_size
        if last - first >= self._capacity:
            return self._parent.read_at(offset, size)
        try:
            pages = self._load(first, last)
        except StructureError:  # perhaps only of the neighbours on the same page
            return self._parent.read_at(offset, size)
        return (pages[0] if first == last else b"".join(pages))[skip : skip + size]

    def kept(self, offset: int, size: int) -> bytes | None:
        """These bytes, where one of the pages that are kept has them all."""
        number, skip = divmod(offset, self._page_size)
        page = self._pages.get(number)
        if page is None or not 0 < size <= len(page) - skip:
            return None
        self._pages.move_to_end(number)
        return page[skip : skip + size]

    def _load(self, first: int, last: int) -> list[bytes]:
        """The pages `first` to `last`; those missing in a row are read at once."""
        missing = [number for number in range(first, last + 1) if number not in self._pages]
        try:
            while missing:
                count = 1
                while count < len(missing) and missing[count] == missing[0] + count:
                    count += 1
                start = missing[0] * self._page_size
                data = self._parent.read_at(start, min(count * self._page_size, self.size - start))
                for index in range(count):
                    self._pages[missing[index]] = data[index * self._page_size : (index + 1) * self._page_size]
                del missing[:count]
            wanted = []
            for number in range(first, last + 1):
                self._pages.move_to_end(number)
                wanted.append(self._pages[number])
            return wanted
        finally:  # after an error too: a row of reads that fail half-way must not pile up pages
            while len(self._pages) > self._capacity:
                self._pages.popitem(last=False)


class Known:
    """A source of which some bytes have been read before: what one of the kept pages has is not read again."""

    def __init__(self, parent: BlockSource, pages: Buffered) -> None:
        """`pages` are of `parent`; no more are kept."""
        self._parent = parent
        self._pages = pages

    @property
    def size(self) -> int:
        """In bytes."""
        return self._parent.size

    def read_at(self, offset: int, size: int) -> bytes:
        """See `BlockSource.read_at`."""
        kept = self._pages.kept(offset, size)
        return self._parent.read_at(offset, size) if kept is None else kept
