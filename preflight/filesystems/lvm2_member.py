"""LVM physical volumes: LVM2_member by its label in one of the first four sectors, and LVM1_member.

Specification: LVM2, lib/format_text/layout.h and lib/label/label.h (`struct label_header`, `struct pv_header`),
https://sourceware.org/git/?p=lvm2.git
"""

from construct import Bytes, Int16ul, Int32ul, Int64ul, Struct

from preflight.binary import parse, text
from preflight.facts import Problem
from preflight.filesystems import FileSystemReader, Superblock
from preflight.filesystems._signatures import is_tiny, stated
from preflight.source import BlockSource
from preflight.units import SECTOR

LABEL_ID = b"LABELONE"
LVM2_LABEL = b"LVM2 001"
LABEL_SCAN_SECTORS = 4  # LVM looks no further
LABEL_TYPE_OFFSET = 24
INITIAL_CRC = 0xF597A6CF
CRC_START = 20  # from `offset_xl` to the end of the sector

LABEL = Struct(
    "id" / Bytes(8),
    "sector_xl" / Int64ul,
    "crc_xl" / Int32ul,
    "offset_xl" / Int32ul,  # from the start of the label to its contents
    "type" / Bytes(8),
    # struct pv_header, which every LVM2 has put right behind
    "pv_uuid" / Bytes(32),
    "device_size_xl" / Int64ul,  # bytes
)

LVM1_ID = b"HM"
PV_DISK = Struct(  # LVM1: struct pv_disk
    "id" / Bytes(2),
    "version" / Int16ul,
    "unused" / Bytes(40),
    "pv_uuid" / Bytes(128),
)


def calc_crc(data: bytes) -> int:
    """LVM2's CRC-32: the usual polynomial, another start, not inverted at the end."""
    import zlib

    return zlib.crc32(data, INITIAL_CRC ^ 0xFFFFFFFF) ^ 0xFFFFFFFF


def read(source: BlockSource) -> Superblock | None:
    """The physical volume by its LVM2 label, or by its LVM1 header."""
    if is_tiny(source):
        return None
    damaged = None
    start = source.read_at(0, LABEL_SCAN_SECTORS * SECTOR)
    for sector in range(LABEL_SCAN_SECTORS):
        found = _label(start[sector * SECTOR : (sector + 1) * SECTOR], sector)
        if found and not found.problems:
            return found
        damaged = damaged or found
    return damaged or _lvm1(start)


def _label(data: bytes, sector: int) -> Superblock | None:
    """The label in this sector. One that says it lies elsewhere is a copy, which LVM ignores too."""
    label = parse(LABEL, data, "lvm2 label", sector * SECTOR)
    if label.id != LABEL_ID or label.type != LVM2_LABEL or label.sector_xl != sector:
        return None
    problems: tuple[Problem, ...] = ()
    crc = calc_crc(data[CRC_START:])
    if crc != label.crc_xl:
        # libblkid says nothing here, and LVM finds no volume: the user must learn what it was.
        message = f"the label's checksum is {label.crc_xl:#010x}, its content gives {crc:#010x}"
        problems = (Problem("lvm-metadata-invalid", message, "lvm2 label", sector * SECTOR + 16),)
    return Superblock("LVM2_member", _uuid(label.pv_uuid), size=stated(label.device_size_xl), problems=problems)


def _lvm1(start: bytes) -> Superblock | None:
    pv = parse(PV_DISK, start, "lvm1 physical volume", 0)
    if pv.id != LVM1_ID or pv.version not in (1, 2):
        return None
    return Superblock("LVM1_member", _uuid(pv.pv_uuid[:32]))


def _uuid(data: bytes) -> str | None:
    """LVM's spelling: 32 characters in groups of 6, 4, 4, 4, 4, 4 and 6."""
    if not any(data):
        return None
    parts = (data[:6], data[6:10], data[10:14], data[14:18], data[18:22], data[22:26], data[26:])
    return text(b"-".join(parts))


FILESYSTEM = FileSystemReader(read, owner=True)
