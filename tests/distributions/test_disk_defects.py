"""Defects of the disk's layout and of what mounts and boots, in recipes of several families."""

from pathlib import Path

import pytest

from preflight.verdicts import Declared
from tests.distributions.defects import (
    ROOT,
    STALE,
    SWAP,
    added,
    architecture,
    changed,
    directory,
    immutable,
    initramfs_without,
    lvm,
    no_boot_code,
    no_kernel,
    root_options,
    swap,
    text,
)
from tests.distributions.planting import Defect, is_found

FSTAB = "/etc/fstab"
DEBIAN_MENU = "/boot/grub/grub.cfg"
RHEL_9_ENTRY = "/boot/loader/entries/ffffffffffffffffffffffffffffffff-5.14.0-362.8.1.el9_3.x86_64.conf"
DEAD = "UUID=dead0000-0000-4000-8000-000000000001"
VIRTIO = ("virtio_blk", "virtio_net", "virtio_scsi")

DEFECTS = {
    # /etc/fstab
    "the root by the name of a SCSI disk": Defect(
        "debian-9", "qcow2", (changed(FSTAB, f"UUID={ROOT}", "/dev/sda1"),),
        {"fstab-by-foreign-device-name": "error"},
    ),
    "the root by the name of a SCSI disk, on XFS": Defect(
        "rhel-7", "dynamic VHD", (changed(FSTAB, f"UUID={ROOT}", "/dev/sda1"),),
        {"fstab-by-foreign-device-name": "error"},
    ),
    "the root by the name of an instance's disk": Defect(
        "ubuntu-16.04", "raw", (changed(FSTAB, "LABEL=cloudimg-rootfs", "/dev/vda1"),),
        {"fstab-by-device-name": "warning"},
    ),
    "the root by the name of an instance's disk, on XFS": Defect(
        "sles-15", "fixed VHD", (changed(FSTAB, f"UUID={ROOT} / ", "/dev/vda3 / "),),
        {"fstab-by-device-name": "warning"},
    ),
    "a UUID that nothing has, for /home": Defect(
        "ubuntu-22.04", "qcow2", (added(FSTAB, f"{DEAD} /home ext4 defaults 0 2"),),
        {"fstab-names-missing-device": "error"},
    ),
    "a UUID that nothing has, for /var/lib": Defect(
        "rocky-9", "raw", (added(FSTAB, f"{DEAD} /var/lib xfs defaults 0 0"),),
        {"fstab-names-missing-device": "error"},
    ),
    "a data disk": Defect(
        "almalinux-8", "dynamic VHD", (added(FSTAB, f"{DEAD} /data xfs defaults 0 0"),),
        {"fstab-mounts-data-disk": "error"},
    ),
    "a data disk by its name": Defect(
        "alpine-3.19", "qcow2", (added(FSTAB, "/dev/vdb1 /srv/data ext4 defaults 0 2"),),
        {"fstab-mounts-data-disk": "error"},
    ),
    "a data disk that may be absent": Defect(
        "ubuntu-24.04", "qcow2", (added(FSTAB, f"{DEAD} /data ext4 defaults,nofail 0 2"),)
    ),
    "a disk that is mounted by hand": Defect(
        "alinux-3", "raw",
        (
            added(FSTAB, f"{DEAD} /mnt/backup ext4 noauto 0 0"),
            added(FSTAB, "/dev/sr0 /mnt/cdrom iso9660 ro,noauto 0 0"),
        ),
    ),
    "shares, virtual and bound file systems": Defect(
        "debian-12", "raw",
        (
            added(FSTAB, "nas:/export /srv/nas nfs defaults,_netdev 0 0"),
            added(FSTAB, "tmpfs /tmp tmpfs defaults,size=2g 0 0"),
            added(FSTAB, "/srv/a /srv/b none bind 0 0"),
            added(FSTAB, "//nas/share /srv/share cifs credentials=/root/c 0 0"),
        ),
    ),
    "quotas": Defect("centos-stream-8", "qcow2", (changed(FSTAB, "defaults", "defaults,usrquota,grpquota"),)),
    "a swap file": Defect(
        "ubuntu-20.04", "raw", (added(FSTAB, "/swapfile none swap sw 0 0"),), facts={"swap": ["/swapfile"]}
    ),
    "a swap that is gone": Defect(
        "centos-7", "qcow2", (added(FSTAB, f"{DEAD} swap swap defaults 0 0"),), {"fstab-names-missing-device": "error"}
    ),
    # swap partitions
    "a swap partition": Defect(
        "debian-9", "raw", (swap(),), {"swap-partition": "warning"},
        facts={"swap": ["partition 4"], "hibernated": False},
    ),
    "a swap partition behind the root": Defect(
        "rhel-9", "qcow2", (swap(behind=True),), {"swap-partition": "warning", "root-not-last": "warning"}
    ),
    "a suspended system": Defect(
        "debian-9", "qcow2", (swap(suspended=True),), {"swap-partition": "warning", "suspended-guest": "warning"},
        facts={"hibernated": True},
    ),
    "a suspended system, on GPT": Defect(
        "ubuntu-22.04", "dynamic VHD", (swap(suspended=True),),
        {"swap-partition": "warning", "suspended-guest": "warning"},
    ),
    "encrypted swap": Defect(
        "debian-9", "raw",
        (
            swap(),
            changed(FSTAB, f"UUID={SWAP} swap", "/dev/mapper/cryptswap1 none"),
            text("/etc/crypttab", f"cryptswap1 UUID={SWAP} /dev/urandom swap,offset=1024,cipher=aes-xts-plain64\n"),
        ),
        {"swap-partition": "warning"},
    ),
    # file systems and volumes
    "LVM as anaconda makes it": Defect(
        "rhel-7", "qcow2", (lvm("rhel", "rhel", "root"),), {"lvm-partitions": "warning"},
        facts={"root": "volume rhel/root", "root_arg": "/dev/mapper/rhel-root", "root_arg_on": "volume rhel/root"},
    ),
    "LVM as subiquity makes it": Defect(
        "ubuntu-24.04", "raw", (lvm("ubuntu", "ubuntu-vg", "ubuntu-lv"),), {"lvm-partitions": "warning"},
        facts={"root": "volume ubuntu-vg/ubuntu-lv", "root_arg": "/dev/mapper/ubuntu--vg-ubuntu--lv"},
    ),
    "project quotas": Defect(
        "debian-12", "qcow2", (root_options("-O", "quota,project", "-I", "256"),),
        {"conflicting-filesystem-features": "warning"},
    ),
    "project quotas, on an MBR": Defect(
        "alinux-2", "raw", (root_options("-O", "quota,project", "-I", "256"),),
        {"conflicting-filesystem-features": "warning"},
    ),
    "an immutable shadow": Defect("debian-11", "raw", (immutable("/etc/shadow"),), {"shadow-file-immutable": "error"}),
    "an immutable shadow, on XFS": Defect(
        "rhel-9", "dynamic VHD", (immutable("/etc/shadow"),), {"shadow-file-immutable": "error"}
    ),
    # what boots
    "a root that the menu no longer fits": Defect(
        "debian-9", "fixed VHD", (changed(DEBIAN_MENU, f"root=UUID={ROOT}", f"root=UUID={STALE}"),),
        {"stale-boot-root": "error"},
    ),
    "a root that a loader entry no longer fits": Defect(
        "rhel-9", "compressed qcow2", (changed(RHEL_9_ENTRY, ROOT, STALE),), {"stale-boot-root": "error"},
    ),
    "a root that the menu of GRUB Legacy no longer fits": Defect(
        "centos-6", "raw", (changed("/boot/grub/grub.conf", ROOT, STALE),), {"stale-boot-root": "error"},
    ),
    "a root that grubenv no longer fits": Defect(
        "rhel-8", "qcow2", (changed("/boot/efi/EFI/redhat/grubenv", ROOT, STALE),), {"stale-boot-root": "error"},
    ),
    "a root by the name of a SCSI disk": Defect(
        "ubuntu-22.04", "dynamic VHD", (changed(DEBIAN_MENU, "root=LABEL=cloudimg-rootfs", "root=/dev/sda1"),),
        {"boot-root-by-device-name": "error"},
    ),
    "a root by the name of a SCSI disk, for extlinux": Defect(
        "alpine-3.19", "qcow2", (changed("/boot/extlinux.conf", "root=LABEL=/", "root=/dev/sda1"),),
        {"boot-root-by-device-name": "error"},
    ),
    "a root by the name of an instance's disk": Defect(
        "centos-5", "raw", (changed("/boot/grub/grub.conf", "root=LABEL=/", "root=/dev/vda1"),),
        {"boot-root-by-instance-device-name": "warning"},
    ),
    "a root by the name of an instance's disk, on btrfs": Defect(
        "arch", "qcow2", (changed(DEBIAN_MENU, f"root=UUID={ROOT}", "root=/dev/vda3"),),
        {"boot-root-by-instance-device-name": "warning"},
    ),
    "no kernel": Defect("debian-12", "qcow2", (no_kernel,), {"no-kernel": "error"},
        undetermined=("virtio-driver-missing", "virtio-driver-left-to-cloud", "nvme-driver-missing")),
    "no kernel, on XFS": Defect("rocky-8", "raw", (no_kernel,), {"no-kernel": "error"},
        undetermined=("virtio-driver-missing", "virtio-driver-left-to-cloud", "nvme-driver-missing")),
    "no boot code": Defect("debian-9", "raw", (no_boot_code,), {"no-boot-loader": "error"}, facts={"boot_modes": []}),
    "no boot code of extlinux": Defect("alpine-3.19", "raw", (no_boot_code,), {"no-boot-loader": "error"}),
    "UEFI for a disk that starts from a BIOS": Defect(
        "debian-9", "qcow2", (), {"boot-mode-differs": "error"}, declared=Declared(boot_mode="UEFI")
    ),
    "UEFI for a disk that starts from a BIOS, on XFS": Defect(
        "centos-7", "raw", (), {"boot-mode-differs": "error"}, declared=Declared(boot_mode="UEFI")
    ),
    "BIOS for a disk that starts by UEFI": Defect(
        "rhel-9", "qcow2", (no_boot_code,), {"boot-mode-differs": "error"}, declared=Declared(boot_mode="BIOS"),
        facts={"boot_modes": ["uefi"]},
    ),
    "BIOS for arm64": Defect(
        "ubuntu-22.04-arm64", "raw", (), {"boot-mode-differs": "error", "boot-mode-of-architecture": "error"},
        declared=Declared(boot_mode="BIOS"),
    ),
    # drivers
    "no virtio where the cloud brings it in": Defect(
        "debian-12", "raw", (initramfs_without("virtio_blk"),), {"virtio-driver-left-to-cloud": "warning"},
        facts={"virtio": ["module", "initramfs", "initramfs", "initramfs"]},
    ),
    "no virtio where the cloud brings it in, on XFS": Defect(
        "centos-7", "qcow2", (initramfs_without("virtio", "virtio_pci", *VIRTIO),),
        {"virtio-driver-left-to-cloud": "warning"}, facts={"virtio": ["module"] * 4},
    ),
    "no virtio where it is the guest's own affair": Defect(
        "rocky-9", "dynamic VHD", (initramfs_without(*VIRTIO),), {"virtio-driver-missing": "error"},
        facts={"virtio": ["module", "module", "built-in", "module"]},
    ),
    "no virtio where it is the guest's own affair, on btrfs": Defect(
        "arch", "raw", (initramfs_without("virtio_blk"),), {"virtio-driver-missing": "error"}
    ),
    "no virtio where it is the guest's own affair, of BusyBox": Defect(
        "alpine-3.19", "raw", (initramfs_without("virtio_blk"),), {"virtio-driver-missing": "error"}
    ),
    "no NVMe": Defect(
        "sles-15", "qcow2", (initramfs_without("nvme"),), {"nvme-driver-missing": "warning"}, facts={"nvme": "module"}
    ),
    "no NVMe, on ext4": Defect("ubuntu-18.04", "raw", (initramfs_without("nvme"),), {"nvme-driver-missing": "warning"}),
    # processors
    "32 bits": Defect("debian-9", "qcow2", (architecture("i386"),), {"guest-of-32-bits": "info"}),
    "32 bits, of BusyBox": Defect("alpine-3.19", "raw", (architecture("i386"),), {"guest-of-32-bits": "info"}),
    # the custom platform
    "a custom platform that is prepared": Defect(
        "debian-9", "raw", (directory("/aliyun_custom_image"),), declared=Declared(platform="Customized Linux"),
        undetermined=("customized-linux-unprepared",),
    ),
    "a custom platform that is not": Defect(
        "alpine-3.19", "qcow2", (), {"customized-linux-unprepared": "error"}, gone=("platform-without-own-value",),
        declared=Declared(platform="Customized Linux"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", DEFECTS)
def test_a_planted_defect_is_found_and_nothing_else(name: str, tmp_path: Path) -> None:
    is_found(DEFECTS[name], tmp_path)
