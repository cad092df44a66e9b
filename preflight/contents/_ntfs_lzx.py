"""LZX, as `compact /exe:lzx` uses it: chunks of 32 KiB, each by itself, and calls of x86 made absolute in it.

Specification: [MS-PATCH] 2, https://learn.microsoft.com/openspecs/exchange_server_protocols/ms-patch/, with the
differences of WIM files: the size of a block is a flag for 32 KiB or 16 bits, and the size for calls is 12,000,000.
"""

from typing import NamedTuple

from preflight.contents._ntfs_codes import Bits, copy, table
from preflight.units import KiB

WINDOW = 32 * KiB
VERBATIM, ALIGNED, UNCOMPRESSED = 1, 2, 3
LITERALS = 256
POSITION_SLOTS = 30  # of a window of 32 KiB
LENGTH_HEADERS = 8  # in a symbol of the main code; the last one goes on in the length code
LENGTHS = 249
MIN_MATCH = 2
MAIN_BITS, LENGTH_BITS, PRE_BITS, ALIGNED_BITS = 16, 16, 15, 7
PRE_SYMBOLS, ALIGNED_SYMBOLS = 20, 8
ZEROS, MORE_ZEROS, SAME = 17, 18, 19  # symbols of the pre-code for many lengths
RECENT = 3  # distances that have a slot of their own
CALL = 0xE8
CALL_TAIL = 10  # bytes at the end in which no call is changed
CALL_SIZE = 12_000_000


def _slots() -> tuple[tuple[int, int], ...]:
    """Of each position slot the first distance, and in how many bits the rest is."""
    found, first = [], 0
    for slot in range(POSITION_SLOTS):
        extra = max(0, slot // 2 - 1)
        found.append((first - (RECENT - 1), extra))
        first += 1 << extra
    return tuple(found)


SLOTS = _slots()


class _Codes(NamedTuple):
    """Of one block."""

    main: list[int]
    length: list[int] | None
    aligned: list[int] | None


def decompress(data: bytes, size: int) -> bytes:
    """The `size` bytes of a chunk; `ValueError` where it is damaged."""
    bits = Bits(data)
    out = bytearray()
    main = [0] * (LITERALS + POSITION_SLOTS * LENGTH_HEADERS)
    lengths = [0] * LENGTHS
    recent = [1] * RECENT
    while len(out) < size:
        kind = bits.take(3)
        end = len(out) + (WINDOW if bits.take(1) else bits.take(16))
        if not len(out) < end <= size:
            raise ValueError(f"a block goes from byte {len(out)} to {end}, the chunk has {size}")
        if kind == UNCOMPRESSED:
            _copy_block(bits, out, end, recent)
            continue
        if kind not in (VERBATIM, ALIGNED):
            raise ValueError(f"a block is of type {kind}, known are 1 to 3")
        aligned = table([bits.take(3) for _ in range(ALIGNED_SYMBOLS)], ALIGNED_BITS) if kind == ALIGNED else None
        _read_lengths(bits, main, 0, LITERALS)
        _read_lengths(bits, main, LITERALS, len(main))
        _read_lengths(bits, lengths, 0, LENGTHS)
        main_table = table(main, MAIN_BITS)
        if main_table is None or (kind == ALIGNED and aligned is None):
            raise ValueError("no symbol has a code")
        _decode_block(bits, out, end, recent, _Codes(main_table, table(lengths, LENGTH_BITS), aligned))
        bits.check()
    bits.check()
    _restore_calls(out)
    return bytes(out)


def _copy_block(bits: Bits, out: bytearray, end: int, recent: list[int]) -> None:
    bits.drop()
    for index in range(RECENT):
        recent[index] = int.from_bytes(bits.bytes(4), "little")
    if 0 in recent:
        raise ValueError("a recent distance is 0")
    count = end - len(out)
    out += bits.bytes(count)
    if count & 1 and bits.position < len(bits.data):
        bits.bytes(1)


def _read_lengths(bits: Bits, lengths: list[int], start: int, end: int) -> None:
    """The lengths of codes, told as differences to those of the block before."""
    codes = table([bits.take(4) for _ in range(PRE_SYMBOLS)], PRE_BITS)
    if codes is None:
        raise ValueError("no symbol has a code")
    while start < end:
        symbol = bits.symbol(codes, PRE_BITS)
        count, length = 1, 0
        if symbol == ZEROS:
            count = 4 + bits.take(4)
        elif symbol == MORE_ZEROS:
            count = 20 + bits.take(5)
        else:
            if symbol == SAME:
                count = 4 + bits.take(1)
                symbol = bits.symbol(codes, PRE_BITS)
                if symbol >= ZEROS:
                    raise ValueError(f"symbol {symbol} repeats no length")
            length = (lengths[start] - symbol) % 17
        count = min(count, end - start)
        lengths[start : start + count] = [length] * count
        start += count


def _decode_block(bits: Bits, out: bytearray, end: int, recent: list[int], codes: _Codes) -> None:
    while len(out) < end:
        symbol = bits.symbol(codes.main, MAIN_BITS)
        if symbol < LITERALS:
            out.append(symbol)
            continue
        slot, length = divmod(symbol - LITERALS, LENGTH_HEADERS)
        if length == LENGTH_HEADERS - 1:
            if codes.length is None:
                raise ValueError("a match needs a length, no symbol has a code")
            length += bits.symbol(codes.length, LENGTH_BITS)
        if slot < RECENT:
            distance = recent[slot]
            recent[slot] = recent[0]
        else:
            distance, extra = SLOTS[slot]
            if codes.aligned is not None and extra >= 3:
                distance += bits.take(extra - 3) << 3
                distance += bits.symbol(codes.aligned, ALIGNED_BITS)
            else:
                distance += bits.take(extra)
            recent[1:] = recent[:2]
        recent[0] = distance
        copy(out, distance, length + MIN_MATCH, end)


def _restore_calls(out: bytearray) -> None:
    """Make the targets of calls relative again."""
    end = len(out) - CALL_TAIL
    position = out.find(CALL, 0, max(end, 0))
    while position >= 0:
        target = int.from_bytes(out[position + 1 : position + 5], "little", signed=True)
        if -position <= target < CALL_SIZE:
            target += CALL_SIZE if target < 0 else -position
            out[position + 1 : position + 5] = target.to_bytes(4, "little", signed=True)
        position = out.find(CALL, position + 5, max(end, 0))
