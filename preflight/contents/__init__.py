"""Files inside file systems: what reads them, one module per file system, and the tree that resolves paths.

No ready-made library is fit (the modules say why), so all are read here, in a child process all the same, see
`preflight.containment`. A plugin is a module that ends in `CONTENTS`, an `Opener`.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal, Protocol

import msgspec

from preflight.errors import PreflightError, StructureError
from preflight.source import BlockSource

OPENERS = {
    "ext2": "ext",
    "ext3": "ext",
    "ext4": "ext",
    "xfs": "xfs",
    "btrfs": "btrfs",
    "ntfs": "ntfs",
    "vfat": "fat",
}
"""Which module of this package reads the files of a file system, by `FileSystem.type`."""

Kind = Literal["file", "directory", "symlink", "other"]


class ContentsError(PreflightError):
    """A file system whose contents, or a file that, could not be read; the text says which and why."""


class NotRead(ContentsError):
    """What is sound as far as was seen, and is of a kind that is not read here, or lies elsewhere."""


@contextmanager
def refusing() -> Iterator[None]:
    """Bytes that could not be read, as `ContentsError`."""
    try:
        yield
    except StructureError as error:
        raise ContentsError(str(error)) from error


@contextmanager
def naming(name: str) -> Iterator[None]:
    """The same, naming the entry of a directory that could not be read; what is not read here is passed over."""
    try:
        with refusing():
            yield
    except NotRead:
        return
    except ContentsError as error:
        raise ContentsError(f"the entry {name!r} cannot be listed: {error}") from error.__cause__


class Node(msgspec.Struct, frozen=True):
    """A file, directory, link or special file."""

    kind: Kind
    size: int
    """In bytes; of a symlink, the length of its target."""
    mode: int | None
    """Permission bits, as in `stat.S_IMODE`; None where the file system has none."""
    handle: Any
    """The reader's own; nothing else looks at it."""
    immutable: bool | None = None
    """Whether it has the immutable attribute (chattr +i); None where the reader does not tell."""


class FileReader(Protocol):
    """The files of one file system. Every method raises `ContentsError`, and nothing else for what the disk holds."""

    @property
    def root(self) -> Node:
        """The topmost directory."""

    def lookup(self, directory: Node, name: str) -> Node | None:
        """The entry of this name, None where there is none. NTFS and FAT compare without case.

        Names are text; bytes that are no UTF-8 are surrogate escapes, as in `os.fsdecode`.
        """

    def entries(self, directory: Node) -> Iterator[tuple[str, Node]]:
        """All entries but `.` and `..`, in the order of the disk, at most `MAX_ENTRIES`."""

    def names(self, directory: Node) -> Iterator[str]:
        """The names alone of all `entries`, for which no more is read than the directory itself."""

    def listed(self, directory: Node) -> Iterator[str]:
        """The names of `entries`, each after all was read that a listing with types, sizes and targets needs of it.

        They come in the order in which that takes the fewest reads. Raises `ContentsError` for the first entry of
        which that cannot be read; where a journal waits to be replayed, which may put it right, there are no more.
        """

    def read(self, node: Node, offset: int, size: int) -> bytes:
        """Bytes of a regular file: fewer than `size` only at its end, holes as zeros."""

    def target(self, link: Node) -> str:
        """Where a symlink points, at most 4095 bytes."""


MAX_ENTRIES = 65_536  # of one directory: /usr/lib on a large server has some thousands


class Damage(msgspec.Struct, frozen=True):
    """Why a file system is not mounted, or not read."""

    reason: str
    where: str = "file system"
    """The structure."""
    offset: int | None = None
    """Its byte, in the file system."""


class Unmountable(ContentsError):
    """What Linux does not mount, at the byte that is wrong."""

    def __init__(self, damage: Damage) -> None:
        """Tell this damage."""
        self.damage = damage
        super().__init__(f"{damage.where}: {damage.reason}")


class Opener(msgspec.Struct, frozen=True):
    """What opens the contents of a kind of file system."""

    open: Callable[[BlockSource], FileReader]
    """The files on this partition or volume; `ContentsError` where they cannot be read."""
    subvolumes: Callable[[BlockSource], tuple[tuple[str, FileReader], ...]] | None = None
    """btrfs: all subvolumes that may be a root, with their paths, the default one first; None for others."""
    verify_mount: Callable[[Any], None] | None = None
    """btrfs, ext: reads what Linux does at a mount beyond the files, given what `open` returned; `ContentsError` where
    it would not mount. None for others."""
