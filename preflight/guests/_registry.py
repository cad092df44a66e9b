r"""The Windows registry: the hives below System32\config, and the control set that counts.

Specification: Microsoft, "Registry Hives", https://learn.microsoft.com/en-us/windows/win32/sysinfo/registry-hives;
"HKLM\SYSTEM\Select",
https://learn.microsoft.com/en-us/previous-versions/windows/it-pro/windows-2000-server/cc976049(v=technet.10)
"""

from collections.abc import Callable
from typing import TypeVar

from preflight.contents import ContentsError
from preflight.contents.tree import Found, Tree
from preflight.errors import StructureError
from preflight.facts import Unknown
from preflight.guests._hives import Key, open_hive
from preflight.guests._text import learn, shown

T = TypeVar("T")

MAX_CONTROL_SET = 999  # the name has three digits


class Registry:
    """The hives of one Windows, each opened when it is first asked, once."""

    def __init__(self, tree: Tree, directory: str) -> None:
        r"""`directory`: path of System32\config."""
        self._tree = tree
        self._directory = directory
        self._opened: dict[str, Key | ContentsError] = {}
        self._control_set: Key | None = None
        self.read_from: list[str] = []
        """Paths of the hives that were opened."""
        self.missing: list[str] = []
        self.damaged: list[str] = []
        self.dirty: list[str] = []

    def hive(self, name: str) -> Key:
        """The root key of a hive; `ContentsError` where it is missing, damaged, or cannot be read."""
        if name not in self._opened:
            try:
                self._opened[name] = self._open(name)
            except ContentsError as error:
                self._opened[name] = error
        opened = self._opened[name]
        if isinstance(opened, ContentsError):
            raise opened
        return opened

    def exists(self, name: str) -> bool:
        """Whether there is a file for this hive. Raises `ContentsError`."""
        return self._find(name) is not None

    def software(self, path: str) -> Key | None:
        """A key of the hive SOFTWARE; raises as `hive` and `Key.find` do."""
        return self.hive("SOFTWARE").find(path)

    def system(self, path: str) -> Key | None:
        """A key of the control set that was last used; raises as `hive` and `Key.find` do."""
        if self._control_set is None:
            root = self.hive("SYSTEM")
            select = root.find("Select")
            number = (select and (select.number("Current") or select.number("Default"))) or 1
            name = f"ControlSet{min(number, MAX_CONTROL_SET):03}"
            self._control_set = root.find(name)
            if self._control_set is None:
                raise ContentsError(f"{self._directory}/SYSTEM: {name} is missing, which its key Select names")
        return self._control_set.find(path)

    def service(self, name: str) -> Key | None:
        """The key of a service or driver; raises as `system` does."""
        return self.system(f"Services\\{name}")

    def _open(self, name: str) -> Key:
        found = self._find(name)
        if found is None:
            self.missing.append(name)
            raise ContentsError(f"{self._directory}/{name} is missing")
        try:
            key = open_hive(found)
        except StructureError as error:
            self.damaged.append(name)
            raise ContentsError(shown(str(error))) from error
        self.read_from.append(found.path)
        if key.is_dirty:
            self.dirty.append(name)
        return key

    def _find(self, name: str) -> Found | None:
        for spelling in (name, name.lower()):  # Windows 2003 has some in lower case
            found = self._tree.find(f"{self._directory}/{spelling}")
            if found and found.node.kind == "file":
                return found
        return None


def ask(read: Callable[[], T]) -> T | Unknown:
    """What `read` returns; `Unknown` with the reason where a hive or the disk does not let it be read."""
    return learn(lambda: _unified(read))


def _unified(read: Callable[[], T]) -> T:
    try:
        return read()
    except StructureError as error:
        raise ContentsError(str(error)) from error
