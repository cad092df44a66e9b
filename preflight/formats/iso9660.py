"""ISO 9660 discs, and the High Sierra ones before them. The file is the disc, so it is its own guest.

Specification: ECMA-119, 4th edition, sections 8.1 and 8.4, https://ecma-international.org/publications-and-standards/standards/ecma-119/
"""

from construct import Bytes, Int8ul, Int16ub, Int16ul, Int32ub, Int32ul, Struct

from preflight import binary
from preflight.errors import StructureError
from preflight.facts import Problem
from preflight.formats import Container, Format
from preflight.formats._recognised import open_named, require
from preflight.source import BlockSource
from preflight.units import KiB, is_power_of_two

SECTOR_SIZE = 2 * KiB
FIRST_DESCRIPTOR = 16 * SECTOR_SIZE  # the 16 sectors before are the system area: an isohybrid has its MBR there
STANDARD_IDENTIFIER = b"CD001"
HIGH_SIERRA_IDENTIFIER = b"CDROM"
HIGH_SIERRA_SHIFT = 8  # its descriptors begin with their own block number, twice four bytes
PRIMARY, TERMINATOR = 1, 255
DESCRIPTOR_TYPES = (0, PRIMARY, 2, 3, TERMINATOR)
MAX_DESCRIPTORS = 32  # discs have two to five

PrimaryVolumeDescriptor = Struct(
    "type" / Int8ul,
    "identifier" / Bytes(5),
    "version" / Int8ul,
    "unused1" / Int8ul,
    "system_identifier" / Bytes(32),
    "volume_identifier" / Bytes(32),
    "unused2" / Bytes(8),
    "volume_space_size" / Int32ul,  # logical blocks; every number is written in both orders
    "volume_space_size_be" / Int32ub,
    "escape_sequences" / Bytes(32),
    "volume_set_size" / Bytes(4),
    "volume_sequence_number" / Bytes(4),
    "logical_block_size" / Int16ul,
    "logical_block_size_be" / Int16ub,
)


def _shift(descriptor: bytes) -> int | None:
    """Where in the first sectors of a descriptor its type byte is, None where it is no descriptor."""
    for shift, identifier in ((0, STANDARD_IDENTIFIER), (HIGH_SIERRA_SHIFT, HIGH_SIERRA_IDENTIFIER)):
        if descriptor[shift + 1 : shift + 6] == identifier and descriptor[shift] in DESCRIPTOR_TYPES:
            return shift
    return None


def _claims(source: BlockSource) -> tuple[str, ...]:
    size = min(16, source.size - FIRST_DESCRIPTOR)
    return ("iso9660",) if size > 0 and _shift(source.read_at(FIRST_DESCRIPTOR, size)) is not None else ()


def _primary(source: BlockSource) -> int:
    """The byte where the primary volume descriptor begins."""
    for number in range(MAX_DESCRIPTORS):
        offset = FIRST_DESCRIPTOR + number * SECTOR_SIZE
        start = source.read_at(offset, 16)
        shift = _shift(start)
        if shift is None:
            raise StructureError("iso9660 volume descriptor", offset, "is not a volume descriptor")
        if start[shift] == PRIMARY:
            return offset + shift
        if start[shift] == TERMINATOR:
            break
    raise StructureError("iso9660 volume descriptor", FIRST_DESCRIPTOR, "there is no primary one among them")


def _read(source: BlockSource) -> Container:
    where = "iso9660 primary volume descriptor"
    base = _primary(source)
    descriptor = binary.parse_at(PrimaryVolumeDescriptor, source, base, where)
    blocks, block_size = descriptor.volume_space_size, descriptor.logical_block_size

    def check(condition: bool, field: str, reason: str) -> None:
        require(condition, where, PrimaryVolumeDescriptor, field, reason, base)

    check(
        blocks == descriptor.volume_space_size_be,
        "volume_space_size",
        f"is {blocks} in one byte order, {descriptor.volume_space_size_be} in the other",
    )
    check(
        is_power_of_two(block_size) and 512 <= block_size <= SECTOR_SIZE,
        "logical_block_size",
        f"is {block_size} bytes, allowed are 512, 1024 and 2048",
    )
    size = blocks * block_size
    problems: tuple[Problem, ...] = ()
    if size > source.size:
        message = f"the disc has {size} bytes, the file {source.size}"
        problems = (Problem("truncated-file", message, where, base + 80),)
    details = {
        "system_identifier": _identifier(descriptor.system_identifier),
        "volume_identifier": _identifier(descriptor.volume_identifier),
        "volume_space_size": blocks,
        "logical_block_size": block_size,
        "high_sierra": descriptor.identifier == HIGH_SIERRA_IDENTIFIER,
    }
    return Container("iso9660", source, size, format_details=details, problems=problems)


def _identifier(field: bytes) -> str | None:
    shown = binary.text(field)
    return (shown and shown.rstrip(" ")) or None


def _open(source: BlockSource, name: str) -> Container:
    return open_named(name, source, _read, guest=source)


FORMAT = Format(("iso9660",), _claims, _open)
