"""The superblock of the Be File System, of BeOS and Haiku, of either endianness.

Specification: D. Giampaolo, Practical File System Design with the Be File System, chapters 4 and 5; Haiku,
src/add-ons/kernel/file_systems/bfs/bfs.h. The UUID is the attribute be:volume_id of the root directory, as libblkid
has it.
"""

from functools import lru_cache
from typing import Any, Literal, NamedTuple

from construct import (
    Bytes,
    Int16ub,
    Int16ul,
    Int32ub,
    Int32ul,
    Int64sb,
    Int64sl,
    Int64ub,
    Int64ul,
    Padding,
    Struct,
)

from preflight.binary import parse, parse_at
from preflight.errors import OutOfBounds, StructureError
from preflight.facts import Problem
from preflight.filesystems import FileSystemReader, Superblock
from preflight.filesystems._fields import label
from preflight.filesystems._sizes import shown_offset, stated_size
from preflight.source import BlockSource
from preflight.units import KiB, align_up

OFFSETS = (0, 512)  # the second leaves room for a boot block
NAME_SIZE = 32  # B_OS_NAME_LENGTH; magic1 follows
SUPER_BLOCK_MAGIC1 = 0x42465331  # BFS1
SUPER_BLOCK_MAGIC2 = 0xDD121031
SUPER_BLOCK_MAGIC3 = 0x15B6830E
SUPER_BLOCK_FS_LENDIAN = 0x42494745  # BIGE, read in the file system's own byte order
MIN_SIZE = 1440 * KiB  # a floppy disk: libblkid's

BLOCK_SHIFTS = range(10, 14)  # 1 to 8 KiB
MAX_AG_SHIFT = 32  # a block number of a run would not fit 64 bits
INODE_MAGIC1 = 0x3BBE0AD9
INODE_SIZE = 232  # up to small_data
SMALL_DATA_SIZE = 8
SMALL_DATA_PADDING = 3 + 1  # after the name, after the data
BPLUSTREE_MAGIC = 0x69F6C2E8
BPLUSTREE_NULL = -1
BPLUSTREE_NODE_SIZE = 28
MAX_NODE_SIZE = 8 * KiB  # every known one is 1 KiB
MAX_TREE_DEPTH = 10  # more than 2^40 attributes
B_UINT64_TYPE = 0x554C4C47  # ULLG
VOLUME_ID = b"be:volume_id"
VOLUME_ID_SIZE = 8


ByteOrder = Literal["little", "big"]
BYTE_ORDERS: tuple[ByteOrder, ...] = ("little", "big")


class Layouts(NamedTuple):
    """The structures in one byte order."""

    super_block: Struct
    inode: Struct
    small_data: Struct
    tree_header: Struct
    tree_node: Struct
    order: ByteOrder


@lru_cache(maxsize=2)
def layouts(order: ByteOrder) -> Layouts:
    """Made when a file system of that byte order is met: few disks have one."""
    int16, int32, int64, sint64 = (
        (Int16ul, Int32ul, Int64ul, Int64sl) if order == "little" else (Int16ub, Int32ub, Int64ub, Int64sb)
    )
    block_run = Struct("allocation_group" / int32, "start" / int16, "length" / int16)
    return Layouts(
        super_block=Struct(
            "name" / Bytes(NAME_SIZE),
            "magic1" / int32,
            "fs_byte_order" / int32,
            "block_size" / int32,
            "block_shift" / int32,
            "num_blocks" / int64,
            "used_blocks" / int64,
            "inode_size" / int32,
            "magic2" / int32,
            "blocks_per_ag" / int32,
            "ag_shift" / int32,
            Padding(32),  # num_ags … log_end
            "magic3" / int32,
            "root_dir" / block_run,
        ),
        inode=Struct(
            "magic1" / int32,
            Padding(48),  # inode_num … parent
            "attributes" / block_run,
            "type" / int32,
            "inode_size" / int32,
            Padding(4),  # etc
            "direct" / block_run[12],  # of the data stream
            "max_direct_range" / int64,
            Padding(32),  # indirect … max_double_indirect_range
            "size" / int64,
            Padding(16),
        ),
        small_data=Struct("type" / int32, "name_size" / int16, "data_size" / int16),
        tree_header=Struct("magic" / int32, "node_size" / int32, Padding(8), "root_node_pointer" / sint64),
        tree_node=Struct(
            Padding(16),  # left_link, right_link
            "overflow_link" / sint64,
            "all_key_count" / int16,
            "all_key_length" / int16,
        ),
        order=order,
    )


def read(source: BlockSource) -> Superblock | None:
    """The superblock, and the volume's identifier where the root directory has it."""
    if source.size < MIN_SIZE:
        return None
    for offset in OFFSETS:
        magic1 = source.read_at(offset + NAME_SIZE, 4)
        for order in BYTE_ORDERS:
            if magic1 == SUPER_BLOCK_MAGIC1.to_bytes(4, order):
                return _read_at(source, offset, layouts(order))
    return None


def _read_at(source: BlockSource, offset: int, structs: Layouts) -> Superblock | None:
    superblock = parse_at(structs.super_block, source, offset, "BeFS superblock")
    if (
        superblock.magic2 != SUPER_BLOCK_MAGIC2
        or superblock.magic3 != SUPER_BLOCK_MAGIC3
        or superblock.fs_byte_order != SUPER_BLOCK_FS_LENDIAN
        or superblock.block_shift not in BLOCK_SHIFTS
        or superblock.block_size != 1 << superblock.block_shift
        or superblock.ag_shift > MAX_AG_SHIFT
    ):
        return None
    volume_id = None
    size, problems = stated_size(superblock.num_blocks, superblock.block_size, "BeFS superblock", offset + 0x30)
    try:
        volume_id = _Volume(source, superblock, structs).volume_id()
    except OutOfBounds as error:
        problems += (_problem("it leads to a block past the end of what the file system is on", error.offset),)
    except StructureError as error:
        if type(error) is not StructureError:  # the bytes are there, but were not to be had
            raise
        problems += (_problem(error.reason, error.offset),)
    return Superblock(
        "befs",
        uuid=f"{volume_id:016x}" if volume_id else None,
        label=label(superblock.name),
        size=size,
        problems=problems,
    )


def _problem(message: str, offset: int | None) -> Problem:
    return Problem("superblock-invalid", message, "BeFS root directory", shown_offset(offset))


class _Volume:
    """The few steps from the superblock to one attribute; they raise `StructureError` where the disk is wrong."""

    def __init__(self, source: BlockSource, superblock: Any, structs: Layouts) -> None:
        self._source = source
        self._superblock = superblock
        self._structs = structs

    def volume_id(self) -> int | None:
        """From the root directory's inode itself, else from its attribute directory."""
        offset = self._offset(self._superblock.root_dir)
        inode, small = self._inode(offset)
        found = self._small_data(inode, small, offset + INODE_SIZE)
        if found is None and any((inode.attributes.allocation_group, inode.attributes.start, inode.attributes.length)):
            found = self._attribute(self._offset(inode.attributes))
        return found

    def _offset(self, run: Any) -> int:
        """First byte of a block run."""
        superblock = self._superblock
        return int((run.allocation_group << superblock.ag_shift) + run.start) << int(superblock.block_shift)

    def _inode(self, offset: int) -> tuple[Any, bytes]:
        """The inode, and the rest of its block, which has the small attributes."""
        block = self._source.read_at(offset, self._superblock.block_size)
        inode = parse(self._structs.inode, block[:INODE_SIZE], "BeFS inode", offset)
        if inode.magic1 != INODE_MAGIC1:
            raise StructureError(
                "BeFS inode", offset, f"its magic is {inode.magic1:#010x}, expected {INODE_MAGIC1:#010x}"
            )
        return inode, block[INODE_SIZE : max(INODE_SIZE, inode.inode_size)]

    def _small_data(self, inode: Any, data: bytes, offset: int) -> int | None:
        """The attribute among the small ones; each step goes forward by 12 bytes or more."""
        place = 0
        while place + SMALL_DATA_SIZE <= len(data):
            item = parse(self._structs.small_data, data[place : place + SMALL_DATA_SIZE], "BeFS small_data", offset)
            name = data[place + SMALL_DATA_SIZE :][: item.name_size]
            value = data[place + SMALL_DATA_SIZE + item.name_size + 3 :][: item.data_size]
            if (item.type, name, len(value)) == (B_UINT64_TYPE, VOLUME_ID, VOLUME_ID_SIZE):
                return int.from_bytes(value, self._structs.order)
            if not (item.type or item.name_size or item.data_size):  # the free space begins
                break
            place += SMALL_DATA_SIZE + item.name_size + item.data_size + SMALL_DATA_PADDING
        return None

    def _attribute(self, offset: int) -> int | None:
        """The attribute that has an inode of its own, found through the B+tree of the attribute directory."""
        directory, _ = self._inode(offset)
        block = self._search(directory)
        if block is None:
            return None
        attribute, _ = self._inode(block << int(self._superblock.block_shift))
        if (attribute.type, attribute.size, attribute.direct[0].length) != (B_UINT64_TYPE, VOLUME_ID_SIZE, 1):
            return None
        value = self._source.read_at(self._offset(attribute.direct[0]), VOLUME_ID_SIZE)
        return int.from_bytes(value, self._structs.order)

    def _search(self, directory: Any) -> int | None:
        """The value of the key `VOLUME_ID`: the block of an inode."""
        header = parse_at(self._structs.tree_header, self._source, self._in_stream(directory, 0), "BeFS B+tree header")
        if header.magic != BPLUSTREE_MAGIC or not BPLUSTREE_NODE_SIZE <= header.node_size <= MAX_NODE_SIZE:
            return None
        pointer = header.root_node_pointer
        for _ in range(MAX_TREE_DEPTH):
            offset = self._in_stream(directory, pointer)
            overflow_link, entries = self._node(self._source.read_at(offset, header.node_size), offset)
            # An inner node's key is the last of those below it; what is past all of them is below overflow_link.
            key, pointer = next((entry for entry in entries if entry[0] >= VOLUME_ID), (b"", overflow_link))
            if overflow_link == BPLUSTREE_NULL:
                return pointer if key == VOLUME_ID and pointer > 0 else None
        return None

    def _node(self, data: bytes, offset: int) -> tuple[int, list[tuple[bytes, int]]]:
        """A node's overflow_link, and its keys with their values: as many as the node has room for."""
        node = parse(self._structs.tree_node, data[:BPLUSTREE_NODE_SIZE], "BeFS B+tree node", offset)
        lengths = align_up(BPLUSTREE_NODE_SIZE + node.all_key_length, 8)
        values = lengths + 2 * node.all_key_count
        if values + 8 * node.all_key_count > len(data):
            raise StructureError("BeFS B+tree node", offset, f"{node.all_key_count} keys do not fit {len(data)} bytes")
        entries = []
        start = 0
        for index in range(node.all_key_count):
            end = int.from_bytes(data[lengths + 2 * index :][:2], self._structs.order)  # of this key, in all of them
            value = int.from_bytes(data[values + 8 * index :][:8], self._structs.order, signed=True)
            entries.append((data[BPLUSTREE_NODE_SIZE + start : BPLUSTREE_NODE_SIZE + end], value))
            start = end
        return int(node.overflow_link), entries

    def _in_stream(self, inode: Any, position: int) -> int:
        """Byte of the disk that is byte `position` of the inode's data; the direct runs reach any attribute's."""
        left = position
        for run in inode.direct:
            size = run.length << self._superblock.block_shift
            if 0 <= left < size:
                return self._offset(run) + left
            left -= size
        raise StructureError("BeFS data stream", None, f"no direct block run has its byte {position}")


FILESYSTEM = FileSystemReader(read)
