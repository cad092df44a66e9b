"""BeFS, which no tool here makes: built, and read by blkid."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings

from preflight.filesystems.befs import BYTE_ORDERS, FILESYSTEM, ByteOrder, layouts
from preflight.units import KiB, MiB
from tests.filesystems.building import (
    Part,
    agreed_on,
    build,
    change,
    damage,
    found,
    hostile,
    join,
    read,
    stays_within_protocol,
)

SIZE = 2 * MiB
BLOCK = 1 * KiB
VOLUME_ID = 0x95D89DEC82F6B73B
KEY = b"be:volume_id"
NO_RUN = {"allocation_group": 0, "start": 0, "length": 0}
ROOT, ATTRIBUTES, TREE, ATTRIBUTE, VALUE = 8, 10, 12, 20, 22  # blocks


def run(start: int, length: int = 1) -> dict[str, int]:
    """A block run in the second allocation group of 64 blocks, so that the group counts."""
    return (
        {"allocation_group": 1, "start": start - 64, "length": length}
        if start >= 64
        else {
            "allocation_group": 0,
            "start": start,
            "length": length,
        }
    )


def superblock(order: ByteOrder = "little", offset: int = 512, **fields: object) -> Part:
    values: dict[str, object] = {
        "name": b"befs_test".ljust(32, b"\0"),
        "magic1": 0x42465331,
        "fs_byte_order": 0x42494745,
        "block_size": BLOCK,
        "block_shift": 10,
        "num_blocks": 2000,
        "magic2": 0xDD121031,
        "ag_shift": 6,
        "magic3": 0x15B6830E,
        "root_dir": run(ROOT),
    }
    return offset, build(layouts(order).super_block, **{**values, **fields})


def inode(order: ByteOrder, block: int, small: bytes = b"", **fields: object) -> Part:
    values: dict[str, object] = {
        "magic1": 0x3BBE0AD9,
        "inode_size": BLOCK,
        "attributes": NO_RUN,
        "direct": [NO_RUN] * 12,
        "max_direct_range": 12 * BLOCK,
    }
    return block * BLOCK, (build(layouts(order).inode, **{**values, **fields}) + small).ljust(BLOCK, b"\0")


def small_data(order: ByteOrder, name: bytes, value: bytes, kind: int = 0x554C4C47) -> bytes:
    head = build(layouts(order).small_data, type=kind, name_size=len(name), data_size=len(value))
    return head + name + bytes(3) + value + bytes(1)


def node(order: ByteOrder, entries: list[tuple[bytes, int]], overflow: int = -1) -> bytes:
    keys = b"".join(key for key, _ in entries)
    head = build(layouts(order).tree_node, overflow_link=overflow, all_key_count=len(entries), all_key_length=len(keys))
    data = (head + keys).ljust(-(-(len(head) + len(keys)) // 8) * 8, b"\0")
    for index in range(len(entries)):
        data += sum(len(key) for key, _ in entries[: index + 1]).to_bytes(2, order)
    for _, value in entries:
        data += value.to_bytes(8, order, signed=True)
    return data.ljust(BLOCK, b"\0")


def tree(order: ByteOrder, *nodes: bytes, root: int = 1) -> Part:
    """The attribute directory's data: a header and nodes, in blocks of their own."""
    values: dict[str, Any] = {"magic": 0x69F6C2E8, "node_size": BLOCK, "root_node_pointer": root * BLOCK}
    return TREE * BLOCK, build(layouts(order).tree_header, **values).ljust(BLOCK, b"\0") + b"".join(nodes)


def with_attribute(order: ByteOrder, *nodes: bytes, root: int = 1, fields: dict[str, object] | None = None) -> bytes:
    """A volume whose identifier has an inode of its own."""
    attribute: dict[str, object] = {"type": 0x554C4C47, "size": 8, "direct": [run(VALUE), *[NO_RUN] * 11]}
    return join(
        superblock(order),
        inode(order, ROOT, attributes=run(ATTRIBUTES)),
        inode(order, ATTRIBUTES, direct=[run(TREE, 2), run(TREE + 2, 4), *[NO_RUN] * 10]),
        tree(order, *nodes, root=root),
        inode(order, ATTRIBUTE, b"", **{**attribute, **(fields or {})}),
        (VALUE * BLOCK, VOLUME_ID.to_bytes(8, order)),
    )


def with_small_data(order: ByteOrder, offset: int = 512) -> bytes:
    small = small_data(order, b"_trk/view", b"12345", kind=7) + small_data(order, KEY, VOLUME_ID.to_bytes(8, order))
    return join(superblock(order, offset), inode(order, ROOT, small))


@pytest.mark.parametrize("offset", [0, 512])
@pytest.mark.parametrize("order", BYTE_ORDERS)
def test_volume_is_read_as_blkid_reads_it(tmp_path: Path, order: ByteOrder, offset: int) -> None:
    superblock_ = agreed_on(FILESYSTEM, tmp_path / "disk", with_small_data(order, offset), SIZE)
    assert (superblock_.type, superblock_.uuid, superblock_.label) == ("befs", "95d89dec82f6b73b", "befs_test")
    assert (superblock_.size, superblock_.problems) == (2000 * BLOCK, ())


@pytest.mark.parametrize("order", BYTE_ORDERS)
def test_identifier_in_an_attribute_of_its_own_is_found(tmp_path: Path, order: ByteOrder) -> None:
    leaf = node(order, [(b"a", 3), (KEY, ATTRIBUTE), (b"z", 4)])
    assert agreed_on(FILESYSTEM, tmp_path / "leaf", with_attribute(order, leaf), SIZE).uuid == "95d89dec82f6b73b"


@pytest.mark.parametrize(
    ("entries", "overflow"),
    [([(b"a", 3), (b"c", 2), (b"z", 3)], 4), ([(KEY, 2), (b"z", 3)], 4), ([(b"a", 3), (b"b", 3)], 2)],
    ids=["a greater key", "the key itself", "past all keys"],
)
def test_tree_of_two_levels_is_descended(entries: list[tuple[bytes, int]], overflow: int) -> None:
    inner = node("little", [(key, value * BLOCK) for key, value in entries], overflow * BLOCK)
    leaf = node("little", [(b"a", 3), (KEY, ATTRIBUTE)])
    other = node("little", [(b"x", 3)])
    data = with_attribute("little", inner, leaf, other)
    assert found(FILESYSTEM, data, SIZE).uuid == "95d89dec82f6b73b"


def test_volume_without_an_identifier_has_no_uuid(tmp_path: Path) -> None:
    data = join(superblock(), inode("little", ROOT))
    assert agreed_on(FILESYSTEM, tmp_path / "small", data, SIZE).uuid is None
    data = with_attribute("little", node("little", [(b"a", 3)]))
    assert agreed_on(FILESYSTEM, tmp_path / "tree", data, SIZE).uuid is None


@pytest.mark.parametrize("fields", [{"type": 0}, {"size": 4}, {"direct": [NO_RUN] * 12}])
def test_attribute_of_another_kind_is_no_identifier(tmp_path: Path, fields: dict[str, object]) -> None:
    data = with_attribute("little", node("little", [(KEY, ATTRIBUTE)]), fields=fields)
    assert agreed_on(FILESYSTEM, tmp_path / "disk", data, SIZE).uuid is None


@pytest.mark.parametrize(
    "fields",
    [
        {"magic2": 1},
        {"magic3": 1},
        {"fs_byte_order": 0x45474942},
        {"block_shift": 9, "block_size": 512},
        {"block_shift": 14, "block_size": 16384},
        {"block_shift": 0xFFFFFFFF},
        {"block_size": 2048},
        {"ag_shift": 0xFFFFFFFF},
    ],
)
def test_impossible_superblock_is_none(fields: dict[str, object]) -> None:
    assert read(FILESYSTEM, join(superblock("little", 512, **fields), inode("little", ROOT)), SIZE) is None


def test_less_than_a_floppy_disk_is_none() -> None:
    assert read(FILESYSTEM, with_small_data("little"), 1440 * KiB - 1) is None


def test_root_directory_that_is_none_is_told() -> None:
    superblock_ = found(FILESYSTEM, join(superblock()), SIZE)
    assert (superblock_.label, superblock_.uuid) == ("befs_test", None)
    assert damage(superblock_) == [("superblock-invalid", ROOT * BLOCK)]


def test_root_directory_past_the_end_is_told() -> None:
    data = join(superblock(root_dir={"allocation_group": 0x7FFFFFFF, "start": 0, "length": 1}))
    assert damage(found(FILESYSTEM, data, SIZE)) == [("superblock-invalid", 0x7FFFFFFF << 16)]


def test_tree_that_leads_in_a_circle_ends() -> None:
    inner = node("little", [(b"z", BLOCK)], 2 * BLOCK)
    assert found(FILESYSTEM, with_attribute("little", inner), SIZE).uuid is None


def test_node_with_more_keys_than_it_holds_is_told() -> None:
    full = change(node("little", [(KEY, ATTRIBUTE)]), 24, b"\xff\xff")
    superblock_ = found(FILESYSTEM, with_attribute("little", full), SIZE)
    assert damage(superblock_) == [("superblock-invalid", (TREE + 1) * BLOCK)]


def test_tree_past_its_own_data_is_told() -> None:
    superblock_ = found(FILESYSTEM, with_attribute("little", root=99), SIZE)
    assert damage(superblock_) == [("superblock-invalid", None)]


def test_impossible_size_is_told() -> None:
    data = join(superblock(num_blocks=1 << 60), inode("little", ROOT))
    superblock_ = found(FILESYSTEM, data, SIZE)
    assert (superblock_.size, damage(superblock_)) == (None, [("superblock-invalid", 512 + 0x30)])


@settings(max_examples=200, deadline=None)
@given(
    hostile(
        superblock(),
        inode("little", ROOT, attributes=run(ATTRIBUTES)),
        inode("little", ATTRIBUTES, direct=[run(TREE, 2), *[NO_RUN] * 11]),
        tree("little", node("little", [(KEY, ATTRIBUTE)])),
        inode("little", ATTRIBUTE, type=0x554C4C47, size=8, direct=[run(VALUE), *[NO_RUN] * 11]),
    )
    | hostile(superblock(), inode("little", ROOT, small_data("little", KEY, bytes(8))))
)
def test_any_bytes_stay_within_the_protocol(data: bytes) -> None:
    stays_within_protocol(FILESYSTEM, data, SIZE)
