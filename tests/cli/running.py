"""The command as a whole process."""

import os
import pty
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import IO, NamedTuple

from tests.documents import validate

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "preflight"]


class Result(NamedTuple):
    """How a run ended, and what it said."""

    code: int
    out: str
    err: str


def environment(changes: Mapping[str, str] = {}) -> dict[str, str]:
    """Ours, without what would decide on colours."""
    kept = {
        key: value
        for key, value in os.environ.items()
        if key not in ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "TERM", "COLORTERM")
    }
    return {**kept, "PYTHONPATH": str(ROOT), **changes}


def process(
    *arguments: str | bytes | Path,
    env: Mapping[str, str] = {},
    cwd: Path | None = None,
    stdout: int | IO[bytes] = subprocess.PIPE,
    stderr: int | IO[bytes] = subprocess.PIPE,
) -> Result:
    """Run the command to its end; never a traceback."""
    done = subprocess.run(
        [*COMMAND, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=stderr,
        env=environment(env),
        cwd=cwd,
        timeout=60,
        check=False,
    )
    told = Result(done.returncode, (done.stdout or b"").decode(), (done.stderr or b"").decode())
    assert "Traceback" not in told.err
    assert "internal error" not in told.err
    validate(told.out)
    return told


def shell(line: str, *arguments: str | Path, env: Mapping[str, str] = {}) -> Result:
    """Run a line of the shell, in which `preflight` is the command and `$1`, `$2`, ... are the arguments."""
    prelude = 'preflight() { "$PYTHON" -m preflight "$@"; }\n'
    done = subprocess.run(
        ["bash", "-c", prelude + line, "bash", *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        env=environment({"PYTHON": sys.executable, **env}),
        timeout=60,
        check=False,
    )
    told = Result(done.returncode, done.stdout.decode(), done.stderr.decode())
    assert "Traceback" not in told.err
    assert "Exception ignored" not in told.err
    return told


def at_terminal(*arguments: str | Path, env: Mapping[str, str] = {}) -> Result:
    """Run the command at a terminal of 80 columns; `out` is all that it shows."""
    master, slave = pty.openpty()
    try:
        child = subprocess.Popen(
            [*COMMAND, *arguments],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=environment({"TERM": "xterm-256color", "COLUMNS": "80", **env}),
        )
        os.close(slave)
        shown = b""
        while True:
            try:
                chunk = os.read(master, 65536)
            except OSError:  # EIO: the other end is closed
                break
            if not chunk:
                break
            shown += chunk
        code = child.wait(60)
    finally:
        os.close(master)
    return Result(code, shown.decode("utf-8", "backslashreplace").replace("\r\n", "\n"), "")
