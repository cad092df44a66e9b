"""The request's parameters as options."""

import click

from preflight.cli._options import gathered, stacked
from preflight.verdicts import FURTHER_PARAMETERS


def _tag(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    tags = []
    for value in values:
        key, equals, text = value.partition("=")
        if not equals:
            raise click.BadParameter(f"{value!r} is not KEY=VALUE")
        tags.append((key, text))
    return tuple(tags)


_OPTIONS = stacked(
    click.option("--os-type", metavar="VALUE", help="OSType of the request."),
    click.option("--platform", metavar="VALUE", help="Platform of the request."),
    click.option("--architecture", metavar="VALUE", help="Architecture of the request."),
    click.option("--boot-mode", metavar="VALUE", help="BootMode of the request."),
    click.option("--image-name", metavar="NAME", help="ImageName of the request."),
    click.option("--description", metavar="TEXT", help="Description of the request."),
    click.option("--license-type", metavar="VALUE", help="LicenseType of the request."),
    click.option("--nvme-support", metavar="VALUE", help="Features.NvmeSupport of the request."),
    click.option("--imds-support", metavar="VALUE", help="Features.ImdsSupport of the request."),
    click.option("--detection-strategy", metavar="VALUE", help="DetectionStrategy of the request."),
    click.option("--role-name", metavar="NAME", help="RoleName of the request."),
    click.option("--resource-group-id", metavar="ID", help="ResourceGroupId of the request."),
    click.option("--client-token", metavar="TEXT", help="ClientToken of the request."),
    click.option(
        "--tag", "tags", metavar="KEY=VALUE", multiple=True, callback=_tag, help="Tag of the request (repeatable)."
    ),
    click.option("--dry-run", is_flag=True, default=None, help="DryRun of the request: the API checks rights only."),
)


_EVER_OFFERED = ("os_type", "platform", "architecture", "boot_mode", "image_name", "description")

# They come as one argument, `declared`: fields of `Declared`.
declared = gathered(_OPTIONS, (*_EVER_OFFERED, *FURTHER_PARAMETERS), "declared", dict)
