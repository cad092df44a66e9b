"""The table that gives FAT its name, as far as no file is found without: its beginning, and the chain of the root.

Specification: Microsoft Extensible Firmware Initiative FAT32 File System Specification, version 1.03, section FAT Data
Structure; Linux, fs/fat/inode.c, fat_read_root, which follows that chain to its end, and fs/fat/fatent.c
"""

from collections.abc import Iterator

from preflight.facts import Problem
from preflight.filesystems._fat_geometry import Geometry
from preflight.source import BlockSource

MASKS = {12: 0xFFF, 16: 0xFFFF, 32: 0x0FFF_FFFF}  # the upper four bits of FAT32 are reserved
CLEAN_BITS = {12: 0, 16: 0xC000, 32: 0x0C00_0000}  # of entry 1: unmounted, and without errors
MARKS = 8  # the last so many values end a chain
MEDIA = (0xF0, *range(0xF8, 0x100))
FIRST_CLUSTER = 2
HEAD = 8  # bytes: the first two entries of any kind
MAX_ROOT_CLUSTERS = 99  # that are followed; vfat looks for the label no farther
WHERE = "FAT"


def check_table(source: BlockSource, places: Geometry) -> Iterator[Problem]:
    """What is wrong with the table in use; raises what `read_at` raises."""
    mask, bits = MASKS[places.bits], places.bits
    head = int.from_bytes(source.read_at(places.fat_offset, HEAD), "little")
    media, mark = head & mask, head >> bits & mask
    is_media = media & 0xFF in MEDIA and media | 0xFF == mask
    is_mark = mark | CLEAN_BITS[bits] > mask - MARKS
    if not is_media and not is_mark:
        found = f"its first entries are {media:#x} and {mark:#x}"
        yield Problem(
            "superblock-invalid",
            f"{found}, expected are the media type below bits that are all 1, and a mark: this is no FAT",
            WHERE,
            places.fat_offset,
        )
        return
    if not is_media:  # Linux and firmware do not look at it, mtools does
        message = f"its first entry is {media:#x}, expected is the media type below bits that are all 1"
        yield Problem("superblock-irregular", message, WHERE, places.fat_offset)
    if bits == 32:
        yield from _root_chain(source, places)


def _root_chain(source: BlockSource, places: Geometry) -> Iterator[Problem]:
    """What is wrong with the chain of the root directory: Linux does not mount where it leads nowhere."""
    last = min(places.clusters + FIRST_CLUSTER, places.fat_size // 4) - 1
    cluster, visited = places.root_cluster, set[int]()
    while FIRST_CLUSTER <= cluster <= last and len(visited) < MAX_ROOT_CLUSTERS:
        visited.add(cluster)
        offset = places.fat_offset + 4 * cluster
        following = int.from_bytes(source.read_at(offset, 4), "little") & MASKS[32]
        if following >= MASKS[32] - MARKS:  # the end, or a bad cluster, which Linux takes for one
            return
        if following in visited or not FIRST_CLUSTER <= following <= last:
            expected = f"a cluster of {FIRST_CLUSTER} to {last} that is not in the chain, or its end"
            message = f"the entry of cluster {cluster} of the root directory is {following:#x}, expected is {expected}"
            yield Problem("superblock-invalid", message, WHERE, offset)
            return
        cluster = following
