"""The persistent bitmaps of a qcow2 image: whether their directory is one that QEMU accepts.

Specification: Qcow2 Image File Format, sections "Bitmaps extension" and "Bitmap directory",
https://gitlab.com/qemu-project/qemu/-/blob/master/docs/interop/qcow2.rst

Bitmaps tell a backup program what changed; no guest byte depends on them. But QEMU opens no image whose directory
is broken.
"""

from collections.abc import Iterator
from typing import Any

from construct import Int8ub, Int16ub, Int32ub, Int64ub, Struct

from preflight.binary import parse_at
from preflight.errors import StructureError
from preflight.facts import Problem, ProblemCode
from preflight.formats._qcow2_header import AUTOCLEAR_BITMAPS, EXTENSION_WHERE, WHERE, Header
from preflight.formats._qcow2_mapping import OFFSET_MASK, words
from preflight.source import BlockSource
from preflight.units import KiB, align_up, ceil_div

DIRECTORY_WHERE = "qcow2 bitmap directory"
INVALID: ProblemCode = "qcow2-header-extension-invalid"

MAX_BITMAPS = 65535  # QEMU's own limit
MAX_BITMAP_DIRECTORY_BYTES = 1024 * MAX_BITMAPS  # QEMU's own limit
MAX_ENTRIES_READ = 64  # of the directory; backup programs keep a handful
MAX_NAME = 1023  # bytes; QEMU's own limit
MAX_TABLE_ENTRIES = 0x8000000  # QEMU's own limit
GRANULARITY_BITS = range(9, 32)  # QEMU's own limits
DIRTY_TRACKING = 1  # the only type there is

BITMAPS_LAYOUT = Struct(
    "nb_bitmaps" / Int32ub,
    "reserved" / Int32ub,
    "bitmap_directory_size" / Int64ub,
    "bitmap_directory_offset" / Int64ub,
)
BITMAPS_SIZE = 24
ENTRY = Struct(
    "bitmap_table_offset" / Int64ub,
    "bitmap_table_size" / Int32ub,
    "flags" / Int32ub,
    "type" / Int8ub,
    "granularity_bits" / Int8ub,
    "name_size" / Int16ub,
    "extra_data_size" / Int32ub,
)
ENTRY_SIZE = 24
KNOWN_FLAGS = 0b111
IN_USE = 0b001  # not saved properly: QEMU does not load it
TABLE_WHERE = "qcow2 bitmap table"
MAX_TABLE_BYTES_READ = 4 * KiB  # of each bitmap: 512 entries, which the usual ones reach with disks of 16 TiB
TABLE_RESERVED = 0xFF00_0000_0000_01FE
ALL_ONES = 1  # in place of an offset


def bitmaps_defects(source: BlockSource, header: Header, place: tuple[int, int] | None) -> Iterator[Problem]:
    """What is wrong with the extension whose data is at `place` (offset and length), and with its directory.

    Raises what `read_at` raises, and `StructureError` for a directory that breaks off.
    """
    if not header.autoclear_features & AUTOCLEAR_BITMAPS:
        return  # a program that knows no bitmaps wrote to the image since: what they say counts for nothing
    if place is None:  # QEMU passes over it
        yield Problem(INVALID, "autoclear feature bit 0 is set, but there is no bitmaps extension", WHERE, 88)
        return
    start, length = place
    if length != BITMAPS_SIZE:
        return
    bitmaps = parse_at(BITMAPS_LAYOUT, source, start, EXTENSION_WHERE)
    directory, size, number = bitmaps.bitmap_directory_offset, bitmaps.bitmap_directory_size, bitmaps.nb_bitmaps
    if bitmaps.reserved:
        yield Problem(INVALID, f"bytes 4 to 7 are {bitmaps.reserved:#x}, reserved as 0", EXTENSION_WHERE, start + 4)
    if not 1 <= number <= MAX_BITMAPS:
        reason = f"nb_bitmaps is {number}, allowed are 1 to {MAX_BITMAPS}"
        yield Problem(INVALID, reason, EXTENSION_WHERE, start)
    elif not number * ENTRY_SIZE <= size <= MAX_BITMAP_DIRECTORY_BYTES:
        reason = f"bitmap_directory_size is {size} bytes, allowed are {number * ENTRY_SIZE} to "
        yield Problem(INVALID, f"{reason}{MAX_BITMAP_DIRECTORY_BYTES}", EXTENSION_WHERE, start + 8)
    elif directory % header.cluster_size or not directory:
        reason = f"bitmap_directory_offset is {directory:#x}, not a cluster of its own"
        yield Problem(INVALID, reason, EXTENSION_WHERE, start + 16)
    elif directory + size > source.size:
        reason = f"the bitmap directory of {size} bytes at {directory:#x} passes the end of the file, {source.size:#x}"
        yield Problem("truncated-file", reason, EXTENSION_WHERE, start + 16)
    else:
        yield from _directory_defects(source, header, directory, size, number)


def _directory_defects(source: BlockSource, header: Header, start: int, size: int, number: int) -> Iterator[Problem]:
    offset, end = start, start + size
    names: set[bytes] = set()
    for _ in range(min(number, MAX_ENTRIES_READ)):
        entry = parse_at(ENTRY, source, offset, DIRECTORY_WHERE) if offset + ENTRY_SIZE <= end else None
        following = align_up(offset + ENTRY_SIZE + entry.name_size + entry.extra_data_size, 8) if entry else end + 1
        if entry is None or following > end:
            raise StructureError(DIRECTORY_WHERE, offset, f"an entry passes the directory's end, {end:#x}")
        for wrong, reason in (
            (entry.bitmap_table_offset % header.cluster_size or not entry.bitmap_table_offset, "bitmap_table_offset"),
            (_table_size_wrong(header, entry), "bitmap_table_size"),
            (entry.flags & ~KNOWN_FLAGS, "flags"),
            (entry.type != DIRTY_TRACKING, "type"),
            (entry.granularity_bits not in GRANULARITY_BITS, "granularity_bits"),
            (not 1 <= entry.name_size <= MAX_NAME, "name_size"),
            (entry.extra_data_size, "extra_data_size"),
        ):
            if wrong:
                value = f"{reason} is {entry[reason]:#x}, which QEMU does not accept"
                yield Problem(INVALID, value, DIRECTORY_WHERE, offset)
                break
        else:
            name = source.read_at(offset + ENTRY_SIZE, entry.name_size)
            if name in names:
                yield Problem(INVALID, "two bitmaps have one name, which QEMU does not accept", DIRECTORY_WHERE, offset)
            names.add(name)
            yield from _table_defects(source, header, entry, offset)
        offset = following
    if number <= MAX_ENTRIES_READ and offset != end:
        reason = f"its {number} entries end at {offset:#x}, the directory at {end:#x}"
        yield Problem(INVALID, reason, DIRECTORY_WHERE, start)


def _table_defects(source: BlockSource, header: Header, entry: Any, offset: int) -> Iterator[Problem]:
    """What is wrong with the table of a bitmap that QEMU loads; its first defect. `entry` lies at byte `offset`."""
    if entry.flags & IN_USE:
        return
    start, size = entry.bitmap_table_offset, entry.bitmap_table_size * 8
    if start + size > source.size:
        reason = f"a table of {size} bytes at {start:#x} passes the end of the file, {source.size:#x}"
        yield Problem("truncated-file", reason, DIRECTORY_WHERE, offset)
        return
    for number, place in enumerate(words(source.read_at(start, min(size, MAX_TABLE_BYTES_READ)))):
        host = place & OFFSET_MASK
        if place & TABLE_RESERVED or (host and (place & ALL_ONES or host % header.cluster_size)):
            reason = f"entry {number} is {place:#018x}, with reserved bits set or an offset that is not a whole cluster"
            yield Problem(INVALID, reason, TABLE_WHERE, start + number * 8)
            return
        if host >= source.size:
            reason = f"entry {number} is {place:#018x}, past the end of the file, {source.size:#x}"
            yield Problem("truncated-file", reason, TABLE_WHERE, start + number * 8)
            return


def _table_size_wrong(header: Header, entry: Any) -> bool:
    """Whether the bitmap's table is too large, or does not fit the virtual size where QEMU loads the bitmap."""
    if not 1 <= entry.bitmap_table_size <= MAX_TABLE_ENTRIES:
        return True
    if entry.flags & IN_USE or entry.granularity_bits not in GRANULARITY_BITS:
        return False
    bits = ceil_div(header.size, 1 << entry.granularity_bits)
    return bool(entry.bitmap_table_size != ceil_div(bits, 8 * header.cluster_size))
