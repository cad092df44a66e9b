"""Files in XFS, from images that mkfs.xfs made, and from one that Linux wrote."""

import os
import re
import struct
from pathlib import Path

import pytest

from preflight.contents import ContentsError, _xfs_hashes, xfs
from preflight.contents.tree import Tree
from preflight.errors import UnreachableBytes
from preflight.source import Buffered
from preflight.units import GiB, KiB, MiB
from tests.contents.sources import Changed, Counting, Unreachable, capture, entry, snapshot, unlimited, whole
from tests.tools import require, run, sparse

DIRECTORIES = {"short": 3, "block": 40, "leaf": 300, "node": 10_000}  # forms of a directory, by how many names it has


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
    "version 4 with large directory blocks": ("-m", "crc=0", "-b", "size=1024", "-n", "size=4096"),
    "directory blocks of 16 KiB": ("-n", "size=16384"),
    "names without case": ("-m", "crc=0", "-n", "version=ci"),
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
        assert guest.read("/etc/conf40")
        assert counting.reads <= 8
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


def test_a_file_in_thousands_of_pieces_is_read(kernel: xfs.XfsReader) -> None:
    tall = b"".join(bytes([number % 251 + 1]) * 4096 + bytes(4096) for number in range(2600))[:-4096]
    assert whole(kernel, "large/tall") == tall


@pytest.fixture(scope="module")
def deep() -> xfs.XfsReader:
    """What Linux wrote in blocks of 1024 bytes: fixtures/xfs/make.sh."""
    return xfs.XfsReader(Buffered(capture("xfs/deep")))


def test_a_tree_of_extents_of_three_levels_is_read(deep: xfs.XfsReader) -> None:
    node = entry(deep, "tall")
    assert node.handle.fork[:2] == b"\0\3"  # bb_level, as xfs_db tells it too
    assert node.size == 24_999 * 2048 + 1024
    expected = b"".join(bytes([number % 251 + 1]) * 1024 + bytes(1024) for number in range(25_000))[:-1024]
    assert deep.read(node, 0, node.size) == expected
    for offset in (1023, 20_000 * 2048 - 1, 24_999 * 2048):
        assert deep.read(node, offset, 5000) == expected[offset : offset + 5000]


def test_a_block_of_a_tall_tree_takes_few_reads() -> None:
    counting = Counting(capture("xfs/deep"))
    reader = xfs.XfsReader(counting)
    node = entry(reader, "tall")
    counting.reads = 0
    assert reader.read(node, 12_345 * 2048, 1) == bytes([12_345 % 251 + 1])
    assert counting.reads == 4  # a block for each level, and the byte


def test_a_target_in_two_places_is_read(deep: xfs.XfsReader) -> None:
    node = entry(deep, "link")
    assert node.handle.nextents == 2
    assert deep.target(node) == "".join(chr(97 + number % 26) for number in range(1023))


def test_a_directory_with_an_index_of_two_levels_is_read(deep: xfs.XfsReader) -> None:
    names = {f"{number:05}-{'n' * 80}" for number in range(10_000) if not 3000 <= number < 6000}
    many = entry(deep, "many")
    assert {name for name, _ in deep.entries(many)} == names
    for number in range(0, 10_000, 250):
        name = f"{number:05}-{'n' * 80}"
        assert (deep.lookup(many, name) is not None) == (name in names)


def test_a_name_in_a_large_directory_is_found_without_reading_it_all() -> None:
    counting = Counting(capture("xfs/deep"))
    reader = xfs.XfsReader(counting)
    many = entry(reader, "many")
    counting.reads = 0
    assert reader.lookup(many, f"09999-{'n' * 80}") is not None
    assert counting.reads <= 12


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


def test_a_target_with_a_block_of_its_own_is_read(kernel: xfs.XfsReader) -> None:
    assert kernel.target(entry(kernel, "links/1023")) == "t" * 1023


def test_names_and_targets_that_are_no_utf8_are_read(kernel: xfs.XfsReader) -> None:
    assert kernel.target(entry(kernel, "links/latin")) == "caf\udce9"
    assert whole(kernel, "names/caf\udce9") == b"in caf\xe9"
    assert whole(kernel, "names/cafX") == b"in cafX"
    assert whole(kernel, "names/größe-日本") == b"in " + "größe".encode()[:4]
    assert kernel.lookup(entry(kernel, "names"), "cafY") is None
    assert kernel.lookup(entry(kernel, "names"), "caf\ud800") is None  # stands for no byte
    assert {name for name, _ in kernel.entries(entry(kernel, "names"))} == {
        "caf\udce9",
        "cafX",
        "größe-日本",
        "n" * 255,
    }


def test_features_that_change_where_data_are_are_refused() -> None:
    zoned = {216: (0x0200).to_bytes(4, "big")}  # sb_features_incompat, XFS_SB_FEAT_INCOMPAT_ZONED
    with pytest.raises(ContentsError, match=r"^xfs superblock: has incompatible features that are not read: 0x200$"):
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
        {124: b"\x28"},
        {192: b"\x05"},
        {100: b"\xb4\xa3"},
        {100: b"\x94\xa5"},
    ],
    ids=[
        *("sb_magicnum", "sb_blocksize 0", "sb_blocksize", "sb_rootino", "sb_agblocks", "sb_sectsize", "sb_inodesize"),
        *("sb_agblklog", "sb_dirblklog", "version 3", "directories of version 1"),
    ],
)
def test_a_damaged_superblock_is_refused(changes: dict[int, bytes]) -> None:
    with pytest.raises(ContentsError, match=r"^xfs (superblock|inode)"):
        _ = xfs.XfsReader(Changed(capture("xfs/kernel"), changes)).root


def test_why_bytes_are_not_there_is_told() -> None:
    source = capture("xfs/kernel")
    with pytest.raises(ContentsError, match="they are in a backing file") as caught:
        xfs.XfsReader(Unreachable(source, 0))
    assert isinstance(caught.value.__cause__, UnreachableBytes)
    # The superblock of the last of four allocation groups is there, and the inodes in it are not.
    reader = xfs.XfsReader(Unreachable(source, source.size * 3 // 4 + 4 * KiB))
    with pytest.raises(ContentsError, match=r"the disk at byte 0x.*: they are in a backing file") as caught:
        for number in range(40):
            whole(reader, f"d{number}/file")
    assert isinstance(caught.value.__cause__, UnreachableBytes)


def test_a_uuid_that_was_changed_does_not_matter() -> None:
    superblock = capture("xfs/deep").read_at(0, 512)
    assert superblock[216:220] == b"\0\0\0\x2f"  # sb_features_incompat, with META_UUID
    assert superblock[32:48] != superblock[248:264]
    without = Changed(capture("xfs/deep"), {219: b"\x2b"})
    with pytest.raises(ContentsError, match="it belongs to another file system"):
        _ = xfs.XfsReader(without).root


def test_case_is_ignored_where_the_file_system_does(tmp_path: Path) -> None:
    files: dict[str, bytes | str] = {"/etc": "directory", "/etc/Conf": b"1", "/node": "directory"}
    files |= {f"/node/A-File-{number}": b"" for number in range(3000)} | {"/node/GRÖßE": b"2"}
    path = make(tmp_path, files, "-m", "crc=0", "-n", "version=ci")
    with unlimited(path) as source:
        reader = xfs.XfsReader(Buffered(source))
        assert whole(reader, "ETC/conf") == b"1"
        assert whole(reader, "Node/a-fILE-2999") == b""
        assert whole(reader, "node/grÖßE") == b"2"
        assert reader.lookup(entry(reader, "node"), "a-file-3000") is None


def test_what_is_on_a_realtime_device_is_refused(files: dict[str, bytes | str], tmp_path: Path) -> None:
    path = make(tmp_path, files, "-m", "crc=0")
    run("xfs_db", "-x", "-c", "path /etc/conf7", "-c", "write core.realtime 1", path)
    with unlimited(path) as source:
        reader = xfs.XfsReader(source)
        node = entry(reader, "etc/conf7")
        assert node.size == 7 * 61
        with pytest.raises(ContentsError, match="its data are on a realtime device"):
            reader.read(node, 0, 1)
        assert whole(reader, "etc/conf8") == files["/etc/conf8"]


@pytest.mark.parametrize("name", ["a", "ab", "abc", "abcd", "größe-日本", "n" * 255])
def test_the_hash_of_a_name_is_that_of_xfs_db(name: str, image: Path) -> None:
    assert run("xfs_db", "-r", "-c", f"hash {name}", image).strip() == f"{_xfs_hashes.hash_name(name.encode()):#x}"


def test_what_is_immutable_is_told(files: dict[str, bytes | str], tmp_path: Path) -> None:
    path = make(tmp_path, files)
    run("xfs_db", "-x", "-c", "path /etc/conf7", "-c", "write core.immutable 1", path)
    with unlimited(path) as source:
        reader = xfs.XfsReader(source)
        assert entry(reader, "etc/conf7").immutable is True
        assert entry(reader, "etc/conf8").immutable is False


def tree_block(level: int, entries: list[bytes], pointers: list[int], rightsib: int = (1 << 64) - 1) -> bytes:
    """A block of 512 bytes of a tree of extents in version 4: entries are records in a leaf, else keys."""
    header = b"BMAP" + struct.pack(">HHQQ", level, len(entries), (1 << 64) - 1, rightsib)
    body = b"".join(entries)
    if level:
        body = body.ljust(30 * 8, b"\0") + struct.pack(f">{len(pointers)}Q", *pointers)
    return (header + body).ljust(512, b"\0")


def test_a_tree_of_three_levels_is_read_in_version_4(tmp_path: Path) -> None:
    """Linux of today does not mount version 4: the tree is built by the specification, and xfs_db reads it too."""
    content = os.urandom(400 * KiB)
    path = make(tmp_path, {"/data": content}, *LAYOUTS["version 4 with blocks of 512 bytes"])
    ask = ("xfs_db", "-r", "-c", "path /data", "-c")
    found = re.search(r"offset 0 startblock (\d+) \(0/\1\) count 800 flag 0", run(*ask, "bmap", path))
    assert found  # all of the 800 blocks, in the first allocation group
    first = int(found[1])
    stack = re.search(r"byte offset (\d+), length 256", run(*ask, "stack", path))
    assert stack
    # The tree takes the place of the first 43 blocks; the others are every second block of the file, last first.
    records = [((number * 2) << 73 | (first + 799 - number) << 21 | 1).to_bytes(16, "big") for number in range(757)]
    blocks: list[bytes] = []

    def add(block: bytes) -> int:
        blocks.append(block)
        return first + len(blocks) - 1

    below = [
        (at * 2, add(tree_block(0, records[at : at + 20], [], first + at // 20 + 1 if at < 740 else (1 << 64) - 1)))
        for at in range(0, 757, 20)
    ]
    for level in (1, 2):
        groups = [below[at : at + 25] for at in range(0, len(below), 25)]
        below = [
            (group[0][0], add(tree_block(level, [struct.pack(">Q", key) for key, _ in group], [to for _, to in group])))
            for group in groups
        ]
    (top,) = below
    root = struct.pack(">HH", 3, 1) + struct.pack(">Q", 0).ljust(9 * 8, b"\0") + struct.pack(">Q", top[1])
    with path.open("r+b") as image:
        image.seek(first * 512)
        image.write(b"".join(blocks))
        for offset, value in (
            (5, b"\3"),
            (56, struct.pack(">Q", 757 * 1024)),
            (76, struct.pack(">I", 757)),
            (100, root),
        ):
            image.seek(int(stack[1]) + offset)
            image.write(value)
    assert len(blocks) <= 43
    assert f"offset 1512 startblock {first + 43} (0/{first + 43}) count 1 flag 0" in run(*ask, "bmap", path)
    pieces = [content[(799 - number) * 512 :][:512] + bytes(512) for number in range(757)]
    with unlimited(path) as source:
        assert whole(xfs.XfsReader(Buffered(source)), "data") == b"".join(pieces)


@pytest.mark.parametrize(
    ("block", "count", "reason"),
    [
        (0, 1, "holds the headers"),
        ((1 << 43) - 1, 1, "there are 76800 blocks"),
        (18431, (1 << 21) - 1, "there are 76800 blocks"),
    ],
    ids=["the superblock's", "past the end", "from one group into others"],
)
def test_a_file_whose_extent_is_out_of_bounds_is_refused(tmp_path: Path, block: int, count: int, reason: str) -> None:
    path = sparse(tmp_path / "disk", 300 * MiB)
    (tmp_path / "content").write_bytes(b"content")
    (tmp_path / "proto").write_text(f"b\n0 0\nd--755 0 0\nfile ---644 0 0 {tmp_path / 'content'}\n$\n")
    run("mkfs.xfs", "-q", "-m", "crc=0", "-p", tmp_path / "proto", path)
    inode = int(run("xfs_db", "-r", "-c", "path /file", "-c", "addr", path).split("byte offset ")[1].split(",")[0])
    with unlimited(path) as source:
        assert whole(xfs.XfsReader(source), "file") == b"content"
        # The second half of an extent: the lower 43 bits of the first block, then 21 of their number.
        reader = xfs.XfsReader(Changed(source, {inode + 100 + 8: (block << 21 | count).to_bytes(8, "big")}))
        with pytest.raises(ContentsError, match=reason):
            whole(reader, "file")
