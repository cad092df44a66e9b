"""The configuration of syslinux and extlinux, which u-boot reads too.

Specification: syslinux, doc/syslinux.txt and doc/menu.txt, https://wiki.syslinux.org/wiki/index.php?title=Config;
u-boot, doc/develop/bootstd/extlinux.rst.
"""

from preflight.guests._boot_menu import MAX_STANZAS, Files, Menu, refuse_above, stanza

MAX_INCLUDED = 32  # files; Debian's live media have a dozen

# Below /boot, or at the top of a file system; in the order in which extlinux looks for them.
CONFIGURATIONS = (
    "extlinux/extlinux.conf",
    "syslinux/extlinux.conf",
    "extlinux.conf",
    "extlinux/syslinux.cfg",
    "syslinux/syslinux.cfg",
    "syslinux.cfg",
)
ON_ESP = ("/EFI/syslinux/syslinux.cfg", "/EFI/BOOT/syslinux.cfg", "/extlinux/extlinux.conf", "/syslinux/syslinux.cfg")

_KERNELS = ("linux", "kernel")
_MODULES = (".c32", ".bin", ".bs", ".bss", ".0", ".com", ".cbt")  # programs of syslinux, by their endings


class _Label:
    """An entry while it is read."""

    def __init__(self, name: str, append: str) -> None:
        self.name = name
        self.title: str | None = None
        self.kernel: str | None = None
        self.initramfs: list[str] = []
        self.append = append
        self.path = ""


class _Menu:
    """What the files say so far."""

    def __init__(self) -> None:
        self.labels: list[_Label] = []
        self.append = ""
        self.default = ""
        self.on_timeout = ""
        self.marked: int | None = None
        self.has_interface = False
        """Whether a menu is shown, by a program that `UI` names."""


def read_extlinux(boot: Files) -> Menu | None:
    """The menu below /boot or at the top; None where there is none. Raises `ContentsError`."""
    places = dict.fromkeys(f"{top}/{name}" for top in (boot.boot, "") for name in CONFIGURATIONS)
    return _read(boot, places)


def read_extlinux_on_esp(esp: Files) -> Menu | None:
    """The menu on an EFI system partition; None where there is none. Raises `ContentsError`."""
    return _read(esp, dict.fromkeys(ON_ESP))


def _read(files: Files, places: dict[str, None]) -> Menu | None:
    path = next((path for path in places if files.is_file(path)), None)
    if path is None:
        return None
    menu = _Menu()
    waiting, seen = [path], {path}
    while waiting:
        current = waiting.pop(0)
        for included in _follow(menu, files, current, files.text(current) or ""):
            if included not in seen:
                seen.add(included)
                waiting.append(included)
                refuse_above(len(seen), MAX_INCLUDED, path, "included files")
    stanzas = tuple(
        stanza(label.title or label.name, label.kernel, label.initramfs, label.append, label.path)
        for label in menu.labels
    )
    return Menu(stanzas, _default(menu))


def _follow(menu: _Menu, files: Files, path: str, text: str) -> list[str]:
    """Follow the lines of one file; the files that it includes, in their order."""
    included: list[str] = []
    for line in text.split("\n"):
        keyword, _, value = line.strip().replace("\t", " ").partition(" ")
        keyword, value = keyword.lower(), value.strip()
        label = menu.labels[-1] if menu.labels else None
        if keyword == "label":
            menu.labels.append(_Label(value, menu.append))
            menu.labels[-1].path = files.shown(path)
            refuse_above(len(menu.labels), MAX_STANZAS, path, "labels")
        elif keyword == "menu":
            _follow_menu(menu, value)
        elif keyword == "default":
            menu.default = value
        elif keyword == "ontimeout":
            menu.on_timeout = value
        elif keyword == "ui":
            menu.has_interface = True
        elif keyword == "include":
            included.append(_beside(path, value))
        elif keyword == "append" and label is None:
            menu.append = value
        elif label is not None:
            _follow_label(label, keyword, value)
    return included


def _follow_menu(menu: _Menu, value: str) -> None:
    """A `MENU` line."""
    keyword, _, rest = value.partition(" ")
    if keyword.lower() == "label" and menu.labels:
        menu.labels[-1].title = rest.strip().replace("^", "")  # marks the key for the entry
    elif keyword.lower() == "default" and menu.labels and menu.marked is None:
        menu.marked = len(menu.labels) - 1


def _follow_label(label: _Label, keyword: str, value: str) -> None:
    """A line that belongs to an entry."""
    if keyword in _KERNELS:
        kernel, _, options = value.partition(" ")
        label.kernel = None if kernel.lower().endswith(_MODULES) else kernel
        label.append = f"{options.strip()} {label.append}".strip() if options else label.append
    elif keyword == "initrd":
        label.initramfs = value.split(",")
    elif keyword == "append":
        words = [] if value == "-" else value.split()
        label.append = " ".join(word for word in words if not word.startswith("initrd="))
        named = [word.removeprefix("initrd=") for word in words if word.startswith("initrd=")]
        label.initramfs = named[-1].split(",") if named else label.initramfs


def _beside(path: str, name: str) -> str:
    """Where an included file is: paths are relative to the directory of the configuration."""
    name = name.split()[0] if name.split() else ""
    return name if name.startswith("/") else f"{path.rpartition('/')[0]}/{name}"


def _default(menu: _Menu) -> int | None:
    """Index of the label that boots by itself: a menu takes what is marked, a prompt what DEFAULT names."""
    names = [label.name for label in menu.labels]
    default = menu.default.split()[0] if menu.default.split() else ""
    if menu.on_timeout in names:
        return names.index(menu.on_timeout)
    if menu.marked is not None and (menu.has_interface or default not in names):
        return menu.marked
    return names.index(default) if default in names else (0 if names else None)
