"""F2FS, against mkfs.f2fs and blkid."""

import zlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from preflight.filesystems.f2fs import FILESYSTEM, SUPERBLOCK
from preflight.source import Memory
from preflight.units import MiB
from tests.filesystems.reading import agreed, ask, stays_within_protocol
from tests.tools import run, sparse

UUID = "9a0d8d54-6a2b-4a77-8a6c-1fbb3e1d2c5e"
SIZE = 64 * MiB


def make(path: Path, *options: str) -> Path:
    run("mkfs.f2fs", "-q", "-f", "-U", UUID, *options, sparse(path, SIZE))
    return path


@pytest.mark.parametrize(
    ("label", "options"),
    [
        (None, []),
        ("f2fs label", ["-O", "extra_attr,inode_checksum,sb_checksum"]),
        ("Größe € 😀", ["-O", "encrypt,verity"]),
    ],
)
def test_type_uuid_label_and_size_are_those_of_the_tools(tmp_path: Path, label: str | None, options: list[str]) -> None:
    path = make(tmp_path / "disk", *(["-l", label] if label else []), *options)
    found = agreed(FILESYSTEM, path)
    assert (found.type, found.uuid, found.label, found.size) == ("f2fs", UUID, label, SIZE)
    assert not found.problems


def test_wrong_checksum_names_the_file_system_and_tells(tmp_path: Path) -> None:
    data = bytearray(make(tmp_path / "disk", "-O", "extra_attr,sb_checksum", "-l", "torn").read_bytes()[:8192])
    data[1024 + 0x2C] ^= 1  # section_count
    found = ask(FILESYSTEM, Memory(bytes(data)))
    assert found is not None
    assert (found.type, found.uuid, found.label, found.size) == ("f2fs", UUID, "torn", SIZE)
    assert [(problem.code, problem.offset) for problem in found.problems] == [("superblock-invalid", 1024 + 3068)]


def superblock(**fields: object) -> bytes:
    values: dict[str, object] = dict.fromkeys((field.name for field in SUPERBLOCK.subcons if field.name), 0)
    values |= {"magic": b"\x10\x20\xf5\xf2", "major_ver": 1, "minor_ver": 16, "log_blocksize": 12, "block_count": 1000}
    values |= {"uuid": bytes(range(16)), "volume_name": "built".encode("utf-16-le").ljust(1024, b"\0"), **fields}
    built: bytes = SUPERBLOCK.build(values).ljust(3072, b"\0")
    if fields.get("checksum_offset") == 3068:  # zlib inverts the register before and after, F2FS does not
        register = zlib.crc32(built[:3068], 0xF2F52010 ^ 0xFFFFFFFF) ^ 0xFFFFFFFF
        built = built[:3068] + register.to_bytes(4, "little")
    return bytes(1024) + built


def test_built_superblock_is_read() -> None:
    found = ask(FILESYSTEM, Memory(superblock()))
    assert found is not None
    assert (found.uuid, found.label, found.size) == ("00010203-0405-0607-0809-0a0b0c0d0e0f", "built", 4096000)


def test_version_1_0_has_only_a_type() -> None:
    found = ask(FILESYSTEM, Memory(superblock(minor_ver=0)))
    assert found is not None
    assert (found.type, found.uuid, found.label, found.size) == ("f2fs", None, None, None)


@pytest.mark.parametrize(
    ("fields", "offset"),
    [
        ({"log_blocksize": 11}, 0x10),
        ({"log_blocksize": 17}, 0x10),
        ({"log_blocksize": 0xFFFFFFFF}, 0x10),
        ({"block_count": (1 << 40) + 1}, 0x24),
        ({"checksum_offset": 3066}, 0x20),
        ({"checksum_offset": 3072}, 0x20),
        ({"checksum_offset": 0xFFFFFFFC}, 0x20),
    ],
)
def test_impossible_field_is_a_problem(fields: dict[str, int], offset: int) -> None:
    found = ask(FILESYSTEM, Memory(superblock(**fields)))
    assert found is not None
    assert [(problem.code, problem.offset) for problem in found.problems] == [("superblock-invalid", 1024 + offset)]
    assert (found.size is None) == (offset != 0x20)


def test_half_a_surrogate_pair_is_shown_as_its_bytes() -> None:
    found = ask(FILESYSTEM, Memory(superblock(volume_name=b"a\x00\x00\xd8b\x00".ljust(1024, b"\0"))))
    assert found is not None
    assert found.label == "a\\xed\\xa0\\x80b"


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 3071), st.integers(0, 255))
def test_any_changed_byte_stays_within_the_protocol(position: int, value: int) -> None:
    data = bytearray(superblock(checksum_offset=3068))
    data[1024 + position] = value
    stays_within_protocol(FILESYSTEM, bytes(data))


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=2048))
def test_any_bytes_stay_within_the_protocol(data: bytes) -> None:
    stays_within_protocol(FILESYSTEM, data)
    stays_within_protocol(FILESYSTEM, bytes(1024) + b"\x10\x20\xf5\xf2" + data)
