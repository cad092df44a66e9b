"""Measures `inspect()` once everything is imported: seconds, reads and bytes for each image.

A program of its own, so that the memory of the one that starts the others stays small:
`python -m tests.bench.inside layout|guest RUNS IMAGE...` prints a line of JSON. `guest`: the guest is read too.
"""

import json
import statistics
import sys
import time
from typing import Any

from preflight import inspection
from preflight.facts import Image
from preflight.guest_facts import Guest
from preflight.source import FileSource


class _Counted(FileSource):
    """A file that leaves behind what was read of it."""

    last: "_Counted"

    def close(self) -> None:
        _Counted.last = self
        super().close()


def measure(paths: list[str], runs: int, *, guest: bool) -> dict[str, dict[str, Any]]:
    """By path: median seconds, reads, bytes, and how many of the bytes are the container's own map."""
    setattr(inspection, "FileSource", _Counted)  # noqa: B010 - it is no name that the module gives out
    times: dict[str, list[float]] = {path: [] for path in paths}
    measured: dict[str, dict[str, Any]] = {}
    for _ in range(runs + 1):  # the first one imports the plugins
        for path in paths:
            begin = time.perf_counter()
            image = inspection.inspect(path, guest=guest)
            times[path].append(time.perf_counter() - begin)
            if guest:
                assert isinstance(image.guest, Guest), path
            else:
                assert len(image.partitions) == len(image.filesystems) == 4, path
            assert not image.problems, image.problems
            file = _Counted.last
            measured[path] = {"reads": file.reads, "bytes": file.bytes_read, "map": _map_size(image)}
    for path in paths:
        measured[path]["seconds"] = statistics.median(times[path][1:])
    return measured


def _map_size(image: Image) -> int:
    """Bytes of the table that says where the guest's bytes are in the file, and that grows with the disk."""
    details = image.format_details
    if image.format == "qcow2":
        assert image.virtual_size is not None
        reach = int(details["cluster_size"]) ** 2 // 8  # of one entry of the L1 table: a cluster full of L2 entries
        return -(-image.virtual_size // reach) * 8
    return int(details["max_table_entries"]) * 4 if image.subformat == "dynamic" else 0


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[3:], int(sys.argv[2]), guest=sys.argv[1] == "guest")))
