"""The request as JSON, in the shape that the SDK's models take (`ImportImageRequest.from_map`)."""

import msgspec

from preflight.targets import Target, parameters
from preflight.verdicts import ImportRequest


def _render(request: ImportRequest) -> str:
    text = msgspec.json.format(msgspec.json.encode(parameters(request))).decode()
    return "".join(map(_shown, text)) + "\n"


def _shown(character: str) -> str:
    """What JSON may hold and no terminal should get, such as U+202E or DEL, by its UTF-16 code units."""
    if character.isprintable() or character == "\n":
        return character
    units = character.encode("utf-16-be")
    return "".join(f"\\u{high:02x}{low:02x}" for high, low in zip(units[::2], units[1::2], strict=True))


TARGET = Target(name="json", render=_render)
