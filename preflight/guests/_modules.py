"""What a kernel was built with: its configuration, the list of what is built in, and its modules.

Specification: Linux, Documentation/kbuild/kconfig.rst and kbuild.rst (modules.builtin); kmod, depmod(8) (modules.dep).
"""

import re
from collections.abc import Collection

import msgspec

from preflight.contents import ContentsError
from preflight.contents.tree import Tree
from preflight.guest_facts import ConfigValue
from preflight.guests._initramfs import module_of
from preflight.units import MiB

MAX_CONFIG = 2 * MiB  # Debian's have 280 KiB
MAX_BUILTIN = 1 * MiB  # modules.builtin: 30 KiB
MAX_DEPENDENCIES = 4 * MiB  # modules.dep: 600 KiB with all modules of Ubuntu

MAX_VERSIONS = 256  # directories of /lib/modules that are looked at

MODULES = {
    "CONFIG_VIRTIO": ("virtio", "kernel/drivers/virtio"),
    "CONFIG_VIRTIO_PCI": ("virtio_pci", "kernel/drivers/virtio"),
    "CONFIG_VIRTIO_BLK": ("virtio_blk", "kernel/drivers/block"),
    "CONFIG_VIRTIO_NET": ("virtio_net", "kernel/drivers/net"),
    "CONFIG_SCSI_VIRTIO": ("virtio_scsi", "kernel/drivers/scsi"),
    "CONFIG_BLK_DEV_NVME": ("nvme", "kernel/drivers/nvme/host"),
    "CONFIG_FW_CFG_SYSFS": ("qemu_fw_cfg", "kernel/drivers/firmware"),
}
"""Option → the module that it makes, and the directory in which a kernel installs it."""

_VERSION = re.compile(r"[!-~]+\Z")  # printable ASCII
_SUFFIXES = (".ko", ".ko.xz", ".ko.zst", ".ko.gz")
_BASES = ("/lib/modules", "/usr/lib/modules")  # the second where /lib is another file system's, or no link
_OPTION = re.compile(
    rb"^(?:(?P<set>%s)=(?P<value>[ymn])|# (?P<unset>%s) is not set)" % ((b"|".join(map(str.encode, MODULES)),) * 2),
    re.MULTILINE,
)
_INSIDE = re.compile(rb'^CONFIG_INITRAMFS_SOURCE="[^"]', re.MULTILINE)
_IS_CONFIG = re.compile(rb"^CONFIG_[A-Z0-9]", re.MULTILINE)


class ModuleTree:
    """The module directory of one kernel."""

    def __init__(self, tree: Tree, version: str, *, thorough: bool) -> None:
        """Of the kernel `version`, as `uname -r` prints it.

        `thorough`: whether modules are looked for in other places too than where a kernel installs them.
        """
        self._tree = tree
        self.path = directory_of(tree, version)
        """Where it is, None where the kernel has none."""
        self._dependencies: bytes | None = None if thorough else b""
        self.read_from: list[str] = []

    def has(self, option: str) -> bool:
        """Whether the module of this option is on the root file system."""
        if self.path is None:
            return False
        name, directory = MODULES[option]
        spellings = {name, name.replace("_", "-")}
        for candidate in (f"{self.path}/{directory}/{name}{suffix}" for name in spellings for suffix in _SUFFIXES):
            if self._tree.is_file(candidate):
                return True
        # Elsewhere: updates/ and extra/ of vendors, drivers/block/nvme.ko before Linux 4.4.
        for spelling in spellings:
            found = re.search(rb"^([^:\n]*/)?%s\.ko[.a-z0-9]*:" % spelling.encode(), self._listed(), re.MULTILINE)
            if found and self._is_there(found[0][:-1].decode("utf-8", "surrogateescape")):
                return True
        return False

    def _is_there(self, listed: str) -> bool:
        """Whether a module that modules.dep lists was not removed; its directory being absent is no sign of that."""
        path = listed if listed.startswith("/") else f"{self.path}/{listed}"  # depmod of CentOS 5 lists whole paths
        return self._tree.is_file(path) or not self._tree.exists(path.rpartition("/")[0])

    def _listed(self) -> bytes:
        """The text of modules.dep, empty where there is none that can be read."""
        if self._dependencies is None:
            path = f"{self.path}/modules.dep"
            try:
                text = self._tree.read(path, MAX_DEPENDENCIES)
            except ContentsError:
                text = None
            if text is not None:
                self.read_from.append(path)
            self._dependencies = text or b""
        return self._dependencies

    def builtin(self) -> bytes | None:
        """The text of modules.builtin, None where there is none that can be read."""
        if self.path is None:
            return None
        path = f"{self.path}/modules.builtin"
        try:
            text = self._tree.read(path, MAX_BUILTIN)
        except ContentsError:
            return None
        if text is not None:
            self.read_from.append(path)
        return text


def directory_of(tree: Tree, version: str) -> str | None:
    """The module directory of a kernel, None where it has none."""
    if not version or version in (".", "..") or "/" in version:
        return None
    return next((path for base in _BASES if tree.is_directory(path := f"{base}/{version}")), None)


def versions(tree: Tree) -> tuple[str, ...]:
    """The kernels that have a module directory with modules in it."""
    found: dict[str, None] = {}
    for base in _BASES:
        for name in tree.names(base)[:MAX_VERSIONS]:
            if _VERSION.match(name) and any(
                tree.exists(f"{base}/{name}/{inside}") for inside in ("modules.dep", "modules.builtin", "kernel")
            ):
                found[name] = None
    return tuple(found)


class Config(msgspec.Struct, frozen=True):
    """What is known of how a kernel was configured."""

    options: dict[str, ConfigValue]
    """Those of `MODULES`, all of them where this is from a configuration file."""
    initramfs_inside: bool
    """Whether an initramfs is linked into the kernel."""
    path: str | None
    """The configuration file; None where this is told by the list of what is built in."""


def read_config(tree: Tree, candidates: tuple[str, ...]) -> Config | None:
    """The first of these configuration files that is one, None where none is.

    Raises `ContentsError` where one is too large, or cannot be read.
    """
    for path in candidates:
        data = tree.read(path, MAX_CONFIG)
        if data is None or not _IS_CONFIG.search(data):
            continue
        # An option whose dependencies are off, or that the kernel does not know yet, is not mentioned.
        options: dict[str, ConfigValue] = dict.fromkeys(MODULES, "n")
        for match in _OPTION.finditer(data):
            if match["set"]:
                value = match["value"]
                options[match["set"].decode()] = "y" if value == b"y" else "m" if value == b"m" else "n"
            else:
                options[match["unset"].decode()] = "n"
        return Config(options, _INSIDE.search(data) is not None, path)
    return None


def config_of_builtin(text: bytes, modules: ModuleTree, elsewhere: Collection[str] = ()) -> Config:
    """What modules.builtin tells: what is listed is built in, of the others the modules are there or not.

    `elsewhere`: modules that are known to be there too.
    """
    listed = {module_of(line) for line in text.decode("utf-8", "replace").splitlines()}
    options: dict[str, ConfigValue] = {}
    for option, (module, _) in MODULES.items():
        options[option] = "y" if module in listed else "m" if module in elsewhere or modules.has(option) else "n"
    return Config(options, False, None)
