"""Rules on how the guest starts: firmware, boot loader, and what the boot loader is told."""

from collections.abc import Iterator

from preflight.facts import FileSystem, Image, Unknown
from preflight.guest_facts import BootEntry, BootLoader, Fstab, Kernels
from preflight.rules import rule
from preflight.rules._guests import Case, boot_mode_of, guest_rule
from preflight.verdicts import Breach, Declared, Limits, Outcome, Unsettled

_IDENTITIES = ("UUID=", "LABEL=", "PARTUUID=", "PARTLABEL=")
_READ_FOR_BOOT = ("ext2", "ext3", "ext4", "xfs", "btrfs", "vfat")  # what a missing kernel may be told of
_IN_GRUB = "In the guest, name it by UUID in /etc/default/grub and its scripts, and write the menu anew, run: "
_WITH_BOOT_MODE = "Import it by a profile that has BootMode (preflight profiles), or "
_BIOS_TOO = f"{_WITH_BOOT_MODE}install GRUB for BIOS in the guest, run: grub-install --target=i386-pc /dev/vda"
_BIOS_TOO_ON_WINDOWS = f"{_WITH_BOOT_MODE}install Windows anew for BIOS, on a disk with an MBR."
_LOADER = "Install the boot loader on the disk, run: grub-install /dev/vda"
_FALLBACK_LOADER = "Install the loader under the fallback name too, run: grub-install --removable"
_WINDOWS_LOADER = "Start the installation medium in the same boot mode, and install it, run: bcdboot C:\\Windows /f ALL"
_WRITE_MENU = "grub2-mkconfig -o /boot/grub2/grub.cfg || grub-mkconfig -o /boot/grub/grub.cfg"


@rule
def no_operating_system(image: Image, limits: Limits, declared: Declared) -> Iterator[Outcome]:
    """A system disk holds no operating system.

    What: the disk was read, and no file system on it is the root of a system.
    Why: nothing can start from it; the cloud's own check calls it no valid system disk.
    Remedy: name the right file, or install a system first; a data disk is checked with --role data.
    Source: image check item GUESTOS.SystemImage.
    """
    table = image.partition_table
    if declared.role != "system" or image.format not in limits.formats:
        return
    if image.guest is None:
        if table is None or table.type == "none" or not image.partitions:
            return  # the rules on the layout say so
        yield Breach(
            "no file system on the disk holds an operating system",
            "disk",
            "Name the right file, or install a system first. A data disk is checked with --role data.",
        )
    elif isinstance(image.guest, Unknown):
        yield Unsettled(image.guest.unknown)


@guest_rule(of="boot_modes")
def no_boot_loader(boot_modes: tuple[str, ...], case: Case) -> Iterator[Outcome]:
    """No firmware finds anything to start on the system disk.

    What: there is neither boot code that a BIOS runs nor a loader on an EFI system partition.
    Why: an instance stops before the operating system.
    Remedy: install the boot loader in the guest.
    Source: image check items GUESTOS.SystemImage and GUESTOS.BootMgr.
    """
    if not boot_modes:
        yield Breach(
            "neither a BIOS nor UEFI firmware finds a boot loader",
            "boot loader",
            _WINDOWS_LOADER
            if case.guest.os_type == "windows"
            else "Install the boot loader on the disk, run: grub-install /dev/vda",
        )


@guest_rule("linux", of="kernels")
def no_kernel(kernels: Kernels, case: Case) -> Iterator[Outcome]:
    """The guest has no kernel.

    What: neither /boot nor another place where distributions keep kernels has one that can be booted.
    Why: the boot loader has nothing to start.
    Remedy: install the distribution's kernel in the guest.
    Source: image check item GUESTOS.SystemImage: a valid system disk.
    """
    if any(kernel.path for kernel in kernels.installed):
        return
    fstab = case.guest.fstab
    boot = [entry for entry in fstab.entries if entry.mount_point == "/boot"] if isinstance(fstab, Fstab) else []
    kinds = {entry.on: entry.type for entry in case.image.filesystems}
    if any(kinds.get(entry.on or "") not in _READ_FOR_BOOT for entry in boot):
        yield Unsettled("what /boot is mounted from is not here, or not read")
        return
    yield Breach("there is no kernel", "/boot", "Install the distribution's kernel in the guest.")


@guest_rule(of="boot_modes")
def boots_by_uefi_only(boot_modes: tuple[str, ...], case: Case) -> Iterator[Outcome]:
    """The guest starts from UEFI firmware only, and the API starts everything from a BIOS.

    What: there is a loader on an EFI system partition, no boot code for a BIOS, and no parameter BootMode.
    Why: what cannot be told boots by the default, and finds nothing.
    Remedy: import it with an API that has BootMode, or install a boot loader for BIOS too.
    Source: ImportImage, BootMode, which is younger than the reference of 2018.
    """
    if boot_modes == ("uefi",) and not case.limits.boot_modes:
        yield Breach(
            "the guest starts by UEFI only, and this API has no BootMode and starts by BIOS",
            "boot mode",
            _BIOS_TOO_ON_WINDOWS if case.guest.os_type == "windows" else _BIOS_TOO,
        )


@guest_rule(of="boot_modes")
def boot_mode_differs(boot_modes: tuple[str, ...], case: Case) -> Iterator[Outcome]:
    """The declared BootMode is not one by which the guest starts.

    What: for example BIOS is declared for a disk that has a loader on an EFI system partition and no boot code.
    Why: the instance finds nothing to start.
    Remedy: leave it away, so that it is taken from the image.
    Source: ImportImage, BootMode; error code InvalidBootMode.NotSupport; image check item GUESTOS.BootMode.
    """
    said = case.declared.boot_mode
    if said in case.limits.boot_modes and boot_modes and said.lower() not in boot_modes:
        found = " and ".join(mode.upper() for mode in boot_modes)
        fitting = boot_mode_of(case.image, case.limits)
        yield Breach(
            f"BootMode {said} is declared, and the guest starts by {found}",
            "BootMode",
            f"Declare --boot-mode {fitting}, or leave it away." if fitting else "Install the other boot loader.",
        )


@guest_rule(of="architecture")
def boot_mode_of_architecture(architecture: str, case: Case) -> Iterator[Outcome]:
    """The declared BootMode is not offered for the guest's architecture.

    What: for example BIOS with arm64.
    Why: the API refuses the request: "The specified parameter BootMode is not supported for current image
    architecture."
    Remedy: leave it away.
    Source: ImportImage, BootMode; error code InvalidBootMode.NotSupport.
    """
    said = case.declared.boot_mode
    allowed = case.limits.boot_modes_by_architecture.get(architecture)
    if allowed and said in case.limits.boot_modes and said not in allowed:
        yield Breach(
            f"BootMode {said} is declared, {architecture} takes {' or '.join(allowed)} only",
            "BootMode",
            f"Declare --boot-mode {allowed[0]}, or leave it away.",
        )


@guest_rule(of="boot_loader")
def no_fallback_loader(loader: BootLoader, case: Case) -> Iterator[Outcome]:
    r"""The EFI system partition has no loader that firmware starts without being told.

    What: the guest starts by UEFI, and there is no \EFI\BOOT\BOOTX64.EFI or its like, only loaders of other names.
    Why: a new instance has none of the boot variables that the installer wrote into the first machine's firmware.
    Remedy: install the loader under the fallback name too.
    Source: UEFI specification 2.10, section 3.5.1.1, "Removable Media Boot Behavior".
    """
    by_uefi = (case.declared.boot_mode or boot_mode_of(case.image, case.limits) or "").lower() == "uefi"
    if by_uefi and loader.efi_loaders and not loader.efi_fallback:
        yield Breach(
            f"firmware is to be told of {loader.efi_loaders[0]}, and a new instance's is not",
            "EFI system partition",
            _WINDOWS_LOADER if case.guest.os_type == "windows" else _FALLBACK_LOADER,
        )


def _started(loader: BootLoader) -> tuple[BootEntry, ...]:
    """The entry that boots by itself, or all where it is not known which does."""
    if loader.default is not None and loader.default < len(loader.entries):
        return (loader.entries[loader.default],)
    return loader.entries


def _roots(loader: BootLoader) -> dict[str, BootEntry]:
    """What the boot loader gives as root, each once."""
    return {entry.root: entry for entry in reversed(_started(loader)) if entry.root is not None}


@guest_rule("linux", of="boot_loader")
def unknown_boot_entries(loader: BootLoader, case: Case) -> Iterator[Outcome]:
    """What the boot loader starts could not be learned.

    What: a boot loader is there, and no entry of its menu was found.
    Why: a menu that was broken does not start the system; one that is written in a way that is not understood does.
    Remedy: write the menu anew.
    Source: NOTES20: do not break /boot/grub/menu.lst; image check item GUESTOS.Grub.
    """
    if loader.names and not loader.entries:
        yield Unsettled(f"no entry was found in the menu of {' and '.join(loader.names)}")


@guest_rule("linux", of="boot_loader")
def boot_root_by_device_name(loader: BootLoader, case: Case) -> Iterator[Outcome]:
    """The boot loader names the root file system by a device name that an instance does not have.

    What: for example root=/dev/sda1 on the kernel's command line.
    Why: disks of an instance are /dev/vda and so on; the kernel waits for the other one, and stops.
    Remedy: name it by UUID.
    Source: instructions for importing images: GRUB must not name root by device; image check item GUESTOS.Grub.
    """
    yield from _named_by_device(loader, case, foreign=True)


@guest_rule("linux", of="boot_loader")
def boot_root_by_instance_device_name(loader: BootLoader, case: Case) -> Iterator[Outcome]:
    """The boot loader names the root file system by the name that a disk has on some instances.

    What: for example root=/dev/vda1 on the kernel's command line.
    Why: names depend on the bus and the order: on an instance type with NVMe the disk is called differently.
    Remedy: name it by UUID.
    Source: instructions for importing images: GRUB must not name root by device; image check item GUESTOS.Grub.
    """
    yield from _named_by_device(loader, case, foreign=False)


def _named_by_device(loader: BootLoader, case: Case, *, foreign: bool) -> Iterator[Outcome]:
    for root, entry in _roots(loader).items():
        if is_device_name(root) and foreign != is_of_instance(root, case.limits):
            known = next((one.uuid for one in case.image.filesystems if one.on == case.guest.root and one.uuid), None)
            better = f"; its UUID is {known}" if known else ""
            yield Breach(f"the kernel is given root={root}{better}", entry.read_from, f"{_IN_GRUB}{_WRITE_MENU}")


def is_device_name(spec: str) -> bool:
    """Whether this is the kernel's own name for a disk or partition, and no link or volume."""
    name = spec.removeprefix("/dev/")
    prefixes = ("sd", "hd", "vd", "xvd", "nvme", "mmcblk", "ubd", "dasd", "cciss/")
    return name != spec and name.startswith(prefixes) and any(map(str.isalnum, name[2:]))


def is_of_instance(spec: str, limits: Limits) -> bool:
    """Whether disks of an instance have such names."""
    return spec.removeprefix("/dev/").startswith(limits.contents.disk_names)


@guest_rule("linux", of="boot_loader")
def stale_boot_root(loader: BootLoader, case: Case) -> Iterator[Outcome]:
    """The boot loader names a root file system that is not on the disk.

    What: the UUID or label after root= on the kernel's command line belongs to nothing here.
    Why: the kernel or its initramfs waits for it in vain, and the instance does not start.
    Remedy: write the menu anew, with the UUID that the file system has.
    Source: image check item GUESTOS.Grub: the UUIDs in GRUB's configuration are valid.
    """
    for root, entry in _roots(loader).items():
        if root.startswith(_IDENTITIES) and entry.root_on is None:
            if _is_sealed(case.image.filesystems):
                yield Unsettled(f"{root} may be in an encrypted volume")
                continue
            yield Breach(
                f"the kernel is given root={root}, which nothing on this disk has",
                entry.read_from,
                f"In the guest, write the menu anew, run: {_WRITE_MENU}",
            )


@guest_rule("linux", of="boot_loader")
def stale_boot_search(loader: BootLoader, case: Case) -> Iterator[Outcome]:
    """The boot loader's configuration searches for a file system that is not on the disk.

    What: a UUID or label that is searched for belongs to nothing here; a file system was made anew, or copied.
    Why: GRUB tells "no such device", and finds its kernels by luck or not at all.
    Remedy: write the menu anew, and install GRUB again.
    Source: image check item GUESTOS.Grub: the UUIDs in GRUB's configuration are valid.
    """
    told = {root.partition("=")[2] for root in _roots(loader)}
    missing = [name for name in loader.missing_uuids if name.partition("=")[2] not in told and name not in told]
    if missing and not _is_sealed(case.image.filesystems):
        yield Breach(
            f"it searches for {', '.join(missing[:4])}, which nothing on this disk has",
            next(iter(loader.read_from), "boot loader"),
            f"In the guest, write the menu anew, run: {_WRITE_MENU}",
        )


def _is_sealed(filesystems: tuple[FileSystem, ...]) -> bool:
    return any(entry.type in ("crypto_LUKS", "BitLocker") for entry in filesystems)
