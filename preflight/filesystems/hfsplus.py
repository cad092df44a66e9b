"""The volume header of HFS Plus and HFSX, alone or wrapped in an HFS volume.

Specification: Apple Technical Note TN1150, HFS Plus Volume Format,
https://developer.apple.com/library/archive/technotes/tn/tn1150.html
"""

from typing import Any

from construct import Bytes, Int8ub, Int16ub, Int32ub, Int64ub, Padding, Struct

from preflight.binary import parse_at
from preflight.errors import OutOfBounds
from preflight.facts import Problem
from preflight.filesystems import FileSystemReader, Superblock
from preflight.filesystems._fields import label
from preflight.filesystems._hfs import (
    KHFSPLUSSIGWORD,
    KHFSSIGWORD,
    KHFSXSIGWORD,
    MASTER_DIRECTORY_BLOCK,
    OFFSET,
    SECTOR,
    volume_uuid,
)
from preflight.filesystems._sizes import shown_offset
from preflight.source import BlockSource
from preflight.units import is_power_of_two

EXTENT = Struct("startBlock" / Int32ub, "blockCount" / Int32ub)
EXTENT_COUNT = 8  # in the fork data of a volume header
VOLUME_HEADER = Struct(
    "signature" / Bytes(2),
    "version" / Int16ub,
    Padding(36),  # attributes … folderCount
    "blockSize" / Int32ub,
    "totalBlocks" / Int32ub,
    Padding(32),  # freeBlocks … encodingsBitmap
    Padding(24),  # finderInfo[0] to [5]
    "volume_id" / Bytes(8),  # finderInfo[6] and [7]
    Padding(160),  # allocationFile, extentsFile
    "catalogFile_logicalSize" / Int64ub,
    "catalogFile_clumpSize" / Int32ub,
    "catalogFile_totalBlocks" / Int32ub,
    "catalogFile_extents" / EXTENT[EXTENT_COUNT],
)

NODE_DESCRIPTOR = Struct(
    "fLink" / Int32ub,
    "bLink" / Int32ub,
    "kind" / Int8ub,
    "height" / Int8ub,
    "numRecords" / Int16ub,
    "reserved" / Int16ub,
)
KBTLEAFNODE = 0xFF
HEADER_RECORD = Struct(
    "treeDepth" / Int16ub,
    "rootNode" / Int32ub,
    "leafRecords" / Int32ub,
    "firstLeafNode" / Int32ub,
    "lastLeafNode" / Int32ub,
    "nodeSize" / Int16ub,
)
CATALOG_KEY = Struct("keyLength" / Int16ub, "parentID" / Int32ub, "nodeName_length" / Int16ub)
KHFSROOTPARENTID = 1  # the root folder's record, first of all, has this parent and the volume's name
MAX_NAME_LENGTH = 255  # UTF-16 units
NODE_DESCRIPTOR_SIZE = 14
CATALOG_KEY_SIZE = 8
MIN_NODE_SIZE = NODE_DESCRIPTOR_SIZE + CATALOG_KEY_SIZE + 2 * MAX_NAME_LENGTH  # what libblkid asks


def read(source: BlockSource) -> Superblock | None:
    """The volume; an embedded one is what counts of an HFS volume that wraps it."""
    start = 0
    if source.read_at(OFFSET, len(KHFSSIGWORD)) == KHFSSIGWORD:
        wrapper = parse_at(MASTER_DIRECTORY_BLOCK, source, OFFSET, "HFS master directory block")
        if wrapper.drEmbedSigWord not in (KHFSPLUSSIGWORD, KHFSXSIGWORD):
            return None
        start = wrapper.drAlBlSt * SECTOR + wrapper.drEmbedExtent_startBlock * wrapper.drAlBlkSiz
    header = parse_at(VOLUME_HEADER, source, start + OFFSET, "HFS Plus volume header")
    if header.signature not in (KHFSPLUSSIGWORD, KHFSXSIGWORD):
        return None
    if header.blockSize < SECTOR or not is_power_of_two(header.blockSize):
        return None
    name, problems = _volume_name(source, start, header)
    return Superblock(
        "hfsplus",
        uuid=volume_uuid(header.volume_id),
        label=name,
        size=header.totalBlocks * header.blockSize,
        problems=problems,
    )


def _volume_name(source: BlockSource, start: int, header: Any) -> tuple[str | None, tuple[Problem, ...]]:
    """The name of the root folder, which only the catalog has: two nodes are read, none is followed further."""
    catalog = start + header.catalogFile_extents[0].startBlock * header.blockSize
    try:
        record = parse_at(HEADER_RECORD, source, catalog + NODE_DESCRIPTOR_SIZE, "HFS Plus catalog header record")
        if record.nodeSize < MIN_NODE_SIZE or record.leafRecords == 0:
            return None, ()
        leaf = _in_catalog(header, record.firstLeafNode * record.nodeSize)
        return (None if leaf is None else _first_name(source, start + leaf)), ()
    except OutOfBounds as error:
        message = "the catalog lies past the end of what the volume is on, so that it has no name"
        return None, (Problem("superblock-invalid", message, "HFS Plus volume header", shown_offset(error.offset)),)


def _in_catalog(header: Any, offset: int) -> int | None:
    """Byte of the volume that is byte `offset` of the catalog; None where the header's own extents do not reach it."""
    for extent in header.catalogFile_extents:
        size = extent.blockCount * header.blockSize
        if offset < size:
            return int(extent.startBlock * header.blockSize + offset)
        offset -= size
    return None


def _first_name(source: BlockSource, leaf: int) -> str | None:
    node = parse_at(NODE_DESCRIPTOR, source, leaf, "HFS Plus catalog node")
    if node.kind != KBTLEAFNODE or node.numRecords == 0:
        return None
    key = parse_at(CATALOG_KEY, source, leaf + NODE_DESCRIPTOR_SIZE, "HFS Plus catalog key")
    if key.parentID != KHFSROOTPARENTID or key.nodeName_length > MAX_NAME_LENGTH:
        return None
    name = source.read_at(leaf + NODE_DESCRIPTOR_SIZE + CATALOG_KEY_SIZE, 2 * key.nodeName_length)
    return label(name.decode("utf-16-be", "surrogatepass").encode("utf-8", "surrogatepass"))


FILESYSTEM = FileSystemReader(read)
