"""What the items of the extent tree of btrfs must hold: extents and who refers to them.

Specification: btrfs on-disk format, sections Extent item and Back references,
https://btrfs.readthedocs.io/en/latest/dev/On-disk-format.html; Linux, fs/btrfs/tree-checker.c, check_extent_item
"""

import struct
from itertools import pairwise

from preflight.binary import crc32c
from preflight.contents import _btrfs_layouts as layouts
from preflight.contents._btrfs_layouts import Key
from preflight.contents._btrfs_superblock import Filesystem
from preflight.filesystems._btrfs_geometry import MAX_LEVEL

# Unpacked by the standard library, as every item of every leaf is looked at (see `layouts.ITEM`).
EXTENT_ITEM = struct.Struct("<QQQ")  # refs, generation, flags
TREE_BLOCK_INFO = struct.Struct("<17xB")  # level, behind a key; where the key of the extent has no level
INLINE_REF = struct.Struct("<BQ")  # type; offset, of all types but EXTENT_DATA_REF
DATA_REF = struct.Struct("<QQQI")  # root, objectid, offset, count
COUNT = struct.Struct("<I")

FLAG_DATA, FLAG_TREE_BLOCK, FLAG_FULL_BACKREF = 1 << 0, 1 << 1, 1 << 8
# What may stand behind the extent itself: the size of each, its type included.
INLINE_SIZES = {
    layouts.EXTENT_OWNER_REF_KEY: INLINE_REF.size,
    layouts.TREE_BLOCK_REF_KEY: INLINE_REF.size,
    layouts.EXTENT_DATA_REF_KEY: 1 + DATA_REF.size,
    layouts.SHARED_BLOCK_REF_KEY: INLINE_REF.size,
    layouts.SHARED_DATA_REF_KEY: INLINE_REF.size + COUNT.size,
}
HASH_INITIAL = 0xFFFFFFFF


def extent_item(filesystem: Filesystem, key: Key, item: bytes, previous: tuple[Key, bytes] | None) -> str | None:
    """An EXTENT_ITEM, or a METADATA_ITEM, whose key has the level of its node in the place of the size."""
    is_metadata = key[1] == layouts.METADATA_ITEM_KEY
    if is_metadata and not filesystem.incompat_flags & layouts.INCOMPAT_SKINNY_METADATA:
        return "a METADATA_ITEM without the feature SKINNY_METADATA"
    if key[0] % filesystem.sectorsize:
        return f"the extent is at {key[0]:#x}, expected are sectors of {filesystem.sectorsize} bytes"
    if is_metadata and key[2] > MAX_LEVEL:
        return f"level is {key[2]}, at most {MAX_LEVEL} is allowed"
    if len(item) < EXTENT_ITEM.size:
        return f"it has {len(item)} bytes, an extent has {EXTENT_ITEM.size} at least"
    refs, generation, flags = EXTENT_ITEM.unpack_from(item)
    if generation > filesystem.generation + 1:
        return f"it is of generation {generation}, the file system is at {filesystem.generation}"
    if reason := _flags(filesystem, key, flags):
        return reason
    position = EXTENT_ITEM.size
    if flags & FLAG_TREE_BLOCK and not is_metadata:
        position += TREE_BLOCK_INFO.size
        if position > len(item) or TREE_BLOCK_INFO.unpack_from(item, EXTENT_ITEM.size)[0] > MAX_LEVEL:
            return f"level of the node is cut off or above {MAX_LEVEL}"
    if reason := _inline_refs(filesystem, item, position, refs):
        return reason
    if previous is not None and previous[0][1] in (layouts.EXTENT_ITEM_KEY, layouts.METADATA_ITEM_KEY):
        start, kind, size = previous[0]
        end = start + (filesystem.nodesize if kind == layouts.METADATA_ITEM_KEY else size)
        if end > key[0]:
            return f"the extent before it ends at {end:#x}, within this one"
    return None


def _flags(filesystem: Filesystem, key: Key, flags: int) -> str | None:
    """What is wrong with the flags, or with a size that they do not allow."""
    kind = flags & (FLAG_DATA | FLAG_TREE_BLOCK)
    if kind == FLAG_TREE_BLOCK:
        if key[1] == layouts.EXTENT_ITEM_KEY and key[2] != filesystem.nodesize:
            return f"a node of {key[2]} bytes, expected are {filesystem.nodesize}"
        return None
    if kind != FLAG_DATA or key[1] != layouts.EXTENT_ITEM_KEY or flags & FLAG_FULL_BACKREF:
        return f"flags is {flags:#x}, expected is 0x1 for data, 0x2 for a node"
    if key[2] % filesystem.sectorsize:
        return f"{key[2]} bytes of data, expected are sectors of {filesystem.sectorsize} bytes"
    return None


def _inline_refs(filesystem: Filesystem, item: bytes, position: int, refs: int) -> str | None:
    """What is wrong with the references from `position` on: by type upwards, in each type downwards."""
    order: list[tuple[int, int, bytes]] = []
    found = 0
    while position < len(item):
        kind = item[position]
        end = position + INLINE_SIZES.get(kind, 0)
        if end == position:
            return f"type of a reference is {kind}, known are {', '.join(map(str, INLINE_SIZES))}"
        if end > len(item):
            return f"a reference is cut off at byte {position} of {len(item)}"
        if kind == layouts.EXTENT_DATA_REF_KEY:
            ref = item[position + 1 : end]
            if reason := _data_ref(filesystem, ref):
                return reason
            found += DATA_REF.unpack(ref)[3]
            order.append((kind, 0, ref))
        else:
            offset = INLINE_REF.unpack_from(item, position)[1]
            shared = kind in (layouts.SHARED_BLOCK_REF_KEY, layouts.SHARED_DATA_REF_KEY)
            if shared and offset % filesystem.sectorsize:
                return f"a reference is from {offset:#x}, expected are sectors of {filesystem.sectorsize} bytes"
            count = 1
            if kind == layouts.SHARED_DATA_REF_KEY:
                (count,) = COUNT.unpack_from(item, position + INLINE_REF.size)
                if not count:
                    return "the count of a reference is 0"
            found += count if kind != layouts.EXTENT_OWNER_REF_KEY else 0
            order.append((kind, offset, b""))
        position = end
    if any(_place(before) > _place(after) for before, after in pairwise(order)):
        return "the references are not in order"
    if found > refs:
        return f"refs is {refs}, in the item alone are {found}"
    return None


def _place(ref: tuple[int, int, bytes]) -> tuple[int, int]:
    """What references are ordered by."""
    kind, offset, data_ref = ref
    if data_ref:  # by a hash: of the root in the upper bits, of the rest in the lower
        offset = crc32c(data_ref[:8], HASH_INITIAL) << 31 ^ crc32c(data_ref[8:24], HASH_INITIAL)
    return kind, -offset


def _data_ref(filesystem: Filesystem, ref: bytes) -> str | None:
    root, objectid, offset, count = DATA_REF.unpack(ref)
    if not layouts.is_subvolume(root) and root not in (layouts.ROOT_TREE_OBJECTID, layouts.DATA_RELOC_TREE_OBJECTID):
        return f"a reference is from tree {root}, which has no files"
    if not layouts.FIRST_FREE_OBJECTID <= objectid <= layouts.LAST_FREE_OBJECTID:
        return f"a reference is from inode {objectid}, which has no data"
    if offset % filesystem.sectorsize:
        return f"a reference is from byte {offset:#x}, expected are sectors of {filesystem.sectorsize} bytes"
    return None if count else "the count of a reference is 0"


def extent_data_ref(filesystem: Filesystem, key: Key, item: bytes, _: object) -> str | None:
    """EXTENT_DATA_REFs, of which those that share a hash share an item."""
    if len(item) % DATA_REF.size:
        return f"{len(item)} bytes, expected are references of {DATA_REF.size}"
    if key[0] % filesystem.sectorsize:
        return f"the extent is at {key[0]:#x}, expected are sectors of {filesystem.sectorsize} bytes"
    refs = (item[start : start + DATA_REF.size] for start in range(0, len(item), DATA_REF.size))
    return next((reason for ref in refs if (reason := _data_ref(filesystem, ref))), None)


def keyed_ref(filesystem: Filesystem, key: Key, item: bytes, _: object) -> str | None:
    """A TREE_BLOCK_REF, SHARED_BLOCK_REF or SHARED_DATA_REF: the last alone has more than a key, its count."""
    size = COUNT.size if key[1] == layouts.SHARED_DATA_REF_KEY else 0
    if len(item) != size:
        return f"it has {len(item)} bytes, expected are {size}"
    if size and not any(item):
        return "the count of a reference is 0"
    aligned = key[0] if key[1] == layouts.TREE_BLOCK_REF_KEY else key[0] | key[2]
    if aligned % filesystem.sectorsize:
        return f"from {key[2]:#x} to {key[0]:#x}, expected are sectors of {filesystem.sectorsize} bytes"
    return None
