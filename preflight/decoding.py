"""Values of this package read back from JSON: what `inspect` wrote can be judged elsewhere, with no disk at hand."""

import types
import typing
from functools import cache
from typing import Any, NamedTuple

import msgspec

from preflight.errors import InvalidDocument
from preflight.facts import Image, Unknown
from preflight.guest_facts import Guest
from preflight.verdicts import Report

INSPECTION = "preflight/inspection/1"
REPORT = "preflight/report/1"


def images(encoded: bytes | str) -> tuple[Image, ...]:
    """The images that `inspect --format json` wrote; `InvalidDocument` where the text is something else."""
    return tuple(convert(item, Image, f"images[{at}]") for at, item in enumerate(_items(encoded, INSPECTION, "images")))


def reports(encoded: bytes | str) -> tuple[Report, ...]:
    """The reports that `check --format json` wrote; `InvalidDocument` where the text is something else."""
    return tuple(convert(item, Report, f"reports[{at}]") for at, item in enumerate(_items(encoded, REPORT, "reports")))


def _items(encoded: bytes | str, schema: str, key: str) -> list[Any]:
    try:
        document = msgspec.json.decode(encoded)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidDocument(f"no JSON: {error}") from error
    found = document.get("schema") if isinstance(document, dict) else None
    if found != schema:
        raise InvalidDocument(f"schema is {found!r}, expected {schema!r}")
    items = document.get(key)
    if not isinstance(items, list):
        raise InvalidDocument(f"{key} is no list")
    return items


def convert(value: Any, wanted: Any, where: str) -> Any:
    """`value`, plain as JSON has it, as the type `wanted`; `InvalidDocument` names the place within `where`.

    msgspec alone cannot: to it, a fact or `Unknown` are two structures without a tag to tell them by. Here, an object
    that has the one key `unknown` is the latter.
    """
    origin, arguments = typing.get_origin(wanted), typing.get_args(wanted)
    if origin in (types.UnionType, typing.Union):
        return _one_of(value, arguments, where)
    if origin is tuple and isinstance(value, list):
        return tuple(convert(item, arguments[0], f"{where}[{at}]") for at, item in enumerate(value))
    if isinstance(wanted, type) and issubclass(wanted, msgspec.Struct):
        return _structure(value, wanted, where)
    try:
        return msgspec.convert(value, wanted)
    except msgspec.ValidationError as error:
        raise InvalidDocument(f"{where}: {error}") from error


def _one_of(value: Any, choices: tuple[Any, ...], where: str) -> Any:
    if value is None and type(None) in choices:
        return None
    if Unknown in choices and isinstance(value, dict) and value.keys() == {"unknown"}:
        return _structure(value, Unknown, where)
    (known,) = (choice for choice in choices if choice not in (Unknown, type(None)))  # no fact has more than one type
    return convert(value, known, where)


def _structure(value: Any, wanted: type[msgspec.Struct], where: str) -> msgspec.Struct:
    if not isinstance(value, dict):
        raise InvalidDocument(f"{where}: expected an object, found {value!r:.60}")
    found = {}
    for field in fields(wanted):
        if field.key in value:
            found[field.name] = convert(value[field.key], field.type, f"{where}.{field.key}")
        elif field.required:
            raise InvalidDocument(f"{where}: {field.key!r} is missing")
    return wanted(**found)


class Field(NamedTuple):
    """One field of a structure."""

    name: str
    key: str
    """Its name in JSON."""
    type: Any
    required: bool


@cache
def fields(structure: type[msgspec.Struct]) -> tuple[Field, ...]:
    """The fields of a structure.

    `msgspec.structs.fields` cannot resolve the type of `Image.guest`, which its module names but does not import.
    """
    hints = typing.get_type_hints(structure, localns={"Guest": Guest})
    names, defaults = structure.__struct_fields__, structure.__struct_defaults__
    without = len(names) - len(defaults)
    return tuple(
        Field(name, key, hints[name], at < without or defaults[at - without] is msgspec.NODEFAULT)
        for at, (name, key) in enumerate(zip(names, structure.__struct_encode_fields__, strict=True))
    )
