"""What the readers of ext and XFS share."""

from collections.abc import Iterator

import pytest

from preflight.contents import MAX_ENTRIES, ContentsError, Node
from preflight.contents._ext_filesystem import Inode
from preflight.contents._inodes import Entry, InodeReader
from preflight.errors import BudgetExhausted, OutOfBounds

DIRECTORY, FILE = 0o40755, 0o100644


class Reader(InodeReader[Inode]):
    """Inode 2 is the root, 5 and 6 cannot be read."""

    kind = "test"
    immutable = 0x10

    def __init__(self, names: dict[bytes, int], root: int = 2) -> None:
        super().__init__(root)
        self._names = names
        self.inodes: list[int] = []

    def _inode(self, number: int) -> Inode:
        self.inodes.append(number)
        if number == 5:
            raise OutOfBounds("the disk", 0, "too short")
        if number == 6:
            raise BudgetExhausted("the file", 0, "too many reads")
        return Inode(number, DIRECTORY if number < 3 else FILE, number, 0x10 if number == 4 else 0, b"")

    def _list(self, directory: Inode) -> Iterator[Entry]:
        for name, number in self._names.items():
            yield Entry(number, name)

    def _find(self, directory: Inode, name: bytes) -> int | None:
        return self._names.get(name)

    def read(self, node: Node, offset: int, size: int) -> bytes:
        raise NotImplementedError

    def target(self, link: Node) -> str:
        raise NotImplementedError


def test_names_are_listed_and_no_inode_is_read() -> None:
    reader = Reader({b"b": 3, b"\xff": 6})
    top = reader.root
    reader.inodes.clear()
    assert list(reader.names(top)) == ["b", "\udcff"]
    assert reader.inodes == []


def test_each_inode_is_read_once_and_in_order() -> None:
    reader = Reader({b"z": 9, b"a": 3, b"b": 9, b"c": 4})
    assert [(name, node.size) for name, node in reader.entries(reader.root)] == [("z", 9), ("a", 3), ("b", 9), ("c", 4)]
    assert reader.lookup(reader.root, "z") == reader.lookup(reader.root, "b")
    assert reader.inodes == [2, 3, 4, 9]
    assert [node.immutable for _, node in reader.entries(reader.root)] == [False, False, False, True]


def test_an_inode_that_cannot_be_read_is_listed_and_not_found() -> None:
    reader = Reader({b"a": 3, b"b": 5})
    assert [(name, node.kind) for name, node in reader.entries(reader.root)] == [("a", "file"), ("b", "other")]
    with pytest.raises(ContentsError, match="the disk at byte 0x0: too short"):
        reader.lookup(reader.root, "b")


def test_an_exhausted_budget_is_told_and_no_kind_of_file() -> None:
    reader = Reader({b"a": 3, b"b": 6})
    with pytest.raises(ContentsError, match="too many reads") as caught:
        list(reader.entries(reader.root))
    assert isinstance(caught.value.__cause__, BudgetExhausted)
    assert list(reader.names(reader.root)) == ["a", "b"]


def test_no_more_names_are_listed_than_are_allowed() -> None:
    reader = Reader({b"%d" % number: 3 for number in range(MAX_ENTRIES + 1)})
    assert len(list(reader.names(reader.root))) == MAX_ENTRIES
    assert len(list(reader.entries(reader.root))) == MAX_ENTRIES


def test_a_root_that_is_a_file_is_refused() -> None:
    with pytest.raises(ContentsError, match="test: the root is no directory"):
        _ = Reader({}, root=3).root


def test_a_name_that_stands_for_no_bytes_is_not_found() -> None:
    reader = Reader({b"a": 3})
    assert reader.lookup(reader.root, "\ud800") is None
    with pytest.raises(ContentsError, match="test: a directory is needed here, this is a file"):
        reader.lookup(Node("file", 0, None, None), "a")
