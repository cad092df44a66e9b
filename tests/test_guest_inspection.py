"""The guest of the committed image, and guests on real file systems, as an inspection sees them."""

import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import pytest

from preflight import guest_inspection
from preflight.facts import Image, Unknown
from preflight.guest_facts import BootLoader, CloudInit, Fstab, Guest, Kernels, Network, Services
from preflight.inspection import inspect
from tests.tools import run, sparse

FIXTURES = Path(__file__).parent.parent / "fixtures"
ACCEPTED = FIXTURES / "images" / "accepted.qcow2"
ROOT_UUID = "6d1d1b1e-0000-4000-8000-000000000021"


def guest_of(path: Path) -> Guest:
    guest = inspect(str(path)).guest
    assert isinstance(guest, Guest)
    return guest


def test_the_accepted_image_is_known_from_sector_to_network() -> None:
    image = inspect(str(ACCEPTED))
    guest = image.guest
    assert isinstance(guest, Guest)
    assert (guest.os_type, guest.distro, guest.version, guest.architecture) == ("linux", "debian", "12.5", "x86_64")
    assert (guest.boot_modes, guest.root) == (("bios", "uefi"), "partition 3")
    assert {entry.on: entry.mount_point for entry in image.filesystems} == {
        "partition 2": "/boot/efi",
        "partition 3": "/",
    }
    assert isinstance(guest.fstab, Fstab)
    assert [(entry.spec, entry.on) for entry in guest.fstab.entries] == [
        (f"UUID={ROOT_UUID}", "partition 3"),
        ("UUID=1234-ABCD", "partition 2"),
    ]
    assert isinstance(guest.boot_loader, BootLoader)
    assert (guest.boot_loader.names, guest.boot_loader.missing_uuids) == (("grub2",), ())
    assert guest.boot_loader.entries[0].root_on == "partition 3"
    assert isinstance(guest.kernels, Kernels)
    assert guest.kernels.installed[0].config["CONFIG_FW_CFG_SYSFS"] == "y"
    assert isinstance(guest.cloud_init, CloudInit)
    assert guest.cloud_init.datasources == ("AliYun", "None")
    assert isinstance(guest.network, Network)
    assert [(entry.name, entry.method) for entry in guest.network.interfaces] == [("eth0", "dhcp")]
    assert isinstance(guest.services, Services)
    assert guest.services.sshd
    assert image.problems == ()


def test_the_guest_is_not_read_where_it_is_not_asked_for() -> None:
    image = inspect(str(ACCEPTED), guest=False)
    assert isinstance(image.guest, Unknown)
    assert all(entry.mount_point is None for entry in image.filesystems)


@pytest.mark.parametrize("kind", ["ext2", "ext4", "btrfs"])
def test_the_same_tree_is_the_same_guest_on_every_file_system(tmp_path: Path, kind: str) -> None:
    tree, disk = tmp_path / "tree", sparse(tmp_path / "disk", 256 << 20)
    shutil.copytree(FIXTURES / "guests" / "debian-12", tree)
    (tree / "boot" / "vmlinuz-6.1.0-18-amd64").write_bytes(bytes(512))
    if kind == "btrfs":
        run("mkfs.btrfs", "-q", "-U", ROOT_UUID, "--rootdir", tree, disk)
    else:
        run("mke2fs", "-q", "-t", kind, "-U", ROOT_UUID, "-d", tree, disk)
    guest = guest_of(disk)
    assert (guest.distro, guest.version, guest.root) == ("debian", "12.5", "disk")
    assert isinstance(guest.kernels, Kernels)
    assert guest.kernels.installed[0].config["CONFIG_VIRTIO_BLK"] == "y"
    assert isinstance(guest.architecture, Unknown)  # the tree has no binary


def test_a_disk_with_files_and_no_system_has_no_guest(tmp_path: Path) -> None:
    tree, disk = tmp_path / "tree", sparse(tmp_path / "disk", 64 << 20)
    (tree / "data").mkdir(parents=True)
    run("mke2fs", "-q", "-t", "ext4", "-d", tree, disk)
    assert inspect(str(disk)).guest is None


def test_freebsd_is_known_by_its_partition(tmp_path: Path) -> None:
    disk = sparse(tmp_path / "disk", 64 << 20)
    run("sgdisk", "--new=1:2048:0", "--typecode=1:a503", disk)
    with disk.open("r+b") as file:
        file.seek((1 << 20) + 65536 + 1372)
        file.write((0x19540119).to_bytes(4, "little"))
        file.seek((1 << 20) + 65536 + 52)
        file.write((4096).to_bytes(4, "little"))
    guest = guest_of(disk)
    assert (guest.os_type, guest.distro) == ("freebsd", "freebsd")
    assert guest.boot_modes == ()  # sector 0 and the partitions tell, whatever is not read of the root
    assert isinstance(guest.version, Unknown)


def test_an_encrypted_root_is_unknown(tmp_path: Path) -> None:
    disk, key = sparse(tmp_path / "disk", 64 << 20), tmp_path / "key"
    key.write_text("secret")
    command = "cryptsetup luksFormat --batch-mode --pbkdf pbkdf2 --pbkdf-force-iterations 1000 --key-file"
    run(*command.split(), key, disk)
    raw = sparse(tmp_path / "raw", 66 << 20)
    run("sgdisk", "--new=1:2048:0", raw)
    with raw.open("r+b") as file:
        file.seek(1 << 20)
        file.write(disk.read_bytes()[: 64 << 20])
    guest = inspect(str(raw)).guest
    assert isinstance(guest, Unknown)
    assert "crypto_LUKS" in guest.unknown


def crash(*_: Any) -> NoReturn:
    os.kill(os.getpid(), signal.SIGSEGV)
    raise AssertionError


def loop(*_: Any) -> NoReturn:
    while True:
        pass


def eat(*_: Any) -> NoReturn:
    kept = []
    while True:
        kept.append(bytearray(1 << 20))


@pytest.mark.parametrize("work", [crash, loop, eat])
def test_a_reader_that_fails_costs_its_own_facts_only(
    work: Callable[..., NoReturn], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guest_inspection, "read_network", work)
    started = time.monotonic()
    image: Image = inspect(str(ACCEPTED))
    assert time.monotonic() - started < 60  # its processor time is bounded; how long that takes is up to the host
    guest = image.guest
    assert isinstance(guest, Guest)
    assert isinstance(guest.network, Unknown)
    assert guest.distro == "debian"
    assert isinstance(guest.services, Services)
    assert not isinstance(guest.security, Unknown)
    assert len(image.filesystems) == 2


def test_a_reader_that_cannot_find_the_root_leaves_the_layout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("preflight.guest_files.read_identity", crash)
    image = inspect(str(ACCEPTED))
    assert isinstance(image.guest, Unknown)
    assert "SIGSEGV" in image.guest.unknown
    assert len(image.partitions) == 3
