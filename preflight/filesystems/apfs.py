"""The container superblock of Apple's APFS. Its volumes have names of their own, the container has none.

Specification: Apple File System Reference, chapter Container, nx_superblock_t, and chapter Objects, obj_phys_t,
https://developer.apple.com/support/downloads/Apple-File-System-Reference.pdf
"""

from itertools import accumulate

from construct import Bytes, Int16ul, Int32ul, Int64ul, Padding, Struct

from preflight.binary import parse_at, uuid_text
from preflight.facts import Problem
from preflight.filesystems import FileSystemReader, Superblock
from preflight.filesystems._sizes import stated_size
from preflight.source import BlockSource

NX_MAGIC = b"NXSB"
NX_MAGIC_OFFSET = 32

NX_SUPERBLOCK = Struct(
    "o_cksum" / Int64ul,
    "o_oid" / Int64ul,
    "o_xid" / Int64ul,
    "o_type" / Int16ul,
    "o_flags" / Int16ul,
    "o_subtype" / Int32ul,
    "nx_magic" / Bytes(4),
    "nx_block_size" / Int32ul,
    "nx_block_count" / Int64ul,
    Padding(24),  # nx_features … nx_incompatible_features
    "nx_uuid" / Bytes(16),
)
CHECKSUM_SIZE = 8
OBJECT_TYPE_NX_SUPERBLOCK = 1
NX_BLOCK_SIZES = (4096, 8192, 16384, 32768, 65536)  # NX_MINIMUM_BLOCK_SIZE to NX_MAXIMUM_BLOCK_SIZE; libblkid: 4096


def read(source: BlockSource) -> Superblock | None:
    """The container superblock in block zero."""
    superblock = parse_at(NX_SUPERBLOCK, source, 0, "APFS container superblock")
    if (
        superblock.nx_magic != NX_MAGIC
        or superblock.o_type != OBJECT_TYPE_NX_SUPERBLOCK
        or superblock.o_subtype != 0
        or superblock.nx_block_size not in NX_BLOCK_SIZES
    ):
        return None
    problems: tuple[Problem, ...] = ()
    computed = _fletcher64(source.read_at(0, superblock.nx_block_size)[CHECKSUM_SIZE:])
    if superblock.o_cksum != computed:
        message = f"o_cksum is {superblock.o_cksum:#018x}, computed is {computed:#018x}"
        problems = (Problem("superblock-invalid", message, "APFS container superblock", 0),)
    size, more = stated_size(superblock.nx_block_count, superblock.nx_block_size, "APFS container superblock", 40)
    return Superblock(
        "apfs",
        uuid=uuid_text(superblock.nx_uuid),
        size=size,
        problems=problems + more,
    )


def _fletcher64(data: bytes) -> int:
    """Apple's variant of Fletcher's checksum, over little-endian words of 32 bits."""
    modulus = 0xFFFFFFFF
    sums = list(accumulate(int.from_bytes(data[place : place + 4], "little") for place in range(0, len(data), 4)))
    low, high = sums[-1], sum(sums)
    check_low = modulus - (low + high) % modulus
    check_high = modulus - (low + check_low) % modulus
    return check_high << 32 | check_low


FILESYSTEM = FileSystemReader(read)
