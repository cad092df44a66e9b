"""VMDK: sparse extents of the hosted and ESX products, and the text descriptor that names the extents of a disk.

The files that a descriptor names are told, never opened.

Specification: VMware, Virtual Disk Format 5.0 technical note (2011), "Hosted Sparse Extents" and "The Descriptor File"
Specification: libvmdk, VMware Virtual Disk (VMDK) format, COWD, https://github.com/libyal/libvmdk/blob/main/documentation
"""

from typing import Any

from construct import Bytes, Int8ul, Int16ul, Int32ul, Int64ul, Struct

from preflight import binary
from preflight.errors import OutOfBounds, StructureError
from preflight.facts import Problem
from preflight.formats import Container, Format
from preflight.formats._recognised import MAX_SIZE, head, invalid, not_closed, open_named, require
from preflight.source import BlockSource
from preflight.units import SECTOR, KiB, MiB, is_power_of_two

MAX_DESCRIPTOR_FILE = 1 * MiB  # QEMU's limit; a disk of 4096 extents has 300 KiB
MAX_EMBEDDED_DESCRIPTOR = 64 * KiB  # VMware leaves 10 KiB for it
MAX_GRAIN = 0x20_0000  # sectors, 1 GiB: QEMU's limit
MAX_EXTENTS_TOLD = 16  # the rest are counted

SPARSE_MAGIC = b"KDMV"  # 0x564d444b
COWD_MAGIC = b"COWD"
SESPARSE_MAGIC = b"\xbe\xba\xfe\xca\0\0\0\0"
DESCRIPTOR_MAGICS = (b"# disk descriptorfile", b"# disk descriptor file")  # in any case: libvmdk has seen both

NEWLINE_TEST = b"\n \r\n"  # damaged by a transfer in text mode
GD_AT_END = 2**64 - 1  # streamOptimized: the header that counts is a copy at the end
FOOTER_FROM_END = 1024  # the footer and, behind it, the end-of-stream marker
COMPRESSION = {0: "none", 1: "deflate"}
ACCESS = (b"RW", b"RDONLY", b"NOACCESS")

SparseExtentHeader = Struct(
    "magic_number" / Bytes(4),
    "version" / Int32ul,
    "flags" / Int32ul,
    "capacity" / Int64ul,  # sectors
    "grain_size" / Int64ul,  # sectors
    "descriptor_offset" / Int64ul,  # sectors
    "descriptor_size" / Int64ul,  # sectors
    "num_gtes_per_gt" / Int32ul,
    "rgd_offset" / Int64ul,
    "gd_offset" / Int64ul,
    "over_head" / Int64ul,
    "unclean_shutdown" / Int8ul,
    "newline_test" / Bytes(4),  # singleEndLineChar, nonEndLineChar, doubleEndLineChar1 and 2
    "compress_algorithm" / Int16ul,
)

CowdHeader = Struct(
    "magic_number" / Bytes(4),
    "version" / Int32ul,
    "flags" / Int32ul,
    "num_sectors" / Int32ul,
    "grain_size" / Int32ul,  # sectors
    "gd_offset" / Int32ul,
    "num_gd_entries" / Int32ul,
    "free_sector" / Int32ul,
)

SesparseHeader = Struct(
    "const_magic" / Int64ul,
    "version" / Int64ul,
    "capacity" / Int64ul,  # sectors
    "grain_size" / Int64ul,  # sectors
    "grain_table_size" / Int64ul,
    "flags" / Int64ul,
)


def _claims(source: BlockSource) -> tuple[str, ...]:
    data = head(source, 32)
    shown = data.startswith((SPARSE_MAGIC, COWD_MAGIC, SESPARSE_MAGIC)) or data.lower().startswith(DESCRIPTOR_MAGICS)
    return ("vmdk",) if shown else ()


def _sparse(source: BlockSource) -> Container:
    where = "vmdk sparse extent header"
    base = 0
    header = binary.parse_at(SparseExtentHeader, source, base, where)
    descriptor_at = header.descriptor_offset * SECTOR, header.descriptor_size * SECTOR
    if header.gd_offset == GD_AT_END:
        where = "vmdk footer"
        base = source.size - FOOTER_FROM_END
        if base < SECTOR:
            raise StructureError(where, source.size, "is missing: the end of the file was cut off")
        header = binary.parse_at(SparseExtentHeader, source, base, where)

    def check(condition: bool, field: str, reason: str) -> None:
        require(condition, where, SparseExtentHeader, field, reason, base)

    check(header.magic_number == SPARSE_MAGIC, "magic_number", "is missing: the end of the file was cut off")
    check(1 <= header.version <= 3, "version", f"is {header.version}, known are 1..3")
    check(header.capacity <= MAX_SIZE // SECTOR, "capacity", f"is {header.capacity} sectors, more than a disk has")
    grain = header.grain_size
    fits = is_power_of_two(grain) and 8 <= grain <= MAX_GRAIN
    check(fits, "grain_size", f"is {grain} sectors, allowed are powers of two from 8 to {MAX_GRAIN}")
    check(header.newline_test == NEWLINE_TEST, "newline_test", "differs: the file was altered as text is in transfers")
    details: dict[str, Any] = {
        "version": header.version,
        "flags": header.flags,
        "grain_size": grain * SECTOR,
        "compress_algorithm": COMPRESSION.get(header.compress_algorithm, str(header.compress_algorithm)),
    }
    problems: list[Problem] = []
    if header.unclean_shutdown:
        problems.append(not_closed(where, base + 72, "unclean_shutdown is set"))
    if descriptor_at[0]:
        try:
            offset, size = descriptor_at
            data = source.read_at(offset, min(size, MAX_EMBEDDED_DESCRIPTOR))
            if any(data):  # an extent of a disk in several files has room for one, and none in it
                details |= _descriptor(data, offset)[0]
        except OutOfBounds as error:
            problems.append(invalid("vmdk descriptor", error.offset, error.reason))
        except StructureError as error:
            problems.append(invalid(error.where, error.offset, error.reason))
    return Container("vmdk", None, header.capacity * SECTOR, format_details=details, problems=tuple(problems))


def _cowd(source: BlockSource) -> Container:
    where = "vmdk COWD header"
    header = binary.parse_at(CowdHeader, source, 0, where)
    require(header.version == 1, where, CowdHeader, "version", f"is {header.version}, expected 1")
    require(header.grain_size > 0, where, CowdHeader, "grain_size", "is 0 sectors")
    details = {"version": header.version, "flags": header.flags, "grain_size": header.grain_size * SECTOR}
    return Container("vmdk", None, header.num_sectors * SECTOR, format_details=details)


def _sesparse(source: BlockSource) -> Container:
    where = "vmdk SESparse header"
    header = binary.parse_at(SesparseHeader, source, 0, where)

    def check(condition: bool, field: str, reason: str) -> None:
        require(condition, where, SesparseHeader, field, reason)

    check(header.version == 0x2_0000_0001, "version", f"is {header.version:#x}, expected 0x200000001")
    check(header.capacity <= MAX_SIZE // SECTOR, "capacity", f"is {header.capacity} sectors, more than a disk has")
    check(header.grain_size == 8, "grain_size", f"is {header.grain_size} sectors, expected 8")
    details = {"version": header.version, "flags": header.flags, "grain_size": header.grain_size * SECTOR}
    return Container("vmdk", None, header.capacity * SECTOR, format_details=details)


def _descriptor_file(source: BlockSource) -> Container:
    if source.size > MAX_DESCRIPTOR_FILE:
        reason = f"the descriptor has {source.size} bytes, at most {MAX_DESCRIPTOR_FILE} are read"
        raise StructureError("vmdk descriptor", 0, reason)
    details, sectors = _descriptor(source.read_at(0, source.size), 0)
    return Container("vmdk", None, sectors * SECTOR, format_details=details)


def _descriptor(data: bytes, offset: int) -> tuple[dict[str, Any], int]:
    """The fields of a text descriptor that lies at byte `offset`, and the sum of its extents in sectors."""
    fields: dict[bytes, bytes] = {}
    extents: list[dict[str, Any]] = []
    count = sectors = 0
    for line in data.partition(b"\0")[0].splitlines(keepends=True):
        words = line.split(None, 3)
        if words and words[0] in ACCESS:
            extent = _extent(words, offset)
            sectors += extent["size"] // SECTOR
            count += 1
            if count <= MAX_EXTENTS_TOLD:
                extents.append(extent)
        elif b"=" in line and not line.startswith(b"#"):
            key, _, value = line.partition(b"=")
            fields.setdefault(key.strip(), value.strip().strip(b'"'))
        offset += len(line)
    if not count or sectors > MAX_SIZE // SECTOR:
        reason = f"its extents have {sectors} sectors" if count else "it names no extent"
        raise StructureError("vmdk descriptor", offset, reason)
    details: dict[str, Any] = {
        "create_type": _text(fields.get(b"createType")),
        "extents": extents,
        "extent_count": count,
    }
    if fields.get(b"parentCID", b"ffffffff").lower() != b"ffffffff":
        details["parent_cid"] = _text(fields[b"parentCID"])
        details["parent_file_name_hint"] = _text(fields.get(b"parentFileNameHint"))
    return details, sectors


def _extent(words: list[bytes], offset: int) -> dict[str, Any]:
    """One extent line: access, sectors, type, then the quoted file name and its offset, which ZERO extents lack."""
    if len(words) < 3 or not words[1].isdigit() or len(words[1]) > 19:
        raise StructureError("vmdk descriptor", offset, "an extent needs its access, its sectors and its type")
    name = words[3].partition(b'"')[2].rpartition(b'"')[0] if len(words) > 3 else b""
    return {"size": int(words[1]) * SECTOR, "type": _text(words[2]), "file_name": _text(name)}


def _text(value: bytes | None) -> str | None:
    return None if value is None else binary.text(value[:1023])


def _read(source: BlockSource) -> Container:
    data = head(source, 8)
    if data.startswith(SPARSE_MAGIC):
        return _sparse(source)
    if data.startswith(COWD_MAGIC):
        return _cowd(source)
    return _sesparse(source) if data == SESPARSE_MAGIC else _descriptor_file(source)


def _open(source: BlockSource, name: str) -> Container:
    return open_named(name, source, _read)


FORMAT = Format(("vmdk",), _claims, _open, own_first_sector=("vmdk",))
