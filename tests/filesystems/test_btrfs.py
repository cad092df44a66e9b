"""btrfs, against mkfs.btrfs and blkid."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from preflight.binary import crc32c
from preflight.filesystems._btrfs_layouts import CHUNK_ITEM, KEY
from preflight.filesystems.btrfs import FILESYSTEM, SUPERBLOCK
from preflight.source import BlockSource, Extent, Extents, Memory, Zeros
from preflight.units import KiB, MiB
from tests.filesystems.reading import agreed, ask, ask_file, stays_within_protocol
from tests.tools import run, sparse

UUID = "4b3f5a0e-1f7b-4a6e-8a57-2d1f6f5d9c01"
SIZE = 128 * MiB


def make(path: Path, *options: str, uuid: str = UUID) -> Path:
    run("mkfs.btrfs", "-q", "-f", "-U", uuid, *options, sparse(path, SIZE))
    return path


@pytest.mark.parametrize(
    ("label", "options"),
    [
        (None, []),
        ("a label with spaces", ["--mixed"]),
        ("Größe €", ["--csum", "xxhash"]),
        ("sha", ["--csum", "sha256"]),
        ("blake", ["--csum", "blake2"]),
        ("x" * 250, ["-n", "64k"]),
    ],
)
def test_type_uuid_label_and_size_are_those_of_the_tools(tmp_path: Path, label: str | None, options: list[str]) -> None:
    path = make(tmp_path / "disk", *(["-L", label] if label else []), *options)
    found = agreed(FILESYSTEM, path)
    assert (found.type, found.uuid, found.label, found.size) == ("btrfs", UUID, label, SIZE)
    assert not found.problems


def test_size_is_that_of_this_device_alone(tmp_path: Path) -> None:
    other = sparse(tmp_path / "other", 192 * MiB)
    path = sparse(tmp_path / "disk", SIZE)
    run("mkfs.btrfs", "-q", "-f", "-d", "single", "-m", "single", path, other)
    assert agreed(FILESYSTEM, path).size == SIZE
    assert agreed(FILESYSTEM, other).size == 192 * MiB


@pytest.mark.parametrize("csum", ["crc32c", "xxhash", "sha256", "blake2"])
def test_wrong_checksum_names_the_file_system_and_tells(tmp_path: Path, csum: str) -> None:
    path = make(tmp_path / "disk", "--csum", csum, "-L", "torn")
    with path.open("r+b") as file:
        file.seek(64 * KiB + 0x78)  # bytes_used
        file.write(b"\xff")
    found = ask_file(FILESYSTEM, path)
    assert found is not None
    assert (found.type, found.uuid, found.label, found.size) == ("btrfs", UUID, "torn", SIZE)
    assert [(problem.code, problem.offset) for problem in found.problems] == [("superblock-invalid", 64 * KiB)]


def test_mirror_of_a_wiped_disk_is_named_with_a_problem(tmp_path: Path) -> None:
    path = make(tmp_path / "disk", "-L", "wiped")
    with path.open("r+b") as file:
        file.write(bytes(1 * MiB))
    found = ask_file(FILESYSTEM, path)
    assert found is not None
    assert (found.type, found.uuid, found.label) == ("btrfs", UUID, "wiped")
    assert [(problem.code, problem.offset) for problem in found.problems] == [("superblock-invalid", 64 * KiB)]


def test_mirror_below_another_file_system_is_nothing(tmp_path: Path) -> None:
    path = make(tmp_path / "disk")
    with path.open("r+b") as file:
        file.write(bytes(1 * MiB))
    run("mke2fs", "-q", "-F", "-E", "nodiscard", path)
    assert path.read_bytes()[64 * MiB + 0x40 :][:8] == b"_BHRfS_M"  # it is still there
    assert ask_file(FILESYSTEM, path) is None


CHUNK = 16 * MiB  # logical; as mkfs.btrfs lays out the chunk of the chunk tree on small disks
GOOD = {
    "csum": bytes(32),
    "magic": b"_BHRfS_M",
    "fsid": bytes(range(16)),
    "bytenr": 64 * KiB,
    "label": b"built".ljust(256, b"\0"),
    "root": CHUNK + 64 * KiB,
    "chunk_root": CHUNK,
    "total_bytes": 5 * MiB,
    "bytes_used": 6 * 16 * KiB,
    "num_devices": 1,
    "sectorsize": 4 * KiB,
    "nodesize": 16 * KiB,
    "leafsize": 16 * KiB,
    "stripesize": 4 * KiB,
    "sys_chunk_array_size": 97,
    "dev_item_devid": 1,
    "dev_item_total_bytes": 5 * MiB,
    "dev_item": bytes(66) + bytes(range(16)),
}
SYS_CHUNK = KEY.build({"objectid": 256, "type": 228, "offset": CHUNK}) + CHUNK_ITEM.build(
    {
        "length": MiB,
        "owner": 2,
        "stripe_len": 64 * KiB,
        "type": 1 << 1,
        "io_align": 64 * KiB,
        "io_width": 64 * KiB,
        "sector_size": 4 * KiB,
        "num_stripes": 1,
        "sub_stripes": 1,
    }
)


def superblock(changes: Mapping[int, bytes] = MappingProxyType({}), /, **fields: object) -> bytes:
    values = dict.fromkeys((str(field.name) for field in SUPERBLOCK.subcons), 0) | GOOD | fields
    data = bytearray(SUPERBLOCK.build(values).ljust(4096, b"\0"))
    data[0x32B : 0x32B + len(SYS_CHUNK)] = SYS_CHUNK
    for offset, value in changes.items():
        data[offset : offset + len(value)] = value
    return (crc32c(bytes(data[32:])) ^ 0xFFFFFFFF).to_bytes(4, "little") + bytes(data[4:])


def on_disk(data: bytes) -> Extents:
    parts: list[BlockSource] = [Zeros(64 * KiB), Memory(data), Zeros(MiB)]
    extents, end = [], 0
    for part in parts:
        extents.append(Extent(end, part.size, part, 0))
        end += part.size
    return Extents(extents)


def test_built_superblock_is_read() -> None:
    found = ask(FILESYSTEM, on_disk(superblock()))
    assert found is not None
    assert (found.uuid, found.label, found.size) == ("00010203-0405-0607-0809-0a0b0c0d0e0f", "built", 5 * MiB)
    assert not found.problems


@pytest.mark.parametrize(
    ("fields", "offset", "size"),
    [
        ({"bytenr": 64 * MiB}, 0x30, 5 * MiB),
        ({"dev_item_total_bytes": 1 << 63}, 0xD1, None),
        ({"dev_item_total_bytes": 0}, 0xD1, 0),
    ],
)
def test_impossible_field_is_a_problem(fields: dict[str, int], offset: int, size: int | None) -> None:
    found = ask(FILESYSTEM, on_disk(superblock(**fields)))
    assert found is not None
    assert [(problem.code, problem.offset) for problem in found.problems] == [("superblock-invalid", 64 * KiB + offset)]
    assert found.size == size


@pytest.mark.parametrize(
    ("fields", "offset"),
    [
        ({"csum_type": 4}, 0xC4),
        ({"csum_type": 0xFFFF}, 0xC4),
        ({"root_level": 8}, 0xC6),
        ({"chunk_root_level": 8}, 0xC7),
        ({"log_root_level": 255}, 0xC8),
        ({"flags": 1 << 38}, 0x38),  # CHANGING_BG_TREE
        ({"root": 4097}, 0x50),
        ({"chunk_root": CHUNK + 1}, 0x58),
        ({"chunk_root": CHUNK + MiB}, 0x58),  # in no chunk
        ({"log_root": 512}, 0x60),
        ({"bytes_used": 6 * 16 * KiB - 1}, 0x78),
        ({"total_bytes": 5 * MiB - 1}, 0x70),
        ({"total_bytes": 5 * MiB, "dev_item_total_bytes": 5 * MiB + 4096}, 0x70),
        ({"num_devices": 0}, 0x88),
        ({"sectorsize": 2048}, 0x90),
        ({"sectorsize": 0}, 0x90),
        ({"sectorsize": 4 * KiB + 1}, 0x90),
        ({"nodesize": 128 * KiB}, 0x94),
        ({"sectorsize": 32 * KiB}, 0x94),
        ({"leafsize": 4 * KiB}, 0x98),
        ({"stripesize": 0}, 0x9C),
        ({"sys_chunk_array_size": 96}, 0xA0),
        ({"sys_chunk_array_size": 2049}, 0xA0),
        ({"sys_chunk_array_size": 98}, 0x32B + 97),  # the second chunk is cut off
        ({"compat_ro_flags": 8}, 0xB4),  # BLOCK_GROUP_TREE alone
        ({"incompat_flags": 1 << 15}, 0xBC),
        ({"incompat_flags": 1 << 63}, 0xBC),
        ({"incompat_flags": 1 << 2}, 0xBC),  # MIXED_GROUPS, with nodes of another size than sectors
        ({"incompat_flags": 1 << 10}, 0x11B),  # METADATA_UUID, which is zero
        ({"dev_item": bytes(82)}, 0x11B),
    ],
)
def test_what_no_kernel_mounts_is_reported_at_its_byte(fields: dict[str, int], offset: int) -> None:
    found = ask(FILESYSTEM, on_disk(superblock(**fields)))
    assert found is not None
    assert [problem.offset for problem in found.problems] == [64 * KiB + offset]


@pytest.mark.parametrize(
    ("offset", "value"),
    [
        (0x32B + 8, b"\xe5"),  # type of the key
        (0x32B + 9, b"\x01"),  # logical address
        (0x33C, bytes(8)),  # length
        (0x33C, (1 << 48).to_bytes(8, "little")),  # length: more stripes than 32 bits number
        (0x33C + 16, bytes(8)),  # stripe_len
        (0x33C + 24, b"\x01"),  # type: DATA
        (0x33C + 40, bytes(4)),  # sector_size
        (0x33C + 44, bytes(2)),  # num_stripes
    ],
)
def test_chunk_that_cannot_be_is_told_at_its_byte(offset: int, value: bytes) -> None:
    found = ask(FILESYSTEM, on_disk(superblock({offset: value})))
    assert found is not None
    assert [(problem.code, problem.offset) for problem in found.problems] == [("superblock-invalid", 64 * KiB + offset)]


def test_stripes_beyond_the_array_are_told() -> None:
    found = ask(FILESYSTEM, on_disk(superblock({0x33C + 44: b"\x02\x00"})))
    assert found is not None
    assert [problem.offset for problem in found.problems] == [64 * KiB + 0xA0]


@pytest.mark.parametrize(
    ("fields", "offset"), [({"flags": 4}, 0x38), ({"flags": 1 << 36}, 0x38), ({"compat_ro_flags": 16}, 0xB4)]
)
def test_what_linux_mounts_all_the_same_is_irregular(fields: dict[str, int], offset: int) -> None:
    found = ask(FILESYSTEM, on_disk(superblock(**fields)))
    assert found is not None
    assert [(one.code, one.offset) for one in found.problems] == [("superblock-irregular", 64 * KiB + offset)]


def test_size_of_the_device_may_have_a_rest_below_a_sector() -> None:
    found = ask(FILESYSTEM, on_disk(superblock(dev_item_total_bytes=5 * MiB + 2048)))
    assert found is not None
    assert not found.problems


def test_superblock_is_named_where_libblkid_finds_the_disk_too_small() -> None:
    damaged = superblock()[:-1] + b"x"
    found = ask(FILESYSTEM, Memory(bytes(64 * KiB) + damaged))
    assert found is not None
    assert [problem.offset for problem in found.problems] == [64 * KiB]
    assert ask(FILESYSTEM, Memory((bytes(64 * KiB) + damaged)[:-1])) is None


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 1023), st.integers(0, 255))
def test_any_changed_byte_stays_within_the_protocol(position: int, value: int) -> None:
    data = bytearray(superblock())
    data[position] = value
    stays_within_protocol(FILESYSTEM, (bytes(64 * KiB) + data).ljust(MiB, b"\0"))


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=4096))
def test_any_bytes_stay_within_the_protocol(data: bytes) -> None:
    whole = data.ljust(4096, b"\0")
    stays_within_protocol(FILESYSTEM, (bytes(64 * KiB) + whole[:64] + b"_BHRfS_M" + whole[72:]).ljust(MiB, b"\0"))
    stays_within_protocol(FILESYSTEM, data)
