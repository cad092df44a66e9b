"""What an inspection and the profiles say of a recipe's disk, in the words in which recipes state it."""

from pathlib import Path
from typing import Any

from preflight.facts import Image
from preflight.guest_facts import Guest
from preflight.inspection import inspect
from preflight.verdicts import Declared, Report
from tests import builders
from tests.distributions.recipes import Recipe


def guest_of(path: Path) -> tuple[Image, Guest]:
    """The image at this path and its guest, which must be known."""
    image = inspect(str(path))
    assert isinstance(image.guest, Guest), image.guest
    return image, image.guest


def facts(image: Image, guest: Guest) -> dict[str, Any]:
    """What recipes may state below [facts], as it was found."""
    kinds = {entry.on: entry.type for entry in image.filesystems}
    found: dict[str, Any] = {
        name: _plain(getattr(guest, name))
        for name in ("os_type", "distro", "name", "version", "variant", "architecture", "boot_modes", "root")
    }
    found["root_type"] = kinds[guest.root]
    found["root_subvolume"] = guest.root_subvolume
    found["mounts"] = {entry.on: entry.mount_point for entry in image.filesystems if entry.mount_point}
    found["undetermined"] = []
    virtio: Any = guest.virtio
    found["kernel"] = getattr(virtio, "kernel", virtio)
    found["virtio"] = [getattr(virtio, name, virtio) for name in ("block", "net", "pci", "scsi")]
    found["nvme"] = getattr(guest.nvme, "driver", guest.nvme)
    kernels: Any = guest.kernels
    found["fw_cfg"] = (
        kernels.installed[0].config.get("CONFIG_FW_CFG_SYSFS") if getattr(kernels, "installed", ()) else None
    )
    loader: Any = guest.boot_loader
    found["loaders"] = _plain(getattr(loader, "names", loader))
    default = loader.entries[loader.default] if getattr(loader, "default", None) is not None else None
    found["root_arg"] = default and default.root
    found["root_arg_on"] = default and default.root_on
    found["missing_uuids"] = _plain(getattr(loader, "missing_uuids", loader))
    found["serial_console"] = getattr(loader, "serial_console", loader)
    cloud_init: Any = guest.cloud_init
    found["cloud_init"] = getattr(cloud_init, "version", cloud_init) or "none"
    network: Any = guest.network
    found["managers"] = _plain(getattr(network, "managers", network))
    found["interfaces"] = [f"{one.name} {one.method}" for one in getattr(network, "interfaces", ())]
    services: Any = guest.services
    for name in ("init", "sshd", "firewalls", "qemu_guest_agent"):
        found[name] = _plain(getattr(services, name, services))
    security: Any = guest.security
    for name in ("selinux", "root_account", "permit_root_login", "rtc", "swap", "hibernated"):
        found[name] = _plain(getattr(security, name, security))
    return found


def findings(report: Report) -> dict[str, list[str]]:
    """The rules that are broken, by severity."""
    found: dict[str, list[str]] = {}
    for finding in report.findings:
        named = found.setdefault(finding.severity, [])
        if finding.rule not in named:
            named.append(finding.rule)
    return {severity: sorted(rules) for severity, rules in found.items()}


def stated(recipe: Recipe, profile: str) -> dict[str, list[str]]:
    """The same as the recipe has it."""
    return {severity: sorted(rules) for severity, rules in recipe["findings"][profile].items() if rules}


def judged(image: Image, profile: str, declared: Declared | None = None) -> Report:
    """The report by a profile."""
    return builders.report(image, declared, profile)


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
