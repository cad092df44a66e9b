"""`preflight profiles`: what one can judge by."""

import click

from preflight import profiles
from preflight.cli import _options
from preflight.cli._output import Output


@click.command("profiles")
@_options.report_format
@_options.output
def command(format_name: str, out: Output) -> None:
    """List the profiles, with API version, source, and the date on which it was read."""
    loaded = [profiles.load(name) for name in profiles.names()]
    if format_name == "json":
        from preflight.reports.json import encode

        listed = [
            {
                "name": profile.name,
                "title": profile.title,
                "api": profile.api,
                "source": profile.sources[profile.source],
                "default": profile.name == profiles.DEFAULT,
            }
            for profile in loaded
        ]
        out.write(encode({"profiles": listed}))
        return
    lines = []
    for profile in loaded:
        default = " (default)" if profile.name == profiles.DEFAULT else ""
        lines += [
            f"{profile.name}{default}: {profile.title}",
            f"  API {profile.api}; {profile.sources[profile.source]}",
        ]
    out.write("\n".join(lines) + "\n")
