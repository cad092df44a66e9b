import gzip
import struct
from collections.abc import Iterator, Mapping

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from preflight.contents import ContentsError, Node
from preflight.contents.tree import Tree
from preflight.facts import Unknown
from preflight.guest_facts import Kernel, Kernels
from preflight.guests import _images, kernels
from tests.contents.phony import Content, Link, PhonyReader, Special, tree
from tests.guests.test_initramfs import MICROCODE, cpio, pad

FIELDS = ("virtio_blk", "virtio_net", "virtio_pci", "virtio_scsi", "nvme")

# The lines of Debian 12's configuration, among others.
DEBIAN_CONFIG = """#
# Automatically generated file; DO NOT EDIT.
# Linux/x86 6.1.76 Kernel Configuration
#
CONFIG_BLK_DEV_INITRD=y
CONFIG_INITRAMFS_SOURCE=""
CONFIG_FW_CFG_SYSFS=m
# CONFIG_FW_CFG_SYSFS_CMDLINE is not set
CONFIG_VIRTIO_BLK=m
CONFIG_BLK_DEV_NVME=m
CONFIG_SCSI_VIRTIO=m
CONFIG_VIRTIO_NET=m
CONFIG_VIRTIO_CONSOLE=m
CONFIG_VIRTIO=m
CONFIG_VIRTIO_PCI=m
CONFIG_VIRTIO_PCI_LEGACY=y
"""
BUILT_IN = "".join(
    f"CONFIG_{name}=y\n"
    for name in ("VIRTIO", "VIRTIO_BLK", "VIRTIO_NET", "VIRTIO_PCI", "SCSI_VIRTIO", "BLK_DEV_NVME", "FW_CFG_SYSFS")
)
PLACES = {
    "virtio_blk": "drivers/block",
    "virtio_net": "drivers/net",
    "virtio_pci": "drivers/virtio",
    "virtio_scsi": "drivers/scsi",
    "nvme": "drivers/nvme/host",
}


def module_files(version: str, *modules: str, base: str = "/lib/modules", suffix: str = ".ko") -> dict[str, Content]:
    """A module directory with these modules, as `make modules_install` and depmod leave it."""
    paths = [f"kernel/{PLACES[module]}/{module}{suffix}" for module in modules]
    top = f"{base}/{version}"
    files: dict[str, Content] = {f"{top}/{path}": b"\x7fELF" for path in paths}
    files[f"{top}/modules.dep"] = "".join(f"{path}:\n" for path in paths)
    return files


def initramfs(version: str, *modules: str, base: str = "usr/lib/modules", suffix: str = ".ko") -> bytes:
    paths = [f"{base}/{version}/kernel/{PLACES[module]}/{module}{suffix}" for module in modules]
    return gzip.compress(cpio({"init": b"#!/bin/sh", **dict.fromkeys(paths, b"\x7fELF")}), 1)


def bzimage(version: str) -> bytes:
    """The beginning of an x86 kernel: Documentation/arch/x86/boot.rst."""
    data = bytearray(0x4000)
    data[0x1F1] = 0x1F
    struct.pack_into("<H", data, 0x1FE, 0xAA55)
    struct.pack_into("<4sHIHH", data, 0x202, b"HdrS", 0x020F, 0, 0, 0x3000)
    text = f"{version} (builder@host) #1 SMP PREEMPT_DYNAMIC\0".encode()
    data[0x3200 : 0x3200 + len(text)] = text
    return bytes(data)


def read(files: Mapping[str, Content], *arguments: object) -> Kernels:
    found = kernels.read_kernels(tree(files), *arguments)  # type: ignore[arg-type]
    assert isinstance(found, Kernels)
    for kernel in found.installed:
        assert all(path.startswith("/") for path in kernel.read_from)
    assert msgspec.json.encode(found)  # no name that JSON cannot hold
    return found


def states(kernel: Kernel) -> dict[str, object]:
    return {field: getattr(kernel, field) for field in FIELDS}


def all_of(state: object) -> dict[str, object]:
    return dict.fromkeys(FIELDS, state)


# The distributions.


def test_debian_has_its_drivers_in_the_initramfs() -> None:
    version = "6.1.0-18-amd64"
    found = read(
        {
            f"/boot/vmlinuz-{version}": b"kernel",
            f"/boot/config-{version}": DEBIAN_CONFIG,
            f"/boot/System.map-{version}": "ffffffffffffffff B The real System.map is elsewhere\n",
            f"/boot/initrd.img-{version}": pad(MICROCODE, 512) + initramfs(version, *FIELDS),
            "/vmlinuz": Link(f"boot/vmlinuz-{version}"),
            "/initrd.img": Link(f"boot/initrd.img-{version}"),
            **module_files(version, *FIELDS),
        }
    )
    [kernel] = found.installed
    assert found.default == version
    assert states(kernel) == all_of("initramfs")
    assert kernel.version == version
    assert kernel.path == f"/boot/vmlinuz-{version}"
    assert kernel.initramfs == f"/boot/initrd.img-{version}"
    assert kernel.config == {
        "CONFIG_VIRTIO": "m",
        "CONFIG_VIRTIO_PCI": "m",
        "CONFIG_VIRTIO_BLK": "m",
        "CONFIG_VIRTIO_NET": "m",
        "CONFIG_SCSI_VIRTIO": "m",
        "CONFIG_BLK_DEV_NVME": "m",
        "CONFIG_FW_CFG_SYSFS": "m",
    }
    assert set(kernel.read_from) >= {f"/boot/vmlinuz-{version}", f"/boot/config-{version}", kernel.initramfs}
    virtio, nvme = kernels.virtio_of(kernel), kernels.nvme_of(kernel)
    assert (virtio.block, virtio.net, virtio.pci, virtio.scsi) == ("initramfs",) * 4
    assert (virtio.kernel, nvme.kernel, nvme.driver) == (version, version, "initramfs")
    assert virtio.read_from == nvme.read_from == kernel.read_from


def test_ubuntu_has_some_built_in_and_the_rest_in_the_initramfs() -> None:
    version = "6.8.0-45-generic"
    config = DEBIAN_CONFIG.replace("VIRTIO_BLK=m", "VIRTIO_BLK=y").replace("VIRTIO_PCI=m", "VIRTIO_PCI=y")
    found = read(
        {
            f"/boot/vmlinuz-{version}": b"kernel",
            "/boot/vmlinuz-6.8.0-41-generic": b"kernel",
            "/boot/vmlinuz": Link(f"vmlinuz-{version}"),
            "/boot/vmlinuz.old": Link("vmlinuz-6.8.0-41-generic"),
            "/boot/initrd.img": Link(f"initrd.img-{version}"),
            f"/boot/config-{version}": config,
            f"/boot/initrd.img-{version}": initramfs(version, "virtio_net", "nvme", suffix=".ko.zst"),
            **module_files(version, "virtio_net", "virtio_scsi", "nvme", suffix=".ko.zst", base="/usr/lib/modules"),
            "/lib": Link("usr/lib"),
        }
    )
    assert [kernel.version for kernel in found.installed] == [version, "6.8.0-41-generic"]
    assert states(found.installed[0]) == {
        "virtio_blk": "built-in",
        "virtio_net": "initramfs",
        "virtio_pci": "built-in",
        "virtio_scsi": "module",
        "nvme": "initramfs",
    }


def test_rhel_has_its_configuration_in_the_module_directory_and_a_rescue_kernel() -> None:
    version = "5.14.0-503.11.1.el9_5.x86_64"
    machine = "0a1b2c3d4e5f60718293a4b5c6d7e8f9"
    found = read(
        {
            f"/boot/vmlinuz-{version}": b"kernel",
            f"/boot/.vmlinuz-{version}.hmac": "0123  /boot/vmlinuz\n",
            f"/boot/initramfs-{version}.img": initramfs(version, "virtio_blk", "virtio_scsi", "nvme", suffix=".ko.xz"),
            f"/boot/initramfs-{version}kdump.img": b"other",
            f"/boot/vmlinuz-0-rescue-{machine}": b"kernel",
            f"/boot/initramfs-0-rescue-{machine}.img": b"other",
            f"/boot/symvers-{version}.gz": Link("/lib/modules/x/symvers.gz"),
            f"/boot/loader/entries/{machine}-{version}.conf": f"title RHEL\nversion {version}\n"
            f"linux /vmlinuz-{version}\n"
            f"initrd /initramfs-{version}.img $tuned_initrd\noptions root=UUID=1 ro\n",
            f"/boot/loader/entries/{machine}-0-rescue.conf": f"title RHEL\nversion 0-rescue-{machine}\n"
            f"linux /vmlinuz-0-rescue-{machine}\n",
            "/lib": Link("usr/lib"),
            f"/usr/lib/modules/{version}/vmlinuz": b"kernel",
            f"/usr/lib/modules/{version}/config": DEBIAN_CONFIG.replace("VIRTIO_PCI=m", "VIRTIO_PCI=y"),
            **module_files(version, *FIELDS, suffix=".ko.xz", base="/usr/lib/modules"),
        },
        f"/vmlinuz-{version}",
        (f"/initramfs-{version}.img", "$tuned_initrd"),
    )
    [kernel] = found.installed
    assert kernel.path == f"/boot/vmlinuz-{version}"
    assert kernel.initramfs == f"/boot/initramfs-{version}.img"
    assert states(kernel) == {**all_of("initramfs"), "virtio_pci": "built-in", "virtio_net": "module"}


def test_centos_5_keeps_modules_without_a_directory_in_its_initrd() -> None:
    version = "2.6.18-398.el5"
    config = "CONFIG_VIRTIO=m\nCONFIG_VIRTIO_BLK=m\nCONFIG_VIRTIO_NET=m\nCONFIG_VIRTIO_PCI=m\n"
    top = f"/lib/modules/{version}"
    found = read(
        {
            f"/boot/vmlinuz-{version}": b"kernel",
            f"/boot/initrd-{version}.img": gzip.compress(cpio({"lib/virtio_blk.ko": b"", "lib/virtio_pci.ko": b""})),
            f"/boot/config-{version}": config,
            f"{top}/kernel/drivers/net/virtio_net.ko": b"",
            f"{top}/modules.dep": f"{top}/kernel/drivers/net/virtio_net.ko: {top}/kernel/drivers/virtio/virtio.ko\n",
        }
    )
    assert states(found.installed[0]) == {
        "virtio_blk": "initramfs",
        "virtio_net": "module",
        "virtio_pci": "initramfs",
        "virtio_scsi": "missing",
        "nvme": "missing",
    }
    assert found.installed[0].config["CONFIG_BLK_DEV_NVME"] == "n"


def test_suse_links_its_kernel_from_the_module_directory() -> None:
    version = "6.4.0-150600.21-default"
    found = read(
        {
            f"/boot/vmlinuz-{version}": Link(f"../usr/lib/modules/{version}/vmlinuz"),
            "/boot/vmlinuz": Link(f"vmlinuz-{version}"),
            f"/boot/vmlinux-{version}.gz": b"kernel",
            "/boot/initrd": Link(f"initrd-{version}"),
            f"/boot/initrd-{version}": initramfs(version, *FIELDS, base="lib/modules", suffix=".ko.zst"),
            f"/boot/config-{version}": Link(f"../usr/lib/modules/{version}/config"),
            "/lib": Link("usr/lib"),
            f"/usr/lib/modules/{version}/vmlinuz": b"kernel",
            f"/usr/lib/modules/{version}/config": DEBIAN_CONFIG,
            **module_files(version, *FIELDS, base="/usr/lib/modules", suffix=".ko.zst"),
        }
    )
    [kernel] = found.installed
    assert (kernel.path, kernel.initramfs) == (f"/boot/vmlinuz-{version}", f"/boot/initrd-{version}")
    assert states(kernel) == all_of("initramfs")


def test_arch_names_its_kernels_without_a_version() -> None:
    version, lts = "6.7.4-arch1-1", "6.6.16-1-lts"
    builtin = "kernel/drivers/virtio/virtio.ko\nkernel/drivers/virtio/virtio_pci.ko\nkernel/fs/binfmt_elf.ko\n"
    found = read(
        {
            "/boot/vmlinuz-linux": b"kernel",
            "/boot/vmlinuz-linux-lts": b"kernel",
            "/boot/amd-ucode.img": MICROCODE,
            "/boot/initramfs-linux.img": initramfs(version, "virtio_blk", "nvme", suffix=".ko.zst"),
            "/boot/initramfs-linux-fallback.img": initramfs(version, *FIELDS, suffix=".ko.zst"),
            "/boot/initramfs-linux-lts.img": initramfs(lts, "virtio_blk", suffix=".ko.zst"),
            "/lib": Link("usr/lib"),
            f"/usr/lib/modules/{version}/vmlinuz": b"kernel",
            f"/usr/lib/modules/{version}/pkgbase": "linux\n",
            f"/usr/lib/modules/{version}/modules.builtin": builtin,
            **module_files(
                version, "virtio_blk", "virtio_net", "virtio_scsi", "nvme", base="/usr/lib/modules", suffix=".ko.zst"
            ),
            f"/usr/lib/modules/{lts}/vmlinuz": b"kernel",
            f"/usr/lib/modules/{lts}/pkgbase": "linux-lts\n",
            f"/usr/lib/modules/{lts}/modules.builtin": builtin,
            **module_files(lts, "virtio_blk", base="/usr/lib/modules", suffix=".ko.zst"),
        },
        "/vmlinuz-linux",
        ["/amd-ucode.img", "/initramfs-linux.img"],
    )
    first, second = found.installed
    assert (first.version, first.path, first.initramfs) == (version, "/boot/vmlinuz-linux", "/boot/initramfs-linux.img")
    assert states(first) == {
        "virtio_blk": "initramfs",
        "virtio_net": "module",
        "virtio_pci": "built-in",
        "virtio_scsi": "module",
        "nvme": "initramfs",
    }
    assert (second.version, second.path, second.initramfs) == (
        lts,
        "/boot/vmlinuz-linux-lts",
        "/boot/initramfs-linux-lts.img",
    )
    assert second.virtio_net == "missing"
    assert first.config == {
        "CONFIG_VIRTIO": "y",
        "CONFIG_VIRTIO_PCI": "y",
        "CONFIG_VIRTIO_BLK": "m",
        "CONFIG_VIRTIO_NET": "m",
        "CONFIG_SCSI_VIRTIO": "m",
        "CONFIG_BLK_DEV_NVME": "m",
        "CONFIG_FW_CFG_SYSFS": "n",
    }


@pytest.mark.parametrize("image", [b"kernel", bzimage("6.6.14-0-virt")])
def test_alpine_names_its_kernel_by_flavour(image: bytes) -> None:
    version = "6.6.14-0-virt"
    found = read(
        {
            "/boot/vmlinuz-virt": image,
            "/boot/initramfs-virt": initramfs(version, *FIELDS, base="lib/modules", suffix=".ko.gz"),
            f"/boot/config-{version}": DEBIAN_CONFIG,
            **module_files(version, *FIELDS, suffix=".ko.gz"),
        }
    )
    assert found.default == version
    assert found.installed[0].initramfs == "/boot/initramfs-virt"
    assert states(found.installed[0]) == all_of("initramfs")


def test_gentoo_genkernel_puts_the_architecture_before_the_version() -> None:
    version = "5.15.32-gentoo-r1"
    found = read(
        {
            f"/boot/kernel-genkernel-x86_64-{version}": b"kernel",
            f"/boot/initramfs-genkernel-x86_64-{version}": initramfs(version, *FIELDS, base="lib/modules"),
            f"/lib/modules/{version}/modules.builtin": "kernel/fs/ext4/ext4.ko\n",
            **module_files(version, *FIELDS),
        }
    )
    assert (found.default, states(found.installed[0])) == (version, all_of("initramfs"))


def test_fedora_coreos_keeps_its_kernel_below_boot_ostree() -> None:
    version = "6.7.4-200.fc39.x86_64"
    place = "/boot/ostree/fedora-coreos-19190477fad0e60d605a623b86e06bb92aa318b6b79f78696b06f68f262ad5d6"
    found = read(
        {
            f"{place}/vmlinuz-{version}": b"kernel",
            f"{place}/initramfs-{version}.img": initramfs(version, *FIELDS, suffix=".ko.xz"),
            f"/usr/lib/modules/{version}/vmlinuz": b"kernel",
            f"/usr/lib/modules/{version}/initramfs.img": b"the same",
            f"/usr/lib/modules/{version}/config": DEBIAN_CONFIG,
            "/lib": Link("usr/lib"),
            **module_files(version, *FIELDS, base="/usr/lib/modules", suffix=".ko.xz"),
        }
    )
    [kernel] = found.installed
    assert (kernel.path, kernel.initramfs) == (f"{place}/vmlinuz-{version}", f"{place}/initramfs-{version}.img")
    assert states(kernel) == all_of("initramfs")


def test_an_ostree_commit_has_kernel_and_initramfs_in_the_module_directory() -> None:
    version = "6.7.4-200.fc39.x86_64"
    top = f"/usr/lib/modules/{version}"
    found = read(
        {
            f"{top}/vmlinuz": b"kernel",
            f"{top}/initramfs.img": initramfs(version, *FIELDS),
            f"{top}/config": DEBIAN_CONFIG,
            **module_files(version, *FIELDS, base="/usr/lib/modules"),
        }
    )
    [kernel] = found.installed
    assert (kernel.version, kernel.path, kernel.initramfs) == (version, f"{top}/vmlinuz", f"{top}/initramfs.img")
    assert states(kernel) == all_of("initramfs")


def test_flatcar_links_its_initramfs_into_the_kernel() -> None:
    version = "6.1.77-flatcar"
    found = read(
        {
            "/boot/flatcar/vmlinuz-a": b"kernel",
            f"/usr/lib/modules/{version}/modules.builtin": "kernel/drivers/block/virtio_blk.ko\n",
            "/lib": Link("usr/lib"),
            **module_files(version, "virtio_net", base="/usr/lib/modules"),
        }
    )
    [kernel] = found.installed
    assert (kernel.version, kernel.path, kernel.initramfs) == (version, "/boot/flatcar/vmlinuz-a", None)
    assert kernel.virtio_blk == "built-in"
    assert isinstance(kernel.virtio_net, Unknown)
    assert "linked into the kernel" in kernel.virtio_net.unknown


def test_a_configuration_tells_of_an_initramfs_inside_the_kernel() -> None:
    config = DEBIAN_CONFIG.replace('INITRAMFS_SOURCE=""', 'INITRAMFS_SOURCE="/build/rootfs.cpio"')
    [kernel] = read(
        {"/boot/vmlinuz-6.1.1": b"", "/boot/config-6.1.1": config, **module_files("6.1.1", *FIELDS)}
    ).installed
    assert isinstance(kernel.virtio_blk, Unknown)


def test_kernels_of_the_boot_loader_specification_are_found_by_their_entries() -> None:
    version, machine = "6.11.3-1-default", "0a1b2c3d4e5f60718293a4b5c6d7e8f9"
    place = f"/opensuse-tumbleweed/{version}"
    found = read(
        {
            f"/boot/efi/loader/entries/opensuse-tumbleweed-{version}-1.conf": "# comment\ntitle openSUSE\n"
            f"version 1@{version}\nlinux {place}/linux-0123456\ninitrd {place}/initrd-89abcde\n",
            f"/boot/efi{place}/linux-0123456": bzimage(version),
            f"/boot/efi{place}/initrd-89abcde": initramfs(version, *FIELDS),
            f"/boot/loader/entries/{machine}-6.9.1.conf": f"linux /{machine}/6.9.1/linux\n"
            f"initrd /{machine}/6.9.1/initrd\nversion 6.9.1\n",
            f"/boot/{machine}/6.9.1/linux": b"kernel",
            f"/boot/{machine}/6.9.1/initrd": initramfs("6.9.1", "nvme"),
            f"/usr/lib/modules/{version}/config": DEBIAN_CONFIG,
            **module_files(version, base="/usr/lib/modules"),
            "/boot/config-6.9.1": DEBIAN_CONFIG,
        }
    )
    first, second = found.installed
    assert (first.version, first.initramfs) == (version, f"/boot/efi{place}/initrd-89abcde")
    assert states(first) == all_of("initramfs")
    assert (second.version, second.initramfs) == ("6.9.1", f"/boot/{machine}/6.9.1/initrd")
    assert (second.nvme, second.virtio_blk) == ("initramfs", "missing")


def uki(version: str, archive: bytes) -> bytes:
    """A unified kernel image with the sections .uname and .initrd: PE Format, "Section Table"."""
    sections = [(b".linux", b"kernel"), (b".uname", version.encode()), (b".initrd", archive)]
    head = bytearray(0x400)
    head[:2] = b"MZ"
    struct.pack_into("<I", head, 0x3C, 0x80)
    struct.pack_into("<4sHHIIIHH", head, 0x80, b"PE\0\0", 0x8664, len(sections), 0, 0, 0, 0xF0, 0x22E)
    body = b""
    for number, (name, data) in enumerate(sections):
        raw = pad(data, 512)
        where = (len(data), 0x1000 * (number + 1), len(raw), len(head) + len(body))
        struct.pack_into("<8s4I16x", head, 0x80 + 24 + 0xF0 + 40 * number, name, *where)
        body += raw
    return bytes(head) + body


def test_a_unified_kernel_image_has_its_initramfs_inside() -> None:
    version, machine = "5.14.0-503.11.1.el9_5.x86_64", "0a1b2c3d4e5f60718293a4b5c6d7e8f9"
    path = f"/boot/efi/EFI/Linux/{machine}-{version}.efi"
    found = read(
        {
            path: uki(version, initramfs(version, "virtio_blk", "virtio_pci", "nvme")),
            f"/lib/modules/{version}/config": DEBIAN_CONFIG,
            **module_files(version, *FIELDS),
        }
    )
    [kernel] = found.installed
    assert (kernel.version, kernel.path, kernel.initramfs) == (version, path, path)
    assert states(kernel) == {**all_of("initramfs"), "virtio_net": "module", "virtio_scsi": "module"}


def test_a_unified_kernel_image_that_cannot_be_read_leaves_its_drivers_open() -> None:
    found = read({"/efi/EFI/Linux/6.9.1+3-0.efi": b"MZ", "/boot/config-6.9.1": DEBIAN_CONFIG})
    assert found.default == "6.9.1"
    assert isinstance(found.installed[0].virtio_blk, Unknown)


# Which kernel boots.


def test_the_newest_is_the_default_and_the_others_follow() -> None:
    names = ["4.18.0-80.el8.x86_64", "4.18.0-193.6.3.el8_2.x86_64", "4.18.0-193.el8.x86_64", "5.10.0-rc1", "5.10.0"]
    found = read({f"/boot/vmlinuz-{name}": b"" for name in names})
    assert [kernel.version for kernel in found.installed] == [
        "5.10.0",
        "5.10.0-rc1",
        "4.18.0-193.6.3.el8_2.x86_64",
        "4.18.0-193.el8.x86_64",
        "4.18.0-80.el8.x86_64",
    ]


@pytest.mark.parametrize(
    "default",
    [
        "/boot/vmlinuz-5.4.0-1",
        "/vmlinuz-5.4.0-1",
        "(hd0,msdos1)/vmlinuz-5.4.0-1",
        "5.4.0-1",
        "vmlinuz-5.4.0-1",
        "/boot/old",
    ],
)
def test_the_boot_loaders_choice_is_the_default(default: str) -> None:
    files: dict[str, Content] = {f"/boot/vmlinuz-5.4.0-{number}": b"" for number in (1, 2, 3)}
    files["/boot/old"] = Link("vmlinuz-5.4.0-1")
    found = read(files, default)
    assert found.default == "5.4.0-1"
    assert [kernel.version for kernel in found.installed] == ["5.4.0-1", "5.4.0-3", "5.4.0-2"]


def test_the_boot_loaders_initramfs_goes_before_the_one_that_is_named_alike() -> None:
    files: dict[str, Content] = {
        "/boot/vmlinuz-6.1.1": b"",
        "/boot/config-6.1.1": DEBIAN_CONFIG,
        "/boot/initrd.img-6.1.1": initramfs("6.1.1"),
        "/boot/custom.img": initramfs("6.1.1", *FIELDS),
    }
    assert read(files).installed[0].virtio_blk == "missing"
    assert read(files, "6.1.1", ("/custom.img",)).installed[0].virtio_blk == "initramfs"
    assert read(files, "6.1.1", ("/absent.img",)).installed[0].initramfs == "/boot/initrd.img-6.1.1"


def test_the_kernel_header_tells_the_version_of_a_name_without_one() -> None:
    found = read({"/boot/vmlinuz": bzimage("3.10.0-1160.el7.x86_64"), "/boot/initrd.img": initramfs("x")})
    assert found.default == "3.10.0-1160.el7.x86_64"
    assert found.installed[0].initramfs == "/boot/initrd.img"


def test_a_name_is_all_there_is_where_nothing_tells_the_version() -> None:
    assert (
        read({"/boot/vmlinuz": b"", "/lib/modules/1.1/kernel/": b"", "/lib/modules/1.2/kernel/": b""}).default
        == "vmlinuz"
    )


def test_what_is_left_of_a_kernel_is_not_one() -> None:
    names = [
        "vmlinuz-6.1.1.old",
        "vmlinuz-6.1.1.rpmsave",
        "vmlinuz-6.1.1.efi.signed",
        "vmlinuz.old",
        "config-6.1.1",
        "xen.gz",
    ]
    assert read({f"/boot/{name}": b"" for name in names}) == Kernels((), None)


def test_directories_and_devices_are_not_kernels() -> None:
    files: dict[str, Content] = {
        "/boot/vmlinuz-1.1/": b"",
        "/boot/vmlinuz-1.2": Special(),
        "/boot/vmlinuz-1.3": Link("gone"),
    }
    assert read({**files, "/boot/kernel/kernel": b"FreeBSD"}) == Kernels((), None)


def test_modules_without_a_kernel_are_listed_after_the_kernels() -> None:
    found = read(
        {"/boot/vmlinuz-6.1.1": b"", **module_files("6.9.9", *FIELDS), "/lib/modules/6.8.8/weak-updates/": b""}
    )
    assert [(kernel.version, kernel.path) for kernel in found.installed] == [
        ("6.1.1", "/boot/vmlinuz-6.1.1"),
        ("6.9.9", None),
    ]
    assert isinstance(found.installed[1].virtio_blk, Unknown)


# Drivers.


def one(files: Mapping[str, Content]) -> Kernel:
    return read({"/boot/vmlinuz-6.1.1": b"", **files}).installed[0]


def test_built_in_drivers_need_no_initramfs_and_it_is_not_read() -> None:
    reader = PhonyReader(
        {"/boot/vmlinuz-6.1.1": b"", "/boot/config-6.1.1": BUILT_IN, "/boot/initrd.img-6.1.1": bytes(1 << 20)}
    )
    found = kernels.read_kernels(Tree(reader))
    assert isinstance(found, Kernels)
    assert states(found.installed[0]) == all_of("built-in")
    assert reader.bytes_read < 4096


def test_modules_on_the_root_file_system_only() -> None:
    files = {"/boot/config-6.1.1": DEBIAN_CONFIG, **module_files("6.1.1", *FIELDS)}
    assert states(one(files)) == all_of("module")
    assert states(one({**files, "/boot/initrd.img-6.1.1": initramfs("6.1.1")})) == all_of("module")


def test_an_initramfs_of_another_version_brings_nothing() -> None:
    files = {"/boot/config-6.1.1": DEBIAN_CONFIG, **module_files("6.1.1", *FIELDS)}
    assert states(one({**files, "/boot/initrd.img-6.1.1": initramfs("6.1.0", *FIELDS)})) == all_of("module")


def test_what_is_not_configured_is_missing() -> None:
    config = "CONFIG_X86=y\n# CONFIG_VIRTIO_BLK is not set\nCONFIG_VIRTIO_PCI=y\n"
    kernel = one({"/boot/config-6.1.1": config, "/boot/initrd.img-6.1.1": b"not looked at"})
    assert states(kernel) == {**all_of("missing"), "virtio_pci": "built-in"}
    assert set(kernel.config.values()) == {"n", "y"}


def test_a_vendors_module_makes_up_for_the_configuration() -> None:
    top = "/lib/modules/6.1.1"
    files: dict[str, Content] = {
        "/boot/config-6.1.1": "CONFIG_X86=y\n",
        f"{top}/updates/dkms/virtio-blk.ko.xz": b"",
        f"{top}/modules.dep": "updates/dkms/virtio-blk.ko.xz: kernel/drivers/virtio/virtio.ko.xz\n",
        "/boot/initrd.img-6.1.1": initramfs("6.1.1", "virtio_blk"),
    }
    assert one(files).virtio_blk == "initramfs"
    assert one({**files, "/boot/initrd.img-6.1.1": initramfs("6.1.1")}).virtio_blk == "module"
    del files[f"{top}/updates/dkms/virtio-blk.ko.xz"]
    files[f"{top}/updates/dkms/other.ko"] = b""
    assert one(files).virtio_blk == "missing"


def test_a_module_that_only_depends_on_another_is_not_that_one() -> None:
    top = "/lib/modules/6.1.1"
    files = {
        "/boot/config-6.1.1": DEBIAN_CONFIG,
        f"{top}/modules.dep": "kernel/net/x.ko: kernel/drivers/net/virtio_net.ko kernel/drivers/block/virtio_blk.ko\n",
    }
    assert states(one(files)) == all_of("missing")


def test_without_a_configuration_the_list_of_what_is_built_in_tells() -> None:
    builtin = "kernel/drivers/block/virtio_blk.ko\nkernel/drivers/nvme/host/nvme-core.ko\n"
    files = {
        "/lib/modules/6.1.1/modules.builtin": builtin,
        **module_files("6.1.1", "virtio_net"),
        "/boot/initrd.img-6.1.1": initramfs("6.1.1", "virtio_net"),
    }
    assert states(one(files)) == {**all_of("missing"), "virtio_blk": "built-in", "virtio_net": "initramfs"}


def test_the_list_inside_the_initramfs_tells_too() -> None:
    listed = {
        "usr/lib/modules/6.1.1/modules.builtin": b"kernel/drivers/block/virtio_blk.ko\n",
        "usr/lib/modules/6.1.1/kernel/drivers/nvme/host/nvme.ko": b"",
    }
    kernel = one({"/boot/initrd.img-6.1.1": gzip.compress(cpio(listed))})
    assert (kernel.virtio_blk, kernel.nvme, kernel.virtio_net) == ("built-in", "initramfs", "missing")
    assert (kernel.config["CONFIG_VIRTIO_BLK"], kernel.config["CONFIG_BLK_DEV_NVME"]) == ("y", "m")


def test_without_any_evidence_nothing_is_claimed() -> None:
    kernel = one({})
    assert list(kernel.config) == ["unknown"]
    assert all(isinstance(state, Unknown) for state in states(kernel).values())
    found = one({"/boot/initrd.img-6.1.1": initramfs("6.1.1", "virtio_blk")})
    assert found.virtio_blk == "initramfs"
    assert isinstance(found.nvme, Unknown)


def test_an_initramfs_that_cannot_be_searched_leaves_its_drivers_open() -> None:
    packed = initramfs("6.1.1", *FIELDS)
    files = {"/boot/config-6.1.1": DEBIAN_CONFIG.replace("NVME=m", "NVME=y"), **module_files("6.1.1", *FIELDS)}
    kernel = one({**files, "/boot/initrd.img-6.1.1": packed[:20]})
    assert kernel.nvme == "built-in"
    assert isinstance(kernel.virtio_blk, Unknown)
    assert "/boot/initrd.img-6.1.1" in kernel.virtio_blk.unknown


def test_a_configuration_that_is_none_or_too_large_is_passed_over() -> None:
    builtin: dict[str, Content] = {"/lib/modules/6.1.1/modules.builtin": "kernel/drivers/block/virtio_blk.ko\n"}
    assert one({"/boot/config-6.1.1": "[main]\n", **builtin}).virtio_blk == "built-in"
    assert one({"/boot/config-6.1.1": "\n" * (3 << 20), **builtin}).virtio_blk == "built-in"
    assert "at most" in str(one({"/boot/config-6.1.1": "\n" * (3 << 20)}).virtio_blk)


# Hostile.


def test_only_some_kernels_are_examined_and_the_default_is_one_of_them() -> None:
    files: dict[str, Content] = {f"/boot/vmlinuz-5.1.{number}": b"" for number in range(5000)}
    files |= {f"/boot/initrd.img-5.1.{number}": initramfs("x") for number in (1, 4999, 4998, 4997)}
    files |= {f"/boot/config-5.1.{number}": DEBIAN_CONFIG for number in (1, 4999, 4998, 4997)}
    found = read(files, "/boot/vmlinuz-5.1.1")
    assert len(found.installed) == _images.MAX_KERNELS
    assert [kernel.version for kernel in found.installed[:4]] == ["5.1.1", "5.1.4999", "5.1.4998", "5.1.4997"]
    assert found.installed[2].virtio_blk == "missing"
    assert isinstance(found.installed[3].virtio_blk, Unknown)
    assert "only the initramfs of 3 kernels" in found.installed[3].virtio_blk.unknown


def test_a_kernel_header_that_points_anywhere_is_harmless() -> None:
    for pointer in (1, 0x3F00, 0xFFFF):
        image = bytearray(bzimage("6.1.1"))
        struct.pack_into("<H", image, 0x20E, pointer)
        assert read({"/boot/vmlinuz": bytes(image)}).default == "vmlinuz"


def test_names_that_cannot_be_shown_are_passed_over() -> None:
    found = read({"/boot/vmlinuz-6.1\udcff": b"", "/boot/vmlinuz-\x1b[2J": b"", "/lib/modules/6\udc80/kernel/": b""})
    assert found.installed == ()


class Failing(PhonyReader):
    """A reader of which nothing can be listed."""

    def names(self, directory: Node) -> Iterator[str]:
        raise ContentsError("the directory is damaged")


def test_a_boot_directory_that_cannot_be_read_is_unknown() -> None:
    found = kernels.read_kernels(Tree(Failing({"/boot/vmlinuz-6.1.1": b""})))
    assert found == Unknown("the directory is damaged")


PATHS = (
    "/boot/vmlinuz-6.1.1",
    "/boot/config-6.1.1",
    "/boot/initrd.img-6.1.1",
    "/lib/modules/6.1.1/modules.dep",
    "/lib/modules/6.1.1/modules.builtin",
    "/lib/modules/6.1.1/pkgbase",
    "/boot/loader/entries/a.conf",
    "/boot/efi/EFI/Linux/6.1.2.efi",
)


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.sampled_from(PATHS), st.binary(max_size=300), max_size=8), st.text(max_size=20))
def test_any_bytes_in_any_file_give_a_value(files: dict[str, bytes], default: str) -> None:
    read(files, default)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 0x400), st.integers(0, 255))
def test_any_changed_byte_of_a_unified_kernel_image_gives_a_value(position: int, value: int) -> None:
    image = bytearray(uki("6.1.2", initramfs("6.1.2", "nvme")))
    image[position] = value
    read({"/efi/EFI/Linux/a.efi": bytes(image)})


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=300), st.text(max_size=300))
def test_any_two_versions_have_an_order(first: str, second: str) -> None:
    assert (_images.version_key(first) < _images.version_key(second)) in (True, False)
