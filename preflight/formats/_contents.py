"""What is inside a compressed file, told from its beginning: inflated within fixed limits, and one level deep."""

import zlib
from collections.abc import Callable

from preflight.errors import StructureError
from preflight.formats import index
from preflight.source import Memory
from preflight.units import KiB, MiB

MAX_COMPRESSED = 64 * KiB  # what is read
MAX_INFLATED = 64 * KiB  # what is made of it, however well it was compressed; ISO 9660 is known by byte 32774
MAX_MEMORY = 160 * MiB  # xz -9 takes 65 MiB, zstd --ultra -22 the window of 128 MiB
MAX_WINDOW_LOG = 27  # zstd's own limit for a decoder: 128 MiB

MBR_SIGNATURE = b"\x55\xaa"
GPT_SIGNATURE = b"EFI PART"


def contents(kind: str, data: bytes, where: str, offset: int) -> str | None:
    """The format of what `data`, the beginning of a stream compressed by `kind`, unpacks to.

    None where it is not recognised, or would take more than the limits. `StructureError` where the stream is damaged.
    """
    try:
        inflated = _INFLATE[kind](data[:MAX_COMPRESSED])
    except ImportError:  # a Python without this library
        return None
    except _Damaged as error:
        raise StructureError(where, offset, f"the data cannot be unpacked: {error}") from error
    return name_of(inflated)


def name_of(data: bytes) -> str | None:
    """The format of an image that begins with `data`; None where no format claims it, or several do."""
    if not data:
        return None
    names = [name for name, _ in index.claims(Memory(data))]
    if len(names) == 1:
        return names[0]
    begins_as_disk = data[510:512] == MBR_SIGNATURE or GPT_SIGNATURE in (data[512:520], data[4096:4104])
    return "raw" if not names and begins_as_disk else None


class _Damaged(Exception):
    """The stream breaks its format."""


def _zlib(data: bytes, wbits: int) -> bytes:
    try:
        return zlib.decompressobj(wbits).decompress(data, MAX_INFLATED)
    except zlib.error as error:
        raise _Damaged(error) from error


def _gzip(data: bytes) -> bytes:
    return _zlib(data, 31)


def _deflate(data: bytes) -> bytes:
    return _zlib(data, -15)


def _stored(data: bytes) -> bytes:
    return data


def _xz(data: bytes) -> bytes:
    import lzma

    try:
        return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=MAX_MEMORY).decompress(data, MAX_INFLATED)
    except lzma.LZMAError as error:
        if "limit" in str(error):  # the module has no class of its own for LZMA_MEMLIMIT_ERROR
            return b""
        raise _Damaged(error) from error


def _bzip2(data: bytes) -> bytes:
    import bz2

    try:
        return bz2.BZ2Decompressor().decompress(data, MAX_INFLATED)
    except (OSError, ValueError) as error:
        raise _Damaged(error) from error


def _zstd(data: bytes) -> bytes:
    try:
        from compression import zstd  # type: ignore[import-not-found, unused-ignore]  # Python 3.14
    except ImportError:
        from backports import zstd  # type: ignore[no-redef, unused-ignore]

    options = {zstd.DecompressionParameter.window_log_max: MAX_WINDOW_LOG}
    try:
        return bytes(zstd.ZstdDecompressor(options=options).decompress(data, MAX_INFLATED))
    except zstd.ZstdError as error:
        if "memory" in str(error):  # ZSTD_error_frameParameter_windowTooLarge
            return b""
        raise _Damaged(error) from error


_INFLATE: dict[str, Callable[[bytes], bytes]] = {
    "gzip": _gzip,
    "deflate": _deflate,
    "stored": _stored,
    "xz": _xz,
    "bzip2": _bzip2,
    "zstd": _zstd,
}
