"""What SECURITY.md says of limits is what the code has."""

import re
from pathlib import Path

from preflight.limits import Limits

DOCUMENT = (Path(__file__).parent.parent / "SECURITY.md").read_text()
UNITS = {"": 1, "s": 1, "MiB": 1 << 20, "GiB": 1 << 30}


def test_every_limit_is_told_with_its_default() -> None:
    told: dict[str, float] = {}
    for names, defaults in re.findall(r"^\| ((?:`\w+`(?:, )?)+) \| ([^|]+) \|", DOCUMENT, re.MULTILINE):
        values = re.findall(r"([\d,]*\d) ?(s|MiB|GiB|)", defaults)
        for name, (number, unit) in zip(re.findall(r"\w+", names), values, strict=True):
            told[name] = float(number.replace(",", "")) * UNITS[unit]
    assert told == Limits()._asdict()


def test_every_test_that_it_names_is_there() -> None:
    root = Path(__file__).parent.parent
    named = re.findall(r"`(tests/[\w/.]+)`", DOCUMENT)
    assert named
    assert [name for name in named if not (root / name).exists()] == []
