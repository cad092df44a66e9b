"""XPRESS with Huffman codes, as `compact /exe:xpress4k` and its like use it: a chunk of at most 16 KiB.

Specification: [MS-XCA] 2.2, https://learn.microsoft.com/openspecs/windows_protocols/ms-xca/
"""

from preflight.contents._ntfs_codes import Bits, copy, table

TABLE_SIZE = 256  # bytes: the length of the code of each of 512 symbols, in 4 bits
MAX_CODE = 15  # bits
FIRST_MATCH = 256  # symbols below it are bytes
MIN_MATCH = 3
LONG = 15  # a length that goes on in a byte, and where this is full in a word


def decompress(data: bytes, size: int) -> bytes:
    """The `size` bytes of a chunk; `ValueError` where it is damaged."""
    if len(data) < TABLE_SIZE:
        raise ValueError(f"it has {len(data)} bytes, its codes alone take {TABLE_SIZE}")
    codes = table([length for byte in data[:TABLE_SIZE] for length in (byte & 15, byte >> 4)], MAX_CODE)
    if codes is None:
        raise ValueError("no symbol has a code")
    bits = Bits(data)
    bits.position = TABLE_SIZE
    out = bytearray()
    while len(out) < size:
        symbol = bits.symbol(codes, MAX_CODE)
        if symbol < FIRST_MATCH:
            out.append(symbol)
            continue
        length, log2_distance = symbol & 15, symbol >> 4 & 15
        bits.ensure(16)
        distance = 1 << log2_distance | bits.take(log2_distance)
        if length == LONG:
            length += bits.bytes(1)[0]
            if length == LONG + 0xFF:
                length = int.from_bytes(bits.bytes(2), "little")
                if length < LONG:
                    raise ValueError(f"a match has a length of {length} in a word, {LONG} is the least")
        copy(out, distance, length + MIN_MATCH, size)
    bits.check()
    return bytes(out)
