"""Sector 0 of a disk: the one decision that `mbr` and `gpt` share, whose table it announces.

Specification: UEFI 2.10, 5.2.1 "Legacy Master Boot Record" and 5.2.3 "Protective MBR";
https://uefi.org/specs/UEFI/2.10/05_GUID_Partition_Table_Format.html. What is not specified, above all how a table
is told from the boot sector of a file system, follows Linux (block/partitions/msdos.c) and libblkid.
"""

from collections.abc import Iterator
from typing import Any, Literal

import msgspec
from construct import Bytes, Int8ul, Int16ul, Int32ul, Struct

from preflight.binary import parse, parse_at
from preflight.facts import Partition, Problem
from preflight.source import BlockSource
from preflight.tables._ranges import Located
from preflight.tables._types import MBR_TYPE_NAMES
from preflight.units import SECTOR, is_power_of_two

PARTITION_RECORD = Struct(
    "boot_indicator" / Int8ul,
    "starting_chs" / Bytes(3),
    "os_type" / Int8ul,
    "ending_chs" / Bytes(3),
    "starting_lba" / Int32ul,
    "size_in_lba" / Int32ul,
)
BOOT_RECORD = Struct(
    "boot_code" / Bytes(440),
    "unique_mbr_disk_signature" / Int32ul,
    "unknown" / Bytes(2),
    "partition_record" / PARTITION_RECORD[4],
    "signature" / Bytes(2),
)
RECORDS_OFFSET = 446
RECORD_SIZE = 16
SIGNATURE = b"\x55\xaa"

# DOS 3.31 and FAT32 agree on these fields; NTFS and exFAT are known by their OEM name.
BIOS_PARAMETER_BLOCK = Struct(
    "jump" / Bytes(3),
    "oem_name" / Bytes(8),
    "bytes_per_sector" / Int16ul,
    "sectors_per_cluster" / Int8ul,
    "reserved_sectors" / Int16ul,
    "number_of_fats" / Int8ul,
    "root_entries" / Int16ul,
    "total_sectors" / Int16ul,
    "media" / Int8ul,
)
VOLUME_OEM_NAMES = (b"NTFS    ", b"EXFAT   ", b"-FVE-FS-", b"ReFS\0\0\0\0")
GRUB_MESSAGES = b"GRUB \0Geom\0Hard Disk\0Read\0 Error"  # GRUB Legacy stage1.S and GRUB 2 boot.S alike
LILO_MARK = b"LILO"  # first.S, behind the jump at its start, with or without the parameters between
AIX_MAGIC = b"\xc9\xc2\xd4\xc1"  # IBMA in EBCDIC: a physical volume of AIX, which Linux and libblkid leave alone

ACTIVE = 0x80
BOOT_INDICATORS = (0x00, ACTIVE)
GPT_PROTECTIVE = 0xEE
EXTENDED_TYPES = (0x05, 0x0F, 0x85)


class Record(msgspec.Struct, frozen=True):
    """One of the four partition records of a boot record."""

    offset: int
    """Byte on the disk."""
    boot_indicator: int
    os_type: int
    starting_lba: int
    """In logical blocks, from the start of the disk or, in an extended boot record, of another boot record."""
    size_in_lba: int
    """In logical blocks; 0 means that the record is not used."""

    @property
    def extended(self) -> bool:
        """Whether it describes a container of logical partitions."""
        return self.size_in_lba > 0 and self.os_type in EXTENDED_TYPES


class BootSector(msgspec.Struct, frozen=True):
    """Sector 0, and what it is."""

    kind: Literal["none", "volume", "mbr", "protective"]
    """`none`: no signature, or nothing that makes sense as a table. `volume`: the boot sector of a file system that
    covers the disk. `mbr`: a table of its own. `protective`: a table with a 0xEE record, which GPT owns."""
    disk_signature: int
    records: tuple[Record, ...]
    """Four, whatever the kind; none where the disk is shorter than a sector."""
    boot_loader: str | None
    """As in `PartitionTable.boot_loader`."""

    @property
    def beside_gpt(self) -> tuple[Record, ...]:
        """The records of a protective MBR that make it a hybrid one."""
        return tuple(
            record for record in self.records if record.size_in_lba and record.os_type not in (0, GPT_PROTECTIVE)
        )


def read_records(source: BlockSource, offset: int, where: str) -> tuple[Record, ...] | None:
    """The four records of the boot record at byte `offset`; None where it lacks the signature 55 AA.

    Raises what `read_at` raises.
    """
    sector = parse_at(BOOT_RECORD, source, offset, where)
    return _records(sector, offset) if sector.signature == SIGNATURE else None


def read_boot_sector(source: BlockSource) -> BootSector:
    """Sector 0 of the disk, and whose it is; of kind `none` too where the disk is shorter than a sector.

    Raises what `read_at` raises.
    """
    if source.size < SECTOR:
        return BootSector("none", 0, (), None)
    data = source.read_at(0, SECTOR)
    sector = parse(BOOT_RECORD, data, "master boot record", 0)
    records = _records(sector, 0)
    kind = _kind(data, records, source.size // SECTOR) if sector.signature == SIGNATURE else "none"
    return BootSector(kind, sector.unique_mbr_disk_signature, records, _boot_loader(sector.boot_code))


def boot_indicator_problems(record: Record, where: str) -> Iterator[Problem]:
    """What is wrong with the boot indicator of a record, used or not."""
    if record.boot_indicator not in BOOT_INDICATORS:
        message = f"boot indicator {record.boot_indicator:#04x}, expected 0x00 or 0x80"
        yield Problem("mbr-boot-flag-invalid", message, where, record.offset)


def record_problems(record: Record, where: str) -> Iterator[Problem]:
    """What is wrong with one record by itself."""
    yield from boot_indicator_problems(record, where)
    reason = None
    if record.os_type and not record.size_in_lba:
        reason = f"type {record.os_type:#04x}, but a size of 0 sectors"
    elif record.size_in_lba and not record.os_type:
        reason = f"a size of {record.size_in_lba} sectors, but type 0x00, which means unused"
    elif record.size_in_lba and not record.starting_lba:
        reason = "starting LBA 0, which is where this boot record itself lies"
    if reason is not None:
        yield Problem("mbr-entry-invalid", reason, where, record.offset)


def locate(record: Record, number: int, start: int, sector_size: int, disk_signature: int, where: str) -> Located:
    """The partition that a record describes, which begins at byte `start` of the disk."""
    partition = Partition(
        number=number,
        start=start,
        size=record.size_in_lba * sector_size,
        type=f"{record.os_type:#04x}",
        type_name=MBR_TYPE_NAMES.get(record.os_type),
        name=None,
        uuid=f"{disk_signature:08x}-{number:02x}" if disk_signature else None,
        bootable=record.boot_indicator == ACTIVE,
    )
    return Located(partition, where, record.offset)


def _records(sector: Any, offset: int) -> tuple[Record, ...]:
    return tuple(
        Record(
            offset + RECORDS_OFFSET + index * RECORD_SIZE,
            record.boot_indicator,
            record.os_type,
            record.starting_lba,
            record.size_in_lba,
        )
        for index, record in enumerate(sector.partition_record)
    )


def _kind(data: bytes, records: tuple[Record, ...], sectors: int) -> Literal["none", "volume", "mbr", "protective"]:
    """What a sector with the signature 55 AA is, on a disk of `sectors` sectors of 512 bytes."""
    if any(record.os_type == GPT_PROTECTIVE and record.starting_lba == 1 for record in records):
        return "protective"  # by this record alone Linux looks for GPT, whatever else the sector holds
    if data.startswith(AIX_MAGIC):
        return "none"
    volume = _is_volume(data)
    indicators_valid = all(record.boot_indicator in BOOT_INDICATORS for record in records)
    # Linux and libblkid take any table with valid indicators, even an empty one, and none without. To name a table
    # that only has a wrong indicator, its records must make sense. The same is asked of what lies on the boot sector
    # of a file system (libblkid: never a table; Linux: always): some boot loaders for USB keys carry such a mixture.
    if volume and not (indicators_valid and _plausible(records, sectors)):
        return "volume"
    if not indicators_valid and not _plausible(records, sectors):
        return "none"
    return "protective" if any(record.os_type == GPT_PROTECTIVE for record in records) else "mbr"


def _boot_loader(boot_code: bytes) -> str | None:
    """The loader that the code belongs to, where it finds the system without an active partition."""
    if GRUB_MESSAGES in boot_code:
        return "GRUB"
    if LILO_MARK in (boot_code[2:6], boot_code[6:10]):
        return "LILO"
    return None


def _is_volume(data: bytes) -> bool:
    """Whether the sector begins as the boot sector of a FAT, exFAT, NTFS, BitLocker or ReFS volume."""
    block = parse(BIOS_PARAMETER_BLOCK, data, "bios parameter block", 0)
    if block.oem_name in VOLUME_OEM_NAMES:
        return True
    return (
        512 <= block.bytes_per_sector <= 4096
        and is_power_of_two(block.bytes_per_sector)
        and is_power_of_two(block.sectors_per_cluster)
        and block.reserved_sectors > 0
        and block.number_of_fats in (1, 2)
        and (block.media == 0xF0 or block.media >= 0xF8)
    )


def _plausible(records: tuple[Record, ...], sectors: int) -> bool:
    """Whether every record in use begins on the disk, and one at least lies wholly on it."""
    used = [record for record in records if record.os_type or record.starting_lba or record.size_in_lba]
    return all(record.os_type and record.size_in_lba and 0 < record.starting_lba < sectors for record in used) and any(
        record.starting_lba + record.size_in_lba <= sectors for record in used
    )
