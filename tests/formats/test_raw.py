"""Raw images: nothing to recognise, and only the size can be wrong."""

from pathlib import Path

from preflight.formats.raw import FORMAT
from preflight.source import FileSource, Memory
from tests import tools
from tests.formats.recognising import claims, problems, virtual_size


def test_raw_is_never_claimed_by_itself() -> None:
    assert FORMAT.claims(Memory(bytes(512))) == ()
    assert claims(bytes(510) + b"\x55\xaa") == ()


def test_the_guest_is_the_file(tmp_path: Path) -> None:
    path = tools.sparse(tmp_path / "disk.raw", 10 << 20)
    with FileSource(str(path)) as source:
        container = FORMAT.open(source, "raw")
        assert container.guest is source
        assert container.virtual_size == virtual_size(path, "raw")
        assert container.problems == ()


def test_an_empty_source_opens() -> None:
    assert FORMAT.open(Memory(b""), "raw").virtual_size == 0


def test_bytes_beyond_the_last_whole_sector_are_told() -> None:
    container = FORMAT.open(Memory(bytes(1025)), "raw")
    assert container.virtual_size == 1025
    assert problems(container) == [("size-not-in-sectors", "the file", 1024)]
    assert container.problems[0].message.startswith("the file is 1 byte longer")
    assert FORMAT.open(Memory(bytes(1023)), "raw").problems[0].message.startswith("the file is 511 bytes longer")
