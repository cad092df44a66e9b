"""BitLocker volumes, by their boot sector and FVE metadata block.

Specification: libbde, BitLocker Drive Encryption (BDE) format specification, sections "Volume header" and "FVE
metadata block", https://github.com/libyal/libbde/blob/main/documentation
"""

from construct import Array, Bytes, Int16ul, Int32ul, Int64ul, Padding, Struct

from preflight.binary import guid_text, parse, parse_at
from preflight.errors import OutOfBounds
from preflight.facts import Problem
from preflight.filesystems import FileSystemReader, Superblock
from preflight.filesystems._fields import utf16_label
from preflight.source import BlockSource
from preflight.units import KiB

VISTA = b"\xeb\x52\x90-FVE-FS-"
WINDOWS_7 = b"\xeb\x58\x90-FVE-FS-"
TO_GO = b"\xeb\x58\x90MSWIN4.1"  # as on any FAT made by Windows 98: only the metadata tells them apart
SECTOR_SIZE = 512

VOLUME_HEADER = Struct("magic" / Bytes(11), Padding(165), "fve_metadata_offsets" / Array(3, Int64ul))
TO_GO_HEADER = Struct("magic" / Bytes(11), Padding(429), "fve_metadata_offsets" / Array(3, Int64ul))

FVE_SIGNATURE = b"-FVE-FS-"
FVE_METADATA = Struct(
    "signature" / Bytes(8),
    "size" / Int16ul,
    "version" / Int16ul,
    Padding(52),
    # the metadata header, right behind the 64 bytes of the block header
    "metadata_size" / Int32ul,  # bytes, from here to the end of the last entry
    Padding(12),
    "volume_identifier" / Bytes(16),
    Padding(16),
)
METADATA_START = 64
METADATA_HEADER_SIZE = 48
MAX_METADATA_SIZE = 64 * KiB  # Windows reserves this much for each of the three blocks

ENTRY = Struct("size" / Int16ul, "entry_type" / Int16ul, "value_type" / Int16ul, "version" / Int16ul)
DESCRIPTION, UNICODE_STRING = 7, 2


def read(source: BlockSource) -> Superblock | None:
    """The encrypted volume; its UUID is the volume identifier and its label the description.

    Older libblkid prints the serial number of the boot sector as the UUID, which Windows leaves zero, and no label.
    """
    boot = source.read_at(0, SECTOR_SIZE)
    if boot.startswith(VISTA):
        return Superblock("BitLocker")
    header = parse(TO_GO_HEADER if boot.startswith(TO_GO) else VOLUME_HEADER, boot, "bitlocker volume header", 0)
    for offset in header.fve_metadata_offsets:
        found = _metadata(source, offset)
        if found:
            uuid, description = found
            first = header.fve_metadata_offsets[0]
            problems = () if offset == first else _lost("the first FVE metadata block is lost, a copy was used", first)
            return Superblock("BitLocker", uuid, description, problems=problems)
    if boot.startswith(TO_GO):
        return None
    # libblkid says nothing here; but the signature of eight bytes is BitLocker's own, and nothing else is there.
    return Superblock("BitLocker", problems=_lost("no FVE metadata block is readable", 176))


def _lost(message: str, offset: int) -> tuple[Problem, ...]:
    return (Problem("superblock-invalid", message, "bitlocker FVE metadata", offset),)


def _metadata(source: BlockSource, offset: int) -> tuple[str | None, str | None] | None:
    """The volume identifier and description in the metadata block at `offset`, None where there is no such block."""
    if offset == 0 or offset % METADATA_START:
        return None
    try:
        metadata = parse_at(FVE_METADATA, source, offset, "bitlocker FVE metadata")
        if metadata.signature != FVE_SIGNATURE:
            return None
        size = min(metadata.metadata_size, MAX_METADATA_SIZE, source.size - offset - METADATA_START)
        entries = source.read_at(offset + METADATA_START, size)[METADATA_HEADER_SIZE:]
    except OutOfBounds:
        return None
    identifier = metadata.volume_identifier
    return guid_text(identifier) if any(identifier) else None, _description(entries, offset)


def _description(entries: bytes, offset: int) -> str | None:
    """The text that Windows shows for the volume: computer, drive letter and date."""
    at = 0
    while at + ENTRY.sizeof() < len(entries):
        entry = parse(
            ENTRY, entries[at:], "bitlocker metadata entry", offset + METADATA_START + METADATA_HEADER_SIZE + at
        )
        if entry.size < ENTRY.sizeof():  # so that every step moves on
            return None
        if entry.entry_type == DESCRIPTION and entry.value_type == UNICODE_STRING:
            return utf16_label(entries[at + ENTRY.sizeof() : at + entry.size])
        at += entry.size
    return None


FILESYSTEM = FileSystemReader(read, owner=True)
