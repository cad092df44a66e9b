"""Windows guests with one defect each on whole disks: the defect has its rule, and no other one speaks."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from preflight.checking import check, resolve_role
from preflight.facts import Image, Unknown
from preflight.guest_facts import Guest, Windows
from preflight.inspection import inspect
from preflight.units import GiB
from preflight.verdicts import Declared
from tests import builders, disks
from tests.guests.hives import minimal
from tests.windows import guests
from tests.windows.guests import CONFIG, Changes

SIZE = 21 * GiB
SYSTEM, SOFTWARE = r"HKEY_LOCAL_MACHINE\SYSTEM", r"HKEY_LOCAL_MACHINE\SOFTWARE"
SERVICES = rf"{SYSTEM}\ControlSet001\Services"
CONTROL = rf"{SYSTEM}\ControlSet001\Control"
CURRENT = rf"{SOFTWARE}\Microsoft\Windows\CurrentVersion"
PACKAGES = rf"{CURRENT}\Component Based Servicing\Packages"
DISK_CLASS = rf"{CONTROL}\Class\{{4d36e967-e325-11ce-bfc1-08002be10318}}"
PROFILE = rf"{SERVICES}\SharedAccess\Parameters\FirewallPolicy\PublicProfile"
ERROR, WARNING, INFO = "error", "warning", "info"


def system(key: str, *values: str) -> dict[str, str]:
    return {"SYSTEM": "\n".join([f"[{key}]", *values, ""])}


def software(key: str, *values: str) -> dict[str, str]:
    return {"SOFTWARE": "\n".join([f"[{key}]", *values, ""])}


def texts(*names: str) -> str:
    """A REG_MULTI_SZ."""
    return "hex(7):" + "".join(f"{name}\0" for name in (*names, "")).encode("utf-16-le").hex(",")


def package(name: str, state: int) -> dict[str, str]:
    return software(rf"{PACKAGES}\{name}", f'"CurrentState"=dword:{state:08x}')


class Defect(NamedTuple):
    guest: str
    changes: Changes
    rules: dict[str, str]
    profiles: tuple[str, ...] = ("aliyun", "aliyun-2018")
    """That have the rule."""


def hive_of(name: str, guest: str) -> bytes:
    return guests.hive(name, guest)


DEFECTS: dict[str, Callable[[], Defect]] = {
    "viostor is not installed": lambda: Defect(
        "2012",
        Changes({"SYSTEM": f"[-{SERVICES}\\viostor]\n"}, {"/Windows/System32/drivers/viostor.sys": None}),
        {"windows-virtio-left-to-cloud": WARNING},
    ),
    "viostor does not start at boot": lambda: Defect(
        "2012",
        Changes(system(rf"{SERVICES}\VIOSTOR", '"Start"=dword:00000003')),
        {"windows-virtio-left-to-cloud": WARNING},
    ),
    "viostor is kept from starting by a hardware profile": lambda: Defect(
        "2012",
        Changes(system(rf"{SERVICES}\viostor\StartOverride", '"0"=dword:00000003')),
        {"windows-virtio-left-to-cloud": WARNING},
    ),
    "viostor.sys is missing": lambda: Defect(
        "2012",
        Changes(files={"/Windows/System32/drivers/viostor.sys": None}),
        {"windows-virtio-left-to-cloud": WARNING},
    ),
    "netkvm is not installed": lambda: Defect(
        "2012",
        Changes({"SYSTEM": f"[-{SERVICES}\\netkvm]\n"}, {"/Windows/System32/drivers/netkvm.sys": None}),
        {"windows-virtio-left-to-cloud": WARNING},
    ),
    "Xen hides devices": lambda: Defect(
        "2016",
        Changes(system(rf"{SERVICES}\xenpci\Parameters", f'"hide_devices"={texts("ide", "nic")}')),
        {"xen-hides-devices": WARNING},
    ),
    "Xen hides nothing": lambda: Defect(
        "2016", Changes(system(rf"{SERVICES}\XenPCI\Parameters", f'"hide_devices"={texts()}')), {}
    ),
    "an upper filter is left over": lambda: Defect(
        "2012",
        Changes(system(DISK_CLASS, f'"UpperFilters"={texts("partmgr", "vmstor")}')),
        {"orphaned-disk-filters": WARNING},
    ),
    "an upper filter has a service without a file": lambda: Defect(
        "2012",
        Changes(
            {
                "SYSTEM": f'[{DISK_CLASS}]\n"UpperFilters"={texts("PartMgr", "snapman")}\n\n'
                f'[{SERVICES}\\snapman]\n"Start"=dword:00000000\n"ImagePath"="\\\\SystemRoot\\\\system32\\\\DRIVERS\\\\snapman.sys"\n'
            }
        ),
        {"orphaned-disk-filters": WARNING},
    ),
    "an upper filter that is there": lambda: Defect(
        "2012",
        Changes(
            {
                "SYSTEM": f'[{DISK_CLASS}]\n"UpperFilters"={texts("partmgr", "snapman")}\n\n'
                f'[{SERVICES}\\snapman]\n"Start"=dword:00000000\n"ImagePath"="system32\\\\DRIVERS\\\\snapman.sys"\n'
            },
            {"/Windows/System32/drivers/snapman.sys": b"MZ"},
        ),
        {},
    ),
    "sysprep is in the middle of a phase": lambda: Defect(
        "2016",
        Changes(software(rf"{CURRENT}\Setup\State", '"ImageState"="IMAGE_STATE_UNDEPLOYABLE"')),
        {"setup-unfinished": WARNING},
    ),
    "sysprep sealed it": lambda: Defect(
        "2016",
        Changes(
            {
                **software(rf"{CURRENT}\Setup\State", '"ImageState"="IMAGE_STATE_GENERALIZE_RESEAL_TO_OOBE"'),
                **system(
                    rf"{SYSTEM}\Setup", '"OOBEInProgress"=dword:00000001', '"SystemSetupInProgress"=dword:00000001'
                ),
            }
        ),
        {},
    ),
    "servicing waits for a restart": lambda: Defect(
        "2016", Changes(software(rf"{CURRENT}\Component Based Servicing\RebootPending")), {"update-unfinished": WARNING}
    ),
    "Windows Update waits for a restart": lambda: Defect(
        "2012",
        Changes(software(rf"{CURRENT}\WindowsUpdate\Auto Update\RebootRequired")),
        {"update-unfinished": WARNING},
    ),
    "pending.xml has work": lambda: Defect(
        "2016", Changes(files={"/Windows/WinSxS/pending.xml": b"<PendingTransaction/>"}), {"update-unfinished": WARNING}
    ),
    "a package waits to be installed": lambda: Defect(
        "2012",
        Changes(package("Package_for_KB4012217~31bf3856ad364e35~amd64~~6.2.1.3", 0x60)),
        {"update-unfinished": WARNING},
    ),
    **{
        f"{name} is missing": lambda name=name: Defect(  # type: ignore[misc]
            "2016", Changes(files={f"{CONFIG}/{name}": None}), {"registry-hives-missing": ERROR}
        )
        for name in ("SAM", "SECURITY", "DEFAULT")
    },
    "SAM is damaged": lambda: Defect(
        "2016",
        Changes(files={f"{CONFIG}/SAM": b"regf" + bytes(8188)}),
        {"registry-hives-missing": ERROR},
    ),
    "SYSTEM and SOFTWARE are not written out": lambda: Defect(
        "2016",
        Changes(files={f"{CONFIG}/{name}": guests.unwritten(hive_of(name, "2016")) for name in ("SYSTEM", "SOFTWARE")}),
        {"dirty-registry-hives": WARNING},
    ),
    "no BCD on the ESP": lambda: Defect(
        "2016", Changes(boot_files={"/EFI/Microsoft/Boot/BCD": None}), {"boot-configuration-missing": ERROR}
    ),
    "an empty BCD": lambda: Defect(
        "2016",
        Changes(boot_files={"/EFI/Microsoft/Boot/BCD": minimal(3)}),
        {"boot-configuration-missing": ERROR},
    ),
    "no BCD on the system partition": lambda: Defect(
        "2008r2", Changes(boot_files={"/Boot/BCD": None}), {"boot-configuration-missing": ERROR}
    ),
    "no bootmgr": lambda: Defect("2008r2", Changes(boot_files={"/bootmgr": None}), {"boot-manager-missing": ERROR}),
    "no loader on the ESP": lambda: Defect(
        "2016",
        Changes(boot_files={"/EFI/Microsoft/Boot/bootmgfw.efi": None, "/EFI/Boot/bootx64.efi": None}),
        {"boot-manager-missing": ERROR, "no-boot-loader": ERROR},
    ),
    "no fallback loader": lambda: Defect(
        "2016", Changes(boot_files={"/EFI/Boot/bootx64.efi": None}), {"no-fallback-loader": WARNING}, ("aliyun",)
    ),
    "a cumulative update that is known to be bad": lambda: Defect(
        "2016",
        Changes(package("Package_for_RollupFix~31bf3856ad364e35~amd64~~14393.4886.1.4", 0x70)),
        {"unsuitable-updates": WARNING},
    ),
    "a monthly rollup that is known to be bad": lambda: Defect(
        "2012r2",
        Changes(
            package("Package_for_RollupFix~31bf3856ad364e35~amd64~~9600.20246.1.8", 0x70),
            {
                "/Windows/servicing/Packages/Package_for_RollupFix~31bf3856ad364e35~amd64~~9600.20246.1.8.mum": (
                    b'<assembly>\n  <package identifier="KB5009624" releaseType="Security Update">\n' + bytes(9000)
                )
            },
        ),
        {"unsuitable-updates": WARNING},
    ),
    "an update of its own that is known to be bad": lambda: Defect(
        "2012r2",
        Changes(package("Package_for_KB5009595~31bf3856ad364e35~amd64~~6.3.1.1", 0x70)),
        {"unsuitable-updates": WARNING},
    ),
    "the update for signatures is missing": lambda: Defect(
        "2008r2",
        Changes(
            {
                "SOFTWARE": "".join(
                    f"[-{PACKAGES}\\{number}for_KB3033929~31bf3856ad364e35~amd64~~6.1.1.1]\n\n"
                    for number in ("Package_", "Package_2_")
                )
            }
        ),
        {"unsuitable-updates": WARNING},
    ),
    "2008 R2 without its service pack": lambda: Defect(
        "2008r2",
        Changes(software(rf"{SOFTWARE}\Microsoft\Windows NT\CurrentVersion", '"CSDVersion"=-')),
        {"windows-service-pack-missing": WARNING},
    ),
    "hibernated": lambda: Defect(
        "2016", Changes(files={"/hiberfil.sys": b"HIBR" + bytes(100_000)}), {"hibernated-windows": WARNING}
    ),
    "hibernated by Windows 7": lambda: Defect(
        "2008r2", Changes(files={"/hiberfil.sys": b"hibr" + bytes(100_000)}), {"hibernated-windows": WARNING}
    ),
    "resumed since": lambda: Defect("2016", Changes(files={"/hiberfil.sys": b"WAKE" + bytes(100_000)}), {}),
    "dirty": lambda: Defect("2016", Changes(dirty=True), {"dirty-windows-volume": WARNING}),
    "Remote Desktop is off": lambda: Defect(
        "2012",
        Changes(system(rf"{CONTROL}\Terminal Server", '"fDenyTSConnections"=dword:00000001')),
        {"remote-desktop-disabled": WARNING},
    ),
    "Remote Desktop is off by policy": lambda: Defect(
        "2016",
        Changes(
            software(
                rf"{SOFTWARE}\Policies\Microsoft\Windows NT\Terminal Services", '"fDenyTSConnections"=dword:00000001'
            )
        ),
        {"remote-desktop-disabled": WARNING},
    ),
    "the firewall is on": lambda: Defect(
        "2012", Changes(system(PROFILE, '"EnableFirewall"=dword:00000001')), {"windows-firewall-enabled": INFO}
    ),
    "devices are not installed": lambda: Defect(
        "2016",
        Changes(system(rf"{SERVICES}\DeviceInstall\Parameters", '"DeviceInstallDisabled"=dword:00000001')),
        {"device-installation-disabled": WARNING},
    ),
    "the guest agent of QEMU": lambda: Defect(
        "2016",
        Changes(
            system(rf"{SERVICES}\QEMU-GA", '"Start"=dword:00000002'),
            {"/Program Files/Qemu-ga/qemu-ga.exe": b"MZ"},
        ),
        {"windows-guest-agent-installed": WARNING},
    ),
    "no desktop.ini": lambda: Defect(
        "2016", Changes(files={"/Users/Public/Desktop/desktop.ini": None}), {"desktop-configuration-missing": WARNING}
    ),
}


def said(image: Image, profile: str, **declared: Any) -> dict[str, str]:
    role = resolve_role(image, "auto")
    report = check(image, builders.profile(profile), Declared(role=role, **declared))
    return {finding.rule: finding.severity for finding in report.findings}


@pytest.mark.parametrize("name", DEFECTS)
def test_a_defect_has_its_rule_and_no_other(name: str, tmp_path: Path) -> None:
    defect = DEFECTS[name]()
    recipe = guests.recipe(defect.guest)
    image = inspect(str(guests.disk(tmp_path, recipe, defect.changes, SIZE)))
    assert isinstance(image.guest, Guest), image.guest
    for profile in ("aliyun", "aliyun-2018"):
        known = set(recipe.fields.get(profile, ()))
        if not image.guest.boot_modes:
            known.discard("boots-by-uefi-only")
        found = said(image, profile)
        assert {rule: severity for rule, severity in found.items() if rule not in known} == (
            defect.rules if profile in defect.profiles else {}
        )
        assert known <= found.keys()


@pytest.mark.parametrize("name", ["SYSTEM", "SOFTWARE"])
@pytest.mark.parametrize("damaged", [False, True])
def test_without_its_main_hives_windows_is_still_windows(name: str, damaged: bool, tmp_path: Path) -> None:
    content = hive_of(name, "2016")[:8192] if damaged else None
    disk = guests.disk(tmp_path, guests.recipe("2016"), Changes(files={f"{CONFIG}/{name}": content}), SIZE)
    image = inspect(str(disk))
    assert isinstance(image.guest, Guest), image.guest
    assert isinstance(image.guest.windows, Windows)
    missing, hurt = image.guest.windows.hives_missing, image.guest.windows.hives_damaged
    assert (missing, hurt) == (((), (name,)) if damaged else ((name,), ()))
    assert image.guest.architecture == "x86_64"
    assert isinstance(image.guest.windows.virtio_storage, Unknown) == (name == "SYSTEM")
    assert isinstance(image.guest.name, Unknown) == (name == "SOFTWARE")
    report = check(image, builders.profile("aliyun"), Declared(role="system"))
    assert "registry-hives-missing" in {finding.rule for finding in report.findings}
    assert "windows-virtio-missing" not in {finding.rule for finding in report.findings}
    assert report.undetermined
    assert report.verdict == "not-ready"


def test_a_volume_of_bitlocker_is_not_taken_for_an_empty_one(tmp_path: Path) -> None:
    disk = guests.disk(tmp_path, guests.recipe("2008r2"), size=SIZE)
    start, _ = guests.partitions(disk)[2]
    disks.put(disk, start, b"\xeb\x58\x90-FVE-FS-")
    image = inspect(str(disk))
    assert {entry.on: entry.type for entry in image.filesystems}["partition 2"] == "BitLocker"
    assert image.guest == Unknown("partition 2: the files of BitLocker are not read")
    report = check(image, builders.profile("aliyun"), Declared(role="system"))
    assert "no-operating-system" not in {finding.rule for finding in report.findings}
    assert report.undetermined
