"""An interactive shell at a terminal, in which somebody types, presses Tab, and looks at what stands there then."""

import os
import pty
import re
import select
import subprocess
import sys
import time
from pathlib import Path

from tests.cli.running import environment
from tests.tools import find, require

_TO_LINE_START = "\x01"
_CONTROLS = re.compile(r"\x1b(?:\[[0-9;?<>=]*[a-zA-Z]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[=>()][A-Z0-9]?)")
_START = {"bash": ["--norc", "--noprofile", "-i"], "zsh": ["-i"], "fish": ["--private", "-i"]}
_SETUP = {
    "bash": "source <(preflight completion bash)",
    "zsh": "autoload -U compinit; compinit -u -D; source <(preflight completion zsh)",
    "fish": "preflight completion fish | source",
}


class Shell:
    """One session in a folder, in which `preflight` is the command and its completion is set up."""

    def __init__(self, name: str, folder: Path) -> None:
        """`name`: bash, zsh or fish."""
        require("setsid", name)
        command = folder / ".bin" / "preflight"
        command.parent.mkdir()
        command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m preflight "$@"\n')
        command.chmod(0o755)
        (folder / ".zshrc").write_text("PS1='$ '\n")
        path = f"{folder / '.bin'}{os.pathsep}{os.environ['PATH']}"
        kept = {"PATH": path, "HOME": str(folder), "ZDOTDIR": str(folder), "TERM": "xterm", "COLUMNS": "250"}
        self._terminal, slave = pty.openpty()
        self._process = subprocess.Popen(
            ["setsid", "--ctty", find(name) or name, *_START[name]],  # no job control without a terminal of its own
            stdin=slave,
            stdout=slave,
            stderr=slave,
            cwd=folder,
            env=environment({**kept, "PS1": "$ "}),
        )
        os.close(slave)
        self._number = 0
        self._run(_SETUP[name])

    def words(self, typed: str) -> list[str]:
        """The words of the line after `typed`, in which a Tab is a press of that key; the first is `preflight`."""
        told = self._run(f"{typed}{_TO_LINE_START}printf '<%s>\\n' ")
        shown = _CONTROLS.sub("", told).splitlines()
        answers = [line[1:-1] for line in shown if line.startswith("<") and line.endswith(">")]
        assert answers[:1] == ["preflight"], told
        return answers[1:]

    def close(self) -> None:
        """End the session."""
        self._process.kill()
        os.close(self._terminal)
        self._process.wait()

    def _run(self, line: str, seconds: float = 60) -> str:
        """All that is shown from the line to the end of what it runs."""
        self._number += 1
        mark = f"\nended:{self._number}:"
        # The mark is in the output only: the echo of what is typed has two quotes in it.
        os.write(self._terminal, f"{line}\recho ended:''{self._number}:\r".encode())
        shown = ""
        end = time.monotonic() + seconds
        while mark not in shown.replace("\r", "\n"):
            ready, _, _ = select.select([self._terminal], [], [], max(0.0, end - time.monotonic()))
            assert ready, f"no answer but: {shown}"
            shown += os.read(self._terminal, 65536).decode("utf-8", "replace")
        return shown
