"""Sources: bounds, budgets, hosts that refuse, and views that equal what they are views of."""

import os
import socket
import stat
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from preflight.errors import (
    BudgetExhausted,
    OutOfBounds,
    ReadFailed,
    StructureError,
    UnreachableBytes,
    UnreadableImage,
)
from preflight.source import (
    BlockSource,
    Buffered,
    Extent,
    Extents,
    FileSource,
    Known,
    Memory,
    Window,
    Zeros,
    check_bounds,
)
from preflight.units import GiB, KiB, MiB, TiB
from tests.missing import Missing
from tests.tools import sparse

SPOKEN = bytes(range(256))


class Recorder:
    """A source that remembers what was asked of it, and fails where it is told to."""

    def __init__(self, data: bytes, bad: range = range(0), error: type[StructureError] = UnreachableBytes) -> None:
        self.data = data
        self.asked: list[tuple[int, int]] = []
        self._bad = bad
        self._error = error

    @property
    def size(self) -> int:
        return len(self.data)

    def read_at(self, offset: int, size: int) -> bytes:
        self.asked.append((offset, size))
        check_bounds("the test", self.size, offset, size)
        if offset < self._bad.stop and self._bad.start < offset + size:
            raise self._error("the test", offset, "not here")
        return Memory(self.data).read_at(offset, size)


def every_source(tmp_path: Path) -> Sequence[BlockSource]:
    """A source of each kind, all with the 256 bytes of `SPOKEN`, or with as many zeros."""
    path = tmp_path / "file"
    path.write_bytes(SPOKEN)
    halves = [Extent(0, 100, Memory(SPOKEN), 0), Extent(100, 156, Memory(bytes(7) + SPOKEN), 107)]
    return [
        FileSource(str(path)),
        Memory(SPOKEN),
        Window(Memory(bytes(50) + SPOKEN + bytes(50)), 50, 256),
        Extents(halves),
        Buffered(Memory(SPOKEN), page_size=16, pages=3),
        Known(Memory(SPOKEN), Buffered(Memory(SPOKEN), page_size=16)),
        Zeros(256),
    ]


def test_every_source_gives_exactly_the_bytes_that_are_asked_for(tmp_path: Path) -> None:
    for source in every_source(tmp_path):
        expected = bytes(256) if isinstance(source, Zeros) else SPOKEN
        assert source.size == 256
        for offset, size in ((0, 256), (0, 1), (255, 1), (99, 2), (100, 1), (256, 0), (17, 130)):
            assert source.read_at(offset, size) == expected[offset : offset + size], type(source)


@pytest.mark.parametrize(
    ("offset", "size"), [(-1, 1), (0, -1), (0, 257), (256, 1), (257, 0), (1 << 70, 1), (0, 1 << 70)]
)
def test_every_source_refuses_what_lies_outside_it(tmp_path: Path, offset: int, size: int) -> None:
    for source in [*every_source(tmp_path), Missing(256, "they are elsewhere")]:
        with pytest.raises(OutOfBounds) as raised:
            source.read_at(offset, size)
        assert raised.value.offset == offset


def test_an_out_of_bounds_error_tells_the_end_in_words() -> None:
    with pytest.raises(OutOfBounds, match=r"^the data at byte 0x100: 1 bytes are needed here, .* ends at byte 0x100$"):
        Memory(SPOKEN).read_at(256, 1)


# the host's file


def test_a_file_is_described_as_its_host_does(tmp_path: Path) -> None:
    path = sparse(tmp_path / "disk.raw", 10 * TiB)
    with FileSource(str(path)) as source:
        assert source.path == str(path)
        assert source.size == 10 * TiB
        assert source.allocated_size == path.stat().st_blocks * 512
        assert source.read_at(10 * TiB - 1, 1) == b"\0"


def test_a_symbolic_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "disk").write_bytes(SPOKEN)
    (tmp_path / "link").symlink_to("disk")
    with FileSource(str(tmp_path / "link")) as source:
        assert source.read_at(3, 2) == b"\x03\x04"


def test_an_absent_file_is_unreadable(tmp_path: Path) -> None:
    with pytest.raises(UnreadableImage, match=r"^cannot open: No such file or directory$"):
        FileSource(str(tmp_path / "none"))


def test_a_link_that_leads_to_itself_is_unreadable(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(UnreadableImage, match="symbolic links"):
        FileSource(str(tmp_path / "loop"))


def test_a_name_that_no_file_can_have_is_unreadable() -> None:
    for name in ("a\0b", "", "\ud800"):
        with pytest.raises(UnreadableImage, match="cannot open"):
            FileSource(name)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_forbidden_file_is_unreadable(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_bytes(SPOKEN)
    path.chmod(0)
    with pytest.raises(UnreadableImage, match=r"^cannot open: Permission denied$"):
        FileSource(str(path))


def test_a_forbidden_file_is_unreadable_for_root_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(UnreadableImage, match=r"^cannot open: Permission denied$"):
        FileSource(str(tmp_path / "secret"))


def test_a_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnreadableImage, match=r"^is a directory, not a regular file$"):
        FileSource(str(tmp_path))


def test_a_fifo_is_refused_without_waiting_for_a_writer(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    outcome: list[BaseException] = []

    def attempt() -> None:
        try:
            FileSource(str(tmp_path / "fifo"))
        except UnreadableImage as error:
            outcome.append(error)

    thread = threading.Thread(target=attempt, daemon=True)
    thread.start()
    thread.join(5)
    assert not thread.is_alive()
    assert str(outcome[0]) == "is a FIFO, not a regular file"


def test_a_device_is_refused() -> None:
    for device in ("/dev/zero", "/dev/null", "/dev/tty"):
        with pytest.raises(UnreadableImage, match=r"is a character device, not a regular file|cannot open"):
            FileSource(device)


def test_a_block_device_is_named_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "disk"
    path.write_bytes(SPOKEN)
    real = os.stat(path)
    pretended = os.stat_result([stat.S_IFBLK | 0o600, *real[1:]])
    monkeypatch.setattr(os, "fstat", lambda _: pretended)
    with pytest.raises(UnreadableImage, match=r"^is a block device, not a regular file$"):
        FileSource(str(path))


def test_a_socket_is_refused(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        with pytest.raises(UnreadableImage):
            FileSource(str(tmp_path / "s"))


def test_a_refused_file_leaves_no_descriptor_open(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        with pytest.raises(UnreadableImage):
            FileSource(str(tmp_path))
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_file_that_shrinks_while_it_is_read_is_a_failed_read(tmp_path: Path) -> None:
    path = sparse(tmp_path / "disk", 4096)
    with FileSource(str(path)) as source:
        os.truncate(path, 1000)
        assert source.read_at(0, 1000) == bytes(1000)
        with pytest.raises(ReadFailed) as raised:
            source.read_at(512, 1024)
        assert raised.value.offset == 1000
        assert source.size == 4096
        assert source.changed()


def test_a_file_that_is_written_to_has_changed(tmp_path: Path) -> None:
    path = sparse(tmp_path / "disk", 4096)
    with FileSource(str(path)) as source:
        assert not source.changed()
        os.utime(path, ns=(1, 1))
        assert source.changed()


def test_a_host_that_cannot_read_is_a_failed_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> bytes:
        raise OSError(5, "Input/output error")

    path = sparse(tmp_path / "disk", 4096)
    with FileSource(str(path)) as source:
        monkeypatch.setattr(os, "pread", broken)
        with pytest.raises(ReadFailed, match=r"^the file at byte 0x200: reading failed: Input/output error$"):
            source.read_at(512, 16)


def test_a_host_that_reads_piecemeal_is_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.pread
    monkeypatch.setattr(os, "pread", lambda fd, size, offset: real(fd, min(size, 7), offset))
    path = tmp_path / "disk"
    path.write_bytes(SPOKEN)
    with FileSource(str(path)) as source:
        assert source.read_at(0, 256) == SPOKEN


def test_reads_and_bytes_are_counted_and_their_budgets_kept(tmp_path: Path) -> None:
    path = sparse(tmp_path / "disk", 4096)
    with FileSource(str(path), max_reads=2) as source:
        source.read_at(0, 10)
        source.read_at(0, 20)
        assert (source.reads, source.bytes_read) == (2, 30)
        with pytest.raises(BudgetExhausted):
            source.read_at(0, 1)
    with FileSource(str(path), max_bytes=100) as source:
        source.read_at(0, 100)
        with pytest.raises(BudgetExhausted):
            source.read_at(0, 1)


def test_a_read_over_the_budget_allocates_nothing(tmp_path: Path) -> None:
    path = sparse(tmp_path / "disk", 10 * TiB)
    with FileSource(str(path)) as source, pytest.raises(BudgetExhausted):
        source.read_at(0, 10 * TiB)


# views


def test_a_window_may_end_past_its_parent_and_refuses_the_rest() -> None:
    window = Window(Memory(SPOKEN), 200, 100, "the partition")
    assert window.size == 100
    assert window.read_at(0, 56) == SPOKEN[200:]
    with pytest.raises(OutOfBounds, match="the data"):
        window.read_at(0, 57)
    with pytest.raises(OutOfBounds, match="the partition"):
        window.read_at(0, 101)


def test_missing_bytes_are_unreachable_and_say_where_they_are() -> None:
    source = Missing(10, "they are in a backing file")
    assert source.size == 10
    for size in (0, 10):
        with pytest.raises(UnreachableBytes, match="they are in a backing file"):
            source.read_at(0, size)


def test_zeros_have_any_size() -> None:
    source = Zeros(1 << 62)
    assert source.size == 1 << 62
    assert source.read_at((1 << 62) - 4, 4) == bytes(4)


@pytest.mark.parametrize(
    "extents",
    [
        [Extent(1, 10, Zeros(99), 0)],
        [Extent(0, 10, Zeros(99), 0), Extent(11, 10, Zeros(99), 0)],
        [Extent(0, 10, Zeros(99), 0), Extent(9, 10, Zeros(99), 0)],
        [Extent(0, 0, Zeros(99), 0)],
        [Extent(0, -5, Zeros(99), 0)],
    ],
)
def test_extents_must_follow_each_other(extents: list[Extent]) -> None:
    with pytest.raises(ValueError, match="does not follow"):
        Extents(extents)


def test_no_extents_are_an_empty_source() -> None:
    assert Extents([]).size == 0
    assert Extents([]).read_at(0, 0) == b""
    with pytest.raises(OutOfBounds):
        Extents([]).read_at(0, 1)


def test_an_error_below_an_extent_comes_through() -> None:
    source = Extents([Extent(0, 10, Memory(SPOKEN), 0), Extent(10, 10, Missing(10, "elsewhere"), 0)])
    assert source.read_at(0, 10) == SPOKEN[:10]
    with pytest.raises(UnreachableBytes):
        source.read_at(9, 2)


@given(
    lengths=st.lists(st.integers(1, 40), min_size=1, max_size=20),
    starts=st.lists(st.integers(0, 200), min_size=20, max_size=20),
    read=st.tuples(st.integers(0, 900), st.integers(0, 900)),
)
@settings(max_examples=200, deadline=None)
def test_extents_equal_the_bytes_they_are_put_together_from(
    lengths: list[int], starts: list[int], read: tuple[int, int]
) -> None:
    extents, whole = [], b""
    for length, start in zip(lengths, starts, strict=False):
        extents.append(Extent(len(whole), length, Memory(SPOKEN), start))
        whole += SPOKEN[start : start + length]
    source = Extents(extents)
    assert source.size == len(whole)
    offset = min(read[0], len(whole))
    size = min(read[1], len(whole) - offset)
    assert source.read_at(offset, size) == whole[offset : offset + size]


# the page cache


@given(
    data=st.binary(min_size=1, max_size=700),
    reads=st.lists(st.tuples(st.integers(0, 720), st.integers(0, 720)), max_size=30),
    page_size=st.integers(1, 64),
    pages=st.integers(1, 6),
    bad=st.tuples(st.integers(0, 700), st.integers(0, 60)),
)
@settings(max_examples=200, deadline=None)
def test_buffered_equals_plain_for_any_reads(
    data: bytes, reads: list[tuple[int, int]], page_size: int, pages: int, bad: tuple[int, int]
) -> None:
    plain = Recorder(data, range(bad[0], bad[0] + bad[1]))
    buffered = Buffered(plain, page_size=page_size, pages=pages)

    def outcome(source: BlockSource, offset: int, size: int) -> object:
        try:
            return source.read_at(offset, size)
        except StructureError as error:
            return type(error)

    assert buffered.size == len(data)
    for offset, size in reads:
        if size:  # nothing is read where nothing is asked for, not even what cannot be reached
            assert outcome(buffered, offset, size) == outcome(plain, offset, size)
        assert len(buffered._pages) <= pages


def test_neighbouring_reads_cost_one() -> None:
    parent = Recorder(bytes(64 * KiB))
    source = Buffered(parent)
    for offset in range(0, 16 * KiB, 100):
        source.read_at(offset, 4)
    assert parent.asked == [(0, 16 * KiB)]


def test_pages_missing_in_a_row_are_read_at_once() -> None:
    parent = Recorder(bytes(100))
    source = Buffered(parent, page_size=10)
    source.read_at(35, 1)
    parent.asked.clear()
    source.read_at(0, 95)
    assert parent.asked == [(0, 30), (40, 60)]


def test_the_last_page_ends_with_the_source() -> None:
    parent = Recorder(SPOKEN[:100])
    assert Buffered(parent, page_size=64).read_at(99, 1) == b"\x63"
    assert parent.asked == [(64, 36)]


def test_a_large_read_bypasses_the_pages() -> None:
    parent = Recorder(bytes(2 * MiB))
    source = Buffered(parent, page_size=1024, pages=4)
    source.read_at(0, 8 * KiB)
    assert parent.asked == [(0, 8 * KiB)]


def test_the_oldest_pages_are_dropped() -> None:
    parent = Recorder(bytes(100))
    source = Buffered(parent, page_size=10, pages=2)
    for offset in (0, 10, 0, 20, 0, 10):
        source.read_at(offset, 1)
    assert parent.asked == [(0, 10), (10, 10), (20, 10), (10, 10)]


def test_bytes_beside_unreachable_ones_on_the_same_page_are_read() -> None:
    source = Buffered(Recorder(SPOKEN, range(100, 156)), page_size=256)
    assert source.read_at(0, 100) == SPOKEN[:100]
    assert source.read_at(156, 100) == SPOKEN[156:]
    with pytest.raises(UnreachableBytes):
        source.read_at(99, 2)


@pytest.mark.parametrize("error", [ReadFailed, BudgetExhausted, UnreachableBytes])
def test_the_kind_of_error_comes_through_the_pages(error: type[StructureError]) -> None:
    with pytest.raises(error):
        Buffered(Recorder(SPOKEN, range(256), error)).read_at(0, 1)


def test_what_is_known_of_a_source_is_not_read_again() -> None:
    parent = Recorder(SPOKEN)
    pages = Buffered(parent, page_size=64)
    pages.read_at(10, 4)
    known = Known(parent, pages)
    parent.asked.clear()
    assert known.read_at(0, 64) == SPOKEN[:64]
    assert parent.asked == []
    assert known.read_at(60, 10) == SPOKEN[60:70]
    assert known.read_at(130, 1) == SPOKEN[130:131]
    assert parent.asked == [(60, 10), (130, 1)]
    known.read_at(130, 1)
    assert len(parent.asked) == 3  # it keeps nothing itself


def test_an_empty_buffered_read_asks_nothing() -> None:
    parent = Recorder(SPOKEN)
    assert Buffered(parent).read_at(256, 0) == b""
    assert parent.asked == []


def test_a_terabyte_of_zeros_can_be_buffered() -> None:
    source = Buffered(Zeros(1 * TiB))
    assert source.read_at(1 * TiB - 1, 1) == b"\0"
    assert source.read_at(512 * GiB - 1, 2) == b"\0\0"
