"""Layers under a file system that own their device: drbd, dm-verity, dm-integrity, UBI, Stratis and Core Storage.

Specification: drbd-headers/drbd_meta_data.h (drbd 9) and user/shared/drbdmeta.c (drbd 8), https://github.com/LINBIT;
cryptsetup, DMVerity wiki page, "Verity superblock format"; linux/drivers/md/dm-integrity.c, `struct superblock`;
linux/drivers/mtd/ubi/ubi-media.h, `struct ubi_ec_hdr`; Stratis Software Design 1.0.0, "BDA"; libfvde, FileVault Drive
Encryption (FVDE) format specification, "Volume header"
"""

from construct import Bytes, Int8ul, Int16ul, Int32ub, Int32ul, Int64ub, Int64ul, Padding, Struct

from preflight.binary import crc32c, parse, parse_at, uuid_text
from preflight.facts import Problem
from preflight.filesystems import FileSystemReader, Superblock
from preflight.filesystems._fields import label
from preflight.filesystems._signatures import is_tiny, stated
from preflight.source import BlockSource
from preflight.units import SECTOR, KiB

DRBD_OFFSET = -4 * KiB  # from the end
DRBD_MAGIC_OFFSET = 60
DRBD_MAGIC_08, DRBD_MAGIC_84_UNCLEAN, DRBD_MAGIC_09 = (0x83740267 + version for version in (4, 5, 6))
DRBD_METADATA = Struct(
    "la_sect" / Int64ub,  # last agreed size; effective_size in version 9
    Padding(32),
    "device_uuid_08" / Bytes(8),
    "device_uuid_09" / Bytes(8),
    "flags" / Int32ub,
    "magic" / Int32ub,
)

VERITY_SIGNATURE = b"verity\0\0"
VERITY_SUPERBLOCK = Struct("signature" / Bytes(8), "version" / Int32ul, "hash_type" / Int32ul, "uuid" / Bytes(16))

INTEGRITY_MAGIC = b"integrt\0"
INTEGRITY_SUPERBLOCK = Struct(
    "magic" / Bytes(8),
    "version" / Int8ul,
    "log2_interleave_sectors" / Int8ul,
    "integrity_tag_size" / Int16ul,
    "journal_sections" / Int32ul,
    "provided_data_sectors" / Int64ul,
)

UBI_MAGIC = b"UBI#"
UBI_EC_HDR = Struct(
    "magic" / Bytes(4),
    "version" / Int8ul,
    Padding(3),
    "ec" / Int64ub,
    "vid_hdr_offset" / Int32ub,
    "data_offset" / Int32ub,
    "image_seq" / Int32ub,
)

STRATIS_MAGIC = b"!Stra0tis\x86\xff\x02^\x41rh"
STRATIS_OFFSETS = (1 * SECTOR, 9 * SECTOR)
STRATIS_MIN_SIZE = 16 * SECTOR
STRATIS_SIGBLOCK = Struct(
    "crc32" / Int32ul,
    "magic" / Bytes(16),
    "sectors" / Int64ul,
    Padding(4),
    "pool_uuid" / Bytes(32),
    "dev_uuid" / Bytes(32),
)

CS_MAGIC = b"CS"
CS_MAGIC_OFFSET = 88
CS_VOLUME_HEADER = Struct(
    "checksum" / Int32ul,
    "seed" / Int32ul,
    "version" / Int16ul,
    "block_type" / Int16ul,
    Padding(52),
    "ph_vol_size" / Int64ul,  # bytes
    Padding(16),
    "magic" / Bytes(2),
    "checksum_algo" / Int32ul,
    Padding(2 + 4 + 4 + 8 + 24 + 32),
    "key_data_size" / Int32ul,
    "cipher" / Int32ul,
    Padding(16 + 112),
    "ph_vol_uuid" / Bytes(16),
    Padding(192),
)
# What FileVault 2 writes; everything else that carries the magic is not its.
CS_VERSION, CS_BLOCK_TYPE, CS_CRC32C, CS_KEY_SIZE, CS_AES_XTS = 1, 0x10, 1, 16, 2


def read(source: BlockSource) -> Superblock | None:
    """The layer whose signature is there, in libblkid's order."""
    return (
        (None if is_tiny(source) else _drbd(source))
        or _verity(source)
        or _integrity(source)
        or (None if is_tiny(source) else _ubi(source) or _stratis(source))
        or _core_storage(source)
    )


def _drbd(source: BlockSource) -> Superblock | None:
    metadata = parse_at(DRBD_METADATA, source, source.size + DRBD_OFFSET, "drbd metadata")
    if metadata.magic in (DRBD_MAGIC_08, DRBD_MAGIC_84_UNCLEAN):
        uuid = int.from_bytes(metadata.device_uuid_08, "big")
    elif metadata.magic == DRBD_MAGIC_09:
        uuid = int.from_bytes(metadata.device_uuid_09, "big")
    else:
        return None
    return Superblock("drbd", f"{uuid:x}" if uuid else None, size=stated(metadata.la_sect * SECTOR))


def _verity(source: BlockSource) -> Superblock | None:
    superblock = parse_at(VERITY_SUPERBLOCK, source, 0, "verity superblock")
    if superblock.signature != VERITY_SIGNATURE or superblock.version != 1:
        return None
    return Superblock("DM_verity_hash", uuid_text(superblock.uuid))


def _integrity(source: BlockSource) -> Superblock | None:
    superblock = parse_at(INTEGRITY_SUPERBLOCK, source, 0, "integrity superblock")
    if superblock.magic != INTEGRITY_MAGIC or superblock.version == 0:
        return None
    return Superblock("DM_integrity", size=stated(superblock.provided_data_sectors * SECTOR))


def _ubi(source: BlockSource) -> Superblock | None:
    header = parse_at(UBI_EC_HDR, source, 0, "ubi erase counter header")
    if header.magic != UBI_MAGIC:
        return None
    return Superblock("ubi", str(header.image_seq) if header.image_seq else None)


def _stratis(source: BlockSource) -> Superblock | None:
    if source.size < STRATIS_MIN_SIZE:
        return None
    damaged = None
    for offset in STRATIS_OFFSETS:
        data = source.read_at(offset, SECTOR)
        sigblock = parse(STRATIS_SIGBLOCK, data, "stratis signature block", offset)
        if sigblock.magic != STRATIS_MAGIC:
            continue
        uuid = sigblock.dev_uuid
        uuid = label(b"-".join((uuid[:8], uuid[8:12], uuid[12:16], uuid[16:20], uuid[20:]))) if any(uuid) else None
        crc = crc32c(data[4:]) ^ 0xFFFFFFFF
        problems: tuple[Problem, ...] = ()
        if crc != sigblock.crc32:  # libblkid says nothing where neither copy is whole
            message = f"crc32 is {sigblock.crc32:#010x}, the content gives {crc:#010x}"
            problems = (Problem("superblock-invalid", message, "stratis signature block", offset),)
        found = Superblock("stratis", uuid, size=stated(sigblock.sectors * SECTOR), problems=problems)
        if not problems:
            return found
        damaged = damaged or found
    return damaged


def _core_storage(source: BlockSource) -> Superblock | None:
    data = source.read_at(0, CS_VOLUME_HEADER.sizeof())
    header = parse(CS_VOLUME_HEADER, data, "core storage volume header", 0)
    kind = (header.version, header.block_type, header.checksum_algo, header.key_data_size, header.cipher)
    if header.magic != CS_MAGIC or kind != (CS_VERSION, CS_BLOCK_TYPE, CS_CRC32C, CS_KEY_SIZE, CS_AES_XTS):
        return None
    crc = crc32c(data[8:], header.seed)
    problems: tuple[Problem, ...] = ()
    if crc != header.checksum:  # libblkid says nothing; but six fields are as only FileVault 2 writes them
        message = f"checksum is {header.checksum:#010x}, the content gives {crc:#010x}"
        problems = (Problem("superblock-invalid", message, "core storage volume header", 0),)
    return Superblock("cs_fvault2", uuid_text(header.ph_vol_uuid), size=stated(header.ph_vol_size), problems=problems)


FILESYSTEM = FileSystemReader(read, owner=True)
