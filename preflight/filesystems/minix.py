"""The superblock of the Minix file system, versions 1, 2 and 3, of either endianness.

Specification: Linux kernel, include/uapi/linux/minix_fs.h, struct minix_super_block and minix3_super_block,
https://git.kernel.org/pub/scm/linux/kernel/git/torvalds/linux.git/tree/include/uapi/linux/minix_fs.h
What else must hold, as the magic has two bytes only: libblkid/src/superblocks/minix.c of util-linux.
"""

from typing import Any

from construct import Construct, Int16ub, Int16ul, Int32ub, Int32ul, Padding, Struct

from preflight.binary import parse_at
from preflight.filesystems import FileSystemReader, Superblock
from preflight.source import BlockSource
from preflight.units import KiB

OFFSET = 1 * KiB
BLOCK_SIZE = 1 * KiB  # of versions 1 and 2, and the unit of the bit maps in libblkid's test


def _layout(int16: Construct, int32: Construct) -> Struct:
    return Struct(
        "s_ninodes" / int16,
        "s_nzones" / int16,  # version 1
        "s_imap_blocks" / int16,
        "s_zmap_blocks" / int16,
        "s_firstdatazone" / int16,
        "s_log_zone_size" / int16,
        "s_max_size" / int32,
        "s_magic" / int16,
        "s_state" / int16,
        "s_zones" / int32,  # version 2
    )


def _layout3(int16: Construct, int32: Construct) -> Struct:
    return Struct(
        "s_ninodes" / int32,
        Padding(2),
        "s_imap_blocks" / int16,
        "s_zmap_blocks" / int16,
        "s_firstdatazone" / int16,
        "s_log_zone_size" / int16,
        Padding(2),
        "s_max_size" / int32,
        "s_zones" / int32,
        "s_magic" / int16,
        Padding(2),
        "s_blocksize" / int16,
    )


SUPERBLOCK_LE, SUPERBLOCK_BE = _layout(Int16ul, Int32ul), _layout(Int16ub, Int32ub)
SUPERBLOCK3_LE, SUPERBLOCK3_BE = _layout3(Int16ul, Int32ul), _layout3(Int16ub, Int32ub)
MAGIC_OFFSET = OFFSET + 0x10
MAGIC3_OFFSET = OFFSET + 0x18

MINIX_SUPER_MAGICS = (0x137F, 0x138F)  # file names of 14 and of 30 bytes
MINIX2_SUPER_MAGICS = (0x2468, 0x2478)
MINIX3_SUPER_MAGIC = 0x4D5A
# The layout and the version that each magic means, as its bytes lie on disk.
LAYOUTS = {
    **{magic.to_bytes(2, "little"): (SUPERBLOCK_LE, 1) for magic in MINIX_SUPER_MAGICS},
    **{magic.to_bytes(2, "big"): (SUPERBLOCK_BE, 1) for magic in MINIX_SUPER_MAGICS},
    **{magic.to_bytes(2, "little"): (SUPERBLOCK_LE, 2) for magic in MINIX2_SUPER_MAGICS},
    **{magic.to_bytes(2, "big"): (SUPERBLOCK_BE, 2) for magic in MINIX2_SUPER_MAGICS},
}
LAYOUTS3 = {
    MINIX3_SUPER_MAGIC.to_bytes(2, "little"): (SUPERBLOCK3_LE, 3),
    MINIX3_SUPER_MAGIC.to_bytes(2, "big"): (SUPERBLOCK3_BE, 3),
}
STATE_BITS = 0x0003  # MINIX_VALID_FS, MINIX_ERROR_FS

# Whose counts of inodes can look like the two bytes.
OTHERS = {OFFSET + 0x38: b"\x53\xef", OFFSET: b"\xe2\xe1\xf5\xe0"}  # ext, EROFS


def read(source: BlockSource) -> Superblock | None:
    """The superblock, where its counts and its bit maps agree and neither ext nor EROFS is there."""
    known = LAYOUTS.get(source.read_at(MAGIC_OFFSET, 2)) or LAYOUTS3.get(source.read_at(MAGIC3_OFFSET, 2))
    if known is None or any(source.read_at(offset, len(magic)) == magic for offset, magic in OTHERS.items()):
        return None
    layout, version = known
    superblock = parse_at(layout, source, OFFSET, "Minix superblock")
    zones = superblock.s_nzones if version == 1 else superblock.s_zones
    if (version != 3 and superblock.s_state & ~STATE_BITS) or not _is_sane(superblock, zones):
        return None
    return Superblock("minix", size=zones * (superblock.s_blocksize if version == 3 else BLOCK_SIZE))


def _is_sane(superblock: Any, zones: int) -> bool:
    """Whether the bit maps have a bit for every inode and zone: what fsck.minix and libblkid ask."""
    return bool(
        superblock.s_log_zone_size == 0
        and 0 < superblock.s_ninodes < 0xFFFFFFFF
        and superblock.s_imap_blocks * BLOCK_SIZE * 8 >= superblock.s_ninodes + 1
        and superblock.s_firstdatazone <= zones
        and superblock.s_zmap_blocks * BLOCK_SIZE * 8 >= zones - superblock.s_firstdatazone + 1
    )


FILESYSTEM = FileSystemReader(read)
