"""The script language of GRUB 2, cut into commands and words.

Specification: GNU GRUB Manual 2.12, "Writing full configuration files directly", "Quoting" and "Shell-like scripting",
https://www.gnu.org/software/grub/manual/grub/grub.html; where it is silent, grub-core/script/yylex.l.
"""

import re
from typing import Literal

from preflight.guests._boot_menu import refuse_above

MAX_COMMANDS = 50_000  # of one file; a menu of thirty kernels has two thousand

Piece = tuple[Literal["plain", "single", "double", "variable"], str]
Word = tuple[Piece, ...]
Command = list[Word]
"""Words; never empty. A brace is a command of its own, and so is a keyword that another command follows."""

_KEYWORDS = ("if", "elif", "then", "else", "while", "until", "do")
_TOKEN = re.compile(
    r"""(?P<blank>(?:[ \t\r\f\v]|\\\r?\n)++)
      | (?P<end>[\n;])
      | (?P<brace>[{}])
      | '(?P<single>[^']*+)'?
      | "(?P<double>(?:[^"\\]|\\.)*+)"?
      | \\(?P<escaped>.)
      | \$(?:\{(?P<braced>[\w?@*\#]++)\}|(?P<variable>[^\W\d]\w*+|[\d?@*\#]))
      | (?P<plain>[^\s;'"\\${}]++|.)
    """,
    re.VERBOSE | re.DOTALL,
)


def commands(text: str, path: str) -> list[Command]:
    """The commands of a script, in their order; raises `ContentsError` for more of them than any honest one has.

    An open quote reaches to the end of the text.
    """
    found: list[Command] = []
    command: Command = []
    word: list[Piece] = []

    def end_word() -> None:
        if word:
            command.append(tuple(word))
            word.clear()
            if len(command) == 1 and literal(command[0]) in _KEYWORDS:
                end_command()

    def end_command() -> None:
        if command:
            found.append(command.copy())
            command.clear()
            refuse_above(len(found), MAX_COMMANDS, path, "commands")

    position = 0
    while token := _TOKEN.match(text, position):
        position = token.end()
        kind, content = token.lastgroup, token[token.lastgroup or 0]
        if kind == "plain" and content.startswith("#") and not word:
            newline = text.find("\n", position)
            position = newline if newline >= 0 else len(text)
        elif kind in ("blank", "end", "brace"):
            end_word()
            if kind != "blank":
                end_command()
            if kind == "brace":
                command.append((("plain", content),))
                end_command()
        elif kind in ("braced", "variable"):
            word.append(("variable", content))
        elif kind in ("single", "double"):
            word.append(("double" if kind == "double" else "single", content))
        else:
            word.append(("plain", content))
    end_word()
    end_command()
    return found


def literal(word: Word) -> str | None:
    """The text of a word that is one run of plain characters, as keywords are; None for any other."""
    return word[0][1] if len(word) == 1 and word[0][0] == "plain" else None
