"""A small system disk with a Debian that lacks nothing: real tools, files cut down to the headers they are known by."""

import shutil
from pathlib import Path

from preflight.units import MiB
from tests import disks
from tests.tools import run, sparse

TREE = Path(__file__).parents[1] / "fixtures" / "guests" / "debian-12"
KERNEL = "6.1.0-18-amd64"
ROOT_UUID = "6d1d1b1e-0000-4000-8000-000000000021"  # as /etc/fstab of the tree has it, and the next too
ESP_ID = "1234ABCD"
PROGRAMS = ("bin/sh", "bin/passwd", "bin/cloud-init", "bin/growpart", "sbin/sshd", "sbin/resize2fs")
ELF = b"\x7fELF\x02\x01\x01".ljust(16, b"\0") + b"\x03\0\x3e\0\x01\0\0\0" + bytes(40)  # an x86-64 executable
PE = b"MZ".ljust(60, b"\0") + b"\x40\0\0\0PE\0\0\x64\x86" + bytes(442)  # an x86-64 PE program
# GRUB's boot.img: a jump, where core.img lies (sector 2048), and its messages.
BOOT_CODE = (b"\xeb\x63\x90".ljust(92, b"\0") + (2048).to_bytes(8, "little")).ljust(
    384, b"\0"
) + b"GRUB \0Geom\0Hard Disk"


def tree(folder: Path) -> Path:
    """The files of the guest, to be changed before they are put on a disk."""
    root = folder / "tree"
    shutil.copytree(TREE, root)
    wanted = root / "etc/systemd/system/multi-user.target.wants"
    for directory in (wanted, root / f"usr/lib/modules/{KERNEL}", root / "usr/sbin", root / "usr/bin"):
        directory.mkdir(parents=True, exist_ok=True)
    for program in (*PROGRAMS, "lib/systemd/systemd"):
        path = root / "usr" / program
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(ELF)
    for name in ("bin", "sbin", "lib"):
        (root / name).symlink_to(f"usr/{name}")
    (root / "usr/sbin/init").symlink_to("../lib/systemd/systemd")
    for unit in ("ssh", "networking", "cloud-init"):
        (wanted / f"{unit}.service").symlink_to(f"/lib/systemd/system/{unit}.service")
    for name in ("vmlinuz", "initrd.img"):
        (root / f"boot/{name}-{KERNEL}").write_bytes(bytes(512))
    return root


def disk(folder: Path, root: Path, *, bios: bool = True, name: str = "system.raw") -> Path:
    """A disk of 256 MiB with these files: GPT, BIOS boot, an EFI system partition with a loader, ext4."""
    (folder / "loader.efi").write_bytes(PE)
    esp = sparse(folder / "esp", 64 * MiB)
    run("mkfs.vfat", "-F", "32", "-n", "ESP", "-i", ESP_ID, esp)
    run("mmd", "-i", esp, "::/EFI", "::/EFI/BOOT")
    run("mcopy", "-i", esp, folder / "loader.efi", "::/EFI/BOOT/BOOTX64.EFI")
    filesystem = sparse(folder / "filesystem", 128 * MiB)
    run("mke2fs", "-q", "-F", "-t", "ext4", "-L", "root", "-U", ROOT_UUID, "-d", root, filesystem)
    path = disks.partitioned(folder / name, 256 * MiB, disks.GPT_SYSTEM, {2: esp, 3: filesystem})
    return disks.put(path, 0, BOOT_CODE) if bios else path
