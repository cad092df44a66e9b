"""The superblocks of UNIX System V: its S5 file system, that of Xenix, and the boot file system of UnixWare.

Specification: Linux kernel, include/linux/sysv_fs.h (until Linux 6.14), struct sysv4_super_block, sysv2_super_block
and xenix_super_block; include/uapi/linux/bfs_fs.h, struct bfs_super_block.
Which positions count: libblkid/src/superblocks/sysv.c of util-linux.
"""

from construct import Bytes, Construct, Int16ub, Int16ul, Int32ub, Int32ul, Padding, Struct

from preflight.binary import parse_at
from preflight.filesystems import FileSystemReader, Superblock
from preflight.filesystems._fields import label
from preflight.source import BlockSource
from preflight.units import KiB


def _sysv_layout(int16: Construct, int32: Construct) -> Struct:
    return Struct(
        "s_isize" / int16,
        Padding(2),
        "s_fsize" / int32,  # in blocks
        Padding(432),  # s_nfree … s_tinode
        "s_fname" / Bytes(6),
        "s_fpack" / Bytes(6),
        Padding(52),  # s_fill, s_state
        "s_magic" / int32,
        "s_type" / int32,
    )


SYSV_LE = _sysv_layout(Int16ul, Int32ul)
SYSV_BE = _sysv_layout(Int16ub, Int32ub)
SYSV_MAGIC = 0xFD187E20
SYSV_MAGIC_OFFSET = 504
SYSV_OFFSETS = tuple(block * KiB + 512 for block in (0, 9, 15, 18))  # beyond a floppy's boot tracks
SYSV_LAYOUTS = {SYSV_MAGIC.to_bytes(4, "little"): SYSV_LE, SYSV_MAGIC.to_bytes(4, "big"): SYSV_BE}


def _xenix_layout(int16: Construct, int32: Construct) -> Struct:
    return Struct(
        "s_isize" / int16,
        "s_fsize" / int32,  # in blocks
        Padding(626),  # s_nfree … s_dinfo
        "s_fname" / Bytes(6),
        "s_fpack" / Bytes(6),
        Padding(372),  # s_clean, s_fill
        "s_magic" / int32,
        "s_type" / int32,
    )


XENIX_LE = _xenix_layout(Int16ul, Int32ul)
XENIX_BE = _xenix_layout(Int16ub, Int32ub)
XENIX_OFFSET = 1 * KiB
XENIX_MAGIC = 0x2B5544
XENIX_MAGIC_OFFSET = XENIX_OFFSET + 1016
XENIX_LAYOUTS = {XENIX_MAGIC.to_bytes(4, "little"): XENIX_LE, XENIX_MAGIC.to_bytes(4, "big"): XENIX_BE}
# libblkid looks for the magic eight bytes later than the kernel, and for three bytes of it.
LIBBLKID_XENIX_MAGIC_OFFSET = XENIX_OFFSET + KiB
LIBBLKID_XENIX_LAYOUTS = {b"\x44\x55\x2b": XENIX_LE, b"\x2b\x55\x44": XENIX_BE}

BLOCK_SIZES = {1: 512, 2: 1 * KiB, 3: 2 * KiB}  # by s_type

BFS = Struct("s_magic" / Bytes(4), "s_start" / Int32ul, "s_end" / Int32ul)
BFS_MAGIC = b"\xce\xfa\xad\x1b"


def read(source: BlockSource) -> Superblock | None:
    """The superblock of whichever of the three it is."""
    if source.read_at(0, len(BFS_MAGIC)) == BFS_MAGIC:
        # s_fsname and s_volume are no label to libblkid, nor to anyone else.
        return Superblock("bfs", size=parse_at(BFS, source, 0, "BFS superblock").s_end + 1)  # s_end: the last byte
    for offset in SYSV_OFFSETS:
        if offset + 512 > source.size:
            break
        layout = SYSV_LAYOUTS.get(source.read_at(offset + SYSV_MAGIC_OFFSET, 4))
        if layout is not None:
            return _read_as("sysv", layout, source, offset)
    for magic_offset, size, layouts in (
        (XENIX_MAGIC_OFFSET, 4, XENIX_LAYOUTS),
        (LIBBLKID_XENIX_MAGIC_OFFSET, 3, LIBBLKID_XENIX_LAYOUTS),
    ):
        layout = layouts.get(source.read_at(magic_offset, size))
        if layout is not None:
            return _read_as("xenix", layout, source, XENIX_OFFSET)
    return None


def _read_as(kind: str, layout: Struct, source: BlockSource, offset: int) -> Superblock:
    superblock = parse_at(layout, source, offset, f"{kind} superblock")
    block_size = BLOCK_SIZES.get(superblock.s_type)
    return Superblock(
        kind,
        label=label(superblock.s_fname),
        size=None if block_size is None else superblock.s_fsize * block_size,
    )


FILESYSTEM = FileSystemReader(read)
