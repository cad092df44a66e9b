"""Sound disks and files, and inputs that are changes of them: a mutation of a file system is some bytes of it.

An input is the number of a base in its first byte, then records: an offset (40 bits, little-endian), a length in one
byte, and as many bytes. A record of length 0 sets the size of the disk to its offset. So an input stays small, however
large the disk is, and what a mutation leaves alone stays sound.
"""

import os
import random
from bisect import bisect_right
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, NamedTuple, Self

from preflight.errors import BudgetExhausted
from preflight.source import BlockSource, check_bounds
from preflight.units import GiB, KiB, MiB

CHUNK = 16 * KiB
HEAD = 6
MAX_PIECE = 255
MAX_RECORDS = 64
MAX_INPUT = 1 + MAX_RECORDS * (HEAD + 16)  # most records are of one field
MAX_SIZE = 64 * GiB
MAX_READS = 16_384  # as an inspection has them, but smaller: the same bound is met sooner
MAX_BYTES_READ = 64 * MiB
MAX_HOT = 4096
_ZEROS = bytes(CHUNK)


class Sparse:
    """A disk of which memory holds what is not zero."""

    def __init__(self, size: int, parts: int = 1) -> None:
        self.size = size
        self.parts = parts
        """Members of a volume manager that lie on it one after another, each of the same size."""
        self._chunks: dict[int, bytes] = {}

    @classmethod
    def of_pieces(cls, size: int, *pieces: tuple[int, bytes]) -> Self:
        """Zeros but for these bytes at these offsets."""
        found = cls(size)
        for offset, data in pieces:
            found._put(offset, data)
        return found

    @classmethod
    def of_file(cls, path: Path) -> Self:
        """The bytes of a file; its holes are not read."""
        with path.open("rb") as file:
            found = cls(os.fstat(file.fileno()).st_size)
            at = 0
            while at < found.size:
                try:
                    at = os.lseek(file.fileno(), at, os.SEEK_DATA)
                except OSError:  # only a hole is left
                    break
                end = os.lseek(file.fileno(), at, os.SEEK_HOLE)
                while at < end:
                    data = os.pread(file.fileno(), min(MiB, end - at), at)
                    found._put(at, data)
                    at += len(data)
        return found

    @classmethod
    def of_members(cls, members: Sequence[bytes]) -> Self:
        """Members of a volume manager, beside each other."""
        size = max(map(len, members))
        found = cls(size * len(members), len(members))
        for number, data in enumerate(members):
            found._put(number * size, data)
        return found

    def _put(self, offset: int, data: bytes) -> None:
        while data:
            number, skip = divmod(offset, CHUNK)
            piece, data = data[: CHUNK - skip], data[CHUNK - skip :]
            if piece != _ZEROS[: len(piece)]:
                old = self._chunks.get(number, _ZEROS)
                self._chunks[number] = old[:skip] + piece + old[skip + len(piece) :]
            offset += len(piece)

    def read_at(self, offset: int, size: int) -> bytes:
        check_bounds("the disk", self.size, offset, size)
        first, skip = divmod(offset, CHUNK)
        if skip + size <= CHUNK:
            return self._chunks.get(first, _ZEROS)[skip : skip + size]
        last = (offset + size - 1) // CHUNK
        data = b"".join(self._chunks.get(number, _ZEROS) for number in range(first, last + 1))
        return data[skip : skip + size]


class Counted:
    """A base with changes and with the budget of an inspection, which remembers what was read of it."""

    def __init__(self, base: Sparse, size: int, changes: Sequence[tuple[int, bytes]] = ()) -> None:
        self.size = size
        self.parts = base.parts
        self.reads = 0
        self.bytes_read = 0
        self.ranges: dict[tuple[int, int], None] = {}
        self._base = base
        self._changes = changes
        self._max_reads, self._max_bytes = MAX_READS, MAX_BYTES_READ

    def allow(self, *, reads: int, size: int) -> None:
        """As `FileSource.allow`, but never for more than fuzzing gives."""
        self._max_reads = self.reads + min(reads, MAX_READS)
        self._max_bytes = self.bytes_read + min(size, MAX_BYTES_READ)

    def read_at(self, offset: int, size: int) -> bytes:
        check_bounds("the disk", self.size, offset, size)
        self.reads += 1
        self.bytes_read += size
        if self.reads > self._max_reads or self.bytes_read > self._max_bytes:
            raise BudgetExhausted("the disk", offset, "fuzzing gives no more reads")
        if len(self.ranges) < MAX_HOT:
            self.ranges[offset, size] = None
        there = max(min(size, self._base.size - offset), 0)
        data = self._base.read_at(offset, there) if there else b""
        if there < size:
            data += bytes(size - there)
        changed = None
        for start, new in self._changes:
            if start < offset + size and offset < start + len(new):
                changed = bytearray(data) if changed is None else changed
                skip = max(offset - start, 0)
                piece = new[skip : offset + size - start]
                at = start + skip - offset
                changed[at : at + len(piece)] = piece
        return data if changed is None else bytes(changed)


class Record(NamedTuple):
    """A change; without bytes, of the size."""

    offset: int
    data: bytes


_latest: list[Counted] = []  # what `changed` gave last


def changed(bases: Sequence[Sparse], data: bytes) -> Counted:
    """The disk that an input stands for."""
    base = bases[(data[0] if data else 0) % len(bases)]
    records = unpacked(data)
    sizes = [record.offset for record in records if not record.data]
    size = sizes[-1] % (MAX_SIZE + 1) if sizes else base.size
    found = Counted(base, size, [(record.offset, record.data) for record in records if record.data])
    _latest[:] = [found]
    return found


def unpacked(data: bytes) -> list[Record]:
    """The records of an input."""
    found: list[Record] = []
    at = 1
    while at + HEAD <= len(data) and len(found) < MAX_RECORDS:
        length = data[at + 5]
        found.append(Record(int.from_bytes(data[at : at + 5], "little"), data[at + HEAD : at + HEAD + length]))
        at += HEAD + length
    return found


def packed(base: int, records: Sequence[Record], max_size: int) -> bytes:
    """The input of a base and the latest of these records, as many as there is room for."""
    parts: list[bytes] = []
    room = max_size - 1
    for offset, data in reversed(records[-MAX_RECORDS:]):
        room -= HEAD + len(data)
        if room < 0:
            break
        parts.append((offset & 0xFF_FFFF_FFFF).to_bytes(5, "little") + bytes([len(data)]) + data)
    return bytes([base]) + b"".join(reversed(parts))


class Hot:
    """What is read of a sound base: where changes are worth while."""

    def __init__(self, base: Sparse, ranges: Sequence[tuple[int, int]]) -> None:
        self._base = base
        self._ranges = [(offset, min(size, base.size - offset)) for offset, size in ranges if offset < base.size]
        self._words: dict[tuple[int, int], list[int]] = {}

    def __bool__(self) -> bool:
        return bool(self._ranges)

    def place(self, rng: random.Random) -> int:
        """An offset: all reads are as likely, and in a read mostly what is not zero, often its beginning."""
        where = rng.choice(self._ranges)
        words = self._words.get(where)
        if words is None:
            offset, size = where
            data = self._base.read_at(offset, min(size, 64 * KiB))
            words = [at for at in range(0, len(data), 4) if any(data[at : at + 4])] or [0]
            self._words[where] = words
        choice = rng.random()
        if choice < 0.4:
            inside = words[rng.randrange(bisect_right(words, words[0] + 128))]
        elif choice < 0.9:
            inside = rng.choice(words)
        else:
            inside = rng.randrange(max(where[1], 1))
        return where[0] + inside + rng.choice((0, 0, 0, 1, 2, 3))

    def bytes_at(self, offset: int, size: int) -> bytes:
        """The base's own, zeros past its end."""
        there = max(min(size, self._base.size - offset), 0)
        return (self._base.read_at(offset, there) if there else b"").ljust(size, b"\0")


def mutator(
    bases: Sequence[Sparse], hot: Sequence[Hot], mutate: Callable[[bytes, int], bytes]
) -> Callable[[bytes, int, int], bytes]:
    """Return the custom mutator: mostly a field of what is read (`hot`, for each base) changes."""

    def apply(data: bytes, max_size: int, seed: int) -> bytes:
        rng = random.Random(seed)
        base = (data[0] if data else 0) % len(bases)
        records = unpacked(data)
        for _ in range(rng.choice((1, 1, 1, 2, 3))):
            choice = rng.random()
            if choice < 0.02:
                base = rng.randrange(len(bases))
            elif choice < 0.04:
                size = max(bases[base].size + rng.choice((-1, 1, 512, -512, -4096, 1 << rng.randrange(36))), 0)
                records.append(Record(rng.choice((size, rng.randrange(1 << rng.randrange(1, 36)))), b""))
            elif choice < 0.10 and records:
                records.pop(rng.randrange(len(records)))
            elif (choice < 0.40 and records) or not hot[base]:
                at = rng.randrange(len(records)) if records else 0
                offset, old = records[at] if records else (0, bytes(8))
                records[at : at + 1] = [Record(offset, _changed(old or bytes(8), rng, mutate))]
            elif choice < 0.52:  # a piece in the place of another
                size = rng.choice((4, 8, 16, 24, 32, 64, 128))
                records.append(Record(hot[base].place(rng), hot[base].bytes_at(hot[base].place(rng), size)))
            else:
                offset = hot[base].place(rng)
                width = rng.choice((1, 2, 2, 4, 4, 4, 8, 8, 16))
                records.append(Record(offset, _changed(hot[base].bytes_at(offset, width), rng, mutate)))
        return packed(base, records, max_size)

    return apply


def _changed(old: bytes, rng: random.Random, mutate: Callable[[bytes, int], bytes]) -> bytes:
    """Other bytes of this length, mostly as one or more numbers."""
    if len(old) <= 16 and rng.random() < 0.7:
        changed = bytearray(old)
        width = rng.choice([width for width in (1, 2, 4, 8) if width <= len(old)])
        at = rng.randrange(0, len(old) - width + 1, width)
        order: Literal["little", "big"] = rng.choice(("little", "big"))
        number = int.from_bytes(changed[at : at + width], order)
        top = 1 << (8 * width)
        small = rng.randrange(64)
        news = (0, 1, top - 1, top // 2, number + 1, number - 1, number * 2, number // 2, small, number + small)
        new = rng.choice((*news, number ^ 1 << rng.randrange(8 * width), 1 << rng.randrange(8 * width)))
        changed[at : at + width] = (new % top).to_bytes(width, order)
        return bytes(changed)
    return bytes(mutate(old, min(len(old), MAX_PIECE))).ljust(len(old), b"\0")[: min(len(old), MAX_PIECE)]


def watched(run: Callable[[bytes], object], bases: Sequence[Sparse], number: int) -> Hot:
    """What a target reads of a sound base."""
    _latest.clear()
    run(bytes([number]))
    return Hot(bases[number], list({place: None for source in _latest for place in source.ranges}))


def materialised(source: BlockSource, path: Path) -> Sparse:
    """A source as a file with holes, made once."""
    if not path.exists():
        with path.open("wb") as file:
            for offset in range(0, source.size, CHUNK):
                data = source.read_at(offset, min(CHUNK, source.size - offset))
                if data != _ZEROS[: len(data)]:
                    file.seek(offset)
                    file.write(data)
            file.truncate(source.size)
    return Sparse.of_file(path)
