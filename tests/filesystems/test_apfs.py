"""APFS, against mkapfs and blkid."""

import struct
from pathlib import Path

import pytest
from hypothesis import given, settings

from preflight.filesystems.apfs import FILESYSTEM, NX_SUPERBLOCK
from preflight.units import GiB, MiB
from tests.filesystems.building import (
    agreed_on,
    build,
    change,
    damage,
    found,
    hostile,
    read,
    stays_within_protocol,
)
from tests.filesystems.reading import agreed
from tests.tools import require, run, sparse


def container(block_size: int = 4096, **fields: object) -> bytes:
    values: dict[str, object] = {
        "o_oid": 1,
        "o_xid": 5,
        "o_type": 1,
        "o_flags": 0x8000,
        "nx_magic": b"NXSB",
        "nx_block_size": block_size,
        "nx_block_count": 300,
        "nx_uuid": bytes(range(16)),
    }
    block = build(NX_SUPERBLOCK, **{**values, **fields}).ljust(4096 if block_size > 65536 else block_size, b"\0")
    low = high = 0
    for (word,) in struct.iter_unpack("<I", block[8:]):  # Fletcher's sums, modulo 2^32 - 1 as they go
        low = (low + word) % 0xFFFFFFFF
        high = (high + low) % 0xFFFFFFFF
    first = 0xFFFFFFFF - (low + high) % 0xFFFFFFFF
    second = 0xFFFFFFFF - (low + first) % 0xFFFFFFFF
    return struct.pack("<II", first, second) + block[8:]


def test_container_is_what_mkapfs_made(tmp_path: Path) -> None:
    require("mkapfs")
    uuid = "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0"
    run("mkapfs", "-U", uuid, path := sparse(tmp_path / "disk", 1 * GiB))
    superblock = agreed(FILESYSTEM, path)
    assert (superblock.type, superblock.uuid, superblock.label) == ("apfs", uuid, None)
    assert (superblock.size, superblock.problems) == (1 * GiB, ())


def test_built_container_is_read_as_blkid_reads_it(tmp_path: Path) -> None:
    superblock = agreed_on(FILESYSTEM, tmp_path / "disk", container(), 4 * MiB)
    assert (superblock.uuid, superblock.size) == ("00010203-0405-0607-0809-0a0b0c0d0e0f", 300 * 4096)
    assert superblock.problems == ()


def test_container_with_larger_blocks_is_read() -> None:
    superblock = found(FILESYSTEM, container(65536), 4 * MiB)
    assert (superblock.size, superblock.problems) == (300 * 65536, ())


def test_wrong_checksum_is_told() -> None:
    superblock = found(FILESYSTEM, change(container(), 4000, b"x"), 4 * MiB)
    assert (superblock.type, damage(superblock)) == ("apfs", [("superblock-invalid", 0)])


@pytest.mark.parametrize(
    "fields",
    [{"o_type": 2}, {"o_subtype": 1}, {"nx_block_size": 2048}, {"nx_block_size": 131072}, {"nx_block_size": 0}],
)
def test_another_object_or_block_size_is_none(fields: dict[str, object]) -> None:
    assert read(FILESYSTEM, container(**{"block_size": 4096, **fields}), 4 * MiB) is None  # type: ignore[arg-type]


def test_impossible_size_is_told() -> None:
    superblock = found(FILESYSTEM, container(nx_block_count=1 << 52), 4 * MiB)
    assert (superblock.size, damage(superblock)) == (None, [("superblock-invalid", 40)])


@settings(max_examples=100, deadline=None)
@given(hostile((0, container()[:96])))
def test_any_bytes_stay_within_the_protocol(data: bytes) -> None:
    stays_within_protocol(FILESYSTEM, data, 64 * 1024)
