"""The persistent bitmaps of qcow2: a broken directory or table, because of which QEMU opens no image."""

import struct
from pathlib import Path

import pytest

from preflight.formats.qcow2 import FORMAT
from preflight.source import Memory
from preflight.units import KiB, MiB
from tests.formats.qcow2_images import CLUSTER, image
from tests.tools import run

DATA = 5 * CLUSTER
BITMAPS_EXTENSION = 0x23852875
ENTRY = 24  # bytes before the name
TABLE_OFFSET, FLAGS = 0, 12  # fields of an entry


def told(data: bytes) -> list[tuple[str, str, int | None]]:
    source = Memory(data)
    assert FORMAT.claims(source) == ("qcow2",)
    return [(problem.code, problem.where, problem.offset) for problem in FORMAT.open(source, "qcow2").problems]


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A disk of 8 MiB with two bitmaps, each of whose tables has one entry, the first one with bits that are set."""
    path = tmp_path_factory.mktemp("bitmaps") / "disk.qcow2"
    run("qemu-img", "create", "-q", "-f", "qcow2", path, "8M")
    run("qemu-img", "bitmap", "--add", path, "monday")
    run("qemu-img", "bitmap", "--add", "-g", "4M", path, "friday")
    run("qemu-io", "-f", "qcow2", "-c", "write 1M 64k", path)
    return path.read_bytes()


def entries(disk: bytes) -> tuple[int, int]:
    """Where the two entries of the directory lie."""
    extension = disk.index(struct.pack(">II", BITMAPS_EXTENSION, 24))
    directory = int.from_bytes(disk[extension + 24 : extension + 32])
    return directory, directory + 32  # with a name of six bytes, padded to 8


def table(disk: bytes, entry: int) -> int:
    return int.from_bytes(disk[entry : entry + 8])


def changed(disk: bytes, offset: int, value: bytes) -> bytes:
    return disk[:offset] + value + disk[offset + len(value) :]


def qemu_opens(tmp_path: Path, data: bytes) -> bool:
    path = tmp_path / "disk.qcow2"
    path.write_bytes(data)
    return "virtual size" in run("qemu-img", "info", "-f", "qcow2", path, ok=(0, 1))


def test_sound_bitmaps_are_counted(tmp_path: Path, disk: bytes) -> None:
    container = FORMAT.open(Memory(disk), "qcow2")
    assert container.problems == ()
    assert container.format_details["bitmaps"] == 2
    assert container.format_details["autoclear_features"] == ["bitmaps"]
    assert qemu_opens(tmp_path, disk)


def test_two_bitmaps_of_one_name_are_told(tmp_path: Path, disk: bytes) -> None:
    first, second = entries(disk)
    assert disk[first + ENTRY :].startswith(b"monday")
    data = changed(disk, second + ENTRY, b"monday")
    assert told(data) == [("qcow2-header-extension-invalid", "qcow2 bitmap directory", second)]
    assert not qemu_opens(tmp_path, data)


@pytest.mark.parametrize("place", [1 << 63, 1 << 56 | DATA, DATA | 2, DATA | 1, DATA + 512])
def test_a_broken_entry_of_a_table_is_told(tmp_path: Path, disk: bytes, place: int) -> None:
    where = table(disk, entries(disk)[0])
    data = changed(disk, where, place.to_bytes(8))
    assert told(data) == [("qcow2-header-extension-invalid", "qcow2 bitmap table", where)]
    assert not qemu_opens(tmp_path, data)


def test_a_bitmap_of_ones_needs_no_place(tmp_path: Path, disk: bytes) -> None:
    data = changed(disk, table(disk, entries(disk)[0]), (1).to_bytes(8))
    assert told(data) == []
    assert qemu_opens(tmp_path, data)


@pytest.mark.parametrize("offset", [1 << 40, 1 << 63])
def test_a_table_past_the_end_is_told(disk: bytes, offset: int) -> None:
    first, _ = entries(disk)
    assert told(changed(disk, first + TABLE_OFFSET, offset.to_bytes(8))) == [
        ("truncated-file", "qcow2 bitmap directory", first)
    ]


def test_bits_past_the_end_are_told(disk: bytes) -> None:
    where = table(disk, entries(disk)[0])
    assert told(changed(disk, where, (1 << 40).to_bytes(8))) == [("truncated-file", "qcow2 bitmap table", where)]


def test_the_table_of_a_bitmap_that_was_not_saved_is_not_looked_at(tmp_path: Path, disk: bytes) -> None:
    first, _ = entries(disk)
    data = changed(disk, table(disk, first), (1 << 63).to_bytes(8))
    data = changed(data, first + FLAGS, (1).to_bytes(4))
    assert told(data) == []
    assert qemu_opens(tmp_path, data)


def test_a_table_is_read_in_part(tmp_path: Path) -> None:
    path = tmp_path / "disk.qcow2"
    run("qemu-img", "create", "-q", "-f", "qcow2", "-o", "cluster_size=512", path, "4G")
    run("qemu-img", "bitmap", "--add", "-g", "512", path, "fine")  # its table has 2048 entries
    data = path.read_bytes()
    assert len(data) < 4 * MiB
    assert told(data) == []
    where = table(data, entries(data)[0])
    assert told(changed(data, where + 511 * 8, (1 << 63).to_bytes(8))) == [
        ("qcow2-header-extension-invalid", "qcow2 bitmap table", where + 4 * KiB - 8)
    ]


@pytest.mark.parametrize(
    ("nb_bitmaps", "reserved", "size", "offset", "code", "field"),
    [
        (0, 0, 24, DATA, "qcow2-header-extension-invalid", 112),
        (65536, 0, 24 * 65536, DATA, "qcow2-header-extension-invalid", 112),
        (1, 1, 32, DATA, "qcow2-header-extension-invalid", 116),
        (1, 0, 1 << 30, DATA, "qcow2-header-extension-invalid", 120),
        (1, 0, 32, DATA + 8, "qcow2-header-extension-invalid", 128),
        (1, 0, 32, 1 << 40, "truncated-file", 128),
        (2, 0, 48, DATA, "qcow2-header-extension-invalid", DATA + 32),
    ],
)
def test_a_broken_directory_is_told(
    nb_bitmaps: int, reserved: int, size: int, offset: int, code: str, field: int
) -> None:
    data = struct.pack(">IIQQ", nb_bitmaps, reserved, size, offset)
    # one entry: table at 5 clusters, 1 entry long, granularity 2**16, name "b"
    entry = struct.pack(">QIIBBHI", DATA, 1, 0, 1, 16, 1, 0) + b"b".ljust(8, b"\0")
    extension = struct.pack(">II", BITMAPS_EXTENSION, len(data)) + data
    content = image(autoclear_features=1, extensions=extension, extra=entry.ljust(CLUSTER, b"\0"))
    assert (code, field) in [(code, offset) for code, _, offset in told(content)]
