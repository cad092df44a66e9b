"""LZNT1, with which NTFS compresses: chunks of 4 KiB, each by itself.

Specification: [MS-XCA] 2.5, https://learn.microsoft.com/openspecs/windows_protocols/ms-xca/
"""

from preflight.contents._ntfs_codes import copy
from preflight.units import KiB

CHUNK_SIZE = 4 * KiB
SIGNATURE = 3  # of a chunk, in bits 12 to 14 of its header
COMPRESSED = 0x8000
MIN_MATCH = 3


def chunks(data: bytes, count: int) -> list[bytes]:
    """The first `count` chunks of a compressed unit, fewer where it ends before; `ValueError` where one is cut off."""
    found: list[bytes] = []
    position = 0
    while len(found) < count and position + 2 <= len(data):
        header = int.from_bytes(data[position : position + 2], "little")
        if not header:
            break
        end = position + 3 + (header & 0x0FFF)
        if header >> 12 & 7 != SIGNATURE or end > len(data):
            raise ValueError(f"a chunk at byte {position:#x} has the header {header:#06x}, {len(data)} bytes are there")
        found.append(data[position:end])
        position = end
    return found


def decompress(chunk: bytes) -> bytes:
    """The 4 KiB of a chunk, with zeros for what it lacks; `ValueError` where it is damaged."""
    data = chunk[2:]
    if not chunk[1] << 8 & COMPRESSED:
        out = bytearray(data)
    else:
        out = bytearray()
        try:
            _decompress(data, out)
        except IndexError as error:
            raise ValueError(f"a chunk ends within a match, after {len(out)} bytes") from error
    if len(out) > CHUNK_SIZE:
        raise ValueError(f"a chunk gives {len(out)} bytes, expected are {CHUNK_SIZE}")
    return bytes(out).ljust(CHUNK_SIZE, b"\0")


def _decompress(data: bytes, out: bytearray) -> None:
    position, size = 0, len(data)
    while position < size:
        flags = data[position] | 0x100
        position += 1
        while flags > 1 and position < size:
            if not flags & 1:
                out.append(data[position])
                position += 1
            else:
                word = data[position] | data[position + 1] << 8
                position += 2
                length_bits = 16 - max(4, (len(out) - 1).bit_length())
                length = (word & (1 << length_bits) - 1) + MIN_MATCH
                copy(out, (word >> length_bits) + 1, length, CHUNK_SIZE)
            flags >>= 1
