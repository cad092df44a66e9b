"""How the guest boots: which loaders there are, what they boot, and from which firmware the disk starts.

What one loader's configuration says is read by the module of its name; here is decided which of them counts. Where
code in sector 0 belongs to a loader, what another one left behind is no configuration.
"""

import re
from collections.abc import Callable, Sequence

from preflight.contents.tree import Tree
from preflight.guest_facts import BootEntry, BootLoader
from preflight.guests._bls import loader_entries, read_systemd_boot
from preflight.guests._boot_code import boot_code, is_grub_legacy
from preflight.guests._boot_menu import MAX_STANZAS, Files, Menu, Stanza, words
from preflight.guests._boot_modes import MAX_ESPS, boot_modes
from preflight.guests._efi import Loader, pe_architecture, read_loaders
from preflight.guests._extlinux import read_extlinux, read_extlinux_on_esp
from preflight.guests._freebsd_loader import has_freebsd_loader, read_freebsd_loader
from preflight.guests._grub2 import FOLDERS, read_environment, read_grub2, read_grub2_on_esp
from preflight.guests._grub_legacy import read_grub_legacy
from preflight.guests._grub_values import Values
from preflight.guests._lilo import read_lilo
from preflight.guests._text import unique
from preflight.guests.devices import Resolve

__all__ = ["boot_modes", "pe_architecture", "read_boot_loader"]

MAX_OTHERS = 8  # other file systems that may hold /boot or the Windows boot manager
MAX_MISSING = 64

# A file system behind a key has a UUID that shows only once it is open.
_ENCRYPTED = re.compile(r"rd\.luks\.|luks\.|cryptdevice=|cryptopts=|crypt_root=|rd\.zfs|zfs=")
_SERIAL = re.compile(r"tty(?:S|AMA|mxc|O|PS|SC|LP|sclp)\d|hvc\d|comconsole|uart")
_TAGS = ("UUID", "LABEL", "PARTUUID", "PARTLABEL")
_BOOT_FOLDERS = (*FOLDERS, "extlinux", "syslinux", "loader")
_U_BOOT = ("boot.scr", "boot.scr.uimg", "uEnv.txt", "armbianEnv.txt", "u-boot.bin")


def read_boot_loader(
    tree: Tree, esps: Sequence[Tree], boot_sector: bytes, resolve: Resolve, others: Sequence[Tree] = ()
) -> BootLoader:
    """The boot loaders of a guest and what they boot.

    `tree` is its root, with what its fstab says mounted into it; `esps` are the EFI system partitions of the disk, and
    FAT partitions of another type that have EFI/BOOT, mounted or not; `boot_sector` is the first sector of the disk.
    `others` are file systems that fstab does not mount and that may hold the boot loader: a /boot that is found by its
    label, as Fedora CoreOS has it, or the reserved partition of Windows. Paths on these begin at their top, and those
    on `esps` without a slash.

    Raises `ContentsError` where a configuration that counts cannot be read, or goes beyond any honest one.
    """
    root = Files(tree)
    efi = [Files(esp, "", fat=True) for esp in esps[:MAX_ESPS]]
    boot = _boot_files(root, others)
    loaders = [list(read_loaders(esp)) for esp in efi]
    every = [loader for found in loaders for loader in found]

    menus = _menus(root, boot, list(zip(efi, loaders, strict=True)), boot_sector, resolve)
    stanzas, default = _merged([menu for _, menu in menus])
    entries = tuple(_entry(stanza, resolve) for stanza in stanzas)
    searched = [spec for _, menu in menus for spec in menu.searched]
    names = {name for name, _ in menus}
    names |= _found_names(root, boot, every)
    names |= _names_by_code(boot_sector, names)
    if not names and _has_boot_manager((tree, *others[:MAX_OTHERS])):
        names = {"bootmgr"}
    shown = [entries[default]] if default is not None else entries
    return BootLoader(
        names=tuple(sorted(names)),
        bios_boot_code=boot_code(boot_sector),
        efi_loaders=unique(loader.path for loader in every),
        efi_fallback=unique(loader.path for loader in every if loader.fallback),
        entries=entries,
        default=default,
        missing_uuids=_missing(searched, entries, resolve),
        serial_console=any(_SERIAL.search(value) for entry in shown for value in _values(entry.options, "console")),
        read_from=unique(path for files in dict.fromkeys((root, boot, *efi)) for path in files.read_from),
    )


def _boot_files(root: Files, others: Sequence[Tree]) -> Files:
    """Where /boot is: in the root, or on a file system of its own that nothing mounts."""
    if any(root.kind(f"/boot/{folder}") == "directory" for folder in _BOOT_FOLDERS):
        return root
    for tree in others[:MAX_OTHERS]:
        files = Files(tree, "")
        if any(files.kind(f"/{folder}") == "directory" for folder in _BOOT_FOLDERS):
            return files
    return root


def _menus(
    root: Files, boot: Files, esps: Sequence[tuple[Files, list[Loader]]], boot_sector: bytes, resolve: Resolve
) -> list[tuple[str, Menu]]:
    """The menus that count, with the names of their loaders, the one that a BIOS comes to first."""
    code = boot_code(boot_sector)
    readers: dict[str, Callable[[], Menu | None]] = {
        "grub2": lambda: read_grub2(boot, resolve),
        "grub-legacy": lambda: read_grub_legacy(boot),
        "extlinux": lambda: read_extlinux(boot),
        "lilo": lambda: read_lilo(root),
        "freebsd": lambda: read_freebsd_loader(root),
    }
    own = "grub-legacy" if is_grub_legacy(boot_sector) else {"syslinux": "extlinux"}.get(code or "", code)
    order = sorted(readers, key=lambda name: name != own)
    found: list[tuple[str, Menu]] = []
    efi_grub = any(loader.name.startswith(("grub", "shim")) for _, loaders in esps for loader in loaders)
    for name in order:
        # Beside the loader of the BIOS, UEFI may have GRUB 2 of the same /boot.
        if (not found or (name == "grub2" and efi_grub)) and (menu := readers[name]()) is not None:
            found.append((name, menu))
    for esp, loaders in esps:
        found += [("grub2", menu) for menu in read_grub2_on_esp(esp, boot, resolve)]
        if (menu := read_systemd_boot(esp, boot, loaders)) is not None:
            found.insert(0 if code is None else len(found), ("systemd-boot", menu))
        if not found and (menu := read_extlinux_on_esp(esp)) is not None:
            found.append(("extlinux", menu))
    if not any(menu.stanzas for _, menu in found):
        found += _entries_without_menu(boot)
    return found


def _entries_without_menu(boot: Files) -> list[tuple[str, Menu]]:
    """Loader entries where no configuration shows them: GRUB's may lie where it is not looked for."""
    environment = read_environment(boot, *(f"{boot.boot}/{folder}" for folder in FOLDERS))
    entries = loader_entries(boot, f"{boot.boot}/loader/entries", Values(environment))
    if not entries:
        return []
    ids = [id for id, _ in entries]
    saved = environment.get("saved_entry", "")
    return [("grub2", Menu(tuple(stanza for _, stanza in entries), ids.index(saved) if saved in ids else 0))]


def _merged(menus: Sequence[Menu]) -> tuple[list[Stanza], int | None]:
    """The entries of all menus, each once, and the index of the first menu's default."""
    places: dict[tuple[object, ...], int] = {}
    merged: list[Stanza] = []
    default: int | None = None
    for menu in menus:
        is_first = not merged
        for index, stanza in enumerate(menu.stanzas):
            key = (stanza.title, stanza.kernel, stanza.initramfs, stanza.options)
            if key not in places and len(merged) < MAX_STANZAS:
                places[key] = len(merged)
                merged.append(stanza)
            if is_first and index == menu.default:
                default = places.get(key)
    return merged, default


def _entry(stanza: Stanza, resolve: Resolve) -> BootEntry:
    roots = _values(stanza.options, "root")
    root = roots[-1] if roots else None  # the last one counts, as with every option of the kernel
    return BootEntry(
        title=stanza.title,
        kernel=stanza.kernel,
        initramfs=stanza.initramfs,
        root=root,
        root_on=resolve(root) if root else None,
        options=stanza.options,
        read_from=stanza.read_from,
    )


def _values(options: str, name: str) -> list[str]:
    return [word[len(name) + 1 :] for word in words(options) if word.startswith(f"{name}=")]


def _missing(searched: Sequence[str], entries: Sequence[BootEntry], resolve: Resolve) -> tuple[str, ...]:
    """The UUIDs and labels, without what kind they are, that nothing on this disk has."""
    roots = [entry.root for entry in entries if entry.root and not _ENCRYPTED.search(entry.options)]
    missing: dict[str, None] = {}
    for spec in dict.fromkeys((*searched, *roots)):
        value = _identifier(spec)
        if value and resolve(spec) is None and len(missing) < MAX_MISSING:
            missing[value] = None
    return tuple(missing)


def _identifier(spec: str) -> str | None:
    """The UUID or label that a name of a device has; None for other names."""
    tag, equals, value = spec.partition("=")
    if equals and tag in _TAGS:
        return value
    for tag in _TAGS:
        prefix = f"/dev/disk/by-{tag.lower()}/"
        if spec.startswith(prefix):
            return spec.removeprefix(prefix)
    return None


def _found_names(root: Files, boot: Files, loaders: Sequence[Loader]) -> set[str]:
    """The loaders that show by their programs."""
    names = {
        name
        for prefix, name in (
            ("shim", "shim"),
            ("grub", "grub2"),
            ("systemd-boot", "systemd-boot"),
            ("bootmgfw", "bootmgr"),
        )
        if any(loader.name.startswith(prefix) for loader in loaders)
    }
    if has_freebsd_loader(root) or any("/freebsd/" in loader.path.lower() for loader in loaders):
        names.add("freebsd")
    if any(boot.is_file(f"{boot.boot}/{name}") for name in _U_BOOT):
        names.add("u-boot")
    return names


def _names_by_code(boot_sector: bytes, names: set[str]) -> set[str]:
    """The loader that the code in sector 0 is of; of the two that are named GRUB, the one that has a configuration."""
    code = boot_code(boot_sector)
    if code == "grub" and not names & {"grub2", "grub-legacy"}:
        return {"grub-legacy" if is_grub_legacy(boot_sector) else "grub2"}
    return {code} if code in ("lilo", "freebsd") else set()


def _has_boot_manager(trees: Sequence[Tree]) -> bool:
    """Whether the boot manager of Windows is at the top of one of these: the reserved partition, or the root."""
    return any(Files(tree, "", fat=True).is_file("/bootmgr") for tree in trees)  # NTFS has no case either
