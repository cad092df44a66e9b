"""The names in a directory of ext2, ext3 and ext4.

Entries are read one after the other. The index that large directories have (dx_root, dx_node) hides in blocks that
look as if they held one deleted entry, so that this finds all names, and only whole blocks are gone through.

Specification: Linux kernel documentation, ext4 Data Structures and Algorithms, section Directory Entries,
https://docs.kernel.org/filesystems/ext4/directory.html
"""

import struct
from collections.abc import Iterator

from preflight.binary import crc32c
from preflight.contents import ContentsError, _ext_blocks
from preflight.contents import _ext_layouts as layouts
from preflight.contents._ext_filesystem import Filesystem, Inode
from preflight.contents._inodes import Entry
from preflight.units import KiB, MiB, ceil_div

MAX_DIRECTORY_BYTES = 32 * MiB  # 65536 names of 255 bytes are 17 MiB; a directory does not shrink when emptied
CHUNK = 64 * KiB  # read at once: a whole number of blocks, whatever their size
KEPT_FROM = 1 * MiB  # a directory of this size is kept after it was read; the source's cache holds smaller ones
SHORTEST_REC_LEN = 12  # an entry with a name of one byte, and any that is not used: ext4_dir_rec_len(1)
LONGEST = 64 * KiB  # of a block
LONGEST_REC_LEN = (0, 65535)  # both stand for 65536, which 16 bits cannot
DOTS = (b".", b"..")
ENTRY = struct.Struct(layouts.DIRECTORY_ENTRY_FORMAT)
TAIL = struct.Struct(layouts.DIRENT_TAIL_FORMAT)
DX_ROOT_INFO = struct.Struct(layouts.DX_ROOT_INFO_FORMAT)
DX_COUNTLIMIT = struct.Struct(layouts.DX_COUNTLIMIT_FORMAT)
DX_TAIL = struct.Struct(layouts.DX_TAIL_FORMAT)
MAX_VERIFIED = 1 << 16  # blocks: of eight directories of the largest size


def entries(filesystem: Filesystem, directory: Inode) -> Iterator[Entry]:
    """All entries but `.` and `..`, in the order of the disk; `ContentsError` where one breaks the format.

    That is so too where a name is none: Linux then lists nothing more (fs/readdir.c, verify_dirent_name).
    """
    for data in _blocks(filesystem, directory):
        for entry in _parse(filesystem, directory, data):
            if not entry.name or b"/" in entry.name:
                raise ContentsError(f"{directory.where}: the entry of inode {entry.inode} has the name {entry.name!r}")
            yield entry


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
        data = _ext_blocks.inline_data(directory)
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
    if directory.size < KEPT_FROM:
        return _read(filesystem, directory, offset)
    if filesystem.kept_directory != directory.number:
        filesystem.kept_directory, filesystem.kept_chunks = directory.number, {}
    if offset not in filesystem.kept_chunks:
        filesystem.kept_chunks[offset] = _read(filesystem, directory, offset)
    return filesystem.kept_chunks[offset]


def _read(filesystem: Filesystem, directory: Inode, offset: int) -> bytes:
    """A chunk of a directory: whole blocks, whose checksums are right."""
    block_size = filesystem.block_size
    size = min(CHUNK, ceil_div(directory.size - offset, block_size) * block_size)
    data = _ext_blocks.read(filesystem, directory, offset, size)
    if directory.seed is not None:
        for start in range(0, size, block_size):
            number = (offset + start) // block_size
            if (directory.number, number) not in filesystem.verified:
                _verify(directory, directory.seed, number, data[start : start + block_size])
                if len(filesystem.verified) >= MAX_VERIFIED:
                    filesystem.verified.clear()
                filesystem.verified.add((directory.number, number))
    return data


def _verify(directory: Inode, seed: int, number: int, block: bytes) -> None:
    """`ContentsError` unless the checksum at the end of block `number` of a directory is right.

    Linux: ext4_dirblock_csum_verify, ext4_dx_csum_verify, is_dx_internal_node.
    """
    where = f"{directory.where}, block {number} of the directory"
    inode, rec_len, _, _ = ENTRY.unpack_from(block)
    if directory.flags & layouts.EXT4_INDEX_FL and (
        number == 0 or (not inode and _length(rec_len, block) == len(block))
    ):
        stored, computed = _index_checksums(where, seed, block)
    else:
        at = len(block) - TAIL.size
        zero, tail_len, empty, kind, stored = TAIL.unpack_from(block, at)
        if (zero, tail_len, empty, kind) != (0, TAIL.size, 0, layouts.EXT4_FT_DIR_CSUM):
            raise ContentsError(f"{where}: it does not end in an entry with its checksum")
        computed = crc32c(block[:at], seed)
    if stored != computed:
        raise ContentsError(f"{where}: its checksum is {stored:#010x}, computed is {computed:#010x}")


def _index_checksums(where: str, seed: int, block: bytes) -> tuple[int, int]:
    """The checksum in a block of the index by hashes, and the one computed."""
    at = layouts.DIRECTORY_ENTRY_SIZE
    first_len = _length(ENTRY.unpack_from(block)[1], block)
    if first_len == SHORTEST_REC_LEN:  # the root, whose entries `.` and `..` are real
        at = layouts.DX_ROOT_INFO_OFFSET + DX_ROOT_INFO.size
        zero, size = DX_ROOT_INFO.unpack_from(block, layouts.DX_ROOT_INFO_OFFSET)
        parent_len = _length(ENTRY.unpack_from(block, SHORTEST_REC_LEN)[1], block)
        if parent_len != len(block) - SHORTEST_REC_LEN or zero or size != DX_ROOT_INFO.size:
            raise ContentsError(f"{where}: it is no root of an index by hashes")
    elif first_len != len(block):
        raise ContentsError(f"{where}: it is no root of an index by hashes")
    limit, count = DX_COUNTLIMIT.unpack_from(block, at)
    end = at + limit * layouts.DX_ENTRY_SIZE
    if end + DX_TAIL.size > len(block) or count > limit:
        raise ContentsError(f"{where}: its index has {count} of {limit} entries, which it has no room for")
    _, stored = DX_TAIL.unpack_from(block, end)
    covered = block[: at + count * layouts.DX_ENTRY_SIZE] + block[end : end + 4] + bytes(4)
    return stored, crc32c(covered, seed)


def _length(rec_len: int, block: bytes) -> int:
    """What a rec_len in a block stands for."""
    return LONGEST if len(block) == LONGEST and rec_len in LONGEST_REC_LEN else rec_len


def _parse(filesystem: Filesystem, directory: Inode, data: bytes) -> Iterator[Entry]:
    """The entries in one block, each as Linux takes it: ext4_check_dir_entry."""
    inodes: int = filesystem.superblock.s_inodes_count
    offset = 0
    while (rest := len(data) - offset) >= layouts.DIRECTORY_ENTRY_SIZE:
        inode, rec_len, name_len, _ = ENTRY.unpack_from(data, offset)
        rec_len = _length(rec_len, data)
        needed = max(SHORTEST_REC_LEN, layouts.DIRECTORY_ENTRY_SIZE + name_len)
        if rec_len % 4 or not needed <= rec_len <= rest or 0 < rest - rec_len < SHORTEST_REC_LEN:
            raise ContentsError(
                f"{directory.where}: an entry with a name of {name_len} bytes has rec_len {rec_len},"
                f" {rest} bytes are left in its block"
            )
        if inode > inodes:
            raise ContentsError(f"{directory.where}: an entry is of inode {inode}, there are inodes 1 to {inodes}")
        start = offset + layouts.DIRECTORY_ENTRY_SIZE
        name = data[start : start + name_len]
        if inode and name not in DOTS:
            yield Entry(inode, name)
        offset += rec_len
