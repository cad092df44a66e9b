"""Members of volume managers, made of captures or of built bytes."""

import lzma
from pathlib import Path

from preflight.source import BlockSource, Extent, Extents, Memory, Zeros
from preflight.volumes import Member

FIXTURES = Path(__file__).parents[2] / "fixtures"
GiB = 1 << 30


def unpacked(name: str) -> bytes:
    return lzma.decompress((FIXTURES / name).read_bytes())


def spread(size: int, *pieces: tuple[int, bytes]) -> BlockSource:
    """A source of `size` bytes that are zero but for the pieces."""
    extents = []
    end = 0
    for offset, data in sorted(pieces):
        if offset > end:
            extents.append(Extent(end, offset - end, Zeros(offset - end), 0))
        extents.append(Extent(offset, len(data), Memory(data), 0))
        end = offset + len(data)
    if size > end:
        extents.append(Extent(end, size - end, Zeros(size - end), 0))
    return Extents(extents)


def member(kind: str, source: BlockSource, number: int | None = 1) -> Member:
    """As the partition of that number, which begins at that many GiB."""
    return Member(kind, number, (number or 0) * GiB, source)


def patched(data: bytes, offset: int, new: bytes) -> bytes:
    return data[:offset] + new + data[offset + len(new) :]
