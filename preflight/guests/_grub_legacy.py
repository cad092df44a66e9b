"""GRUB Legacy: menu.lst or grub.conf, and the file that holds its saved default.

Specification: GNU GRUB Manual 0.97, "Configuration" and "Commands", https://www.gnu.org/software/grub/manual/legacy/;
`uuid` is an addition of Debian.
"""

from preflight.guests._boot_menu import MAX_STANZAS, Files, Menu, Stanza, refuse_above, stanza

# grub.conf is Red Hat's name, and menu.lst a link to it there; Gentoo has either.
CONFIGURATIONS = ("grub/menu.lst", "grub/grub.conf")
MAX_INDEX_DIGITS = 6


class _Title:
    """An entry while it is read."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.kernel: str | None = None
        self.options = ""
        self.initramfs: list[str] = []
        self.hypervisor = False


def read_grub_legacy(boot: Files) -> Menu | None:
    """The menu below /boot; None where there is none. Raises `ContentsError`."""
    for name in CONFIGURATIONS:
        path = f"{boot.boot}/{name}"
        text = boot.text(path)
        if text is not None:
            return _menu(boot, path, text)
    return None


def _menu(boot: Files, path: str, text: str) -> Menu:
    titles: list[_Title] = []
    searched: dict[str, None] = {}
    default = "0"
    for line in text.split("\n"):
        # A command and its arguments may be parted by an equals sign; `default=0` and `default 0` are the same.
        command, _, rest = line.strip().replace("\t", " ").partition(" ")
        if "=" in command:
            command, _, first = command.partition("=")
            rest = f"{first} {rest}"
        command, rest = command.lower(), rest.strip().removeprefix("=").strip()
        if command == "title":
            titles.append(_Title(rest))
            refuse_above(len(titles), MAX_STANZAS, path, "entries")
        elif command == "default" and not titles:
            default = rest
        elif titles:
            _follow(titles[-1], command, rest)
            if command == "uuid" and rest:
                searched[f"UUID={rest.split()[0]}"] = None
    stanzas = tuple(_stanza(title, boot.shown(path)) for title in titles)
    return Menu(stanzas, _default(boot, default, len(stanzas)), tuple(searched))


def _follow(title: _Title, command: str, rest: str) -> None:
    if command == "kernel" or (command == "module" and title.hypervisor):
        arguments = rest.split()
        while arguments and arguments[0].startswith("--"):
            arguments.pop(0)
        if not arguments:
            return
        title.kernel, title.options = arguments[0], " ".join(arguments[1:])
        # Xen is the kernel, and Linux its first module; the second is the initramfs.
        title.hypervisor = command == "kernel" and "xen" in arguments[0].rpartition("/")[2]
    elif command in ("initrd", "module") and rest:
        title.initramfs += rest.split() if command == "initrd" else rest.split()[:1]


def _stanza(title: _Title, path: str) -> Stanza:
    return stanza(title.title, title.kernel, title.initramfs, title.options, path)


def _default(boot: Files, default: str, count: int) -> int | None:
    """Index of the entry that boots by itself."""
    if default == "saved":
        lines = (boot.text(f"{boot.boot}/grub/default") or "0").split("\n", 1)
        default = lines[0].strip()
    number = default if default.isascii() and default.isdigit() and len(default) <= MAX_INDEX_DIGITS else "0"
    if not count:
        return None
    return int(number) if int(number) < count else 0
