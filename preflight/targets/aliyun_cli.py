"""The request as a command line of `aliyun`, Alibaba Cloud's CLI, for a POSIX shell.

Specification: aliyun-cli, cli/parser.go, read 2026-11-23, https://github.com/aliyun/aliyun-cli
"""

from collections.abc import Iterator

from preflight.import_requests import ImportRequest
from preflight.targets import Target
from preflight.targets._flat import flat
from preflight.targets._quoting import shell_word


def _render(request: ImportRequest) -> str:
    words = [_words(name, value) for name, value in _parameters(request) if "\0" not in value]
    return " \\\n  ".join(["aliyun ecs ImportImage", *words]) + "\n"


def _parameters(request: ImportRequest) -> Iterator[tuple[str, str]]:
    """The flat parameters without Action, which is the command."""
    return ((name, value) for name, value in flat(request) if name != "Action")


def _words(name: str, value: str) -> str:
    if value.startswith(("-", "=")):  # aliyun would take the first for a flag; zsh looks for a command behind the other
        return shell_word(f"--{name}={value}")
    return f"--{name} {shell_word(value)}"


def _omits(request: ImportRequest) -> list[str]:
    return [
        f"{name} is left out: a command line cannot have the byte 0 that is in it"
        for name, value in _parameters(request)
        if "\0" in value
    ]


TARGET = Target(name="aliyun-cli", render=_render, omits=_omits)
