"""The nodes of btrfs, verified.

Specification: btrfs on-disk format, sections Header, Item and Key pointer,
https://btrfs.readthedocs.io/en/latest/dev/On-disk-format.html; Linux, fs/btrfs/tree-checker.c
"""

from itertools import pairwise
from typing import Any

import msgspec

from preflight.binary import parse
from preflight.contents import _btrfs_layouts as layouts
from preflight.contents._btrfs_items import NEVER_EMPTY, defect
from preflight.contents._btrfs_layouts import Key
from preflight.contents._btrfs_superblock import Filesystem
from preflight.errors import StructureError
from preflight.filesystems._btrfs_checksums import CSUM_SIZE, checksum
from preflight.filesystems._btrfs_geometry import MAX_LEVEL
from preflight.filesystems._btrfs_layouts import HEADER, HEADER_SIZE


class TreeNode(msgspec.Struct, frozen=True):
    """A node that holds together; whether it is the one that was looked for is another question."""

    bytenr: int
    level: int
    generation: int
    owner: int
    entries: list[tuple[int, ...]]
    """As `layouts.ITEM` has them at level 0, as `layouts.KEY_PTR` above; in ascending order."""
    data: bytes

    def item(self, index: int) -> bytes:
        """The data of an item; the node is a leaf."""
        offset, size = self.entries[index][3:]
        return self.data[HEADER_SIZE + offset : HEADER_SIZE + offset + size]


def parse_node(filesystem: Filesystem, data: bytes, bytenr: int, place: int) -> TreeNode:
    """The node in `data`; `StructureError` where it does not hold together."""
    where = "btrfs node"
    header = parse(HEADER, data[:HEADER_SIZE], where, place)
    # The fields come first: what is no node at all is told at once, and by what it is.
    if header.bytenr != bytenr:
        raise StructureError(where, place, f"bytenr is {header.bytenr:#x}, expected is {bytenr:#x}")
    if header.fsid != filesystem.metadata_fsid:
        expected = filesystem.metadata_fsid.hex()
        raise StructureError(where, place, f"fsid is {header.fsid.hex()}, expected is {expected}")
    if header.level > MAX_LEVEL:
        raise StructureError(where, place, f"level is {header.level}, at most {MAX_LEVEL} is allowed")
    if not header.flags & layouts.HEADER_WRITTEN:
        raise StructureError(where, place, f"flags is {header.flags:#x}, without WRITTEN (0x1)")
    if header.generation > filesystem.generation + 1:  # a log tree is ahead of what was committed
        reason = f"generation is {header.generation}, the file system is at {filesystem.generation}"
        raise StructureError(where, place, reason)
    layout = layouts.KEY_PTR if header.level else layouts.ITEM
    room = (len(data) - HEADER_SIZE) // layout.size
    if header.nritems > room or (header.level and not header.nritems):
        raise StructureError(where, place, f"nritems is {header.nritems}, allowed are 1 to {room}")
    computed = checksum(filesystem.csum_type, data[CSUM_SIZE:])
    if computed is None or not header.csum.startswith(computed):
        raise StructureError(where, place, "the csum does not match what is in it")
    end = HEADER_SIZE + header.nritems * layout.size
    entries = list(layout.iter_unpack(data[HEADER_SIZE:end]))
    _check_order(entries, place)
    if header.level:
        _check_pointers(filesystem, entries, place)
    else:
        _check_items(entries, len(data) - HEADER_SIZE, place)
        _check_empty(header, place)
        if (wrong := defect(filesystem, header.owner, entries, data)) is not None:
            raise StructureError("btrfs leaf", place, wrong)
    return TreeNode(bytenr, header.level, header.generation, header.owner, entries, data)


def _check_pointers(filesystem: Filesystem, entries: list[tuple[int, ...]], place: int) -> None:
    for entry in entries:
        if not entry[3] or entry[3] % filesystem.sectorsize:
            sectors = f"expected are sectors of {filesystem.sectorsize} bytes, not 0"
            raise StructureError("btrfs node", place, f"a pointer is {entry[3]:#x}, {sectors}")


def _check_empty(header: Any, place: int) -> None:
    """Whether a leaf without items may be one."""
    if header.nritems or header.flags & layouts.HEADER_RELOC:
        return
    if not header.owner or header.owner in NEVER_EMPTY:
        raise StructureError("btrfs leaf", place, f"it has no items, which tree {header.owner} always has")


def _check_order(entries: list[tuple[int, ...]], place: int) -> None:
    for before, entry in pairwise(entries):
        if key_of(entry) <= key_of(before):
            raise StructureError("btrfs node", place, f"the key {key_of(entry)} does not follow {key_of(before)}")


def _check_items(entries: list[tuple[int, ...]], end: int, place: int) -> None:
    """The data of items lie one before the other, from the node's end down to the array; `end` as ITEM counts."""
    if entries and key_of(entries[0]) == (0, 0, 0):
        raise StructureError("btrfs leaf", place, "the key (0, 0, 0) is of no item")
    array_end = len(entries) * layouts.ITEM.size
    for *_, offset, size in entries:
        if offset < array_end or offset + size != end:
            raise StructureError(
                "btrfs leaf", place, f"an item has bytes {offset} to {offset + size}, expected is that it ends at {end}"
            )
        end = offset


def key_of(entry: tuple[int, ...]) -> Key:
    """The key of an entry."""
    return entry[0], entry[1], entry[2]
