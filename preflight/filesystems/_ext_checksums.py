"""The checksums of ext4's metadata: what they begin with, and those of group descriptors and inodes.

Specification: Linux kernel documentation, ext4 Data Structures and Algorithms, section Checksums,
https://docs.kernel.org/filesystems/ext4/checksums.html; what Linux computes: fs/ext4/super.c, ext4_group_desc_csum,
and fs/ext4/inode.c, ext4_inode_csum
"""

from functools import cache, lru_cache
from typing import Any

from preflight.binary import crc32c
from preflight.filesystems._ext_geometry import (
    EXT4_FEATURE_INCOMPAT_64BIT,
    EXT4_FEATURE_RO_COMPAT_METADATA_CSUM,
)

EXT4_FEATURE_INCOMPAT_CSUM_SEED = 0x2000
EXT4_FEATURE_RO_COMPAT_GDT_CSUM = 0x0010
EXT4_OS_LINUX = 0
BG_CHECKSUM = 0x1E  # bg_checksum; the 16 bits that follow it in a descriptor of 64 bytes begin at 0x20
HIGH_HALVES = 0x20
GOOD_OLD_INODE_SIZE = 128
I_GENERATION, L_I_CHECKSUM_LO, I_EXTRA_ISIZE, I_CHECKSUM_HI = 0x64, 0x7C, 0x80, 0x82


def seed(superblock: Any) -> int:
    """What the checksums of the metadata begin with (metadata_csum)."""
    if superblock.s_feature_incompat & EXT4_FEATURE_INCOMPAT_CSUM_SEED:
        return int(superblock.s_checksum_seed)
    return _uuid_seed(superblock.s_uuid)


@lru_cache(16)  # asked for each of some hundred descriptors
def _uuid_seed(uuid: bytes) -> int:
    return crc32c(uuid)


def descriptor_checksum(superblock: Any, index: int, data: bytes) -> int | None:
    """What bg_checksum of the group `index` must be by the bytes of its descriptor; None where there is none."""
    number = index.to_bytes(4, "little")
    if superblock.s_feature_ro_compat & EXT4_FEATURE_RO_COMPAT_METADATA_CSUM:
        covered = number + data[:BG_CHECKSUM] + bytes(2) + data[HIGH_HALVES:]
        return crc32c(covered, seed(superblock)) & 0xFFFF
    if superblock.s_feature_ro_compat & EXT4_FEATURE_RO_COMPAT_GDT_CSUM:
        is_64bit = superblock.s_feature_incompat & EXT4_FEATURE_INCOMPAT_64BIT
        covered = number + data[:BG_CHECKSUM] + (data[HIGH_HALVES:] if is_64bit else b"")
        return _crc16(superblock.s_uuid + covered, 0xFFFF)
    return None


def stored_descriptor_checksum(data: bytes) -> int:
    """The bg_checksum in the bytes of a descriptor."""
    return int.from_bytes(data[BG_CHECKSUM:HIGH_HALVES], "little")


def has_inode_checksums(superblock: Any) -> bool:
    """Whether inodes have checksums; Linux asks for none where another system made the file system."""
    has_checksums = superblock.s_feature_ro_compat & EXT4_FEATURE_RO_COMPAT_METADATA_CSUM
    return bool(has_checksums) and superblock.s_creator_os == EXT4_OS_LINUX


def inode_seed(first: int, number: int, data: bytes) -> int:
    """What the checksums of an inode, its extents and its directory begin with; `first` is the `seed` of all."""
    return crc32c(number.to_bytes(4, "little") + data[I_GENERATION : I_GENERATION + 4], first)


def inode_checksums(first: int, data: bytes) -> tuple[int, int]:
    """The checksum in the bytes of an inode, and the one computed; `first` is its `inode_seed`.

    It has 16 bits, and 32 where the inode is large enough for the upper ones.
    """
    covered = bytearray(data)
    stored, mask = int.from_bytes(data[L_I_CHECKSUM_LO : L_I_CHECKSUM_LO + 2], "little"), 0xFFFF
    covered[L_I_CHECKSUM_LO : L_I_CHECKSUM_LO + 2] = bytes(2)
    extra = int.from_bytes(data[I_EXTRA_ISIZE : I_EXTRA_ISIZE + 2], "little")
    if len(data) > GOOD_OLD_INODE_SIZE and I_EXTRA_ISIZE + extra >= I_CHECKSUM_HI + 2:
        stored |= int.from_bytes(data[I_CHECKSUM_HI : I_CHECKSUM_HI + 2], "little") << 16
        covered[I_CHECKSUM_HI : I_CHECKSUM_HI + 2] = bytes(2)
        mask = 0xFFFF_FFFF
    return stored, crc32c(bytes(covered), first) & mask


def _crc16(data: bytes, register: int) -> int:
    """CRC-16 with the reversed polynomial 0xA001, as the feature uninit_bg has it."""
    table = _crc16_table()
    for byte in data:
        register = table[(register ^ byte) & 0xFF] ^ register >> 8
    return register


@cache
def _crc16_table() -> tuple[int, ...]:
    table = []
    for register in range(256):
        for _ in range(8):
            register = register >> 1 ^ (0xA001 if register & 1 else 0)
        table.append(register)
    return tuple(table)
