"""Files in NTFS, read by ourselves.

libfsntfs (20260501) does not do: it reads a whole directory for each name in it, does not know LZX, and gives other
files' bytes for some that are damaged.

Names are compared without case, and found by their short forms too. Compressed and sparse files are read, and those
that Windows 10 keeps in a stream of their own (WofCompressedData). Not read, and told so, are encrypted files and
those whose data are elsewhere. The journal is not replayed: what a volume that was not unmounted has only there is not
seen.

Specification: NTFS documentation, https://flatcap.github.io/linux-ntfs/ntfs/
"""

import struct
from collections.abc import Iterator
from typing import NamedTuple

from preflight.contents import ContentsError, Node, Opener, refusing
from preflight.contents import _ntfs_layouts as layouts
from preflight.contents._inodes import Entry, NumberedReader
from preflight.contents._ntfs_compacted import Compacted
from preflight.contents._ntfs_directories import Directories, names_of
from preflight.contents._ntfs_filesystem import File, Filesystem
from preflight.contents._ntfs_links import ReparsePoint, reparse_point
from preflight.contents._ntfs_log import is_clean
from preflight.contents._ntfs_names import from_disk, to_disk
from preflight.contents._ntfs_streams import Stream
from preflight.source import BlockSource

INFORMATION = struct.Struct(layouts.STANDARD_INFORMATION_FORMAT)
LOG_FILE = layouts.Reference(2, 0)  # $LogFile
SEQUENCE_BITS = 16  # of the number of a node, which is a reference with the record's number above


class Handle(NamedTuple):
    """The handle of a `Node`."""

    file: File
    data: Stream | Compacted | None = None
    """Of a file; None where it has none."""
    refused: str | None = None
    """Why its data cannot be read."""
    target: str = ""
    """Of a symlink."""


class NtfsReader(NumberedReader[Handle]):
    """The files of one file system: a `FileReader`."""

    kind = "ntfs"

    def __init__(self, source: BlockSource) -> None:
        """Read the boot sector and the first record; `ContentsError` where they are damaged."""
        with refusing():
            self._filesystem = Filesystem(source)
        self._directories = Directories(self._filesystem)
        super().__init__(layouts.FILE_ROOT << SEQUENCE_BITS)

    def _read_node(self, number: int) -> Node:
        reference = layouts.Reference(number >> SEQUENCE_BITS, number & (1 << SEQUENCE_BITS) - 1)
        file = self._filesystem.file(reference)
        attributes = self._file_attributes(file)
        point = self._reparse_point(file) if attributes & layouts.FILE_ATTRIBUTE_REPARSE_POINT else None
        if point and point.is_link:
            target = point.target
            if target is None:
                return Node("other", 0, None, Handle(file))
            size = len(target.encode("utf-8", "surrogatepass"))
            return Node("symlink", size, None, Handle(file, target=target))
        if point and point.tag in layouts.SPECIAL_TAGS:
            return Node("other", 0, None, Handle(file))
        if file.record.flags & layouts.MFT_RECORD_IS_DIRECTORY:
            return Node("directory", 0, None, Handle(file))
        return self._file_node(file, attributes, point)

    def _file_node(self, file: File, attributes: int, point: ReparsePoint | None) -> Node:
        data: Stream | Compacted | None = self._filesystem.stream(file, layouts.AT_DATA)
        size = data.size if data else 0
        refused = None
        if point:
            stored = self._filesystem.stream(file, layouts.AT_DATA, layouts.WOF_STREAM)
            if point.algorithm and stored:
                data = Compacted(stored, size, point.algorithm)
            else:
                refused = f"the data of the file are elsewhere, its reparse point has tag {point.tag:#010x}"
        if attributes & layouts.FILE_ATTRIBUTE_ENCRYPTED or (data and data.is_encrypted):
            refused = "the file is encrypted"
        return Node("file", size, None, Handle(file, data, refused))

    def _file_attributes(self, file: File) -> int:
        """The flags that Windows shows; 0 where there is no $STANDARD_INFORMATION, as in the first records."""
        information = self._filesystem.stream(file, layouts.AT_STANDARD_INFORMATION)
        if information is None:
            return 0
        if information.size < INFORMATION.size:
            raise ContentsError(f"{information.where}: it has {information.size} bytes, needed are {INFORMATION.size}")
        (found,) = INFORMATION.unpack(information.read(0, INFORMATION.size))
        return int(found)

    def _reparse_point(self, file: File) -> ReparsePoint | None:
        stream = self._filesystem.stream(file, layouts.AT_REPARSE_POINT)
        return reparse_point(stream) if stream else None

    def _is_settled(self) -> bool:
        with refusing():
            log = self._filesystem.stream(self._filesystem.file(LOG_FILE), layouts.AT_DATA)
            return log is not None and is_clean(log)

    def _list(self, directory: Handle) -> Iterator[Entry]:
        for entry in self._directories.entries(directory.file):
            yield Entry(_number(entry.reference), from_disk(entry.name or b""))

    def _find(self, directory: Handle, name: bytes) -> int | None:
        spelt = to_disk(name)
        if not spelt:
            return None
        entry = self._directories.find(directory.file, spelt)
        if entry is None:
            return None
        self._verify(directory, self._node(_number(entry.reference)), entry.name or b"")
        return _number(entry.reference)

    def _entry_node(self, directory: Handle, entry: Entry) -> Node:
        node = super()._entry_node(directory, entry)
        self._verify(directory, node, to_disk(entry.name) or b"")
        return node

    def _verify(self, directory: Handle, node: Node, name: bytes) -> None:
        """`ContentsError` unless the file says to have this name: a reference alone has nothing that protects it."""
        file: File = node.handle.file
        number = directory.file.record.number
        if (number, name) not in names_of(self._filesystem, file):
            raise ContentsError(f"{file.where}: directory {number} names it {from_disk(name)!r}, which it does not say")

    def read(self, node: Node, offset: int, size: int) -> bytes:
        """See `FileReader.read`."""
        handle = self._demand("file", node)
        if handle.refused:
            raise ContentsError(f"{handle.file.where}: {handle.refused}")
        size = min(size, node.size - offset)
        if handle.data is None or offset < 0 or size <= 0:
            return b""
        with refusing():
            return handle.data.read(offset, size)

    def target(self, link: Node) -> str:
        """See `FileReader.target`."""
        return self._demand("symlink", link).target


def _number(reference: layouts.Reference) -> int:
    """By which a node is known: in the order of the records, which may hold many files in a page."""
    return reference.number << SEQUENCE_BITS | reference.sequence_number


CONTENTS = Opener(open=NtfsReader)
