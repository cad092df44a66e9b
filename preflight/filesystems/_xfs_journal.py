"""The log inside an XFS file system: whether Linux finds its end, and whether an unmount ended it.

Specification: XFS Algorithms & Data Structures, 3rd edition, section Journaling Log,
https://mirrors.edge.kernel.org/pub/linux/utils/fs/xfs/docs/xfs_filesystem_structure.pdf; Linux,
fs/xfs/xfs_log_recover.c, xlog_find_zeroed, xlog_find_head and xlog_check_unmount_rec
"""

from collections.abc import Iterator
from typing import Any

from construct import Bytes, Int32ub, Padding, Struct

from preflight.binary import parse
from preflight.facts import Problem
from preflight.filesystems._xfs_geometry import is_version_5
from preflight.filesystems._xfs_seals import Moment, is_inside, offset_of, problem
from preflight.source import BlockSource
from preflight.units import KiB, ceil_div

XLOG_HEADER_MAGIC_NUM = b"\xfe\xed\xba\xbe"
BASIC_BLOCK = 512  # BBSIZE: the log counts in these, whatever the sector size
RECORD = Struct(
    "h_magicno" / Bytes(4),
    "h_cycle" / Int32ub,
    "h_version" / Int32ub,
    "h_len" / Int32ub,  # bytes of the record after its header
    Padding(24),  # h_lsn, h_tail_lsn, h_crc, h_prev_block
    "h_num_logops" / Int32ub,
    Padding(256),  # h_cycle_data
    "h_fmt" / Int32ub,
    "h_fs_uuid" / Bytes(16),
    "h_size" / Int32ub,  # bytes of a buffer of the log
)
XLOG_VERSION_2 = 2
XLOG_HEADER_CYCLE_SIZE = 32 * KiB  # what one block of a header covers
XLOG_MAX_RECORD_BSIZE = 256 * KiB  # a record header lies in every stretch of this size
XLOG_UNMOUNT_TRANS = 0x20
OH_FLAGS = 9  # of the operation that a record begins with
WALKED = 16 * KiB  # that are read for the records behind the superblock's own
LAST = 64 * KiB + XLOG_MAX_RECORD_BSIZE  # that are read for the last record, which is padded to the stripe of the log
WHERE = "XFS log"


class Log:
    """What the log of a file system says at its first and its last block."""

    def __init__(self, source: BlockSource, superblock: Any) -> None:
        """Raise what `read_at` raises. The log is inside, and its place was checked."""
        self._source = source
        self._superblock = superblock
        self._start = offset_of(superblock, superblock.sb_logstart)
        self._blocks = superblock.sb_logblocks * superblock.sb_blocksize // BASIC_BLOCK
        self._first = self._cycle(source.read_at(self._start, BASIC_BLOCK))
        end = self._start + self._blocks * BASIC_BLOCK
        self._last = self._cycle(source.read_at(end - BASIC_BLOCK, BASIC_BLOCK))

    @staticmethod
    def _cycle(block: bytes) -> int:
        at = 4 if block.startswith(XLOG_HEADER_MAGIC_NUM) else 0
        return int.from_bytes(block[at : at + 4], "big")

    @property
    def newest(self) -> Moment:
        """The last moment that the log can have come to."""
        return Moment(self._first, self._blocks) if self._first else Moment(1, 0)

    def defects(self) -> Iterator[Problem]:
        """What is wrong with how its cycles follow each other.

        Writing goes round: the last block is of the same cycle as the first, or the one before. As buffers are written
        side by side, a crash may leave it one more behind.
        """
        if not self._first:  # zeroed as a whole: Linux begins anew
            return
        behind = self._first - self._last
        if not 0 <= behind <= 2 or (not self._last and self._first != 1):
            found = f"it begins with cycle {self._first:#x} and ends with {self._last:#x}"
            yield problem(f"{found}: Linux does not find its head", WHERE, self._start)

    def ends_with_unmount(self) -> bool:
        """Whether the file system is known to have been unmounted, by one read or two: there is nothing to replay.

        A clean unmount writes the superblock, and a record that says so after it: the superblock's own moment leads
        there in version 5. Where it does not, the log begins with that record, as mkfs.xfs and xfs_repair leave it.
        """
        if not self._first:
            return True
        lsn = self._superblock.sb_lsn if is_version_5(self._superblock) else 0
        return self._leads_to_unmount(lsn & 0xFFFF_FFFF) or (lsn != 0 and self._leads_to_unmount(0))

    def _leads_to_unmount(self, block: int) -> bool:
        """Whether the records from this block on are few, and the last is of an unmount."""
        if block >= self._blocks:
            return False
        size = min(WALKED, (self._blocks - block) * BASIC_BLOCK)
        data = self._source.read_at(self._start + block * BASIC_BLOCK, size)
        at = 0
        cycle = self._cycle(data[:BASIC_BLOCK])
        unmounted = False
        while at + 2 * BASIC_BLOCK <= len(data):
            head = data[at : at + BASIC_BLOCK]
            if self._cycle(head) < cycle:
                return unmounted
            record = parse(RECORD, head, WHERE, self._start)
            if record.h_magicno != XLOG_HEADER_MAGIC_NUM or record.h_len > XLOG_MAX_RECORD_BSIZE:
                return False
            unmounted, at = _record(record, data, at)
        return False

    def is_clean(self) -> bool:
        """The same for certain, as Linux finds it out: the record before the head of the log is that of an unmount.

        It takes a read for each halving of the log, some twenty.
        """
        if not self._first:
            return True
        head = self._head()
        size = min(LAST, self._blocks * BASIC_BLOCK)
        data = self._before(head, size)
        at = size - BASIC_BLOCK
        while at >= 0 and not data.startswith(XLOG_HEADER_MAGIC_NUM, at):
            at -= BASIC_BLOCK
        if at < 0:
            return False
        unmounted, end = _record(parse(RECORD, data[at : at + RECORD.sizeof()], WHERE, self._start), data, at)
        return unmounted and end == size

    def _head(self) -> int:
        """The basic block where the next record would begin: there the number of the cycle falls."""
        if self._first == self._last:
            return 0
        low, high = 0, int(self._blocks) - 1  # the cycle of `low` is that of the begin, and that of `high` is another
        while high - low > 1:
            middle = (low + high) // 2
            block = self._source.read_at(self._start + middle * BASIC_BLOCK, BASIC_BLOCK)
            if self._cycle(block) == self._first:
                low = middle
            else:
                high = middle
        return high

    def _before(self, head: int, size: int) -> bytes:
        """The `size` bytes before basic block `head`, from the end of the log where it has gone round."""
        before = head * BASIC_BLOCK
        if before >= size:
            return self._source.read_at(self._start + before - size, size)
        rest = size - before
        end = self._start + self._blocks * BASIC_BLOCK
        return self._source.read_at(end - rest, rest) + self._source.read_at(self._start, before)


def log_of(source: BlockSource, superblock: Any) -> Log | None:
    """The log; None where it is on another disk, or where it cannot be. Raises what `read_at` raises."""
    if not superblock.sb_logstart or not is_inside(superblock, superblock.sb_logstart, superblock.sb_logblocks):
        return None
    return Log(source, superblock) if superblock.sb_logblocks else None


def _record(record: Any, data: bytes, at: int) -> tuple[bool, int]:
    """Whether the record whose header is at byte `at` of `data` is that of an unmount, and the byte where it ends."""
    headers = 1
    if record.h_version & XLOG_VERSION_2:
        headers = max(1, ceil_div(min(record.h_size, XLOG_MAX_RECORD_BSIZE), XLOG_HEADER_CYCLE_SIZE))
    body = at + headers * BASIC_BLOCK
    flags = data[body + OH_FLAGS : body + OH_FLAGS + 1] or b"\0"
    unmounted = record.h_num_logops == 1 and bool(flags[0] & XLOG_UNMOUNT_TRANS)
    return unmounted, body + ceil_div(record.h_len, BASIC_BLOCK) * BASIC_BLOCK
