"""What the profiles say of disks with a real guest: nothing of what is sound, and each defect by its rule."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from preflight.checking import resolve_role
from preflight.facts import Image
from preflight.inspection import inspect
from preflight.units import MiB
from preflight.verdicts import Declared
from tests import builders
from tests.real import layouts
from tests.real.conftest import Made
from tests.tools import run

pytestmark = pytest.mark.real

AGENTS = {"cloud-assistant-missing": "info", "security-center-agent-missing": "info"}
SMALL = {"system-disk-below-advised-size": "info"}  # less than 20 GiB, by today's documents
# What the layouts deserve, by the requirements on images: no LVM, no swap partition, the root last, ext4 or XFS.
EXT4 = {"avoided-filesystem-feature": "info"}  # 64bit, which mke2fs sets by itself
DESERVED: dict[str, dict[str, str]] = {
    "bios": EXT4,
    "uefi": EXT4,
    "mbr": {**EXT4, "swap-partition": "warning", "root-not-last": "warning"},
    "lvm": {"lvm-partitions": "warning"},
    "btrfs": {"unsupported-root-filesystem": "warning", "root-account-locked": "info"},
    "arm64": EXT4,
}


def findings(image: Image, profile: str = "aliyun") -> dict[str, str]:
    """Rules that speak, and how loud."""
    report = builders.report(image, Declared(role=resolve_role(image, "auto")), profile)
    assert report.role == "system"
    return {finding.rule: finding.severity for finding in report.findings}


@pytest.mark.parametrize("name", DESERVED)
def test_a_sound_guest_is_ready_today_and_told_nothing_that_it_does_not_deserve(
    name: str, request: pytest.FixtureRequest
) -> None:
    image = request.getfixturevalue(name).image
    small = {} if name == "bios" else SMALL
    assert findings(image) == {**AGENTS, **small, **DESERVED[name]}


@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("bios", {}),
        ("uefi", {"boots-by-uefi-only": "error"}),  # the API of 2018 has no BootMode
        ("mbr", {}),
        ("lvm", {}),
        ("btrfs", {}),
        ("arm64", {"boots-by-uefi-only": "error", "architecture-not-offered": "error"}),
    ],
)
def test_by_the_rules_of_2018_too(name: str, more: dict[str, str], request: pytest.FixtureRequest) -> None:
    image = request.getfixturevalue(name).image
    assert findings(image, "aliyun-2018") == {**AGENTS, **DESERVED[name], **more}


@pytest.mark.parametrize("name", ["uefi", "mbr"])
@pytest.mark.parametrize(
    ("file", "driver", "options"),
    [
        ("fixed.vhd", "vpc", ("-o", "subformat=fixed,force_size=on")),
        ("dynamic.vhd", "vpc", ("-o", "subformat=dynamic,force_size=on")),
        ("disk.qcow2", "qcow2", ()),
    ],
)
def test_a_guest_is_the_same_in_every_container(
    name: str, file: str, driver: str, options: tuple[str, ...], request: pytest.FixtureRequest
) -> None:
    made = request.getfixturevalue(name)
    other = layouts.converted(made.path, file, driver, *options)
    try:
        image = inspect(str(other))
    finally:
        other.unlink()
    assert image.format == {"vpc": "vhd"}.get(driver, driver)
    assert image.guest == made.image.guest
    assert image.filesystems == made.image.filesystems
    assert findings(image) == findings(made.image)


Plant = Callable[["Change"], None]


class Change:
    """Changes files on the ext4 of a disk, as another program than ours sees it."""

    def __init__(self, made: Made, folder: Path) -> None:
        self.path = folder / "planted.raw"
        self.folder = folder
        self.tree = made.tree
        run("cp", "--sparse=always", made.path, self.path)

    def debugfs(self, request: str) -> None:
        run("debugfs", "-w", "-R", request, f"{self.path}?offset={2 * MiB}")

    def write(self, name: str, content: str | bytes) -> None:
        file = self.folder / "content"
        file.write_bytes(content.encode() if isinstance(content, str) else content)
        self.debugfs(f"rm {name}")
        self.debugfs(f"write {file} {name}")

    def replace(self, name: str, old: str, new: str) -> None:
        content = self.tree.read(name[1:])
        assert old in content
        self.write(name, content.replace(old, new))


STALE = "99999999-0000-4000-8000-000000000000"


def stale_fstab(change: Change) -> None:
    change.replace("/etc/fstab", layouts.ROOT_UUID, STALE)


def foreign_fstab(change: Change) -> None:
    change.replace("/etc/fstab", f"UUID={layouts.ROOT_UUID}", "/dev/sda1")


def stale_root(change: Change) -> None:
    change.replace("/boot/grub/grub.cfg", f"root=UUID={layouts.ROOT_UUID}", f"root=UUID={STALE}")


def root_by_device(change: Change) -> None:
    change.replace("/boot/grub/grub.cfg", f"root=UUID={layouts.ROOT_UUID}", "root=/dev/sda1")


def no_drivers(change: Change) -> None:
    kernel = next((change.tree.root / "boot").glob("vmlinuz-*cloud*")).name.removeprefix("vmlinuz-")
    content = (change.tree.root / "srv/initrd-without-drivers").read_bytes()
    change.write(f"/boot/initrd.img-{kernel}", content)


def no_sshd(change: Change) -> None:
    wanted = change.tree.root / "etc/systemd/system"
    for name in ("multi-user.target.wants/ssh.service", "sshd.service"):
        assert (wanted / name).is_symlink()
        change.debugfs(f"rm /etc/systemd/system/{name}")


def static_network(change: Change) -> None:
    change.replace(
        "/etc/network/interfaces",
        "iface eth0 inet dhcp",
        "iface eth0 inet static\n    address 192.0.2.7/24\n    gateway 192.0.2.1",
    )


PLANTS: list[tuple[Plant, dict[str, str]]] = [
    (stale_fstab, {"fstab-names-missing-device": "error"}),
    (foreign_fstab, {"fstab-by-foreign-device-name": "error"}),
    (stale_root, {"stale-boot-root": "error"}),
    (root_by_device, {"boot-root-by-device-name": "error"}),
    # Debian 12 is among those for which the cloud is documented to bring the driver.
    (no_drivers, {"virtio-driver-left-to-cloud": "warning"}),
    (no_sshd, {"ssh-server-not-started": "warning"}),
    (static_network, {"static-address": "warning"}),
]


@pytest.mark.parametrize(("plant", "expected"), PLANTS, ids=[plant.__name__ for plant, _ in PLANTS])
def test_a_defect_is_told_by_its_rule_and_no_other(
    plant: Plant, expected: dict[str, str], bios: Made, tmp_path: Path
) -> None:
    change = Change(bios, tmp_path)
    plant(change)
    try:
        told = findings(inspect(str(change.path)))
        run("e2fsck", "-fn", f"{change.path}?offset={2 * MiB}")  # the disk was changed, not broken
    finally:
        shutil.rmtree(tmp_path)
    assert told == {**findings(bios.image), **expected}
