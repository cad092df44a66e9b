"""Group descriptors, the root directory and the journal of ext file systems: damaged, and what e2fsck says of each."""

from pathlib import Path
from typing import NamedTuple

import pytest

from preflight.binary import crc32c
from preflight.errors import ReadFailed
from preflight.facts import Problem
from preflight.filesystems.ext import FILESYSTEM
from preflight.source import Memory
from preflight.units import KiB, MiB
from tests.filesystems.reading import ask_file
from tests.tools import run, sparse

BLOCK = KiB
DESCRIPTORS = 2 * BLOCK  # behind the boot sector's block and the superblock's
KINDS = {
    "ext2": ("-t", "ext2"),
    "ext3": ("-t", "ext3"),
    "uninit_bg": ("-t", "ext4", "-O", "uninit_bg,^metadata_csum,^64bit"),
    "ext4": ("-t", "ext4"),
}


class Disk(NamedTuple):
    """A sound file system of 16 MiB, and where things lie on it."""

    data: bytes
    root: int
    """Byte of inode 2."""
    journal: int
    """Byte of inode 8."""
    journal_superblock: int


@pytest.fixture(scope="module")
def disks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Disk]:
    return {kind: _disk(tmp_path_factory.mktemp("ext") / "disk", options) for kind, options in KINDS.items()}


def _disk(path: Path, options: tuple[str, ...]) -> Disk:
    run("mke2fs", "-q", "-F", "-b", "1024", "-I", "256", *options, sparse(path, 16 * MiB))
    words = run("debugfs", "-R", "imap <1>", path).split()  # … located at block 66, offset 0x0000
    table = int(words[words.index("located") + 3].rstrip(",")) * BLOCK
    log = run("debugfs", "-R", "bmap <8> 0", path).split()
    return Disk(path.read_bytes(), table + 256, table + 7 * 256, int(log[-1] if log else 0) * BLOCK)


def told(path: Path) -> tuple[Problem, ...]:
    found = ask_file(FILESYSTEM, path)
    assert found is not None
    return found.problems


def problems(path: Path, data: bytes, *changes: tuple[int, bytes]) -> tuple[Problem, ...]:
    """What is told of the disk with these changes."""
    built = bytearray(data)
    for offset, content in changes:
        built[offset : offset + len(content)] = content
    with sparse(path, len(built)).open("r+b") as file:
        for start in range(0, len(built), 64 * KiB):
            if any(part := built[start : start + 64 * KiB]):
                file.seek(start)
                file.write(part)
    return told(path)


def refused(path: Path) -> None:
    """Assert that e2fsck finds errors (4 where they are left, 8 where it gives up), or needs the backup descriptors."""
    printed = run("e2fsck", "-f", "-n", path, ok=(0, 4, 8, 12))
    if "trying backup blocks" not in printed:
        run("e2fsck", "-f", "-n", path, ok=(4, 8, 12))


def word(value: int, size: int = 4) -> bytes:
    return value.to_bytes(size, "little")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("field", [0, 4, 8])
@pytest.mark.parametrize("value", [0, 2, 0xFFFF_FFFF])
def test_a_descriptor_that_leads_elsewhere_is_told(
    tmp_path: Path, disks: dict[str, Disk], kind: str, field: int, value: int
) -> None:
    path = tmp_path / "disk"
    found = problems(path, disks[kind].data, (DESCRIPTORS + field, word(value)))
    assert [(one.code, one.where) for one in found] == [("superblock-invalid", "ext group descriptors")]
    refused(path)


@pytest.mark.parametrize("kind", ["ext4", "uninit_bg"])
def test_a_wrong_checksum_of_a_descriptor_is_told(tmp_path: Path, disks: dict[str, Disk], kind: str) -> None:
    size = {"ext4": 64, "uninit_bg": 32}[kind]
    for group in (0, 1):
        place = DESCRIPTORS + group * size
        free = int.from_bytes(disks[kind].data[place + 0xC : place + 0xE], "little")
        found = problems(tmp_path / "disk", disks[kind].data, (place + 0xC, word(free ^ 1, 2)))
        assert [(one.code, one.offset) for one in found] == [("superblock-invalid", place + 0x1E)]
        refused(tmp_path / "disk")


def test_a_bitmap_on_another_one_is_told(tmp_path: Path, disks: dict[str, Disk]) -> None:
    block = disks["ext2"].data[DESCRIPTORS + 4 : DESCRIPTORS + 8]
    found = problems(tmp_path / "disk", disks["ext2"].data, (DESCRIPTORS, block))
    assert "inside of" in found[0].message
    refused(tmp_path / "disk")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("field", "value"), [(0x0, word(0x81ED, 2)), (0x1A, bytes(2)), (0x4, bytes(4)), (0x28, word(0xFFFF_FFF0))]
)
def test_a_root_directory_that_is_none_is_told(
    tmp_path: Path, disks: dict[str, Disk], kind: str, field: int, value: bytes
) -> None:
    found = problems(tmp_path / "disk", disks[kind].data, (disks[kind].root + field, value))
    assert [(one.code, one.where) for one in found] == [("superblock-invalid", "ext inode 2")]
    refused(tmp_path / "disk")


def test_a_root_directory_with_the_flag_of_attributes_is_told(tmp_path: Path, disks: dict[str, Disk]) -> None:
    flags = int.from_bytes(disks["ext3"].data[disks["ext3"].root + 0x20 :][:4], "little")
    for flag in (0x200000, 0x10):  # EA_INODE, which Linux refuses and e2fsck takes away; IMMUTABLE, which is legal
        found = problems(tmp_path / "disk", disks["ext3"].data, (disks["ext3"].root + 0x20, word(flags | flag)))
        assert [(one.where, one.offset) for one in found] == (
            [("ext inode 2", disks["ext3"].root + 0x20)] if flag == 0x200000 else []
        )


@pytest.mark.parametrize("kind", ["ext3", "uninit_bg", "ext4"])
@pytest.mark.parametrize(("field", "value"), [(0x0, word(0x41ED, 2)), (0x1A, bytes(2)), (0x28, word(0xFFFF_FFF0))])
def test_an_inode_of_a_journal_that_is_none_is_told(
    tmp_path: Path, disks: dict[str, Disk], kind: str, field: int, value: bytes
) -> None:
    found = problems(tmp_path / "disk", disks[kind].data, (disks[kind].journal + field, value))
    assert [(one.code, one.where) for one in found] == [("superblock-invalid", "ext inode 8")]
    if kind == "ext4" or field != 0x1A:  # without checksums e2fsck does not mind a journal without links; Linux does
        refused(tmp_path / "disk")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        (0x00, 0x12345678),  # h_magic
        (0x04, 5),  # h_blocktype
        (0x0C, 4096),  # s_blocksize
        (0x10, 0x7FFF_FFFF),  # s_maxlen
        (0x14, 0),  # s_first
        (0x28, 0x40),  # s_feature_incompat
        (0x28, 0x18),  # both kinds of checksums
        (0x2C, 1),  # s_feature_ro_compat
    ],
)
def test_a_damaged_journal_is_told(tmp_path: Path, disks: dict[str, Disk], field: int, value: int) -> None:
    disk = disks["ext3"]
    found = problems(tmp_path / "disk", disk.data, (disk.journal_superblock + field, value.to_bytes(4, "big")))
    assert [(one.code, one.where) for one in found] == [("superblock-invalid", "jbd2 superblock")]
    assert found[0].offset == disk.journal_superblock + field
    if field not in (0x04, 0x14):  # which e2fsck looks at only where there is something to replay
        refused(tmp_path / "disk")


@pytest.mark.parametrize("number", [0, 7, 9, 100_000])
def test_a_superblock_that_names_no_journal_is_told(tmp_path: Path, disks: dict[str, Disk], number: int) -> None:
    found = problems(tmp_path / "disk", disks["ext3"].data, (1024 + 0xE0, word(number)))
    assert [one.code for one in found] == ["superblock-invalid"]
    refused(tmp_path / "disk")


def test_a_journal_on_another_device_is_told_without_calling_it_damaged(tmp_path: Path, disks: dict[str, Disk]) -> None:
    changes = (1024 + 0xE0, word(0)), (1024 + 0xE4, word(0x801))
    (found,) = problems(tmp_path / "disk", disks["ext3"].data, *changes)
    assert (found.code, found.offset) == ("superblock-irregular", 1024 + 0xE4)


@pytest.mark.parametrize("checksums", ["metadata_csum", "^metadata_csum"])
@pytest.mark.parametrize(
    ("field", "value", "told_at"),
    [
        (0x0, 0x4D4D51, 0x0),
        (0x3FC, 1, 0x3FC),
        (0x4, 0xE24D4D50, 0x4),  # EXT4_MMP_SEQ_FSCK
        (0x4, 0xE24D4CFF, None),  # the highest number of a host that has mounted it
    ],
)
def test_a_damaged_mmp_block_is_told(
    tmp_path: Path, checksums: str, field: int, value: int, told_at: int | None
) -> None:
    path = sparse(tmp_path / "disk", 16 * MiB)
    run("mke2fs", "-q", "-F", "-t", "ext4", "-b", str(BLOCK), "-O", f"mmp,{checksums}", path)
    data = path.read_bytes()
    assert told(path) == ()
    block = int.from_bytes(data[1024 + 0x168 :][:8], "little") * BLOCK
    found = problems(path, data, (block + field, word(value)))
    if checksums == "metadata_csum" and field == 0x4:
        told_at = 0x3FC
    if checksums == "^metadata_csum" and field == 0x3FC:
        told_at = None
    expected = [] if told_at is None else [("superblock-invalid", "ext mmp block", block + told_at)]
    assert [(one.code, one.where, one.offset) for one in found] == expected


def test_a_journal_that_extents_of_depth_1_lead_to_is_found(tmp_path: Path, disks: dict[str, Disk]) -> None:
    disk = disks["uninit_bg"]
    leaf = 16 * MiB - BLOCK  # no one's
    tree = disk.data[disk.journal + 0x28 : disk.journal + 0x28 + 60]
    header = tree[:4] + word(84, 2) + tree[6:8] + bytes(4)
    index = word(0xF30A, 2) + word(1, 2) + word(4, 2) + word(1, 2) + bytes(4) + bytes(4) + word(leaf // BLOCK)
    changes = (leaf, header + tree[12:60]), (disk.journal + 0x28, index.ljust(60, b"\0"))
    assert problems(tmp_path / "disk", disk.data, *changes) == ()
    (found,) = problems(tmp_path / "disk", disk.data, *changes, (leaf, bytes(12)))
    assert (found.where, "cannot be found" in found.message) == ("ext inode 8", True)


def test_errors_that_linux_met_are_told_without_calling_it_damaged(tmp_path: Path, disks: dict[str, Disk]) -> None:
    found = problems(tmp_path / "disk", disks["ext3"].data, (1024 + 0x3A, word(3, 2)))
    assert [(one.code, one.offset) for one in found] == [("superblock-irregular", 1024 + 0x3A)]


def test_a_feature_that_only_writing_needs_is_told_without_calling_it_damaged(tmp_path: Path) -> None:
    path = sparse(tmp_path / "disk", 16 * MiB)
    run("mke2fs", "-q", "-F", "-t", "ext4", path)
    run("tune2fs", "-O", "read-only", path)
    assert [(one.code, one.offset) for one in told(path)] == [("superblock-irregular", 1024 + 0x64)]


def test_a_uuid_changed_by_hand_breaks_the_checksums(tmp_path: Path, disks: dict[str, Disk]) -> None:
    superblock = bytearray(disks["ext4"].data[1024:2048])
    superblock[0x68] ^= 1
    superblock[0x3FC:] = word(crc32c(bytes(superblock[:0x3FC])))
    found = problems(tmp_path / "disk", disks["ext4"].data, (1024, bytes(superblock)))
    assert [one.offset for one in found] == [DESCRIPTORS + 0x1E]


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_system_cut_short_is_no_matter_of_its_descriptors(
    tmp_path: Path, disks: dict[str, Disk], kind: str
) -> None:
    assert problems(tmp_path / "disk", disks[kind].data[: 2 * KiB]) == ()


@pytest.mark.parametrize(
    "options",
    [
        ("-t", "ext3", "-b", "1024"),
        ("-t", "ext4", "-b", "1024", "-O", "^metadata_csum,uninit_bg"),
        ("-t", "ext4", "-b", "1024", "-O", "^metadata_csum,uninit_bg,^64bit"),
        ("-t", "ext4", "-b", "4096", "-J", "size=4", "-O", "fast_commit"),
        ("-t", "ext4", "-b", "1024", "-O", "^flex_bg,^resize_inode"),
        ("-t", "ext4", "-b", "1024", "-O", "metadata_csum_seed,inline_data,quota,project,orphan_file"),
        ("-t", "ext4", "-b", "1024", "-O", "encrypt,casefold,mmp,large_dir,ea_inode,verity"),
        ("-t", "ext4", "-b", "1024", "-E", "num_backup_sb=1", "-O", "sparse_super2,^resize_inode"),
    ],
    ids=" ".join,
)
def test_what_mke2fs_makes_has_no_problem(tmp_path: Path, options: tuple[str, ...]) -> None:
    path = sparse(tmp_path / "disk", 40 * MiB)
    run("mke2fs", "-q", "-F", *options, path)
    assert told(path) == ()


def test_a_file_system_of_many_groups_has_no_problem(tmp_path: Path) -> None:
    path = sparse(tmp_path / "disk", 40 * 1024 * MiB)
    run("mke2fs", "-q", "-F", "-t", "ext4", "-E", "lazy_itable_init=1,lazy_journal_init=1", path)
    assert told(path) == ()


class Broken:
    """A source whose bytes from `start` on the host fails to deliver."""

    def __init__(self, parent: Memory, start: int) -> None:
        self._parent = parent
        self._start = start

    @property
    def size(self) -> int:
        return self._parent.size

    def read_at(self, offset: int, size: int) -> bytes:
        if offset + size > self._start:
            raise ReadFailed("the file", offset, "Input/output error")
        return self._parent.read_at(offset, size)


@pytest.mark.parametrize("start", [DESCRIPTORS, 100 * KiB])
def test_what_is_out_of_reach_hides_no_superblock(disks: dict[str, Disk], start: int) -> None:
    found = FILESYSTEM.read(Broken(Memory(disks["ext4"].data), start))
    assert found is not None
    assert (found.type, found.size, found.problems) == ("ext4", 16 * MiB, ())
