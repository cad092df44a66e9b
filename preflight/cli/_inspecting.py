"""Inspecting several images, some of which may not be readable."""

from collections.abc import Sequence

import click

from preflight.cli._options import LIMITS
from preflight.cli._output import Output
from preflight.errors import InvalidDocument, UnreadableImage
from preflight.facts import Image, Unread
from preflight.inspection import inspect_all


def inspected(
    paths: Sequence[str], output: Output, *, no_guest: bool, second_opinion: bool = False
) -> list[Image | Unread]:
    """The images of these paths in their order; of one that cannot be read, the reason, which stderr has been told.

    Raises `ToolError` at once where a second opinion is wanted and nobody is there to give it.
    """
    limits = click.get_current_context().meta.get(LIMITS)
    if second_opinion:
        from preflight.second_opinion import compared, require  # sh costs 150 ms, and only this option needs it

        require()
    found: list[Image | Unread] = []
    outcomes = inspect_all(output.progress(paths), guest=not no_guest, limits=limits)
    for path, outcome in zip(paths, outcomes, strict=True):
        if isinstance(outcome, UnreadableImage):
            found.append(_unread(path, outcome, output))
        else:
            found.append(compared(outcome, path) if second_opinion else outcome)
    return found


def read_back(paths: Sequence[str], output: Output) -> list[Image | Unread]:
    """The images that `inspect --format json` wrote into these files, of which `-` is stdin.

    A file that cannot be read, or holds something else, is told on stderr as an image is.
    """
    from preflight import decoding

    found: list[Image | Unread] = []
    for path in paths:
        try:
            with click.open_file(path, "rb") as file:
                found += decoding.images(file.read())
        except (OSError, InvalidDocument) as error:
            found.append(_unread(path, error, output))
    return found


def _unread(path: str, error: Exception, output: Output) -> Unread:
    output.complain(path, error)
    return Unread(path, str(error))


def parted(found: Sequence[Image | Unread]) -> tuple[list[Image], list[Unread]]:
    """Those that could be read, and those that could not."""
    images = [image for image in found if isinstance(image, Image)]
    return images, [image for image in found if isinstance(image, Unread)]


def tell_unread(found: Sequence[Image | Unread], output: Output) -> None:
    """Count at the end, below a long result, the images that could not be read."""
    unread = len(parted(found)[1])
    if unread and len(found) > 1:
        output.hint(f"preflight: {unread} of {len(found)} images could not be read")
