"""The real tools that make images and give the second opinion."""

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

REQUIRED = os.environ.get("PREFLIGHT_REQUIRE_TOOLS") == "1"
SEARCH_PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin", "/sbin"])


def find(name: str) -> str | None:
    """Where the tool is, sbin included, which a plain user's PATH lacks."""
    return shutil.which(name, path=SEARCH_PATH)


def require(*names: str) -> None:
    """Skip the test where a tool is missing; fail it where the environment demands every tool."""
    missing = [name for name in names if find(name) is None]
    if missing:
        message = f"not installed: {', '.join(missing)}"
        if REQUIRED:
            pytest.fail(message)
        pytest.skip(message)


def require_fuse() -> None:
    """Skip where the host lets nobody mount through FUSE, which no package changes; else require what mounts."""
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        pytest.skip("this host has no /dev/fuse, so no failing file system can be mounted")
    require("fusermount3")


def run(
    *command: str | Path, stdin: str | bytes = b"", ok: Sequence[int] = (0,), env: dict[str, str] | None = None
) -> str:
    """Run a tool and return what it printed; fail the test, with its words, where it does not exit as expected."""
    name = str(command[0])
    require(name)
    done = subprocess.run(
        [find(name) or name, *map(str, command[1:])],
        input=stdin.encode() if isinstance(stdin, str) else stdin,
        capture_output=True,
        timeout=120,
        check=False,
        env={**os.environ, "LC_ALL": "C", "PATH": SEARCH_PATH, **(env or {})},
    )
    assert done.returncode in ok, f"{' '.join(map(str, command))}: exit {done.returncode}\n{done.stderr.decode()}"
    return done.stdout.decode("utf-8", "backslashreplace")


def sparse(path: Path, size: int) -> Path:
    """A new file of `size` bytes that occupies none."""
    with path.open("wb") as file:
        file.truncate(size)
    return path
