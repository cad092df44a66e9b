"""What the items in a leaf of btrfs must hold, whatever tree it is of.

Linux refuses a leaf in which one item does not, and goes on to the next copy of it; so the checks are those that
belong to choosing a copy. Kinds of items that are not here are not looked into by Linux 6.18 either.

Specification: btrfs on-disk format, https://btrfs.readthedocs.io/en/latest/dev/On-disk-format.html; Linux,
fs/btrfs/tree-checker.c, check_leaf_item
"""

import struct
from collections.abc import Callable

from preflight.contents import ContentsError
from preflight.contents import _btrfs_extent_items as extent_items
from preflight.contents import _btrfs_file_items as file_items
from preflight.contents import _btrfs_layouts as layouts
from preflight.contents._btrfs_chunks import from_item
from preflight.contents._btrfs_layouts import Key
from preflight.contents._btrfs_superblock import Filesystem
from preflight.filesystems._btrfs_geometry import MAX_LEVEL
from preflight.filesystems._btrfs_layouts import CHUNK_ITEM_KEY, HEADER_SIZE

Previous = tuple[Key, bytes] | None
"""The item before the one that is looked at, None for the first in its leaf."""

DEV_ITEM = struct.Struct("<QQQ")  # devid, total_bytes, bytes_used: its beginning
BLOCK_GROUP_ITEM = struct.Struct("<QQQ")  # used, chunk_objectid, flags
DEV_EXTENT = struct.Struct("<QQQQ16s")  # chunk_tree, chunk_objectid, chunk_offset, length, chunk_tree_uuid
# generation, bytenr, last_snapshot, flags, objectid of drop_progress, drop_level, level
ROOT_ITEM_FIELDS = struct.Struct("<160xQ8xQ16xQQ4xQ9xBB")
ROOT_REF_NAME_LEN = struct.Struct("<16xH")
GENERATION_V2 = struct.Struct("<239xQ")
DEV_ITEM_SIZE = 98
FULL_ROOT_ITEM_SIZE = 439  # since Linux 3.6
ROOT_FLAGS = 1 << 0 | 1 << 48  # SUBVOL_RDONLY, SUBVOL_DEAD
NEVER_EMPTY = (
    layouts.ROOT_TREE_OBJECTID,
    layouts.EXTENT_TREE_OBJECTID,
    layouts.CHUNK_TREE_OBJECTID,
    layouts.DEV_TREE_OBJECTID,
    layouts.FS_TREE_OBJECTID,
    layouts.DATA_RELOC_TREE_OBJECTID,
)


def defect(filesystem: Filesystem, owner: int, entries: list[tuple[int, ...]], data: bytes) -> str | None:
    """What is wrong with an item in the leaf `data`, None where all are as they must be.

    `entries` are those of the leaf, as `layouts.ITEM` has them, known to lie within it; `owner` is its tree.
    """
    of_files = layouts.is_subvolume(owner)
    previous: Previous = None
    for objectid, kind, offset, start, size in entries:
        key = (objectid, kind, offset)
        item = data[HEADER_SIZE + start : HEADER_SIZE + start + size]
        check = CHECKS.get(kind)
        if check is not None:
            if of_files and previous is not None and kind in file_items.BEHIND_INODE and previous[0][0] != objectid:
                return f"the item {key} follows {previous[0]}, expected is an item of the same inode"
            if reason := check(filesystem, key, item, previous):
                return f"the item {key}: {reason}"
        previous = key, item
    return None


def _chunk(filesystem: Filesystem, key: Key, item: bytes, _: Previous) -> str | None:
    try:
        from_item(filesystem, key[2], item)
    except ContentsError as error:
        return str(error)
    return None


def _dev_item(_: Filesystem, key: Key, item: bytes, __: Previous) -> str | None:
    if key[0] != layouts.DEV_ITEMS_OBJECTID:
        return f"a DEV_ITEM of {key[0]}, expected is {layouts.DEV_ITEMS_OBJECTID}"
    if len(item) != DEV_ITEM_SIZE:
        return f"a DEV_ITEM of {len(item)} bytes, expected are {DEV_ITEM_SIZE}"
    devid, total_bytes, bytes_used = DEV_ITEM.unpack_from(item)
    if devid != key[2]:
        return f"devid is {devid}, its key says {key[2]}"
    if bytes_used > total_bytes:
        return f"bytes_used is {bytes_used}, of a device of {total_bytes}"
    return None


def _dev_extent(filesystem: Filesystem, key: Key, item: bytes, previous: Previous) -> str | None:
    if len(item) < DEV_EXTENT.size:
        return f"a DEV_EXTENT of {len(item)} bytes, expected are {DEV_EXTENT.size}"
    chunk_tree, chunk_objectid, chunk_offset, length, _ = DEV_EXTENT.unpack_from(item)
    if (chunk_tree, chunk_objectid) != (layouts.CHUNK_TREE_OBJECTID, layouts.FIRST_CHUNK_TREE_OBJECTID):
        return f"chunk_tree is {chunk_tree}, chunk_objectid {chunk_objectid}, expected are 3 and 256"
    for name, value in (("its place", key[2]), ("chunk_offset", chunk_offset), ("length", length)):
        if value % filesystem.sectorsize:
            return f"{name} is {value:#x}, expected are sectors of {filesystem.sectorsize} bytes"
    if previous is not None and previous[0][:2] == key[:2]:
        end = previous[0][2] + DEV_EXTENT.unpack_from(previous[1])[3]
        if end > key[2]:
            return f"the DEV_EXTENT before it ends at {end:#x}, within this one"
    return None


def _block_group(_: Filesystem, key: Key, item: bytes, __: Previous) -> str | None:
    if not key[2]:
        return "a block group of 0 bytes"
    if len(item) != BLOCK_GROUP_ITEM.size:
        return f"a BLOCK_GROUP_ITEM of {len(item)} bytes, expected are {BLOCK_GROUP_ITEM.size}"
    used, chunk_objectid, flags = BLOCK_GROUP_ITEM.unpack(item)
    if chunk_objectid != layouts.FIRST_CHUNK_TREE_OBJECTID:
        return f"chunk_objectid is {chunk_objectid}, expected is {layouts.FIRST_CHUNK_TREE_OBJECTID}"
    if used > key[2]:
        return f"used is {used}, of a block group of {key[2]} bytes"
    if (flags & layouts.PROFILE_BITS).bit_count() > 1:
        return f"flags is {flags:#x}, which has several profiles"
    if flags & layouts.BLOCK_GROUP_KINDS not in layouts.BLOCK_GROUP_USES:
        return f"flags is {flags:#x}, which names no use"
    return None


def _root_item(filesystem: Filesystem, key: Key, item: bytes, _: Previous) -> str | None:
    if not key[0] or (key[0] == layouts.TREE_RELOC_OBJECTID and not layouts.is_subvolume(key[2])):
        return "no tree has this number"
    if len(item) not in (layouts.ROOT_ITEM_SIZE, FULL_ROOT_ITEM_SIZE):
        return f"a ROOT_ITEM of {len(item)} bytes, expected are {layouts.ROOT_ITEM_SIZE} or {FULL_ROOT_ITEM_SIZE}"
    generation, bytenr, last_snapshot, flags, dropped, drop_level, level = ROOT_ITEM_FIELDS.unpack_from(item)
    generation_v2 = GENERATION_V2.unpack_from(item)[0] if len(item) == FULL_ROOT_ITEM_SIZE else 0
    newest = max(generation, generation_v2, last_snapshot)
    if newest > filesystem.generation + 1:
        return f"it is of generation {newest}, the file system is at {filesystem.generation}"
    if bytenr % filesystem.sectorsize:
        return f"bytenr is {bytenr:#x}, expected are sectors of {filesystem.sectorsize} bytes"
    if level > MAX_LEVEL or drop_level > MAX_LEVEL:
        return f"level is {level}, drop_level {drop_level}, at most {MAX_LEVEL} is allowed"
    if dropped and not drop_level:
        return f"drop_progress is at {dropped}, drop_level is 0"
    if flags & ~ROOT_FLAGS:
        return f"flags is {flags:#x}, known are the bits {ROOT_FLAGS:#x}"
    return None


def _root_ref(_: Filesystem, __: Key, item: bytes, ___: Previous) -> str | None:
    if len(item) < layouts.ROOT_REF_SIZE:
        return f"it has {len(item)} bytes, a reference to a subvolume has {layouts.ROOT_REF_SIZE} at least"
    (name_len,) = ROOT_REF_NAME_LEN.unpack_from(item)
    if not 0 < name_len <= layouts.MAX_NAME_LEN or len(item) != layouts.ROOT_REF_SIZE + name_len:
        return f"name_len is {name_len}, the name has {len(item) - layouts.ROOT_REF_SIZE} bytes"
    return None


def _csum(filesystem: Filesystem, key: Key, item: bytes, previous: Previous) -> str | None:
    if key[0] != layouts.EXTENT_CSUM_OBJECTID:
        return f"checksums of {key[0]}, expected is {layouts.EXTENT_CSUM_OBJECTID}"
    if key[2] % filesystem.sectorsize:
        return f"its place is {key[2]:#x}, expected are sectors of {filesystem.sectorsize} bytes"
    size = layouts.CSUM_SIZES[filesystem.csum_type]
    if len(item) % size:
        return f"{len(item)} bytes, expected are checksums of {size}"
    if previous is not None and previous[0][1] == layouts.EXTENT_CSUM_KEY:
        end = previous[0][2] + len(previous[1]) // size * filesystem.sectorsize
        if end > key[2]:
            return f"the checksums before it are for what ends at {end:#x}, within its own"
    return None


def _raid_stripe(_: Filesystem, __: Key, ___: bytes, ____: Previous) -> str:
    return "a RAID_STRIPE without the feature RAID_STRIPE_TREE"  # with which no file system is read here


CHECKS: dict[int, Callable[[Filesystem, Key, bytes, Previous], str | None]] = {
    layouts.INODE_ITEM_KEY: file_items.inode_item,
    layouts.INODE_REF_KEY: file_items.inode_ref,
    layouts.INODE_EXTREF_KEY: file_items.inode_extref,
    layouts.XATTR_ITEM_KEY: file_items.dir_item,
    layouts.DIR_ITEM_KEY: file_items.dir_item,
    layouts.DIR_INDEX_KEY: file_items.dir_item,
    layouts.EXTENT_DATA_KEY: file_items.extent_data,
    layouts.EXTENT_CSUM_KEY: _csum,
    layouts.ROOT_ITEM_KEY: _root_item,
    layouts.ROOT_BACKREF_KEY: _root_ref,
    layouts.ROOT_REF_KEY: _root_ref,
    layouts.EXTENT_ITEM_KEY: extent_items.extent_item,
    layouts.METADATA_ITEM_KEY: extent_items.extent_item,
    layouts.TREE_BLOCK_REF_KEY: extent_items.keyed_ref,
    layouts.EXTENT_DATA_REF_KEY: extent_items.extent_data_ref,
    layouts.SHARED_BLOCK_REF_KEY: extent_items.keyed_ref,
    layouts.SHARED_DATA_REF_KEY: extent_items.keyed_ref,
    layouts.BLOCK_GROUP_ITEM_KEY: _block_group,
    layouts.DEV_EXTENT_KEY: _dev_extent,
    layouts.DEV_ITEM_KEY: _dev_item,
    CHUNK_ITEM_KEY: _chunk,
    layouts.RAID_STRIPE_KEY: _raid_stripe,
}
"""By the type of the item: the file system, the key, the data, and the item before it; what is wrong."""
