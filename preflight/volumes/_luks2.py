"""The LUKS2 header: two copies, each a binary part of 4096 bytes and an area of JSON.

Specification: LUKS2 On-Disk Format Specification 1.1.4, section 2 (binary header), section 3 (JSON area)
https://gitlab.com/cryptsetup/LUKS2-docs/-/blob/main/luks2_doc_wip.pdf
"""

import re
from itertools import pairwise
from typing import Any

import msgspec
from construct import Bytes, Int16ub, Int64ub, Struct

from preflight.binary import parse, text
from preflight.errors import BudgetExhausted, OutOfBounds, ReadFailed, StructureError, UnreachableBytes
from preflight.source import BlockSource
from preflight.units import KiB

MAGIC_1ST = b"LUKS\xba\xbe"
MAGIC_2ND = b"SKUL\xba\xbe"
BINARY_SIZE = 4096
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
MAX_JSON_DEPTH = 32  # the specification's objects nest five deep
MAX_OBJECTS = 64  # key slots or segments: cryptsetup has 32 of each
MAX_NUMBER = 2**63  # what a device can have

_BRACKETS = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|[\[{]|[\]}]', re.DOTALL)
_NUMBER = re.compile(r"[0-9]{1,19}", re.ASCII)


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
    area: bytes
    """The JSON area, as far as it was read."""


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
        size = _payload_size(best, source.size, errors)
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
        known = None if isinstance(error, OutOfBounds) else error.offset
        errors.append(StructureError(where, offset if known is None else known, error.reason))
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
    if text(header.checksum_alg) == "sha256" and header.hdr_size <= MAX_HEADER:
        digest = _digest(binary, area)
        if header.csum != digest.ljust(CSUM_SIZE, b"\0"):
            reason = f"csum {header.csum[: len(digest)].hex()}, the header has {digest.hex()}"
            raise StructureError(where, offset + CSUM_OFFSET, reason)
    return _Copy(offset, header.hdr_size, header.seqid, text(header.label), text(header.uuid), area)


def _digest(binary: bytes, area: bytes) -> bytes:
    """SHA-256 of a copy, the checksum's own field taken as zeros."""
    import hashlib  # loads OpenSSL, which only such a container is worth

    return hashlib.sha256(binary[:CSUM_OFFSET] + bytes(CSUM_SIZE) + binary[CSUM_OFFSET + CSUM_SIZE :] + area).digest()


def _payload_size(copy: _Copy, total: int, errors: list[StructureError]) -> int | None:
    """Bytes of all data segments together, None where they are kept on another device.

    Adds to `errors`; raises `StructureError` where the segments cannot be used.
    """
    root = _json(copy)
    keyslots_size = _check_areas(copy, root, errors)
    where, offset = _json_place(copy)
    segments = _objects(root, "segments", copy)
    if not segments:  # cryptsetup refuses the header
        raise StructureError(where, offset, "there are no segments, so no data")
    size = 0
    for name, segment in sorted(segments.items()):
        flags = segment.get("flags", [])
        if isinstance(flags, list) and any(isinstance(flag, str) and flag.startswith("backup-") for flag in flags):
            continue  # what was or will be, during a re-encryption
        start = _number(segment, "offset", f"segment {name[:8]}", copy)
        if start == 0:
            return None  # a header apart from its payload
        if segment.get("size") == "dynamic":
            length = max(0, total - start)
        else:
            length = _number(segment, "size", f"segment {name[:8]}", copy)
        if start < 2 * copy.hdr_size + keyslots_size or start + length > total:
            reason = (
                f"segment {name[:8]} lies at {start} with {length} bytes; the headers end at "
                f"{2 * copy.hdr_size + keyslots_size}, the partition at {total}"
            )
            raise StructureError(where, offset, reason)
        size += length
    return size


def _json_place(copy: _Copy) -> tuple[str, int]:
    return "luks2 json area", copy.offset + BINARY_SIZE


def _json(copy: _Copy) -> dict[str, Any]:
    """The object in the JSON area; `StructureError` where there is none."""
    where, offset = _json_place(copy)
    data, end, _ = copy.area.partition(b"\0")
    if not end:
        raise StructureError(where, offset, f"the text does not end within the {len(data)} bytes that are read")
    depth = 0
    for token in _BRACKETS.finditer(data):
        depth += {b"{": 1, b"[": 1, b"}": -1, b"]": -1}.get(token[0], 0)
        if depth > MAX_JSON_DEPTH:
            raise StructureError(where, offset + token.start(), f"nested deeper than {MAX_JSON_DEPTH} levels")
    try:
        root = msgspec.json.decode(data)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise StructureError(where, offset, f"no JSON: {error}") from error
    if not isinstance(root, dict):
        raise StructureError(where, offset, "no JSON object")
    return root


def _objects(parent: dict[str, Any], key: str, copy: _Copy) -> dict[str, dict[str, Any]]:
    """The objects within the object `key`."""
    found = parent.get(key)
    if (
        not isinstance(found, dict)
        or len(found) > MAX_OBJECTS
        or not all(isinstance(one, dict) for one in found.values())
    ):
        raise StructureError(*_json_place(copy), f"{key} must be an object of at most {MAX_OBJECTS} objects")
    return found


def _number(parent: dict[str, Any], key: str, what: str, copy: _Copy) -> int:
    """A number as LUKS2 writes those that JSON may not hold exactly: as a string of digits."""
    value = parent.get(key)
    if not isinstance(value, str) or not _NUMBER.fullmatch(value) or int(value) >= MAX_NUMBER:
        raise StructureError(*_json_place(copy), f"{key} of {what} is {repr(value)[:40]}, expected a number below 2^63")
    return int(value)


def _check_areas(copy: _Copy, root: dict[str, Any], errors: list[StructureError]) -> int:
    """Check that the key slots lie in their area, on no other; the size of that area."""
    where, offset = _json_place(copy)
    config = root.get("config")
    if not isinstance(config, dict):
        raise StructureError(where, offset, "config must be an object")
    json_size = _number(config, "json_size", "config", copy)
    keyslots_size = _number(config, "keyslots_size", "config", copy)
    if json_size != copy.hdr_size - BINARY_SIZE:
        reason = f"json_size {json_size}, but hdr_size leaves {copy.hdr_size - BINARY_SIZE} bytes"
        errors.append(StructureError(where, offset, reason))
    begin = 2 * copy.hdr_size
    taken: list[tuple[int, int, str]] = []
    for name, keyslot in _objects(root, "keyslots", copy).items():
        area = keyslot.get("area")
        if not isinstance(area, dict):
            raise StructureError(where, offset, f"area of key slot {name[:8]} must be an object")
        start = _number(area, "offset", f"key slot {name[:8]}", copy)
        size = _number(area, "size", f"key slot {name[:8]}", copy)
        if start < begin or start + size > begin + keyslots_size:
            reason = f"key slot {name[:8]} takes {size} bytes from {start}, "
            reason += f"the area of key slots goes from {begin} to {begin + keyslots_size}"
            errors.append(StructureError(where, offset, reason))
        taken.append((start, start + size, name[:8]))
    taken.sort()
    for (_, end, name), (start, _, other) in pairwise(taken):
        if start < end:
            errors.append(StructureError(where, offset, f"the areas of key slots {name} and {other} overlap"))
    return keyslots_size
