"""Running whole programs in turns: seconds and peak memory of each."""

import os
import statistics
import subprocess
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple


class Measured(NamedTuple):
    """What one command took."""

    seconds: float
    """Median of wall time."""
    peak: int
    """Largest resident set of any run, in bytes."""


def measure(commands: Mapping[str, Sequence[str]], runs: int, folder: str) -> dict[str, Measured]:
    """Every command `runs` times, one after the other in turns, after one run of each that does not count.

    The peak of a child is at least this process's own, which it is a copy of until it has its program: so this
    process must stay small.
    """
    times: dict[str, list[float]] = {name: [] for name in commands}
    peaks = dict.fromkeys(commands, 0)
    # As installed, byte-compiled: without that, the compiler would be measured.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    for run in range(runs + 1):
        for name, command in commands.items():
            seconds, peak = _once(command, environment, folder)
            if run:
                times[name].append(seconds)
                peaks[name] = max(peaks[name], peak)
    return {name: Measured(statistics.median(times[name]), peaks[name]) for name in commands}


def _once(command: Sequence[str], environment: Mapping[str, str], folder: str) -> tuple[float, int]:
    begin = time.perf_counter()
    child = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=dict(environment), cwd=folder
    )
    assert child.stderr is not None
    complaints = child.stderr.read()
    _, status, usage = os.wait4(child.pid, 0)
    seconds = time.perf_counter() - begin
    child.stderr.close()
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode not in (0, 1):  # 1: judged not ready
        raise SystemExit(f"{' '.join(command)}: exit {child.returncode}: {complaints.decode(errors='replace')}")
    return seconds, usage.ru_maxrss * 1024  # KiB on Linux: getrusage(2)
