"""The boot manager of Windows and its store, BCD; before Vista the loader ntldr and its boot.ini.

Specification: Microsoft, "BCD System Store Settings for UEFI" and "Overview of Boot Options in Windows",
https://learn.microsoft.com/en-us/windows-hardware/drivers/devtest/overview-of-boot-options-in-windows-vista-and-later
"""

from collections.abc import Sequence

import msgspec

from preflight.contents.tree import Tree
from preflight.errors import StructureError
from preflight.guests._hives import open_hive

EFI_DIRECTORY = "/EFI/Microsoft/Boot"
BIOS_BOOT_MANAGERS = ("/bootmgr", "/BOOTMGR")
BIOS_STORES = ("/Boot/BCD", "/boot/BCD", "/BOOT/BCD")
OLD_LOADERS = ("/ntldr", "/NTLDR")
OLD_STORES = ("/boot.ini", "/BOOT.INI")


class BootManager(msgspec.Struct, frozen=True):
    """What starts Windows."""

    present: bool
    store_present: bool
    """A BCD store that can be read: a whole registry hive that has objects."""
    read_from: tuple[str, ...]


def read_boot_manager(places: Sequence[Tree], esps: Sequence[Tree], *, old: bool) -> BootManager:
    """Look on the system partitions and EFI system partitions; `old`: before Vista. Raises `ContentsError`."""
    read_from: list[str] = []
    if old:
        present = _first(places, OLD_LOADERS, read_from)
        return BootManager(present, _first(places, OLD_STORES, read_from), tuple(read_from))
    present = _first(places, BIOS_BOOT_MANAGERS, read_from)
    present = _first(esps, (f"{EFI_DIRECTORY}/bootmgfw.efi",), read_from) or present
    stores = [(tree, path) for tree in places for path in BIOS_STORES]
    stores += [(tree, f"{EFI_DIRECTORY}/BCD") for tree in esps]
    store_present = False
    for tree, path in stores:
        if not store_present and _is_store(tree, path):
            store_present = True
            read_from.append(path)
    return BootManager(present, store_present, tuple(read_from))


def _first(trees: Sequence[Tree], paths: Sequence[str], read_from: list[str]) -> bool:
    for tree in trees:
        for path in paths:
            if tree.is_file(path):
                read_from.append(path)
                return True
    return False


def _is_store(tree: Tree, path: str) -> bool:
    found = tree.find(path)
    if found is None or found.node.kind != "file":
        return False
    try:
        return open_hive(found).find("Objects") is not None
    except StructureError:
        return False
