"""Reports: facts and judgements, written out for people and for programs.

A plugin is a module that ends in `REPORT`, a `ReportFormat`. Every text that an image can hold goes through
`escape` or through the quoting of the format.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:  # `inspect` has no need of verdicts, and the start-up counts
    from preflight.facts import Image
    from preflight.verdicts import Report


class ReportFormat(msgspec.Struct, frozen=True):
    """One way to write results out."""

    name: str
    """As `--format` takes it."""
    images: "Callable[[Sequence[Image]], str]"
    """What `inspect` prints, ending in a newline."""
    reports: "Callable[[Sequence[Report]], str]"
    """What `check` prints, ending in a newline."""


def escape(text: str) -> str:
    """`text` without anything that a terminal or an editor would act on.

    Control characters, line and paragraph separators, bidirectional and other invisible format characters,
    surrogates and unassigned code points become backslash escapes.
    """
    return _without_unsafe(text, _backslashed)


def escape_json(text: str) -> str:
    """A line of JSON with the same characters as JSON's own escapes, which it leaves to the writer to use."""
    return _without_unsafe(text, _as_json_escape)


def _without_unsafe(text: str, replace: Callable[[str], str]) -> str:
    if text.isascii() and text.isprintable():
        return text
    from unicodedata import category

    return "".join(
        character if character == " " or category(character)[0] not in "CZ" else replace(character)
        for character in text
    )


def _backslashed(character: str) -> str:
    code = ord(character)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _as_json_escape(character: str) -> str:
    units = character.encode("utf-16-be").hex()
    return "".join(f"\\u{units[index : index + 4]}" for index in range(0, len(units), 4))
