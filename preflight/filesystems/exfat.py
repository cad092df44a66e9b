"""exFAT.

Specification: exFAT file system specification, sections 3.1 Main and Backup Boot Sector Sub-regions, 3.4 Boot
Checksum, 7.3 Volume Label Directory Entry, https://learn.microsoft.com/windows/win32/fileio/exfat-specification
"""

from typing import Any

from construct import Bytes, Int8ul, Int16ul, Int32ul, Int64ul, Padding, Struct

from preflight.binary import parse_at
from preflight.errors import OutOfBounds
from preflight.facts import Problem
from preflight.filesystems import FileSystemReader, Superblock
from preflight.filesystems._fields import MAX_SIZE, utf16_label
from preflight.source import BlockSource
from preflight.units import KiB

BOOT_SECTOR = Struct(
    "JumpBoot" / Bytes(3),
    "FileSystemName" / Bytes(8),
    "MustBeZero" / Bytes(53),
    "PartitionOffset" / Int64ul,  # sectors
    "VolumeLength" / Int64ul,  # sectors
    "FatOffset" / Int32ul,  # sectors
    "FatLength" / Int32ul,  # sectors
    "ClusterHeapOffset" / Int32ul,  # sectors
    "ClusterCount" / Int32ul,
    "FirstClusterOfRootDirectory" / Int32ul,
    "VolumeSerialNumber" / Int32ul,
    "FileSystemRevision" / Int16ul,
    "VolumeFlags" / Int16ul,
    "BytesPerSectorShift" / Int8ul,
    "SectorsPerClusterShift" / Int8ul,
    "NumberOfFats" / Int8ul,
    "DriveSelect" / Int8ul,
    "PercentInUse" / Int8ul,
    Padding(397),  # Reserved, BootCode
    "BootSignature" / Int16ul,
)
FILE_SYSTEM_NAME = b"EXFAT   "
JUMP_BOOT = b"\xeb\x76\x90"

VOLUME_FLAGS_OFFSET, PERCENT_IN_USE_OFFSET = 106, 112
CHECKSUM_SKIPS = (VOLUME_FLAGS_OFFSET, VOLUME_FLAGS_OFFSET + 1, PERCENT_IN_USE_OFFSET)
CHECKSUM_SECTORS = 11  # the twelfth repeats the checksum

SECTOR_SHIFTS = range(9, 13)
MAX_CLUSTER_SHIFT = 25  # 32 MiB
MIN_FAT_OFFSET = 24

ENTRY_SIZE = 32
END_OF_DIRECTORY = 0x00
VOLUME_LABEL = 0x83
MAX_LABEL = 11  # characters
MAX_DIRECTORY_BYTES = 64 * KiB  # formatters write the label as one of the first three entries
CHUNK = 4 * KiB


def read(source: BlockSource) -> Superblock | None:
    """The main boot region, with the label from the root directory; the backup region is not looked at."""
    boot = parse_at(BOOT_SECTOR, source, 0, "exFAT main boot sector")
    if not _is_sane(boot):
        return None
    problems = _verify(source, boot)
    name = None
    try:
        name = _find_label(source, boot)
    except OutOfBounds as error:
        message = f"the root directory is out of reach: {error.reason}"
        problems.append(Problem("superblock-invalid", message, "exFAT root directory"))
    serial = boot.VolumeSerialNumber
    return Superblock(
        "exfat",
        uuid=f"{serial >> 16:04X}-{serial & 0xFFFF:04X}" if serial else None,
        label=name,
        size=boot.VolumeLength << boot.BytesPerSectorShift,
        problems=tuple(problems),
    )


def _is_sane(boot: Any) -> bool:
    """Whether the fields are within the bounds of section 3.1."""
    if boot.BytesPerSectorShift not in SECTOR_SHIFTS or boot.NumberOfFats not in (1, 2):
        return False
    return (
        boot.FileSystemName == FILE_SYSTEM_NAME
        and boot.JumpBoot == JUMP_BOOT
        and not any(boot.MustBeZero)
        and boot.BootSignature == 0xAA55
        and boot.SectorsPerClusterShift <= MAX_CLUSTER_SHIFT - boot.BytesPerSectorShift
        and boot.FatOffset >= MIN_FAT_OFFSET
        and boot.FatOffset + boot.FatLength * boot.NumberOfFats <= boot.ClusterHeapOffset
        and 2 <= boot.FirstClusterOfRootDirectory <= boot.ClusterCount + 1
        and 0 < boot.VolumeLength << boot.BytesPerSectorShift <= MAX_SIZE
    )


def _verify(source: BlockSource, boot: Any) -> list[Problem]:
    """What is wrong with the checksum of the boot region.

    libblkid since 2.39 does not name a file system whose checksum differs; a damaged one is better named.
    """
    sector_size = 1 << boot.BytesPerSectorShift
    end = CHECKSUM_SECTORS * sector_size
    try:
        data = source.read_at(0, end + sector_size)
    except OutOfBounds as error:
        return [Problem("superblock-invalid", error.reason, "exFAT main boot checksum", end)]
    checksum = 0
    for index, byte in enumerate(data[:end]):
        if index not in CHECKSUM_SKIPS:
            checksum = ((checksum >> 1 | checksum << 31) + byte) & 0xFFFFFFFF
    if data[end:] == checksum.to_bytes(4, "little") * (sector_size // 4):
        return []
    found = int.from_bytes(data[end : end + 4], "little")
    message = f"the sector begins with {found:#010x}, expected is {checksum:#010x} all over it"
    return [Problem("superblock-invalid", message, "exFAT main boot checksum", end)]


def _find_label(source: BlockSource, boot: Any) -> str | None:
    """The label in the root directory, a chain of clusters."""
    cluster_shift = boot.BytesPerSectorShift + boot.SectorsPerClusterShift
    heap = boot.ClusterHeapOffset << boot.BytesPerSectorShift
    cluster, budget, visited = boot.FirstClusterOfRootDirectory, MAX_DIRECTORY_BYTES, set[int]()
    while 2 <= cluster <= boot.ClusterCount + 1 and cluster not in visited and budget > 0:
        visited.add(cluster)  # at most 128: a cluster has 512 bytes or more
        start = heap + ((cluster - 2) << cluster_shift)
        end = start + min(1 << cluster_shift, budget)
        for offset in range(start, end, CHUNK):
            data = source.read_at(offset, min(CHUNK, end - offset))
            for position in range(0, len(data), ENTRY_SIZE):
                if data[position] == END_OF_DIRECTORY:
                    return None
                if data[position] == VOLUME_LABEL:
                    length = min(data[position + 1], MAX_LABEL)  # CharacterCount
                    return utf16_label(data[position + 2 : position + 2 + length * 2])
        budget -= 1 << cluster_shift
        entry = source.read_at((boot.FatOffset << boot.BytesPerSectorShift) + cluster * 4, 4)
        cluster = int.from_bytes(entry, "little")
    return None


FILESYSTEM = FileSystemReader(read)
