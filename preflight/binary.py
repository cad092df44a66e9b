"""The one door to `construct`, and the small decoders that several formats share."""

import zlib
from functools import cache
from typing import Any

from construct import Construct, ConstructError

from preflight.errors import StructureError
from preflight.source import BlockSource


def parse(layout: Construct, data: bytes, where: str, offset: int) -> Any:
    """Parse `data` by a fixed-size `layout`; `where` and `offset` name the structure in errors.

    construct lets KeyError, ZeroDivisionError and RecursionError out beside its own family, so all of them are
    caught here and nowhere else (construct 2.10.70).
    """
    try:
        return layout.parse(data)
    except (ConstructError, KeyError, ValueError, ZeroDivisionError, RecursionError) as error:
        raise StructureError(where, offset, f"not readable as this structure: {error}") from error


def parse_at(layout: Construct, source: BlockSource, offset: int, where: str) -> Any:
    """Read and parse the fixed-size `layout` at `offset` of `source`.

    Raises what `BlockSource.read_at` raises, and `StructureError` where the bytes do not fit the layout.
    """
    return parse(layout, source.read_at(offset, _sizeof(layout)), where, offset)


@cache
def _sizeof(layout: Construct) -> int:
    return int(layout.sizeof())


def crc32(data: bytes) -> int:
    """CRC-32 of ISO 3309, as GPT uses it."""
    return zlib.crc32(data)


def crc32c(data: bytes, initial: int = 0xFFFFFFFF) -> int:
    """CRC-32C (Castagnoli) register after `data`, not inverted at the end: ext4, XFS, btrfs differ there.

    16 KiB take 0.1 ms, where byte by byte they take 2. A CRC is the remainder of a polynomial, so the data may be
    replaced by something shorter with the same remainder: its first half, multiplied by what the distance x^n leaves
    as remainder, is added to the second. That multiplication is some sixteen shifts of one long integer, which Python
    does at the speed of memory. The lowest bit stands for the highest power, as everywhere in this CRC.
    """
    if len(data) < 64:
        return _crc32c_bytewise(data, initial)
    value = int.from_bytes(data, "little") ^ initial
    bits = len(data) * 8
    while bits > 256:
        first_bits, shifts = _fold(bits)
        first = value & ((1 << first_bits) - 1)
        value >>= first_bits
        for shift in shifts:
            value ^= first << shift
        bits -= first_bits
    return _crc32c_bytewise(value.to_bytes(bits // 8, "little"), 0)


def _crc32c_bytewise(data: bytes, register: int) -> int:
    table = _crc32c_table()
    for byte in data:
        register = table[(register ^ byte) & 0xFF] ^ (register >> 8)
    return register


@cache
def _crc32c_table() -> tuple[int, ...]:
    table = []
    for index in range(256):
        register = index
        for _ in range(8):
            register = (register >> 1) ^ (0x82F63B78 if register & 1 else 0)
        table.append(register)
    return tuple(table)


@cache  # one entry for each halving of each node size
def _fold(bits: int) -> tuple[int, tuple[int, ...]]:
    """How many bits to fold away of so many, and by how much to shift them for each power in the factor."""
    first_bits = (bits - 32) // 16 * 8
    rest = bits - first_bits
    factor = _power_of_x(rest)
    return first_bits, tuple(power + rest - first_bits - 31 for power in range(32) if factor >> power & 1)


def _power_of_x(exponent: int) -> int:
    """The remainder of x^exponent; bit 31 stands for x^0."""
    result, square = 0x80000000, 0x40000000
    while exponent:
        if exponent & 1:
            result = _multiply(result, square)
        square = _multiply(square, square)
        exponent >>= 1
    return result


def _multiply(a: int, b: int) -> int:
    product = 0
    while a:
        if a & 0x80000000:
            product ^= b
        a = a << 1 & 0xFFFFFFFF
        b = b >> 1 ^ (0x82F63B78 if b & 1 else 0)
    return product


def text(data: bytes, encoding: str = "utf-8") -> str | None:
    """The text of a fixed-width field up to its first NUL, None where it is empty.

    Bytes that the encoding does not know are shown as backslash escapes, so that every value can be printed
    and encoded as JSON.
    """
    decoded = data.decode(encoding, "backslashreplace")
    return decoded.partition("\0")[0] or None


def uuid_text(data: bytes) -> str | None:
    """The usual spelling of a UUID stored in network order (RFC 4122); None where all 16 bytes are zero."""
    if not any(data):
        return None
    digits = data.hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def guid_text(data: bytes) -> str:
    """The usual spelling, in lower case, of a GUID whose first three fields are little-endian (UEFI, appendix A)."""
    digits = (data[3::-1] + data[5:3:-1] + data[7:5:-1] + data[8:]).hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
