"""Storage that holds data for something else: bcache, drbdmanage, drbd-proxy, Ceph BlueStore, dm-snapshot, VDO.

libblkid counts them neither as RAID nor as encryption: another superblock beside one of them is a contradiction.
Specification: linux/drivers/md/bcache/bcache_ondisk.h, `struct cache_sb`; linux/drivers/md/dm-snap-persistent.c,
`struct disk_header`; vdo, base/volumeGeometry.c, `struct volume_geometry`; the others as
libblkid/src/superblocks of util-linux has them
"""

from functools import lru_cache
from string import hexdigits
from typing import Any

from construct import Array, Bytes, Int16ul, Int64ul, Padding, Struct

from preflight.binary import parse, uuid_text
from preflight.facts import Problem
from preflight.filesystems import FileSystemReader, Superblock
from preflight.filesystems._signatures import stated
from preflight.source import BlockSource
from preflight.units import SECTOR, KiB

BCACHE_OFFSET = 4 * KiB
BCACHE_SECTOR = BCACHE_OFFSET // SECTOR
BCACHE_MAGIC = bytes.fromhex("c68573f64e1a45ca8265f57f48ba6d81")
BCACHE_MAGIC_OFFSET = 24
BCACHE_MIN_SIZE = 8 * KiB
BCACHE_SUPERBLOCK = Struct(
    "csum" / Int64ul,
    "offset" / Int64ul,  # sectors
    "version" / Int64ul,
    "magic" / Bytes(16),
    "uuid" / Bytes(16),
    "set_uuid" / Bytes(16),
    "label" / Bytes(32),
    "flags" / Int64ul,
    "seq" / Int64ul,
    Padding(64),
    "nbuckets" / Int64ul,
    "block_size" / Int16ul,
    "bucket_size" / Int16ul,  # sectors
    "nr_in_set" / Int16ul,
    "nr_this_dev" / Int16ul,
    "last_mount" / Bytes(4),
    "first_bucket" / Int16ul,
    "njournal_buckets" / Int16ul,  # `keys` of a backing device
    "d" / Array(256, Int64ul),
)
BCACHE_KEYS_OFFSET = 208  # of `d`
BCACHE_MAX_KEYS = 256  # SB_JOURNAL_BUCKETS
BCACHE_CACHE_VERSIONS = (0, 3, 5)  # BCACHE_SB_VERSION_CDEV…; a backing device does not say its size

DRBDMANAGE_MAGIC = b"$DRBDmgr=q"
DRBDMANAGE_HEADER = Struct("magic" / Bytes(11), "uuid" / Bytes(32), "lf" / Bytes(1))
DRBDMANAGE_MIN_SIZE = 64 * KiB
DRBDPROXY_MAGIC = b"DRBDdlh*"
DRBDPROXY_HEADER = Struct("magic" / Bytes(8), "version" / Int64ul, "uuid" / Bytes(16), "flags" / Int64ul)
DRBDPROXY_MIN_SIZE = 16 * KiB
BLUESTORE_MAGIC = b"bluestore block device"
SNAPSHOT_MAGIC = b"SnAp"
VDO_MAGIC = b"dmvdo001"
VDO_GEOMETRY = Struct("magic" / Bytes(8), Padding(32), "uuid" / Bytes(16))


def read(source: BlockSource) -> Superblock | None:
    """The one whose signature is there."""
    start = source.read_at(0, SECTOR)
    if source.size >= BCACHE_MIN_SIZE:
        found = _bcache(source)
        if found:
            return found
    if start.startswith(BLUESTORE_MAGIC):
        return Superblock("ceph_bluestore")
    if start.startswith(DRBDMANAGE_MAGIC) and source.size >= DRBDMANAGE_MIN_SIZE:
        return _drbdmanage(start)
    if start.startswith(DRBDPROXY_MAGIC) and source.size >= DRBDPROXY_MIN_SIZE:
        header = parse(DRBDPROXY_HEADER, start, "drbd-proxy log header", 0)
        return Superblock("drbdproxy_datalog", uuid_text(header.uuid))
    if start.startswith(SNAPSHOT_MAGIC):
        return Superblock("DM_snapshot_cow")
    if start.startswith(VDO_MAGIC):
        return Superblock("vdo", uuid_text(parse(VDO_GEOMETRY, start, "vdo geometry block", 0).uuid))
    return None


def _bcache(source: BlockSource) -> Superblock | None:
    data = source.read_at(BCACHE_OFFSET, BCACHE_SUPERBLOCK.sizeof())
    superblock = parse(BCACHE_SUPERBLOCK, data, "bcache superblock", BCACHE_OFFSET)
    if superblock.magic != BCACHE_MAGIC or superblock.offset != BCACHE_SECTOR:  # bcachefs once had the same magic
        return None
    size = None
    if superblock.version in BCACHE_CACHE_VERSIONS:
        size = stated(superblock.nbuckets * superblock.bucket_size * SECTOR)
    return Superblock("bcache", uuid_text(superblock.uuid), size=size, problems=_bcache_problems(superblock, data))


def _bcache_problems(superblock: Any, data: bytes) -> tuple[Problem, ...]:
    # libblkid says nothing where this is wrong; sixteen bytes of magic are no chance, so it is named.
    if superblock.njournal_buckets > BCACHE_MAX_KEYS:
        message = f"njournal_buckets is {superblock.njournal_buckets}, the superblock has room for {BCACHE_MAX_KEYS}"
        return (Problem("superblock-invalid", message, "bcache superblock", BCACHE_OFFSET + BCACHE_KEYS_OFFSET - 2),)
    crc = crc64(data[8 : BCACHE_KEYS_OFFSET + superblock.njournal_buckets * 8])
    if crc != superblock.csum:
        message = f"csum is {superblock.csum:#018x}, the content gives {crc:#018x}"
        return (Problem("superblock-invalid", message, "bcache superblock", BCACHE_OFFSET),)
    return ()


def crc64(data: bytes) -> int:
    """CRC-64 of ECMA-182, all ones at the start and inverted at the end."""
    table = _crc64_table()
    register = 0xFFFFFFFFFFFFFFFF
    for byte in data:
        register = table[(register >> 56) ^ byte] ^ (register << 8 & 0xFFFFFFFFFFFFFFFF)
    return register ^ 0xFFFFFFFFFFFFFFFF


@lru_cache(maxsize=1)
def _crc64_table() -> tuple[int, ...]:
    table = []
    for index in range(256):
        register = index << 56
        for _ in range(8):
            register = (register << 1 & 0xFFFFFFFFFFFFFFFF) ^ (0x42F0E1EBA9EA3693 if register >> 63 else 0)
        table.append(register)
    return tuple(table)


def _drbdmanage(start: bytes) -> Superblock | None:
    header = parse(DRBDMANAGE_HEADER, start, "drbdmanage header", 0)
    uuid = header.uuid.decode("latin-1")
    if header.lf != b"\n" or not all(digit in hexdigits for digit in uuid):
        return None
    return Superblock("drbdmanage_control_volume", uuid)


FILESYSTEM = FileSystemReader(read)
