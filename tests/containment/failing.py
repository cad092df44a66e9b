"""A file system with one file, which fails as it is told: `python -m tests.containment.failing IMAGE FOLDER FAULTS`.

FAULTS is JSON: `fail`, ranges of bytes that cannot be read; `shrink`, after how many reads to which size; `hang`, at
which read for how many seconds. Every read of the reader comes here as it is, past the page cache.
"""

import errno
import json
import os
import stat
import sys
import time
from typing import Any

import mfusepy

NAME = "disk"


class Failing(mfusepy.Operations):  # type: ignore[misc]
    """The image as `/disk`."""

    use_ns = True

    def __init__(self, image: str, faults: dict[str, Any]) -> None:
        self._file = os.open(image, os.O_RDONLY)
        self._size = os.fstat(self._file).st_size
        self._faults = faults
        self._reads = 0

    def getattr(self, path: str, fh: int | None = None) -> dict[str, Any]:
        if path == "/":
            return {"st_mode": stat.S_IFDIR | 0o755, "st_nlink": 2}
        if path != f"/{NAME}":
            raise mfusepy.FuseOSError(errno.ENOENT)
        return {"st_mode": stat.S_IFREG | 0o644, "st_nlink": 1, "st_size": self._size}

    def readdir(self, path: str, fh: int) -> list[str]:
        return [".", "..", NAME]

    def read(self, path: str, size: int, offset: int, fh: int) -> bytes:
        self._reads += 1
        if "shrink" in self._faults and self._reads > self._faults["shrink"][0]:
            self._size = self._faults["shrink"][1]
        if "hang" in self._faults and self._reads == self._faults["hang"][0]:
            time.sleep(self._faults["hang"][1])
        end = min(offset + size, self._size)
        if any(offset < last and first < end for first, last in self._faults.get("fail", ())):
            raise mfusepy.FuseOSError(errno.EIO)
        return os.pread(self._file, max(end - offset, 0), offset)


if __name__ == "__main__":
    mfusepy.FUSE(
        Failing(sys.argv[1], json.loads(sys.argv[3])), sys.argv[2], foreground=True, nothreads=True, direct_io=True
    )
