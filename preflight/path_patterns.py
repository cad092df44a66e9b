"""Patterns of paths: `*`, `?` and `[...]` within one name, `**` for any number of folders."""

import re
from collections.abc import Iterator
from functools import cache


def matches(pattern: str, path: str) -> bool:
    """Whether the whole relative `path`, with forward slashes, fits `pattern`; case counts, as does every dot."""
    return _compiled(pattern).fullmatch(path) is not None


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    segments = [segment for segment in pattern.split("/") if segment not in ("", ".")]
    last = len(segments) - 1
    parts = []
    for number, segment in enumerate(segments):
        if segment == "**":
            if number and segments[number - 1] == "**":
                continue  # once says it all, and twice would make matching slow
            parts.append(".+" if number == last else "(?:[^/]+/)*")
        else:
            parts.append("".join(_pieces(segment)) + ("" if number == last else "/"))
    return re.compile("".join(parts), re.DOTALL)


def _pieces(segment: str) -> Iterator[str]:
    """One name of the pattern as pieces of a regular expression."""
    segment = re.sub(r"\*+", "*", segment)
    position = 0
    while position < len(segment):
        character = segment[position]
        position += 1
        if character == "*":
            yield "[^/]*"
        elif character == "?":
            yield "[^/]"
        elif character == "[" and (closing := _closing(segment, position)) > 0:
            inner = segment[position:closing]
            negated = inner.startswith("!")
            yield f"(?!/)[{'^' if negated else ''}{_characters(inner[negated:])}]"
            position = closing + 1
        else:
            yield re.escape(character)


def _closing(segment: str, start: int) -> int:
    """Where the bracket that opened before `start` is closed; -1 where it is not. A first `]` is one of the set."""
    return segment.find("]", start + 1 + segment.startswith("!", start))


def _characters(inner: str) -> str:
    """What stands in the brackets, with ranges kept where they are in order, and all else as itself."""
    parts = []
    position = 0
    while position < len(inner):
        if inner[position + 1 : position + 2] == "-" and position + 2 < len(inner):
            low, high = inner[position], inner[position + 2]
            if low <= high:
                parts.append(f"{re.escape(low)}-{re.escape(high)}")
                position += 3
                continue
        parts.append(re.escape(inner[position]))
        position += 1
    return "".join(parts)
