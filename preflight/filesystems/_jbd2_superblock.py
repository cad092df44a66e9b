"""The superblock of a journal (jbd2), as ext3 and ext4 have it in the first block of a file.

Specification: Linux kernel documentation, ext4 Data Structures and Algorithms, section Journal (jbd2), Super Block,
https://docs.kernel.org/filesystems/ext4/journal.html; what Linux asks: fs/jbd2/journal.c, journal_check_superblock
"""

from collections.abc import Iterator

from construct import Bytes, Int8ub, Int32ub, Padding, Struct

from preflight.binary import crc32c, parse
from preflight.facts import Problem
from preflight.source import BlockSource

JOURNAL = Struct(
    "h_magic" / Int32ub,
    "h_blocktype" / Int32ub,
    Padding(4),  # h_sequence
    "s_blocksize" / Int32ub,
    "s_maxlen" / Int32ub,  # blocks
    "s_first" / Int32ub,
    "s_sequence" / Int32ub,  # of the first transaction in the log
    "s_start" / Int32ub,  # where to replay from, 0 for nothing to replay
    Padding(4),  # s_errno
    "s_feature_compat" / Int32ub,
    "s_feature_incompat" / Int32ub,
    "s_feature_ro_compat" / Int32ub,
    "s_uuid" / Bytes(16),
    Padding(16),  # s_nr_users … s_max_trans_data
    "s_checksum_type" / Int8ub,
    Padding(3),
    "s_num_fc_blks" / Int32ub,
)
JOURNAL_SIZE = 1024
JOURNAL_CHECKSUM = 0xFC
JBD2_MAGIC_NUMBER = 0xC03B3998
JBD2_SUPERBLOCK_V1, JBD2_SUPERBLOCK_V2 = 3, 4
JBD2_COMPAT_CHECKSUM = 0x01
JBD2_64BIT, JBD2_ASYNC_COMMIT, JBD2_CSUM_V2, JBD2_CSUM_V3, JBD2_FAST_COMMIT = 0x02, 0x04, 0x08, 0x10, 0x20
JBD2_KNOWN_INCOMPAT = 0x3F
JBD2_CRC32C_CHKSUM = 4
JBD2_MIN_JOURNAL_BLOCKS = 1024
JBD2_DEFAULT_FAST_COMMIT_BLOCKS = 256


class Journal:
    """What the superblock of a journal says, in blocks where no other unit is named."""

    def __init__(self, source: BlockSource, offset: int) -> None:
        """Read it at this byte; raises what `read_at` raises."""
        self.offset = offset
        self._data = source.read_at(offset, JOURNAL_SIZE)
        self._fields = fields = parse(JOURNAL, self._data[: JOURNAL.sizeof()], "jbd2 superblock", offset)
        has_features = fields.h_blocktype == JBD2_SUPERBLOCK_V2
        self.compat: int = fields.s_feature_compat if has_features else 0
        self.incompat: int = fields.s_feature_incompat if has_features else 0
        self.maxlen: int = fields.s_maxlen
        self.first: int = fields.s_first
        self.start: int = fields.s_start
        self.sequence: int = fields.s_sequence
        self.uuid: bytes = fields.s_uuid
        self.fast_commit_blocks = 0
        """At the end of the journal, which are no part of the log."""
        if self.incompat & JBD2_FAST_COMMIT:
            self.fast_commit_blocks = fields.s_num_fc_blks or JBD2_DEFAULT_FAST_COMMIT_BLOCKS

    def problems(self, block_size: int, length: int) -> Iterator[Problem]:
        """What Linux refuses, where the file system has blocks of so many bytes, and the journal's file `length`."""
        fields = self._fields
        if fields.h_magic != JBD2_MAGIC_NUMBER or fields.h_blocktype not in (JBD2_SUPERBLOCK_V1, JBD2_SUPERBLOCK_V2):
            found = f"h_magic is {fields.h_magic:#010x} and h_blocktype {fields.h_blocktype}"
            yield self._problem(
                0 if fields.h_magic != JBD2_MAGIC_NUMBER else 4,
                f"{found}, expected are {JBD2_MAGIC_NUMBER:#010x} and 3 or 4",
            )
            return
        if fields.s_blocksize != block_size:
            yield self._problem(0x0C, f"s_blocksize is {fields.s_blocksize} bytes, the file system has {block_size}")
        least = JBD2_MIN_JOURNAL_BLOCKS + self.fast_commit_blocks
        if not least <= self.maxlen <= length:
            found = f"s_maxlen is {self.maxlen} blocks"
            yield self._problem(0x10, f"{found}, expected is {least} at least, and {length}, as the file has, at most")
        if not 0 < self.first < self.maxlen:
            yield self._problem(0x14, f"s_first is {self.first}, expected is 1 to {self.maxlen - 1}")
        if self.start and not self.first <= self.start < self.maxlen:
            expected = f"0 or {self.first} to {self.maxlen - 1}"
            yield self._problem(0x1C, f"s_start is {self.start}, expected is {expected}")
        if fields.h_blocktype == JBD2_SUPERBLOCK_V1:
            return
        if unknown := self.incompat & ~JBD2_KNOWN_INCOMPAT:
            yield self._problem(0x28, f"s_feature_incompat has the bits {unknown:#x}, which are unknown")
        if fields.s_feature_ro_compat:
            found = f"s_feature_ro_compat is {fields.s_feature_ro_compat:#x}"
            yield self._problem(0x2C, f"{found}, no such bits are known")
        yield from self._checksum_problems()

    def _checksum_problems(self) -> Iterator[Problem]:
        fields = self._fields
        if self.incompat & JBD2_CSUM_V2 and self.incompat & JBD2_CSUM_V3:
            yield self._problem(0x28, "s_feature_incompat has checksums of version 2 and of version 3")
        if not self.incompat & (JBD2_CSUM_V2 | JBD2_CSUM_V3):
            return
        if self.compat & JBD2_COMPAT_CHECKSUM:
            yield self._problem(0x24, "s_feature_compat has checksums of version 1, s_feature_incompat later ones")
        if fields.s_checksum_type != JBD2_CRC32C_CHKSUM:
            yield self._problem(0x50, f"s_checksum_type is {fields.s_checksum_type}, known is {JBD2_CRC32C_CHKSUM}")
        computed = crc32c(self._data[:JOURNAL_CHECKSUM] + bytes(4) + self._data[JOURNAL_CHECKSUM + 4 :])
        stored = int.from_bytes(self._data[JOURNAL_CHECKSUM : JOURNAL_CHECKSUM + 4], "big")
        if stored != computed:
            yield self._problem(JOURNAL_CHECKSUM, f"s_checksum is {stored:#010x}, computed is {computed:#010x}")

    def _problem(self, field: int, message: str) -> Problem:
        return Problem("superblock-invalid", message, "jbd2 superblock", self.offset + field)
