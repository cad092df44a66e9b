"""Images put together from single structures, for file systems that no tool makes, and hostile ones."""

from pathlib import Path
from typing import Any

from construct import Construct
from hypothesis import strategies as st

from preflight.errors import StructureError
from preflight.filesystems import FileSystemReader, Superblock
from preflight.source import BlockSource, Extent, Extents, Memory, Zeros
from tests.filesystems.reading import agreed, ask

Part = tuple[int, bytes]  # its first byte, its content


def build(layout: Construct, **fields: object) -> bytes:
    """The structure with these fields, the others zero."""
    values = layout.parse(bytes(layout.sizeof()))
    unknown = fields.keys() - values.keys()
    assert not unknown, unknown
    built: bytes = layout.build({**values, **fields})
    return built


def join(*parts: Part) -> bytes:
    """The parts in their places, a later one over an earlier one, and zeros between them."""
    data = bytearray(max(offset + len(content) for offset, content in parts))
    for offset, content in parts:
        data[offset : offset + len(content)] = content
    return bytes(data)


def disk(data: bytes, size: int = 0) -> BlockSource:
    """The data, and zeros up to `size`."""
    data = data or b"\0"
    if size <= len(data):
        return Memory(data)
    return Extents((Extent(0, len(data), Memory(data), 0), Extent(len(data), size - len(data), Zeros(size), 0)))


def read(reader: FileSystemReader, data: bytes, size: int = 0) -> Superblock | None:
    """What the plugin says, if one of its magics is there."""
    return ask(reader, disk(data, size))


def agreed_on(reader: FileSystemReader, path: Path, data: bytes, size: int = 0) -> Superblock:
    """What the plugin says, having asserted that blkid says the same of the same bytes in a file."""
    with path.open("wb") as file:
        file.write(data)
        file.truncate(max(size, len(data)))
    return agreed(reader, path)


def found(reader: FileSystemReader, data: bytes, size: int = 0) -> Superblock:
    """What the plugin says, which must be something."""
    superblock = read(reader, data, size)
    assert superblock is not None
    return superblock


def damage(superblock: Superblock) -> list[tuple[str, int | None]]:
    """Codes and offsets of its problems."""
    return [(problem.code, problem.offset) for problem in superblock.problems]


def change(data: bytes, offset: int, content: bytes) -> bytes:
    """The data with other bytes from `offset`."""
    return data[:offset] + content + data[offset + len(content) :]


@st.composite
def hostile(draw: st.DrawFn, *parts: Part) -> bytes:
    """The parts with some bytes changed, or all that follows the first sixteen of one of them, perhaps cut short."""
    chosen = draw(st.integers(0, len(parts) - 1))
    offset, content = parts[chosen]
    data = bytearray(join(*parts))
    if draw(st.booleans()):
        for _ in range(draw(st.integers(1, 4))):
            place = offset + draw(st.integers(0, len(content) - 1))
            data[place] = draw(st.sampled_from((0, 1, 0x7F, 0x80, 0xFF)) | st.integers(0, 255))
    else:
        noise = draw(st.binary(max_size=min(len(content), 256)))
        start = offset + draw(st.integers(0, 16))
        data[start : start + len(noise)] = noise
    return bytes(data[: draw(st.sampled_from((len(data), len(data), len(data) // 2, offset + len(content) // 2)))])


def stays_within_protocol(reader: FileSystemReader, data: bytes, size: int = 0) -> None:
    """Assert that the plugin gives a value, None, or a `StructureError`, even where no magic called for it."""
    try:
        superblock: Any = reader.read(disk(data, size))
    except StructureError:
        return
    if superblock is not None:
        assert superblock.size is None or 0 <= superblock.size < 1 << 63
        assert superblock.label is None or superblock.label.encode()
        assert all(problem.offset is None or 0 <= problem.offset < 1 << 63 for problem in superblock.problems)
