"""How other tools spell the request's parameters: a table for each tool, and what is lost by it."""

import unicodedata
from collections.abc import Iterator

import msgspec

from preflight.import_requests import ImportRequest
from preflight.targets import parameters

_DISKS = "DiskDeviceMapping"


class Spelling(msgspec.Struct, frozen=True):
    """What one tool calls the parameters, by their wire names: `Features.NvmeSupport`, `DiskDeviceMapping.Format`."""

    tool: str
    """As messages call it."""
    names: dict[str, str]
    """The tool's names; a dot puts one thing into another. What is not here cannot be sent with the tool."""
    values: dict[str, tuple[str, ...]] = {}
    """Where the tool takes only some values: those, in its spelling."""
    disk_defaults: dict[str, object] = {}
    """What the tool sends of a disk where the request leaves it to the API: it may be wrong. Without its prefix."""
    needed: tuple[str, ...] = ()
    """What the tool does not work without."""
    disks: int | None = None
    """How many disks it can import at once; `None` is as many as the API."""
    composes: bool = False
    """Whether it turns text into Unicode's normal form C."""


def spelt(request: ImportRequest, spelling: Spelling) -> dict[str, object]:
    """The request by the tool's names and in its values, without what the tool has no name for."""
    built: dict[str, object] = {}
    for name, value in _each(parameters(request)):
        if name not in spelling.names:
            continue
        if isinstance(value, list):
            entries = value[: spelling.disks] if name == _DISKS else value
            value = [_entry(name, entry, spelling) for entry in entries]
        else:
            value = _value(name, value, spelling)
        *path, last = spelling.names[name].split(".")
        place = built
        for step in path:
            place = place.setdefault(step, {})  # type: ignore[assignment]
        place[last] = value
    return built


def omitted(request: ImportRequest, spelling: Spelling) -> list[str]:
    """What the tool cannot send, changes, refuses, lacks or makes up, a sentence each."""
    found = []
    said = parameters(request)
    disks: list[dict[str, object]] = said[_DISKS]  # type: ignore[assignment]
    sent = disks[: spelling.disks]
    for name, value in _each(said):
        if name not in spelling.names:
            found.append(f"{name} is left out: {spelling.tool} does not send it")
        elif not isinstance(value, list):
            found += _changes(name, name, value, spelling)
    for number, disk in enumerate(sent, start=1):
        for key, value in disk.items():
            found += _changes(f"{_DISKS}.{key}", f"{_DISKS}.{number}.{key}", value, spelling)
        found += [
            f"{_DISKS}.{number}.{key} is not in the request: {spelling.tool} sends {default} then"
            for key, default in spelling.disk_defaults.items()
            if key not in disk
        ]
    for number in range(len(sent) + 1, len(disks) + 1):
        found.append(f"{_DISKS}.{number} is left out: {spelling.tool} imports {spelling.disks} disk only")
    here = dict(_each(said))
    found += [f"{name} is not in the request: {spelling.tool} needs it" for name in spelling.needed if name not in here]
    return found


def _each(said: dict[str, object]) -> Iterator[tuple[str, object]]:
    """The parameters by name, objects taken apart, lists whole."""
    for key, value in said.items():
        if isinstance(value, dict):
            yield from ((f"{key}.{name}", item) for name, item in value.items())
        else:
            yield key, value


def _entry(name: str, entry: dict[str, object], spelling: Spelling) -> dict[str, object]:
    return {
        spelling.names[f"{name}.{key}"]: _value(f"{name}.{key}", value, spelling)
        for key, value in entry.items()
        if f"{name}.{key}" in spelling.names
    }


def _value(name: str, value: object, spelling: Spelling) -> object:
    """The value in the tool's letters, `qcow2` for `QCOW2`; one that it does not take stays, to be refused aloud."""
    for known in spelling.values.get(name, ()):
        if isinstance(value, str) and known.casefold() == value.casefold():
            return known
    return value


def _changes(name: str, shown: str, value: object, spelling: Spelling) -> Iterator[str]:
    taken = spelling.values.get(name)
    if taken and _value(name, value, spelling) not in taken:
        yield f"{shown} is {value}: {spelling.tool} takes only {', '.join(taken)}"
    if spelling.composes and isinstance(value, str) and not unicodedata.is_normalized("NFC", value):
        yield f"{shown} is changed: {spelling.tool} turns text into Unicode's normal form C"
