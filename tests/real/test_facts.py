"""Every fact about a real guest, against what dpkg, systemctl, initramfs-tools and the recipe know of it."""

import re

import pytest

from preflight.guest_facts import (
    BootLoader,
    CloudInit,
    Fstab,
    Kernels,
    Network,
    Nvme,
    Security,
    Services,
    Virtio,
)
from preflight.units import GiB, MiB
from tests.real import layouts
from tests.real.conftest import Made

INSTALLED = ("bios", "uefi", "mbr", "lvm", "btrfs")
ROOT = {
    "bios": "partition 2",
    "uefi": "partition 2",
    "mbr": "partition 1",
    "lvm": "volume vg0/root",
    "btrfs": "partition 1",
    "arm64": "partition 2",
}

pytestmark = pytest.mark.real


@pytest.fixture(params=INSTALLED)
def made(request: pytest.FixtureRequest) -> Made:
    found = request.getfixturevalue(request.param)
    assert isinstance(found, Made)
    return found


@pytest.fixture
def root(request: pytest.FixtureRequest) -> str:
    return ROOT[request.node.callspec.params["made"]]


def kernels_of(made: Made) -> list[str]:
    """Versions, by the names of the packages; the meta packages have no digit there."""
    names = (re.fullmatch(r"linux-image-(\d.*)", name) for name in made.tree.packages())
    return sorted(name[1] for name in names if name)


def test_system_version_and_architecture_are_those_of_the_packages(made: Made, root: str) -> None:
    guest = made.guest
    assert (guest.os_type, guest.distro, guest.architecture, guest.root) == ("linux", "debian", "x86_64", root)
    point_release = made.tree.read("etc/debian_version").strip()
    assert guest.version == point_release
    assert made.tree.packages()["base-files"].endswith("+deb" + point_release.replace(".", "u"))
    assert (guest.windows, guest.variant) == (None, None)
    assert f'PRETTY_NAME="{guest.name}"' in made.tree.read("usr/lib/os-release")
    assert made.image.problems == ()


def test_kernels_are_the_installed_ones_and_their_drivers_where_their_initramfs_has_them(made: Made) -> None:
    found = made.guest.kernels
    assert isinstance(found, Kernels)
    assert sorted(kernel.version for kernel in found.installed) == kernels_of(made)
    assert found.default == found.installed[0].version
    for kernel in found.installed:
        assert kernel.path == f"/boot/vmlinuz-{kernel.version}"
        assert kernel.initramfs == f"/boot/initrd.img-{kernel.version}"
        config = dict(
            line.split("=", 1)
            for line in made.tree.read(f"boot/config-{kernel.version}").splitlines()
            if line.startswith("CONFIG_")
        )
        assert kernel.config.keys() >= {"CONFIG_VIRTIO_BLK", "CONFIG_VIRTIO_NET", "CONFIG_FW_CFG_SYSFS"}
        assert {name: config.get(name, "n") for name in kernel.config} == kernel.config
        modules = made.tree.modules_of_initramfs(kernel.initramfs)
        for driver, option in {
            "virtio_blk": "CONFIG_VIRTIO_BLK",
            "virtio_net": "CONFIG_VIRTIO_NET",
            "virtio_pci": "CONFIG_VIRTIO_PCI",
            "virtio_scsi": "CONFIG_SCSI_VIRTIO",
            "nvme": "CONFIG_BLK_DEV_NVME",
        }.items():
            expected = "built-in" if config[option] == "y" else "initramfs" if driver in modules else "module"
            assert getattr(kernel, driver) == expected, (kernel.version, driver)
    first = found.installed[0]
    virtio, nvme = made.guest.virtio, made.guest.nvme
    assert isinstance(virtio, Virtio)
    assert isinstance(nvme, Nvme)
    assert (virtio.block, virtio.net, virtio.pci) == (first.virtio_blk, first.virtio_net, first.virtio_pci)
    assert (virtio.kernel, nvme.kernel, nvme.driver) == (first.version, first.version, first.nvme)


def test_the_menu_is_read_as_grub_mkconfig_wrote_it(made: Made, root: str) -> None:
    loader = made.guest.boot_loader
    assert isinstance(loader, BootLoader)
    text = made.tree.read("boot/grub/grub.cfg")
    assert [entry.title for entry in loader.entries] == re.findall(r"^\s*menuentry '([^']*)'", text, re.MULTILINE)
    lines = re.findall(r"^\s*linux\t(\S+) root=(\S+) (.*?)\s*$", text, re.MULTILINE)
    assert [(entry.kernel, entry.root) for entry in loader.entries] == [(kernel, spec) for kernel, spec, _ in lines]
    assert len(lines) == 5
    for entry, (_, spec, rest) in zip(loader.entries, lines, strict=True):
        assert entry.options.split() == [f"root={spec}", *rest.split()]
    assert [entry.initramfs for entry in loader.entries] == [
        (name,) for name in re.findall(r"^\s*initrd\t(\S+)$", text, re.MULTILINE)
    ]
    assert {entry.root_on for entry in loader.entries} == {root}
    assert (loader.default, loader.missing_uuids, loader.serial_console) == (0, (), True)
    kernels = made.guest.kernels
    assert isinstance(kernels, Kernels)
    assert (loader.entries[0].kernel or "").endswith(f"/vmlinuz-{kernels.default}")


def test_cloud_init_is_that_of_its_package(made: Made) -> None:
    found = made.guest.cloud_init
    assert isinstance(found, CloudInit)
    assert found.version == made.tree.packages()["cloud-init"].split("-")[0]
    assert (found.installed, found.disabled, found.growpart) == (True, False, True)
    assert set(found.resize_tools) >= {"resize2fs", "xfs_growfs", "btrfs"}
    assert found.datasources == ()  # /etc/cloud/cloud.cfg of this Debian sets none


def test_what_systemctl_calls_enabled_is_enabled(made: Made) -> None:
    found = made.guest.services
    assert isinstance(found, Services)
    # A template, and what is not started but only named so, is none of what starts.
    names = {name for name in made.tree.enabled() if "@" not in name}
    assert {"ssh", "cloud-init"} <= names
    assert {*names} - {*found.enabled} == set()
    assert (found.init, found.sshd, found.firewalls) == ("systemd", True, ())
    assert (found.qemu_guest_agent, found.cloud_assistant, found.security_center_agent) == (False, False, False)


def test_security_is_as_the_recipe_left_it(made: Made, request: pytest.FixtureRequest) -> None:
    found = made.guest.security
    assert isinstance(found, Security)
    on_btrfs = made.guest.root_subvolume == "@"
    assert found.root_account == ("locked" if on_btrfs else "password")
    assert (found.root_shell, found.root_authorized_keys, found.passwd_command) == ("/bin/bash", False, True)
    assert (found.selinux, found.permit_root_login, found.rtc) == (None, None, "utc")
    assert (found.absolute_lib_links, found.hibernated) == ((), False)
    assert found.swap == (("partition 5",) if "mbr" in request.node.name else ())


def test_the_network_is_by_dhcp_and_by_whom_it_is_set_up(made: Made) -> None:
    found = made.guest.network
    assert isinstance(found, Network)
    (interface,) = found.interfaces
    assert (interface.method, interface.starts_at_boot, interface.mac) == ("dhcp", True, None)
    networkd = made.guest.root_subvolume == "@"
    assert interface.name == ("en* eth*" if networkd else "eth0")
    assert ("systemd-networkd" if networkd else "ifupdown") in found.managers
    assert (found.persistent_names, found.resolvers) == ((), ())


def test_a_gpt_disk_for_bios(bios: Made) -> None:
    image, guest = bios.image, bios.guest
    assert image.partition_table
    assert (image.format, image.virtual_size, image.partition_table.type) == ("raw", 20 * GiB, "gpt")
    assert [(part.number, part.start) for part in image.partitions] == [(1, MiB), (2, 2 * MiB)]
    assert guest.boot_modes == ("bios",)
    assert isinstance(guest.boot_loader, BootLoader)
    assert (guest.boot_loader.bios_boot_code, guest.boot_loader.names) == ("grub", ("grub2",))
    assert mounts(bios) == [(f"UUID={layouts.ROOT_UUID}", "/", "ext4", "partition 2")]


def test_a_gpt_disk_for_uefi(uefi: Made) -> None:
    guest = uefi.guest
    assert guest.boot_modes == ("uefi",)
    loader = guest.boot_loader
    assert isinstance(loader, BootLoader)
    assert (loader.bios_boot_code, loader.names) == (None, ("grub2", "shim"))
    assert set(loader.efi_loaders) == {
        "EFI/BOOT/BOOTX64.EFI",
        "EFI/BOOT/grubx64.efi",
        "EFI/debian/shimx64.efi",
        "EFI/debian/grubx64.efi",
    }
    assert loader.efi_fallback == ("EFI/BOOT/BOOTX64.EFI",)
    assert mounts(uefi) == [
        (f"UUID={layouts.ROOT_UUID}", "/", "ext4", "partition 2"),
        ("UUID=C0DE-BA5E", "/boot/efi", "vfat", "partition 1"),
    ]


def test_an_mbr_disk_with_a_logical_partition(mbr: Made) -> None:
    image = mbr.image
    assert image.partition_table
    assert image.partition_table.type == "mbr"
    assert [(part.number, part.type) for part in image.partitions] == [(1, "0x83"), (2, "0x05"), (5, "0x82")]
    assert mbr.guest.boot_modes == ("bios",)
    assert mounts(mbr) == [
        (f"UUID={layouts.ROOT_UUID}", "/", "ext4", "partition 1"),
        (f"UUID={layouts.SWAP_UUID}", "none", "swap", "partition 5"),
    ]


def test_xfs_on_a_logical_volume_with_boot_apart(lvm: Made) -> None:
    (volume,) = lvm.image.volumes
    assert (volume.kind, volume.group, volume.name, volume.size, volume.on) == ("lvm", "vg0", "root", 2 * GiB, (3,))
    types = {entry.on: (entry.type, entry.mount_point) for entry in lvm.image.filesystems}
    assert types["volume vg0/root"] == ("xfs", "/")
    assert types["partition 2"] == ("ext4", "/boot")
    assert mounts(lvm) == [
        ("/dev/mapper/vg0-root", "/", "xfs", "volume vg0/root"),
        (f"UUID={layouts.BOOT_UUID}", "/boot", "ext4", "partition 2"),
    ]
    loader = lvm.guest.boot_loader
    assert isinstance(loader, BootLoader)
    assert {entry.root for entry in loader.entries} == {"/dev/mapper/vg0-root"}


def test_a_btrfs_subvolume_in_a_compressed_qcow2(btrfs: Made) -> None:
    assert (btrfs.image.format, btrfs.image.format_details["compression_type"]) == ("qcow2", "zstd")
    assert (btrfs.guest.root, btrfs.guest.root_subvolume) == ("partition 1", "@")
    spec = f"UUID={layouts.ROOT_UUID}"
    assert mounts(btrfs) == [(spec, "/", "btrfs", "partition 1"), (spec, "/home", "btrfs", "partition 1")]


def test_a_disk_for_arm64(arm64: Made) -> None:
    guest = arm64.guest
    assert (guest.architecture, guest.boot_modes, guest.root) == ("arm64", ("uefi",), "partition 2")
    assert isinstance(guest.boot_loader, BootLoader)
    assert guest.boot_loader.efi_fallback == ("EFI/BOOT/BOOTAA64.EFI",)
    (entry,) = guest.boot_loader.entries
    assert (entry.root_on, guest.boot_loader.serial_console) == ("partition 2", True)
    assert isinstance(guest.kernels, Kernels)
    (kernel,) = guest.kernels.installed
    assert kernel.version in {path.name for path in (arm64.tree.root / "lib/modules").iterdir()}
    assert "arm64" in kernel.version
    assert (kernel.virtio_blk, kernel.virtio_net, kernel.virtio_pci) == ("initramfs", "initramfs", "initramfs")
    assert isinstance(guest.cloud_init, CloudInit)
    assert guest.cloud_init.installed
    assert isinstance(guest.services, Services)
    assert (guest.services.init, guest.services.sshd) == ("systemd", True)
    assert mounts(arm64) == [(f"UUID={layouts.ROOT_UUID}", "/", "ext4", "partition 2")]


def mounts(made: Made) -> list[tuple[str, str, str, str | None]]:
    """The lines of fstab, and where they lie."""
    assert isinstance(made.guest.fstab, Fstab)
    return [(entry.spec, entry.mount_point, entry.type, entry.on) for entry in made.guest.fstab.entries]
