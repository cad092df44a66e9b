"""What a disk is meant for: the system disk, or a data disk."""

from collections.abc import Iterator

from preflight.facts import Image
from preflight.guest_facts import Guest
from preflight.rules import rule
from preflight.verdicts import Breach, Declared, Limits, Outcome

_BOOT_TYPES = {  # UEFI specification; The Discoverable Partitions Specification; FreeBSD, gpart(8)
    "c12a7328-f81f-11d2-ba4b-00a0c93ec93b": "an EFI system partition",
    "21686148-6449-6e6f-744e-656564454649": "a BIOS boot partition",
    "9e1a2d38-c612-4316-aa26-8b49521e5a8b": "a PReP boot partition",
    "83bd6b9d-7f41-11dc-be0b-001560b84f0f": "a FreeBSD boot partition",
    "4f68bce3-e8cd-4db1-96e7-fbcaf984b709": "a Linux root partition (x86-64)",
    "44479540-f297-41b2-9af7-d131d5f0458a": "a Linux root partition (x86)",
    "b921b045-1df0-41c3-af44-4c6f280d3fae": "a Linux root partition (ARM64)",
    "0xef": "an EFI system partition",
    "0x41": "a PReP boot partition",
}


def boot_sign(image: Image) -> str | None:
    """What on the disk says that it is a system disk, in words; None where nothing does."""
    for partition in image.partitions:
        if partition.type in _BOOT_TYPES:
            return _BOOT_TYPES[partition.type]
        if partition.bootable:
            return "an active partition"
    if image.partition_table is not None and image.partition_table.boot_loader is not None:
        return f"the boot loader {image.partition_table.boot_loader} in its first sector"
    if isinstance(image.guest, Guest):
        return f"{image.guest.name if isinstance(image.guest.name, str) else 'an operating system'} on it"
    return None


@rule
def data_disk_boots(image: Image, limits: Limits, declared: Declared) -> Iterator[Outcome]:
    """A disk that is meant as a data disk looks like a system disk.

    What: it has an EFI system, boot, Linux root or active partition, a boot loader in its first sector, or an
    operating system.
    Why: the system disk must be the first in the request; perhaps the order is wrong.
    Remedy: name the system disk first.
    Source: ImportImage: n = 1 is the system disk, n = 2 to 17 are data disks.
    """
    if declared.role == "data" and (sign := boot_sign(image)):
        yield Breach(
            f"the disk has {sign}, and is judged as a data disk",
            "role",
            "Name the system disk first, data disks after it; or check it with --role system.",
        )
