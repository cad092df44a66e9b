"""What the readers of a guest's text files share: shell-like assignments, fit names, and facts that may fail.

Specification: os-release(5), https://www.freedesktop.org/software/systemd/man/latest/os-release.html, for the
assignments; /etc/sysconfig, /etc/default and /etc/conf.d are written alike.
"""

from collections.abc import Callable, Iterable
from typing import TypeVar

from preflight.contents import ContentsError
from preflight.facts import Unknown

MAX_VALUE = 1024  # characters of one value: the longest honest ones are URLs and descriptions
ESCAPABLE = '"$`\\'  # what a backslash protects inside double quotes: POSIX shell, 2.2.3

T = TypeVar("T")


def lines(text: str) -> list[str]:
    """The lines of `text` without blanks around them; only LF ends a line, unlike `str.splitlines`."""
    return [line.strip() for line in text.split("\n")]


def assignments(text: str) -> dict[str, str]:
    """The values by name, the last one of a name, as a shell would set them; nothing is expanded.

    What is no assignment, or longer than `MAX_VALUE`, is left out.
    """
    found: dict[str, str] = {}
    for line in lines(text):
        name, equals, value = line.partition("=")
        if equals and name.isidentifier() and len(value) <= MAX_VALUE:
            found[name] = unquoted(value)
    return found


def unquoted(value: str) -> str:
    """A value without its quotes and escapes. Blanks need no quotes, as systemd has it; ` #` begins a comment."""
    value = value.strip()
    quote = value[:1]
    if quote == "'":
        return value[1:].partition("'")[0]
    characters: list[str] = []
    rest = iter(value[1:] if quote == '"' else value)
    for character in rest:
        if quote == '"' and character == '"':
            break
        if quote != '"' and character == "#" and characters and characters[-1].isspace():
            break
        if character == "\\":
            protected = next(rest, "\\")
            keeps_backslash = quote == '"' and protected not in ESCAPABLE
            characters.append("\\" + protected if keeps_backslash else protected)
        else:
            characters.append(character)
    text = "".join(characters)
    return text if quote == '"' else text.rstrip()


def bare(value: str) -> str:
    """A value without the quotes around it; nothing in it is an escape."""
    return value[1:-1] if len(value) > 1 and value[0] in "\"'" and value[-1] == value[0] else value


def shown(text: str) -> str:
    """A name as the facts hold it: what is no UTF-8 on the disk becomes backslash escapes."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def learn(read: Callable[[], T]) -> T | Unknown:
    """What `read` returns; `Unknown` with the reason where the disk does not let it be read."""
    try:
        return read()
    except ContentsError as error:
        return Unknown(shown(str(error)))


def unique(paths: Iterable[str]) -> tuple[str, ...]:
    """Each path once, in their order, fit to be shown."""
    return tuple(dict.fromkeys(shown(path) for path in paths))
