"""Compressed files: gzip, xz, zstd and bzip2. What they hold must be unpacked before it is a disk.

Specification: RFC 1952, GZIP file format, https://www.rfc-editor.org/rfc/rfc1952
Specification: The .xz File Format 1.2.1, sections 2.1 and 4, https://tukaani.org/xz/xz-file-format.txt
Specification: RFC 8878, Zstandard, section 3.1.1.1, https://www.rfc-editor.org/rfc/rfc8878
Specification: none of bzip2 is published; the magics are those of its decompress.c
"""

from typing import Any

from construct import Bytes, Int8ul, Int32ul, Struct

from preflight import binary
from preflight.errors import StructureError
from preflight.facts import Problem
from preflight.formats import Container, Format
from preflight.formats._contents import MAX_COMPRESSED, contents
from preflight.formats._recognised import MAX_SIZE, damage, head
from preflight.source import BlockSource
from preflight.units import KiB, MiB, align_up

GZIP_MAGIC = b"\x1f\x8b\x08"  # with the only method there is, deflate
GZIP_FLAGS = 0x1F  # the upper three bits are reserved
GZIP_EXTRA, GZIP_NAME = 0x04, 0x08
GZIP_MIN_SIZE = 18  # header and trailer
MAX_NAME = 255

GzipHeader = Struct("id" / Bytes(2), "cm" / Int8ul, "flg" / Int8ul, "mtime" / Int32ul, "xfl" / Int8ul, "os" / Int8ul)

XZ_MAGIC = b"\xfd7zXZ\0"
XZ_FOOTER_MAGIC = b"YZ"
XZ_MAX_PADDING = 4 * KiB  # zeros behind the last stream; tapes pad to their blocks
XZ_MAX_INDEX = 1 * MiB  # 24 MiB blocks, as xz -T makes them, of 1 TiB have an index of 400 KiB

XzFooter = Struct("crc32" / Int32ul, "backward_size" / Int32ul, "stream_flags" / Bytes(2), "magic" / Bytes(2))

ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
ZSTD_DICTIONARY_ID_SIZES = (0, 1, 2, 4)
ZSTD_CONTENT_SIZE_SIZES = (0, 2, 4, 8)

BZIP2_MAGIC = b"BZh"
BZIP2_BLOCK_MAGICS = (b"\x31\x41\x59\x26\x53\x59", b"\x17\x72\x45\x38\x50\x90")  # a block; the end of an empty stream


def _claims(source: BlockSource) -> tuple[str, ...]:
    data = head(source, 16)
    names = []
    if data.startswith(GZIP_MAGIC) and not (data[3:4] or b"\0")[0] & ~GZIP_FLAGS:
        names.append("gzip")
    if data.startswith(XZ_MAGIC):
        names.append("xz")
    if data.startswith(ZSTD_MAGIC):
        names.append("zstd")
    if data.startswith(BZIP2_MAGIC) and data[3:4] in b"123456789" and data[4:10] in BZIP2_BLOCK_MAGICS:
        names.append("bzip2")
    return tuple(names)


def _gzip(source: BlockSource, data: bytes) -> dict[str, Any]:
    where = "gzip header"
    if source.size < GZIP_MIN_SIZE:
        raise StructureError(where, 0, f"the file has {source.size} bytes, a member of gzip at least {GZIP_MIN_SIZE}")
    header = binary.parse(GzipHeader, data[:10], where, 0)
    details: dict[str, Any] = {"mtime": header.mtime}
    if header.flg & GZIP_NAME:
        start = 10
        if header.flg & GZIP_EXTRA:
            start += 2 + int.from_bytes(data[10:12], "little")
        name, end, _ = data[start : start + MAX_NAME + 1].partition(b"\0")
        if end:
            details["original_file_name"] = binary.text(name, "latin-1")
    # Only of the last member, and wrong for what is not gzip's at the end: no size to rely on.
    details["uncompressed_size_mod_4gib"] = int.from_bytes(source.read_at(source.size - 4, 4), "little")
    return details


def _xz(source: BlockSource, data: bytes) -> dict[str, Any]:
    where = "xz stream header"
    if len(data) < 12 or binary.crc32(data[6:8]) != int.from_bytes(data[8:12], "little"):
        raise StructureError(where, 8, "crc32 differs from that of the stream flags")
    where = "xz stream footer"
    tail = source.read_at(source.size - min(source.size, XZ_MAX_PADDING), min(source.size, XZ_MAX_PADDING))
    end = source.size - (len(tail) - len(tail.rstrip(b"\0")))
    if end < 32:
        raise StructureError(where, end, "is missing")
    footer_bytes = source.read_at(end - 12, 12)
    footer = binary.parse(XzFooter, footer_bytes, where, end - 12)
    if footer.magic != XZ_FOOTER_MAGIC or footer.crc32 != binary.crc32(footer_bytes[4:10]):
        raise StructureError(where, end - 12, "is missing or damaged: the end of the file was cut off")
    index_size = (footer.backward_size + 1) * 4
    start = end - 12 - index_size
    where = "xz index"
    if index_size > XZ_MAX_INDEX or start < 12:
        reason = f"would have {index_size} bytes, at most {min(XZ_MAX_INDEX, end - 24)} are read"
        raise StructureError(where, end - 12 + 4, reason)
    blocks, uncompressed = _xz_index(source.read_at(start, index_size), where, start)
    details: dict[str, Any] = {"check": footer.stream_flags[1] & 0x0F}
    if 12 + blocks == start:  # else there are more streams before, with indices of their own
        details["uncompressed_size"] = uncompressed
    return details


def _xz_index(index: bytes, where: str, offset: int) -> tuple[int, int]:
    """The bytes that the blocks of a stream take, and the bytes that they unpack to."""
    if index[0] != 0 or binary.crc32(index[:-4]) != int.from_bytes(index[-4:], "little"):
        raise StructureError(where, offset, "does not have its indicator and its crc32")
    position = 1

    def number() -> int:  # section 1.2: seven bits a byte, at most nine bytes
        nonlocal position
        value = 0
        for shift in range(0, 63, 7):
            if position >= len(index) - 4:
                break
            byte = index[position]
            position += 1
            value |= (byte & 0x7F) << shift
            if not byte & 0x80:
                return value
        raise StructureError(where, offset + position, "holds a number that does not end")

    count = number()
    blocks = uncompressed = 0
    for _ in range(min(count, len(index) // 2 + 1)):  # a record has two bytes at least; too many run into the end
        blocks += align_up(number(), 4)
        uncompressed += number()
    if uncompressed > MAX_SIZE:
        raise StructureError(where, offset, f"sums up to {uncompressed} bytes, more than a file can have")
    return blocks, uncompressed


def _zstd(source: BlockSource, data: bytes) -> dict[str, Any]:
    where = "zstd frame header"
    if len(data) < 9:
        raise StructureError(where, 0, f"the file has {source.size} bytes, a frame at least 9")
    descriptor = data[4]
    if descriptor & 0x08:
        raise StructureError(where, 4, f"frame_header_descriptor is {descriptor:#04x}, its reserved bit is set")
    single_segment = bool(descriptor & 0x20)
    details: dict[str, Any] = {"content_checksum": bool(descriptor & 0x04)}
    position = 5
    if not single_segment:
        window_log = 10 + (data[5] >> 3)
        details["window_size"] = (1 << window_log) + ((1 << window_log) >> 3) * (data[5] & 7)
        position += 1
    position += ZSTD_DICTIONARY_ID_SIZES[descriptor & 3]
    size = ZSTD_CONTENT_SIZE_SIZES[descriptor >> 6] or int(single_segment)
    field = data[position : position + size]
    if len(field) < size:
        raise StructureError(where, position, "frame_content_size is cut off")
    if size:  # of this frame: others may follow
        details["frame_content_size"] = int.from_bytes(field, "little") + (256 if size == 2 else 0)
    return details


def _bzip2(source: BlockSource, data: bytes) -> dict[str, Any]:
    if len(data) < 10:
        raise StructureError("bzip2 stream header", 0, f"the file has {source.size} bytes, the header of a block 10")
    return {"block_size": (data[3] - ord("0")) * 100_000}


_READERS = {"gzip": _gzip, "xz": _xz, "zstd": _zstd, "bzip2": _bzip2}


def _open(source: BlockSource, name: str) -> Container:
    problems = [
        Problem("compressed-file", f"the file is compressed with {name}, what it holds is not read", "the file")
    ]
    details: dict[str, Any] = {}
    try:
        data = head(source, MAX_COMPRESSED)
        details = _READERS[name](source, data)
        inside = contents(name, data, f"{name} stream", 0)
        if inside is not None:
            details["contains"] = inside
    except StructureError as error:
        problems.append(damage(name, error))
    return Container(name, None, None, format_details=details, problems=tuple(problems))


FORMAT = Format(("gzip", "xz", "zstd", "bzip2"), _claims, _open)
