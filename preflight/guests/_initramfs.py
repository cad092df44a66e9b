"""What an initramfs has in it: the names in cpio archives, several in a row, each by itself or compressed.

Specification: Linux, Documentation/driver-api/early-userspace/buffer-format.rst, and init/initramfs.c.
https://www.kernel.org/doc/html/latest/driver-api/early-userspace/buffer-format.html
"""

import re
import struct
import time
from typing import NamedTuple

from preflight.contents import ContentsError
from preflight.contents.tree import Found
from preflight.errors import StructureError
from preflight.guests._decompress import Compression, Input, compression_of
from preflight.units import GiB, KiB, MiB

MAX_COMPRESSED = 192 * MiB  # read from the guest, for all archives: the largest of distributions have 100 MiB
MAX_INFLATED = 1 * GiB  # of all archives: those with all firmware have 300 MiB
MAX_SECONDS = 4.0  # for all archives: the largest honest one takes bzip2 or lzo 3 s, the other formats 0.2 to 1.5
MAX_MEMBERS = 200_000  # of all archives: honest ones have some 3000, a whole system as initramfs 50,000
MAX_NAME = 4096  # init/initramfs.c skips members with longer names, PATH_MAX
MAX_BUILTIN = 1 * MiB  # bytes of a modules.builtin: honest ones have 30 KiB

PLAIN_PIECE = 32 * KiB  # read at a time of an archive that is not compressed: its data is stepped over

_HEADER = struct.Struct(">13I")  # the fields of a newc header behind its magic, once they are no hexadecimal digits
_HEADER_SIZE = 6 + 2 * _HEADER.size
_MAGICS = (b"070701", b"070702")  # newc, and newc with checksums; init/initramfs.c takes no other
_TRAILER = b"TRAILER!!!"
_ZEROS = bytes(4 * KiB)
_NOT_ZERO = re.compile(rb"[^\0]")
_MODULE = re.compile(r"([^/]+)\.ko(?:\.[a-z0-9]+)?\Z")


class Budget:
    """What reading all initramfs of a guest may take."""

    def __init__(self) -> None:
        """Begin now."""
        self._compressed = MAX_COMPRESSED
        self._inflated = MAX_INFLATED
        self._members = MAX_MEMBERS
        self._deadline = time.monotonic() + MAX_SECONDS

    def spend(self, *, compressed: int = 0, inflated: int = 0, members: int = 0) -> None:
        """Take this from what is left; `StructureError` where that is not enough."""
        self._compressed -= compressed
        self._inflated -= inflated
        self._members -= members
        if self._compressed < 0:
            raise StructureError("initramfs", None, f"more than {MAX_COMPRESSED // MiB} MiB would have to be read")
        if self._inflated < 0:
            raise StructureError("initramfs", None, f"more than {MAX_INFLATED // MiB} MiB when decompressed")
        if self._members < 0:
            raise StructureError("initramfs", None, f"more than {MAX_MEMBERS} files")
        if time.monotonic() > self._deadline:
            raise StructureError("initramfs", None, f"searching takes longer than {MAX_SECONDS:g} s")


class Search:
    """A search for modules in the initramfs of one kernel."""

    def __init__(self, version: str | None, wanted: frozenset[str], *, builtin: bool = False) -> None:
        """`wanted`: modules by name, with underscores, of the kernel `version`; None where that is not known.

        `builtin`: whether a modules.builtin inside is wanted too.
        """
        self._version = version
        self._wanted = wanted
        self._builtin_wanted = builtin
        self.found: set[str] = set()
        """The wanted modules that are there."""
        self.builtin: bytes | None = None
        """The modules.builtin that was found."""
        self.stopped: str | None = None
        """Why the search ended before the end of the archives; None where it did not, or had found all."""

    @property
    def satisfied(self) -> bool:
        """Whether nothing is left to look for."""
        return self.found >= self._wanted and (self.builtin is not None or not self._builtin_wanted)

    def visit(self, name: str) -> bool:
        """Take notice of a member of the archive; whether its data is wanted, for `take`."""
        if name.endswith("/modules.builtin"):
            return self._builtin_wanted and self.builtin is None and self._of_this_kernel(name)
        module = module_of(name)
        if module in self._wanted and self._of_this_kernel(name):
            self.found.add(module)
        return False

    def take(self, data: bytes) -> None:
        """Take the data of the modules.builtin that was visited last."""
        self.builtin = data

    def _of_this_kernel(self, name: str) -> bool:
        """Whether a path is not in the module directory of another kernel: that one's modules do not load here."""
        _, found, rest = f"/{name}".partition("/modules/")
        return not found or self._version is None or rest.partition("/")[0] == self._version


def module_of(path: str) -> str:
    """The name of the module in a file, with underscores as the kernel has it; empty where it is no module."""
    match = _MODULE.search(path)
    return match[1].replace("-", "_") if match else ""


class Place(NamedTuple):
    """Where an initramfs lies."""

    path: str
    file: Found
    window: tuple[int, int] | None = None
    """Offset and size in bytes; None: the whole file."""


def search(place: Place, wanted: Search, budget: Budget) -> None:
    """Look through one initramfs, and leave in `wanted` what was found; it raises nothing for what is wrong with it."""
    node = place.file.node
    if node.kind != "file":
        wanted.stopped = f"{place.path}: not a regular file"
        return
    start, size = place.window or (0, node.size)
    end = min(start + size, node.size)

    def read(offset: int, size: int) -> bytes:
        budget.spend(compressed=size)
        return place.file.reader.read(node, offset, size) if size else b""

    try:
        if start >= end:
            raise StructureError("initramfs", 0, "is empty")
        _segments(Input(read, start, end), wanted, budget)
    except ContentsError as error:
        wanted.stopped = str(error)
    except StructureError as error:
        wanted.stopped = f"{place.path}: {error}"
    except ImportError as error:
        wanted.stopped = f"{place.path}: cannot be decompressed here: {error}"


def _segments(source: Input, wanted: Search, budget: Budget) -> None:
    """Look through plain and compressed archives in turns, as init/initramfs.c unpacks them."""
    compressed = False
    while not wanted.satisfied:
        archive = _plain(source, wanted, budget)
        if wanted.satisfied or archive.junk_at is None:
            return
        source.position = archive.junk_at
        kind = compression_of(source.take(6))
        source.position = archive.junk_at
        if kind is None:
            if compressed:  # such as the mark of a boot configuration
                return
            raise StructureError("initramfs", archive.junk_at, "neither a cpio archive nor compressed as kernels know")
        _packed(kind, source, wanted, budget)
        compressed = True


def _plain(source: Input, wanted: Search, budget: Budget) -> "Archive":
    """Look through archives that are not compressed, from the input's position on."""
    archive = Archive(source.position, wanted, budget)
    while archive.junk_at is None and not wanted.satisfied:
        source.position = archive.resume
        piece = source.take(PLAIN_PIECE)
        if not piece:
            archive.finish(source.end)
            break
        archive.feed(archive.resume, piece)
    return archive


def _packed(kind: Compression, source: Input, wanted: Search, budget: Budget) -> None:
    """Look through the archives in the compressed stream at the input's position."""
    start = source.position
    source.unwanted = 0
    archive = Archive(0, wanted, budget)
    size = 0
    for piece in kind.inflate(source):
        budget.spend(inflated=len(piece))
        archive.feed(size, piece)
        size += len(piece)
        source.unwanted = archive.resume
        if wanted.satisfied:
            return
        if archive.junk_at is not None and not archive.trailers:
            what = "damaged" if archive.members else "not a cpio archive; an image of a file system perhaps"
            raise StructureError(f"initramfs, in its {kind.name} stream", start, what)
    if archive.junk_at is None:
        archive.finish(size)


class Archive:
    """The names in a row of cpio archives, which come piece by piece."""

    def __init__(self, start: int, wanted: Search, budget: Budget) -> None:
        """`start`: offset of the first archive."""
        self._base = start  # offset of the next header, or of the zeros before it, and of the buffer's first byte
        self._buffer = b""
        self._wanted = wanted
        self._budget = budget
        self.members = 0
        self.trailers = 0
        """How many archives have ended."""
        self.junk_at: int | None = None
        """Offset where something else than a header is; nothing is taken from there on."""

    @property
    def resume(self) -> int:
        """Offset of the first byte that is needed next; what lies before is known, or data that is not wanted."""
        return self._base + len(self._buffer)

    def feed(self, at: int, piece: bytes) -> None:
        """Take the bytes at offset `at`, which is not behind `resume`."""
        known = self.resume - at
        if known >= len(piece) or self.junk_at is not None:
            return
        self._buffer += piece[known:] if known else piece
        position = self._scan(self._buffer)
        self._base += position
        self._buffer = self._buffer[position:]

    def finish(self, end: int) -> None:
        """Raise `StructureError` where the bytes end, at `end`, in the middle of a member."""
        if self._buffer or self.resume > max(end, 0) + 3:  # 3: the last padding is left out by some
            raise StructureError("cpio archive", self._base, f"ends at byte {end:#x} in the middle of a member")

    def _scan(self, buffer: bytes) -> int:
        """Visit the members whose names are in the buffer; where in it the next header begins, or behind it."""
        position = 0
        while position < len(buffer):
            if not buffer[position]:
                while buffer.startswith(_ZEROS, position):  # many times as fast as the search for what is none
                    position += len(_ZEROS)
                found = _NOT_ZERO.search(buffer, position)
                position = found.start() if found else len(buffer)
                continue
            magic = buffer[position : position + 6]
            if not any(known.startswith(magic) for known in _MAGICS):
                self.junk_at = self._base + position
                break
            if len(buffer) - position < _HEADER_SIZE:
                break
            following = self._member(buffer, position)
            if following is None:
                break
            position = following
        return position

    def _member(self, buffer: bytes, position: int) -> int | None:
        """Visit the member whose header is at `position`; where the next begins, None where more bytes are needed."""
        try:
            digits = buffer[position + 6 : position + _HEADER_SIZE].decode("ascii")
            fields = _HEADER.unpack(bytes.fromhex(digits))
        except (ValueError, struct.error) as error:
            raise StructureError(
                "cpio header", self._base + position, "its fields are no hexadecimal digits"
            ) from error
        file_size, name_size = int(fields[6]), int(fields[11])
        name_at = position + _HEADER_SIZE
        data_at = position + (_HEADER_SIZE + name_size + 3 & ~3)
        if not 0 < name_size <= MAX_NAME:
            return data_at + (file_size + 3 & ~3)
        if name_at + name_size > len(buffer):
            return None
        raw = buffer[name_at : name_at + name_size].partition(b"\0")[0]
        if raw == _TRAILER:
            self.trailers += 1
        elif self._wanted.visit(raw.decode("utf-8", "replace")) and file_size <= MAX_BUILTIN:
            if data_at + file_size > len(buffer):
                return None
            self._wanted.take(buffer[data_at : data_at + file_size])
        self.members += 1
        self._budget.spend(members=1)
        return data_at + (file_size + 3 & ~3)
