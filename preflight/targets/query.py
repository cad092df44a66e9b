"""The request as flat `Key=value` lines, one parameter a line; only what cannot be printed is percent-encoded."""

from urllib.parse import quote

from preflight.import_requests import ImportRequest
from preflight.targets import Target
from preflight.targets._flat import flat


def _render(request: ImportRequest) -> str:
    # A line break inside a value would look like a parameter of its own, and an escape would steer the terminal.
    return "".join(f"{key}={_on_one_line(value)}\n" for key, value in flat(request))


def _on_one_line(value: str) -> str:
    return "".join(character if character.isprintable() else quote(character, safe="") for character in value)


TARGET = Target(name="query", render=_render)
