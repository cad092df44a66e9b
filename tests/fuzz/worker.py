"""One target under atheris, in this process: what is not documented is written down, with the input that did it."""

import json
import re
import resource
import sys
import time
import traceback
from pathlib import Path
from typing import Any

MAX_SECONDS = 2.0  # of processor time, for one input
MAX_MEMORY = 256  # MiB that one input may add to what the process has
MAX_PROCESS = 2048  # MiB until libFuzzer ends it: what all inputs leave behind, and its own corpus
HANG = 60  # seconds until libFuzzer ends it


class Recorder:
    """Runs inputs, counts them, and keeps each find once."""

    def __init__(self, run: Any, folder: Path) -> None:
        self._run = run
        self._folder = folder
        self._known: set[str] = set()
        self._said = 0.0
        self._peak = 0
        self.executions = 0
        self.slowest = 0.0
        self.largest = 0
        """MiB."""

    def __call__(self, data: bytes) -> None:
        started = time.process_time()
        self._try(data)
        took = time.process_time() - started
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        if peak > self._peak:  # of all inputs together; only of one that adds to it is it asked what it needs itself
            self._peak = peak
            self._weigh(data)
        self.slowest = max(self.slowest, took)
        if took > MAX_SECONDS:
            self._find(data, "slow", f"{took:.1f} s of processor time\n")
        self.executions += 1
        if time.monotonic() - self._said > 1:
            self.say()

    def _try(self, data: bytes) -> None:
        try:
            self._run(data)
        except Exception as error:  # noqa: BLE001  all are finds
            self._find(data, _place(error), traceback.format_exc())

    def _weigh(self, data: bytes) -> None:
        Path("/proc/self/clear_refs").write_text("5")  # the peak is what is there now
        before = _peak()
        self._try(data)
        grown = (_peak() - before) >> 10
        self.largest = max(self.largest, grown)
        if grown > MAX_MEMORY:
            self._find(data, "memory", f"{grown} MiB\n")

    def say(self) -> None:
        """Write the figures down, as the process may be ended at any time."""
        self._said = time.monotonic()
        figures = {
            "executions": self.executions,
            "slowest": round(self.slowest, 2),
            "largest": self.largest,
            "finds": sorted(self._known),
        }
        (self._folder / "figures.json").write_text(json.dumps(figures))

    def _find(self, data: bytes, place: str, story: str) -> None:
        if place not in self._known and len(self._known) < 100:
            self._known.add(place)
            name = "".join(char if char.isalnum() else "-" for char in place)[:100]
            (self._folder / f"find-{name}").write_bytes(data)
            (self._folder / f"find-{name}.txt").write_text(story)


def _peak() -> int:
    """KiB that this process had at most since the peak was cleared."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1])


def _place(error: Exception) -> str:
    """What makes two finds one: the kind of error, and the line of this package in which it arose."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "/preflight/" in frame.filename] or frames
    last = ours[-1]
    return f"{type(error).__name__} {last.filename.rpartition('/preflight/')[2]}:{last.lineno}"


def main(name: str, work: Path, options: list[str]) -> None:
    """Fuzz the target `name` with libFuzzer's `options`; its corpus and its finds are kept below `work`."""
    import atheris

    with atheris.instrument_imports(include=["preflight"], enable_loader_override=False):
        import importlib
        import pkgutil

        import preflight

        for info in pkgutil.walk_packages(preflight.__path__, "preflight."):
            if info.name.split(".")[1] not in ("cli", "__main__", "rules", "profiles", "targets", "reports"):
                importlib.import_module(info.name)

    from tests.fuzz import bases
    from tests.fuzz.checksums import without_checksums
    from tests.fuzz.dictionary import write
    from tests.fuzz.targets import targets

    without_checksums()
    (work / "disks").mkdir(parents=True, exist_ok=True)
    target = targets(work / "disks")[name]()
    folder = work / name
    corpus = folder / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(target.seeds):
        (corpus / f"seed-{number}").write_bytes(seed)
    longest = max(map(len, target.seeds), default=0)
    recorder = Recorder(target.run, folder)
    mutator = None
    if target.bases:
        longest = bases.MAX_INPUT
        hot = [bases.watched(target.run, target.bases, number) for number in range(len(target.bases))]
        mutator = bases.mutator(target.bases, hot, lambda data, size: atheris.Mutate(data, size))
    for seed in target.seeds:
        recorder(seed)
    arguments = [
        sys.argv[0],
        f"-max_len={longest if target.bases else max(longest * 2, 4096)}",
        f"-rss_limit_mb={MAX_PROCESS}",
        f"-timeout={HANG}",
        f"-dict={write(folder / 'dictionary')}",
        f"-artifact_prefix={folder}/",
        "-print_final_stats=1",
        *options,
        str(corpus),
    ]
    if mutator:
        atheris.Setup(arguments, recorder, custom_mutator=mutator)
    else:
        atheris.Setup(arguments, recorder)
    try:
        atheris.Fuzz()
    finally:
        recorder.say()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3:])
