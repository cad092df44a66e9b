"""The superblock of btrfs.

Specification: btrfs on-disk format, section Superblock,
https://btrfs.readthedocs.io/en/latest/dev/On-disk-format.html#superblock
"""

from typing import Any

from construct import Bytes, Int8ul, Int16ul, Int32ul, Int64ul, Struct

from preflight.binary import parse, uuid_text
from preflight.errors import OutOfBounds
from preflight.facts import Problem
from preflight.filesystems import FileSystemReader, Superblock
from preflight.filesystems._btrfs_checksums import CSUM_SIZE, checksum
from preflight.filesystems._btrfs_geometry import FLAG_CHANGING_FSID_V2, FLAG_ERROR, defects, unknown_compat_ro
from preflight.filesystems._fields import MAX_SIZE, label
from preflight.source import BlockSource
from preflight.units import KiB, MiB

PRIMARY_OFFSET = 64 * KiB
MIRROR_OFFSET = 64 * MiB
# The mirror at 256 GiB is not asked: what still has it and has lost the other two is past naming.
SUPERBLOCK_SIZE = 4096
MAGIC_OFFSET = 0x40
MAGIC = b"_BHRfS_M"

SUPERBLOCK = Struct(
    "csum" / Bytes(32),
    "fsid" / Bytes(16),
    "bytenr" / Int64ul,
    "flags" / Int64ul,
    "magic" / Bytes(8),
    "generation" / Int64ul,
    "root" / Int64ul,
    "chunk_root" / Int64ul,
    "log_root" / Int64ul,
    "log_root_transid" / Int64ul,
    "total_bytes" / Int64ul,  # of all devices together
    "bytes_used" / Int64ul,
    "root_dir_objectid" / Int64ul,
    "num_devices" / Int64ul,
    "sectorsize" / Int32ul,
    "nodesize" / Int32ul,
    "leafsize" / Int32ul,
    "stripesize" / Int32ul,
    "sys_chunk_array_size" / Int32ul,
    "chunk_root_generation" / Int64ul,
    "compat_flags" / Int64ul,
    "compat_ro_flags" / Int64ul,
    "incompat_flags" / Int64ul,
    "csum_type" / Int16ul,
    "root_level" / Int8ul,
    "chunk_root_level" / Int8ul,
    "log_root_level" / Int8ul,
    "dev_item_devid" / Int64ul,
    "dev_item_total_bytes" / Int64ul,  # of this device
    "dev_item" / Bytes(82),  # the rest of it
    "label" / Bytes(256),
)


def read(source: BlockSource) -> Superblock | None:
    """The superblock at 64 KiB, or what its mirror says where the first was wiped.

    libblkid names none on less than 1 MiB; Linux looks there, and what is left of one is better named.
    """
    if source.size < PRIMARY_OFFSET + SUPERBLOCK_SIZE:
        return None
    data = source.read_at(PRIMARY_OFFSET, SUPERBLOCK_SIZE)
    if data[MAGIC_OFFSET : MAGIC_OFFSET + len(MAGIC)] == MAGIC:
        return _superblock(data, PRIMARY_OFFSET, _verify(data))
    return _read_mirror(source)


def _read_mirror(source: BlockSource) -> Superblock | None:
    """The superblock at 64 MiB; libblkid does not look at it.

    It outlives a file system that another was made over, so it counts only where everything before and in the
    place of the first superblock is zero: no other file system leaves that so.
    """
    try:
        data = source.read_at(MIRROR_OFFSET, SUPERBLOCK_SIZE)
    except OutOfBounds:
        return None
    if data[MAGIC_OFFSET : MAGIC_OFFSET + len(MAGIC)] != MAGIC or _verify(data, MIRROR_OFFSET):
        return None
    if any(source.read_at(0, PRIMARY_OFFSET + SUPERBLOCK_SIZE)):
        return None
    message = f"the superblock is wiped, its mirror at byte {MIRROR_OFFSET:#x} is whole"
    return _superblock(data, MIRROR_OFFSET, (_problem(message, PRIMARY_OFFSET),))


def _superblock(data: bytes, offset: int, problems: tuple[Problem, ...]) -> Superblock:
    superblock = _parse(data, offset)
    return Superblock(
        "btrfs",
        uuid=uuid_text(superblock.fsid),
        label=label(superblock.label),
        size=superblock.dev_item_total_bytes if superblock.dev_item_total_bytes <= MAX_SIZE else None,
        problems=problems,
    )


def _verify(data: bytes, offset: int = PRIMARY_OFFSET) -> tuple[Problem, ...]:
    """What is wrong.

    libblkid since 2.40 does not name a file system whose crc32c differs; a damaged one is better named.
    """
    superblock = _parse(data, offset)
    if superblock.bytenr != offset:
        return (_problem(f"bytenr is {superblock.bytenr:#x}, expected is its own place {offset:#x}", offset + 0x30),)
    computed = checksum(superblock.csum_type, data[CSUM_SIZE:])
    if computed is not None and not superblock.csum.startswith(computed):
        found = superblock.csum[: len(computed)].hex()
        return (_problem(f"csum is {found}, computed is {computed.hex()}", offset),)
    wrong = next(defects(superblock, data), None)
    if wrong is not None:
        return (_problem(wrong[0], offset + wrong[1]),)
    return _irregular(superblock, offset)


def _irregular(superblock: Any, offset: int) -> tuple[Problem, ...]:
    if superblock.flags & FLAG_ERROR:
        message = "flags has the bit ERROR (0x4): Linux met errors in it"
        return (Problem("superblock-irregular", message, "btrfs superblock", offset + 0x38),)
    if superblock.flags & FLAG_CHANGING_FSID_V2:
        message = "flags has the bit CHANGING_FSID_V2: btrfstune has not finished, Linux since 6.7 does not mount it"
        return (Problem("superblock-irregular", message, "btrfs superblock", offset + 0x38),)
    unknown = unknown_compat_ro(superblock)
    if unknown:
        message = f"compat_ro_flags has the bits {unknown:#x}: Linux mounts it for reading only"
        return (Problem("superblock-irregular", message, "btrfs superblock", offset + 0xB4),)
    return ()


def _parse(data: bytes, offset: int) -> Any:
    return parse(SUPERBLOCK, data, "btrfs superblock", offset)


def _problem(message: str, offset: int) -> Problem:
    return Problem("superblock-invalid", message, "btrfs superblock", offset)


FILESYSTEM = FileSystemReader(read)
