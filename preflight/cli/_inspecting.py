"""Inspecting several images, some of which may not be readable."""

from collections.abc import Sequence

import click

from preflight.cli._options import LIMITS
from preflight.cli._output import Output
from preflight.errors import InvalidDocument, UnreadableImage
from preflight.facts import Image
from preflight.inspection import inspect_all


def inspected(
    paths: Sequence[str], output: Output, *, no_guest: bool, second_opinion: bool = False
) -> list[Image | None]:
    """The images of these paths in their order; None, after a word on stderr, where one cannot be read.

    Raises `ToolError` at once where a second opinion is wanted and nobody is there to give it.
    """
    limits = click.get_current_context().meta.get(LIMITS)
    if second_opinion:
        from preflight.second_opinion import compared, require  # sh costs 150 ms, and only this option needs it

        require()
    found: list[Image | None] = []
    outcomes = inspect_all(output.progress(paths), guest=not no_guest, limits=limits)
    for path, outcome in zip(paths, outcomes, strict=True):
        if isinstance(outcome, UnreadableImage):
            output.complain(path, outcome)
            found.append(None)
        else:
            found.append(compared(outcome, path) if second_opinion else outcome)
    return found


def read_back(paths: Sequence[str], output: Output) -> list[Image | None]:
    """The images that `inspect --format json` wrote into these files, of which `-` is stdin.

    None, after a word on stderr, stands for a file that cannot be read or holds something else.
    """
    from preflight import decoding

    found: list[Image | None] = []
    for path in paths:
        try:
            with click.open_file(path, "rb") as file:
                found += decoding.images(file.read())
        except (OSError, InvalidDocument) as error:
            output.complain(path, error)
            found.append(None)
    return found


def tell_unread(found: Sequence[Image | None], output: Output) -> None:
    """Count at the end, below a long result, the images that could not be read."""
    unread = found.count(None)
    if unread and len(found) > 1:
        output.hint(f"preflight: {unread} of {len(found)} images could not be read")
