"""Disks that are found sound boot to a log-in prompt, and those with a defect that is told do not."""

from pathlib import Path

import pytest

from preflight.inspection import inspect
from tests.real.booting import boot
from tests.real.conftest import Made
from tests.real.test_verdicts import Change, Plant, findings, no_drivers, stale_root

pytestmark = pytest.mark.real

LOGIN = r"real login: "
LOST = r"\(initramfs\)|Kernel panic"
NOTHING = r"Failed to boot both|grub rescue>|No bootable device"


def test_the_bios_disk_boots_with_the_kernel_that_is_told_and_gets_its_address(bios: Made) -> None:
    said = boot(bios.path, LOGIN, LOST, NOTHING)
    assert "real login: " in said[-100:]
    assert not isinstance(bios.guest.kernels, str)
    assert f"Linux version {bios.guest.kernels.default} " in said  # type: ignore[union-attr]


def test_the_uefi_disk_boots(uefi: Made) -> None:
    said = boot(uefi.path, LOGIN, LOST, NOTHING, uefi=True)
    assert "real login: " in said[-100:]


@pytest.mark.parametrize("plant", [stale_root, no_drivers], ids=["stale_root", "no_drivers"])
def test_a_disk_with_a_defect_that_is_told_does_not_boot(plant: Plant, bios: Made, tmp_path: Path) -> None:
    change = Change(bios, tmp_path)
    plant(change)
    assert findings(inspect(str(change.path))) != findings(bios.image)
    said = boot(change.path, LOGIN, LOST, NOTHING)
    assert "(initramfs)" in said[-100:]
    assert "login:" not in said
    change.path.unlink()
