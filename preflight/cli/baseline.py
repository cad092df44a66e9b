"""`preflight baseline`: write down what is wrong now, so that `check` reports only what comes after it."""

import os
from typing import Any, Literal

import click

from preflight import profiles
from preflight.baseline import NAME, Entry, entries_of, render
from preflight.cli import _completing, _configuring, _declaring, _options
from preflight.cli._configuring import Settings
from preflight.cli._judging import Asked, Judgement
from preflight.cli._output import Output
from preflight.reports import escape


@click.command("baseline")
@_options.images
@_options.profile_names(profiles.DEFAULT)
@click.option("--role", type=click.Choice(["auto", "system", "data"]), show_default="auto")
@click.option("--disk-image-size", metavar="GIB", type=int, help="DiskImageSize of the request, in GiB.")
@click.option("--image-format", metavar="VALUE", shell_complete=_completing.formats, help="Format of the request.")
@_declaring.declared
@_options.judgement
@_options.lfs_pointers("fail")
@_configuring.settings
@_options.no_guest
@_options.output
def command(
    images: tuple[str, ...],
    profile_names: tuple[str, ...],
    role: Literal["auto", "system", "data"] | None,
    disk_image_size: int | None,
    image_format: str | None,
    declared: dict[str, Any],
    strict: bool | None,
    ignore: tuple[str, ...],
    lfs_pointers: Literal["skip", "fail"],
    settings: Settings,
    no_guest: bool,
    out: Output,
) -> int:
    """Write the present findings of IMAGE to a baseline: `check --baseline FILE` leaves them out from then on.

    The file is replaced as a whole, so name all images. By default it is the one that the configuration file names,
    or else preflight-baseline.json in the current folder; -o - is stdout. With --strict it also has the rules that
    could not be judged.
    """
    to_stdout = click.get_current_context().params.get("path") == "-"
    path = None if to_stdout else out.path or settings.baseline_path or NAME
    out.path = path
    out.refuse_images(images)
    # What is written is all that is there, and names are relative to the new file's folder.
    settings.baseline_path = None
    asked = Asked(
        profile_names=profile_names,
        role=role,
        declared={**declared, "disk_image_size": disk_image_size, "image_format": image_format},
        strict=strict,
        ignore=ignore,
        no_guest=no_guest,
        lfs_pointers=lfs_pointers,
    )
    judgement = Judgement(images, asked, settings, out)
    if judgement.unread:
        out.hint("preflight: no baseline is written, as not all images could be read")
        return judgement.finish()
    folder = os.path.dirname(path or NAME)
    entries: set[tuple[Entry, int]] = set()
    for report, image in zip(judgement.reports, judgement.paths, strict=True):
        name = _configuring.relative_to(folder, image)
        seen: dict[Entry, int] = {}
        for entry in entries_of(report, name, strict=judgement.strict):
            seen[entry] = seen.get(entry, 0) + 1
            entries.add((entry, seen[entry]))  # an image that is named twice is there once
    out.write(render(entry for entry, _ in entries))
    if path is not None:
        out.hint(f"preflight: {len(entries)} findings of {len(judgement.reports)} judgements in {escape(path)}")
    return 0
