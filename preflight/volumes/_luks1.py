"""The LUKS1 header.

Specification: LUKS1 On-Disk Format Specification 1.2.3, figure 2 (`phdr`) and figure 3 (key slots)
https://gitlab.com/cryptsetup/cryptsetup/-/wikis/LUKS-standard/on-disk-format.pdf
"""

from typing import Any

from construct import Array, Bytes, Int16ub, Int32ub, Struct

from preflight.binary import parse_at, text
from preflight.errors import StructureError
from preflight.source import BlockSource
from preflight.units import SECTOR, ceil_div
from preflight.volumes._luks2 import HASHES, Header

LUKS_STRIPES = 4000
KEYSLOT_STATES = (0x0000DEAD, 0x00AC71F3)  # disabled, enabled
KEYSLOT = Struct(
    "active" / Int32ub,
    "iterations" / Int32ub,
    "salt" / Bytes(32),
    "key_material_offset" / Int32ub,  # sectors
    "stripes" / Int32ub,
)
PHDR = Struct(
    "magic" / Bytes(6),
    "version" / Int16ub,
    "cipher_name" / Bytes(32),
    "cipher_mode" / Bytes(32),
    "hash_spec" / Bytes(32),
    "payload_offset" / Int32ub,  # sectors; 0 where the header is kept apart from its payload
    "key_bytes" / Int32ub,
    "mk_digest" / Bytes(20),
    "mk_digest_salt" / Bytes(32),
    "mk_digest_iter" / Int32ub,
    "uuid" / Bytes(40),
    "key_slots" / Array(8, KEYSLOT),
)
KEY_SLOTS_OFFSET = 208

_WHERE = "luks1 phdr"


def read_header(source: BlockSource) -> Header:
    """What the header says. Raises what `read_at` raises."""
    header = parse_at(PHDR, source, 0, _WHERE)
    errors = _check_key_slots(header)
    hash_spec = (text(header.hash_spec) or "").lower()
    if hash_spec not in HASHES:
        reason = f"hash_spec {hash_spec!r} is no hash that cryptsetup has"
        errors.append(StructureError(_WHERE, 72, reason))
    if header.key_bytes == 0:
        errors.append(StructureError(_WHERE, 108, "key_bytes 0, so there is no key"))
    start = header.payload_offset * SECTOR
    size = None
    if start > source.size:
        reason = f"payload_offset {header.payload_offset} sectors, the partition has {source.size // SECTOR}"
        errors.append(StructureError(_WHERE, 104, reason))
    elif start:
        size = source.size - start
    return Header(None, text(header.uuid), size, errors)


def _check_key_slots(header: Any) -> list[StructureError]:
    """Each slot's key material lies behind the header, before the payload, and on no other's (specification 2.4)."""
    errors: list[StructureError] = []
    sectors = ceil_div(header.key_bytes * LUKS_STRIPES, SECTOR)
    taken: list[tuple[int, int]] = []  # the slot, and its first sector
    for index, slot in enumerate(header.key_slots):
        start = slot.key_material_offset
        reason = None
        if slot.active not in KEYSLOT_STATES:
            reason = f"active {slot.active:#x}, expected {KEYSLOT_STATES[0]:#x} or {KEYSLOT_STATES[1]:#x}"
        elif slot.stripes != LUKS_STRIPES:
            reason = f"stripes {slot.stripes}, expected {LUKS_STRIPES}"
        elif start * SECTOR < PHDR.sizeof():
            reason = f"the key material begins at sector {start}, which the header of {PHDR.sizeof()} bytes takes"
        elif header.payload_offset and start + sectors > header.payload_offset:
            reason = f"{sectors} sectors of key material from {start} reach the payload at {header.payload_offset}"
        else:
            other = next((number for number, first in taken if abs(first - start) < sectors), None)
            if other is not None:
                reason = f"{sectors} sectors of key material from {start} overlap those of key slot {other}"
            taken.append((index, start))
        if reason is not None:
            offset = KEY_SLOTS_OFFSET + index * KEYSLOT.sizeof()
            errors.append(StructureError(_WHERE, offset, f"key slot {index}: {reason}"))
    return errors
