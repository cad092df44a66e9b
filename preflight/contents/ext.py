"""Files in ext2, ext3 and ext4, read by ourselves.

The libraries at hand do not do: libfsext (20260821) refuses fast_commit, mmp and others, gives wrong bytes for
inline_data, and cannot look up names beside one that is no UTF-8; The Sleuth Kit (pytsk3 20260715) takes what is left
of deleted entries in large directories for files.

Read are all features that Linux has, but not encrypted files and directories. What Linux refuses to read is refused,
and all checksums on the way to bytes are verified. A file system that was not unmounted is read as it is once its
journal has been replayed.

Specification: Linux kernel documentation, ext4 Data Structures and Algorithms,
https://docs.kernel.org/filesystems/ext4/
"""

from collections.abc import Iterator

from preflight.contents import (
    ContentsError,
    Node,
    Opener,
    Unmountable,
    _ext_attributes,
    _ext_blocks,
    _ext_directories,
    _ext_inodes,
    refusing,
)
from preflight.contents import _ext_layouts as layouts
from preflight.contents._ext_filesystem import Inode
from preflight.contents._ext_journal import open_replayed
from preflight.contents._inodes import Entry, InodeReader, decode
from preflight.source import BlockSource

MAX_TARGET = 4095  # Linux: PATH_MAX, with the NUL at its end


class ExtReader(InodeReader[Inode]):
    """The files of one file system: a `FileReader`."""

    kind = "ext"
    immutable = layouts.EXT4_IMMUTABLE_FL

    def __init__(self, source: BlockSource) -> None:
        """Read the superblock; `ContentsError` where it is damaged or has features that are not read."""
        with refusing():
            self._filesystem, self.journal = open_replayed(source)
        super().__init__(layouts.EXT4_ROOT_INO)

    def _inode(self, number: int) -> Inode:
        return _ext_inodes.read(self._filesystem, number)

    def _list(self, directory: Inode) -> Iterator[Entry]:
        return _ext_directories.entries(self._filesystem, directory)

    def _find(self, directory: Inode, name: bytes) -> int | None:
        number = _ext_directories.find(self._filesystem, directory, name)
        if number is not None:
            self._check_entry(directory, number)
        return number

    def _entry_node(self, directory: Inode, entry: Entry) -> Node:
        self._check_entry(directory, entry.inode)
        return super()._entry_node(directory, entry)

    def _look_at(self, directory: Inode, entry: Entry) -> None:
        super()._look_at(directory, entry)
        # What lists permissions asks for access control lists, which are attributes.
        _ext_attributes.check_block(self._filesystem, self._entry_node(directory, entry).handle)

    def _is_settled(self) -> bool:
        return self.journal.is_replayed

    def _check_entry(self, directory: Inode, number: int) -> None:
        """Linux: ext4_lookup."""
        if number == directory.number or not self._filesystem.may_be_named(number):
            raise ContentsError(f"{directory.where}: an entry leads to inode {number}, which no name may have")

    def read(self, node: Node, offset: int, size: int) -> bytes:
        """See `FileReader.read`."""
        inode = self._demand("file", node)
        size = min(size, inode.size - offset)
        if offset < 0 or size <= 0:
            return b""
        with refusing():
            return _ext_blocks.read(self._filesystem, inode, offset, size)

    def target(self, link: Node) -> str:
        """See `FileReader.target`."""
        inode = self._demand("symlink", link)
        if inode.size > MAX_TARGET:
            raise ContentsError(f"{inode.where}: the target has {inode.size} bytes, at most {MAX_TARGET} are read")
        if inode.is_fast_symlink and not inode.flags & layouts.EXT4_ENCRYPT_FL:
            target = inode.i_block[: inode.size]
        else:
            with refusing():
                target = _ext_blocks.read(self._filesystem, inode, 0, inode.size)
        return decode(target.partition(b"\0")[0])


def _verify_mount(reader: ExtReader) -> None:
    if reader.journal.damage:
        raise Unmountable(reader.journal.damage)


CONTENTS = Opener(open=ExtReader, verify_mount=_verify_mount)
