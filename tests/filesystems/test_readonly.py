"""cramfs, romfs and EROFS, against their mkfs and blkid."""

from pathlib import Path

import pytest
from hypothesis import given, settings

from preflight.binary import crc32c
from preflight.filesystems.readonly import CRAMFS_BE, CRAMFS_LE, EROFS, FILESYSTEM, ROMFS
from preflight.units import KiB, MiB
from tests.filesystems.building import (
    agreed_on,
    build,
    change,
    damage,
    found,
    hostile,
    join,
    read,
    stays_within_protocol,
)
from tests.filesystems.reading import agreed
from tests.tools import require, run

CRAMFS_FIELDS: dict[str, object] = {"magic": 0x28CD3D45, "size": 1 * MiB, "name": b"built".ljust(16, b"\0")}


@pytest.fixture
def files(tmp_path: Path) -> Path:
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "text").write_text("some text\n" * 500)
    return folder


def erofs(blkszbits: int = 12, *, checksum: bool = True, **fields: object) -> bytes:
    values: dict[str, object] = {
        "magic": b"\xe2\xe1\xf5\xe0",
        "feature_compat": int(checksum),
        "blkszbits": blkszbits,
        "blocks": 100,
        "uuid": bytes(range(16)),
        "volume_name": b"sixteen bytes :)",
    }
    block = build(EROFS, **{**values, **fields}).ljust(max((1 << blkszbits) - 1024, 1024), b"\0")
    if checksum:
        covered = block[: (1 << blkszbits) - 1024] if blkszbits > 10 else block[: 1 << blkszbits]
        block = change(block, 4, crc32c(covered).to_bytes(4, "little"))
    return join((1024, block))


@pytest.mark.parametrize("endian", ["little", "big"])
def test_cramfs_is_what_its_mkfs_made(tmp_path: Path, files: Path, endian: str) -> None:
    require("mkfs.cramfs")
    run("mkfs.cramfs", "-N", endian, "-n", "cram label", files, tmp_path / "disk")
    superblock = agreed(FILESYSTEM, tmp_path / "disk")
    size = (tmp_path / "disk").stat().st_size
    assert (superblock.type, superblock.label, superblock.size) == ("cramfs", "cram label", size)
    assert superblock.problems == ()
    torn = change((tmp_path / "disk").read_bytes(), size - 1, b"\xff")
    assert damage(found(FILESYSTEM, torn)) == [("superblock-invalid", 32)]


@pytest.mark.parametrize("layout", [CRAMFS_LE, CRAMFS_BE], ids=["little", "big"])
def test_cramfs_without_or_beyond_its_crc_is_not_verified(tmp_path: Path, layout: object) -> None:
    for flags in (0, 1):
        data = build(layout, **{**CRAMFS_FIELDS, "flags": flags})
        superblock = agreed_on(FILESYSTEM, tmp_path / f"disk{flags}", data, 1 * MiB)
        assert (superblock.label, superblock.size, superblock.problems) == ("built", 1 * MiB, ())


def test_romfs_is_what_genromfs_made(tmp_path: Path, files: Path) -> None:
    require("genromfs")
    run("genromfs", "-d", files, "-V", "rom label", "-f", tmp_path / "disk")
    superblock = agreed(FILESYSTEM, tmp_path / "disk")
    data = (tmp_path / "disk").read_bytes()
    assert (superblock.type, superblock.label, superblock.problems) == ("romfs", "rom label", ())
    assert superblock.size is not None
    assert 0 <= len(data) - superblock.size < 1024  # genromfs fills up to a block
    assert damage(found(FILESYSTEM, change(data, 16, b"R"))) == [("superblock-invalid", 12)]


def test_romfs_may_be_shorter_than_what_its_checksum_covers(tmp_path: Path) -> None:
    data = build(ROMFS, word0_1=b"-rom1fs-", size=32, name=b"tiny".ljust(16, b"\0"))
    total = sum(int.from_bytes(data[place : place + 4], "big") for place in range(0, 32, 4))
    data = change(data, 12, (-total & 0xFFFFFFFF).to_bytes(4, "big"))
    superblock = agreed_on(FILESYSTEM, tmp_path / "disk", data, 4 * KiB)
    assert (superblock.label, superblock.size, superblock.problems) == ("tiny", 32, ())


def test_erofs_is_what_its_mkfs_made(tmp_path: Path, files: Path) -> None:
    require("mkfs.erofs")
    uuid = "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0"
    run("mkfs.erofs", "-U", uuid, tmp_path / "disk", files)
    superblock = agreed(FILESYSTEM, tmp_path / "disk")
    size = (tmp_path / "disk").stat().st_size
    assert (superblock.type, superblock.uuid, superblock.size) == ("erofs", uuid, size)
    assert superblock.problems == ()
    torn = change((tmp_path / "disk").read_bytes(), 1024 + 40, b"\xff")
    assert damage(found(FILESYSTEM, torn)) == [("superblock-invalid", 1028)]


@pytest.mark.parametrize("blkszbits", [9, 10, 11, 12, 16])
def test_erofs_of_every_block_size_is_verified(blkszbits: int) -> None:
    superblock = found(FILESYSTEM, erofs(blkszbits), 128 * KiB)
    assert (superblock.label, superblock.size) == ("sixteen bytes :)", 100 << blkszbits)
    assert superblock.problems == ()


def test_erofs_without_checksum_is_read_as_blkid_reads_it(tmp_path: Path) -> None:
    superblock = agreed_on(FILESYSTEM, tmp_path / "disk", erofs(checksum=False), 1 * MiB)
    assert (superblock.uuid, superblock.problems) == ("00010203-0405-0607-0809-0a0b0c0d0e0f", ())


@pytest.mark.parametrize("blkszbits", [0, 8, 17, 255])
def test_erofs_with_an_impossible_block_size_is_none(blkszbits: int) -> None:
    data = change(erofs(), 1024 + 12, bytes([blkszbits]))
    assert read(FILESYSTEM, data, 1 * MiB) is None


@settings(max_examples=150, deadline=None)
@given(
    hostile((1024, erofs()[1024:1200]))
    | hostile((0, build(CRAMFS_LE, **{**CRAMFS_FIELDS, "flags": 1, "size": 64})))
    | hostile((0, build(ROMFS, word0_1=b"-rom1fs-", size=32)))
)
def test_any_bytes_stay_within_the_protocol(data: bytes) -> None:
    stays_within_protocol(FILESYSTEM, data)
