"""Options that several commands share."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import click

import preflight
from preflight.cli import _completing
from preflight.cli._output import Output
from preflight.cli._reporting import FormatName, ReportOutput
from preflight.reports import Kind


def stacked(*options: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """One decorator from several, in the order of `--help`."""

    def decorate(function: Any) -> Any:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


def gathered(
    options: Callable[[Any], Any], names: Sequence[str], argument: str, make: Callable[..., Any]
) -> Callable[[Any], Any]:
    """A decorator for options that reach the command as one `argument`: what `make` makes of them, by `names`."""

    def decorate(command: Callable[..., Any]) -> Any:
        @functools.wraps(command)
        def gathering(**arguments: Any) -> Any:
            found = {name: arguments.pop(name) for name in names}
            return command(**{argument: make(**found)}, **arguments)

        return options(gathering)

    return decorate


# What click itself finds unreadable would be wrong usage, and the end of all; opening it tells, for each image.
any_path = click.Path(readable=False)

images = click.argument("images", nargs=-1, required=True, metavar="IMAGE...", type=any_path)

_telling = stacked(
    click.option("-q", "--quiet", is_flag=True, help="No progress and no hints on stderr."),
    click.option("--no-color", is_flag=True, help="No colours, as with the environment variable NO_COLOR."),
    click.version_option(preflight.__version__, prog_name="preflight"),
)

output = gathered(
    stacked(
        click.option(
            "-o", "--output", "path", metavar="FILE", type=any_path, help="Write the result to FILE; - is stdout."
        ),
        _telling,
    ),
    ("path", "quiet", "no_color"),
    "out",
    Output,
)


def reporting(kind: Kind) -> Callable[[Any], Any]:
    """The options of a command that reports on images; what it has of this `kind` goes to `out.write_results`."""
    return gathered(
        stacked(
            click.option(
                "--format",
                "format_name",
                type=FormatName(kind),
                default="text",
                show_default=True,
                help="What an --output without a format, and stdout, is written in.",
            ),
            click.option(
                "-o",
                "--output",
                "outputs",
                metavar="[FORMAT=]FILE",
                type=any_path,
                multiple=True,
                help="Write the result to FILE; - is stdout (repeatable, each to its own place).",
            ),
            _telling,
        ),
        ("format_name", "outputs", "quiet", "no_color"),
        "out",
        functools.partial(ReportOutput, kind),
    )


report_format = click.option(
    "--format", "format_name", type=click.Choice(["text", "json"]), default="text", show_default=True
)

no_guest = click.option(
    "--no-guest", is_flag=True, help="Read containers, tables and superblocks, nothing inside a file system."
)

second_opinion = click.option("--second-opinion", is_flag=True, help="Ask qemu-img too, and report where it differs.")

LIMITS = "preflight.limits"  # where in the context they are kept: only the one that inspects asks for them


def _keep_limits(ctx: click.Context, _: click.Parameter, settings: tuple[str, ...]) -> None:
    from preflight.limits import parse

    ctx.meta[LIMITS] = parse(settings)


limits = click.option(
    "--limit",
    metavar="NAME=VALUE",
    multiple=True,
    hidden=True,
    expose_value=False,
    callback=_keep_limits,
    help="Let reading take more or less than preflight.limits says (repeatable).",
)

judgement = stacked(
    click.option("--strict/--no-strict", default=None, help="Count warnings and undetermined rules as errors."),
    click.option(
        "--ignore",
        metavar="RULE",
        multiple=True,
        shell_complete=_completing.rules,
        help="Do not judge this rule (repeatable).",
    ),
)


def profile_names(default: str) -> Callable[[Any], Any]:
    """The option `--profile` of commands that judge by several; `default` is what holds where nothing is said."""
    return click.option(
        "--profile",
        "profile_names",
        metavar="NAME",
        multiple=True,
        show_default=default,
        shell_complete=_completing.profiles,
        help="Judge by this profile (repeatable).",
    )


def profile_name(**default: str) -> Callable[[Any], Any]:
    """The option `--profile` of commands that have one; `default` as click takes it, or as it shows it."""
    shown: dict[str, Any] = {"show_default": True, **default}
    return click.option("--profile", "profile_name", metavar="NAME", shell_complete=_completing.profiles, **shown)


def lfs_pointers(default: str) -> Callable[[Any], Any]:
    """The option `--lfs-pointers` of commands that judge what a repository holds."""
    return click.option(
        "--lfs-pointers",
        type=click.Choice(["skip", "fail"]),
        default=default,
        show_default=True,
        help="What to do with a pointer of Git LFS in place of an image: name and skip it, or judge it as it is.",
    )
