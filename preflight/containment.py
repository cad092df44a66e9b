"""Work on hostile bytes in a child process: a crash, a hang or a hunger for memory stays there.

The child gets its tasks by being forked, so nothing is executed anew, and answers through a pipe, one message for each
task that it finished. A task in which it dies is `Unknown`, with the reason; a fresh child does the rest.

Before its first task the child closes all descriptors but those it is given, sets bounds to memory, time and files, and
gives up what rights the kernel lets it give up (`preflight.sandbox`). Other threads of this process do not matter: the
child has the calling one alone, and should another have held a lock in that moment, the limits of time end the wait.

`contained` is a generator, so that a child can work while this process begins with something else: it yields once, when
its first child has begun. To close it then ends the child.
"""

import contextlib
import os
import select
import signal
import time
from collections.abc import Callable, Collection, Generator, Mapping
from math import ceil
from typing import Any, NamedTuple, TypeVar

import msgspec

from preflight.errors import PreflightError
from preflight.facts import Unknown
from preflight.limits import Limits
from preflight.units import MiB

MAX_MESSAGE = 16 * MiB  # the facts of a guest take some kilobytes
INTERRUPTS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT") if hasattr(signal, name)
)
Result = TypeVar("Result")
MAX_CHILDREN = 4  # a disk that kills them all is given up: its other facts would take as long


class Task(NamedTuple):
    """One piece of work."""

    run: Callable[[], Any]
    """What the child calls; its result must be of `type`, or an `Unknown`."""
    type: Any
    """As msgspec decodes it."""


class _Message(msgspec.Struct):
    name: str
    unknown: str | None
    value: msgspec.Raw


def can_contain() -> bool:
    """Whether this system has what a child needs."""
    return hasattr(os, "fork")


def finished(work: Generator[None, None, Result]) -> Result:
    """What a generator that yields nothing of interest returns at its end."""
    while True:
        try:
            next(work)
        except StopIteration as end:
            result: Result = end.value
            return result


def run_contained(
    tasks: Mapping[str, Task],
    limits: Limits | None = None,
    keep: Collection[int] = (),
    uncontained: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """What `contained` returns, waited for."""
    return finished(contained(tasks, limits, keep, uncontained))


def contained(
    tasks: Mapping[str, Task],
    limits: Limits | None = None,
    keep: Collection[int] = (),
    uncontained: Callable[[str], None] | None = None,
) -> Generator[None, None, dict[str, Any]]:
    """The results of all tasks by name, each a value of the task's type or an `Unknown`.

    `keep`: the descriptors that the tasks need. Raises nothing for what the tasks do. Where no child can be had at all,
    the tasks run in this process without bounds to memory and time, and `uncontained` is told why.
    """
    limits = limits or Limits()
    results: dict[str, Any] = {}
    deadline = time.monotonic() + limits.wall
    spent = 0.0
    for number in range(MAX_CHILDREN):
        left = {name: task for name, task in tasks.items() if name not in results}
        if not left or spent >= limits.cpu:
            break
        try:
            died, took = yield from _child(left, limits, ceil(limits.cpu - spent), deadline, results, keep)
            spent += took
        except _NoChildError as error:
            if number:  # the work has cost a process already: not this one too
                results.update(dict.fromkeys(left, Unknown(f"no further child process could be started: {error}")))
                break
            if uncontained is not None:
                uncontained(str(error))
            return {name: _done(task, limits) for name, task in tasks.items()}
        if died is not None:
            first = next(name for name in left if name not in results)
            results[first] = Unknown(died)
    for name in tasks:
        results.setdefault(name, Unknown("the reader was stopped before it came to this"))
    return results


class _NoChildError(Exception):
    """Why there is none."""


def _fork() -> tuple[int, int, int]:
    """A child (0 in the child itself) and the two ends of a pipe from it; `_NoChildError` where there can be none."""
    if not can_contain():
        raise _NoChildError("this system has no fork")
    try:
        reading, writing = os.pipe()
    except OSError as error:
        raise _NoChildError(f"pipe: {error.strerror}") from error
    try:
        return os.fork(), reading, writing
    except OSError as error:
        os.close(reading)
        os.close(writing)
        raise _NoChildError(f"fork: {error.strerror}") from error


def _child(
    tasks: Mapping[str, Task], limits: Limits, cpu: int, deadline: float, results: dict[str, Any], keep: Collection[int]
) -> Generator[None, None, tuple[str | None, float]]:
    """Run the tasks in a child and put what it answers into `results`.

    Returns why it died, None where it did not, and the seconds of processor time that it took, of `cpu` at most.
    Signals that would interrupt this process are held back while a child begins, so that none is left behind.
    """
    held = _hold_signals()
    given_up: str | None = "the inspection was interrupted"
    status, took = 0, 0.0
    try:
        child, reading, writing = _fork()
        if child == 0:
            _work(tasks, limits._replace(cpu=cpu), writing, keep)  # does not return
        try:
            os.close(writing)
            _release_signals(held)
            yield
            given_up = _receive(reading, tasks, limits, deadline, results)
        finally:
            os.close(reading)
            if given_up is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):  # where SIGCHLD is ignored, the kernel has buried it
                _, status, usage = os.wait4(child, 0)
                took = usage.ru_utime + usage.ru_stime
    finally:
        _release_signals(held)
    if given_up is None and any(name not in results for name in tasks):
        return _cause(status), took
    return given_up, took


def _hold_signals() -> set[int] | None:
    """Block what ends or interrupts this process; what was blocked before, None where nothing can be blocked."""
    if not hasattr(signal, "pthread_sigmask"):
        return None
    return set(signal.pthread_sigmask(signal.SIG_BLOCK, INTERRUPTS))


def _release_signals(held: set[int] | None) -> None:
    if held is not None:
        signal.pthread_sigmask(signal.SIG_SETMASK, held)


def _cause(status: int) -> str:
    """Why a child ended before its work was done."""
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        if number in (signal.SIGXCPU, signal.SIGPROF):
            return "reading it took more processor time than is allowed"
        if number == signal.SIGALRM:
            return "reading it took too long"
        if number == signal.SIGKILL:
            return "the reader was killed: perhaps the host has no memory left"
        return f"the reader crashed with signal {signal.Signals(number).name}"
    return "the reader broke off"


def _receive(
    pipe: int, tasks: Mapping[str, Task], limits: Limits, deadline: float, results: dict[str, Any]
) -> str | None:
    """Take messages until the child closes the pipe; why it had to be given up, None where it closed by itself.

    What arrives is as hostile as the disk: lengths are capped, names checked, values decoded by their type.
    """
    buffer = bytearray()
    task_deadline = time.monotonic() + limits.task_wall
    while True:
        wait = min(deadline, task_deadline) - time.monotonic()
        ready, _, _ = select.select([pipe], [], [], max(wait, 0))
        if not ready:
            return f"reading it took longer than {min(limits.wall, limits.task_wall):g} s"
        piece = os.read(pipe, 1 << 16)
        if not piece:
            return None
        buffer += piece
        while len(buffer) >= 4:
            size = int.from_bytes(buffer[:4], "big")
            if size > MAX_MESSAGE:
                return "the reader gave more than facts"
            if len(buffer) < 4 + size:
                break
            try:
                _accept(bytes(buffer[4 : 4 + size]), tasks, results)
            except msgspec.DecodeError:
                return "the reader gave what is no fact"
            del buffer[: 4 + size]
            task_deadline = time.monotonic() + limits.task_wall


def _accept(body: bytes, tasks: Mapping[str, Task], results: dict[str, Any]) -> None:
    message = msgspec.msgpack.decode(body, type=_Message)
    if message.name not in tasks:
        return
    if message.unknown is not None:
        results[message.name] = Unknown(message.unknown)
    else:
        results[message.name] = msgspec.msgpack.decode(message.value, type=tasks[message.name].type)


def _work(tasks: Mapping[str, Task], limits: Limits, pipe: int, keep: Collection[int]) -> None:
    """The child's life."""
    try:
        _restrict(limits, {pipe, *keep})
        for name, task in tasks.items():
            signal.setitimer(signal.ITIMER_PROF, limits.task_cpu)
            value = _done(task, limits)
            unknown = value.unknown if isinstance(value, Unknown) else None
            body = msgspec.msgpack.encode(
                {"name": name, "unknown": unknown, "value": None if unknown is not None else value}
            )
            _send(pipe, len(body).to_bytes(4, "big") + body)
    finally:
        os._exit(0)


def _done(task: Task, limits: Limits) -> Any:
    """The task's result, whatever it raises."""
    try:
        return task.run()
    except PreflightError as error:
        return Unknown(str(error))
    except MemoryError:
        return Unknown(f"reading it takes more than {limits.memory // MiB} MiB of memory")
    except Exception as error:  # noqa: BLE001  a library's own, or a bug of ours: it costs this fact only
        return Unknown(f"the reader failed: {type(error).__name__}: {error!s:.200}")


def _send(pipe: int, data: bytes) -> None:
    while data:
        data = data[os.write(pipe, data) :]


def _restrict(limits: Limits, keep: Collection[int]) -> None:
    """Give up what the work does not need, and set bounds to what it does."""
    import resource

    from preflight import sandbox

    for interrupt in (*INTERRUPTS, signal.SIGALRM, signal.SIGPROF):
        signal.signal(interrupt, signal.SIG_DFL)
    _release_signals(set())
    signal.setitimer(signal.ITIMER_REAL, limits.wall + 1)  # should the parent be gone
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nothing, stream)
    bounds = {
        resource.RLIMIT_AS: _address_space() + limits.memory,
        resource.RLIMIT_CPU: limits.cpu,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_FSIZE: 0,
    }
    for kind, bound in bounds.items():
        _, hard = resource.getrlimit(kind)
        soft = bound if hard == resource.RLIM_INFINITY else min(bound, hard)
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(kind, (soft, hard))
    sandbox.close_others(keep)
    sandbox.confine()


def _address_space() -> int:
    """Bytes of address space that this process has now."""
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 256 * MiB  # not Linux: about what Python and the libraries map
