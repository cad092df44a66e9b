"""Members of Promise FastTrak RAID sets, by their signature at one of thirteen distances from the end of the disk.

Specification: none is public; the distances are those of libblkid, libblkid/src/superblocks/promise_raid.c of
util-linux, each from a model or a firmware.
"""

from preflight.filesystems import FileSystemReader, Superblock
from preflight.filesystems._signatures import is_tiny, is_whole_disk
from preflight.source import BlockSource
from preflight.units import SECTOR

SIGNATURE = b"Promise Technology, Inc."
DISTANCES = (63, 255, 256, 16, 399, 591, 675, 735, 911, 974, 991, 951, 3087)  # sectors


def read(source: BlockSource) -> Superblock | None:
    """The member, on whole disks only: thirteen places cost some ten reads, which no partition is asked for."""
    if is_tiny(source) or not is_whole_disk(source):
        return None
    sectors = source.size // SECTOR
    for distance in DISTANCES:
        offset = (sectors - distance) * SECTOR
        if offset >= 0 and source.read_at(offset, len(SIGNATURE)) == SIGNATURE:
            return Superblock("promise_fasttrack_raid_member")
    return None


FILESYSTEM = FileSystemReader(read, owner=True)
