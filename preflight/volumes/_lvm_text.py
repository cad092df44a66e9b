"""The text in which LVM2 keeps its metadata: nested sections of assignments.

Specification: lvm2, man page lvm.conf(5), "SYNTAX"; the metadata uses the same grammar.
https://man7.org/linux/man-pages/man5/lvm.conf.5.html

    section = name "{" (section | assignment)* "}"      array = "[" [value ("," value)*] "]"
    assignment = name "=" (value | array)               value = integer | float | "string"
    A comment reaches from "#" to the end of its line.

The text comes from the disk, so it is read in one pass over its tokens with a stack of our own, never by recursion.
"""

import re
from typing import TypeAlias

from preflight.errors import StructureError

MAX_DEPTH = 32  # honest metadata has four levels: group, logical_volumes, volume, segment
MAX_TOKENS = 250_000  # four bytes a token for the whole 1 MiB that is read; honest metadata has ten

Scalar: TypeAlias = int | float | str
Node: TypeAlias = "Scalar | list[Scalar] | Section"
Section: TypeAlias = dict[str, Node]

# Integers have 64 bits in lvm, hence 20 digits at most; longer ones match nothing and are refused.
_TOKEN = re.compile(
    r"""(?P<space>[\s\0]+|\#[^\n]*)
    |"(?P<string>(?:[^"\\]++|\\.)*+)"
    |(?P<float>[+-]?[0-9]{1,20}\.[0-9]{0,20})(?![\w.])
    |(?P<integer>[+-]?[0-9]{1,20})(?=[\s\0,\]}\#]|$)
    |(?P<name>[\w.+/@-]{1,255})
    |(?P<mark>[={}\[\],])""",
    re.VERBOSE | re.DOTALL | re.ASCII,
)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)


def parse(text: str, where: str, offset: int) -> Section:
    """The sections and assignments of `text`, a name only once in each section.

    `where` and `offset` name the text in errors. Raises `StructureError` where it breaks the grammar or a limit.
    """
    reader = _Reader(where, offset)
    position, count = 0, 0
    while position < len(text):
        token = _TOKEN.match(text, position)
        if token is None:
            raise StructureError(
                where, offset, f"character {position} begins no token: {text[position : position + 16]!r}"
            )
        position = token.end()
        if token.lastgroup == "space":
            continue
        count += 1
        if count > MAX_TOKENS:
            raise StructureError(where, offset, f"over {MAX_TOKENS} tokens")
        reader.feed(token)
    return reader.finish()


class _Reader:
    """Where in the grammar the text stands."""

    def __init__(self, where: str, offset: int) -> None:
        self._where = where
        self._offset = offset
        self._stack: list[Section] = [{}]
        self._name: str | None = None  # of the section or assignment that has begun
        self._assigned = False  # the "=" was there
        self._array: list[Scalar] | None = None
        self._comma = True  # in an array: a value may follow

    def feed(self, token: re.Match[str]) -> None:
        """Take the next token."""
        kind, word = str(token.lastgroup), token[0]
        if kind in ("string", "float", "integer") and self._assigned:
            self._value(token)
        elif self._array is not None:
            self._in_array(word)
        elif self._assigned:
            if word != "[":
                raise self._error(f"{self._name} = is followed by {word[:32]!r}, expected a value")
            self._array, self._comma = [], True
        elif self._name is not None:
            self._after_name(word)
        elif word == "}" and len(self._stack) > 1:
            self._stack.pop()
        elif kind in ("name", "integer", "float"):
            self._name = word
        else:
            raise self._error(f"{word[:32]!r} stands where a name was expected")

    def finish(self) -> Section:
        """The whole, at the end of the text."""
        if len(self._stack) > 1 or self._name is not None:
            raise self._error("the text ends before what it began: a section or value is not closed")
        return self._stack[0]

    def _value(self, token: re.Match[str]) -> None:
        value: Scalar
        if token.lastgroup == "string":
            value = _ESCAPE.sub(r"\1", token["string"])
        elif token.lastgroup == "integer":
            value = int(token[0])
        else:
            value = float(token[0])
        if self._array is None:
            self._put(value)
        elif self._comma:
            self._array.append(value)
            self._comma = False
        else:
            raise self._error(f"in the array {self._name} a comma is missing")

    def _in_array(self, word: str) -> None:
        assert self._array is not None
        if word == "," and not self._comma:
            self._comma = True
        elif word == "]" and (not self._comma or not self._array):
            array, self._array = self._array, None
            self._put(array)
        else:
            raise self._error(f"in the array {self._name} stands {word[:32]!r}")

    def _after_name(self, word: str) -> None:
        if word == "=":
            self._assigned = True
        elif word == "{":
            section: Section = {}
            self._put(section)
            self._stack.append(section)
            if len(self._stack) > MAX_DEPTH:
                raise self._error(f"sections are nested deeper than {MAX_DEPTH} levels")
        else:
            raise self._error(f"{self._name} is followed by {word[:32]!r}, expected = or {{")

    def _put(self, node: Node) -> None:
        assert self._name is not None
        if self._name in self._stack[-1]:
            raise self._error(f"{self._name} is there twice")
        self._stack[-1][self._name] = node
        self._name, self._assigned = None, False

    def _error(self, reason: str) -> StructureError:
        return StructureError(self._where, self._offset, reason)
