"""Reparse points of NTFS: links, and files whose data are not where they usually are.

Symbolic links and junctions are links. Their targets become paths of the guest: drive C: is taken for the root, as
the volume does not say which letter it has. One to another drive, volume or host is neither link nor directory.

Specification: [MS-FSCC] 2.1.2, https://learn.microsoft.com/openspecs/windows_protocols/ms-fscc/
"""

from typing import NamedTuple

from preflight.binary import parse
from preflight.contents import ContentsError
from preflight.contents import _ntfs_layouts as layouts
from preflight.contents._ntfs_compacted import ALGORITHMS, Algorithm
from preflight.contents._ntfs_streams import Stream
from preflight.units import KiB

MAX_REPARSE_POINT = 16 * KiB  # MAXIMUM_REPARSE_DATA_BUFFER_SIZE
MAX_TARGET = 4095  # what `FileReader.target` allows
OBJECT_PREFIX = "\\??\\"  # the object manager's name for what the Win32 subsystem calls drives
SYSTEM_DRIVE = "C:"


class ReparsePoint(NamedTuple):
    """What a reparse point says."""

    tag: int
    data: bytes
    where: str

    @property
    def is_link(self) -> bool:
        """Whether it leads to another path."""
        return self.tag in (layouts.IO_REPARSE_TAG_MOUNT_POINT, layouts.IO_REPARSE_TAG_SYMLINK)

    @property
    def target(self) -> str | None:
        """Where a link leads, with slashes; None where that is out of what is known here."""
        header = parse(layouts.LINK, self.data, self.where, layouts.REPARSE_POINT_SIZE)
        flags_size = layouts.SYMLINK_FLAGS_SIZE if self.tag == layouts.IO_REPARSE_TAG_SYMLINK else 0
        start = layouts.LINK_SIZE + flags_size + header.substitute_name_offset
        name = self.data[start : start + header.substitute_name_length]
        if len(name) != header.substitute_name_length or len(name) % 2:
            raise ContentsError(
                f"{self.where}: the target has {header.substitute_name_length} bytes, {len(name)} are there"
            )
        return guest_path(name.decode("utf-16-le", "replace"))

    @property
    def algorithm(self) -> Algorithm | None:
        """How a compacted file is compressed; None where it is no such, or in a way that is not known."""
        if self.tag != layouts.IO_REPARSE_TAG_WOF or len(self.data) < layouts.WOF_SIZE:
            return None
        header = parse(layouts.WOF, self.data, self.where, layouts.REPARSE_POINT_SIZE)
        if header.provider != layouts.WOF_PROVIDER_FILE:
            return None
        return ALGORITHMS.get(header.algorithm)


def reparse_point(stream: Stream) -> ReparsePoint:
    """What the attribute $REPARSE_POINT says; `ContentsError` where it is cut off."""
    if stream.size > MAX_REPARSE_POINT:
        raise ContentsError(f"{stream.where}: it has {stream.size} bytes, at most are {MAX_REPARSE_POINT}")
    data = stream.read(0, stream.size)
    header = parse(layouts.REPARSE_POINT, data, stream.where, 0)
    found = data[layouts.REPARSE_POINT_SIZE :][: header.reparse_data_length]
    if len(found) != header.reparse_data_length:
        raise ContentsError(f"{stream.where}: it has {len(found)} bytes of data, says {header.reparse_data_length}")
    return ReparsePoint(header.reparse_tag, found, stream.where)


def guest_path(substitute_name: str) -> str | None:
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
