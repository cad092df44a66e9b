"""The log of a journal (jbd2), read as Linux does before it mounts: which blocks it would write, and where to.

Linux passes three times over it: it looks for the end, gathers the revocations, and writes what is not revoked. Here
one pass is enough, as a transaction revokes only what those before it, and itself, have written.

Specification: Linux kernel documentation, ext4 Data Structures and Algorithms, section Journal (jbd2),
https://docs.kernel.org/filesystems/ext4/journal.html; fs/jbd2/recovery.c, do_one_pass
"""

from array import array
from typing import NamedTuple

from preflight.contents._ext_journal_blocks import (
    H_COMMIT_SEC,
    HEADER,
    JBD2_COMMIT_BLOCK,
    JBD2_DESCRIPTOR_BLOCK,
    JBD2_FLAG_ESCAPE,
    JBD2_REVOKE_BLOCK,
    WHERE,
    Log,
    LogDamaged,
    TransactionChecksum,
)
from preflight.errors import BudgetExhausted
from preflight.filesystems import _jbd2_superblock as jbd2

MAX_COPIES = 1 << 19  # of blocks: the largest journal that mke2fs makes unasked is 1 GiB, 262144 blocks of 4 KiB
MAX_REVOKED = 1 << 22  # as many as 64 GiB of deleted directories in blocks of 16 KiB have


class Copies(NamedTuple):
    """The blocks that the log has newer versions of."""

    positions: dict[int, int]
    """In the log, by block of the file system."""
    escaped: set[int]
    """Those of the latter that begin with jbd2's magic number, in whose place the log has zeros."""


class _Transaction:
    """What the log has between two commit blocks."""

    def __init__(self) -> None:
        self.copies: list[tuple[int, int, bool]] = []
        """Block, position, whether it is escaped."""
        self.torn: dict[int, int] = {}
        """The positions of copies that cannot be written, or whose checksum is wrong, by block."""
        self.missing: LogDamaged | None = None
        """Why a copy cannot be read: Linux reads those too that are revoked."""
        self.revoked: array[int] = array("Q")


def check_log(log: Log) -> None:
    """Raise `LogDamaged` where Linux would not mount a file system that needs no recovery, but has a log all the same.

    It then looks for the end of the log only, and drops it. Raises what `read_at` raises too.
    """
    _Scan(log).transactions()


def read_log(log: Log) -> Copies:
    """What Linux would write before it mounts.

    Raises `LogDamaged` where it would not mount, and what `read_at` raises.
    """
    copies = Copies({}, set())
    torn: dict[int, int] = {}
    for transaction in _Scan(log).transactions():
        if transaction.missing:
            raise transaction.missing
        for block, position, escaped in transaction.copies:
            copies.positions[block] = position
            (copies.escaped.add if escaped else copies.escaped.discard)(block)
        torn.update(transaction.torn)
        for block in transaction.revoked:
            copies.positions.pop(block, None)
            torn.pop(block, None)
    for block, position in torn.items():
        reason = f"the checksum of this copy of block {block} is wrong"
        if block >= log.disk_blocks:
            reason = f"this is a copy of block {block}, there are {log.disk_blocks} blocks"
        raise LogDamaged(log.offset(position), reason)
    return copies


class _Scan:
    """The pass that looks for the end of the log."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._is_async = bool(log.journal.incompat & jbd2.JBD2_ASYNC_COMMIT)
        self._has_v1 = bool(log.journal.compat & jbd2.JBD2_COMPAT_CHECKSUM)
        self._position = log.journal.start
        self._found: list[_Transaction] = []
        self._current = _Transaction()
        self._checksum = TransactionChecksum()
        self._end: int | None = None
        """How many of those found were written, where a commit block was wrong that Linux passes over."""
        self._stale: int | None = None
        """The position of a block whose checksum is wrong: left from another use of these blocks, or damaged."""
        self._committed_at = 0
        self._copies = self._revoked = 0

    def transactions(self) -> list[_Transaction]:
        """All that were written whole, in their order."""
        sequence = self._log.journal.sequence
        seen: set[int] = set()
        while True:
            at = self._position
            block = self._log.block(at)
            magic, kind, found = HEADER.unpack_from(block)
            if magic != jbd2.JBD2_MAGIC_NUMBER or found != sequence:
                break
            if at in seen:  # with the same number as before: Linux goes round for ever
                raise self._damaged(at, f"transaction {sequence} has no end, the log leads back to this block")
            seen.add(at)
            self._position = self._log.after(at, 1)
            if kind == JBD2_DESCRIPTOR_BLOCK:
                self._descriptor(at, block, sequence)
            elif kind == JBD2_REVOKE_BLOCK:
                self._revocations(at, block)
            elif kind != JBD2_COMMIT_BLOCK or not self._commit(at, block, sequence):
                break
            else:
                sequence = (sequence + 1) & 0xFFFF_FFFF
                self._found.append(self._current)
                self._current = _Transaction()
        return self._found if self._end is None else self._found[: self._end]

    def _descriptor(self, at: int, block: bytes, sequence: int) -> None:
        log = self._log
        if not log.is_sound(block):
            self._stale = at
        summed = self._has_v1 and self._end is None
        if summed:
            self._checksum.add(block)
        tags = list(log.tags(block))
        seed = log.seed_of_copies(sequence) if log.has_checksums else 0
        following = self._position
        for tag in tags:
            position, following = following, log.after(following, 1)
            self._copies += 1
            self._within_budget(at)
            if self._stale is not None:  # never written
                continue
            try:
                log.offset(position)
            except LogDamaged as error:
                self._current.missing = self._current.missing or error
                continue
            if summed:
                self._checksum.add(log.block(position))
            sound = not log.has_checksums or log.is_sound_copy(tag, seed, log.block(position))
            if not sound or tag.block >= log.disk_blocks:
                self._current.torn[tag.block] = position
            self._current.copies.append((tag.block, position, bool(tag.flags & JBD2_FLAG_ESCAPE)))
        # Where more are named than the log has, it ends for Linux unless their checksum brought it here block by block.
        self._position = following if summed else log.after(self._position, len(tags))

    def _revocations(self, at: int, block: bytes) -> None:
        if not self._log.is_sound(block):
            self._stale = at
        revoked = self._log.revoked(block, at)
        self._revoked += len(revoked)
        self._within_budget(at)
        self._current.revoked += revoked

    def _commit(self, at: int, block: bytes, sequence: int) -> bool:
        """Whether the log goes on behind this commit block."""
        committed_at = int.from_bytes(block[H_COMMIT_SEC : H_COMMIT_SEC + 8], "big")
        is_older = committed_at < self._committed_at
        if self._stale is not None:
            if is_older:
                return False
            raise self._damaged(self._stale, f"the checksum of this block of transaction {sequence} is wrong")
        reason = f"transaction {sequence} is committed here with a wrong checksum"
        if self._has_v1:
            if self._end is not None:
                raise self._damaged(at, f"transaction {sequence} is committed, one before it has a wrong checksum")
            sound = self._checksum.is_in(block)
            self._checksum = TransactionChecksum()
        else:
            sound = self._log.is_sound_commit(block)
        if not sound:
            if is_older:
                return False
            if not self._is_async:
                raise self._damaged(at, reason)
            self._end = len(self._found)
        self._committed_at = committed_at
        return True

    def _within_budget(self, at: int) -> None:
        if self._copies > MAX_COPIES or self._revoked > MAX_REVOKED:
            found = f"it has over {MAX_COPIES} copies of blocks, or over {MAX_REVOKED} revocations, which are not read"
            raise BudgetExhausted(WHERE, self._log.offset(at), found)

    def _damaged(self, position: int, reason: str) -> LogDamaged:
        return LogDamaged(self._log.offset(position), reason)
