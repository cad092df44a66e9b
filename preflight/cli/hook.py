"""`preflight hook`: judge those of many files that are disk images, as a hook of pre-commit does."""

import os
from collections.abc import Callable
from typing import Literal

import click

from preflight import candidates
from preflight.cli import _configuring, _options
from preflight.cli._configuring import Settings
from preflight.cli._reporting import ReportOutput

DEFAULT_PROFILE = "aliyun-2018"  # as the help says; loading the profiles to ask them is for those who have images


class _FilesLast(click.Command):
    """A command whose arguments are files even where they are named like options.

    pre-commit appends the files to the options without two dashes in between, and a file `--no-config` in a repository
    must not do what the option does.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, [f"./{word}" if _is_file(word) else word for word in args])


def _is_file(word: str) -> bool:
    return word.startswith("-") and word not in ("-", "--") and os.path.lexists(word)


@click.command("hook", cls=_FilesLast)
@click.argument("files", nargs=-1, metavar="[FILE]...", type=_options.any_path)
@_options.profile_names(DEFAULT_PROFILE)
@_options.judgement
@_options.lfs_pointers("skip")
@_configuring.unread_settings_and_baseline
@_options.no_guest
@_options.reporting("reports")
def command(
    files: tuple[str, ...],
    profile_names: tuple[str, ...],
    strict: bool | None,
    ignore: tuple[str, ...],
    lfs_pointers: Literal["skip", "fail"],
    settings: Callable[[], Settings],
    no_guest: bool,
    out: ReportOutput,
) -> int:
    """Judge those FILEs that are disk images, by name or by content, and report those that are not ready.

    What else is among the files costs a look at its first bytes. Symbolic links, folders, and files that are gone are
    left alone. What the images are meant to be is for the configuration file to say.
    """
    images = [path for path in files if candidates.is_candidate(path)]
    if not images:
        return 0
    from preflight.cli._judging import Asked, Judgement  # with the rules, 60 ms

    out.refuse_images(images)
    asked = Asked(
        profile_names=profile_names, strict=strict, ignore=ignore, no_guest=no_guest, lfs_pointers=lfs_pointers
    )
    judgement = Judgement(images, asked, settings(), out)
    refused = [report for report in judgement.reports if report.verdict == "not-ready"]
    out.write_results(judgement.reports, judgement.unread, as_text=refused)
    return judgement.finish()
