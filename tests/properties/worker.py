"""A process of its own that inspects one image again and again, each time with other bytes changed, and measures.

Usage: `python -m tests.properties.worker IMAGE`, the changes as JSON on stdin: a list of lists of [offset, hex], or of
["size", length]. On stdout one JSON object a line: what each inspection took, and what escaped it.
"""

import contextlib
import json
import os
import resource
import sys
import time
import traceback
from typing import Any

import msgspec

from preflight import profiles
from preflight.checking import check
from preflight.inspection import inspect
from preflight.source import FileSource
from preflight.verdicts import Declared

Change = tuple[int | str, Any]

opened: list[FileSource] = []
_real = FileSource.__init__


def _remembering(self: FileSource, path: str, **budget: int) -> None:
    _real(self, path, **budget)
    opened.append(self)


def _peak() -> int:
    """Bytes of memory that this process held at most since the last reset."""
    with open("/proc/self/status", encoding="ascii") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM:"))


def _reset_peak() -> None:
    with contextlib.suppress(OSError), open("/proc/self/clear_refs", "w", encoding="ascii") as file:
        file.write("5")


def _cpu() -> float:
    """Seconds of processor time, of this process and of its children that ended."""
    both = (resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in both)


def measured(path: str) -> dict[str, Any]:
    """One inspection and judgement: processor seconds, wall seconds, peak memory, reads, codes, and what escaped."""
    opened.clear()
    _reset_peak()
    before, began = _cpu(), time.monotonic()
    escaped, codes, guest = None, [], None
    try:
        image = inspect(path)
        codes = [problem.code for problem in image.problems]
        guest = getattr(image.guest, "unknown", None) if image.guest is not None else "none"
        msgspec.json.encode(image)
        check(image, profiles.load("aliyun"), Declared())
    except BaseException:  # noqa: BLE001  whatever it is, the test tells it
        escaped = traceback.format_exc()
    return {
        "cpu": _cpu() - before,
        "wall": time.monotonic() - began,
        "peak": _peak(),
        "child_peak": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024,
        "reads": sum(file.reads for file in opened),
        "codes": codes,
        "guest": guest,
        "escaped": escaped,
    }


def main(path: str) -> None:
    FileSource.__init__ = _remembering  # type: ignore[method-assign]
    measured(path)  # what is imported on the way counts for no image
    descriptor = os.open(path, os.O_RDWR)
    length = os.fstat(descriptor).st_size
    for changes in json.load(sys.stdin):
        undo = []
        for place, content in changes:
            if place == "size":
                os.ftruncate(descriptor, content)
                continue
            data = bytes.fromhex(content)
            undo.append((place, os.pread(descriptor, len(data), place)))
            os.pwrite(descriptor, data, place)
        print(json.dumps(measured(path)), flush=True)
        for place, data in reversed(undo):
            os.pwrite(descriptor, data, place)
        if os.fstat(descriptor).st_size > length:
            os.ftruncate(descriptor, length)
    os.close(descriptor)


if __name__ == "__main__":
    main(sys.argv[1])
