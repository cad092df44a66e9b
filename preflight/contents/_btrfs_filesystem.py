"""One btrfs file system: its superblock, where logical addresses lie, its trees and subvolumes.

Specification: btrfs on-disk format, https://btrfs.readthedocs.io/en/latest/dev/On-disk-format.html
"""

from preflight.contents import ContentsError, _btrfs_chunks, _btrfs_superblock
from preflight.contents import _btrfs_layouts as layouts
from preflight.contents._btrfs_chunks import Chunk, ChunkMap
from preflight.contents._btrfs_extents import Extents
from preflight.contents._btrfs_subvolumes import Subvolumes
from preflight.contents._btrfs_trees import Trees
from preflight.filesystems._btrfs_layouts import CHUNK_ITEM_KEY
from preflight.source import BlockSource


class Btrfs:
    """One file system; its subvolumes share the nodes that were read."""

    def __init__(self, source: BlockSource) -> None:
        """Read the superblock and the chunk tree; `ContentsError` where they are damaged or have unread features."""
        self.size = source.size
        self.superblock = _btrfs_superblock.read(source)
        system_chunks = ChunkMap(self.superblock, _btrfs_chunks.from_sys_chunk_array(self.superblock))
        # Nodes of the chunk tree are found by the superblock's array alone, all others by the chunk tree.
        self.chunk_tree = Trees(source, self.superblock, system_chunks)
        self.chunks = ChunkMap(self.superblock, self._read_chunks(system_chunks))
        self.trees = Trees(source, self.superblock, self.chunks)
        self.subvolumes = Subvolumes(self.trees, self.superblock)
        self.extents = Extents(source, self.trees, self.chunks, self.superblock.sectorsize)

    def _read_chunks(self, system_chunks: ChunkMap) -> list[Chunk]:
        """All chunks; those in the superblock count, whatever the chunk tree says of their addresses."""
        first = (layouts.FIRST_CHUNK_TREE_OBJECTID, CHUNK_ITEM_KEY, 0)
        last = (layouts.FIRST_CHUNK_TREE_OBJECTID, CHUNK_ITEM_KEY, layouts.MAX_U64)
        chunks: list[Chunk] = []
        end = 0
        for key, item in self.chunk_tree.items(self.superblock.chunk_tree, first, last):
            if len(chunks) == _btrfs_chunks.MAX_CHUNKS:
                raise ContentsError(f"btrfs chunk tree: it has over {_btrfs_chunks.MAX_CHUNKS} chunks")
            # Linux passes over one that begins where an address is known already (fs/btrfs/volumes.c, read_one_chunk).
            if key[2] >= end and system_chunks.find(key[2]) is None:
                chunks.append(_btrfs_chunks.from_item(self.superblock, key[2], item))
                end = key[2] + chunks[-1].length
        return [*chunks, *system_chunks]
