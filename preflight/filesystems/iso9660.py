"""ISO 9660 discs, with Joliet's longer labels, and their ancestor High Sierra.

Specification: ECMA-119, sections 8.1 to 8.5 "Volume Descriptors" (High Sierra differs as linux/include/uapi/linux/
iso_fs.h, `struct hs_primary_descriptor`, shows); Joliet Specification 1.0, section "Identification"
"""

from typing import Any

from construct import Bytes, Int16ul, Int32ul, Padding, Struct

from preflight.binary import parse, text
from preflight.errors import OutOfBounds
from preflight.filesystems import FileSystemReader, Superblock
from preflight.filesystems._fields import label
from preflight.filesystems._signatures import stated
from preflight.source import BlockSource
from preflight.units import KiB

SYSTEM_AREA = 32 * KiB  # sectors 0 to 15
SECTOR_SIZE = 2 * KiB
MAX_DESCRIPTORS = 16  # libblkid's own; ECMA-119 has no limit but the terminator
ISO_STANDARD_ID = b"CD001"
HIGH_SIERRA_STANDARD_ID = b"CDROM"
HIGH_SIERRA_SHIFT = 8  # each descriptor begins with its own sector number, twice
PRIMARY, SUPPLEMENTARY, TERMINATOR = 1, 2, 255
JOLIET_ESCAPES = (b"%/@", b"%/C", b"%/E")  # UCS-2 level 1, 2, 3

_COMMON = (
    "type" / Bytes(1),
    "id" / Bytes(5),
    "version" / Bytes(1),
    "flags" / Bytes(1),
    "system_id" / Bytes(32),
    "volume_id" / Bytes(32),
    Padding(8),
    "volume_space_size" / Int32ul,  # logical blocks; the big-endian copy is not needed
    Padding(4),
    "escape_sequences" / Bytes(32),
    Padding(8),
    "logical_block_size" / Int16ul,
    Padding(2),
)
VOLUME_DESCRIPTOR = Struct(
    *_COMMON,
    Padding(681),  # path tables, root directory, identifiers of people and files
    "creation_date" / Bytes(17),  # 16 digits and a time zone
    "modification_date" / Bytes(17),
)
HIGH_SIERRA_DESCRIPTOR = Struct(
    *_COMMON,
    Padding(650),
    "creation_date" / Bytes(16),  # no time zone
    "modification_date" / Bytes(16),
)


def read(source: BlockSource) -> Superblock | None:
    """The disc by its primary descriptor; Joliet's supplementary one may know a better label."""
    start = source.read_at(SYSTEM_AREA, 16)
    if start[1:6] == ISO_STANDARD_ID:
        layout, standard_id, shift = VOLUME_DESCRIPTOR, ISO_STANDARD_ID, 0
    elif start[9:14] == HIGH_SIERRA_STANDARD_ID:
        layout, standard_id, shift = HIGH_SIERRA_DESCRIPTOR, HIGH_SIERRA_STANDARD_ID, HIGH_SIERRA_SHIFT
    else:
        return None
    primary = joliet = None
    for offset in range(SYSTEM_AREA, SYSTEM_AREA + MAX_DESCRIPTORS * SECTOR_SIZE, SECTOR_SIZE):
        try:
            data = source.read_at(offset + shift, layout.sizeof())
        except OutOfBounds:  # the terminator is missing
            break
        descriptor = parse(layout, data, "iso9660 volume descriptor", offset)
        kind = descriptor.type[0]
        if kind == TERMINATOR or descriptor.id != standard_id:
            break
        if kind == PRIMARY and primary is None:
            primary = descriptor
        elif kind == SUPPLEMENTARY and joliet is None and not shift and _is_joliet(descriptor):
            joliet = descriptor
        if primary and joliet:
            break
    if primary is None:
        return None
    return Superblock(
        "iso9660",
        _uuid(primary),
        _label(primary.volume_id, joliet.volume_id if joliet else None),
        stated(primary.volume_space_size * primary.logical_block_size),
    )


def _is_joliet(descriptor: Any) -> bool:
    return any(descriptor.escape_sequences.startswith(escape) for escape in JOLIET_ESCAPES)


def _uuid(primary: Any) -> str | None:
    """What libblkid makes out of the date of the last change or, where that is not set, of the creation."""
    for date in (primary.modification_date, primary.creation_date):
        if date[:16] == b"0" * 16 and not any(date[16:]):  # ECMA-119, 8.4.26.1: not specified
            continue
        if not any(date[:16]):
            return None
        parts = (date[:4], date[4:6], date[6:8], date[8:10], date[10:12], date[12:14], date[14:16])
        return text(b"-".join(parts))
    return None


def _label(volume_id: bytes, joliet_id: bytes | None) -> str | None:
    """The volume identifier.

    Joliet's is Unicode but holds 16 characters, the primary one holds 32 but only capital letters, digits and `_`
    for all others. Where one is the beginning of the other, what is lost in each is put together again.
    """
    if joliet_id is None:
        return label(volume_id)
    unicode = joliet_id.decode("utf-16-be", "surrogatepass")
    plain = volume_id.decode("latin-1")
    joined = []
    for long, short in zip(plain, unicode, strict=False):
        if long == "_":
            joined.append(short)
        elif short == "_":
            joined.append(long)
        elif _capital(long) == _capital(short):
            joined.append(short if long.isascii() and long.isupper() else long)
        else:
            return label(unicode.encode("utf-8", "surrogatepass"))
    return label(("".join(joined) + plain[len(joined) :]).encode("utf-8", "surrogatepass"))


def _capital(character: str) -> str:
    return character.upper() if character.isascii() else character


FILESYSTEM = FileSystemReader(read)
