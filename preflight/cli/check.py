"""`preflight check`: facts, then the rules of a profile."""

from typing import Any, Literal

import click

from preflight import profiles
from preflight.cli import _completing, _configuring, _declaring, _options
from preflight.cli._configuring import Settings
from preflight.cli._judging import Asked, Judgement
from preflight.cli._reporting import ReportOutput


@click.command("check")
@_options.images
@_options.profile_names(profiles.DEFAULT)
@click.option("--role", type=click.Choice(["auto", "system", "data"]), show_default="auto")
@click.option("--disk-image-size", metavar="GIB", type=int, help="DiskImageSize of the request, in GiB.")
@click.option("--image-format", metavar="VALUE", shell_complete=_completing.formats, help="Format of the request.")
@_declaring.declared
@_options.judgement
@_options.lfs_pointers("fail")
@_configuring.settings_and_baseline
@_options.no_guest
@_options.second_opinion
@click.option("--from-json", is_flag=True, help="IMAGE is what `inspect --format json` wrote; - is stdin.")
@_options.limits
@_options.reporting("reports")
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
    second_opinion: bool,
    from_json: bool,
    out: ReportOutput,
) -> int:
    """Judge whether IMAGE will import: facts, findings with their remedies, and a verdict."""
    out.refuse_images(images)
    if from_json and (no_guest or second_opinion):
        raise click.UsageError("with --from-json nothing is inspected: --no-guest and --second-opinion have no use")
    asked = Asked(
        profile_names=profile_names,
        role=role,
        declared={**declared, "disk_image_size": disk_image_size, "image_format": image_format},
        strict=strict,
        ignore=ignore,
        no_guest=no_guest,
        second_opinion=second_opinion,
        lfs_pointers=lfs_pointers,
        from_json=from_json,
    )
    judgement = Judgement(images, asked, settings, out)
    out.write_results(judgement.reports, judgement.unread)
    return judgement.finish()
