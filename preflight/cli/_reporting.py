"""Results written in several formats at once, each to its own place."""

import os
import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

import click

from preflight import plugins, reports
from preflight.cli._output import Output, is_terminal, write_to, writing_stdout
from preflight.facts import Unread
from preflight.reports import Kind, escape


class FormatName(click.Choice):  # type: ignore[type-arg]  # which older click does not have
    """A choice of the formats for results of one kind; the modules of all are imported where all must be named."""

    def __init__(self, kind: Kind) -> None:
        self._kind = kind
        self.case_sensitive = True

    @property
    def choices(self) -> tuple[str, ...]:  # type: ignore[override]  # only ever read
        """All of them, as click shows them."""
        return reports.names(self._kind)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """`value`, where it is one of them; the end of the command otherwise."""
        return str(value if _writes(value, self._kind) else super().convert(value, param, ctx))


def _writes(name: str, kind: Kind) -> bool:
    """Whether there is a format of this name, for results of this kind."""
    return name in plugins.names(reports) and getattr(reports.load(name), kind) is not None


class Destination(NamedTuple):
    """One place that results are written to."""

    format_name: str
    path: str | None
    """None is stdout."""


class ReportOutput(Output):
    """How and where the person wants results, from the options of the commands that report on images."""

    def __init__(self, kind: Kind, format_name: str, outputs: Sequence[str], quiet: bool, no_color: bool) -> None:
        """`outputs`: as `--output` takes them. Raises `click.UsageError` where two are the same place."""
        super().__init__(None, quiet, no_color)
        self._kind = kind
        self._destinations = [_destination(output, kind, format_name) for output in outputs or ("-",)]
        places = [path and os.path.realpath(path) for _, path in self._destinations]
        for number, place in enumerate(places):
            if place in places[:number]:
                raise click.UsageError(f"--output {escape(outputs[number])}: another --output goes to the same place")

    @property
    def paths(self) -> list[str]:
        """The files that are written."""
        return [destination.path for destination in self._destinations if destination.path is not None]

    def write_results(
        self, results: Sequence[Any], unread: Sequence[Unread], *, as_text: Sequence[Any] | None = None
    ) -> None:
        """Write the results to each place, files first; nothing is written before all is rendered.

        `unread`: the images that there is no result of. `as_text`: the results that a person is told, if not all. On
        a terminal, text is in colour.
        """
        told = results if as_text is None else as_text
        rendered: list[tuple[str | None, str]] = []
        at_terminal = False
        for format_name, path in self._destinations:
            if format_name == "text" and path is None and is_terminal(sys.stdout):
                at_terminal = True
            else:
                render = getattr(reports.load(format_name), self._kind)
                rendered.append((path, render(told if format_name == "text" else results, unread)))
        for path, text in sorted(rendered, key=lambda one: one[0] is None):
            write_to(path, text)
        if at_terminal:
            from preflight.cli import _terminal  # rich costs 100 ms, and a pipe does not need it
            from preflight.reports import text as text_format

            color = not (self.no_color or os.environ.get("NO_COLOR"))
            with writing_stdout():
                _terminal.show(getattr(text_format, self._kind), told, color=color)


def _destination(output: str, kind: Kind, format_name: str) -> Destination:
    """What one `--output` says; a prefix counts only where it is the name of a format."""
    prefix, separator, path = output.partition("=")
    if separator and prefix in plugins.names(reports):
        if not _writes(prefix, kind):
            known = ", ".join(reports.names(kind))
            raise click.UsageError(f"--output {escape(output)}: no format for this command; those are {known}")
    else:
        prefix, path = format_name, output
    return Destination(prefix, None if path == "-" else path)
