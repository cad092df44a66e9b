"""`preflight completion`: the script by which a shell completes the command's words."""

import click

from preflight.cli import _options
from preflight.cli._output import Output

SHELLS = ("bash", "zsh", "fish")


@click.command("completion")
@click.argument("shell", type=click.Choice(SHELLS))
@_options.output
@click.pass_context
def command(context: click.Context, shell: str, out: Output) -> None:
    """Print the script that completes commands, options, rules, profiles and files in SHELL.

    \b
    For one session of bash or zsh:  source <(preflight completion bash)
    For one session of fish:         preflight completion fish | source
    """  # noqa: D301  # the \b is click's
    from preflight.cli import _shells

    root = context.find_root()
    out.write(_shells.script(root.command, shell))
