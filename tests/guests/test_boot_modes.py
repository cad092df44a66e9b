"""Code in boot sectors, loaders on EFI system partitions, and the firmware that they make a disk fit for."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from preflight.facts import Partition, PartitionTable
from preflight.guests import _boot_code
from preflight.guests.boot import boot_modes, pe_architecture
from tests.contents.phony import Content, tree
from tests.guests import boot_sectors as sectors
from tests.guests.boot_sectors import sector
from tests.tools import run

LINUX_GUID = "0fc63daf-8483-4772-8e79-3d69d8477de4"
BIOS_BOOT_GUID = "21686148-6449-6e6f-744e-656564454649"
ESP_GUID = "c12a7328-f81f-11d2-ba4b-00a0c93ec93b"
FREEBSD_BOOT_GUID = "83bd6b9d-7f41-11dc-be0b-001560b84f0f"


def modes(
    table: str,
    types: tuple[str, ...],
    boot_sector: bytes,
    active: tuple[bytes, ...] = (),
    esp: dict[str, Content] | None = None,
    architecture: str | None = None,
) -> tuple[str, ...]:
    partitions = [
        Partition(number, number << 20, 1 << 20, type, None, None, None, False)
        for number, type in enumerate(types, start=1)
    ]
    esps = [] if esp is None else [tree(esp)]
    named = PartitionTable(type=table, sector_size=512, disk_id=None)  # type: ignore[arg-type]
    return boot_modes(named, partitions, boot_sector, active, esps, architecture)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (sectors.GRUB_2, "grub"),
        (sectors.GRUB_LEGACY, "grub"),
        (sectors.LILO, "lilo"),
        (sectors.SYSLINUX_MBR, "syslinux"),
        (sectors.SYSLINUX_GPT, "syslinux"),
        (sectors.FAT_SYSLINUX, "syslinux"),
        (sectors.WINDOWS_7, "windows"),
        (sectors.WINDOWS_XP_GERMAN, "windows"),
        (sectors.NTFS_BOOTMGR, "windows"),
        (sectors.FREEBSD_PMBR, "freebsd"),
        (sectors.PARTED, "other"),
        (sectors.NO_CODE, None),
        (sectors.FAT_EMPTY, None),
        (sectors.GRUB_2[:510] + bytes(2), None),
        (b"", None),
    ],
)
def test_code_in_sector_0_is_recognised(data: bytes, expected: str | None) -> None:
    assert _boot_code.boot_code(data) == expected


def test_grub_legacy_is_told_from_grub_2_and_both_say_where_they_go_on() -> None:
    assert _boot_code.is_grub_legacy(sectors.GRUB_LEGACY)
    assert not _boot_code.is_grub_legacy(sectors.GRUB_2)
    assert _boot_code.grub_core_lba(sectors.GRUB_2) == 1
    assert _boot_code.grub_core_lba(sectors.GRUB_LEGACY) == 1
    hybrid = sector(b"\xeb\x63\x90\x90", {0x5C: b"\0\x80", 0x180: b"GRUB \0", 0x1B0: b"\x22"})
    assert _boot_code.grub_core_lba(hybrid) == 0x22


def test_parted_writes_code_that_starts_the_active_partition(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.write_bytes(bytes(4 << 20))
    run("parted", "-s", disk, "mklabel", "msdos")
    assert _boot_code.boot_code(disk.read_bytes()[:512]) == "other"


@pytest.mark.parametrize("command", [("mkfs.vfat",), ("mkntfs", "-qF")])
def test_new_file_systems_hold_no_loader(command: tuple[str, ...], tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.write_bytes(bytes(8 << 20))
    run(*command, disk)
    first = disk.read_bytes()[:512]
    assert first[510:] == b"\x55\xaa"
    assert not _boot_code.volume_boots(first)
    assert _boot_code.boot_code(first) is None


@pytest.mark.parametrize(
    ("table", "types", "boot_sector", "active", "expected"),
    [
        ("mbr", ("0x83",), sectors.GRUB_2, (), True),
        ("mbr", ("0x83",), sectors.GRUB_LEGACY, (), True),
        ("mbr", ("0x83",), sectors.LILO, (), True),
        ("mbr", ("0x83",), sectors.NO_CODE, (sectors.FAT_SYSLINUX,), False),
        ("gpt", (BIOS_BOOT_GUID, LINUX_GUID), sectors.GRUB_2, (), True),
        # What was converted from MBR goes on at sector 1, which is the GPT header now.
        ("gpt", (ESP_GUID, LINUX_GUID), sectors.GRUB_2, (), False),
        ("gpt", (LINUX_GUID,), sector(sectors.GRUB_2, {0x5C: (2048).to_bytes(8, "little")}), (), True),
        ("mbr", ("0x83",), sectors.SYSLINUX_MBR, (sectors.FAT_SYSLINUX,), True),
        ("mbr", ("0x83",), sectors.SYSLINUX_MBR, (), False),
        ("mbr", ("0x83",), sectors.SYSLINUX_MBR, (bytes(512),), False),
        ("gpt", (LINUX_GUID,), sectors.SYSLINUX_GPT, (sectors.FAT_SYSLINUX,), True),
        ("gpt", (LINUX_GUID,), sectors.SYSLINUX_MBR, (sectors.FAT_SYSLINUX,), False),
        ("mbr", ("0x07",), sectors.WINDOWS_7, (sectors.NTFS_BOOTMGR,), True),
        ("mbr", ("0x07",), sectors.WINDOWS_7, (), False),
        ("mbr", ("0x0c",), sectors.WINDOWS_7, (sectors.FAT_EMPTY,), False),
        ("gpt", (LINUX_GUID,), sectors.WINDOWS_7, (), False),
        ("mbr", ("0x83",), sectors.PARTED, (sectors.GRUB_2,), True),
        ("gpt", (FREEBSD_BOOT_GUID,), sectors.FREEBSD_PMBR, (), True),
        ("gpt", (LINUX_GUID,), sectors.FREEBSD_PMBR, (), False),
        ("mbr", ("0xa5",), sectors.FREEBSD_PMBR, (), True),
        ("none", (), sectors.FAT_SYSLINUX, (), True),
        ("none", (), sectors.FAT_EMPTY, (), False),
    ],
)
def test_a_bios_starts_what_its_code_finds(
    table: str, types: tuple[str, ...], boot_sector: bytes, active: tuple[bytes, ...], expected: bool
) -> None:
    assert modes(table, types, boot_sector, active) == (("bios",) if expected else ())


@pytest.mark.parametrize(
    ("path", "machine", "architecture", "expected"),
    [
        ("/EFI/BOOT/BOOTX64.EFI", 0x8664, "x86_64", ("uefi",)),
        ("/efi/boot/bootx64.efi", 0x8664, "x86_64", ("uefi",)),
        ("/EFI/BOOT/BOOTX64.EFI", 0x8664, None, ("uefi",)),
        ("/EFI/BOOT/BOOTX64.EFI", 0x8664, "i386", ("uefi",)),
        ("/EFI/BOOT/BOOTAA64.EFI", 0xAA64, "arm64", ("uefi",)),
        ("/EFI/BOOT/BOOTAA64.EFI", 0xAA64, "x86_64", ()),
        ("/EFI/BOOT/BOOTX64.EFI", 0x8664, "arm64", ()),
        ("/EFI/BOOT/BOOTX64.EFI", 0xAA64, "x86_64", ()),
        ("/EFI/debian/grubx64.efi", 0x8664, "x86_64", ("uefi",)),
        ("/EFI/Microsoft/Boot/bootmgfw.efi", 0x8664, "x86_64", ("uefi",)),
        ("/EFI/debian/mmx64.efi", 0x8664, "x86_64", ()),
        ("/EFI/debian/grub.cfg", 0x8664, "x86_64", ()),
        ("/grubx64.efi", 0x8664, "x86_64", ()),
    ],
)
def test_uefi_starts_loaders_of_the_guests_architecture(
    path: str, machine: int, architecture: str | None, expected: tuple[str, ...]
) -> None:
    esp: dict[str, Content] = {path: sectors.pe(machine)}
    assert modes("gpt", (ESP_GUID,), sectors.NO_CODE, esp=esp, architecture=architecture) == expected


def test_a_disk_may_start_from_both() -> None:
    esp: dict[str, Content] = {"/EFI/BOOT/BOOTX64.EFI": b"no header"}
    types = (BIOS_BOOT_GUID, ESP_GUID)
    assert modes("gpt", types, sectors.GRUB_2, esp=esp, architecture="x86_64") == ("bios", "uefi")
    assert modes("gpt", types, sectors.GRUB_2, esp={}, architecture="arm64") == ()


@pytest.mark.parametrize(
    ("machine", "expected"),
    [(0x8664, "x86_64"), (0xAA64, "arm64"), (0x14C, "i386"), (0x5064, "riscv64"), (0x6264, "loongarch64"), (1, None)],
)
def test_the_pe_header_tells_the_architecture(machine: int, expected: str | None) -> None:
    assert pe_architecture(sectors.pe(machine)) == expected


@pytest.mark.parametrize(
    "head", [b"", b"MZ", b"MZ" + bytes(62), b"MZ".ljust(0x3C) + b"\xff\xff\xff\xff", b"\x7fELF" + bytes(100)]
)
def test_what_is_no_pe_file_has_no_architecture(head: bytes) -> None:
    assert pe_architecture(head) is None


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=600), st.sampled_from(["gpt", "mbr", "none"]))
def test_any_bytes_give_a_value(data: bytes, table: str) -> None:
    signed = data.ljust(510, b"\0")[:510] + b"\x55\xaa"
    for boot_sector in (data, signed):
        assert set(modes(table, ("0x83",), boot_sector, (data, signed), {"/EFI/BOOT/BOOTX64.EFI": data})) <= {
            "bios",
            "uefi",
        }


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 0x1800), st.integers(0, 255))
def test_any_byte_of_a_unified_kernel_may_be_wrong(offset: int, value: int) -> None:
    image = bytearray(sectors.unified_kernel(b"root=LABEL=r", b"ID=x\n"))
    image[offset] = value
    modes("gpt", (), sectors.NO_CODE, esp={"/EFI/BOOT/BOOTX64.EFI": bytes(image)})
