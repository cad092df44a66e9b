"""Sources for tests of readers: captures, one that counts its reads, one whose bytes were changed; and walks."""

import lzma
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest

from preflight.contents import FileReader, Node
from preflight.errors import UnreachableBytes
from preflight.source import BlockSource, Extent, Extents, FileSource, Memory, Zeros
from preflight.units import MiB

FIXTURES = Path(__file__).parents[2] / "fixtures"


@cache
def capture(name: str) -> BlockSource:
    """The image `name` of the fixtures, of which memory holds what is not zero."""
    extents, offset = [], 0
    with lzma.open(FIXTURES / f"{name}.xz") as file:
        while data := file.read(MiB):
            source: BlockSource = Memory(data) if any(data) else Zeros(len(data))
            extents.append(Extent(offset, len(data), source, 0))
            offset += len(data)
    return Extents(extents)


def unlimited(path: Path) -> FileSource:
    """An image without the budget of an inspection, as a test reads all of it."""
    return FileSource(str(path), max_reads=1_000_000, max_bytes=1 << 40)


class Counting:
    """A source that counts its reads."""

    def __init__(self, source: BlockSource) -> None:
        self._source = source
        self.reads = 0

    @property
    def size(self) -> int:
        return self._source.size

    def read_at(self, offset: int, size: int) -> bytes:
        self.reads += 1
        return self._source.read_at(offset, size)


class Changed:
    """A source in which some bytes are others."""

    def __init__(self, source: BlockSource, changes: Mapping[int, bytes]) -> None:
        self._source = source
        self._changes = changes

    @property
    def size(self) -> int:
        return self._source.size

    def read_at(self, offset: int, size: int) -> bytes:
        data = bytearray(self._source.read_at(offset, size))
        for start, change in self._changes.items():
            begin, end = max(start, offset), min(start + len(change), offset + size)
            if begin < end:
                data[begin - offset : end - offset] = change[begin - start : end - start]
        return bytes(data)


class Unreachable:
    """A source whose bytes from `start` on are not there."""

    def __init__(self, source: BlockSource, start: int) -> None:
        self._source = source
        self._start = start

    @property
    def size(self) -> int:
        return self._source.size

    def read_at(self, offset: int, size: int) -> bytes:
        if offset + size > self._start:
            raise UnreachableBytes("the disk", offset, "they are in a backing file")
        return self._source.read_at(offset, size)


def entry(reader: FileReader, path: str) -> Node:
    """What is at `path`, by lookups alone; fails the test where nothing is."""
    node = reader.root
    for name in path.strip("/").split("/"):
        found = reader.lookup(node, name)
        if found is None:
            pytest.fail(f"{path}: there is no {name}")
        node = found
    return node


def whole(reader: FileReader, path: str) -> bytes:
    """All bytes of the file at `path`."""
    node = entry(reader, path)
    return reader.read(node, 0, node.size)


def walk(reader: FileReader) -> Iterator[tuple[str, Node]]:
    """All paths of a sound file system, by its listings."""
    waiting = [("", reader.root)]
    while waiting:
        path, directory = waiting.pop()
        for name, node in reader.entries(directory):
            yield f"{path}/{name}", node
            if node.kind == "directory":
                waiting.append((f"{path}/{name}", node))


def snapshot(reader: FileReader) -> dict[str, bytes | str]:
    """Everything in a sound file system by path: bytes of files, targets of links, and the kind of all else."""
    found: dict[str, bytes | str] = {}
    assert list(reader.names(reader.root)) == [name for name, _ in reader.entries(reader.root)]
    for path, node in walk(reader):
        if node.kind == "file":
            found[path] = reader.read(node, 0, node.size)
        elif node.kind == "symlink":
            found[path] = "-> " + reader.target(node)
        else:
            found[path] = node.kind
        if node.kind == "directory":
            assert list(reader.names(node)) == [name for name, _ in reader.entries(node)], path
    return found
