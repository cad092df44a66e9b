"""`preflight config`: verify configuration files."""

import os

import click

from preflight.cli import _configuring, _options
from preflight.cli._configuring import Settings
from preflight.cli._output import Output, say
from preflight.reports import escape


@click.command("config")
@click.argument("files", nargs=-1, metavar="[FILE]...", type=_options.any_path)
@_options.report_format
@_options.output
def command(files: tuple[str, ...], format_name: str, out: Output) -> int:
    """Verify configuration FILEs, by default the one that `check` would use here, and tell what they say.

    A pyproject.toml without [tool.preflight] is passed by. The baseline that a file names is verified too.
    """
    out.refuse_images(files)
    found: list[Settings] = []
    wrong = False
    for path in files or (None,):
        try:
            settings = _configuring.find(os.getcwd()) if path is None else Settings(path, _configuring.read(path))
            settings.baseline()
        except click.ClickException as error:
            say(f"preflight: {error.format_message()}")
            wrong = True
            continue
        if settings.configuration is not None:
            found.append(settings)
        else:
            where = "here or in a folder above" if path is None else f"in {escape(path)}"
            out.hint(f"preflight: there is no configuration {where}")
    if format_name == "json":
        from preflight.reports.json import encode

        out.write(encode({"configurations": [{"path": entry.path, "says": entry.configuration} for entry in found]}))
    elif found:
        out.write("".join(f"{_line(settings)}\n" for settings in found))
    return 2 if wrong else 0


def _line(settings: Settings) -> str:
    configuration = settings.configuration
    assert configuration is not None
    ignored = len(configuration.ignore) + sum(len(entry.settings.ignore) for entry in configuration.images)
    told = [f"profile {', '.join(settings.profile_names())}"]
    if configuration.strict:
        told.append("strict")
    if settings.baseline_path is not None:
        told.append(f"baseline {escape(settings.baseline_path)}")
    for count, thing in ((ignored, "ignored rule"), (len(configuration.images), "image entry")):
        if count:
            told.append(f"{count} {thing if count == 1 else thing.replace('entry', 'entrie') + 's'}")
    return f"{escape(settings.path or '')}: {'; '.join(told)}"
