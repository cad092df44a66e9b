"""Real disks with a real guest: partitions, file systems and boot loaders, written without the device mapper."""

import os
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from preflight.units import GiB, MiB
from tests import disks
from tests.real.trees import Menu, Tree, as_root
from tests.tools import run, sparse

ROOT_UUID = "11111111-2222-4333-8444-555555555555"
BOOT_UUID = "66666666-7777-4888-8999-aaaaaaaaaaaa"
SWAP_UUID = "bbbbbbbb-cccc-4ddd-8eee-ffffffffffff"
ESP_ID = "C0DEBA5E"
SECTOR = 512
BIOS_BOOT = "21686148-6449-6E6F-744E-656564454649"
LVM = "E6D6D379-F507-44C2-A23C-238F2A3DF928"
SIZE = 4 * GiB
ADVISED_SIZE = 20 * GiB  # below that a profile tells so


def ext4(path: Path, size: int, tree: Path, uuid: str = ROOT_UUID) -> Path:
    """A file system with these files."""
    sparse(path, size)
    as_root("mke2fs", "-q", "-F", "-t", "ext4", "-U", uuid, "-d", tree, path)
    return path


def install_grub(disk: Path, tree: Tree, core_lba: int, space: int, prefix: str, modules: tuple[str, ...]) -> None:
    """What grub-install and grub-bios-setup write: boot.img into sector 0, core.img where it tells.

    `space` is what core.img may take, in bytes. GRUB manual, "Images"; boot.h and offsets.h: kernel_sector at 0x5c,
    boot_drive at 0x64, drive_check at 0x66; diskboot.img ends in a block list of u64 start, u16 sectors, u16 segment.
    """
    directory = tree.root / "usr/lib/grub/i386-pc"
    core = disk.with_suffix(".core")
    run("grub-mkimage", "-O", "i386-pc", "-d", directory, "-p", prefix, "-o", core, "biosdisk", *modules)
    image = bytearray(core.read_bytes())
    image += bytes(-len(image) % SECTOR)
    assert len(image) <= space
    image[SECTOR - 12 : SECTOR] = struct.pack("<QHH", core_lba + 1, len(image) // SECTOR - 1, 0x820)
    boot = bytearray((directory / "boot.img").read_bytes()[:440])
    boot[0x5C:0x64] = struct.pack("<Q", core_lba)
    boot[0x66:0x68] = b"\x90\x90"  # nops: the BIOS may be believed which disk it is
    with disk.open("rb") as file:
        boot[3:0x5A] = file.read(0x5A)[3:]  # where a file system would keep its parameters
    disks.put(disk, 0, bytes(boot))
    disks.put(disk, core_lba * SECTOR, bytes(image))


def bios(folder: Path, tree: Tree, size: int = SIZE) -> Path:
    """GPT, BIOS boot partition, ext4, and GRUB for BIOS."""
    tree.write("etc/fstab", f"UUID={ROOT_UUID} / ext4 errors=remount-ro 0 1\n")
    tree.install_grub_modules("i386-pc")
    tree.write_menu(Menu("/dev/vda2", ROOT_UUID, "ext2", hints="--hint-bios=hd0,gpt2"))
    return bios_disk(folder, tree, size)


def bios_disk(folder: Path, tree: Tree, size: int = SIZE) -> Path:
    """The disk of `bios`, of a tree as it is."""
    root = ext4(folder / "root", 2 * GiB, tree.root)
    script = f"label: gpt\nsize=1M, type={BIOS_BOOT}\ntype=L, name=root\n"
    disk = disks.partitioned(folder / "bios.raw", size, script, {2: root})
    install_grub(disk, tree, 2048, MiB, "(hd0,gpt2)/boot/grub", ("part_gpt", "ext2", "search_fs_uuid"))
    root.unlink()
    return disk


def esp(folder: Path, files: dict[str, bytes]) -> Path:
    """An EFI system partition with these files."""
    path = sparse(folder / "esp", 64 * MiB)
    run("mkfs.vfat", "-F", "32", "-n", "EFI", "-i", ESP_ID, path)
    made: set[str] = set()
    for name, content in files.items():
        parts = name.split("/")[:-1]
        for depth in range(1, len(parts) + 1):
            directory = "/".join(parts[:depth])
            if directory not in made:
                run("mmd", "-i", path, f"::/{directory}")
                made.add(directory)
        (folder / "file").write_bytes(content)
        run("mcopy", "-i", path, folder / "file", f"::/{name}")
    return path


def uefi(folder: Path, tree: Tree) -> Path:
    """GPT, EFI system partition with Debian's signed shim and GRUB in both of their places, ext4."""
    tree.write(
        "etc/fstab",
        f"UUID={ROOT_UUID} / ext4 errors=remount-ro 0 1\n"
        f"UUID={ESP_ID[:4]}-{ESP_ID[4:]} /boot/efi vfat umask=0077 0 1\n",
    )
    (tree.root / "boot/efi").mkdir()
    tree.install_grub_modules("x86_64-efi")
    tree.write_menu(Menu("/dev/vda2", ROOT_UUID, "ext2", hints="--hint-efi=hd0,gpt2"))
    stub = f"search.fs_uuid {ROOT_UUID} root hd0,gpt2\nset prefix=($root)'/boot/grub'\nconfigfile $prefix/grub.cfg\n"
    shim = (tree.root / "usr/lib/shim/shimx64.efi.signed").read_bytes()
    grub = (tree.root / "usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed").read_bytes()
    system = esp(
        folder,
        {
            "EFI/BOOT/BOOTX64.EFI": shim,
            "EFI/BOOT/grubx64.efi": grub,
            "EFI/debian/shimx64.efi": shim,
            "EFI/debian/grubx64.efi": grub,
            "EFI/debian/grub.cfg": stub.encode(),
        },
    )
    root = ext4(folder / "root", 2 * GiB, tree.root)
    return disks.partitioned(
        folder / "uefi.raw", SIZE, "label: gpt\nsize=64M, type=U\ntype=L, name=root\n", {1: system, 2: root}
    )


def mbr(folder: Path, tree: Tree) -> Path:
    """MBR with GRUB in the gap, ext4, and swap on a logical partition, as Debian's installer divides a disk."""
    tree.write("etc/fstab", f"UUID={ROOT_UUID} / ext4 errors=remount-ro 0 1\nUUID={SWAP_UUID} none swap sw 0 0\n")
    tree.install_grub_modules("i386-pc")
    tree.write_menu(Menu("/dev/vda1", ROOT_UUID, "ext2", partmap="msdos", hints="--hint-bios=hd0,msdos1"))
    root = ext4(folder / "root", 2 * GiB, tree.root)
    swap = sparse(folder / "swap", 256 * MiB)
    run("mkswap", "-q", "-U", SWAP_UUID, swap)
    disk = folder / "mbr.raw"
    # Without its number, sfdisk makes the third line a primary partition.
    script = f"label: dos\nsize=3G, type=83, bootable\nsize=512M, type=5\n{disk}5 : size=256M, type=82\n"
    disks.partitioned(disk, SIZE, script, {1: root, 5: swap})
    install_grub(disk, tree, 1, 2047 * SECTOR, "(hd0,msdos1)/boot/grub", ("part_msdos", "ext2", "search_fs_uuid"))
    return disk


def arm64(folder: Path, tree: Tree, installed: Path) -> Path:
    """GPT, EFI system partition with GRUB under the fallback name only, ext4, for arm64.

    `installed`: a tree of which the scripts have run; what they wrote to /etc is the same on every architecture.
    """
    as_root("cp", "-an", f"{installed}/etc/.", tree.root / "etc")
    tree.write("etc/fstab", f"UUID={ROOT_UUID} / ext4 errors=remount-ro 0 1\n")
    kernel = next((tree.root / "boot").glob("vmlinuz-*")).name.removeprefix("vmlinuz-")
    drivers = f"lib/modules/{kernel}/kernel/drivers"
    names = sorted(
        str(path.relative_to(tree.root))
        for pattern in ("virtio/*.ko", "block/virtio_blk.ko", "net/virtio_net.ko")
        for path in (tree.root / drivers).glob(pattern)
    )
    archive = folder / "initrd"
    run("cpio", "-o", "-H", "newc", "--quiet", "-D", tree.root, "-F", archive, stdin="\n".join(names) + "\n")
    run("zstd", "-q", "--rm", archive)
    tree.write(f"boot/initrd.img-{kernel}", archive.with_name("initrd.zst").read_bytes())
    (tree.root / "boot/grub").mkdir()
    # By hand: none of this tree's programs can run here.
    tree.write(
        "boot/grub/grub.cfg",
        f"search --no-floppy --fs-uuid --set=root {ROOT_UUID}\nset timeout=1\nmenuentry 'Debian' {{\n"
        f"\tlinux /boot/vmlinuz-{kernel} root=UUID={ROOT_UUID} ro console=ttyAMA0\n"
        f"\tinitrd /boot/initrd.img-{kernel}\n}}\n",
    )
    loader = folder / "BOOTAA64.EFI"
    directory = tree.root / "usr/lib/grub/arm64-efi"
    modules = ("part_gpt", "fat", "ext2", "search_fs_uuid", "normal", "configfile", "linux")
    run("grub-mkimage", "-O", "arm64-efi", "-d", directory, "-p", "/boot/grub", "-o", loader, *modules)
    system = esp(folder, {"EFI/BOOT/BOOTAA64.EFI": loader.read_bytes()})
    root = ext4(folder / "root", 2 * GiB, tree.root)
    return disks.partitioned(
        folder / "arm64.raw", SIZE, "label: gpt\nsize=64M, type=U\ntype=L, name=root\n", {1: system, 2: root}
    )


@contextmanager
def loop(path: Path) -> Iterator[str]:
    """A loop device on a file; skips where there is none for us."""
    if os.geteuid() != 0:
        pytest.skip("root is needed for a loop device")
    try:
        device = run("losetup", "--find", "--show", path).strip()
    except AssertionError as refused:
        pytest.skip(f"no loop device: {refused}")
    try:
        yield device
    finally:
        run("losetup", "--detach", device)


@contextmanager
def mounted(path: Path, folder: Path, type: str, options: str = "defaults") -> Iterator[Path]:
    """A file system in a file, mounted by the kernel; skips where it cannot be."""
    if os.geteuid() != 0:
        pytest.skip("root is needed to mount")
    point = folder / "mounted"
    point.mkdir(exist_ok=True)
    tried = subprocess.run(
        ["mount", "-t", type, "-o", f"loop,{options}", path, point], capture_output=True, text=True, check=False
    )
    if tried.returncode:
        pytest.skip(f"this kernel does not mount {type} from a file: {tried.stderr}")
    try:
        yield point
    finally:
        run("umount", point)


def lvm(folder: Path, tree: Tree) -> Path:
    """GPT, GRUB for BIOS, /boot on ext4, and XFS on a logical volume."""
    tree.write("etc/fstab", f"/dev/mapper/vg0-root / xfs defaults 0 0\nUUID={BOOT_UUID} /boot ext4 defaults 0 2\n")
    tree.install_grub_modules("i386-pc")
    tree.write_menu(
        Menu(
            "/dev/mapper/vg0-root", ROOT_UUID, "xfs", "/dev/vda2", BOOT_UUID, abstraction="lvm", hints="--hint=hd0,gpt2"
        )
    )
    boot = ext4(folder / "boot", 512 * MiB, tree.root / "boot", BOOT_UUID)
    root = sparse(folder / "root", 2 * GiB)
    run("mkfs.xfs", "-q", "-m", f"uuid={ROOT_UUID}", root)
    with mounted(root, folder, "xfs") as point:
        run("cp", "-a", f"{tree.root}/.", point)
        run("rm", "-rf", point / "boot")
        (point / "boot").mkdir()
    volume = sparse(folder / "volume", 3 * GiB)
    with loop(volume) as device:
        config = f"devices {{ filter=['a|^{device}$|','r|.*|'] use_devicesfile=0 external_device_info_source='none' "
        config += "obtain_device_list_from_udev=0 } activation { udev_sync=0 udev_rules=0 monitoring=0 } "
        config += "global { event_activation=0 use_lvmlockd=0 } backup { backup=0 archive=0 }"
        options = ("--driverloaded", "n", "--config", config)
        run("pvcreate", *options, device)
        run("vgcreate", *options, "vg0", device)
        run("lvcreate", *options, "-an", "-Wn", "-Zn", "-y", "-n", "root", "-L", "2g", "vg0")
        start = run("pvs", *options, "--noheadings", "--nosuffix", "--units", "b", "-o", "pe_start", device)
    disks.put(volume, int(start), root)
    script = f"label: gpt\nsize=1M, type={BIOS_BOOT}\nsize=512M, type=L\nsize=3G, type={LVM}\n"
    disk = disks.partitioned(folder / "lvm.raw", SIZE, script, {2: boot, 3: volume})
    install_grub(disk, tree, 2048, MiB, "(hd0,gpt2)/grub", ("part_gpt", "ext2", "search_fs_uuid"))
    return disk


def btrfs(folder: Path, tree: Tree) -> Path:
    """MBR, GRUB in the gap, and btrfs with the subvolumes @ and @home, its files compressed."""
    tree.write(
        "etc/fstab",
        f"UUID={ROOT_UUID} / btrfs subvol=@,compress=zstd 0 0\nUUID={ROOT_UUID} /home btrfs subvol=@home 0 0\n",
    )
    tree.write("etc/network/interfaces", "auto lo\niface lo inet loopback\n")
    tree.write("etc/systemd/network/20-wired.network", "[Match]\nName=en* eth*\n\n[Network]\nDHCP=yes\n")
    tree.chroot("systemctl", "disable", "networking.service")
    tree.chroot("systemctl", "enable", "systemd-networkd.service")
    tree.chroot("passwd", "--lock", "root")
    tree.install_grub_modules("i386-pc")
    tree.write_menu(Menu("/dev/vda1", ROOT_UUID, "btrfs", inside="/@", partmap="msdos", hints="--hint-bios=hd0,msdos1"))
    root = sparse(folder / "root", 2 * GiB)
    run("mkfs.btrfs", "-q", "-U", ROOT_UUID, root)
    with mounted(root, folder, "btrfs", "compress=zstd") as point:
        run("btrfs", "subvolume", "create", point / "@")
        run("btrfs", "subvolume", "create", point / "@home")
        run("cp", "-a", f"{tree.root}/.", point / "@")
    disk = disks.partitioned(folder / "btrfs.raw", SIZE, "label: dos\ntype=83, bootable\n", {1: root})
    install_grub(disk, tree, 1, 2047 * SECTOR, "(hd0,msdos1)/@/boot/grub", ("part_msdos", "btrfs", "search_fs_uuid"))
    return disk


def converted(disk: Path, name: str, driver: str, *options: str) -> Path:
    """The disk in another format, by `qemu-img`."""
    return disks.converted(disk, disk.with_name(name), driver, *options)
