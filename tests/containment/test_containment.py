import os
import signal
import threading
import time
from typing import Any, NoReturn

import pytest

from preflight import containment
from preflight.containment import Task, run_contained
from preflight.errors import PreflightError
from preflight.facts import Problem, Unknown
from preflight.limits import Limits, parse
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


def test_a_loop_ends_by_its_processor_time() -> None:
    results = run_contained({"loop": Task(loop, int), "next": Task(lambda: 1, int)}, Limits(task_cpu=0.5))
    assert "more processor time" in reason(results["loop"])
    assert results["next"] == 1


def test_all_children_share_the_processor_time() -> None:
    before = os.times()
    tasks = {name: Task(loop, int) for name in ("first", "second", "third", "fourth")} | {"last": Task(lambda: 1, int)}
    results = run_contained(tasks, Limits(task_cpu=0.75, cpu=1))
    after = os.times()
    assert "more processor time" in reason(results["first"])
    assert "stopped before" in reason(results["last"])
    spent = after.children_user + after.children_system - before.children_user - before.children_system
    assert spent < 3  # a limit in whole seconds may add one


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


@pytest.mark.parametrize("name", ["fork", "pipe"])
def test_a_refused_child_is_told_and_the_work_done_in_place(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse_it() -> NoReturn:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(os, name, refuse_it)
    told: list[str] = []
    results = run_contained({"one": Task(os.getpid, int), "two": Task(err, int)}, uncontained=told.append)
    assert results["one"] == os.getpid()
    assert "KeyError" in reason(results["two"])
    assert told == [f"{name}: Resource temporarily unavailable"]


def test_work_that_has_killed_a_child_is_not_done_in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    fork, calls = os.fork, []

    def once() -> int:
        calls.append(1)
        if len(calls) > 1:
            raise BlockingIOError(11, "no more")
        return fork()

    monkeypatch.setattr(os, "fork", once)
    results = run_contained({"one": Task(crash, int), "two": Task(os.getpid, int)}, LIMITS)
    assert "SIGSEGV" in reason(results["one"])
    assert "no more" in reason(results["two"])


def test_closed_streams_are_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout", None)
    monkeypatch.setattr("sys.stderr", None)
    assert run_contained({"one": Task(lambda: 1, int)}) == {"one": 1}


def test_children_that_the_kernel_buries_are_no_failure() -> None:
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        results = run_contained({"one": Task(lambda: 1, int), "two": Task(crash, int)}, LIMITS)
    finally:
        signal.signal(signal.SIGCHLD, before)
    assert results["one"] == 1
    assert isinstance(results["two"], Unknown)


def test_a_child_that_is_killed_for_want_of_memory_says_so() -> None:
    results = run_contained({"one": Task(lambda: os.kill(os.getpid(), signal.SIGKILL), int)}, LIMITS)
    assert "no memory left" in reason(results["one"])


def test_many_threads_get_their_own_results() -> None:
    found: dict[int, Any] = {}

    def work(number: int) -> None:
        found[number] = run_contained({"it": Task(lambda: number * 7, int)}, LIMITS)["it"]

    threads = [threading.Thread(target=work, args=(number,)) for number in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {number: number * 7 for number in range(32)}


def test_an_interrupt_leaves_no_child(monkeypatch: pytest.MonkeyPatch) -> None:
    before = children()
    threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        run_contained({"one": Task(loop, int)}, Limits(wall=5, task_wall=5))
    assert children() == before
    assert not signal.pthread_sigmask(signal.SIG_BLOCK, ())


@pytest.mark.parametrize(
    ("settings", "name", "value"),
    [
        (("memory=64M",), "memory", 64 * MiB),
        (("bytes=2GiB", "wall=30"), "bytes", 2048 * MiB),
        (("wall=30",), "wall", 30),
        (("layout_reads=7k",), "layout_reads", 7168),
    ],
)
def test_limits_are_settings(settings: tuple[str, ...], name: str, value: int) -> None:
    assert getattr(parse(settings), name) == value


@pytest.mark.parametrize("setting", ["memory", "memory=", "memory=-1", "memory=0", "memory=1T", "nosuch=1", "cpu=1.5"])
def test_other_settings_are_refused(setting: str) -> None:
    with pytest.raises(PreflightError, match=setting.partition("=")[0]):
        parse((setting,))
