"""What the readers of RAID and volume signatures share: where libblkid does not look for them, and stated sizes."""

from preflight.filesystems._fields import MAX_SIZE
from preflight.source import BlockSource, Window
from preflight.units import KiB

TINY_DEVICE = 1440 * KiB  # up to the size of a floppy libblkid looks for no RAID (BLKID_FL_TINY_DEV)


def is_tiny(source: BlockSource) -> bool:
    """Whether libblkid takes this for a floppy and looks for no RAID on it."""
    return source.size <= TINY_DEVICE


def is_whole_disk(source: BlockSource) -> bool:
    """Whether this is a disk and not a part of one: partitions are `Window`s on their disk."""
    return not isinstance(source, Window)


def stated(size: int) -> int | None:
    """A size in bytes as a superblock states it; None for zero, and for more than any system can address."""
    return size if 0 < size <= MAX_SIZE else None
