"""What Linux reads of a btrfs when it mounts it: each part damaged under a checksum that fits.

Linux 6.18 refuses to mount what is refused here, and mounts what is not.
"""

import struct
from collections.abc import Iterable
from functools import cache

import pytest

from preflight.contents import ContentsError, NotRead
from preflight.contents.btrfs import CONTENTS
from preflight.source import BlockSource
from preflight.units import KiB, MiB
from tests.contents import btrfs_images as images
from tests.contents.btrfs_images import Patched, capture, leaf, sealed

NODESIZE = 4 * KiB  # of the capture `layouts`, which has one copy of each node
ROOT_TREE, EXTENT_TREE, CHUNK_TREE, DEV_TREE, FS_TREE, CSUM_TREE, UUID_TREE, SPACE_TREE = 1, 2, 3, 4, 5, 7, 9, 10
DATA_RELOC_TREE = (1 << 64) - 9
FIRST_GROUP = (MiB, 192, 4 * MiB)
FIRST_EXTENT, LAST_EXTENT = (1, 204, MiB), (1, 204, 0x830000)
OWN_DEVICE = (1, 216, 1)


def le(value: int, size: int = 8) -> bytes:
    return value.to_bytes(size, "little")


def verify(source: BlockSource) -> None:
    assert CONTENTS.verify_mount is not None
    CONTENTS.verify_mount(CONTENTS.open(source))


def refusal(source: BlockSource) -> str:
    """What the mount is refused for, where the files can be read all the same."""
    assert CONTENTS.verify_mount is not None
    reader = CONTENTS.open(source)
    assert list(reader.names(reader.root))
    with pytest.raises(ContentsError) as raised:
        CONTENTS.verify_mount(reader)
    return str(raised.value)


@cache
def place_of(owner: int, key: tuple[int, int, int]) -> images.Place:
    (place,) = images.items(capture("layouts"), NODESIZE, owner, key)
    return place


def with_item(owner: int, key: tuple[int, int, int], changes: dict[int, bytes]) -> BlockSource:
    """The capture `layouts` with other bytes in an item; those below 0 are in its header."""
    place = place_of(owner, key)
    moved = {(place.data if at >= 0 else place.header + 25) + at: new for at, new in changes.items()}
    return sealed(capture("layouts"), place.node, NODESIZE, moved)


@cache
def root_place(owner: int) -> int:
    """Where the topmost node of a tree lies."""
    item = place_of(ROOT_TREE, (owner, 132, 0))
    bytenr = capture("layouts").read_at(item.node + item.data + 176, 8)
    (place,) = (at for at, data in images.nodes(capture("layouts"), NODESIZE).items() if data[0x30:0x38] == bytenr)
    return place


def rebuilt(place: int, more: list[tuple[tuple[int, int, int], bytes]]) -> BlockSource:
    """The capture `layouts`, and in the leaf at `place` more items."""
    data = capture("layouts").read_at(place, NODESIZE)
    bytenr, generation, owner, count = struct.unpack_from("<Q24xQQI", data, 0x30)
    items = list(more)
    for *key, offset, size in struct.iter_unpack("<QBQII", data[101 : 101 + count * 25]):
        items.append(((key[0], key[1], key[2]), data[101 + offset : 101 + offset + size]))
    node = leaf(data[0x20:0x30], bytenr, owner, generation, sorted(items), nodesize=NODESIZE)
    return Patched(capture("layouts"), {place: node})


def new_leaf(
    source: BlockSource, number: int, owner: int, generation: int, items: list[tuple[tuple[int, int, int], bytes]]
) -> BlockSource:
    """The source with a leaf in the space that is free at the end of the last chunk, which lies where it is mapped."""
    fsid = source.read_at(images.SUPERBLOCK + 0x20, 16)
    return Patched(source, {free(number): leaf(fsid, free(number), owner, generation, items, nodesize=NODESIZE)})


def free(number: int) -> int:
    return 0x830000 + 16 * MiB - number * NODESIZE


def generation() -> int:
    return int.from_bytes(capture("layouts").read_at(images.SUPERBLOCK + 0x48, 8), "little")


def root_item(bytenr: int, of_generation: int) -> bytes:
    """A ROOT_ITEM as that of the topmost subvolume, of another tree."""
    place = place_of(ROOT_TREE, (FS_TREE, 132, 0))
    data = capture("layouts").read_at(place.node + place.data, place.size)
    return data[:160] + le(of_generation) + data[168:176] + le(bytenr) + data[184:239] + le(of_generation) + data[247:]


@pytest.mark.parametrize("name", ["layouts", "distribution", "fedora-39", "opensuse-leap-15", "opensuse-tumbleweed"])
def test_file_systems_that_linux_made_are_sound(name: str) -> None:
    verify(capture(name))


@pytest.mark.parametrize("owner", [EXTENT_TREE, DEV_TREE, CSUM_TREE, UUID_TREE, SPACE_TREE, DATA_RELOC_TREE])
def test_tree_whose_topmost_node_is_damaged_is_refused(owner: int) -> None:
    place = root_place(owner)
    reason = refusal(Patched(capture("layouts"), {place + 3000: b"\xff\xee"}))
    assert reason == f"btrfs node at byte {place:#x}: the csum does not match what is in it"


@pytest.mark.parametrize("owner", [CSUM_TREE, SPACE_TREE])
def test_tree_that_is_not_there_is_refused(owner: int) -> None:
    source = with_item(ROOT_TREE, (owner, 132, 0), {-17: b"\x83"})  # its ROOT_ITEM is of another type
    assert f"no ROOT_ITEM of tree {owner}" in refusal(source)
    verify(with_item(ROOT_TREE, (owner, 132, 0), {-16: le(1)}))  # Linux takes it at any offset


def test_tree_of_devices_at_another_offset_is_refused() -> None:
    assert "no ROOT_ITEM of tree 4" in refusal(with_item(ROOT_TREE, (DEV_TREE, 132, 0), {-16: le(1)}))


def test_tree_of_relocated_data_may_have_any_offset_and_must_be_in_use() -> None:
    verify(with_item(ROOT_TREE, (DATA_RELOC_TREE, 132, 0), {-16: le(1)}))
    reason = refusal(with_item(ROOT_TREE, (DATA_RELOC_TREE, 132, 0), {216: le(0, 4)}))
    assert f"no ROOT_ITEM of tree {DATA_RELOC_TREE} that is in use" in reason


def test_trees_that_linux_makes_anew_need_not_be_there() -> None:
    verify(with_item(ROOT_TREE, (UUID_TREE, 132, 0), {-16: le(1)}))


def test_generation_0_of_a_tree_stands_for_any() -> None:
    verify(with_item(ROOT_TREE, (CSUM_TREE, 132, 0), {160: le(0)}))
    assert "generation is" in refusal(with_item(ROOT_TREE, (CSUM_TREE, 132, 0), {160: le(1)}))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({16: le(0x7FF00000)}, "no chunk has the logical address 0x7ff00000"),
        ({16: le(0x830000)}, "length is 4194304, the stripes of its chunk have 16777216"),
        ({24: le(2 * MiB)}, "length is 2097152, the stripes of its chunk have 4194304"),
        ({-16: le(64 * KiB)}, "the chunk at logical 0x100000 has no stripe there"),
    ],
)
def test_stretch_of_the_device_that_is_not_that_of_its_chunk_is_refused(changes: dict[int, bytes], reason: str) -> None:
    assert reason in refusal(with_item(DEV_TREE, FIRST_EXTENT, changes))


@pytest.mark.parametrize(("key", "kind"), [(FIRST_EXTENT, b"\xcb"), (LAST_EXTENT, b"\xcd")])
def test_chunk_without_its_stretch_of_the_device_is_refused(key: tuple[int, int, int], kind: bytes) -> None:
    source = with_item(DEV_TREE, key, {-17: kind})  # of another type
    assert f"chunk at logical {key[2]:#x}: it has 1 stripes, of which 0 have a DEV_EXTENT" in refusal(source)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({8: le(1 << 40), 16: le(1 << 40)}, "total_bytes is 1099511627776, the device has 33554432"),
        ({8: le(4 * MiB), 16: le(4 * MiB)}, "it ends at 0x500000, the device at 0x400000"),
        ({8: le(33554432 + 2048)}, "total_bytes is 33556480, the device has 33554432"),
        ({82: bytes(16)}, "fsid is 00000000000000000000000000000000, expected is that of the nodes"),
        ({-17: b"\xd7"}, "has no DEV_ITEM"),
    ],
)
def test_device_that_is_not_as_it_says_is_refused(changes: dict[int, bytes], reason: str) -> None:
    assert reason in refusal(with_item(CHUNK_TREE, OWN_DEVICE, changes))


def test_devices_that_together_are_larger_than_the_superblock_says_are_refused() -> None:
    size = 33554432
    source = images.superblock(capture("layouts"), {0x70: le(size - 4 * KiB)})
    assert f"total_bytes is {size - 4 * KiB}, the DEV_ITEMs together have {size}" in refusal(source)
    verify(images.superblock(capture("layouts"), {0x70: le(size - 4 * KiB), 0x38: le(1 | 1 << 32)}))  # a seed


@pytest.mark.parametrize("changes", [{48: le(2)}, {64: bytes(16)}])
def test_chunk_on_a_device_that_is_not_of_the_file_system_is_refused(changes: dict[int, bytes]) -> None:
    source = with_item(CHUNK_TREE, (256, 228, 0x830000), changes)
    with pytest.raises(ContentsError, match=r"which has no DEV_ITEM|which is missing") as raised:
        verify(source)
    assert not isinstance(raised.value, NotRead)


def test_chunk_in_the_superblock_counts_before_that_in_the_chunk_tree() -> None:
    verify(with_item(CHUNK_TREE, (256, 228, MiB), {56: le(0)}))
    verify(with_item(CHUNK_TREE, (256, 228, MiB), {0: le(2 * MiB)}))


def test_chunks_that_overlap_those_of_the_superblock_are_refused() -> None:
    source = with_item(CHUNK_TREE, (256, 228, MiB), {-16: le(512 * KiB)})
    with pytest.raises(ContentsError, match="chunk at logical 0x80000: another begins at 0x100000"):
        CONTENTS.open(source)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({16: le(5)}, "flags is 0x5, the type of its chunk has 0x2"),
        ({0: le(1 << 40)}, "used is 1099511627776"),
    ],
)
def test_block_group_that_is_not_that_of_its_chunk_is_refused(changes: dict[int, bytes], reason: str) -> None:
    assert reason in refusal(with_item(EXTENT_TREE, FIRST_GROUP, changes))


def test_block_group_of_another_size_than_its_chunk_is_refused() -> None:
    source = with_item(EXTENT_TREE, (0x830000, 192, 16 * MiB), {-16: le(8 * MiB)})
    assert "block group at logical 0x830000: it has 8388608 bytes, expected is a chunk of the same" in refusal(source)


def test_chunk_without_block_group_is_refused_where_the_first_lies_at_0_alone() -> None:
    """As Linux does it."""
    verify(with_item(EXTENT_TREE, (0x830000, 192, 16 * MiB), {-17: b"\xc1"}))


def with_block_group_tree(items: Iterable[tuple[tuple[int, int, int], bytes]]) -> BlockSource:
    """The capture `layouts`, its free-space tree made one of block groups, as the superblock says."""
    item = place_of(ROOT_TREE, (SPACE_TREE, 132, 0))  # of 10, which must be before that of 11
    old = root_place(SPACE_TREE)
    header = capture("layouts").read_at(old, 101)
    bytenr, generation = struct.unpack_from("<Q24xQ", header, 0x30)
    node = leaf(header[0x20:0x30], bytenr, 11, generation, items, nodesize=NODESIZE)
    moved = sealed(Patched(capture("layouts"), {old: node}), item.node, NODESIZE, {item.header: le(11)})
    place = images.SUPERBLOCK
    return sealed(moved, place, 4096, {0xB4: le(1 << 1 | 1 << 3)})  # FREE_SPACE_TREE_VALID, BLOCK_GROUP_TREE


def test_block_groups_in_a_tree_of_their_own() -> None:
    groups = []
    for key in (FIRST_GROUP, (5 * MiB, 192, 3342336), (0x830000, 192, 16 * MiB)):
        place = place_of(EXTENT_TREE, key)
        groups.append((key, capture("layouts").read_at(place.node + place.data, place.size)))
    verify(with_block_group_tree(groups))
    wrong = ((0x830000, 192, 8 * MiB), groups[2][1])
    assert "block group at logical 0x830000: it has 8388608 bytes" in refusal(
        with_block_group_tree([*groups[:2], wrong])
    )
    assert "no ROOT_ITEM of tree 11" in refusal(images.superblock(capture("layouts"), {0xB4: le(0xB)}))


LOG, RELOC = (1 << 64) - 6, (1 << 64) - 8
DUP_EXTENT = (1, 204, 22020096)  # of the capture `distribution`


def with_log(inode: bytes) -> BlockSource:
    """The capture `layouts` with a log of the topmost subvolume, in which there is one item."""
    ahead = generation() + 1
    source: BlockSource = images.superblock(capture("layouts"), {0x60: le(free(1))})
    source = new_leaf(source, 1, LOG, ahead, [((LOG, 132, FS_TREE), root_item(free(2), ahead))])
    return new_leaf(source, 2, LOG, ahead, [((300, 1, 0), inode)])


def test_log_that_is_replayed_is_read() -> None:
    inode = struct.pack("<QQ24xI8xI", generation() + 1, generation() + 1, 1, 0o100644).ljust(160, b"\0")
    verify(with_log(inode))
    assert "the item (300, 1, 0): mode is 0o0" in refusal(with_log(bytes(160)))
    lost = images.superblock(capture("layouts"), {0x60: le(free(1))})
    assert f"btrfs node at byte {free(1):#x}: bytenr is 0x0" in refusal(lost)


def test_relocation_that_goes_on_is_read() -> None:
    place = place_of(ROOT_TREE, (DATA_RELOC_TREE, 132, 0)).node
    source = rebuilt(place, [((RELOC, 132, FS_TREE), root_item(free(1), generation()))])
    assert f"btrfs node at byte {free(1):#x}: bytenr is 0x0" in refusal(source)
    verify(new_leaf(source, 1, FS_TREE, generation(), [((300, 48, 0), b"")]))


def quota_tree(leaf_of: int, flags: int = 0) -> BlockSource:
    """The capture `layouts`, its UUID tree made one of quotas with a node and a leaf."""
    place = root_place(UUID_TREE)
    header = capture("layouts").read_at(place, 101)
    of_generation = struct.unpack_from("<Q", header, 0x50)[0]
    item = place_of(ROOT_TREE, (UUID_TREE, 132, 0))
    changes = {item.header: le(8), item.data + 238: b"\x01"}
    source: BlockSource = sealed(capture("layouts"), item.node, NODESIZE, changes)
    node = {0x58: le(8) + le(1, 4) + b"\x01", 0x65: struct.pack("<QBQQQ", 0, 240, 0, free(1), of_generation)}
    source = sealed(source, place, NODESIZE, node)
    return new_leaf(source, 1, leaf_of, of_generation, [((0, 240, 0), bytes(16) + le(flags) + bytes(8))])


def test_quotas_are_read_unless_their_topmost_node_is_damaged() -> None:
    verify(quota_tree(8))
    assert "owner is tree 7, expected is tree 8" in refusal(quota_tree(7))
    place = root_place(UUID_TREE)
    verify(Patched(quota_tree(7), {place + 3000: b"\xff\xee"}))  # Linux goes on without quotas


@pytest.mark.parametrize("flags", [1, 3, 5, 7])  # on, with a rescan, inconsistent
def test_quotas_that_are_on_may_be_rescanned(flags: int) -> None:
    verify(quota_tree(8, flags))


@pytest.mark.parametrize("flags", [2, 6])
def test_a_rescan_of_quotas_that_are_off_is_told(flags: int) -> None:
    assert f"btrfs QGROUP_STATUS: flags is {flags:#x}" in refusal(quota_tree(8, flags))


def test_last_leaf_of_the_subvolume_that_is_mounted_is_read() -> None:
    """Where inodes are named that were deleted while in use."""
    place = root_place(256)
    data = capture("layouts").read_at(place, NODESIZE)
    nritems, level = struct.unpack_from("<IB", data, 0x60)
    assert level == 1
    last = data[0x65 + 33 * (nritems - 1) + 17 :][:8]
    (at,) = (at for at, node in images.nodes(capture("layouts"), NODESIZE).items() if node[0x30:0x38] == last)
    assert f"btrfs node at byte {at:#x}: the csum" in refusal(Patched(capture("layouts"), {at + 3000: b"\xff\xee"}))


def test_item_that_is_damaged_in_one_copy_of_its_leaf_is_read_from_the_other() -> None:
    """As Linux does, which then mounts."""
    nodesize = 16 * KiB
    source = capture("distribution")
    copies = images.items(source, nodesize, DEV_TREE, DUP_EXTENT)
    assert len(copies) == 2
    damaged = [sealed(source, copy.node, nodesize, {copy.data + 24: le(1)}) for copy in copies]
    for one in damaged:
        verify(one)
    both = sealed(damaged[0], copies[1].node, nodesize, {copies[1].data + 24: le(1)})
    assert "length is 0x1, expected are sectors of 4096 bytes" in refusal(both)
