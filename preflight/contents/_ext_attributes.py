"""The extended attributes of ext2, ext3 and ext4, in an inode and in a block of their own: whether Linux takes them.

Specification: Linux kernel documentation, ext4 Data Structures and Algorithms, section Extended Attributes,
https://docs.kernel.org/filesystems/ext4/attributes.html; what Linux asks: fs/ext4/xattr.c, check_xattrs
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

from preflight.binary import crc32c, parse
from preflight.contents import ContentsError
from preflight.contents import _ext_layouts as layouts
from preflight.contents._ext_filesystem import Filesystem, Inode

MAGIC = layouts.EXT4_XATTR_MAGIC.to_bytes(4, "little")
MAGIC_SIZE = END_SIZE = 4  # a list ends with four zeros


class Attribute(NamedTuple):
    """One attribute."""

    prefix: int
    """What its name begins with, by number."""
    name: bytes
    value: bytes | None
    """None where it is in an inode of its own."""


def of_inode(filesystem: Filesystem, where: str, offset: int, data: bytes, start: int) -> tuple[Attribute, ...] | None:
    """The attributes in the bytes `data` of an inode, behind its fields, which end at `start`; None for no list.

    `offset` is where the inode is; `ContentsError` where Linux does not take the list.
    """
    if len(data) - start < MAGIC_SIZE + END_SIZE or data[start : start + MAGIC_SIZE] != MAGIC:
        return None
    return tuple(_attributes(filesystem, where, offset, data, start + MAGIC_SIZE, start + MAGIC_SIZE))


def check_block(filesystem: Filesystem, inode: Inode) -> None:
    """`ContentsError` unless the block with the attributes of an inode, if it has one, is sound."""
    if not inode.file_acl:
        return
    where = f"{inode.where}, extended attributes"
    offset = inode.file_acl * filesystem.block_size
    data = filesystem.source.read_at(offset, filesystem.block_size)
    header = parse(layouts.XATTR_HEADER, data[: layouts.XATTR_HEADER_SIZE], where, offset)
    if header.h_magic != layouts.EXT4_XATTR_MAGIC or header.h_blocks != 1:
        raise ContentsError(
            f"{where} at byte {offset:#x}: h_magic is {header.h_magic:#010x} and h_blocks {header.h_blocks},"
            f" expected are {layouts.EXT4_XATTR_MAGIC:#010x} and 1"
        )
    if filesystem.seed is not None:
        at = layouts.H_CHECKSUM
        covered = inode.file_acl.to_bytes(8, "little") + data[:at] + bytes(4) + data[at + 4 :]
        computed = crc32c(covered, filesystem.seed)
        if header.h_checksum != computed:
            raise ContentsError(
                f"{where} at byte {offset + at:#x}: h_checksum is {header.h_checksum:#010x},"
                f" computed is {computed:#010x}"
            )
    for _ in _attributes(filesystem, where, offset, data, layouts.XATTR_HEADER_SIZE, 0):
        pass


def _attributes(
    filesystem: Filesystem, where: str, offset: int, data: bytes, first: int, origin: int
) -> Iterator[Attribute]:
    """The list of attributes from byte `first` of `data`; places of values count from `origin`."""
    listed: list[tuple[int, Any]] = []
    at = first
    while any(data[at : at + END_SIZE]):
        entry = data[at : at + layouts.XATTR_ENTRY_SIZE].ljust(layouts.XATTR_ENTRY_SIZE, b"\0")
        fields = parse(layouts.XATTR_ENTRY, entry, where, offset + at)
        behind = at + (layouts.XATTR_ENTRY_SIZE + fields.e_name_len + 3) // 4 * 4
        if behind + END_SIZE > len(data):
            raise _wrong(where, offset + at, f"a name of {fields.e_name_len} bytes leaves no room for the end")
        listed.append((at, fields))
        at = behind
    for place, fields in listed:
        name = data[place + layouts.XATTR_ENTRY_SIZE :][: fields.e_name_len]
        if b"\0" in name:
            raise _wrong(where, offset + place, f"e_name_len is {len(name)}, the name has {name.index(0)} bytes")
        problem = _value_problem(filesystem, fields, at + END_SIZE - origin, len(data) - origin)
        if problem:
            raise _wrong(where, offset + place, problem)
        value = None if fields.e_value_inum else data[origin + fields.e_value_offs :][: fields.e_value_size]
        yield Attribute(fields.e_name_index, name, value)


def _value_problem(filesystem: Filesystem, fields: Any, begin: int, end: int) -> str | None:
    """What is wrong with where a value is said to be; it may be from `begin` to `end`."""
    size, number = fields.e_value_size, fields.e_value_inum
    if number and not filesystem.incompat & layouts.EXT4_FEATURE_INCOMPAT_EA_INODE:
        return f"e_value_inum is {number}, which needs the feature ea_inode"
    if number and not filesystem.may_be_named(number):
        return f"e_value_inum is {number}, which is no inode of a value"
    if size > layouts.EXT4_XATTR_SIZE_MAX:
        return f"e_value_size is {size} bytes, at most {layouts.EXT4_XATTR_SIZE_MAX} are allowed"
    padded = (size + 3) // 4 * 4
    if size and not number and not begin <= fields.e_value_offs <= end - padded:
        return f"e_value_offs is {fields.e_value_offs} for {size} bytes, allowed is {begin} to {end - padded}"
    return None


def _wrong(where: str, offset: int, problem: str) -> ContentsError:
    return ContentsError(f"{where} at byte {offset:#x}: an extended attribute cannot be: {problem}")
