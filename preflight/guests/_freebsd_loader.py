"""The loader of FreeBSD: /boot/loader.conf and what it boots.

Specification: loader.conf(5), loader(8), https://man.freebsd.org/cgi/man.cgi?loader.conf(5).
"""

from preflight.guests._boot_menu import Files, Menu, stanza
from preflight.guests._text import MAX_VALUE, unquoted

LOADERS = ("/boot/loader", "/boot/loader.efi", "/boot/loader_lua", "/boot/loader_4th", "/boot/zfsloader")
CONFIGURATIONS = ("/boot/defaults/loader.conf", "/boot/loader.conf", "/boot/loader.conf.local")
# What is told of the settings as the command line: those that say where the root is and where the console.
_TOLD = ("vfs.root.mountfrom", "console", "comconsole_speed", "boot_serial", "boot_multicons")


def has_freebsd_loader(root: Files) -> bool:
    """Whether the loader of FreeBSD is on its root file system."""
    return any(root.is_file(path) for path in LOADERS) and root.kind("/boot/kernel") == "directory"


def read_freebsd_loader(root: Files) -> Menu | None:
    """What the loader boots; None where there is none. Raises `ContentsError`."""
    if not has_freebsd_loader(root):
        return None
    settings: dict[str, str] = {}
    read_from = LOADERS[0]
    for path in CONFIGURATIONS:
        text = root.text(path)
        if text is not None:
            settings.update(_settings(text))
            read_from = path
    kernel = settings.get("kernel") or "kernel"
    options = [f"{name}={settings[name]}" for name in _TOLD if settings.get(name)]
    root_device = settings.get("vfs.root.mountfrom", "")
    if root_device.startswith("ufs:"):
        options.append(f"root={root_device.removeprefix('ufs:')}")
    return Menu((stanza(None, f"/boot/{kernel}/kernel", (), " ".join(options), read_from),), 0)


def _settings(text: str) -> dict[str, str]:
    """The assignments, whose names have dots."""
    found: dict[str, str] = {}
    for line in text.split("\n"):
        name, equals, value = line.partition("=")
        if equals and not line.startswith("#") and len(value) <= MAX_VALUE:
            found[name.strip()] = unquoted(value)
    return found
