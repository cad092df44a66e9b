"""Work on hostile bytes in a child process: a crash, a hang or a hunger for memory stays there.

The child gets its tasks by being forked, so nothing is executed anew, and answers through a pipe, one message for each
task that it finished. A task in which it dies is `Unknown`, with the reason; a fresh child does the rest.
"""

import contextlib
import os
import select
import signal
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import msgspec

from preflight.errors import PreflightError
from preflight.facts import Unknown
from preflight.units import MiB

MAX_MESSAGE = 16 * MiB  # the facts of a guest take some kilobytes
MAX_CHILDREN = 4  # a disk that kills them all is given up: its other facts would take as long


class Limits(NamedTuple):
    """What the work may take."""

    wall: float = 10.0
    """Seconds, for all tasks and children together."""
    task_wall: float = 5.0
    """Seconds, for each task."""
    cpu: int = 10
    """Seconds of processor time, for each child."""
    memory: int = 512 * MiB
    """Bytes of address space over what the process has when it begins."""


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


def run_contained(tasks: Mapping[str, Task], limits: Limits | None = None) -> dict[str, Any]:
    """The results of all tasks by name, each a value of the task's type or an `Unknown`.

    Raises nothing for what the tasks do. Without `os.fork` they run in this process, and only what they raise of this
    package's errors is caught.
    """
    limits = limits or Limits()
    if not can_contain():
        return {name: _in_place(task) for name, task in tasks.items()}
    results: dict[str, Any] = {}
    deadline = time.monotonic() + limits.wall
    for _ in range(MAX_CHILDREN):
        left = {name: task for name, task in tasks.items() if name not in results}
        if not left:
            break
        died = _child(left, limits, deadline, results)
        if died is not None:
            first = next(name for name in left if name not in results)
            results[first] = Unknown(died)
    for name in tasks:
        results.setdefault(name, Unknown("the reader was stopped before it came to this"))
    return results


def _in_place(task: Task) -> Any:
    try:
        return task.run()
    except PreflightError as error:
        return Unknown(str(error))


def _child(tasks: Mapping[str, Task], limits: Limits, deadline: float, results: dict[str, Any]) -> str | None:
    """Run the tasks in a child and put what it answers into `results`; why it died, None where it did not."""
    sys.stdout.flush()
    sys.stderr.flush()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _work(tasks, limits, writing)  # does not return
    os.close(writing)
    given_up: str | None = "the inspection was interrupted"
    try:
        given_up = _receive(reading, tasks, limits, deadline, results)
    finally:
        os.close(reading)
        if given_up is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
    if given_up is None and any(name not in results for name in tasks):
        return _cause(status)
    return given_up


def _cause(status: int) -> str:
    """Why a child ended before its work was done."""
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        if number == signal.SIGXCPU:
            return "reading it took more processor time than is allowed"
        if number == signal.SIGALRM:
            return "reading it took too long"
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


def _work(tasks: Mapping[str, Task], limits: Limits, pipe: int) -> None:
    """The child's life."""
    try:
        _restrict(limits)
        for name, task in tasks.items():
            try:
                value = task.run()
            except PreflightError as error:
                value = Unknown(str(error))
            except MemoryError:
                value = Unknown(f"reading it takes more than {limits.memory // MiB} MiB of memory")
            except Exception as error:  # noqa: BLE001  a library's own, or a bug of ours: it costs this fact only
                value = Unknown(f"the reader failed: {type(error).__name__}: {error!s:.200}")
            unknown = value.unknown if isinstance(value, Unknown) else None
            body = msgspec.msgpack.encode(
                {"name": name, "unknown": unknown, "value": None if unknown is not None else value}
            )
            _send(pipe, len(body).to_bytes(4, "big") + body)
    finally:
        os._exit(0)


def _send(pipe: int, data: bytes) -> None:
    while data:
        data = data[os.write(pipe, data) :]


def _restrict(limits: Limits) -> None:
    """Give up what the work does not need, and set bounds to what it does."""
    import resource

    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
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


def _address_space() -> int:
    """Bytes of address space that this process has now."""
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 256 * MiB  # not Linux: about what Python and the libraries map
