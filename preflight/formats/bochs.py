"""A growing disk of the emulator Bochs: recognised and named.

Such a file would else be raw here and Bochs's own to QEMU, which knows it by its first bytes.

Specification: Bochs User Manual, section "The bximage tool", and the redolog header in iodev/hdimage/hdimage.h,
https://bochs.sourceforge.io/; the limits are QEMU's, block/bochs.c
"""

from construct import Bytes, Int32ul, Int64ul, Struct

from preflight import binary
from preflight.formats import Container, Format
from preflight.formats._recognised import MAX_SIZE, head, open_named, require
from preflight.source import BlockSource
from preflight.units import SECTOR, MiB, is_power_of_two

MAGIC = b"Bochs Virtual HD Image\0"
VERSION_1, VERSION_2 = 0x0001_0000, 0x0002_0000
MAX_EXTENT = 8 * MiB
MAX_CATALOG = 0x10_0000  # entries

StandardHeader = Struct(
    "magic" / Bytes(32),
    "type" / Bytes(16),
    "subtype" / Bytes(16),
    "version" / Int32ul,
    "header" / Int32ul,  # bytes
)
RedologHeader = Struct("catalog" / Int32ul, "bitmap" / Int32ul, "extent" / Int32ul)  # entries, bytes, bytes
DISK_OFFSETS = {VERSION_1: 84, VERSION_2: 88}  # of the size of the disk; the newer one aligns it
WHERE = "bochs header"


def _claims(source: BlockSource) -> tuple[str, ...]:
    return ("bochs",) if head(source, len(MAGIC)) == MAGIC else ()


def _read(source: BlockSource) -> Container:
    header = binary.parse_at(StandardHeader, source, 0, WHERE)
    known = header.version in DISK_OFFSETS
    require(known, WHERE, StandardHeader, "version", f"is {header.version:#x}, known are 0x10000 and 0x20000")
    kind, subtype = binary.text(header.type), binary.text(header.subtype)
    details = {"type": kind, "subtype": subtype, "version": header.version}
    if (kind, subtype) != ("Redolog", "Growing"):  # what an undoable or a volatile disk has changed, not the disk
        return Container("bochs", None, None, format_details=details)
    base = StandardHeader.sizeof()
    redolog = binary.parse_at(RedologHeader, source, base, WHERE)

    def check(condition: bool, field: str, reason: str) -> None:
        require(condition, WHERE, RedologHeader, field, reason, base)

    extent = redolog.extent
    fits = is_power_of_two(extent) and SECTOR <= extent <= MAX_EXTENT
    check(fits, "extent", f"is {extent} bytes, allowed are powers of two from {SECTOR} to {MAX_EXTENT}")
    check(redolog.catalog <= MAX_CATALOG, "catalog", f"is {redolog.catalog} entries, at most {MAX_CATALOG}")
    size = binary.parse_at(Int64ul, source, DISK_OFFSETS[header.version], WHERE)
    check(size <= MAX_SIZE, "extent", f"is followed by a disk of {size} bytes, more than a disk can have")
    reach = redolog.catalog * extent
    check(reach >= size, "catalog", f"covers {reach} bytes, fewer than the {size} of the disk")
    details |= {"extent": extent, "catalog": redolog.catalog}
    return Container("bochs", None, size // SECTOR * SECTOR, format_details=details)


def _open(source: BlockSource, name: str) -> Container:
    return open_named(name, source, _read)


FORMAT = Format(("bochs",), _claims, _open, own_first_sector=("bochs",))
