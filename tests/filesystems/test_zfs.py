"""Members of ZFS pools, against blkid."""

import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from preflight.filesystems.zfs import FILESYSTEM
from preflight.source import Buffered, Memory
from preflight.units import KiB, MiB
from tests.filesystems.blkid import blkid
from tests.filesystems.pieces import Pieces
from tests.filesystems.reading import agreed, ask

SIZE = 64 * MiB + 100 * KiB
END = 64 * MiB  # the labels at the end are aligned to 256 KiB
GUID = 0xFEDCBA9876543210


def pair(name: bytes, kind: int, value: bytes) -> bytes:
    padded = name + bytes(-len(name) % 4)
    body = struct.pack(">I", len(name)) + padded + struct.pack(">II", kind, 1) + value
    return struct.pack(">II", len(body) + 8, len(body) + 24) + body


def string(value: bytes) -> bytes:
    return struct.pack(">I", len(value)) + value + bytes(-len(value) % 4)


def nvlist(name: bytes = b"tank", guid: int = GUID) -> bytes:
    inner = pair(b"pool_guid", 8, struct.pack(">Q", 1)) + bytes(8)
    pairs = pair(b"version", 8, struct.pack(">Q", 5000)) + pair(b"name", 9, string(name))
    pairs += pair(b"vdev_tree", 19, struct.pack(">II", 0, 1) + inner)
    pairs += pair(b"pool_guid", 8, struct.pack(">Q", guid)) + pair(b"guid", 8, struct.pack(">Q", 77))
    return b"\1\1\0\0" + struct.pack(">II", 0, 1) + pairs + bytes(8)


def uberblocks(count: int, order: str = "<") -> bytes:
    return b"".join(
        struct.pack(f"{order}5Q", 0x00BAB10C, 5000, txg, 9, 1700000000).ljust(1024, b"\0") for txg in range(count)
    )


def pool(label: int = 0, **fields: object) -> Pieces:
    return Pieces(SIZE, {label + 16 * KiB: nvlist(**fields), label + 128 * KiB: uberblocks(4)})  # type: ignore[arg-type]


@pytest.mark.parametrize("name", [b"tank", b"r p o o l", b"x"])
@pytest.mark.parametrize("order", ["<", ">"])
def test_guid_and_name_are_uuid_and_label(tmp_path: Path, name: bytes, order: str) -> None:
    disk = Pieces(SIZE, {16 * KiB: nvlist(name), 128 * KiB: uberblocks(4, order)})
    found = agreed(FILESYSTEM, disk.write(tmp_path / "disk"))
    assert (found.type, found.uuid, found.label) == ("zfs_member", str(GUID), name.decode())


def test_second_label_is_used_where_the_first_is_blank(tmp_path: Path) -> None:
    disk = pool(256 * KiB)
    assert agreed(FILESYSTEM, disk.write(tmp_path / "disk")).uuid == str(GUID)
    assert ask(FILESYSTEM, Pieces(SIZE, {**disk.pieces, 1024: b"an other owner"})) is None


def test_uberblocks_of_all_labels_are_counted(tmp_path: Path) -> None:
    starts = (0, 256 * KiB, END - 512 * KiB, END - 256 * KiB)
    pieces = {start + 128 * KiB: uberblocks(1) for start in starts} | {start + 16 * KiB: nvlist() for start in starts}
    assert agreed(FILESYSTEM, Pieces(SIZE, pieces).write(tmp_path / "disk")).label == "tank"
    del pieces[END - 128 * KiB]
    path = Pieces(SIZE, pieces).write(tmp_path / "less")
    assert ask(FILESYSTEM, Pieces(SIZE, pieces)) is None
    assert blkid(path) == {}


def test_smaller_device_than_zfs_takes_is_none(tmp_path: Path) -> None:
    disk = Pieces(64 * MiB - 512, pool().pieces)
    assert ask(FILESYSTEM, disk) is None
    assert blkid(disk.write(tmp_path / "disk")) == {}


def test_device_without_a_pool_costs_two_reads() -> None:
    class Counted(Pieces):
        reads = 0

        def read_at(self, offset: int, size: int) -> bytes:
            self.reads += 1
            return super().read_at(offset, size)

    disk = Counted(SIZE, {1024: b"something"})
    assert FILESYSTEM.read(Buffered(disk)) is None
    assert disk.reads == 2


def test_hostile_list_gives_no_names() -> None:
    for field in (0, 0xFFFFFFFF):
        for at in (12, 20):
            data = bytearray(nvlist())
            data[at : at + 4] = field.to_bytes(4, "big")
            found = ask(FILESYSTEM, Pieces(SIZE, {16 * KiB: bytes(data), 128 * KiB: uberblocks(4)}))
            assert found is not None
            assert (found.uuid, found.label) == (None, None) or at == 20


@settings(max_examples=200, deadline=None)
@given(at=st.integers(0, 300), value=st.integers(0, 255))
def test_any_changed_byte_gives_a_value_or_none(at: int, value: int) -> None:
    found = ask(FILESYSTEM, pool().damaged(16 * KiB, at % len(nvlist()), value))
    assert found is None or found.type == "zfs_member"


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=1024))
def test_any_bytes_give_a_value_or_none(data: bytes) -> None:
    assert ask(FILESYSTEM, Memory(data)) is None
    for start in (b"", nvlist()[:12]):
        found = ask(FILESYSTEM, Pieces(SIZE, {16 * KiB: start + data, 128 * KiB: uberblocks(4)}))
        assert found is None or found.label is None or found.label.encode()
