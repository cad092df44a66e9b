"""`preflight check`: facts, then the rules of a profile."""

from typing import Any, Literal

import click

from preflight import profiles
from preflight.checking import check, resolve_role
from preflight.cli import _declaring, _options
from preflight.cli._inspecting import inspected, read_back, tell_unread
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
@click.option("--from-json", is_flag=True, help="IMAGE is what `inspect --format json` wrote; - is stdin.")
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
    from_json: bool,
    out: Output,
) -> int:
    """Judge whether IMAGE will import: facts, findings with their remedies, and a verdict."""
    out.refuse_images(images)
    judges = [profiles.load(name) for name in dict.fromkeys(profile_names)]
    if from_json:
        if no_guest or second_opinion:
            raise click.UsageError("with --from-json nothing is inspected: --no-guest and --second-opinion have no use")
        found = read_back(images, out)
    else:
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
            others=profiles.newer_than(profile),
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
