"""Files in XFS, versions 4 and 5, read by ourselves.

libfsxfs (20260901) does not do: it refuses files in some thousand pieces, links that have a block of their own in
version 5, and names that are no UTF-8.

Read are all features of Linux but zoned devices. What lies on a realtime device is not read, and told so. The journal
is not replayed: what a file system that was not unmounted has only there is not seen.

Specification: XFS Algorithms & Data Structures, 3rd edition,
https://mirrors.edge.kernel.org/pub/linux/utils/fs/xfs/docs/xfs_filesystem_structure.pdf
"""

from collections.abc import Iterator

from preflight.binary import parse
from preflight.contents import ContentsError, Node, Opener, _xfs_blocks, _xfs_directories, refusing
from preflight.contents import _xfs_layouts as layouts
from preflight.contents._inodes import Entry, InodeReader, decode
from preflight.contents._xfs_filesystem import Filesystem, Inode
from preflight.source import BlockSource


class XfsReader(InodeReader[Inode]):
    """The files of one file system: a `FileReader`."""

    kind = "xfs"
    immutable = layouts.XFS_DIFLAG_IMMUTABLE

    def __init__(self, source: BlockSource) -> None:
        """Read the superblock; `ContentsError` where it is damaged or has features that are not read."""
        with refusing():
            self._filesystem = Filesystem(source)
        super().__init__(self._filesystem.root)

    def _inode(self, number: int) -> Inode:
        return self._filesystem.inode(number)

    def _is_settled(self) -> bool:
        with refusing():
            return self._filesystem.has_clean_log()

    def _list(self, directory: Inode) -> Iterator[Entry]:
        return _xfs_directories.entries(self._filesystem, directory)

    def _find(self, directory: Inode, name: bytes) -> int | None:
        return _xfs_directories.find(self._filesystem, directory, name)

    def read(self, node: Node, offset: int, size: int) -> bytes:
        """See `FileReader.read`."""
        inode = self._demand("file", node)
        size = min(size, inode.size - offset)
        if offset < 0 or size <= 0:
            return b""
        if inode.flags & layouts.XFS_DIFLAG_REALTIME:
            raise ContentsError(f"{inode.where}: its data are on a realtime device, which is not read")
        with refusing():
            return _xfs_blocks.read(self._filesystem, inode, offset, size)

    def target(self, link: Node) -> str:
        """See `FileReader.target`."""
        inode = self._demand("symlink", link)
        if inode.size > layouts.XFS_SYMLINK_MAXLEN:
            raise ContentsError(
                f"{inode.where}: the target has {inode.size} bytes, allowed are {layouts.XFS_SYMLINK_MAXLEN}"
            )
        if inode.format == layouts.XFS_DINODE_FMT_LOCAL:
            target = inode.fork[: inode.size]
        else:
            with refusing():
                target = b"".join(_remote_target(self._filesystem, inode))
        return decode(target.partition(b"\0")[0])


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


CONTENTS = Opener(open=XfsReader)
