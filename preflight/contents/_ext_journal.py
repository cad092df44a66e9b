"""A file system of ext3 or ext4 that was not unmounted, as it is once Linux has replayed its journal.

Nothing is written: the copies in the log stand over the blocks that they are newer versions of. Fast commits, which a
file system must be made for, are left aside; so is a journal on another disk.

Specification: Linux kernel documentation, ext4 Data Structures and Algorithms, section Journal (jbd2),
https://docs.kernel.org/filesystems/ext4/journal.html; fs/ext4/super.c, ext4_load_journal
"""

from typing import NamedTuple

from preflight.contents import ContentsError, Damage, _ext_blocks, _ext_inodes
from preflight.contents import _ext_layouts as layouts
from preflight.contents._ext_filesystem import Filesystem
from preflight.contents._ext_journal_blocks import Log, LogDamaged
from preflight.contents._ext_journal_log import Copies, check_log, read_log
from preflight.errors import OutOfBounds, StructureError
from preflight.filesystems._jbd2_superblock import JBD2_MAGIC_NUMBER, Journal
from preflight.filesystems.ext import EXT3_FEATURE_COMPAT_HAS_JOURNAL
from preflight.source import BlockSource, check_bounds

MAGIC = JBD2_MAGIC_NUMBER.to_bytes(4, "big")


class _Replayed:
    """A file system with the copies of its log in place."""

    def __init__(self, log: Log, copies: Copies) -> None:
        self._log = log
        self._copies = copies

    @property
    def size(self) -> int:
        """In bytes."""
        return self._log.source.size

    def read_at(self, offset: int, size: int) -> bytes:
        """See `BlockSource.read_at`."""
        check_bounds("the file system", self.size, offset, size)
        positions, block_size, source = self._copies.positions, self._log.block_size, self._log.source
        parts = []
        while size:
            block, skip = divmod(offset, block_size)
            count = min(size, block_size - skip)
            if block in positions:
                data = source.read_at(self._log.offset(positions[block]) + skip, count)
                if block in self._copies.escaped:
                    data = MAGIC[skip : skip + count] + data[max(len(MAGIC) - skip, 0) :]
            else:
                while count < size and (offset + count) // block_size not in positions:
                    count = min(size, count + block_size)
                data = source.read_at(offset, count)
            parts.append(data)
            offset += count
            size -= count
        return b"".join(parts)


class State(NamedTuple):
    """What has become of the journal."""

    is_replayed: bool
    """Whether the file system is as Linux would have it: nothing waits to be replayed."""
    damage: Damage | None = None
    """Why Linux would not mount it."""


def open_replayed(source: BlockSource) -> tuple[Filesystem, State]:
    """The file system as Linux would mount it; where it would not, as it lies on the disk.

    Raises `ContentsError` where the superblock is damaged or has features that are not read, and what `read_at` raises.
    """
    filesystem = Filesystem(source)
    waits = bool(filesystem.incompat & layouts.EXT4_FEATURE_INCOMPAT_RECOVER)
    try:
        log = _log(source)
        if log is None:
            return filesystem, State(not waits)
        if not waits:
            check_log(log)
            return filesystem, State(True)
        copies = read_log(log)
    except LogDamaged as error:
        return filesystem, State(not waits, Damage(error.reason, error.where, error.offset))
    except ContentsError as error:
        return filesystem, State(not waits, Damage(f"the journal cannot be read: {error}"))
    except StructureError as error:
        if waits and not isinstance(error, OutOfBounds):  # that it is cut off, its size tells
            raise
        return filesystem, State(not waits)
    replayed = Filesystem(_Replayed(log, copies)) if copies.positions else filesystem
    return replayed, State(not log.journal.fast_commit_blocks)


def _log(source: BlockSource) -> Log | None:
    """The log; None where it is empty, or its superblock is damaged, which is told with that of the file system."""
    filesystem = Filesystem(source, is_mounted=False)
    number = filesystem.superblock.s_journal_inum
    if not number or not filesystem.superblock.s_feature_compat & EXT3_FEATURE_COMPAT_HAS_JOURNAL:
        return None  # without a number, it is on another disk
    inode = _ext_inodes.read(filesystem, number)
    block_size = filesystem.block_size
    run = _ext_blocks.run_at(filesystem, inode, 0)
    if not run.start:
        return None
    journal = Journal(source, run.start * block_size)
    if not journal.start or any(journal.problems(block_size, inode.size // block_size)):
        return None
    return Log(filesystem, inode, journal)
