"""btrfs images for tests: the captures, changes to their nodes, and walks through their files."""

import hashlib
import lzma
import struct
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

from preflight.binary import crc32c
from preflight.contents import FileReader, Kind, Node
from preflight.source import BlockSource, Extent, Extents, Memory, Zeros
from preflight.units import KiB, MiB

CAPTURES = Path(__file__).parents[2] / "fixtures" / "btrfs"
SUPERBLOCK = 64 * KiB
FOUND_KINDS: dict[str, Kind] = {"f": "file", "d": "directory", "l": "symlink"}
MAX_SUMMED = 1024 * MiB


@cache
def capture(name: str) -> BlockSource:
    """The image `name`, of which memory holds what is not zero."""
    extents, offset = [], 0
    with lzma.open(CAPTURES / f"{name}.xz") as file:
        while data := file.read(1 * MiB):
            source: BlockSource = Memory(data) if any(data) else Zeros(len(data))
            extents.append(Extent(offset, len(data), source, 0))
            offset += len(data)
    return Extents(extents)


class Patched:
    """A source in which some bytes are others."""

    def __init__(self, parent: BlockSource, changes: Mapping[int, bytes]) -> None:
        self._parent = parent
        self._changes = dict(changes)

    @property
    def size(self) -> int:
        return self._parent.size

    def read_at(self, offset: int, size: int) -> bytes:
        data = bytearray(self._parent.read_at(offset, size))
        for place, new in self._changes.items():
            begin, end = max(place, offset), min(place + len(new), offset + size)
            if begin < end:
                data[begin - offset : end - offset] = new[begin - place : end - place]
        return bytes(data)


def sealed(source: BlockSource, place: int, size: int, changes: Mapping[int, bytes]) -> Patched:
    """The source with changes, by offset in the superblock or node at `place`, under a checksum that fits."""
    data = bytearray(source.read_at(place, size))
    for offset, new in changes.items():
        assert offset + len(new) <= size
        data[offset : offset + len(new)] = new
    data[:4] = (crc32c(bytes(data[32:])) ^ 0xFFFFFFFF).to_bytes(4, "little")
    return Patched(source, {place: bytes(data)})


def superblock(source: BlockSource, changes: Mapping[int, bytes]) -> Patched:
    """The source with another superblock, and no mirror."""
    return sealed(source, SUPERBLOCK, 4096, changes)


def leaf(
    fsid: bytes,
    bytenr: int,
    owner: int,
    generation: int,
    items: Iterable[tuple[tuple[int, int, int], bytes]],
    *,
    nodesize: int,
    flags: int = 1,
) -> bytes:
    """A leaf with these items, by key; `flags` is WRITTEN."""
    headers, data = b"", b""
    room = nodesize - 101
    count = 0
    for key, item in items:
        data = item + data
        headers += struct.pack("<QBQII", *key, room - len(data), len(item))
        count += 1
    assert len(headers) + len(data) <= room
    head = fsid + struct.pack("<QQ16xQQIB", bytenr, flags, generation, owner, count, 0)
    body = head + headers.ljust(room - len(data), b"\0") + data
    return (crc32c(body) ^ 0xFFFFFFFF).to_bytes(4, "little").ljust(32, b"\0") + body


class Place(NamedTuple):
    """An item on the disk."""

    node: int
    """First byte of the leaf."""
    header: int
    """Where in the leaf the item's header is."""
    data: int
    """Where in the leaf its data begin."""
    size: int


def nodes(source: BlockSource, nodesize: int) -> dict[int, bytes]:
    """Everything on the disk that looks like a node, found by the UUID, by its first byte."""
    fsid = source.read_at(SUPERBLOCK + 0x20, 16)
    found = {}
    for start in range(1 * MiB, source.size, 1 * MiB):
        data = source.read_at(start, min(1 * MiB, source.size - start))
        for place in range(0, len(data), nodesize):
            if data[place + 0x20 : place + 0x30] == fsid:
                found[start + place] = data[place : place + nodesize]
    return found


def items(source: BlockSource, nodesize: int, owner: int, key: tuple[int, int, int]) -> list[Place]:
    """Every leaf that holds this item in its newest version."""
    places: list[tuple[int, Place]] = []
    for place, data in nodes(source, nodesize).items():
        generation, tree, nritems, level = struct.unpack_from("<QQIB", data, 0x50)
        if tree != owner or level:
            continue
        for header in range(101, 101 + nritems * 25, 25):
            *found, offset, size = struct.unpack_from("<QBQII", data, header)
            if tuple(found) == key:
                places.append((generation, Place(place, header, 101 + offset, size)))
    newest = max(generation for generation, _ in places)
    return [place for generation, place in places if generation == newest]


Seen = tuple[Kind, int, int | None, str | None]
"""Kind, permissions, size where it has a meaning, and the target or the sha256."""


def walk(reader: FileReader) -> dict[str, Seen]:
    """All that is below the root, by path."""
    found: dict[str, Seen] = {}
    waiting: list[tuple[str, Node]] = [("", reader.root)]
    while waiting:
        path, directory = waiting.pop()
        for name, node in reader.entries(directory):
            assert reader.lookup(directory, name) == node
            inside = f"{path}/{name}" if path else name
            assert node.mode is not None
            content = None
            if node.kind == "directory":
                waiting.append((inside, node))
            elif node.kind == "symlink":
                content = reader.target(node)
            elif node.kind == "file" and 0 < node.size < MAX_SUMMED:
                content = hashlib.sha256(reader.read(node, 0, node.size)).hexdigest()
            found[inside] = (node.kind, node.mode, None if node.kind == "other" else node.size, content)
    return found


def listed(name: str) -> dict[str, Seen]:
    """What Linux showed in the image `name`, from its topmost subvolume."""
    sums = {}
    for line in _lines(name, "sums"):
        digest, path = line.split("\t")
        sums[path] = digest
    found: dict[str, Seen] = {}
    for line in _lines(name, "files"):
        letter, mode, size, path, target = line.split("\t")
        kind = FOUND_KINDS.get(letter, "other")
        found[path] = (kind, int(mode, 8), None if kind == "other" else int(size), target or sums.get(path))
    return found


def subvolumes(name: str) -> list[tuple[int, str]]:
    """What Linux said about the image's subvolumes: the default one, then all but the topmost."""
    return [(int(number), path) for number, path in (line.split("\t") for line in _lines(name, "subvolumes"))]


def _lines(name: str, ending: str) -> list[str]:
    return (CAPTURES / f"{name}.{ending}").read_bytes().decode("utf-8", "surrogateescape").splitlines()


def follow(reader: FileReader, path: str) -> Node:
    """The node at a path without links."""
    node = reader.root
    for name in path.split("/"):
        found = reader.lookup(node, name)
        assert found is not None, name
        node = found
    return node
