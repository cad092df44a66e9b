"""Files in NTFS, through libfsntfs.

Names are compared without case, and found by their short forms too. Compressed and sparse files are read, and those
that Windows 10 keeps in a stream of their own (WofCompressedData). Not read, and told so, are encrypted files and
those whose data are elsewhere.

Symbolic links and junctions are links. Their targets become paths of the guest: drive C: is taken for the root, as
the volume does not say which letter it has. One to another drive, volume or host is neither link nor directory.

Specification: NTFS documentation, https://flatcap.github.io/linux-ntfs/ntfs/; tags of reparse points: [MS-FSCC]
2.1.2.1, https://learn.microsoft.com/openspecs/windows_protocols/ms-fscc/
"""

from typing import Any

from preflight.contents import ContentsError, Node, Opener
from preflight.contents._libyal import Handle, LibyalReader
from preflight.source import BlockSource

FILE_ATTRIBUTE_REPARSE_POINT = 0x0400
FILE_ATTRIBUTE_ENCRYPTED = 0x4000

REPARSE_POINT = 0xC0  # attribute type $REPARSE_POINT
MAX_ATTRIBUTES = 1024  # of one file: an honest one has some, in many pieces some dozens
IO_REPARSE_TAG_MOUNT_POINT = 0xA0000003
IO_REPARSE_TAG_SYMLINK = 0xA000000C
IO_REPARSE_TAG_WOF = 0x80000017
WOF_STREAM = "WofCompressedData"
SPECIAL_TAGS = (
    0x8000001B,  # IO_REPARSE_TAG_APPEXECLINK
    0xA000001D,  # IO_REPARSE_TAG_LX_SYMLINK: of the Linux subsystem, and its target is not what Windows follows
    0x80000023,  # IO_REPARSE_TAG_AF_UNIX
    0x80000024,  # IO_REPARSE_TAG_LX_FIFO
    0x80000025,  # IO_REPARSE_TAG_LX_CHR
    0x80000026,  # IO_REPARSE_TAG_LX_BLK
)

DAMAGED = "its record in the MFT is damaged"
RECORD_NUMBER = (1 << 48) - 1  # of a file reference; the rest counts how often the record was used

MAX_TARGET = 4095  # what `FileReader.target` allows
OBJECT_PREFIX = "\\??\\"  # the object manager's name for what the Win32 subsystem calls drives
SYSTEM_DRIVE = "C:"


class NtfsReader(LibyalReader):
    """The files of one file system: a `FileReader`."""

    def __init__(self, source: BlockSource) -> None:
        """Open it; `ContentsError` where it is damaged."""
        import pyfsntfs

        super().__init__("libfsntfs", pyfsntfs.volume, _node, source)

    def lookup(self, directory: Node, name: str) -> Node | None:
        """See `FileReader.lookup`."""
        node = super().lookup(directory, name)
        if node is not None and node.handle.refused == DAMAGED:  # it may have been a directory
            raise ContentsError(f"{self._name}: {node.handle.path}: {DAMAGED}")
        return node

    def target(self, link: Node) -> str:
        """See `FileReader.target`."""
        if link.kind != "symlink":
            raise ContentsError(f"a symlink is needed here, this is a {link.kind}")
        target: str = link.handle.target
        return target


def _node(path: str, entry: Any) -> Node:
    if _is_damaged(entry):
        return Node("file", 0, None, Handle(path, entry, DAMAGED))
    attributes: int = entry.file_attribute_flags or 0  # None for what has no $STANDARD_INFORMATION
    is_directory: bool = entry.has_directory_entries_index()
    refused = "the file is encrypted" if attributes & FILE_ATTRIBUTE_ENCRYPTED else None
    if attributes & FILE_ATTRIBUTE_REPARSE_POINT and (point := _reparse_point(entry)):
        if point.tag in (IO_REPARSE_TAG_MOUNT_POINT, IO_REPARSE_TAG_SYMLINK):
            target = _guest_path(point.substitute_name or "")
            if target is None:
                return Node("other", 0, None, Handle(path, entry))
            return Node(
                "symlink", len(target.encode("utf-8", "surrogatepass")), None, Handle(path, entry, None, target)
            )
        if point.tag in SPECIAL_TAGS:
            return Node("other", 0, None, Handle(path, entry))
        if point.tag != IO_REPARSE_TAG_WOF or not entry.has_alternate_data_stream_by_name(WOF_STREAM):
            refused = f"the data of the file are elsewhere, its reparse point has tag {point.tag:#010x}"
    return Node("directory" if is_directory else "file", entry.size, None, Handle(path, entry, refused))


def _is_damaged(entry: Any) -> bool:
    """Whether the record is not the one that the directory names, or is only a part of another's.

    In place of a record without its signature, libfsntfs 20260501 gives record 0, the MFT itself.
    """
    if entry.base_record_file_reference:
        return True
    if not entry.has_i30_entry():
        return False  # the root, or reached in another way than by a directory
    named, got = entry.get_i30_file_reference(), entry.file_reference
    return named is not None and got is not None and bool((named ^ got) & RECORD_NUMBER)


def _reparse_point(entry: Any) -> Any:
    """The $REPARSE_POINT of a file, None where it has none."""
    for index in range(min(entry.number_of_attributes, MAX_ATTRIBUTES)):
        attribute = entry.get_attribute(index)
        if attribute.attribute_type == REPARSE_POINT:
            return attribute
    return None


def _guest_path(substitute_name: str) -> str | None:
    """The target of a link with slashes; None where it leads out of what is known here."""
    name = substitute_name.removeprefix(OBJECT_PREFIX)
    drive, rest = name[:2], name[2:]
    if drive[1:] == ":":
        if drive.upper() != SYSTEM_DRIVE:
            return None
        name = "\\" + rest.removeprefix("\\")
    elif name != substitute_name or name.startswith("\\\\"):  # a volume by its GUID, or another host
        return None
    return name.replace("\\", "/") if 0 < len(name) <= MAX_TARGET // 4 else None  # a character has up to 4 bytes


CONTENTS = Opener(open=NtfsReader)
