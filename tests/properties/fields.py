"""The fields of a construct layout, and what a hostile hand would write into each: enumerated, not chosen."""

from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

from construct import Array, Bytes, Construct, FormatField, Renamed, Struct


class Field(NamedTuple):
    """A field of fixed size."""

    name: str
    offset: int
    """From where the structure begins."""
    size: int
    order: Literal["little", "big"]
    number: bool
    """Else it is a string of bytes."""


def fields(layout: Construct, offset: int = 0, name: str = "") -> Iterator[Field]:
    """Every field of a fixed-size layout, those of nested structures and arrays too."""
    if isinstance(layout, Renamed):
        yield from fields(layout.subcon, offset, f"{name}.{layout.name}".lstrip("."))
    elif isinstance(layout, Struct):
        for inner in layout.subcons:
            yield from fields(inner, offset, name)
            offset += inner.sizeof()
    elif isinstance(layout, Array):
        for index in range(layout.count):
            yield from fields(layout.subcon, offset + index * layout.subcon.sizeof(), f"{name}[{index}]")
    elif isinstance(layout, FormatField):
        order: Literal["little", "big"] = "big" if layout.fmtstr.startswith(">") else "little"
        yield Field(name, offset, layout.sizeof(), order, True)
    elif layout.sizeof():
        yield Field(name, offset, layout.sizeof(), "little", not isinstance(layout, Bytes) and layout.sizeof() <= 8)


def values(field: Field, now: bytes) -> Iterator[bytes]:
    """What the field is set to: 0, 1, max, max−1, the sign bit, and itself ±1, each once and never what it is."""
    bits = field.size * 8
    if field.number:
        itself = int.from_bytes(now, field.order)
        numbers = (0, 1, (1 << bits) - 1, (1 << bits) - 2, 1 << bits - 1, itself + 1, itself - 1)
        wanted = [(number % (1 << bits)).to_bytes(field.size, field.order) for number in numbers]
    else:
        wanted = [
            bytes(field.size),
            b"\xff" * field.size,
            bytes([now[0] ^ 1]) + now[1:],
            now[:-1] + bytes([now[-1] ^ 1]),
        ]
    yield from (value for value in dict.fromkeys(wanted) if value != now)


def names(layout: Any) -> set[str]:
    """The names of all fields, for a test that none is left out."""
    return {field.name for field in fields(layout)}
