"""Superblocks of XFS that blkid names and no kernel mounts, and what they lead to; against xfs_repair."""

from pathlib import Path
from typing import NamedTuple

import pytest

from preflight.binary import crc32c
from preflight.facts import Problem
from preflight.filesystems import xfs
from preflight.units import GiB, MiB
from tests.filesystems.reading import ask_file
from tests.tools import run, sparse

SIZE = 320 * MiB
OFFSETS: dict[str, tuple[int, int]] = {}
_at = 0
for _field in xfs.SUPERBLOCK.subcons:
    OFFSETS[_field.name] = (_at, _field.sizeof())
    _at += _field.sizeof()

# Of a file system in four groups of 20480 blocks, without real-time part and stripes: values that Linux refuses
# (fs/xfs/libxfs/xfs_sb.c, fs/xfs/xfs_mount.c), each tried with a kernel of version 6.18.
REFUSED = {
    "sb_rblocks": (1, 1 << 40),
    "sb_rextents": (1,),
    "sb_rbmblocks": (1,),
    "sb_rextslog": (1, 255),
    "sb_frextents": (1,),
    "sb_logstart": (0x8000, 0x1_0000_0000, 0x10000, 0x14F00),
    "sb_logblocks": (0, 0x4FFE, 0xFFFF_FFFF),
    "sb_rootino": (0, 7, 0x1FF_FFF8, 0xFFFF_FFFF_FFFF_FFFF),
    "sb_inopblock": (0, 7, 32),
    "sb_agblklog": (0, 14, 16, 255),
    "sb_inprogress": (1, 255),
    "sb_dirblklog": (5, 255),
    "sb_shared_vn": (1,),
    "sb_unit": (1, 16),
    "sb_width": (1, 16),
    "sb_logsectlog": (9,),
    "sb_logsectsize": (512,),
    "sb_logsunit": (513, 0x80000),
    "sb_versionnum": (0xA4A0, 0xB4A3, 0xB6A5),
    "sb_features2": (0x0101, 0x058A),
}
REFUSED_5 = {
    "sb_logblocks": (1, 511, (1 << 20) + 1),
    "sb_rootino": (129,),
    "sb_qflags": (0x10, 0x20),
    "sb_inoalignmt": (0, 1, 16),
    "sb_spino_align": (0, 1, 8),
    "sb_features_incompat": (0x80000003, 0x0803),
}
REFUSED_4 = {"sb_qflags": (0x80, 0x100, 0x200, 0x400), "sb_features2": (0x100,), "sb_versionnum": (0x94A4, 0xA4A4)}


class Disk(NamedTuple):
    path: Path
    head: bytes
    """The first 4 KiB."""
    version: int
    root: int
    """Byte of the root directory's inode."""


@pytest.fixture(scope="module", params=["5", "4"])
def disk(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Disk:
    path = sparse(tmp_path_factory.mktemp("xfs") / "disk", SIZE)
    crc = "crc=1" if request.param == "5" else "crc=0"
    run("mkfs.xfs", "-q", "-f", "-m", crc, "-d", f"agsize={80 * MiB}", "-l", f"size={64 * MiB}", path)
    with path.open("rb") as file:
        head = file.read(4096)
    number = int.from_bytes(head[0x38:0x40], "big")
    return Disk(path, head, int(request.param), number * int.from_bytes(head[0x68:0x6A], "big"))


def head_with(disk: Disk, *changes: tuple[int, bytes]) -> bytes:
    """The first 4 KiB with these changes, and a checksum that fits."""
    head = bytearray(disk.head)
    for offset, data in changes:
        head[offset : offset + len(data)] = data
    if disk.version == 5:
        head[0xE0:0xE4] = bytes(4)
        head[0xE0:0xE4] = (crc32c(bytes(head[:512])) ^ 0xFFFFFFFF).to_bytes(4, "little")
    return bytes(head)


def told(disk: Disk, *changes: tuple[int, bytes]) -> tuple[Problem, ...]:
    """The problems with these changes of the first 4 KiB, which are undone."""
    return with_bytes(disk, 0, head_with(disk, *changes))


def with_bytes(disk: Disk, offset: int, data: bytes) -> tuple[Problem, ...]:
    with disk.path.open("r+b") as file:
        file.seek(offset)
        before = file.read(len(data))
        file.seek(offset)
        file.write(data)
    try:
        found = ask_file(xfs.FILESYSTEM, disk.path)
    finally:
        with disk.path.open("r+b") as file:
            file.seek(offset)
            file.write(before)
    assert found is not None
    return found.problems


def field(disk: Disk, name: str, value: int) -> tuple[Problem, ...]:
    offset, size = OFFSETS[name]
    return told(disk, (offset, value.to_bytes(size, "big")))


@pytest.mark.parametrize(("name", "value"), [(name, value) for name in REFUSED for value in REFUSED[name]])
def test_a_superblock_that_linux_refuses_is_told(disk: Disk, name: str, value: int) -> None:
    assert [one.code for one in field(disk, name, value)] == ["superblock-invalid"]


@pytest.mark.parametrize(("name", "value"), [(name, value) for name in REFUSED_5 for value in REFUSED_5[name]])
def test_a_superblock_of_version_5_that_linux_refuses_is_told(disk: Disk, name: str, value: int) -> None:
    if disk.version == 5:
        assert [one.code for one in field(disk, name, value)] == ["superblock-invalid"]


@pytest.mark.parametrize(("name", "value"), [(name, value) for name in REFUSED_4 for value in REFUSED_4[name]])
def test_a_superblock_of_version_4_that_linux_refuses_is_told(disk: Disk, name: str, value: int) -> None:
    if disk.version == 4:
        assert [one.code for one in field(disk, name, value)] == ["superblock-invalid"]


@pytest.mark.parametrize("name", ["sb_rblocks", "sb_agblklog", "sb_inopblock", "sb_rootino", "sb_unit"])
def test_xfs_repair_finds_fault_with_them_too(disk: Disk, tmp_path: Path, name: str) -> None:
    path = tmp_path / "disk"
    run("cp", "--sparse=always", disk.path, path)
    offset, size = OFFSETS[name]
    with path.open("r+b") as file:
        file.write(head_with(disk, (offset, REFUSED[name][0].to_bytes(size, "big"))))
    run("xfs_repair", "-n", path, ok=(1,))
    found = ask_file(xfs.FILESYSTEM, path)
    assert found is not None
    assert [one.code for one in found.problems] == ["superblock-invalid"]


@pytest.mark.parametrize("sector", [1, 2])
@pytest.mark.parametrize("place", [0, 4, 8, 12])
def test_a_damaged_header_of_the_first_group_is_told(disk: Disk, sector: int, place: int) -> None:
    (found,) = told(disk, (sector * 512 + place, b"\x7f"))
    assert (found.where, found.offset) == (f"XFS AG{' FI'[sector]} 0", sector * 512 + place)


def test_a_root_directory_that_is_none_is_told(disk: Disk) -> None:
    for place, data in ((0, bytes(2)), (2, (0o100644).to_bytes(2, "big"))):
        (found,) = with_bytes(disk, disk.root + place, data)
        assert (found.where, found.offset) == ("XFS root inode", disk.root)


def test_metadata_of_version_5_whose_checksum_or_uuid_is_wrong_are_told(disk: Disk) -> None:
    if disk.version == 4:
        return
    for start, uuid, crc in ((512, 64, 216), (1024, 296, 312), (disk.root, 160, 100)):
        (found,) = with_bytes(disk, start + crc, b"torn")
        assert found.offset == start + crc
        (found,) = with_bytes(disk, start + uuid, bytes(16))
        assert found.offset == start + uuid


def test_features_that_only_writing_needs_are_told_without_calling_it_damaged(disk: Disk) -> None:
    if disk.version == 5:
        (found,) = field(disk, "sb_features_ro_compat", 0x10)
        assert (found.code, found.offset) == ("superblock-irregular", 0xD4)


def test_an_image_of_the_superblock_alone_is_no_matter_of_its_structures(disk: Disk, tmp_path: Path) -> None:
    path = tmp_path / "disk"
    path.write_bytes(disk.head[:512])
    found = ask_file(xfs.FILESYSTEM, path)
    assert found is not None
    assert found.problems == ()


@pytest.mark.parametrize(
    "options",
    [
        ("-b", "size=1024"),
        ("-b", "size=65536"),
        ("-s", "size=4096"),
        ("-d", "sunit=128,swidth=512"),
        ("-l", "su=32k"),
        ("-i", "size=2048"),
        ("-i", "sparse=0"),
        ("-m", "reflink=0,rmapbt=0,finobt=0"),
        ("-n", "size=65536"),
        ("-n", "version=ci"),
        ("-l", "agnum=1"),
        ("-l", "agnum=0"),
        ("-i", "nrext64=1"),
        ("-r", "extsize=64k"),
        ("-m", "crc=0", "-l", "version=1"),
        ("-m", "crc=0", "-l", "lazy-count=0", "-i", "attr=1,projid32bit=0,size=256"),
        ("-m", "crc=0", "-b", "size=512"),
    ],
    ids=" ".join,
)
def test_an_honest_geometry_has_no_problem(tmp_path: Path, options: tuple[str, ...]) -> None:
    path = sparse(tmp_path / "disk", 2 * GiB)
    run("mkfs.xfs", "-q", "-f", *options, path)
    for _ in range(2):  # as it was made, and with another UUID than its metadata
        found = ask_file(xfs.FILESYSTEM, path)
        assert found is not None
        assert found.problems == ()
        run("xfs_admin", "-U", "generate", path)
