"""The superblock of F2FS.

Specification: Linux kernel, include/linux/f2fs_fs.h, struct f2fs_super_block, and Documentation/filesystems/f2fs.rst,
https://docs.kernel.org/filesystems/f2fs.html
"""

import zlib

from construct import Bytes, Int16ul, Int32ul, Int64ul, Padding, Struct

from preflight.binary import parse_at, uuid_text
from preflight.facts import Problem
from preflight.filesystems import FileSystemReader, Superblock
from preflight.filesystems._fields import utf16_label
from preflight.source import BlockSource

F2FS_SUPER_OFFSET = 1024
F2FS_SUPER_MAGIC = 0xF2F52010
MAGIC = b"\x10\x20\xf5\xf2"
F2FS_SUPER_SIZE = 3072  # sizeof(struct f2fs_super_block): to the end of the first 4 KiB block

SUPERBLOCK = Struct(
    "magic" / Bytes(4),
    "major_ver" / Int16ul,
    "minor_ver" / Int16ul,
    "log_sectorsize" / Int32ul,
    "log_sectors_per_block" / Int32ul,
    "log_blocksize" / Int32ul,
    "log_blocks_per_seg" / Int32ul,
    "segs_per_sec" / Int32ul,
    "secs_per_zone" / Int32ul,
    "checksum_offset" / Int32ul,  # from the start of the superblock; 0: none
    "block_count" / Int64ul,
    Padding(64),  # section_count … meta_ino
    "uuid" / Bytes(16),
    "volume_name" / Bytes(1024),
)

LOG_BLOCKSIZES = range(12, 17)  # 4 KiB, or the page size of the kernel that made it: at most 64 KiB
MAX_BLOCKS = 1 << 40  # block addresses are 32 bits (block_t); the largest devices lists add a little


def read(source: BlockSource) -> Superblock | None:
    """The superblock at byte 1024; its copy at 5120 is not looked at, as in libblkid."""
    superblock = parse_at(SUPERBLOCK, source, F2FS_SUPER_OFFSET, "F2FS superblock")
    if superblock.magic != MAGIC:
        return None
    if (superblock.major_ver, superblock.minor_ver) == (1, 0):
        return Superblock("f2fs")  # where the other fields lie in version 1.0 is not known: libblkid
    problems = _verify(source, superblock.checksum_offset)
    size = None
    if superblock.log_blocksize not in LOG_BLOCKSIZES:
        found = f"log_blocksize is {superblock.log_blocksize}, allowed is 12 to 16"
        problems.append(_problem(found, 0x10))
    elif superblock.block_count > MAX_BLOCKS:
        problems.append(_problem(f"block_count is {superblock.block_count} blocks, at most {MAX_BLOCKS}", 0x24))
    else:
        size = superblock.block_count << superblock.log_blocksize
    return Superblock(
        "f2fs",
        uuid=uuid_text(superblock.uuid),
        # libblkid drops a label whose first character is U+xx00, taking the zero byte for the end.
        label=utf16_label(superblock.volume_name),
        size=size,
        problems=tuple(problems),
    )


def _verify(source: BlockSource, checksum_offset: int) -> list[Problem]:
    """What is wrong with the checksum.

    libblkid since 2.39 does not name a file system whose checksum differs; a damaged one is better named.
    """
    if not checksum_offset:
        return []
    if checksum_offset % 4 or checksum_offset + 4 > F2FS_SUPER_SIZE:
        expected = f"expected is a multiple of 4, at most {F2FS_SUPER_SIZE - 4}"
        return [_problem(f"checksum_offset is {checksum_offset}, {expected}", 0x20)]
    data = source.read_at(F2FS_SUPER_OFFSET, checksum_offset + 4)
    # The register begins with the magic and is not inverted, as zlib would at both ends: f2fs_crc32().
    computed = zlib.crc32(data[:-4], F2FS_SUPER_MAGIC ^ 0xFFFFFFFF) ^ 0xFFFFFFFF
    found = int.from_bytes(data[-4:], "little")
    if found != computed:
        return [_problem(f"crc is {found:#010x}, computed is {computed:#010x}", checksum_offset)]
    return []


def _problem(message: str, field: int) -> Problem:
    return Problem("superblock-invalid", message, "F2FS superblock", F2FS_SUPER_OFFSET + field)


FILESYSTEM = FileSystemReader(read)
