"""Boot sectors and EFI programs, made of the bytes that tell them apart."""

import struct


def sector(code: bytes = b"", pieces: dict[int, bytes] | None = None) -> bytes:
    """A boot sector that begins with `code` and has `pieces` at their offsets."""
    data = bytearray(512)
    data[: len(code)] = code
    for offset, piece in (pieces or {}).items():
        data[offset : offset + len(piece)] = piece
    data[510:] = b"\x55\xaa"
    return bytes(data)


NO_CODE = sector()
# Debian 12, grub-pc-bin 2.06-13+deb12u2: boot.img, with core.img at sector 1.
GRUB_2 = sector(
    b"\xeb\x63\x90",
    {0x5C: struct.pack("<Q", 1), 0x64: b"\xff\xfa\xeb\x05", 0x180: b"GRUB \0Geom\0Hard Disk\0Read\0 Error\r\n"},
)
# grub-legacy 0.97-80: stage1.
GRUB_LEGACY = sector(
    b"\xeb\x48\x90",
    {0x3E: b"\x03\x02\xff\0\0\x80", 0x44: struct.pack("<I", 1), 0x17F: b"GRUB \0Geom\0Hard Disk\0Read\0 Error\0"},
)
LILO = sector(b"\xfa\xeb\x21\x01\xb4\x01LILO\x16\x08")
_SYSLINUX = bytes.fromhex("33c0fa8ed88ed0bc007c89e60657")
# syslinux-common 6.04~git20190206: mbr.bin and gptmbr.bin.
SYSLINUX_MBR = sector(_SYSLINUX, {0x5E: b"Missing operating system.\r\n", 0x175: b"Operating system load error.\r\n"})
SYSLINUX_GPT = sector(_SYSLINUX, {0xB6: b"Missing OS\r\n", 0x18C: b"Disk error\r\n"})
WINDOWS_7 = sector(
    bytes.fromhex("33c08ed0bc007c8ec08ed8be007cbf0006b90002fcf3a450681c06cb"),
    {0x163: b"Invalid partition table\0Error loading operating system\0Missing operating system\0"},
)
WINDOWS_XP_GERMAN = sector(
    bytes.fromhex("33c08ed0bc007cfb5007501ffcbe1b7c"), {0x12C: b"Ung\x81ltige Partitionstabelle\0"}
)
FREEBSD_PMBR = sector(bytes.fromhex("fc31c08ec08ed88ed0bc007c"), {0x190: b"Missing boot loader\r\n"})
# parted 3.5, mklabel msdos.
PARTED = sector(bytes.fromhex("fab800108ed0bc00b0b800008ed88ec0fbbe007cbf0006b90002f3a4"))

FAT_SYSLINUX = sector(b"\xeb\x58\x90SYSLINUX", {0x1DA: b"Boot error\r\n"})
NTFS_BOOTMGR = sector(b"\xeb\x52\x90NTFS    ", {0x18C: b"\r\nBOOTMGR is compressed\0"})
FAT_EMPTY = sector(
    b"\xeb\x3c\x90mkfs.fat",
    {0x3E: b"\x0e\x1f\xbe\x5b\x7c\xac", 0x5B: b"This is not a bootable disk.  Please insert a bootable floppy"},
)


def pe(machine: int, sections: tuple[tuple[bytes, bytes], ...] = ()) -> bytes:
    """An EFI program with these sections, padded as the PE format asks for."""
    header = 0x80
    table = struct.pack("<4sHHIIIHH", b"PE\0\0", machine, len(sections), 0, 0, 0, 240, 0x22E) + bytes(240)
    start = 0x1000
    bodies = b""
    for name, body in sections:
        padded = body.ljust(-(-len(body) // 512) * 512, b"\0")
        table += struct.pack("<8sIIII16x", name, len(body), 0x10000 + len(bodies), len(padded), start + len(bodies))
        bodies += padded
    head = b"MZ".ljust(0x3C, b"\0") + struct.pack("<I", header)
    return (head.ljust(header, b"\0") + table).ljust(start, b"\0") + bodies


def unified_kernel(command_line: bytes, release: bytes) -> bytes:
    """A unified kernel image with this command line and os-release."""
    return pe(0x8664, ((b".text", bytes(2000)), (b".osrel", release), (b".cmdline", command_line), (b".linux", b"x")))
