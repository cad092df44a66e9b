"""Logs of jbd2, written block by block into the journal of a file system that mke2fs made.

Layouts as in https://docs.kernel.org/filesystems/ext4/journal.html.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from preflight.binary import crc32c
from preflight.units import KiB, MiB
from tests.tools import run, sparse

BLOCK = KiB
SIZE = 8 * MiB
BLOCKS = SIZE // BLOCK
MAXLEN = 1024  # blocks: the least that mke2fs makes
MAGIC = bytes.fromhex("c03b3998")
SEQUENCE = 7
ESCAPE, SAME_UUID, LAST_TAG = 1, 2, 8
COMPAT_CHECKSUM = 0x1
REVOKE, BITS64, ASYNC_COMMIT, CSUM_V2, CSUM_V3, FAST_COMMIT = 0x1, 0x2, 0x4, 0x8, 0x10, 0x20
UUID = bytes(range(16))
TIME = 1_700_000_000


def be(value: int, size: int = 4) -> bytes:
    return value.to_bytes(size, "big")


def crc32_be(data: bytes, register: int = 0xFFFF_FFFF) -> int:
    """CRC-32 with the highest bit first, by its definition."""
    for byte in data:
        register ^= byte << 24
        for _ in range(8):
            register = (register << 1 ^ (0x04C1_1DB7 if register >> 31 else 0)) & 0xFFFF_FFFF
    return register


@dataclass
class Format:
    """The features of a journal, and the blocks that they ask for."""

    compat: int = 0
    incompat: int = 0
    summed: bytes = field(default=b"", init=False)
    """What the checksum of version 1 covers, since the last commit block."""

    @property
    def seed(self) -> int:
        return crc32c(UUID)

    @property
    def has_tails(self) -> bool:
        return bool(self.incompat & (CSUM_V2 | CSUM_V3))

    def descriptor(
        self, *copies: tuple[int, bytes], sequence: int = SEQUENCE, flags: Iterable[int] = (), last: bool = True
    ) -> bytes:
        """A descriptor block, and behind it the blocks that it names; `flags` in addition to those they need."""
        added = [*flags, *[0] * len(copies)]
        data = MAGIC + be(1) + be(sequence)
        for number, (block, content) in enumerate(copies):
            bits = added[number] | (SAME_UUID if number else 0)
            bits |= LAST_TAG if last and number == len(copies) - 1 else 0
            checksum = crc32c(content, crc32c(be(sequence), self.seed)) if self.has_tails else 0
            if self.incompat & CSUM_V3:
                data += be(block & 0xFFFF_FFFF) + be(bits) + be(block >> 32) + be(checksum)
            else:
                data += be(block & 0xFFFF_FFFF) + be(checksum & 0xFFFF, 2) + be(bits, 2)
                data += be(block >> 32) if self.incompat & BITS64 else b""
                data += bytes(2) if self.incompat & CSUM_V2 else b""
            data += UUID if not bits & SAME_UUID else b""
        whole = self._with_tail(data) + b"".join(content for _, content in copies)
        self.summed += whole
        return whole

    def revocation(self, *blocks: int, sequence: int = SEQUENCE, count: int | None = None) -> bytes:
        """A revocation block of these blocks; `count` is what it says instead of its own size."""
        size = 8 if self.incompat & BITS64 else 4
        count = 16 + size * len(blocks) if count is None else count
        return self._with_tail(MAGIC + be(5) + be(sequence) + be(count) + b"".join(be(one, size) for one in blocks))

    def commit(self, sequence: int = SEQUENCE, time: int = TIME) -> bytes:
        """A commit block."""
        kind, checksum = bytes(2), 0
        if self.compat & COMPAT_CHECKSUM:
            kind, checksum = bytes((1, 4)), crc32_be(self.summed)
        self.summed = b""
        start = MAGIC + be(2) + be(sequence) + kind + bytes(2)
        if self.has_tails:
            checksum = crc32c((start + bytes(32) + be(time, 8)).ljust(BLOCK, b"\0"), self.seed)
        return (start + be(checksum) + bytes(28) + be(time, 8)).ljust(BLOCK, b"\0")

    def _with_tail(self, data: bytes) -> bytes:
        if not self.has_tails:
            return data.ljust(BLOCK, b"\0")
        data = data.ljust(BLOCK - 4, b"\0")
        return data + be(crc32c(data + bytes(4), self.seed))


def made(path: Path, *options: str, blocks: int = MAXLEN) -> Path:
    """A file system of `BLOCKS` blocks with a journal of `blocks` blocks."""
    run("mke2fs", "-q", "-F", "-b", str(BLOCK), "-J", f"size={blocks * BLOCK // MiB}", *options, sparse(path, SIZE))
    return path


def journal_of(path: Path) -> list[int]:
    """The bytes where the blocks of its journal begin."""
    asked = "".join(f"bmap <8> {number}\n" for number in range(2 * MAXLEN))
    words = run("debugfs", "-f", "-", path, stdin=asked).splitlines()
    return [int(word) * BLOCK for word in words if word.isdecimal() and word != "0"]


def write(
    path: Path,
    form: Format,
    log: bytes,
    *,
    start: int = 1,
    end: int = MAXLEN,
    recover: bool = True,
    places: Sequence[int] = (),
) -> Path:
    """Let the journal of the file system have this log, from its block `start` on; behind `end` comes its first one.

    `places` of its blocks, where these are not to be asked for.
    """
    places = places or journal_of(path)
    with path.open("r+b") as file:
        for number in range(0, len(log), BLOCK):
            position = start + number // BLOCK
            while position >= end:
                position -= end - 1
            file.seek(places[position])
            file.write(log[number : number + BLOCK])
        file.seek(places[0])
        superblock = bytearray(file.read(KiB))
        superblock[0x18:0x20] = be(SEQUENCE) + be(start)
        superblock[0x24:0x2C] = be(form.compat) + be(form.incompat)
        superblock[0x30:0x40] = UUID
        superblock[0x50] = 4 if form.has_tails else 0
        if form.has_tails:
            superblock[0xFC:0x100] = bytes(4)
            superblock[0xFC:0x100] = be(crc32c(bytes(superblock)))
        file.seek(places[0])
        file.write(superblock)
    if recover:
        run("debugfs", "-w", "-R", "feature needs_recovery", path)
    return path
