"""Files in FAT12, FAT16 and FAT32, through libfsfat.

Names are compared without case. A file that has a long name is found by that, not by its short one (libfsfat
20260826).

Specification: Microsoft Extensible Firmware Initiative FAT32 File System Specification, version 1.03
"""

from typing import Any

from preflight.contents import ContentsError, Node, Opener
from preflight.contents._libyal import Handle, LibyalReader
from preflight.source import BlockSource

ATTR_DIRECTORY = 0x10


class FatReader(LibyalReader):
    """The files of one file system: a `FileReader`. There are no links in FAT."""

    def __init__(self, source: BlockSource) -> None:
        """Open it; `ContentsError` where it is damaged."""
        import pyfsfat

        super().__init__("libfsfat", "\\", pyfsfat.volume, _node, source)

    def target(self, link: Node) -> str:
        """See `FileReader.target`."""
        raise ContentsError(f"a symlink is needed here, this is a {link.kind}")


def _node(path: str, entry: Any) -> Node:
    attributes: int | None = entry.file_attribute_flags  # None for the root
    is_directory = attributes is None or bool(attributes & ATTR_DIRECTORY)
    return Node("directory" if is_directory else "file", entry.size, None, Handle(path, entry))


CONTENTS = Opener(open=FatReader)
