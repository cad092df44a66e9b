"""The child really cannot do what it has no use for; skipped on a kernel without seccomp, or without Landlock."""

import importlib
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from preflight import sandbox
from preflight.containment import Task, run_contained
from preflight.facts import Unknown

LIBRARIES = ("yaml", "lzma", "bz2", "zlib", "hashlib", "lz4.frame", "lz4.block")


def granted() -> sandbox.Confinement:
    """What this kernel offers, asked in a process of its own."""
    reading, writing = os.pipe()
    if not (child := os.fork()):
        os.write(writing, bytes(sandbox.confine()))
        os._exit(0)
    os.close(writing)
    os.waitpid(child, 0)
    with open(reading, "rb") as answer:
        return sandbox.Confinement(*map(bool, answer.read()))


GRANTED = granted() if sys.platform == "linux" else sandbox.Confinement(False, False)
needs_seccomp = pytest.mark.skipif(not GRANTED.seccomp, reason="this kernel has no seccomp for this architecture")
needs_landlock = pytest.mark.skipif(not GRANTED.landlock, reason="this kernel has no Landlock")


def refused(work: Callable[[], Any]) -> str:
    def attempt() -> str:
        try:
            work()
        except OSError as error:
            return type(error).__name__
        return "done"

    result = run_contained({"it": Task(attempt, str)})["it"]
    return str(result)


@needs_seccomp
@pytest.mark.parametrize(
    "work",
    [
        socket.socket,
        lambda: socket.socket(socket.AF_UNIX),
        socket.socketpair,
        os.fork,
        lambda: os.execv("/bin/true", ["true"]),
        lambda: os.posix_spawn("/bin/true", ["true"], {}),
        lambda: subprocess.run(["/bin/true"]),
        lambda: os.open("/dev/null", os.O_WRONLY),
        lambda: os.open("/dev/null", os.O_RDWR),
        lambda: os.unlink("/nowhere"),
        lambda: os.rename("/nowhere", "/nowhere2"),
        lambda: os.mkdir("/tmp/preflight-test"),
        lambda: os.symlink("a", "/tmp/preflight-test"),
        lambda: os.chmod("/nowhere", 0),
        lambda: os.memfd_create("x"),
        lambda: os.kill(os.getppid(), 0),
        lambda: os.setuid(0),
    ],
)
def test_what_reaches_beyond_the_process_is_refused(work: Callable[[], Any]) -> None:
    assert refused(work) == "PermissionError"


@needs_landlock
@pytest.mark.parametrize("path", ["/etc/passwd", "/proc/self/maps", "/", __file__])
def test_no_file_can_be_opened_but_pythons_own(path: str) -> None:
    assert refused(lambda: os.open(path, os.O_RDONLY)) == "PermissionError"


def test_what_readers_need_can_still_be_imported() -> None:
    def bring() -> list[str]:
        return [importlib.import_module(name).__name__ for name in LIBRARIES]

    for name in LIBRARIES:
        sys.modules.pop(name, None)
    assert run_contained({"it": Task(bring, list[str])}) == {"it": list(LIBRARIES)}


def test_the_child_keeps_its_pipe_and_what_it_is_given(tmp_path: Path) -> None:
    (tmp_path / "image").write_bytes(b"bytes")
    with (tmp_path / "image").open("rb") as image, (tmp_path / "image").open("rb") as other:

        def look() -> list[int]:
            found = []
            for number in range(4096):
                try:
                    os.fstat(number)
                except OSError:
                    continue
                found.append(number)
            return [*found, len(os.pread(image.fileno(), 9, 0))]

        seen = run_contained({"it": Task(look, list[int])}, keep=(image.fileno(),))["it"]
        assert set(seen[:-1]) > {0, 1, 2, image.fileno()}
        assert len(seen) == 6  # these, its pipe, and the length
        assert (other.fileno() in seen[:-1], seen[-1]) == (False, 5)


def test_a_crash_of_its_own_is_not_held_back() -> None:
    results = run_contained({"it": Task(lambda: os.kill(os.getpid(), signal.SIGSEGV), int)})
    assert "SIGSEGV" in str(results["it"])


def test_a_thread_can_be_had() -> None:
    def use() -> int:
        found: list[int] = []
        thread = threading.Thread(target=found.append, args=(3,))
        thread.start()
        thread.join()
        return found[0]

    assert run_contained({"it": Task(use, int)}) == {"it": 3}


def run_filter(instructions: bytes, number: int, architecture: int, *arguments: int) -> int:
    """What the filter returns for a system call: classic BPF, as far as the filter uses it."""
    padded = [*arguments, *[0] * (6 - len(arguments))]
    data = struct.pack("<IIQ6Q", number, architecture, 0, *padded)
    accumulator, at = 0, 0
    while True:
        code, then, otherwise, value = struct.unpack_from("<HBBI", instructions, at * 8)
        at += 1
        if code == sandbox.BPF_RETURN:
            return int(value)
        if code == sandbox.BPF_LOAD:
            accumulator = struct.unpack_from("<I", data, value)[0]
            continue
        holds = {
            sandbox.BPF_EQUAL: accumulator == value,
            sandbox.BPF_GREATER_EQUAL: accumulator >= value,
            sandbox.BPF_ANY_BIT: bool(accumulator & value),
        }[code]
        at += then if holds else otherwise


ALLOW, EPERM, ENOSYS, KILL = 0x7FFF0000, 0x00050001, 0x00050026, 0x80000000


@pytest.mark.parametrize(
    ("machine", "number", "arguments", "answer"),
    [  # numbers from the tables of strace 6.1, which nothing here is taken from
        *(("x86_64", number, (), EPERM) for number in (41, 42, 49, 57, 58, 59, 101, 85, 87, 165, 321, 319, 425, 437)),
        *(("aarch64", number, (), EPERM) for number in (198, 203, 200, 221, 117, 35, 40, 280, 279, 425, 437, 281)),
        *(("x86_64", number, (), ALLOW) for number in (0, 1, 3, 9, 11, 12, 17, 60, 231, 228, 318, 262, 217)),
        *(("aarch64", number, (), ALLOW) for number in (63, 64, 57, 222, 215, 214, 67, 93, 94, 113, 278, 79, 61)),
        ("x86_64", 435, (), ENOSYS),
        ("aarch64", 435, (), ENOSYS),
        ("x86_64", 2, (0, 0), ALLOW),
        ("x86_64", 2, (0, os.O_RDWR), EPERM),
        ("x86_64", 257, (0, 0, os.O_CLOEXEC), ALLOW),
        ("aarch64", 56, (0, 0, os.O_WRONLY), EPERM),
        ("x86_64", 56, (0x00010F00,), ALLOW),
        ("x86_64", 56, (17,), EPERM),
        ("aarch64", 220, (17,), EPERM),
        ("x86_64", 62, (77, 9), ALLOW),
        ("x86_64", 62, (78, 9), EPERM),
        ("aarch64", 129, (0xFFFFFFFF, 9), EPERM),
        ("x86_64", 302, (0, 7, 0), ALLOW),
        ("x86_64", 302, (0, 7, 1 << 32), EPERM),
        ("aarch64", 261, (0, 7, 4), EPERM),
        ("x86_64", 0x40000000 | 41, (), EPERM),
    ],
)
def test_the_filter_tells_the_calls_of_each_architecture(
    machine: str, number: int, arguments: tuple[int, ...], answer: int
) -> None:
    column, architecture = sandbox.ARCHITECTURES[machine]
    assert run_filter(sandbox.program(column, architecture, 77), number, architecture, *arguments) == answer


def test_another_architecture_kills() -> None:
    assert run_filter(sandbox.program(0, 0xC000003E, 77), 3, 0x40000003) == KILL


def test_a_kernel_that_offers_nothing_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "confine", lambda: sandbox.Confinement(False, False))
    assert run_contained({"it": Task(lambda: 1, int), "no": Task(lambda: Unknown("why"), int)})["it"] == 1
