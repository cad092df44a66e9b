"""Conditions and searches in GRUB's scripts.

Specification: GNU GRUB Manual 2.12, "test" and "search", https://www.gnu.org/software/grub/manual/grub/grub.html;
how `--set` takes its variable: grub-core/commands/search_wrap.c.
"""

import operator
from collections.abc import Callable, Iterable, Sequence

import msgspec

from preflight.contents import Kind

MAX_NUMBER_DIGITS = 18  # GRUB's numbers have 64 bits

_TEXT = {"=": operator.eq, "==": operator.eq, "!=": operator.ne, "<": operator.lt, ">": operator.gt}
_NUMBERS = {
    "-eq": operator.eq,
    "-ne": operator.ne,
    "-lt": operator.lt,
    "-le": operator.le,
    "-gt": operator.gt,
    "-ge": operator.ge,
}
_SEARCHED_BY = {
    "--fs-uuid": "UUID",
    "-u": "UUID",
    "--label": "LABEL",
    "--fs-label": "LABEL",
    "-l": "LABEL",
    "--file": "",
    "-f": "",
    "--part-uuid": "",
    "--part-label": "",
    "--disk-uuid": "",
}
_SHORT_COMMANDS = {"search.fs_uuid": "UUID", "search.fs_label": "LABEL"}


class Search(msgspec.Struct, frozen=True):
    """What a `search` command asks for."""

    spec: str | None
    """`UUID=…` or `LABEL=…`; None where it looks for something else, such as a file."""
    variable: str | None
    """That it sets; None for one that only prints."""


def condition_holds(words: Sequence[str], kind: Callable[[str], Kind | None]) -> bool | None:
    """Whether the condition `[ words ]` holds, its variables expanded; None where that cannot be told.

    `kind` tells what a path of GRUB is.
    """
    alternatives = _split(words[:-1] if words and words[-1] == "]" else words, "-o")
    return _any(_all(_holds(term, kind) for term in _split(terms, "-a")) for terms in alternatives)


def parse_search(command: str, arguments: Sequence[str]) -> Search:
    """What a `search` command, or one of its short forms (`search.fs_uuid`), asks for."""
    if command != "search":
        by = _SHORT_COMMANDS.get(command)
        name = arguments[0] if arguments else ""
        return Search(f"{by}={name}" if by and name else None, arguments[1] if len(arguments) > 1 else "root")
    by = variable = None
    names: list[str] = []
    after_set = None  # the word behind `--set` names the variable, unless it is the only one
    rest = iter(arguments)
    takes_variable = False
    for argument in rest:
        option, equals, value = argument.partition("=")
        if option in _SEARCHED_BY:
            by = _SEARCHED_BY[option]
        elif option in ("--set", "-s"):
            variable, takes_variable = value if equals else "root", not equals
        elif option.startswith(("--hint", "-h")):
            if not equals:
                next(rest, None)
        elif not argument.startswith("-"):
            if takes_variable and after_set is None:
                after_set = argument
            names.append(argument)
            takes_variable = False
    if after_set is not None and len(names) > 1:
        variable = after_set
        names.remove(after_set)
    return Search(f"{by}={names[0]}" if by and names and names[0] else None, variable)


def _split(words: Sequence[str], separator: str) -> list[list[str]]:
    parts: list[list[str]] = [[]]
    for word in words:
        if word == separator:
            parts.append([])
        else:
            parts[-1].append(word)
    return parts


def _holds(words: Sequence[str], kind: Callable[[str], Kind | None]) -> bool | None:
    """A single term."""
    negations = next((index for index, word in enumerate(words) if word != "!"), len(words))
    words = words[negations:]
    result: bool | None = None
    if len(words) <= 1:
        result = bool(words and words[0])
    elif len(words) == 2:
        option, operand = words
        if option in ("-n", "-z"):
            result = bool(operand) == (option == "-n")
        elif option in ("-f", "-s", "-e", "-d"):
            found = kind(operand)
            wanted = {"-d": ("directory",), "-e": ("file", "directory")}.get(option, ("file",))
            result = found in wanted
    elif len(words) == 3:
        left, comparison, right = words
        if comparison in _TEXT:
            result = bool(_TEXT[comparison](left, right))
        elif comparison in _NUMBERS:
            result = bool(_NUMBERS[comparison](_number(left), _number(right)))
    return result if result is None or negations % 2 == 0 else not result


def _number(text: str) -> int:
    digits = text.removeprefix("-")
    return int(text) if digits.isascii() and digits.isdigit() and len(digits) <= MAX_NUMBER_DIGITS else 0


def _any(results: Iterable[bool | None]) -> bool | None:
    found = set(results)
    return True if True in found else None if None in found else False


def _all(results: Iterable[bool | None]) -> bool | None:
    found = set(results)
    return False if False in found else None if None in found else True
