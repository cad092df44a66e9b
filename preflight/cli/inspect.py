"""`preflight inspect`: facts, and no opinion."""

import click

from preflight.cli import _options
from preflight.cli._inspecting import inspected, parted, tell_unread
from preflight.cli._reporting import ReportOutput


@click.command("inspect")
@_options.images
@_options.no_guest
@_options.second_opinion
@_options.limits
@_options.reporting("images")
def command(
    images: tuple[str, ...],
    no_guest: bool,
    second_opinion: bool,
    out: ReportOutput,
) -> int:
    """Tell what is in IMAGE: format, size, layout, file systems. No opinion."""
    out.refuse_images(images)
    found = inspected(images, out, no_guest=no_guest, second_opinion=second_opinion)
    readable, unread = parted(found)
    out.write_results(readable, unread)
    tell_unread(found, out)
    return 3 if unread else 0
