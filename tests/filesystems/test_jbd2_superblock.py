"""The superblock of a journal: what Linux refuses beside what is told with the other structures of ext file systems."""

from pathlib import Path

import pytest

from preflight.facts import Problem
from preflight.filesystems.ext import FILESYSTEM
from tests.contents.ext_journals import (
    COMPAT_CHECKSUM,
    CSUM_V3,
    FAST_COMMIT,
    MAXLEN,
    Format,
    be,
    journal_of,
    made,
    write,
)
from tests.filesystems.reading import ask_file
from tests.tools import run


def told(path: Path) -> list[tuple[str, str, int | None]]:
    found = ask_file(FILESYSTEM, path)
    assert found is not None
    return [(one.code, one.where, one.offset) for one in found.problems if isinstance(one, Problem)]


@pytest.mark.parametrize("kind", ["ext3", "ext4"])
def test_a_journal_that_is_too_short_is_told(tmp_path: Path, kind: str) -> None:
    """Linux: JBD2: journal file too short 1023,0."""
    path = made(tmp_path / "disk", "-t", kind)
    place = journal_of(path)[0]
    assert told(path) == []
    with path.open("r+b") as file:
        file.seek(place + 0x10)
        file.write(be(MAXLEN - 1))
    assert told(path) == [("superblock-invalid", "jbd2 superblock", place + 0x10)]


def test_the_blocks_of_fast_commits_make_a_journal_no_longer(tmp_path: Path) -> None:
    """Linux: JBD2: journal file too short 1024,256."""
    path = write(made(tmp_path / "disk", "-t", "ext4"), Format(0, FAST_COMMIT), b"", start=0, recover=False)
    assert told(path) == [("superblock-invalid", "jbd2 superblock", journal_of(path)[0] + 0x10)]
    path = made(tmp_path / "large", "-t", "ext4", blocks=2 * MAXLEN)
    assert told(write(path, Format(0, FAST_COMMIT), b"", start=0, recover=False)) == []


def test_checksums_of_two_versions_are_told(tmp_path: Path) -> None:
    """Linux: JBD2: Can't enable checksumming v1 and v2/3 at the same time!"""
    path = made(tmp_path / "disk", "-t", "ext4")
    write(path, Format(COMPAT_CHECKSUM, CSUM_V3), b"", start=0, recover=False)
    assert told(path) == [("superblock-invalid", "jbd2 superblock", journal_of(path)[0] + 0x24)]
    assert told(write(path, Format(0, CSUM_V3), b"", start=0, recover=False)) == []


def test_what_is_left_to_replay_hides_the_root(tmp_path: Path) -> None:
    """Linux reads the root when the journal has been replayed: what lies there before says nothing."""
    path = made(tmp_path / "disk", "-t", "ext4")
    run("debugfs", "-w", "-R", "sif <2> links_count 0", path)
    assert [where for _, where, _ in told(path)] == ["ext inode 2"]
    run("debugfs", "-w", "-R", "feature needs_recovery", path)
    assert told(path) == []
