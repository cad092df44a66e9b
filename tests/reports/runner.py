"""What GitHub's runner does with a line, by ActionCommand.cs in actions/runner."""

import re
from typing import NamedTuple

REGISTERED = ("error", "warning", "notice", "debug", "group", "endgroup", "set-output", "add-mask", "stop-commands")


class Command(NamedTuple):
    """A workflow command, decoded."""

    name: str
    properties: dict[str, str]
    data: str


def command(line: str) -> Command | None:
    """The command that a line is, in either spelling; None where it is plain text."""
    if found := re.match(r"\s*::(.*?)::(.*)", line, re.DOTALL):
        name, _, properties = found[1].partition(" ")
        if name in REGISTERED:
            pairs = [pair.split("=", 1) for pair in properties.strip().split(",") if "=" in pair]
            return Command(name, {key: _decoded(value, ":,") for key, value in pairs}, _decoded(found[2], ""))
    if found := re.search(r"##\[([^\] ]*)[^\]]*\](.*)", line, re.DOTALL):
        return Command(found[1], {}, found[2])
    return None


def _decoded(text: str, more: str) -> str:
    for character in f"\r\n{more}%":  # the percent sign last, as there
        text = text.replace(f"%{ord(character):02X}", character)
    return text
