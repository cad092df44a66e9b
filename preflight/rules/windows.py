"""Rules on Windows: its release, its drivers, what starts it, and what was left unfinished."""

from collections.abc import Iterator

from preflight.facts import Unknown
from preflight.guest_facts import Windows
from preflight.rules._guests import Case, guest_rule, is_older
from preflight.verdicts import Breach, Outcome, Unsettled

_REPAIR = "Repair the start with the installation medium: bootrec /rebuildbcd, bcdboot C:\\Windows."
_DRIVERS = "Install the virtio drivers in the guest, viostor to start at boot."


@guest_rule("windows", of="windows.installation_type")
def windows_client_edition(installation_type: str, case: Case) -> Iterator[Outcome]:
    """The guest is a Windows for desktops.

    What: InstallationType is Client: XP, 7, 8, 8.1, 10, 11.
    Why: the cloud takes Windows Server only; it has neither a licence nor drivers for others.
    Remedy: import a Windows Server.
    Source: instructions for importing images, Windows.
    """
    if installation_type == "client":
        name = case.guest.name if isinstance(case.guest.name, str) else "the guest"
        yield Breach(f"{name} is no Windows Server", "windows", "Import a Windows Server.")


@guest_rule("windows", of="windows")
def windows_service_pack_missing(windows: Windows, case: Case) -> Iterator[Outcome]:
    """The Windows lacks a service pack that the cloud asks for.

    What: CSDVersion is below the profile's limit for this release, or is not set.
    Why: the drivers of an instance need it; so does the update for their signatures on 2008 R2.
    Remedy: install it.
    Source: instructions for importing images: Server 2003 with SP1 or higher; KB3033929: 2008 R2 with SP1.
    """
    needed = case.kind.service_pack if case.kind else None
    if not needed:
        return
    if isinstance(windows.service_pack, Unknown):
        yield Unsettled(windows.service_pack.unknown)
        return
    digits = "".join(filter(str.isdecimal, windows.service_pack or ""))[:3] or "0"
    if int(digits) < needed:
        yield Breach(
            f"{windows.service_pack or 'no service pack'} is installed, needed is Service Pack {needed}",
            "service pack",
            "Install the last service pack in the guest.",
        )


def _without_virtio(windows: Windows, case: Case, *, injected: bool) -> Iterator[Outcome]:
    kind = case.kind
    brings = kind is not None and kind.virtio_since is not None and not is_older(case.guest.version, kind.virtio_since)
    if brings != injected:
        return
    unknown = [fact.unknown for fact in (windows.virtio_storage, windows.virtio_network) if isinstance(fact, Unknown)]
    faults = []
    if windows.virtio_storage == "missing":
        faults.append("neither viostor nor vioscsi is installed")
    elif windows.virtio_storage == "present":
        faults.append("the virtio storage driver is installed, and does not start at boot")
    if windows.virtio_network == "missing":
        faults.append("netkvm is not installed")
    if faults:
        yield Breach("; ".join(faults), "drivers", _DRIVERS)
    elif unknown:
        yield Unsettled("; ".join(dict.fromkeys(unknown)))


@guest_rule("windows", of="windows")
def windows_virtio_missing(windows: Windows, case: Case) -> Iterator[Outcome]:
    """The Windows has no virtio drivers.

    What: the storage driver is not installed, or does not start at boot; or the network driver is not installed.
    Why: an instance's disks and network are virtio devices: it stops with INACCESSIBLE_BOOT_DEVICE, or has no network.
    Remedy: install the drivers.
    Source: Install a virtio driver; image check item GUESTOS.Virtio.
    """
    yield from _without_virtio(windows, case, injected=False)


@guest_rule("windows", of="windows")
def windows_virtio_left_to_cloud(windows: Windows, case: Case) -> Iterator[Outcome]:
    """The Windows has no virtio drivers, and is a release into which the cloud brings them.

    What: the storage driver is not installed, or does not start at boot; or the network driver is not installed.
    Why: whether the instance starts depends on whether the cloud succeeds, as with file systems that are not clean.
    Remedy: install the drivers.
    Source: Install a virtio driver: systems that ECS processes itself; image check item GUESTOS.Virtio.
    """
    yield from _without_virtio(windows, case, injected=True)


@guest_rule("windows", of="windows.bcd_present")
def boot_configuration_missing(present: bool, case: Case) -> Iterator[Outcome]:
    """The boot configuration of Windows is missing or damaged.

    What: there is no BCD store that is a whole hive; before Vista, no boot.ini.
    Why: the boot manager does not know what to start.
    Remedy: repair the start.
    Source: image check item GUESTOS.BCD.
    """
    if not present:
        yield Breach("there is no valid BCD store", "BCD", _REPAIR)


@guest_rule("windows", of="windows.bootmgr_present")
def boot_manager_missing(present: bool, case: Case) -> Iterator[Outcome]:
    """The boot manager of Windows is missing.

    What: there is neither bootmgr nor bootmgfw.efi; before Vista, no ntldr.
    Why: the instance stops with "BOOTMGR is missing".
    Remedy: repair the start.
    Source: image check item GUESTOS.BootMgr.
    """
    if not present:
        yield Breach("there is no bootmgr", "bootmgr", _REPAIR)


@guest_rule("windows", of="windows")
def registry_hives_missing(windows: Windows, case: Case) -> Iterator[Outcome]:
    r"""Files of the registry are missing or damaged.

    What: one of SYSTEM, SOFTWARE, SAM, SECURITY, DEFAULT is not in System32\config, or no whole hive.
    Why: Windows does not start without them.
    Remedy: restore them from a backup.
    Source: image check item GUESTOS.Registry.
    """
    for names, told in ((windows.hives_missing, "missing"), (windows.hives_damaged, "damaged")):
        if names:
            verb = "is" if len(names) == 1 else "are"
            yield Breach(f"{', '.join(names)} {verb} {told}", "registry", "Restore them from a backup of the guest.")


@guest_rule("windows", of="windows.desktop_config_present")
def desktop_configuration_missing(present: bool, case: Case) -> Iterator[Outcome]:
    """desktop.ini of the public desktop is missing.

    What: the file is not there.
    Why: the cloud's check asks for it; its absence tells of files that were cleaned away.
    Remedy: restore it.
    Source: image check item GUESTOS.DesktopConfig.
    """
    if not present:
        yield Breach("there is no desktop.ini", "Users\\Public\\Desktop", "Restore it from an installation.")


@guest_rule("windows", of="windows.hotfixes")
def unsuitable_updates(hotfixes: tuple[str, ...], case: Case) -> Iterator[Outcome]:
    """An update is installed that is known to break instances, or one is missing that they need.

    What: the update is in the profile's list; or the one that its drivers' signatures need is absent.
    Why: Windows restarts over and over, or refuses the drivers.
    Remedy: remove or install the update.
    Source: image check item GUESTOS.Hotfix.
    """
    contents = case.limits.contents
    if bad := [update for update in hotfixes if update in contents.bad_updates]:
        yield Breach(f"{', '.join(bad)} is installed", "updates", f"Remove it, run: wusa /uninstall /kb:{bad[0][2:]}")
    name = case.guest.name if isinstance(case.guest.name, str) else ""
    for release, needed in contents.needed_updates.items():
        missing = [update for update in needed if update not in hotfixes]
        if release in name and case.guest.architecture == "x86_64" and missing:
            yield Breach(f"{', '.join(missing)} is not installed", "updates", "Install it in the guest.")


@guest_rule("windows", of="windows.disk_upper_filters")
def orphaned_disk_filters(filters: tuple[str, ...], case: Case) -> Iterator[Outcome]:
    """The class of disks has a filter driver that is not there.

    What: UpperFilters names a service whose driver file is missing.
    Why: Windows finds no disk, and stops.
    Remedy: remove the name from UpperFilters.
    Source: image check item GUESTOS.Disk.
    """
    if filters:
        yield Breach(f"the driver of {', '.join(filters)} is missing", "UpperFilters", "Remove it from UpperFilters.")


@guest_rule("windows", of="windows.xen_hide_devices")
def xen_hides_devices(hides: bool, case: Case) -> Iterator[Outcome]:
    r"""A driver of Xen hides the machine's devices.

    What: hide_devices is set in Services\XenPCI\Parameters.
    Why: disks and network of the instance do not appear.
    Remedy: remove the Xen drivers, or clear the value.
    Source: image check item GUESTOS.Xen.
    """
    if hides:
        yield Breach("hide_devices is set", "Services\\XenPCI", "Remove the Xen drivers in the guest.")


@guest_rule("windows", of="windows.device_install_disabled")
def device_installation_disabled(disabled: bool, case: Case) -> Iterator[Outcome]:
    """Windows does not install new devices.

    What: DeviceInstallDisabled is set.
    Why: the devices of an instance are new to it.
    Remedy: clear the value.
    Source: image check item GUESTOS.Server.
    """
    if disabled:
        yield Breach("DeviceInstallDisabled is set", "registry", "Set the value to 0 in the guest.")


@guest_rule("windows", of="windows.sysprep_pending")
def setup_unfinished(pending: bool, case: Case) -> Iterator[Outcome]:
    """Setup or Sysprep was interrupted.

    What: a phase of it began and did not end.
    Why: Windows refuses to start, or asks to be installed again.
    Remedy: build the image again.
    Source: image check item GUESTOS.Sysprep.
    """
    if pending:
        yield Breach("a phase of setup did not end", "Sysprep", "Let it end, or build the image again.")


@guest_rule("windows", of="windows.update_pending")
def update_unfinished(pending: bool, case: Case) -> Iterator[Outcome]:
    """An update waits for a restart.

    What: the servicing of Windows has something left to do.
    Why: it goes on while the instance starts for the first time, and may undo or lose the cloud's changes.
    Remedy: restart until nothing is left.
    Source: image check item GUESTOS.Update.
    """
    if pending:
        yield Breach("an update is not finished", "Windows Update", "Restart the guest until nothing is left to do.")
