"""`preflight check`: facts, then the rules of a profile."""

from typing import Any, Literal

import click

from preflight import profiles
from preflight.checking import check, resolve_role
from preflight.cli import _declaring, _options
from preflight.cli._inspecting import inspected, tell_unread
from preflight.cli._output import Output
from preflight.verdicts import Declared


@click.command("check", short_help="Judge whether an image will import.")
@_options.images
@click.option(
    "--profile",
    "profile_names",
    metavar="NAME",
    multiple=True,
    default=[profiles.DEFAULT],
    show_default=True,
    help="Judge by this profile (repeatable).",
)
@click.option("--role", type=click.Choice(["auto", "system", "data"]), default="auto", show_default=True)
@click.option("--disk-image-size", metavar="GIB", type=int, help="DiskImageSize of the request, in GiB.")
@click.option("--image-format", metavar="VALUE", help="Format of the request.")
@_declaring.declared
@_options.judgement
@_options.report_format
@_options.no_guest
@_options.second_opinion
@_options.output
def command(
    images: tuple[str, ...],
    profile_names: tuple[str, ...],
    role: Literal["auto", "system", "data"],
    disk_image_size: int | None,
    image_format: str | None,
    declared: dict[str, Any],
    strict: bool,
    ignore: tuple[str, ...],
    format_name: str,
    no_guest: bool,
    second_opinion: bool,
    out: Output,
) -> int:
    """Judge whether IMAGE will import: facts, findings with their remedies, and a verdict."""
    out.refuse_images(images)
    judges = [profiles.load(name) for name in dict.fromkeys(profile_names)]
    found = inspected(images, out, no_guest=no_guest, second_opinion=second_opinion)
    reports = [
        check(
            image,
            profile,
            Declared(
                role=resolve_role(image, role),
                image_format=image_format,
                disk_image_size=disk_image_size,
                **declared,
            ),
            strict=strict,
            ignore=ignore,
            others=_declaring.newer_than(profile, judges),
        )
        for image in found
        if image is not None
        for profile in judges
    ]
    out.write_report(format_name, "reports", reports)
    tell_unread(found, out)
    if None in found:
        return 3
    return 1 if any(report.verdict == "not-ready" for report in reports) else 0
