"""Files in XFS, versions 4 and 5, through libfsxfs.

The journal is not replayed: what a file system that was not unmounted has only there is not seen. Not read, and told
so, are files in some thousand pieces (libfsxfs 20260901: "unsupported B+ tree node level"), targets of links that have
a block of their own in version 5, and names that are no UTF-8.

Specification: XFS Algorithms & Data Structures, 3rd edition,
https://mirrors.edge.kernel.org/pub/linux/utils/fs/xfs/docs/xfs_filesystem_structure.pdf
"""

import stat
from typing import Any

from construct import Int16ub, Int32ub, Padding, Struct

from preflight.binary import parse_at
from preflight.contents import MAX_ENTRIES, ContentsError, Kind, Node, Opener
from preflight.contents._libyal import Handle, LibyalReader, entry_name
from preflight.errors import StructureError
from preflight.source import BlockSource

SUPERBLOCK = Struct(
    "sb_magicnum" / Int32ub,
    Padding(96),  # sb_blocksize … sb_logblocks
    "sb_versionnum" / Int16ub,
    Padding(114),  # sb_sectsize … sb_features_ro_compat
    "sb_features_incompat" / Int32ub,
)
XFS_SB_VERSION_NUMBITS = 0x000F
# ftype, spinodes, meta_uuid, bigtime, needsrepair, nrext64, exchrange, parent, metadir. Later ones change where data
# are: libfsxfs does not look at this field.
KNOWN_INCOMPAT = 0x01FF

MAX_TARGET = 1023  # XFS_SYMLINK_MAXLEN
XFS_SYMLINK_MAGIC = "XSLM"
KINDS: dict[int, Kind] = {stat.S_IFREG: "file", stat.S_IFDIR: "directory", stat.S_IFLNK: "symlink"}


class XfsReader(LibyalReader):
    """The files of one file system: a `FileReader`."""

    def __init__(self, source: BlockSource) -> None:
        """Open it; `ContentsError` where it is damaged or has features that are not read."""
        try:
            superblock = parse_at(SUPERBLOCK, source, 0, "xfs superblock")
        except StructureError as error:
            raise ContentsError(str(error)) from error
        unknown = superblock.sb_features_incompat & ~KNOWN_INCOMPAT
        if superblock.sb_versionnum & XFS_SB_VERSION_NUMBITS == 5 and unknown:
            raise ContentsError(f"xfs superblock: has incompatible features that are not read: {unknown:#x}")
        import pyfsxfs

        super().__init__("libfsxfs", "/", pyfsxfs.volume, _node, source)

    def lookup(self, directory: Node, name: str) -> Node | None:
        """See `FileReader.lookup`."""
        try:
            return super().lookup(directory, name)
        except ContentsError as error:
            # Beside a name that is no UTF-8 the library finds none that begins alike.
            if isinstance(error.__cause__, StructureError):
                raise
            return self._lookup_one_by_one(directory, name, error)

    def _lookup_one_by_one(self, directory: Node, name: str, error: ContentsError) -> Node | None:
        parent: Handle = directory.handle
        unread = False
        with self.asking():
            for index in range(min(parent.entry.number_of_sub_file_entries, MAX_ENTRIES)):
                try:
                    entry = parent.entry.get_sub_file_entry(index)
                except OSError:
                    unread = True
                    continue
                found = entry_name(entry)
                unread |= found is None and not name.isascii()
                if found == name:
                    return _node(f"{parent.path}/{name}", entry)
        if unread:  # it may be the one that is looked for
            raise error
        return None

    def target(self, link: Node) -> str:
        """See `FileReader.target`."""
        if link.kind != "symlink":
            raise ContentsError(f"a symlink is needed here, this is a {link.kind}")
        if link.size > MAX_TARGET:
            raise ContentsError(f"libfsxfs: the target has {link.size} bytes, allowed are {MAX_TARGET}")
        with self.asking():
            target: str = link.handle.entry.symbolic_link_target or ""
        if target.startswith(XFS_SYMLINK_MAGIC):
            raise ContentsError("libfsxfs: the target has a block of its own, whose header is not read")
        return target


def _node(path: str, entry: Any) -> Node:
    mode: int = entry.file_mode
    return Node(KINDS.get(stat.S_IFMT(mode), "other"), entry.size, stat.S_IMODE(mode), Handle(path, entry))


CONTENTS = Opener(open=XfsReader)
