"""The table of hazards against the tests: no row without a test, no test for a row that is not there."""

import importlib
import pkgutil
import re
from pathlib import Path

import tests.hazards
from tests.hazards.rows import ROWS

ROOT = Path(__file__).parents[2]
TABLE = ROOT.parent / "shared" / "reference" / "hazards.md"


def _marked() -> dict[str, str]:
    """By row, a test that is marked with it."""
    found: dict[str, str] = {}
    for info in pkgutil.iter_modules(tests.hazards.__path__):
        module = importlib.import_module(f"tests.hazards.{info.name}")
        for name, value in vars(module).items():
            if name.startswith("test_"):
                found |= dict.fromkeys(getattr(value, "hazards", ()), f"{info.name}.{name}")
    return found


def _rows() -> list[str]:
    if not TABLE.exists():
        return list(ROWS)
    return re.findall(r"^\| ([A-Z][0-9]+) \|", TABLE.read_text(encoding="utf-8"), re.MULTILINE)


def test_every_row_has_a_test_and_every_test_a_row() -> None:
    rows = _rows()
    assert len(rows) == len(set(rows)) > 40
    assert _marked().keys() == set(rows)
