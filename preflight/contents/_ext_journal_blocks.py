"""The blocks of a journal (jbd2): where they lie, and what each of them says.

Specification: Linux kernel documentation, ext4 Data Structures and Algorithms, section Journal (jbd2),
https://docs.kernel.org/filesystems/ext4/journal.html; fs/jbd2/recovery.c and journal_tag_bytes in fs/jbd2/journal.c
"""

import struct
import zlib
from array import array
from collections.abc import Iterator
from typing import NamedTuple

from preflight.binary import crc32c
from preflight.contents import ContentsError, _ext_blocks
from preflight.contents._ext_filesystem import Filesystem, Inode
from preflight.errors import OutOfBounds, StructureError
from preflight.filesystems import _jbd2_superblock as jbd2
from preflight.source import BlockSource
from preflight.units import KiB

JBD2_DESCRIPTOR_BLOCK, JBD2_COMMIT_BLOCK, JBD2_REVOKE_BLOCK = 1, 2, 5
HEADER = struct.Struct(">III")  # h_magic, h_blocktype, h_sequence
TAG = struct.Struct(">IHH")  # t_blocknr, t_checksum, t_flags: without checksums, or with those of version 2
TAG3 = struct.Struct(">IIII")  # t_blocknr, t_flags, t_blocknr_high, t_checksum
T_BLOCKNR_HIGH = 8  # with the feature 64bit
JBD2_FLAG_ESCAPE, JBD2_FLAG_SAME_UUID, JBD2_FLAG_LAST_TAG = 1, 2, 8
TAIL_SIZE = 4  # jbd2_journal_block_tail, with checksums of version 2 or 3
R_COUNT, REVOKE_HEADER_SIZE = 12, 16
H_CHKSUM, H_COMMIT_SEC = 16, 48
COMMIT_HEADER_SIZE = 64
H_CHKSUM_TYPE = struct.Struct(">12xBB")  # h_chksum_type, h_chksum_size
JBD2_CRC32 = (1, 4)  # the same, of the one kind that there is

READ_AHEAD = 128 * KiB
WHERE = "jbd2 log"


class LogDamaged(StructureError):
    """What Linux does not replay, so that it does not mount the file system; `offset` is the byte in this."""

    def __init__(self, offset: int, reason: str) -> None:
        """`offset` of the block that is wrong."""
        super().__init__(WHERE, offset, reason)


class Tag(NamedTuple):
    """What a descriptor block says of one of the blocks that follow it."""

    block: int
    """Of the file system, that it is a newer version of."""
    flags: int
    checksum: int


class Log:
    """The log of one journal, by positions: blocks from the journal's first one."""

    def __init__(self, filesystem: Filesystem, inode: Inode, journal: jbd2.Journal) -> None:
        self.journal = journal
        self.block_size = filesystem.block_size
        self.source: BlockSource = filesystem.source
        self.disk_blocks = self.source.size // self.block_size
        """Of what the file system lies on, which may be more than it has itself."""
        self.has_checksums = bool(journal.incompat & (jbd2.JBD2_CSUM_V2 | jbd2.JBD2_CSUM_V3))
        self._filesystem = filesystem
        self._inode = inode
        self._end = journal.maxlen - journal.fast_commit_blocks
        self._limit = self.block_size - (TAIL_SIZE if self.has_checksums else 0)
        self._seed = crc32c(journal.uuid)
        self._is_64bit = bool(journal.incompat & jbd2.JBD2_64BIT)
        self._run, self._run_end, self._run_start = 0, 0, 0
        self._ahead, self._ahead_at = b"", 0

    def after(self, position: int, count: int) -> int:
        """The position `count` blocks further; behind the last one comes the first, as Linux wraps it: once."""
        position += count
        return position - (self._end - self.journal.first) if position >= self._end else position

    def offset(self, position: int) -> int:
        """The byte of the file system where a block of the journal lies."""
        if not self._run <= position < self._run_end:
            if not 0 <= position < self.journal.maxlen:
                found = f"the log goes on at block {position} of the journal, which has {self.journal.maxlen}"
                raise LogDamaged(self.journal.offset, found)
            try:
                run = _ext_blocks.run_at(self._filesystem, self._inode, position)
            except ContentsError as error:
                raise LogDamaged(self.journal.offset, f"block {position}, where it goes on: {error}") from error
            # A block that the file does not have is for Linux the one of this number on the disk (ext4_journal_bmap).
            start = run.start or position
            if start >= self._filesystem.blocks:
                found = f"block {position} of the journal, where the log goes on, is at {start} of the file system"
                raise LogDamaged(self.journal.offset, f"{found}, which has {self._filesystem.blocks} blocks")
            self._run, self._run_end, self._run_start = position, position + (run.length if run.start else 1), start
        return (self._run_start + position - self._run) * self.block_size

    def block(self, position: int) -> bytes:
        """The block at `position`, read with some that follow it; `LogDamaged` where there is none."""
        offset = self.offset(position)
        skip = offset - self._ahead_at
        if not 0 <= skip < len(self._ahead):
            size = min(max(READ_AHEAD, self.block_size), (self._run_end - position) * self.block_size)
            try:
                self._ahead = self.source.read_at(offset, size)
            except OutOfBounds:  # perhaps only of those that follow
                self._ahead = self.source.read_at(offset, self.block_size)
            self._ahead_at, skip = offset, 0
        return self._ahead[skip : skip + self.block_size]

    def tags(self, descriptor: bytes) -> Iterator[Tag]:
        """What a descriptor block names, in the order of the blocks that follow it."""
        is_v3 = bool(self.journal.incompat & jbd2.JBD2_CSUM_V3)
        size = TAG3.size if is_v3 else TAG.size + (4 if self._is_64bit else 0)
        size += 2 if self.journal.incompat & jbd2.JBD2_CSUM_V2 else 0
        at = HEADER.size
        while at + size <= self._limit:
            if is_v3:
                block, flags, high, checksum = TAG3.unpack_from(descriptor, at)
            else:
                block, checksum, flags = TAG.unpack_from(descriptor, at)
                high = int.from_bytes(descriptor[at + T_BLOCKNR_HIGH :][:4], "big") if self._is_64bit else 0
            yield Tag(block | high << 32 if self._is_64bit else block, flags, checksum)
            if flags & JBD2_FLAG_LAST_TAG:
                return
            at += size + (0 if flags & JBD2_FLAG_SAME_UUID else 16)

    def revoked(self, data: bytes, position: int) -> "array[int]":
        """The blocks of the file system that a revocation block names."""
        count = int.from_bytes(data[R_COUNT:REVOKE_HEADER_SIZE], "big")  # bytes, with the header
        if count > self._limit:
            found = f"r_count of a revocation block is {count} bytes, it has room for {self._limit}"
            raise LogDamaged(self.offset(position), found)
        size = 8 if self._is_64bit else 4
        records = data[REVOKE_HEADER_SIZE : max(count, REVOKE_HEADER_SIZE)]
        records = records[: len(records) // size * size]
        return array("Q", (one for (one,) in struct.iter_unpack(">Q" if size == 8 else ">I", records)))

    def is_sound(self, block: bytes) -> bool:
        """Whether the checksum at the end of a descriptor or revocation block fits, where there is one."""
        if not self.has_checksums:
            return True
        return crc32c(block[:-TAIL_SIZE] + bytes(TAIL_SIZE), self._seed) == int.from_bytes(block[-TAIL_SIZE:], "big")

    def is_sound_commit(self, block: bytes) -> bool:
        """The same of a commit block, of which the rest may not have reached the disk."""
        if not self.has_checksums:
            return True
        stored = int.from_bytes(block[H_CHKSUM : H_CHKSUM + 4], "big")
        header = block[:H_CHKSUM] + bytes(4) + block[H_CHKSUM + 4 : COMMIT_HEADER_SIZE]
        rest = block[COMMIT_HEADER_SIZE:]
        return stored == crc32c(header + rest, self._seed) or stored == crc32c(header + bytes(len(rest)), self._seed)

    def seed_of_copies(self, sequence: int) -> int:
        """What the checksums of the blocks that a transaction's descriptors name begin with."""
        return crc32c(sequence.to_bytes(4, "big"), self._seed)

    def is_sound_copy(self, tag: Tag, seed: int, block: bytes) -> bool:
        """The same of a block that a descriptor names."""
        mask = 0xFFFF_FFFF if self.journal.incompat & jbd2.JBD2_CSUM_V3 else 0xFFFF
        return crc32c(block, seed) & mask == tag.checksum


class TransactionChecksum:
    """The checksum of version 1 over all descriptors and copies of a transaction: CRC-32, highest bit first.

    That of zlib has the lowest bit first, so every byte is turned round.
    """

    def __init__(self) -> None:
        self._register = 0

    def add(self, block: bytes) -> None:
        """Go on with this block."""
        self._register = zlib.crc32(block.translate(_REVERSED), self._register)

    def is_in(self, commit: bytes) -> bool:
        """Whether a commit block has this checksum, or none."""
        kind = H_CHKSUM_TYPE.unpack_from(commit)
        stored = int.from_bytes(commit[H_CHKSUM : H_CHKSUM + 4], "big")
        if kind == (0, 0) and not stored:
            return True
        register = (self._register ^ 0xFFFF_FFFF).to_bytes(4, "little").translate(_REVERSED)
        return kind == JBD2_CRC32 and stored == int.from_bytes(register, "big")


_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
