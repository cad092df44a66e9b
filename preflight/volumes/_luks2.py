"""The LUKS2 header: two copies, each a binary part of 4096 bytes and an area of JSON.

Specification: LUKS2 On-Disk Format Specification 1.1.4, section 2 (binary header), section 3 (JSON area)
https://gitlab.com/cryptsetup/LUKS2-docs/-/blob/main/luks2_doc_wip.pdf
"""

import msgspec
from construct import Bytes, Int16ub, Int64ub, Struct

from preflight.binary import parse, text
from preflight.errors import BudgetExhausted, OutOfBounds, ReadFailed, StructureError, UnreachableBytes
from preflight.source import BlockSource
from preflight.units import KiB
from preflight.volumes._luks2_metadata import BINARY_SIZE, Segment, read_segments

MAGIC_1ST = b"LUKS\xba\xbe"
MAGIC_2ND = b"SKUL\xba\xbe"
BINARY_HEADER = Struct(
    "magic" / Bytes(6),
    "version" / Int16ub,
    "hdr_size" / Int64ub,  # bytes, this part and its JSON area
    "seqid" / Int64ub,  # counts the updates
    "label" / Bytes(48),
    "checksum_alg" / Bytes(32),
    "salt" / Bytes(64),
    "uuid" / Bytes(40),
    "subsystem" / Bytes(48),
    "hdr_offset" / Int64ub,  # where this copy lies
    "padding" / Bytes(184),
    "csum" / Bytes(64),
    "padding4096" / Bytes(7 * 512),
)
CSUM_OFFSET = 448
CSUM_SIZE = 64
HDR_SIZES = tuple(1 << bits for bits in range(14, 23))  # 16 KiB … 4 MiB, table 1; the second copy begins there

# Read of one copy: 32 key slots make 20 KiB of JSON, tokens rarely more. The usual hdr_size is 16 KiB; of one beyond
# this limit the beginning is read, and the checksum, which covers all of it, is not verified.
MAX_HEADER = 128 * KiB

_SHA = ("sha1", "sha224", "sha256", "sha384", "sha512", "sha3-224", "sha3-256", "sha3-384", "sha3-512")
_BLAKE2 = tuple(f"blake2b-{bits}" for bits in (160, 256, 384, 512)) + tuple(
    f"blake2s-{bits}" for bits in (128, 160, 224, 256)
)
HASHES = frozenset((*_SHA, *_BLAKE2, "ripemd160", "rmd160", "whirlpool", "sm3", "stribog256", "stribog512"))
"""What a header may name as its hash, in any case: cryptsetup has these, by one cryptographic library or another."""


class Header(msgspec.Struct, frozen=True):
    """What a LUKS header says, of either version."""

    label: str | None
    uuid: str | None
    size: int | None
    """Bytes of payload."""
    errors: list[StructureError]


class _Copy(msgspec.Struct, frozen=True):
    """One of the two copies, with a checksum that is right (or was not looked at: `MAX_HEADER`)."""

    offset: int
    hdr_size: int
    seqid: int
    label: str | None
    uuid: str | None
    segments: list[Segment]


def read_header(source: BlockSource) -> Header:
    """What the better copy says, and everything that is wrong with either.

    Raises `StructureError` where the bytes cannot be had at all.
    """
    errors: list[StructureError] = []
    first = _copy(source, 0, MAGIC_1ST, errors)
    second = None
    # Without a first copy the second may lie at any of the sizes that a first one can have.
    for offset in HDR_SIZES if first is None else (first.hdr_size,):
        if offset + BINARY_SIZE <= source.size and source.read_at(offset, len(MAGIC_2ND)) == MAGIC_2ND:
            second = _copy(source, offset, MAGIC_2ND, errors)
            break
    else:
        reason = "the second copy of the header is not there"
        errors.append(StructureError("luks2 secondary header", None if first is None else first.hdr_size, reason))
    if first is not None and second is not None and first.seqid != second.seqid:
        reason = f"seqid {second.seqid}, but {first.seqid} in the first copy"
        errors.append(StructureError("luks2 secondary header", second.offset, reason))
    best = max((copy for copy in (first, second) if copy is not None), key=lambda copy: copy.seqid, default=None)
    if best is None:
        label, uuid = _names(source)
        return Header(label, uuid, None, errors)
    size = None
    try:
        size = _payload_size(best.segments, source.size, best.offset + BINARY_SIZE)
    except StructureError as error:
        errors.append(error)
    return Header(best.label, best.uuid, size, errors)


def _names(source: BlockSource) -> tuple[str | None, str | None]:
    """Label and UUID of a first copy that is damaged elsewhere: it is still told which one it was."""
    if source.size < BINARY_SIZE:
        return None, None
    header = parse(BINARY_HEADER, source.read_at(0, BINARY_SIZE), "luks2 primary header", 0)
    if header.magic != MAGIC_1ST:
        return None, None
    return text(header.label), text(header.uuid)


def _copy(source: BlockSource, offset: int, magic: bytes, errors: list[StructureError]) -> _Copy | None:
    """The copy at `offset`, None where it cannot be used, with the reason in `errors`."""
    where = "luks2 primary header" if magic == MAGIC_1ST else "luks2 secondary header"
    try:
        return _checked_copy(source, offset, magic, where)
    except (ReadFailed, UnreachableBytes, BudgetExhausted):
        raise
    except StructureError as error:
        errors.append(StructureError(where, offset, error.reason) if isinstance(error, OutOfBounds) else error)
        return None


def _checked_copy(source: BlockSource, offset: int, magic: bytes, where: str) -> _Copy:
    binary = source.read_at(offset, BINARY_SIZE)
    header = parse(BINARY_HEADER, binary, where, offset)
    if header.magic != magic or header.version != 2:
        raise StructureError(where, offset, f"magic {header.magic!r} version {header.version}, expected {magic!r} 2")
    if header.hdr_size not in HDR_SIZES:
        raise StructureError(where, offset + 8, f"hdr_size {header.hdr_size}, expected a power of two, 16 KiB to 4 MiB")
    if header.hdr_offset != offset or offset not in (0, header.hdr_size):
        raise StructureError(where, offset + 256, f"hdr_offset {header.hdr_offset}, but the copy lies at {offset}")
    area = source.read_at(offset + BINARY_SIZE, min(header.hdr_size, MAX_HEADER) - BINARY_SIZE)
    algorithm = (text(header.checksum_alg) or "").lower()
    if algorithm not in HASHES:
        raise StructureError(where, offset + 72, f"checksum_alg {algorithm!r} is no hash that cryptsetup has")
    digest = _digest(algorithm, binary, area) if header.hdr_size <= MAX_HEADER else None
    if digest is not None and header.csum != digest.ljust(CSUM_SIZE, b"\0"):
        reason = f"csum {header.csum[: len(digest)].hex()}, the header has {digest.hex()}"
        raise StructureError(where, offset + CSUM_OFFSET, reason)
    segments = read_segments(area, offset + BINARY_SIZE, header.hdr_size)
    return _Copy(offset, header.hdr_size, header.seqid, text(header.label), text(header.uuid), segments)


def _digest(algorithm: str, binary: bytes, area: bytes) -> bytes | None:
    """The checksum of a copy, its own field taken as zeros; None where Python cannot compute it everywhere."""
    import hashlib  # loads OpenSSL, which only such a container is worth

    if algorithm not in hashlib.algorithms_guaranteed:
        return None
    data = binary[:CSUM_OFFSET] + bytes(CSUM_SIZE) + binary[CSUM_OFFSET + CSUM_SIZE :] + area
    return hashlib.new(algorithm, data).digest()


def _payload_size(segments: list[Segment], total: int, offset: int) -> int | None:
    """Bytes of all regular segments together, None where they are kept on another device.

    Raises `StructureError` at the JSON area, which begins at `offset`, where the device is too small for one.
    """
    size = 0
    for segment in segments:
        if segment.offset == 0:
            return None  # a header apart from its payload
        length = max(0, total - segment.offset) if segment.size is None else segment.size
        if segment.offset + length > total:
            reason = f"segment {segment.name} takes {length} bytes from {segment.offset}, the partition ends at {total}"
            raise StructureError("luks2 json area", offset, reason)
        size += length
    return size
