r"""Which Windows it is: the key CurrentVersion of the hive SOFTWARE.

Specification: Microsoft, "Operating System Version",
https://learn.microsoft.com/en-us/windows/win32/sysinfo/operating-system-version, and SOFTWARE\Microsoft\Windows
NT\CurrentVersion as setup writes it from Windows 2003 to 2025.
"""

from typing import Literal

import msgspec

from preflight.contents import ContentsError
from preflight.facts import Unknown
from preflight.guests._registry import Registry

InstallationType = Literal["server", "server-core", "client"]

CURRENT_VERSION = r"Microsoft\Windows NT\CurrentVersion"
FIRST_BUILD_OF_11 = 22_000  # its ProductName still says Windows 10: Microsoft never changed the value
INSTALLATION_TYPES: dict[str, InstallationType] = {
    "server": "server",
    "server core": "server-core",
    "nano server": "server-core",
    "client": "client",
}
BUILD_LABEL_MACHINES = {"amd64": "x86_64", "x86": "i386", "arm64": "arm64", "arm": "arm", "ia64": "ia64"}
TRADE_MARKS = ("(R)", "(TM)", "®", "™")  # Windows Server (R) 2008, Windows Vista (TM)


class Product(msgspec.Struct, frozen=True):
    """What Windows calls itself."""

    name: str | None
    edition_id: str | None
    installation_type: InstallationType | Unknown
    version: str | None
    """Of the NT kernel: `10.0`."""
    build: int | None
    update_revision: int | None
    service_pack: str | None
    architecture: str | None
    """As the label of the build has it."""

    @property
    def full_version(self) -> str | None:
        """With build and revision: `10.0.20348.469`."""
        numbers = (self.version, self.build, self.update_revision if self.build is not None else None)
        return ".".join(str(number) for number in numbers if number is not None) or None

    @property
    def full_name(self) -> str | None:
        """Without marks of trade."""
        name = self.name or ""
        for mark in TRADE_MARKS:
            name = name.replace(mark, " ")
        return " ".join(name.split()) or None


def read_product(registry: Registry) -> Product:
    """What CurrentVersion says. Raises `StructureError` and `ContentsError`."""
    key = registry.software(CURRENT_VERSION)
    if key is None:
        raise ContentsError(f"the hive SOFTWARE has no key {CURRENT_VERSION}")
    # CurrentBuild is obsolete on XP and 2003: `1.511.1 () (Obsolete data - do not use)`.
    build = _build(key.text("CurrentBuildNumber")) or _build(key.text("CurrentBuild"))
    major, minor = key.number("CurrentMajorVersionNumber"), key.number("CurrentMinorVersionNumber")
    # CurrentVersion has said 6.3 ever since Windows 8.1.
    version = key.text("CurrentVersion") if major is None else f"{major}.{minor or 0}"
    name = key.text("ProductName")
    kind = _installation_type(key.text("InstallationType"), name)
    if name and name.startswith("Windows 10") and kind == "client" and (build or 0) >= FIRST_BUILD_OF_11:
        name = name.replace("Windows 10", "Windows 11", 1)
    label = (key.text("BuildLabEx") or "").split(".")  # 20348.859.amd64fre.fe_release_svc_prod2.220707-1832
    machine = label[2].lower().removesuffix("fre").removesuffix("chk") if len(label) > 2 else ""
    return Product(
        name,
        key.text("EditionID"),
        kind,
        version,
        build,
        key.number("UBR"),
        key.text("CSDVersion"),
        BUILD_LABEL_MACHINES.get(machine),
    )


def _build(text: str | None) -> int | None:
    return int(text) if text and len(text) <= 6 and text.isascii() and text.isdigit() else None


def _installation_type(stated: str | None, name: str | None) -> InstallationType | Unknown:
    """By its own value, which came with Windows 2008, else by the product's name."""
    if stated and (kind := INSTALLATION_TYPES.get(stated.lower())):
        return kind
    if name is None:
        return Unknown("neither InstallationType nor ProductName is set")
    return "server" if "server" in name.lower() else "client"
