"""Names in btrfs: directory entries, and the way back from a directory to its path.

Specification: btrfs on-disk format, sections Directory item, Inode reference and Root reference,
https://btrfs.readthedocs.io/en/latest/dev/On-disk-format.html
"""

from collections.abc import Iterator

import msgspec

from preflight.binary import crc32c, parse
from preflight.contents import ContentsError
from preflight.contents import _btrfs_layouts as layouts
from preflight.contents._btrfs_superblock import Root
from preflight.contents._btrfs_trees import Trees

MAX_DEPTH = 128  # directories above one another on the way to a subvolume
SPECIAL_NAMES = (b".", b"..")


class Entry(msgspec.Struct, frozen=True):
    """A name in a directory."""

    name: bytes
    location: layouts.Key
    """The INODE_ITEM in the same tree, or the ROOT_ITEM of the subvolume that begins here."""


def find(trees: Trees, root: Root, directory: int, name: bytes) -> Entry | None:
    """The entry of this name in the directory with this inode number, None where there is none."""
    if not 0 < len(name) <= layouts.MAX_NAME_LEN:
        return None
    key = (directory, layouts.DIR_ITEM_KEY, crc32c(name, layouts.NAME_HASH_INITIAL))
    item = trees.get(root, key)
    if item is None:
        return None
    return next((entry for entry in unpack(key, item) if entry.name == name), None)  # names may share a hash


def entries(trees: Trees, root: Root, directory: int) -> Iterator[Entry]:
    """All entries in the order they were made, and those that no honest directory has: `.` and `..`."""
    first, last = (directory, layouts.DIR_INDEX_KEY, 0), (directory, layouts.DIR_INDEX_KEY, layouts.MAX_U64)
    for key, item in trees.items(root, first, last):
        for entry in unpack(key, item):
            if b"/" in entry.name or b"\0" in entry.name:
                raise ContentsError(f"btrfs directory {directory}: the name {entry.name!r} has a slash or a NUL in it")
            yield entry


def unpack(key: layouts.Key, item: bytes) -> Iterator[Entry]:
    """The entries in a DIR_ITEM or DIR_INDEX, whose leaf has been verified; `ContentsError` where one has no name."""
    where = f"btrfs entry of directory {key[0]}"
    position = 0
    while position < len(item):
        end = position + layouts.DIR_ITEM_SIZE
        entry = parse(layouts.DIR_ITEM, item[position:end], where, position)
        if not entry.name_len:  # which Linux meets when it lists the directory
            raise ContentsError(f"{where}: name_len is 0")
        position = end + entry.name_len + entry.data_len
        location = (entry.location.objectid, entry.location.type, entry.location.offset)
        yield Entry(item[end : end + entry.name_len], location)


def unpack_root_ref(item: bytes) -> tuple[int, bytes]:
    """The directory and the name of a subvolume in its parent, by a ROOT_REF, whose leaf has been verified."""
    ref = parse(layouts.ROOT_REF, item[: layouts.ROOT_REF_SIZE], "btrfs ROOT_REF", 0)
    return ref.dirid, item[layouts.ROOT_REF_SIZE :]


def path_of(trees: Trees, root: Root, directory: int) -> tuple[bytes, ...]:
    """The names on the way from the top of a tree down to a directory of it.

    Raises `ContentsError` where the way does not end there.
    """
    names: list[bytes] = []
    while directory != root.root_dirid:
        first, last = (directory, layouts.INODE_REF_KEY, 0), (directory, layouts.INODE_REF_KEY, layouts.MAX_U64)
        key, item = next(trees.items(root, first, last), ((0, 0, 0), b""))
        if len(item) <= layouts.INODE_REF_SIZE or len(names) == MAX_DEPTH:
            raise ContentsError(f"btrfs directory {directory}: no way leads from the top of tree {root.objectid} to it")
        ref = parse(layouts.INODE_REF, item[: layouts.INODE_REF_SIZE], "btrfs INODE_REF", 0)
        names.append(item[layouts.INODE_REF_SIZE :][: ref.name_len])
        directory = key[2]
    return tuple(reversed(names))
