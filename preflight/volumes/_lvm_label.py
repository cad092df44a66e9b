"""An LVM2 physical volume up to the text of its metadata: label, `pv_header`, metadata areas.

Specification: lvm2, lib/label/label.h, lib/format_text/layout.h and lib/misc/crc.c; in words: libvslvm, "Logical
Volume Manager (LVM) format", sections 2 to 4.
https://github.com/libyal/libvslvm/blob/main/documentation/Logical%20Volume%20Manager%20(LVM)%20format.asciidoc
"""

import re
import zlib

import msgspec
from construct import Array, Bytes, Const, Int32ul, Int64ul, Struct

from preflight.binary import parse
from preflight.errors import StructureError
from preflight.facts import Problem
from preflight.source import BlockSource
from preflight.units import SECTOR, KiB, MiB
from preflight.volumes import Member
from preflight.volumes._problems import problem_of

LABEL_SCAN_SECTORS = 4
LABEL_ID = b"LABELONE"
LABEL_TYPE = b"LVM2 001"
LABEL_HEADER = Struct(
    "id" / Const(LABEL_ID),
    "sector_xl" / Int64ul,  # in which sector the label itself lies
    "crc_xl" / Int32ul,  # of the sector from `offset_xl` to its end
    "offset_xl" / Int32ul,  # of the pv_header, from the label's start
    "type" / Bytes(8),
)
LABEL_CRC_START = 20

PV_HEADER = Struct("pv_uuid" / Bytes(32), "device_size_xl" / Int64ul)
DISK_LOCN = Struct("offset" / Int64ul, "size" / Int64ul)  # bytes from the start of the volume
PV_HEADER_EXTENSION = Struct("version" / Int32ul, "flags" / Int32ul)
PV_EXT_USED = 1  # a group uses the volume; since extension version 2

MDA_MAGIC = b" LVM2 x[5A%r0N*>"
MDA_HEADER_SIZE = 512
RAW_LOCN = Struct(
    "offset" / Int64ul, "size" / Int64ul, "checksum" / Int32ul, "flags" / Int32ul
)  # offset within the area
RAW_LOCN_IGNORED = 1
MDA_HEADER = Struct(
    "checksum_xl" / Int32ul,  # of the rest of the 512 bytes
    "magic" / Bytes(16),
    "version" / Int32ul,
    "start" / Int64ul,  # of the area, from the start of the volume
    "size" / Int64ul,  # of the area, this header included
    "raw_locns" / Array(2, RAW_LOCN),  # committed, and the one in preparation
    "padding" / Bytes(MDA_HEADER_SIZE - 88),
)

MAX_MDAS = 2  # pvcreate --metadatacopies goes to 2
MAX_TEXT = 1 * MiB  # the whole area is 1 MiB unless asked otherwise; a text of 100 KiB describes hundreds of volumes
MAX_ALL_TEXTS = 4 * MiB  # on all members together, so that many volumes cannot multiply the work
MIN_TEXT = 64  # not even the braces of an empty group fit in less

_INITIAL_CRC = 0xF597A6CF
_UUID = re.compile(r"[0-9A-Za-z!#]{32}", re.ASCII)


class MetadataText(msgspec.Struct, frozen=True):
    """Where a copy of the metadata lies, and what tells equal copies."""

    pieces: tuple[tuple[int, int], ...]
    """Offset within the volume and size, two of them where the ring wraps."""
    checksum: int
    size: int


class PhysicalVolume(msgspec.Struct, frozen=True):
    """What the headers of one physical volume say."""

    member: Member
    uuid: str
    """In lvm's dashed spelling."""
    used: bool
    """Whether it says of itself that a group uses it."""
    texts: tuple[MetadataText, ...]


def lvm_crc(data: bytes, initial: int = _INITIAL_CRC) -> int:
    """The checksum of lvm: the polynomial of CRC-32, another start value, not inverted at the end."""
    return zlib.crc32(data, initial ^ 0xFFFFFFFF) ^ 0xFFFFFFFF


def dashed(uuid: str) -> str | None:
    """The spelling of an id in lvm, with or without its dashes: groups of 6-4-4-4-4-4-6; None where it is none."""
    bare = uuid.replace("-", "")
    if not _UUID.fullmatch(bare):
        return None
    return "-".join((bare[:6], bare[6:10], bare[10:14], bare[14:18], bare[18:22], bare[22:26], bare[26:]))


def invalid(member: Member, where: str, offset: int, message: str) -> Problem:
    """The problem of metadata that is wrong at byte `offset` of the member."""
    return Problem("lvm-metadata-invalid", message, where, member.start + offset)


def read_physical_volume(member: Member, problems: list[Problem]) -> PhysicalVolume | None:
    """The physical volume on `member`; None where its label cannot be used. Adds to `problems`.

    Raises what `read_at` raises for the label's sectors.
    """
    found = _label(member, problems)
    if found is None:
        return None
    label_offset, sector, header_offset = found
    header = parse(
        PV_HEADER, sector[header_offset : header_offset + 40], "lvm2 pv_header", label_offset + header_offset
    )
    uuid = dashed(header.pv_uuid.decode("ascii", "replace"))
    if uuid is None:
        message = f"pv_uuid {header.pv_uuid!r}, expected 32 letters and digits"
        problems.append(invalid(member, "lvm2 pv_header", label_offset + header_offset, message))
        return None
    areas, rest = _disk_areas(sector[header_offset + 40 :])
    mdas, rest = _disk_areas(rest)
    used = False
    if len(rest) >= 8:
        extension = parse(PV_HEADER_EXTENSION, rest[:8], "lvm2 pv_header_extension", label_offset)
        used = extension.version >= 2 and bool(extension.flags & PV_EXT_USED)
    if len(mdas) > MAX_MDAS or len(areas) > 1:
        message = f"{len(areas)} data areas and {len(mdas)} metadata areas, expected 1 and at most {MAX_MDAS}"
        problems.append(invalid(member, "lvm2 pv_header", label_offset + header_offset, message))
    texts = []
    for start, size in mdas[:MAX_MDAS]:
        if start + size > member.source.size:
            message = f"a metadata area of {size} bytes at {start}, the volume ends at byte {member.source.size}"
            problems.append(invalid(member, "lvm2 pv_header", label_offset + header_offset, message))
            continue
        try:
            text = _metadata_area(member.source, start, size)
        except StructureError as error:
            problems.append(problem_of(error, "lvm-metadata-invalid", member, "lvm2 mda_header", start))
        else:
            if text is not None:
                texts.append(text)
    return PhysicalVolume(member, uuid, used, tuple(texts))


def read_text(volume: PhysicalVolume, text: MetadataText) -> str:
    """The metadata text up to its NUL. Raises `StructureError`: unreadable, or its checksum is wrong."""
    data = b"".join(volume.member.source.read_at(offset, size) for offset, size in text.pieces)
    if lvm_crc(data) != text.checksum:
        reason = f"checksum {lvm_crc(data):#010x} of the text, {text.checksum:#010x} in its raw_locn"
        raise StructureError("lvm2 metadata", text.pieces[0][0], reason)
    return data.partition(b"\0")[0].decode("utf-8", "replace")


def _label(member: Member, problems: list[Problem]) -> tuple[int, bytes, int] | None:
    """Offset of the first good label, its sector, and the offset of the pv_header in it."""
    data = member.source.read_at(0, min(member.source.size, LABEL_SCAN_SECTORS * SECTOR))
    bad = []
    for offset in range(0, len(data) - SECTOR + 1, SECTOR):
        sector = data[offset : offset + SECTOR]
        if not sector.startswith(LABEL_ID):
            continue
        label = parse(LABEL_HEADER, sector[: LABEL_HEADER.sizeof()], "lvm2 label_header", offset)
        crc = lvm_crc(sector[LABEL_CRC_START:])
        if label.type != LABEL_TYPE:
            continue  # another user of the same label
        if label.sector_xl != offset // SECTOR:
            bad.append((offset, f"sector_xl {label.sector_xl}, but the label lies in sector {offset // SECTOR}"))
        elif label.crc_xl != crc:
            bad.append((offset, f"crc_xl {label.crc_xl:#010x}, the sector has {crc:#010x}"))
        elif not LABEL_HEADER.sizeof() <= label.offset_xl <= SECTOR - PV_HEADER.sizeof():
            bad.append((offset, f"offset_xl {label.offset_xl}, the pv_header must follow the label in its sector"))
        else:
            return offset, sector, label.offset_xl
    offset, message = bad[0] if bad else (0, f"no label in the first {LABEL_SCAN_SECTORS} sectors")
    problems.append(invalid(member, "lvm2 label_header", offset, message))
    return None


def _disk_areas(data: bytes) -> tuple[list[tuple[int, int]], bytes]:
    """The disk_locns up to the one whose offset is 0, and the bytes behind that; the sector's end bounds them."""
    areas: list[tuple[int, int]] = []
    step = DISK_LOCN.sizeof()
    for position in range(0, len(data) - step + 1, step):
        locn = parse(DISK_LOCN, data[position : position + step], "lvm2 disk_locn", position)
        if locn.offset == 0:
            return areas, data[position + step :]
        areas.append((locn.offset, locn.size))
    return areas, b""


def _metadata_area(source: BlockSource, start: int, size: int) -> MetadataText | None:
    """The committed metadata of one area, None where it holds none; `StructureError` where its header is wrong."""
    where = "lvm2 mda_header"
    data = source.read_at(start, MDA_HEADER_SIZE)
    header = parse(MDA_HEADER, data, where, start)
    if header.magic != MDA_MAGIC or header.version != 1:
        raise StructureError(where, start, f"magic {header.magic!r} version {header.version}, expected {MDA_MAGIC!r} 1")
    if header.checksum_xl != lvm_crc(data[4:]):
        raise StructureError(
            where, start, f"checksum_xl {header.checksum_xl:#010x}, the header has {lvm_crc(data[4:]):#010x}"
        )
    if (header.start, header.size) != (start, size):
        reason = f"start {header.start} and size {header.size}, the pv_header says {start} and {size} bytes"
        raise StructureError(where, start, reason)
    locn = header.raw_locns[0]
    if locn.offset == 0 or locn.flags & RAW_LOCN_IGNORED:
        return None
    if not MIN_TEXT <= locn.size <= min(MAX_TEXT, size - MDA_HEADER_SIZE):
        reason = (
            f"the text has {locn.size} bytes; {size // KiB} KiB of area are there and {MAX_TEXT // MiB} MiB are read"
        )
        raise StructureError(where, start, reason)
    if not MDA_HEADER_SIZE <= locn.offset < size:
        raise StructureError(where, start, f"the text begins at byte {locn.offset} of an area of {size} bytes")
    # The area is a ring: what does not fit before its end goes on behind the header.
    first = min(locn.size, size - locn.offset)
    pieces = [(start + locn.offset, first)]
    if first < locn.size:
        pieces.append((start + MDA_HEADER_SIZE, locn.size - first))
    return MetadataText(tuple(pieces), locn.checksum, locn.size)
