"""Bytes of a guest that no file here has, as in an overlay without its backing file."""

from preflight.errors import UnreachableBytes
from preflight.source import check_bounds


class Missing:
    """Bytes that the guest has and this file has not."""

    def __init__(self, size: int, why: str) -> None:
        """`size` bytes; `why` says where they would be: `they are in a backing file`."""
        self._size = size
        self._why = why

    @property
    def size(self) -> int:
        """In bytes."""
        return self._size

    def read_at(self, offset: int, size: int) -> bytes:
        """Raise `UnreachableBytes`, always, even for an empty read."""
        check_bounds("the disk", self._size, offset, size)
        raise UnreachableBytes("the disk", offset, self._why)
