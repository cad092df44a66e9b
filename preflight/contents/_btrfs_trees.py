"""The trees of btrfs: verified nodes, and searches in them.

Specification: btrfs on-disk format, sections Header, Item and Key pointer,
https://btrfs.readthedocs.io/en/latest/dev/On-disk-format.html
"""

from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import Iterator

import msgspec

from preflight.binary import parse
from preflight.contents import ContentsError
from preflight.contents import _btrfs_layouts as layouts
from preflight.contents._btrfs_chunks import ChunkMap
from preflight.contents._btrfs_layouts import Key
from preflight.contents._btrfs_superblock import Filesystem, Reference, Root
from preflight.errors import StructureError
from preflight.filesystems._btrfs_checksums import CSUM_SIZE, checksum
from preflight.filesystems._btrfs_geometry import MAX_LEVEL
from preflight.filesystems._btrfs_layouts import HEADER, HEADER_SIZE
from preflight.source import BlockSource
from preflight.units import MiB

NODE_BYTES_KEPT = 4 * MiB  # 256 nodes of 16 KiB; unpacked they take some six times as much
AFTER = 1 << 64  # behind a key, it makes a tuple that sorts after all that begin with this key


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


class Trees:
    """Searches in the trees of one file system.

    Every method raises `ContentsError` where a node cannot be read. A search can visit no node twice: levels
    count down by one, and a node begins with the key that its pointer names.
    """

    def __init__(self, source: BlockSource, filesystem: Filesystem, chunks: ChunkMap) -> None:
        self._source = source
        self._filesystem = filesystem
        self._chunks = chunks
        self._nodes: OrderedDict[int, TreeNode] = OrderedDict()
        self._capacity = NODE_BYTES_KEPT // filesystem.nodesize

    def get(self, root: Root, key: Key) -> bytes | None:
        """The item with this very key, None where there is none."""
        found = self.floor(root, key)
        return found[1] if found and found[0] == key else None

    def floor(self, root: Root, key: Key) -> tuple[Key, bytes] | None:
        """The last item whose key is not above `key`, None where all are."""
        node = self._node(root.reference())
        while True:
            index = bisect_right(node.entries, (*key, AFTER)) - 1
            if index < 0:
                return None
            if not node.level:
                return _key(node.entries[index]), node.item(index)
            node = self._child(node, index, root)

    def items(self, root: Root, first: Key, last: Key) -> Iterator[tuple[Key, bytes]]:
        """All items from `first` to `last`, both included, in order."""
        path: list[tuple[TreeNode, int]] = []
        node = self._node(root.reference())
        while True:
            while node.level:
                index = max(0, bisect_right(node.entries, (*first, AFTER)) - 1)
                path.append((node, index))
                node = self._child(node, index, root)
            for index in range(bisect_left(node.entries, first), len(node.entries)):
                key = _key(node.entries[index])
                if key > last:
                    return
                yield key, node.item(index)
            while path and path[-1][1] + 1 == len(path[-1][0].entries):
                path.pop()
            if not path:
                return
            parent, index = path.pop()
            path.append((parent, index + 1))
            node = self._child(parent, index + 1, root)

    def _child(self, node: TreeNode, index: int, root: Root) -> TreeNode:
        pointer = node.entries[index]
        return self._node(Reference(pointer[3], node.level - 1, pointer[4], root.objectid, _key(pointer)))

    def _node(self, reference: Reference) -> TreeNode:
        node = self._nodes.get(reference.bytenr)
        if node is not None:
            self._nodes.move_to_end(reference.bytenr)
            if reason := _mismatch(node, reference):
                raise ContentsError(f"btrfs node at logical {reference.bytenr:#x}: {reason}")
            return node
        node = self._read(reference)
        self._nodes[reference.bytenr] = node
        if len(self._nodes) > self._capacity:
            self._nodes.popitem(last=False)
        return node

    def _read(self, reference: Reference) -> TreeNode:
        """The first copy that is whole and is what the pointer promises."""
        nodesize = self._filesystem.nodesize
        failure: StructureError | None = None
        places, contiguous = self._chunks.locate(reference.bytenr)
        if contiguous < nodesize:
            raise ContentsError(f"btrfs node at logical {reference.bytenr:#x}: its chunk or stripe ends inside it")
        for place in places:
            try:
                node = self._parse(self._source.read_at(place, nodesize), reference.bytenr, place)
            except StructureError as error:
                failure = failure or error
                continue
            if not (reason := _mismatch(node, reference)):
                return node
            failure = failure or StructureError("btrfs node", place, reason)
        raise ContentsError(str(failure)) from failure

    def _parse(self, data: bytes, bytenr: int, place: int) -> TreeNode:
        """The node in `data`; `StructureError` where it does not hold together."""
        where = "btrfs node"
        header = parse(HEADER, data[:HEADER_SIZE], where, place)
        # The fields come first: what is no node at all is told at once, and by what it is.
        if header.bytenr != bytenr:
            raise StructureError(where, place, f"bytenr is {header.bytenr:#x}, expected is {bytenr:#x}")
        if header.fsid != self._filesystem.metadata_fsid:
            expected = self._filesystem.metadata_fsid.hex()
            raise StructureError(where, place, f"fsid is {header.fsid.hex()}, expected is {expected}")
        if header.level > MAX_LEVEL:
            raise StructureError(where, place, f"level is {header.level}, at most {MAX_LEVEL} is allowed")
        if header.generation > self._filesystem.generation:
            reason = f"generation is {header.generation}, the file system is at {self._filesystem.generation}"
            raise StructureError(where, place, reason)
        layout = layouts.KEY_PTR if header.level else layouts.ITEM
        room = (len(data) - HEADER_SIZE) // layout.size
        if header.nritems > room or (header.level and not header.nritems):
            raise StructureError(where, place, f"nritems is {header.nritems}, allowed are 1 to {room}")
        computed = checksum(self._filesystem.csum_type, data[CSUM_SIZE:])
        if computed is None or not header.csum.startswith(computed):
            raise StructureError(where, place, "the csum does not match what is in it")
        end = HEADER_SIZE + header.nritems * layout.size
        entries = list(layout.iter_unpack(data[HEADER_SIZE:end]))
        _check_order(entries, place)
        if not header.level:
            _check_items(entries, len(data) - HEADER_SIZE, place)
        return TreeNode(bytenr, header.level, header.generation, header.owner, entries, data)


def _check_order(entries: list[tuple[int, ...]], place: int) -> None:
    previous: Key | None = None
    for entry in entries:
        key = _key(entry)
        if previous is not None and key <= previous:
            raise StructureError("btrfs node", place, f"the key {key} does not follow {previous}")
        previous = key


def _check_items(entries: list[tuple[int, ...]], end: int, place: int) -> None:
    """The data of items lie one before the other, from the node's end down to the array; `end` as ITEM counts."""
    array_end = len(entries) * layouts.ITEM.size
    for *_, offset, size in entries:
        if offset < array_end or offset + size != end:
            raise StructureError(
                "btrfs leaf", place, f"an item has bytes {offset} to {offset + size}, expected is that it ends at {end}"
            )
        end = offset


def _mismatch(node: TreeNode, reference: Reference) -> str | None:
    """How the node differs from what its pointer says, None where it does not."""
    if node.level != reference.level:
        return f"level is {node.level}, its pointer says {reference.level}"
    if node.generation != reference.generation:
        return f"generation is {node.generation}, its pointer says {reference.generation}"
    # Snapshots share nodes, so those of subvolumes may belong to any of them.
    if node.owner != reference.owner and not (_is_subvolume(node.owner) and _is_subvolume(reference.owner)):
        return f"owner is tree {node.owner}, expected is tree {reference.owner}"
    if reference.first_key is not None and (not node.entries or _key(node.entries[0]) != reference.first_key):
        return f"it does not begin with the key {reference.first_key}, as its pointer says"
    return None


def _is_subvolume(objectid: int) -> bool:
    in_range = layouts.FIRST_FREE_OBJECTID <= objectid <= layouts.LAST_FREE_OBJECTID
    return objectid == layouts.FS_TREE_OBJECTID or in_range


def _key(entry: tuple[int, ...]) -> Key:
    return entry[0], entry[1], entry[2]
