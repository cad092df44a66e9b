"""Rules on the state in which Windows was left, and on how one gets into it."""

from collections.abc import Iterator

from preflight.guest_facts import Windows
from preflight.rules._guests import Case, guest_rule
from preflight.verdicts import Breach, Outcome

_SHUT_DOWN = "Start Windows and shut it down fully, run: shutdown /s /t 0"


@guest_rule("windows", of="windows.hibernated")
def hibernated_windows(hibernated: bool, case: Case) -> Iterator[Outcome]:
    """Windows was hibernated, or shut down with fast startup.

    What: hiberfil.sys holds a session.
    Why: an instance tries to resume it on other hardware; the cloud cannot bring drivers into such a file system.
    Remedy: shut it down fully.
    Source: practice: NTFS must not be written while a session is kept.
    """
    if hibernated:
        yield Breach(
            "hiberfil.sys holds a session", "hiberfil.sys", f"Turn hibernation off (powercfg /h off). {_SHUT_DOWN}"
        )


@guest_rule("windows", of="windows")
def dirty_windows_volume(windows: Windows, case: Case) -> Iterator[Outcome]:
    """A file system of Windows was not closed cleanly.

    What: the dirty flag of NTFS is set.
    Why: it is checked when the instance starts, and the cloud may refuse to bring drivers into it.
    Remedy: check it, and shut Windows down.
    Source: instructions for importing images: the file systems must be consistent.
    """
    for on in windows.dirty_volumes:
        yield Breach("its dirty flag is set", on, f"Check it with chkdsk. {_SHUT_DOWN}")


@guest_rule("windows", of="windows")
def dirty_registry_hives(windows: Windows, case: Case) -> Iterator[Outcome]:
    """Files of the registry were not written to their end.

    What: the two sequence numbers of a hive differ: its last changes are only in its transaction logs, .LOG1 and .LOG2.
    Why: Windows was not shut down fully. What was found in the hive may be out of date, and what the cloud writes into
    it, such as its drivers, may be undone when Windows applies the logs.
    Remedy: shut Windows down fully.
    Source: practice: Windows registry file format specification, "Dirty state of a hive".
    """
    if windows.hives_dirty:
        names = ", ".join(windows.hives_dirty)
        yield Breach(f"the last changes of {names} are only in the transaction logs", "registry", _SHUT_DOWN)


@guest_rule("windows", of="windows.rdp_enabled")
def remote_desktop_disabled(enabled: bool, case: Case) -> Iterator[Outcome]:
    """Remote Desktop is off.

    What: fDenyTSConnections is set.
    Why: the instance cannot be reached but by its console.
    Remedy: turn it on.
    Source: instructions for importing images, Windows: port 3389 open.
    """
    if not enabled:
        yield Breach("Remote Desktop is disabled", "Remote Desktop", "Enable it in the guest's system settings.")


@guest_rule("windows", of="windows.firewall_enabled")
def windows_firewall_enabled(enabled: bool, case: Case) -> Iterator[Outcome]:
    """The firewall of Windows is on.

    What: it is enabled for one of the profiles, as it is in every new installation.
    Why: it may shut out Remote Desktop.
    Remedy: turn it off, or make sure that port 3389 is open.
    Source: instructions for importing images, Windows: firewall off.
    """
    if enabled:
        yield Breach("the firewall is on", "firewall", "Make sure that port 3389 is open, or turn it off.")


@guest_rule("windows", of="windows.qemu_guest_agent")
def windows_guest_agent_installed(installed: bool, case: Case) -> Iterator[Outcome]:
    """The QEMU guest agent is installed in Windows.

    What: its service or program is there.
    Why: it takes the channel that the cloud's own agent needs; the cloud asks for images without it.
    Remedy: uninstall it.
    Source: instructions for importing images, Windows: no qemu-ga.
    """
    if installed:
        yield Breach("qemu-ga is installed", "QEMU guest agent", "Uninstall it in the guest.")


@guest_rule("windows", of="windows.cloud_assistant")
def windows_cloud_assistant_missing(installed: bool, case: Case) -> Iterator[Outcome]:
    """The cloud's agent for commands, Cloud Assistant, is not installed in Windows.

    What: its folder is not there.
    Why: commands cannot be run on the instance from the console; it starts and works without.
    Remedy: install it on the instance.
    Source: image check item GUESTOS.CloudAssistant.
    """
    if not installed:
        yield Breach("Cloud Assistant is not installed", "agents", "Install it where commands from the console matter.")
