"""Where logical addresses of btrfs lie on the device: the chunk map.

All pointers in btrfs are logical. Chunks map stretches of them to stripes on devices; of those, one is here.

Specification: btrfs on-disk format, section Chunk item, https://btrfs.readthedocs.io/en/latest/dev/On-disk-format.html
"""

import struct
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import NamedTuple

import msgspec

from preflight.binary import parse
from preflight.contents import ContentsError, NotRead
from preflight.contents import _btrfs_layouts as layouts
from preflight.contents._btrfs_superblock import Filesystem, device_name
from preflight.filesystems._btrfs_geometry import MAX_CHUNK
from preflight.filesystems._btrfs_layouts import (
    CHUNK_ITEM_KEY,
    CHUNK_ITEM_SIZE,
    KEY,
    KEY_SIZE,
    STRIPE_LEN,
    STRIPE_SIZE,
)

# Unpacked by the standard library, as all are read at once, of which a large disk has thousands.
CHUNK_ITEM = struct.Struct("<QQQQIIIHH")
STRIPE = struct.Struct("<QQ16s")  # devid, offset, dev_uuid

MAX_CHUNKS = 65_536  # one of data has 1 GiB on all but small disks: 64 TiB
WHERE = "btrfs chunk"

COPIES = {"single": 1, "DUP": 2, "RAID1": 2, "RAID1C3": 3, "RAID1C4": 4, "RAID0": 1, "RAID10": 2}
"""Of each byte."""
PARITY = {"RAID5": 1, "RAID6": 2}
"""Stripes that hold it; what has parity is not read."""
STRIPED = ("RAID0", "RAID10")


class ChunkItem(NamedTuple):
    """The fields of `CHUNK_ITEM`; as many stripes follow."""

    length: int
    owner: int
    stripe_len: int
    type: int
    io_align: int
    io_width: int
    sector_size: int
    num_stripes: int
    sub_stripes: int


class Stripe(msgspec.Struct, frozen=True):
    """A place on a device."""

    devid: int
    dev_uuid: bytes
    offset: int


class Chunk(msgspec.Struct, frozen=True):
    """A stretch of logical addresses."""

    logical: int
    length: int
    use: int
    """One of `layouts.BLOCK_GROUP_USES`."""
    profile: str
    """As `btrfs filesystem df` names it."""
    stripes: tuple[Stripe, ...]

    @property
    def stripe_length(self) -> int:
        """Bytes of each stripe."""
        if self.profile in PARITY:
            return self.length // (len(self.stripes) - PARITY[self.profile])
        return self.length // (len(self.stripes) // COPIES[self.profile])


def from_item(filesystem: Filesystem, logical: int, data: bytes) -> Chunk:
    """The chunk at `logical` by its CHUNK_ITEM; `ContentsError` where it breaks the format."""
    where = f"{WHERE} at logical {logical:#x}"
    if len(data) < CHUNK_ITEM_SIZE:
        raise ContentsError(f"{where}: it has {len(data)} bytes, a CHUNK_ITEM has {CHUNK_ITEM_SIZE} at least")
    item = ChunkItem._make(CHUNK_ITEM.unpack_from(data))
    expected = CHUNK_ITEM_SIZE + item.num_stripes * STRIPE_SIZE
    if not item.num_stripes or len(data) != expected:
        raise ContentsError(f"{where}: num_stripes is {item.num_stripes}, which does not fit its {len(data)} bytes")
    if item.stripe_len != STRIPE_LEN:
        raise ContentsError(f"{where}: stripe_len is {item.stripe_len}, expected is {STRIPE_LEN}")
    if item.sector_size != filesystem.sectorsize:
        raise ContentsError(f"{where}: sector_size is {item.sector_size}, expected is {filesystem.sectorsize}")
    if not item.length or (item.length | logical) % filesystem.sectorsize or logical + item.length >= 1 << 64:
        sectors = f"whole sectors of {filesystem.sectorsize} bytes, below logical 2^64"
        raise ContentsError(f"{where}: length is {item.length} bytes, expected are {sectors}")
    if item.length >= MAX_CHUNK:
        raise ContentsError(f"{where}: length is {item.length} bytes, expected are fewer than {MAX_CHUNK}")
    profile = _profile(filesystem, item.type, where)
    if not _fits(profile, item.num_stripes, item.sub_stripes):
        raise ContentsError(f"{where}: {profile} with {item.num_stripes} stripes, {item.sub_stripes} sub_stripes")
    stripes = tuple(
        Stripe(devid, dev_uuid, offset) for devid, offset, dev_uuid in STRIPE.iter_unpack(data[CHUNK_ITEM_SIZE:])
    )
    return Chunk(logical, item.length, item.type & layouts.BLOCK_GROUP_KINDS, profile, stripes)


def _profile(filesystem: Filesystem, chunk_type: int, where: str) -> str:
    use = chunk_type & layouts.BLOCK_GROUP_KINDS
    profile_bits = chunk_type & ~layouts.BLOCK_GROUP_KINDS
    profile = layouts.BLOCK_GROUP_PROFILES.get(profile_bits) if profile_bits else "single"
    if profile is None or use not in layouts.BLOCK_GROUP_USES:
        raise ContentsError(f"{where}: type is {chunk_type:#x}, which names no use or no single profile")
    if use == layouts.BLOCK_GROUP_MIXED and not filesystem.incompat_flags & layouts.INCOMPAT_MIXED_GROUPS:
        raise ContentsError(f"{where}: type is {chunk_type:#x}, data and metadata without the feature MIXED_GROUPS")
    return profile


def _fits(profile: str, num_stripes: int, sub_stripes: int) -> bool:
    """Whether so many stripes make a chunk of this profile."""
    if profile in PARITY:
        return num_stripes > PARITY[profile]
    copies = COPIES[profile]
    if profile in STRIPED:
        return num_stripes % copies == 0 and (profile != "RAID10" or sub_stripes == copies)
    return num_stripes == copies


def from_sys_chunk_array(filesystem: Filesystem) -> Iterator[Chunk]:
    """The chunks that hold the chunk tree, from the superblock."""
    array = filesystem.sys_chunk_array
    where = f"{WHERE} in sys_chunk_array"
    position = 0
    while position < len(array):
        start = position + KEY_SIZE
        if start + CHUNK_ITEM_SIZE > len(array):
            raise ContentsError(f"{where} at its byte {position}: cut off, the array has {len(array)} bytes")
        key = parse(KEY, array[position:start], where, position)
        if key.type != CHUNK_ITEM_KEY:
            raise ContentsError(f"{where}: type of the key is {key.type}, expected is {CHUNK_ITEM_KEY}")
        item = ChunkItem._make(CHUNK_ITEM.unpack_from(array, start))
        end = start + CHUNK_ITEM_SIZE + item.num_stripes * STRIPE_SIZE
        yield from_item(filesystem, key.offset, array[start:end])
        position = end


class ChunkMap:
    """From logical addresses to bytes of this device."""

    def __init__(self, filesystem: Filesystem, chunks: Iterable[Chunk]) -> None:
        """`chunks` in any order; `ContentsError` where two of them overlap."""
        self._filesystem = filesystem
        self._chunks = sorted(chunks, key=_logical)
        for chunk, following in pairwise(self._chunks):
            if chunk.logical + chunk.length > following.logical:
                raise ContentsError(f"{WHERE} at logical {chunk.logical:#x}: another begins at {following.logical:#x}")

    def __iter__(self) -> Iterator[Chunk]:
        return iter(self._chunks)

    def find(self, logical: int) -> Chunk | None:
        """The chunk that has this address, None where none has."""
        index = bisect_right(self._chunks, logical, key=_logical) - 1
        chunk = self._chunks[index] if index >= 0 else None
        return chunk if chunk is not None and logical < chunk.logical + chunk.length else None

    def locate(self, logical: int) -> tuple[list[int], int]:
        """Where the byte at `logical` is on this device, each copy of it, and how many bytes go on in one piece there.

        Raises `ContentsError` where no chunk has it, or where it is on other devices only.
        """
        chunk = self.find(logical)
        if chunk is None:
            raise ContentsError(f"btrfs: no chunk has the logical address {logical:#x}")
        if chunk.profile in PARITY:
            raise NotRead(f"btrfs: {chunk.profile} is not read here (chunk at logical {chunk.logical:#x})")
        copies = COPIES[chunk.profile]
        offset = logical - chunk.logical
        remaining = chunk.length - offset
        stripes = chunk.stripes
        if chunk.profile in STRIPED:
            columns = len(stripes) // copies
            row, column = divmod(offset // STRIPE_LEN, columns)
            stripes = stripes[column * copies : (column + 1) * copies]
            within = offset % STRIPE_LEN
            offset = row * STRIPE_LEN + within
            if columns > 1:
                remaining = min(remaining, STRIPE_LEN - within)
        here = (self._filesystem.devid, self._filesystem.device_uuid)
        places = [stripe.offset + offset for stripe in stripes if (stripe.devid, stripe.dev_uuid) == here]
        if not places:
            names = " and ".join(device_name(stripe.devid, stripe.dev_uuid) for stripe in stripes)
            kind = NotRead if self._filesystem.num_devices > 1 else ContentsError
            raise kind(
                f"btrfs: what is at logical {logical:#x} ({chunk.profile}) lies on {names}, which is missing:"
                f" here is {device_name(*here)} alone"
            )
        return places, remaining


def _logical(chunk: Chunk) -> int:
    return chunk.logical
