"""XFS that is damaged, or made to mislead: one field at a time, under checksums that fit."""

import struct
from collections.abc import Mapping
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from preflight.binary import crc32c
from preflight.contents import ContentsError, Node, _xfs_blocks, _xfs_directories, _xfs_hashes
from preflight.contents.xfs import XfsReader
from preflight.source import BlockSource, Buffered, Memory
from preflight.units import GiB, KiB
from tests.contents.sources import Changed, Counting, capture, entry, whole

MAX_READS = 400  # of pages of 16 KiB, for all that `explore` asks
INODE_CRC, BMBT_CRC, DIR_CRC, DA_CRC, LINK_CRC = 100, 64, 4, 12, 12  # where a checksum is in a structure
FORK = 176  # where the data fork begins in an inode of version 3


def sealed(source: BlockSource, place: int, size: int, crc: int, changes: Mapping[int, bytes]) -> Changed:
    """The source with changes, by offset in the structure at `place`, under a checksum that fits."""
    data = bytearray(source.read_at(place, size))
    for offset, new in changes.items():
        assert offset + len(new) <= size
        data[offset : offset + len(new)] = new
    data[crc : crc + 4] = bytes(4)
    data[crc : crc + 4] = (crc32c(bytes(data)) ^ 0xFFFFFFFF).to_bytes(4, "little")
    return Changed(source, {place: bytes(data)})


@cache
def sound(name: str) -> XfsReader:
    return XfsReader(capture(name))


@cache
def node_of(name: str, path: str) -> Node:
    return entry(sound(name), path)


def inode_at(name: str, path: str) -> int:
    """The byte of an inode, by the number that Linux gave it: 8 inodes of 512 bytes, or 2, are in a block."""
    number = node_of(name, path).handle.number
    in_block = {"xfs/kernel": 8, "xfs/deep": 2}[name]
    place: int = block_at(name, number // in_block) + number % in_block * 512
    return place


def block_at(name: str, block: int) -> int:
    """The byte of a block, as extents and trees name it."""
    return sound(name)._filesystem.offset_of(block, 1, "test")


def mapped(name: str, path: str, offset: int) -> int:
    """The byte of the disk where a block of a file or directory is that begins at `offset`."""
    filesystem = sound(name)._filesystem
    run = next(_xfs_blocks.runs(filesystem, node_of(name, path).handle, offset // filesystem.block_size, 1))
    assert run.start is not None
    return block_at(name, run.start)


def changed_inode(name: str, path: str, changes: Mapping[int, bytes]) -> Changed:
    return sealed(capture(name), inode_at(name, path), 512, INODE_CRC, changes)


def tree_pointer(fork: bytes, index: int) -> int:
    """A pointer in the root of a tree of extents, which is behind the room for all keys."""
    room = (len(fork) - 4) // 16
    return int.from_bytes(fork[4 + room * 8 + index * 8 :][:8], "big")


def extent(offset: int, block: int, count: int) -> bytes:
    return (offset << 73 | block << 21 | count).to_bytes(16, "big")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({0: b"XX"}, "there is no inode, or it is not in use"),
        ({2: bytes(2)}, "there is no inode, or it is not in use"),
        ({4: b"\2"}, "di_version is 2"),
        ({5: b"\0"}, "di_format is 0, with which it has no blocks"),
        ({5: b"\1"}, "di_format is 1, with which it has no blocks"),
        ({5: b"\3"}, "bb_level is 0, allowed is 1 to 16"),
        ({24: b"\xff" * 8}, "it has 18446744073709551615 extents, 192 bytes for them"),
        ({82: b"\xff"}, "di_forkoff is 255, past its 512 bytes"),
        ({152: bytes(8)}, "it says to belong to inode 0"),
        ({160: bytes(16)}, "it belongs to another file system"),
        ({FORK: extent(0, (1 << 52) - 1, 1)}, "of its blocks are at"),
        ({FORK: extent(0, 1, 0)}, "its extents are not in order"),
    ],
)
def test_a_damaged_inode_is_refused(changes: dict[int, bytes], reason: str) -> None:
    source = changed_inode("xfs/kernel", "etc/cut", changes)
    with pytest.raises(ContentsError, match=reason):
        whole(XfsReader(source), "etc/cut")


def test_a_wrong_checksum_is_refused() -> None:
    place = inode_at("xfs/kernel", "etc/cut")
    with pytest.raises(ContentsError, match="its checksum is 0x"):
        entry(XfsReader(Changed(capture("xfs/kernel"), {place + 40: b"\xff"})), "etc/cut")


def test_a_file_of_all_sizes_is_holes_where_nothing_is() -> None:
    source = changed_inode("xfs/kernel", "etc/cut", {56: b"\x7f" + b"\xff" * 7})
    reader = XfsReader(source)
    node = entry(reader, "etc/cut")
    assert node.size == (1 << 63) - 1
    assert reader.read(node, node.size - 10, 100) == bytes(10)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({FORK: b"\0\x11"}, "bb_level is 17, allowed is 1 to 16"),
        ({FORK: b"\0\2"}, "bb_level 2, expected are b'BMA3', 1"),
        ({FORK + 2: b"\0\0"}, "bb_numrecs is 0, allowed is 1 to 11"),
        ({FORK + 2: b"\0\x0c"}, "bb_numrecs is 12, allowed is 1 to 11"),
        ({FORK + 4 + 88: b"\xff" * 8}, "extent tree: 1 of its blocks are at"),
    ],
)
def test_a_damaged_root_of_a_tree_is_refused(changes: dict[int, bytes], reason: str) -> None:
    with pytest.raises(ContentsError, match=reason):
        whole(XfsReader(changed_inode("xfs/deep", "tall", changes)), "tall")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({0: b"BMAP"}, "bb_magic is b'BMAP'"),
        ({4: b"\0\7"}, "bb_level 7, expected are b'BMA3', 2"),
        ({6: b"\xff\xff"}, "bb_numrecs is 65535, allowed is 1 to 59"),
        ({6: b"\0\0"}, "bb_numrecs is 0, allowed is 1 to 59"),
        ({56: b"\1"}, "it says to belong to inode"),
    ],
)
def test_a_damaged_node_of_a_tree_is_refused(changes: dict[int, bytes], reason: str) -> None:
    place = block_at("xfs/deep", tree_pointer(node_of("xfs/deep", "tall").handle.fork, 0))
    with pytest.raises(ContentsError, match=reason):
        whole(XfsReader(sealed(capture("xfs/deep"), place, KiB, BMBT_CRC, changes)), "tall")


def test_a_tree_that_leads_to_itself_comes_to_an_end() -> None:
    pointer = tree_pointer(node_of("xfs/deep", "tall").handle.fork, 0)
    place = block_at("xfs/deep", pointer)
    changes = {72 + 59 * 8: struct.pack(">Q", pointer)}  # its first child is it
    with pytest.raises(ContentsError, match="bb_level 2, expected are b'BMA3', 1"):
        whole(XfsReader(sealed(capture("xfs/deep"), place, KiB, BMBT_CRC, changes)), "tall")


def test_a_tree_that_leads_twice_to_one_block_comes_to_an_end() -> None:
    pointer = tree_pointer(node_of("xfs/deep", "tall").handle.fork, 0)
    place = block_at("xfs/deep", pointer)
    first = capture("xfs/deep").read_at(place + 72 + 59 * 8, 8)
    source = Counting(sealed(capture("xfs/deep"), place, KiB, BMBT_CRC, {72 + 59 * 8: first * 59}))
    reader = XfsReader(source)
    with pytest.raises(ContentsError, match="its extents are not in order"):
        list(_xfs_blocks.extents(reader._filesystem, entry(reader, "tall").handle, 0))
    assert source.reads < 100


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({0: b"XD2D"}, "a block of entries begins with b'XD2D'"),
        ({40: bytes(8)}, "it says to belong to inode 0"),
        ({64 + 8: b"\0"}, "what is at byte 0x40 of a block of entries is none"),
        ({64 + 8: b"\xff"}, "what is at byte 0x40 of a block of entries is none"),
        ({64: b"\xff\xff\0\0"}, "an unused entry has 0 bytes"),
        ({64: b"\xff\xff\0\7"}, "an unused entry has 7 bytes"),
        ({64: b"\xff\xff\xff\xf8"}, "an unused entry has 65528 bytes"),
    ],
)
def test_a_damaged_block_of_entries_is_refused(changes: dict[int, bytes], reason: str) -> None:
    place = mapped("xfs/kernel", "many", 0)
    source = sealed(capture("xfs/kernel"), place, 4 * KiB, DIR_CRC, changes)
    with pytest.raises(ContentsError, match=reason):
        list(XfsReader(source).entries(node_of("xfs/kernel", "many")))


def test_an_index_that_does_not_fit_in_its_block_is_refused() -> None:
    place = mapped("xfs/kernel", "names", 0)
    source = sealed(capture("xfs/kernel"), place, 4 * KiB, DIR_CRC, {4 * KiB - 8: b"\xff" * 4})
    with pytest.raises(ContentsError, match="an index of 4294967295 entries does not fit in its block"):
        list(XfsReader(source).entries(node_of("xfs/kernel", "names")))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({FORK: b"\xff"}, "255 entries do not fit in its 89 bytes"),
        ({FORK + 6: b"\0"}, "entries do not fit in its 89 bytes"),
        ({56: bytes(8)}, "it has 0 bytes, which is no directory"),
        ({56: b"\0" * 7 + b"\7"}, "entries do not fit in its 7 bytes"),
    ],
)
def test_a_damaged_directory_in_an_inode_is_refused(changes: dict[int, bytes], reason: str) -> None:
    reader = XfsReader(changed_inode("xfs/kernel", "etc", changes))
    with pytest.raises(ContentsError, match=reason):
        list(reader.entries(entry(reader, "etc")))


def test_a_directory_without_end_is_refused() -> None:
    """Its one block of entries over and over, so that no name is missing and no end comes."""
    filesystem = sound("xfs/deep")._filesystem
    inode = node_of("xfs/deep", "many").handle
    start = next(_xfs_blocks.runs(filesystem, inode, 0, 16)).start
    assert start is not None
    records = b"".join(extent(number * 16, start, 16) for number in range(21))
    changes = {5: b"\2", 24: (21).to_bytes(8, "big"), 82: b"\0", FORK: records}
    reader = XfsReader(Buffered(changed_inode("xfs/deep", "many", changes)))
    names = [name for name, _ in reader.entries(entry(reader, "many"))]
    assert len(names) == 21 * len(set(names))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_xfs_directories, "MAX_DIRECTORY_BYTES", 20 * 16 * KiB)
        with pytest.raises(ContentsError, match="it has over 327680 bytes, no more are read"):
            list(reader.entries(entry(reader, "many")))


LEAF = 32 * GiB
NAME = "a-file-with-the-number-1000"


@pytest.mark.parametrize(
    "changes",
    [
        {8: b"\0\0"},  # no magic that is known
        {48: bytes(8)},  # the index of another directory
        {56: b"\xff\xff"},  # count
        {58: b"\0\xff", 8: b"\x3e\xbe"},  # a node of level 255
        {8: b"\x3e\xbe", 58: b"\0\5", 56: b"\0\1", 64: b"\xff" * 4, 68: b"\0\x80\0\0"},  # a circle
        {8: b"\x3e\xbe", 58: b"\0\1", 56: b"\0\1", 64: b"\xff" * 4, 68: b"\0\0\0\0"},  # into the entries
        {8: b"\x3e\xbe", 58: b"\0\1", 56: b"\0\1", 64: b"\xff" * 8},  # out of the index
    ],
)
def test_a_name_is_found_without_an_index_that_is_damaged(changes: dict[int, bytes]) -> None:
    place = mapped("xfs/kernel", "many", LEAF)
    source = Counting(sealed(capture("xfs/kernel"), place, 4 * KiB, DA_CRC, changes))
    reader = XfsReader(Buffered(source))
    assert whole(reader, f"many/{NAME}") == b"this one"
    assert reader.lookup(entry(reader, "many"), "a-file-with-the-number-3") is None
    assert source.reads < 40


@pytest.mark.parametrize("address", [b"\0\0\0\1", b"\xff\xff\xff\xff", b"\0\0\0\x09"])
def test_an_index_that_leads_where_no_entry_is_does_not_mislead(address: bytes) -> None:
    """All leaves of the index have one hash, and one address."""
    source: BlockSource = capture("xfs/kernel")
    hashval = _xfs_hashes.hash_name(NAME.encode()).to_bytes(4, "big")
    top = source.read_at(mapped("xfs/kernel", "many", LEAF), 4 * KiB)
    children = struct.unpack_from(">" + "4xI" * int.from_bytes(top[56:58], "big"), top, 64)
    for child in children:
        place = mapped("xfs/kernel", "many", child * 4 * KiB)
        count = int.from_bytes(source.read_at(place + 56, 2), "big")
        circle = struct.pack(">I", children[0])  # forw: the first leaf again
        source = sealed(source, place, 4 * KiB, DA_CRC, {0: circle, 64: (hashval + address) * count})
    counting = Counting(source)
    assert whole(XfsReader(Buffered(counting)), f"many/{NAME}") == b"this one"
    assert counting.reads < 40


@pytest.mark.parametrize("changes", [{0: b"XXXX"}, {4: b"\0\0\0\1"}, {8: bytes(4)}, {8: b"\xff" * 4}, {32: b"\1"}])
def test_a_damaged_header_of_a_target_is_refused(changes: dict[int, bytes]) -> None:
    place = mapped("xfs/deep", "link", 0)
    reader = XfsReader(sealed(capture("xfs/deep"), place, KiB, LINK_CRC, changes))
    with pytest.raises(ContentsError, match=r"the header of its target|it says to belong to inode"):
        reader.target(entry(reader, "link"))


@pytest.mark.parametrize("size", [1025, 1 << 62])
def test_a_target_that_is_too_long_is_refused(size: int) -> None:
    reader = XfsReader(changed_inode("xfs/deep", "link", {56: size.to_bytes(8, "big")}))
    with pytest.raises(ContentsError, match=f"the target has {size} bytes, allowed are 1024"):
        reader.target(entry(reader, "link"))


def explore(source: BlockSource) -> None:
    """Use a reader; whatever it finds, it raises nothing but `ContentsError`, and soon."""
    counting = Counting(source)
    try:
        reader = XfsReader(Buffered(counting))
        ask(reader, reader.root, 2)
    except ContentsError:
        pass
    assert counting.reads < MAX_READS


def ask(reader: XfsReader, directory: Node, depth: int) -> None:
    for name, node in list(reader.entries(directory))[:12]:
        try:
            found = reader.lookup(directory, name)
            assert found is None or len(name.encode("utf-8", "surrogateescape")) <= 255
            if node.kind == "file":
                for offset in (0, max(0, node.size - 100)):
                    assert len(reader.read(node, offset, 100)) == min(100, node.size)
            elif node.kind == "symlink":
                assert len(reader.target(node)) <= 1024
            elif node.kind == "directory" and depth:
                ask(reader, node, depth - 1)
        except ContentsError:
            pass


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=8 * KiB))
def test_any_bytes_are_a_file_system_or_refused(data: bytes) -> None:
    explore(Memory(data))
    explore(Memory(b"XFSB" + data))


STRUCTURES = (  # where one is, its size, and where its checksum is
    *(
        (name, path, None, 512, INODE_CRC)
        for name, path in (
            ("xfs/kernel", "etc"),
            ("xfs/kernel", "etc/cut"),
            ("xfs/kernel", "names"),
            ("xfs/kernel", "many"),
            ("xfs/deep", "tall"),
            ("xfs/deep", "many"),
            ("xfs/deep", "link"),
        )
    ),
    ("xfs/kernel", "names", 0, 4 * KiB, DIR_CRC),
    ("xfs/kernel", "many", 0, 4 * KiB, DIR_CRC),
    ("xfs/kernel", "many", LEAF, 4 * KiB, DA_CRC),
    ("xfs/kernel", "many", LEAF + 4 * KiB, 4 * KiB, DA_CRC),
    ("xfs/deep", "many", 0, 16 * KiB, DIR_CRC),
    ("xfs/deep", "many", LEAF, 16 * KiB, DA_CRC),
    ("xfs/deep", "link", 0, KiB, LINK_CRC),
)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_change_under_a_checksum_that_fits_leaves_a_file_system_or_is_refused(data: st.DataObject) -> None:
    name, path, offset, size, crc = data.draw(st.sampled_from(STRUCTURES))
    place = inode_at(name, path) if offset is None else mapped(name, path, offset)
    # Most of what matters is at the beginning.
    at = st.integers(0, 100) | st.integers(FORK, FORK + 60) | st.integers(0, size - 8)
    value = st.binary(min_size=1, max_size=8) | st.sampled_from([b"\xff" * 8, bytes(8), b"\xff\xff", b"\0\0"])
    changes = data.draw(st.dictionaries(at, value, min_size=1, max_size=3))
    explore(sealed(capture(name), place, size, crc, changes))


@settings(max_examples=40, deadline=None)
@given(st.dictionaries(st.integers(4, 263), st.binary(min_size=1, max_size=4), min_size=1, max_size=2))
def test_any_change_of_the_superblock_leaves_a_file_system_or_is_refused(changes: dict[int, bytes]) -> None:
    explore(Changed(capture("xfs/kernel"), changes))
