"""What the readers of boot loaders share: the files of one file system, and the menu that a configuration makes.

A configuration is read whole or not at all: what cannot be read is a `ContentsError` for all that it would tell.
"""

import re
from collections.abc import Iterable

import msgspec

from preflight.contents import ContentsError, Kind
from preflight.contents.tree import Tree
from preflight.guests._text import shown
from preflight.units import KiB

MAX_CONFIG_BYTES = 512 * KiB  # a grub.cfg of thirty kernels has 100 KiB
MAX_STANZAS = 512  # entries of one menu; snapshots of btrfs make some dozens
MAX_OPTIONS = 8 * KiB  # characters of a command line: kernels take 2 KiB, on s390 4 KiB
MAX_TITLE = 1 * KiB
MAX_INITRAMFS = 32  # of one entry: microcode, the initramfs itself, and a few add-ons

_OPTION = re.compile(r'(?:[^\s"]|"[^"]*+"?)++')  # as Linux splits them: lib/cmdline.c, next_arg


class Stanza(msgspec.Struct, frozen=True):
    """An entry of a menu, as its configuration has it."""

    title: str | None
    kernel: str | None
    initramfs: tuple[str, ...]
    options: str
    read_from: str


class Menu(msgspec.Struct, frozen=True):
    """What one boot loader offers."""

    stanzas: tuple[Stanza, ...]
    default: int | None
    """Index in `stanzas`; None where the configuration does not tell."""
    searched: tuple[str, ...] = ()
    """File systems that must be found before an entry is booted: `UUID=…`, `LABEL=…`."""


class Files:
    """The files of one file system, or of several that are mounted together, and which of them were read."""

    def __init__(self, tree: Tree, boot: str = "/boot", *, fat: bool = False) -> None:
        """`boot`: the path of /boot in it, empty for its top. `fat`: names have no case, paths lack the slash."""
        self.tree = tree
        self.boot = boot
        self.read_from: list[str] = []
        self._fat = fat
        self._spelt: dict[str, str | None] = {}
        self._names: dict[str, tuple[str, ...]] = {}

    def shown(self, path: str) -> str:
        """A path as the facts tell it: on an EFI system partition without a slash at its start."""
        return shown(path.lstrip("/") if self._fat else path)

    def spelt(self, path: str) -> str | None:
        """`path` in the spelling of the disk, None where nothing is there."""
        if path not in self._spelt:
            self._spelt[path] = self._spell(path) if self._fat else path if self.tree.exists(path) else None
        return self._spelt[path]

    def _spell(self, path: str) -> str | None:
        found = ""
        for wanted in filter(None, path.split("/")):
            name = next((name for name in self.names(found or "/") if name.casefold() == wanted.casefold()), None)
            if name is None:
                return None
            found += f"/{name}"
        return found or "/"

    def names(self, path: str) -> tuple[str, ...]:
        """The names in a directory, whose path must be spelt as on the disk; empty where there is none."""
        if path not in self._names:
            self._names[path] = self.tree.names(path)
        return self._names[path]

    def listed(self, path: str, limit: int, ending: str = "") -> list[str]:
        """Paths of the first `limit` files or directories in the directory at `path` whose names end in `ending`."""
        directory = self.spelt(path)
        if directory is None:
            return []
        names = [name for name in self.names(directory) if name.lower().endswith(ending)]
        return [f"{directory.rstrip('/')}/{name}" for name in names[:limit]]

    def kind(self, path: str) -> Kind | None:
        """What kind of file is at `path`, links followed; None where nothing is."""
        spelt = self.spelt(path)
        return None if spelt is None else self.tree.kind(spelt)

    def is_file(self, path: str) -> bool:
        """Whether a regular file is at `path`."""
        return self.kind(path) == "file"

    def text(self, path: str, limit: int = MAX_CONFIG_BYTES) -> str | None:
        """The configuration file at `path`, None where there is none, refused where it has over `limit` bytes."""
        spelt = self.spelt(path)
        text = None if spelt is None else self.tree.text(spelt, limit)
        if spelt is not None and text is not None:
            self.read_from.append(self.shown(spelt))
        return text

    def piece(self, path: str, offset: int, size: int) -> bytes:
        """Bytes of the regular file at `path`, fewer than `size` where it ends before; `size` is the caller's bound."""
        found = self.tree.find(self.spelt(path) or path)
        if found is None or found.node.kind != "file" or offset >= found.node.size:
            return b""
        return found.reader.read(found.node, offset, min(size, found.node.size - offset))


def stanza(title: str | None, kernel: str | None, initramfs: Iterable[str], options: str, read_from: str) -> Stanza:
    """An entry whose parts are of bounded length."""
    return Stanza(
        title=None if title is None else title[:MAX_TITLE],
        kernel=None if kernel is None else without_device(kernel)[:MAX_TITLE],
        initramfs=tuple(without_device(path)[:MAX_TITLE] for path in list(initramfs)[:MAX_INITRAMFS]),
        options=options.strip()[:MAX_OPTIONS],
        read_from=read_from,
    )


def without_device(path: str) -> str:
    """A path without the device of GRUB before it: `/vmlinuz` for `(hd0,gpt2)/vmlinuz`."""
    device, close, rest = path.partition(")")
    return rest if close and device.startswith("(") else path


def words(options: str) -> list[str]:
    """The options of a command line, without quotes."""
    return [word.replace('"', "") for word in _OPTION.findall(options)]


def refuse_above(count: int, limit: int, path: str, what: str) -> None:
    """Raise `ContentsError` where a configuration has more of something than any honest one."""
    if count > limit:
        raise ContentsError(f"{path}: has over {limit} {what}")
