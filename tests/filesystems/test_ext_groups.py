"""Where the group descriptors of ext lead, and the root directory and the journal there, against e2fsck."""

import re
import subprocess
from pathlib import Path

import pytest

from preflight.binary import crc32c
from preflight.errors import ReadFailed
from preflight.filesystems.ext import FILESYSTEM
from preflight.source import Memory
from preflight.units import KiB, MiB
from tests.filesystems.reading import ask_file
from tests.tools import find, require, run, sparse

BLOCK = KiB
DESCRIPTORS = 2 * BLOCK  # with blocks of 1 KiB the superblock is block 1
FAR = b"\xff\xff\xff\x7f"


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """ext4 of 16 MiB in blocks of 1 KiB, with everything that mke2fs gives it by default."""
    path = sparse(tmp_path_factory.mktemp("ext") / "disk", 16 * MiB)
    run("mke2fs", "-q", "-F", "-t", "ext4", "-b", "1024", "-I", "256", path)
    return path


def told_by_debugfs(path: Path, request: str, pattern: str) -> tuple[int, ...]:
    """The numbers that debugfs answers."""
    found = re.search(pattern, run("debugfs", "-R", request, path))
    assert found is not None
    return tuple(int(number, 0) for number in found.groups())


def inode(path: Path, number: int) -> int:
    block, offset = told_by_debugfs(path, f"imap <{number}>", r"block (\d+), offset (0x[0-9a-f]+)")
    return block * BLOCK + offset


def journal(path: Path) -> int:
    return told_by_debugfs(path, "bmap <8> 0", r"(\d+)\n")[0] * BLOCK


def damaged(sound: Path, target: Path, offset: int, data: bytes) -> Path:
    """A copy of the file system with these bytes there, and a superblock whose checksum is right."""
    built = bytearray(sound.read_bytes())
    built[offset : offset + len(data)] = data
    built[2044:2048] = crc32c(bytes(built[1024:2044])).to_bytes(4, "little")
    target.write_bytes(built)
    return target


def found_at(path: Path) -> list[tuple[str, int | None]]:
    found = ask_file(FILESYSTEM, path)
    assert found is not None
    assert {problem.code for problem in found.problems} <= {"superblock-invalid"}
    return [(problem.where, problem.offset) for problem in found.problems]


def assert_e2fsck_refuses(path: Path) -> None:
    require("e2fsck")
    checked = subprocess.run([find("e2fsck") or "", "-fn", str(path)], capture_output=True, check=False)
    assert checked.returncode != 0


@pytest.mark.parametrize(
    ("field", "value"),
    [
        (0x0, FAR),  # bg_block_bitmap
        (0x4, FAR),  # bg_inode_bitmap
        (0x4, b"\1\0\0\0"),  # in the superblock
        (0x8, FAR),  # bg_inode_table
        (0x8, b"\xfc\x3f\0\0"),  # its last blocks are past the end
        (0x20, b"\1\0\0\0"),  # bg_block_bitmap_hi
        (0x40 + 0x4, FAR),  # of the second group
    ],
)
def test_a_descriptor_that_leads_nowhere_is_told_at_its_byte(
    tmp_path: Path, sound: Path, field: int, value: bytes
) -> None:
    path = damaged(sound, tmp_path / "disk", DESCRIPTORS + field, value)
    at = field - 0x20 if field == 0x20 else field  # the low half of the number begins it
    assert found_at(path) == [("ext group descriptors", DESCRIPTORS + at)]
    assert_e2fsck_refuses(path)


def test_a_descriptor_whose_checksum_is_wrong_is_told(tmp_path: Path, sound: Path) -> None:
    # e2fsck -n asks whether to mend it, and still ends with 0; Linux 6 does not mount it for writing.
    path = damaged(sound, tmp_path / "disk", DESCRIPTORS + 0x1E, b"\x12\x34")
    assert found_at(path) == [("ext group descriptors", DESCRIPTORS + 0x1E)]


def test_two_structures_at_one_place_are_told(tmp_path: Path, sound: Path) -> None:
    bitmap = sound.read_bytes()[DESCRIPTORS : DESCRIPTORS + 4]
    path = damaged(sound, tmp_path / "disk", DESCRIPTORS + 8, bitmap)
    found = ask_file(FILESYSTEM, path)
    assert found is not None
    (problem,) = found.problems
    assert problem.offset == DESCRIPTORS + 8
    assert "inside of bg_block_bitmap of group 0" in problem.message
    assert_e2fsck_refuses(path)


@pytest.mark.parametrize(
    ("number", "field", "value"),
    [
        (2, 0x0, b"\xa4\x81"),  # i_mode: a regular file
        (2, 0x0, b"\0\0"),
        (2, 0x4, bytes(4)),  # i_size
        (2, 0x1A, b"\0\0"),  # i_links_count
        (2, 0x7C, b"\x12\x34"),  # the checksum
        (8, 0x0, b"\xed\x41"),  # a directory
        (8, 0x28, b"\0\0"),  # the magic of the extents
        (8, 0x28 + 20, FAR),  # ee_start_lo
    ],
)
def test_a_root_or_journal_that_cannot_be_one_is_told_at_its_byte(
    tmp_path: Path, sound: Path, number: int, field: int, value: bytes
) -> None:
    start = inode(sound, number)
    path = damaged(sound, tmp_path / "disk", start + field, value)
    ((where, offset),) = found_at(path)
    assert where == f"ext inode {number}"
    # What is inside i_block is told as i_block, and behind the checksum, which no longer fits either.
    assert offset in {start + min(field, 0x28), start + field, start + 0x7C}
    assert_e2fsck_refuses(path)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        (0x00, b"\0\0\0\0"),  # h_magic
        (0x04, b"\0\0\0\1"),  # h_blocktype: a descriptor
        (0x0C, b"\0\0\x10\0"),  # s_blocksize
        (0x10, b"\0\1\0\0"),  # s_maxlen
        (0x28, b"\x80\0\0\0"),  # s_feature_incompat
    ],
)
def test_a_journal_that_linux_does_not_load_is_told_at_its_byte(
    tmp_path: Path, sound: Path, field: int, value: bytes
) -> None:
    start = journal(sound)
    path = damaged(sound, tmp_path / "disk", start + field, value)
    expected = start + (0 if field < 8 else field)
    assert found_at(path) == [("jbd2 superblock", expected)]
    assert_e2fsck_refuses(path)


def test_a_journal_that_begins_nowhere_is_told(tmp_path: Path, sound: Path) -> None:
    start = journal(sound)  # e2fsck has no eye for it; Linux 6 does not mount it
    path = damaged(sound, tmp_path / "disk", start + 0x14, bytes(4))
    assert found_at(path) == [("jbd2 superblock", start + 0x14)]


@pytest.mark.parametrize("value", [bytes(4), FAR])
def test_a_superblock_that_names_no_journal_but_has_one_is_told(tmp_path: Path, sound: Path, value: bytes) -> None:
    path = damaged(sound, tmp_path / "disk", 1024 + 0xE0, value)
    assert found_at(path) == [("ext superblock", 1024 + 0xE0)]
    assert_e2fsck_refuses(path)


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
    assert found_at(path) == []


def test_a_file_system_of_many_groups_has_no_problem(tmp_path: Path) -> None:
    path = sparse(tmp_path / "disk", 40 * 1024 * MiB)
    run("mke2fs", "-q", "-F", "-t", "ext4", "-E", "lazy_itable_init=1,lazy_journal_init=1", path)
    assert found_at(path) == []


def test_one_in_which_linux_met_errors_is_told(tmp_path: Path, sound: Path) -> None:
    path = damaged(sound, tmp_path / "disk", 1024 + 0x3A, b"\3\0")
    found = ask_file(FILESYSTEM, path)
    assert found is not None
    assert [(problem.code, problem.offset) for problem in found.problems] == [("superblock-irregular", 1024 + 0x3A)]


@pytest.mark.parametrize("start", [DESCRIPTORS, 100 * KiB])
def test_what_is_out_of_reach_hides_no_superblock(sound: Path, start: int) -> None:
    found = FILESYSTEM.read(Broken(Memory(sound.read_bytes()), start))
    assert found is not None
    assert (found.type, found.size, found.problems) == ("ext4", 16 * MiB, ())


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
