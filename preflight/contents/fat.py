"""Files in FAT12, FAT16 and FAT32, read by ourselves.

libfsfat (20260826) does not do: it reads the whole table at opening, and finds no file by its short name that has a
long one.

Names are compared without case, and found by their short forms too.

Specification: Microsoft Extensible Firmware Initiative FAT32 File System Specification, version 1.03
"""

from collections.abc import Iterator
from itertools import islice
from typing import NoReturn

from preflight.contents import MAX_ENTRIES, ContentsError, Kind, Node, Opener, naming, refusing
from preflight.contents import _fat_directories as directories
from preflight.contents._fat_filesystem import Filesystem
from preflight.source import BlockSource


class FatReader:
    """The files of one file system: a `FileReader`. There are no links in FAT.

    The handle of a node is where its bytes are: of a directory its `Directory`, of a file its first cluster.
    """

    def __init__(self, source: BlockSource) -> None:
        """Read the boot sector; `ContentsError` where it is damaged."""
        with refusing():
            self._filesystem = Filesystem(source)
        geometry = self._filesystem.geometry
        self.root = Node(
            "directory", 0, None, directories.Directory(geometry.root_cluster if geometry.bits == 32 else None)
        )

    def lookup(self, directory: Node, name: str) -> Node | None:
        """See `FileReader.lookup`."""
        _demand("directory", directory)
        with refusing():
            entry = directories.find(self._filesystem, directory.handle, name)
        return None if entry is None else _node(entry)

    def entries(self, directory: Node) -> Iterator[tuple[str, Node]]:
        """See `FileReader.entries`."""
        for entry in self._entries(directory):
            yield entry.names[0], _node(entry)

    def names(self, directory: Node) -> Iterator[str]:
        """See `FileReader.names`."""
        for entry in self._entries(directory):
            yield entry.names[0]

    def listed(self, directory: Node) -> Iterator[str]:
        """See `FileReader.listed`. Of a directory Linux looks for the size, which is that of its whole chain."""
        for entry in self._entries(directory):
            with naming(entry.names[0]):
                if entry.is_directory:
                    self._filesystem.read(entry.cluster, directories.MAX_DIRECTORY_BYTES, 1, to_end=True)
            yield entry.names[0]

    def _entries(self, directory: Node) -> Iterator[directories.Entry]:
        _demand("directory", directory)
        with refusing():
            yield from islice(directories.entries(self._filesystem, directory.handle), MAX_ENTRIES)

    def read(self, node: Node, offset: int, size: int) -> bytes:
        """See `FileReader.read`."""
        _demand("file", node)
        size = min(size, node.size - offset)
        if offset < 0 or size <= 0:
            return b""
        with refusing():
            return self._filesystem.read(node.handle, offset, size)

    def target(self, link: Node) -> NoReturn:
        """See `FileReader.target`."""
        raise ContentsError(f"fat: a symlink is needed here, this is a {link.kind}")


def _demand(kind: Kind, node: Node) -> None:
    if node.kind != kind:
        raise ContentsError(f"fat: a {kind} is needed here, this is a {node.kind}")


def _node(entry: directories.Entry) -> Node:
    if entry.is_directory:
        return Node("directory", 0, None, directories.Directory(entry.cluster))
    return Node("file", entry.size, None, entry.cluster)


CONTENTS = Opener(open=FatReader)
"""What opens a file system of type `vfat`."""
