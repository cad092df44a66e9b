"""What Linux reads of a btrfs at a mount, besides the files: where one of these is damaged, there is no mount.

Asked are the devices, that their extents and the chunks are of one another, that the trees which the mount opens
have a topmost node, that block groups and chunks are of one another, and what the mount cleans up or replays.

Sources: Linux 6.18, fs/btrfs/disk-io.c, open_ctree; fs/btrfs/volumes.c, btrfs_read_chunk_tree and
btrfs_verify_dev_extents; fs/btrfs/block-group.c, btrfs_read_block_groups; fs/btrfs/tree-log.c, btrfs_recover_log_trees
"""

import struct
from collections import Counter
from collections.abc import Iterator

from preflight.contents import ContentsError
from preflight.contents import _btrfs_layouts as layouts
from preflight.contents._btrfs_filesystem import Btrfs
from preflight.contents._btrfs_items import BLOCK_GROUP_ITEM, DEV_EXTENT, DEV_ITEM
from preflight.contents._btrfs_layouts import Key
from preflight.contents._btrfs_subvolumes import root_of
from preflight.contents._btrfs_superblock import Root, device_name
from preflight.contents._btrfs_trees import Trees
from preflight.filesystems._btrfs_geometry import COMPAT_RO_KNOWN

# Linux reads all of it, we so many nodes of each: block groups are spread over the extent tree, one leaf for each on a
# disk that is full (64 GiB here), and what lies behind the last of them is not looked at. All others lie side by side:
# the extents of some 10 TiB are in so many leaves, the root tree has some dozen with the free-space cache of Linux 4.
MAX_NODES = 64
# Of which there may be several one day, told apart by the offset: Linux takes any.
GLOBAL_TREES = (layouts.EXTENT_TREE_OBJECTID, layouts.CSUM_TREE_OBJECTID, layouts.FREE_SPACE_TREE_OBJECTID)
LAST: Key = (layouts.MAX_U64, 255, layouts.MAX_U64)
DEV_ITEM_FSID = slice(82, 98)
QGROUP_STATUS = struct.Struct("<16xQ")  # behind version and generation, flags
QGROUP_STATUS_ON, QGROUP_STATUS_RESCAN = 1 << 0, 1 << 1


def verify(filesystem: Btrfs) -> None:
    """Read it; `ContentsError` where Linux would refuse to mount for reading and writing."""
    sizes = _verify_devices(filesystem)
    compat_ro = filesystem.superblock.compat_ro_flags
    has_own_tree = compat_ro & layouts.COMPAT_RO_BLOCK_GROUP_TREE
    of_extents = _needed(filesystem, layouts.EXTENT_TREE_OBJECTID)
    of_block_groups = _needed(filesystem, layouts.BLOCK_GROUP_TREE_OBJECTID) if has_own_tree else of_extents
    _needed(filesystem, layouts.CSUM_TREE_OBJECTID)
    if compat_ro & layouts.COMPAT_RO_FREE_SPACE_TREE:
        _needed(filesystem, layouts.FREE_SPACE_TREE_OBJECTID)
    for objectid in (layouts.DATA_RELOC_TREE_OBJECTID, layouts.FS_TREE_OBJECTID):
        _verify_files(filesystem, objectid)
    if (default := filesystem.subvolumes.default()) != layouts.FS_TREE_OBJECTID:
        _verify_files(filesystem, default)
    if uuid_tree := filesystem.subvolumes.tree(layouts.UUID_TREE_OBJECTID):  # made anew where there is none
        filesystem.trees.verify_root(uuid_tree)
    _verify_dev_extents(filesystem, _needed(filesystem, layouts.DEV_TREE_OBJECTID), sizes)
    if not compat_ro & ~COMPAT_RO_KNOWN:  # else it is mounted for reading, without them
        _verify_block_groups(filesystem, of_block_groups)
    _verify_quotas(filesystem)
    if log_tree := filesystem.superblock.log_tree:
        _verify_trees_in(filesystem, log_tree, layouts.TREE_LOG_OBJECTID)
    _verify_trees_in(filesystem, filesystem.superblock.root_tree, layouts.TREE_RELOC_OBJECTID)


def _verify_files(filesystem: Btrfs, objectid: int) -> None:
    """A tree of files that is opened; and behind them, where those are named that were deleted while in use."""
    root = filesystem.subvolumes.root(objectid)
    if root is None:
        raise ContentsError(f"btrfs: the root tree has no ROOT_ITEM of tree {objectid} that is in use")
    filesystem.trees.floor(root, (layouts.ORPHAN_OBJECTID, layouts.ORPHAN_ITEM_KEY, layouts.MAX_U64))


def _needed(filesystem: Btrfs, objectid: int) -> Root:
    """A tree that every file system has, and its topmost node is whole."""
    root = filesystem.subvolumes.tree(objectid, at_any_offset=objectid in GLOBAL_TREES)
    if root is None:
        raise ContentsError(
            f"btrfs: the root tree has no ROOT_ITEM of tree {objectid}, without which Linux does not mount"
        )
    filesystem.trees.verify_root(root)
    return root


def _bounded(trees: Trees, root: Root, first: Key) -> Iterator[tuple[Key, bytes] | None]:
    """The items from `first` on; None behind those of `MAX_NODES` nodes, where there are more."""
    end = trees.nodes_read + MAX_NODES
    for item in trees.items(root, first, LAST):
        yield item
        if trees.nodes_read > end:
            yield None
            return


def _verify_devices(filesystem: Btrfs) -> dict[int, int]:
    """Whether the devices are as large as they say, and all that chunks lie on; the size of each by its number."""
    superblock = filesystem.superblock
    sizes: dict[int, int] = {}
    total = 0
    first = (layouts.DEV_ITEMS_OBJECTID, layouts.DEV_ITEM_KEY, 0)
    last = (layouts.DEV_ITEMS_OBJECTID, layouts.DEV_ITEM_KEY, layouts.MAX_U64)
    for key, item in filesystem.chunk_tree.items(superblock.chunk_tree, first, last):
        where = f"btrfs DEV_ITEM {key[2]}"
        size = DEV_ITEM.unpack_from(item)[1]
        is_seed = item[DEV_ITEM_FSID] != superblock.metadata_fsid
        total += 0 if is_seed else size
        sizes[key[2]] = size
        if key[2] != superblock.devid:
            continue
        if is_seed:
            raise ContentsError(f"{where}: fsid is {item[DEV_ITEM_FSID].hex()}, expected is that of the nodes")
        # What is cut off is told with the superblock, which says the same size.
        if size > max(filesystem.size, superblock.device_size):
            raise ContentsError(f"{where}: total_bytes is {size}, the device has {filesystem.size}")
    if superblock.total_bytes is not None and total > superblock.total_bytes:
        raise ContentsError(
            f"btrfs superblock: total_bytes is {superblock.total_bytes}, the DEV_ITEMs together have {total}"
        )
    for chunk in filesystem.chunks:
        for stripe in chunk.stripes:
            is_here = stripe.dev_uuid == superblock.device_uuid
            if stripe.devid not in sizes or (stripe.devid == superblock.devid) != is_here:
                name = device_name(stripe.devid, stripe.dev_uuid)
                raise ContentsError(
                    f"btrfs chunk at logical {chunk.logical:#x}: it lies on {name}, which has no DEV_ITEM"
                )
    return sizes


def _verify_dev_extents(filesystem: Btrfs, dev_tree: Root, sizes: dict[int, int]) -> None:
    """Whether each stripe of a chunk is a DEV_EXTENT, and there are no others."""
    stripes = {(chunk.logical, stripe.devid, stripe.offset) for chunk in filesystem.chunks for stripe in chunk.stripes}
    found: Counter[int] = Counter()
    end = (0, 0)
    for entry in _bounded(filesystem.trees, dev_tree, (1, layouts.DEV_EXTENT_KEY, 0)):
        if entry is None:
            return
        (devid, kind, offset), item = entry
        if kind != layouts.DEV_EXTENT_KEY:
            break
        _, _, chunk_offset, length, _ = DEV_EXTENT.unpack_from(item)
        where = f"btrfs DEV_EXTENT of device {devid} at its byte {offset:#x}"
        if (devid, offset) < end:
            raise ContentsError(f"{where}: the one before it ends at {end[1]:#x}")
        end = (devid, offset + length)
        chunk = filesystem.chunks.find(chunk_offset)
        if chunk is None:
            raise ContentsError(f"{where}: no chunk has the logical address {chunk_offset:#x}")
        if length != chunk.stripe_length:
            raise ContentsError(f"{where}: length is {length}, the stripes of its chunk have {chunk.stripe_length}")
        if offset + length > sizes.get(devid, 0):
            raise ContentsError(f"{where}: it ends at {offset + length:#x}, the device at {sizes.get(devid, 0):#x}")
        found[chunk.logical] += 1
        if (chunk.logical, devid, offset) not in stripes:
            raise ContentsError(f"{where}: the chunk at logical {chunk_offset:#x} has no stripe there")
    for chunk in filesystem.chunks:
        if found[chunk.logical] != len(chunk.stripes):
            raise ContentsError(
                f"btrfs chunk at logical {chunk.logical:#x}: it has {len(chunk.stripes)} stripes,"
                f" of which {found[chunk.logical]} have a DEV_EXTENT"
            )


def _verify_block_groups(filesystem: Btrfs, root: Root) -> None:
    """Whether each block group has its chunk, and the first chunks have their block groups."""
    trees = filesystem.trees
    end_of_reading = trees.nodes_read + MAX_NODES
    found = set()
    position: Key | None = (0, 0, 0)
    while position is not None:
        first, position = position, None
        for key, item in trees.items(root, first, LAST):
            if trees.nodes_read > end_of_reading:
                return
            if key[1] == layouts.BLOCK_GROUP_ITEM_KEY:
                _verify_block_group(filesystem, key, item)
                found.add(key[0])
                position = (key[0] + key[2], layouts.BLOCK_GROUP_ITEM_KEY, 0)
                break
    # Linux asks this of the chunks that lie one behind the other from address 0 on, where old mkfs.btrfs had the first,
    # and mounts where another chunk has no block group (check_chunk_block_group_mappings).
    chunk = filesystem.chunks.find(0)
    while chunk is not None:
        if chunk.logical not in found:
            raise ContentsError(f"btrfs chunk at logical {chunk.logical:#x}: it has no block group")
        chunk = filesystem.chunks.find(chunk.logical + chunk.length)


def _verify_block_group(filesystem: Btrfs, key: Key, item: bytes) -> None:
    where = f"btrfs block group at logical {key[0]:#x}"
    chunk = filesystem.chunks.find(key[0])
    if chunk is None or (chunk.logical, chunk.length) != (key[0], key[2]):
        found = "none" if chunk is None else f"one of {chunk.length} bytes at logical {chunk.logical:#x}"
        raise ContentsError(
            f"{where}: it has {key[2]} bytes, expected is a chunk of the same place and size, not {found}"
        )
    flags = BLOCK_GROUP_ITEM.unpack(item)[2]
    if flags & layouts.BLOCK_GROUP_KINDS != chunk.use:
        raise ContentsError(f"{where}: flags is {flags:#x}, the type of its chunk has {chunk.use:#x}")


def _verify_quotas(filesystem: Btrfs) -> None:
    """What there is in the quota tree; Linux does without it where its topmost node cannot be read."""
    root = filesystem.subvolumes.tree(layouts.QUOTA_TREE_OBJECTID)
    if root is None:
        return
    try:
        filesystem.trees.verify_root(root)
    except ContentsError:
        return
    for entry in _bounded(filesystem.trees, root, (0, 0, 0)):
        if entry and entry[0][1] == layouts.QGROUP_STATUS_KEY and len(entry[1]) >= QGROUP_STATUS.size:
            (flags,) = QGROUP_STATUS.unpack_from(entry[1])
            if flags & QGROUP_STATUS_RESCAN and not flags & QGROUP_STATUS_ON:
                # Seen once, with Linux 6.18.44, and not tried again: the mount hung in the kernel, and with it every
                # later sync(2).
                raise ContentsError(
                    f"btrfs QGROUP_STATUS: flags is {flags:#x}, a rescan of quotas that are off: Linux was seen to hang"
                )


def _verify_trees_in(filesystem: Btrfs, root: Root, objectid: int) -> None:
    """A tree of trees, and in it those of one number, each of another subvolume: logs and relocations."""
    entries = [entry for entry in _bounded(filesystem.trees, root, (0, 0, 0)) if entry is not None]
    roots = [root_of(objectid, item) for key, item in entries if key[:2] == (objectid, layouts.ROOT_ITEM_KEY)]
    for inner in roots[:MAX_NODES]:
        if objectid == layouts.TREE_LOG_OBJECTID:
            for _ in _bounded(filesystem.trees, inner, (0, 0, 0)):
                pass
        else:
            filesystem.trees.verify_root(inner)
