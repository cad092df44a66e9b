"""JSON Schemas of what this package prints, made from the types that it prints.

Specification: JSON Schema, draft 2020-12, https://json-schema.org/draft/2020-12/schema
"""

import ast
import inspect
import textwrap
import types
import typing
from collections.abc import Callable
from functools import cache
from itertools import pairwise
from typing import Any

import msgspec

from preflight.decoding import INSPECTION, REPORT, fields
from preflight.facts import Image, Unread
from preflight.import_requests import ImportRequest
from preflight.verdicts import Report

Schema = dict[str, Any]

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_SCALARS: dict[Any, Schema] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    bool: {"type": "boolean"},
    type(None): {"type": "null"},
    Any: {},
    object: {},
}


def names() -> tuple[str, ...]:
    """What there is a schema of."""
    return tuple(_SCHEMAS)


def schema(name: str) -> Schema:
    """The schema of this name; `KeyError` where there is none.

    `image` and `report` hold for the documents that `inspect` and `check` print, and for each item in them.
    """
    return _SCHEMAS[name]()


def _items(title: str, identifier: str, key: str, item: type[msgspec.Struct]) -> Schema:
    definitions: dict[str, Schema] = {}
    reference = _of(item, definitions)
    unread = _of(Unread, definitions)
    definitions["document"] = {
        "type": "object",
        "properties": {
            "schema": {"const": identifier},
            key: {"type": "array", "items": reference},
            "unread": {"type": "array", "items": unread},
        },
        "required": ["schema", key],
    }
    return {
        "$schema": _DIALECT,
        "$id": f"urn:{identifier.replace('/', ':')}",
        "title": title,
        "if": {"type": "object", "required": ["schema"]},
        "then": {"$ref": "#/$defs/document"},
        "else": reference,
        "$defs": definitions,
    }


def _request() -> Schema:
    definitions: dict[str, Schema] = {}
    reference = _of(ImportRequest, definitions, sent=True)
    return {
        "$schema": _DIALECT,
        "$id": "urn:preflight:request:1",
        "title": "An ImportImage request, as `payload --as json` prints it",
        **reference,
        "$defs": definitions,
    }


_SCHEMAS: dict[str, Callable[[], Schema]] = {
    "image": lambda: _items("What `inspect --format json` prints", INSPECTION, "images", Image),
    "report": lambda: _items("What `check --format json` prints", REPORT, "reports", Report),
    "request": _request,
}


def _of(wanted: Any, definitions: dict[str, Schema], *, sent: bool = False) -> Schema:
    """The schema of a type; those of structures are put among `definitions`.

    `sent`: null is left out of a request, as is the key that would have it.
    """
    if wanted in _SCALARS:
        return dict(_SCALARS[wanted])
    origin, arguments = typing.get_origin(wanted), typing.get_args(wanted)
    if origin is typing.Literal:
        return {"enum": list(arguments)}
    if origin in (types.UnionType, typing.Union):
        choices = [_of(choice, definitions, sent=sent) for choice in arguments if not (sent and choice is type(None))]
        return choices[0] if len(choices) == 1 else {"anyOf": choices}
    if origin is tuple:
        return {"type": "array", "items": _of(arguments[0], definitions, sent=sent)}
    if origin is dict:
        return {"type": "object", "additionalProperties": _of(arguments[1], definitions, sent=sent)}
    if wanted.__name__ not in definitions:
        definitions[wanted.__name__] = {}  # a structure that holds its own kind would come here again
        definitions[wanted.__name__] = _structure(wanted, definitions, sent)
    return {"$ref": f"#/$defs/{wanted.__name__}"}


def _structure(wanted: type[msgspec.Struct], definitions: dict[str, Schema], sent: bool) -> Schema:
    told = _field_docstrings(wanted)
    properties = {}
    for field in fields(wanted):
        properties[field.key] = _of(field.type, definitions, sent=sent)
        if field.name in told:
            properties[field.key]["description"] = told[field.name]
    return {
        "type": "object",
        "description": inspect.cleandoc(wanted.__doc__ or ""),
        "properties": properties,
        "required": [field.key for field in fields(wanted) if not (sent and type(None) in typing.get_args(field.type))],
    }


@cache
def _field_docstrings(structure: type[msgspec.Struct]) -> dict[str, str]:
    """The sentences under a structure's fields; none where the package was installed without its source."""
    try:
        (definition,) = ast.parse(textwrap.dedent(inspect.getsource(structure))).body
    except OSError:
        return {}
    told = {}
    body = definition.body if isinstance(definition, ast.ClassDef) else []
    for statement, following in pairwise(body):
        if (
            isinstance(statement, ast.AnnAssign)
            and isinstance(statement.target, ast.Name)
            and isinstance(following, ast.Expr)
            and isinstance(following.value, ast.Constant)
        ):
            told[statement.target.id] = inspect.cleandoc(str(following.value.value))
    return told
