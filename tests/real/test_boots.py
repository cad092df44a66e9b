"""Disks that are found sound boot to a log-in prompt, and those with a defect that is told do not."""

import re
from pathlib import Path

import pytest

from preflight.guest_facts import Kernels
from preflight.inspection import inspect
from tests.real.booting import boot
from tests.real.conftest import Made
from tests.real.test_verdicts import Change, Plant, findings, no_drivers, stale_root

pytestmark = pytest.mark.real

LOGIN = r"real login: "
LOST = r"\(initramfs\)|Kernel panic"
NOTHING = r"Failed to boot both|grub rescue>|No bootable device"


@pytest.mark.parametrize("name", ["bios", "uefi", "mbr", "lvm", "btrfs"])
def test_a_disk_that_is_found_ready_boots_the_kernel_that_is_told_and_finds_its_network(
    name: str, request: pytest.FixtureRequest
) -> None:
    made = request.getfixturevalue(name)
    assert "error" not in findings(made.image).values()
    said = boot(made.path, LOGIN, LOST, NOTHING, uefi=made.guest.boot_modes == ("uefi",))
    assert "real login: " in said[-100:], said[-3000:]
    assert isinstance(made.guest.kernels, Kernels)
    assert f"Linux version {made.guest.kernels.default} " in said
    # The login prompt does not wait for systemd-networkd's address.
    unit = "Started systemd-networkd.s" if name == "btrfs" else "Finished networking.service"
    assert re.search(rf"OK.*{re.escape(unit)}", said), said[-6000:]
    assert "FAILED" not in said


@pytest.mark.parametrize("plant", [stale_root, no_drivers], ids=["stale_root", "no_drivers"])
def test_a_disk_with_a_defect_that_is_told_does_not_boot(plant: Plant, bios: Made, tmp_path: Path) -> None:
    change = Change(bios, tmp_path)
    plant(change)
    assert findings(inspect(str(change.path))) != findings(bios.image)
    said = boot(change.path, LOGIN, LOST, NOTHING)
    assert "(initramfs)" in said[-100:]
    assert "login:" not in said
    change.path.unlink()
