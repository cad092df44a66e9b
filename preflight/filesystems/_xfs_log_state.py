"""Whether the log of an XFS file system has nothing that the next mount would replay.

Specification: XFS Algorithms & Data Structures, 3rd edition, section Journaling Log, Log Records and Log Operations,
https://mirrors.edge.kernel.org/pub/linux/utils/fs/xfs/docs/xfs_filesystem_structure.pdf; how Linux finds out:
fs/xfs/xfs_log_recover.c, xlog_find_head and xlog_check_unmount_rec
"""

from typing import Any

from construct import Int8ub, Int32ub, Padding, Struct

from preflight.binary import parse
from preflight.filesystems.xfs_log import BASIC_BLOCK, XLOG_HEADER_MAGIC_NUM
from preflight.source import BlockSource
from preflight.units import KiB

RECORD = Struct(
    Padding(4),  # h_magicno
    "h_cycle" / Int32ub,
    "h_version" / Int32ub,
    "h_len" / Int32ub,  # bytes of the record after its headers
    Padding(24),  # h_lsn … h_prev_block
    "h_num_logops" / Int32ub,
    Padding(276),  # h_cycle_data … h_fs_uuid
    "h_size" / Int32ub,  # of the buffers that were written
)
RECORD_SIZE = 324
OPERATION = Struct(
    Padding(9),  # oh_tid, oh_len, oh_clientid
    "oh_flags" / Int8ub,
)
OPERATION_SIZE = 10
XLOG_UNMOUNT_TRANS = 0x20
XLOG_VERSION_2 = 2
HEADER_COVERS = 32 * KiB  # XLOG_HEADER_CYCLE_SIZE: a larger record has more headers
LAST = 320 * KiB  # a record has 256 KiB at most; the one of the unmount is padded to the stripe of the log


def is_clean(source: BlockSource, superblock: Any) -> bool:
    """Whether the last record of the log is that of an unmount; what `read_at` raises where it is out of reach.

    The superblock has possible sizes. False for a log on another device.
    """
    group, block = divmod(superblock.sb_logstart, 1 << superblock.sb_agblklog)
    start = (group * superblock.sb_agblocks + block) * superblock.sb_blocksize
    count = superblock.sb_logblocks * superblock.sb_blocksize // BASIC_BLOCK
    if not superblock.sb_logstart or not count:
        return False
    head = _head(source, start, count)
    size = min(LAST, count * BASIC_BLOCK)
    data = _before(source, start, count, head, size)
    at = size - BASIC_BLOCK
    while at >= 0 and data[at : at + 4] != XLOG_HEADER_MAGIC_NUM:
        at -= BASIC_BLOCK
    if at < 0:
        return False
    record = parse(RECORD, data[at : at + RECORD_SIZE], "XFS log record header", start)
    headers = 1
    if record.h_version & XLOG_VERSION_2:
        headers = max(1, -(-record.h_size // HEADER_COVERS))
    first = at + headers * BASIC_BLOCK
    length = -(-record.h_len // BASIC_BLOCK) * BASIC_BLOCK
    if record.h_num_logops != 1 or first + length != size or first + OPERATION_SIZE > size:
        return False
    operation = parse(OPERATION, data[first : first + OPERATION_SIZE], "XFS log operation header", start)
    return bool(operation.oh_flags & XLOG_UNMOUNT_TRANS)


def _head(source: BlockSource, start: int, count: int) -> int:
    """The basic block where the next record would begin: there the number of the cycle falls, or blocks are unused."""
    first, last = _cycle(source, start, 0), _cycle(source, start, count - 1)
    if first == last:
        return 0
    low, high = 0, count - 1  # the cycle of `low` is that of the begin, and that of `high` is another
    while high - low > 1:
        middle = (low + high) // 2
        if _cycle(source, start, middle) == first:
            low = middle
        else:
            high = middle
    return high


def _cycle(source: BlockSource, start: int, block: int) -> int:
    """The number of the cycle in a basic block: its first word, or behind the magic of a header."""
    data = source.read_at(start + block * BASIC_BLOCK, 8)
    return int.from_bytes(data[4:] if data[:4] == XLOG_HEADER_MAGIC_NUM else data[:4], "big")


def _before(source: BlockSource, start: int, count: int, head: int, size: int) -> bytes:
    """The `size` bytes before basic block `head`, from the end of the log where it has gone round."""
    before = head * BASIC_BLOCK
    if before >= size:
        return source.read_at(start + before - size, size)
    rest = size - before
    return source.read_at(start + count * BASIC_BLOCK - rest, rest) + source.read_at(start, before)
