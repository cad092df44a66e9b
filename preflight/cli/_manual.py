"""The manual page preflight(1), made from what the commands say of themselves, in the macros of man(7)."""

import inspect
from collections.abc import Iterator

import click

import preflight

# Characters with a meaning of their own in roff, as those of ASCII that can be copied from the page.
_ESCAPES = str.maketrans({"\\": r"\e", "-": r"\-", "'": r"\(aq", "`": r"\(ga", "^": r"\(ha", "~": r"\(ti"})

_ENVIRONMENT = (
    ("NO_COLOR", "No colours, as with --no-color."),
    ("PREFLIGHT_TRACEBACK", "Show where an internal error happened."),
)
_FILES = (("preflight.toml", "The configuration; see: preflight help configuration."),)


def page(context: click.Context) -> str:
    """The whole page; `context` is that of the command `preflight` itself."""
    return "".join(f"{line}\n" for line in _lines(context))


def _lines(context: click.Context) -> Iterator[str]:
    from preflight.cli import _topics, exit_codes

    group = context.command
    assert isinstance(group, click.Group)
    summary = inspect.cleandoc(group.help or "")
    yield f'.TH PREFLIGHT 1 "" "preflight {_text(preflight.__version__)}" "User Commands"'
    yield from (".nh", ".ad l")
    yield from (".SH NAME", f"preflight \\- {_text(summary[:1].lower() + summary[1:].rstrip('.'))}")
    yield from (".SH SYNOPSIS", r"\fBpreflight\fR \fICOMMAND\fR [\fIARGUMENT\fR]...")
    yield ".SH DESCRIPTION"
    yield from _paragraphs(summary)
    yield from _options(context)
    yield ".SH COMMANDS"
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        yield from _command(click.Context(command, parent=context, info_name=name))
    for topic in _topics.names():
        if topic != "exit-codes":
            yield f".SH {_text(topic.upper())}"
            yield from (".nf", *map(_text, _topics.text(topic).splitlines()[3:]), ".fi")
    yield ".SH EXIT STATUS"
    yield from _tagged((str(code), meaning) for code, meaning in exit_codes().items())
    yield ".SH ENVIRONMENT"
    yield from _tagged(iter(_ENVIRONMENT))
    yield ".SH FILES"
    yield from _tagged(iter(_FILES))
    yield from (".SH SEE ALSO", r".BR qemu\-img (1)")


def _command(context: click.Context) -> Iterator[str]:
    words = " ".join(context.command.collect_usage_pieces(context))
    yield f".SS preflight {_text(context.info_name or '')} {_text(words)}"
    yield from _paragraphs(inspect.cleandoc(context.command.help or ""))
    yield from _options(context)


def _options(context: click.Context) -> Iterator[str]:
    options = (option for option in context.command.get_params(context) if isinstance(option, click.Option))
    records = (option.get_help_record(context) for option in options if not (context.parent and option.is_eager))
    yield from _tagged(record for record in records if record is not None)


def _paragraphs(text: str) -> Iterator[str]:
    for paragraph in text.split("\n\n"):
        yield ".PP"
        yield _text(" ".join(paragraph.split()))


def _tagged(rows: Iterator[tuple[str, str]]) -> Iterator[str]:
    """A list of terms, which may break at each `|`, and their explanations."""
    for term, explanation in rows:
        yield from (".TP", rf"\fB{_text(term)}\fR".replace("|", r"|\:"), _text(explanation) or r"\&")


def _text(text: str) -> str:
    """`text` as characters only; a dot or quote at the beginning of a line would be a request."""
    return (r"\&" if text.startswith((".", "'")) else "") + text.translate(_ESCAPES)
