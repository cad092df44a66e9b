"""The configuration file: what to judge by, what not to mind, and what each image is meant to be.

`preflight.toml`, or `[tool.preflight]` in `pyproject.toml`. Everything in it is verified when it is read; each
problem names the file and the line.
"""

import re
import tomllib
from collections.abc import Callable, Collection, Iterable, Iterator
from operator import attrgetter
from typing import Any, Literal

from preflight import path_patterns, profiles, toml_lines
from preflight.errors import ConfigurationError
from preflight.facts import Value
from preflight.rules import all_rules
from preflight.toml_lines import Path
from preflight.verdicts import Limits, Role

NAME = "preflight.toml"
SHARED_NAME = "pyproject.toml"
SHARED_TABLE = ("tool", "preflight")

PARAMETERS: dict[str, type] = {
    "os-type": str,
    "platform": str,
    "architecture": str,
    "boot-mode": str,
    "image-name": str,
    "description": str,
    "image-format": str,
    "disk-image-size": int,
    "license-type": str,
    "nvme-support": str,
    "imds-support": str,
    "detection-strategy": str,
    "role-name": str,
    "resource-group-id": str,
    "client-token": str,
    "tag": list,
    "dry-run": bool,
}
"""What can be declared of an image's request: the options of `check`, without their dashes."""

_ENUMERATIONS: dict[str, Callable[[Limits], Iterable[str]]] = {
    "os-type": attrgetter("os_types"),
    "platform": attrgetter("platforms"),
    "architecture": attrgetter("architectures"),
    "boot-mode": attrgetter("boot_modes"),
    "image-format": lambda limits: limits.formats.values(),
    "license-type": attrgetter("license_types"),
    "nvme-support": attrgetter("nvme_support"),
    "imds-support": attrgetter("imds_support"),
    "detection-strategy": attrgetter("detection_strategies"),
}
"""Those that are no free text: where the values are that a profile knows."""

_TYPE_NAMES = {
    str: "a string",
    int: "an integer",
    float: "a number",
    bool: "true or false",
    list: "an array",
    dict: "a table",
}
_ROLES = ("auto", "system", "data")
_TOP_KEYS = ("profile", "strict", "baseline", "ignore", "image")
_IMAGE_KEYS = ("path", "role", "ignore", *PARAMETERS)
_ERROR_PLACE = re.compile(r"(.*) \(at (?:line (\d+), column \d+|end of document)\)", re.DOTALL)


class ImageSettings(Value, frozen=True):
    """What is said of one image."""

    role: Literal["auto"] | Role | None = None
    declared: dict[str, Any] = {}
    """Fields of `verdicts.Declared`."""
    ignore: dict[str, str] = {}
    """Rules, and the reason of each."""


class ImageEntry(Value, frozen=True):
    """One `[[image]]` of the file."""

    patterns: tuple[str, ...]
    """Of paths relative to the file's folder."""
    settings: ImageSettings


class Configuration(Value, frozen=True):
    """What a configuration file says; `None`, or nothing, where it is silent."""

    profiles: tuple[str, ...] = ()
    strict: bool | None = None
    baseline: str | None = None
    """Path relative to the file's folder."""
    ignore: dict[str, str] = {}
    """Rules that count for no image, and the reason of each."""
    images: tuple[ImageEntry, ...] = ()

    def of_image(self, path: str | None) -> ImageSettings:
        """All that is said of the image at `path`, relative to the file's folder; None where it lies outside.

        Every entry that matches counts, in the order of the file: what a later one says replaces what an earlier one
        says of the same key. Ignored rules add up.
        """
        role = None
        declared: dict[str, Any] = {}
        ignore = dict(self.ignore)
        for entry in self.images:
            if path is not None and any(path_patterns.matches(pattern, path) for pattern in entry.patterns):
                role = entry.settings.role or role
                declared |= entry.settings.declared
                ignore |= entry.settings.ignore
        return ImageSettings(role, declared, ignore)


def read(text: str, name: str, *, shared: bool = False) -> Configuration | None:
    """The configuration in `text`, a file that is called `name` in messages.

    `shared`: it is a `pyproject.toml`; None where that has no `[tool.preflight]`. Raises `ConfigurationError` with
    all that is wrong, in the order of the lines.
    """
    try:
        table: Any = tomllib.loads(text)
        lines = toml_lines.lines(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(_syntax_error(str(error), text, name)) from error
    except RecursionError as error:
        raise ConfigurationError(f"{name}: its arrays or tables are nested too deeply") from error
    place: Path = SHARED_TABLE if shared else ()
    for key in place:
        table = table.get(key) if isinstance(table, dict) else None
    if table is None:
        return None
    reader = _Reader(name, lines)
    found = reader.configuration(table, place)
    if reader.problems:
        raise ConfigurationError(*(f"{name}:{line}: {told}" for line, told in sorted(reader.problems)))
    return found


def _syntax_error(message: str, text: str, name: str) -> str:
    """The words of tomllib, with the line where other problems have theirs."""
    found = _ERROR_PLACE.fullmatch(message)
    if found is None:
        return f"{name}: {message}"
    line = found[2] or text.rstrip("\n").count("\n") + 1
    return f"{name}:{line}: no valid TOML: {found[1]}"


class _Reader:
    """Turns tables into values, and gathers what is wrong with them."""

    def __init__(self, name: str, lines: dict[Path, int]) -> None:
        self.name = name
        self.lines = lines
        self.problems: list[tuple[int, str]] = []

    def configuration(self, table: object, place: Path) -> Configuration | None:
        if not isinstance(table, dict):
            self.complain(place, f"{_dotted(place)} is {_kind(table)}, it must be a table")
            return None
        self.known_keys(table, _TOP_KEYS, place)
        baseline = self.typed(table, "baseline", str, place)
        if baseline is not None and not baseline.strip():
            self.complain((*place, "baseline"), "baseline is empty, it must be the path of a file")
        return Configuration(
            profiles=tuple(dict.fromkeys(self.profile_names(table, place))),
            strict=self.typed(table, "strict", bool, place),
            baseline=baseline,
            ignore=self.ignored(table, place),
            images=tuple(self.image_entries(table, place)),
        )

    def profile_names(self, table: dict[str, Any], place: Path) -> Iterator[str]:
        for name, where in self.strings(table, "profile", place):
            if self.among(name, profiles.names(), where, "profile"):
                yield name

    def image_entries(self, table: dict[str, Any], place: Path) -> Iterator[ImageEntry]:
        entries = table.get("image", [])
        place = (*place, "image")
        if not isinstance(entries, list):
            self.complain(place, f"image is {_kind(entries)}, it must be an array of tables: [[image]]")
            return
        for number, entry in enumerate(entries):
            where = (*place, number)
            if not isinstance(entry, dict):
                self.complain(where, f"an image is {_kind(entry)}, it must be a table: [[image]]")
                continue
            self.known_keys(entry, _IMAGE_KEYS, where)
            role = self.typed(entry, "role", str, where)
            if role is not None and not self.among(role, _ROLES, (*where, "role"), "role"):
                role = None
            settings = ImageSettings(role, dict(self.parameters(entry, where)), self.ignored(entry, where))
            yield ImageEntry(tuple(self.patterns(entry, where)), settings)

    def patterns(self, entry: dict[str, Any], place: Path) -> Iterator[str]:
        if "path" not in entry:
            self.complain(place, "this image has no path, which says the files it is about")
        for pattern, where in self.strings(entry, "path", place):
            if pattern.startswith("/") or ".." in pattern.split("/"):
                self.complain(where, f"path {pattern!r} must be relative to the folder of {self.name}, and within it")
            elif not pattern.strip("./") or pattern.endswith("/"):
                self.complain(where, f"path {pattern!r} names no file; all below a folder is folder/**")
            else:
                yield pattern

    def parameters(self, entry: dict[str, Any], place: Path) -> Iterator[tuple[str, Any]]:
        """What is declared, by fields of `verdicts.Declared`."""
        for key, kind in PARAMETERS.items():
            where = (*place, key)
            if key == "tag":
                tags = [tag for tag, at in self.strings(entry, key, place) if self.is_pair(tag, at)]
                if key in entry:
                    yield "tags", tuple(tuple(tag.split("=", 1)) for tag in tags)
                continue
            value = self.typed(entry, key, kind, place)
            if value is None:
                continue
            if value is False:
                yield key.replace("-", "_"), None  # nothing declared, after an entry that did
                continue
            allowed = _values(key)
            if key == "image-format":  # the one whose case does not count
                allowed = () if value.lower() in map(str.lower, allowed) else allowed
            if not allowed or self.among(value, allowed, where, key):
                yield key.replace("-", "_"), value

    def is_pair(self, tag: str, place: Path) -> bool:
        if "=" not in tag:
            self.complain(place, f"tag {tag!r} is not KEY=VALUE")
        return "=" in tag

    def ignored(self, table: dict[str, Any], place: Path) -> dict[str, str]:
        place = (*place, "ignore")
        ignored = table.get("ignore", {})
        if not isinstance(ignored, dict):
            self.complain(place, f'ignore is {_kind(ignored)}, it must be a table of rules: RULE = "reason"')
            return {}
        for rule_id, reason in ignored.items():
            where = (*place, rule_id)
            self.among(rule_id, all_rules(), where, "rule")
            if not isinstance(reason, str):
                self.complain(where, f"the reason of {rule_id!r} is {_kind(reason)}, it must be a string")
            elif not reason.strip():
                self.complain(where, f"{rule_id!r} is ignored without a reason")
        return ignored

    def known_keys(self, table: dict[str, Any], known: Collection[str], place: Path) -> None:
        for key in table:
            self.among(key, known, (*place, key), "key")

    def among(self, word: str, known: Collection[str], place: Path, kind: str) -> bool:
        """Whether `word` is known; if not, it is complained of, with the word that may be meant."""
        if word in known:
            return True
        from difflib import get_close_matches

        by_case = {entry.lower(): entry for entry in known}
        near = get_close_matches(word.lower(), by_case, n=1)
        hint = f"did you mean {by_case[near[0]]!r}?" if near else _all_of(known, kind)
        self.complain(place, f"there is no {kind} {word!r}; {hint}")
        return False

    def typed(self, table: dict[str, Any], key: str, kind: type, place: Path) -> Any:
        """The value of `key`, None where there is none of this type."""
        value = table.get(key)
        if value is None or type(value) is kind:
            return value
        self.complain((*place, key), f"{key} is {_kind(value)}, it must be {_TYPE_NAMES[kind]}")
        return None

    def strings(self, table: dict[str, Any], key: str, place: Path) -> Iterator[tuple[str, Path]]:
        """One string or several, each with its place."""
        place = (*place, key)
        value = table.get(key, [])
        if isinstance(value, str):
            yield value, place
        elif not isinstance(value, list):
            self.complain(place, f"{key} is {_kind(value)}, it must be a string or an array of strings")
        elif not value and key in table:
            self.complain(place, f"{key} is an empty array")
        else:
            for number, entry in enumerate(value):
                if isinstance(entry, str):
                    yield entry, (*place, number)
                else:
                    self.complain((*place, number), f"{key} has {_kind(entry)} in it, it may only have strings")

    def complain(self, place: Path, message: str) -> None:
        while place not in self.lines and place:
            place = place[:-1]
        self.problems.append((self.lines.get(place, 1), message))


def _values(key: str) -> tuple[str, ...]:
    """What any of the profiles allows for this parameter; nothing where it is free text."""
    pick = _ENUMERATIONS.get(key)
    if pick is None:
        return ()
    return tuple(dict.fromkeys(value for name in profiles.names() for value in pick(profiles.load(name).limits)))


def _all_of(known: Collection[str], kind: str) -> str:
    return "see: preflight rules" if kind == "rule" else f"there is {', '.join(known)}"


def _kind(value: object) -> str:
    return _TYPE_NAMES.get(type(value), "a date or time")


def _dotted(place: Path) -> str:
    return ".".join(map(str, place))
