"""NTFS that is damaged, or made to mislead: one field at a time, under update sequences that fit."""

import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from preflight.contents import ContentsError, Node, _ntfs_directories
from preflight.contents import _ntfs_layouts as layouts
from preflight.contents.ntfs import NtfsReader
from preflight.source import BlockSource, Buffered, Memory
from preflight.units import KiB
from tests.contents.ntfs_images import (
    DATA,
    LIST_ENTRY,
    Edit,
    attribute_at,
    in_attribute,
    le16,
    le32,
    le64,
    listed,
    put,
    runs,
    sealed,
    with_list,
)
from tests.contents.sources import Changed, Counting, capture, entry, whole

IMAGE = "ntfs/windows"  # clusters of 4 KiB, records of 1 KiB, index blocks of 4 KiB
MAX_READS = 400  # of pages of 16 KiB, for all that `explore` asks


@cache
def sound() -> NtfsReader:
    return NtfsReader(capture(IMAGE))


def number_of(path: str) -> int:
    number: int = entry(sound(), path).handle.file.record.number
    return number


def changed_record(number: int, edit: Edit, source: BlockSource | None = None) -> Changed:
    place = sound()._filesystem._mft.place_of(number * KiB)
    return sealed(source or capture(IMAGE), place, KiB, edit)


def compressed(unit: int) -> Edit:
    def edit(data: bytearray) -> None:
        in_attribute(DATA, 12, le16(0x0001))(data)
        in_attribute(DATA, 34, bytes([unit]))(data)

    return edit


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (put(0, b"BAAD"), "it begins with b'BAAD'"),
        (put(0x14, le16(0)), "its attributes are at bytes 0x0 to"),
        (put(0x14, le16(0xFFF8)), "its attributes are at bytes 0xfff8 to"),
        (put(0x18, le32(0xFFFFFFFF)), "to 0xffffffff, it has 1024"),
        (put(0x18, le32(0x40)), "its attribute 0x10 at byte 0x38 has 96 bytes|its attributes have no end"),
        (put(0x20, le64(5)), "it is a part of record 5, no file"),
        (in_attribute(0x10, 4, le32(0)), "its attribute 0x10 at byte 0x38 has 0 bytes"),
        (in_attribute(0x10, 4, le32(20)), "its attribute 0x10 at byte 0x38 has 20 bytes"),
        (in_attribute(0x10, 4, le32(0xFFFFFFF8)), "its attribute 0x10 at byte 0x38 has 4294967288 bytes"),
        (in_attribute(DATA, 4, le32(73)), "its attribute 0x80 at byte .* has 73 bytes"),
        (in_attribute(DATA, 9, b"\xff"), "and a name to byte"),
        (in_attribute(DATA, 12, le16(0x0002)), "method 2, compression_unit"),
        (compressed(unit=0), "method 1, compression_unit 0"),
        (compressed(unit=5), "method 1, compression_unit 5"),
        (compressed(unit=255), "method 1, compression_unit 255"),
        (in_attribute(DATA, 16, le64(1)), "highest_vcn is|its runs have no cluster 0"),
        (in_attribute(DATA, 16, le64(1 << 63)), "its runs begin at byte .* with cluster 9223372036854775808"),
        (in_attribute(DATA, 24, le64(1)), "its runs end before cluster"),
        (in_attribute(DATA, 32, le16(0)), "its runs begin at byte 0x0"),
        (in_attribute(DATA, 32, le16(0xFFFF)), "its runs end before cluster 0|highest_vcn is"),
        (in_attribute(DATA, 40, le64(1)), "none may be above the next"),
        (in_attribute(DATA, 48, le64((1 << 64) - 1)), "none may be above the next"),
        (in_attribute(DATA, 56, le64(1 << 60)), "none may be above the next"),
        (in_attribute(DATA, 40, le64(1 << 63) * 3), "none may be above the next"),
    ],
)
def test_a_damaged_record_or_attribute_is_refused(edit: Edit, reason: str) -> None:
    reader = NtfsReader(changed_record(number_of("sparse"), edit))
    with pytest.raises(ContentsError, match=rf"^ntfs file record {number_of('sparse')}[ ,:].*(?:{reason})"):
        whole_head(reader, "sparse")


def whole_head(reader: NtfsReader, path: str) -> bytes:
    return reader.read(entry(reader, path), 0, 100)


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (runs(b"\x10\x05"), "a run has 0 and 1 bytes"),
        (runs(b"\x0f" + b"\1" * 15), "a run has 15 and 0 bytes"),
        (runs(b"\x91\1" + b"\1" * 9), "a run has 1 and 9 bytes"),
        (runs(b"\x11\0\5"), "a run has 0 clusters from 5"),
        (runs(b"\x01\0"), "a run has 0 clusters in a hole"),
        (runs(b"\x18" + le64(1 << 63) + b"\5"), "a run has 9223372036854775808 clusters from 5"),
        (runs(b"\x08" + le64(1 << 63)), "a run has 9223372036854775808 clusters in a hole"),
        (runs(b"\x08" + le64(1 << 54), b"\x01\1"), "a run has 1 clusters in a hole"),
        (runs(b"\x11\1\xff"), "a run has 1 clusters from -1"),
        (runs(b"\x21\1\xff\x7f"), "a run has 1 clusters from 32767, the volume 6143"),
        (runs(b"\x31\2\xfe\x17\0"), "a run has 2 clusters from 6142, the volume 6143"),
        (runs(b"\x11\1\5", b"\x11\1\xfa"), "a run has 1 clusters from -1"),
        (runs(b"\x11\1\5", clusters=1), "its runs have no cluster 1"),
        (runs(b"", clusters=0), r"its runs (have no cluster 0|end before)"),
    ],
)
def test_damaged_runs_are_refused(edit: Edit, reason: str) -> None:
    reader = NtfsReader(changed_record(number_of("sparse"), edit))
    with pytest.raises(ContentsError, match=rf"^ntfs file record \d+, attribute 0x80: {reason}"):
        reader.read(entry(reader, "sparse"), 0, 4097)


def test_a_hole_of_nearly_all_sizes_is_zeros() -> None:
    size = 1 << 62

    def edit(data: bytearray) -> None:
        runs(b"\x07" + (size // 4096).to_bytes(7, "little"), clusters=size // 4096)(data)
        in_attribute(DATA, 40, le64(size) * 3)(data)

    reader = NtfsReader(changed_record(number_of("sparse"), edit))
    node = entry(reader, "sparse")
    assert node.size == size
    assert reader.read(node, size - 10, 100) == bytes(10)


def list_of(path: str, *more: bytes) -> bytes:
    """What a list would say of a file that has none, and more."""
    record = entry(sound(), path).handle.file.record
    own = b"".join(listed(one.type, record.number, one.instance) for one in record.attributes if not one.name)
    return own + b"".join(more)


def test_a_list_of_attributes_that_are_all_in_one_record_is_followed() -> None:
    source = changed_record(number_of("hard link"), with_list(list_of("hard link")))
    assert whole(NtfsReader(source), "hard link") == b"small"


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (lambda: b"x", "the list has 1 bytes more"),
        (lambda: LIST_ENTRY.pack(0x80, 0, 0, 26, 0, 5, 0), "the entry at byte 0x0 of the list has 0 bytes of 26"),
        (lambda: LIST_ENTRY.pack(0x80, 99, 0, 26, 0, 5, 0), "has 99 bytes of 26"),
        (lambda: LIST_ENTRY.pack(0x80, 26, 9, 26, 0, 5, 0), "has 26 bytes of 26"),
        (lambda: listed(0x10, number_of("resident"), 77), "it lacks an attribute 0x10"),
        (lambda: listed(0x10, number_of("half"), 0), "it is no part of record"),
        (lambda: listed(0x10, 5, 0), "it is no part of record"),
        (lambda: listed(0x10, 1 << 40, 0), "ntfs file record 1099511627776: there are"),
        (lambda: listed(0x10, number_of("resident"), 0, sequence=9), "its sequence number is 1, sought is 9"),
        (lambda: list_of("resident", listed(0x80, number_of("resident"), 0)), "it is resident, and yet in 2 pieces"),
    ],
)
def test_a_damaged_list_of_attributes_is_refused(value: Callable[[], bytes], reason: str) -> None:
    reader = NtfsReader(changed_record(number_of("resident"), with_list(value())))
    with pytest.raises(ContentsError, match=reason):
        whole(reader, "resident")


def test_a_list_of_attributes_of_all_sizes_is_refused() -> None:
    def edit(data: bytearray) -> None:
        at = attribute_at(data, DATA)
        data[at : at + 4] = le32(layouts.AT_ATTRIBUTE_LIST)

    number = number_of("sparse")
    with pytest.raises(ContentsError, match="the list has 5368709120 bytes, at most are 262144"):
        whole(NtfsReader(changed_record(number, edit)), "sparse")


def test_pieces_that_are_not_in_order_are_refused() -> None:
    """The same piece twice: a list that goes in a circle."""
    number = number_of("half")
    data = next(one for one in entry(sound(), "half").handle.file.record.attributes if one.type == DATA)
    for more in (listed(DATA, number, data.instance), listed(DATA, number, data.instance, 1)):
        source = changed_record(number, with_list(list_of("half", more)))
        with pytest.raises(ContentsError, match=r"its pieces are not in order|its runs have no cluster 1"):
            NtfsReader(source)
            reader = NtfsReader(source)
            reader.read(entry(reader, "half"), 0, 100_000)
            reader.read(entry(reader, "half"), 4096, 1)


def test_a_table_whose_pieces_are_told_of_by_themselves_is_refused() -> None:
    """The record that tells where the second piece is would be in the second piece."""
    record = sound()._filesystem._record(0)
    table = next(one for one in record.attributes if one.type == DATA)
    for entries in (
        list_of_mft(listed(DATA, 0, table.instance), listed(DATA, 1 << 30, 0, 10_000)),
        list_of_mft(listed(DATA, 70, 0)),
        list_of_mft(),
        list_of_mft(listed(DATA, 0, table.instance), listed(DATA, 0, table.instance)),
        list_of_mft(listed(DATA, 0, table.instance), listed(DATA, 64, 3, 10_000)),
        list_of_mft(listed(DATA, 0, table.instance, 5)),
    ):
        with pytest.raises(ContentsError, match=r"^ntfs file record \d+"):
            NtfsReader(changed_record(0, with_list(entries)))


def list_of_mft(*entries: bytes) -> bytes:
    return b"".join((listed(0x10, 0, 0), *entries))


def blocks_of(path: str) -> list[int]:
    """Where the index blocks of a directory are, in the order of their VCNs."""
    stream = sound()._filesystem.stream(entry(sound(), path).handle.file, 0xA0, layouts.INDEX_NAME)
    assert stream is not None
    return [stream.place_of(offset) for offset in range(0, stream.size, 4 * KiB)]


def has_name(place: int, name: str) -> bool:
    """Whether the index block has an entry of this name: what is behind its entries was left there by others."""
    data = capture(IMAGE).read_at(place, 4 * KiB)
    return data[:4] == b"INDX" and name.encode("utf-16-le") in data[: 24 + int.from_bytes(data[28:32], "little")]


def block_of(name: str) -> int:
    """The index block of `many` that has this name, of which no other name is a part."""
    (place,) = (place for place in blocks_of("many") if has_name(place, name))
    return place


def first_entry(data: bytes | bytearray) -> int:
    return 24 + int.from_bytes(data[24:28], "little")


def in_entry(offset: int, value: bytes) -> Edit:
    return lambda data: put(first_entry(data) + offset, value)(data)


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (put(0, b"BAAD"), "it begins with b'BAAD' and says to be"),
        (put(16, le64(77)), "says to be 77"),
        (put(24, le32(8)), "entries at byte 0x8"),
        (put(24, le32(0xFFFFFFFF)), "entries at byte 0xffffffff"),
        (put(28, le32(0xFFFFFFFF)), "of 4294967295, where"),
        (put(28, le32(0x40)), "of its index is no entry"),
        (put(36, le32(1)), "of its index is no entry"),
        (in_entry(8, le16(0)), "of its index is no entry"),
        (in_entry(8, le16(0xFFF8)), "of its index is no entry"),
        (in_entry(10, le16(0xFFFF)), "of its index is no entry"),
        (in_entry(10, le16(10)), "a name has 10 bytes, too few"),
        (in_entry(16 + 64, b"\xff"), "too few for what it says"),
        (in_entry(16 + 64, b"\0"), "too few for what it says"),
    ],
)
def test_a_damaged_index_block_costs_the_names_in_it_alone(edit: Edit, reason: str) -> None:
    place = block_of("A-File-1000")
    reader = NtfsReader(sealed(capture(IMAGE), place, 4 * KiB, edit))
    with pytest.raises(ContentsError, match=rf"^ntfs file record \d+, directory.*{reason}"):
        list(reader.names(entry(reader, "many")))
    directory = entry(reader, "many")
    found = []
    for number in range(1000, 1500):
        name = f"A-File-{number}"
        is_there = has_name(place, name)
        try:
            node = reader.lookup(directory, name.lower())
        except ContentsError:
            assert is_there
            continue
        assert node is not None
        found.append(name)
        assert reader.read(node, 0, 100) == (b"this one" if number == 1000 else b"")
    assert len(found) > 400


def test_the_names_behind_an_end_that_comes_too_soon_are_not_seen() -> None:
    """Nothing on the disk tells that they were there."""
    place = block_of("A-File-1000")
    reader = NtfsReader(sealed(capture(IMAGE), place, 4 * KiB, in_entry(12, le16(2))))
    assert not has_name(place, "A-File-999x")
    assert reader.lookup(entry(reader, "many"), "A-File-1000") is None


@pytest.mark.parametrize(("name", "letter"), [("A-File-1000", b"Z"), ("A-File-1400", b"@")])
def test_names_that_are_not_in_order_are_found_all_the_same(name: str, letter: bytes) -> None:
    """One that should come first in its block comes behind the others, or before the block."""
    source = sealed(capture(IMAGE), block_of(name), 4 * KiB, in_entry(16 + 66, letter))
    reader = NtfsReader(source)
    directory = entry(reader, "many")
    number = number_of(f"many/{name}")
    for spelt in (name, name.upper()):
        node = reader.lookup(directory, spelt)
        assert node is not None and node.handle.file.record.number == number
    with pytest.raises(ContentsError, match="the names in its index are not in order"):
        reader.lookup(directory, f"{name}x")


def test_a_name_in_another_block_than_the_damaged_one_is_found() -> None:
    """The tree is not in order at its top, but all entries are there."""
    places = blocks_of("many")
    target = block_of("A-File-1000")
    for place in places:
        if place == target or capture(IMAGE).read_at(place, 4) != b"INDX":
            continue
        reader = NtfsReader(Changed(capture(IMAGE), {place: b"BAAD"}))
        assert whole(reader, "many/a-file-1000") == b"this one"


def test_a_damaged_directory_is_read_whole_but_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks it for a thousand names."""
    searched = []
    readable = _ntfs_directories._Index.readable

    def noted(index: _ntfs_directories._Index) -> Iterator[_ntfs_directories.IndexEntry]:
        searched.append(index)
        return readable(index)

    monkeypatch.setattr(_ntfs_directories._Index, "readable", noted)
    reader = NtfsReader(Changed(capture(IMAGE), dict.fromkeys(blocks_of("many"), b"BAAD")))
    directory = entry(reader, "many")
    for number in range(1000):
        with pytest.raises(ContentsError, match="it begins with b'BAAD'"):
            reader.lookup(directory, f"x-{number}")
    assert len(searched) == 1


def test_an_absent_name_is_unknown_where_the_tree_is_damaged() -> None:
    reader = NtfsReader(Changed(capture(IMAGE), dict.fromkeys(blocks_of("many"), b"BAAD")))
    directory = entry(reader, "many")
    with pytest.raises(
        ContentsError, match=r"directory, index block \d+ at byte|directory, index block \d+: it begins"
    ):
        reader.lookup(directory, "A-File-1000x")
    with pytest.raises(ContentsError, match="it begins with b'BAAD'"):
        list(reader.names(directory))


def test_a_tree_that_leads_back_to_itself_comes_to_an_end() -> None:
    """All blocks say to have children, and each child is the first block."""
    source: BlockSource = capture(IMAGE)

    def edit(data: bytearray) -> None:
        data[36:40] = le32(1)
        name = "A".encode("utf-16-le")
        key = bytes(64) + b"\1\0" + name
        one = struct.pack("<QHHHH", 0, 16 + 72 + 8, len(key), 1, 0) + key.ljust(72, b"\0") + le64(0)
        last = struct.pack("<QHHHH", 0, 24, 0, 3, 0) + le64(1)
        at = first_entry(data)
        data[at : at + len(one) + len(last)] = one + last
        data[28:32] = le32(at - 24 + len(one) + len(last))

    for place in blocks_of("many"):
        if source.read_at(place, 4) == b"INDX":
            source = sealed(source, place, 4 * KiB, edit)
    counting = Counting(source)
    reader = NtfsReader(Buffered(counting))
    directory = entry(reader, "many")
    with pytest.raises(ContentsError, match=r"once too often|not in order|says to be|is not among"):
        list(reader.names(directory))
    for name in ("A", "zz", "0"):
        with suppress(ContentsError):
            assert reader.lookup(directory, name) is None
    assert counting.reads < 100


@pytest.mark.parametrize(
    ("offset", "value", "reason"),
    [
        (0, le32(0x80), "its index is of attribute 0x80 by rule 1"),
        (4, le32(0), "by rule 0 in blocks of 4096"),
        (8, le32(0), "in blocks of 0 bytes"),
        (8, le32(4095), "in blocks of 4095 bytes"),
        (8, le32(1 << 31), "in blocks of 2147483648 bytes"),
        (16, le32(0), "entries at byte 0x0"),
        (20, le32(1 << 31), "of 2147483648, where"),
    ],
)
def test_a_damaged_root_of_an_index_is_refused(offset: int, value: bytes, reason: str) -> None:
    def edit(data: bytearray) -> None:
        at = attribute_at(data, 0x90)
        put(at + int.from_bytes(data[at + 20 : at + 22], "little") + offset, value)(data)

    reader = NtfsReader(changed_record(number_of("many"), edit))
    directory = entry(reader, "many")
    for ask in (lambda: reader.lookup(directory, "A-File-1"), lambda: list(reader.names(directory))):
        with pytest.raises(ContentsError, match=reason):
            ask()


def test_a_directory_without_end_is_not_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_ntfs_directories, "MAX_DIRECTORY_BYTES", 64 * KiB)
    reader = NtfsReader(capture(IMAGE))
    with pytest.raises(ContentsError, match="it has over 65536 bytes, no more are read"):
        list(reader.names(entry(reader, "many")))
    assert whole(reader, "many/a-file-1000") == b"this one"


def test_an_entry_that_leads_to_another_file_is_refused() -> None:
    """One bit of a reference, and the sequence number is that of all files that were never removed."""
    place = block_of("A-File-1000")
    raw = "A-File-1000".encode("utf-16-le")
    number = number_of("many/A-File-1000")

    def edit(data: bytearray) -> None:
        at = data.index(raw) - 66 - 16
        assert int.from_bytes(data[at : at + 6], "little") == number
        data[at] ^= 1

    reader = NtfsReader(sealed(capture(IMAGE), place, 4 * KiB, edit))
    with pytest.raises(ContentsError, match=rf"^ntfs file record {number ^ 1}.*(names it b'A-File-1000'|in use)"):
        whole(reader, "many/A-File-1000")
    assert dict(reader.entries(entry(reader, "many")))["A-File-1000"].kind == "other"


@pytest.mark.parametrize(
    ("offset", "value", "reason"),
    [
        (4, le16(0xFFFF), r"it has \d+ bytes of data, says 65535"),
        (8 + 2, le16(0xFFFE), "the target has 65534 bytes"),
        (8 + 2, le16(3), "the target has 3 bytes"),
        (8, le16(0xFFF0), r"the target has \d+ bytes, 0 are there"),
    ],
)
def test_a_damaged_reparse_point_is_refused(offset: int, value: bytes, reason: str) -> None:
    def edit(data: bytearray) -> None:
        at = attribute_at(data, layouts.AT_REPARSE_POINT)
        put(at + int.from_bytes(data[at + 20 : at + 22], "little") + offset, value)(data)

    reader = NtfsReader(changed_record(number_of("relative"), edit))
    with pytest.raises(ContentsError, match=rf"^ntfs file record \d+, attribute 0xc0: {reason}"):
        entry(reader, "relative")


def test_what_is_no_table_of_capitals_costs_only_the_names_that_need_it() -> None:
    reader = NtfsReader(changed_record(layouts.FILE_UPCASE, put(0, b"BAAD")))
    assert whole(reader, "windows/system32/config/conf7") == bytes([7]) * 427
    with pytest.raises(ContentsError, match="ntfs file record 10"):
        reader.lookup(reader.root, "größe-日本.TXT")


@pytest.mark.parametrize(
    ("offset", "value", "reason"),
    [
        (0, b"\0\xc0", "compression unit 0: a chunk at byte 0x0 has the header 0xc000"),
        (2, b"\1\0\0", r"compression unit 0: a match of \d+ bytes from 1 before, where 0 of 4096"),
    ],
)
def test_damaged_clusters_of_a_compressed_file_are_refused(offset: int, value: bytes, reason: str) -> None:
    stream = entry(sound(), "compressed/numbers").handle.data
    place = stream.place_of(0) + offset
    reader = NtfsReader(Changed(capture(IMAGE), {place: value}))
    node = entry(reader, "compressed/numbers")
    with pytest.raises(ContentsError, match=rf"^ntfs file record \d+, attribute 0x80: {reason}"):
        reader.read(node, 0, 100)
    far = 3 * 64 * KiB
    assert reader.read(node, far, 100) == sound().read(node, far, 100)


def test_clusters_behind_the_hole_of_a_compression_unit_are_refused() -> None:
    edit = runs(b"\x01\4", b"\x21\4\0\1", b"\x01\x58", clusters=0x60)
    reader = NtfsReader(changed_record(number_of("compressed/numbers"), edit))
    with pytest.raises(ContentsError, match="compression unit 0 has clusters behind a hole"):
        reader.read(entry(reader, "compressed/numbers"), 0, 1)


def explore(source: BlockSource) -> None:
    """Use a reader; whatever it finds, it raises nothing but `ContentsError`, and soon."""
    counting = Counting(source)
    with suppress(ContentsError):
        reader = NtfsReader(Buffered(counting))
        ask_all(reader, reader.root, 2)
    assert counting.reads < MAX_READS


def ask_all(reader: NtfsReader, directory: Node, depth: int) -> None:
    for name in list(reader.names(directory))[:30]:
        with suppress(ContentsError):
            node = reader.lookup(directory, name)
            if node is None:  # a changed name may stand where it does not belong
                continue
            if node.kind == "file":
                for offset in (0, max(0, node.size - 100)):
                    assert len(reader.read(node, offset, 100)) == min(100, node.size)
            elif node.kind == "symlink":
                assert reader.target(node)
            elif node.kind == "directory" and depth:
                ask_all(reader, node, depth - 1)


PATHS = ("compact", "compressed/numbers", "sparse", "half", "many", "Users", "relative", "Documents and Settings")
WORDS = st.sampled_from(
    [bytes(4), b"\1\0\0\0", b"\xff" * 4, b"\xff\xff\xff\x7f", b"\0\0\0\x80", b"\0\x10\0\0", b"\x10\0", b"\xff", b"\0"]
)


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_any_change_of_a_record_under_a_fitting_sequence_is_read_or_refused(data: st.DataObject) -> None:
    source: BlockSource = capture(IMAGE)
    numbers: Sequence[int] = (0, 5, *map(number_of, PATHS))
    for _ in range(data.draw(st.integers(1, 3))):
        number = data.draw(st.sampled_from(numbers))
        source = changed_record(number, put(data.draw(st.integers(8, 508)), data.draw(WORDS)), source)
    explore(source)


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_any_change_of_an_index_block_gives_no_other_files_bytes(data: st.DataObject) -> None:
    places = [place for place in blocks_of("many") if capture(IMAGE).read_at(place, 4) == b"INDX"]
    place = data.draw(st.sampled_from(places))
    bit = data.draw(st.integers(0, 8 * 4000))
    offset, mask = bit // 8, 1 << bit % 8

    def edit(block: bytearray) -> None:
        if offset not in range(4, 8):  # where the update sequence is
            block[offset] ^= mask

    reader = NtfsReader(Buffered(sealed(capture(IMAGE), place, 4 * KiB, edit)))
    with suppress(ContentsError):
        directory = entry(reader, "many")
        for name, expected in (("A-File-1000", b"this one"), ("A-File-3", b"")):
            node = reader.lookup(directory, name)
            if node is not None:
                assert reader.read(node, 0, 100) == expected
        assert len(list(reader.names(directory))) <= 1500


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 8 * 4 * KiB - 1), st.booleans())
def test_one_changed_bit_that_no_sequence_fits_gives_no_other_bytes(bit: int, in_record: bool) -> None:
    """The signature, the last word of each 512 bytes, the update sequence, the record's own number and use."""
    place = sound()._filesystem._mft.place_of(number_of("resident") * KiB) if in_record else block_of("A-File-1000")
    protected = (0, 1, 2, 3, 0x16, 0x10, 0x2C, 510, 511, 1022, 1023) if in_record else (0, 1, 2, 3, 16, 510, 4094)
    offset = place + protected[bit % len(protected)]
    mask = 1 if in_record and protected[bit % len(protected)] == 0x16 else 1 << bit // len(protected) % 8
    before = capture(IMAGE).read_at(offset, 1)[0]
    reader = NtfsReader(Changed(capture(IMAGE), {offset: bytes([before ^ mask])}))
    path = "resident" if in_record else "many/A-File-1000"
    with pytest.raises(ContentsError, match=r"^ntfs file record \d+"):
        whole(reader, path)


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=8 * KiB))
def test_any_bytes_are_a_file_system_or_refused(data: bytes) -> None:
    explore(Memory(data))
