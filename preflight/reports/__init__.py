"""Reports: facts and judgements, written out for people and for programs.

A plugin is a module that ends in `REPORT`, a `ReportFormat`; `--format` takes the module's name. Every text that an
image can hold goes through `escape` or through the quoting of the format.
"""

import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal, Protocol, TypeVar

import msgspec

from preflight import plugins

if TYPE_CHECKING:  # `inspect` has no need of verdicts, and the start-up counts
    from preflight.facts import Image, Unread
    from preflight.verdicts import Report

Result = TypeVar("Result", contravariant=True)


class Render(Protocol[Result]):
    """Writes results out."""

    def __call__(self, results: "Sequence[Result]", unread: "Sequence[Unread]" = (), /) -> str:
        """Lines, each ending in a newline. `unread`: the images that there is no result of."""
        ...


class ReportFormat(msgspec.Struct, frozen=True):
    """One way to write results out."""

    name: str
    """As `--format` takes it."""
    reports: "Render[Report]"
    """What `check` prints."""
    images: "Render[Image] | None" = None
    """What `inspect` prints; none of a format for judgements only."""


Kind = Literal["images", "reports"]
"""What is written out; the fields of `ReportFormat` are named for it."""


def names(kind: Kind) -> tuple[str, ...]:
    """The formats that there are for results of this kind, as `--format` takes them."""
    return tuple(name for name in plugins.names(sys.modules[__name__]) if getattr(load(name), kind))


def load(name: str) -> ReportFormat:
    """The format of this name. Raises `ValueError` where there is none."""
    if name not in (known := plugins.names(sys.modules[__name__])):
        raise ValueError(f"there is no format {name!r}, only {', '.join(known)}")
    report: ReportFormat = plugins.load(sys.modules[__name__], name, "REPORT")
    return report


def escape(text: str) -> str:
    """`text` without anything that a terminal, an editor or a runner of CI would act on.

    Control characters, line and paragraph separators, bidirectional and other invisible format characters,
    surrogates and unassigned code points become backslash escapes. So does a character of what runners take for a
    command: `::` where a line begins with it, and `##[`, `##vso[` (Azure) or `##teamcity[` anywhere. Escaping what is
    escaped changes nothing.
    """
    safe = _without_marks(_without_unsafe(text, _backslashed), "\\x23")
    rest = safe.lstrip(" ")
    if rest.startswith(":") and rest[1:2] in (":", ""):  # after a single one the caller may write another
        return safe[: len(safe) - len(rest)] + "\\x3a" + rest[1:]
    return safe


def escape_json(text: str) -> str:
    """A line of JSON with the same characters as JSON's own escapes, which it leaves to the writer to use."""
    return _without_marks(_without_unsafe(text, _as_json_escape), "\\u0023")


def _without_marks(text: str, escaped_hash: str) -> str:
    """`text` without the marks that runners look for everywhere in a line."""
    if "##" not in text:
        return text
    from re import IGNORECASE, sub

    return sub(r"##(?=[a-z]*\[)", lambda _: f"#{escaped_hash}", text, flags=IGNORECASE)


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
