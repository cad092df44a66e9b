"""The names in a directory of NTFS: a B+-tree, its root in the record of the directory and its blocks in clusters.

$BITMAP, which tells what blocks are in use, is not needed: only those are read that the tree leads to.

Specification: NTFS documentation, attributes $INDEX_ROOT and $INDEX_ALLOCATION, concepts Index Record and B-Trees,
https://flatcap.github.io/linux-ntfs/ntfs/
"""

import struct
from collections.abc import Iterator
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

from preflight.binary import parse
from preflight.contents import ContentsError
from preflight.contents import _ntfs_layouts as layouts
from preflight.contents._ntfs_filesystem import File, Filesystem
from preflight.contents._ntfs_names import Collation, is_ascii
from preflight.errors import BudgetExhausted, StructureError
from preflight.filesystems._ntfs_records import fixed_up
from preflight.units import KiB, MiB, is_power_of_two

MIN_BLOCK, MAX_BLOCK = 512, 64 * KiB  # 4 KiB, or as many as a record has, are usual
MAX_DIRECTORY_BYTES = 32 * MiB  # 65536 names with 100 characters are 20 MiB; a directory does not shrink when emptied
MAX_BLOCKS_OF_LOOKUP = 64  # 13 levels have 2^32 of the longest names; others are of names that differ by case
ENTRY = struct.Struct(layouts.INDEX_ENTRY_FORMAT)
FILE_NAME = struct.Struct(layouts.FILE_NAME_FORMAT)
DAMAGED_KEPT = 1  # directories, with all their names: what is asked of one is asked in a row
DOTS = (".".encode("utf-16-le"), "..".encode("utf-16-le"))


class IndexEntry(NamedTuple):
    """An entry of an index block; the last one of each has no name."""

    reference: layouts.Reference
    name: bytes | None
    """In UTF-16."""
    is_short: bool
    """Whether it is the short form of a name that has an entry of its own."""
    child: int | None
    """The VCN of the block whose names come before this one."""


class Directories:
    """The directories of one file system."""

    def __init__(self, filesystem: Filesystem) -> None:
        self._filesystem = filesystem
        self._collation = Collation(filesystem)
        self._readable = lru_cache(DAMAGED_KEPT)(lambda directory: tuple(_Index(filesystem, directory).readable()))

    def entries(self, directory: File) -> Iterator[IndexEntry]:
        """All names but `.`, in the order of the tree, short forms left out; those that no path can have as well.

        Raises `ContentsError` or `StructureError` where an entry or a block is damaged.
        """
        for entry in _Index(self._filesystem, directory).walk():
            name = entry.name or b""
            units = struct.unpack(f"<{len(name) // 2}H", name)
            if not entry.is_short and name not in DOTS and not {0, 0x2F} & set(units):
                yield entry

    def find(self, directory: File, name: bytes) -> IndexEntry | None:
        """The entry of this name in UTF-16, None where there is none. The same case is preferred, any other will do.

        Where a part of the tree is damaged, all blocks that can be read are searched; an error is that of a name that
        is in none of them, as it may be in the damaged one.
        """
        if name in DOTS:
            return None
        wanted = self._collation.key(name)
        try:
            other_case = None
            for entry in _Index(self._filesystem, directory, whole=False).walk(self._collation, wanted):
                if entry.name == name:
                    return entry
                if self._collation.key(entry.name or b"") != wanted:
                    break
                other_case = other_case or entry
            return other_case
        except BudgetExhausted:
            raise
        except (ContentsError, StructureError):
            if found := self._search(directory, name, wanted):
                return found
            raise

    def _search(self, directory: File, name: bytes, wanted: str) -> IndexEntry | None:
        """The entry of this name in any block that can be read; no table of capitals is needed for what is ASCII."""
        other_case = None
        for entry in self._readable(directory):
            if entry.name == name:
                return entry
            if other_case is None and entry.name and len(entry.name) == len(name):
                is_comparable = is_ascii(entry.name) or not wanted.isascii()
                other_case = entry if is_comparable and self._collation.key(entry.name) == wanted else None
        return other_case


def names_of(filesystem: Filesystem, file: File) -> Iterator[tuple[int, bytes]]:
    """All names that a file says to have: the record of a directory, and the name in UTF-16."""
    for attribute in filesystem.attributes(file, layouts.AT_FILE_NAME):
        parent, name, _ = _file_name(attribute.value, attribute.where)
        yield parent.number, name


class _Step(NamedTuple):
    """An entry of a node, and between what keys those of its child must be."""

    entry: IndexEntry
    low: str = ""
    high: str | None = None


class _Level(NamedTuple):
    """How far a node is walked."""

    waiting: Iterator[_Step]
    """Entries whose children are not walked yet."""
    entry: IndexEntry | None = None
    """The one whose child is being walked."""


class _Index:
    """The index of one directory."""

    def __init__(self, filesystem: Filesystem, directory: File, *, whole: bool = True) -> None:
        """`whole`: all blocks are read at once, as all are wanted."""
        self._where = f"{directory.where}, directory"
        root = filesystem.stream(directory, layouts.AT_INDEX_ROOT, layouts.INDEX_NAME)
        if root is None:
            raise ContentsError(f"{self._where}: it has no index of names")
        self._root = root.read(0, min(root.size, MAX_BLOCK))
        header = parse(layouts.INDEX_ROOT, self._root, self._where, 0)
        self._block_size: int = header.index_block_size
        if (
            header.type != layouts.AT_FILE_NAME
            or header.collation_rule != layouts.COLLATION_FILE_NAME
            or not is_power_of_two(self._block_size)
            or not MIN_BLOCK <= self._block_size <= MAX_BLOCK
        ):
            raise ContentsError(
                f"{self._where}: its index is of attribute {header.type:#x} by rule {header.collation_rule} in blocks"
                f" of {self._block_size} bytes"
            )
        small = filesystem.cluster_size > self._block_size
        self._vcn_size = layouts.VCN_OF_SMALL_BLOCKS if small else filesystem.cluster_size
        self._blocks = filesystem.stream(directory, layouts.AT_INDEX_ALLOCATION, layouts.INDEX_NAME)
        self._size = self._blocks.size if self._blocks else 0
        self._limit = MAX_BLOCKS_OF_LOOKUP
        self._data: bytes | None = None
        if whole and self._blocks:
            if self._size > MAX_DIRECTORY_BYTES:
                raise ContentsError(f"{self._where}: it has over {MAX_DIRECTORY_BYTES} bytes, no more are read")
            self._data = self._blocks.read(0, self._size)
            self._limit = self._size // self._block_size

    def walk(self, collation: Collation | None = None, first: str = "") -> Iterator[IndexEntry]:
        """The entries in order, from the key `first` on, with `collation`: then their order is verified as well."""
        visited: set[int] = set()
        top = self._node(self._root, layouts.INDEX_ROOT_SIZE)
        levels = [_Level(self._steps(_Step(top[-1]), top, collation, first))]
        while levels:
            waiting, entry = levels.pop()
            if entry is None:
                step = next(waiting, None)
                if step is None:
                    continue
                entry = step.entry
                if entry.child is not None:
                    if entry.child in visited or len(visited) == self._limit:
                        raise ContentsError(f"{self._where}: its index leads to block {entry.child} once too often")
                    visited.add(entry.child)
                    below = self._steps(step, self._block(entry.child), collation, first)
                    levels += [_Level(waiting, entry), _Level(below)]
                    continue
            levels.append(_Level(waiting))
            if entry.name is not None:
                yield entry

    def readable(self) -> Iterator[IndexEntry]:
        """The entries of all blocks that are whole, whether or not the tree leads there."""
        yield from (entry for entry in self._node(self._root, layouts.INDEX_ROOT_SIZE) if entry.name is not None)
        for offset in range(0, self._size - self._block_size + 1, self._block_size):
            try:
                found = self._block(offset // self._vcn_size)
            except BudgetExhausted:
                raise
            except (ContentsError, StructureError):
                continue
            yield from (entry for entry in found if entry.name is not None)

    def _steps(self, above: _Step, node: list[IndexEntry], collation: Collation | None, first: str) -> Iterator[_Step]:
        """The entries of a node that hangs on the one `above`, from the key `first` on."""
        if collation is None:
            return map(_Step, node)
        keys = [collation.key(entry.name) for entry in node if entry.name is not None]
        bounds = [above.low, *keys, *([] if above.high is None else [above.high])]
        if any(second < one for one, second in pairwise(bounds)):
            raise ContentsError(f"{self._where}: the names in its index are not in order")
        skipped = sum(key < first for key in keys)
        return map(_Step, node[skipped:], bounds[skipped:], [*keys[skipped:], above.high])

    def _block(self, vcn: int) -> list[IndexEntry]:
        offset = vcn * self._vcn_size
        where = f"{self._where}, index block {vcn}"
        if self._blocks is None or offset % self._block_size or offset + self._block_size > self._size:
            raise ContentsError(f"{where}: it is not among the {self._size} bytes of the index")
        if self._data is None:
            data = self._blocks.read(offset, self._block_size)
        else:
            data = self._data[offset : offset + self._block_size]
        header = parse(layouts.INDEX_BLOCK, data, where, offset)
        if header.magic != layouts.INDEX_MAGIC or header.index_block_vcn != vcn:
            raise ContentsError(f"{where}: it begins with {header.magic!r} and says to be {header.index_block_vcn}")
        return self._node(fixed_up(data, header.usa_ofs, header.usa_count, where, offset), layouts.INDEX_BLOCK_SIZE)

    def _node(self, data: bytes, start: int) -> list[IndexEntry]:
        """The entries behind an index header at `start`; the last one has no name."""
        header = parse(layouts.INDEX_HEADER, data[start:], self._where, start)
        end = start + header.index_length
        if not layouts.INDEX_HEADER_SIZE <= header.entries_offset <= header.index_length or end > len(data):
            raise ContentsError(
                f"{self._where}: entries at byte {header.entries_offset:#x} of {header.index_length}, where"
                f" {len(data) - start} bytes are"
            )
        found = []
        position = start + header.entries_offset
        while position + ENTRY.size <= end:
            indexed_file, length, key_length, flags = ENTRY.unpack_from(data, position)
            has_child = bool(flags & layouts.INDEX_ENTRY_NODE)
            key_end = position + ENTRY.size + (0 if flags & layouts.INDEX_ENTRY_END else key_length)
            entry_end = position + length
            if entry_end > end or key_end > entry_end - 8 * has_child:
                break
            child = int.from_bytes(data[entry_end - 8 : entry_end], "little") if has_child else None
            reference = layouts.Reference.of(indexed_file)
            if flags & layouts.INDEX_ENTRY_END:
                if has_child != bool(header.flags & layouts.INDEX_HAS_CHILDREN):
                    break
                found.append(IndexEntry(reference, None, False, child))
                return found
            _, name, is_short = _file_name(data[position + ENTRY.size : key_end], self._where)
            found.append(IndexEntry(reference, name, is_short, child))
            position = entry_end
        raise ContentsError(f"{self._where}: what is at byte {position - start:#x} of its index is no entry")


def _file_name(value: bytes, where: str) -> tuple[layouts.Reference, bytes, bool]:
    """Of a $FILE_NAME: the directory, the name in UTF-16, and whether it is a short form."""
    if len(value) >= FILE_NAME.size:
        parent, length, kind = FILE_NAME.unpack_from(value)
        name = value[FILE_NAME.size : FILE_NAME.size + 2 * length]
        if name and len(name) == 2 * length:
            return layouts.Reference.of(parent), name, kind == layouts.FILE_NAME_DOS
    raise ContentsError(f"{where}: a name has {len(value)} bytes, too few for what it says")
