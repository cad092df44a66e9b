"""Decompressing what btrfs has compressed: an extent at a time, in memory known beforehand.

Specification: btrfs on-disk format, section Extent data, and btrfs documentation, Compression,
https://btrfs.readthedocs.io/en/latest/Compression.html; LZO stream format as understood by Linux's LZO decompressor,
https://docs.kernel.org/staging/lzo.html
"""

import sys
from collections.abc import Callable

from preflight.units import KiB

MAX_UNCOMPRESSED = 128 * KiB  # Linux: BTRFS_MAX_UNCOMPRESSED
MAX_COMPRESSED = 128 * KiB  # Linux: BTRFS_MAX_COMPRESSED
ZSTD_WINDOW_LOG = 17  # Linux: ZSTD_BTRFS_MAX_WINDOWLOG; a larger window would be larger than any extent

Decompressor = Callable[[bytes, int, int], bytes]
"""From compressed bytes, how many come out at most, and sectorsize; `ValueError` where they are damaged."""


def decompress(compression: int, data: bytes, size: int, sectorsize: int) -> bytes:
    """The `size` bytes of a compressed extent, with zeros for what its end may lack.

    Raises `ValueError` where `compression` is none, or the data are damaged.
    """
    decompressor = DECOMPRESSORS.get(compression)
    if decompressor is None:
        raise ValueError(f"compression is {compression}, known are 1 (zlib), 2 (lzo) and 3 (zstd)")
    if size > MAX_UNCOMPRESSED or len(data) > MAX_COMPRESSED:
        raise ValueError(f"{len(data)} bytes for {size} bytes, an extent has at most {MAX_UNCOMPRESSED}")
    # Linux compresses whole pages, but an inline extent may end with its file.
    return decompressor(data, size, sectorsize).ljust(size, b"\0")


def _zlib(data: bytes, size: int, _sectorsize: int) -> bytes:
    import zlib

    inflater = zlib.decompressobj()
    try:
        inflated = inflater.decompress(data, size)
    except zlib.error as error:
        raise ValueError(f"zlib: {error}") from error
    if len(inflated) < size and not inflater.eof:
        raise ValueError(f"zlib: the stream ends after {len(inflated)} bytes of {size}")
    return inflated


def _zstd(data: bytes, size: int, _sectorsize: int) -> bytes:
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd
    options: dict[int, int] = {zstd.DecompressionParameter.window_log_max: ZSTD_WINDOW_LOG}
    inflater = zstd.ZstdDecompressor(options=options)
    try:
        inflated = bytes(inflater.decompress(data, size))
    except zstd.ZstdError as error:
        raise ValueError(f"zstd: {error}") from error
    if len(inflated) < size and not inflater.eof:
        raise ValueError(f"zstd: the stream ends after {len(inflated)} bytes of {size}")
    return inflated


LENGTH_SIZE = 4  # of the whole, and of each segment


def _lzo(data: bytes, size: int, sectorsize: int) -> bytes:
    """The frame that btrfs puts around LZO: the total length, then a segment for each sector of the file.

    A segment is its length and its bytes; its length does not cross the end of a sector of the frame, which is
    padded before it.
    """
    total = int.from_bytes(data[:LENGTH_SIZE], "little")
    if not LENGTH_SIZE <= total <= len(data):
        raise ValueError(f"lzo: the length is {total} bytes, the extent has {len(data)}")
    largest = sectorsize + sectorsize // 16 + 64 + 3  # what LZO1X makes of a sector at the worst
    position = LENGTH_SIZE
    out = bytearray()
    while position < total and len(out) < size:
        start = position + LENGTH_SIZE
        length = int.from_bytes(data[position:start], "little")
        if not 0 < length <= largest or start + length > total:
            raise ValueError(f"lzo: a segment at {position} has {length} bytes, the frame ends at {total}")
        out += lzo1x(data[start : start + length], min(sectorsize, size - len(out)))
        position = start + length
        left_in_sector = -position % sectorsize
        if left_in_sector < LENGTH_SIZE:  # counted in the total even where nothing follows it
            position += left_in_sector
    return bytes(out)


def lzo1x(data: bytes, limit: int) -> bytes:
    """Decompress one LZO1X stream; `ValueError` where it is damaged or gives more than `limit` bytes."""
    out = bytearray()
    try:
        _lzo1x(data, limit, out)
    except IndexError as error:
        raise ValueError(f"lzo: the stream ends in an instruction, after {len(out)} bytes") from error
    return bytes(out)


def _lzo1x(data: bytes, limit: int, out: bytearray) -> None:
    """The loop over instructions; an `IndexError` says that `data` ends too early."""
    position = 0
    literals = 0  # how many were copied by the instruction before: 4 stands for more than three
    if data[0] > 17:  # the first byte may hold a number of literals
        position = _copy(data, 1, data[0] - 17, limit, out)
        literals = min(data[0] - 17, 4)
    while True:
        code = data[position]
        position += 1
        if code < 16 and not literals:
            length, position = _length(data, position, code, 15)
            position = _copy(data, position, length + 3, limit, out)
            literals = 4
            continue
        if code < 16:
            high = data[position]
            position += 1
            length, distance = (3, 2049) if literals == 4 else (2, 1)
            distance += (high << 2) + (code >> 2)
            literals = code & 3
        elif code < 64:
            bits = 7 if code < 32 else 31
            length, position = _length(data, position, code & bits, bits)
            length += 2
            distance = data[position] >> 2 | data[position + 1] << 6
            literals = data[position] & 3
            position += 2
            if code >= 32:
                distance += 1
            else:
                distance += 16384 + ((code & 8) << 11)
                if distance == 16384:
                    return
        else:
            length = (code >> 5) + 1
            distance = (data[position] << 3) + (code >> 2 & 7) + 1
            position += 1
            literals = code & 3
        if distance > len(out) or len(out) + length > limit:
            reason = f"{length} bytes from {distance} before, where {len(out)} of at most {limit} are"
            raise ValueError(f"lzo: a copy of {reason}")
        start = len(out) - distance
        if length <= distance:
            out += out[start : start + length]
        else:  # it repeats what it has just written
            out += (out[start:] * (length // distance + 1))[:length]
        if literals:
            position = _copy(data, position, literals, limit, out)


def _length(data: bytes, position: int, length: int, maximum: int) -> tuple[int, int]:
    """A length of which the instruction has `length`, or zero: then 255 for each zero byte, and one byte, are added."""
    if length:
        return length, position
    start = position
    while not data[position]:
        position += 1
    return maximum + 255 * (position - start) + data[position], position + 1


def _copy(data: bytes, position: int, length: int, limit: int, out: bytearray) -> int:
    """Copy literals, and return the position behind them."""
    end = position + length
    if end > len(data) or len(out) + length > limit:
        raise ValueError(f"lzo: {length} literals, where {len(out)} of at most {limit} bytes are")
    out += data[position:end]
    return end


DECOMPRESSORS: dict[int, Decompressor] = {1: _zlib, 2: _lzo, 3: _zstd}
"""By the number in the EXTENT_DATA item."""
