"""A disk of zeros with bytes here and there: in memory for the readers, as a sparse file for the tools."""

from pathlib import Path

from preflight.source import check_bounds
from tests.tools import sparse


class Pieces:
    """A source of `size` bytes that are zero but for the pieces put into it."""

    def __init__(self, size: int, pieces: dict[int, bytes]) -> None:
        self._size = size
        self.pieces = pieces

    @property
    def size(self) -> int:
        return self._size

    def read_at(self, offset: int, size: int) -> bytes:
        check_bounds("the disk", self._size, offset, size)
        data = bytearray(size)
        for start, piece in self.pieces.items():
            first, last = max(start, offset), min(start + len(piece), offset + size)
            if first < last:
                data[first - offset : last - offset] = piece[first - start : last - start]
        return bytes(data)

    def write(self, path: Path) -> Path:
        """The same as a sparse file."""
        sparse(path, self._size)
        with path.open("r+b") as file:
            for start, piece in self.pieces.items():
                file.seek(start)
                file.write(piece)
        return path

    def damaged(self, start: int, at: int, value: int) -> "Pieces":
        """The same with one byte of the piece at `start` set to `value`."""
        piece = bytearray(self.pieces[start])
        piece[at] = value
        return Pieces(self._size, {**self.pieces, start: bytes(piece)})
