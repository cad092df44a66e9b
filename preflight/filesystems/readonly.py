"""The superblocks of the file systems that are made once and then only read: cramfs, romfs and EROFS.

Specification: Linux kernel, include/uapi/linux/cramfs_fs.h, struct cramfs_super;
https://docs.kernel.org/filesystems/romfs.html; https://erofs.docs.kernel.org/en/latest/ondisk/core_ondisk.html
"""

from construct import Bytes, Construct, Int8ul, Int32ub, Int32ul, Padding, Struct

from preflight.binary import crc32, crc32c, parse_at, uuid_text
from preflight.facts import Problem
from preflight.filesystems import FileSystemReader, Superblock
from preflight.filesystems._fields import label
from preflight.source import BlockSource
from preflight.units import KiB

CRAMFS_MAGIC = 0x28CD3D45


def _cramfs_layout(int32: Construct) -> Struct:
    return Struct(
        "magic" / int32,
        "size" / int32,  # in bytes, of the whole file system
        "flags" / int32,
        "future" / int32,
        "signature" / Bytes(16),
        "fsid_crc" / int32,  # of all of it, with zero in its own place
        Padding(12),  # fsid.edition, blocks, files
        "name" / Bytes(16),
    )


CRAMFS_LE = _cramfs_layout(Int32ul)
CRAMFS_BE = _cramfs_layout(Int32ub)
CRAMFS_LAYOUTS = {CRAMFS_MAGIC.to_bytes(4, "little"): CRAMFS_LE, CRAMFS_MAGIC.to_bytes(4, "big"): CRAMFS_BE}
CRAMFS_FLAG_FSID_VERSION_2 = 0x00000001
CRAMFS_CRC_OFFSET = 32
CRAMFS_SUPER_SIZE = 64
MAX_CRAMFS_CHECKED = 64 * KiB  # libblkid's limit: the CRC of a larger one is not worth reading all of it

ROMFS_MAGIC = b"-rom1fs-"
ROMFS = Struct("word0_1" / Bytes(8), "size" / Int32ub, "checksum" / Int32ub, "name" / Bytes(16))
ROMFS_CHECKED = 512  # the checksum covers so many bytes, or all where there are fewer

EROFS_SUPER_OFFSET = 1 * KiB
EROFS_SUPER_MAGIC_V1 = b"\xe2\xe1\xf5\xe0"
EROFS = Struct(
    "magic" / Bytes(4),
    "checksum" / Int32ul,
    "feature_compat" / Int32ul,
    "blkszbits" / Int8ul,
    Padding(23),  # sb_extslots … build_time_nsec
    "blocks" / Int32ul,
    Padding(8),  # meta_blkaddr, xattr_blkaddr
    "uuid" / Bytes(16),
    "volume_name" / Bytes(16),
)
EROFS_CHECKSUM_OFFSET = 4  # in the superblock
EROFS_FEATURE_COMPAT_SB_CHKSUM = 0x00000001
EROFS_BLKSZBITS = range(9, 17)  # 512 bytes to 64 KiB, the largest page of Linux


def read(source: BlockSource) -> Superblock | None:
    """The superblock of whichever of the three it is."""
    start = source.read_at(0, 8)
    if start == ROMFS_MAGIC:
        return _read_romfs(source)
    cramfs = CRAMFS_LAYOUTS.get(start[:4])
    if cramfs is not None:
        return _read_cramfs(source, cramfs)
    return _read_erofs(source)


def _read_cramfs(source: BlockSource, layout: Struct) -> Superblock:
    superblock = parse_at(layout, source, 0, "cramfs superblock")
    problems: tuple[Problem, ...] = ()
    is_checked = superblock.flags & CRAMFS_FLAG_FSID_VERSION_2
    if is_checked and CRAMFS_SUPER_SIZE <= superblock.size <= min(MAX_CRAMFS_CHECKED, source.size):
        data = source.read_at(0, superblock.size)
        computed = crc32(data[:CRAMFS_CRC_OFFSET] + bytes(4) + data[CRAMFS_CRC_OFFSET + 4 :])
        if superblock.fsid_crc != computed:
            message = f"fsid.crc is {superblock.fsid_crc:#010x}, computed is {computed:#010x}"
            problems = (Problem("superblock-invalid", message, "cramfs superblock", CRAMFS_CRC_OFFSET),)
    return Superblock("cramfs", label=label(superblock.name), size=superblock.size, problems=problems)


def _read_romfs(source: BlockSource) -> Superblock:
    superblock = parse_at(ROMFS, source, 0, "romfs superblock")
    problems: tuple[Problem, ...] = ()
    data = source.read_at(0, min(ROMFS_CHECKED, superblock.size, source.size) // 4 * 4)
    total = sum(int.from_bytes(data[index : index + 4], "big") for index in range(0, len(data), 4)) & 0xFFFFFFFF
    if total:
        message = f"the sum of the first {len(data)} bytes as 32-bit words is {total:#010x}, expected 0"
        problems = (Problem("superblock-invalid", message, "romfs superblock", 12),)
    return Superblock("romfs", label=label(superblock.name), size=superblock.size, problems=problems)


def _read_erofs(source: BlockSource) -> Superblock | None:
    superblock = parse_at(EROFS, source, EROFS_SUPER_OFFSET, "EROFS superblock")
    if superblock.magic != EROFS_SUPER_MAGIC_V1 or superblock.blkszbits not in EROFS_BLKSZBITS:
        return None
    block_size = 1 << superblock.blkszbits
    problems: tuple[Problem, ...] = ()
    if superblock.feature_compat & EROFS_FEATURE_COMPAT_SB_CHKSUM:
        # The rest of the superblock's block; where that begins with the superblock, all of it.
        size = block_size - EROFS_SUPER_OFFSET if block_size > EROFS_SUPER_OFFSET else block_size
        data = source.read_at(EROFS_SUPER_OFFSET, size)
        computed = crc32c(data[:EROFS_CHECKSUM_OFFSET] + bytes(4) + data[EROFS_CHECKSUM_OFFSET + 4 :])
        if superblock.checksum != computed:
            message = f"checksum is {superblock.checksum:#010x}, computed is {computed:#010x}"
            place = EROFS_SUPER_OFFSET + EROFS_CHECKSUM_OFFSET
            problems = (Problem("superblock-invalid", message, "EROFS superblock", place),)
    return Superblock(
        "erofs",
        uuid=uuid_text(superblock.uuid),
        label=label(superblock.volume_name),
        size=superblock.blocks * block_size,
        problems=problems,
    )


FILESYSTEM = FileSystemReader(read)
