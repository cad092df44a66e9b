"""Files in XFS, versions 4 and 5, read by ourselves.

libfsxfs (20260901) does not do: it refuses files in some thousand pieces, links that have a block of their own in
version 5, and names that are no UTF-8.

Read are all features of Linux but zoned devices. What lies on a realtime device is not read, and told so. The journal
is not replayed: what a file system that was not unmounted has only there is not seen.

Specification: XFS Algorithms & Data Structures, 3rd edition,
https://mirrors.edge.kernel.org/pub/linux/utils/fs/xfs/docs/xfs_filesystem_structure.pdf
"""

import stat
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice

from preflight.binary import parse
from preflight.contents import MAX_ENTRIES, ContentsError, Kind, Node, Opener, _xfs_blocks, _xfs_directories
from preflight.contents import _xfs_layouts as layouts
from preflight.contents._xfs_filesystem import Filesystem, Inode
from preflight.errors import StructureError
from preflight.source import BlockSource

KINDS: dict[int, Kind] = {stat.S_IFREG: "file", stat.S_IFDIR: "directory", stat.S_IFLNK: "symlink"}


class XfsReader:
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
                top = _node(self._filesystem.inode(self._filesystem.root))
            if top.kind != "directory":
                raise ContentsError(f"xfs inode {self._filesystem.root}: the root is no directory")
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
            number = _xfs_directories.find(self._filesystem, inode, encoded)
            return None if number is None else _node(self._filesystem.inode(number))

    def entries(self, directory: Node) -> Iterator[tuple[str, Node]]:
        """See `FileReader.entries`."""
        inode = _inode(directory, "directory")
        with _refusing():
            found = list(islice(_xfs_directories.entries(self._filesystem, inode), MAX_ENTRIES))
        # In the order of their inodes each page is read once.
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
        if inode.flags & layouts.XFS_DIFLAG_REALTIME:
            raise ContentsError(f"{inode.where}: its data are on a realtime device, which is not read")
        with _refusing():
            return _xfs_blocks.read(self._filesystem, inode, offset, size)

    def target(self, link: Node) -> str:
        """See `FileReader.target`."""
        inode = _inode(link, "symlink")
        if inode.size > layouts.XFS_SYMLINK_MAXLEN:
            raise ContentsError(
                f"{inode.where}: the target has {inode.size} bytes, allowed are {layouts.XFS_SYMLINK_MAXLEN}"
            )
        if inode.format == layouts.XFS_DINODE_FMT_LOCAL:
            target = inode.fork[: inode.size]
        else:
            with _refusing():
                target = b"".join(_remote_target(self._filesystem, inode))
        return target.partition(b"\0")[0].decode("utf-8", "surrogateescape")


def _remote_target(filesystem: Filesystem, inode: Inode) -> Iterator[bytes]:
    """The target of a link that has blocks: in version 5 each run of them has a header."""
    if not filesystem.is_sealed:
        yield _xfs_blocks.read(filesystem, inode, 0, inode.size)
        return
    done = 0
    first = 0
    while done < inode.size:
        blocks = -(-(inode.size - done + layouts.DSYMLINK_SIZE) // filesystem.block_size)
        run = next(_xfs_blocks.runs(filesystem, inode, first, blocks))
        data = _xfs_blocks.read(filesystem, inode, first * filesystem.block_size, run.length * filesystem.block_size)
        header = parse(layouts.DSYMLINK, data[: layouts.DSYMLINK_SIZE], inode.where, 0)
        part = data[layouts.DSYMLINK_SIZE :][: inode.size - done]
        if (header.sl_magic, header.sl_offset, header.sl_bytes) != (layouts.XFS_SYMLINK_MAGIC, done, len(part)):
            raise ContentsError(f"{inode.where}: the header of its target does not fit to byte {done} of {inode.size}")
        filesystem.verify(data, layouts.DSYMLINK_SEAL, inode.number, f"{inode.where}, target")
        yield part
        done += len(part)
        first += run.length


def _node(inode: Inode) -> Node:
    kind = KINDS.get(stat.S_IFMT(inode.mode), "other")
    return Node(kind, inode.size, stat.S_IMODE(inode.mode), inode, bool(inode.flags & layouts.XFS_DIFLAG_IMMUTABLE))


def _inode(node: Node, kind: Kind) -> Inode:
    if node.kind != kind or not isinstance(node.handle, Inode):
        raise ContentsError(f"xfs: a {kind} is needed here, this is a {node.kind}")
    return node.handle


@contextmanager
def _refusing() -> Iterator[None]:
    """Bytes that could not be read, as `ContentsError`."""
    try:
        yield
    except StructureError as error:
        raise ContentsError(str(error)) from error


CONTENTS = Opener(open=XfsReader)
