"""Archives: zip, tar (an OVA is a tar) and 7z. Their first members are named; of a zip, one is looked into.

Specification: PKWARE APPNOTE.TXT 6.3.10, sections 4.3.7, 4.3.12 to 4.3.16 and 4.5.3
Specification: POSIX.1-2017, pax, "ustar Interchange Format"; GNU tar manual, "Basic Tar Format"
Specification: 7-Zip, DOC/7zFormat.txt, "SignatureHeader"
Specification: DMTF DSP0243, Open Virtualization Format 2.1.1, section 6.1: the descriptor is the first member of an OVA
"""

import struct
from typing import Any

from construct import Bytes, Int8ul, Int16ul, Int32ul, Int64ul, Struct

from preflight import binary
from preflight.errors import StructureError
from preflight.facts import Problem
from preflight.formats import Container, Format
from preflight.formats import _tar as tar
from preflight.formats._contents import MAX_COMPRESSED, contents
from preflight.formats._recognised import damage, head
from preflight.source import BlockSource
from preflight.units import KiB

ZIP_LOCAL, ZIP_CENTRAL, ZIP_END = b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06"
ZIP64_LOCATOR, ZIP64_END = b"PK\x06\x07", b"PK\x06\x06"
ZIP_MAX_COMMENT = 0xFFFF  # the field that counts it has 16 bits
ZIP_MAX_DIRECTORY = 64 * KiB  # what is read of the central directory
ZIP_MAX_MEMBERS = 16  # told; the rest are counted
ZIP_METHODS = {0: "stored", 8: "deflate"}
ZIP_ENCRYPTED = 0x0001
ZIP_64 = 0xFFFF_FFFF  # the number is in the extra field
ZIP_64_EXTRA = 0x0001

ZipLocal = Struct("signature" / Bytes(4), "unread" / Bytes(22), "name_length" / Int16ul, "extra_length" / Int16ul)
ZipCentral = Struct(
    "signature" / Bytes(4),
    "version_made_by" / Int16ul,
    "version_needed" / Int16ul,
    "flags" / Int16ul,
    "method" / Int16ul,
    "time_and_date" / Int32ul,
    "crc32" / Int32ul,
    "compressed_size" / Int32ul,
    "uncompressed_size" / Int32ul,
    "name_length" / Int16ul,
    "extra_length" / Int16ul,
    "comment_length" / Int16ul,
    "disk_number" / Int16ul,
    "internal_attributes" / Int16ul,
    "external_attributes" / Int32ul,
    "local_header_offset" / Int32ul,
)
ZipEnd = Struct(
    "signature" / Bytes(4),
    "disk_numbers" / Int32ul,
    "entries_on_disk" / Int16ul,
    "entries" / Int16ul,
    "directory_size" / Int32ul,
    "directory_offset" / Int32ul,
    "comment_length" / Int16ul,
)
Zip64Locator = Struct("signature" / Bytes(4), "disk" / Int32ul, "end_offset" / Int64ul, "disks" / Int32ul)
Zip64End = Struct(
    "signature" / Bytes(4),
    "unread" / Bytes(28),
    "entries" / Int64ul,
    "directory_size" / Int64ul,
    "directory_offset" / Int64ul,
)

SEVEN_ZIP_MAGIC = b"7z\xbc\xaf\x27\x1c"
SevenZipHeader = Struct(
    "signature" / Bytes(6),
    "major_version" / Int8ul,
    "minor_version" / Int8ul,
    "start_header_crc" / Int32ul,  # of the three fields below
    "next_header_offset" / Int64ul,  # from the end of this header
    "next_header_size" / Int64ul,
    "next_header_crc" / Int32ul,
)


def _claims(source: BlockSource) -> tuple[str, ...]:
    data = head(source, tar.BLOCK)
    names = []
    if data.startswith((ZIP_LOCAL, ZIP_END)):
        names.append("zip")
    if data.startswith(SEVEN_ZIP_MAGIC):
        names.append("7z")
    if tar.is_header(data):
        names.append("tar")
    return tuple(names)


def _zip(source: BlockSource) -> tuple[dict[str, Any], list[Problem]]:
    entries, offset, size = _zip_directory(source)
    where = "zip central directory"
    data = source.read_at(offset, min(size, ZIP_MAX_DIRECTORY))
    members: list[dict[str, Any]] = []
    largest: tuple[int, int, int, Any] | None = None
    position = 0
    for _ in range(min(entries, ZIP_MAX_MEMBERS)):
        record = data[position : position + 46]
        if len(record) < 46 and size > ZIP_MAX_DIRECTORY:
            break
        header = binary.parse(ZipCentral, record, where, offset + position)
        if header.signature != ZIP_CENTRAL:
            raise StructureError(where, offset + position, "a file header has no signature")
        position += 46
        name = data[position : position + header.name_length]
        extra = data[position + header.name_length : position + header.name_length + header.extra_length]
        position += header.name_length + header.extra_length + header.comment_length
        sizes = _zip64(header, extra)
        encoding = "utf-8" if header.flags & 0x800 else "cp437"
        members.append({"name": binary.text(name, encoding), "size": sizes[0]})
        if sizes[0] and (largest is None or sizes[0] > largest[0]):
            largest = (*sizes, header)
    details: dict[str, Any] = {"entries": entries, "members": members}
    problems = []
    if largest is not None:
        try:
            inside = _zip_contents(source, *largest[1:])
            if inside is not None:
                details["contains"] = inside
        except StructureError as error:
            problems.append(damage("zip local file", error))
    return details, problems


def _zip_directory(source: BlockSource) -> tuple[int, int, int]:
    """Entries, offset and size of the central directory, from the record at the end of the file."""
    where = "zip end of central directory record"
    size = min(source.size, 22)
    tail = source.read_at(source.size - size, size)  # where there is no comment, as almost always
    if tail[:4] != ZIP_END:
        size = min(source.size, 22 + ZIP_MAX_COMMENT)
        tail = source.read_at(source.size - size, size)
    found = tail.rfind(ZIP_END)
    if found < 0 or len(tail) - found < 22:
        raise StructureError(where, source.size, "is missing: the end of the file was cut off")
    offset = source.size - len(tail) + found
    end = binary.parse(ZipEnd, tail[found : found + 22], where, offset)
    if offset >= 20:
        locator = binary.parse_at(Zip64Locator, source, offset - 20, where)
        if locator.signature == ZIP64_LOCATOR:
            end = binary.parse_at(Zip64End, source, locator.end_offset, where)
            if end.signature != ZIP64_END:
                raise StructureError(where, locator.end_offset, "the zip64 record has no signature")
    return end.entries, end.directory_offset, end.directory_size


def _zip64(header: Any, extra: bytes) -> tuple[int, int, int]:
    """Uncompressed size, compressed size and offset of the local header, from the extra field where they are there."""
    values = [header.uncompressed_size, header.compressed_size, header.local_header_offset]
    while len(extra) >= 4:
        kind, size = struct.unpack_from("<HH", extra)
        if kind == ZIP_64_EXTRA:
            field = extra[4 : 4 + size]
            for index, value in enumerate(values):
                if value == ZIP_64 and len(field) >= 8:
                    values[index] = int.from_bytes(field[:8], "little")
                    field = field[8:]
            break
        extra = extra[4 + size :]
    return values[0], values[1], values[2]


def _zip_contents(source: BlockSource, compressed_size: int, offset: int, central: Any) -> str | None:
    method = ZIP_METHODS.get(central.method)
    if method is None or central.flags & ZIP_ENCRYPTED:
        return None
    where = "zip local file"
    local = binary.parse_at(ZipLocal, source, offset, where)
    if local.signature != ZIP_LOCAL:
        raise StructureError(where, offset, "its header has no signature")
    start = offset + 30 + local.name_length + local.extra_length
    return contents(method, source.read_at(start, min(compressed_size, MAX_COMPRESSED)), where, start)


def _tar(source: BlockSource) -> tuple[dict[str, Any], list[Problem]]:
    names, problems = tar.members(source)
    return {"ova": bool(names) and names[0].lower().endswith(".ovf"), "members": list(names)}, list(problems)


def _7z(source: BlockSource) -> tuple[dict[str, Any], list[Problem]]:
    where = "7z signature header"
    data = head(source, 32)
    header = binary.parse(SevenZipHeader, data, where, 0)
    computed = binary.crc32(data[12:])
    if header.start_header_crc != computed:
        reason = f"start_header_crc is {header.start_header_crc:#010x}, the bytes give {computed:#010x}"
        raise StructureError(where, 8, reason)
    problems = []
    end = 32 + header.next_header_offset + header.next_header_size
    if end > source.size:
        problems = [Problem("truncated-file", f"the archive ends at byte {end}, the file at {source.size}", where, 12)]
    return {"version": f"{header.major_version}.{header.minor_version}"}, problems


_READERS = {"zip": _zip, "tar": _tar, "7z": _7z}


def _open(source: BlockSource, name: str) -> Container:
    problems = [Problem("compressed-file", f"the file is a {name} archive, what it holds is not read", "the file")]
    details: dict[str, Any] = {}
    try:
        details, more = _READERS[name](source)
        problems += more
    except StructureError as error:
        problems.append(damage(name, error))
    return Container(name, None, None, format_details=details, problems=tuple(problems))


FORMAT = Format(("zip", "tar", "7z"), _claims, _open)
