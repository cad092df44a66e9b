"""Files in ext2, ext3 and ext4, read by ourselves.

The libraries at hand do not do: libfsext (20260821) refuses fast_commit, mmp and others, gives wrong bytes for
inline_data, and cannot look up names beside one that is no UTF-8; The Sleuth Kit (pytsk3 20260715) takes what is left
of deleted entries in large directories for files.

Read are all features that Linux has, but not encrypted files and directories. The journal is not replayed: what a
file system that was not unmounted has only there is not seen.

Specification: Linux kernel documentation, ext4 Data Structures and Algorithms,
https://docs.kernel.org/filesystems/ext4/
"""

import stat
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice

from preflight.contents import MAX_ENTRIES, ContentsError, Kind, Node, Opener, _ext_blocks, _ext_directories
from preflight.contents import _ext_layouts as layouts
from preflight.contents._ext_filesystem import Filesystem, Inode
from preflight.errors import StructureError
from preflight.source import BlockSource

MAX_TARGET = 4095  # Linux: PATH_MAX, with the NUL at its end
KINDS: dict[int, Kind] = {stat.S_IFREG: "file", stat.S_IFDIR: "directory", stat.S_IFLNK: "symlink"}


class ExtReader:
    """The files of one file system: a `FileReader`. The handle of a node is its `Inode`."""

    def __init__(self, source: BlockSource) -> None:
        """Read the superblock; `ContentsError` where it is damaged or has features that are not read."""
        with _refusing():
            self._filesystem = Filesystem(source)
        self._top: Node | None = None

    @property
    def root(self) -> Node:
        """See `FileReader.root`."""
        if self._top is None:
            with _refusing():
                top = _node(self._filesystem.inode(layouts.EXT4_ROOT_INO))
            if top.kind != "directory":
                raise ContentsError(f"ext inode {layouts.EXT4_ROOT_INO}: the root is no directory")
            self._top = top
        return self._top

    def lookup(self, directory: Node, name: str) -> Node | None:
        """See `FileReader.lookup`."""
        inode = _inode(directory, "directory")
        try:
            encoded = name.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError:  # a surrogate that stands for no byte
            return None
        with _refusing():
            number = _ext_directories.find(self._filesystem, inode, encoded)
            return None if number is None else _node(self._filesystem.inode(number))

    def entries(self, directory: Node) -> Iterator[tuple[str, Node]]:
        """See `FileReader.entries`."""
        inode = _inode(directory, "directory")
        with _refusing():
            found = list(islice(_ext_directories.entries(self._filesystem, inode), MAX_ENTRIES))
        # An index by hashes has mixed the names; in the order of their inodes each page is read once.
        nodes = {number: self._entered(number) for number in sorted({entry.inode for entry in found})}
        for entry in found:
            yield entry.name.decode("utf-8", "surrogateescape"), nodes[entry.inode]

    def _entered(self, number: int) -> Node:
        """The node of a directory entry; one whose inode cannot be read has still a name, and is `other`."""
        try:
            return _node(self._filesystem.inode(number))
        except (ContentsError, StructureError):
            return Node("other", 0, None, None)

    def read(self, node: Node, offset: int, size: int) -> bytes:
        """See `FileReader.read`."""
        inode = _inode(node, "file")
        size = min(size, inode.size - offset)
        if offset < 0 or size <= 0:
            return b""
        with _refusing():
            return _ext_blocks.read(self._filesystem, inode, offset, size)

    def target(self, link: Node) -> str:
        """See `FileReader.target`."""
        inode = _inode(link, "symlink")
        if inode.size > MAX_TARGET:
            raise ContentsError(f"{inode.where}: the target has {inode.size} bytes, at most {MAX_TARGET} are read")
        # Linux: ext4_inode_is_fast_symlink
        is_fast = inode.size < layouts.I_BLOCK_SIZE and not inode.flags & _ext_blocks.UNREAD
        with _refusing():
            if is_fast and not inode.flags & layouts.EXT4_INLINE_DATA_FL:
                target = inode.i_block[: inode.size]
            else:
                target = _ext_blocks.read(self._filesystem, inode, 0, inode.size)
        return target.partition(b"\0")[0].decode("utf-8", "surrogateescape")


def _node(inode: Inode) -> Node:
    kind = KINDS.get(stat.S_IFMT(inode.mode), "other")
    return Node(kind, inode.size, stat.S_IMODE(inode.mode), inode, bool(inode.flags & layouts.EXT4_IMMUTABLE_FL))


def _inode(node: Node, kind: Kind) -> Inode:
    if node.kind != kind or not isinstance(node.handle, Inode):
        raise ContentsError(f"ext: a {kind} is needed here, this is a {node.kind}")
    return node.handle


@contextmanager
def _refusing() -> Iterator[None]:
    """Bytes that could not be read, as `ContentsError`."""
    try:
        yield
    except StructureError as error:
        raise ContentsError(str(error)) from error


CONTENTS = Opener(open=ExtReader)
