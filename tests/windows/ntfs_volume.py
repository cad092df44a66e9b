"""NTFS volumes with directories, compressed and compacted files, written through libntfs-3g: neither root nor FUSE.

The library writes what the driver ntfs-3g would; it is loaded by its name, as the package ntfs-3g needs it itself.
"""

import ctypes
import ctypes.util
import os
import stat
import struct
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from ctypes import c_char_p, c_int, c_longlong, c_uint, c_uint8, c_uint16, c_ulong, c_void_p
from functools import cache
from pathlib import Path

import pytest

from tests.tools import REQUIRED, run, sparse

AT_DATA = 0x80
FILE_ATTRIBUTE_DIRECTORY_COMPRESSED = 0x0800
VOLUME_IS_DIRTY = 0x0001
NV_COMPRESSION = 1 << 6  # volume.h: bit of `state`, the third member of ntfs_volume
STATE_OFFSET = 16
IO_REPARSE_TAG_WOF = 0x80000017
WOF_STREAM = "WofCompressedData"

_POINTERS = {
    "ntfs_mount": (c_char_p, c_ulong),
    "ntfs_pathname_to_inode": (c_void_p, c_void_p, c_char_p),
    "ntfs_create": (c_void_p, c_uint, c_char_p, c_uint8, c_uint),
    "ntfs_attr_open": (c_void_p, c_uint, c_void_p, c_uint),
}
_NUMBERS = {
    "ntfs_umount": (c_void_p, c_int),
    "ntfs_inode_close": (c_void_p,),
    "ntfs_attr_truncate": (c_void_p, c_longlong),
    "ntfs_attr_pclose": (c_void_p,),
    "ntfs_attr_add": (c_void_p, c_uint, c_char_p, c_uint8, c_void_p, c_longlong),
    "ntfs_set_ntfs_attrib": (c_void_p, c_char_p, c_ulong, c_int),
    "ntfs_set_ntfs_reparse_data": (c_void_p, c_char_p, c_ulong, c_int),
    "ntfs_volume_write_flags": (c_void_p, c_uint16),
    "ntfs_delete": (c_void_p, c_char_p, c_void_p, c_void_p, c_char_p, c_uint8),
}


@cache
def _library() -> ctypes.CDLL:
    name = ctypes.util.find_library("ntfs-3g")
    if name is None:
        if REQUIRED:
            pytest.fail("not installed: libntfs-3g")
        pytest.skip("not installed: libntfs-3g")
    library = ctypes.CDLL(name, use_errno=True)
    for names, result in ((_POINTERS, c_void_p), (_NUMBERS, c_int)):
        for function, arguments in names.items():
            getattr(library, function).argtypes = arguments
            getattr(library, function).restype = result
    library.ntfs_attr_pwrite.argtypes = (c_void_p, c_longlong, c_longlong, c_char_p)
    library.ntfs_attr_pwrite.restype = c_longlong
    library.ntfs_attr_close.argtypes = (c_void_p,)
    library.ntfs_attr_close.restype = None
    return library


def format_volume(path: Path, size: int, *options: str, label: str = "") -> Path:
    """A new, empty volume in a sparse file."""
    sparse(path, size)
    run("mkntfs", "-q", "-F", "-f", *(("-L", label) if label else ()), *options, path)
    return path


class Volume:
    """An open volume; paths have slashes, and directories above a file are made."""

    def __init__(self, pointer: int) -> None:
        self._pointer = pointer
        self._library = _library()

    def _check(self, done: bool, what: str) -> None:
        if not done:
            raise OSError(ctypes.get_errno(), f"{what}: {os.strerror(ctypes.get_errno())}")

    @contextmanager
    def _inode(self, path: str, kind: int = 0) -> Iterator[int]:
        """The file or directory at `path`, made where `kind` says what it is to be."""
        library = self._library
        path = path.strip("/")
        found = library.ntfs_pathname_to_inode(self._pointer, None, path.encode() or b"/")
        if not found and kind:
            parent, _, name = path.rpartition("/")
            raw = name.encode("utf-16-le")
            with self._inode(parent, stat.S_IFDIR) as directory:
                found = library.ntfs_create(directory, 0, raw, len(raw) // 2, kind)
        self._check(bool(found), path)
        try:
            yield found
        finally:
            library.ntfs_inode_close(found)

    def directory(self, path: str, *, compressed: bool = False) -> None:
        """Make a directory; in a compressed one all new files are compressed."""
        with self._inode(path, stat.S_IFDIR) as inode:
            if compressed:
                attributes = struct.pack("<I", FILE_ATTRIBUTE_DIRECTORY_COMPRESSED)
                self._check(self._library.ntfs_set_ntfs_attrib(inode, attributes, 4, 0) == 0, path)

    def write(self, path: str, data: bytes, *, size: int | None = None) -> None:
        """Make a file of these bytes, or replace what a file has; `size` is its length where a hole follows."""
        with self._data(path) as attribute:
            self._check(self._library.ntfs_attr_truncate(attribute, 0) == 0, path)
            if data:
                self._check(self._library.ntfs_attr_pwrite(attribute, 0, len(data), data) == len(data), path)
            if size is not None:
                self._check(self._library.ntfs_attr_truncate(attribute, size) == 0, path)

    def write_at(self, path: str, offset: int, data: bytes) -> None:
        """Write into a file, which becomes longer where it ends before."""
        with self._data(path) as attribute:
            self._check(self._library.ntfs_attr_pwrite(attribute, offset, len(data), data) == len(data), path)

    @contextmanager
    def _data(self, path: str) -> Iterator[int]:
        library = self._library
        with self._inode(path, stat.S_IFREG) as inode:
            attribute = library.ntfs_attr_open(inode, AT_DATA, c_void_p.in_dll(library, "AT_UNNAMED"), 0)
            self._check(bool(attribute), path)
            try:
                yield attribute
                self._check(library.ntfs_attr_pclose(attribute) == 0, path)
            finally:
                library.ntfs_attr_close(attribute)

    def names(self, directory: str, names: Iterable[str]) -> None:
        """Make many empty files in a directory."""
        with self._inode(directory, stat.S_IFDIR) as parent:
            for name in names:
                raw = name.encode("utf-16-le", "surrogatepass")
                made = self._library.ntfs_create(parent, 0, raw, len(raw) // 2, stat.S_IFREG)
                self._check(bool(made), name)
                self._library.ntfs_inode_close(made)

    def remove(self, path: str) -> None:
        """Take a file away, or one of its names."""
        parent, _, name = path.strip("/").rpartition("/")
        raw = name.encode("utf-16-le")
        found = self._library.ntfs_pathname_to_inode(self._pointer, None, path.strip("/").encode())
        directory = self._library.ntfs_pathname_to_inode(self._pointer, None, parent.encode() or b"/")
        self._check(bool(found and directory), path)
        # It closes both.
        done = self._library.ntfs_delete(self._pointer, None, found, directory, raw, len(raw) // 2)
        self._check(done == 0, path)

    def compact(self, path: str, size: int, algorithm: int, stored: bytes) -> None:
        """A file as `compact /exe` leaves it: sparse, with what is `stored` in a stream of its own."""
        self.write(path, b"", size=size)
        name = WOF_STREAM.encode("utf-16-le")
        with self._inode(path) as inode:
            added = self._library.ntfs_attr_add(inode, AT_DATA, name, len(name) // 2, stored, len(stored))
            self._check(added == 0, path)
            data = struct.pack("<IHHIIII", IO_REPARSE_TAG_WOF, 16, 0, 1, 2, 1, algorithm)
            self._check(self._library.ntfs_set_ntfs_reparse_data(inode, data, len(data), 0) == 0, path)

    def set_dirty(self) -> None:
        """As Windows marks a volume that it will check at its next start."""
        self._check(self._library.ntfs_volume_write_flags(self._pointer, VOLUME_IS_DIRTY) == 0, "$Volume")


@contextmanager
def opened(path: Path) -> Iterator[Volume]:
    """The volume in a file, to be changed."""
    library = _library()
    pointer = library.ntfs_mount(os.fsencode(path), 0)
    if not pointer:
        raise OSError(ctypes.get_errno(), f"{path}: {os.strerror(ctypes.get_errno())}")
    state = c_ulong.from_address(pointer + STATE_OFFSET)
    state.value |= NV_COMPRESSION
    try:
        yield Volume(pointer)
    finally:
        if library.ntfs_umount(pointer, 0):
            raise OSError(ctypes.get_errno(), f"{path}: it was not closed")
