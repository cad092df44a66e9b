"""The bytes of files in btrfs: inline, on disk, compressed, preallocated, and holes.

Checksums of data are not verified: they are many reads, and a guest's text that is damaged is seldom text.

Specification: btrfs on-disk format, section Extent data,
https://btrfs.readthedocs.io/en/latest/dev/On-disk-format.html
"""

from collections import OrderedDict

import msgspec

from preflight.binary import parse
from preflight.contents import ContentsError
from preflight.contents import _btrfs_layouts as layouts
from preflight.contents._btrfs_chunks import ChunkMap
from preflight.contents._btrfs_compression import MAX_COMPRESSED, MAX_UNCOMPRESSED, decompress
from preflight.contents._btrfs_superblock import Root
from preflight.contents._btrfs_trees import Trees
from preflight.errors import StructureError
from preflight.source import BlockSource
from preflight.units import MiB

MAX_READ = 64 * MiB  # in one call: an initramfs is read in pieces
EXTENTS_KEPT = 16  # decompressed, of at most 128 KiB each: small reads of a file go on where the last ended


class Extent(msgspec.Struct, frozen=True):
    """A stretch of a file that has an item."""

    start: int
    """First byte in the file."""
    size: int
    """Of the stretch, in bytes."""
    compression: int = 0
    inline: bytes | None = None
    """The bytes, where they are in the item."""
    disk_bytenr: int = 0
    """Logical address of the extent, which may be larger than the stretch; 0: all zeros."""
    disk_num_bytes: int = 0
    ram_bytes: int = 0
    """Size of the whole extent, decompressed."""
    offset: int = 0
    """Where in the decompressed extent the stretch begins."""


class Extents:
    """Reads files of one file system."""

    def __init__(self, source: BlockSource, trees: Trees, chunks: ChunkMap, sectorsize: int) -> None:
        self._source = source
        self._trees = trees
        self._chunks = chunks
        self._sectorsize = sectorsize
        self._decompressed: OrderedDict[tuple[int, int, int], bytes] = OrderedDict()

    def read(self, root: Root, inode: int, offset: int, size: int) -> bytes:
        """`size` bytes of an inode from `offset`; what has no extent is zeros."""
        if size > MAX_READ:
            raise ContentsError(f"btrfs inode {inode}: {size} bytes are asked for at once, at most {MAX_READ} are read")
        end = offset + size
        first = self._trees.floor(root, (inode, layouts.EXTENT_DATA_KEY, offset))
        start = first[0][2] if first and first[0][:2] == (inode, layouts.EXTENT_DATA_KEY) else offset
        data = bytearray()
        last_key = (inode, layouts.EXTENT_DATA_KEY, end - 1)
        for key, item in self._trees.items(root, (inode, layouts.EXTENT_DATA_KEY, start), last_key):
            extent = self._extent(key, item)
            position = offset + len(data)
            begin, stop = max(position, extent.start), min(end, extent.start + extent.size)
            if begin < stop:
                data += bytes(begin - position)
                data += self._bytes(extent, begin - extent.start, stop - begin)
        return bytes(data.ljust(size, b"\0"))

    def _extent(self, key: layouts.Key, item: bytes) -> Extent:
        """The extent in an EXTENT_DATA, whose leaf has been verified; `ContentsError` where it cannot be read."""
        where = f"btrfs extent of inode {key[0]} at byte {key[2]:#x}"
        head = parse(layouts.EXTENT_DATA, item[: layouts.EXTENT_DATA_SIZE], where, 0)
        rest = item[layouts.EXTENT_DATA_SIZE :]
        if head.other_encoding:
            raise ContentsError(f"{where}: other_encoding is {head.other_encoding}: only 0 is read, which is none")
        if head.compression and head.ram_bytes > MAX_UNCOMPRESSED:
            raise ContentsError(f"{where}: ram_bytes is {head.ram_bytes}, compressed at most {MAX_UNCOMPRESSED}")
        if head.type == layouts.EXTENT_INLINE:
            size = head.ram_bytes if head.compression else len(rest)
            return Extent(0, size, head.compression, inline=rest, ram_bytes=size)
        disk = parse(layouts.EXTENT_ON_DISK, rest, where, layouts.EXTENT_DATA_SIZE)
        if not disk.num_bytes:
            raise ContentsError(f"{where}: num_bytes is 0")
        if not disk.disk_bytenr or head.type == layouts.EXTENT_PREALLOC:
            return Extent(key[2], disk.num_bytes)
        whole = head.ram_bytes if head.compression else disk.disk_num_bytes
        if disk.offset + disk.num_bytes > whole:
            raise ContentsError(
                f"{where}: bytes {disk.offset} to {disk.offset + disk.num_bytes} of an extent of {whole}"
            )
        if head.compression and disk.disk_num_bytes > MAX_COMPRESSED:
            raise ContentsError(
                f"{where}: disk_num_bytes is {disk.disk_num_bytes}, compressed at most {MAX_COMPRESSED}"
            )
        return Extent(
            start=key[2],
            size=disk.num_bytes,
            compression=head.compression,
            disk_bytenr=disk.disk_bytenr,
            disk_num_bytes=disk.disk_num_bytes,
            ram_bytes=whole,
            offset=disk.offset,
        )

    def _bytes(self, extent: Extent, skip: int, size: int) -> bytes:
        """`size` bytes of the stretch after its first `skip`."""
        if extent.inline is not None:
            whole = self._inflate(extent, extent.inline) if extent.compression else extent.inline
            return whole[skip : skip + size]
        if not extent.disk_bytenr:
            return bytes(size)
        begin = extent.offset + skip
        if not extent.compression:
            return self._read(extent.disk_bytenr + begin, size)
        key = (extent.disk_bytenr, extent.disk_num_bytes, extent.compression)
        inflated = self._decompressed.get(key, b"")
        if len(inflated) < begin + size:
            inflated = self._inflate(extent, self._read(extent.disk_bytenr, extent.disk_num_bytes))
            self._decompressed[key] = inflated
            if len(self._decompressed) > EXTENTS_KEPT:
                self._decompressed.popitem(last=False)
        return inflated[begin : begin + size]

    def _inflate(self, extent: Extent, data: bytes) -> bytes:
        try:
            return decompress(extent.compression, data, extent.ram_bytes, self._sectorsize)
        except ValueError as error:
            place = f"at logical {extent.disk_bytenr:#x}" if extent.disk_bytenr else "inline"
            raise ContentsError(f"btrfs extent {place}: {error}") from error

    def _read(self, logical: int, size: int) -> bytes:
        """Bytes by their logical address, from the first copy that can be read."""
        parts = []
        while size:
            places, contiguous = self._chunks.locate(logical)
            count = min(size, contiguous)
            parts.append(self._read_copy(places, count))
            logical += count
            size -= count
        return b"".join(parts)

    def _read_copy(self, places: list[int], size: int) -> bytes:
        failure: StructureError | None = None
        for place in places:
            try:
                return self._source.read_at(place, size)
            except StructureError as error:
                failure = failure or error
        raise ContentsError(str(failure)) from failure
