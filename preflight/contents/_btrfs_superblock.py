"""The superblock of btrfs, with all that reading its files needs.

Specification: btrfs on-disk format, section Superblock,
https://btrfs.readthedocs.io/en/latest/dev/On-disk-format.html#superblock
"""

from typing import Any

import msgspec

from preflight.binary import parse, uuid_text
from preflight.contents import ContentsError, NotRead
from preflight.contents import _btrfs_layouts as layouts
from preflight.errors import StructureError
from preflight.filesystems._btrfs_checksums import CSUM_SIZE, checksum
from preflight.filesystems._btrfs_geometry import FLAG_SEEDING, MAX_LEVEL
from preflight.filesystems._btrfs_layouts import DEV_ITEM_END, INCOMPAT_METADATA_UUID, SUPERBLOCK_END
from preflight.filesystems.btrfs import MAGIC, MIRROR_OFFSET, PRIMARY_OFFSET, SUPERBLOCK, SUPERBLOCK_SIZE
from preflight.source import BlockSource
from preflight.units import KiB, is_power_of_two

SECTORSIZES = range(4 * KiB, 64 * KiB + 1)
WHERE = "btrfs superblock"


class Reference(msgspec.Struct, frozen=True):
    """A pointer to a node, with what the node must say of itself."""

    bytenr: int
    """Logical address."""
    level: int
    generation: int
    owner: int
    """Objectid of the tree."""
    first_key: layouts.Key | None = None
    """None for the root of a tree, which may be empty."""


class Root(msgspec.Struct, frozen=True):
    """A tree: where its topmost node is."""

    objectid: int
    bytenr: int
    level: int
    generation: int
    root_dirid: int = layouts.FIRST_FREE_OBJECTID
    """Inode of the topmost directory, in trees that hold files."""

    def reference(self) -> Reference:
        """The pointer to the topmost node."""
        return Reference(self.bytenr, self.level, self.generation, self.objectid)


class Filesystem(msgspec.Struct, frozen=True):
    """What the superblock tells."""

    metadata_fsid: bytes
    """The UUID that stands in nodes."""
    generation: int
    csum_type: int
    sectorsize: int
    nodesize: int
    num_devices: int
    devid: int
    device_uuid: bytes
    root_dir_objectid: int
    """Of the directory in the root tree that names the default subvolume."""
    root_tree: Root
    chunk_tree: Root
    sys_chunk_array: bytes
    """Chunks that hold the chunk tree: keys, each with its CHUNK_ITEM."""
    incompat_flags: int
    compat_ro_flags: int
    total_bytes: int | None
    """Of all devices together; None where this one is a seed, which says nothing of the others."""
    device_size: int
    """Of this device, in bytes."""
    log_tree: Root | None
    """What the next mount replays; None where there is nothing."""


def read(source: BlockSource) -> Filesystem:
    """The superblock at 64 KiB, or its mirror at 64 MiB where that one is damaged.

    Raises `ContentsError` where neither is whole, or where the file system has features that are not read.
    """
    failure: ContentsError | StructureError | None = None
    for offset in (PRIMARY_OFFSET, MIRROR_OFFSET):
        try:
            data = source.read_at(offset, SUPERBLOCK_SIZE)
            _verify(data, offset)
        except (ContentsError, StructureError) as error:
            failure = failure or error
            continue
        return _filesystem(data, offset)
    raise ContentsError(str(failure)) from failure


def _verify(data: bytes, offset: int) -> None:
    superblock = parse(SUPERBLOCK, data, WHERE, offset)
    if superblock.magic != MAGIC:
        raise _refusal(offset, f"magic is {superblock.magic!r}, expected is {MAGIC!r}")
    if superblock.bytenr != offset:
        raise _refusal(offset, f"bytenr is {superblock.bytenr:#x}, expected is its own place")
    computed = checksum(superblock.csum_type, data[CSUM_SIZE:])
    if computed is None:
        raise _refusal(offset, f"csum_type is {superblock.csum_type}, known are 0 to 3")
    if not superblock.csum.startswith(computed):
        raise _refusal(offset, f"csum is {superblock.csum[: len(computed)].hex()}, computed is {computed.hex()}")


def _filesystem(data: bytes, offset: int) -> Filesystem:
    superblock = parse(SUPERBLOCK, data, WHERE, offset)
    end = parse(SUPERBLOCK_END, data[SUPERBLOCK.sizeof() :], WHERE, offset + SUPERBLOCK.sizeof())
    device = parse(DEV_ITEM_END, superblock.dev_item, f"{WHERE}, dev_item", offset)
    _check_features(superblock.incompat_flags)
    _check_geometry(superblock, offset)
    array_size = superblock.sys_chunk_array_size
    if array_size > len(end.sys_chunk_array):
        raise _refusal(offset, f"sys_chunk_array_size is {array_size} bytes, room is for {len(end.sys_chunk_array)}")
    has_metadata_uuid = superblock.incompat_flags & INCOMPAT_METADATA_UUID
    return Filesystem(
        metadata_fsid=end.metadata_uuid if has_metadata_uuid else superblock.fsid,
        generation=superblock.generation,
        csum_type=superblock.csum_type,
        sectorsize=superblock.sectorsize,
        nodesize=superblock.nodesize,
        num_devices=superblock.num_devices,
        devid=superblock.dev_item_devid,
        device_uuid=device.uuid,
        root_dir_objectid=superblock.root_dir_objectid,
        root_tree=Root(layouts.ROOT_TREE_OBJECTID, superblock.root, superblock.root_level, superblock.generation),
        chunk_tree=Root(
            layouts.CHUNK_TREE_OBJECTID,
            superblock.chunk_root,
            superblock.chunk_root_level,
            superblock.chunk_root_generation,
        ),
        sys_chunk_array=end.sys_chunk_array[:array_size],
        incompat_flags=superblock.incompat_flags,
        compat_ro_flags=superblock.compat_ro_flags,
        total_bytes=None if superblock.flags & FLAG_SEEDING else superblock.total_bytes,
        device_size=superblock.dev_item_total_bytes,
        log_tree=_log_tree(superblock),
    )


def _log_tree(superblock: Any) -> Root | None:
    if not superblock.log_root:
        return None
    generation = superblock.generation + 1  # that of the transaction which was not committed
    return Root(layouts.TREE_LOG_OBJECTID, superblock.log_root, superblock.log_root_level, generation)


def _check_features(incompat_flags: int) -> None:
    names = []
    for bit in range(64):
        if incompat_flags >> bit & 1:
            if bit >= len(layouts.INCOMPAT_FLAGS):
                names.append(f"bit {bit}")
            elif layouts.INCOMPAT_NOT_READ >> bit & 1:
                names.append(layouts.INCOMPAT_FLAGS[bit])
    if names:
        raise NotRead(f"{WHERE}: incompat_flags has {', '.join(names)}: such a file system is not read here")


def _check_geometry(superblock: Any, offset: int) -> None:
    for name in ("sectorsize", "nodesize"):
        value = superblock[name]
        if value not in SECTORSIZES or not is_power_of_two(value):
            raise _refusal(offset, f"{name} is {value} bytes, expected is a power of two from 4096 to 65536")
    if superblock.nodesize < superblock.sectorsize:
        raise _refusal(offset, f"nodesize {superblock.nodesize} is below the sectorsize {superblock.sectorsize}")
    for name in ("root_level", "chunk_root_level", "log_root_level"):
        if superblock[name] > MAX_LEVEL:
            raise _refusal(offset, f"{name} is {superblock[name]}, at most {MAX_LEVEL} is allowed")


def _refusal(offset: int, reason: str) -> ContentsError:
    return ContentsError(f"{WHERE} at byte {offset:#x}: {reason}")


def device_name(devid: int, uuid: bytes) -> str:
    """How a device of the file system is called in messages."""
    return f"device {devid} (UUID {uuid_text(uuid)})"
