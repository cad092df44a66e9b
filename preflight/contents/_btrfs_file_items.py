"""What the items of files in btrfs must hold: inodes, names, attributes and extents.

Specification: btrfs on-disk format, sections Inode item, Inode reference, Directory item and Extent data,
https://btrfs.readthedocs.io/en/latest/dev/On-disk-format.html; Linux, fs/btrfs/tree-checker.c
"""

import stat
import struct

from preflight.binary import crc32c
from preflight.contents import _btrfs_layouts as layouts
from preflight.contents._btrfs_layouts import Key
from preflight.contents._btrfs_superblock import Filesystem

# Unpacked by the standard library, as every item of every leaf is looked at (see `layouts.ITEM`).
INODE_ITEM = struct.Struct("<QQ24xI8xI8xQ")  # generation, transid, nlink, mode, flags
DIR_ITEM = struct.Struct("<QBQ8xHHB")  # location, data_len, name_len, type
NAME_LEN = struct.Struct("<H")
EXTENT_DATA = struct.Struct("<8xQBB2xB")  # ram_bytes, compression, encryption, type
EXTENT_ON_DISK = struct.Struct("<QQQQ")  # disk_bytenr, disk_num_bytes, offset, num_bytes
IN_SECTORS = ("its place", "ram_bytes", "disk_bytenr", "disk_num_bytes", "offset", "num_bytes")
INODE_EXTREF_SIZE = 18  # parent, index, name_len

BEHIND_INODE = (
    layouts.INODE_REF_KEY,
    layouts.INODE_EXTREF_KEY,
    layouts.XATTR_ITEM_KEY,
    layouts.DIR_ITEM_KEY,
    layouts.DIR_INDEX_KEY,
    layouts.EXTENT_DATA_KEY,
)
"""Items that an inode has behind its INODE_ITEM."""

FILE_TYPES = {stat.S_IFSOCK, stat.S_IFLNK, stat.S_IFREG, stat.S_IFBLK, stat.S_IFDIR, stat.S_IFCHR, stat.S_IFIFO}
MODE_BITS = 0o177777
INODE_FLAGS = 0xFFF | 1 << 31  # NODATASUM to COMPRESS, ROOT_ITEM_INIT
INODE_RO_FLAGS = 1 << 32  # VERITY
ENCRYPTED_NAME = 0x80  # bit of the type of an entry
XATTR_TYPE = 8  # the last of the types of an entry
COMPRESSIONS = 4  # none, zlib, lzo, zstd
EXTENT_TYPES = 3


def inode_item(filesystem: Filesystem, key: Key, item: bytes, _: object) -> str | None:
    """An INODE_ITEM."""
    if not _is_inode(key[0]) or key[2]:
        return "no inode has this key"
    if len(item) != layouts.INODE_ITEM_SIZE:
        return f"an INODE_ITEM of {len(item)} bytes, expected are {layouts.INODE_ITEM_SIZE}"
    generation, transid, nlink, mode, flags = INODE_ITEM.unpack_from(item)
    if max(generation, transid) > filesystem.generation + 1:
        return f"it is of generation {max(generation, transid)}, the file system is at {filesystem.generation}"
    if mode & ~MODE_BITS or stat.S_IFMT(mode) not in FILE_TYPES:
        return f"mode is {mode:#o}, which names no kind of file"
    if stat.S_ISDIR(mode) and nlink > 1:
        return f"nlink is {nlink}, a directory has 1"
    if flags & ~(INODE_FLAGS | INODE_RO_FLAGS):
        return f"flags is {flags:#x}, known are the bits {INODE_FLAGS | INODE_RO_FLAGS:#x}"
    return None


def _is_inode(objectid: int) -> bool:
    in_range = layouts.FIRST_FREE_OBJECTID <= objectid <= layouts.LAST_FREE_OBJECTID
    return in_range or objectid in (layouts.ROOT_TREE_DIR_OBJECTID, layouts.FREE_INO_OBJECTID)


def inode_ref(_: Filesystem, __: Key, item: bytes, ___: object) -> str | None:
    """An INODE_REF: names, of which there is one at least."""
    return _names(item, layouts.INODE_REF_SIZE) if item else "an INODE_REF of 0 bytes"


def inode_extref(_: Filesystem, __: Key, item: bytes, ___: object) -> str | None:
    """An INODE_EXTREF: names, each with its directory."""
    return _names(item, INODE_EXTREF_SIZE)


def _names(item: bytes, head: int) -> str | None:
    """What is wrong with names that follow heads of so many bytes, each of which ends in name_len."""
    position = 0
    while position < len(item):
        name = position + head
        if name > len(item):
            return f"a reference is cut off at byte {position} of {len(item)}"
        (name_len,) = NAME_LEN.unpack_from(item, name - NAME_LEN.size)
        position = name + name_len
        if not 0 < name_len <= layouts.MAX_NAME_LEN or position > len(item):
            return f"name_len is {name_len}, allowed are 1 to {min(layouts.MAX_NAME_LEN, len(item) - name)}"
    return None


def dir_item(_: Filesystem, key: Key, item: bytes, __: object) -> str | None:
    """A DIR_ITEM, DIR_INDEX or XATTR_ITEM: entries, of which those that share a hash share an item."""
    is_xattr = key[1] == layouts.XATTR_ITEM_KEY
    position = 0
    while position < len(item):
        name = position + layouts.DIR_ITEM_SIZE
        if name > len(item):
            return f"an entry is cut off at byte {position} of {len(item)}"
        *location, data_len, name_len, entry_type = DIR_ITEM.unpack_from(item, position)
        if reason := _location(location, is_xattr):
            return reason
        entry_type &= ~ENCRYPTED_NAME
        if not 0 < entry_type <= XATTR_TYPE or (entry_type == XATTR_TYPE) != is_xattr:
            return f"type of an entry is {entry_type}, expected is {'8' if is_xattr else '1 to 7'}"
        position = name + name_len + data_len
        if name_len > layouts.MAX_NAME_LEN or position > len(item):
            return f"name_len is {name_len}, data_len {data_len}, beyond its item"
        if data_len and not is_xattr:
            return f"data_len is {data_len}, expected is 0"
        if key[1] != layouts.DIR_INDEX_KEY:
            computed = crc32c(item[name : name + name_len], layouts.NAME_HASH_INITIAL)
            if computed != key[2]:
                return f"the hash of the name is {computed:#010x}, its key says {key[2]:#010x}"
    return None


def _location(location: list[int], is_xattr: bool) -> str | None:
    objectid, kind, offset = location
    if kind == layouts.ROOT_ITEM_KEY:
        fits = layouts.is_subvolume(objectid)
    elif is_xattr:
        fits = not any(location)
    else:
        fits = kind in (0, layouts.INODE_ITEM_KEY) and _is_inode(objectid) and not offset
    if fits:
        return None
    return f"an entry leads to ({objectid}, {kind}, {offset}), expected is {'0' if is_xattr else 'a file'}"


def extent_data(filesystem: Filesystem, key: Key, item: bytes, previous: tuple[Key, bytes] | None) -> str | None:
    """An EXTENT_DATA."""
    sectorsize = filesystem.sectorsize
    if len(item) < EXTENT_DATA.size:
        return f"its item is cut off after {len(item)} bytes"
    ram_bytes, compression, encryption, kind = EXTENT_DATA.unpack_from(item)
    if kind >= EXTENT_TYPES:
        return f"type is {kind}, known are 0 (inline), 1 (regular) and 2 (prealloc)"
    if compression >= COMPRESSIONS:
        return f"compression is {compression}, known are 0 to {COMPRESSIONS - 1}"
    if encryption:
        return f"encryption is {encryption}, expected is 0"
    if kind == layouts.EXTENT_INLINE:
        if key[2]:
            return "it is inline, which only the first may be"
        if not compression and len(item) != EXTENT_DATA.size + ram_bytes:
            return f"ram_bytes is {ram_bytes}, inline are {len(item) - EXTENT_DATA.size}"
        return None
    if len(item) != EXTENT_DATA.size + EXTENT_ON_DISK.size:
        return f"its item has {len(item)} bytes, expected are {EXTENT_DATA.size + EXTENT_ON_DISK.size}"
    on_disk = EXTENT_ON_DISK.unpack_from(item, EXTENT_DATA.size)
    for name, value in zip(IN_SECTORS, (key[2], ram_bytes, *on_disk), strict=True):
        if value % sectorsize:
            return f"{name} is {value:#x}, expected are sectors of {sectorsize} bytes"
    num_bytes = on_disk[3]
    if key[2] + num_bytes >= 1 << 64:
        return f"num_bytes is {num_bytes:#x}, which ends above 2^64"
    if previous is not None and previous[0][:2] == key[:2] and (end := _end(*previous, sectorsize)) > key[2]:
        return f"the extent before it ends at {end:#x}, within this one"
    return None


def _end(key: Key, item: bytes, sectorsize: int) -> int:
    """Where in its file an extent ends."""
    if len(item) == EXTENT_DATA.size + EXTENT_ON_DISK.size and item[EXTENT_DATA.size - 1] != layouts.EXTENT_INLINE:
        return key[2] + int(EXTENT_ON_DISK.unpack_from(item, EXTENT_DATA.size)[3])
    return key[2] + -(-int(EXTENT_DATA.unpack_from(item)[0]) // sectorsize) * sectorsize
