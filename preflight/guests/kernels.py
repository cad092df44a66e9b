"""The Linux kernels of a guest, and where each has the drivers that a virtual machine needs."""

from collections.abc import Sequence

import msgspec

from preflight.contents import ContentsError
from preflight.contents.tree import Tree
from preflight.facts import Unknown
from preflight.guest_facts import ConfigValue, Driver, Kernel, Kernels, Nvme, Virtio
from preflight.guests import _initramfs, _modules
from preflight.guests._images import Image, find_images, locate
from preflight.guests._modules import Config, ModuleTree

MAX_SEARCHED = 3  # kernels whose initramfs is searched; the first is the one that boots

_DRIVERS = {
    "virtio_blk": "CONFIG_VIRTIO_BLK",
    "virtio_net": "CONFIG_VIRTIO_NET",
    "virtio_pci": "CONFIG_VIRTIO_PCI",
    "virtio_scsi": "CONFIG_SCSI_VIRTIO",
    "nvme": "CONFIG_BLK_DEV_NVME",
}
"""Field of `Kernel` → its option."""


def read_kernels(
    tree: Tree, default: str | None = None, default_initramfs: Sequence[str] | None = None
) -> Kernels | Unknown:
    """All Linux kernels, the one that boots by default first.

    `default`: its path or version, if the boot loader tells; else it is the newest. `default_initramfs`: the paths
    that the boot loader gives it, as the boot loader has them; without any, what is named like it.
    """
    try:
        images = find_images(tree, default)
    except ContentsError as error:
        return Unknown(str(error))
    if images and default_initramfs:
        paths = tuple(path for path in (locate(tree, given) for given in default_initramfs) if path)
        if paths:
            images[0] = msgspec.structs.replace(images[0], initramfs=paths, initramfs_window=None)
    budget = _initramfs.Budget()
    installed = tuple(_kernel(tree, image, budget, number < MAX_SEARCHED) for number, image in enumerate(images))
    return Kernels(installed, installed[0].version if installed else None)


def virtio_of(kernel: Kernel) -> Virtio:
    """Where this kernel has the drivers of a virtual machine's devices."""
    return Virtio(
        kernel=kernel.version,
        block=kernel.virtio_blk,
        net=kernel.virtio_net,
        pci=kernel.virtio_pci,
        scsi=kernel.virtio_scsi,
        read_from=kernel.read_from,
    )


def nvme_of(kernel: Kernel) -> Nvme:
    """Where this kernel has the driver of NVMe disks."""
    return Nvme(kernel=kernel.version, driver=kernel.nvme, read_from=kernel.read_from)


def _kernel(tree: Tree, image: Image, budget: _initramfs.Budget, searched: bool) -> Kernel:
    """One kernel; `searched`: whether its initramfs may be looked into."""
    modules = ModuleTree(tree, image.version, thorough=searched)
    read_from = [image.path] if image.path else []
    config: Config | Unknown
    drivers: dict[str, Driver | Unknown]
    try:
        config = _config(tree, image, modules)
        on_disk = {field: _value(config, field) != "y" and modules.has(option) for field, option in _DRIVERS.items()}
        search = _search(tree, image, config, on_disk, budget) if searched else None
        if search is not None:
            read_from += image.initramfs
            if isinstance(config, Unknown) and search.builtin is not None:
                config = _modules.config_of_builtin(search.builtin, modules, search.found)
        drivers = {field: _driver(field, image, config, on_disk[field], search) for field in _DRIVERS}
    except ContentsError as error:
        config = Unknown(str(error))
        drivers = dict.fromkeys(_DRIVERS, config)
    if isinstance(config, Config) and config.path:
        read_from.append(config.path)
    return Kernel(
        version=image.version,
        path=image.path,
        config=dict(config.options) if isinstance(config, Config) else {"unknown": config.unknown},
        initramfs=image.initramfs[-1] if image.initramfs else None,  # those before it are microcode
        read_from=(*read_from, *modules.read_from),
        **drivers,
    )


def _config(tree: Tree, image: Image, modules: ModuleTree) -> Config | Unknown:
    """How the kernel was configured: by its configuration file, else by the list of what is built in."""
    places = ["/boot", "/usr/boot"]
    if image.path:
        places.insert(0, image.path.rpartition("/")[0])
    labels = dict.fromkeys(label for label in (image.version, image.label) if label)
    candidates = [f"{place}/config-{label}" for place in dict.fromkeys(places) for label in labels]
    if modules.path:
        candidates.append(f"{modules.path}/config")
    unreadable = None
    try:
        config = _modules.read_config(tree, tuple(candidates))
    except ContentsError as error:
        config, unreadable = None, str(error)
    if config is None and (builtin := modules.builtin()) is not None:
        config = _modules.config_of_builtin(builtin, modules)
    return config or Unknown(unreadable or f"kernel {image.version} has neither its configuration nor modules.builtin")


def _value(config: Config | Unknown, field: str) -> ConfigValue | None:
    """The option of a driver, None where that is not known."""
    return config.options[_DRIVERS[field]] if isinstance(config, Config) else None


def _search(
    tree: Tree, image: Image, config: Config | Unknown, on_disk: dict[str, bool], budget: _initramfs.Budget
) -> _initramfs.Search | None:
    """Look for the drivers that an initramfs could bring; None where there is none, or none is needed."""
    wanted = frozenset(
        field
        for field in _DRIVERS
        if _value(config, field) in ("m", None) or (_value(config, field) == "n" and on_disk[field])
    )
    if not wanted or not image.initramfs:
        return None
    builtin = isinstance(config, Unknown)
    search = _initramfs.Search(image.version if image.version_known else None, wanted, builtin=builtin)
    for path in image.initramfs:
        found = tree.find(path)
        if found is not None and not search.satisfied:
            _initramfs.search(_initramfs.Place(path, found, image.initramfs_window), search, budget)
    return search


def _driver(
    field: str, image: Image, config: Config | Unknown, on_disk: bool, search: _initramfs.Search | None
) -> Driver | Unknown:
    """Where the kernel has one driver."""
    value = _value(config, field)
    if value == "y":
        return "built-in"
    if search is not None and field in search.found:
        return "initramfs"
    if value == "n" and not on_disk:
        return "missing"
    if search is not None and search.stopped:
        return Unknown(search.stopped)
    if search is None and image.initramfs:
        return Unknown(f"only the initramfs of {MAX_SEARCHED} kernels are searched, and not this one's")
    if image.path is None:
        return Unknown(f"of kernel {image.version} only modules were found, its initramfs is not known")
    if image.initramfs_inside or (isinstance(config, Config) and config.initramfs_inside):
        return Unknown("it may be in the initramfs that is linked into the kernel, which is not read")
    if on_disk:
        return "module"
    return config if isinstance(config, Unknown) else "missing"
