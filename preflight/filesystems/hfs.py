"""The master directory block of HFS, the file system of Mac OS before 8.1.

Specification: Inside Macintosh: Files, chapter 2, Data Organization on Volumes, Master Directory Blocks.
"""

from preflight.binary import parse_at
from preflight.filesystems import FileSystemReader, Superblock
from preflight.filesystems._fields import label
from preflight.filesystems._hfs import (
    KHFSPLUSSIGWORD,
    KHFSSIGWORD,
    KHFSXSIGWORD,
    MASTER_DIRECTORY_BLOCK,
    OFFSET,
    SECTOR,
    volume_uuid,
)
from preflight.source import BlockSource


def read(source: BlockSource) -> Superblock | None:
    """The volume; None where it only wraps one of HFS Plus."""
    block = parse_at(MASTER_DIRECTORY_BLOCK, source, OFFSET, "HFS master directory block")
    if (
        block.drSigWord != KHFSSIGWORD
        or block.drEmbedSigWord in (KHFSPLUSSIGWORD, KHFSXSIGWORD)
        or block.drAlBlkSiz == 0
        or block.drAlBlkSiz % SECTOR
    ):
        return None
    return Superblock(
        "hfs",
        uuid=volume_uuid(block.volume_id),
        label=label(block.drVN[: block.drVN_length]),
        size=block.drAlBlSt * SECTOR + block.drNmAlBlks * block.drAlBlkSiz,
    )


# A disc may be ISO 9660 and HFS in one, on purpose.
FILESYSTEM = FileSystemReader(read)
