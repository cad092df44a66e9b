"""Files in NTFS, from an image that ntfs-3g wrote as Windows would, and one that ntfscp filled."""

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from preflight.contents import ContentsError, _ntfs_links, ntfs
from preflight.contents.tree import Tree
from preflight.errors import UnreachableBytes
from preflight.source import BlockSource, Buffered, Memory
from preflight.units import GiB, KiB, MiB
from tests.contents.sources import Changed, Counting, Unreachable, capture, entry, unlimited, walk, whole
from tests.tools import require, run, sparse


@pytest.fixture(scope="module")
def reader() -> ntfs.NtfsReader:
    """What ntfs-3g wrote: fixtures/ntfs/make.sh."""
    return ntfs.NtfsReader(Buffered(capture("ntfs/windows")))


@pytest.fixture(scope="module")
def tree(reader: ntfs.NtfsReader) -> Tree:
    return Tree(reader)


def test_files_are_found_without_case(reader: ntfs.NtfsReader) -> None:
    for number in range(1, 41):
        content = bytes([number]) * number * 61
        assert whole(reader, f"Windows/System32/config/conf{number}") == content
        assert whole(reader, f"WINDOWS/system32/CONFIG/Conf{number}") == content
    assert whole(reader, "größe-日本.TXT") == b"unicode"
    assert whole(reader, "GRÖßE-日本.txt") == b"unicode"


def test_files_are_found_by_their_short_names(reader: ntfs.NtfsReader) -> None:
    assert whole(reader, "Program Files/Vendor/a long name.sys") == b"driver"
    assert whole(reader, "progra~1/vendor/ALONGN~1.SYS") == b"driver"


def test_each_file_is_listed_once(reader: ntfs.NtfsReader) -> None:
    assert [name for name, _ in reader.entries(entry(reader, "Program Files/Vendor"))] == ["a long name.sys"]
    names = [name for name, _ in reader.entries(entry(reader, "many"))]
    assert sorted(names) == sorted(f"A-File-{number}" for number in range(1500))
    assert whole(reader, "many/a-file-1000") == b"this one"
    assert reader.lookup(entry(reader, "many"), "A-File-1500") is None


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "Window", "Windows\\System32", "Windows/System32", "resident:stream", "Windows\0", "x" * 300],
)
def test_what_is_no_name_here_is_not_found(name: str, reader: ntfs.NtfsReader) -> None:
    assert reader.lookup(reader.root, name) is None


def test_kinds_are_told(reader: ntfs.NtfsReader) -> None:
    assert (reader.root.kind, reader.root.mode) == ("directory", None)
    kinds = {name: node.kind for name, node in reader.entries(reader.root) if not name.startswith("$")}
    assert {name for name, kind in kinds.items() if kind == "directory"} == {
        "Windows", "Users", "Program Files", "compressed", "many"
    }  # fmt: skip
    assert {name for name, kind in kinds.items() if kind == "symlink"} == {
        "Documents and Settings", "relative", "rooted", "absolute", "root"
    }  # fmt: skip
    assert {name for name, kind in kinds.items() if kind == "other"} == {"Data", "Other Drive", "share", "wsl link"}


def test_resident_compressed_and_sparse_files_are_read(reader: ntfs.NtfsReader) -> None:
    assert whole(reader, "resident") == b"small"
    assert whole(reader, "hard link") == b"small"
    numbers = b"".join(b"%d\n" % number for number in range(60_000))
    assert whole(reader, "compressed/numbers") == numbers
    assert reader.read(entry(reader, "compressed/numbers"), 200_001, 5000) == numbers[200_001:205_001]
    assert whole(reader, "half") == b"A" * 100_000 + bytes(200_000)
    node = entry(reader, "sparse")
    assert node.size == 5 * GiB
    assert reader.read(node, 4_300_000_000 - 4, 12) == b"\0\0\0\0MIDDLE\0\0"
    assert reader.read(node, 5 * GiB - 5, 100) == b"\0\0END"


def test_a_file_that_windows_compacted_is_read(reader: ntfs.NtfsReader) -> None:
    letters = bytes(b"abcdefghijkl"[number * number % 7 + number % 5] for number in range(4096 * 3))
    mixed = bytes(number * 7 % 256 for number in range(4096))
    content = letters[:8192] + mixed + letters[8192:]
    assert whole(reader, "compact") == content
    assert reader.read(entry(reader, "compact"), 8190, 4100) == content[8190:12290]


def test_a_file_whose_data_are_elsewhere_is_refused(reader: ntfs.NtfsReader) -> None:
    with pytest.raises(ContentsError, match="the data of the file are elsewhere, its reparse point has tag 0x80000013"):
        whole(reader, "deduplicated")
    with pytest.raises(ContentsError, match="its reparse point has tag 0x80000017"):
        whole(reader, "compact absent")
    with pytest.raises(
        ContentsError, match=r"^ntfs file record \d+, attribute 0x80: it has 500 bytes, too few for 245 chunks$"
    ):
        whole(reader, "compact damaged")


def test_links_lead_to_paths_of_the_guest(reader: ntfs.NtfsReader) -> None:
    targets = {"relative": "Users/Public/a.txt", "rooted": "/Users/Public/a.txt", "absolute": "/Windows", "root": "/"}
    targets["Documents and Settings"] = "/Users"
    for name, target in targets.items():
        node = entry(reader, name)
        assert reader.target(node) == target
        assert node.size == len(target)


def test_paths_go_through_links(tree: Tree) -> None:
    assert tree.text("/documents and settings/public/A.TXT") == "content of a"
    assert tree.text("/relative") == "content of a"
    assert tree.text("/rooted") == "content of a"
    assert tree.is_directory("/absolute/system32/config")
    assert tree.is_directory("/root/root/Windows")


@pytest.mark.parametrize(
    ("substitute_name", "path"),
    [
        ("\\??\\C:\\Users", "/Users"),
        ("\\??\\c:\\", "/"),
        ("C:\\Users\\a", "/Users/a"),
        ("..\\a\\b", "../a/b"),
        ("\\Users", "/Users"),
        ("\\??\\D:\\Users", None),
        ("\\??\\Volume{0}\\", None),
        ("\\??\\UNC\\server\\share", None),
        ("\\\\server\\share", None),
        ("", None),
        ("a" * 1024, None),
    ],
)
def test_a_target_outside_is_none(substitute_name: str, path: str | None) -> None:
    assert _ntfs_links.guest_path(substitute_name) == path


def attribute_place(reader: ntfs.NtfsReader, path: str, type_: int) -> int:
    """The byte of the fixture where the first attribute of a type is, in the record of the file at `path`."""
    record = entry(reader, path).handle.file.record
    start: int = reader._filesystem._mft.place_of(record.number * KiB)
    data = capture("ntfs/windows").read_at(start, KiB)
    at = int.from_bytes(data[20:22], "little")
    while (found := int.from_bytes(data[at : at + 4], "little")) != type_:
        assert found != 0xFFFFFFFF
        at += int.from_bytes(data[at + 4 : at + 8], "little")
    return start + at


@pytest.mark.parametrize(
    ("path", "type_", "offset"),
    [("resident", 0x10, 24 + 33), ("sparse", 0x80, 13)],
    ids=["flag of the file", "flag of the data"],
)
def test_an_encrypted_file_is_refused(path: str, type_: int, offset: int, reader: ntfs.NtfsReader) -> None:
    place = attribute_place(reader, path, type_) + offset
    before = capture("ntfs/windows").read_at(place, 1)[0]
    changed = ntfs.NtfsReader(Changed(capture("ntfs/windows"), {place: bytes([before | 0x40])}))
    node = entry(changed, path)
    assert (node.kind, node.size) == ("file", entry(reader, path).size)
    with pytest.raises(ContentsError, match=r"^ntfs file record \d+: the file is encrypted$"):
        changed.read(node, 0, 1)


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        (0, b"BAAD", "it begins with b'BAAD'"),
        (0, bytes(4), r"it begins with b'\\x00"),
        (3, b"X", "it begins with b'FILX'"),
        (0x10, b"\7\0", "its sequence number is 7, sought is 1: it is another file's now"),
        (0x16, b"\0", "it is not in use"),
        (0x20, b"\5\0\0\0", "it is a part of record 5, no file"),
        (0x2C, b"\x41", "it says to be record 65"),
        (0x1FE, b"\xff\xff", "block 1 of 2 ends with another update sequence number"),
    ],
    ids=["BAAD", "no signature", "one byte", "sequence", "unused", "a part of another record", "number", "torn"],
)
def test_a_damaged_record_is_refused_and_not_another_read_in_its_place(
    tmp_path: Path, field: int, value: bytes, reason: str
) -> None:
    require("mkntfs", "ntfscp", "ntfscat")
    path = sparse(tmp_path / "ntfs", 8 * MiB)
    run("mkntfs", "-q", "-Q", "-F", "-s", "512", "-c", "4096", path)
    for name in ("first", "second"):
        (tmp_path / name).write_bytes(name.encode())
        run("ntfscp", path, tmp_path / name, name)
    data = path.read_bytes()
    record = int.from_bytes(data[48:56], "little") * 4096 + 64 * KiB  # 64 records are the system's
    changes = {record + field: value}
    with unlimited(path) as source:
        reader = ntfs.NtfsReader(Changed(source, changes))
        with pytest.raises(ContentsError, match=rf"^ntfs file record 64.*: {reason}"):
            reader.lookup(reader.root, "first")
        listed = dict(reader.entries(reader.root))
        assert listed["first"].kind == "other"
        with pytest.raises(ContentsError, match="a file is needed here"):
            reader.read(listed["first"], 0, 10)
        assert whole(reader, "second") == b"second"


def test_one_kind_is_not_read_as_another(reader: ntfs.NtfsReader) -> None:
    with pytest.raises(ContentsError, match="is needed here"):
        reader.read(entry(reader, "relative"), 0, 1)
    with pytest.raises(ContentsError, match="is needed here"):
        reader.target(entry(reader, "resident"))
    with pytest.raises(ContentsError, match="is needed here"):
        reader.lookup(entry(reader, "resident"), "x")
    with pytest.raises(ContentsError, match="is needed here"):
        list(reader.entries(entry(reader, "resident")))


def test_files_that_ntfscp_wrote_are_read(tmp_path: Path) -> None:
    require("mkntfs", "ntfscp")
    image = sparse(tmp_path / "image", 32 * MiB)
    run("mkntfs", "-q", "-F", "-c", "1024", image)
    contents = {f"file-{size}": os.urandom(size) for size in (0, 1, 700, 1024, 5 * KiB, MiB + 1)}
    for name, content in contents.items():
        (tmp_path / "content").write_bytes(content)
        run("ntfscp", "-q", "-f", image, tmp_path / "content", name)
    with unlimited(image) as source:
        reader = ntfs.NtfsReader(source)
        assert {name: whole(reader, name) for name in contents} == contents
        names = {name for name, _ in reader.entries(reader.root)}
        assert names >= contents.keys()


def test_reading_what_a_guest_is_known_by_takes_few_reads() -> None:
    counting = Counting(capture("ntfs/windows"))
    guest = Tree(ntfs.NtfsReader(Buffered(counting)))
    assert all(guest.read(f"/windows/system32/config/conf{number}") for number in range(1, 41))
    assert counting.reads <= 20


@pytest.mark.parametrize(
    "changes",
    [{3: b"XXXXXXXX"}, {11: bytes(2)}, {13: bytes(1)}, {48: b"\xff" * 8}, {64: b"\x7f"}],
    ids=["OEM ID", "bytes per sector", "sectors per cluster", "$MFT", "clusters per record"],
)
def test_a_damaged_boot_sector_is_refused(changes: dict[int, bytes]) -> None:
    with pytest.raises(ContentsError, match=r"^ntfs boot sector: "):
        _ = ntfs.NtfsReader(Changed(capture("ntfs/windows"), changes)).root


def test_the_table_is_found_by_the_copy_of_its_first_record() -> None:
    """As Windows does; Microsoft, How NTFS Works, section Master File Table."""
    source = capture("ntfs/windows")
    boot = source.read_at(0, 512)
    cluster = int.from_bytes(boot[11:13], "little") * boot[13]
    mft, mirror = (int.from_bytes(boot[at : at + 8], "little") * cluster for at in (0x30, 0x38))
    names = set(Tree(ntfs.NtfsReader(source)).names("/"))
    assert "$UpCase" in names
    for damage in (bytes(KiB), b"BAAD"):
        damaged = Changed(source, {mft: damage})
        assert set(Tree(ntfs.NtfsReader(damaged)).names("/")) == names
        with pytest.raises(ContentsError, match="record 0 at byte"):
            ntfs.NtfsReader(Changed(damaged, {mirror: damage}))


def test_why_bytes_are_not_there_is_told() -> None:
    with pytest.raises(ContentsError, match=r"^the disk at byte 0x.*: they are in a backing file") as caught:
        ntfs.NtfsReader(Unreachable(capture("ntfs/windows"), 4 * KiB))
    assert isinstance(caught.value.__cause__, UnreachableBytes)


def explore(source: BlockSource) -> None:
    """Use a reader; whatever it finds, it raises nothing but `ContentsError`."""
    try:
        reader = ntfs.NtfsReader(source)
        for _, (_, node) in zip(range(40), walk(reader), strict=False):
            if node.kind == "file":
                reader.read(node, max(0, node.size - 100), 100)
            elif node.kind == "symlink":
                reader.target(node)
        entry(reader, "compact")
    except (ContentsError, pytest.fail.Exception):
        pass


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=8 * KiB))
def test_any_bytes_are_a_file_system_or_refused(data: bytes) -> None:
    explore(Memory(data))


@pytest.fixture(scope="module")
def touched() -> tuple[int, ...]:
    """The sectors of 512 bytes that a reader reads first."""
    sectors: dict[int, None] = {}

    class Recording(Counting):
        def read_at(self, offset: int, size: int) -> bytes:
            sectors.update(dict.fromkeys(range(offset // 512, (offset + max(size, 1) - 1) // 512 + 1)))
            return super().read_at(offset, size)

    explore(Recording(capture("ntfs/windows")))
    return tuple(sectors)


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_any_changed_byte_leaves_a_file_system_or_is_refused(data: st.DataObject, touched: tuple[int, ...]) -> None:
    place = st.tuples(st.sampled_from(touched), st.integers(0, 511)).map(lambda at: at[0] * 512 + at[1])
    changes = data.draw(st.dictionaries(place, st.binary(min_size=1, max_size=4), min_size=1, max_size=3))
    explore(Changed(capture("ntfs/windows"), changes))
