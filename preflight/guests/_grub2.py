"""GRUB 2: where its configuration lies, what its environment block says, and the menu that they make.

Specification: GNU GRUB Manual 2.12, "Configuration" and "The GRUB environment block",
https://www.gnu.org/software/grub/manual/grub/grub.html.
"""

from collections.abc import Mapping
from functools import partial

from preflight.guests._bls import loader_entries
from preflight.guests._boot_menu import Files, Menu
from preflight.guests._grub_script import Script
from preflight.guests._grub_values import MAX_VARIABLES, Values
from preflight.guests.devices import Resolve

MAX_VENDORS = 64  # directories below EFI
MAX_CONFIGURATIONS = 8  # followed, on one EFI system partition
FOLDERS = ("grub2", "grub")  # Red Hat and SUSE, then all others
# On an EFI system partition beside EFI/VENDOR: what Flatcar and its predecessor have, and what grub-install makes
# with the partition as its boot directory.
EFI_FOLDERS = ("/flatcar/grub", "/coreos/grub", "/grub", "/grub2", "/boot/grub", "/boot/grub2")


def read_grub2(boot: Files, resolve: Resolve) -> Menu | None:
    """The menu of the configuration below /boot; None where there is none. Raises `ContentsError`."""
    for folder in FOLDERS:
        directory = f"{boot.boot}/{folder}"
        if boot.is_file(f"{directory}/grub.cfg"):
            return _read(boot, directory, boot, resolve, platform="pc")
    return None


def read_grub2_on_esp(esp: Files, boot: Files, resolve: Resolve) -> list[Menu]:
    """What the configurations on an EFI system partition make; many only go on to the one below /boot.

    Raises `ContentsError`.
    """
    folders = [*esp.listed("/EFI", MAX_VENDORS), *EFI_FOLDERS]
    configured = [folder for folder in folders if esp.is_file(f"{folder}/grub.cfg")]
    return [_read(esp, folder, boot, resolve, platform="efi") for folder in configured[:MAX_CONFIGURATIONS]]


def read_environment(files: Files, *folders: str) -> dict[str, str]:
    """The variables of the first environment block in these folders; empty where there is none."""
    for folder in folders:
        text = files.text(f"{folder}/grubenv")
        if text is None:
            continue
        found: dict[str, str] = {}
        for line in text.split("\n"):
            name, equals, value = line.partition("=")
            if equals and name and not name.startswith("#") and len(found) < MAX_VARIABLES:
                found[name] = value.replace("\\\\", "\\")
        return found
    return {}


def _read(files: Files, folder: str, boot: Files, resolve: Resolve, platform: str) -> Menu:
    environment = read_environment(files, folder, *(f"{files.boot}/{name}" for name in FOLDERS))
    values = Values(_initial(folder, platform))
    entries = partial(loader_entries, boot, f"{boot.boot}/loader/entries", values)
    script = Script(files, values, environment, resolve, entries)
    path = f"{folder}/grub.cfg"
    script.follow(files.text(path) or "", files.spelt(path) or path)
    default = script.menu.chosen(values.get("default"))
    return Menu(script.menu.stanzas(), default, tuple(script.searched))


def _initial(folder: str, platform: str) -> Mapping[str, str]:
    """What GRUB sets before it reads its configuration."""
    return {
        "root": "hd0",
        "prefix": folder,
        "config_directory": folder,
        "config_file": f"{folder}/grub.cfg",
        "grub_platform": platform,
        "?": "0",
    }
