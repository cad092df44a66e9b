"""The menu that a script of GRUB 2 builds, and which of its lines boots by itself.

Specification: GNU GRUB Manual 2.12, "menuentry", "submenu" and the variable "default"; where it is silent,
grub-core/normal/menu.c, get_entry_number.
"""

from collections.abc import Sequence

import msgspec

from preflight.contents import ContentsError
from preflight.guests._boot_menu import MAX_INITRAMFS, MAX_STANZAS, Stanza, stanza

MAX_DEFAULT_LEVELS = 16  # submenus that a default may name: GRUB's own menus have one
MAX_INDEX_DIGITS = 6

_WITH_VALUE = ("--class", "--users", "--hotkey", "--source", "--id")


class Item(msgspec.Struct):
    """A line of the menu: an entry, or the head of a submenu."""

    place: tuple[int, ...]
    """Its index in its menu, behind those of the submenus that it is in."""
    title: str | None
    id: str | None
    submenu: bool
    read_from: str
    kernel: str | None = None
    initramfs: list[str] = msgspec.field(default_factory=list)
    options: str = ""
    hypervisor: bool = False
    """Whether `kernel` is one, and the kernel proper is its first module."""

    def load(self, arguments: Sequence[str]) -> None:
        """`linux` and its like: the kernel, then its command line."""
        rest = list(arguments)
        while rest and rest[0].startswith("--"):
            rest.pop(0)
        if rest:
            self.kernel = rest[0]
            self.options = " ".join(f'"{word}"' if " " in word else word for word in rest[1:])

    def load_module(self, arguments: Sequence[str]) -> None:
        """`module` behind `multiboot`: of Xen, first the kernel, then its initramfs."""
        if self.hypervisor:
            self.hypervisor = False
            self.load(arguments)
        else:
            self.initramfs = [*self.initramfs, *arguments[:1]][:MAX_INITRAMFS]


class GrubMenu:
    """The menu while it is built."""

    def __init__(self) -> None:
        self.items: list[Item] = []
        self.entry: Item | None = None
        """What `linux` and `initrd` belong to."""
        self.in_entry = False
        """Whether that is a menu entry, and not what a script boots outside of one."""
        self._levels: list[list[int]] = [[0]]  # indices on the way to the next line

    def add(self, arguments: Sequence[str], read_from: str, *, submenu: bool = False, id: str | None = None) -> Item:
        """Another line, from the arguments of `menuentry` or `submenu`."""
        if len(self.items) >= MAX_STANZAS:
            raise ContentsError(f"its menu has over {MAX_STANZAS} lines")
        title = None
        rest = iter(arguments)
        for argument in rest:
            option, equals, value = argument.partition("=")
            if option in _WITH_VALUE:
                value = value if equals else next(rest, "")
                id = value if option == "--id" else id
            elif not argument.startswith("--") and title is None:
                title = argument
        level = self._levels[-1]
        item = Item(tuple(level), title, id, submenu, read_from)
        level[-1] += 1
        self.items.append(item)
        return item

    def begin_entry(self, arguments: Sequence[str], read_from: str) -> None:
        """`menuentry … {`."""
        self.entry = self.add(arguments, read_from)
        self.in_entry = True

    def end_entry(self) -> None:
        """The end of an entry, or `boot` outside of one."""
        self.entry, self.in_entry = None, False

    def begin_submenu(self, arguments: Sequence[str], read_from: str) -> None:
        """`submenu … {`."""
        self._levels.append([*self.add(arguments, read_from, submenu=True).place, 0])

    def end_submenu(self) -> None:
        """The end of a submenu."""
        self._levels.pop()

    def needs_entry(self, read_from: str) -> Item:
        """The entry that a kernel is loaded for; outside of the menu one of its own."""
        if self.entry is None:
            self.entry = self.add([], read_from)
        return self.entry

    def stanzas(self) -> tuple[Stanza, ...]:
        """The entries in their order, those of submenus where the submenu is."""
        return tuple(
            stanza(item.title, item.kernel, item.initramfs, item.options, item.read_from)
            for item in self.items
            if not item.submenu
        )

    def chosen(self, default: str) -> int | None:
        """Index among the entries of the one that `default` names; None where the menu is empty.

        It is an index, an id or a title, behind those of its submenus; one that fits nothing means the first line.
        """
        parts = default.replace(">>", "\0").split(">", MAX_DEFAULT_LEVELS)
        place: tuple[int, ...] = ()
        for part in [*parts, *[""] * MAX_DEFAULT_LEVELS]:
            lines = [item for item in self.items if item.place[:-1] == place]
            if not lines:
                return None
            name = part.replace("\0", ">")
            item = next((item for item in lines if _is_named(item, name)), lines[0])
            if not item.submenu:
                return sum(not other.submenu for other in self.items[: self.items.index(item)])
            place = item.place
        return None


def _is_named(item: Item, name: str) -> bool:
    if name.isascii() and name.isdigit():
        return len(name) <= MAX_INDEX_DIGITS and int(name) == item.place[-1]
    return bool(name) and name in (item.id, item.title)
