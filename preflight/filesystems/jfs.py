"""The superblock of IBM's JFS, as Linux has it.

Specification: Linux kernel, fs/jfs/jfs_superblock.h, struct jfs_superblock,
https://git.kernel.org/pub/scm/linux/kernel/git/torvalds/linux.git/tree/fs/jfs/jfs_superblock.h
"""

from construct import Bytes, Int16ul, Int32ul, Int64ul, Padding, Struct

from preflight.binary import parse_at, uuid_text
from preflight.filesystems import FileSystemReader, Superblock
from preflight.filesystems._fields import label
from preflight.filesystems._sizes import stated_size
from preflight.source import BlockSource
from preflight.units import KiB, MiB

SUPER1_OFF = 32 * KiB
JFS_MAGIC = b"JFS1"
MIN_SIZE = 16 * MiB  # MINJFS of jfs_filsys.h

SUPERBLOCK = Struct(
    "s_magic" / Bytes(4),
    "s_version" / Int32ul,
    "s_size" / Int64ul,  # of the aggregate without log and fsck space, in s_pbsize
    "s_bsize" / Int32ul,
    "s_l2bsize" / Int16ul,
    "s_l2bfactor" / Int16ul,  # log2 of s_bsize / s_pbsize
    "s_pbsize" / Int32ul,
    "s_l2pbsize" / Int16ul,
    Padding(106),  # pad, s_agsize … s_fpack
    "s_uuid" / Bytes(16),
    "s_label" / Bytes(16),
)
MAX_L2BSIZE = 31  # the bits of s_bsize


def read(source: BlockSource) -> Superblock | None:
    """The primary superblock."""
    if source.size < MIN_SIZE:
        return None
    superblock = parse_at(SUPERBLOCK, source, SUPER1_OFF, "JFS superblock")
    if (
        superblock.s_magic != JFS_MAGIC
        or superblock.s_l2bsize > MAX_L2BSIZE
        or superblock.s_l2pbsize > MAX_L2BSIZE
        or superblock.s_bsize != 1 << superblock.s_l2bsize
        or superblock.s_pbsize != 1 << superblock.s_l2pbsize
        or superblock.s_l2bsize - superblock.s_l2pbsize != superblock.s_l2bfactor
    ):
        return None
    size, problems = stated_size(superblock.s_size, superblock.s_pbsize, "JFS superblock", SUPER1_OFF + 8)
    return Superblock(
        "jfs",
        uuid=uuid_text(superblock.s_uuid),
        label=label(superblock.s_label),
        size=size,
        problems=problems,
    )


FILESYSTEM = FileSystemReader(read)
