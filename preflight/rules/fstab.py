"""Rules on /etc/fstab: what the guest mounts at boot."""

from collections.abc import Iterator

from preflight.guest_facts import Fstab, FstabEntry
from preflight.rules._guests import Case, guest_rule
from preflight.rules.boot import is_device_name, is_of_instance
from preflight.verdicts import Breach, Outcome

# Mounted below these by the system's own layout (Filesystem Hierarchy Standard 3.0, chapter 3); the rest is data.
_SYSTEM_POINTS = ("/boot", "/efi", "/usr", "/var", "/home", "/tmp", "/opt", "/root", "/sysroot", "/.snapshots")


def _is_absent(entry: FstabEntry, case: Case) -> bool:
    """Whether the boot waits for what is neither on this disk nor on the others of the request."""
    return entry.required and entry.on is None and entry.spec not in case.declared.other_names


def _is_of_system(entry: FstabEntry) -> bool:
    point = entry.mount_point
    if not point.startswith("/") or point == "/":
        return True  # the root, or swap
    return any(point == place or point.startswith(f"{place}/") for place in _SYSTEM_POINTS)


def _place(entry: FstabEntry) -> str:
    return f"/etc/fstab line {entry.line}"


@guest_rule("linux", of="fstab")
def fstab_names_missing_device(fstab: Fstab, case: Case) -> Iterator[Outcome]:
    """A line of /etc/fstab names a device that is not there.

    What: the UUID, label or name of a part of the system belongs to nothing on this disk, and the line is not marked
    nofail or noauto.
    Why: the boot waits for it and ends in an emergency shell, where nobody can log in over the network.
    Remedy: give the UUID that blkid shows, or remove the line.
    Source: Alibaba Cloud image requirements: every device in fstab exists; image check item GUESTOS.Fstab.
    """
    for entry in fstab.entries:
        if _is_absent(entry, case) and _is_of_system(entry) and not _is_foreign(entry, case):
            yield Breach(
                f"{entry.spec} on {entry.mount_point} is not on this disk",
                _place(entry),
                "Correct or remove the line in the guest's /etc/fstab; the UUIDs that there are, run: blkid",
            )


@guest_rule("linux", of="fstab")
def fstab_mounts_data_disk(fstab: Fstab, case: Case) -> Iterator[Outcome]:
    """A line of /etc/fstab mounts a data disk that the image does not bring.

    What: a device that is not on this disk is to be mounted outside the system's own directories, without nofail.
    Why: an instance without that disk does not finish its boot.
    Remedy: remove the line, or mark it nofail; or import the disk with the system, by preflight payload SYSTEM DATA.
    Source: Image FAQ: data disks in fstab stop the boot of instances without them; image check item GUESTOS.Fstab.
    """
    for entry in fstab.entries:
        if _is_absent(entry, case) and not _is_of_system(entry):
            yield Breach(
                f"{entry.spec} on {entry.mount_point} is not on this disk, and the boot waits for it",
                _place(entry),
                "Remove the line from the guest's /etc/fstab, or add nofail to its options.",
            )


def _is_foreign(entry: FstabEntry, case: Case) -> bool:
    return is_device_name(entry.spec) and not is_of_instance(entry.spec, case.limits)


@guest_rule("linux", of="fstab")
def fstab_by_foreign_device_name(fstab: Fstab, case: Case) -> Iterator[Outcome]:
    """A line of /etc/fstab names a disk by a name that an instance's disks do not have.

    What: for example /dev/sda2 on /home, without nofail or noauto.
    Why: disks of an instance are /dev/vda and so on; the boot waits for the other one and ends in an emergency shell.
    Remedy: name it by UUID.
    Source: Alibaba Cloud image requirements: UUIDs in fstab, no non-existent devices; image check item GUESTOS.Fstab.
    """
    for entry in fstab.entries:
        absent_data = _is_absent(entry, case) and not _is_of_system(entry)
        if entry.required and _is_foreign(entry, case) and not absent_data:
            yield _by_name(entry, case)


@guest_rule("linux", of="fstab")
def fstab_by_device_name(fstab: Fstab, case: Case) -> Iterator[Outcome]:
    """A line of /etc/fstab names a disk by its device name.

    What: for example /dev/vda1, which is there; or another name in a line that the boot does not wait for.
    Why: names depend on the bus and the order: on an instance type with NVMe the disk is called differently.
    Remedy: name it by UUID.
    Source: Alibaba Cloud image requirements: UUIDs in fstab; image check item GUESTOS.Fstab.
    """
    for entry in fstab.entries:
        if not entry.device or "noauto" in entry.options or not is_device_name(entry.spec):
            continue
        if not _is_absent(entry, case) and not (entry.required and _is_foreign(entry, case)):
            yield _by_name(entry, case)


def _by_name(entry: FstabEntry, case: Case) -> Breach:
    known = next((one.uuid for one in case.image.filesystems if one.on == entry.on and one.uuid), None)
    spec = f"UUID={known}" if known else "the UUID that blkid shows"
    return Breach(f"{entry.spec} on {entry.mount_point} is a device name", _place(entry), f"Write {spec} in its place.")
