"""The JSON area of a LUKS2 header: what its objects must hold, and how they must fit together.

Specification: LUKS2 On-Disk Format Specification 1.1.4, section 3 (JSON area), 3.2 to 3.6 (keyslots, tokens, segments,
digests, config). Whatever is told here makes cryptsetup refuse the copy of the header.
https://gitlab.com/cryptsetup/LUKS2-docs/-/blob/main/luks2_doc_wip.pdf
"""

import re
from itertools import pairwise
from typing import Annotated, Any, Literal, NamedTuple, TypeVar

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from preflight.errors import StructureError
from preflight.units import SECTOR, MiB

MAX_JSON_DEPTH = 32  # cryptsetup's JSON parser goes no deeper; the specification's objects nest five deep
MAX_OBJECTS = 64  # of each kind: cryptsetup has 32 key slots, segments and tokens
MAX_KEYSLOTS = 32
MAX_KEYSLOTS_SIZE = 128 * MiB
KEYSLOTS_ALIGNMENT = 4096
BINARY_SIZE = 4096  # of each copy, before its JSON area
MAX_NUMBER = 2**64
REENCRYPT_BACKUPS = ("backup-previous", "backup-final")
DYNAMIC = "dynamic"  # a segment's size: all that is left of the device

_WHERE = "luks2 json area"
_BRACKETS = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|[\[{]|[\]}]', re.DOTALL)
_ID = re.compile(r"[0-9]{1,9}", re.ASCII)

Text = Annotated[str, Meta(min_length=1)]
Number = Annotated[str, Meta(pattern=r"^[0-9]{1,20}$")]  # JSON itself may not hold 64 bits exactly
Uint32 = Annotated[int, Meta(ge=0, lt=2**32)]
Object = TypeVar("Object")


class _Area(Struct):
    type: Text
    offset: Number
    size: Number


class _Keyslot(Struct):
    type: Text
    key_size: Uint32
    area: _Area


class _Kdf(Struct):
    type: Text


class _Pbkdf2(Struct):
    hash: Text
    iterations: int
    salt: Text


class _Argon2(Struct):
    time: int
    memory: int
    cpus: int
    salt: Text


class _Luks1Af(Struct):
    type: Literal["luks1"]
    stripes: int
    hash: Text


class _RawArea(Struct):
    type: Literal["raw"]
    encryption: Text
    key_size: int


class _Luks2Keyslot(Struct):
    kdf: _Kdf
    af: _Luks1Af
    area: _RawArea


class _ReencryptKeyslot(Struct):
    mode: Literal["reencrypt", "encrypt", "decrypt"]
    direction: Literal["forward", "backward"]
    key_size: Literal[1]


class _Token(Struct):
    type: Text
    keyslots: list[str]


class _Digest(Struct):
    type: Text
    keyslots: list[str]
    segments: list[str]


class _Segment(Struct):
    type: Text
    offset: Number
    size: Annotated[str, Meta(pattern=rf"^(?:[0-9]{{1,20}}|{DYNAMIC})$")]
    flags: list[str] = []


class _Integrity(Struct):
    type: Text
    journal_encryption: Text
    journal_integrity: Text


class _CryptSegment(Struct):
    iv_tweak: Number
    encryption: Text
    sector_size: Literal[512, 1024, 2048, 4096]
    integrity: _Integrity | UnsetType = UNSET


class _Requirements(Struct):
    mandatory: list[str] = []


class _Config(Struct):
    json_size: Number
    keyslots_size: Number
    flags: list[str] = []
    requirements: _Requirements | UnsetType = UNSET


class _Root(Struct):
    keyslots: dict[str, Any]
    tokens: dict[str, Any]
    segments: dict[str, Any]
    digests: dict[str, Any]
    config: _Config


_KEYSLOTS_BY_TYPE: dict[str, type[Struct]] = {"luks2": _Luks2Keyslot, "reencrypt": _ReencryptKeyslot}
_KDFS_BY_TYPE: dict[str, type[Struct]] = {"pbkdf2": _Pbkdf2, "argon2i": _Argon2, "argon2id": _Argon2}


class Segment(NamedTuple):
    """A piece of payload, from the start of the device, in bytes."""

    name: str
    offset: int
    size: int | None
    """None for what is left of the device."""


def read_segments(area: bytes, offset: int, hdr_size: int) -> list[Segment]:
    """The regular segments in their order, by the JSON area in the bytes `area`, which lie at `offset`.

    Left out are the copies that a re-encryption keeps of its plans. `hdr_size` is of the whole copy of the header.
    Raises `StructureError` at the first thing that cryptsetup refuses.
    """
    try:
        root = _converted(_json(area, offset), _Root, "the metadata")
        keyslots = _keyslots(root, hdr_size)
        for name, token in _objects(root.tokens, _Token, "token"):
            _check_references(token.keyslots, root.keyslots, f"token {name}", "key slot")
        digests = _objects(root.digests, _Digest, "digest")
        for name, digest in digests:
            _check_references(digest.keyslots, root.keyslots, f"digest {name}", "key slot")
            _check_references(digest.segments, root.segments, f"digest {name}", "segment")
        for name, keyslot in keyslots:
            count = sum(name in digest.keyslots for _, digest in digests)
            if keyslot.type == "luks2" and count != 1:
                raise _Refused(f"key slot {name} has {count or 'no'} digest{'s' * (count > 1)}, expected one")
        if _reencrypts(root) != sum(keyslot.type == "reencrypt" for _, keyslot in keyslots):
            raise _Refused("a re-encryption needs one key slot of its own and its name in the mandatory requirements")
        encrypted = {name for _, digest in digests for name in digest.segments}
        end = 2 * hdr_size + _number(root.config.keyslots_size, "keyslots_size")
        return _segments(root, encrypted, end)
    except _Refused as refused:
        raise StructureError(_WHERE, offset, str(refused)) from None


class _Refused(Exception):
    """What is wrong within the JSON area, which has no bytes of its own to point at."""


def _json(area: bytes, offset: int) -> Any:
    """The value that the area holds: an object from its first byte on, then zeros."""
    data, _, rest = area.partition(b"\0")
    if len(data) == len(area):
        raise _Refused(f"the text does not end within the {len(data)} bytes that are read")
    if not data.startswith(b"{"):
        raise _Refused("it does not begin with a brace")
    junk = rest.lstrip(b"\0")
    if junk:
        raise StructureError(_WHERE, offset + len(area) - len(junk), "bytes other than zero behind the text")
    depth = 0
    for token in _BRACKETS.finditer(data):
        depth += {b"{": 1, b"[": 1, b"}": -1, b"]": -1}.get(token[0], 0)
        if depth > MAX_JSON_DEPTH:
            raise StructureError(_WHERE, offset + token.start(), f"nested deeper than {MAX_JSON_DEPTH} levels")
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise _Refused(f"no JSON: {error}") from None


def _converted(value: object, kind: type[Object], what: str) -> Object:
    """`value` as an object of `kind`."""
    try:
        return msgspec.convert(value, kind)
    except (msgspec.ValidationError, RecursionError) as error:
        raise _Refused(f"{what}: {error}") from None


def _objects(found: dict[str, Any], kind: type[Object], what: str) -> list[tuple[str, Object]]:
    """The numbered objects of one section, as `kind`."""
    if len(found) > MAX_OBJECTS:
        raise _Refused(f"{len(found)} objects of kind {what}, at most {MAX_OBJECTS} expected")
    for name in found:
        if not _ID.fullmatch(name):
            raise _Refused(f"a {what} is named {name[:16]!r}, expected a number")
    return [(name, _converted(value, kind, f"{what} {name}")) for name, value in found.items()]


def _number(value: str, what: str) -> int:
    if int(value) >= MAX_NUMBER:
        raise _Refused(f"{what} is {value}, expected a number below 2^64")
    return int(value)


def _check_references(names: list[str], among: dict[str, Any], what: str, kind: str) -> None:
    for name in names:
        if name not in among:
            raise _Refused(f"{what} names {kind} {name[:16]!r}, which is not there")


def _keyslots(root: _Root, hdr_size: int) -> list[tuple[str, _Keyslot]]:
    """The key slots: each whole, in the area that the configuration gives them, on no other."""
    json_size = _number(root.config.json_size, "json_size")
    if json_size != hdr_size - BINARY_SIZE:
        raise _Refused(f"json_size {json_size}, but hdr_size leaves {hdr_size - BINARY_SIZE} bytes")
    keyslots_size = _number(root.config.keyslots_size, "keyslots_size")
    if keyslots_size > MAX_KEYSLOTS_SIZE or keyslots_size % KEYSLOTS_ALIGNMENT:
        reason = f"keyslots_size {keyslots_size}, expected a multiple of {KEYSLOTS_ALIGNMENT} up to {MAX_KEYSLOTS_SIZE}"
        raise _Refused(reason)
    begin = 2 * hdr_size
    keyslots = _objects(root.keyslots, _Keyslot, "key slot")
    taken: list[tuple[int, int, str]] = []
    for name, keyslot in keyslots:
        if int(name) >= MAX_KEYSLOTS:
            raise _Refused(f"key slot {name}, expected numbers below {MAX_KEYSLOTS}")
        _check_parameters(name, keyslot.type, root.keyslots[name])
        start = _number(keyslot.area.offset, f"offset of key slot {name}")
        size = _number(keyslot.area.size, f"size of key slot {name}")
        if start < begin or size == 0 or start + size > begin + keyslots_size:
            reason = f"key slot {name} takes {size} bytes from {start}, "
            raise _Refused(reason + f"the area of key slots goes from {begin} to {begin + keyslots_size}")
        taken.append((start, start + size, name))
    taken.sort()
    for (_, end, name), (start, _, other) in pairwise(taken):
        if start < end:
            raise _Refused(f"the areas of key slots {name} and {other} overlap")
    return keyslots


def _check_parameters(name: str, type_: str, value: Any) -> None:
    """What a key slot of a known type must hold; its key derivation may be of a kind that came, or went, later."""
    if type_ not in _KEYSLOTS_BY_TYPE:
        return
    keyslot = _converted(value, _KEYSLOTS_BY_TYPE[type_], f"key slot {name}")
    if isinstance(keyslot, _Luks2Keyslot) and keyslot.kdf.type in _KDFS_BY_TYPE:
        _converted(value["kdf"], _KDFS_BY_TYPE[keyslot.kdf.type], f"kdf of key slot {name}")


def _segments(root: _Root, encrypted: set[str], end: int) -> list[Segment]:
    """The regular segments; those of type crypt lie behind the key slots, or all on a device of their own."""
    found = dict(_objects(root.segments, _Segment, "segment"))
    if not found:
        raise _Refused("there are no segments, so no data")
    regular: list[Segment] = []
    backups: list[str] = []  # their flags
    for number in range(len(found)):
        name = str(number)
        segment = found.get(name)
        if segment is None:
            raise _Refused(f"there are {len(found)} segments, but none with the number {name}")
        offset = _number(segment.offset, f"offset of segment {name}")
        size = None if segment.size == DYNAMIC else _number(segment.size, f"size of segment {name}")
        unit = SECTOR
        if segment.type == "crypt":
            crypt = _converted(root.segments[name], _CryptSegment, f"segment {name}")
            _number(crypt.iv_tweak, f"iv_tweak of segment {name}")
            unit = crypt.sector_size
            if name not in encrypted:
                raise _Refused(f"segment {name} has no digest")
        if offset % SECTOR or size == 0 or (size or 0) % unit:
            raise _Refused(f"segment {name} lies at {offset} with {segment.size} bytes, expected multiples of {unit}")
        plans = [flag for flag in segment.flags if flag.startswith("backup-")]
        if plans:
            backups += plans
            continue
        if backups:
            raise _Refused(f"segment {name} stands behind a backup segment")
        if segment.type == "crypt" and 0 < offset < end:
            raise _Refused(f"segment {name} lies at {offset}, the headers and key slots end at {end}")
        regular.append(Segment(name, offset, size))
    _check_order(regular)
    if _reencrypts(root) and not {*backups}.issuperset(REENCRYPT_BACKUPS):
        raise _Refused("a re-encryption has begun, but its backup segments are not there")
    return regular


def _reencrypts(root: _Root) -> bool:
    """Whether a re-encryption has begun."""
    mandatory = [] if root.config.requirements is UNSET else root.config.requirements.mandatory
    return any(name.startswith("online-reencrypt") for name in mandatory)


def _check_order(segments: list[Segment]) -> None:
    """Segments overlap nowhere, and only the last has what is left."""
    if not segments:
        raise _Refused("there are no segments but backup ones")
    for segment in segments[:-1]:
        if segment.size is None:
            raise _Refused(f"segment {segment.name} is dynamic, but not the last")
    ordered = sorted(segments, key=lambda segment: segment.offset)
    for one, other in pairwise(ordered):
        if one.size is None or one.offset + one.size > other.offset:
            raise _Refused(f"segments {one.name} and {other.name} overlap")
