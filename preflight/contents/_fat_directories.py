"""The names in a directory of FAT12, FAT16 and FAT32: short ones, and the long ones of VFAT before them.

A long name counts where all its entries are there, in order, and have the checksum of the short name behind them;
what a system that knows no long names left of one is passed over.

Specification: Microsoft Extensible Firmware Initiative FAT32 File System Specification, version 1.03, sections FAT
Directory Structure, Long Directory Entries. DIR_NTRes: include/uapi/linux/msdos_fs.h of Linux, CASE_LOWER_BASE.
"""

import struct
from collections.abc import Iterator
from typing import NamedTuple

from preflight.contents import ContentsError
from preflight.contents._fat_filesystem import Filesystem
from preflight.filesystems._fat_geometry import ENTRY_SIZE
from preflight.filesystems.vfat import (
    ATTR_DIRECTORY,
    ATTR_LONG_NAME,
    ATTR_MASK,
    ATTR_VOLUME_ID,
    FREE,
    KANJI_E5,
    LAST,
)
from preflight.units import KiB, MiB

CODE_PAGE = "cp437"  # of short names: nothing on the disk tells which; Linux takes this one too, where it is not told
MAX_DIRECTORY_BYTES = 2 * MiB  # 65536 entries: the specification and Linux, FAT_MAX_DIR_SIZE
CHUNK = 4 * KiB  # read at once
CASE_LOWER_BASE, CASE_LOWER_EXT = 0x08, 0x10  # DIR_NTRes
BASE_SIZE = 8  # of DIR_Name: the rest is the extension
ATTR_OFFSET = 11

ENTRY = struct.Struct("<11sBB7xH4xHI")  # DIR_Name, DIR_Attr, DIR_NTRes, DIR_FstClusHI, DIR_FstClusLO, DIR_FileSize
LONG_ENTRY = struct.Struct("<B10sBxB12sxx4s")  # LDIR_Ord, LDIR_Name1, LDIR_Attr, LDIR_Chksum, LDIR_Name2, LDIR_Name3
LAST_LONG_ENTRY = 0x40  # in LDIR_Ord of the last one, which comes first
MAX_LONG_ENTRIES = 20  # 255 characters, 13 in each


class Directory(NamedTuple):
    """Where the entries of a directory are."""

    cluster: int | None
    """The first; None for the root directory of FAT12 and FAT16, which has its own place."""


class Entry(NamedTuple):
    """A file or directory."""

    names: tuple[str, ...]
    """The long one, where it has one, and the short one."""
    is_directory: bool
    cluster: int
    """The first; what a file of no bytes has here means nothing."""
    size: int
    """In bytes; of a directory 0."""


def entries(filesystem: Filesystem, directory: Directory) -> Iterator[Entry]:
    """All entries but `.`, `..` and volume labels, in the order of the disk."""
    long_name = _LongName()
    for data in _chunks(filesystem, directory):
        for offset in range(0, len(data) - ENTRY_SIZE + 1, ENTRY_SIZE):
            first, attributes = data[offset], data[offset + ATTR_OFFSET]
            if first == LAST:
                return
            if first != FREE and attributes & ATTR_MASK == ATTR_LONG_NAME:
                long_name.add(data, offset)
                continue
            if first != FREE and not attributes & ATTR_VOLUME_ID:
                name, attributes, case, high, low, size = ENTRY.unpack_from(data, offset)
                short = _short_name(name, case)
                names = tuple(text for text in (long_name.of(name), short) if text and _is_name(text))
                if names and short not in (".", ".."):
                    is_directory = bool(attributes & ATTR_DIRECTORY)
                    if filesystem.geometry.bits == 32:  # in others OS/2 keeps something else there
                        low |= high << 16
                    yield Entry(names, is_directory, low, 0 if is_directory else size)
            long_name.forget()


def find(filesystem: Filesystem, directory: Directory, name: str) -> Entry | None:
    """The first entry that has this name, long or short, without case; None where there is none.

    Dots at the end of a name do not count, as in Windows and Linux.
    """
    wanted = _fold(name.rstrip("."))
    if not wanted:
        return None
    for entry in entries(filesystem, directory):
        if any(_fold(own) == wanted for own in entry.names):
            return entry
    return None


def _chunks(filesystem: Filesystem, directory: Directory) -> Iterator[bytes]:
    """The bytes of a directory: some entries at a time, whole ones."""
    if directory.cluster is None:
        start, end = filesystem.geometry.root_offset, filesystem.geometry.root_offset + filesystem.geometry.root_size
        for offset in range(start, end, CHUNK):
            yield filesystem.source.read_at(offset, min(CHUNK, end - offset))
        return
    size = min(CHUNK, filesystem.geometry.cluster_size)  # what is wrong behind the last entry does no harm
    for offset in range(0, MAX_DIRECTORY_BYTES, size):
        data = filesystem.read(directory.cluster, offset, size, to_end=True)
        if not data:
            return
        yield data
    raise ContentsError(
        f"fat directory at cluster {directory.cluster}: it has over {MAX_DIRECTORY_BYTES} bytes, no more are read"
    )


class _LongName:
    """The entries of a long name, as they come before the short one."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """What comes next has none so far."""
        self._parts: list[bytes] = []
        self._left = -1
        """How many entries are to come; -1 where there is no name."""
        self._checksum = 0

    def add(self, data: bytes, offset: int) -> None:
        """Take the entry at `offset`; where it is not the one that should come, there is no name."""
        order, name1, _, checksum, name2, name3 = LONG_ENTRY.unpack_from(data, offset)
        if order & LAST_LONG_ENTRY:
            self._parts = []
            self._left, self._checksum = order & ~LAST_LONG_ENTRY, checksum
            order = self._left
        if not 0 < order == self._left <= MAX_LONG_ENTRIES or checksum != self._checksum:
            self.forget()
            return
        self._left -= 1
        self._parts.append(name1 + name2 + name3)

    def of(self, short: bytes) -> str | None:
        """The long name of the file with this DIR_Name; None where it has none."""
        if self._left or _checksum(short) != self._checksum:
            return None
        # Half of a surrogate pair is shown as U+FFFD, as no text has it.
        return b"".join(reversed(self._parts)).decode("utf-16-le", "replace").partition("\0")[0]


def _checksum(short: bytes) -> int:
    """Of the 11 bytes of DIR_Name, for the long name before it."""
    total = 0
    for byte in short:
        total = ((total & 1) << 7) + (total >> 1) + byte & 0xFF
    return total


def _short_name(name: bytes, case: int) -> str:
    """The text of DIR_Name, in the case that DIR_NTRes tells; only letters of ASCII can be lower there."""
    if name[0] == KANJI_E5:
        name = bytes([FREE]) + name[1:]
    base, extension = name[:BASE_SIZE].rstrip(b" "), name[BASE_SIZE:].rstrip(b" ")
    if case & CASE_LOWER_BASE:
        base = base.lower()
    if case & CASE_LOWER_EXT:
        extension = extension.lower()
    return (base + b"." + extension if extension else base).decode(CODE_PAGE)


def _is_name(text: str) -> bool:
    """Whether a path can have it: no file is found by what is none."""
    return text not in (".", "..") and "/" not in text and "\0" not in text


def _fold(name: str) -> str:
    """A name as others are compared with it: in capitals, letter by letter."""
    return name.upper() if name.isascii() else "".join(map(_capital, name))


def _capital(letter: str) -> str:
    """Windows has no capital for a letter that would become two, and none of ASCII for one that is not."""
    capital = letter.upper()
    return capital if len(capital) == 1 and (letter.isascii() or not capital.isascii()) else letter
