"""Reading results back from JSON, as a program that knows our types would."""

import json
import typing
from typing import Any

import msgspec

from preflight.facts import Image, Unknown

# Each field on its own: msgspec has no unions of two structures without tags, which `guest` is.
_TYPES = typing.get_type_hints(Image, localns={"Guest": Any})


def image(encoded: bytes | str | dict[str, Any]) -> Image:
    """The image of this JSON; its guest, where one was read, as plain values."""
    values: dict[str, Any] = encoded if isinstance(encoded, dict) else json.loads(encoded)
    read = {name: msgspec.convert(value, _TYPES[name]) for name, value in values.items() if name != "guest"}
    guest = values["guest"]
    if isinstance(guest, dict) and set(guest) == {"unknown"}:
        guest = Unknown(**guest)
    return Image(**read, guest=guest)


def same(read: Image, original: Image) -> bool:
    """Whether an image that was read back is the one that was written."""
    guest = original.guest
    if guest is not None and not isinstance(guest, Unknown):
        original = msgspec.structs.replace(original, guest=json.loads(msgspec.json.encode(guest)))
    return read == original
