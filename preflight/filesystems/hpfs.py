"""The superblock of HPFS, the file system of OS/2.

Specification: Linux kernel, fs/hpfs/hpfs.h, struct hpfs_super_block, hpfs_spare_block and hpfs_boot_block,
https://git.kernel.org/pub/scm/linux/kernel/git/torvalds/linux.git/tree/fs/hpfs/hpfs.h
"""

from construct import Bytes, Int8ul, Int32ul, Padding, Struct

from preflight.binary import parse_at
from preflight.filesystems import FileSystemReader, Superblock
from preflight.filesystems._fields import label
from preflight.source import BlockSource
from preflight.units import KiB

SUPER_OFFSET = 8 * KiB  # sector 16
SPARE_OFFSET = SUPER_OFFSET + 512  # sector 17
SB_MAGIC = b"\x49\xe8\x95\xf9"
SP_MAGIC = b"\x49\x18\x91\xf9"
SECTOR = 512  # HPFS knows no other

BOOT_BLOCK = Struct(
    Padding(38),  # jmp … mbz
    "sig_28h" / Int8ul,
    "vol_serno" / Int32ul,
    "vol_label" / Bytes(11),
    "sig_hpfs" / Bytes(8),
    Padding(448),
    "magic" / Bytes(2),
)
SUPERBLOCK = Struct(
    "magic" / Bytes(4),
    Padding(12),  # magic1, version, funcversion, root
    "n_sectors" / Int32ul,
)


def read(source: BlockSource) -> Superblock | None:
    """The superblock, which counts only beside its spare block; serial number and label are in the boot block."""
    superblock = parse_at(SUPERBLOCK, source, SUPER_OFFSET, "HPFS superblock")
    if superblock.magic != SB_MAGIC or source.read_at(SPARE_OFFSET, len(SP_MAGIC)) != SP_MAGIC:
        return None
    boot = parse_at(BOOT_BLOCK, source, 0, "HPFS boot block")
    uuid = name = None
    if boot.magic == b"\x55\xaa" and boot.sig_hpfs[:4] == b"HPFS" and boot.sig_28h == 0x28:
        name = label(boot.vol_label)
        if boot.vol_serno:
            uuid = f"{boot.vol_serno >> 16:04X}-{boot.vol_serno & 0xFFFF:04X}"
    return Superblock("hpfs", uuid=uuid, label=name, size=superblock.n_sectors * SECTOR)


FILESYSTEM = FileSystemReader(read)
