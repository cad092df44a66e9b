"""The units of systemd, and which of them it starts.

Specification: systemd.unit(5), "Unit File Load Path" and "[Install] Section Options"; systemctl(1), "mask".

Presets are not evaluated: they act once, when a package is installed or a machine boots for the first time, and what
they did is in the links that are read here.
"""

from collections.abc import Iterator

from preflight.contents.tree import Tree
from preflight.guests._directories import distinct

DIRECTORIES = (
    "/etc/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
)
"""Strongest first: the first one is the administrator's, the others have what programs bring along."""
GROUPS = (".wants", ".requires")
MAX_GROUPS = 512  # directories of a kind in one of these; a desktop has some thirty
MAX_MASK = 32  # characters of a link to /dev/null; longer ones need not be read
NOT_AT_BOOT = frozenset(
    f"{name}.target"
    for name in (
        *("rescue", "emergency", "halt", "poweroff", "reboot", "soft-reboot", "kexec", "shutdown", "umount", "final"),
        *("sleep", "suspend", "hibernate", "hybrid-sleep", "suspend-then-hibernate", "system-update", "exit"),
        *("runlevel0", "runlevel1", "runlevel6", "factory-reset"),
    )
)
"""Targets that are not on the way to a running system."""


class Units:
    """What the unit directories of a guest hold; each was listed once."""

    def __init__(self, tree: Tree, names: dict[str, frozenset[str]]) -> None:
        """`names` by directory, strongest first."""
        self._tree = tree
        self._names = names
        # Where not even this target is, the units lie where they cannot be seen, and their links are believed.
        self._complete = any("multi-user.target" in found for found in names.values())

    def _directory(self, unit: str) -> str | None:
        """The directory that a unit, or the template of it, comes from."""
        stem, at, rest = unit.partition("@")
        template = f"{stem}@.{rest.rpartition('.')[2]}" if at else unit
        return next((path for path, found in self._names.items() if unit in found or template in found), None)

    def defines(self, service: str) -> bool:
        """Whether there is a unit of this service, be it masked."""
        return self._directory(f"{service}.service") is not None

    def path(self, service: str) -> str | None:
        """Where the unit of a service or socket lies; None where there is none, or a mask."""
        unit = service if service.endswith(".socket") else f"{service}.service"
        for directory, found in self._names.items():
            if unit in found:
                return None if self._is_mask(f"{directory}/{unit}") else f"{directory}/{unit}"
        return None

    def enabled(self) -> Iterator[tuple[str, str]]:
        """The units that are started at boot, services without `.service`, and the links that say so."""
        owned: list[tuple[str, str, str]] = []
        cancelled: set[tuple[str, str]] = set()
        for directory, found in self._names.items():
            groups = sorted(name for name in found if name.endswith(GROUPS))
            for group in groups[:MAX_GROUPS]:
                for unit in self._tree.names(f"{directory}/{group}"):
                    link = f"{directory}/{group}/{unit}"
                    if (group, unit) not in cancelled and self._is_null(link):
                        cancelled.add((group, unit))
                    if (group, unit) not in cancelled and self._starts(unit):
                        owned.append((group.rpartition(".")[0], unit, link))
        started = {unit for owner, unit, _ in owned if _is_reached(owner)}
        for owner, unit, link in owned:
            if _is_reached(owner) or owner in started:
                yield unit.removesuffix(".service"), link

    def _starts(self, unit: str) -> bool:
        """Whether a unit is there, or may be, and is not masked."""
        directory = self._directory(unit)
        if directory is None:
            return not self._complete
        return unit not in self._names[directory] or not self._is_mask(f"{directory}/{unit}")

    def _is_mask(self, path: str) -> bool:
        """Whether a unit is masked: a link to /dev/null, or an empty file of the administrator's, which is the same."""
        return self._is_null(path) or (path.startswith(DIRECTORIES[0]) and self._tree.size(path) == 0)

    def _is_null(self, path: str) -> bool:
        found = self._tree.find(path, follow=False)
        if found is None or found.node.kind != "symlink" or found.node.size > MAX_MASK:
            return False
        return found.reader.target(found.node).endswith("/dev/null")


def read(tree: Tree) -> Units:
    """The units of a guest."""
    return Units(tree, {directory: frozenset(tree.names(directory)) for directory in distinct(tree, DIRECTORIES)})


def _is_reached(owner: str) -> bool:
    """Whether a unit that pulls in others is itself reached at boot: a target or a device."""
    is_passed = owner.endswith((".target", ".device")) and owner not in NOT_AT_BOOT
    return is_passed and not owner.startswith("initrd")
