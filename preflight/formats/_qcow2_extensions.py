"""What a qcow2 image says in words: the header extensions, the names of files and of features.

Specification: Qcow2 Image File Format, sections "Header extensions", "Feature name table",
"Full disk encryption header pointer",
https://gitlab.com/qemu-project/qemu/-/blob/master/docs/interop/qcow2.rst
"""

from collections.abc import Iterator

import msgspec
from construct import Bytes, Int8ub, Int32ub, Int64ub, Struct

from preflight.binary import parse_at, text
from preflight.errors import StructureError
from preflight.facts import Problem, ProblemCode
from preflight.formats._qcow2_bitmaps import BITMAPS_LAYOUT, BITMAPS_SIZE, bitmaps_defects
from preflight.formats._qcow2_header import EXTENSION_WHERE as WHERE
from preflight.formats._qcow2_header import EXTERNAL_DATA, Header, problem_from
from preflight.formats._qcow2_header import WHERE as HEADER_WHERE
from preflight.source import BlockSource
from preflight.units import align_up

INVALID: ProblemCode = "qcow2-header-extension-invalid"

MAX_NAME = 1023  # bytes of a backing file name, by specification; a data file's name is held to the same
MAX_BACKING_FORMAT = 15  # bytes; QEMU refuses longer ones
MAX_EXTENSIONS = 64  # the specification knows five, each at most once
MAX_FEATURE_NAMES = 192  # three bitmasks of 64 bits

EXTENSION = Struct("type" / Int32ub, "length" / Int32ub)
END, BACKING_FORMAT, FEATURE_NAME_TABLE = 0, 0xE2792ACA, 0x6803F857
BITMAPS, ENCRYPTION, DATA_FILE = 0x23852875, 0x0537BE77, 0x44415441
KNOWN = {BACKING_FORMAT, FEATURE_NAME_TABLE, BITMAPS, ENCRYPTION, DATA_FILE}

FEATURE_NAME = Struct("type" / Int8ub, "bit" / Int8ub, "name" / Bytes(46))
FEATURE_NAME_SIZE = 48
ENCRYPTION_LAYOUT = Struct("offset" / Int64ub, "length" / Int64ub)
ENCRYPTION_SIZE = 16

INCOMPATIBLE, COMPATIBLE, AUTOCLEAR = range(3)  # types in the feature name table
FEATURES = (  # per type the names of its bits, as QEMU writes them into the table
    ("dirty bit", "corrupt bit", "external data file", "compression type", "extended L2 entries"),
    ("lazy refcounts",),
    ("bitmaps", "raw external data"),
)


class Extensions(msgspec.Struct, frozen=True):
    """What the header extensions say."""

    backing_file_format: str | None = None
    data_file: str | None = None
    feature_names: dict[tuple[int, int], str] = {}
    """By type and bit, for the features that the specification does not name."""
    nb_bitmaps: int | None = None
    """None where there is no bitmaps extension."""
    unknown: tuple[int, ...] = ()
    """Types that the specification does not have."""


def printable(name: str) -> str:
    """`name` with what a terminal might obey escaped, for a message."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in name)


def feature_names(features: int, kind: int, extensions: Extensions) -> list[str]:
    """The names of the bits that are set; `bit N` with the image's own word for one that nobody else knows."""
    names = []
    for bit in range(64):
        if features >> bit & 1:
            if bit < len(FEATURES[kind]):
                names.append(FEATURES[kind][bit])
            else:
                own = extensions.feature_names.get((kind, bit))
                names.append(f"bit {bit} ({own})" if own else f"bit {bit}")
    return names


def read_backing_file(source: BlockSource, header: Header) -> tuple[str | None, tuple[Problem, ...]]:
    """The backing file's name, at most 1023 bytes of it, and what is wrong; the file is never looked for.

    The name is empty where the header speaks of a backing file but does not say which; None where there is none.
    """
    start, size = header.backing_file_offset, header.backing_file_size
    if not start or (not size and start <= header.cluster_size):  # an empty name is no backing file to QEMU either
        return None, ()
    where = HEADER_WHERE
    code: ProblemCode = "qcow2-header-invalid"
    try:
        if not header.header_length <= start < header.cluster_size:
            room = f"{header.header_length:#x} to {header.cluster_size:#x}"
            raise StructureError(where, 8, f"backing_file_offset is {start:#x}, the name has to lie from byte {room}")
        allowed = min(MAX_NAME, header.cluster_size - start)
        if size > allowed:
            raise StructureError(where, 16, f"backing_file_size is {size} bytes, allowed are {allowed} here")
        name = text(source.read_at(start, size)) or ""
    except StructureError as error:
        message = "the disk needs a backing file, whose name cannot be read"
        return "", (Problem("qcow2-backing-file", message, where, 8), problem_from(error, where, code))
    return name, (Problem("qcow2-backing-file", f'the disk needs the backing file "{printable(name)}"', where, 8),)


def read_extensions(source: BlockSource, header: Header) -> tuple[Extensions, tuple[Problem, ...]]:
    """The extensions between the header and the backing file's name, or the end of the first cluster."""
    found: dict[int, tuple[int, int]] = {}  # by type: where the data begins, and its length
    problems = []
    try:
        for kind, start, length in _walk(source, header):
            if kind in found:
                raise StructureError(WHERE, start - 8, f"type {kind:#010x} appears more than once")
            found[kind] = start, length
    except StructureError as error:
        problems.append(problem_from(error, WHERE, INVALID))
    extensions = Extensions()
    try:
        problems += _defects(source, header, found)
        extensions = _interpret(source, header, found)
    except StructureError as error:
        problems.append(problem_from(error, WHERE, INVALID))
    return extensions, tuple(problems)


def _walk(source: BlockSource, header: Header) -> Iterator[tuple[int, int, int]]:
    """Type, data offset and data length of each extension."""
    end = min(header.backing_file_offset or header.cluster_size, header.cluster_size)
    offset = header.header_length
    for _ in range(MAX_EXTENSIONS):
        if offset >= end:  # QEMU misses no end marker there
            return
        extension = parse_at(EXTENSION, source, offset, WHERE)
        if offset + 8 + extension.length > end:
            reason = f"length is {extension.length} bytes, but the extensions end at byte {end:#x}"
            raise StructureError(WHERE, offset, reason)
        if extension.type == END:
            return
        yield extension.type, offset + 8, extension.length
        offset = align_up(offset + 8 + extension.length, 8)
    raise StructureError(WHERE, offset, f"there are more than {MAX_EXTENSIONS} extensions")


def _interpret(source: BlockSource, header: Header, found: dict[int, tuple[int, int]]) -> Extensions:
    """What the extensions say; raises what `read_at` raises."""

    def name(kind: int, most: int) -> str | None:
        start, length = found.get(kind, (0, 0))
        return text(source.read_at(start, min(length, most)))

    names = {}
    unnamed = header.incompatible_features >> 5 | header.compatible_features >> 1 | header.autoclear_features >> 2
    if unnamed:
        start, length = found.get(FEATURE_NAME_TABLE, (0, 0))
        for index in range(min(length // FEATURE_NAME_SIZE, MAX_FEATURE_NAMES)):
            entry = parse_at(FEATURE_NAME, source, start + index * FEATURE_NAME_SIZE, WHERE)
            names[entry.type, entry.bit] = printable(text(entry.name) or "")
    nb_bitmaps = None
    if BITMAPS in found:
        nb_bitmaps = parse_at(BITMAPS_LAYOUT, source, found[BITMAPS][0], WHERE).nb_bitmaps
    unknown = tuple(kind for kind in found if kind not in KNOWN)
    return Extensions(name(BACKING_FORMAT, MAX_BACKING_FORMAT), name(DATA_FILE, MAX_NAME), names, nb_bitmaps, unknown)


def _defects(source: BlockSource, header: Header, found: dict[int, tuple[int, int]]) -> Iterator[Problem]:
    """What is wrong inside the extensions; raises what `read_at` raises."""
    for kind, what, allowed in (
        (BACKING_FORMAT, "the backing format", range(MAX_BACKING_FORMAT + 1)),
        (DATA_FILE, "the data file's name", range(MAX_NAME + 1)),  # QEMU has no limit here
        (BITMAPS, "the bitmaps extension", range(BITMAPS_SIZE, BITMAPS_SIZE + 1)),
        (ENCRYPTION, "the encryption header pointer", range(ENCRYPTION_SIZE, ENCRYPTION_SIZE + 1)),
    ):
        start, length = found.get(kind, (0, allowed[0]))
        if length not in allowed:
            limit = f"{allowed[-1]} are {'allowed' if len(allowed) > 1 else 'needed'}"
            yield Problem(INVALID, f"{what} has {length} bytes, {limit}", WHERE, start - 8)
    if DATA_FILE in found and not header.incompatible_features & EXTERNAL_DATA:  # QEMU passes over it
        reason = "it names a data file, but incompatible feature bit 2 (external data file) is not set"
        yield Problem(INVALID, reason, WHERE, found[DATA_FILE][0] - 8)
    yield from bitmaps_defects(source, header, found.get(BITMAPS))
    yield from _encryption_defects(source, header, found.get(ENCRYPTION))


def _encryption_defects(source: BlockSource, header: Header, place: tuple[int, int] | None) -> Iterator[Problem]:
    luks = header.crypt_method == 2
    if place is None:
        if luks:  # `qemu-img info` does not mind, but nothing can be decrypted
            yield Problem(INVALID, "crypt_method is LUKS, but there is no encryption header pointer", HEADER_WHERE, 32)
        return
    start, length = place
    if not luks:
        reason = "there is an encryption header pointer, which only crypt_method 2 (LUKS) has"
        yield Problem(INVALID, reason, WHERE, start - 8)
    if length != ENCRYPTION_SIZE:
        return
    pointer = parse_at(ENCRYPTION_LAYOUT, source, start, WHERE)
    if pointer.offset % header.cluster_size:
        reason = f"offset is {pointer.offset:#x}, not a multiple of the cluster size {header.cluster_size}"
        yield Problem(INVALID, reason, WHERE, start)
    elif pointer.offset + pointer.length > source.size:
        reason = f"the encryption header of {pointer.length} bytes at {pointer.offset:#x} passes the end of the file"
        yield Problem("truncated-file", f"{reason}, {source.size:#x}", WHERE, start)
