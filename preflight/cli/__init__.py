"""The command `preflight`: the only place that prints, exits, or reads the environment."""

import contextlib
import gc
import importlib
import io
import os
import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import click

import preflight
from preflight.cli._output import discard_stdout, replace_closed_streams, say
from preflight.errors import PreflightError
from preflight.reports import escape

_COMMANDS = (
    *("inspect", "check", "payload", "hook", "baseline", "config"),
    *("rules", "explain", "profiles", "policy", "schema"),
)

_EXIT_CODES = {
    0: "done, and ready where something was judged",
    1: "judged not ready",
    2: "wrong usage, or a wrong configuration file or baseline",
    3: "an image could not be read at all",
    130: "interrupted",
}
_READ_IMAGES = ("inspect", "check", "payload", "hook", "baseline")
_JUDGE_IMAGES = ("check", "payload", "hook")


def _epilog(command: str | None = None) -> str:
    """The exit codes that a command can have, or all, as its help ends."""
    only_for = {1: _JUDGE_IMAGES, 3: _READ_IMAGES}
    lines = (
        f"  {code}  {meaning}"
        for code, meaning in _EXIT_CODES.items()
        if command is None or command in only_for.get(code, (command,))
    )
    return "\n".join(("\b", "Exit codes:", *lines))


class _LazyGroup(click.Group):
    """A group that imports a command's module when the command is called: start-up time is a feature."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"preflight.cli.{cmd_name}").command
        command.epilog = _epilog(cmd_name)
        return command


@click.group(
    cls=_LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=_epilog(),
)
@click.version_option(preflight.__version__, prog_name="preflight")
def cli() -> None:
    """Tell, before a byte is uploaded, whether a disk image will import into a cloud and boot there."""


def main() -> None:
    """Run the command and exit with one of the documented codes."""
    replace_closed_streams()
    _on_interrupts(signal.default_int_handler)
    try:
        code = cli.main(standalone_mode=False, prog_name="preflight") or 0
    except click.ClickException as error:
        _show(error)
        code = 2
    except (click.exceptions.Abort, KeyboardInterrupt):
        _on_interrupts(signal.SIG_IGN)
        say("preflight: interrupted")
        code = 130
    except PreflightError as error:
        say(f"preflight: {escape(str(error))}")
        code = 2
    except SystemExit:  # click's answer to a reader of help or version that has seen enough
        code = 0
    except OSError as error:  # images and output have their own words; what is left is a host at its end, or help
        discard_stdout()  # that found no room
        say(f"preflight: {escape(str(error))}")
        code = 3
    except Exception as error:  # whatever it is, it is our bug, and no reason for a traceback
        if os.environ.get("PREFLIGHT_TRACEBACK"):
            raise
        say(
            f"preflight: internal error, please report it: {type(error).__name__}: {escape(str(error)[:500])}\n"
            "PREFLIGHT_TRACEBACK=1 shows where it happened."
        )
        code = 3
    _on_interrupts(signal.SIG_IGN)  # what is left is to end
    gc.freeze()  # the last collection would walk all that was imported, for 5 ms, to free what exit frees anyway
    sys.exit(code)


def _on_interrupts(handler: Callable[[int, FrameType | None], Any] | signal.Handlers) -> None:
    """Take what asks the command to end as an interrupt, or not at all; but not what was ignored from the start."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
            with contextlib.suppress(ValueError):  # a test's or an embedder's other thread
                signal.signal(number, handler)


def _show(error: click.ClickException) -> None:
    """What click says of it, without what the arguments may have smuggled in."""
    if not isinstance(error, click.UsageError):
        say(f"preflight: {error.format_message()}")
        return
    told = io.StringIO()
    error.show(told)
    for line in told.getvalue().rstrip("\n").split("\n"):
        say("\t".join(map(escape, line.split("\t"))))
