"""Where the keys of a TOML document stand: `tomllib` gives the values and forgets the lines.

Specification: TOML 1.0.0, https://toml.io/en/v1.0.0
"""

import re
from bisect import bisect_right
from itertools import accumulate

Path = tuple[str | int, ...]
"""Keys from the root, and indices where an array is on the way."""

# Within a legal document these are enough to tell where each thing ends.
_BLANK = re.compile(r"(?:[ \t\n]|#[^\n]*)*")
_INDENT = re.compile(r"[ \t]*")
_BARE_KEY = re.compile(r"[^\s.=\[\]{},#\"']+")
_STRING = re.compile(
    r'"""(?:\\.|[^\\])*?"""(?:"{0,2})'  # up to two quotes may stand before the three that end it
    r"|'''.*?'''(?:'{0,2})"
    r'|"(?:\\.|[^"\\])*"'
    r"|'[^']*'",
    re.DOTALL,
)
_SCALAR = re.compile(r"[^,\]}\n#]*")  # numbers, booleans, dates with a blank in them


def lines(text: str) -> dict[Path, int]:
    """The line, counted from 1, where each table, key and array entry of `text` is first named.

    `text` must be a document that `tomllib` accepts; of another one the answer means nothing.
    """
    scanner = _Scanner(text.replace("\r\n", "\n"))
    scanner.document()
    return scanner.found


class _Scanner:
    """One pass over the text, from statement to statement."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.position = 0
        self.found: dict[Path, int] = {}
        self.starts = list(accumulate((len(line) + 1 for line in text.split("\n")), initial=0))
        self.entries: dict[Path, int] = {}  # how many tables each array of tables has so far

    def document(self) -> None:
        table: Path = ()
        self.skip(_BLANK)
        while self.position < len(self.text):
            if self.text.startswith("[", self.position):
                table = self.header()
            else:
                self.pair(table)
            self.skip(_BLANK)

    def header(self) -> Path:
        """`[table]` or `[[array of tables]]`."""
        line = self.line()
        is_entry = self.text.startswith("[[", self.position)
        self.position += 2 if is_entry else 1
        *parents, last = self.key()
        self.position += 2 if is_entry else 1
        path: Path = ()
        for part in parents:
            path = self.within((*path, part), line)
        path = (*path, last)
        self.found.setdefault(path, line)
        if is_entry:
            self.entries[path] = self.entries.get(path, 0) + 1
            return self.within(path, line)
        return path

    def within(self, path: Path, line: int) -> Path:
        """`path`, or its last entry where it is an array of tables."""
        self.found.setdefault(path, line)
        if path in self.entries:
            path = (*path, self.entries[path] - 1)
            self.found.setdefault(path, line)
        return path

    def pair(self, table: Path) -> None:
        """`key = value`, where the key may be dotted."""
        line = self.line()
        for part in self.key():
            table = (*table, part)
            self.found.setdefault(table, line)
        self.position += 1  # the equals sign
        self.skip(_INDENT)
        self.value(table)

    def key(self) -> list[str]:
        """The parts of a dotted key, and what blanks are around them."""
        parts = []
        while True:
            self.skip(_INDENT)
            string = _STRING.match(self.text, self.position)
            parts.append(_decoded(string[0]) if string else self.skip(_BARE_KEY))
            if string:
                self.position = string.end()
            self.skip(_INDENT)
            if not self.text.startswith(".", self.position):
                return parts
            self.position += 1

    def value(self, path: Path) -> None:
        opening = self.text[self.position : self.position + 1]
        if opening in ("[", "{"):
            self.position += 1
            self.members(path, "]" if opening == "[" else "}")
        elif string := _STRING.match(self.text, self.position):
            self.position = string.end()
        else:
            self.skip(_SCALAR)

    def members(self, path: Path, closing: str) -> None:
        """Entries of an array, or pairs of an inline table, to the bracket that closes it."""
        index = 0
        while True:
            self.skip(_BLANK)
            if self.text.startswith(closing, self.position):
                self.position += 1
                return
            if closing == "}":
                self.pair(path)
            else:
                self.found[(*path, index)] = self.line()
                self.value((*path, index))
                index += 1
            self.skip(_BLANK)
            if self.text.startswith(",", self.position):
                self.position += 1

    def skip(self, pattern: re.Pattern[str]) -> str:
        found = pattern.match(self.text, self.position)
        if found is None:
            raise ValueError(f"no legal TOML in line {self.line()}")
        self.position = found.end()
        return found[0]

    def line(self) -> int:
        return bisect_right(self.starts, self.position)


def _decoded(quoted: str) -> str:
    """A quoted key as it reads."""
    if quoted.startswith("'"):
        return quoted[1:-1]
    import tomllib

    decoded: str = tomllib.loads(f"key = {quoted}")["key"]
    return decoded
