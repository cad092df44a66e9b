"""The external log of an XFS file system, which has no superblock of its own.

Specification: XFS Algorithms & Data Structures, 3rd edition, section Journaling Log, Log Records,
https://mirrors.edge.kernel.org/pub/linux/utils/fs/xfs/docs/xfs_filesystem_structure.pdf
"""

from preflight.binary import parse
from preflight.filesystems import FileSystemReader, Superblock
from preflight.filesystems._xfs_journal import BASIC_BLOCK, RECORD, XLOG_HEADER_MAGIC_NUM, XLOG_MAX_RECORD_BSIZE
from preflight.filesystems.xfs import XFS_SB_MAGIC
from preflight.source import BlockSource
from preflight.units import KiB, MiB

FIRST_LOOK = 16 * KiB
MIN_LOG_BYTES = 10 * MiB  # libblkid's own limit; mkfs.xfs makes no smaller external log for any but tiny disks
XLOG_VERSION_OKBITS = 0x3
XLOG_FMT = (1, 2, 3)  # Linux little-endian, Linux big-endian, IRIX
MAX_LEN = 0x7FFFFFFF
MAX_CYCLES = 2  # where the head of the log is, one cycle meets the one before


def read(source: BlockSource) -> Superblock | None:
    """The first record header in the first 256 KiB; its UUID is the file system's and not shown, as in libblkid.

    Nothing but the header has a magic, and it may lie 256 KiB deep in an old log. But the first word of every
    other basic block is the number of its cycle: only where the first blocks bear that out are more read.
    """
    if source.size < MIN_LOG_BYTES:
        return None
    data = source.read_at(0, FIRST_LOOK)
    found = _search(data)
    if found is None and _looks_like_log(data):
        found = _search(source.read_at(0, XLOG_MAX_RECORD_BSIZE))
    return Superblock("xfs_external_log") if found else None


def _search(data: bytes) -> bool | None:
    """Whether a record header comes first, or a superblock of XFS; None where neither is found."""
    for offset in range(0, len(data), BASIC_BLOCK):
        magic = data[offset : offset + 4]
        if magic == XFS_SB_MAGIC:
            return False
        if magic == XLOG_HEADER_MAGIC_NUM and _is_valid(data[offset : offset + BASIC_BLOCK], offset):
            return True
    return None


def _is_valid(block: bytes, offset: int) -> bool:
    header = parse(RECORD, block, "XFS log record header", offset)
    return (
        header.h_version != 0
        and not header.h_version & ~XLOG_VERSION_OKBITS
        and 0 < header.h_len <= MAX_LEN
        and header.h_fmt in XLOG_FMT
    )


def _looks_like_log(data: bytes) -> bool:
    """Whether the first words of the blocks can be cycle numbers, which begin at 1."""
    cycles = {data[offset : offset + 4] for offset in range(0, len(data), BASIC_BLOCK)}
    return len(cycles) <= MAX_CYCLES and bytes(4) not in cycles


FILESYSTEM = FileSystemReader(read)
