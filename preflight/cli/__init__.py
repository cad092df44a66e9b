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
from typing import TYPE_CHECKING, Any

import click

import preflight
from preflight.cli._output import discard_stdout, replace_closed_streams, say
from preflight.errors import PreflightError
from preflight.reports import escape

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

COMMANDS = {
    "inspect": "Tell what is in an image.",
    "check": "Judge whether an image will import.",
    "payload": "Check images and write the import request.",
    "hook": "Judge the images among the files of a commit.",
    "baseline": "Write down the present findings, so that only new ones count.",
    "config": "Verify the configuration file.",
    "rules": "List the rules of a profile.",
    "explain": "Show the documentation of one rule.",
    "profiles": "List what one can judge by.",
    "policy": "Print the RAM role and its policies.",
    "schema": "Print the JSON Schema of a result.",
    "help": "Show help on a topic.",
    "completion": "Print the script that completes commands in a shell.",
}

_EXIT_CODES = {
    0: "done, and ready where something was judged",
    1: "judged not ready",
    2: "wrong usage, or a wrong configuration file or baseline",
    3: "an image could not be read at all",
    130: "interrupted",
}
_READ_IMAGES = ("inspect", "check", "payload", "hook", "baseline")
_JUDGE_IMAGES = ("check", "payload", "hook")


def exit_codes(command: str | None = None) -> dict[int, str]:
    """The exit codes that a command can have, or all, with their meanings."""
    only_for = {1: _JUDGE_IMAGES, 3: _READ_IMAGES}
    return {
        code: meaning
        for code, meaning in _EXIT_CODES.items()
        if command is None or command in only_for.get(code, (command,))
    }


def _epilog(command: str | None = None) -> str:
    """The exit codes as the help of a command ends."""
    return "\n".join(("\b", "Exit codes:", *(f"  {code}  {meaning}" for code, meaning in exit_codes(command).items())))


class _LazyGroup(click.Group):
    """A group that imports a command's module when the command is called: start-up time is a feature.

    Neither the list of commands in the help nor the completion of their names has need of the modules.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"preflight.cli.{cmd_name}").command
        command.short_help = COMMANDS[cmd_name]
        command.epilog = _epilog(cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def shell_complete(self, ctx: click.Context, incomplete: str) -> "list[CompletionItem[str]]":
        from click.shell_completion import CompletionItem

        named = [CompletionItem(name, help=told) for name, told in COMMANDS.items() if name.startswith(incomplete)]
        return named + click.Command.shell_complete(self, ctx, incomplete)


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
    sys.unraisablehook = _interrupt_again
    try:
        if os.environ.get("_PREFLIGHT_COMPLETE"):
            from preflight.cli import _shells  # noqa: F401  # by being imported it stands in for click's own
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


def _interrupt_again(unraisable: "sys.UnraisableHookArgs") -> None:
    """An interrupt that came while Python could raise nothing, as in a finalizer, is lost: let it come once more."""
    if issubclass(unraisable.exc_type, KeyboardInterrupt) and hasattr(signal, "setitimer"):
        signal.signal(signal.SIGALRM, signal.default_int_handler)
        signal.setitimer(signal.ITIMER_REAL, 0.01)
    else:
        sys.__unraisablehook__(unraisable)


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
