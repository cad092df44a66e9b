"""The subvolumes of btrfs: where their trees are, which one is mounted by default, and their paths.

Specification: btrfs on-disk format, sections Root item and Root reference,
https://btrfs.readthedocs.io/en/latest/dev/On-disk-format.html
"""

from typing import Any

from preflight.binary import parse
from preflight.contents import ContentsError
from preflight.contents import _btrfs_directories as directories
from preflight.contents import _btrfs_layouts as layouts
from preflight.contents._btrfs_superblock import Filesystem, Root
from preflight.contents._btrfs_trees import Trees

MAX_SUBVOLUMES = 4096  # snapper keeps some dozens of snapshots, container engines make hundreds of layers
DEFAULT = b"default"


class Subvolumes:
    """The trees of files in one file system."""

    def __init__(self, trees: Trees, filesystem: Filesystem) -> None:
        self._trees = trees
        self._root_tree = filesystem.root_tree
        self._root_dir_objectid = filesystem.root_dir_objectid
        self._roots: dict[int, Root | None] = {}

    def default(self) -> int:
        """Objectid of the subvolume that a mount without `subvol=` shows."""
        entry = directories.find(self._trees, self._root_tree, self._root_dir_objectid, DEFAULT)
        return layouts.FS_TREE_OBJECTID if entry is None else entry.location[0]

    def root(self, objectid: int) -> Root | None:
        """The tree of a subvolume, None where there is none or it has been deleted."""
        if objectid not in self._roots:
            self._roots[objectid] = self._read_root(objectid)
        return self._roots[objectid]

    def _read_root(self, objectid: int) -> Root | None:
        item = self._last_item(objectid)
        return None if item is None or not _fields(objectid, item).refs else root_of(objectid, item)

    def tree(self, objectid: int, *, at_any_offset: bool = False) -> Root | None:
        """A tree of the file system's own, whose ROOT_ITEM has the offset 0 where others do not count.

        None where there is none.
        """
        exact = (objectid, layouts.ROOT_ITEM_KEY, 0)
        item = self._last_item(objectid) if at_any_offset else self._trees.get(self._root_tree, exact)
        return None if item is None else root_of(objectid, item)

    def _last_item(self, objectid: int) -> bytes | None:
        found = self._trees.floor(self._root_tree, (objectid, layouts.ROOT_ITEM_KEY, layouts.MAX_U64))
        return found[1] if found and found[0][:2] == (objectid, layouts.ROOT_ITEM_KEY) else None

    def holds(self, parent: Root, child: int, directory: int, name: bytes) -> bool:
        """Whether subvolume `child` begins at this name in `parent`.

        A snapshot has the names of the subvolumes in the original, but these stay where they are: Linux shows an
        empty directory there.
        """
        item = self._trees.get(self._root_tree, (parent.objectid, layouts.ROOT_REF_KEY, child))
        return item is not None and directories.unpack_root_ref(item) == (directory, name)

    def paths(self) -> dict[int, bytes]:
        """The topmost subvolume and all below it, by objectid: each with its path, as `@/.snapshots/1/snapshot`.

        The path of the topmost one is empty. Where one cannot be read, it is how to mount it: `subvolid=257`.
        """
        paths = {layouts.FS_TREE_OBJECTID: b""}
        waiting = [layouts.FS_TREE_OBJECTID]
        while waiting:
            parent = waiting.pop(0)
            last = (parent, layouts.ROOT_REF_KEY, layouts.MAX_U64)
            for key, item in self._trees.items(self._root_tree, (parent, layouts.ROOT_REF_KEY, 0), last):
                child = key[2]
                if child in paths or self.root(child) is None:
                    continue
                if len(paths) == MAX_SUBVOLUMES:
                    return paths
                paths[child] = self._path(parent, paths[parent], item) or b"subvolid=%d" % child
                waiting.append(child)
        return paths

    def _path(self, parent: int, parent_path: bytes, root_ref: bytes) -> bytes | None:
        directory, name = directories.unpack_root_ref(root_ref)
        root = self.root(parent)
        if root is None:
            return None
        try:
            names = directories.path_of(self._trees, root, directory)
        except ContentsError:
            return None
        return b"/".join((*((parent_path,) if parent_path else ()), *names, name))


def root_of(objectid: int, item: bytes) -> Root:
    """The tree of a ROOT_ITEM."""
    fields = _fields(objectid, item)
    return Root(objectid, fields.bytenr, fields.level, fields.generation, fields.root_dirid)


def _fields(objectid: int, item: bytes) -> Any:
    return parse(layouts.ROOT_ITEM, item[: layouts.ROOT_ITEM_SIZE], f"btrfs ROOT_ITEM of tree {objectid}", 0)
