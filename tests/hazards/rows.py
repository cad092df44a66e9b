"""Which test stands for which row of the table, and what the tests share."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from preflight.facts import Image
from preflight.inspection import inspect

Test = TypeVar("Test", bound=Callable[..., None])
Told = tuple[str, str, int | None]
"""Code, structure and byte of a problem."""

ROWS = (
    *(f"Q{number}" for number in range(1, 17)),
    *(f"V{number}" for number in range(1, 11)),
    *(f"P{number}" for number in range(1, 7)),
    *("F1", "F2", "F3", "F4", "L1", "L2", "G1", "G2", "G3", "X1", "X2"),
)
"""The rows as they were when the tests were written; where the table itself is at hand it counts."""


def hazard(*rows: str) -> Callable[[Test], Test]:
    """Mark the test of these rows."""

    def mark(test: Test) -> Test:
        test.hazards = rows  # type: ignore[attr-defined]
        return test

    return mark


def seen(path: Path, data: bytes | None = None) -> Image:
    """The inspection of a file, written first where `data` is given."""
    if data is not None:
        path.write_bytes(data)
    return inspect(str(path))


def told(image: Image) -> list[Told]:
    """The problems without their words."""
    return [(problem.code, problem.where, problem.offset) for problem in image.problems]
