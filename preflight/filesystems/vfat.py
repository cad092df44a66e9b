"""FAT: FAT12, FAT16 and FAT32, all named `vfat`.

Specification: Microsoft Extensible Firmware Initiative FAT32 File System Specification, version 1.03, sections
Boot Sector and BPB, FAT32 FSInfo Sector Structure, FAT Directory Structure (fatgen103);
ECMA-107. What libblkid demands where the specification is lax: libblkid/src/superblocks/vfat.c of util-linux.
"""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from construct import Bytes, Int8ul, Int16ul, Int32ul, Padding, Struct

from preflight.binary import parse
from preflight.errors import OutOfBounds
from preflight.facts import Problem
from preflight.filesystems import FileSystemReader, Superblock
from preflight.filesystems._fat_geometry import (
    BPB,
    BPB_SIZE,
    ENTRY_SIZE,
    EXT_FLAG_NOT_MIRRORED,
    FAT16,
    FAT32,
    MAX_CLUSTERS_FAT16,
    SECTOR_SIZE,
    Geometry,
    defect,
    geometry,
)
from preflight.filesystems._fat_table import check_table
from preflight.filesystems._fields import label
from preflight.filesystems.index import recognise
from preflight.source import BlockSource
from preflight.units import KiB

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

# By these any of them is FAT; BS_FilSysType means nothing to the specification, but Microsoft's formatters write it.
NAMES_FAT32 = (b"MSWIN", b"FAT32   ")  # at 0x52
NAMES_FAT16 = (b"MSDOS", b"FAT16   ", b"FAT12   ", b"FAT     ")  # at 0x36
OTHER_OWNERS = (b"JFS     ", b"HPFS    ")  # at 0x36: OS/2 puts the likeness of a BPB before these
JUMPS = (b"\xeb", b"\xe9")  # BS_jmpBoot
SIGNATURE = b"\x55\xaa"  # at 0x1fe, where a master boot record has it too
BITLOCKER = b"-FVE-FS-"
BITLOCKER_TO_GO = b"MSWIN4.1"
BITLOCKER_TO_GO_OFFSET = 440  # where the place of its metadata is written

EXTENDED_BOOT_SIGNATURES = (0x28, 0x29)  # 0x28: a volume ID and no label

FSI_LEAD_SIGNATURES = (b"RRaA", b"RRdA", bytes(4))  # the second by some devices; zero: never written
FSI_STRUC_SIGNATURES = (b"rrAa", bytes(4))

# The fields by which everything has its place, in bytes of the boot sector; others change without their copy.
PLACING = (
    ("BPB_BytsPerSec", 0x0B, 2),
    ("BPB_SecPerClus", 0x0D, 1),
    ("BPB_RsvdSecCnt", 0x0E, 2),
    ("BPB_NumFATs", 0x10, 1),
    ("BPB_TotSec16", 0x13, 2),
    ("BPB_TotSec32", 0x20, 4),
    ("BPB_FATSz32", 0x24, 4),
    ("BPB_RootClus", 0x2C, 4),
)

ATTR_VOLUME_ID, ATTR_DIRECTORY, ATTR_LONG_NAME, ATTR_MASK = 0x08, 0x10, 0x0F, 0x3F
FREE, LAST, KANJI_E5 = 0xE5, 0x00, 0x05

MAX_ROOT_CLUSTERS = 99  # libblkid gives up there as well
MAX_ROOT_BYTES = 128 * KiB  # the label is usually the first entry; 4096 entries before it are no honest directory
CHUNK = 4 * KiB


def read(source: BlockSource) -> Superblock | None:
    """The boot sector, with the label from the root directory.

    The label of the boot sector is not taken where the directory has none: blkid calls it LABEL_FATBOOT since 2.33,
    as no system but old DOS keeps it.
    """
    sector = source.read_at(0, SECTOR_SIZE)
    places = geometry(sector)
    if places is None:
        return _damaged(source, sector)
    if not _has_signature(sector) or _is_bitlocker(source, sector):
        return None
    bpb = parse(BPB, sector[:BPB_SIZE], "FAT boot sector", 0)
    problems = list(_defects(bpb, places))
    if places.bits == 32:
        fat32 = parse(FAT32, sector[BPB_SIZE:], "FAT boot sector", BPB_SIZE)
        serial = fat32.BS_VolID
        if not 2 <= places.root_cluster < places.clusters + 2:
            message = f"BPB_RootClus is {places.root_cluster}, there are the clusters 2 to {places.clusters + 1}"
            problems.append(_problem(message, "FAT boot sector", 0x2C))
        problems += [*_check_fsinfo(source, bpb, fat32), *_unfit_for_firmware(bpb, fat32, places)]
        problems += [] if problems else _check_backup(source, sector, bpb, fat32)
    else:
        fat16 = parse(FAT16, sector[BPB_SIZE:], "FAT boot sector", BPB_SIZE)
        serial = fat16.BS_VolID if fat16.BS_BootSig in EXTENDED_BOOT_SIGNATURES else bytes(4)
    name = None
    with suppress(OutOfBounds):  # which the root directory behind it tells
        problems += check_table(source, places)
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


def _damaged(source: BlockSource, sector: bytes) -> Superblock | None:
    """A FAT whose boot sector has its name, its jump and its signature, and fields that cannot be.

    libblkid does not name it. It is taken for one only where nothing else is on this place: what is written over a FAT
    may leave the name standing.
    """
    found = defect(sector)
    named = sector[0x52:].startswith(NAMES_FAT32) or sector[0x36:].startswith(NAMES_FAT16)
    if found is None or not named or not sector.startswith(JUMPS) or sector[0x1FE:] != SIGNATURE:
        return None
    if recognise(source, whole_disk=False)[0] != ["vfat"] or _is_bitlocker(source, sector):
        return None
    return Superblock("vfat", problems=(_problem(found[0], "FAT boot sector", found[1]),))


def _defects(bpb: Any, places: Geometry) -> Iterator[Problem]:
    """What is wrong with fields that leave it clear that this is a FAT."""
    per_sector = bpb.BPB_BytsPerSec // ENTRY_SIZE
    if bpb.BPB_RootEntCnt % per_sector:  # Linux: "bogus number of directory entries"
        message = f"BPB_RootEntCnt is {bpb.BPB_RootEntCnt}, expected is a multiple of {per_sector}: whole sectors"
        yield _problem(message, "FAT boot sector", 0x11)
    elif places.bits < 32 and not bpb.BPB_RootEntCnt:
        message = f"BPB_RootEntCnt is 0: a FAT{places.bits} without room for a root directory"
        yield _problem(message, "FAT boot sector", 0x11)
    entries = places.fat_size * 8 // places.bits - 2
    if entries < places.clusters:  # Linux does without the others, fsck.fat refuses
        message = f"the FAT has {entries} entries, there are {places.clusters} clusters"
        yield Problem("superblock-irregular", message, "FAT boot sector", 0x24 if places.bits == 32 else 0x16)


def _has_signature(sector: bytes) -> bool:
    """Whether the sector names FAT, or at least ends like a boot sector and is nobody else's."""
    return (
        sector[0x52:].startswith(NAMES_FAT32)
        or sector[0x36:].startswith(NAMES_FAT16)
        or (sector[0x1FE:] == SIGNATURE and not sector[0x36:].startswith(OTHER_OWNERS))
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


def _unfit_for_firmware(bpb: Any, fat32: Any, places: Geometry) -> Iterator[Problem]:
    """What Linux mounts, and neither the specification allows nor the firmware of EDK II takes.

    FatPkg/EnhancedFatDxe/Init.c of EDK II, FatOpenDevice.
    """
    refused = "Linux mounts it, UEFI firmware (EDK II) does not"
    if places.clusters <= MAX_CLUSTERS_FAT16:
        message = f"there are {places.clusters} clusters, a FAT32 has at least {MAX_CLUSTERS_FAT16 + 1}: {refused}"
        yield Problem("superblock-irregular", message, "FAT boot sector", 0x0D)
    if fat32.BPB_FSVer:
        message = f"BPB_FSVer is {fat32.BPB_FSVer:#x}, expected is 0: {refused}"
        yield Problem("superblock-irregular", message, "FAT boot sector", 0x2A)
    if fat32.BPB_ExtFlags & EXT_FLAG_NOT_MIRRORED:
        message = f"BPB_ExtFlags is {fat32.BPB_ExtFlags:#x}: only one of the FATs is in use; {refused}"
        yield Problem("superblock-irregular", message, "FAT boot sector", 0x28)
    if bpb.BPB_RootEntCnt:
        message = f"BPB_RootEntCnt is {bpb.BPB_RootEntCnt}, which a FAT32 does not have, and firmware leaves out"
        yield Problem("superblock-irregular", message, "FAT boot sector", 0x11)


def _check_backup(source: BlockSource, sector: bytes, bpb: Any, fat32: Any) -> list[Problem]:
    """Whether the copy of the boot sector, where there is one that can be, says the same of where everything is."""
    if not 0 < fat32.BPB_BkBootSec < bpb.BPB_RsvdSecCnt:
        return []
    offset = fat32.BPB_BkBootSec * bpb.BPB_BytsPerSec
    try:
        copy = source.read_at(offset, SECTOR_SIZE)
    except OutOfBounds:
        return []
    if copy[0x1FE:] != SIGNATURE or geometry(copy) is None:
        return []
    for name, field, size in PLACING:
        here, there = (int.from_bytes(one[field : field + size], "little") for one in (sector, copy))
        if here != there:
            message = f"{name} is {here}, in the copy of this sector at byte {offset:#x} it is {there}"
            return [Problem("superblock-irregular", message, "FAT boot sector", field)]
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
