"""What the readers share whose directories name files by number, as ext, XFS and NTFS do."""

import stat
from abc import ABC, abstractmethod
from collections.abc import Iterator
from functools import lru_cache
from itertools import islice
from typing import ClassVar, Generic, NamedTuple, Protocol, TypeVar

from preflight.contents import MAX_ENTRIES, ContentsError, Kind, Node, naming, refusing
from preflight.errors import BudgetExhausted, StructureError

KINDS: dict[int, Kind] = {stat.S_IFREG: "file", stat.S_IFDIR: "directory", stat.S_IFLNK: "symlink"}
INODES_KEPT = 1024  # of 200 to 2300 bytes; reading what a guest is known by takes some hundred


class Entry(NamedTuple):
    """A name in a directory."""

    inode: int
    name: bytes


H = TypeVar("H")  # the handle of a node


class Inode(Protocol):
    """What an inode says of its file."""

    @property
    def mode(self) -> int:
        """Type and permissions, as `st_mode`."""

    @property
    def size(self) -> int:
        """In bytes."""

    @property
    def flags(self) -> int:
        """As its file system has them."""


I = TypeVar("I", bound=Inode)  # noqa: E741 - for an inode


def encode(name: str) -> bytes | None:
    """The bytes of a name; None where it has a surrogate that stands for none."""
    try:
        return name.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return None


def decode(name: bytes) -> str:
    """The text of a name or of a link."""
    return name.decode("utf-8", "surrogateescape")


class NumberedReader(ABC, Generic[H]):
    """The files of one file system: a `FileReader` but for `read`."""

    kind: ClassVar[str]
    """Of file system, for errors."""

    def __init__(self, root: int) -> None:
        """`root`: the number of the topmost directory."""
        self._root = root
        self._node = lru_cache(INODES_KEPT)(self._read_node)

    @abstractmethod
    def _read_node(self, number: int) -> Node:
        """The file of this number, raising `ContentsError` or `StructureError`."""

    @abstractmethod
    def _list(self, directory: H) -> Iterator[Entry]:
        """All entries but `.` and `..`, raising the same."""

    @abstractmethod
    def _find(self, directory: H, name: bytes) -> int | None:
        """The number of what has this name, None where there is none; raising the same."""

    @property
    def root(self) -> Node:
        """See `FileReader.root`."""
        with refusing():
            top = self._node(self._root)
        if top.kind != "directory":
            raise ContentsError(f"{self.kind}: the root is no directory")
        return top

    def lookup(self, directory: Node, name: str) -> Node | None:
        """See `FileReader.lookup`."""
        handle = self._demand("directory", directory)
        encoded = encode(name)
        if encoded is None:
            return None
        with refusing():
            number = self._find(handle, encoded)
            return None if number is None else self._node(number)

    def entries(self, directory: Node) -> Iterator[tuple[str, Node]]:
        """See `FileReader.entries`."""
        handle = self._demand("directory", directory)
        found = list(self._entries(directory))
        # An index by hashes has mixed the names; in the order of their numbers each page is read once.
        order = sorted(range(len(found)), key=lambda index: found[index].inode)
        with refusing():
            nodes = {index: self._entered(handle, found[index]) for index in order}
        for index, entry in enumerate(found):
            yield decode(entry.name), nodes[index]

    def names(self, directory: Node) -> Iterator[str]:
        """See `FileReader.names`."""
        for entry in self._entries(directory):
            yield decode(entry.name)

    def listed(self, directory: Node) -> Iterator[str]:
        """See `FileReader.listed`."""
        handle = self._demand("directory", directory)
        for entry in sorted(self._entries(directory), key=lambda entry: entry.inode):
            name = decode(entry.name)
            try:
                with naming(name):
                    self._look_at(handle, entry)
            except ContentsError:
                if self._is_settled():
                    raise
                return
            yield name

    def _look_at(self, directory: H, entry: Entry) -> None:
        """Read what a listing needs of an entry, raising `ContentsError` or `StructureError`."""
        node = self._entry_node(directory, entry)
        if node.kind == "symlink":
            self.target(node)

    def _is_settled(self) -> bool:
        """Whether no journal waits to be replayed."""
        return True

    @abstractmethod
    def target(self, link: Node) -> str:
        """See `FileReader.target`."""

    def _entries(self, directory: Node) -> Iterator[Entry]:
        handle = self._demand("directory", directory)
        with refusing():
            yield from islice(self._list(handle), MAX_ENTRIES)

    def _entered(self, directory: H, entry: Entry) -> Node:
        """The node of a directory entry; one that cannot be read has still a name, and is `other`."""
        try:
            return self._entry_node(directory, entry)
        except BudgetExhausted:
            raise
        except (ContentsError, StructureError):
            return Node("other", 0, None, None)

    def _entry_node(self, directory: H, entry: Entry) -> Node:
        """The node of a directory entry, raising `ContentsError` or `StructureError`."""
        return self._node(entry.inode)

    def _demand(self, kind: Kind, node: Node) -> H:
        """The handle of a node, which must be of this kind."""
        if node.kind != kind or node.handle is None:
            raise ContentsError(f"{self.kind}: a {kind} is needed here, this is a {node.kind}")
        handle: H = node.handle
        return handle


class InodeReader(NumberedReader[I]):
    """The same where the numbers are those of inodes, which are the handles."""

    immutable: ClassVar[int]
    """The flag of an inode that must not be changed."""

    @abstractmethod
    def _inode(self, number: int) -> I:
        """The inode of this number, raising `ContentsError` or `StructureError`."""

    def _read_node(self, number: int) -> Node:
        inode = self._inode(number)
        kind = KINDS.get(stat.S_IFMT(inode.mode), "other")
        return Node(kind, inode.size, stat.S_IMODE(inode.mode), inode, bool(inode.flags & self.immutable))
