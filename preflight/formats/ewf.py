"""Expert Witness (EnCase) images: EWF-E01 and EWF-L01, and their second version, Ex01 and Lx01.

Specification: libewf, Expert Witness Compression Format (EWF), sections 2 and 3, and version 2, section 2,
https://github.com/libyal/libewf/tree/main/documentation
"""

import zlib
from typing import Any

from construct import Bytes, Int8ul, Int16ul, Int32ul, Int64ul, Struct

from preflight import binary
from preflight.errors import StructureError
from preflight.formats import Container, Format
from preflight.formats._recognised import MAX_SIZE, head, open_named, require
from preflight.source import BlockSource

SIGNATURES_1 = {b"EVF\x09\x0d\x0a\xff\0": "E01", b"LVF\x09\x0d\x0a\xff\0": "L01"}
SIGNATURES_2 = {b"EVF2\x0d\x0a\x81\0": "Ex01", b"LEF2\x0d\x0a\x81\0": "Lx01"}
MAX_SECTIONS = 16  # the volume section is the third or fourth
VOLUME_SECTIONS = ("volume", "disk")
END_SECTIONS = ("next", "done")

FileHeader1 = Struct(
    "signature" / Bytes(8), "fields_start" / Int8ul, "segment_number" / Int16ul, "fields_end" / Int16ul
)
FileHeader2 = Struct(
    "signature" / Bytes(8),
    "major_version" / Int8ul,
    "minor_version" / Int8ul,
    "compression_method" / Int16ul,
    "segment_number" / Int32ul,
    "set_identifier" / Bytes(16),
)
Section = Struct(
    "type" / Bytes(16),
    "next_offset" / Int64ul,
    "size" / Int64ul,  # with this descriptor
    "padding" / Bytes(40),
    "checksum" / Int32ul,  # Adler-32 of what is before it
)
# The older volume section of 94 bytes has 32 bits for the sectors; EnCase 5 and later wrote 64, in 1052 bytes.
Volume = Struct(
    "media_type" / Bytes(4),
    "chunk_count" / Int32ul,
    "sectors_per_chunk" / Int32ul,
    "bytes_per_sector" / Int32ul,
    "sector_count" / Int64ul,
)
SMALL_VOLUME_SIZE = 94


def _claims(source: BlockSource) -> tuple[str, ...]:
    data = head(source, 8)
    return ("ewf",) if data in SIGNATURES_1 or data in SIGNATURES_2 else ()


def _read(source: BlockSource) -> Container:
    signature = head(source, 8)
    if signature in SIGNATURES_2:
        header = binary.parse_at(FileHeader2, source, 0, "ewf file header")
        details: dict[str, Any] = {
            "kind": SIGNATURES_2[signature],
            "major_version": header.major_version,
            "minor_version": header.minor_version,
            "compression_method": header.compression_method,
            "segment_number": header.segment_number,
        }
        return Container("ewf", None, None, format_details=details)  # the size is in compressed text
    header = binary.parse_at(FileHeader1, source, 0, "ewf file header")
    kind = SIGNATURES_1.get(signature)
    if kind is None:
        raise StructureError("ewf file header", 0, "signature is missing")
    details = {"kind": kind, "segment_number": header.segment_number}
    if header.segment_number != 1:
        return Container("ewf", None, None, format_details=details)  # only the first segment has the volume section
    volume = _volume(source)
    if volume is None:
        return Container("ewf", None, None, format_details=details)
    details |= {
        "chunk_count": volume.chunk_count,
        "sectors_per_chunk": volume.sectors_per_chunk,
        "bytes_per_sector": volume.bytes_per_sector,
    }
    return Container("ewf", None, volume.sector_count * volume.bytes_per_sector, format_details=details)


def _volume(source: BlockSource) -> Any:
    """The volume section of a first segment; None where there is none among the first sections."""
    where = "ewf section"
    offset = int(FileHeader1.sizeof())
    for _ in range(MAX_SECTIONS):
        data = source.read_at(offset, Section.sizeof())
        section = binary.parse(Section, data, where, offset)
        computed = zlib.adler32(data[:72])
        reason = f"is {section.checksum:#010x}, the bytes give {computed:#010x}"
        require(section.checksum == computed, where, Section, "checksum", reason, offset)
        kind = binary.text(section.type)
        if kind in VOLUME_SECTIONS:
            return _check_volume(source, offset + Section.sizeof(), section.size - Section.sizeof())
        if kind in END_SECTIONS:
            return None
        # Only forward: a chain that goes back is a loop.
        reason = f"is {section.next_offset}, not behind this section"
        require(section.next_offset >= offset + Section.sizeof(), where, Section, "next_offset", reason, offset)
        offset = section.next_offset
    return None


def _check_volume(source: BlockSource, offset: int, size: int) -> Any:
    where = "ewf volume section"
    volume = binary.parse_at(Volume, source, offset, where)
    if size <= SMALL_VOLUME_SIZE:
        volume.sector_count &= 0xFFFF_FFFF
    if volume.sector_count * volume.bytes_per_sector > MAX_SIZE:
        raise StructureError(where, offset + 16, f"sector_count is {volume.sector_count}, more than a disk has")
    return volume


def _open(source: BlockSource, name: str) -> Container:
    return open_named(name, source, _read)


FORMAT = Format(("ewf",), _claims, _open)
