"""What the two kinds of maps of a file's blocks share in ext2, ext3 and ext4."""

from collections.abc import Callable
from typing import NamedTuple, TypeVar

from preflight.contents._ext_filesystem import Filesystem, Inode

MAX_LOGICAL_BLOCK = 1 << 32  # ee_block has 32 bits
MAX_KEPT_NODES = 64  # of one block each: a tree is gone through from its begin to its end

N = TypeVar("N")


class Run(NamedTuple):
    """Blocks of a file that follow each other on the disk."""

    length: int
    """In blocks."""
    start: int | None
    """The first; None for a hole."""


def kept(filesystem: Filesystem, inode: Inode, block: int, read: Callable[[], N]) -> N:
    """The node of a map that is in `block`, or in the inode itself (0), as it was read before, or by `read`."""
    key = (inode.number, block)
    if key not in filesystem.kept_nodes:
        if len(filesystem.kept_nodes) >= MAX_KEPT_NODES:
            filesystem.kept_nodes.clear()
        filesystem.kept_nodes[key] = read()
    node: N = filesystem.kept_nodes[key]
    return node
