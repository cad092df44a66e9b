"""The names in a directory of ext2, ext3 and ext4.

Entries are read one after the other. The index that large directories have (dx_root, dx_node) hides in blocks that
look as if they held one deleted entry, so that this finds all names, and only whole blocks are gone through.

Specification: Linux kernel documentation, ext4 Data Structures and Algorithms, section Directory Entries,
https://docs.kernel.org/filesystems/ext4/directory.html
"""

import struct
from collections.abc import Iterator

from preflight.contents import ContentsError, _ext_blocks
from preflight.contents import _ext_layouts as layouts
from preflight.contents._ext_filesystem import Filesystem, Inode
from preflight.contents._inodes import Entry
from preflight.units import KiB, MiB

MAX_DIRECTORY_BYTES = 32 * MiB  # 65536 names of 255 bytes are 17 MiB; a directory does not shrink when emptied
CHUNK = 64 * KiB  # read at once: a whole number of blocks, whatever their size
KEPT_FROM = 1 * MiB  # a directory of this size is kept after it was read; the source's cache holds smaller ones
SHORTEST_REC_LEN = 12  # an entry with a name of one byte, and any that is not used: ext4_dir_rec_len(1)
LONGEST_REC_LEN = (0, 65535)  # both stand for 65536, which 16 bits cannot
NO_NAMES = (b"", b".", b"..")
ENTRY = struct.Struct(layouts.DIRECTORY_ENTRY_FORMAT)


def entries(filesystem: Filesystem, directory: Inode) -> Iterator[Entry]:
    """All entries but `.` and `..`, in the order of the disk; `ContentsError` where one breaks the format."""
    for data in _blocks(filesystem, directory):
        yield from _parse(filesystem, directory, data)


def find(filesystem: Filesystem, directory: Inode, name: bytes) -> int | None:
    """The inode of the entry of this name, None where there is none.

    In a directory with the attribute casefold a name is compared without case where none is the same.
    """
    folds = bool(directory.flags & layouts.EXT4_CASEFOLD_FL)
    folded, candidate = _fold(name), None
    for data in _blocks(filesystem, directory, None if folds else name):
        for entry in _parse(filesystem, directory, data):
            if entry.name == name:
                return entry.inode
            if folds and candidate is None and _fold(entry.name) == folded:
                candidate = entry.inode
    return candidate


def _fold(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape").casefold()


def _blocks(filesystem: Filesystem, directory: Inode, name: bytes | None = None) -> Iterator[bytes]:
    """The blocks of a directory that hold these bytes, or all; what lies in its inode comes as two."""
    if directory.size > MAX_DIRECTORY_BYTES:
        raise ContentsError(f"{directory.where}: has {directory.size} bytes, at most {MAX_DIRECTORY_BYTES} are read")
    if directory.flags & layouts.EXT4_INLINE_DATA_FL and not directory.flags & layouts.EXT4_ENCRYPT_FL:
        data = filesystem.inline_data(directory)
        yield data[layouts.INLINE_DIRECTORY_SKIP : layouts.I_BLOCK_SIZE]
        yield data[layouts.I_BLOCK_SIZE :]
        return
    for offset in range(0, directory.size, CHUNK):
        data = _chunk(filesystem, directory, offset)
        if name is not None and name not in data:
            continue
        for start in range(0, len(data), filesystem.block_size):
            block = data[start : start + filesystem.block_size]
            if name is None or name in block:
                yield block


def _chunk(filesystem: Filesystem, directory: Inode, offset: int) -> bytes:
    """A chunk of a directory; those of the last large one are kept, as each name that is not there takes them all."""
    size = min(CHUNK, directory.size - offset)
    if directory.size < KEPT_FROM:
        return _ext_blocks.read(filesystem, directory, offset, size)
    if filesystem.kept_directory != directory.number:
        filesystem.kept_directory, filesystem.kept_chunks = directory.number, {}
    if offset not in filesystem.kept_chunks:
        filesystem.kept_chunks[offset] = _ext_blocks.read(filesystem, directory, offset, size)
    return filesystem.kept_chunks[offset]


def _parse(filesystem: Filesystem, directory: Inode, data: bytes) -> Iterator[Entry]:
    """The entries in one block."""
    has_file_type = filesystem.incompat & layouts.EXT4_FEATURE_INCOMPAT_FILETYPE
    offset = 0
    while (rest := len(data) - offset) >= layouts.DIRECTORY_ENTRY_SIZE:
        inode, rec_len, name_len, file_type = ENTRY.unpack_from(data, offset)
        if len(data) == 64 * KiB and rec_len in LONGEST_REC_LEN:
            rec_len = 64 * KiB
        if not has_file_type:
            name_len |= file_type << 8
        needed = max(SHORTEST_REC_LEN, layouts.DIRECTORY_ENTRY_SIZE + (name_len if inode else 0))
        if rec_len % 4 or not needed <= rec_len <= rest:
            raise ContentsError(
                f"{directory.where}: an entry with a name of {name_len} bytes has rec_len {rec_len},"
                f" {rest} bytes are left in its block"
            )
        start = offset + layouts.DIRECTORY_ENTRY_SIZE
        name = data[start : start + name_len]
        if inode and name not in NO_NAMES and b"/" not in name:
            yield Entry(inode, name)
        offset += rec_len
