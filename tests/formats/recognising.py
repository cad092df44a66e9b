"""Asking all formats about a file, the way an inspection does."""

import json
from pathlib import Path
from typing import Any

import msgspec

import preflight.formats
from preflight.errors import StructureError
from preflight.formats import Container, Format, index
from preflight.plugins import collect
from preflight.source import BlockSource, FileSource, Memory
from tests import tools


def plugin(name: str) -> Format:
    """The plugin that knows the format of this name."""
    found: list[Format] = [one for one in collect(preflight.formats, "FORMAT") if name in one.names]
    assert len(found) == 1
    return found[0]


def claims(image: Path | bytes | BlockSource) -> tuple[str, ...]:
    """What all formats together claim."""
    if isinstance(image, Path):
        with FileSource(str(image)) as source:
            return tuple(name for name, _ in index.claims(source))
    return tuple(name for name, _ in index.claims(Memory(image) if isinstance(image, bytes) else image))


def opened(name: str, image: Path | bytes) -> Container:
    """What the format says of an image that it and no other claims."""
    assert claims(image) == (name,)
    return opened_unasked(name, image)


def opened_unasked(name: str, image: Path | bytes | BlockSource) -> Container:
    """What the format says of an image, whoever claims it."""
    if isinstance(image, Path):
        with FileSource(str(image)) as source:
            container = plugin(name).open(source, name)
    else:
        container = plugin(name).open(Memory(image) if isinstance(image, bytes) else image, name)
    fit_for_json(container)
    return container


def problems(container: Container) -> list[tuple[str, str, int | None]]:
    """Code, structure and byte of each problem."""
    return [(problem.code, problem.where, problem.offset) for problem in container.problems]


def only_value_or_structure_error(name: str, source: BlockSource) -> None:
    """Assert what the protocol promises for any bytes: `claims` raises nothing, `open` a `StructureError` at most."""
    format_ = plugin(name)
    format_.claims(source)
    try:
        container = format_.open(source, name)
    except StructureError:
        return
    assert container.format == name
    fit_for_json(container)
    size = container.virtual_size
    assert size is None or 0 <= size < 2**63


def fit_for_json(container: Container) -> None:
    """Assert that everything told can be printed as JSON, which has no larger integers than 64 bits here."""
    told = (container.virtual_size, container.virtual_size_alternatives, container.format_details, container.problems)
    msgspec.json.encode(told)


def virtual_size(path: Path, driver: str) -> int:
    """What qemu-img says."""
    said: dict[str, Any] = json.loads(tools.run("qemu-img", "info", "-f", driver, "--output=json", path))
    return int(said["virtual-size"])


class Mutated:
    """A source with one byte changed."""

    def __init__(self, parent: BlockSource, offset: int, value: int) -> None:
        self._parent = parent
        self._offset = offset
        self._value = value

    @property
    def size(self) -> int:
        return self._parent.size

    def read_at(self, offset: int, size: int) -> bytes:
        data = self._parent.read_at(offset, size)
        at = self._offset - offset
        if 0 <= at < size:
            data = data[:at] + bytes([self._value]) + data[at + 1 :]
        return data
