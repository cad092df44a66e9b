"""Rules on how the guest uses its disk: file systems, swap, volumes, and the place of the root."""

from collections.abc import Iterator

from preflight.facts import Image, Unknown
from preflight.guest_facts import Guest, Security
from preflight.rules import rule
from preflight.rules._guests import Case, guest_rule
from preflight.units import GiB, human_size
from preflight.verdicts import Breach, Declared, Limits, Outcome, Unsettled, disk_image_size

_EXTENDED = ("0x05", "0x0f", "0x85")
_SWAP_TYPES = ("0657fd6d-a4ab-43c4-84e5-0933c84b4f4f", "0x82")


@guest_rule("linux")
def root_not_last(guest: Guest, case: Case) -> Iterator[Outcome]:
    """The root file system is not on the last partition of the disk.

    What: another partition begins behind the one that holds the root.
    Why: the root cannot grow when the system disk is made larger.
    Remedy: build the image with the root partition at the end.
    Source: Alibaba Cloud image requirements: the root partition is the last.
    """
    partitions = {partition.number: partition for partition in case.image.partitions}
    holders = [partitions[number] for number in _holders(guest, case) if number in partitions]
    if not holders:
        return
    last = max(holder.start for holder in holders)
    behind = [other for other in partitions.values() if other.start > last and other.type not in _EXTENDED]
    if behind:
        named = ", ".join(f"partition {other.number}" for other in sorted(behind, key=lambda other: other.start)[:4])
        yield Breach(
            f"{named} {'begins' if len(behind) == 1 else 'begin'} behind the root",
            guest.root,
            "Build the image with the root partition at the end of the disk.",
        )


def _holders(guest: Guest, case: Case) -> tuple[int, ...]:
    """Numbers of the partitions on which the root lies."""
    kind, _, name = guest.root.partition(" ")
    if kind == "partition" and name.isdigit():
        return (int(name),)
    for volume in case.image.volumes:
        label = volume.name or volume.kind
        if kind == "volume" and name == (f"{volume.group}/{label}" if volume.group else label):
            return volume.on
    return ()


@guest_rule("linux")
def swap_partition(guest: Guest, case: Case) -> Iterator[Outcome]:
    """The system disk has a swap partition.

    What: a partition or volume holds swap space.
    Why: the cloud asks for images without; swapping wears a cloud disk that is paid by its size and speed.
    Remedy: remove it and its line in /etc/fstab; make a swap file on the instance where one is needed.
    Source: Alibaba Cloud image requirements: no swap partition.
    """
    swaps = dict.fromkeys(entry.on for entry in case.image.filesystems if entry.type in ("swap", "swsuspend"))
    swaps |= dict.fromkeys(f"partition {one.number}" for one in case.image.partitions if one.type in _SWAP_TYPES)
    for on in swaps:
        yield Breach("it holds swap space", on, "Remove it, and its line in /etc/fstab, before the image is made.")


@guest_rule("linux", of="security")
def suspended_guest(security: Security, case: Case) -> Iterator[Outcome]:
    """The guest was suspended to disk, not shut down.

    What: its swap area holds the memory of a running system.
    Why: an instance tries to resume it on other hardware, or its file systems are left as a crash leaves them.
    Remedy: start it once more and shut it down.
    Source: NOTES20: the file systems must be consistent.
    """
    if security.hibernated:
        yield Breach("a swap area holds the memory of a suspended system", "swap", "Start it, and shut it down.")


@guest_rule("linux")
def lvm_partitions(guest: Guest, case: Case) -> Iterator[Outcome]:
    """The system disk is divided by LVM.

    What: a partition is a physical volume of LVM.
    Why: the cloud asks for plain partitions: it neither grows a volume nor repairs what lies on one.
    Remedy: build the image with plain partitions.
    Source: Alibaba Cloud image requirements (2026-04): do not use LVM to manage partitions.
    """
    for entry in case.image.filesystems:
        if entry.type in ("LVM2_member", "LVM1_member"):
            yield Breach("it is a physical volume of LVM", entry.on, "Build the image with plain partitions.")


@guest_rule("linux")
def raid_member(guest: Guest, case: Case) -> Iterator[Outcome]:
    """The system disk is a member of a software RAID.

    What: a partition has a superblock of md.
    Why: the cloud asks for plain partitions; the other members are on other disks, and growing does not work.
    Remedy: build the image with plain partitions.
    Source: Alibaba Cloud image requirements: physical partitions.
    """
    for entry in case.image.filesystems:
        if entry.type.endswith("_raid_member"):
            yield Breach("it is a member of a RAID", entry.on, "Build the image with plain partitions.")


@rule
def encrypted_volume(image: Image, limits: Limits, declared: Declared) -> Iterator[Outcome]:
    """The system disk has an encrypted volume.

    What: a partition is a LUKS container or encrypted by BitLocker.
    Why: nobody types a passphrase when an instance starts, and the cloud's own tools cannot set up what they cannot
    read; the key that a TPM kept stayed with the old machine.
    Remedy: decrypt it; let the cloud encrypt its disk.
    Source: practice; clouds that say so refuse encrypted disks.
    """
    for entry in image.filesystems if declared.role == "system" else ():  # it may be what hides the guest
        if entry.type in ("crypto_LUKS", "BitLocker"):
            yield Breach(
                f"it is encrypted ({entry.type})", entry.on, "Decrypt it, and let the cloud encrypt the system disk."
            )


def _root_type(guest: Guest, case: Case) -> str | None:
    return next((entry.type for entry in case.image.filesystems if entry.on == guest.root), None)


@guest_rule("linux")
def unsupported_root_filesystem(guest: Guest, case: Case) -> Iterator[Outcome]:
    """The root file system is of a kind that the cloud's documents do not list.

    What: it is neither among the supported kinds nor among the tolerated ones.
    Why: the cloud cannot check or set up what it cannot mount, nor grow it; the guest itself may well start.
    Remedy: build the image with one of the supported kinds.
    Source: NOTES20: supported are xfs, ext3, ext4.
    """
    contents = case.limits.contents
    kind = _root_type(guest, case)
    if kind and kind not in (*contents.root_filesystems, *contents.tolerated_root_filesystems):
        yield Breach(
            f"the root file system is {kind}, supported are {', '.join(contents.root_filesystems)}",
            guest.root,
            f"Build the image with {contents.root_filesystems[0]}, if the cloud is to set the instance up.",
        )


@guest_rule("linux")
def tolerated_root_filesystem(guest: Guest, case: Case) -> Iterator[Outcome]:
    """The root file system is of a kind that is tolerated, not supported.

    What: for example ext2.
    Why: the cloud's checking tool lets it pass, and its instructions do not name it.
    Remedy: none is needed.
    Source: image compliance tool (2019): ext2, UFS and UDF are allowed.
    """
    contents = case.limits.contents
    kind = _root_type(guest, case)
    if kind in contents.tolerated_root_filesystems:
        yield Breach(
            f"the root file system is {kind}, supported are {', '.join(contents.root_filesystems)}",
            guest.root,
            f"Take {contents.root_filesystems[0]} when the image is built the next time.",
        )


def _root_features(guest: Guest, case: Case) -> tuple[str, ...]:
    return next((entry.features for entry in case.image.filesystems if entry.on == guest.root), ())


@guest_rule("linux")
def avoided_filesystem_feature(guest: Guest, case: Case) -> Iterator[Outcome]:
    """The root file system has a feature that a document of the cloud asks to leave off.

    What: for example 64bit of ext4, which mke2fs has set since 2016.
    Why: the tools of old releases do not grow such a file system; those of today do.
    Remedy: none is needed, if the guest's own tools made it.
    Source: image compliance tool (2019), item filesystem: no feature 64bit. Newer documents do not repeat it.
    """
    for name in _root_features(guest, case):
        if name in case.limits.contents.avoided_features:
            yield Breach(
                f"the root file system has the feature {name}",
                guest.root,
                "Leave it where the guest's own tools made it, which grow it; else build the image without it.",
            )


@guest_rule("linux")
def conflicting_filesystem_features(guest: Guest, case: Case) -> Iterator[Outcome]:
    """The root file system has features that a document of the cloud does not want together.

    What: for example project and quota of ext4.
    Why: the file system is not grown when the instance starts.
    Remedy: take one of them away.
    Source: image compliance tool (2019), item filesystem: not both project and quota.
    """
    present = _root_features(guest, case)
    for group in case.limits.contents.conflicting_features:
        if set(group) <= set(present):
            yield Breach(
                f"the root file system has the features {' and '.join(group)}",
                guest.root,
                f"Take one away while it is not mounted, run: tune2fs -O ^{group[0]}",
            )


@guest_rule()
def system_disk_below_advised_size(guest: Guest, case: Case) -> Iterator[Outcome]:
    """The system disk is smaller than the cloud advises.

    What: DiskImageSize, declared or computed, is below the advised minimum; the API takes it.
    Why: updates and logs soon fill it.
    Remedy: declare a larger --disk-image-size; the root grows on the first start.
    Source: Alibaba Cloud image requirements: at least 20 GiB.
    """
    advised = case.limits.contents.advised_system_disk_gib
    size = case.declared.disk_image_size
    if size is None and case.image.virtual_size is not None:
        size = disk_image_size(case.image.virtual_size, case.limits.system_disk_gib.minimum)
    if size is not None and size < advised:
        yield Breach(
            f"DiskImageSize {size} GiB, advised are {advised} GiB",
            "DiskImageSize",
            f"Declare --disk-image-size {advised}; the root file system grows into it.",
        )


@guest_rule("linux", of="security.absolute_lib_links")
def absolute_library_links(links: tuple[str, ...], case: Case) -> Iterator[Outcome]:
    """/lib or /lib64 is a link with an absolute target.

    What: the link's target begins with a slash.
    Why: whoever mounts the file system elsewhere, as the cloud's tools do, ends in their own libraries.
    Remedy: make it relative.
    Source: image compliance tool (2019), item lib.
    """
    for link in links:
        yield Breach(
            "the link has an absolute target", link, f"Make it relative in the guest, run: ln -sfn usr{link} {link}"
        )


@guest_rule("linux")
def customized_linux_unprepared(guest: Guest, case: Case) -> Iterator[Outcome]:
    """The declared platform asks for a guest that sets itself up, and this one cannot.

    What: the first partition has another file system than those allowed, or not the directory for the instance's
    settings, or the disk is too small; whether a boot script reads the settings is not looked at.
    Why: the service writes the instance's settings into that directory, and fails where it cannot.
    Remedy: prepare the image as the document says, or declare another platform.
    Source: Customize Linux images.
    """
    custom = case.limits.contents.custom_platform
    if case.declared.platform != custom.platform:
        return
    remedy = "Prepare the image as its document says, or leave --platform away."
    size = case.image.virtual_size
    if size is not None and size <= custom.minimum_gib * GiB:
        yield Breach(
            f"the disk has {human_size(size)}, {custom.platform} needs more than {custom.minimum_gib} GiB",
            "virtual size",
            remedy,
        )
    first = next(iter(sorted(case.image.partitions, key=lambda partition: partition.start)), None)
    if first is not None:
        on = f"partition {first.number}"
        kinds = [entry.type for entry in case.image.filesystems if entry.on == on]
        if not set(kinds) & set(custom.filesystems):
            found = " and ".join(kinds) or "no file system"
            yield Breach(f"it holds {found}, allowed are {', '.join(custom.filesystems)}", on, remedy)
    prepared = guest.custom_image_directory
    if prepared is False:
        place = on if first is not None else "disk"
        yield Breach(f"there is no directory {custom.directory} at its top", place, remedy)
    elif isinstance(prepared, Unknown):
        yield Unsettled(prepared.unknown)
    else:
        yield Unsettled(f"whether a script of the guest sets it up by {custom.directory}/os.conf is not looked at")


@guest_rule(of="architecture")
def guest_of_32_bits(architecture: str, case: Case) -> Iterator[Outcome]:
    """The guest is a 32-bit system.

    What: its programs are i386.
    Why: it cannot be run on instance types with 4 GiB of memory or more.
    Remedy: take a 64-bit system where that matters.
    Source: Limits of ECS, images of 32 bits.
    """
    if architecture in ("i386", "arm"):
        yield Breach(
            f"the guest is {architecture}, and runs only on instance types with less than 4 GiB of memory",
            "architecture",
            "Take the 64-bit edition where larger instances are wanted.",
        )
