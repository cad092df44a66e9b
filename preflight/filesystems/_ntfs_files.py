"""The files of NTFS that every system opens before it shows others: what in their records no driver takes.

Specification: the NTFS documentation of the Linux-NTFS project, files $MFT to $UpCase, concepts FILE Record and
Attribute Header, https://flatcap.github.io/linux-ntfs/ntfs/; what ntfs-3g asks before it mounts: libntfs-3g/volume.c,
ntfs_device_mount, and mft.c, ntfs_mft_record_check
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

from construct import Int16ul, Int64ul, Padding, Struct

from preflight.binary import parse
from preflight.errors import OutOfBounds, StructureError
from preflight.facts import Problem, ProblemCode
from preflight.filesystems._ntfs_records import (
    AT_END,
    ATTRIBUTE,
    ATTRIBUTE_SIZE,
    FILE_MAGIC,
    FILE_RECORD,
    FILE_RECORD_SIZE,
    fixed_up,
)
from preflight.source import BlockSource
from preflight.units import KiB

NON_RESIDENT = Struct(  # an attribute whose value is in clusters, from its beginning
    Padding(32),  # type … highest_vcn
    "mapping_pairs_offset" / Int16ul,
    Padding(14),  # compression_unit, reserved, allocated_size
    "data_size" / Int64ul,
)
NON_RESIDENT_SIZE = 56

AT_ATTRIBUTE_LIST, AT_VOLUME_INFORMATION, AT_DATA, AT_INDEX_ROOT, AT_BITMAP = 0x20, 0x70, 0x80, 0x90, 0xB0
MFT_RECORD_IN_USE = 0x0001
FILES: dict[int, tuple[str, tuple[int, ...]]] = {  # the number of a record: its file, and attributes it must have
    0: ("$MFT", (AT_DATA, AT_BITMAP)),
    1: ("$MFTMirr", (AT_DATA,)),
    2: ("$LogFile", (AT_DATA,)),
    3: ("$Volume", (AT_VOLUME_INFORMATION,)),
    4: ("$AttrDef", (AT_DATA,)),
    5: ("the root directory", (AT_INDEX_ROOT,)),
    6: ("$Bitmap", (AT_DATA,)),
    9: ("$Secure", ()),
    10: ("$UpCase", (AT_DATA,)),
}
FILE_MFT, FILE_ATTRDEF, FILE_UPCASE = 0, 4, 10
MIRRORED = 4  # records; more where a cluster has room for more, and none asks for those
MIN_ATTRIBUTE, RUNS_OFFSET, ALIGNMENT = 24, 64, 8  # bytes
MAX_ATTRDEF = (1 << 24) - 1  # bytes; ntfs-3g
UPCASE_SIZE = 128 * KiB  # a capital for each of 65536 letters
ASCII = 128


class Table(NamedTuple):
    """Where the boot sector says that the records are, in bytes."""

    mft: int
    mirror: int
    record_size: int
    cluster_size: int


class _Attribute(NamedTuple):
    type: int
    name_length: int
    non_resident: bool
    offset: int
    """In the record."""
    data: bytes

    def size(self) -> int:
        """Bytes of the value."""
        if self.non_resident:
            return int(self.clusters().data_size)
        return int(parse(ATTRIBUTE, self.data, "NTFS attribute", self.offset).value_length)

    def first_run(self) -> tuple[int, int] | None:
        """Cluster and count of the first stretch of the value; None where there is none."""
        if not self.non_resident:
            return None
        start = self.clusters().mapping_pairs_offset
        if start >= len(self.data):
            return None
        length, offset = self.data[start] & 15, self.data[start] >> 4
        count = int.from_bytes(self.data[start + 1 : start + 1 + length], "little")
        cluster = int.from_bytes(self.data[start + 1 + length : start + 1 + length + offset], "little", signed=True)
        return (cluster, count) if count and offset and cluster >= 0 else None

    def clusters(self) -> Any:
        """What the header of one that is not resident says of them."""
        data = self.data.ljust(NON_RESIDENT_SIZE, b"\0")
        return parse(NON_RESIDENT, data, "NTFS attribute", self.offset)


class _Damage(Exception):
    """What is wrong with a record, and the byte of it."""

    def __init__(self, message: str, offset: int) -> None:
        super().__init__(message)
        self.message = message
        self.offset = offset


def check_files(source: BlockSource, table: Table) -> tuple[Problem, ...]:
    """The first thing that is wrong with these files; nothing where the volume ends before, which its size tells."""
    try:
        found = next(_defects(source, table), None)
    except OutOfBounds:
        return ()
    return () if found is None else (found,)


def _defects(source: BlockSource, table: Table) -> Iterator[Problem]:
    size = table.record_size
    end = (max(FILES) + 1) * size  # of what is known to be in one piece
    upcase = None
    for number, (name, needed) in FILES.items():
        if (number + 1) * size > end:
            return
        start = table.mft + number * size
        where = f"NTFS record {number}, {name}"
        try:
            attributes = _attributes(source.read_at(start, size), where, start)
            _demand(attributes, number, needed)
        except _Damage as damage:
            yield Problem("superblock-invalid", damage.message, where, start + damage.offset)
            return
        data = next((one for one in attributes if one.type == AT_DATA and not one.name_length), None)
        if number == FILE_MFT and data and (run := data.first_run()):
            end = min(end, run[1] * table.cluster_size)
        if number == FILE_UPCASE and data:
            upcase = data.first_run()
    if upcase:
        yield from _upcase(source, upcase[0] * table.cluster_size)
    yield from _mirror(source, table)


def _attributes(data: bytes, where: str, start: int) -> list[_Attribute]:
    """The attributes of a record; `_Damage` where it has none that can be read."""
    record = parse(FILE_RECORD, data[:FILE_RECORD_SIZE], where, start)
    if record.magic != FILE_MAGIC:
        raise _Damage(f"magic is {record.magic.hex()}, expected is {FILE_MAGIC.hex()} (FILE)", 0)
    try:
        data = fixed_up(data, record.usa_ofs, record.usa_count, where, start)
    except StructureError as error:
        raise _Damage(error.reason, (error.offset or start) - start) from error
    if not record.flags & MFT_RECORD_IN_USE:
        raise _Damage(f"flags are {record.flags:#x}, without the bit for what is in use", 22)
    if record.bytes_allocated != len(data) or record.bytes_in_use > len(data):
        found = f"bytes_in_use is {record.bytes_in_use} of bytes_allocated {record.bytes_allocated}"
        raise _Damage(f"{found}, a record has {len(data)}", 24)
    found_attributes: list[_Attribute] = []
    position = record.attrs_offset
    while position + 8 <= record.bytes_in_use:
        if data[position : position + 4] == AT_END.to_bytes(4, "little"):
            return found_attributes
        head = parse(ATTRIBUTE, data[position : position + ATTRIBUTE_SIZE].ljust(ATTRIBUTE_SIZE, b"\0"), where, start)
        if head.length < MIN_ATTRIBUTE or head.length % ALIGNMENT or position + head.length > record.bytes_in_use:
            raise _Damage(f"an attribute {head.type:#x} has {head.length} bytes", position)
        body = data[position : position + head.length]
        attribute = _Attribute(head.type, head.name_length, bool(head.non_resident), position, body)
        start_of_value = attribute.clusters().mapping_pairs_offset if head.non_resident else head.value_offset
        least = RUNS_OFFSET if head.non_resident else 0
        end = start_of_value + (0 if head.non_resident else head.value_length)
        if not head.type or start_of_value < least or end > head.length:
            found = f"an attribute {head.type:#x} of {head.length} bytes has its value"
            raise _Damage(f"{found} at bytes {start_of_value:#x} to {end:#x} of it", position)
        found_attributes.append(attribute)
        position += head.length
    raise _Damage("its attributes have no end", min(position, len(data) - 1))


def _demand(attributes: list[_Attribute], number: int, needed: tuple[int, ...]) -> None:
    """`_Damage` where an attribute is missing that the file needs, or has a size that it cannot have."""
    types = {one.type for one in attributes if one.type != AT_DATA or not one.name_length}
    if AT_ATTRIBUTE_LIST in types:  # others are in other records
        return
    for type_ in needed:
        if type_ not in types:
            raise _Damage(f"it has no attribute {type_:#x}, which this file needs", 0)
    for one in attributes:
        if one.type != AT_DATA or one.name_length:
            continue
        if number == FILE_ATTRDEF and one.size() > MAX_ATTRDEF:
            raise _Damage(f"the file has {one.size()} bytes, expected are at most {MAX_ATTRDEF}", one.offset)
        if number == FILE_UPCASE and one.size() != UPCASE_SIZE:
            raise _Damage(f"the file has {one.size()} bytes, expected are {UPCASE_SIZE}", one.offset)


def _upcase(source: BlockSource, offset: int) -> Iterator[Problem]:
    """Whether the table of capitals has those of ASCII: by it the names of all directories are sorted."""
    data = source.read_at(offset, 2 * ASCII)
    for code in range(ASCII):
        capital = ord(chr(code).upper())
        found = int.from_bytes(data[2 * code : 2 * code + 2], "little")
        if found != capital:
            message = f"the capital of {code:#x} is {found:#x}, expected is {capital:#x}"
            yield Problem("superblock-invalid", message, "NTFS $UpCase", offset + 2 * code)
            return


def _mirror(source: BlockSource, table: Table) -> Iterator[Problem]:
    """Whether the copy of the first records is one.

    Windows goes without, and chkdsk writes it anew; ntfs-3g does not mount the volume.
    """
    code: ProblemCode = "superblock-irregular"
    for number in range(MIRRORED):
        place, start = number * table.record_size, table.mirror + number * table.record_size
        where = f"NTFS $MFTMirr, record {number}"
        records = []
        for offset in (table.mft + place, start):
            data = source.read_at(offset, table.record_size)
            record = parse(FILE_RECORD, data[:FILE_RECORD_SIZE], where, offset)
            try:
                records.append(fixed_up(data, record.usa_ofs, record.usa_count, where, offset)[: record.bytes_in_use])
            except StructureError as error:
                yield Problem(code, f"{error.reason}; ntfs-3g does not mount it", where, error.offset)
                return
        if records[0] != records[1]:
            pairs = zip(*records, strict=False)
            at = next((index for index, (one, other) in enumerate(pairs) if one != other), 0)
            message = "it is another than the record of $MFT: ntfs-3g does not mount it"
            yield Problem(code, message, where, start + at)
            return
