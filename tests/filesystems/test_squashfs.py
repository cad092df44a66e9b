"""SquashFS, against mksquashfs and blkid."""

import random
import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from preflight.filesystems.squashfs import FILESYSTEM, SUPERBLOCK_3_BIG, SUPERBLOCK_3_LITTLE
from preflight.source import Memory
from preflight.units import KiB
from tests.filesystems.blkid import blkid
from tests.filesystems.reading import agreed, ask, ask_file, stays_within_protocol
from tests.tools import run


@pytest.mark.parametrize("options", [["-comp", "gzip"], ["-comp", "zstd", "-b", "1M"], ["-comp", "xz", "-nopad"]])
def test_type_and_size_are_those_of_the_tools(tmp_path: Path, options: list[str]) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "file").write_bytes(random.Random(1).randbytes(4096))  # blkid looks at no image of 1024 bytes or less
    path = tmp_path / "disk"
    run("mksquashfs", tree, path, "-quiet", "-no-progress", *options)
    found = agreed(FILESYSTEM, path)
    printed = run("unsquashfs", "-s", path)
    assert found.type == "squashfs"
    assert f"Filesystem size {found.size} bytes" in printed
    if "-nopad" in options:
        assert found.size == path.stat().st_size


def old(little: bool, major: int, **fields: int) -> bytes:
    layout = SUPERBLOCK_3_LITTLE if little else SUPERBLOCK_3_BIG
    values = {"s_magic": b"hsqs" if little else b"sqsh", "inodes": 1, "bytes_used_2": 1111, "s_minor": 0}
    built: bytes = layout.build({**values, "s_major": major, "bytes_used": 3333, **fields})
    return built.ljust(8 * KiB, b"\0")


@pytest.mark.parametrize("little", [True, False])
@pytest.mark.parametrize(("major", "size"), [(1, 1111), (2, 1111), (3, 3333)])
def test_older_versions_are_squashfs3(tmp_path: Path, little: bool, major: int, size: int) -> None:
    path = tmp_path / "disk"
    path.write_bytes(old(little, major))
    found = agreed(FILESYSTEM, path)
    assert (found.type, found.size) == ("squashfs3", size)


def test_version_4_in_big_endian_is_neither(tmp_path: Path) -> None:
    path = tmp_path / "disk"
    path.write_bytes(old(little=False, major=4))
    assert ask_file(FILESYSTEM, path) is None
    assert "TYPE" not in blkid(path)


def test_size_beyond_what_a_system_addresses_is_a_problem() -> None:
    found = ask(FILESYSTEM, Memory(old(little=True, major=3, bytes_used=1 << 63)))
    assert found is not None
    assert found.size is None
    assert [(problem.code, problem.offset) for problem in found.problems] == [("superblock-invalid", 63)]
    four = b"hsqs" + bytes(24) + struct.pack("<HHQQ", 4, 0, 0, 1 << 63) + bytes(48)
    found = ask(FILESYSTEM, Memory(four))
    assert found is not None
    assert (found.type, found.size) == ("squashfs", None)
    assert [(problem.code, problem.offset) for problem in found.problems] == [("superblock-invalid", 40)]


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=96), st.booleans())
def test_any_bytes_stay_within_the_protocol(data: bytes, little: bool) -> None:
    stays_within_protocol(FILESYSTEM, data)
    stays_within_protocol(FILESYSTEM, (b"hsqs" if little else b"sqsh") + data)
