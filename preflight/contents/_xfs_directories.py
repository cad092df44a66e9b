"""The names in a directory of XFS.

A directory has one of four forms: within its inode, one block with its index, blocks and one block of index, or blocks
and a tree of index. All entries are found without the index, one by it where it is apart (`_xfs_hashes`).

Specification: XFS Algorithms & Data Structures, 3rd edition, section Directories,
https://mirrors.edge.kernel.org/pub/linux/utils/fs/xfs/docs/xfs_filesystem_structure.pdf
"""

import struct
from collections.abc import Iterable, Iterator

from preflight.binary import parse
from preflight.contents import ContentsError, _xfs_blocks, _xfs_hashes
from preflight.contents import _xfs_layouts as layouts
from preflight.contents._inodes import Entry
from preflight.contents._xfs_filesystem import Filesystem, Inode
from preflight.errors import BudgetExhausted, StructureError
from preflight.units import KiB, MiB

MAX_DIRECTORY_BYTES = 32 * MiB  # 65536 names of 255 bytes are 18 MiB; a directory does not shrink when emptied
CHUNK = 64 * KiB  # read at once: a whole number of directory blocks, whatever their size
NO_NAMES = (b"", b".", b"..")
ENTRY = struct.Struct(layouts.DIR2_DATA_ENTRY_FORMAT)
UNUSED = struct.Struct(layouts.DIR2_DATA_UNUSED_FORMAT)
TAG = struct.Struct(layouts.DIR2_TAG_FORMAT)
# Linux, xfs_ascii_ci_xfrm: letters of ASCII, and what would be letters in Latin-1.
FOLDING = bytes(
    code + 32 if 0x41 <= code <= 0x5A or (0xC0 <= code <= 0xDE and code != 0xD7) else code for code in range(256)
)


def entries(filesystem: Filesystem, directory: Inode) -> Iterator[Entry]:
    """All entries but `.` and `..`, in the order of the disk; `ContentsError` where one breaks the format."""
    for entry in _all(filesystem, directory):
        if entry.name not in NO_NAMES and b"/" not in entry.name and b"\0" not in entry.name:
            yield entry


def find(filesystem: Filesystem, directory: Inode, name: bytes) -> int | None:
    """The inode of the entry of this name, None where there is none.

    Where the file system ignores case, a name is compared without case where none is the same.
    """
    if name in NO_NAMES:
        return None
    if _is_indexed(filesystem, directory):
        try:
            return _match(filesystem, name, _of_same_hash(filesystem, directory, name))
        except BudgetExhausted:
            raise
        except (ContentsError, StructureError):  # a damaged index: the entries themselves tell
            pass
    return _match(filesystem, name, entries(filesystem, directory))


def _is_indexed(filesystem: Filesystem, directory: Inode) -> bool:
    """Whether the index of the directory can be relied upon to find a name.

    Without case it cannot: mkfs.xfs 6.1 takes the hash with other letters in lower case than Linux does.
    """
    if filesystem.ignores_case or directory.format == layouts.XFS_DINODE_FMT_LOCAL:
        return False
    return _xfs_hashes.has_index(filesystem, directory)


def _match(filesystem: Filesystem, name: bytes, candidates: Iterable[Entry]) -> int | None:
    folded, found = name.translate(FOLDING), None
    for entry in candidates:
        if entry.name == name:
            return entry.inode
        if filesystem.ignores_case and found is None and entry.name.translate(FOLDING) == folded:
            found = entry.inode
    return found


def _of_same_hash(filesystem: Filesystem, directory: Inode, name: bytes) -> Iterator[Entry]:
    size = filesystem.directory_block_size
    for address in _xfs_hashes.addresses(filesystem, directory, _xfs_hashes.hash_name(name)):
        offset = address % size
        data = _xfs_blocks.read(filesystem, directory, address - offset, size)
        start, end = _bounds(filesystem, directory, data)
        if not start <= offset < end:
            raise ContentsError(f"{directory.where}: its index leads to byte {address:#x}, where no entry can be")
        yield _entry(filesystem, directory, data, offset, end)[0]


def _all(filesystem: Filesystem, directory: Inode) -> Iterator[Entry]:
    if directory.format == layouts.XFS_DINODE_FMT_LOCAL:
        yield from _short_form(filesystem, directory)
        return
    for data in _blocks(filesystem, directory):
        offset, end = _bounds(filesystem, directory, data)
        while offset < end:
            if end - offset < layouts.XFS_DIR2_DATA_ALIGN:
                raise ContentsError(
                    f"{directory.where}: {end - offset} bytes are left in a block, too few for an entry"
                )
            freetag, length = UNUSED.unpack_from(data, offset)
            if freetag != layouts.XFS_DIR2_DATA_FREE_TAG:
                entry, length = _entry(filesystem, directory, data, offset, end)
                yield entry
            elif not length or length % layouts.XFS_DIR2_DATA_ALIGN or length > end - offset:
                raise ContentsError(f"{directory.where}: an unused entry has {length} bytes, {end - offset} are left")
            offset += length


def _short_form(filesystem: Filesystem, directory: Inode) -> Iterator[Entry]:
    """The entries in the inode."""
    fork = directory.fork[: directory.size]
    if len(fork) < layouts.DIR2_SF_HEADER_SIZE:
        raise ContentsError(f"{directory.where}: it has {len(fork)} bytes, which is no directory")
    count, i8count = fork[:2]
    inumber_size = 8 if i8count else 4
    offset = layouts.DIR2_SF_HEADER_SIZE + inumber_size  # of the parent
    between = 1 if filesystem.has_ftype else 0
    for _ in range(count):
        name_at = offset + 3  # behind namelen and the offset it had in a block
        namelen = fork[offset] if offset < len(fork) else 0
        offset = name_at + namelen + between + inumber_size
        if not namelen or offset > len(fork):
            raise ContentsError(f"{directory.where}: {count} entries do not fit in its {len(fork)} bytes")
        yield Entry(int.from_bytes(fork[offset - inumber_size : offset], "big"), fork[name_at : name_at + namelen])


def _blocks(filesystem: Filesystem, directory: Inode) -> Iterator[bytes]:
    """The blocks with entries; holes are where all entries of a block were removed."""
    size = filesystem.directory_block_size
    in_block = size // filesystem.block_size
    done, total = 0, 0
    for extent in _xfs_blocks.extents(filesystem, directory, 0):
        start = max(done, extent.offset // in_block * in_block) * filesystem.block_size
        end = min((extent.offset + extent.length) * filesystem.block_size, layouts.XFS_DIR2_LEAF_OFFSET)
        for offset in range(start, end, CHUNK):
            count = -(-min(CHUNK, end - offset) // size) * size
            total += count
            if total > MAX_DIRECTORY_BYTES:
                raise ContentsError(f"{directory.where}: it has over {MAX_DIRECTORY_BYTES} bytes, no more are read")
            data = _xfs_blocks.read(filesystem, directory, offset, count)
            for at in range(0, count, size):
                yield data[at : at + size]
            done = (offset + count) // filesystem.block_size
        if end == layouts.XFS_DIR2_LEAF_OFFSET:
            return


def _bounds(filesystem: Filesystem, directory: Inode, data: bytes) -> tuple[int, int]:
    """Where in a verified block the entries begin and end."""
    magic, sealed = data[:4], filesystem.is_sealed
    if magic not in (layouts.DIR2_BLOCK_MAGICS[sealed], layouts.DIR2_DATA_MAGICS[sealed]):
        raise ContentsError(f"{directory.where}: a block of entries begins with {magic!r}")
    filesystem.verify(data, layouts.DIR3_DATA_SEAL, directory.number, f"{directory.where}, a block of entries")
    start, end = layouts.DIR3_DATA_HEADER_SIZE if sealed else layouts.DIR2_DATA_HEADER_SIZE, len(data)
    if magic == layouts.DIR2_BLOCK_MAGICS[sealed]:
        end -= layouts.DIR2_BLOCK_TAIL_SIZE
        tail = parse(layouts.DIR2_BLOCK_TAIL, data[end:], directory.where, end)
        end -= tail.count * layouts.DIR2_LEAF_ENTRY_SIZE
        if end < start:
            raise ContentsError(f"{directory.where}: an index of {tail.count} entries does not fit in its block")
    return start, end


def _entry(filesystem: Filesystem, directory: Inode, data: bytes, offset: int, end: int) -> tuple[Entry, int]:
    """The entry at `offset` of a block whose entries go to `end`, and its length in bytes."""
    name_at = offset + ENTRY.size
    length = tag = 0
    if name_at <= end:
        inumber, namelen = ENTRY.unpack_from(data, offset)
        between = 1 if filesystem.has_ftype else 0
        length = -(-(ENTRY.size + namelen + between + TAG.size) // layouts.XFS_DIR2_DATA_ALIGN)
        length *= layouts.XFS_DIR2_DATA_ALIGN
        if namelen and offset + length <= end:
            (tag,) = TAG.unpack_from(data, offset + length - TAG.size)
    if tag != offset:  # which is never 0, where the header is
        raise ContentsError(f"{directory.where}: what is at byte {offset:#x} of a block of entries is none")
    return Entry(inumber, data[name_at : name_at + namelen]), length
