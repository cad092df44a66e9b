"""The trees of btrfs, and searches in them.

Specification: btrfs on-disk format, sections Header and Key pointer,
https://btrfs.readthedocs.io/en/latest/dev/On-disk-format.html
"""

from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import Iterator

from preflight.contents import ContentsError
from preflight.contents import _btrfs_layouts as layouts
from preflight.contents._btrfs_chunks import ChunkMap
from preflight.contents._btrfs_layouts import Key
from preflight.contents._btrfs_nodes import TreeNode, key_of, parse_node
from preflight.contents._btrfs_superblock import Filesystem, Reference, Root
from preflight.errors import StructureError
from preflight.source import BlockSource
from preflight.units import MiB

NODE_BYTES_KEPT = 4 * MiB  # 256 nodes of 16 KiB; unpacked they take some six times as much
AFTER = 1 << 64  # behind a key, it makes a tuple that sorts after all that begin with this key


class Trees:
    """Searches in the trees of one file system.

    Every method raises `ContentsError` where a node cannot be read. A search can visit no node twice: levels
    count down by one, and a node begins with the key that its pointer names.
    """

    def __init__(self, source: BlockSource, filesystem: Filesystem, chunks: ChunkMap) -> None:
        self._source = source
        self._filesystem = filesystem
        self._chunks = chunks
        self.nodes_read = 0
        """Copies of nodes, those that were not whole included."""
        self._nodes: OrderedDict[int, TreeNode] = OrderedDict()
        self._capacity = NODE_BYTES_KEPT // filesystem.nodesize

    def verify_root(self, root: Root) -> None:
        """Read the topmost node of a tree."""
        self._node(root.reference())

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
                return key_of(node.entries[index]), node.item(index)
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
                key = key_of(node.entries[index])
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
        return self._node(Reference(pointer[3], node.level - 1, pointer[4], root.objectid, key_of(pointer)))

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
            self.nodes_read += 1
            try:
                node = parse_node(self._filesystem, self._source.read_at(place, nodesize), reference.bytenr, place)
            except StructureError as error:
                failure = failure or error
                continue
            if not (reason := _mismatch(node, reference)):
                return node
            failure = failure or StructureError("btrfs node", place, reason)
        raise ContentsError(str(failure)) from failure


def _mismatch(node: TreeNode, reference: Reference) -> str | None:
    """How the node differs from what its pointer says, None where it does not."""
    if node.level != reference.level:
        return f"level is {node.level}, its pointer says {reference.level}"
    if reference.generation and node.generation != reference.generation:  # Linux: 0 is any
        return f"generation is {node.generation}, its pointer says {reference.generation}"
    if not _belongs(node.owner, reference):
        return f"owner is tree {node.owner}, expected is tree {reference.owner}"
    if reference.first_key is not None and (not node.entries or key_of(node.entries[0]) != reference.first_key):
        return f"it does not begin with the key {reference.first_key}, as its pointer says"
    return None


def _belongs(owner: int, reference: Reference) -> bool:
    """Whether a node of tree `owner` may be in that of the reference."""
    if reference.owner in (layouts.TREE_LOG_OBJECTID, layouts.TREE_RELOC_OBJECTID):
        return True  # by these names go many trees, of which Linux does not ask it
    # Snapshots share all nodes but the topmost, so those of subvolumes may belong to any of them.
    is_shared = reference.first_key is not None and layouts.is_subvolume(reference.owner)
    return layouts.is_subvolume(owner) if is_shared else owner == reference.owner
