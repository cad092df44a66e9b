"""The superblock of SquashFS: version 4 is `squashfs`, the versions before it are `squashfs3`.

Specification: Squashfs Binary Format, section The Superblock, https://dr-emann.github.io/squashfs/squashfs.html;
for versions 1 to 3 struct squashfs_super_block_3 of squashfs-tools/squashfs_compat.h.
"""

from construct import Bytes, Int16ub, Int16ul, Int32ub, Int32ul, Int64ub, Int64ul, Padding, Struct

from preflight.binary import parse, parse_at
from preflight.facts import Problem
from preflight.filesystems import FileSystemReader, Superblock
from preflight.filesystems._fields import MAX_SIZE
from preflight.source import BlockSource

MAGIC_LITTLE = b"hsqs"
MAGIC_BIG = b"sqsh"

SUPERBLOCK = Struct(
    "magic" / Bytes(4),
    "inode_count" / Int32ul,
    "mod_time" / Int32ul,
    "block_size" / Int32ul,
    "frag_count" / Int32ul,
    "compressor" / Int16ul,
    "block_log" / Int16ul,
    "flags" / Int16ul,
    "id_count" / Int16ul,
    "version_major" / Int16ul,
    "version_minor" / Int16ul,
    "root_inode" / Int64ul,
    "bytes_used" / Int64ul,
)

SUPERBLOCK_3_SIZE = 71
SUPERBLOCK_3_LITTLE = Struct(
    "s_magic" / Bytes(4),
    "inodes" / Int32ul,
    "bytes_used_2" / Int32ul,  # versions 1 and 2
    Padding(16),  # uid_start_2 … directory_table_start_2
    "s_major" / Int16ul,
    "s_minor" / Int16ul,
    Padding(31),  # block_size_1 … fragment_table_start_2
    "bytes_used" / Int64ul,  # version 3
)
SUPERBLOCK_3_BIG = Struct(
    "s_magic" / Bytes(4),
    "inodes" / Int32ub,
    "bytes_used_2" / Int32ub,
    Padding(16),
    "s_major" / Int16ub,
    "s_minor" / Int16ub,
    Padding(31),
    "bytes_used" / Int64ub,
)


def read(source: BlockSource) -> Superblock | None:
    """The superblock at byte 0. SquashFS has no label and no UUID; its size is what `mksquashfs` wrote, unpadded."""
    data = source.read_at(0, SUPERBLOCK_3_SIZE)
    magic = data[:4]
    if magic == MAGIC_LITTLE:
        superblock = parse_at(SUPERBLOCK, source, 0, "squashfs superblock")
        if superblock.version_major >= 4:
            return _superblock("squashfs", superblock.bytes_used, 40)
        old = parse(SUPERBLOCK_3_LITTLE, data, "squashfs superblock", 0)
    elif magic == MAGIC_BIG:
        old = parse(SUPERBLOCK_3_BIG, data, "squashfs superblock", 0)
        if old.s_major > 3:  # version 4 is always little-endian
            return None
    else:
        return None
    return _superblock("squashfs3", *((old.bytes_used, 63) if old.s_major == 3 else (old.bytes_used_2, 8)))


def _superblock(type_: str, bytes_used: int, offset: int) -> Superblock:
    if bytes_used <= MAX_SIZE:
        return Superblock(type_, size=bytes_used)
    message = f"bytes_used is {bytes_used} bytes, at most {MAX_SIZE}"
    return Superblock(type_, problems=(Problem("superblock-invalid", message, "squashfs superblock", offset),))


FILESYSTEM = FileSystemReader(read)
