"""The file systems of UNIX System V, built, and BFS from mkfs.bfs; all read by blkid."""

from pathlib import Path

import pytest
from construct import Struct
from hypothesis import given, settings

from preflight.filesystems.sysv import FILESYSTEM, SYSV_BE, SYSV_LE, XENIX_BE, XENIX_LE
from preflight.units import KiB, MiB
from tests.filesystems.building import agreed_on, build, change, found, hostile, join, read, stays_within_protocol
from tests.filesystems.reading import agreed
from tests.tools import require, run, sparse

SIZE = 1 * MiB


def sysv(layout: Struct = SYSV_LE, **fields: object) -> bytes:
    values = {"s_fsize": 900, "s_fname": b"root\0\0", "s_fpack": b"pack\0\0", "s_magic": 0xFD187E20, "s_type": 2}
    return build(layout, **{**values, **fields})


def xenix(layout: Struct = XENIX_LE) -> bytes:
    return build(layout, s_fsize=900, s_fname=b"usr   ", s_magic=0x2B5544, s_type=1)


def test_bfs_is_what_its_mkfs_made(tmp_path: Path) -> None:
    require("mkfs.bfs")
    run("mkfs.bfs", "-V", "volume", "-F", "name", path := sparse(tmp_path / "disk", SIZE))
    superblock = agreed(FILESYSTEM, path)
    assert (superblock.type, superblock.label, superblock.size) == ("bfs", None, SIZE)


@pytest.mark.parametrize("layout", [SYSV_LE, SYSV_BE], ids=["little", "big"])
@pytest.mark.parametrize("block", [0, 9, 15, 18])
def test_sysv_is_found_at_each_place(tmp_path: Path, block: int, layout: Struct) -> None:
    superblock = agreed_on(FILESYSTEM, tmp_path / "disk", join((block * KiB + 512, sysv(layout))), SIZE)
    assert (superblock.type, superblock.uuid, superblock.label) == ("sysv", None, "root")
    assert superblock.size == 900 * 1024


@pytest.mark.parametrize(("s_type", "size"), [(1, 900 * 512), (3, 900 * 2048), (0, None), (4, None)])
def test_size_is_known_where_the_block_size_is(s_type: int, size: int | None) -> None:
    assert found(FILESYSTEM, join((512, sysv(s_type=s_type))), SIZE).size == size


@pytest.mark.parametrize("layout", [XENIX_LE, XENIX_BE], ids=["little", "big"])
def test_xenix_is_found_where_the_kernel_looks(layout: Struct) -> None:
    superblock = found(FILESYSTEM, join((1024, xenix(layout))), SIZE)
    assert (superblock.type, superblock.label, superblock.size) == ("xenix", "usr", 900 * 512)


@pytest.mark.parametrize(
    ("layout", "magic"), [(XENIX_LE, b"\x44\x55\x2b"), (XENIX_BE, b"\x2b\x55\x44")], ids=["little", "big"]
)
def test_xenix_is_found_where_blkid_looks(tmp_path: Path, layout: Struct, magic: bytes) -> None:
    data = change(join((1024, xenix(layout))), 2040, bytes(4)) + magic
    assert agreed_on(FILESYSTEM, tmp_path / "disk", data, SIZE).label == "usr"


def test_zeros_are_none() -> None:
    assert read(FILESYSTEM, b"", SIZE) is None


@settings(max_examples=100, deadline=None)
@given(hostile((512, sysv())) | hostile((1024, xenix())) | hostile((0, b"\xce\xfa\xad\x1b\0\2\0\0\xff\xff\0\0")))
def test_any_bytes_stay_within_the_protocol(data: bytes) -> None:
    stays_within_protocol(FILESYSTEM, data)
