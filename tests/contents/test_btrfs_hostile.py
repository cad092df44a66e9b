"""btrfs that is damaged, or made to mislead: one field at a time, under checksums that fit."""

import os
import struct
from collections.abc import Callable
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from preflight import binary
from preflight.contents import ContentsError, FileReader
from preflight.contents.btrfs import CONTENTS
from preflight.filesystems._btrfs_checksums import xxhash64
from preflight.source import BlockSource, Memory, Window
from preflight.units import KiB, MiB
from tests.contents import btrfs_images as images
from tests.contents.btrfs_images import Patched, capture, sealed

NODESIZE = {"layouts": 4 * KiB, "distribution": 16 * KiB}
ROOT_SUBVOLUME, HOME_SUBVOLUME = 256, 257  # of the capture `layouts`: @ and @home
TREE_OF_ROOTS, TREE_OF_CHUNKS = 1, 3
INODE_ITEM, DIR_ITEM, DIR_INDEX, EXTENT_DATA, ROOT_ITEM, CHUNK_ITEM = 1, 84, 96, 108, 132, 228


def le16(value: int) -> bytes:
    return value.to_bytes(2, "little")


def le32(value: int) -> bytes:
    return value.to_bytes(4, "little")


def le64(value: int) -> bytes:
    return value.to_bytes(8, "little")


def read_all(source: BlockSource, limit: int = 60) -> None:
    """Ask for some of everything in all subvolumes; `ContentsError` is an answer."""
    assert CONTENTS.subvolumes is not None
    for _, reader in CONTENTS.subvolumes(source)[:4]:
        try:
            waiting = [reader.root]
            for _ in range(limit):
                if not waiting:
                    break
                node = waiting.pop()
                if node.kind == "directory":
                    for count, (name, inside) in enumerate(reader.entries(node)):
                        assert isinstance(name, str)
                        waiting.append(inside)
                        if count == limit:
                            break
                elif node.kind == "file":
                    assert len(reader.read(node, 0, 4 * KiB)) == min(node.size, 4 * KiB)
                    assert len(reader.read(node, node.size // 2, 100)) <= 100
                elif node.kind == "symlink":
                    assert len(reader.target(node)) <= 4095
        except ContentsError:
            continue


def refusal(source: BlockSource, read: Callable[[FileReader], object] = images.walk) -> str:
    """What a refusal says, when reading the default subvolume."""
    with pytest.raises(ContentsError) as raised:
        read(CONTENTS.open(source))
    return str(raised.value)


# The superblock. Offsets are those of the on-disk format.


@pytest.mark.parametrize(
    ("offset", "new", "reason"),
    [
        (0x30, le64(0), "bytenr is 0x0, expected is its own place"),
        (0x40, b"!BHRfS_M", "magic is b'!BHRfS_M'"),
        (0x90, le32(512), "sectorsize is 512 bytes"),
        (0x90, le32(8392704), "sectorsize is 8392704 bytes"),
        (0x94, le32(0), "nodesize is 0 bytes"),
        (0x94, le32(12288), "nodesize is 12288 bytes"),
        (0x94, le32(128 * KiB), "nodesize is 131072 bytes"),
        (0x90, le32(8192), "nodesize 4096 is below the sectorsize 8192"),
        (0xC6, b"\x08", "root_level is 8"),
        (0xC7, b"\xff", "chunk_root_level is 255"),
        (0xA0, le32(2049), "sys_chunk_array_size is 2049 bytes, room is for 2048"),
        (0xA0, le32(0xFFFFFFFF), "sys_chunk_array_size is 4294967295 bytes"),
        (0xA0, le32(30), "cut off, the array has 30 bytes"),
        (0xA0, le32(0), "no chunk has the logical address"),
        (0xBC, le64(1 << 13 | 1 << 14), "incompat_flags has EXTENT_TREE_V2, RAID_STRIPE_TREE"),
        (0xBC, le64(1 << 15 | 1 << 63), "incompat_flags has ENCRYPT, bit 63"),
        (0xC4, le16(4), "csum_type is 4"),
        (0x48, le64(1), "generation is"),
        (0x50, le64(1 << 63), "no chunk has the logical address 0x8000000000000000"),
        (0x20, bytes(16), "fsid is"),
    ],
)
def test_superblock_with_a_field_that_does_not_fit_is_refused(offset: int, new: bytes, reason: str) -> None:
    assert reason in refusal(images.superblock(capture("layouts"), {offset: new}))


def test_topmost_subvolume_is_the_default_where_none_is_named() -> None:
    reader = CONTENTS.open(images.superblock(capture("layouts"), {0x80: le64(12345)}))  # root_dir_objectid
    assert listing(reader) == ["@", "@home"]


@pytest.mark.parametrize(
    ("offset", "new", "reason"),
    [
        (8, b"\x00", "type of the key is 0"),
        (17 + 0, le64(0), "length is 0 bytes"),
        (17 + 0, le64(4097), "length is 4097 bytes, expected are whole sectors"),
        (17 + 0, le64((1 << 64) - 4096), "below logical 2^64"),
        (17 + 16, le64(0), "stripe_len is 0"),
        (17 + 24, le64(2 | 1 << 40), "type is 0x10000000002"),
        (17 + 24, le64(2 | 1 << 4 | 1 << 5), "type is 0x32"),
        (17 + 24, le64(2 | 1 << 6), "RAID10 with 1 stripes"),
        (17 + 24, le64(2 | 1 << 7), "RAID5 with 1 stripes"),
        (17 + 24, le64(2 | 1 << 2), "type is 0x6"),
        (17 + 40, le32(512), "sector_size is 512, expected is 4096"),
        (17 + 0, le64((1 << 48) - (1 << 16)), "expected are fewer than"),
        (17 + 44, le16(0), "num_stripes is 0"),
        (17 + 44, le16(0xFFFF), "num_stripes is 65535"),
        (17 + 48, le64(7), "lies on device 7"),
        (17 + 56, le64(1 << 62), "bytes are needed here"),
    ],
)
def test_chunk_in_the_superblock_that_does_not_fit_is_refused(offset: int, new: bytes, reason: str) -> None:
    assert reason in refusal(images.superblock(capture("layouts"), {0x32B + offset: new}))


def test_superblock_with_a_wrong_checksum_is_refused_unless_its_mirror_is_whole() -> None:
    broken = {images.SUPERBLOCK + 0x78: b"\xff"}
    assert "btrfs superblock at byte 0x10000: csum is" in refusal(Patched(capture("layouts"), broken))
    assert images.walk(CONTENTS.open(Patched(capture("distribution"), broken)))  # it has one at 64 MiB


@pytest.mark.parametrize("source", [Memory(b""), Memory(bytes(MiB)), Memory(b"_BHRfS_M" * 10_000)])
def test_what_is_no_btrfs_is_refused(source: BlockSource) -> None:
    assert refusal(source)


# Nodes.


@cache
def leaf(key: tuple[int, int, int], owner: int = ROOT_SUBVOLUME) -> images.Place:
    """Where the capture `layouts` has an item; metadata is there once."""
    (place,) = images.items(capture("layouts"), NODESIZE["layouts"], owner, key)
    return place


def root_node() -> int:
    """Where the topmost node of @ lies, by the pointer in the ROOT_ITEM."""
    item = leaf((ROOT_SUBVOLUME, ROOT_ITEM, 0), TREE_OF_ROOTS)
    bytenr = int.from_bytes(capture("layouts").read_at(item.node + item.data + 176, 8), "little")
    (place,) = (
        place
        for place, data in images.nodes(capture("layouts"), NODESIZE["layouts"]).items()
        if data[0x30:0x38] == le64(bytenr)
    )
    return place


def test_the_capture_has_trees_of_several_levels() -> None:
    assert capture("layouts").read_at(root_node() + 0x64, 1)[0] >= 1


@pytest.mark.parametrize(
    ("offset", "new", "reason"),
    [
        (0x20, bytes(16), "fsid is 0000"),
        (0x30, le64(0x12345000), "bytenr is 0x12345000"),
        (0x50, le64(1 << 60), "generation is 1152921504606846976, the file system is at"),
        (0x50, le64(1), "generation is 1, its pointer says"),
        (0x58, le64(7), "owner is tree 7, expected is tree 256"),
        (0x60, le32(0), "nritems is 0"),
        (0x60, le32(0xFFFFFFFF), "nritems is 4294967295, allowed are 1 to 121"),
        (0x60, le32(122), "nritems is 122"),
        (0x64, b"\x08", "level is 8"),
        (0x64, b"\x03", "level is 3, its pointer says"),
        (0x64, b"\x00", "does not follow"),
        (0x65 + 33, bytes(17), "the key (0, 0, 0) does not follow"),
        (0x38, le64(1 << 56), "flags is 0x100000000000000, without WRITTEN"),
        (0x65 + 17, le64(0), "a pointer is 0x0, expected are sectors"),
        (0x65 + 17, le64(0x12345), "a pointer is 0x12345, expected are sectors"),
        (0x65 + 17, le64(0x1000), "no chunk has the logical address 0x1000"),
        (0x65 + 17, le64((1 << 64) - 4096), "no chunk has the logical address 0xfffffffffffff000"),
        (0x65 + 25, le64(2), "its pointer says 2"),
    ],
)
def test_node_with_a_field_that_does_not_fit_is_refused(offset: int, new: bytes, reason: str) -> None:
    source = sealed(capture("layouts"), root_node(), NODESIZE["layouts"], {offset: new})
    assert reason in refusal(source)


@pytest.mark.parametrize(
    ("offset", "new", "reason"),
    [
        (17, le32(0), "an item has bytes 0 to 160"),
        (17, le32(0xFFFFFFFF), "an item has bytes 4294967295 to 4294967455"),
        (21, le32(0), "expected is that it ends at"),
        (21, le32(0xFFFFFFFF), "expected is that it ends at"),
    ],
)
def test_leaf_with_an_item_outside_of_it_is_refused(offset: int, new: bytes, reason: str) -> None:
    place = leaf((256, INODE_ITEM, 0))
    source = sealed(capture("layouts"), place.node, NODESIZE["layouts"], {place.header + offset: new})
    assert reason in refusal(source)


def test_node_that_points_to_itself_is_refused() -> None:
    place = root_node()
    own = capture("layouts").read_at(place + 0x30, 8)
    generation = capture("layouts").read_at(place + 0x50, 8)
    source = sealed(capture("layouts"), place, NODESIZE["layouts"], {0x65 + 17: own + generation})
    assert "level is" in refusal(source)


def test_node_with_two_pointers_to_one_child_is_refused() -> None:
    place = root_node()
    first = capture("layouts").read_at(place + 0x65 + 17, 16)
    source = sealed(capture("layouts"), place, NODESIZE["layouts"], {0x65 + 33 + 17: first})
    assert "its pointer says" in refusal(source)


def test_node_with_a_wrong_checksum_is_refused() -> None:
    place = root_node()
    reason = refusal(Patched(capture("layouts"), {place + 3000: b"\xff"}))
    assert reason == f"btrfs node at byte {place:#x}: the csum does not match what is in it"


def test_second_copy_of_a_node_is_read_where_the_first_is_damaged() -> None:
    copies: dict[bytes, list[int]] = {}
    for place, data in images.nodes(capture("distribution"), NODESIZE["distribution"]).items():
        copies.setdefault(data[0x30:0x38], []).append(place)
    pairs = [sorted(places) for places in copies.values() if len(places) == 2]
    assert len(pairs) > 10
    for index in range(2):
        source = Patched(capture("distribution"), {pair[index] + 5000: b"damaged" for pair in pairs})
        assert images.walk(CONTENTS.open(source)) == images.walk(CONTENTS.open(capture("distribution")))
    both = Patched(capture("distribution"), {place + 5000: b"damaged" for pair in pairs for place in pair})
    assert "the csum does not match" in refusal(both)


def test_disk_that_ends_early_is_refused_where_it_ends() -> None:
    assert "bytes are needed here" in refusal(Window(Memory(capture("layouts").read_at(0, 2 * MiB)), 0, 2 * MiB))


# Items.


def inode(path: str) -> int:
    assert CONTENTS.subvolumes is not None
    return int(images.follow(CONTENTS.open(capture("layouts")), path).handle.number)


def with_item(key: tuple[int, int, int], changes: dict[int, bytes], owner: int = ROOT_SUBVOLUME) -> BlockSource:
    """The capture `layouts` with other bytes in an item."""
    place = leaf(key, owner)
    assert all(offset + len(new) <= place.size for offset, new in changes.items())
    moved = {place.data + offset: new for offset, new in changes.items()}
    return sealed(capture("layouts"), place.node, NODESIZE["layouts"], moved)


def content(path: str) -> Callable[[FileReader], object]:
    def read(reader: FileReader) -> object:
        node = images.follow(reader, path)
        return reader.target(node) if node.kind == "symlink" else reader.read(node, 0, node.size)

    return read


@pytest.mark.parametrize(
    ("path", "offset", "new", "reason"),
    [
        ("zlib/text", 8, le64(1 << 40), "ram_bytes is 1099511627776, compressed at most 131072"),
        ("zlib/text", 16, b"\x09", "compression is 9"),
        ("zlib/text", 16, b"\x02", "lzo"),
        ("zlib/text", 16, b"\x03", "zstd"),
        ("zlib/text", 17, b"\x01", "encryption is 1"),
        ("zlib/text", 18, b"\x01", "other_encoding is 1"),
        ("zlib/text", 20, b"\x07", "type is 7"),
        ("zlib/text", 21, le64(0x1001), "disk_bytenr is 0x1001, expected are sectors"),
        ("zlib/text", 21, le64(1 << 50), "no chunk has the logical address 0x4000000000000"),
        ("zlib/text", 29, le64(1 << 30), "disk_num_bytes is 1073741824, compressed at most 131072"),
        ("zlib/text", 37, le64(1 << 40), "of an extent of 131072"),
        ("zlib/text", 45, le64(0), "num_bytes is 0"),
        ("zlib/text", 45, le64(1 << 50), "the extent before it ends at 0x4000000000000, within this one"),
        ("none/text", 45, le64(1 << 50), "of an extent of"),
        ("zstd/inline", 8, le64(1 << 40), "ram_bytes is 1099511627776"),
        ("zstd/inline", 21, bytes(20), "inline: zstd"),
        ("none/inline", 20, b"\x01", "expected are 53"),
    ],
)
def test_extent_with_a_field_that_does_not_fit_is_refused(path: str, offset: int, new: bytes, reason: str) -> None:
    source = with_item((inode(path), EXTENT_DATA, 0), {offset: new})
    assert reason in refusal(source, content(path))


def test_inline_extent_in_the_middle_of_a_file_is_refused() -> None:
    number = inode("zlib/text")
    source = with_item((number, EXTENT_DATA, 128 * KiB), {20: b"\x00"})
    assert "it is inline, which only the first may be" in refusal(source, content("zlib/text"))


def test_size_of_a_file_is_what_it_says_and_its_end_is_zeros() -> None:
    reader = CONTENTS.open(with_item((inode("none/inline"), INODE_ITEM, 0), {16: le64((1 << 63) - 1)}))
    node = images.follow(reader, "none/inline")
    assert node.size == (1 << 63) - 1
    assert reader.read(node, 1 << 62, 100) == bytes(100)


def test_symlink_longer_than_a_path_can_be_is_refused() -> None:
    source = with_item((inode("link"), INODE_ITEM, 0), {16: le64(4096)})
    assert "a symlink of 4096 bytes, at most 4095" in refusal(source, content("link"))


def test_device_number_is_no_file() -> None:
    reader = CONTENTS.open(with_item((inode("none/text"), INODE_ITEM, 0), {52: le32(0o060644)}))
    assert images.follow(reader, "none/text").kind == "other"


def name_hash(name: bytes) -> int:
    return binary.crc32c(name, 0xFFFFFFFE)


@pytest.mark.parametrize(
    ("offset", "new", "reason"),
    [
        (0, le64(1 << 40), "it has no INODE_ITEM"),
        (8, b"\x54", "an entry leads to (290, 84, 0), expected is a file"),
        (8, b"\x00", "leads to an item of type 0"),
        (25, le16(0xFFFF), "data_len 65535, beyond its item"),
        (27, le16(0), "the hash of the name is 0xfffffffe"),
        (27, le16(300), "name_len is 300"),
    ],
)
def test_entry_that_leads_nowhere_is_refused(offset: int, new: bytes, reason: str) -> None:
    source = with_item((256, DIR_ITEM, name_hash(b"link")), {offset: new})
    assert reason in refusal(source, content("link"))


def listing(reader: FileReader) -> list[str]:
    return [name for name, _ in reader.entries(reader.root)]


@pytest.mark.parametrize("name", [b"/etc", b"a\0bc", b"../x"])
def test_names_that_no_directory_can_have_are_refused(name: bytes) -> None:
    source = with_item(index_of(b"link"), {30: name})
    assert "has a slash or a NUL" in refusal(source, listing)


def index_of(name: bytes) -> tuple[int, int, int]:
    """The key of the DIR_INDEX of a name in the top of @, from the sequence in its INODE_REF."""
    number = inode(name.decode())
    place = leaf((number, 12, 256))
    index = int.from_bytes(capture("layouts").read_at(place.node + place.data, 8), "little")
    return 256, DIR_INDEX, index


def test_directory_of_a_directory_in_itself_ends_where_the_caller_ends() -> None:
    location = struct.pack("<QBQ", 256, INODE_ITEM, 0)
    reader = CONTENTS.open(with_item((256, DIR_ITEM, name_hash(b"many")), {0: location}))
    node = reader.root
    for _ in range(100):
        found = reader.lookup(node, "many")
        assert found is not None
        node = found
    assert node == reader.root


@pytest.mark.parametrize(
    ("offset", "new", "reason"),
    [
        (238, b"\x08", "level is 8"),
        (216, le32(0), "there is no subvolume 256"),
        (168, le64(99), "inode 99 of tree 256: it has no INODE_ITEM"),
        (176, le64(0), "no chunk has the logical address 0x0"),
    ],
)
def test_subvolume_with_a_field_that_does_not_fit_is_refused(offset: int, new: bytes, reason: str) -> None:
    source = with_item((ROOT_SUBVOLUME, ROOT_ITEM, 0), {offset: new}, TREE_OF_ROOTS)
    assert reason in refusal(source)


def test_subvolume_whose_place_in_its_parent_is_damaged_is_called_by_its_number() -> None:
    key = (5, 156, HOME_SUBVOLUME)  # ROOT_REF
    source = with_item(key, {0: le64(99)}, TREE_OF_ROOTS)
    assert CONTENTS.subvolumes is not None
    paths = [path for path, _ in CONTENTS.subvolumes(source)]
    assert paths == ["@", "", "subvolid=257"]


# Anything at all.


@cache
def live_nodes(name: str) -> tuple[int, ...]:
    return tuple(images.nodes(capture(name), NODESIZE[name]))


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_any_change_in_a_node_gives_values_or_a_refusal(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(["layouts", "distribution"]))
    place = data.draw(st.sampled_from(live_nodes(name)))
    offsets = st.one_of(st.integers(0x20, 0x65 + 200), st.integers(0x20, NODESIZE[name] - 8))
    changes = data.draw(st.dictionaries(offsets, st.binary(min_size=1, max_size=8), min_size=1, max_size=3))
    try:
        read_all(sealed(capture(name), place, NODESIZE[name], changes))
    except ContentsError:
        return


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(st.integers(0x20, 0x32B + 129), st.binary(min_size=1, max_size=8), min_size=1, max_size=3))
def test_any_change_in_the_superblock_gives_values_or_a_refusal(changes: dict[int, bytes]) -> None:
    try:
        read_all(images.superblock(capture("layouts"), changes), limit=5)
    except ContentsError:
        return


def test_checksums_are_those_of_their_specifications() -> None:
    assert binary.crc32c(b"123456789") ^ 0xFFFFFFFF == 0xE3069283  # RFC 3720
    for size in (0, 9, 63, 64, 65, 97, 4064, 16352, 65504):
        data = os.urandom(size)
        assert binary.crc32c(data) == binary._crc32c_bytewise(data, 0xFFFFFFFF)
    assert xxhash64(bytes(32)) == 0xF6E9BE5D70632CF5  # both by the xxhash library
    assert xxhash64(bytes(range(44))) == 0xA733D156DB2BB292
    with pytest.raises(ValueError, match="in fours"):
        xxhash64(bytes(33))
