"""Sound disks and files, and inputs that are changes of them: a mutation of a file system is some sectors of it.

An input is the number of a base in its first byte, then records of a sector's number (32 bits, little-endian) and its
512 bytes. The record of sector 0xFFFFFFFF begins with another size of the disk. So an input stays small, however large
the disk is, and what a mutation leaves alone stays sound.
"""

import random
import struct
from collections.abc import Callable, Sequence
from typing import Literal

from preflight.errors import BudgetExhausted
from preflight.source import BlockSource, check_bounds
from preflight.units import GiB, MiB

SECTOR = 512
RECORD = 4 + SECTOR
RESIZE = 0xFFFFFFFF
MAX_RECORDS = 64
MAX_SIZE = 64 * GiB
MAX_READS = 16_384  # as an inspection has them, but smaller: the same bound is met sooner
MAX_BYTES_READ = 64 * MiB

_latest: list["Counted"] = []  # what `changed` gave last


class Counted:
    """A source with the budget of an inspection, which remembers what sectors were asked for."""

    def __init__(self, source: BlockSource, size: int | None = None, changes: dict[int, bytes] | None = None) -> None:
        self._source = source
        self._size = source.size if size is None else size
        self._changes = changes or {}
        self._reads = 0
        self._bytes = 0
        self.sectors: set[int] = set()

    @property
    def size(self) -> int:
        return self._size

    def read_at(self, offset: int, size: int) -> bytes:
        check_bounds("the disk", self._size, offset, size)
        self._reads += 1
        self._bytes += size
        if self._reads > MAX_READS or self._bytes > MAX_BYTES_READ:
            raise BudgetExhausted("the disk", offset, "fuzzing gives no more reads")
        there = max(min(size, self._source.size - offset), 0)
        data = bytearray(self._source.read_at(offset, there) if there else b"")
        data += bytes(size - there)
        first, last = offset // SECTOR, (offset + size - 1) // SECTOR
        if len(self.sectors) < 4096:
            self.sectors.update(range(first, min(last, first + 63) + 1))
        for number, new in self._changes.items():
            if first <= number <= last:
                start = number * SECTOR - offset
                skip = max(-start, 0)
                piece = new[skip : size - start]
                data[start + skip : start + skip + len(piece)] = piece
        return bytes(data)


def changed(bases: Sequence[BlockSource], data: bytes) -> Counted:
    """The disk that an input stands for."""
    base = bases[(data[0] if data else 0) % len(bases)]
    size, changes = base.size, {}
    for number, sector in _records(data):
        if number == RESIZE:
            size = int.from_bytes(sector[:8], "little") % (MAX_SIZE + 1)
        else:
            changes[number] = sector
    found = Counted(base, size, changes)
    _latest[:] = [found]
    return found


def _records(data: bytes) -> list[tuple[int, bytes]]:
    found = []
    for at in range(1, min(len(data), 1 + MAX_RECORDS * RECORD), RECORD):
        piece = data[at : at + RECORD].ljust(RECORD, b"\0")
        found.append((struct.unpack_from("<I", piece)[0], piece[4:]))
    return found


def mutator(
    bases: Sequence[BlockSource], hot: Sequence[Sequence[int]], mutate: Callable[[bytes, int], bytes]
) -> Callable[[bytes, int, int], bytes]:
    """Return the custom mutator: mostly a few bytes of a sector that is read (`hot`, for each base) change."""

    def apply(data: bytes, max_size: int, seed: int) -> bytes:
        rng = random.Random(seed)
        base = (data[0] if data else 0) % len(bases)
        records = _records(data)
        choice = rng.random()
        if choice < 0.03:
            base = rng.randrange(len(bases))
        elif choice < 0.06:
            size = max(bases[base].size + rng.choice((-1, 1, 512, -512, -4096, 1 << rng.randrange(40))), 0)
            new = rng.choice((size, rng.randrange(1 << rng.randrange(1, 36)), bases[base].size // 2))
            records.append((RESIZE, new.to_bytes(8, "little").ljust(SECTOR, b"\0")))
        elif choice < 0.10 and records:
            records.pop(rng.randrange(len(records)))
        elif choice < 0.14 and records and hot[base]:  # a sector in the place of another
            records.append((rng.choice(hot[base]), rng.choice(records)[1]))
        elif (records and choice < 0.60) or not hot[base]:
            at = rng.randrange(len(records)) if records else 0
            number, sector = records[at] if records else (0, bytes(SECTOR))
            records[at : at + 1] = [(number, _changed_sector(sector, rng, mutate))]
        else:
            number = rng.choice(hot[base])
            kept_sector = dict(records).get(number)
            if kept_sector is None:
                kept_sector = Counted(bases[base], (number + 1) * SECTOR).read_at(number * SECTOR, SECTOR)
            records.append((number, _changed_sector(kept_sector, rng, mutate)))
        kept = dict(records)
        room = max((max_size - 1) // RECORD, 0)
        packed = b"".join(struct.pack("<I", number) + sector for number, sector in list(kept.items())[-room:])
        return bytes([base]) + packed

    return apply


def _changed_sector(sector: bytes, rng: random.Random, mutate: Callable[[bytes, int], bytes]) -> bytes:
    changed = bytearray(sector)
    if rng.random() < 0.5:
        width = rng.choice((1, 2, 4, 8))
        at = rng.randrange(0, SECTOR, width)
        order: Literal["little", "big"] = rng.choice(("little", "big"))
        old = int.from_bytes(changed[at : at + width], order)
        top = 1 << (8 * width)
        new = rng.choice((0, 1, top - 1, top // 2, old + 1, old - 1, old * 2, old ^ 1 << rng.randrange(8 * width)))
        changed[at : at + width] = (new % top).to_bytes(width, order)
        return bytes(changed)
    return bytes(mutate(sector, SECTOR)).ljust(SECTOR, b"\0")[:SECTOR]


def watched(run: Callable[[bytes], object], number: int) -> list[int]:
    """The sectors that a target reads of a sound base."""
    _latest.clear()
    run(bytes([number]))
    return sorted({sector for source in _latest for sector in source.sectors})
