"""`preflight schema`: the JSON Schemas of what the other commands print."""

import click

from preflight import schemas
from preflight.cli import _options
from preflight.cli._output import Output
from preflight.reports.json import encode


@click.command("schema")
@click.argument("name", type=click.Choice(schemas.names()))
@_options.output
def command(name: str, out: Output) -> None:
    """Print the JSON Schema of what `inspect` (image), `check` (report) or `payload` (request) writes as JSON."""
    out.write(encode(schemas.schema(name)))
