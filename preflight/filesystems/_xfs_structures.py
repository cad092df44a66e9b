"""What an XFS superblock leads to, and Linux reads before it mounts: the log, allocation groups, the root directory.

Specification: XFS Algorithms & Data Structures, 3rd edition, sections Allocation Groups and On-disk Inode,
https://mirrors.edge.kernel.org/pub/linux/utils/fs/xfs/docs/xfs_filesystem_structure.pdf; Linux, fs/xfs/xfs_mount.c
"""

from collections.abc import Iterator
from typing import Any

from preflight.errors import OutOfBounds
from preflight.facts import Problem
from preflight.filesystems._xfs_groups import check_group, check_inode_tree, looked_at
from preflight.filesystems._xfs_journal import log_of
from preflight.filesystems._xfs_root import check_inodes
from preflight.filesystems._xfs_seals import is_inside, problem
from preflight.source import BlockSource


def check_structures(source: BlockSource, superblock: Any) -> tuple[Problem, ...]:
    """The first thing that is wrong; nothing where the file system ends before, which its size tells.

    The superblock has a possible geometry.
    """
    try:
        found = next(_defects(source, superblock), None)
    except OutOfBounds:
        return ()
    return () if found is None else (found,)


def _defects(source: BlockSource, superblock: Any) -> Iterator[Problem]:
    if superblock.sb_logstart and not is_inside(superblock, superblock.sb_logstart, superblock.sb_logblocks):
        length = f"{superblock.sb_logblocks} blocks"
        message = f"sb_logstart is {superblock.sb_logstart:#x}: the log of {length} does not fit an allocation group"
        yield problem(message, "XFS superblock", 0x30)
    log = log_of(source, superblock)
    if log:
        yield from log.defects()
    newest = log.newest if log else None
    for group in looked_at(superblock):
        yield from check_group(source, superblock, group, newest)
    yield from check_inodes(source, superblock)
    if log and log.ends_with_unmount():
        yield from check_inode_tree(source, superblock, newest)
