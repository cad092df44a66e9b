"""Boot code: what sector 0 of the disk and the first sector of a partition hold, told by what is fixed in each.

Specification: none is shared. GRUB 2: grub-core/boot/i386/pc/boot.S and diskboot.S; GRUB Legacy: stage1/stage1.S;
LILO: first.S; syslinux: mbr/mbr.S, mbr/gptmbr.S, core/diskstart.inc; FreeBSD: stand/i386/{mbr,pmbr,boot0}; Windows:
by its code, as its messages are translated.
"""

import struct
from typing import Literal

from preflight.units import SECTOR

BootCode = Literal["grub", "lilo", "syslinux", "windows", "freebsd", "other"]

CODE_SIZE = 440  # then come the disk signature and the partition records
SIGNATURE = b"\x55\xaa"

GRUB_MESSAGE = b"GRUB"
GRUB_LEGACY_JUMP = b"\xeb\x48"
GRUB_LEGACY_VERSION = 0x3E, b"\x03\x02"  # stage1.h: COMPAT_VERSION 3.2, in all of 0.9x
GRUB_LEGACY_STAGE2 = 0x44, "<I"  # stage1.h: STAGE1_STAGE2_SECTOR
GRUB_KERNEL = 0x5C, "<Q"  # boot.h: GRUB_BOOT_MACHINE_KERNEL_SECTOR
GRUB_HYBRID_JUMP = b"\xeb\x63\x90\x90"  # boot_hybrid.img of rescue media, where BOOT.IMG has zeros for a BPB
GRUB_HYBRID_KERNEL = 0x1B0, "<Q"

LILO_MARK = b"LILO"  # behind the jump, with or without the parameters between
SYSLINUX_NAMES = (b"SYSLINUX", b"EXTLINUX")  # OEM name of its partition boot sectors
SYSLINUX_MBR = bytes.fromhex("33c0fa8ed88ed0bc007c89e60657")  # mbr.bin, altmbr.bin and gptmbr.bin alike
SYSLINUX_MESSAGES = (b"Operating system load", b"isolinux.bin missing")
SYSLINUX_GPT_MESSAGE = b"Missing OS\r\n"  # gptmbr.bin; the other two say "Missing operating system"
FREEBSD_MBR = bytes.fromhex("fc31c08ec08ed88ed0bc007c")  # mbr, pmbr and boot0 alike
WINDOWS_MBR = (
    bytes.fromhex("33c08ed0bc007c"),  # Windows 2000 and after it
    bytes.fromhex("fa33c08ed0bc007c"),  # MS-DOS 3.3 to Windows Me
)
WINDOWS_MESSAGES = (b"Error loading operating system", b"BOOTMGR", b"NTLDR")
# What mkfs.fat, mkntfs and newfs_msdos write into the boot sector of a volume that holds no loader; the code of mformat
# has no message, and starts the disk once more.
NOT_BOOTABLE = (b"not a bootable disk", b"Non-system disk", b"\x90MTOO")

VOLUME_LOADERS = (b"BOOTMGR", b"NTLDR", GRUB_MESSAGE, LILO_MARK, *SYSLINUX_NAMES)


def boot_code(sector: bytes) -> BootCode | None:
    """Whose code sector 0 holds; None where it has none, or no signature, without which a BIOS does not run it."""
    code = sector[:CODE_SIZE]
    if not _signed(sector) or not any(code) or any(message in sector for message in NOT_BOOTABLE):
        return None
    if GRUB_MESSAGE in code:
        return "grub"
    if LILO_MARK in (code[2:6], code[6:10]):
        return "lilo"
    if code.startswith(SYSLINUX_MBR) or code[3:11] in SYSLINUX_NAMES or _holds(code, SYSLINUX_MESSAGES):
        return "syslinux"
    if code.startswith(FREEBSD_MBR):
        return "freebsd"
    if code.startswith(WINDOWS_MBR) or _holds(sector, WINDOWS_MESSAGES):
        return "windows"
    return "other"


def is_grub_legacy(sector: bytes) -> bool:
    """Whether GRUB's code in sector 0 is the stage1 of GRUB Legacy."""
    offset, version = GRUB_LEGACY_VERSION
    return sector.startswith(GRUB_LEGACY_JUMP) and sector[offset : offset + len(version)] == version


def grub_core_lba(sector: bytes) -> int:
    """Where GRUB's code in sector 0 goes on, in sectors of 512 bytes: core.img, or stage 1.5 or 2."""
    if is_grub_legacy(sector):
        offset, layout = GRUB_LEGACY_STAGE2
    else:
        offset, layout = GRUB_HYBRID_KERNEL if sector.startswith(GRUB_HYBRID_JUMP) else GRUB_KERNEL
    return int(struct.unpack_from(layout, sector, offset)[0])


def finds_gpt_partition(sector: bytes) -> bool:
    """Whether syslinux's code in sector 0 reads GPT: gptmbr.bin, which starts what has the attribute for it."""
    return SYSLINUX_GPT_MESSAGE in sector


def volume_boots(sector: bytes) -> bool:
    """Whether the boot sector of a partition holds code that starts a system."""
    if not _signed(sector) or _holds(sector, NOT_BOOTABLE):
        return False
    if _holds(sector, VOLUME_LOADERS):
        return True
    return any(sector[:3]) and any(sector[0x5A:CODE_SIZE])  # FAT32 has the longest BPB, up to 0x5A


def _signed(sector: bytes) -> bool:
    return len(sector) >= SECTOR and sector[SECTOR - 2 : SECTOR] == SIGNATURE


def _holds(data: bytes, messages: tuple[bytes, ...]) -> bool:
    return any(message in data for message in messages)
