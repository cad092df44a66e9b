"""Whenever the command is asked to end it does: with its code, a word, no traceback, no child, no file left."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.running import ROOT, environment

ACCEPTED = ROOT / "fixtures" / "images" / "accepted.qcow2"
# Until Python has come to the first line of the command it has a traceback of its own for an interrupt: the hook says
# when the entry point, which is ready for one, begins to import what it runs.
BEGUN = (
    "import os, sys\n"
    "begun = lambda what, about: what == 'import' and about[0] == 'preflight.cli' and os.write(1, b'.')\n"
    "sys.addaudithook(begun); sys.argv[0] = 'preflight'; from preflight.__main__ import main; main()"
)


def interrupted(delay: float, number: int, output: Path) -> tuple[int, str]:
    """How the command ends that gets this signal so many seconds after its beginning."""
    child = subprocess.Popen(
        [sys.executable, "-c", BEGUN, "check", *[ACCEPTED] * 400, "-o", output],  # longer than any delay
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
        start_new_session=True,
    )
    assert child.stdout is not None
    assert child.stdout.read(1) == b"."
    time.sleep(delay)
    child.send_signal(number)
    _, err = child.communicate(timeout=30)
    for _ in range(100):  # its children end with it, at the latest when the kernel has come to it
        try:
            os.killpg(child.pid, 0)
        except ProcessLookupError:
            break
        time.sleep(0.02)
    else:
        pytest.fail("a child is left")
    return child.returncode, err.decode()


@pytest.mark.parametrize("seed", range(30))
def test_an_interrupt_at_any_moment_is_code_130_and_no_traceback(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    delay = rng.choice((0.02, 0.2, 1.0)) * rng.random()
    code, err = interrupted(delay, signal.SIGINT, tmp_path / "result")
    assert (code, err.strip()) == (130, "preflight: interrupted")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_other_requests_to_end_are_interrupts_too(tmp_path: Path, number: int) -> None:
    code, err = interrupted(0.6, number, tmp_path / "result")
    assert (code, err.strip()) == (130, "preflight: interrupted")
    assert list(tmp_path.iterdir()) == []


def test_the_child_ends_with_a_command_that_is_killed(tmp_path: Path) -> None:
    code, _ = interrupted(0.5, signal.SIGKILL, tmp_path / "result")
    assert code == -signal.SIGKILL
    assert list(tmp_path.iterdir()) == []


def test_what_is_ignored_from_the_start_stays_ignored(tmp_path: Path) -> None:
    ignoring = f"import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)\n{BEGUN}"
    child = subprocess.Popen(
        [sys.executable, "-c", ignoring, "check", *[ACCEPTED] * 10, "-o", tmp_path / "result"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
    )
    assert child.stdout is not None
    child.stdout.read(1)
    time.sleep(0.2)
    child.send_signal(signal.SIGHUP)
    _, err = child.communicate(timeout=60)
    assert (child.returncode, err) == (0, b"")


def test_sixty_four_checks_at_once_are_all_right() -> None:
    running = [
        subprocess.Popen(
            [sys.executable, "-m", "preflight", "check", "--format", "json", ACCEPTED],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment(),
        )
        for _ in range(64)
    ]
    ended = [(child.communicate(timeout=120), child.returncode) for child in running]
    assert {code for _, code in ended} == {0}
    assert len({out for (out, _), _ in ended}) == 1


def test_a_result_over_the_limit_of_a_file_leaves_the_old_one(tmp_path: Path) -> None:
    (tmp_path / "result").write_text("old")
    limited = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (1024, 1024))\n"
    done = subprocess.run(
        [sys.executable, "-c", limited + BEGUN, "inspect", "--format", "json", ACCEPTED, "-o", tmp_path / "result"],
        capture_output=True,
        env=environment(),
        check=False,
        timeout=60,
    )
    assert done.returncode == 2
    assert b"File too large" in done.stderr
    assert b"Traceback" not in done.stderr
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("result", "old")]
