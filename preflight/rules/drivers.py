"""Rules on the kernel: the drivers of an instance's hardware, and how old it is."""

from collections.abc import Iterator

from preflight.facts import Unknown
from preflight.guest_facts import Driver, Guest, Kernels, Nvme, Virtio
from preflight.rules._guests import Case, guest_rule, is_older, starts_from_nvme
from preflight.verdicts import Breach, Outcome, Unsettled

_STARTS = ("built-in", "initramfs")
_INITRAMFS = (
    "Put virtio_blk, virtio_pci and virtio_net into the initramfs in the guest, run: "
    "dracut -f --add-drivers 'virtio_blk virtio_pci virtio_net' || update-initramfs -u"
)


def _is_injected(case: Case) -> bool:
    """Whether the cloud brings the virtio drivers into this guest itself."""
    kind = case.kind
    return kind is not None and kind.virtio_since is not None and not is_older(case.guest.version, kind.virtio_since)


def _faults(guest: Guest) -> Iterator[str | Unknown]:
    """What an instance's kernel lacks of virtio, in words, or why that is not known."""
    virtio = guest.virtio
    if isinstance(virtio, Unknown):
        yield virtio
        return
    drivers: tuple[tuple[str, Driver | Unknown, tuple[str, ...]], ...] = (
        ("virtio_blk", virtio.block, _STARTS),
        ("virtio_pci", virtio.pci, _STARTS),
        ("virtio_net", virtio.net, (*_STARTS, "module")),  # it can be loaded from the root file system
    )
    for name, driver, enough in drivers:
        if isinstance(driver, Unknown):
            yield driver
        elif driver == "module" and driver not in enough:
            yield f"{name} is only a module on the root file system, not in the initramfs"
        elif driver not in enough:
            yield f"{name} is missing"


def _without_virtio(virtio: Virtio, case: Case, *, injected: bool) -> Iterator[Outcome]:
    if _is_injected(case) != injected:
        return
    faults = list(_faults(case.guest))
    if told := [fault for fault in faults if isinstance(fault, str)]:
        yield Breach("; ".join(told), f"kernel {virtio.kernel}", _INITRAMFS)
    elif faults:
        yield Unsettled("; ".join(dict.fromkeys(fault.unknown for fault in faults if isinstance(fault, Unknown))))


@guest_rule("linux", of="virtio")
def virtio_driver_missing(virtio: Virtio, case: Case) -> Iterator[Outcome]:
    """The kernel that starts has no virtio drivers where it needs them.

    What: virtio_blk or virtio_pci is neither built in nor in the initramfs, or virtio_net is nowhere.
    Why: an instance's disks and network are virtio devices: the kernel does not find its root file system, or the
    instance cannot be reached.
    Remedy: put the drivers into the initramfs.
    Source: Install a virtio driver; image check item GUESTOS.Virtio.
    """
    yield from _without_virtio(virtio, case, injected=False)


@guest_rule("linux", of="virtio")
def virtio_driver_left_to_cloud(virtio: Virtio, case: Case) -> Iterator[Outcome]:
    """The kernel has no virtio drivers where it needs them, in a distribution into which the cloud brings them.

    What: virtio_blk or virtio_pci is neither built in nor in the initramfs, or virtio_net is nowhere.
    Why: whether the instance starts depends on whether the cloud succeeds; the initramfs is the image's own affair.
    Remedy: put the drivers into the initramfs.
    Source: Install a virtio driver: systems that ECS processes itself; image check item GUESTOS.Virtio.
    """
    yield from _without_virtio(virtio, case, injected=True)


@guest_rule("linux", of="nvme")
def nvme_driver_missing(nvme: Nvme, case: Case) -> Iterator[Outcome]:
    """The kernel that starts does not find its root file system on an NVMe disk.

    What: the driver nvme is neither built in nor in the initramfs.
    Why: instance types of the newer families have NVMe disks, and the image cannot be used with them.
    Remedy: put the driver into the initramfs.
    Source: Alibaba Cloud image requirements, NVMe; image check item GUESTOS.Nvme.
    """
    if isinstance(nvme.driver, Unknown):
        yield Unsettled(nvme.driver.unknown)
    elif nvme.driver not in _STARTS:
        how = "is only a module on the root file system" if nvme.driver == "module" else "is missing"
        yield Breach(
            f"nvme {how}",
            f"kernel {nvme.kernel}",
            "Put nvme into the initramfs in the guest, run: dracut -f --add-drivers nvme || update-initramfs -u",
        )


@guest_rule()
def nvme_support_wrongly_declared(guest: Guest, case: Case) -> Iterator[Outcome]:
    """NVMe support is declared, and the guest has none.

    What: Features.NvmeSupport says yes, and the driver is neither built in nor in the initramfs.
    Why: instance types with NVMe disks are offered for the image, and do not start.
    Remedy: leave it away, so that it is taken from the image, or put the driver into the initramfs.
    Source: ImportImage, Features.NvmeSupport; image check item GUESTOS.Nvme.
    """
    values = case.limits.nvme_support
    if not values or case.declared.nvme_support != values[0]:
        return
    starts = starts_from_nvme(guest)
    if isinstance(starts, Unknown):
        yield Unsettled(starts.unknown)
    elif not starts:
        yield Breach(
            f"NvmeSupport {values[0]} is declared, and the kernel does not start from an NVMe disk",
            "Features.NvmeSupport",
            f"Leave it away, or declare --nvme-support {values[1]}.",
        )


@guest_rule("linux", of="kernels")
def password_channel_missing(kernels: Kernels, case: Case) -> Iterator[Outcome]:
    """The kernel has no sysfs interface to the firmware's configuration.

    What: CONFIG_FW_CFG_SYSFS is neither y nor m.
    Why: cloud-init gets the password of the instance that way; without it neither password nor key is set.
    Remedy: take a newer kernel: 4.6, or 3.10.0-826 of CentOS 7.
    Source: ImportImage, conditions for setting a password; Alibaba Cloud image requirements.
    """
    if not kernels.installed:
        return
    kernel = kernels.installed[0]
    if isinstance(kernel.config, Unknown):
        yield Unsettled(kernel.config.unknown)
        return
    value = kernel.config.get("CONFIG_FW_CFG_SYSFS")
    if value is None:
        yield Unsettled(f"the configuration of kernel {kernel.version} does not tell CONFIG_FW_CFG_SYSFS")
    elif value == "n":
        yield Breach(
            "CONFIG_FW_CFG_SYSFS is not set",
            f"kernel {kernel.version}",
            "Install a kernel that has it; kernels of distributions have had it since 4.6.",
        )


@guest_rule("linux", of="kernels")
def kernel_too_old_to_grow(kernels: Kernels, case: Case) -> Iterator[Outcome]:
    """The kernel cannot grow the root file system while it is mounted.

    What: the kernel that starts is older than the profile's limit.
    Why: the root file system keeps the size that it has in the image, however large the instance's disk is.
    Remedy: install a newer kernel.
    Source: ImportImage, conditions for growing the system disk; image check item GUESTOS.OnlineResizeFS.
    """
    oldest = case.limits.contents.oldest_growing_kernel
    if kernels.installed and is_older(kernels.installed[0].version, oldest):
        yield Breach(
            f"kernel {kernels.installed[0].version}, needed is {oldest}",
            f"kernel {kernels.installed[0].version}",
            "Install a newer kernel in the guest.",
        )


@guest_rule("linux", of="version")
def release_too_old_for_current_types(version: str, case: Case) -> Iterator[Outcome]:
    """The release is older than what runs on the instance types of today.

    What: its kernel lacks what the virtualisation of newer families asks for.
    Why: the instance does not start there.
    Remedy: upgrade the guest.
    Source: image check item GUESTOS.SupportMocInstanceTypes.
    """
    kind = case.kind
    if kind and is_older(version, kind.oldest_on_current_types):
        yield Breach(
            f"{kind.platform} {version}, the first that runs on current instance types is "
            f"{kind.oldest_on_current_types}",
            "version",
            "Upgrade the guest before it is imported.",
        )
