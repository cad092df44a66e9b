"""Files in btrfs, read by ourselves: no library is fit for it.

Read are all layouts of one device, all three compressions, and what several devices mirror onto this one. Not read
are parity (RAID5, RAID6), extent tree v2, the RAID stripe tree and encryption; a log tree that the next mount would
replay is left aside, so that a file may be some seconds older than its last fsync.

Specification: btrfs on-disk format, https://btrfs.readthedocs.io/en/latest/dev/On-disk-format.html
"""

import stat
from collections.abc import Iterator
from itertools import islice
from typing import Any, NamedTuple

from preflight.binary import parse
from preflight.contents import MAX_ENTRIES, ContentsError, Kind, Node, Opener, naming, refusing
from preflight.contents import _btrfs_directories as directories
from preflight.contents import _btrfs_layouts as layouts
from preflight.contents import _btrfs_mount as mount
from preflight.contents._btrfs_filesystem import Btrfs
from preflight.contents._btrfs_superblock import Root
from preflight.contents._inodes import KINDS, decode, encode
from preflight.source import BlockSource

MAX_TARGET = 4095  # Linux: PATH_MAX, with the NUL at its end


class Inode(NamedTuple):
    """The handle of a `Node`."""

    root: Root
    number: int
    """EMPTY_SUBVOL_DIR_OBJECTID where a subvolume was in the original of a snapshot."""


class SubvolumeReader:
    """The files of one subvolume, and of those below it: a `FileReader`."""

    def __init__(self, filesystem: Btrfs, objectid: int) -> None:
        self.filesystem = filesystem
        self._trees = filesystem.trees
        self._subvolumes = filesystem.subvolumes
        self._extents = filesystem.extents
        self._objectid = objectid
        self._top: Node | None = None

    @property
    def root(self) -> Node:
        """See `FileReader.root`."""
        if self._top is None:
            with refusing():
                root = self._subvolumes.root(self._objectid)
                if root is None:
                    raise ContentsError(f"btrfs: there is no subvolume {self._objectid}")
                top = self._node(root, root.root_dirid)
                if top.kind != "directory":
                    raise ContentsError(f"btrfs subvolume {self._objectid}: its top is no directory")
                self._top = top
        return self._top

    def lookup(self, directory: Node, name: str) -> Node | None:
        """See `FileReader.lookup`."""
        root, number = _handle(directory, "directory")
        encoded = encode(name)
        if encoded is None or encoded in directories.SPECIAL_NAMES:
            return None
        with refusing():
            entry = directories.find(self._trees, root, number, encoded)
            return None if entry is None else self._enter(root, number, entry)

    def entries(self, directory: Node) -> Iterator[tuple[str, Node]]:
        """See `FileReader.entries`."""
        root, number = _handle(directory, "directory")
        for entry in self._entries(root, number):
            with refusing():
                node = self._enter(root, number, entry)
            yield decode(entry.name), node

    def names(self, directory: Node) -> Iterator[str]:
        """See `FileReader.names`."""
        for entry in self._entries(*_handle(directory, "directory")):
            yield decode(entry.name)

    def listed(self, directory: Node) -> Iterator[str]:
        """See `FileReader.listed`."""
        root, number = _handle(directory, "directory")
        for entry in sorted(self._entries(root, number), key=lambda entry: entry.location):
            name = decode(entry.name)
            with naming(name):
                node = self._enter(root, number, entry)
                if node.kind == "symlink":
                    self.target(node)
            yield name

    def _entries(self, root: Root, number: int) -> Iterator[directories.Entry]:
        """What is in a directory, but `.` and `..`."""
        with refusing():
            for entry in islice(directories.entries(self._trees, root, number), MAX_ENTRIES):
                if entry.name not in directories.SPECIAL_NAMES:
                    yield entry

    def read(self, node: Node, offset: int, size: int) -> bytes:
        """See `FileReader.read`."""
        root, number = _handle(node, "file")
        size = min(size, node.size - offset)
        if offset < 0 or size <= 0:
            return b""
        with refusing():
            return self._extents.read(root, number, offset, size)

    def target(self, link: Node) -> str:
        """See `FileReader.target`."""
        root, number = _handle(link, "symlink")
        if link.size > MAX_TARGET:
            raise ContentsError(f"btrfs inode {number}: a symlink of {link.size} bytes, at most {MAX_TARGET} are read")
        with refusing():
            target = self._extents.read(root, number, 0, link.size)
        return decode(target.partition(b"\0")[0])

    def _enter(self, root: Root, directory: int, entry: directories.Entry) -> Node:
        """What an entry of a directory stands for."""
        objectid, kind, _ = entry.location
        if kind == layouts.INODE_ITEM_KEY:
            return self._node(root, objectid)
        if kind != layouts.ROOT_ITEM_KEY:
            raise ContentsError(
                f"btrfs directory {directory}: the entry {entry.name!r} leads to an item of type {kind}"
            )
        subvolume = self._subvolumes.root(objectid)
        if subvolume is None or not self._subvolumes.holds(root, objectid, directory, entry.name):
            return Node("directory", 0, 0o755, Inode(root, layouts.EMPTY_SUBVOL_DIR_OBJECTID))
        return self._node(subvolume, subvolume.root_dirid)

    def _node(self, root: Root, number: int) -> Node:
        where = f"btrfs inode {number} of tree {root.objectid}"
        item = self._trees.get(root, (number, layouts.INODE_ITEM_KEY, 0))
        if item is None:
            raise ContentsError(f"{where}: it has no INODE_ITEM")
        inode: Any = parse(layouts.INODE_ITEM, item, where, 0)
        kind = KINDS.get(stat.S_IFMT(inode.mode), "other")
        immutable = bool(inode.flags & layouts.INODE_IMMUTABLE)
        return Node(kind, inode.size, stat.S_IMODE(inode.mode), Inode(root, number), immutable)


def _handle(node: Node, kind: Kind) -> Inode:
    if node.kind != kind:
        raise ContentsError(f"btrfs: this is a {node.kind}, expected is a {kind}")
    handle: Inode = node.handle
    return handle


def _open(source: BlockSource) -> SubvolumeReader:
    """The default subvolume."""
    with refusing():
        filesystem = Btrfs(source)
        return SubvolumeReader(filesystem, filesystem.subvolumes.default())


def _open_subvolumes(source: BlockSource) -> tuple[tuple[str, SubvolumeReader], ...]:
    """All subvolumes by their paths from the topmost one, which is `""`; after the default one as they were made."""
    with refusing():
        filesystem = Btrfs(source)
        default = filesystem.subvolumes.default()
        paths = {default: b"subvolid=%d" % default} | filesystem.subvolumes.paths()
    numbers = [default, *sorted(paths.keys() - {default})]
    return tuple((decode(paths[number]), SubvolumeReader(filesystem, number)) for number in numbers)


def _verify_mount(reader: SubvolumeReader) -> None:
    with refusing():
        mount.verify(reader.filesystem)


CONTENTS = Opener(open=_open, subvolumes=_open_subvolumes, verify_mount=_verify_mount)
