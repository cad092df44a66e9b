"""The text report on a terminal, by rich: in its width, and in colour where it has colour."""

import io
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from rich.console import Console
from rich.text import Text

from preflight.reports.text import Line

_Result = TypeVar("_Result")


def show(lines: Callable[[Sequence[_Result], int], Iterator[Line]], results: Sequence[_Result], *, color: bool) -> None:
    """Print what `lines` makes of `results` to stdout."""
    if isinstance(sys.stdout, io.TextIOWrapper):  # a terminal that is not UTF-8 has no way to show every name
        sys.stdout.reconfigure(errors="backslashreplace")
    console = Console(no_color=not color or None, highlight=False, markup=False, emoji=False, soft_wrap=True)
    for line in lines(results, console.width):
        console.print(Text.assemble(*line))
