"""Text as Markdown that shows it as it is: no link, image, HTML or mention comes of it, and no row of a table ends.

Specification: CommonMark 0.31.2, https://spec.commonmark.org/0.31.2/ (2.4 Backslash escapes, 6.1 Code spans);
GitHub Flavored Markdown 0.29, https://github.github.com/gfm/ (4.10 Tables, 6.9 Autolinks).
"""

import re
from string import punctuation

from preflight.reports import escape

_PIPE = "&#124;"  # in a table, parsers do not agree on what the backslashes before one mean
_ESCAPED = str.maketrans({character: f"\\{character}" for character in punctuation} | {"|": _PIPE})
# GitHub acts on these in text, however they are escaped, and never in code: addresses, @mentions, #1, GH-1, :smile:.
_ACTED_UPON = re.compile(r"@|#|://|www\.|:[\w+-]+:|\bgh-\d", re.IGNORECASE)


def text(value: str) -> str:
    """A value as text of one line, as code where text could not be told from an address or a mention."""
    shown = escape(value)
    if _ACTED_UPON.search(shown) or shown != shown.strip():
        return code(value)
    return shown.translate(_ESCAPED)


def code(value: str) -> str:
    """A value as code of one line; around its pipes, more than one piece of code."""
    return _PIPE.join(_span(part) for part in escape(value).split("|"))


def _span(shown: str) -> str:
    if not shown:
        return ""
    runs = {len(run) for run in re.findall("`+", shown)}
    fence = "`" * next(length for length in range(1, len(runs) + 2) if length not in runs)
    # One space at each end is taken away where both ends have one, and parts a backtick from the fence.
    padding = " " if "`" in (shown[0], shown[-1]) or (shown[0] == shown[-1] == " " and shown.strip()) else ""
    return f"{fence}{padding}{shown}{padding}{fence}"
