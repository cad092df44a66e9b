"""Which of many files are disk images: by name, or by a look at the first bytes. For a hook that is handed them all.

An inspection would find out too, and would cost a hundred times as much for each file that is none.
"""

import os
import stat
import zlib
from collections.abc import Iterator

from preflight.errors import PreflightError, StructureError
from preflight.formats import index
from preflight.source import BlockSource, Buffered, FileSource, Memory
from preflight.units import SECTOR, KiB, MiB

HEAD = 4 * KiB + SECTOR  # as far as the header of a GPT with sectors of 4096 bytes
MIN_PARTITIONED = 1 * MiB  # less holds no partition; what has a table all the same is a boot loader
# A kernel has the signature of a boot sector, and numbers in place of a table that pass for one
# (Documentation/arch/x86/boot.rst, `header`).
LINUX_HEADER, LINUX_HEADER_AT = b"HdrS", 0x202
DISC_SECTOR = 2 * KiB
XZ_MEMORY = 64 * MiB  # the dictionary of `xz -9`

DISKS = (
    "raw",
    "vhd",
    "qcow2",
    "vhdx",
    "vmdk",
    "vdi",
    "qed",
    "qcow",
    "parallels",
    "bochs",
    "cloop",
    "iso9660",
    "luks",
    "ewf",
)
"""Formats whose endings say that a file is a disk. A dmg is how programs come to macOS, and is looked at nowhere."""
WRAPPERS = ("gzip", "xz", "zstd", "bzip2", "zip", "tar", "7z")
"""Those whose endings may follow that of a disk."""
_DISK_ENDINGS = (".img", ".ova", *(ending for name in DISKS for ending in index.ENDINGS[name]))
_WRAPPER_ENDINGS = tuple(ending for name in WRAPPERS for ending in index.ENDINGS[name])
_DISK_MODULES = frozenset(("vhd", "qcow2", "vhdx", "vmdk", "foreign", "luks", "ewf"))
_ENTRY = 16  # bytes of a partition's record in an MBR


def is_candidate(path: str) -> bool:
    """Whether the file at `path` is a disk image, or is named like one; then an inspection says what it really is.

    Only a regular file is: a symbolic link is judged where it leads to, and what is gone needs no judgement. A file
    that cannot be read is one if its name says so.
    """
    try:
        status = os.lstat(path)
        if not stat.S_ISREG(status.st_mode):
            return False
        return has_disk_ending(path) or _shows_disk(path)
    except (OSError, ValueError, PreflightError):  # also one that goes away meanwhile
        return False


def has_disk_ending(path: str) -> bool:
    """Whether the name is one of a disk image, as it is or compressed: `disk.img`, `disk.qcow2.gz`, `disk.ova`.

    `.bin` says nothing: it is firmware more often than not.
    """
    name = os.path.basename(path).lower()
    while name.endswith(_WRAPPER_ENDINGS) and not name.endswith(_DISK_ENDINGS):
        name = name[: name.rindex(".")]
    return name.endswith(_DISK_ENDINGS)


def _shows_disk(path: str) -> bool:
    """Whether the content is that of a disk, whatever the name."""
    file = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    try:
        size = os.fstat(file).st_size
        head = os.pread(file, HEAD, 0)
        # Two formats are known by other bytes, and their files by sizes that few others have.
        tail = os.pread(file, SECTOR, size - SECTOR) if size > SECTOR and size % SECTOR in (0, SECTOR - 1) else b""
        descriptor = os.pread(file, 16, index.DISC_DESCRIPTORS) if size % DISC_SECTOR == 0 else b""
    finally:
        os.close(file)
    if _is_partitioned(head, size):
        return True
    if _has_magic(head, tail) or index.is_disc(descriptor):
        with FileSource(path) as source:
            return _is_claimed(Buffered(source))
    if any(map(has_disk_ending, _names_inside(head))):
        return True
    return any(
        _is_partitioned(beginning, MIN_PARTITIONED)
        or (_has_magic(beginning, b"") and _is_claimed(Memory(beginning)))
        or any(map(has_disk_ending, _names_inside(beginning)))
        for beginning in _decompressed(head)
    )


def _has_magic(head: bytes, tail: bytes) -> bool:
    modules = _DISK_MODULES.intersection(index.modules_for(head, tail))
    if head.startswith(b"#") and not head.lower().startswith(b"# disk descriptor"):
        modules -= {"vmdk"}  # half of all text begins so
    return bool(modules)


def _is_claimed(source: BlockSource) -> bool:
    """Whether the formats whose magic is there, some of only three letters, say that it is theirs."""
    try:
        return any(name in DISKS for name, _ in index.claims(source))
    except StructureError:
        return False


def _is_partitioned(head: bytes, size: int) -> bool:
    """Whether there is a GPT, or an MBR with at least one partition and nothing that no MBR has."""
    if size < MIN_PARTITIONED:
        return False
    if any(head.startswith(b"EFI PART", sector) for sector in (SECTOR, 4 * KiB)):
        return True
    if head[SECTOR - 2 : SECTOR] != b"\x55\xaa" or head.startswith(LINUX_HEADER, LINUX_HEADER_AT):
        return False
    entries = [head[start : start + _ENTRY] for start in range(446, 510, _ENTRY)]
    used = [entry for entry in entries if any(entry)]
    return bool(used) and all(
        entry[0] in (0, 0x80) and entry[4] and any(entry[8:12]) and any(entry[12:16]) for entry in used
    )


def _names_inside(head: bytes) -> Iterator[str]:
    """The name that an archive gives its first file, or gzip what it holds."""
    if head.startswith(b"PK\x03\x04"):
        yield head[30 : 30 + int.from_bytes(head[26:28], "little")].decode("latin-1")
    elif head[257:262] == b"ustar":
        yield head[:100].partition(b"\0")[0].decode("latin-1")
    elif head.startswith(b"\x1f\x8b\x08") and head[3:4] == b"\x08":  # FNAME, and nothing before it
        yield head[10:].partition(b"\0")[0].decode("latin-1")


def _decompressed(head: bytes) -> Iterator[bytes]:
    """The beginning of what gzip or xz holds; the others decompress nothing of so few bytes."""
    if head.startswith(b"\x1f\x8b\x08"):
        try:
            yield zlib.decompressobj(wbits=31).decompress(head, HEAD)
        except zlib.error:
            return
    elif head.startswith(b"\xfd7zXZ\0"):
        import lzma

        try:
            yield lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=XZ_MEMORY).decompress(head, HEAD)
        except lzma.LZMAError:
            return
