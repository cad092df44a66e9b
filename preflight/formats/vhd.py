"""VHD, the disk of Virtual PC, Hyper-V, Azure and XenServer: fixed, dynamic and differencing.

Specification: Microsoft, "Virtual Hard Disk Image Format Specification" (2006-10-11), section "Hard Disk Footer
Format", https://www.microsoft.com/en-us/download/details.aspx?id=23850
"""

from typing import Any, NamedTuple

from construct import Bytes, Int8ub, Int16ub, Int32ub, Int64ub, Struct

from preflight.binary import parse, text, uuid_text
from preflight.errors import StructureError
from preflight.facts import Problem, ProblemCode
from preflight.formats import Container, Format
from preflight.formats._vhd_dynamic import (
    HEADER_SIZE,
    NO_OFFSET,
    open_dynamic,
    printable,
    time_text,
    version_text,
    vhd_checksum,
)
from preflight.source import BlockSource, Window
from preflight.units import SECTOR, GiB

COOKIE = b"conectix"
FOOTER_SIZE = 512
OLD_FOOTER_SIZE = 511  # Virtual PC before 2004: the same fields, one reserved byte less
FOOTER = Struct(
    "cookie" / Bytes(8),
    "features" / Int32ub,  # bit 1 is "reserved, must be set to 1"; not every writer does, and no reader looks
    "file_format_version" / Int32ub,
    "data_offset" / Int64ub,
    "time_stamp" / Int32ub,  # seconds since 2000-01-01 00:00 UTC
    "creator_application" / Bytes(4),
    "creator_version" / Int32ub,
    "creator_host_os" / Bytes(4),
    "original_size" / Int64ub,
    "current_size" / Int64ub,
    "disk_geometry" / Struct("cylinders" / Int16ub, "heads" / Int8ub, "sectors_per_track" / Int8ub),
    "disk_type" / Int32ub,
    "checksum" / Int32ub,
    "unique_id" / Bytes(16),
    "saved_state" / Int8ub,
    "reserved" / Bytes(427),  # zeros; XenServer keeps a flag of its own there
)
# Byte of a field within the footer, for problems.
FILE_FORMAT_VERSION, DATA_OFFSET, TIME_STAMP, CURRENT_SIZE, DISK_GEOMETRY = 12, 16, 24, 48, 56
DISK_TYPE, CHECKSUM, RESERVED = 60, 64, 85

FIXED, DIFFERENCING = 2, 4
SUBFORMATS = {FIXED: "fixed", 3: "dynamic", DIFFERENCING: "differencing"}

# For these creators the geometry is the size of the disk, for all others current_size (QEMU since 10.0, block/vpc.c).
CHS_CREATORS = (b"vpc ", b"qemu")
MAX_GEOMETRY = (65535, 16, 255)  # where the specification's formula ends, at 127.5 GiB: it says no size
MAX_SIZE = 2040 * GiB  # 0xFF000000 sectors: the format's limit in Hyper-V and QEMU


class _Footer(NamedTuple):
    """One of the two copies of the footer."""

    where: str
    offset: int
    raw: bytes
    fields: Any
    computed: int

    @property
    def sound(self) -> bool:
        """Whether its checksum is right."""
        return bool(self.computed == self.fields.checksum)

    def problem(self, code: ProblemCode, field: int, message: str) -> Problem:
        """A problem with the field at byte `field`."""
        return Problem(code, message, self.where, self.offset + field)


def claims(source: BlockSource) -> tuple[str, ...]:
    """`vhd` where a footer is at the end, be it with a damaged cookie, or its copy at the start."""
    if _read_tail(source) is not None:
        return ("vhd",)
    if source.size >= FOOTER_SIZE and source.read_at(0, len(COOKIE)) == COOKIE:
        return ("vhd",)
    return ()


def open_vhd(source: BlockSource, name: str) -> Container:
    """Read the file as a VHD. A `StructureError` escapes where the host fails to read it, or there is no footer."""
    tail, copy = _find_footers(source)
    footer, problems = _choose_footer(source, tail, copy)
    fields, geometry = footer.fields, footer.fields.disk_geometry
    known = (geometry.cylinders, geometry.heads, geometry.sectors_per_track)
    chs = geometry.cylinders * geometry.heads * geometry.sectors_per_track * SECTOR
    by_chs = fields.creator_application in CHS_CREATORS and known != MAX_GEOMETRY
    size = chs if by_chs else fields.current_size
    if chs != fields.current_size and known != MAX_GEOMETRY:
        problems.append(footer.problem("vhd-sizes-differ", CURRENT_SIZE, _sizes_message(fields, chs, by_chs)))
    size_possible = 0 < size <= MAX_SIZE
    if not size_possible:
        message = f"the size of the disk is {size} bytes, expected 1 to {MAX_SIZE} bytes ({MAX_SIZE // GiB} GiB)"
        problems.append(footer.problem("vhd-footer-invalid", DISK_GEOMETRY if by_chs else CURRENT_SIZE, message))
    elif size % SECTOR:
        message = f"the size of the disk is {size} bytes, expected a multiple of {SECTOR} bytes"
        problems.append(footer.problem("size-not-in-sectors", CURRENT_SIZE, message))

    details = _footer_details(footer)
    refusals = _refusals(footer)
    problems += refusals
    guest: BlockSource | None = None
    if size_possible and not refusals:
        data_end = source.size if tail is None else tail.offset
        if fields.disk_type != FIXED:
            guest = _open_dynamic(source, footer, size, data_end, details, problems)
        elif tail is not None:
            guest = _open_fixed(source, size, data_end, problems)
    return Container(
        format=name,
        guest=guest,
        virtual_size=size if size_possible else None,
        subformat=SUBFORMATS.get(fields.disk_type),
        virtual_size_alternatives={"current_size": fields.current_size, "chs": chs},
        format_details=details,
        problems=tuple(problems),
    )


def _read_tail(source: BlockSource) -> tuple[int, bytes] | None:
    """Offset and bytes of the footer at the end of the file."""
    if source.size < OLD_FOOTER_SIZE:
        return None
    size = min(source.size, FOOTER_SIZE)
    raw = source.read_at(source.size - size, size)
    if raw.startswith(COOKIE) or _lacks_only_cookie(raw, source.size - size):
        return source.size - size, raw
    if raw.startswith(COOKIE, 1):
        return source.size - OLD_FOOTER_SIZE, raw[1:]
    return None


def _lacks_only_cookie(raw: bytes, offset: int) -> bool:
    """Whether all but the cookie is as in the footer of a fixed disk, which as raw would be the last sector of one."""
    return (
        len(raw) == FOOTER_SIZE
        and raw[FILE_FORMAT_VERSION:TIME_STAMP] == b"\0\1\0\0" + b"\xff" * 8  # and data_offset: none
        and int.from_bytes(raw[CURRENT_SIZE:DISK_GEOMETRY]) == offset
        and int.from_bytes(raw[DISK_TYPE:CHECKSUM]) == FIXED
        and not any(raw[RESERVED:])
    )


def _find_footers(source: BlockSource) -> tuple[_Footer | None, _Footer | None]:
    """The footer at the end of the file and its copy at the start, each where its cookie is found."""

    def footer(where: str, offset: int, raw: bytes) -> _Footer:
        fields = parse(FOOTER, raw.ljust(FOOTER_SIZE, b"\0"), where, offset)
        return _Footer(where, offset, raw, fields, vhd_checksum(raw, CHECKSUM))

    tail = copy = None
    found = _read_tail(source)
    if found is not None:
        tail = footer("vhd footer", *found)
    if source.size >= FOOTER_SIZE and (tail is None or tail.offset >= FOOTER_SIZE):
        raw = source.read_at(0, FOOTER_SIZE)
        if raw.startswith(COOKIE):
            copy = footer("vhd footer copy", 0, raw)
    return tail, copy


def _choose_footer(source: BlockSource, tail: _Footer | None, copy: _Footer | None) -> tuple[_Footer, list[Problem]]:
    """The footer to believe, and what is wrong with the two as such.

    The one at the end decides and the copy stands in for it (the specification calls it redundant). QEMU takes the
    copy, and compares nothing: where they differ, two programs may see two disks.
    """
    footer = tail if tail is not None and (tail.sound or copy is None or not copy.sound) else copy
    if footer is None:
        raise StructureError("vhd footer", None, f"no footer at either end of the file, expected {COOKIE!r}")
    problems = []
    fixed = footer.fields.disk_type == FIXED
    if tail is None:
        message = (
            f"the file does not end in a footer, expected {COOKIE!r} 512 bytes before its end; only the copy is left"
        )
        problems.append(Problem("vhd-footer-missing", message, "vhd footer", max(source.size - FOOTER_SIZE, 0)))
    elif len(tail.raw) == OLD_FOOTER_SIZE:
        message = f"the footer has {OLD_FOOTER_SIZE} bytes, as Virtual PC wrote it before 2004, expected {FOOTER_SIZE}"
        problems.append(tail.problem("vhd-footer-511", 0, message))
    if tail is not None and tail.fields.cookie != COOKIE:
        message = f"the cookie is {tail.fields.cookie!r}, expected {COOKIE!r}; the rest is the footer of a fixed disk"
        problems.append(tail.problem("vhd-footer-invalid", 0, message))
    for each in (tail, copy):
        if each is not None and not each.sound and not (fixed and each is copy and tail is not None):
            stored = each.fields.checksum
            message = f"the checksum is {stored:#010x}, the footer's bytes give {each.computed:#010x}"
            problems.append(each.problem("vhd-footer-checksum", CHECKSUM, message))
    if tail is not None:
        difference = _difference(tail, copy, fixed)
        if difference is not None:
            problems.append(Problem("vhd-footer-copies-differ", difference, "vhd footer copy", 0))
    return footer, problems


def _difference(tail: _Footer, copy: _Footer | None, fixed: bool) -> str | None:
    """How the copy of the footer at the start of the file contradicts the footer at the end."""
    if fixed:
        if copy is None:
            return None
        return (
            f"the file begins with a footer of disk_type {copy.fields.disk_type}, but ends in the footer of a fixed "
            "disk, which has no copy; QEMU reads the one at the start"
        )
    if copy is None:
        known = tail.fields.disk_type in SUBFORMATS and tail.offset >= FOOTER_SIZE
        return "the file does not begin with the copy of the footer, as only a fixed disk may" if known else None
    if not (tail.sound and copy.sound) or tail.raw[:OLD_FOOTER_SIZE] == copy.raw[:OLD_FOOTER_SIZE]:
        return None  # a damaged one is reported as such
    names = [str(field.name) for field in FOOTER.subcons if tail.fields[field.name] != copy.fields[field.name]]
    return f"the footer at the end and its copy at the start differ in {', '.join(names)}"


def _sizes_message(fields: Any, chs: int, by_chs: bool) -> str:
    geometry = fields.disk_geometry
    creator = printable(text(fields.creator_application)) or ""
    return (
        f"current_size is {fields.current_size} bytes, disk_geometry "
        f"{geometry.cylinders} × {geometry.heads} × {geometry.sectors_per_track} sectors is {chs} bytes; "
        f"for the creator {creator!r} the {'geometry' if by_chs else 'current_size'} counts, other readers may differ"
    )


def _refusals(footer: _Footer) -> list[Problem]:
    """Fields of the footer by which the disk cannot be read at all."""
    problems = []
    fields = footer.fields
    if fields.file_format_version >> 16 != 1:
        message = f"file_format_version is {version_text(fields.file_format_version)}, known is 1.0"
        problems.append(footer.problem("vhd-footer-invalid", FILE_FORMAT_VERSION, message))
    if fields.disk_type not in SUBFORMATS:
        message = f"disk_type is {fields.disk_type}, expected 2 (fixed), 3 (dynamic) or 4 (differencing)"
        problems.append(footer.problem("vhd-footer-invalid", DISK_TYPE, message))
    return problems


def _footer_details(footer: _Footer) -> dict[str, Any]:
    fields, geometry = footer.fields, footer.fields.disk_geometry
    return {
        "features": fields.features,
        "file_format_version": version_text(fields.file_format_version),
        "data_offset": None if fields.data_offset in NO_OFFSET else fields.data_offset,
        "time_stamp": time_text(fields.time_stamp),
        "creator_application": (printable(text(fields.creator_application)) or "").rstrip() or None,
        "creator_version": version_text(fields.creator_version),
        "creator_host_os": (printable(text(fields.creator_host_os)) or "").rstrip() or None,
        "original_size": fields.original_size,
        "current_size": fields.current_size,
        "disk_geometry": {
            "cylinders": geometry.cylinders,
            "heads": geometry.heads,
            "sectors_per_track": geometry.sectors_per_track,
        },
        "disk_type": fields.disk_type,
        "unique_id": uuid_text(fields.unique_id),
        "saved_state": bool(fields.saved_state),
        "footer_size": len(footer.raw),
    }


def _open_fixed(source: BlockSource, size: int, data_end: int, problems: list[Problem]) -> BlockSource:
    """The disk is the file up to the footer."""
    if data_end < size:
        message = f"the file holds {data_end} bytes before the footer, expected the {size} bytes of the disk"
        problems.append(Problem("truncated-file", message, "vhd footer", data_end))
    # The inner window keeps a truncated disk from reading the footer as the guest's bytes.
    return Window(Window(source, 0, data_end, "the data of the disk"), 0, size, "the disk")


def _open_dynamic(
    source: BlockSource, footer: _Footer, size: int, data_end: int, details: dict[str, Any], problems: list[Problem]
) -> BlockSource | None:
    """The disk is in blocks behind a header; what that says is added to `details` and `problems`."""
    offset = footer.fields.data_offset
    if not FOOTER_SIZE <= offset <= data_end - HEADER_SIZE:
        message = (
            f"data_offset is {offset:#x}, expected {HEADER_SIZE} bytes of header there, "
            f"between the footer copy's end, {FOOTER_SIZE:#x}, and byte {data_end:#x}"
        )
        problems.append(footer.problem("vhd-footer-invalid", DATA_OFFSET, message))
        return None
    differencing = footer.fields.disk_type == DIFFERENCING
    opened = open_dynamic(source, offset, size=size, data_end=data_end, differencing=differencing)
    details.update(opened.details)
    problems.extend(opened.problems)
    return opened.guest


FORMAT = Format(("vhd",), claims, open_vhd)
