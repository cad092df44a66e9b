"""Files in ext2, ext3 and ext4, from images that mke2fs and debugfs made."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from preflight.contents import ContentsError, Node, ext
from preflight.contents import _ext_layouts as layouts
from preflight.contents.tree import Tree
from preflight.errors import UnreachableBytes
from preflight.source import BlockSource, Buffered, FileSource, Memory
from preflight.units import GiB, KiB, MiB
from tests.contents.sources import Changed, Counting, Unreachable, entry, snapshot, unlimited, whole
from tests.tools import require, run, sparse

LATIN = "caf\udce9"  # what is no UTF-8, as os.fsdecode tells it
LONG = "n" * 255
FRAGMENTS = 400  # more extents than four blocks of 1024 bytes hold: the tree has inner nodes
MANY = 1200


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is put into the images."""
    require("mke2fs", "debugfs")
    top = tmp_path_factory.mktemp("tree")
    etc = top / "etc"
    etc.mkdir()
    for number in range(1, 41):
        (etc / f"conf{number}").write_bytes(os.urandom(number * 61))
    for size in (0, 1, 59, 60, 61, 100, 150, 160, 1024, 12 * 1024, 12 * 1024 + 1, 300 * 1024):
        (etc / f"size{size}").write_bytes(os.urandom(size))
    for size in (1, 59, 60, 61, 150, 1023):
        (etc / f"link{size}").symlink_to("t" * size)
    (etc / "größe-日本").write_text("ü")
    (etc / LATIN).write_text("latin")
    (etc / "cafX").write_text("beside it")
    (etc / LONG).write_text("long")
    (etc / "link-latin").symlink_to(LATIN)
    os.mkfifo(etc / "fifo")
    os.link(etc / "conf1", etc / "hard")
    (etc / "mode").write_text("x")
    (etc / "mode").chmod(0o4711)
    many = top / "many"
    many.mkdir()
    for number in range(MANY):
        (many / f"a-file-with-the-number-{number}").touch()
    (many / "a-file-with-the-number-1023").write_text("this one")
    deep = top
    for number in range(60):
        deep = deep / f"d{number}"
        deep.mkdir()
    (deep / "file").write_text("deep")
    with (top / "pieces").open("wb") as file:
        for number in range(FRAGMENTS):
            file.seek(number * 2 * 4 * KiB)
            file.write(bytes([number % 251 + 1]) * 4 * KiB)
    with (top / "sparse").open("wb") as file:
        file.truncate(5 * GiB)
        for offset, mark in ((4_300_000_000, b"MIDDLE"), (5 * GiB - 3, b"END")):
            file.seek(offset)
            file.write(mark)
    return top


def make(path: Path, directory: Path, *options: str, size: int = 64 * MiB) -> Path:
    run("mke2fs", "-q", "-F", "-d", directory, *options, sparse(path, size))
    return path


@pytest.fixture(scope="module")
def image(directory: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """ext4 with blocks of 1024 bytes, so that little data needs large trees, and large directories an index."""
    path = make(tmp_path_factory.mktemp("image") / "ext4.img", directory, "-t", "ext4", "-b", "1024")
    run("e2fsck", "-f", "-y", "-D", path, ok=(0, 1))
    return path


@pytest.fixture(scope="module")
def unsealed(directory: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same without checksums, so that what is behind them is seen."""
    path = tmp_path_factory.mktemp("unsealed") / "ext4.img"
    make(path, directory, "-t", "ext4", "-b", "1024", "-O", "^metadata_csum")
    run("e2fsck", "-f", "-y", "-D", path, ok=(0, 1))
    return path


@pytest.fixture
def reader(image: Path) -> Iterator[ext.ExtReader]:
    with unlimited(image) as source:
        yield ext.ExtReader(source)


def expected(directory: Path) -> dict[str, bytes | str]:
    """What `snapshot` must find, by the host; without the one file that is too large for it."""
    found: dict[str, bytes | str] = {"/lost+found": "directory"}
    for parent, directories, files in os.walk(directory):
        for name in directories + files:
            path = Path(parent, name)
            key = f"/{path.relative_to(directory)}"
            if path.is_symlink():
                found[key] = f"-> {os.readlink(path)}"
            elif path.is_dir():
                found[key] = "directory"
            elif path.is_fifo():
                found[key] = "other"
            elif path.name != "sparse":
                found[key] = path.read_bytes()
    return found


def small(source: BlockSource) -> dict[str, bytes | str]:
    """As `snapshot`, without the one file that is too large for it."""

    class WithoutSparse(ext.ExtReader):
        def entries(self, directory: Node) -> Iterator[tuple[str, Node]]:
            return ((name, node) for name, node in super().entries(directory) if name != "sparse")

        def names(self, directory: Node) -> Iterator[str]:
            return (name for name in super().names(directory) if name != "sparse")

    return snapshot(WithoutSparse(source))


LAYOUTS = {
    "ext2 of the first revision": ("-t", "ext2", "-O", "none", "-r", "0"),
    "ext2": ("-t", "ext2", "-b", "1024"),
    "ext2 without file types": ("-t", "ext2", "-O", "^filetype"),
    "ext3": ("-t", "ext3", "-b", "2048"),
    "ext4": ("-t", "ext4"),
    "ext4 with blocks of 1024 bytes": ("-t", "ext4", "-b", "1024"),
    "ext4 with blocks of 64 KiB": ("-t", "ext4", "-b", "65536", "-N", "4096"),
    "ext4 of today": ("-t", "ext4", "-O", "orphan_file,metadata_csum_seed"),
    "ext4 as it was": ("-t", "ext4", "-O", "^64bit,^metadata_csum,^flex_bg", "-I", "128"),
    "inline_data": ("-t", "ext4", "-O", "inline_data"),
    "inline_data in large inodes": ("-t", "ext4", "-O", "inline_data", "-I", "1024"),
    "bigalloc": ("-t", "ext4", "-O", "bigalloc", "-C", "16384"),
    "meta_bg": ("-t", "ext4", "-b", "1024", "-O", "meta_bg,^resize_inode", "-g", "512"),
    "meta_bg without sparse_super": ("-t", "ext4", "-O", "meta_bg,^resize_inode,^sparse_super", "-g", "256"),
    "sparse_super2": ("-t", "ext4", "-b", "1024", "-O", "sparse_super2,meta_bg,^resize_inode", "-g", "512"),
    "what libfsext refuses": ("-t", "ext4", "-O", "fast_commit,sparse_super2,stable_inodes,mmp,ea_inode"),
    "what seldom is set": ("-t", "ext4", "-O", "verity,encrypt,casefold,project,quota,large_dir"),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_all_files_are_those_that_were_put_in(layout: str, directory: Path, tmp_path: Path) -> None:
    path = make(tmp_path / "image", directory, *LAYOUTS[layout])
    with unlimited(path) as source:
        assert small(Buffered(source)) == expected(directory)
        reader = ext.ExtReader(source)
        assert whole(reader, "many/a-file-with-the-number-1023") == b"this one"
        node = entry(reader, "sparse")
        assert node.size == 5 * GiB
        assert reader.read(node, 4_300_000_000 - 4, 12) == b"\0\0\0\0MIDDLE\0\0"
        assert reader.read(node, 5 * GiB - 5, 100) == b"\0\0END"


def test_an_indexed_directory_is_read(directory: Path, reader: ext.ExtReader, image: Path) -> None:
    assert "Indirect levels: " in run("debugfs", "-R", "htree_dump /many", image)
    names = {name for name, _ in reader.entries(entry(reader, "many"))}
    assert names == set(os.listdir(directory / "many"))
    assert whole(reader, "many/a-file-with-the-number-1023") == b"this one"
    assert reader.lookup(entry(reader, "many"), "a-file-with-the-number-5000") is None


def test_extents_with_inner_nodes_are_read(directory: Path, reader: ext.ExtReader, image: Path) -> None:
    assert "1/ 2" in run("debugfs", "-R", "ex /pieces", image)  # level 1 of 2: the root, a node, and leaves
    assert whole(reader, "pieces") == (directory / "pieces").read_bytes()
    node = entry(reader, "pieces")
    assert reader.read(node, 8 * KiB * 300 - 1, 2) == b"\0" + bytes([300 % 251 + 1])


def test_bytes_are_read_from_anywhere(directory: Path, reader: ext.ExtReader) -> None:
    content = (directory / "etc/size307200").read_bytes()
    node = entry(reader, "etc/size307200")
    for offset, size in ((0, 1), (1023, 2), (5000, 100_000), (307_199, 1), (307_199, 50)):
        assert reader.read(node, offset, size) == content[offset : offset + size]
    for offset, size in ((307_200, 10), (0, 0), (-1, 10), (1 << 60, 10)):
        assert reader.read(node, offset, size) == b""


def test_kinds_sizes_and_modes_are_told(reader: ext.ExtReader) -> None:
    node = entry(reader, "etc/mode")
    assert (node.kind, node.size, node.mode) == ("file", 1, 0o4711)
    assert entry(reader, "etc/link59").size == 59
    assert entry(reader, "etc/fifo").kind == "other"
    assert reader.root.kind == "directory"


def test_a_name_that_is_no_utf8_is_found(reader: ext.ExtReader) -> None:
    assert whole(reader, f"etc/{LATIN}") == b"latin"
    assert reader.target(entry(reader, "etc/link-latin")) == LATIN
    assert whole(reader, "etc/cafX") == b"beside it"
    assert reader.lookup(entry(reader, "etc"), "\ud800") is None


@pytest.mark.parametrize("name", ["", ".", "..", "conf", "conf1 ", "CONF1", "conf1\0", "etc/conf1", LONG + "n"])
def test_what_is_no_name_here_is_not_found(reader: ext.ExtReader, name: str) -> None:
    assert reader.lookup(entry(reader, "etc"), name) is None


def test_a_hard_link_is_the_same_file(directory: Path, reader: ext.ExtReader) -> None:
    assert whole(reader, "etc/hard") == (directory / "etc/conf1").read_bytes()


def test_reading_what_a_guest_is_known_by_takes_few_reads(image: Path) -> None:
    with unlimited(image) as source:
        counting = Counting(source)
        guest = Tree(ext.ExtReader(Buffered(counting)))
        assert all(guest.read(f"/etc/conf{number}") for number in range(1, 41))
        assert counting.reads <= 40


def test_listing_a_large_directory_reads_each_page_once(image: Path) -> None:
    with unlimited(image) as source:
        counting = Counting(source)
        reader = ext.ExtReader(Buffered(counting))
        assert len(list(reader.entries(entry(reader, "many")))) == MANY
        # The inodes of 256 bytes and 60 KiB of names, in pages of 16 KiB
        assert counting.reads <= MANY * 256 // (16 * KiB) + 4 + 10


def debugfs(image: Path, copy: Path, *commands: str) -> Path:
    """A copy of the image on which debugfs did something."""
    run("cp", "--sparse=always", image, copy)
    for command in commands:
        run("debugfs", "-w", "-R", command, copy)
    return copy


def test_blocks_that_were_never_written_are_zeros(image: Path, tmp_path: Path) -> None:
    copy = debugfs(image, tmp_path / "image", "fallocate /etc/size1 1 20", "set_inode_field /etc/size1 size 20000")
    assert "Uninit" in run("debugfs", "-R", "ex /etc/size1", copy)
    with unlimited(copy) as source:
        data = whole(ext.ExtReader(source), "etc/size1")
        assert len(data) == 20_000
        assert not any(data[1024:])


def test_an_encrypted_file_is_refused(image: Path, tmp_path: Path) -> None:
    flags = layouts.EXT4_ENCRYPT_FL | layouts.EXT4_EXTENTS_FL
    commands = [f"set_inode_field {path} flags {flags:#x}" for path in ("/etc/conf9", "/many", "/etc/link1023")]
    commands.append(f"set_inode_field /etc/link59 flags {layouts.EXT4_ENCRYPT_FL:#x}")
    with unlimited(debugfs(image, tmp_path / "image", *commands)) as source:
        reader = ext.ExtReader(source)
        with pytest.raises(ContentsError, match=r"ext inode \d+: it is encrypted"):
            whole(reader, "etc/conf9")
        with pytest.raises(ContentsError, match="it is encrypted"):
            reader.lookup(entry(reader, "many"), "x")
        with pytest.raises(ContentsError, match="it is encrypted"):
            list(reader.entries(entry(reader, "many")))
        for name in ("link59", "link1023"):
            with pytest.raises(ContentsError, match="it is encrypted"):
                reader.target(entry(reader, f"etc/{name}"))


def test_a_directory_with_casefold_is_searched_without_case(directory: Path, image: Path, tmp_path: Path) -> None:
    flags = layouts.EXT4_CASEFOLD_FL | layouts.EXT4_EXTENTS_FL | layouts.EXT4_INDEX_FL
    commands = ("feature casefold", f"set_inode_field /etc flags {flags:#x}")
    with unlimited(debugfs(image, tmp_path / "image", *commands)) as source:
        reader = ext.ExtReader(source)
        assert whole(reader, "etc/CONF7") == (directory / "etc/conf7").read_bytes()
        assert whole(reader, "etc/GRÖSSE-日本") == "ü".encode()
        assert reader.lookup(entry(reader, "etc"), "conf77") is None


def test_a_file_system_that_was_not_unmounted_is_read(image: Path, tmp_path: Path) -> None:
    copy = debugfs(image, tmp_path / "image", "feature needs_recovery")
    with unlimited(copy) as source:
        assert whole(ext.ExtReader(source), f"etc/{LONG}") == b"long"


def test_one_kind_is_not_read_as_another(reader: ext.ExtReader) -> None:
    for kind, use in (
        ("etc", lambda node: reader.read(node, 0, 1)),
        ("etc/fifo", lambda node: reader.read(node, 0, 1)),
        ("etc/conf1", reader.target),
        ("etc/conf1", lambda node: reader.lookup(node, "x")),
        ("etc/conf1", lambda node: list(reader.entries(node))),
    ):
        with pytest.raises(ContentsError, match="is needed here"):
            use(entry(reader, kind))


SUPERBLOCK = 1024
REFUSALS = {
    "s_magic is 0x0000": {SUPERBLOCK + 0x38: bytes(2)},
    "s_log_block_size is 7, allowed is 0 to 6": {SUPERBLOCK + 0x18: b"\7"},
    "s_inode_size is 0, allowed is a power of two from 128 to 1024": {SUPERBLOCK + 0x58: bytes(2)},
    "s_inode_size is 2048": {SUPERBLOCK + 0x58: (2048).to_bytes(2, "little")},
    "s_inode_size is 300": {SUPERBLOCK + 0x58: (300).to_bytes(2, "little")},
    "s_inodes_per_group is 0, allowed is 1 to 8192": {SUPERBLOCK + 0x28: bytes(4)},
    "s_inodes_per_group is 4294967295": {SUPERBLOCK + 0x28: b"\xff" * 4},
    "s_desc_size is 0, allowed is a power of two from 64 to 1024": {SUPERBLOCK + 0xFE: bytes(2)},
    "not read: compression": {SUPERBLOCK + 0x60: b"\xc3"},
    "not read: journal_dev": {SUPERBLOCK + 0x60: b"\xca"},
    "not read: unknown 0x80000000": {SUPERBLOCK + 0x63: b"\x80"},
}


@pytest.mark.parametrize("message", REFUSALS)
def test_an_impossible_superblock_is_refused(message: str, image: Path) -> None:
    with unlimited(image) as source, pytest.raises(ContentsError) as caught:
        ext.ExtReader(Changed(source, REFUSALS[message]))
    assert message in str(caught.value)
    assert str(caught.value).startswith("ext superblock: ")


def imap(image: Path, path: str) -> int:
    """Byte of the inode of a file, by debugfs: `… located at block N, offset 0xM`."""
    line = run("debugfs", "-R", f"imap {path}", image).splitlines()[-1]
    words = line.replace(",", "").split()
    return int(words[words.index("block") + 1]) * KiB + int(words[-1], 16)


def first_block(image: Path, path: str) -> int:
    """Byte of the first block of a file, by debugfs."""
    return int(run("debugfs", "-R", f"bmap {path} 0", image).split()[-1]) * KiB


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        (0x28, b"\0\0", "eh_magic is 0x0000, expected 0xf30a"),
        (0x2C, b"\5\0", "eh_max is 5, there is room for 4"),
        (0x2A, b"\xff\xff", "eh_entries is 65535, which the node has no room for"),
        (0x2E, b"\6" + bytes(9) + b"\x88\x13" + bytes(4), "eh_depth is 6, allowed is 0 to 5"),
        (0x28 + 12 + 8, b"\xff\xff\xff\xff", "there are 65536 blocks"),
        (0x28 + 12 + 6, b"\xff\xff", "there are 65536 blocks"),
    ],
)
def test_a_damaged_map_of_blocks_is_refused(field: int, value: bytes, message: str, unsealed: Path) -> None:
    with unlimited(unsealed) as source:
        reader = ext.ExtReader(Changed(source, {imap(unsealed, "/etc/conf20") + field: value}))
        with pytest.raises(ContentsError) as caught:
            whole(reader, "etc/conf20")
        assert message in str(caught.value)


def test_a_tree_of_extents_that_leads_back_to_itself_ends(unsealed: Path) -> None:
    with unlimited(unsealed) as source:
        inode = source.read_at(imap(unsealed, "/pieces"), 128)
        node = int.from_bytes(inode[0x28 + 12 + 4 :][:4], "little")  # ei_leaf_lo of the first entry of the root
        itself = (0).to_bytes(4, "little") + node.to_bytes(4, "little")
        reader = ext.ExtReader(Changed(source, {node * KiB + 12: itself}))
        with pytest.raises(ContentsError, match="eh_depth is 1, allowed is 0 to 0"):
            whole(reader, "pieces")


@pytest.mark.parametrize(("rec_len", "name_len"), [(0, 4), (7, 0), (8, 0), (11, 1), (13, 1), (2048, 4), (12, 200)])
def test_a_damaged_directory_entry_is_refused(rec_len: int, name_len: int, unsealed: Path) -> None:
    changed = rec_len.to_bytes(2, "little") + bytes([name_len])
    with unlimited(unsealed) as source:
        reader = ext.ExtReader(Changed(source, {first_block(unsealed, "/etc") + 4: changed}))
        with pytest.raises(ContentsError, match=f"has rec_len {rec_len}"):
            list(reader.entries(entry(reader, "etc")))


def test_a_directory_of_impossible_size_is_not_gone_through(unsealed: Path) -> None:
    with unlimited(unsealed) as source:
        reader = ext.ExtReader(Changed(source, {imap(unsealed, "/many") + 4: b"\xff\xff\xff\xff"}))
        with pytest.raises(ContentsError, match="has 4294967295 bytes, at most 33554432 are read"):
            list(reader.entries(entry(reader, "many")))


def test_a_target_of_impossible_length_is_not_read(unsealed: Path) -> None:
    with unlimited(unsealed) as source:
        reader = ext.ExtReader(Changed(source, {imap(unsealed, "/etc/link1023") + 4: b"\0\x10\0\0"}))
        with pytest.raises(ContentsError, match="the target has 4096 bytes, at most 4095 are read"):
            reader.target(entry(reader, "etc/link1023"))


def test_an_entry_of_an_inode_that_is_not_there_is_refused(unsealed: Path) -> None:
    # The first entry after `.` and `..` of a directory without an index.
    with unlimited(unsealed) as source:
        reader = ext.ExtReader(Changed(source, {first_block(unsealed, "/d0") + 24: b"\xff\xff\xff\xff"}))
        for use in (lambda node: list(reader.entries(node)), lambda node: reader.lookup(node, "d1")):
            with pytest.raises(ContentsError, match="an entry is of inode 4294967295, there are inodes 1 to"):
                use(entry(reader, "d0"))


@pytest.mark.parametrize("number", [16_000, 8, 2])  # a free one, that of the journal, that of the root
def test_an_entry_of_an_inode_that_has_no_name_is_listed_and_not_found(number: int, unsealed: Path) -> None:
    with unlimited(unsealed) as source:
        changes = {first_block(unsealed, "/d0") + 24: number.to_bytes(4, "little")}
        reader = ext.ExtReader(Changed(source, changes))
        assert [(name, node.kind) for name, node in reader.entries(entry(reader, "d0"))] == [("d1", "other")]
        with pytest.raises(ContentsError, match=r"the file is deleted|which no name may have"):
            entry(reader, "d0/d1")


def test_a_group_descriptor_that_leads_out_is_refused(image: Path) -> None:
    with unlimited(image) as source:
        reader = ext.ExtReader(Changed(source, {2 * KiB + 8: b"\xff\xff\xff\xff"}))
        with pytest.raises(ContentsError, match="ext group descriptor 0 at byte 0x800: bg_inode_table is"):
            _ = reader.root


def test_an_inline_file_without_its_attribute_is_refused(directory: Path, tmp_path: Path) -> None:
    path = make(tmp_path / "image", directory, "-t", "ext4", "-O", "inline_data,^metadata_csum", "-b", "1024")
    with unlimited(path) as source:
        inode = imap(path, "/etc/size100")
        extra = inode + 128 + int.from_bytes(source.read_at(inode + 128, 2), "little")
        for changes, message in (
            ({extra: bytes(4)}, f"i_block at byte {inode + 0x28:#x}: "),  # what Linux takes for a map of blocks
            ({extra: bytes(4), inode + 0x28: bytes(60)}, "to be inline, and it has no attribute system.data"),
            ({inode + 4: b"\xc8"}, "of its 200 bytes only 100 are in the inode"),
        ):
            with pytest.raises(ContentsError, match=message):
                whole(ext.ExtReader(Changed(source, changes)), "etc/size100")


def test_why_bytes_are_not_there_is_told(image: Path) -> None:
    with unlimited(image) as source:
        reader = ext.ExtReader(Unreachable(source, 2 * KiB))
        with pytest.raises(ContentsError, match="they are in a backing file") as caught:
            _ = reader.root
        assert isinstance(caught.value.__cause__, UnreachableBytes)
        with pytest.raises(ContentsError, match="they are in a backing file"):
            ext.ExtReader(Unreachable(source, 0))


def explore(source: BlockSource) -> None:
    """Use all of a reader; whatever it finds, it raises nothing but `ContentsError`."""

    def attempt(use: object, *arguments: object) -> object:
        try:
            result = use(*arguments)  # type: ignore[operator]
            return list(result) if isinstance(result, Iterator) else result
        except ContentsError:
            return None

    reader = attempt(ext.ExtReader, source)
    if not isinstance(reader, ext.ExtReader):
        return
    try:
        waiting = [reader.root]
    except ContentsError:
        return
    for _ in range(30):
        if not waiting:
            break
        node = waiting.pop()
        attempt(reader.target, node)
        attempt(reader.read, node, max(0, node.size - 5000), 5000)
        attempt(reader.lookup, node, "conf1")
        if isinstance(found := attempt(reader.entries, node), list):
            waiting += [node for _, node in found[:20]]


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=8 * KiB))
def test_any_bytes_are_a_file_system_or_refused(data: bytes) -> None:
    explore(Memory(data))


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A file system of which nearly every byte matters."""
    require("mke2fs")
    top = tmp_path_factory.mktemp("tiny")
    (top / "tree/etc").mkdir(parents=True)
    for size in (10, 100, 20_000):
        (top / f"tree/etc/conf{size}").write_bytes(b"x" * size)
    (top / "tree/link").symlink_to("etc/conf10")
    path = make(
        top / "image", top / "tree", "-t", "ext4", "-b", "1024", "-N", "16", "-O", "inline_data,^has_journal", size=MiB
    )
    return path.read_bytes()


@settings(max_examples=200, deadline=None)
@given(changes=st.dictionaries(st.integers(0, 32 * KiB), st.binary(min_size=1, max_size=4), min_size=1, max_size=3))
def test_any_changed_byte_leaves_a_file_system_or_is_refused(changes: dict[int, bytes], tiny: bytes) -> None:
    explore(Changed(Memory(tiny), changes))


def test_the_immutable_attribute_is_told(tmp_path: Path) -> None:
    tree, disk = tmp_path / "tree", sparse(tmp_path / "disk", 8 << 20)
    tree.mkdir()
    for name in ("bound", "free"):
        (tree / name).write_text("text")
    run("mke2fs", "-q", "-t", "ext4", "-d", tree, disk)
    run("debugfs", "-w", "-R", "set_inode_field bound flags 0x80010", disk)  # extents and immutable
    with FileSource(str(disk)) as source:
        reader = ext.CONTENTS.open(source)
        found = {name: reader.lookup(reader.root, name) for name in ("bound", "free")}
    assert {name: node and node.immutable for name, node in found.items()} == {"bound": True, "free": False}
