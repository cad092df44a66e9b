"""The superblock of UFS 1 and 2, the Berkeley fast file system, of either endianness and from every vendor.

Specification: FreeBSD, sys/ufs/ffs/fs.h, struct fs, https://cgit.freebsd.org/src/tree/sys/ufs/ffs/fs.h
Magics of other vendors: Linux kernel, fs/ufs/ufs_fs.h. Which positions count: libblkid/src/superblocks/ufs.c.
"""

from construct import Bytes, Construct, Int32ub, Int32ul, Int64ub, Int64ul, Padding, Struct

from preflight.binary import parse_at
from preflight.facts import Problem
from preflight.filesystems import FileSystemReader, Superblock
from preflight.filesystems._fields import label
from preflight.filesystems._sizes import stated_size
from preflight.source import BlockSource
from preflight.units import KiB, is_power_of_two

OFFSETS = (0, 8 * KiB, 64 * KiB, 256 * KiB)  # SBLOCK_FLOPPY, SBLOCK_UFS1, SBLOCK_UFS2, SBLOCK_PIGGY


def _layout(int32: Construct, int64: Construct) -> Struct:
    return Struct(
        Padding(36),  # fs_firstfield … fs_old_time
        "fs_old_size" / int32,  # in fragments, as fs_size is
        Padding(12),  # fs_old_dsize, fs_ncg, fs_bsize
        "fs_fsize" / int32,  # bytes of a fragment
        Padding(88),  # fs_frag … fs_old_trackskew
        "fs_id" / int32[2],
        Padding(528),  # fs_old_csaddr … fs_fsmnt
        "fs_volname" / Bytes(32),  # UFS 2 only, as is fs_size: UFS 1 has the end of fs_fsmnt here
        Padding(368),  # fs_swuid … fs_time
        "fs_size" / int64,
        Padding(284),  # fs_dsize … fs_old_rotbloff
        "fs_magic" / int32,
    )


SUPERBLOCK_LE = _layout(Int32ul, Int64ul)
SUPERBLOCK_BE = _layout(Int32ub, Int64ub)
FS_FSIZE_OFFSET = 52
FS_MAGIC_OFFSET = 1372

FS_UFS2_MAGIC = 0x19540119
MAGICS = (
    FS_UFS2_MAGIC,
    0x00011954,  # FS_UFS1_MAGIC
    0x00195612,  # UFS_MAGIC_FEA: DEC OSF/1 with extended attributes
    0x00095014,  # UFS_MAGIC_LFN: HP-UX with long file names
    0x00612195,  # UFS_MAGIC_SEC: B1 security
    0x05231994,  # UFS_MAGIC_4GB: HP-UX with files over 4 GiB
)
LAYOUTS = {
    **{magic.to_bytes(4, "little"): SUPERBLOCK_LE for magic in MAGICS},
    **{magic.to_bytes(4, "big"): SUPERBLOCK_BE for magic in MAGICS},
}

MIN_FSIZE = 512  # a sector
MAX_FSIZE = 64 * KiB  # MAXBSIZE: a fragment is no larger than a block


def read(source: BlockSource) -> Superblock | None:
    """The first superblock at one of the places where it may be."""
    for offset in OFFSETS:
        if offset + FS_MAGIC_OFFSET + 4 > source.size:
            break
        layout = LAYOUTS.get(source.read_at(offset + FS_MAGIC_OFFSET, 4))
        if layout is not None:
            return _read_at(source, offset, layout)
    return None


def _read_at(source: BlockSource, offset: int, layout: Struct) -> Superblock:
    superblock = parse_at(layout, source, offset, "UFS superblock")
    is_ufs2 = superblock.fs_magic == FS_UFS2_MAGIC
    size: int | None = None
    problems: tuple[Problem, ...] = ()
    if is_power_of_two(superblock.fs_fsize) and MIN_FSIZE <= superblock.fs_fsize <= MAX_FSIZE:
        count, place = (superblock.fs_size, 1080) if is_ufs2 else (superblock.fs_old_size, 36)
        size, problems = stated_size(count, superblock.fs_fsize, "UFS superblock", offset + place)
    else:
        problems = (
            Problem(
                "superblock-invalid",
                f"fs_fsize is {superblock.fs_fsize} bytes, expected a power of two from {MIN_FSIZE} to {MAX_FSIZE}",
                "UFS superblock",
                offset + FS_FSIZE_OFFSET,
            ),
        )
    return Superblock(
        "ufs",
        uuid="{:08x}{:08x}".format(*superblock.fs_id) if any(superblock.fs_id) else None,
        label=label(superblock.fs_volname) if is_ufs2 else None,
        size=size,
        problems=problems,
    )


FILESYSTEM = FileSystemReader(read)
