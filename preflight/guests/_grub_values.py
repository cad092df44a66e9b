"""Variables of GRUB's scripts, and what words come to with them.

Specification: GNU GRUB Manual 2.12, "Shell-like scripting" (expansion, splitting into words) and "Special environment
variables".
"""

import re
from collections.abc import Mapping, Sequence

from preflight.contents import ContentsError
from preflight.guests._grub_words import Word
from preflight.units import KiB, MiB

MAX_VALUE = 8 * KiB  # characters of a variable: no command line is longer
MAX_VARIABLES = 1024
MAX_EXPANDED = 4 * MiB  # characters that all words of a script may come to: doubling a variable ends here
MAX_WORDS = 200_000  # that all commands of a script may be given

_VARIABLE = re.compile(r'\\(?P<escaped>["\\$])|\$(?:\{(?P<braced>[\w?@*#]++)\}|(?P<name>[^\W\d]\w*+|[\d?@*#]))')


class Values:
    """The variables of a script while it is followed."""

    def __init__(self, initial: Mapping[str, str]) -> None:
        """`initial`: what GRUB itself sets."""
        self._values = dict(initial)
        self._characters = 0
        self._words = 0

    def get(self, name: str) -> str:
        """The value of a variable, empty where it is not set."""
        value = self._values.get(name)
        if value is None:
            return "y" if name.startswith("feature_") else ""  # GRUB 2.00 and after it have every feature
        return value

    def set(self, name: str, value: str) -> None:
        """Set a variable, to no more than `MAX_VALUE` characters."""
        if name in self._values or len(self._values) < MAX_VARIABLES:
            self._values[name] = value[:MAX_VALUE]

    def unset(self, name: str) -> None:
        """Forget a variable."""
        self._values.pop(name, None)

    def copy(self) -> dict[str, str]:
        """All variables, to be restored."""
        return dict(self._values)

    def restore(self, values: dict[str, str]) -> None:
        """Put back what `copy` gave."""
        self._values = values

    def expand(self, text: str) -> str:
        """`text` with its variables, as in double quotes. Raises `ContentsError` beyond `MAX_EXPANDED`."""
        self._charge(len(text))
        done: list[str] = []
        position = 0
        for found in _VARIABLE.finditer(text):
            value = found["escaped"] or self.get(found["braced"] or found["name"] or "")
            self._charge(len(value))
            done += (text[position : found.start()], value)
            position = found.end()
        done.append(text[position:])
        return "".join(done)

    def joined(self, word: Word) -> str:
        """A word that is not split, as in an assignment."""
        return "".join(self._piece(kind, content) for kind, content in word)

    def arguments(self, words: Sequence[Word]) -> list[str]:
        """The words as a command gets them: a variable outside quotes is split at blanks, and may come to nothing."""
        found: list[str] = []
        for word in words:
            current: list[str] = []  # of the argument that is put together; an empty variable adds nothing
            for kind, content in word:
                text = self._piece(kind, content)
                if kind != "variable":
                    current.append(text)
                elif split := text.split():
                    if text[0].isspace() and current:
                        found.append("".join(current))
                        current.clear()
                    for part in split[:-1]:
                        found.append("".join((*current, part)))
                        current.clear()
                    current.append(split[-1])
            if current:
                found.append("".join(current))
        self._words += len(found)
        if self._words > MAX_WORDS:
            raise ContentsError(f"its commands come to over {MAX_WORDS} words")
        return found

    def _piece(self, kind: str, content: str) -> str:
        if kind == "double":
            return self.expand(content)
        if kind == "variable":
            content = self.get(content)
        self._charge(len(content))
        return content

    def _charge(self, characters: int) -> None:
        self._characters += characters
        if self._characters > MAX_EXPANDED:
            raise ContentsError(f"its words come to over {MAX_EXPANDED} characters")
