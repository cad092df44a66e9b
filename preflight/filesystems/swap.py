"""Swap space, and the signatures that a suspended system leaves in its place (swsuspend).

Specification: Linux kernel, include/linux/swap.h, union swap_header, and mkswap(8);
signatures of suspended systems: libblkid/src/superblocks/swap.c of util-linux.
"""

from typing import Any

from construct import Bytes, Int32ub, Int32ul, Padding, Struct

from preflight.binary import parse_at, uuid_text
from preflight.filesystems import FileSystemReader, Superblock
from preflight.filesystems._fields import label
from preflight.source import BlockSource
from preflight.units import KiB

PAGE_SIZES = (4 * KiB, 8 * KiB, 16 * KiB, 32 * KiB, 64 * KiB)  # of the kernel that made it; nothing else tells them
MAGIC_SIZE = 10  # at the end of the first page
SWAP_V0 = b"SWAP-SPACE"  # a bitmap of pages and nothing else; gone from Linux with 2.5.22
SWAP_V1 = b"SWAPSPACE2"
SUSPENDED = (b"S1SUSPEND", b"S2SUSPEND", b"ULSUSPEND", b"LINHIB0001")
TUXONICE = b"\xed\xc3\x02\xe9\x98\x56\xe5\x0c"  # at byte 0, beside a swap header that is still in place

HEADER_OFFSET = 1024  # boot bits come before
HEADER_LITTLE = Struct(
    "version" / Int32ul,
    "last_page" / Int32ul,
    "nr_badpages" / Int32ul,
    "sws_uuid" / Bytes(16),
    "sws_volume" / Bytes(16),
    Padding(128),  # padding[0…31]
    "padding_32_33" / Bytes(8),
)
HEADER_BIG = Struct("version" / Int32ub, "last_page" / Int32ub)  # the header has the byte order of its machine

MIN_SIZE = 10 * 4 * KiB  # mkswap makes none below 10 pages


def read(source: BlockSource) -> Superblock | None:
    """The header of the first page, whatever size the page has."""
    if source.size < MIN_SIZE:
        return None
    page_size, magic = _magic(source)
    if source.read_at(0, len(TUXONICE)) == TUXONICE:
        return _read_header(source, "swsuspend", page_size)
    if magic == SWAP_V0:
        return Superblock("swap")
    if magic == SWAP_V1:
        return _read_header(source, "swap", page_size)
    if magic is not None:
        return _read_header(source, "swsuspend", page_size)
    return None


def _magic(source: BlockSource) -> tuple[int | None, bytes | None]:
    """The page size by the place of the first signature found, and that signature."""
    for page_size in PAGE_SIZES:
        if page_size > source.size:
            break
        found = source.read_at(page_size - MAGIC_SIZE, MAGIC_SIZE)
        for magic in (SWAP_V0, SWAP_V1, *SUSPENDED):
            if found.startswith(magic):
                return page_size, magic
    return None, None


def _read_header(source: BlockSource, type_: str, page_size: int | None) -> Superblock | None:
    """What a header of version 1 says, None where swap has another version or no pages."""
    header: Any = parse_at(HEADER_LITTLE, source, HEADER_OFFSET, "swap header")
    version, last_page = header.version, header.last_page
    if version != 1:
        other: Any = parse_at(HEADER_BIG, source, HEADER_OFFSET, "swap header")
        version, last_page = other.version, other.last_page
    valid = version == 1 and last_page > 0
    if type_ == "swap" and not valid:
        return None
    # A header from before there were a UUID and a label has other things in their place; libblkid tells it by two
    # words further on, which are zero today.
    named = not any(header.padding_32_33)
    return Superblock(
        type_,
        uuid=uuid_text(header.sws_uuid) if named else None,
        label=label(header.sws_volume) if named else None,
        size=(last_page + 1) * page_size if valid and page_size is not None else None,
    )


FILESYSTEM = FileSystemReader(read)
