"""What inspections of a changed image take, measured in a process of its own."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from preflight.units import MiB

ROOT = Path(__file__).parents[2]
MAX_CPU = 2.0  # seconds of processor time: those of the clock depend on who else works here
MAX_MEMORY = 256 * MiB  # resident, of the process and of its children, each
MAX_READS = 4096

Change = Sequence[tuple[int | str, object]]
"""Bytes by offset, or `("size", length)`."""


class Measured(NamedTuple):
    """One inspection."""

    name: str
    cpu: float
    peak: int
    child_peak: int
    """Of all children so far."""
    reads: int
    codes: list[str]
    guest: str | None
    """Why it is unknown; `none` where there is none."""
    escaped: str | None


def measured(path: Path, changes: Sequence[tuple[str, Change]]) -> list[Measured]:
    """Inspect the image once for each named change."""
    tasks = [[[place, data.hex() if isinstance(data, bytes) else data] for place, data in one] for _, one in changes]
    done = subprocess.run(
        [sys.executable, "-m", "tests.properties.worker", str(path)],
        input=json.dumps(tasks), capture_output=True, text=True, cwd=ROOT, timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(rows) == len(changes)
    return [
        Measured(name, *(row[key] for key in Measured._fields[1:]))
        for (name, _), row in zip(changes, rows, strict=True)
    ]


def within_limits(rows: Sequence[Measured]) -> None:
    """Assert that each gave an image, in time, memory and reads."""
    for row in rows:
        assert row.escaped is None, f"{row.name}:\n{row.escaped}"
        assert row.cpu <= MAX_CPU, f"{row.name} took {row.cpu:.1f} s"
        assert max(row.peak, row.child_peak) <= MAX_MEMORY, f"{row.name} took {max(row.peak, row.child_peak)} bytes"
        assert row.reads <= MAX_READS, f"{row.name} took {row.reads} reads"
        guest = row.guest or ""
        assert "crashed" not in guest and "the reader failed" not in guest, f"{row.name}: {guest}"
