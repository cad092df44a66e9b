"""What the decompressors for NTFS share: bits in words of 16, canonical codes, and matches.

Specification: [MS-XCA] 2.2, https://learn.microsoft.com/openspecs/windows_protocols/ms-xca/; [MS-PATCH] 2.3,
https://learn.microsoft.com/openspecs/exchange_server_protocols/ms-patch/
"""

from collections.abc import Sequence


class Bits:
    """Bits from the highest of each little-endian word of 16 on; behind the data there are zeros."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.position = 0
        """Of the next byte that is not among the bits."""
        self._buffer = 0
        self._count = 0

    def ensure(self, count: int) -> None:
        """Let at least so many bits, 16 at most, be taken from the data."""
        while self._count < count:
            word = int.from_bytes(self.data[self.position : self.position + 2], "little")
            self._buffer = (self._buffer & (1 << self._count) - 1) << 16 | word
            self._count += 16
            self.position += 2

    def take(self, count: int) -> int:
        """The next bits, 16 at most, as a number."""
        if self._count < count:
            self.ensure(count)
        self._count -= count
        return self._buffer >> self._count & (1 << count) - 1

    def symbol(self, table: Sequence[int], bits: int) -> int:
        """The next symbol of a code whose `table` has 2^`bits` places."""
        if self._count < bits:
            self.ensure(bits)
        found = table[self._buffer >> self._count - bits & (1 << bits) - 1]
        self._count -= found & 31
        return found >> 5

    def bytes(self, count: int) -> bytes:
        """The next bytes that are not among the bits; `ValueError` where the data end before."""
        end = self.position + count
        if end > len(self.data):
            raise ValueError(f"{count} bytes are needed at byte {self.position:#x}, {len(self.data)} are there")
        found = self.data[self.position : end]
        self.position = end
        return found

    def drop(self) -> None:
        """Go on behind this word: what is left of it is padding, and where nothing is, the next one is."""
        taken = self.position * 8 - self._count
        self.position, self._count = (taken // 16 + 1) * 2, 0

    def check(self) -> None:
        """`ValueError` where more was taken than the data have."""
        if self.position - self._count // 8 > len(self.data):
            raise ValueError(f"the data end too early, after {len(self.data)} bytes")


def table(lengths: Sequence[int], bits: int) -> list[int] | None:
    """A table of 2^`bits` places for a canonical code: in each the symbol, and in the lowest 5 bits its code's length.

    None where no symbol has a code; `ValueError` where the `lengths` of the codes make none that is complete.
    """
    by_length: list[list[int]] = [[] for _ in range(bits + 1)]
    for symbol, length in enumerate(lengths):
        by_length[length].append(symbol)
    if len(by_length[0]) == len(lengths):
        return None
    if sum(len(symbols) << bits - length for length, symbols in enumerate(by_length) if length) != 1 << bits:
        raise ValueError("the lengths of its codes make no complete code")
    found: list[int] = []
    for length in range(1, bits + 1):
        for symbol in by_length[length]:
            found += [symbol << 5 | length] * (1 << bits - length)
    return found


def copy(out: bytearray, distance: int, length: int, limit: int) -> None:
    """Append what is `distance` bytes before the end; `ValueError` where it is not there, or does not fit."""
    start = len(out) - distance
    if start < 0 or len(out) + length > limit:
        raise ValueError(f"a match of {length} bytes from {distance} before, where {len(out)} of {limit} bytes are")
    if length <= distance:
        out += out[start : start + length]
    else:  # it repeats what it has just written
        out += (out[start:] * (length // distance + 1))[:length]
