"""What Linux refuses of ext2, ext3 and ext4, shown on file systems that were sound, and that e2fsck dislikes."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from preflight.binary import crc32c
from preflight.contents import ContentsError, ext
from preflight.source import BlockSource
from preflight.units import KiB, MiB
from tests.contents.sources import Changed, Counting, entry, unlimited, whole
from tests.tools import require, run, sparse

BLOCK = 1024
FRAGMENTS = 200  # extents: more than the leaf of one block holds
MANY = 600
INODE_OF_FILE, FILE, LINK, LONG_LINK = "/etc/file", "etc/file", "/etc/link", "/etc/long-link"


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    require("mke2fs", "debugfs", "e2fsck")
    top = tmp_path_factory.mktemp("tree")
    (top / "etc").mkdir()
    (top / "etc/file").write_bytes(b"f" * 5000)
    (top / "etc/indirect").write_bytes(b"i" * 40_000)
    (top / "etc/link").symlink_to("file")
    (top / "etc/long-link").symlink_to("l" * 300)
    (top / "many").mkdir()
    for number in range(MANY):
        (top / "many" / f"a-name-that-is-long-enough-{number}").touch()
    with (top / "pieces").open("wb") as file:
        for number in range(FRAGMENTS):
            file.seek(number * 8 * KiB)
            file.write(b"p" * 4 * KiB)
    return top


def make(path: Path, tree: Path, *options: str) -> Path:
    run("mke2fs", "-q", "-F", "-b", str(BLOCK), *options, "-d", tree, sparse(path, 16 * MiB))
    (path.parent / "value").write_bytes(os.urandom(200))
    run("debugfs", "-w", "-R", f"ea_set -f {path.parent / 'value'} /etc/file user.test", path)
    run("e2fsck", "-fyD", path, ok=(0, 1))
    run("e2fsck", "-fn", path)
    return path


@pytest.fixture(scope="module")
def sealed(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With checksums; inodes of 128 bytes, so that attributes have a block."""
    return make(tmp_path_factory.mktemp("sealed") / "disk", tree, "-t", "ext4", "-I", "128")


@pytest.fixture(scope="module")
def unsealed(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("unsealed") / "disk", tree, "-t", "ext4", "-O", "^metadata_csum")


@pytest.fixture(scope="module")
def old(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """ext2, whose files have indirect blocks."""
    return make(tmp_path_factory.mktemp("old") / "disk", tree, "-t", "ext2", "-I", "128")


def inode(image: Path, path: str) -> int:
    """Byte of the inode of a file, by debugfs: `… located at block N, offset 0xM`."""
    words = run("debugfs", "-R", f"imap {path}", image).splitlines()[-1].replace(",", "").split()
    return int(words[words.index("block") + 1]) * BLOCK + int(words[-1], 16)


def block(image: Path, path: str, number: int = 0) -> int:
    """Byte of a block of a file."""
    return int(run("debugfs", "-R", f"bmap {path} {number}", image).split()[-1]) * BLOCK


def superblock_field(image: Path, name: str) -> int:
    lines = run("dumpe2fs", "-h", image).splitlines()
    return int(next(line for line in lines if line.startswith(name)).split()[-1])


def group(image: Path, field: int) -> int:
    """A block that the descriptor of the first group names, as a byte."""
    with image.open("rb") as file:
        file.seek(2 * BLOCK + field)
        return int.from_bytes(file.read(4), "little") * BLOCK


def word(source: BlockSource, offset: int) -> int:
    return int.from_bytes(source.read_at(offset, 4), "little")


def disliked(image: Path, copy: Path, changes: dict[int, bytes]) -> None:
    """Assert that e2fsck finds something to mend."""
    run("cp", "--sparse=always", image, copy)
    with copy.open("r+b") as file:
        for offset, data in changes.items():
            file.seek(offset)
            file.write(data)
    run("e2fsck", "-fn", copy, ok=(4, 8, 12))


@pytest.fixture
def extent_block(sealed: Path) -> int:
    """Byte of a block of the tree of extents of /pieces."""
    with unlimited(sealed) as source:
        return word(source, inode(sealed, "/pieces") + 0x28 + 12 + 4) * BLOCK


def listing(path: str) -> Callable[[ext.ExtReader], object]:
    return lambda reader: list(reader.listed(entry(reader, path)))


def lookup(path: str) -> Callable[[ext.ExtReader], object]:
    return lambda reader: entry(reader, path)


def test_a_wrong_checksum_is_refused_wherever_it_leads_to_bytes(
    sealed: Path, extent_block: int, tmp_path: Path
) -> None:
    attributes = None
    with unlimited(sealed) as source:
        attributes = word(source, inode(sealed, INODE_OF_FILE) + 0x68) * BLOCK
    absent = f"many/a-name-that-is-long-enough-{MANY}"  # all blocks are looked at
    cases: tuple[tuple[int, str, Callable[[ext.ExtReader], object]], ...] = (
        (inode(sealed, INODE_OF_FILE) + 0x10, "i_checksum is", lookup(FILE)),  # i_mtime
        (extent_block + 12 + 4 * 12 + 4, "et_checksum is", lambda reader: whole(reader, "pieces")),  # ee_len
        (block(sealed, "/etc") + 24 + 7, "block 0 of the directory: its checksum", listing("etc")),  # file_type
        (block(sealed, "/many") + 32 + 8, "block 0 of the directory: its checksum", lookup(absent)),  # a hash
        (block(sealed, "/many", 1) + 6, "block 1 of the directory: its checksum", lookup(absent)),
        (2 * BLOCK + 0x10, "bg_checksum is", lambda reader: reader.root),  # bg_itable_unused and others
        (attributes + 0x08 - 4, "h_checksum is", listing("etc")),  # h_refcount
    )
    with unlimited(sealed) as source:
        for offset, message, use in cases:
            change = {offset: bytes([source.read_at(offset, 1)[0] ^ 0x40])}
            with pytest.raises(ContentsError) as caught:
                use(ext.ExtReader(Changed(source, change)))
            assert message in str(caught.value)
            assert ", computed is 0x" in str(caught.value)
            disliked(sealed, tmp_path / "copy", change)


def test_a_block_of_a_directory_without_its_checksum_is_refused(sealed: Path, tmp_path: Path) -> None:
    change = {block(sealed, "/etc") + BLOCK - 12 + 7: b"\0"}  # det_reserved_ft
    with unlimited(sealed) as source, pytest.raises(ContentsError, match="does not end in an entry with its checksum"):
        lookup(FILE)(ext.ExtReader(Changed(source, change)))
    disliked(sealed, tmp_path / "copy", change)


def test_checksums_of_inodes_are_asked_of_linux_alone(sealed: Path) -> None:
    with unlimited(sealed) as source:
        changes = {inode(sealed, INODE_OF_FILE) + 0x10: b"\xee", 1024 + 0x48: b"\3"}  # s_creator_os: FreeBSD
        assert whole(ext.ExtReader(Changed(source, changes)), FILE) == b"f" * 5000


def extent(first: int, length: int, start: int) -> bytes:
    return first.to_bytes(4, "little") + length.to_bytes(2, "little") + bytes(2) + start.to_bytes(4, "little")


def header(entries: int, depth: int = 0, most: int = 4) -> bytes:
    return b"\x0a\xf3" + b"".join(number.to_bytes(2, "little") for number in (entries, most, depth)) + bytes(4)


SOME = 14000  # a block that a file may have
INODES = {  # by message: the file, a field of its inode, and what it becomes
    "i_extra_isize is 30, expected is a multiple of 4 up to 128": (INODE_OF_FILE, 0x80, b"\x1e\0"),
    "i_extra_isize is 132": (INODE_OF_FILE, 0x80, b"\x84\0"),
    "i_links_count is 0, the file is deleted": (INODE_OF_FILE, 0x1A, b"\0\0"),
    "the data are inline, and have extents": (INODE_OF_FILE, 0x20, b"\0\0\x08\x10"),
    "which is more than a file can have": (INODE_OF_FILE, 0x6C, b"\0\0\xff\xff"),
    "i_file_acl is block 4294967295, which no file may have": (INODE_OF_FILE, 0x68, b"\xff\xff\xff\xff"),
    "i_file_acl is block 2, which no file may have": (INODE_OF_FILE, 0x68, b"\2\0\0\0"),
    "i_mode is 0o170644, which is no type of file": (INODE_OF_FILE, 0x0, b"\xa4\xf1"),
    "i_flags has the bit CASEFOLD": (INODE_OF_FILE, 0x20, b"\0\0\x08\x40"),
    "i_flags has the bit EA_INODE": (INODE_OF_FILE, 0x20, b"\0\0\x28\0"),
    "a symlink cannot be immutable or append-only": (LINK, 0x20, b"\x10\0\0\0"),
    "i_size is 3, and the target in i_block has 4": (LINK, 0x4, b"\3\0\0\0"),
    "i_size is 60, and the target in i_block has 4": (LINK, 0x4, b"\x3c\0\0\0"),
    "eh_max is 0, there is room for 4": (INODE_OF_FILE, 0x28, header(1, most=0)),
    "eh_entries is 0, which": (INODE_OF_FILE, 0x28, header(0, depth=1)),
    "an extent has 0 blocks from block 0": (INODE_OF_FILE, 0x28, header(1) + extent(0, 0, SOME)),
    "an extent has 5 blocks from block 4294967293": (INODE_OF_FILE, 0x28, header(1) + extent(0xFFFFFFFD, 5, SOME)),
    "an entry is for block 2 of the file, expected is 3 at least": (
        INODE_OF_FILE, 0x28, header(2) + extent(0, 3, SOME) + extent(2, 2, SOME + 3)),
    "5 of its blocks are at 16380, which no file may have": (INODE_OF_FILE, 0x28, header(1) + extent(0, 5, 16380)),
    "5 of its blocks are at 8190, which no file may have": (INODE_OF_FILE, 0x28, header(1) + extent(0, 5, 8190)),
    "1 of its blocks are at 1, which no file may have": (INODE_OF_FILE, 0x28, header(1) + extent(0, 1, 1)),
}  # fmt: skip


NOT_TOLD_BY_E2FSCK = ("i_flags has the bit EA_INODE", "a symlink cannot be immutable or append-only")


@pytest.mark.parametrize("message", INODES)
def test_an_inode_that_linux_refuses_is_refused_and_placed(message: str, unsealed: Path, tmp_path: Path) -> None:
    path, field, data = INODES[message]
    offset = inode(unsealed, path)
    with unlimited(unsealed) as source:
        reader = ext.ExtReader(Changed(source, {offset + field: data}))
        with pytest.raises(ContentsError) as caught:
            entry(reader, path.strip("/"))
        assert message in str(caught.value)
        assert int(str(caught.value).split("at byte ")[1].split(":")[0], 16) - offset in range(256)
        with pytest.raises(ContentsError, match=f"the entry '{path.rpartition('/')[2]}' cannot be listed: ext inode"):
            list(reader.listed(entry(reader, "etc")))
    if message not in NOT_TOLD_BY_E2FSCK:
        disliked(unsealed, tmp_path / "copy", {offset + field: data})


@pytest.mark.parametrize("field", [0x0, 0x4, 0x8])
def test_no_file_may_have_the_blocks_of_bitmaps_and_inode_tables(field: int, unsealed: Path) -> None:
    for start in (group(unsealed, field) // BLOCK - 2, group(unsealed, field) // BLOCK):
        change = {inode(unsealed, INODE_OF_FILE) + 0x28: header(1) + extent(0, 5, start)}
        with unlimited(unsealed) as source, pytest.raises(ContentsError, match=f"are at {start}, which no file may"):
            entry(ext.ExtReader(Changed(source, change)), FILE)


def test_no_file_may_have_the_blocks_of_the_journal(unsealed: Path, tmp_path: Path) -> None:
    first = block(unsealed, "<8>") // BLOCK
    for start in (first - 2, first, first + 900):
        change = {inode(unsealed, INODE_OF_FILE) + 0x28: header(1) + extent(0, 5, start)}
        with unlimited(unsealed) as source, pytest.raises(ContentsError, match=f"are at {start}, which no file may"):
            entry(ext.ExtReader(Changed(source, change)), FILE)
        disliked(unsealed, tmp_path / "copy", change)


def test_a_leaf_that_is_not_where_its_index_says_is_refused(unsealed: Path, tmp_path: Path) -> None:
    with unlimited(unsealed) as source:
        leaf = word(source, inode(unsealed, "/pieces") + 0x28 + 12 + 4) * BLOCK
        change = {leaf + 12: b"\1"}  # ee_block of the first extent
        reader = ext.ExtReader(Changed(source, change))
        message = rf"extent tree at byte {leaf + 12:#x}: the first entry is for block 1 of the file, the index says 0"
        with pytest.raises(ContentsError, match=message):
            whole(reader, "pieces")
    disliked(unsealed, tmp_path / "copy", change)


def test_an_extent_that_reaches_into_the_next_leaf_is_refused(unsealed: Path, tmp_path: Path) -> None:
    with unlimited(unsealed) as source:
        root = inode(unsealed, "/pieces") + 0x28
        leaf, second = word(source, root + 12 + 4) * BLOCK, word(source, root + 24)
        entries = int.from_bytes(source.read_at(leaf + 2, 2), "little")
        last = leaf + 12 * entries
        change = {last + 4: (second - word(source, last) + 1).to_bytes(2, "little")}
        with pytest.raises(ContentsError, match=f"an extent goes beyond block {second}, where the next begins"):
            whole(ext.ExtReader(Changed(source, change)), "pieces")
    disliked(unsealed, tmp_path / "copy", change)


@pytest.mark.parametrize("number", [1, 5, 1 << 20])
def test_a_block_that_no_file_may_have_is_refused_in_indirect_maps(number: int, old: Path, tmp_path: Path) -> None:
    data = number.to_bytes(4, "little")
    with unlimited(old) as source:
        at = inode(old, "/etc/indirect")
        places = (at + 0x28 + 4 * 4, "i_block"), (word(source, at + 0x28 + 4 * 12) * BLOCK + 4 * 7, "indirect block")
        for offset, where in places:
            message = rf"{where} at byte {offset:#x}: 1 of its blocks are at {number}, which no file may have"
            with pytest.raises(ContentsError, match=message):
                whole(ext.ExtReader(Changed(source, {offset: data})), "etc/indirect")
            disliked(old, tmp_path / "copy", {offset: data})
        unused = {at + 0x28 + 4 * 13: data}  # the double indirect one, which the file does not reach
        assert whole(ext.ExtReader(Changed(source, unused)), "etc/indirect") == b"i" * 40_000


@pytest.mark.parametrize(("at", "data", "shown"), [(2, b"/", "fi/e"), (0, b"/", "/ile")])
def test_a_directory_with_a_name_that_is_none_is_not_listed(at: int, data: bytes, shown: str, unsealed: Path) -> None:
    with unlimited(unsealed) as source:
        names = source.read_at(block(unsealed, "/etc"), BLOCK)
        change = {block(unsealed, "/etc") + names.index(b"\4\1file") + 2 + at: data}
        reader = ext.ExtReader(Changed(source, change))
        for use in (reader.entries, reader.names, reader.listed):
            with pytest.raises(ContentsError, match=f"has the name b'{shown}'"):
                list(use(entry(reader, "etc")))
        assert reader.target(entry(reader, "etc/link")) == "file"


def test_an_entry_without_a_name_and_one_that_leaves_too_little_are_refused(unsealed: Path) -> None:
    with unlimited(unsealed) as source:
        start = block(unsealed, "/etc")
        names = source.read_at(start, BLOCK)
        at = start + names.index(b"\4\1file") - 6
        reader = ext.ExtReader(Changed(source, {at + 6: b"\0"}))
        with pytest.raises(ContentsError, match="has the name b''"):
            list(reader.names(entry(reader, "etc")))
        short = start + BLOCK - 8 - at
        reader = ext.ExtReader(Changed(source, {at + 4: short.to_bytes(2, "little")}))
        with pytest.raises(ContentsError, match=f"has rec_len {short}, {short + 8} bytes are left"):
            list(reader.names(entry(reader, "etc")))


ATTRIBUTE = bytes([4, 1]) + (60).to_bytes(2, "little") + bytes(4) + (4).to_bytes(4, "little") + bytes(4) + b"test"
ATTRIBUTES = {
    "a name of 200 bytes leaves no room": b"\xc8" + ATTRIBUTE[1:],
    "e_name_len is 4, the name has 2 bytes": ATTRIBUTE[:18] + b"\0\0",
    "e_value_inum is 12, which needs the feature ea_inode": ATTRIBUTE[:4] + b"\x0c" + ATTRIBUTE[5:],
    "e_value_size is 33554432 bytes, at most 16777216": ATTRIBUTE[:8] + b"\0\0\0\2" + ATTRIBUTE[12:],
    "e_value_offs is 60 for 200 bytes": ATTRIBUTE[:8] + b"\xc8\0\0\0" + ATTRIBUTE[12:],
    "e_value_offs is 20 for 4 bytes": ATTRIBUTE[:2] + b"\x14\0" + ATTRIBUTE[4:],
}


@pytest.mark.parametrize("message", [None, *ATTRIBUTES])
def test_attributes_in_an_inode_that_linux_refuses_are_refused(message: str | None, unsealed: Path) -> None:
    data = ATTRIBUTES[message] if message else ATTRIBUTE
    with unlimited(unsealed) as source:
        at = inode(unsealed, LINK)
        start = at + 128 + int.from_bytes(source.read_at(at + 128, 2), "little")
        reader = ext.ExtReader(Changed(source, {start: b"\0\0\2\xea" + data + bytes(4)}))
        if message is None:
            assert reader.target(entry(reader, "etc/link")) == "file"
            return
        with pytest.raises(ContentsError) as caught:
            entry(reader, "etc/link")
        assert message in str(caught.value)


def test_a_damaged_block_of_attributes_is_told_by_a_listing(old: Path, tmp_path: Path) -> None:
    with unlimited(old) as source:
        at = word(source, inode(old, INODE_OF_FILE) + 0x68) * BLOCK
        assert "long-link" in set(ext.ExtReader(source).listed(entry(ext.ExtReader(source), "etc")))
        for change in ({at: b"\1"}, {at + 8: b"\2"}, {at + 32 + 8: b"\xff\xff"}):
            reader = ext.ExtReader(Changed(source, change))
            with pytest.raises(ContentsError, match=r"the entry 'file' cannot be listed: ext inode \d+, extended attr"):
                list(reader.listed(entry(reader, "etc")))
            assert whole(reader, FILE) == b"f" * 5000
            disliked(old, tmp_path / "copy", change)


def test_where_a_journal_waits_a_listing_ends_and_tells_nothing(unsealed: Path) -> None:
    with unlimited(unsealed) as source:
        changes = {inode(unsealed, INODE_OF_FILE): b"\0\0", 1024 + 0x60: bytes([source.read_at(1024 + 0x60, 1)[0] | 4])}
        reader = ext.ExtReader(Changed(source, changes))
        assert "file" not in set(reader.listed(entry(reader, "etc")))


def test_each_block_of_a_directory_is_verified_once(sealed: Path) -> None:
    with unlimited(sealed) as source:
        reader = ext.ExtReader(Counting(source))
        many = entry(reader, "many")
        for _ in range(3):
            assert reader.lookup(many, "absent") is None
        assert len([place for place in reader._filesystem.verified if place[0] == many.handle.number]) == (
            many.size // BLOCK
        )


def test_a_leaf_of_extents_is_read_with_its_checksum_made_right(sealed: Path, extent_block: int) -> None:
    """The neighbour of a refused one: a changed leaf whose checksum says so."""
    with unlimited(sealed) as source:
        at = inode(sealed, "/pieces")
        number = int(run("debugfs", "-R", "stat /pieces", sealed).split()[1])
        seed = crc32c(
            number.to_bytes(4, "little") + source.read_at(at + 0x64, 4), crc32c(source.read_at(1024 + 0x68, 16))
        )
        leaf = bytearray(source.read_at(extent_block, BLOCK))
        leaf[8] ^= 0xFF  # eh_generation
        end = 12 + 12 * int.from_bytes(leaf[4:6], "little")
        leaf[end : end + 4] = crc32c(bytes(leaf[:end]), seed).to_bytes(4, "little")
        reader = ext.ExtReader(Changed(source, {extent_block: bytes(leaf)}))
        assert whole(reader, "pieces").count(b"p") == FRAGMENTS * 4 * KiB
