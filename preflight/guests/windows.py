r"""Windows: what it is, whether it can start on a cloud's machine, and what was left unfinished.

Specification: Microsoft, "Registry Hives", https://learn.microsoft.com/en-us/windows/win32/sysinfo/registry-hives; the
values by the pages that `_windows_version`, `_windows_drivers` and `_windows_updates` name. hiberfil.sys:
PO_MEMORY_IMAGE of the public symbols of ntoskrnl.exe.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

import msgspec

from preflight.contents.tree import Tree
from preflight.facts import Unknown
from preflight.guest_facts import Windows
from preflight.guests._bcd import read_boot_manager
from preflight.guests._efi import PE_HEAD, pe_architecture
from preflight.guests._hives import Key
from preflight.guests._registry import Registry, ask
from preflight.guests._text import learn, unique
from preflight.guests._windows_drivers import (
    Files,
    network_of,
    read_drivers,
    read_missing_filters,
    start_of,
    storage_of,
)
from preflight.guests._windows_updates import read_sysprep_pending, read_update_pending, read_updates
from preflight.guests._windows_version import Product, read_product

ROOTS = ("Windows", "WINDOWS", "WINNT", "windows", "winnt")  # NTFS compares without case, but not everywhere
SYSTEM_DIRECTORIES = ("System32", "system32", "SYSTEM32")
SIGNS = ("config/SOFTWARE", "config/software", "config/SYSTEM", "config/system", "ntoskrnl.exe")
HIVES = ("SYSTEM", "SOFTWARE", "SAM", "SECURITY", "DEFAULT")
PROGRAMS = ("ntoskrnl.exe", "winload.exe", "kernel32.dll")

HIBERNATED = (b"hibr", b"HIBR")  # `wake` and zeros are left after the session was resumed
PROFILES = ("StandardProfile", "PublicProfile", "DomainProfile")  # the first is called private today
FIREWALL_POLICY = r"Services\SharedAccess\Parameters\FirewallPolicy"
TERMINAL_SERVICES_POLICY = r"Policies\Microsoft\Windows NT\Terminal Services"
FIREWALL_SERVICES = ("mpssvc", "SharedAccess")  # the latter before Vista, as a driver of Windows later
CLOUD_ASSISTANT = "/ProgramData/aliyun/assist"
GUEST_AGENTS = ("QEMU-GA", "QEMU Guest Agent")
GUEST_AGENT_PROGRAMS = ("/Program Files/Qemu-ga/qemu-ga.exe", "/Program Files/qemu-ga/qemu-ga.exe")

T = TypeVar("T")
U = TypeVar("U")


class WindowsIdentity(msgspec.Struct, frozen=True):
    """Which Windows lies on a volume."""

    name: str | Unknown
    """`Windows Server 2022 Datacenter`."""
    version: str | Unknown
    """Of the kernel, with build and revision: `10.0.20348.469`."""
    architecture: str | Unknown
    root: str
    """Its directory, as it is spelt in the guest: `/Windows`."""
    read_from: tuple[str, ...]
    distro: str = "windows"


class _Place(msgspec.Struct, frozen=True):
    """Where Windows lies on a volume, as it is spelt there."""

    root: str
    system32: str


def read_windows_identity(tree: Tree) -> WindowsIdentity | None:
    """Which Windows this volume holds, None where it holds none. Raises `ContentsError` where it cannot be read."""
    place = _locate(tree)
    if place is None:
        return None
    registry = Registry(tree, f"{place.system32}/config")
    product = ask(lambda: read_product(registry))
    read_from: list[str] = []
    machine: str | Unknown | None = _machine(tree, place, read_from)
    if machine is None:
        machine = _of(product, lambda known: known.architecture or Unknown("no program says which it is for"))
    return WindowsIdentity(
        name=_of(product, lambda known: known.full_name or Unknown("ProductName is not set")),
        version=_of(product, lambda known: known.full_version or Unknown("CurrentVersion is not set")),
        architecture=machine,
        root=place.root,
        read_from=unique((*registry.read_from, *read_from)),
    )


def read_windows(
    tree: Tree, esps: Sequence[Tree] = (), system_partitions: Sequence[Tree] = (), dirty: Sequence[str] = ()
) -> Windows | Unknown:
    """All about the Windows on this volume; `Unknown` where there is none.

    `esps`: the EFI system partitions. `system_partitions`: others that may hold the boot manager, such as the active
    one. `dirty`: the file systems, as `FileSystem.on`, whose NTFS dirty flag is set.
    """
    place = learn(lambda: _locate(tree))
    if isinstance(place, Unknown):
        return place
    if place is None:
        return Unknown("no Windows is on this volume")
    registry = Registry(tree, f"{place.system32}/config")
    files = Files(tree, place.root, place.system32)
    for name in HIVES:
        learn(partial(registry.hive, name))
    product = ask(lambda: read_product(registry))
    drivers = ask(lambda: read_drivers(registry, files))
    old = _is_old(tree, product)
    boot = learn(lambda: read_boot_manager((tree, *system_partitions), esps, old=old))
    pending = ask(lambda: read_update_pending(registry, tree, place.root))
    sysprep_pending = ask(lambda: read_sysprep_pending(registry))
    rdp_enabled = ask(lambda: _rdp_enabled(registry))
    firewall_enabled = ask(lambda: _firewall_enabled(registry))
    # Last: it alone may use up what may be read of SOFTWARE.
    updates = ask(lambda: read_updates(registry, tree, place.root))
    return Windows(
        product_name=_of(product, lambda known: known.name),
        edition_id=_of(product, lambda known: known.edition_id),
        installation_type=_of(product, lambda known: known.installation_type),
        version=_of(product, lambda known: known.version),
        build=_of(product, lambda known: known.build),
        update_revision=_of(product, lambda known: known.update_revision),
        service_pack=_of(product, lambda known: known.service_pack),
        drivers=drivers,
        virtio_storage=_of(drivers, lambda known: ask(lambda: storage_of(known, registry, files))),
        virtio_network=_of(drivers, lambda known: ask(lambda: network_of(known, registry, files))),
        hives_missing=tuple(name for name in HIVES if name in registry.missing),
        hives_damaged=tuple(name for name in HIVES if name in registry.damaged),
        hives_dirty=tuple(name for name in HIVES if name in registry.dirty),
        bcd_present=_of(boot, lambda known: known.store_present),
        bootmgr_present=_of(boot, lambda known: known.present),
        desktop_config_present=None if old else learn(lambda: tree.is_file("/Users/Public/Desktop/desktop.ini")),
        hotfixes=_of(updates, lambda known: known.hotfixes),
        disk_upper_filters=ask(lambda: read_missing_filters(registry, files)),
        xen_hide_devices=ask(lambda: _has(registry.system(r"Services\XenPCI\Parameters"), "hide_devices")),
        device_install_disabled=ask(lambda: _device_install_disabled(registry)),
        sysprep_pending=sysprep_pending,
        update_pending=pending if pending is True else _of(updates, lambda known: known.pending or pending),
        hibernated=learn(lambda: tree.head("/hiberfil.sys", 4) in HIBERNATED),
        dirty_volumes=tuple(dirty),
        rdp_enabled=rdp_enabled,
        firewall_enabled=firewall_enabled,
        cloud_assistant=ask(lambda: _cloud_assistant(registry, tree)),
        qemu_guest_agent=ask(lambda: _guest_agent(registry, tree)),
        rtc_is_utc=ask(lambda: _has(registry.system(r"Control\TimeZoneInformation"), "RealTimeIsUniversal")),
        read_from=unique((*registry.read_from, *(() if isinstance(boot, Unknown) else boot.read_from))),
    )


def _of(known: T | Unknown, get: Callable[[T], U]) -> U | Unknown:
    """What follows from a fact, `Unknown` for the reason that the fact is."""
    return known if isinstance(known, Unknown) else get(known)


def _locate(tree: Tree) -> _Place | None:
    for root in ROOTS:
        if not tree.is_directory(f"/{root}"):
            continue
        for directory in SYSTEM_DIRECTORIES:
            system32 = f"/{root}/{directory}"
            if tree.is_directory(system32) and any(tree.is_file(f"{system32}/{sign}") for sign in SIGNS):
                return _Place(f"/{root}", system32)
    return None


def _machine(tree: Tree, place: _Place, read_from: list[str]) -> str | None:
    """The architecture of the first program of Windows that is there."""
    for name in PROGRAMS:
        path = f"{place.system32}/{name}"
        head = learn(partial(tree.head, path, PE_HEAD))  # one that is compressed and damaged is no reason to give up
        if isinstance(head, bytes) and (machine := pe_architecture(head)):
            read_from.append(path)
            return machine
    return None


def _is_old(tree: Tree, product: Product | Unknown) -> bool:
    """Whether this is XP, 2003 or before. Raises nothing."""
    if not isinstance(product, Unknown) and product.version:
        return product.version.startswith(("4.", "5."))
    return learn(lambda: tree.is_directory("/Documents and Settings") and not tree.is_directory("/Users")) is True


def _has(key: Key | None, value: str) -> bool:
    return key is not None and key.has(value)


def _device_install_disabled(registry: Registry) -> bool:
    keys = [registry.system(rf"Services\{service}\Parameters") for service in ("DeviceInstall", "PlugPlay")]
    return any(key.number("DeviceInstallDisabled") for key in keys if key)


def _is_disabled(registry: Registry, service: str) -> bool:
    key = registry.service(service)
    return key is not None and start_of(key) == "disabled"


def _rdp_enabled(registry: Registry) -> bool | Unknown:
    """By the policy, which is above the setting, and the service."""
    if _is_disabled(registry, "TermService"):
        return False
    for key in (registry.software(TERMINAL_SERVICES_POLICY), registry.system(r"Control\Terminal Server")):
        denied = key.number("fDenyTSConnections") if key else None
        if denied is not None:
            return not denied
    return Unknown("fDenyTSConnections is not set")


def _firewall_enabled(registry: Registry) -> bool | Unknown:
    """For any profile, by the policy above the setting, where the service of the firewall may run."""
    service = next((name for name in FIREWALL_SERVICES if registry.service(name)), None)
    if service and _is_disabled(registry, service):
        return False
    enabled: list[int] = []
    for profile in PROFILES:
        policy = registry.software(rf"Policies\Microsoft\WindowsFirewall\{profile}")
        for key in (policy, registry.system(rf"{FIREWALL_POLICY}\{profile}")):
            value = key.number("EnableFirewall") if key else None
            if value is not None:
                enabled.append(value)
                break
    return any(enabled) if enabled else Unknown("EnableFirewall is not set for any profile")


def _cloud_assistant(registry: Registry, tree: Tree) -> bool:
    return tree.is_directory(CLOUD_ASSISTANT) or registry.service("AliyunService") is not None


def _guest_agent(registry: Registry, tree: Tree) -> bool:
    installed = any(tree.is_file(path) for path in GUEST_AGENT_PROGRAMS)
    return installed or any(registry.service(name) for name in GUEST_AGENTS)
