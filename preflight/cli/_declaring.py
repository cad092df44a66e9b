"""The request's parameters as options."""

from collections.abc import Callable
from typing import Any

import click

from preflight.cli import _completing
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


def _value(name: str, field: str, help_: str) -> Callable[[Any], Any]:
    """An option that takes one of the values in this field of the profile's limits; a rule says so of any other."""
    return click.option(name, metavar="VALUE", shell_complete=_completing.limit(field), help=help_)


_OPTIONS = stacked(
    _value("--os-type", "os_types", "OSType of the request."),
    _value("--platform", "platforms", "Platform of the request."),
    _value("--architecture", "architectures", "Architecture of the request."),
    _value("--boot-mode", "boot_modes", "BootMode of the request."),
    click.option("--image-name", metavar="NAME", help="ImageName of the request."),
    click.option("--description", metavar="TEXT", help="Description of the request."),
    _value("--license-type", "license_types", "LicenseType of the request."),
    _value("--nvme-support", "nvme_support", "Features.NvmeSupport of the request."),
    _value("--imds-support", "imds_support", "Features.ImdsSupport of the request."),
    _value("--detection-strategy", "detection_strategies", "DetectionStrategy of the request."),
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
