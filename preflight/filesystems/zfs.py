"""Members of a ZFS pool, by their vdev labels.

Specification: ZFS On-Disk Specification, chapter 1 "Vdevs, Labels, and Boot Block"; the name-value lists:
openzfs/module/nvpair/nvpair.c, "XDR", https://github.com/openzfs/zfs
"""

from collections.abc import Iterator

from construct import Int32ub, Int64ub, Struct

from preflight.binary import parse
from preflight.filesystems import FileSystemReader, Superblock
from preflight.filesystems._fields import label
from preflight.source import BlockSource
from preflight.units import KiB, MiB

MIN_SIZE = 64 * MiB  # SPA_MINDEVSIZE
LABEL_SIZE = 256 * KiB
NVLIST_OFFSET = 16 * KiB  # in the label, behind the blank space and the boot header
NVLIST_SIZE = 4 * KiB  # as far as libblkid looks of the 112 KiB; what names the pool comes first
UBERBLOCKS_OFFSET = 128 * KiB
UBERBLOCKS_SIZE = 128 * KiB
UBERBLOCK_SIZE = 1 * KiB  # the smallest that a slot of the ring can be
UBERBLOCK_MAGIC = 0x00BAB10C
WANTED_UBERBLOCKS = 4  # libblkid takes no fewer for a pool: one may be left of any older use

NVLIST_HEADER = b"\x01"  # nvh_encoding: XDR
NVLIST_VERSION_AND_FLAG = bytes.fromhex("0000000000000001")  # version 0, NV_UNIQUE_NAME
NVLIST_START = 12
NVPAIR = Struct("encoded_size" / Int32ub, "decoded_size" / Int32ub, "name_size" / Int32ub)
NVPAIR_VALUE = Struct("type" / Int32ub, "nelem" / Int32ub)
STRING_SIZE = Struct("size" / Int32ub)
UINT64 = Struct("value" / Int64ub)
DATA_TYPE_UINT64, DATA_TYPE_STRING = 8, 9


def read(source: BlockSource) -> Superblock | None:
    """The member; its UUID is the pool's GUID in decimal, its label the pool's name.

    libblkid reads the 512 KiB of all uberblocks of every device. Here a name-value list must be in the first label,
    or in the second where the first is blank; what remains of a pool in its last two labels is not looked for.
    """
    if source.size < MIN_SIZE:
        return None
    nvlist = source.read_at(NVLIST_OFFSET, NVLIST_SIZE)
    if not _is_nvlist(nvlist):
        if any(nvlist) or any(source.read_at(0, NVLIST_OFFSET)):
            return None
        nvlist = source.read_at(LABEL_SIZE + NVLIST_OFFSET, NVLIST_SIZE)
        if not _is_nvlist(nvlist):
            return None
    if not _has_uberblocks(source):
        return None
    guid = name = None
    for key, kind, value in _pairs(nvlist):
        if key == b"name" and kind == DATA_TYPE_STRING and len(value) >= STRING_SIZE.sizeof():
            size = parse(STRING_SIZE, value, "zfs nvlist string", 0).size
            name = label(value[STRING_SIZE.sizeof() :][:size])
        elif key == b"pool_guid" and kind == DATA_TYPE_UINT64 and len(value) >= UINT64.sizeof():
            guid = parse(UINT64, value, "zfs nvlist number", 0).value
    return Superblock("zfs_member", str(guid) if guid else None, name)


def _is_nvlist(data: bytes) -> bool:
    return data.startswith(NVLIST_HEADER) and data[4:NVLIST_START] == NVLIST_VERSION_AND_FLAG


def _has_uberblocks(source: BlockSource) -> bool:
    """Whether the labels have enough uberblocks, of either byte order; the first label of a pool in use has."""
    magics = (UBERBLOCK_MAGIC.to_bytes(8, "little"), UBERBLOCK_MAGIC.to_bytes(8, "big"))
    end = source.size // LABEL_SIZE * LABEL_SIZE
    found = 0
    for start in (0, LABEL_SIZE, end - 2 * LABEL_SIZE, end - LABEL_SIZE):
        ring = source.read_at(start + UBERBLOCKS_OFFSET, UBERBLOCKS_SIZE)
        found += sum(ring[at : at + 8] in magics for at in range(0, UBERBLOCKS_SIZE, UBERBLOCK_SIZE))
        if found >= WANTED_UBERBLOCKS:
            return True
    return False


def _pairs(nvlist: bytes) -> Iterator[tuple[bytes, int, bytes]]:
    """Name, type and value of each pair of the outermost list; lists within are stepped over."""
    at = NVLIST_START
    while at + NVPAIR.sizeof() <= len(nvlist):
        pair = parse(NVPAIR, nvlist[at:], "zfs nvpair", at)
        value = NVPAIR.sizeof() + (pair.name_size + 3) // 4 * 4  # XDR pads to four bytes
        if pair.encoded_size < value + NVPAIR_VALUE.sizeof() or at + pair.encoded_size > len(nvlist):
            return
        data = nvlist[at : at + pair.encoded_size]
        kind = parse(NVPAIR_VALUE, data[value:], "zfs nvpair", at + value).type
        yield data[NVPAIR.sizeof() :][: pair.name_size], kind, data[value + NVPAIR_VALUE.sizeof() :]
        at += pair.encoded_size


FILESYSTEM = FileSystemReader(read)
