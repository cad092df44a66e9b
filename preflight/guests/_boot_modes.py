"""From which firmware a disk starts: by the code in its first sectors, and by the loaders for EFI.

Specification: for a BIOS there is none but that sector 0 is run; UEFI 2.10, 3.5.1.1 "Removable Media Boot Behavior".
"""

from collections.abc import Sequence
from typing import Literal

from preflight.contents.tree import Tree
from preflight.facts import Partition, PartitionTable
from preflight.guests._boot_code import boot_code, finds_gpt_partition, grub_core_lba, volume_boots
from preflight.guests._boot_menu import Files
from preflight.guests._efi import read_loaders

BootMode = Literal["bios", "uefi"]

MAX_ESPS = 4  # looked into; a disk has one

BIOS_BOOT = "21686148-6449-6e6f-744e-656564454649"  # where GRUB keeps core.img on GPT
FREEBSD_BOOT = "83bd6b9d-7f41-11dc-be0b-001560b84f0f"  # where FreeBSD keeps gptboot
FREEBSD_SLICE = "0xa5"
GPT_SECTORS = 34  # protective MBR, header and 128 entries: UEFI 2.10, 5.3.1
_MIXED_BOOT = ("grub", "lilo")  # find their system without an active partition


def boot_modes(
    table: PartitionTable,
    partitions: Sequence[Partition],
    boot_sector: bytes,
    active_sectors: Sequence[bytes],
    esps: Sequence[Tree],
    architecture: str | None = None,
) -> tuple[BootMode, ...]:
    """From which firmware the disk starts.

    `active_sectors` are the first sectors of the partitions that are `bootable`; of one that holds XFS, the sector at
    its byte 2048, to which syslinux jumps. `esps` are as in `read_boot_loader`. `architecture` is the guest's, where it
    is known. A loader on an EFI system partition counts whether or not firmware finds it without being told: which of
    them it does find is in `BootLoader.efi_fallback`. Raises `ContentsError`.
    """
    modes: list[BootMode] = []
    if architecture in (None, "x86_64", "i386") and _starts_from_bios(table, partitions, boot_sector, active_sectors):
        modes.append("bios")
    loaders = [loader for esp in esps[:MAX_ESPS] for loader in read_loaders(Files(esp, "", fat=True))]
    # A 32-bit system may be started by 64-bit firmware, and the other way round.
    machines = ("x86_64", "i386") if architecture in ("x86_64", "i386") else (architecture,)
    if any(architecture is None or loader.architecture in (None, *machines) for loader in loaders):
        modes.append("uefi")
    return tuple(modes)


def _starts_from_bios(
    table: PartitionTable, partitions: Sequence[Partition], boot_sector: bytes, active_sectors: Sequence[bytes]
) -> bool:
    code = boot_code(boot_sector)
    if code is None:
        return False
    types = {partition.type for partition in partitions}
    is_gpt = table.type == "gpt"
    if code in _MIXED_BOOT:
        # On GPT, GRUB goes on in a partition of its own, or in blocks of a file; the gap behind an MBR is taken.
        return not is_gpt or code == "lilo" or BIOS_BOOT in types or grub_core_lba(boot_sector) >= GPT_SECTORS
    if table.type == "none":
        return volume_boots(boot_sector)
    if code == "freebsd" and (FREEBSD_BOOT in types or FREEBSD_SLICE in types):
        return True
    if is_gpt and not (code == "syslinux" and finds_gpt_partition(boot_sector)):
        return False  # other code looks for an active partition in the MBR, which has none beside GPT
    return any(volume_boots(sector) for sector in active_sectors)
