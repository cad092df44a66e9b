"""Reading through a library of libyal: a file object for it, its errors, and lookup by path.

The libraries (https://github.com/libyal, LGPL-3.0-or-later) have one interface in common: a volume opened on a Python
file object, and file entries by path or by index. They raise OSError with a chain of sentences, the outermost function
first and then from the innermost to the outermost.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from preflight.contents import MAX_ENTRIES, ContentsError, Node
from preflight.errors import StructureError
from preflight.source import BlockSource
from preflight.units import MiB

# MemoryError: for a size on the disk that no memory has. The others: arguments that the library cannot convert.
ERRORS = (OSError, MemoryError, ValueError, TypeError, ArithmeticError, RuntimeError, SystemError)
MAX_REASON = 200  # characters: the sentences of the libraries are shorter
READ_SIZE = MiB  # asked of a library at once
SEPARATOR = "\\"  # of the names in a path


class SourceFile:
    """A source as a binary file, as far as the libraries use one."""

    def __init__(self, source: BlockSource) -> None:
        """Serve `source`, from its first byte."""
        self._source = source
        self._offset = 0
        self.failure: StructureError | None = None
        """Why the last read that failed did: of exceptions the libraries keep only the text."""

    def read(self, size: int) -> bytes:
        """The next `size` bytes, fewer at the end; raises what `BlockSource.read_at` raises."""
        size = min(size, self._source.size - self._offset)
        if size <= 0:
            return b""
        try:
            data = self._source.read_at(self._offset, size)
        except StructureError as error:
            self.failure = error
            raise
        self._offset += size
        return data

    def seek(self, offset: int, whence: int = 0) -> None:
        """Go to `offset` bytes from the start (`whence` 0), from here (1), or from the end (2)."""
        self._offset = max(0, offset + (0, self._offset, self._source.size)[whence])

    def tell(self) -> int:
        """The offset of the next byte."""
        return self._offset

    def get_size(self) -> int:
        """In bytes."""
        return self._source.size


class Handle(NamedTuple):
    """The handle of a `Node`."""

    path: str
    """From the root of the file system, with `SEPARATOR` before each name."""
    entry: Any
    """The library's file entry."""
    refused: str | None = None
    """Why its data cannot be read, where that is known beforehand."""
    target: str | None = None
    """Of a symlink, where the library does not tell it as the guest understands it."""


class LibyalReader:
    """The files of one file system: a `FileReader` but for `target`."""

    def __init__(
        self,
        name: str,
        new_volume: Callable[[], Any],
        make_node: Callable[[str, Any], Node],
        source: BlockSource,
    ) -> None:
        """Open the volume on `source`; `ContentsError` where the library refuses it.

        `name` is the library's, for errors. `make_node` makes a `Node` of a path and a file entry.
        """
        self._name = name
        self._make_node = make_node
        self._file = SourceFile(source)
        with self.asking():
            self._volume = new_volume()
            self._volume.open_file_object(self._file)
        self._top: Node | None = None

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Whatever the library raises, as `ContentsError`; its cause is a failed read where there was one."""
        self._file.failure = None
        try:
            yield
        except ERRORS as error:
            if failure := self._file.failure:
                raise ContentsError(f"{self._name}: {failure}") from failure
            raise ContentsError(f"{self._name}: {_reason(error)}") from error

    @property
    def root(self) -> Node:
        """See `FileReader.root`."""
        if self._top is None:
            with self.asking():
                entry = self._volume.get_root_directory()
                if entry is None:
                    raise ContentsError(f"{self._name}: there is no root directory")
                self._top = self._make_node("", entry)
        return self._top

    def lookup(self, directory: Node, name: str) -> Node | None:
        """See `FileReader.lookup`."""
        handle = _handle(directory, "directory")
        if name in ("", ".", "..") or SEPARATOR in name or "\0" in name:
            return None
        path = f"{handle.path}{SEPARATOR}{name}"
        with self.asking():
            entry = self._volume.get_file_entry_by_path(path)
            return None if entry is None else self._make_node(path, entry)

    def entries(self, directory: Node) -> Iterator[tuple[str, Node]]:
        """See `FileReader.entries`; names that the library cannot tell, as they are no Unicode, are left out."""
        for name, entry in self._listed(directory):
            with self.asking():
                node = self._make_node(f"{directory.handle.path}{SEPARATOR}{name}", entry)
            yield name, node

    def names(self, directory: Node) -> Iterator[str]:
        """See `FileReader.names`."""
        for name, _ in self._listed(directory):
            yield name

    def _listed(self, directory: Node) -> Iterator[tuple[str, Any]]:
        """The names in a directory, with the library's entries."""
        handle = _handle(directory, "directory")
        with self.asking():
            count = handle.entry.number_of_sub_file_entries
        for index in range(min(count, MAX_ENTRIES)):
            with self.asking():
                entry = handle.entry.get_sub_file_entry(index)
                name = entry_name(entry)
            if name is not None:
                yield name, entry

    def read(self, node: Node, offset: int, size: int) -> bytes:
        """See `FileReader.read`."""
        handle = _handle(node, "file")
        if handle.refused:
            raise ContentsError(f"{self._name}: {handle.refused}")
        size = min(size, node.size - offset)
        if offset < 0 or size <= 0:
            return b""
        parts = []
        with self.asking():
            while size:
                data = handle.entry.read_buffer_at_offset(min(size, READ_SIZE), offset)
                if not data:
                    raise ContentsError(f"{self._name}: the file ends at byte {offset}, expected at {node.size}")
                parts.append(data)
                offset += len(data)
                size -= len(data)
        return b"".join(parts)


def entry_name(entry: Any) -> str | None:
    """The name of a file entry; None where the library cannot decode it."""
    try:
        name: str | None = entry.name
    except OSError:
        return None
    return name


def _handle(node: Node, kind: str) -> Handle:
    if node.kind != kind:
        raise ContentsError(f"a {kind} is needed here, this is a {node.kind}")
    handle: Handle = node.handle
    return handle


def _reason(error: BaseException) -> str:
    """The innermost of the library's sentences, without the name of its function."""
    if isinstance(error, MemoryError):
        return "it asked for more memory than there is"
    sentences = str(error).split(". ")
    innermost = sentences[1] if len(sentences) > 1 else sentences[0]
    reason = innermost.partition(": ")[2] or innermost
    return ascii(reason.rstrip(". "))[1:-1][:MAX_REASON] or type(error).__name__
