"""Putting file systems into partitions, without a loop device."""

import os
from pathlib import Path

from preflight.units import MiB


def place(disk: Path, offset: int, contents: Path) -> None:
    """Copy what a sparse file holds onto the disk at `offset`, and nothing of its holes."""
    with disk.open("r+b") as target, contents.open("rb") as source:
        size, end = contents.stat().st_size, 0
        while end < size:
            try:
                start = os.lseek(source.fileno(), end, os.SEEK_DATA)
            except OSError:  # ENXIO: no more of it
                break
            end = os.lseek(source.fileno(), start, os.SEEK_HOLE)
            for here in range(start, end, MiB):
                data = os.pread(source.fileno(), min(MiB, end - here), here)
                if any(data):
                    os.pwrite(target.fileno(), data, offset + here)
