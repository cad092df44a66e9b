"""Names in NTFS: how they are spelt on the disk, and how they are compared, which each volume tells for itself.

Specification: NTFS documentation, file $UpCase, https://flatcap.github.io/linux-ntfs/ntfs/files/upcase.html
"""

import struct
from functools import cached_property, lru_cache

from preflight.contents import ContentsError
from preflight.contents import _ntfs_layouts as layouts
from preflight.contents._ntfs_filesystem import Filesystem
from preflight.contents._ntfs_streams import Stream

MAX_NAME = 255  # code units
UNIT_SIZE = 2  # bytes
CAPITALS_KEPT = 4096  # of those that were looked up


def to_disk(name: bytes) -> bytes | None:
    """A name as the disk has it, in UTF-16; None where none can be spelt so.

    Halves of surrogate pairs are code units as any other there: here they are spelt as UTF-8 would.
    """
    try:
        spelt = name.decode("utf-8", "surrogatepass").encode("utf-16-le", "surrogatepass")
    except UnicodeDecodeError:
        return None
    return spelt if len(spelt) <= MAX_NAME * UNIT_SIZE else None


def from_disk(name: bytes) -> bytes:
    """The reverse of `to_disk`."""
    return name.decode("utf-16-le", "surrogatepass").encode("utf-8", "surrogatepass")


def is_ascii(name: bytes) -> bool:
    """Whether a name of the disk has nothing else."""
    return name[::UNIT_SIZE].isascii() and not any(name[1::UNIT_SIZE])


class Collation:
    """The order of names, and which are the same but for their case."""

    def __init__(self, filesystem: Filesystem) -> None:
        self._filesystem = filesystem
        self._capital = lru_cache(CAPITALS_KEPT)(self._read_capital)

    def key(self, name: bytes) -> str:
        """What a name of the disk is compared by: a letter for each code unit, in capitals.

        The table of the volume is asked for what is no ASCII; raises `ContentsError` where it cannot be read.
        """
        if is_ascii(name):
            return name[::UNIT_SIZE].upper().decode("ascii")
        return "".join(map(self._capital, struct.unpack(f"<{len(name) // UNIT_SIZE}H", name)))

    def _read_capital(self, unit: int) -> str:
        if unit < 0x80:
            return chr(unit).upper()
        if (unit + 1) * UNIT_SIZE > self._table.size:
            return chr(unit)
        return chr(int.from_bytes(self._table.read(unit * UNIT_SIZE, UNIT_SIZE), "little"))

    @cached_property
    def _table(self) -> Stream:
        file = self._filesystem.file(layouts.Reference(layouts.FILE_UPCASE, 0))
        table = self._filesystem.stream(file, layouts.AT_DATA)
        if table is None:
            raise ContentsError(f"{file.where}: $UpCase has no data")
        return table
