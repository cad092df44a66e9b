"""The file records of NTFS, and the attributes in one.

Specification: NTFS documentation, concepts FILE Record, Fixup, Attribute Header, https://flatcap.github.io/linux-ntfs/ntfs/
"""

import struct
from collections.abc import Iterator
from typing import NamedTuple

from preflight.contents import ContentsError
from preflight.contents import _ntfs_layouts as layouts
from preflight.filesystems._ntfs_records import AT_END, FILE_MAGIC, fixed_up

RECORD = struct.Struct(layouts.FILE_RECORD_FORMAT)
HEADER = struct.Struct(layouts.ATTRIBUTE_FORMAT)
RESIDENT = struct.Struct(layouts.RESIDENT_FORMAT)


class Attribute(NamedTuple):
    """An attribute, or the piece of one that is in a record."""

    type: int
    """AT_…"""
    name: bytes
    """In UTF-16."""
    flags: int
    instance: int
    """What tells it from others in the same record."""
    is_resident: bool
    data: bytes
    """All of it, from its header on."""
    where: str
    """What it is called in errors."""

    @property
    def value(self) -> bytes:
        """Of a resident one; `ContentsError` where it is not within the attribute."""
        length, offset = RESIDENT.unpack_from(self.data, HEADER.size)
        if not self.is_resident or offset + length > len(self.data):
            raise ContentsError(
                f"{self.where}: its value has {length} bytes at byte {offset:#x}, the attribute {len(self.data)}"
            )
        return self.data[offset : offset + length]


class Record(NamedTuple):
    """A file record."""

    number: int
    sequence_number: int
    flags: int
    """MFT_RECORD_…"""
    base: layouts.Reference | None
    """Of the record that this one is a part of; None where it is a file's first."""
    attributes: tuple[Attribute, ...]

    @property
    def where(self) -> str:
        """What it is called in errors."""
        return f"ntfs file record {self.number}"


def parse_record(data: bytes, number: int, offset: int) -> Record:
    """The record of this number, whose bytes are at `offset` of the volume.

    Raises `ContentsError` or `StructureError` where it is damaged or not in use.
    """
    where = f"ntfs file record {number}"
    magic, usa_ofs, usa_count, sequence_number, start, flags, end, base, own_number = RECORD.unpack_from(data)
    if magic != FILE_MAGIC:
        raise ContentsError(f"{where} at byte {offset:#x}: it begins with {magic!r}, expected is {FILE_MAGIC!r}")
    data = fixed_up(data, usa_ofs, usa_count, where, offset)
    if not flags & layouts.MFT_RECORD_IN_USE:
        raise ContentsError(f"{where} at byte {offset:#x}: it is not in use")
    if usa_ofs >= layouts.RECORD_NUMBER_END and own_number != number & 0xFFFFFFFF:
        raise ContentsError(f"{where} at byte {offset:#x}: it says to be record {own_number}")
    if not 0 < start <= end <= len(data):
        raise ContentsError(
            f"{where} at byte {offset:#x}: its attributes are at bytes {start:#x} to {end:#x}, it has {len(data)}"
        )
    attributes = tuple(_attributes(data[:end], start, where))
    return Record(number, sequence_number, flags, layouts.Reference.of(base) if base else None, attributes)


def _attributes(data: bytes, position: int, where: str) -> Iterator[Attribute]:
    while position + HEADER.size <= len(data):
        type_, length, non_resident, name_length, name_offset, flags, instance = HEADER.unpack_from(data, position)
        if type_ == AT_END:
            return
        name_end = name_offset + 2 * name_length if name_length else 0
        if (
            length < layouts.MIN_ATTRIBUTE
            or length % layouts.ATTRIBUTE_ALIGNMENT
            or position + length > len(data)
            or name_end > length
        ):
            raise ContentsError(
                f"{where}: its attribute {type_:#x} at byte {position:#x} has {length} bytes and a name to byte"
                f" {name_end:#x}, the record {len(data)} bytes"
            )
        body = data[position : position + length]
        name = body[name_offset:name_end] if name_length else b""
        yield Attribute(type_, name, flags, instance, not non_resident, body, f"{where}, attribute {type_:#x}")
        position += length
    if data[position : position + 4] != AT_END.to_bytes(4, "little"):
        raise ContentsError(f"{where}: its attributes have no end")
