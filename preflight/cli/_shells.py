"""Completion in shells: click's, but for what it does not get right.

Imported only where a shell asks, which is when `VARIABLE` is in the environment, and to print the scripts.
"""

import click
from click.shell_completion import (
    CompletionItem,
    FishComplete,
    ShellComplete,
    ZshComplete,
    add_completion_class,
    get_completion_class,
    split_arg_string,
)

PROGRAM = "preflight"
VARIABLE = "_PREFLIGHT_COMPLETE"  # click looks for this one, by the name of the program

# The line to the cursor goes out as it is typed: COMP_WORDS would have `--ignore=RULE` in three pieces. `mapfile` and
# `read -r` leave blanks, globs and backslashes in the answers alone.
_BASH = """\
%(complete_func)s() {
    local type value answer
    COMPREPLY=()
    mapfile -t answer < <(COMP_WORDS="${COMP_LINE:0:COMP_POINT}" %(complete_var)s=bash_complete "$1" 2>/dev/null)
    for value in "${answer[@]}"; do
        type=${value%%%%,*}
        value=${value#*,}
        case $type in
            file) compopt -o default ;;
            dir) compopt -o dirnames ;;
            plain) COMPREPLY+=("$value") ;;
        esac
    done
}
complete -o nosort -F %(complete_func)s %(prog_name)s
"""


@add_completion_class
class Bash(ShellComplete):
    """bash takes an answer as it is to stand in the line, so it is quoted here, and splits words at `=`."""

    name = "bash"
    source_template = _BASH

    def get_completion_args(self) -> tuple[list[str], str]:
        """The words before the one at the cursor, and that one as far as it is typed."""
        import os

        line = os.environ.get("COMP_WORDS", "")
        words = split_arg_string(f"{line}.")  # with a mark at the cursor, so that an empty word is one too
        self._quote = _open_quote(line)
        return words[1:-1], words[-1][:-1]

    def format_completion(self, item: CompletionItem[str]) -> str:
        """An answer of one line."""
        return f"{item.type},{_quoted(item.value, self._quote) if item.type == 'plain' else ''}"


@add_completion_class
class Zsh(ZshComplete):
    """zsh replaces the whole word, so an answer to `--option=value` must begin with the option."""

    def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem[str]]:
        """The answers as words."""
        return _whole_words(super().get_completions(args, incomplete), incomplete)


@add_completion_class
class Fish(FishComplete):
    """fish replaces the whole word too."""

    def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem[str]]:
        """The answers as words."""
        return _whole_words(super().get_completions(args, incomplete), incomplete)

    def format_completion(self, item: CompletionItem[str]) -> str:
        """An answer of one line; the script cuts it at commas."""
        return super().format_completion(item).replace(",", "\0", 1).replace(",", ";").replace("\0", ",")


def script(command: click.Command, shell: str) -> str:
    """The script for this shell, one of those that have a class here."""
    found = get_completion_class(shell)
    assert found is not None
    return found(command, {}, PROGRAM, VARIABLE).source()


def _whole_words(items: list[CompletionItem[str]], incomplete: str) -> list[CompletionItem[str]]:
    option, equals, _ = incomplete.partition("=")
    if not (equals and option.startswith("--")):
        return items
    return [
        CompletionItem(f"{option}={item.value}", help=item.help) if item.type == "plain" else item for item in items
    ]


def _open_quote(line: str) -> str:
    """The quotation mark within which the line ends; empty where there is none."""
    quote = ""
    characters = iter(line)
    for character in characters:
        if character == "\\" and quote != "'":
            next(characters, None)
        elif character == quote:
            quote = ""
        elif not quote and character in "'\"":
            quote = character
    return quote


def _quoted(value: str, quote: str) -> str:
    """`value` for bash, which closes an open quotation mark by itself."""
    if quote:
        return value
    return "".join(
        character if character.isalnum() or character in "-_.,/:+@%" else f"\\{character}" for character in value
    )
