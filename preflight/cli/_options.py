"""Options that several commands share."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

import preflight

_Function = TypeVar("_Function", bound=Callable[..., Any])
Decorator = Callable[[_Function], _Function]


def stacked(*options: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """One decorator from several, in the order of `--help`."""

    def decorate(function: Any) -> Any:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


# What click itself finds unreadable would be wrong usage, and the end of all; opening it tells, for each image.
any_path = click.Path(readable=False)

images = click.argument("images", nargs=-1, required=True, metavar="IMAGE...", type=any_path)

output = stacked(
    click.option("-o", "--output", metavar="FILE", type=any_path, help="Write the result to FILE; - is stdout."),
    click.option("-q", "--quiet", is_flag=True, help="No progress and no hints on stderr."),
    click.option("--no-color", is_flag=True, help="No colours, as with the environment variable NO_COLOR."),
    click.version_option(preflight.__version__, prog_name="preflight"),
)

report_format = click.option(
    "--format", "format_name", type=click.Choice(["text", "json"]), default="text", show_default=True
)

no_guest = click.option(
    "--no-guest", is_flag=True, help="Read containers, tables and superblocks, nothing inside a file system."
)

second_opinion = click.option("--second-opinion", is_flag=True, help="Ask qemu-img too, and report where it differs.")

judgement = stacked(
    click.option("--strict", is_flag=True, help="Count warnings and undetermined rules as errors."),
    click.option("--ignore", metavar="RULE", multiple=True, help="Do not judge this rule (repeatable)."),
)

declared = stacked(
    click.option("--os-type", metavar="VALUE", help="OSType of the request."),
    click.option("--platform", metavar="VALUE", help="Platform of the request."),
    click.option("--architecture", metavar="VALUE", help="Architecture of the request."),
    click.option("--boot-mode", metavar="VALUE", help="BootMode of the request."),
    click.option("--image-name", metavar="NAME", help="ImageName of the request."),
    click.option("--description", metavar="TEXT", help="Description of the request."),
)
