"""LUKS containers, versions 1 and 2, by their headers.

Specification: LUKS1 On-Disk Format Specification 1.2.3, section 2.1 "partition header", and LUKS2 On-Disk Format
Specification 1.1.3, section 2.1 "Binary Header", https://gitlab.com/cryptsetup/cryptsetup/-/wikis/Specification
"""

from construct import Bytes, Int16ub, Int64ub, Struct

from preflight.binary import parse, parse_at
from preflight.facts import Problem
from preflight.filesystems import FileSystemReader, Superblock
from preflight.filesystems._fields import label
from preflight.source import BlockSource
from preflight.units import KiB

LUKS_MAGIC = b"LUKS\xba\xbe"
LUKS_MAGIC_2ND = b"SKUL\xba\xbe"

LUKS1_PHDR = Struct(
    "magic" / Bytes(6),
    "version" / Int16ub,
    "cipher-name" / Bytes(32),
    "cipher-mode" / Bytes(32),
    "hash-spec" / Bytes(32),
    "payload-offset" / Bytes(4),
    "key-bytes" / Bytes(4),
    "mk-digest" / Bytes(20),
    "mk-digest-salt" / Bytes(32),
    "mk-digest-iter" / Bytes(4),
    "uuid" / Bytes(40),
)
LUKS2_HDR_DISK = Struct(
    "magic" / Bytes(6),
    "version" / Int16ub,
    "hdr_size" / Int64ub,  # bytes, binary header and JSON area together
    "seqid" / Int64ub,
    "label" / Bytes(48),
    "checksum_alg" / Bytes(32),
    "salt" / Bytes(64),
    "uuid" / Bytes(40),
    "subsystem" / Bytes(48),
    "hdr_offset" / Int64ub,  # bytes from the start of the device
)
JSON_AREA = 4096  # right behind the primary binary header; its text begins with a brace
NEAR_SIZES = (16 * KiB, 32 * KiB, 64 * KiB)  # a secondary header lies at its own size from the start
FAR_SIZES = (128 * KiB, 256 * KiB, 512 * KiB, 1024 * KiB, 2048 * KiB, 4096 * KiB)


def read(source: BlockSource) -> Superblock | None:
    """The container by its primary header, or by the secondary one where that is lost."""
    if source.size < LUKS2_HDR_DISK.sizeof():
        return None
    data = source.read_at(0, LUKS2_HDR_DISK.sizeof())
    primary = parse(LUKS2_HDR_DISK, data, "luks header", 0)
    if primary.magic == LUKS_MAGIC:
        if primary.version == 1:
            luks1 = parse(LUKS1_PHDR, data, "luks1 header", 0)
            return Superblock("crypto_LUKS", label(luks1.uuid))
        if primary.version == 2 and primary.hdr_offset == 0:
            return Superblock("crypto_LUKS", label(primary.uuid), label(primary.label))
    secondary = _secondary(source)
    if secondary:
        return secondary
    if primary.magic != LUKS_MAGIC:
        return None
    # libblkid has no answer for a version 2 header that lies elsewhere by its own words, and takes every other
    # version without a UUID. Neither can be opened; both were a LUKS container.
    if primary.version == 2:
        message = f"hdr_offset is {primary.hdr_offset} bytes, expected 0"
        return Superblock("crypto_LUKS", label(primary.uuid), label(primary.label), problems=(_problem(message, 0),))
    return Superblock("crypto_LUKS", problems=(_problem(f"version is {primary.version}, expected 1 or 2", 0),))


def _secondary(source: BlockSource) -> Superblock | None:
    """The second copy of a LUKS2 header whose first is lost.

    libblkid looks at all nine places on every device. The six far ones cost a read each, so they are looked at only
    where the JSON text behind the first header is still there.
    """
    sizes: tuple[int, ...] = NEAR_SIZES
    if source.size >= JSON_AREA + 2 and source.read_at(JSON_AREA, 2) == b'{"':
        sizes = NEAR_SIZES + FAR_SIZES
    for offset in sizes:
        if offset + LUKS2_HDR_DISK.sizeof() > source.size:
            return None
        header = parse_at(LUKS2_HDR_DISK, source, offset, "luks2 secondary header")
        # A copy that says it lies elsewhere belongs to an inner or an older container.
        if header.magic == LUKS_MAGIC_2ND and header.version == 2 and header.hdr_offset == offset:
            message = f"the primary header is lost; the secondary one at {offset} bytes was used"
            return Superblock("crypto_LUKS", label(header.uuid), label(header.label), problems=(_problem(message, 0),))
    return None


def _problem(message: str, offset: int) -> Problem:
    return Problem("luks-header-invalid", message, "luks header", offset)


FILESYSTEM = FileSystemReader(read, owner=True)
