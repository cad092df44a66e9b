"""Asking one plugin about an image, the way an inspection does, and comparing it with blkid."""

from pathlib import Path

from preflight.errors import StructureError
from preflight.filesystems import FileSystemReader, Superblock
from preflight.filesystems.index import recognise
from preflight.source import BlockSource, FileSource, Memory
from tests.filesystems.blkid import blkid


def ask(reader: FileSystemReader, source: BlockSource) -> Superblock | None:
    """What the plugin says about the source, if the index sends an inspection to it."""
    modules, _ = recognise(source, whole_disk=True)
    return reader.read(source) if reader.read.__module__.rpartition(".")[2] in modules else None


def ask_file(reader: FileSystemReader, path: Path) -> Superblock | None:
    """What the plugin says about the file."""
    with FileSource(str(path)) as source:
        return ask(reader, source)


def agreed(reader: FileSystemReader, path: Path) -> Superblock:
    """What the plugin says, having asserted that blkid prints the same type, UUID and label."""
    found = ask_file(reader, path)
    assert found is not None
    printed = blkid(path)
    assert (found.type, found.uuid, found.label) == (printed.get("TYPE"), printed.get("UUID"), printed.get("LABEL"))
    return found


def stays_within_protocol(reader: FileSystemReader, data: bytes) -> None:
    """Assert that the plugin gives a value, None, or a `StructureError` for these bytes."""
    try:
        found = reader.read(Memory(data))
    except StructureError:
        return
    if found is not None:
        assert found.size is None or 0 <= found.size < 1 << 63
        assert found.label is None or found.label.encode()
        assert all(problem.offset is None or problem.offset >= 0 for problem in found.problems)
