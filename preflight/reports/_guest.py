"""The guest's operating system in a few lines: what it is, what it boots with, and what could not be learned."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from preflight.facts import Unknown

if TYPE_CHECKING:  # only a guest that was read has brought these along, and the start-up counts
    from preflight.guest_facts import Guest, Windows

_GROUPS = (
    *("distro", "name", "version", "architecture", "boot_modes", "kernels", "fstab", "boot_loader", "virtio", "nvme"),
    *("cloud_init", "network", "services", "security", "windows"),
)


def guest_lines(guest: Guest) -> Iterator[str]:
    """The lines, not yet escaped."""
    yield _identity(guest)
    for parts in (_drivers(guest), _configuration(guest)):
        if told := "; ".join(parts):
            yield told
    yield from _not_learned(guest)


def _identity(guest: Guest) -> str:
    name = _known(guest.name) or _known(guest.distro) or guest.os_type
    version = _known(guest.version)
    parts = [name if not version or version in name else f"{name} {version}"]
    if architecture := _known(guest.architecture):
        parts.append(architecture)
    if not isinstance(guest.boot_modes, Unknown):
        modes = " and ".join(mode.upper() for mode in guest.boot_modes)
        parts.append(f"boots by {modes}" if modes else "boots by neither BIOS nor UEFI")
    subvolume = f", subvolume {guest.root_subvolume}" if guest.root_subvolume else ""
    return f"{', '.join(parts)}; root on {guest.root}{subvolume}"


def _drivers(guest: Guest) -> Iterator[str]:
    if not isinstance(guest.kernels, Unknown) and guest.kernels.installed:
        count = len(guest.kernels.installed)
        more = f" and {count - 1} more" if count > 1 else ""
        yield f"kernel {guest.kernels.default or guest.kernels.installed[0].version}{more}"
    if not isinstance(guest.virtio, Unknown) and guest.os_type != "windows":
        drivers = {"block": guest.virtio.block, "net": guest.virtio.net}
        told = [f"{name} {_known(value) or 'unknown'}" for name, value in drivers.items()]
        yield f"virtio {', '.join(told)}"
    if not isinstance(guest.nvme, Unknown) and guest.os_type != "windows":
        yield f"NVMe {_known(guest.nvme.driver) or 'unknown'}"
    if guest.windows is not None and not isinstance(guest.windows, Unknown):
        yield from _windows(guest.windows)


def _windows(windows: Windows) -> Iterator[str]:
    if build := _known(windows.build):
        yield f"build {build}"
    for name, value in (("storage", windows.virtio_storage), ("network", windows.virtio_network)):
        yield f"virtio {name} {_known(value) or 'unknown'}"


def _configuration(guest: Guest) -> Iterator[str]:
    if not isinstance(guest.boot_loader, Unknown) and guest.boot_loader.names:
        yield f"boot loader {' and '.join(guest.boot_loader.names)}"
    if not isinstance(guest.cloud_init, Unknown) and guest.os_type != "windows":
        version = _known(guest.cloud_init.version)
        yield f"cloud-init {version or 'installed'}" if guest.cloud_init.installed else "no cloud-init"
    if not isinstance(guest.network, Unknown) and guest.network.interfaces:
        interfaces = guest.network.interfaces
        shown = ", ".join(f"{interface.name} {interface.method}" for interface in interfaces[:4])
        yield f"network {shown}{', ...' if len(interfaces) > 4 else ''}"
    if not isinstance(guest.services, Unknown) and guest.services.sshd is not None:
        yield "sshd starts" if guest.services.sshd else "sshd does not start"


def _not_learned(guest: Guest) -> Iterator[str]:
    """A line for each reason, with the facts that are unknown for it."""
    reasons: dict[str, list[str]] = {}
    for name in _GROUPS:
        value = getattr(guest, name)
        if isinstance(value, Unknown):
            reasons.setdefault(value.unknown, []).append(name.replace("_", " "))
    for reason, names in reasons.items():
        yield f"unknown {', '.join(names)}: {reason}"


def _known(value: Any) -> str | None:
    """The value as text, None where it is unknown or there is none."""
    return None if value is None or isinstance(value, Unknown) else str(value)
