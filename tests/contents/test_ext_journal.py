"""The log of ext3 and ext4: what it makes of a file system, and what e2fsck makes of the same one."""

import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from preflight import inspect
from preflight.contents import ContentsError, Damage, _ext_journal_log, ext
from preflight.contents._ext_journal import open_replayed
from preflight.errors import BudgetExhausted, OutOfBounds, UnreachableBytes
from preflight.source import BlockSource, Buffered, FileSource
from preflight.units import KiB
from tests.contents.ext_journals import (
    ASYNC_COMMIT,
    BITS64,
    BLOCK,
    BLOCKS,
    COMPAT_CHECKSUM,
    CSUM_V2,
    CSUM_V3,
    ESCAPE,
    FAST_COMMIT,
    MAGIC,
    MAXLEN,
    REVOKE,
    SIZE,
    TIME,
    Format,
    journal_of,
    made,
    write,
)
from tests.contents.sources import Counting, Unreachable, snapshot, unlimited, whole
from tests.tools import run

FORMATS = {
    "without checksums": (0, REVOKE),
    "64bit": (0, REVOKE | BITS64),
    "checksums of version 1": (COMPAT_CHECKSUM, REVOKE),
    "checksums of version 1, 64bit, async": (COMPAT_CHECKSUM, REVOKE | BITS64 | ASYNC_COMMIT),
    "checksums of version 2": (0, REVOKE | CSUM_V2),
    "checksums of version 2, 64bit": (0, REVOKE | CSUM_V2 | BITS64),
    "checksums of version 3": (0, REVOKE | CSUM_V3),
    "checksums of version 3, 64bit": (0, REVOKE | CSUM_V3 | BITS64),
}
SUMMED = {name: bits for name, bits in FORMATS.items() if "version 2" in name or "version 3" in name}
FREE = BLOCKS - 20  # the first of some blocks at the end that nothing uses
OLD, NEW, NEWER = (bytes([mark]) * BLOCK for mark in b"ONR")


@cache
def _sound(folder: Path, kind: str) -> Path:
    path = made(folder / f"sound-{kind}", "-t", kind)
    with path.open("r+b") as file:
        file.seek(FREE * BLOCK)
        file.write(OLD * 20)
    return path


@pytest.fixture
def disk(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Give a new copy of a sound file system, ext4 or ext3."""

    def copy(kind: str = "ext4") -> Path:
        return Path(shutil.copy(_sound(tmp_path_factory.getbasetemp(), kind), tmp_path / kind))

    return copy


def replayed(path: Path) -> tuple[BlockSource, Damage | None]:
    filesystem, state = open_replayed(unlimited(path))
    return filesystem.source, state.damage


def by_e2fsck(path: Path) -> Path:
    """A copy of the file system, of which e2fsck has replayed the journal."""
    copy = Path(shutil.copy(path, path.with_name("replayed")))
    printed = run("e2fsck", "-fy", "-E", "journal_only", copy, ok=(0, 1))
    assert "corrupt" not in printed
    return copy


def agrees_with_e2fsck(path: Path) -> None:
    """Assert that every block is read as e2fsck would have it, but the superblock, and the journal itself."""
    source, damage = replayed(path)
    assert damage is None
    expected = by_e2fsck(path).read_bytes()
    own = {0, KiB, *journal_of(path)}
    for offset in range(0, SIZE, BLOCK):
        if offset not in own:
            assert source.read_at(offset, BLOCK) == expected[offset : offset + BLOCK], offset // BLOCK
    start = FREE * BLOCK - 700  # several blocks at once, and parts of blocks
    assert source.read_at(start, 9000) == expected[start : start + 9000]


@pytest.mark.parametrize("kind", ["ext3", "ext4"])
@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("start", [1, 600, MAXLEN - 5])
def test_a_log_is_replayed_as_e2fsck_does(disk: Callable[[str], Path], name: str, kind: str, start: int) -> None:
    form = Format(*FORMATS[name])
    masked = bytes(4) + NEW[4:]
    log = form.descriptor((FREE, NEW), (FREE + 1, NEW), (FREE + 2, NEW), (FREE + 3, NEW)) + form.commit()
    log += form.revocation(FREE + 1, FREE + 2, sequence=8)
    log += form.descriptor((FREE + 2, NEWER), (FREE + 4, masked), sequence=8, flags=(0, ESCAPE)) + form.commit(8)
    log += form.descriptor((FREE + 2, NEW), (FREE + 5, NEW), sequence=9)
    log += form.descriptor((FREE + 5, NEWER), (FREE + 3, NEWER), sequence=9) + form.commit(9)
    log += form.revocation(FREE + 5, sequence=10)  # not committed, nor is what follows
    log += form.descriptor((FREE + 6, NEW), sequence=10)
    path = write(disk(kind), form, log, start=start)
    agrees_with_e2fsck(path)
    source, _ = replayed(path)
    found = [source.read_at((FREE + number) * BLOCK, BLOCK) for number in range(7)]
    assert found == [NEW, OLD, NEW, NEWER, MAGIC + NEW[4:], NEWER, OLD]
    assert source.read_at((FREE + 4) * BLOCK + 2, 4) == MAGIC[2:] + NEW[:2]


@pytest.mark.parametrize(("kind", "options"), [("ext3", ""), ("ext4", ""), ("ext4", "-c")])
def test_a_log_that_debugfs_wrote_is_replayed_as_e2fsck_does(
    disk: Callable[[str], Path], tmp_path: Path, kind: str, options: str
) -> None:
    blocks = tmp_path / "blocks"
    blocks.write_bytes(NEW + MAGIC + NEW[4:] + NEWER)
    path = disk(kind)
    commands = (
        f"jo {options}\njw -b {FREE},{FREE + 1},{FREE + 2} {blocks}\njw -r {FREE}\njw -b {FREE + 2} {blocks}\njc\n"
    )
    run("debugfs", "-w", "-f", "-", path, stdin=commands)
    agrees_with_e2fsck(path)
    source, _ = replayed(path)
    expected = OLD + MAGIC + NEW[4:] + NEW
    assert source.read_at(FREE * BLOCK, 3 * BLOCK) == expected


def test_files_are_those_of_the_replayed_file_system(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "file").write_bytes(OLD + OLD)
    path = made(tmp_path / "disk", "-t", "ext4", "-d", str(tmp_path / "tree"))
    after = Path(shutil.copy(path, tmp_path / "after"))
    run("debugfs", "-w", "-f", "-", after, stdin=f"mkdir new\nwrite {tmp_path / 'tree' / 'file'} new/file\nrm file\n")
    before, changed = path.read_bytes(), after.read_bytes()
    form = Format(0, CSUM_V3 | BITS64)
    copies = [
        (number, changed[number * BLOCK :][:BLOCK])
        for number in range(BLOCKS)
        if before[number * BLOCK :][:BLOCK] != changed[number * BLOCK :][:BLOCK]
    ]
    write(path, form, form.descriptor(*copies) + form.commit())
    with unlimited(path) as source, unlimited(by_e2fsck(path)) as expected:
        reader = ext.ExtReader(source)
        assert whole(reader, "new/file") == OLD + OLD
        assert reader.lookup(reader.root, "file") is None
        assert snapshot(reader) == snapshot(ext.ExtReader(expected))


def cut(log: bytes, byte: int, mask: int = 1) -> bytes:
    """The log with one bit changed."""
    return log[:byte] + bytes([log[byte] ^ mask]) + log[byte + 1 :]


def told(path: Path, number: int) -> str:
    """Why the file system is damaged, which lies in this block of its journal; e2fsck must complain as well."""
    source, damage = replayed(path)
    assert damage is not None
    assert (damage.where, damage.offset) == ("jbd2 log", journal_of(path)[number])
    assert source.read_at(FREE * BLOCK, BLOCK) == OLD  # as it lies on the disk
    return damage.reason


def complains(path: Path) -> None:
    """Assert that e2fsck does not replay the whole log: it says so, or goes on to all else that it checks."""
    copy = Path(shutil.copy(path, path.with_name("checked")))
    printed = run("e2fsck", "-fy", "-E", "journal_only", copy, ok=(0, 1, 8, 9))
    assert "corrupt" in printed or "checksum error" in printed or "Pass 1" in printed, printed


@pytest.mark.parametrize("name", SUMMED)
def test_a_wrong_checksum_in_the_log_is_told(disk: Callable[[str], Path], name: str) -> None:
    form = Format(*FORMATS[name])
    log = form.descriptor((FREE, NEW)) + form.commit()
    for byte, block, reason in (
        (900, 1, "the checksum of this block of transaction 7 is wrong"),
        (BLOCK + 500, 2, f"the checksum of this copy of block {FREE} is wrong"),
        (2 * BLOCK + 17, 3, "transaction 7 is committed here with a wrong checksum"),
    ):
        path = write(disk("ext4"), form, cut(log, byte))
        assert told(path, block) == reason
        complains(path)
    path = write(disk("ext4"), form, cut(form.revocation(FREE), 900) + form.commit())
    assert told(path, 1) == "the checksum of this block of transaction 7 is wrong"


@pytest.mark.parametrize("bits", [0, BITS64])
def test_a_wrong_checksum_of_version_1_is_told(disk: Callable[[str], Path], bits: int) -> None:
    form = Format(COMPAT_CHECKSUM, bits)
    log = form.descriptor((FREE, NEW)) + form.commit()
    for byte in (900, BLOCK + 500, 2 * BLOCK + 17):
        path = write(disk("ext4"), form, cut(log, byte))
        assert told(path, 3) == "transaction 7 is committed here with a wrong checksum"
        complains(path)


def test_a_copy_whose_checksum_is_wrong_is_passed_over_where_it_is_revoked_only(disk: Callable[[str], Path]) -> None:
    form = Format(0, CSUM_V3 | BITS64)
    torn = cut(form.descriptor((FREE, NEW)), BLOCK + 500) + form.commit()
    path = write(disk("ext4"), form, torn + form.revocation(FREE, sequence=8) + form.commit(8))
    agrees_with_e2fsck(path)
    newer = form.descriptor((FREE, NEWER), sequence=8) + form.commit(8)
    assert "checksum" in told(write(disk("ext4"), form, torn + newer), 2)


@pytest.mark.parametrize("name", SUMMED)
def test_what_an_older_log_has_left_ends_the_log(disk: Callable[[str], Path], name: str) -> None:
    """Linux: commit times go backwards there, and the checksums have another seed."""
    form = Format(*FORMATS[name])
    log = form.descriptor((FREE, NEW)) + form.commit()
    stale = cut(form.descriptor((FREE + 1, NEW), sequence=8), 900) + form.commit(8, TIME - 1)
    path = write(disk("ext4"), form, log + stale)
    agrees_with_e2fsck(path)
    stale = form.descriptor((FREE + 1, NEW), sequence=8) + cut(form.commit(8, TIME - 1), 17)
    agrees_with_e2fsck(write(disk("ext4"), form, log + stale))
    stale = cut(form.descriptor((FREE + 1, NEW), sequence=8), 900)  # and no commit block
    agrees_with_e2fsck(write(disk("ext4"), form, log + stale))


@pytest.mark.parametrize("name", [name for name in FORMATS if "version 1" not in name])
def test_more_revocations_than_their_block_holds_are_told(disk: Callable[[str], Path], name: str) -> None:
    form = Format(*FORMATS[name])
    room = BLOCK - (4 if form.has_tails else 0)
    path = write(disk("ext4"), form, form.revocation(FREE, count=room + 1) + form.commit())
    assert told(path, 1) == f"r_count of a revocation block is {room + 1} bytes, it has room for {room}"
    complains(path)
    log = form.descriptor((FREE, NEW), (FREE + 1, NEW)) + form.revocation(FREE, count=room) + form.commit()
    path = write(disk("ext4"), form, log)
    agrees_with_e2fsck(path)
    path = write(disk("ext4"), form, form.revocation(FREE, count=0) + form.descriptor((FREE, NEW)) + form.commit())
    agrees_with_e2fsck(path)


@pytest.mark.parametrize("name", FORMATS)
def test_a_copy_of_a_block_past_the_end_is_told(disk: Callable[[str], Path], name: str) -> None:
    """Linux: JBD2: Out of memory during recovery."""
    form = Format(*FORMATS[name])
    beyond = [BLOCKS, 0xFFFF_FFF0, *([0xFFFF_FFFF_FFF0] if form.incompat & BITS64 else [])]
    for block in beyond:
        path = write(disk("ext4"), form, form.descriptor((block, NEW)) + form.commit())
        assert told(path, 2) == f"this is a copy of block {block}, there are {BLOCKS} blocks"
    log = form.descriptor((BLOCKS, NEW)) + form.commit()
    path = write(disk("ext4"), form, log + form.revocation(BLOCKS, sequence=8) + form.commit(8))
    assert replayed(path)[1] is None


def test_a_commit_block_of_which_the_header_alone_arrived_commits(disk: Callable[[str], Path]) -> None:
    """Linux 6.12, "Find incomplete commit block": its checksum is that of a block with zeros behind the header."""
    form = Format(0, CSUM_V3 | BITS64)
    log = form.descriptor((FREE, NEW)) + form.commit()
    path = write(disk("ext4"), form, cut(log, 2 * BLOCK + 900))
    source, damage = replayed(path)
    assert (damage, source.read_at(FREE * BLOCK, BLOCK)) == (None, NEW)


def test_a_wrong_commit_block_is_the_end_where_they_are_written_unordered(disk: Callable[[str], Path]) -> None:
    form = Format(COMPAT_CHECKSUM, ASYNC_COMMIT)
    log = form.descriptor((FREE, NEW)) + form.commit() + form.descriptor((FREE + 1, NEW), sequence=8)
    last = cut(form.commit(8), 17)
    agrees_with_e2fsck(write(disk("ext4"), form, log + last))
    more = form.descriptor((FREE + 2, NEW), sequence=9) + form.commit(9)
    path = write(disk("ext4"), form, log + last + more)
    assert told(path, 9) == "transaction 9 is committed, one before it has a wrong checksum"
    complains(path)


def test_the_log_of_a_file_system_that_needs_no_recovery_is_not_replayed(disk: Callable[[str], Path]) -> None:
    form = Format(0, CSUM_V3 | BITS64)
    log = form.descriptor((FREE, NEW)) + form.commit()
    source, damage = replayed(write(disk("ext4"), form, log, recover=False))
    assert (damage, source.read_at(FREE * BLOCK, BLOCK)) == (None, OLD)
    source, damage = replayed(write(disk("ext4"), form, cut(log, BLOCK + 500), recover=False))
    assert damage is None  # Linux looks for its end only
    assert "checksum" in told(write(disk("ext4"), form, cut(log, 900), recover=False), 1)


def test_fast_commits_lie_behind_the_log(tmp_path: Path) -> None:
    path = made(tmp_path / "disk", "-t", "ext4", blocks=2 * MAXLEN)
    form = Format(0, CSUM_V3 | BITS64 | FAST_COMMIT)
    log = form.descriptor((FREE, NEW), (FREE + 1, NEWER)) + form.commit()
    end = 2 * MAXLEN - 256
    path = write(path, form, log, start=end - 2, end=end)
    source, damage = replayed(path)
    assert (damage, source.read_at(FREE * BLOCK, 2 * BLOCK)) == (None, NEW + NEWER)


def test_a_journal_that_is_empty_costs_no_read_of_the_disk_that_the_superblocks_did_not_cost(
    disk: Callable[[str], Path],
) -> None:
    path = disk("ext4")
    with FileSource(str(path)) as file:
        counting = Counting(file)
        open_replayed(Buffered(counting))
        assert counting.reads <= 3  # superblock, inodes, and the first block of the journal


def problems(path: Path, guest: bool = True) -> list[tuple[str, str, int | None]]:
    return [(one.code, one.where, one.offset) for one in inspect(str(path), guest=guest).problems]


def test_an_inspection_tells_a_damaged_log_where_it_lies(disk: Callable[[str], Path]) -> None:
    form = Format(0, CSUM_V3 | BITS64)
    log = form.descriptor((FREE, NEW)) + form.commit()
    path = write(disk("ext4"), form, log)
    assert problems(path) == []
    path = write(disk("ext4"), form, cut(log, BLOCK + 500))
    assert problems(path) == [("filesystem-damaged", "jbd2 log of disk", journal_of(path)[2])]
    assert problems(path, guest=False) == []
    run("debugfs", "-w", "-R", "set_super_value state 3", path)  # and errors, with which Linux mounts
    found = problems(path)
    assert [code for code, _, _ in found] == ["superblock-irregular", "filesystem-damaged"]


def test_a_root_that_only_the_log_makes_sound_is_sound(disk: Callable[[str], Path]) -> None:
    path = disk("ext4")
    words = run("debugfs", "-R", "imap <2>", path).split()  # … located at block 66, offset 0x0000
    block = int(words[words.index("located") + 3].rstrip(","))
    with path.open("r+b") as file:
        file.seek(block * BLOCK)
        table = file.read(BLOCK)
        file.seek(block * BLOCK)
        file.write(cut(table, 0x100 + 0x1A, 0xFF))  # i_links_count of inode 2
    form = Format(0, CSUM_V3 | BITS64)
    assert problems(write(path, form, form.descriptor((block, table)) + form.commit())) == []
    emptied = table[:0x100] + bytes(0x100) + table[0x200:]
    path = write(path, form, form.descriptor((block, emptied)) + form.commit())
    assert [code for code, _, _ in problems(path)] == ["filesystem-damaged"]


def test_a_log_that_goes_round_for_ever_is_told(disk: Callable[[str], Path]) -> None:
    form = Format()
    ring = b"".join(form.descriptor((FREE, NEW)) for _ in range((MAXLEN - 2) // 2)) + form.revocation()
    path = write(disk("ext3"), form, ring)
    assert told(path, 1) == "transaction 7 has no end, the log leads back to this block"


def test_more_copies_or_revocations_than_are_read_are_refused(
    disk: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    form = Format()
    log = form.descriptor(*[(FREE, NEW)] * 100) + form.revocation(*range(100)) + form.commit()
    path = write(disk("ext3"), form, log)
    assert replayed(path)[1] is None
    for limit in ("MAX_COPIES", "MAX_REVOKED"):
        with monkeypatch.context() as patch:
            patch.setattr(_ext_journal_log, limit, 99)
            with pytest.raises(BudgetExhausted, match="which are not read"):
                replayed(path)


def test_a_hole_in_the_journal_ends_the_log(tmp_path: Path) -> None:
    """Linux, ext4_journal_bmap: journal bmap failed: block 5 ret 0; it then reads block 5 of the disk."""
    path = made(tmp_path / "disk", "-t", "ext4")
    places = journal_of(path)
    run("debugfs", "-w", "-R", "punch <8> 5 5", path)
    form = Format(0, BITS64)
    log = form.descriptor((FREE, NEW)) + form.commit() + form.revocation(sequence=8)
    source, damage = replayed(write(path, form, log, places=places))
    assert (damage, source.read_at(FREE * BLOCK, BLOCK)) == (None, NEW)


@pytest.mark.parametrize("bits", [0, CSUM_V3])
@pytest.mark.parametrize("start", [18, 19, 20, 10])
def test_a_journal_that_leads_past_the_end_is_told_where_the_log_goes_there(
    disk: Callable[[str], Path], bits: int, start: int
) -> None:
    """Linux: JBD2: bad block at offset 18: all that its indirect block names is out of reach; 12 is the first."""
    path = disk("ext3")
    places = journal_of(path)
    indirect = int(run("debugfs", "-R", "stat <8>", path).partition("(IND):")[2].partition(",")[0]) * BLOCK
    with path.open("r+b") as file:
        file.seek(indirect + (20 - 12) * 4)
        file.write((BLOCKS + 3).to_bytes(4, "little"))
    form = Format(0, bits)
    log = form.descriptor((FREE, NEW)) + form.commit()
    _, damage = replayed(write(path, form, log, start=start, places=places))
    assert damage is not None
    assert (damage.where, damage.offset) == ("jbd2 log", places[0])
    assert damage.reason.startswith(f"block {max(start, 12)}, where it goes on: ext inode 8, indirect block")
    log = form.revocation(FREE + 1) + log + MAGIC + bytes(BLOCK - 4)
    assert replayed(write(path, form, log, start=5, places=places))[1] is None


def test_why_a_log_cannot_be_read_is_told_apart(disk: Callable[[str], Path]) -> None:
    form = Format(0, CSUM_V3 | BITS64)
    path = write(disk("ext4"), form, form.descriptor((FREE, NEW)) + form.commit())
    place = journal_of(path)[1]
    with unlimited(path) as source:
        with pytest.raises(UnreachableBytes):
            open_replayed(Unreachable(source, place))
        with pytest.raises(ContentsError, match="backing file"):
            ext.ExtReader(Unreachable(source, place))
    with path.open("r+b") as file:
        file.truncate(place)
    with unlimited(path) as source:
        filesystem, state = open_replayed(source)  # whose size tells it
        assert state.damage is None
        with pytest.raises(OutOfBounds):
            filesystem.source.read_at(place, BLOCK)


def test_a_journal_on_another_disk_is_not_asked_for(tmp_path: Path) -> None:
    log = tmp_path / "log"
    run("mke2fs", "-q", "-F", "-O", "journal_dev", "-b", "1024", log, "2048")
    path = Path(shutil.copy(made(tmp_path / "disk", "-t", "ext4"), tmp_path / "copy"))
    run("debugfs", "-w", "-f", "-", path, stdin="feature needs_recovery\nssv journal_inum 0\nssv journal_dev 0x801\n")
    assert replayed(path)[1] is None
    assert not open_replayed(FileSource(str(path)))[1].is_replayed
