"""The boot sector of FAT: where everything is by its fields, and whether these can be.

Specification: Microsoft Extensible Firmware Initiative FAT32 File System Specification, version 1.03, section Boot
Sector and BPB (fatgen103); ECMA-107. What Linux refuses: fs/fat/inode.c, fat_read_bpb and fat_fill_super.
"""

from collections.abc import Iterator
from typing import Any

import msgspec
from construct import Bytes, Int8ul, Int16ul, Int32ul, Padding, Struct

from preflight.binary import parse
from preflight.units import ceil_div, is_power_of_two

SECTOR_SIZE = 512  # what the boot sector fills, whatever BPB_BytsPerSec is

BPB = Struct(
    "BS_jmpBoot" / Bytes(3),
    "BS_OEMName" / Bytes(8),
    "BPB_BytsPerSec" / Int16ul,
    "BPB_SecPerClus" / Int8ul,
    "BPB_RsvdSecCnt" / Int16ul,
    "BPB_NumFATs" / Int8ul,
    "BPB_RootEntCnt" / Int16ul,
    "BPB_TotSec16" / Int16ul,
    "BPB_Media" / Int8ul,
    "BPB_FATSz16" / Int16ul,
    "BPB_SecPerTrk" / Int16ul,
    "BPB_NumHeads" / Int16ul,
    "BPB_HiddSec" / Int32ul,
    "BPB_TotSec32" / Int32ul,
)
BPB_SIZE = 36

FAT16 = Struct(  # FAT12 and FAT16, after the BPB
    "BS_DrvNum" / Int8ul,
    "BS_Reserved1" / Int8ul,
    "BS_BootSig" / Int8ul,
    "BS_VolID" / Bytes(4),
    "BS_VolLab" / Bytes(11),
    "BS_FilSysType" / Bytes(8),
)

FAT32 = Struct(  # after the BPB
    "BPB_FATSz32" / Int32ul,
    "BPB_ExtFlags" / Int16ul,
    "BPB_FSVer" / Int16ul,
    "BPB_RootClus" / Int32ul,
    "BPB_FSInfo" / Int16ul,
    "BPB_BkBootSec" / Int16ul,
    Padding(12),  # BPB_Reserved
    "BS_DrvNum" / Int8ul,
    "BS_Reserved1" / Int8ul,
    "BS_BootSig" / Int8ul,
    "BS_VolID" / Bytes(4),
    "BS_VolLab" / Bytes(11),
    "BS_FilSysType" / Bytes(8),
)

ENTRY_SIZE = 32  # of a directory

MIN_MEDIA, REMOVABLE_MEDIA = 0xF8, 0xF0
MAX_CLUSTERS_FAT12, MAX_CLUSTERS_FAT16, MAX_CLUSTERS_FAT32 = 0xFF4, 0xFFF4, 0x0FFFFFF6
EXT_FLAG_ACTIVE_FAT, EXT_FLAG_NOT_MIRRORED = 0x000F, 0x0080  # BPB_ExtFlags


class Geometry(msgspec.Struct, frozen=True):
    """Where a boot sector says that everything is; offsets and sizes in bytes."""

    bits: int
    """12, 16 or 32: how wide an entry of the FAT is."""
    cluster_size: int
    clusters: int
    """How many the data area has; they are counted from 2."""
    fat_offset: int
    """Of the FAT that is in use."""
    fat_size: int
    root_offset: int
    """Of the root directory of FAT12 and FAT16."""
    root_size: int
    root_cluster: int
    """The first one of the root directory of FAT32; 0 for the others."""
    data_offset: int
    """Of cluster 2."""
    size: int


class _Areas(msgspec.Struct, frozen=True):
    """Sizes in sectors."""

    is_fat32: bool
    fat: int
    fats_end: int
    root: int
    total: int


def defect(sector: bytes) -> tuple[str, int] | None:
    """Why the first 512 bytes are not the boot sector of a FAT, and the byte of the field; None where they can be."""
    return next(_defects(parse(BPB, sector[:BPB_SIZE], "FAT boot sector", 0), sector), None)


def _defects(bpb: Any, sector: bytes) -> Iterator[tuple[str, int]]:
    size, per_cluster = bpb.BPB_BytsPerSec, bpb.BPB_SecPerClus
    if not (is_power_of_two(size) and 512 <= size <= 4096):
        yield f"BPB_BytsPerSec is {size}, expected is a power of two from 512 to 4096", 0x0B
    if not is_power_of_two(per_cluster):
        yield f"BPB_SecPerClus is {per_cluster}, expected is a power of two", 0x0D
    if not bpb.BPB_RsvdSecCnt:
        yield "BPB_RsvdSecCnt is 0, expected is at least the boot sector itself", 0x0E
    if not bpb.BPB_NumFATs:
        yield "BPB_NumFATs is 0, expected is 1 or 2", 0x10
    if bpb.BPB_Media < MIN_MEDIA and bpb.BPB_Media != REMOVABLE_MEDIA:
        yield f"BPB_Media is {bpb.BPB_Media:#x}, expected is 0xf0, or 0xf8 and more", 0x15
    areas = _areas(bpb, sector)
    if not areas.fat:
        yield "BPB_FATSz16 and BPB_FATSz32 are 0, so there is no FAT", 0x16
    if areas.total < areas.fats_end + areas.root:
        reason = f"there are {areas.total} sectors, and before the clusters lie {areas.fats_end + areas.root}"
        yield reason, 0x13 if bpb.BPB_TotSec16 else 0x20
    clusters = (areas.total - areas.fats_end - areas.root) // per_cluster
    most = MAX_CLUSTERS_FAT32 if areas.is_fat32 else MAX_CLUSTERS_FAT16
    if clusters > most:
        yield f"there are {clusters} clusters, a FAT of this kind has at most {most}", 0x0D


def _areas(bpb: Any, sector: bytes) -> _Areas:
    fat32 = parse(FAT32, sector[BPB_SIZE:], "FAT boot sector", BPB_SIZE)
    is_fat32 = not bpb.BPB_FATSz16  # for Linux, Windows and UEFI this tells it, not the number of clusters
    fat = fat32.BPB_FATSz32 if is_fat32 else bpb.BPB_FATSz16
    return _Areas(
        is_fat32,
        fat,
        fats_end=bpb.BPB_RsvdSecCnt + fat * bpb.BPB_NumFATs,
        root=ceil_div(bpb.BPB_RootEntCnt * ENTRY_SIZE, bpb.BPB_BytsPerSec),
        total=bpb.BPB_TotSec16 or bpb.BPB_TotSec32,
    )


def geometry(sector: bytes) -> Geometry | None:
    """What the first 512 bytes say of a FAT; None where they cannot be its boot sector."""
    bpb = parse(BPB, sector[:BPB_SIZE], "FAT boot sector", 0)
    if next(_defects(bpb, sector), None) is not None:
        return None
    areas = _areas(bpb, sector)
    clusters = (areas.total - areas.fats_end - areas.root) // bpb.BPB_SecPerClus
    active = 0
    fat32 = parse(FAT32, sector[BPB_SIZE:], "FAT boot sector", BPB_SIZE)
    if areas.is_fat32 and fat32.BPB_ExtFlags & EXT_FLAG_NOT_MIRRORED:
        stated = fat32.BPB_ExtFlags & EXT_FLAG_ACTIVE_FAT
        active = stated if stated < bpb.BPB_NumFATs else 0  # Linux reads the first one whatever is stated
    sector_size: int = bpb.BPB_BytsPerSec
    return Geometry(
        bits=32 if areas.is_fat32 else 16 if clusters > MAX_CLUSTERS_FAT12 else 12,
        cluster_size=bpb.BPB_SecPerClus * sector_size,
        clusters=clusters,
        fat_offset=(bpb.BPB_RsvdSecCnt + active * areas.fat) * sector_size,
        fat_size=areas.fat * sector_size,
        root_offset=areas.fats_end * sector_size,
        root_size=bpb.BPB_RootEntCnt * ENTRY_SIZE,
        root_cluster=fat32.BPB_RootClus if areas.is_fat32 else 0,
        data_offset=(areas.fats_end + areas.root) * sector_size,
        size=areas.total * sector_size,
    )
