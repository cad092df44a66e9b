"""What reading one image may take: all budgets in one place, each with a default that is safe for any image."""

from typing import NamedTuple

from preflight.errors import PreflightError
from preflight.units import GiB, KiB, MiB


class Limits(NamedTuple):
    """The budgets for one image; `parse` reads them from text."""

    wall: float = 60.0
    """Seconds, for all that is read of the guest, in all child processes together: a busy host makes all wait."""
    task_wall: float = 30.0
    """Seconds, for one group of facts about the guest."""
    task_cpu: float = 5.0
    """Seconds of processor time, for the same: what ends a loop, however busy the host is."""
    cpu: int = 10
    """Seconds of processor time, for all that is read of the guest, in all child processes together."""
    memory: int = 512 * MiB
    """Bytes of address space that a child process may take over what this process has when it begins."""
    reads: int = 65_536
    """Reads of the file for the guest: a large initramfs in pages of 16 KiB takes some ten thousand."""
    bytes: int = 1 * GiB
    """Bytes of the file that are read for the guest."""
    layout_reads: int = 4096
    """Reads for container, tables, volumes and superblocks: an honest disk takes some dozens."""
    layout_bytes: int = 256 * MiB
    """Bytes for the same: more than the largest tables that any format allows, together."""


_UNITS = {"": 1, "k": KiB, "m": MiB, "g": GiB}


def parse(settings: tuple[str, ...]) -> Limits:
    """Limits of `name=value`; a value may end in K, M or G for powers of 1024. `PreflightError` for any other."""
    changed: dict[str, float | int] = {}
    for setting in settings:
        name, _, value = setting.partition("=")
        if name not in Limits._fields:
            raise PreflightError(f"no limit is called {name!r}; there are {', '.join(Limits._fields)}")
        number = value.strip().lower().removesuffix("ib")
        unit = _UNITS.get(number[-1:], 0) if number[-1:].isalpha() else 1
        digits = number.rstrip("kmg")
        if not unit or not digits.isdecimal() or not digits.isascii() or len(digits) > 15 or not int(digits):
            raise PreflightError(f"limit {name}: {value!r} is no whole number above 0, such as 30 or 512M")
        changed[name] = int(digits) * unit
    return Limits(**changed)  # type: ignore[arg-type]
