"""Whether the fields of a btrfs superblock can be those of a file system that Linux mounts.

Specification: btrfs on-disk format, section Superblock,
https://btrfs.readthedocs.io/en/latest/dev/On-disk-format.html#superblock; Linux, fs/btrfs/disk-io.c,
btrfs_validate_super and btrfs_check_features; fs/btrfs/volumes.c, btrfs_read_sys_array
"""

from collections.abc import Iterator
from typing import Any

from preflight.binary import parse
from preflight.filesystems._btrfs_checksums import BLAKE2B
from preflight.filesystems._btrfs_layouts import (
    CHUNK_ITEM,
    CHUNK_ITEM_KEY,
    CHUNK_ITEM_SIZE,
    DEV_ITEM_END,
    INCOMPAT_METADATA_UUID,
    KEY,
    KEY_SIZE,
    STRIPE_LEN,
    STRIPE_SIZE,
    SUPERBLOCK_END,
)
from preflight.filesystems._fields import MAX_SIZE
from preflight.units import KiB, is_power_of_two

MAX_LEVEL = 7  # Linux: BTRFS_MAX_LEVEL, 8, counts level 0
LEVELS = {"root_level": 0xC6, "chunk_root_level": 0xC7, "log_root_level": 0xC8}
TREES = {"root": 0x50, "chunk_root": 0x58, "log_root": 0x60}
SIZES = {"sectorsize": 0x90, "nodesize": 0x94}
MIN_SIZE, MAX_NODESIZE = 4 * KiB, 64 * KiB
FEWEST_NODES = 6  # what mkfs.btrfs writes: the roots of six trees
DEV_ITEM_FSID = 0x11B  # in the superblock
SYS_CHUNK_ARRAY = 0x32B
BLOCK_GROUP_SYSTEM = 1 << 1
MAX_CHUNK = (2**32 - 1) * STRIPE_LEN  # bytes: Linux numbers stripes with 32 bits

FLAG_ERROR, FLAG_SEEDING = 1 << 2, 1 << 32
FLAGS_KNOWN = (
    1 << 0 | 1 << 1 | FLAG_ERROR | FLAG_SEEDING | 1 << 33 | 1 << 34
)  # WRITTEN, RELOC, ERROR, SEEDING, METADUMP, _V2
FLAG_CHANGING_FSID_V2 = 1 << 36  # Linux 5.0 to 6.6 mounted it
INCOMPAT_MIXED_GROUPS = 1 << 2
INCOMPAT_NO_HOLES = 1 << 9
INCOMPAT_KNOWN = (1 << 18) - 1 & ~(1 << 15)  # ENCRYPT never came
COMPAT_RO_KNOWN = 0xF
COMPAT_RO_FREE_SPACE_TREE_VALID, COMPAT_RO_BLOCK_GROUP_TREE = 1 << 1, 1 << 3


def defects(superblock: Any, data: bytes) -> Iterator[tuple[str, int]]:
    """What is wrong, each as a sentence and the byte of the field in the superblock, whose 4096 bytes are `data`."""
    one = superblock
    if one.csum_type > BLAKE2B:
        yield f"csum_type is {one.csum_type}, known are 0 to {BLAKE2B}", 0xC4
    for name, field in LEVELS.items():
        if one[name] > MAX_LEVEL:
            yield f"{name} is {one[name]}, at most {MAX_LEVEL} is allowed", field
    if not 0 < one.dev_item_total_bytes <= MAX_SIZE:
        yield f"dev_item.total_bytes is {one.dev_item_total_bytes} bytes, expected is 1 to {MAX_SIZE}", 0xD1
    for name, field in SIZES.items():
        if not (is_power_of_two(one[name]) and MIN_SIZE <= one[name] <= MAX_NODESIZE):
            yield f"{name} is {one[name]} bytes, expected is a power of two from {MIN_SIZE} to {MAX_NODESIZE}", field
            return
    if one.nodesize < one.sectorsize:
        yield f"nodesize {one.nodesize} is below the sectorsize {one.sectorsize}", 0x94
    if one.leafsize != one.nodesize:
        yield f"leafsize is {one.leafsize}, expected is nodesize, {one.nodesize}", 0x98
    if not is_power_of_two(one.stripesize):
        yield f"stripesize is {one.stripesize}, expected is a power of two", 0x9C
    for name, field in TREES.items():
        if one[name] % one.sectorsize:
            yield f"{name} is {one[name]:#x}, expected is a multiple of {one.sectorsize}", field
    if one.bytes_used < FEWEST_NODES * one.nodesize:
        yield f"bytes_used is {one.bytes_used}, expected are at least {FEWEST_NODES} nodes of {one.nodesize}", 0x78
    whole = one.dev_item_total_bytes // one.sectorsize * one.sectorsize  # old tools did not round
    if one.total_bytes < whole and not one.flags & FLAG_SEEDING:
        yield f"total_bytes is {one.total_bytes}, this device alone has {one.dev_item_total_bytes}", 0x70
    if not one.num_devices:
        yield "num_devices is 0, expected is at least this one", 0x88
    yield from _features(one)
    yield from _device(one, data)
    yield from _sys_chunk_array(one, data)


def unknown_compat_ro(superblock: Any) -> int:
    """The features without which Linux mounts a file system for reading only."""
    unknown: int = superblock.compat_ro_flags & ~COMPAT_RO_KNOWN
    return unknown


def _features(one: Any) -> Iterator[tuple[str, int]]:
    unknown = one.flags & ~(FLAGS_KNOWN | FLAG_CHANGING_FSID_V2)
    if unknown:
        yield f"flags has {unknown:#x}, with which Linux does not mount", 0x38
    unknown = one.incompat_flags & ~INCOMPAT_KNOWN
    if unknown:
        yield f"incompat_flags has the bits {unknown:#x}, which Linux does not know", 0xBC
    if one.incompat_flags & INCOMPAT_MIXED_GROUPS and one.sectorsize != one.nodesize:
        yield f"MIXED_GROUPS with sectorsize {one.sectorsize} and nodesize {one.nodesize}, which must be equal", 0xBC
    if one.compat_ro_flags & COMPAT_RO_BLOCK_GROUP_TREE:
        has_space_tree = one.compat_ro_flags & COMPAT_RO_FREE_SPACE_TREE_VALID
        if not (has_space_tree and one.incompat_flags & INCOMPAT_NO_HOLES):
            yield "compat_ro_flags has BLOCK_GROUP_TREE without FREE_SPACE_TREE_VALID and NO_HOLES", 0xB4


def _device(one: Any, data: bytes) -> Iterator[tuple[str, int]]:
    """Whether the device is one of this file system."""
    end = parse(SUPERBLOCK_END, data[SYS_CHUNK_ARRAY - 256 :], "btrfs superblock", SYS_CHUNK_ARRAY - 256)
    device = parse(DEV_ITEM_END, one.dev_item, "btrfs superblock, dev_item", 0xD9)
    fsid = end.metadata_uuid if one.incompat_flags & INCOMPAT_METADATA_UUID else one.fsid
    if device.fsid != fsid:
        yield f"dev_item.fsid is {device.fsid.hex()}, expected is {fsid.hex()}", DEV_ITEM_FSID


def _sys_chunk_array(one: Any, data: bytes) -> Iterator[tuple[str, int]]:
    """What is wrong with the chunks that hold the chunk tree, by which all else is found."""
    size, room = one.sys_chunk_array_size, 2048
    least = KEY_SIZE + CHUNK_ITEM_SIZE + STRIPE_SIZE
    if not least <= size <= room:
        yield f"sys_chunk_array_size is {size}, expected is {least} to {room}", 0xA0
        return
    position, end = SYS_CHUNK_ARRAY, SYS_CHUNK_ARRAY + size
    has_root = False
    while position < end:
        start = position + KEY_SIZE
        if start + CHUNK_ITEM_SIZE > end:
            yield f"sys_chunk_array ends within a chunk, at its byte {size}", position
            return
        key = parse(KEY, data[position:start], "btrfs sys_chunk_array", position)
        item = parse(CHUNK_ITEM, data[start : start + CHUNK_ITEM_SIZE], "btrfs sys_chunk_array", start)
        for name, value, expected, offset in (
            ("type of the key", key.type, key.type == CHUNK_ITEM_KEY, position + 8),
            ("logical address", key.offset, key.offset % one.sectorsize == 0, position + 9),
            ("length", item.length, 0 < item.length <= MAX_CHUNK and item.length % one.sectorsize == 0, start),
            ("stripe_len", item.stripe_len, item.stripe_len == STRIPE_LEN, start + 16),
            ("type", item.type, bool(item.type & BLOCK_GROUP_SYSTEM), start + 24),
            ("sector_size", item.sector_size, item.sector_size == one.sectorsize, start + 40),
            ("num_stripes", item.num_stripes, item.num_stripes > 0, start + 44),
        ):
            if not expected:
                yield f"{name} of a chunk in sys_chunk_array is {value:#x}, which cannot be", offset
                return
        has_root |= key.offset <= one.chunk_root < key.offset + item.length
        position = start + CHUNK_ITEM_SIZE + item.num_stripes * STRIPE_SIZE
    if position > end:
        yield f"sys_chunk_array ends within the stripes of a chunk, at its byte {size}", 0xA0
    elif not has_root:
        yield f"chunk_root is {one.chunk_root:#x}, which no chunk in sys_chunk_array has", 0x58
