r"""Drivers of Windows for the devices of a cloud: their services, files and packages.

Specification: Microsoft, "HKLM\SYSTEM\CurrentControlSet\Services Registry Tree",
https://learn.microsoft.com/en-us/windows-hardware/drivers/install/hklm-system-currentcontrolset-services-registry-tree;
"Filter drivers", UpperFilters of a device setup class. Names of services as the INF files of virtio-win and of the Xen
drivers have them.
"""

from collections.abc import Sequence
from typing import Literal

from preflight.contents.tree import Tree
from preflight.guest_facts import WindowsDriver
from preflight.guests._hives import Key
from preflight.guests._registry import Registry

DISK_CLASS = "{4d36e967-e325-11ce-bfc1-08002be10318}"
SERVICES = (
    *("viostor", "vioscsi", "netkvm", "balloon", "VirtioSerial", "vioser", "VirtRng", "viorng", "pvpanic"),
    *("VirtioInput", "vioinput", "VirtioFsDrv", "viofs", "stornvme"),
    *("xenvbd", "xenpci", "xenbus", "xennet", "xenvif", "xeniface", "xenfilt", "rhelscsi", "rhelnet"),
)
STORAGE, NETWORK = ("viostor", "vioscsi"), ("netkvm",)

Start = Literal["boot", "system", "auto", "demand", "disabled"]
STARTS: dict[int, Start] = {0: "boot", 1: "system", 2: "auto", 3: "demand", 4: "disabled"}
OWN_FILTERS = ("partmgr",)  # of Windows itself, never left over from another program
MAX_FILTERS = 64
MAX_OWNERS = 16  # INF files that a service belongs to


class Files:
    """The files of one Windows by the paths that its registry has."""

    def __init__(self, tree: Tree, root: str, system32: str) -> None:
        """`root` and `system32` as they are spelt in this guest: `/Windows`, `/Windows/System32`."""
        self._tree = tree
        self._root = root
        self._system32 = system32

    def has_driver(self, service: str, image_path: str | None) -> bool:
        """Whether the file of a driver is there. Raises `ContentsError`."""
        path = self.locate(image_path or f"System32\\drivers\\{service}.sys")
        directory, _, name = path.rpartition("/")
        return any(self._tree.is_file(f"{directory}/{spelling}") for spelling in dict.fromkeys((name, name.lower())))

    def locate(self, path: str) -> str:
        r"""The guest path for `System32\…`, `\SystemRoot\…`, `%SystemRoot%\…`, `\??\C:\…` and `C:\…`.

        All drives are taken to be this one: only the running system knows their letters.
        """
        rest = path.strip().strip('"').replace("\\", "/").removeprefix("/??/")
        if rest[1:3] == ":/":
            rest = rest[2:]
        lower = rest.lower()
        for prefix in ("/systemroot/", "%systemroot%/", "%windir%/", f"{self._root.lower()}/"):
            if lower.startswith(prefix):
                rest = rest[len(prefix) :]
                break
        else:
            if rest.startswith("/"):
                return rest
        for prefix, place in (("system32/drivers/", f"{self._system32}/drivers/"), ("system32/", f"{self._system32}/")):
            if rest.lower().startswith(prefix):
                return place + rest[len(prefix) :]
        return f"{self._root}/{rest}"


def read_drivers(registry: Registry, files: Files) -> tuple[WindowsDriver, ...]:
    """The drivers of virtio, Xen and NVMe that are installed. Raises `StructureError` and `ContentsError`."""
    found = []
    for name in SERVICES:
        key = registry.service(name)
        if key is not None:
            image_path = key.text("ImagePath")
            present = files.has_driver(key.name, image_path)
            found.append(WindowsDriver(key.name, image_path, start_of(key), present, _package(registry, key)))
    return tuple(found)


def start_of(service: Key) -> Start | None:
    """When a service starts; raises as `Key.number` does."""
    start = service.number("Start")
    # Since Windows 8 a boot driver that this hardware did not need is kept from starting: StartOverride, by
    # number of the hardware profile, of which there is but one.
    override = service.find("StartOverride")
    overridden = override.number("0") if override else None
    return STARTS.get(overridden if overridden is not None else start if start is not None else -1)


def storage_of(
    drivers: Sequence[WindowsDriver], registry: Registry, files: Files
) -> Literal["boot", "present", "missing"]:
    """Whether Windows finds its disk on virtio. Raises as `read_drivers` does."""
    installed = [driver for driver in drivers if driver.service.lower() in STORAGE and driver.file_present]
    if any(driver.start == "boot" for driver in installed):
        return "boot"
    return "present" if installed or _has_file(STORAGE, registry, files) else "missing"


def network_of(drivers: Sequence[WindowsDriver], registry: Registry, files: Files) -> Literal["present", "missing"]:
    """Whether Windows has the driver of a virtio network card. Raises as `read_drivers` does."""
    installed = any(driver.service.lower() in NETWORK and driver.file_present for driver in drivers)
    return "present" if installed or _has_file(NETWORK, registry, files) else "missing"


def read_missing_filters(registry: Registry, files: Files) -> tuple[str, ...]:
    """UpperFilters of the disk class that have no service or no file: no disk starts without them.

    Raises `StructureError` and `ContentsError`.
    """
    key = registry.system(rf"Control\Class\{DISK_CLASS}")
    missing = []
    for name in key.texts("UpperFilters")[:MAX_FILTERS] if key else ():
        service = registry.service(name) if "\\" not in name else None
        if name.lower() not in OWN_FILTERS and not (service and files.has_driver(name, service.text("ImagePath"))):
            missing.append(name)
    return tuple(missing)


def _has_file(services: Sequence[str], registry: Registry, files: Files) -> bool:
    """Whether a driver was copied without being installed."""
    return any(registry.service(name) is None and files.has_driver(name, None) for name in services)


def _package(registry: Registry, service: Key) -> str | None:
    """Folder in the driver store, by the INF files that own the service; Windows 8 and later."""
    for owner in service.texts("Owners")[:MAX_OWNERS]:
        if "\\" in owner:
            continue
        for hive in ("SYSTEM", "DRIVERS"):  # boot drivers are in the former, all others in the latter
            if registry.exists(hive):
                package = registry.hive(hive).find(rf"DriverDatabase\DriverInfFiles\{owner}")
                folder = (package.text("Active") or package.text("")) if package else None
                if folder:
                    return folder
    return None
