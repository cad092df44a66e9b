"""The structures of btrfs that the superblock contains or leads to first, in the order of their bytes.

Specification: btrfs on-disk format, https://btrfs.readthedocs.io/en/latest/dev/On-disk-format.html
"""

from construct import Bytes, Int8ul, Int16ul, Int32ul, Int64ul, Struct

from preflight.units import KiB

# What follows `label` in the superblock, up to the spare copies of the roots.
SUPERBLOCK_END = Struct(
    "cache_generation" / Int64ul,
    "uuid_tree_generation" / Int64ul,
    "metadata_uuid" / Bytes(16),
    "reserved" / Bytes(224),
    "sys_chunk_array" / Bytes(2048),
)

# What `preflight.filesystems.btrfs.SUPERBLOCK` keeps together as the rest of dev_item.
DEV_ITEM_END = Struct(
    "bytes_used" / Int64ul,
    "io_align" / Int32ul,
    "io_width" / Int32ul,
    "sector_size" / Int32ul,
    "type" / Int64ul,
    "generation" / Int64ul,
    "start_offset" / Int64ul,
    "dev_group" / Int32ul,
    "seek_speed" / Int8ul,
    "bandwidth" / Int8ul,
    "uuid" / Bytes(16),
    "fsid" / Bytes(16),
)

HEADER = Struct(
    "csum" / Bytes(32),
    "fsid" / Bytes(16),
    "bytenr" / Int64ul,
    "flags" / Int64ul,
    "chunk_tree_uuid" / Bytes(16),
    "generation" / Int64ul,
    "owner" / Int64ul,
    "nritems" / Int32ul,
    "level" / Int8ul,
)
HEADER_SIZE = 101

KEY = Struct("objectid" / Int64ul, "type" / Int8ul, "offset" / Int64ul)
KEY_SIZE = 17

CHUNK_ITEM = Struct(
    "length" / Int64ul,
    "owner" / Int64ul,
    "stripe_len" / Int64ul,
    "type" / Int64ul,
    "io_align" / Int32ul,
    "io_width" / Int32ul,
    "sector_size" / Int32ul,
    "num_stripes" / Int16ul,
    "sub_stripes" / Int16ul,
)
CHUNK_ITEM_SIZE = 48
STRIPE = Struct("devid" / Int64ul, "offset" / Int64ul, "dev_uuid" / Bytes(16))
STRIPE_SIZE = 32
STRIPE_LEN = 64 * KiB  # the only one there has ever been

CHUNK_ITEM_KEY = 228  # the type of a chunk's key
INCOMPAT_METADATA_UUID = 1 << 10
