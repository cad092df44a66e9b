"""FAT: FAT12, FAT16 and FAT32, all named `vfat`.

Specification: Microsoft Extensible Firmware Initiative FAT32 File System Specification, version 1.03, sections
Boot Sector and BPB, FAT32 FSInfo Sector Structure, FAT Directory Structure (fatgen103);
ECMA-107. What libblkid demands where the specification is lax: libblkid/src/superblocks/vfat.c of util-linux.
"""

from typing import Any

import msgspec
from construct import Bytes, Int8ul, Int16ul, Int32ul, Padding, Struct

from preflight.binary import parse
from preflight.errors import OutOfBounds
from preflight.facts import Problem
from preflight.filesystems import FileSystemReader, Superblock
from preflight.filesystems._fields import label
from preflight.source import BlockSource
from preflight.units import KiB, is_power_of_two

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

FSINFO = Struct(
    "FSI_LeadSig" / Bytes(4),
    Padding(480),
    "FSI_StrucSig" / Bytes(4),
)
FSINFO_SIZE = 488

DIRECTORY_ENTRY = Struct(
    "DIR_Name" / Bytes(11),
    "DIR_Attr" / Int8ul,
    Padding(8),
    "DIR_FstClusHI" / Int16ul,
    Padding(4),
    "DIR_FstClusLO" / Int16ul,
    "DIR_FileSize" / Int32ul,
)
ENTRY_SIZE = 32

# By these any of them is FAT; BS_FilSysType means nothing to the specification, but Microsoft's formatters write it.
NAMES_FAT32 = (b"MSWIN", b"FAT32   ")  # at 0x52
NAMES_FAT16 = (b"MSDOS", b"FAT16   ", b"FAT12   ", b"FAT     ")  # at 0x36
OTHER_OWNERS = (b"JFS     ", b"HPFS    ")  # at 0x36: OS/2 puts the likeness of a BPB before these
SIGNATURE = b"\x55\xaa"  # at 0x1fe, where a master boot record has it too
BITLOCKER = b"-FVE-FS-"
BITLOCKER_TO_GO = b"MSWIN4.1"
BITLOCKER_TO_GO_OFFSET = 440  # where the place of its metadata is written

MIN_MEDIA, REMOVABLE_MEDIA = 0xF8, 0xF0
MAX_CLUSTERS_FAT12, MAX_CLUSTERS_FAT16, MAX_CLUSTERS_FAT32 = 0xFF4, 0xFFF4, 0x0FFFFFF6
EXT_FLAG_ACTIVE_FAT, EXT_FLAG_NOT_MIRRORED = 0x000F, 0x0080  # BPB_ExtFlags
EXTENDED_BOOT_SIGNATURES = (0x28, 0x29)  # 0x28: a volume ID and no label

FSI_LEAD_SIGNATURES = (b"RRaA", b"RRdA", bytes(4))  # the second by some devices; zero: never written
FSI_STRUC_SIGNATURES = (b"rrAa", bytes(4))

ATTR_VOLUME_ID, ATTR_DIRECTORY, ATTR_LONG_NAME, ATTR_MASK = 0x08, 0x10, 0x0F, 0x3F
FREE, LAST, KANJI_E5 = 0xE5, 0x00, 0x05

MAX_ROOT_CLUSTERS = 99  # libblkid gives up there as well
MAX_ROOT_BYTES = 128 * KiB  # the label is usually the first entry; 4096 entries before it are no honest directory
CHUNK = 4 * KiB


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


def geometry(sector: bytes) -> Geometry | None:
    """What the first 512 bytes say of a FAT; None where they cannot be its boot sector."""
    bpb = parse(BPB, sector[:BPB_SIZE], "FAT boot sector", 0)
    if not _is_sane(bpb):
        return None
    fat32 = parse(FAT32, sector[BPB_SIZE:], "FAT boot sector", BPB_SIZE)
    is_fat32 = not bpb.BPB_FATSz16  # for Linux, Windows and UEFI this tells it, not the number of clusters
    fat_sectors = fat32.BPB_FATSz32 if is_fat32 else bpb.BPB_FATSz16
    total = bpb.BPB_TotSec16 or bpb.BPB_TotSec32
    fats_end = bpb.BPB_RsvdSecCnt + fat_sectors * bpb.BPB_NumFATs
    root_sectors = -(-bpb.BPB_RootEntCnt * ENTRY_SIZE // bpb.BPB_BytsPerSec)
    if not fat_sectors or total < fats_end + root_sectors:
        return None
    clusters = (total - fats_end - root_sectors) // bpb.BPB_SecPerClus
    if clusters > (MAX_CLUSTERS_FAT32 if is_fat32 else MAX_CLUSTERS_FAT16):
        return None
    active = 0
    if is_fat32 and fat32.BPB_ExtFlags & EXT_FLAG_NOT_MIRRORED:
        stated = fat32.BPB_ExtFlags & EXT_FLAG_ACTIVE_FAT
        active = stated if stated < bpb.BPB_NumFATs else 0  # Linux reads the first one whatever is stated
    sector_size: int = bpb.BPB_BytsPerSec
    return Geometry(
        bits=32 if is_fat32 else 16 if clusters > MAX_CLUSTERS_FAT12 else 12,
        cluster_size=bpb.BPB_SecPerClus * sector_size,
        clusters=clusters,
        fat_offset=(bpb.BPB_RsvdSecCnt + active * fat_sectors) * sector_size,
        fat_size=fat_sectors * sector_size,
        root_offset=fats_end * sector_size,
        root_size=bpb.BPB_RootEntCnt * ENTRY_SIZE,
        root_cluster=fat32.BPB_RootClus if is_fat32 else 0,
        data_offset=(fats_end + root_sectors) * sector_size,
        size=total * sector_size,
    )


def read(source: BlockSource) -> Superblock | None:
    """The boot sector, with the label from the root directory.

    The label of the boot sector is not taken where the directory has none: blkid calls it LABEL_FATBOOT since 2.33,
    as no system but old DOS keeps it.
    """
    sector = source.read_at(0, SECTOR_SIZE)
    places = geometry(sector)
    if places is None or not _has_signature(sector) or _is_bitlocker(source, sector):
        return None
    bpb = parse(BPB, sector[:BPB_SIZE], "FAT boot sector", 0)
    problems: list[Problem] = []
    if places.bits == 32:
        fat32 = parse(FAT32, sector[BPB_SIZE:], "FAT boot sector", BPB_SIZE)
        serial = fat32.BS_VolID
        if not 2 <= places.root_cluster < places.clusters + 2:
            message = f"BPB_RootClus is {places.root_cluster}, there are the clusters 2 to {places.clusters + 1}"
            problems.append(_problem(message, "FAT boot sector", 0x2C))
        problems += _check_fsinfo(source, bpb, fat32)
    else:
        fat16 = parse(FAT16, sector[BPB_SIZE:], "FAT boot sector", BPB_SIZE)
        serial = fat16.BS_VolID if fat16.BS_BootSig in EXTENDED_BOOT_SIGNATURES else bytes(4)
    name = None
    try:
        if places.bits == 32:
            name = _find_label_fat32(source, places)
        else:
            name, _ = _find_label(source, places.root_offset, min(places.root_size, MAX_ROOT_BYTES))
    except OutOfBounds as error:
        problems.append(_problem(f"the root directory is out of reach: {error.reason}", "FAT root directory", None))
    return Superblock(
        "vfat",
        uuid=f"{serial[3]:02X}{serial[2]:02X}-{serial[1]:02X}{serial[0]:02X}" if any(serial) else None,
        label=None if name is None else label(name),
        size=places.size,
        problems=tuple(problems),
    )


def _has_signature(sector: bytes) -> bool:
    """Whether the sector names FAT, or at least ends like a boot sector and is nobody else's."""
    return (
        sector[0x52:].startswith(NAMES_FAT32)
        or sector[0x36:].startswith(NAMES_FAT16)
        or (sector[0x1FE:] == SIGNATURE and not sector[0x36:].startswith(OTHER_OWNERS))
    )


def _is_sane(bpb: Any) -> bool:
    """Whether the fields can be a BPB: code of a master boot record in their place is not."""
    return (
        bpb.BPB_NumFATs > 0
        and bpb.BPB_RsvdSecCnt > 0
        and (bpb.BPB_Media >= MIN_MEDIA or bpb.BPB_Media == REMOVABLE_MEDIA)
        and is_power_of_two(bpb.BPB_SecPerClus)
        and is_power_of_two(bpb.BPB_BytsPerSec)
        and 512 <= bpb.BPB_BytsPerSec <= 4096
    )


def _is_bitlocker(source: BlockSource, sector: bytes) -> bool:
    """Whether the FAT is the shell that BitLocker To Go puts around an encrypted volume."""
    if sector[3:11] == BITLOCKER:
        return True
    if sector[3:11] != BITLOCKER_TO_GO:
        return False
    metadata = int.from_bytes(sector[BITLOCKER_TO_GO_OFFSET : BITLOCKER_TO_GO_OFFSET + 8], "little")
    return 0 < metadata <= source.size - len(BITLOCKER) and source.read_at(metadata, len(BITLOCKER)) == BITLOCKER


def _check_fsinfo(source: BlockSource, bpb: Any, fat32: Any) -> list[Problem]:
    """What is wrong with the FSInfo sector.

    libblkid does not name a file system whose FSInfo has other signatures; Linux and Windows mount it all the same.
    """
    if not fat32.BPB_FSInfo:
        return []
    offset = fat32.BPB_FSInfo * bpb.BPB_BytsPerSec
    try:
        fsinfo = parse(FSINFO, source.read_at(offset, FSINFO_SIZE), "FAT FSInfo sector", offset)
    except OutOfBounds as error:
        return [_problem(f"BPB_FSInfo is sector {fat32.BPB_FSInfo}: {error.reason}", "FAT boot sector", 0x30)]
    for name, known in (("FSI_LeadSig", FSI_LEAD_SIGNATURES), ("FSI_StrucSig", FSI_STRUC_SIGNATURES)):
        if fsinfo[name] not in known:
            message = f"{name} is {fsinfo[name].hex()}, expected is {known[0].hex()}"
            # libblkid refuses the volume for it; Linux warns, and does without the hints of this sector.
            return [Problem("superblock-irregular", message, "FAT FSInfo sector", offset)]
    return []


def _find_label_fat32(source: BlockSource, places: Geometry) -> bytes | None:
    """The label in a root directory that is a chain of clusters."""
    cluster, budget, visited = places.root_cluster, MAX_ROOT_BYTES, set[int]()
    while (
        2 <= cluster < places.fat_size // 4
        and cluster not in visited
        and len(visited) < MAX_ROOT_CLUSTERS
        and budget > 0
    ):
        visited.add(cluster)
        start = places.data_offset + (cluster - 2) * places.cluster_size
        name, ended = _find_label(source, start, min(places.cluster_size, budget))
        if ended:
            return name
        budget -= places.cluster_size
        entry = source.read_at(places.fat_offset + cluster * 4, 4)
        cluster = int.from_bytes(entry, "little") & 0x0FFFFFFF
    return None


def _find_label(source: BlockSource, start: int, size: int) -> tuple[bytes | None, bool]:
    """The name of the first volume label in a run of directory entries, and whether the search ends here."""
    for offset in range(start, start + size, CHUNK):
        data = source.read_at(offset, min(CHUNK, start + size - offset))
        for position in range(0, len(data), ENTRY_SIZE):
            if data[position] == LAST:
                return None, True
            if data[position] == FREE or not data[position + 11] & ATTR_VOLUME_ID:
                continue
            entry = parse(
                DIRECTORY_ENTRY, data[position : position + ENTRY_SIZE], "FAT root directory", offset + position
            )
            if entry.DIR_FstClusHI or entry.DIR_FstClusLO or entry.DIR_Attr & ATTR_MASK == ATTR_LONG_NAME:
                continue
            if not entry.DIR_Attr & ATTR_DIRECTORY:
                name = bytes(entry.DIR_Name)
                return (bytes([FREE]) + name[1:] if name[0] == KANJI_E5 else name), True
    return None, False


def _problem(message: str, where: str, offset: int | None) -> Problem:
    return Problem("superblock-invalid", message, where, offset)


FILESYSTEM = FileSystemReader(read)
