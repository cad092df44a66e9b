"""What the readers share whose directories name inodes by number, as ext and XFS do."""

import stat
from abc import ABC, abstractmethod
from collections.abc import Iterator
from functools import lru_cache
from itertools import islice
from typing import ClassVar, Generic, NamedTuple, Protocol, TypeVar

from preflight.contents import MAX_ENTRIES, ContentsError, Kind, Node, refusing
from preflight.errors import BudgetExhausted, StructureError

KINDS: dict[int, Kind] = {stat.S_IFREG: "file", stat.S_IFDIR: "directory", stat.S_IFLNK: "symlink"}
INODES_KEPT = 1024  # of 200 to 2300 bytes; reading what a guest is known by takes some hundred


class Entry(NamedTuple):
    """A name in a directory."""

    inode: int
    name: bytes


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


class InodeReader(ABC, Generic[I]):
    """The files of one file system: a `FileReader` but for `read` and `target`. The handle of a node is its inode."""

    kind: ClassVar[str]
    """Of file system, for errors."""
    immutable: ClassVar[int]
    """The flag of an inode that must not be changed."""

    def __init__(self, root: int) -> None:
        """`root`: the number of the topmost directory's inode."""
        self._root = root
        self._node = lru_cache(INODES_KEPT)(self._read_node)

    @abstractmethod
    def _inode(self, number: int) -> I:
        """The inode of this number, raising `ContentsError` or `StructureError`."""

    @abstractmethod
    def _list(self, directory: I) -> Iterator[Entry]:
        """All entries but `.` and `..`, raising the same."""

    @abstractmethod
    def _find(self, directory: I, name: bytes) -> int | None:
        """The inode of the entry of this name, None where there is none; raising the same."""

    @property
    def root(self) -> Node:
        """See `FileReader.root`."""
        with refusing():
            top = self._node(self._root)
        if top.kind != "directory":
            raise ContentsError(f"{self.kind} inode {self._root}: the root is no directory")
        return top

    def lookup(self, directory: Node, name: str) -> Node | None:
        """See `FileReader.lookup`."""
        inode = self._demand("directory", directory)
        encoded = encode(name)
        if encoded is None:
            return None
        with refusing():
            number = self._find(inode, encoded)
            return None if number is None else self._node(number)

    def entries(self, directory: Node) -> Iterator[tuple[str, Node]]:
        """See `FileReader.entries`."""
        found = list(self._entries(directory))
        # An index by hashes has mixed the names; in the order of their inodes each page is read once.
        with refusing():
            nodes = {number: self._entered(number) for number in sorted({entry.inode for entry in found})}
        for entry in found:
            yield decode(entry.name), nodes[entry.inode]

    def names(self, directory: Node) -> Iterator[str]:
        """See `FileReader.names`."""
        for entry in self._entries(directory):
            yield decode(entry.name)

    def _entries(self, directory: Node) -> Iterator[Entry]:
        inode = self._demand("directory", directory)
        with refusing():
            yield from islice(self._list(inode), MAX_ENTRIES)

    def _entered(self, number: int) -> Node:
        """The node of a directory entry; one whose inode cannot be read has still a name, and is `other`."""
        try:
            return self._node(number)
        except BudgetExhausted:
            raise
        except (ContentsError, StructureError):
            return Node("other", 0, None, None)

    def _read_node(self, number: int) -> Node:
        inode = self._inode(number)
        kind = KINDS.get(stat.S_IFMT(inode.mode), "other")
        return Node(kind, inode.size, stat.S_IMODE(inode.mode), inode, bool(inode.flags & self.immutable))

    def _demand(self, kind: Kind, node: Node) -> I:
        """The inode of a node, which must be of this kind."""
        if node.kind != kind or node.handle is None:
            raise ContentsError(f"{self.kind}: a {kind} is needed here, this is a {node.kind}")
        inode: I = node.handle
        return inode
