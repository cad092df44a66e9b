import os
import signal
import time
from typing import Any, NoReturn

import pytest

from preflight import containment
from preflight.containment import Limits, Task, run_contained
from preflight.errors import PreflightError
from preflight.facts import Problem, Unknown
from preflight.units import MiB

LIMITS = Limits(wall=8, task_wall=1.5, cpu=5, memory=128 * MiB)


def crash() -> NoReturn:
    os.kill(os.getpid(), signal.SIGSEGV)
    raise AssertionError


def loop() -> NoReturn:
    while True:
        pass


def eat() -> NoReturn:
    kept = []
    while True:
        kept.append(bytearray(MiB))


def refuse() -> NoReturn:
    raise PreflightError("the disk says no")


def err() -> NoReturn:
    raise KeyError("a bug")


def leave() -> NoReturn:
    os._exit(3)


def children() -> set[str]:
    with open(f"/proc/self/task/{os.getpid()}/children") as file:
        return set(file.read().split())


def reason(result: Any) -> str:
    assert isinstance(result, Unknown)
    return result.unknown


def test_results_come_back_as_values() -> None:
    problem = Problem("read-error", "a message", "somewhere", 7)
    results = run_contained({"one": Task(lambda: 1, int), "two": Task(lambda: problem, Problem)}, LIMITS)
    assert results == {"one": 1, "two": problem}


def test_an_unknown_stays_unknown() -> None:
    assert run_contained({"one": Task(lambda: Unknown("why"), int)}, LIMITS) == {"one": Unknown("why")}


@pytest.mark.parametrize(
    ("work", "words"),
    [
        (crash, "SIGSEGV"),
        (loop, "longer than 1.5 s"),
        (eat, "128 MiB of memory"),
        (refuse, "the disk says no"),
        (err, "KeyError"),
        (leave, "broke off"),
        (lambda: "text", "no fact"),
        (lambda: bytes(17 * MiB), "more than facts"),
    ],
)
def test_a_task_that_fails_costs_itself_only(work: Any, words: str) -> None:
    started = time.monotonic()
    results = run_contained({"a": Task(lambda: 1, int), "b": Task(work, int), "c": Task(lambda: 3, int)}, LIMITS)
    assert (results["a"], results["c"]) == (1, 3)
    assert words in reason(results["b"])
    assert time.monotonic() - started < LIMITS.wall


def test_all_tasks_fail_within_the_limit_of_time() -> None:
    started = time.monotonic()
    limits = Limits(wall=2, task_wall=1.5)
    results = run_contained({str(number): Task(loop, int) for number in range(10)}, limits)
    assert time.monotonic() - started < 3
    assert all(isinstance(result, Unknown) for result in results.values())


def test_a_disk_that_kills_every_child_is_given_up() -> None:
    results = run_contained({str(number): Task(crash, int) for number in range(100)}, LIMITS)
    assert "stopped before" in reason(results["99"])


def test_no_child_is_left_behind() -> None:
    before = children()
    run_contained({"one": Task(loop, int), "two": Task(crash, int)}, Limits(wall=1, task_wall=0.5))
    assert children() == before


def test_the_child_cannot_write_files_nor_print(tmp_path: Any, capfd: pytest.CaptureFixture[str]) -> None:
    def write() -> int:
        os.write(1, b"a library's chatter")
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        try:
            (tmp_path / "file").write_text("text")
        except OSError:
            return 1
        return 0

    assert run_contained({"write": Task(write, int)}, LIMITS) == {"write": 1}
    assert capfd.readouterr() == ("", "")


def test_without_fork_the_work_is_done_in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(containment, "can_contain", lambda: False)
    results = run_contained({"one": Task(os.getpid, int), "two": Task(refuse, int)})
    assert results == {"one": os.getpid(), "two": Unknown("the disk says no")}
