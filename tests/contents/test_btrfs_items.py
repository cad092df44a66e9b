"""Items in the leaves of btrfs: each as it must be, and with one field that Linux refuses.

Most of the changes were put to Linux 6.18 as well, in an image with fitting checksums that it was to mount.
"""

import struct

import pytest

from preflight.binary import crc32c
from preflight.contents._btrfs_nodes import TreeNode, parse_node
from preflight.contents._btrfs_superblock import Filesystem, Root
from preflight.errors import StructureError
from preflight.units import GiB, KiB, MiB
from tests.contents.btrfs_images import leaf

Item = tuple[tuple[int, int, int], bytes]

GENERATION = 9
FSID = bytes(range(16))
FILESYSTEM = Filesystem(
    metadata_fsid=FSID,
    generation=GENERATION,
    csum_type=0,
    sectorsize=4 * KiB,
    nodesize=4 * KiB,
    num_devices=1,
    devid=1,
    device_uuid=bytes(16),
    root_dir_objectid=6,
    root_tree=Root(1, 0x10000, 0, GENERATION),
    chunk_tree=Root(3, 0x20000, 0, GENERATION),
    sys_chunk_array=b"",
    incompat_flags=1 << 8,  # SKINNY_METADATA
    compat_ro_flags=0,
    total_bytes=GiB,
    device_size=GiB,
    log_tree=None,
)
PLACE, BYTENR = 0x345000, 0x12000
AHEAD = GENERATION + 1  # of what was committed: allowed, as a log may hold it


def parse(owner: int, *items: Item, filesystem: Filesystem = FILESYSTEM, flags: int = 1) -> TreeNode:
    data = leaf(FSID, BYTENR, owner, GENERATION, items, nodesize=filesystem.nodesize, flags=flags)
    return parse_node(filesystem, data, BYTENR, PLACE)


def refusal(owner: int, *items: Item, flags: int = 1) -> str:
    with pytest.raises(StructureError) as raised:
        parse(owner, *items, flags=flags)
    assert raised.value.offset == PLACE
    return raised.value.reason


def changed(data: bytes, offset: int, new: bytes) -> bytes:
    return data[:offset] + new + data[offset + len(new) :]


def le(value: int, size: int = 8) -> bytes:
    return value.to_bytes(size, "little")


def name_hash(name: bytes) -> int:
    return crc32c(name, 0xFFFFFFFE)


def inode(mode: int = 0o100644, nlink: int = 1, flags: int = 0) -> bytes:
    return struct.pack("<5Q4I3Q", AHEAD, AHEAD, 0, 0, 0, nlink, 0, 0, mode, 0, flags, 0).ljust(160, b"\0")


def entry(
    name: bytes = b"name", location: tuple[int, int, int] = (257, 1, 0), kind: int = 1, data: bytes = b""
) -> bytes:
    return struct.pack("<QBQQHHB", *location, 7, len(data), len(name), kind) + name + data


def xattr() -> bytes:
    return entry(b"user.a", (0, 0, 0), 8, b"value")


def regular(disk: int = 0x100000, size: int = 8 * KiB) -> bytes:
    return struct.pack("<QQBBHB4Q", 7, size, 0, 0, 0, 1, disk, size, 0, size)


def inline(text: bytes = b"text") -> bytes:
    return struct.pack("<QQBBHB", 7, len(text), 0, 0, 0, 0) + text


def root_item() -> bytes:
    fields = (AHEAD, 256, 0x30000, 0, 0, AHEAD, 1)
    return (inode() + struct.pack("<7QI17xBB", *fields, 1, 0, 0) + le(AHEAD)).ljust(439, b"\0")


def extent(*refs: bytes, flags: int = 1, count: int | None = None) -> bytes:
    return struct.pack("<QQQ", len(refs) if count is None else count, AHEAD, flags) + b"".join(refs)


def data_ref(root: int = 5, objectid: int = 257, offset: int = 0, count: int = 1) -> bytes:
    return struct.pack("<QQQI", root, objectid, offset, count)


def inline_data_ref(root: int = 5, objectid: int = 257, offset: int = 0, count: int = 1) -> bytes:
    return b"\xb2" + data_ref(root, objectid, offset, count)


def block_ref(owner: int = 5) -> bytes:
    return b"\xb0" + le(owner)


def shared_block_ref(parent: int) -> bytes:
    return b"\xb6" + le(parent)


def shared_data_ref(parent: int, count: int = 1) -> bytes:
    return b"\xb8" + le(parent) + le(count, 4)


def dev_item() -> bytes:
    return struct.pack("<QQQ", 1, GiB, GiB).ljust(98, b"\0")


def dev_extent(chunk: int = MiB, length: int = 4 * MiB) -> bytes:
    return struct.pack("<QQQQ16x", 3, 256, chunk, length)


def block_group(flags: int = 1) -> bytes:
    return struct.pack("<QQQ", 8 * MiB, 256, flags)


def chunk_item(flags: int = 1, stripes: int = 1) -> bytes:
    return struct.pack("<4Q3I2H", 8 * MiB, 2, 64 * KiB, flags, 64 * KiB, 64 * KiB, 4 * KiB, stripes, 1) + bytes(
        32 * stripes
    )


FILES: list[Item] = [
    ((256, 1, 0), inode(0o40755)),
    ((256, 12, 256), le(0) + le(2, 2) + b".."),
    ((256, 84, name_hash(b"name")), entry()),
    ((256, 84, name_hash(b"sub")), entry(b"sub", (258, 132, (1 << 64) - 1), 2)),
    ((256, 96, 2), entry()),
    ((257, 1, 0), inode(flags=0xFFF | 1 << 32)),
    ((257, 12, 256), le(2) + le(4, 2) + b"name"),
    ((257, 13, 99), le(256) + le(3) + le(4, 2) + b"more"),
    ((257, 24, name_hash(b"user.a")), xattr()),
    ((257, 108, 0), regular()),
    ((257, 108, 8 * KiB), regular(0)),
    ((258, 1, 0), inode(0o120777)),
    ((258, 108, 0), inline()),
    ((259, 1, 0), inode(0o060600)),
]


def of_inode(*items: Item) -> list[Item]:
    """The items of a file, behind its inode."""
    return [((257, 1, 0), inode()), *items]


SOUND: list[tuple[int, list[Item]]] = [
    (5, sorted(FILES)),
    (256, sorted(FILES)),
    (1, [((5, 132, 0), root_item()), ((6, 1, 0), inode(0o40755)), ((256, 132, 5), root_item()[:239])]),
    (1, [((257, 132, 0), changed(root_item(), 220, le(300) + bytes(9) + b"\x01"))]),  # half dropped
    (2, [((0x100000, 168, 8 * KiB), extent(inline_data_ref(), shared_data_ref(0x9000, 2), count=3))]),
    (2, [((0x100000, 168, 8 * KiB), extent(b"\xac" + le(256), inline_data_ref(), count=1))]),  # simple quotas
    (2, [((0x100000, 168, 4 * KiB), extent(bytes(17) + b"\x00", block_ref(), flags=2, count=1))]),
    (2, [((0x100000, 169, 7), extent(block_ref(9), block_ref(2), shared_block_ref(0x9000), flags=0x102))]),
    (2, [((0x100000, 169, 0), extent(block_ref(), flags=2)), ((0x101000, 169, 0), extent(block_ref(), flags=2))]),
    (2, [((0x100000, 176, 5), b""), ((0x100000, 178, 99), data_ref()), ((0x100000, 182, 0x9000), b"")]),
    (2, [((0x100000, 184, 0x9000), le(1, 4)), ((0x100000, 192, 8 * MiB), block_group())]),
    (2, [((0x100000, 192, 8 * MiB), block_group(1 << 1 | 1 << 5)), ((0xA00000, 192, 8 * MiB), block_group(5))]),
    (3, [((1, 216, 1), dev_item()), ((256, 228, MiB), chunk_item()), ((256, 228, GiB), chunk_item(1 << 5 | 4, 2))]),
    (4, [((1, 204, MiB), dev_extent()), ((1, 204, 5 * MiB), dev_extent()), ((2, 204, 4 * MiB), dev_extent())]),
    (7, [(((1 << 64) - 10, 128, 0x100000), bytes(8)), (((1 << 64) - 10, 128, 0x102000), bytes(4))]),
    (7, []),
    (256, []),
]


@pytest.mark.parametrize(("owner", "items"), SOUND)
def test_leaf_of_items_as_linux_writes_them_is_taken(owner: int, items: list[Item]) -> None:
    assert [tuple(found[:3]) for found in parse(owner, *items).entries] == [key for key, _ in items]


def test_key_of_zeros_is_refused() -> None:
    assert "the key (0, 0, 0) is of no item" in refusal(10, ((0, 0, 0), b""))
    parse(10, ((0, 0, 1), b""))


def test_references_of_data_are_ordered_by_their_hash() -> None:
    refs = [inline_data_ref(objectid=number) for number in (257, 258)]
    one, other = (((0x100000, 168, 4 * KiB), extent(*pair)) for pair in (refs, refs[::-1]))
    outcomes = []
    for item in (one, other):
        try:
            parse(2, item)
            outcomes.append(True)
        except StructureError as error:
            assert "not in order" in error.reason
            outcomes.append(False)
    assert sorted(outcomes) == [False, True]


@pytest.mark.parametrize("owner", [1, 2, 3, 4, 5, (1 << 64) - 9, 0])
def test_leaf_without_items_is_refused_where_the_tree_has_some_always(owner: int) -> None:
    assert "it has no items" in refusal(owner)
    assert parse(owner, flags=3).entries == []  # while it is being relocated


def test_leaf_that_was_not_written_whole_is_refused() -> None:
    assert "without WRITTEN" in refusal(256, flags=0)


@pytest.mark.parametrize(
    ("offset", "new", "reason"),
    [
        (0, le(AHEAD + 1), "it is of generation 11, the file system is at 9"),
        (8, le(AHEAD + 1), "it is of generation 11"),
        (52, le(0o000644, 4), "mode is 0o644, which names no kind of file"),
        (52, le(0o130644, 4), "mode is 0o130644, which names no kind of file"),
        (52, le(0o200000 | 0o100644, 4), "names no kind of file"),
        (52, le(0o040755, 4) + bytes(8) + le(0), None),
        (64, le(1 << 12), "flags is 0x1000"),
        (64, le(1 << 33), "flags is 0x200000000"),
        (64, le(1 << 31), None),
    ],
)
def test_inode(offset: int, new: bytes, reason: str | None) -> None:
    item = (257, 1, 0), changed(inode(), offset, new)
    if reason is None:
        parse(5, item)
    else:
        assert reason in refusal(5, item)


@pytest.mark.parametrize("key", [(255, 1, 0), ((1 << 64) - 255, 1, 0), (257, 1, 1)])
def test_inode_with_a_number_that_none_has_is_refused(key: tuple[int, int, int]) -> None:
    assert "no inode has this key" in refusal(5, (key, inode()))


def test_inode_of_another_size_is_refused_and_a_directory_with_two_links() -> None:
    assert "an INODE_ITEM of 159 bytes" in refusal(5, ((257, 1, 0), inode()[:-1]))
    assert "nlink is 2, a directory has 1" in refusal(5, ((257, 1, 0), inode(0o40755, nlink=2)))


@pytest.mark.parametrize(
    ("key", "data", "reason"),
    [
        ((257, 12, 256), b"", "an INODE_REF of 0 bytes"),
        ((257, 12, 256), le(2) + b"\x01", "a reference is cut off at byte 0 of 9"),
        ((257, 12, 256), le(2) + le(0, 2), "name_len is 0"),
        ((257, 12, 256), le(2) + le(5, 2) + b"name", "name_len is 5, allowed are 1 to 4"),
        ((257, 12, 256), le(2) + le(256, 2) + bytes(256), "name_len is 256, allowed are 1 to 255"),
        ((257, 13, 256), le(2) + le(2) + le(5, 2) + b"name", "name_len is 5, allowed are 1 to 4"),
        ((257, 13, 256), le(2) + le(2), "a reference is cut off at byte 0 of 16"),
    ],
)
def test_names_of_an_inode_that_do_not_fit_are_refused(key: tuple[int, int, int], data: bytes, reason: str) -> None:
    assert reason in refusal(5, *of_inode((key, data)))


@pytest.mark.parametrize(
    ("kind", "data", "reason"),
    [
        (84, entry()[:29], "an entry is cut off at byte 0 of 29"),
        (84, entry()[:-1], "name_len is 4, data_len 0, beyond its item"),
        (84, entry(location=(257, 1, 1)), "an entry leads to (257, 1, 1), expected is a file"),
        (84, entry(location=(255, 1, 0)), "an entry leads to (255, 1, 0)"),
        (84, entry(location=(4, 132, 0)), "an entry leads to (4, 132, 0)"),
        (84, entry(location=(1 << 48, 132, 0)), "an entry leads to (281474976710656, 132, 0)"),
        (84, entry(location=(257, 96, 0)), "an entry leads to (257, 96, 0)"),
        (84, entry(kind=0), "type of an entry is 0, expected is 1 to 7"),
        (84, entry(kind=8), "type of an entry is 8, expected is 1 to 7"),
        (84, entry(kind=9), "type of an entry is 9"),
        (84, entry(data=b"x"), "data_len is 1, expected is 0"),
        (84, entry(b"eman"), "the hash of the name is"),
        (24, changed(xattr(), 29, b"\x01"), "type of an entry is 1, expected is 8"),
        (24, changed(xattr(), 0, b"\x01"), "an entry leads to (1, 0, 0), expected is 0"),
        (96, entry(kind=0), "type of an entry is 0"),
        (96, entry(b"n" * 256), "name_len is 256"),
    ],
)
def test_entry_with_a_field_that_does_not_fit_is_refused(kind: int, data: bytes, reason: str) -> None:
    name = b"user.a" if kind == 24 else b"name"
    assert reason in refusal(5, ((256, 1, 0), inode(0o40755)), ((256, kind, name_hash(name)), data))


def test_item_behind_that_of_another_inode_is_refused_in_trees_of_files_alone() -> None:
    items = ((256, 1, 0), inode(0o40755)), ((257, 108, 0), inline())
    assert "the item (257, 108, 0) follows (256, 1, 0), expected is an item of the same inode" in refusal(5, *items)
    parse((1 << 64) - 6, *items)  # a log


@pytest.mark.parametrize(
    ("offset", "new", "reason"),
    [
        (8, le(1), "ram_bytes is 0x1, expected are sectors of 4096 bytes"),
        (16, b"\x04", "compression is 4, known are 0 to 3"),
        (17, b"\x01", "encryption is 1"),
        (20, b"\x03", "type is 3"),
        (21, le(1), "disk_bytenr is 0x1"),
        (29, le(1), "disk_num_bytes is 0x1"),
        (37, le(1), "offset is 0x1"),
        (45, le(1), "num_bytes is 0x1"),
        (45, le((1 << 64) - 4 * KiB), "which ends above 2^64"),
        (45, le(12 * KiB), "the extent before it ends at 0x4000, within this one"),
    ],
)
def test_extent_of_a_file(offset: int, new: bytes, reason: str) -> None:
    first = (257, 108, 4 * KiB), changed(regular(), offset, new)
    assert reason in refusal(5, *of_inode(first, ((257, 108, 12 * KiB), regular(0))))


def test_extent_of_a_file_that_is_cut_off_or_not_at_a_sector_or_inline_in_the_middle_is_refused() -> None:
    assert "cut off after 20 bytes" in refusal(5, *of_inode(((257, 108, 0), regular()[:20])))
    assert "its item has 52 bytes, expected are 53" in refusal(5, *of_inode(((257, 108, 0), regular()[:52])))
    assert "its place is 0x1, expected are sectors" in refusal(5, *of_inode(((257, 108, 1), regular())))
    assert "it is inline" in refusal(5, *of_inode(((257, 108, 4 * KiB), inline())))
    longer = changed(inline(), 8, le(5))
    assert "ram_bytes is 5, inline are 4" in refusal(5, *of_inode(((257, 108, 0), longer)))
    two = ((257, 108, 0), inline()), ((257, 108, 2 * KiB), regular())
    assert "its place is" in refusal(5, *of_inode(*two))
    assert "before it ends at 0x2000" in refusal(
        5, *of_inode(((257, 108, 0), changed(inline(), 8, le(4097) + b"\x01")), ((257, 108, 4 * KiB), regular()))
    )


@pytest.mark.parametrize(
    ("offset", "new", "reason"),
    [
        (160, le(AHEAD + 1), "it is of generation 11"),
        (239, le(AHEAD + 1), "it is of generation 11"),
        (200, le(AHEAD + 1), "it is of generation 11"),
        (176, le(1), "bytenr is 0x1, expected are sectors"),
        (238, b"\x08", "level is 8, drop_level 0, at most 7"),
        (237, b"\x08", "level is 0, drop_level 8, at most 7"),
        (208, le(2), "flags is 0x2"),
        (220, le(300), "drop_progress is at 300, drop_level is 0"),
    ],
)
def test_root_item_with_a_field_that_does_not_fit_is_refused(offset: int, new: bytes, reason: str) -> None:
    assert reason in refusal(1, ((257, 132, 0), changed(root_item(), offset, new)))


def test_root_item_of_no_tree_or_of_another_size_is_refused() -> None:
    assert "no tree has this number" in refusal(1, ((0, 132, 0), root_item()))
    assert "no tree has this number" in refusal(1, (((1 << 64) - 8, 132, 4), root_item()))
    parse(1, (((1 << 64) - 8, 132, 5), root_item()))
    for size in (238, 240, 438):
        assert f"a ROOT_ITEM of {size} bytes, expected are 239 or 439" in refusal(1, ((5, 132, 0), root_item()[:size]))


@pytest.mark.parametrize("kind", [144, 156])
def test_name_of_a_subvolume_in_its_parent(kind: int) -> None:
    head = le(256) + le(2)
    parse(1, ((256, kind, 257), head + le(4, 2) + b"home"))
    parse(1, ((256, kind, 257), head + le(255, 2) + b"n" * 255))
    assert "it has 17 bytes" in refusal(1, ((256, kind, 257), head + b"\x01"))
    for name_len, name in ((0, b""), (3, b"home"), (5, b"home"), (256, b"n" * 256)):
        reason = refusal(1, ((256, kind, 257), head + le(name_len, 2) + name))
        assert f"name_len is {name_len}, the name has {len(name)} bytes" in reason


@pytest.mark.parametrize(
    ("key", "data", "reason"),
    [
        ((0x100001, 168, 4 * KiB), extent(inline_data_ref()), "the extent is at 0x100001, expected are sectors"),
        ((0x100000, 168, 4097), extent(inline_data_ref()), "4097 bytes of data, expected are sectors"),
        ((0x100000, 168, 4 * KiB), extent(inline_data_ref())[:23], "it has 23 bytes, an extent has 24"),
        ((0x100000, 168, 4 * KiB), changed(extent(), 8, le(AHEAD + 1)), "it is of generation 11"),
        ((0x100000, 168, 4 * KiB), extent(flags=0), "flags is 0x0"),
        ((0x100000, 168, 4 * KiB), extent(flags=3), "flags is 0x3"),
        ((0x100000, 168, 4 * KiB), extent(flags=0x101), "flags is 0x101"),
        ((0x100000, 169, 0), extent(flags=1), "flags is 0x1"),
        ((0x100000, 169, 8), extent(block_ref(), flags=2), "level is 8, at most 7"),
        ((0x100000, 168, 8 * KiB), extent(bytes(18), block_ref(), flags=2), "a node of 8192 bytes, expected are 4096"),
        ((0x100000, 168, 4 * KiB), extent(flags=2), "level of the node is cut off"),
        ((0x100000, 168, 4 * KiB), extent(bytes(17) + b"\x08", flags=2), "or above 7"),
        ((0x100000, 169, 0), extent(b"\xb1" + bytes(8), flags=2), "type of a reference is 177, known are"),
        ((0x100000, 169, 0), extent(block_ref()[:-1], flags=2), "a reference is cut off at byte 24 of 32"),
        ((0x100000, 169, 0), extent(block_ref(2), block_ref(9), flags=2), "the references are not in order"),
        ((0x100000, 169, 0), extent(shared_block_ref(0), block_ref(9), flags=2), "the references are not in order"),
        ((0x100000, 169, 0), extent(shared_block_ref(1), flags=2), "a reference is from 0x1"),
        ((0x100000, 168, 4 * KiB), extent(shared_data_ref(1)), "a reference is from 0x1"),
        ((0x100000, 168, 4 * KiB), extent(shared_data_ref(0x9000, 0)), "the count of a reference is 0"),
        ((0x100000, 168, 4 * KiB), extent(inline_data_ref(count=0)), "the count of a reference is 0"),
        ((0x100000, 168, 4 * KiB), extent(inline_data_ref(root=2)), "a reference is from tree 2, which has no files"),
        ((0x100000, 168, 4 * KiB), extent(inline_data_ref(objectid=255)), "a reference is from inode 255"),
        ((0x100000, 168, 4 * KiB), extent(inline_data_ref(offset=1)), "a reference is from byte 0x1"),
        ((0x100000, 168, 4 * KiB), extent(inline_data_ref(count=2), count=1), "refs is 1, in the item alone are 2"),
        ((0x100000, 176, 5), b"x", "it has 1 bytes, expected are 0"),
        ((0x100001, 176, 5), b"", "from 0x5 to 0x100001"),
        ((0x100000, 182, 1), b"", "from 0x1 to 0x100000"),
        ((0x100000, 184, 0x9000), le(0, 4), "the count of a reference is 0"),
        ((0x100000, 184, 0x9000), b"", "it has 0 bytes, expected are 4"),
        ((0x100000, 178, 1), data_ref()[:-1], "27 bytes, expected are references of 28"),
        ((0x100001, 178, 1), data_ref(), "the extent is at 0x100001"),
        ((0x100000, 178, 1), data_ref() + data_ref(count=0), "the count of a reference is 0"),
        ((0x100000, 192, 0), block_group(), "a block group of 0 bytes"),
        ((0x100000, 192, 8 * MiB), block_group()[:-1], "a BLOCK_GROUP_ITEM of 23 bytes, expected are 24"),
        ((0x100000, 192, 4 * MiB), block_group(), "used is 8388608, of a block group of 4194304 bytes"),
        ((0x100000, 192, 8 * MiB), changed(block_group(), 8, le(1)), "chunk_objectid is 1, expected is 256"),
        ((0x100000, 192, 8 * MiB), block_group(1 | 1 << 4 | 1 << 5), "which has several profiles"),
        ((0x100000, 192, 8 * MiB), block_group(1 << 5), "which names no use"),
        ((0x100000, 192, 8 * MiB), block_group(3), "which names no use"),
    ],
)
def test_item_of_the_extent_tree_with_a_field_that_does_not_fit_is_refused(
    key: tuple[int, int, int], data: bytes, reason: str
) -> None:
    assert reason in refusal(2, (key, data))


def test_extents_that_overlap_are_refused() -> None:
    node, data = extent(block_ref(), flags=2), extent(inline_data_ref())
    for first in (((0x100000, 168, 8 * KiB), data), ((0x100000, 169, 0), node)):
        end = 0x102000 if first[0][1] == 168 else 0x101000
        parse(2, first, ((end, 168, 4 * KiB), data))
    assert "ends at 0x102000, within this one" in refusal(
        2, ((0x100000, 168, 8 * KiB), data), ((0x101000, 169, 0), node)
    )


@pytest.mark.parametrize(
    ("owner", "key", "data", "reason"),
    [
        (3, (2, 216, 1), dev_item(), "a DEV_ITEM of 2, expected is 1"),
        (3, (1, 216, 1), dev_item()[:-1], "a DEV_ITEM of 97 bytes, expected are 98"),
        (3, (1, 216, 2), dev_item(), "devid is 1, its key says 2"),
        (3, (1, 216, 1), changed(dev_item(), 16, le(GiB + 1)), "bytes_used is 1073741825, of a device of 1073741824"),
        (3, (256, 228, MiB), chunk_item()[:-1], "num_stripes is 1, which does not fit its 79 bytes"),
        (3, (256, 228, MiB), chunk_item()[:40], "it has 40 bytes, a CHUNK_ITEM has 48 at least"),
        (3, (256, 228, MiB), chunk_item(1 << 7), "type is 0x80, which names no use"),
        (3, (256, 228, MiB), chunk_item(5), "type is 0x5, data and metadata without the feature MIXED_GROUPS"),
        (3, (256, 228, MiB), chunk_item(1 | 1 << 8, 2), "RAID6 with 2 stripes"),
        (4, (1, 204, 1), dev_extent(), "its place is 0x1, expected are sectors"),
        (4, (1, 204, MiB), dev_extent(chunk=1), "chunk_offset is 0x1"),
        (4, (1, 204, MiB), dev_extent(length=1), "length is 0x1"),
        (4, (1, 204, MiB), dev_extent()[:-1], "a DEV_EXTENT of 47 bytes, expected are 48"),
        (4, (1, 204, MiB), changed(dev_extent(), 0, le(2)), "chunk_tree is 2, chunk_objectid 256"),
        (4, (1, 204, MiB), changed(dev_extent(), 8, le(1)), "chunk_tree is 3, chunk_objectid 1"),
        (7, (1, 128, 0x100000), bytes(4), "checksums of 1, expected is 18446744073709551606"),
        (7, ((1 << 64) - 10, 128, 1), bytes(4), "its place is 0x1"),
        (7, ((1 << 64) - 10, 128, 0x100000), bytes(5), "5 bytes, expected are checksums of 4"),
        (12, (0x100000, 230, 4 * KiB), b"", "without the feature RAID_STRIPE_TREE"),
    ],
)
def test_item_of_devices_chunks_and_checksums_with_a_field_that_does_not_fit_is_refused(
    owner: int, key: tuple[int, int, int], data: bytes, reason: str
) -> None:
    assert reason in refusal(owner, (key, data))


def test_stretches_of_devices_and_checksums_that_overlap_are_refused() -> None:
    assert "ends at 0x500000, within this one" in refusal(
        4, ((1, 204, MiB), dev_extent()), ((1, 204, 4 * MiB), dev_extent())
    )
    csums = (1 << 64) - 10
    assert "ends at 0x102000, within its own" in refusal(
        7, ((csums, 128, 0x100000), bytes(8)), ((csums, 128, 0x101000), bytes(4))
    )
