"""Files in XFS, from images that mkfs.xfs made, and from one that Linux wrote."""

import errno
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from preflight.contents import ContentsError, _libyal, xfs
from preflight.contents.tree import Tree
from preflight.errors import UnreachableBytes
from preflight.source import BlockSource, Buffered, Memory
from preflight.units import GiB, KiB, MiB
from tests.contents.sources import Changed, Counting, Unreachable, capture, entry, snapshot, unlimited, walk, whole
from tests.tools import require, run, sparse

DIRECTORIES = {"short": 3, "block": 40, "leaf": 300, "node": 4000}  # forms of a directory, by how many names it has


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes | str]:
    """What is put into the images by a protofile, as `snapshot` finds it."""
    found: dict[str, bytes | str] = {"/etc": "directory", "/etc/fifo": "other"}
    for number in range(1, 41):
        found[f"/etc/conf{number}"] = os.urandom(number * 61)
    for size in (0, 1, 4096, 4097, 400 * KiB):
        found[f"/etc/size{size}"] = os.urandom(size)
    for size in (1, 100, 300):
        found[f"/etc/link{size}"] = "-> " + "t" * size
    found["/etc/größe-日本"] = "ü".encode()
    found["/etc/" + "n" * 255] = b"long"
    for form, count in DIRECTORIES.items():
        found[f"/{form}"] = "directory"
        found |= {f"/{form}/a-file-with-the-number-{number}": b"" for number in range(count)}
    path = ""
    for number in range(40):
        path += f"/d{number}"
        found[path] = "directory"
    return found


def protofile(files: dict[str, bytes | str], folder: Path) -> str:
    """The files in the language of mkfs.xfs -p: a directory ends in a line with a dollar sign."""
    lines = ["boot", "0 0", "d--755 0 0"]
    depth = 0
    for path in sorted(files, key=lambda path: path.split("/")):
        content, parents, name = files[path], path.count("/") - 1, path.rpartition("/")[2]
        lines += ["$"] * (depth - parents)
        depth = parents
        if content == "directory":
            lines.append(f"{name} d--755 0 0")
            depth += 1
        elif isinstance(content, bytes):
            held = folder / f"content{len(content)}-{hash(content)}"
            held.write_bytes(content)
            lines.append(f"{name} ---640 0 0 {held}")
        elif content == "other":
            lines.append(f"{name} p--600 0 0")
        else:
            lines.append(f"{name} l--777 0 0 {content.removeprefix('-> ')}")
    return "\n".join(lines + ["$"] * (depth + 1)) + "\n"


LAYOUTS = {
    "version 5": (),
    "version 5 of today": ("-m", "bigtime=1,reflink=1,rmapbt=1", "-i", "nrext64=1"),
    "sectors of 4096 bytes": ("-s", "size=4096"),
    "blocks of 1024 bytes": ("-b", "size=1024"),
    "blocks of 64 KiB": ("-b", "size=65536"),
    "inodes of 2048 bytes": ("-i", "size=2048"),
    "version 4": ("-m", "crc=0", "-n", "ftype=1"),
    "version 4 without file types": ("-m", "crc=0", "-n", "ftype=0"),
    "version 4 with blocks of 512 bytes": ("-m", "crc=0", "-b", "size=512", "-i", "size=256"),
    "directory blocks larger than blocks": ("-m", "crc=0", "-b", "size=1024", "-n", "size=4096"),
}


def make(folder: Path, files: dict[str, bytes | str], *options: str) -> Path:
    require("mkfs.xfs")
    (folder / "proto").write_text(protofile(files, folder))
    path = sparse(folder / "image", 320 * MiB)
    run("mkfs.xfs", "-q", "-p", folder / "proto", *options, path)
    return path


@pytest.fixture(scope="module")
def image(files: dict[str, bytes | str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("image"), files)


@pytest.fixture(scope="module")
def kernel() -> xfs.XfsReader:
    """What Linux wrote: fixtures/xfs/make.sh."""
    return xfs.XfsReader(capture("xfs/kernel"))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_all_files_are_those_that_were_put_in(layout: str, files: dict[str, bytes | str], tmp_path: Path) -> None:
    with unlimited(make(tmp_path, files, *LAYOUTS[layout])) as source:
        reader = xfs.XfsReader(Buffered(source))
        assert snapshot(reader) == files
        for form, count in DIRECTORIES.items():
            assert whole(reader, f"{form}/a-file-with-the-number-{count - 1}") == b""
            assert reader.lookup(entry(reader, form), f"a-file-with-the-number-{count}") is None


def test_bytes_are_read_from_anywhere(files: dict[str, bytes | str], image: Path) -> None:
    content = files[f"/etc/size{400 * KiB}"]
    with unlimited(image) as source:
        reader = xfs.XfsReader(source)
        node = entry(reader, f"etc/size{400 * KiB}")
        assert (node.kind, node.size, node.mode) == ("file", 400 * KiB, 0o640)
        for offset, size in ((0, 1), (4095, 2), (5000, 300_000), (400 * KiB - 1, 1), (400 * KiB - 1, 50)):
            assert reader.read(node, offset, size) == content[offset : offset + size]
        for offset, size in ((400 * KiB, 10), (0, 0), (-1, 10), (1 << 62, 10)):
            assert reader.read(node, offset, size) == b""


@pytest.mark.parametrize("name", ["", ".", "..", "conf", "CONF1", "conf1\0", "conf1/", "../etc", "n" * 256, "a\\b"])
def test_what_is_no_name_here_is_not_found(name: str, image: Path) -> None:
    with unlimited(image) as source:
        reader = xfs.XfsReader(source)
        assert reader.lookup(entry(reader, "etc"), name) is None


def test_reading_what_a_guest_is_known_by_takes_few_reads(image: Path) -> None:
    with unlimited(image) as source:
        counting = Counting(source)
        guest = Tree(xfs.XfsReader(Buffered(counting)))
        assert all(guest.read(f"/etc/conf{number}") for number in range(1, 41))
        assert counting.reads <= 60


def test_holes_and_what_was_never_written_are_zeros(kernel: xfs.XfsReader) -> None:
    node = entry(kernel, "etc/sparse")
    assert node.size == 5 * GiB
    assert kernel.read(node, 4_300_000_000 - 4, 12) == b"\0\0\0\0MIDDLE\0\0"
    assert kernel.read(node, 5 * GiB - 5, 100) == b"\0\0END"
    assert whole(kernel, "etc/unwritten") == (bytes(5000) + b"hi").ljust(1 << 20, b"\0")
    assert whole(kernel, "etc/cut") == b"A" * 5000 + bytes(4000)


def test_a_file_in_many_pieces_is_read(kernel: xfs.XfsReader) -> None:
    pieces = b"".join(bytes([number + 1]) * 4096 + bytes(4096) for number in range(100))[:-4096]
    assert whole(kernel, "etc/pieces") == pieces
    assert whole(kernel, "etc/clone") == pieces


def test_a_file_in_thousands_of_pieces_is_refused(kernel: xfs.XfsReader) -> None:
    for use in (lambda: entry(kernel, "large/tall"), lambda: list(kernel.entries(entry(kernel, "large")))):
        with pytest.raises(ContentsError, match=r"^libfsxfs: unsupported B\+ tree node level$"):
            use()
    assert kernel.lookup(entry(kernel, "large"), "small") is None


def test_a_directory_from_which_names_were_removed_is_read(kernel: xfs.XfsReader) -> None:
    names = {name for name, _ in kernel.entries(entry(kernel, "many"))}
    assert names == {f"a-file-with-the-number-{number}" for number in range(1500) if number % 3}
    assert whole(kernel, "many/a-file-with-the-number-1000") == b"this one"
    assert kernel.lookup(entry(kernel, "many"), "a-file-with-the-number-3") is None


def test_files_in_all_allocation_groups_are_read(kernel: xfs.XfsReader) -> None:
    assert [whole(kernel, f"d{number}/file") for number in range(40)] == [b"%d" % number for number in range(40)]


def test_a_device_is_neither_file_nor_link(kernel: xfs.XfsReader) -> None:
    node = entry(kernel, "etc/device")
    assert (node.kind, node.mode) == ("other", 0o640)
    for use in (lambda: kernel.read(node, 0, 1), lambda: kernel.target(node), lambda: list(kernel.entries(node))):
        with pytest.raises(ContentsError, match="is needed here, this is a other"):
            use()


def test_links_are_read(kernel: xfs.XfsReader) -> None:
    assert kernel.target(entry(kernel, "links/300")) == "t" * 300
    assert kernel.target(entry(kernel, "links/größe")) == "größe"


def test_a_target_that_is_not_read_is_refused(kernel: xfs.XfsReader) -> None:
    with pytest.raises(ContentsError, match="the target has a block of its own"):
        kernel.target(entry(kernel, "links/1023"))
    with pytest.raises(ContentsError, match=r"libfsxfs: .*UTF-8 character byte"):
        kernel.target(entry(kernel, "links/latin"))


def test_beside_a_name_that_is_no_utf8_others_are_found(kernel: xfs.XfsReader) -> None:
    assert whole(kernel, "names/cafX") == b"in cafX"
    assert whole(kernel, "names/größe-日本") == b"in " + "größe".encode()[:4]
    assert kernel.lookup(entry(kernel, "names"), "cafY") is None
    assert {name for name, _ in kernel.entries(entry(kernel, "names"))} == {"cafX", "größe-日本", "n" * 255}


def test_a_name_that_is_no_utf8_is_refused(kernel: xfs.XfsReader) -> None:
    with pytest.raises(ContentsError, match=r"^libfsxfs: "):
        kernel.lookup(entry(kernel, "names"), "caf\udce9")


def test_features_that_change_where_data_are_are_refused() -> None:
    zoned = {216: (0x0200).to_bytes(4, "big")}  # sb_features_incompat, XFS_SB_FEAT_INCOMPAT_ZONED
    with pytest.raises(ContentsError, match="incompatible features that are not read: 0x200"):
        xfs.XfsReader(Changed(capture("xfs/kernel"), zoned))


@pytest.mark.parametrize(
    "changes",
    [
        {0: b"XXXX"},
        {4: bytes(4)},
        {4: b"\xff\xff\xff\xff"},
        {56: b"\xff" * 8},
        {84: bytes(4)},
        {102: bytes(2)},
        {104: b"\xff\xff"},
    ],
    ids=["sb_magicnum", "sb_blocksize 0", "sb_blocksize", "sb_rootino", "sb_agblocks", "sb_sectsize", "sb_inodesize"],
)
def test_a_damaged_superblock_is_refused(changes: dict[int, bytes]) -> None:
    with pytest.raises(ContentsError, match=r"^libfsxfs: "):
        _ = xfs.XfsReader(Changed(capture("xfs/kernel"), changes)).root


def test_why_bytes_are_not_there_is_told() -> None:
    source = capture("xfs/kernel")
    with pytest.raises(ContentsError, match="they are in a backing file") as caught:
        xfs.XfsReader(Unreachable(source, 0))
    assert isinstance(caught.value.__cause__, UnreachableBytes)
    # The superblock of the last of four allocation groups is there, and the inodes in it are not.
    reader = xfs.XfsReader(Unreachable(source, source.size * 3 // 4 + 4 * KiB))
    with pytest.raises(ContentsError, match=r"libfsxfs: the disk at byte 0x.*: they are in a backing file") as caught:
        list(walk(reader))
    assert isinstance(caught.value.__cause__, UnreachableBytes)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OSError("outer: no. inner: invalid inode. middle: no."), "invalid inode"),
        (OSError("only: this one."), "this one"),
        (OSError(errno.EIO, "Input/output error"), r"[Errno 5] Input/output error"),
        (ValueError("plain"), "plain"),
        (MemoryError(), "it asked for more memory than there is"),
        (OverflowError(), "OverflowError"),
        (OSError("outer: no. inner: \x1b[31m\n" + "x" * 500), r"\x1b[31m\n" + "x" * 190),
    ],
)
def test_errors_of_the_library_are_told_without_its_functions(error: Exception, reason: str) -> None:
    class Volume:
        def open_file_object(self, file: object) -> None:
            raise error

    with pytest.raises(ContentsError) as caught:
        _libyal.LibyalReader("lib", "/", Volume, xfs._node, Memory(b""))
    assert str(caught.value) == f"lib: {reason}"
    assert caught.value.__cause__ is error


def test_a_source_is_a_file_for_the_library() -> None:
    file = _libyal.SourceFile(Memory(b"0123456789"))
    assert file.get_size() == 10
    assert file.read(4) == b"0123"
    assert file.tell() == 4
    file.seek(2, os.SEEK_CUR)
    assert file.read(100) == b"6789"
    assert file.read(1) == b""
    file.seek(-3, os.SEEK_END)
    assert file.read(2) == b"78"
    file.seek(1 << 62)
    assert file.read(1) == b""
    file.seek(-5)
    assert file.read(1) == b"0"


def explore(source: BlockSource) -> None:
    """Use a reader; whatever it finds, it raises nothing but `ContentsError`."""
    try:
        reader = xfs.XfsReader(source)
        for _, (_, node) in zip(range(30), walk(reader), strict=False):
            if node.kind == "file":
                reader.read(node, max(0, node.size - 100), 100)
            elif node.kind == "symlink":
                reader.target(node)
        entry(reader, "etc/cut")
    except (ContentsError, pytest.fail.Exception):
        pass


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=8 * KiB))
def test_any_bytes_are_a_file_system_or_refused(data: bytes) -> None:
    explore(Memory(data))


@pytest.fixture(scope="module")
def touched() -> tuple[int, ...]:
    """The bytes that a reader reads first, as sectors of 512."""
    sectors: dict[int, None] = {}

    class Recording(Counting):
        def read_at(self, offset: int, size: int) -> bytes:
            sectors.update(dict.fromkeys(range(offset // 512, (offset + max(size, 1) - 1) // 512 + 1)))
            return super().read_at(offset, size)

    explore(Recording(capture("xfs/kernel")))
    return tuple(sectors)


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_any_changed_byte_leaves_a_file_system_or_is_refused(data: st.DataObject, touched: tuple[int, ...]) -> None:
    place = st.tuples(st.sampled_from(touched), st.integers(0, 511)).map(lambda at: at[0] * 512 + at[1])
    changes = data.draw(st.dictionaries(place, st.binary(min_size=1, max_size=4), min_size=1, max_size=3))
    explore(Changed(capture("xfs/kernel"), changes))
