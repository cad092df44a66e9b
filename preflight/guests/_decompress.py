"""Decompression piece by piece, of every format that a Linux kernel takes its initramfs in.

Specification: Linux, lib/decompress.c and lib/decompress_*.c: which magic stands for what, and the limits of each.
"""

import struct
from collections.abc import Callable, Iterator
from typing import NamedTuple, Protocol

from preflight.errors import StructureError
from preflight.units import KiB, MiB

INPUT_PIECE = 256 * KiB  # read at a time
OUTPUT_PIECE = 1 * MiB  # at most given at a time, but for lz4, whose blocks are whole

MAX_XZ_MEMORY = 128 * MiB  # xz -9 takes 65 MiB; a dictionary may be declared with 4 GiB
MAX_ZSTD_WINDOW_LOG = 27  # 128 MiB, as the kernel: lib/decompress_unzstd.c, ZSTD_WINDOWSIZE_MAX
MAX_LZ4_BLOCK = 8 * MiB  # lib/decompress_unlz4.c, LZ4_DEFAULT_UNCOMPRESSED_CHUNK_SIZE
MAX_LZ4_PACKED = MAX_LZ4_BLOCK + MAX_LZ4_BLOCK // 255 + 16  # LZ4_compressBound of it
MAX_LZO_BLOCK = 256 * KiB  # lib/decompress_unlzo.c, LZO_BLOCK_SIZE

LZ4_LEGACY_MAGIC = b"\x02\x21\x4c\x18"

# Fields of an lzop header that say what else is in it: lib/decompress_unlzo.c, parse_header.
_LZOP_MAGIC = b"\x89LZO\0\r\n\x1a\n"
_LZOP_HAS_LEVEL = 0x940  # from this version on
_LZOP_ADLER32_PLAIN = 0x1
_LZOP_ADLER32_PACKED = 0x2
_LZOP_EXTRA_FIELD = 0x40
_LZOP_CRC32_PLAIN = 0x100
_LZOP_CRC32_PACKED = 0x200
_LZOP_FILTER = 0x800


class Input:
    """A stretch of a file that is read from its beginning to its end."""

    def __init__(self, read: Callable[[int, int], bytes], start: int, end: int) -> None:
        """`read` gives bytes of the file from an offset, fewer than asked for only at its end."""
        self._read = read
        self.position = start
        """Offset of the byte that is taken next."""
        self.end = end
        self.unwanted = 0
        """How many of the first bytes that the stream here stands for nobody looks at: they may be any."""

    def take(self, size: int) -> bytes:
        """The next `size` bytes, fewer at the end."""
        data = self._read(self.position, max(min(size, self.end - self.position), 0))
        self.position += len(data)
        return data

    def exactly(self, size: int, what: str) -> bytes:
        """The next `size` bytes; `StructureError` where the end comes before them."""
        data = self.take(size)
        if len(data) < size:
            raise StructureError(what, self.position, "the file ends in the middle of it")
        return data


class Compression(NamedTuple):
    """A format of compressed data."""

    name: str
    magic: bytes
    inflate: Callable[[Input], Iterator[bytes]]
    """What the stream at the input's position stands for, piece by piece; the position is its end then.

    Raises `StructureError` where the stream is damaged, cut short, or beyond the limits.
    """


def compression_of(head: bytes) -> Compression | None:
    """The format of a stream by its first six bytes, None where no kernel knows it."""
    return next((known for known in COMPRESSIONS if head.startswith(known.magic)), None)


class _Decompressor(Protocol):
    """What the decompressors of the standard library have in common."""

    @property
    def eof(self) -> bool: ...

    @property
    def needs_input(self) -> bool: ...

    @property
    def unused_data(self) -> bytes | None: ...

    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


def _run(name: str, source: Input, decompressor: _Decompressor, *errors: type[Exception]) -> Iterator[bytes]:
    """Feed one stream from `source`; `errors` are what the decompressor raises for damaged data."""
    start = source.position
    while not decompressor.eof:
        data = b""
        if decompressor.needs_input:
            data = source.take(INPUT_PIECE)
            if not data:
                raise StructureError(f"{name} stream", start, "the file ends in the middle of it")
        try:
            piece = decompressor.decompress(data, OUTPUT_PIECE)
        except errors as error:
            raise StructureError(f"{name} stream", start, f"damaged: {error}") from error
        yield piece
    source.position -= len(decompressor.unused_data or b"")  # lz4 has None for nothing


class _Zlib:
    """zlib's decompressor with the manners of the others: it keeps the input that it has not used yet."""

    def __init__(self) -> None:
        import zlib

        self._inner = zlib.decompressobj(wbits=31)  # 31: a gzip header

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def needs_input(self) -> bool:
        return not self._inner.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    def decompress(self, data: bytes, max_length: int, /) -> bytes:
        return self._inner.decompress(self._inner.unconsumed_tail or data, max_length)


def _gzip(source: Input) -> Iterator[bytes]:
    import zlib

    return _run("gzip", source, _Zlib(), zlib.error)


def _bzip2(source: Input) -> Iterator[bytes]:
    import bz2

    return _run("bzip2", source, bz2.BZ2Decompressor(), OSError)


def _xz(source: Input) -> Iterator[bytes]:
    import lzma

    return _run("xz", source, lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=MAX_XZ_MEMORY), lzma.LZMAError)


def _lzma(source: Input) -> Iterator[bytes]:
    import lzma

    return _run("lzma", source, lzma.LZMADecompressor(lzma.FORMAT_ALONE, memlimit=MAX_XZ_MEMORY), lzma.LZMAError)


def _zstd(source: Input) -> Iterator[bytes]:
    try:
        from compression import zstd  # type: ignore[import-not-found, unused-ignore]  # Python 3.14
    except ImportError:
        from backports import zstd  # type: ignore[no-redef, unused-ignore]

    options = {zstd.DecompressionParameter.window_log_max: MAX_ZSTD_WINDOW_LOG}
    return _run("zstd", source, zstd.ZstdDecompressor(options=options), zstd.ZstdError)


def _lz4_frame(source: Input) -> Iterator[bytes]:
    import lz4.frame  # type: ignore[import-untyped, unused-ignore]

    return _run("lz4", source, lz4.frame.LZ4FrameDecompressor(), RuntimeError)


def _lz4_legacy(source: Input) -> Iterator[bytes]:
    """The old lz4 format, the only one that kernels take: blocks with their lengths, up to the end or to a zero."""
    import lz4.block  # type: ignore[import-untyped, unused-ignore]

    where = "lz4 stream"
    source.take(len(LZ4_LEGACY_MAGIC))
    while True:
        start = source.position
        length = source.take(4)
        packed_size = int.from_bytes(length, "little")
        if len(length) < 4 or not packed_size:  # the padding of a file may be shorter than a length
            return
        if length == LZ4_LEGACY_MAGIC:  # another stream
            continue
        if packed_size > MAX_LZ4_PACKED:  # no block has this length: something else begins here
            source.position = start
            return
        packed = source.exactly(packed_size, where)
        try:
            yield lz4.block.decompress(packed, uncompressed_size=MAX_LZ4_BLOCK)
        except lz4.block.LZ4BlockError as error:
            raise StructureError(where, start, f"damaged: {error}") from error


def _lzo(source: Input) -> Iterator[bytes]:
    from preflight import lzo1x

    where = "lzop stream"
    flags = _lzop_header(source, where)
    done = 0
    plain_checksums = 4 * (bool(flags & _LZOP_ADLER32_PLAIN) + bool(flags & _LZOP_CRC32_PLAIN))
    packed_checksums = 4 * (bool(flags & _LZOP_ADLER32_PACKED) + bool(flags & _LZOP_CRC32_PACKED))
    while True:
        start = source.position
        size = int.from_bytes(source.exactly(4, where), "big")
        if not size:
            return
        packed_size = int.from_bytes(source.exactly(4, where), "big")
        if size > MAX_LZO_BLOCK or packed_size > size:
            reason = f"a block of {size} bytes in {packed_size}, at most {MAX_LZO_BLOCK} in as many are allowed"
            raise StructureError(where, start, reason)
        source.exactly(plain_checksums + (packed_checksums if packed_size < size else 0), where)
        packed = source.exactly(packed_size, where)
        done += size
        if done <= source.unwanted:  # half of a large initramfs is modules that are longer than a block
            yield bytes(size)
        else:
            yield packed if packed_size == size else lzo1x.decompress(packed, size)


def _lzop_header(source: Input, where: str) -> int:
    """Read the header at the input's position; its flags."""
    start = source.position
    if source.exactly(len(_LZOP_MAGIC), where) != _LZOP_MAGIC:
        raise StructureError(where, start, "its magic is damaged")
    version, _library = struct.unpack(">HH", source.exactly(4, where))
    method_size = 2 + 1 + (1 if version >= _LZOP_HAS_LEVEL else 0)  # version needed, method, level
    if version < _LZOP_HAS_LEVEL:
        method_size = 1
    source.exactly(method_size, where)
    flags = int.from_bytes(source.exactly(4, where), "big")
    times = 8 + (4 if version >= _LZOP_HAS_LEVEL else 0)  # mode, mtime_low, mtime_high
    source.exactly(times + (4 if flags & _LZOP_FILTER else 0), where)
    source.exactly(source.exactly(1, where)[0] + 4, where)  # the file's name, and the header's checksum
    if flags & _LZOP_EXTRA_FIELD:
        raise StructureError(where, start, "it has an extra field, which lzop does not write")
    return flags


COMPRESSIONS = (
    Compression("gzip", b"\x1f\x8b", _gzip),
    Compression("bzip2", b"BZh", _bzip2),
    Compression("lzma", b"\x5d\0", _lzma),
    Compression("xz", b"\xfd7zXZ\0", _xz),
    Compression("lzo", b"\x89L", _lzo),
    Compression("lz4", LZ4_LEGACY_MAGIC, _lz4_legacy),
    Compression("lz4", b"\x04\x22\x4d\x18", _lz4_frame),
    Compression("zstd", b"\x28\xb5\x2f\xfd", _zstd),
)
