"""Whole guests as the distributions install them: what boots by itself, from where, and what is missing."""

from collections.abc import Callable, Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from preflight.contents import ContentsError
from preflight.guest_facts import BootEntry, BootLoader
from preflight.guests.boot import read_boot_loader
from tests.contents.phony import Content, Link, tree
from tests.guests import boot_configs as configs
from tests.guests.boot_sectors import (
    FREEBSD_PMBR,
    GRUB_2,
    GRUB_LEGACY,
    LILO,
    NO_CODE,
    SYSLINUX_MBR,
    WINDOWS_7,
    pe,
    unified_kernel,
)

Files = Mapping[str, Content]
ROOT = "partition 1"


def resolver(*names: str) -> Callable[[str], str | None]:
    """What knows these names, and nothing else."""
    return dict.fromkeys(names, ROOT).get


DEBIAN = resolver(f"UUID={configs.DEBIAN_UUID}")
BOOT = f"UUID={configs.BOOT_UUID}"


def read(
    files: Files,
    esp: Files | None = None,
    *,
    sector: bytes = GRUB_2,
    resolve: Callable[[str], str | None] = DEBIAN,
    others: tuple[Files, ...] = (),
) -> BootLoader:
    esps = [tree(esp)] if esp is not None else []
    return read_boot_loader(tree(files), esps, sector, resolve, [tree(other) for other in others])


def default(loader: BootLoader) -> BootEntry:
    assert loader.default is not None
    return loader.entries[loader.default]


DEBIAN_ESP: dict[str, Content] = {
    "/EFI/BOOT/BOOTX64.EFI": pe(0x8664),
    "/EFI/BOOT/fbx64.efi": pe(0x8664),
    "/EFI/debian/shimx64.efi": pe(0x8664),
    "/EFI/debian/mmx64.efi": pe(0x8664),
    "/EFI/debian/grubx64.efi": pe(0x8664),
    "/EFI/debian/BOOTX64.CSV": b"",
    "/EFI/debian/grub.cfg": configs.DEBIAN_STUB,
}


def test_debian_12_boots_from_both_firmwares_by_one_configuration() -> None:
    found = read({"/boot/grub/grub.cfg": configs.DEBIAN_12}, DEBIAN_ESP)
    assert found.names == ("grub2", "shim")
    assert found.bios_boot_code == "grub"
    assert found.efi_loaders == (
        "EFI/BOOT/BOOTX64.EFI",
        "EFI/debian/grubx64.efi",
        "EFI/debian/shimx64.efi",
    )
    assert found.efi_fallback == ("EFI/BOOT/BOOTX64.EFI",)
    assert [entry.title for entry in found.entries] == [
        "Debian GNU/Linux",
        "Debian GNU/Linux, with Linux 6.1.0-18-amd64",
        "Debian GNU/Linux, with Linux 6.1.0-18-amd64 (recovery mode)",
    ]
    entry = default(found)
    assert found.default == 0
    assert entry.kernel == "/boot/vmlinuz-6.1.0-18-amd64"
    assert entry.initramfs == ("/boot/initrd.img-6.1.0-18-amd64",)
    assert entry.root == f"UUID={configs.DEBIAN_UUID}"
    assert entry.root_on == ROOT
    assert entry.options.startswith(f"root=UUID={configs.DEBIAN_UUID} ro console=tty0 console=ttyS0,115200 ")
    assert entry.read_from == "/boot/grub/grub.cfg"
    assert found.missing_uuids == ()
    assert found.serial_console
    assert found.read_from == ("/boot/grub/grub.cfg", "EFI/debian/grub.cfg")


@pytest.mark.parametrize(
    ("saved", "title"),
    [
        ("1>1", "Debian GNU/Linux, with Linux 6.1.0-18-amd64 (recovery mode)"),
        (
            f"gnulinux-advanced-{configs.DEBIAN_UUID}>gnulinux-6.1.0-18-amd64-recovery-{configs.DEBIAN_UUID}",
            "Debian GNU/Linux, with Linux 6.1.0-18-amd64 (recovery mode)",
        ),
        (
            "Advanced options for Debian GNU/Linux>Debian GNU/Linux, with Linux 6.1.0-18-amd64",
            "Debian GNU/Linux, with Linux 6.1.0-18-amd64",
        ),
        ("1", "Debian GNU/Linux, with Linux 6.1.0-18-amd64"),
        ("7", "Debian GNU/Linux"),
        ("no such entry", "Debian GNU/Linux"),
    ],
)
def test_a_default_names_entries_by_index_id_or_title_through_submenus(saved: str, title: str) -> None:
    text = configs.DEBIAN_12.replace('set default="0"', 'set default="${saved_entry}"')
    files: dict[str, Content] = {"/boot/grub/grub.cfg": text, "/boot/grub/grubenv": configs.grubenv(saved_entry=saved)}
    assert default(read(files)).title == title


def test_a_stale_root_is_missing_once() -> None:
    found = read({"/boot/grub/grub.cfg": configs.DEBIAN_12}, DEBIAN_ESP, resolve=resolver())
    assert found.missing_uuids == (configs.DEBIAN_UUID,)
    assert default(found).root_on is None


def test_a_stale_stub_on_the_esp_is_missing() -> None:
    esp: dict[str, Content] = {**DEBIAN_ESP, "/EFI/debian/grub.cfg": "search.fs_uuid 01234567-stale root hd0,gpt1\n"}
    assert read({"/boot/grub/grub.cfg": configs.DEBIAN_12}, esp).missing_uuids == ("01234567-stale",)


def test_a_firmware_that_only_has_vendor_loaders_has_no_fallback() -> None:
    esp: dict[str, Content] = {path: content for path, content in DEBIAN_ESP.items() if "BOOT/" not in path}
    found = read({"/boot/grub/grub.cfg": configs.DEBIAN_12}, esp, sector=NO_CODE)
    assert found.bios_boot_code is None
    assert found.efi_loaders == ("EFI/debian/grubx64.efi", "EFI/debian/shimx64.efi")
    assert found.efi_fallback == ()


def test_ubuntu_cloud_image_boots_without_initrd_and_ignores_the_menu_of_pv_grub() -> None:
    part = "PARTUUID=11112222-3333-4444-5555-666677778888"
    resolve = resolver("LABEL=cloudimg-rootfs", part, BOOT)
    leftover = "default 0\ntitle pv-grub\nuuid 99999999-gone\nkernel /vmlinuz root=LABEL=gone console=hvc0\n"
    files: dict[str, Content] = {"/boot/grub/grub.cfg": configs.UBUNTU_2204_CLOUD, "/boot/grub/menu.lst": leftover}
    found = read(files, resolve=resolve)
    assert found.names == ("grub2",)
    assert [entry.root for entry in found.entries] == [part, "LABEL=cloudimg-rootfs"]
    assert default(found).initramfs == ()
    assert found.missing_uuids == ()
    assert found.serial_console
    assert read(files, resolve=resolver(BOOT)).missing_uuids == (
        "11112222-3333-4444-5555-666677778888",
        "cloudimg-rootfs",
    )


def test_centos_7_boots_its_saved_entry() -> None:
    saved = "CentOS Linux (3.10.0-1160.el7.x86_64) 7 (Core)"
    files: dict[str, Content] = {
        "/boot/grub2/grub.cfg": configs.CENTOS_7,
        "/boot/grub2/grubenv": configs.grubenv(saved_entry=saved),
        "/boot/grub/splash.xpm.gz": b"",
    }
    found = read(files, resolve=resolver("/dev/mapper/centos-root", BOOT))
    assert default(found).title == saved
    assert default(found).kernel == "/vmlinuz-3.10.0-1160.el7.x86_64"
    assert default(found).initramfs == ("/initramfs-3.10.0-1160.el7.x86_64.img",)
    assert default(found).root == "/dev/mapper/centos-root"
    assert default(found).root_on == ROOT
    assert found.missing_uuids == ()
    assert not found.serial_console
    assert found.read_from == ("/boot/grub2/grubenv", "/boot/grub2/grub.cfg")
    assert found.entries[1].title == "CentOS Linux (0-rescue-9cff) 7 (Core)"


MACHINE = "4e1f2e3d4c5b6a798897a6b5c4d3e2f1"


def rhel_entries(options: str) -> dict[str, Content]:
    return {
        f"/boot/loader/entries/{MACHINE}-{version}.conf": configs.bls(version, f"RHEL ({version})", options)
        for version in (
            "0-rescue",
            "4.18.0-80.el8.x86_64",
            "4.18.0-80.11.2.el8_0.x86_64",
            "4.18.0-147.el8.x86_64",
        )
    }


def test_rhel_8_sorts_its_loader_entries_as_rpm_sorts_versions() -> None:
    files: dict[str, Content] = {
        "/boot/grub2/grub.cfg": configs.RHEL_8,
        "/boot/grub2/grubenv": configs.grubenv(
            kernelopts="root=/dev/mapper/rhel-root ro console=ttyS0 ",
            saved_entry=f"{MACHINE}-4.18.0-80.11.2.el8_0.x86_64",
        ),
        **rhel_entries("$kernelopts $tuned_params"),
    }
    found = read(files, resolve=resolver("/dev/mapper/rhel-root", BOOT))
    assert [entry.title for entry in found.entries] == [
        "RHEL (4.18.0-147.el8.x86_64)",
        "RHEL (4.18.0-80.11.2.el8_0.x86_64)",
        "RHEL (4.18.0-80.el8.x86_64)",
        "RHEL (0-rescue)",
    ]
    assert found.default == 1
    assert default(found).options == "root=/dev/mapper/rhel-root ro console=ttyS0"
    assert default(found).initramfs == ("/initramfs-4.18.0-80.11.2.el8_0.x86_64.img",)
    assert default(found).root_on == ROOT
    assert found.missing_uuids == ()
    assert found.names == ("grub2",)
    assert found.serial_console


def test_rhel_8_without_an_environment_block_takes_the_options_of_grub_cfg() -> None:
    files: dict[str, Content] = {"/boot/grub2/grub.cfg": configs.RHEL_8, **rhel_entries("$kernelopts")}
    found = read(files, resolve=resolver(BOOT))
    assert found.default == 0
    assert default(found).root == "/dev/mapper/rhel-stale"
    assert default(found).root_on is None


def test_rhel_8_for_uefi_has_its_configuration_on_the_esp_and_its_entries_below_boot() -> None:
    esp: dict[str, Content] = {
        "/EFI/redhat/grub.cfg": configs.RHEL_8,
        "/EFI/redhat/grubenv": configs.grubenv(kernelopts="root=UUID=0a1b2c3d-1111-4222-8333-444455556666 ro"),
        "/EFI/redhat/grubx64.efi": pe(0x8664),
        "/EFI/BOOT/BOOTX64.EFI": pe(0x8664),
    }
    files: dict[str, Content] = {
        "/boot/grub2/grubenv": Link("../efi/EFI/redhat/grubenv"),
        **rhel_entries("$kernelopts"),
    }
    found = read(files, esp, sector=NO_CODE, resolve=resolver(f"UUID={configs.DEBIAN_UUID}", BOOT))
    assert len(found.entries) == 4
    assert default(found).root_on == ROOT
    assert default(found).read_from == f"/boot/loader/entries/{MACHINE}-4.18.0-147.el8.x86_64.conf"
    assert "EFI/redhat/grub.cfg" in found.read_from


def test_rhel_9_and_fedora_have_their_options_in_the_entries() -> None:
    version = "6.8.5-301.fc40.x86_64"
    entry = configs.bls(
        version, "Fedora Linux 40", f"root=UUID={configs.DEBIAN_UUID} ro rootflags=subvol=root console=ttyS0"
    )
    files: dict[str, Content] = {
        "/boot/grub2/grub.cfg": configs.RHEL_8,
        f"/boot/loader/entries/{MACHINE}-{version}.conf": entry,
    }
    esp: dict[str, Content] = {
        "/EFI/fedora/grub.cfg": f"search --no-floppy --root-dev-only --fs-uuid --set=dev {configs.BOOT_UUID}\n"
        "set prefix=($dev)/grub2\nexport $prefix\nconfigfile $prefix/grub.cfg\n",
        "/EFI/fedora/shimx64.efi": pe(0x8664),
        "/EFI/BOOT/BOOTX64.EFI": pe(0x8664),
    }
    found = read(files, esp, resolve=resolver(f"UUID={configs.DEBIAN_UUID}", BOOT))
    assert default(found).options.split()[2] == "rootflags=subvol=root"
    assert default(found).root_on == ROOT
    assert found.missing_uuids == ()


def test_opensuse_on_btrfs() -> None:
    snapshots = 'submenu "Snapshots" { menuentry "old" { configfile "/.snapshots/1/x.cfg" } }'
    files: dict[str, Content] = {"/boot/grub2/grub.cfg": configs.OPENSUSE, "/.snapshots/grub-snapshot.cfg": snapshots}
    found = read(files)
    assert [entry.title for entry in found.entries] == ["openSUSE Leap 15.5", "old"]
    assert found.default == 0
    assert default(found).options == (
        f"root=UUID={configs.DEBIAN_UUID} splash=silent mitigations=auto quiet security=apparmor"
    )
    assert found.missing_uuids == ()


def test_alibaba_cloud_linux_3() -> None:
    version = "5.10.134-16.al8.x86_64"
    options = f"root=UUID={configs.DEBIAN_UUID} ro quiet cgroup.memory=nokmem console=tty0 console=ttyS0,115200n8"
    files: dict[str, Content] = {
        "/boot/grub2/grub.cfg": configs.RHEL_8.replace(configs.BOOT_UUID, configs.DEBIAN_UUID),
        "/boot/grub2/grubenv": configs.grubenv(kernelopts=options),
        f"/boot/loader/entries/{MACHINE}-{version}.conf": configs.bls(
            version, "Alibaba Cloud Linux 3", "$kernelopts $tuned_params"
        ).replace("linux /", "linux /boot/"),
    }
    found = read(files)
    assert default(found).kernel == f"/boot/vmlinuz-{version}"
    assert default(found).options == options
    assert found.serial_console


def test_sles_11_boots_by_grub_legacy() -> None:
    found = read({"/boot/grub/menu.lst": configs.SLES_11}, sector=GRUB_LEGACY)
    assert found.names == ("grub-legacy",)
    assert found.default == 0
    assert default(found).kernel == "/boot/vmlinuz-3.0.101-63-default"
    assert default(found).root == "/dev/disk/by-id/ata-VBOX-part1"
    assert default(found).root_on is None
    assert found.missing_uuids == ()


def test_centos_6_boots_the_second_entry() -> None:
    files: dict[str, Content] = {"/boot/grub/grub.conf": configs.CENTOS_6, "/boot/grub/menu.lst": Link("./grub.conf")}
    found = read(files, sector=GRUB_LEGACY)
    assert found.default == 1
    assert default(found).kernel == "/vmlinuz-2.6.32-754.el6.x86_64"
    assert default(found).root_on == ROOT
    assert found.serial_console
    assert found.entries[0].root == "/dev/mapper/VolGroup-lv_root"


def test_centos_5_on_xen_loads_linux_as_a_module() -> None:
    found = read({"/boot/grub/menu.lst": configs.CENTOS_5_XEN}, sector=GRUB_LEGACY, resolve=resolver("LABEL=/"))
    assert default(found).kernel == "/vmlinuz-2.6.18-398.el5xen"
    assert default(found).initramfs == ("/initrd-2.6.18-398.el5xen.img",)
    assert default(found).root_on == ROOT
    assert found.entries[1].kernel is None


def test_grub_legacy_keeps_its_saved_default_in_a_file() -> None:
    text = configs.CENTOS_6.replace("default=1", "default saved")
    files: dict[str, Content] = {"/boot/grub/menu.lst": text, "/boot/grub/default": "1\n#\n#\n"}
    assert read(files, sector=GRUB_LEGACY).default == 1


def test_grub_legacy_of_debian_searches_by_uuid() -> None:
    text = "default 0\ntitle Ubuntu\nuuid 1234-stale\nkernel /vmlinuz root=UUID=1234-stale ro\n"
    assert read({"/boot/grub/menu.lst": text}, sector=GRUB_LEGACY).missing_uuids == ("1234-stale",)


def test_alpine_boots_by_extlinux() -> None:
    found = read({"/boot/extlinux.conf": configs.ALPINE}, sector=SYSLINUX_MBR)
    assert found.names == ("extlinux",)
    assert found.bios_boot_code == "syslinux"
    assert found.default == 1
    assert default(found).title == "Linux virt"
    assert default(found).kernel == "vmlinuz-virt"
    assert default(found).initramfs == ("initramfs-virt",)
    assert default(found).root_on == ROOT
    assert found.serial_console


def test_extlinux_of_debian_includes_a_file_and_names_its_default() -> None:
    files: dict[str, Content] = {
        "/boot/extlinux/extlinux.conf": "default l1\ninclude linux.cfg\nprompt 1\ntimeout 50\n",
        "/boot/extlinux/linux.cfg": (
            "include extlinux.conf\nlabel l0\n\tmenu label ^Debian\n\tlinux /boot/vmlinuz-6\n"
            "label l1\n\tkernel /boot/vmlinuz-5\n\tappend initrd=/boot/initrd-5 root=/dev/sda1 ro\n"
            "label mem\n\tkernel memdisk.c32\n"
        ),
    }
    found = read(files, sector=SYSLINUX_MBR, resolve=resolver("/dev/sda1"))
    assert [(entry.title, entry.kernel) for entry in found.entries] == [
        ("Debian", "/boot/vmlinuz-6"),
        ("l1", "/boot/vmlinuz-5"),
        ("mem", None),
    ]
    assert default(found).options == "root=/dev/sda1 ro"
    assert default(found).initramfs == ("/boot/initrd-5",)


def test_u_boot_reads_extlinux_too() -> None:
    files: dict[str, Content] = {
        "/boot/boot.scr": b"\x27\x05\x19\x56",
        "/boot/extlinux/extlinux.conf": "label a\nlinux /Image\nfdt /x.dtb\nappend root=LABEL=r\n",
    }
    found = read(files, sector=NO_CODE, resolve=resolver("LABEL=r"))
    assert found.names == ("extlinux", "u-boot")
    assert default(found).root_on == ROOT


def test_lilo_has_the_root_beside_the_command_line() -> None:
    text = (
        "boot=/dev/sda\nroot=/dev/sda1\nread-only\ndefault=new # comment\n"
        "image=/boot/vmlinuz.old\n  label=old\nimage=/boot/vmlinuz\n  label=new\n  initrd=/boot/i.gz\n"
        '  append="console=ttyS0 quiet"\nother=/dev/sda2\n  label=dos\n'
    )
    found = read({"/etc/lilo.conf": text}, sector=LILO, resolve=resolver("/dev/sda1"))
    assert found.names == ("lilo",)
    assert found.default == 1
    assert default(found).options == "root=/dev/sda1 ro console=ttyS0 quiet"
    assert default(found).root_on == ROOT
    assert found.entries[2].root is None


ARCH_ESP: dict[str, Content] = {
    "/EFI/BOOT/BOOTX64.EFI": pe(0x8664),
    "/EFI/systemd/systemd-bootx64.efi": pe(0x8664),
    "/loader/loader.conf": "#comment\ndefault  arch*.conf\ntimeout 3\n",
    "/loader/entries/arch.conf": (
        "title   Arch Linux\nlinux   /vmlinuz-linux\ninitrd  /intel-ucode.img\ninitrd  /initramfs-linux.img\n"
        f"options root=UUID={configs.DEBIAN_UUID} rw\noptions $literal console=ttyAMA0\n"
    ),
    "/loader/entries/zfallback.conf": "title Fallback\nlinux /vmlinuz-linux\noptions root=LABEL=gone\n",
}


def test_arch_boots_by_systemd_boot_with_the_esp_at_boot() -> None:
    found = read({f"/boot{path}": content for path, content in ARCH_ESP.items()}, ARCH_ESP, sector=NO_CODE)
    assert found.names == ("systemd-boot",)
    assert [entry.title for entry in found.entries] == ["Fallback", "Arch Linux"]
    entry = default(found)
    assert entry.title == "Arch Linux"
    assert entry.initramfs == ("/intel-ucode.img", "/initramfs-linux.img")
    assert entry.options == f"root=UUID={configs.DEBIAN_UUID} rw $literal console=ttyAMA0"
    assert entry.read_from == "loader/entries/arch.conf"
    assert found.missing_uuids == ("gone",)
    assert found.serial_console


def test_systemd_boot_takes_the_newest_entry_and_keeps_a_saved_one_to_itself() -> None:
    entries: dict[str, Content] = {
        f"/loader/entries/m-{version}.conf": configs.bls(version, version, "root=LABEL=r", sort_key="sort-key debian\n")
        for version in ("6.1.0-9", "6.1.0-10")
    }
    esp: dict[str, Content] = {"/EFI/BOOT/BOOTX64.EFI": pe(0x8664), "/loader/loader.conf": "timeout 3\n", **entries}
    assert default(read({}, esp, sector=NO_CODE)).title == "6.1.0-10"
    esp["/loader/loader.conf"] = "default @saved\n"
    assert read({}, esp, sector=NO_CODE).default is None


def test_unified_kernels_carry_their_command_line() -> None:
    image = unified_kernel(b"root=LABEL=r console=ttyS0\n\0", b'NAME=Fedora\nPRETTY_NAME="Fedora Linux 40"\n')
    esp: dict[str, Content] = {
        "/EFI/BOOT/BOOTX64.EFI": pe(0x8664),
        "/EFI/systemd/systemd-bootx64.efi": pe(0x8664),
        "/EFI/Linux/fedora-6.8.efi": image,
    }
    found = read({}, esp, sector=NO_CODE, resolve=resolver("LABEL=r"))
    assert default(found).title == "Fedora Linux 40"
    assert default(found).kernel == "EFI/Linux/fedora-6.8.efi"
    assert default(found).options == "root=LABEL=r console=ttyS0"
    assert default(found).root_on == ROOT


@pytest.mark.parametrize("slot", [configs.FLATCAR_SLOT, None])
def test_flatcar_boots_usr_a_and_misses_nothing(slot: str | None) -> None:
    esp: dict[str, Content] = {
        "/EFI/boot/bootx64.efi": pe(0x8664),
        "/EFI/boot/grubx64.efi": pe(0x8664),
        "/flatcar/grub/grub.cfg": configs.FLATCAR,
        "/flatcar/first_boot": b"",
        "/flatcar/vmlinuz-a": b"",
    }
    if slot:
        esp["/flatcar/load-a"] = slot
    found = read({"/usr/lib/os-release": ""}, esp, resolve=resolver("LABEL=ROOT"))
    assert [entry.title for entry in found.entries] == ["Flatcar default", "Flatcar USR-A", "Flatcar USR-B"]
    assert found.default == 0
    assert found.missing_uuids == ()
    assert found.efi_fallback == ("EFI/boot/bootx64.efi",)
    assert found.entries[1].root_on == ROOT
    if slot:
        entry = default(found)
        assert entry.kernel == "/flatcar/vmlinuz-a"
        assert entry.options == (
            "mount.usr=/dev/disk/by-partuuid/7130c94a-213a-4e5a-8e26-6cce9662f132 rootflags=rw mount.usrflags=ro "
            "consoleblank=0 root=LABEL=ROOT console=ttyS0,115200n8 console=tty0 flatcar.first_boot=detected"
        )
        assert found.serial_console


def test_fedora_coreos_has_boot_on_a_partition_that_nothing_mounts() -> None:
    boot: Files = {
        "/grub2/grub.cfg": configs.FCOS,
        "/ignition.firstboot": "",
        "/loader": Link("loader.1"),
        "/loader.1/entries/ostree-1-fedora-coreos.conf": configs.FCOS_ENTRY,
    }
    esp: dict[str, Content] = {"/EFI/fedora/grub.cfg": configs.FCOS_STUB, "/EFI/BOOT/BOOTX64.EFI": pe(0x8664)}
    found = read({"/boot/": b"", "/usr/": b""}, esp, resolve=resolver("LABEL=boot"), others=(esp, boot))
    assert default(found).root is None
    assert default(found).options.startswith("ignition.firstboot mitigations=auto,nosmt ostree=/ostree/boot.1/")
    assert default(found).kernel == "/ostree/fedora-coreos-6e3a/vmlinuz-6.8.5-301.fc40.x86_64"
    assert found.missing_uuids == ()
    assert found.serial_console
    assert read({}, esp, resolve=resolver(), others=(boot,)).missing_uuids == ("boot",)


def test_loader_entries_count_where_no_configuration_shows_them() -> None:
    environment = configs.grubenv(kernelopts="root=LABEL=r")
    found = read({"/boot/grub2/grubenv": environment, **rhel_entries("$kernelopts")}, resolve=resolver("LABEL=r"))
    assert found.default == 0
    assert default(found).root_on == ROOT


def test_windows_has_a_boot_manager_and_no_entries() -> None:
    reserved: dict[str, Content] = {"/bootmgr": b"", "/Boot/BCD": b"regf"}
    found = read({"/Windows/System32/": b""}, sector=WINDOWS_7, others=(reserved,))
    assert found.names == ("bootmgr",)
    assert found.bios_boot_code == "windows"
    assert (found.entries, found.default, found.missing_uuids, found.serial_console) == ((), None, (), False)
    esp: dict[str, Content] = {
        "/EFI/Microsoft/Boot/bootmgfw.efi": pe(0x8664),
        "/EFI/Microsoft/Boot/memtest.efi": pe(0x8664),
        "/EFI/Microsoft/Boot/BCD": b"",
        "/EFI/Boot/bootx64.efi": pe(0x8664),
    }
    found = read({"/Windows/": b""}, esp, sector=WINDOWS_7)
    assert found.names == ("bootmgr",)
    assert found.efi_loaders == ("EFI/Boot/bootx64.efi", "EFI/Microsoft/Boot/bootmgfw.efi")
    assert found.efi_fallback == ("EFI/Boot/bootx64.efi",)
    assert read({"/BOOTMGR": b"", "/Windows/": b""}, sector=WINDOWS_7).names == ("bootmgr",)


def test_freebsd_boots_by_its_own_loader() -> None:
    files: dict[str, Content] = {
        "/boot/loader": b"",
        "/boot/loader.efi": pe(0x8664),
        "/boot/kernel/kernel": b"",
        "/boot/loader.conf": '# x\nautoboot_delay="-1"\nconsole="comconsole,vidconsole"\n'
        'vfs.root.mountfrom="ufs:/dev/gpt/rootfs"\n',
    }
    esp: dict[str, Content] = {"/EFI/freebsd/loader.efi": pe(0x8664), "/EFI/BOOT/bootx64.efi": pe(0x8664)}
    found = read(files, esp, sector=FREEBSD_PMBR, resolve=resolver("/dev/gpt/rootfs"))
    assert found.names == ("freebsd",)
    assert found.bios_boot_code == "freebsd"
    assert default(found).kernel == "/boot/kernel/kernel"
    assert (default(found).root, default(found).root_on) == ("/dev/gpt/rootfs", ROOT)
    assert found.serial_console


def test_a_root_behind_a_key_is_not_missing() -> None:
    text = "menuentry a {\n linux /vmlinuz root=UUID=inside rd.luks.uuid=luks-1234\n}\n"
    assert read({"/boot/grub/grub.cfg": text}).missing_uuids == ()
    text = "cryptomount -u 1234\nsearch --fs-uuid --set=root inside\n"
    assert read({"/boot/grub/grub.cfg": text}).missing_uuids == ()


def test_resume_and_data_disks_are_not_missing() -> None:
    text = "menuentry a {\n linux /vmlinuz root=/dev/vda1 resume=UUID=gone\n}\n"
    found = read({"/boot/grub/grub.cfg": text}, resolve=resolver("/dev/vda1"))
    assert found.missing_uuids == ()
    assert default(found).root_on == ROOT


def test_the_last_root_counts_and_quotes_are_none_of_it() -> None:
    text = "menuentry a {\n linux /vmlinuz root=/dev/sda9 'root=LABEL=my root'\n}\n"
    found = read({"/boot/grub/grub.cfg": text}, resolve=resolver("LABEL=my root"))
    assert default(found).root == "LABEL=my root"
    assert default(found).root_on == ROOT


def test_a_leftover_of_another_loader_does_not_count() -> None:
    files: dict[str, Content] = {
        "/boot/grub/grub.cfg": configs.DEBIAN_12,
        "/etc/lilo.conf": "image=/v\nlabel=a\nroot=LABEL=gone\n",
        "/boot/extlinux/extlinux.conf": "label a\nlinux /v\nappend root=LABEL=gone\n",
    }
    assert read(files).missing_uuids == ()
    assert read(files, sector=SYSLINUX_MBR).missing_uuids == ("gone",)
    assert read(files, sector=SYSLINUX_MBR).names == ("extlinux",)


def test_a_disk_without_any_loader_has_no_facts_and_no_defects() -> None:
    found = read({"/etc/fstab": ""}, sector=bytes(512))
    assert found == BootLoader((), None, (), (), (), None, (), False, ())


def test_a_configuration_that_is_too_long_is_an_error() -> None:
    with pytest.raises(ContentsError, match="at most"):
        read({"/boot/grub/grub.cfg": "\n" * 10**6})


TOKENS = [
    "if",
    "then",
    "else",
    "elif",
    "fi",
    "{",
    "}",
    "menuentry",
    "submenu",
    "function",
    "f",
    "search",
    "--set=root",
    "--fs-uuid",
    "'a'",
    '"$b"',
    "$c",
    ";",
    "linux",
    "initrd",
    "blscfg",
    "set",
    "default=1>0",
    "source",
    "/boot/grub/menu.lst",
    "title",
    "kernel",
    "label",
    "append",
    "image=",
    "default",
    "options",
    "root=UUID=x",
    "for",
    "in",
    "do",
    "done",
    "while",
    "[",
    "]",
    "-f",
    "(",
    "'",
    '"',
    "\\",
    "#",
    "${",
]


@settings(max_examples=150, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(
            [
                "/boot/grub/grub.cfg",
                "/boot/grub2/grubenv",
                "/boot/grub/menu.lst",
                "/boot/grub/default",
                "/boot/loader/entries/a-1.conf",
                "/boot/extlinux/extlinux.conf",
                "/etc/lilo.conf",
                "/boot/loader.conf",
                "/EFI/Linux/a.efi",
                "/EFI/BOOT/BOOTX64.EFI",
                "/EFI/debian/grub.cfg",
                "/loader/loader.conf",
                "/loader/entries/b.conf",
            ]
        ),
        st.one_of(
            st.binary(max_size=200),
            st.lists(
                st.sampled_from([*TOKENS, "\n"]),
                max_size=40,
            ).map(lambda found: " ".join(found).encode()),
        ),
    ),
    st.sampled_from([GRUB_2, GRUB_LEGACY, SYSLINUX_MBR, LILO, NO_CODE, FREEBSD_PMBR]),
)
def test_any_bytes_give_a_value(files: dict[str, bytes], sector: bytes) -> None:
    found = read(files, files, sector=sector)
    assert found.default is None or found.default < len(found.entries)
