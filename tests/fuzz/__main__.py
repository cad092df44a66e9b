"""Run all targets in turn, or those named, and say what was done and found.

`python -m tests.fuzz --seconds 600`, `python -m tests.fuzz --seconds 60 contents-ext table-gpt`; `--run TARGET FILE`
runs one input without atheris, and lets what it raises out; `--replay` runs all that was kept, as for `coverage`.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.fuzz.checksums import without_checksums
from tests.fuzz.targets import targets

MIN_SECONDS = 2  # for one target: to start takes about one
WEIGHTS: dict[str, float] = {
    "contents-xfs-linux": 3,
    "contents-": 12,
    "format-qcow2": 15,
    "format-vhd": 8,
    "volume-": 8,
    "lvm-text": 5,
    "hive": 8,
    "initramfs": 8,
    "inspect-": 6,
    "guest-windows": 4,
    "btrfs-": 2,
    "lzo1x": 2,
    "table-": 3,
    "superblock-": 0.4,
}
"""Shares of the time, by how a target's name begins; any other has 1. What reads most by itself gets most."""
_COVERED = re.compile(r"\bcov: (\d+)")


def main() -> int:
    """Exit code 1 where anything was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=int, default=600, help="for all targets together")
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "preflight-fuzz")
    parser.add_argument("--run", nargs=2, metavar=("TARGET", "FILE"), help="one input, once")
    parser.add_argument("--replay", action="store_true", help="run the inputs that were kept, without atheris")
    parser.add_argument("--list", action="store_true", help="name the targets")
    parser.add_argument("targets", nargs="*", help="their names, or beginnings of these")
    options = parser.parse_args()
    disks = options.work / "disks"
    disks.mkdir(parents=True, exist_ok=True)
    known = targets(disks)
    if options.run:
        without_checksums()
        known[options.run[0]]().run(Path(options.run[1]).read_bytes())
        return 0
    names = [name for name in known if not options.targets or name.startswith(tuple(options.targets))]
    if options.list:
        print("\n".join(names))
        return 0
    if options.replay:
        without_checksums()
        for name in names:
            run = known[name]().run
            for path in sorted((options.work / name / "corpus").glob("*")):
                run(path.read_bytes())
        return 0
    try:
        import atheris as _  # noqa: F401
    except ImportError:
        print("atheris is not installed: pip install '.[fuzz]', with a Python that it has wheels for", file=sys.stderr)
        return 2
    found = 0
    deadline = time.monotonic() + options.seconds
    for number, name in enumerate(names):
        left = deadline - time.monotonic()
        share = _weight(name) / sum(map(_weight, names[number:]))
        found += _fuzz(name, max(left * share, MIN_SECONDS), options.work)
    return 1 if found else 0


def _weight(name: str) -> float:
    return next((weight for start, weight in WEIGHTS.items() if name.startswith(start)), 1)


def _fuzz(name: str, seconds: float, work: Path) -> int:
    """Fuzz one target for so long, begun anew after each crash; how many finds it has."""
    folder = work / name
    folder.mkdir(parents=True, exist_ok=True)
    ends = time.monotonic() + seconds
    executions, slowest, largest, covered, crashes = 0, 0.0, 0, "0", 0
    finds: set[str] = set()
    while (left := round(ends - time.monotonic())) > 0:
        options = [f"-max_total_time={left}"]
        with (folder / "log").open("w") as log:
            done = subprocess.run(
                [sys.executable, "-m", "tests.fuzz.worker", name, str(work), *options],
                stdout=log,
                stderr=subprocess.STDOUT,
                check=False,
                timeout=left + 600,
            )
        figures = _figures(folder)
        executions += figures["executions"]
        slowest = max(slowest, figures["slowest"])
        largest = max(largest, figures["largest"])
        finds |= set(figures["finds"])
        covered = (_COVERED.findall((folder / "log").read_text(errors="replace")) or [covered])[-1]
        if done.returncode:
            crashes += 1
            (folder / "log").rename(folder / f"crash-{crashes}.log")
            finds.add(_reason((folder / f"crash-{crashes}.log").read_text(errors="replace")))
        if not figures["executions"]:
            break
    told = (
        f"{executions} executions in {seconds:.0f} s, {covered} edges, slowest {slowest:.2f} s, largest {largest} MiB"
    )
    print(f"{name}: {told}{''.join(f'; FOUND {find}' for find in sorted(finds))}", flush=True)
    return len(finds)


def _figures(folder: Path) -> dict[str, Any]:
    try:
        figures: dict[str, Any] = json.loads((folder / "figures.json").read_text())
    except (OSError, ValueError):
        return {"executions": 0, "slowest": 0.0, "largest": 0, "finds": []}
    (folder / "figures.json").unlink()
    return figures


def _reason(log: str) -> str:
    """Why libFuzzer ended."""
    found = re.search(r"ERROR: libFuzzer: (.*)|^(\w+Error: .*)$", log, re.MULTILINE)
    return (found[1] or found[2]).strip()[:100] if found else "ended without a word"


if __name__ == "__main__":
    sys.exit(main())
