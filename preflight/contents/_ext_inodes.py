"""The inodes of ext2, ext3 and ext4, which are refused where Linux refuses them.

Specification: Linux kernel documentation, ext4 Data Structures and Algorithms, section Index Nodes,
https://docs.kernel.org/filesystems/ext4/inodes.html; what Linux asks: fs/ext4/inode.c, __ext4_iget, and
ext4_inode_is_fast_symlink
"""

import stat
from typing import Any, NoReturn

from preflight.binary import parse
from preflight.contents import ContentsError, _ext_attributes, _ext_blocks
from preflight.contents import _ext_layouts as layouts
from preflight.contents._ext_filesystem import Filesystem, Inode
from preflight.filesystems._ext_checksums import (
    GOOD_OLD_INODE_SIZE,
    I_EXTRA_ISIZE,
    L_I_CHECKSUM_LO,
    has_inode_checksums,
    inode_checksums,
    inode_seed,
)
from preflight.units import SECTOR

WHOLE_EXTRA_ISIZE = 32  # of struct ext4_inode, which has 160 bytes: what a size of 0 stands for
MAX_FILE_BLOCKS = 0xFFFF_FFFF  # Linux: ext4_max_size
TYPES = (stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO, stat.S_IFSOCK)
MAPPED = (stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK)


def read(filesystem: Filesystem, number: int) -> Inode:
    """The inode of this number; `ContentsError` where there is none that Linux would take, or what `read_at` raises."""
    offset = filesystem.inode_offset(number)
    data = filesystem.source.read_at(offset, filesystem.inode_size)
    where = f"ext inode {number}"
    extra = _extra_isize(data, where, offset)
    first = None if filesystem.seed is None else inode_seed(filesystem.seed, number, data)
    if first is not None and has_inode_checksums(filesystem.superblock):
        stored, computed = inode_checksums(first, data)
        if stored != computed:
            _refuse(where, offset + L_I_CHECKSUM_LO, f"i_checksum is {stored:#x}, computed is {computed:#x}")
    fields = parse(layouts.INODE, data[:GOOD_OLD_INODE_SIZE], where, offset)
    if not fields.i_links_count:
        _refuse(where, offset + layouts.I_LINKS_COUNT, "i_links_count is 0, the file is deleted")
    flags = fields.i_flags
    if flags & layouts.EXT4_INLINE_DATA_FL and flags & layouts.EXT4_EXTENTS_FL:
        _refuse(where, offset + layouts.I_FLAGS, f"i_flags is {flags:#x}: the data are inline, and have extents")
    size = _size(filesystem, fields, where, offset)
    attributes = None
    if len(data) > GOOD_OLD_INODE_SIZE and extra:
        start = GOOD_OLD_INODE_SIZE + extra
        attributes = _ext_attributes.of_inode(filesystem, where, offset, data, start)
    acl = fields.i_file_acl_lo
    if filesystem.incompat & layouts.EXT4_FEATURE_INCOMPAT_64BIT:
        acl |= fields.l_i_file_acl_high << 32
    if acl and not filesystem.may_have(acl, 1):
        _refuse(where, offset + layouts.I_FILE_ACL, f"i_file_acl is block {acl}, which no file may have")
    inline = None
    if flags & layouts.EXT4_INLINE_DATA_FL:
        inline = _inline(fields.i_block, attributes or (), where, offset)
    inode = Inode(
        number, fields.i_mode, size, flags, fields.i_block, offset, first, acl, inline,
        _is_fast_symlink(filesystem, fields, size, acl),
    )  # fmt: skip
    _check_kind(filesystem, inode)
    return inode


def _refuse(where: str, offset: int, reason: str) -> NoReturn:
    raise ContentsError(f"{where} at byte {offset:#x}: {reason}")


def _extra_isize(data: bytes, where: str, offset: int) -> int:
    """Bytes of fields behind the first 128; 0 where they are not used."""
    if len(data) == GOOD_OLD_INODE_SIZE:
        return 0
    extra = int.from_bytes(data[I_EXTRA_ISIZE : I_EXTRA_ISIZE + 2], "little")
    if extra % 4 or GOOD_OLD_INODE_SIZE + extra > len(data):
        expected = f"a multiple of 4 up to {len(data) - GOOD_OLD_INODE_SIZE}"
        _refuse(where, offset + I_EXTRA_ISIZE, f"i_extra_isize is {extra}, expected is {expected}")
    return extra


def _size(filesystem: Filesystem, fields: Any, where: str, offset: int) -> int:
    size: int = fields.i_size_lo
    if stat.S_ISREG(fields.i_mode) or filesystem.incompat & layouts.EXT4_FEATURE_INCOMPAT_LARGEDIR:
        size |= fields.i_size_high << 32  # of others it is i_dir_acl, in ext2
    if size > MAX_FILE_BLOCKS * filesystem.block_size:
        _refuse(where, offset + layouts.I_SIZE, f"i_size is {size} bytes, which is more than a file can have")
    return size


def _inline(i_block: bytes, attributes: tuple[_ext_attributes.Attribute, ...], where: str, offset: int) -> bytes | None:
    """What lies in an inode: the first 60 bytes in i_block, the others in an attribute; without it Linux sees none."""
    for attribute in attributes:
        if attribute.prefix == layouts.EXT4_XATTR_INDEX_SYSTEM and attribute.name == layouts.XATTR_SYSTEM_DATA:
            if attribute.value is None:
                _refuse(where, offset, "its inline data are said to be in another inode")
            return i_block + attribute.value
    return None


def _is_fast_symlink(filesystem: Filesystem, fields: Any, size: int, acl: int) -> bool:
    """Whether the target is in i_block: where no blocks are counted but that of attributes, or it is short."""
    if not stat.S_ISLNK(fields.i_mode) or fields.i_flags & layouts.EXT4_INLINE_DATA_FL:
        return False
    if filesystem.incompat & layouts.EXT4_FEATURE_INCOMPAT_EA_INODE:
        return 0 < size < layouts.I_BLOCK_SIZE
    count = fields.i_blocks_lo
    if filesystem.superblock.s_feature_ro_compat & layouts.EXT4_FEATURE_RO_COMPAT_HUGE_FILE:
        count |= fields.l_i_blocks_high << 32
    cluster = 1024 << filesystem.superblock.s_log_cluster_size
    return bool(count == (cluster // SECTOR if acl else 0))


def _check_kind(filesystem: Filesystem, inode: Inode) -> None:
    """What hangs together with the type of the file."""
    kind, flags = stat.S_IFMT(inode.mode), inode.flags
    at_flags = inode.offset + layouts.I_FLAGS
    if kind not in TYPES:
        _refuse(inode.where, inode.offset + layouts.I_MODE, f"i_mode is {inode.mode:#o}, which is no type of file")
    has_index = filesystem.superblock.s_feature_compat & layouts.EXT4_FEATURE_COMPAT_DIR_INDEX
    if flags & layouts.EXT4_INDEX_FL and filesystem.seed is not None and not has_index:
        _refuse(inode.where, at_flags, "i_flags has the bit INDEX, and the file system no feature dir_index")
    if kind in MAPPED and inode.inline is None and not inode.is_fast_symlink:
        _ext_blocks.check_map(filesystem, inode)
    if kind == stat.S_IFLNK and flags & (layouts.EXT4_IMMUTABLE_FL | layouts.EXT4_APPEND_FL):
        _refuse(inode.where, at_flags, f"i_flags is {flags:#x}: a symlink cannot be immutable or append-only")
    if inode.is_fast_symlink and not flags & layouts.EXT4_ENCRYPT_FL:
        end = inode.i_block.find(0)
        if not 0 < inode.size < layouts.I_BLOCK_SIZE or end != inode.size:
            found = f"i_size is {inode.size}, and the target in i_block has {end if end >= 0 else 'no end'}"
            _refuse(inode.where, inode.offset + layouts.I_SIZE, found)
    if flags & layouts.EXT4_CASEFOLD_FL and not filesystem.incompat & layouts.EXT4_FEATURE_INCOMPAT_CASEFOLD:
        _refuse(inode.where, at_flags, "i_flags has the bit CASEFOLD, and the file system no feature casefold")
    if flags & layouts.EXT4_EA_INODE_FL:
        _refuse(inode.where, at_flags, "i_flags has the bit EA_INODE: it is the value of an attribute, and no file")
