"""Recipes of phony guests: fixtures/guests/*.toml, whose keys fixtures/guests/README.md explains."""

import copy
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

GUESTS = Path(__file__).parents[2] / "fixtures" / "guests"
SECTIONS = {
    *("title", "like", "replace", "without", "facts", "findings", "disk", "kernels", "files", "links", "directories"),
    "programs",
}

Recipe = dict[str, Any]


def names() -> list[str]:
    """Every recipe, those that are only there to be built upon left out."""
    return sorted(path.stem for path in GUESTS.glob("*.toml") if not path.stem.startswith("_"))


def load(name: str) -> Recipe:
    """The recipe of this name with what it is built upon, as a copy that the caller may change."""
    return copy.deepcopy(_loaded(name))


@cache
def _loaded(name: str) -> Recipe:
    own = tomllib.loads((GUESTS / f"{name}.toml").read_text(encoding="utf-8"))
    assert set(own) <= SECTIONS, f"{name}: {set(own) - SECTIONS}"
    base: Recipe = {"files": {}, "links": {}, "programs": [], "directories": [], "kernels": [], "findings": {}}
    if like := own.pop("like", None):
        base = load(like)
        for path in own.pop("without", ()):
            leave_out(base, path)
        for old, new in own.pop("replace", {}).items():
            base = _replaced(base, old, new)
    for section, value in own.items():
        if isinstance(value, dict):
            base[section] = {**base.get(section, {}), **value}
        elif section in ("programs", "directories"):
            base[section] = list(dict.fromkeys(base[section] + value))
        else:
            base[section] = value
    return base


def leave_out(recipe: Recipe, path: str) -> None:
    """Take a file, link, program or directory out of a recipe, with all that is below it; it must be there."""
    found = False
    for section in ("files", "links", "programs", "directories"):
        for one in [one for one in recipe[section] if one == path or one.startswith(f"{path}/")]:
            found = True
            if isinstance(recipe[section], dict):
                del recipe[section][one]
            else:
                recipe[section].remove(one)
    assert found, f"{path} is not in the recipe"


def replace(recipe: Recipe, path: str, old: str, new: str) -> None:
    """Change the text of a file, which must have `old` in it."""
    assert old in recipe["files"][path], f"{old!r} is not in {path}"
    recipe["files"][path] = recipe["files"][path].replace(old, new)


def _replaced(value: Any, old: str, new: str) -> Any:
    """The same value with another text wherever it occurs, in keys too."""
    if isinstance(value, str):
        return value.replace(old, new)
    if isinstance(value, dict):
        return {_replaced(key, old, new): _replaced(inside, old, new) for key, inside in value.items()}
    if isinstance(value, list):
        return [_replaced(inside, old, new) for inside in value]
    return value
