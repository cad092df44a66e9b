"""qcow2, QEMU's disk image: versions 2 and 3.

Specification: Qcow2 Image File Format, https://gitlab.com/qemu-project/qemu/-/blob/master/docs/interop/qcow2.rst

What `qemu-img info` refuses is a problem here. So is more that it lets pass: tables or clusters past the end of the
file, which it reads as zeros; entries that lead to metadata or to one place twice; reserved bits; what one
extension says against another. An image to be uploaded comes from a tool that does none of that.
"""

from typing import Any

from preflight.errors import OutOfBounds, StructureError
from preflight.facts import Problem
from preflight.formats import Container, Format
from preflight.formats._qcow2_audit import audit_l2
from preflight.formats._qcow2_extensions import (
    AUTOCLEAR,
    COMPATIBLE,
    INCOMPATIBLE,
    Extensions,
    feature_names,
    printable,
    read_backing_file,
    read_extensions,
)
from preflight.formats._qcow2_header import (
    CLUSTER_BITS,
    EXTERNAL_DATA,
    KNOWN_INCOMPATIBLE,
    MAGIC,
    MAX_REFCOUNT_ORDER,
    WHERE,
    Header,
    defects,
    mapping_defects,
    problem_from,
    read_header,
)
from preflight.formats._qcow2_mapping import L1_WHERE, Guest
from preflight.formats._qcow2_tables import check_l1, check_refcounts, read_l1, read_snapshots
from preflight.source import BlockSource, Buffered
from preflight.units import KiB

QCOW_VERSION = b"\0\0\0\1"  # the older format `qcow`, under the same magic
COMPRESSION_TYPES = ("zlib", "zstd")
ENCRYPTIONS = (None, "aes", "luks")


def claims(source: BlockSource) -> tuple[str, ...]:
    """See `Format.claims`: the magic, with every version but that of `qcow`."""
    start = source.read_at(0, min(8, source.size))
    if start[:4] != MAGIC or start[4:] == QCOW_VERSION:
        return ()
    return ("qcow2",)


def open_qcow2(source: BlockSource, name: str) -> Container:
    """See `Format.open`; the guest is None where the header does not say where its bytes are."""
    near = Buffered(source, page_size=4 * KiB, pages=16)  # header, names and snapshots lie close together
    try:
        header = read_header(near)
    except OutOfBounds:
        reason = f"the file ends at byte {source.size:#x}, inside the header"
        return Container(name, None, None, problems=(Problem("truncated-file", reason, WHERE, source.size),))
    except StructureError as error:
        return Container(name, None, None, problems=(problem_from(error, WHERE, "qcow2-header-invalid"),))
    problems = list(mapping_defects(header, source.size))
    details: dict[str, Any] = _fields(header)
    guest = None
    if header.cluster_bits in CLUSTER_BITS:
        mapped = not problems
        problems += defects(header, source.size)
        extensions, found = read_extensions(near, header)
        backing_file, missing = read_backing_file(near, header)
        problems += (*found, *missing)
        details |= _names(header, extensions, backing_file)
        problems += _feature_problems(header, extensions, details)
        details["snapshots"], wrong = read_snapshots(near, header)
        problems += wrong
        if mapped and not header.incompatible_features & ~KNOWN_INCOMPATIBLE:
            guest, audited, unsound = _guest(source, header, extensions, backing_file)
            problems += unsound
            details["audited_l2_tables"] = audited
    subformat = f"v{header.version}"
    return Container(name, guest, header.virtual_size, subformat, {}, details, tuple(problems))


def _fields(header: Header) -> dict[str, Any]:
    """What the fields of the header say by themselves."""
    return {
        "version": header.version,
        "cluster_bits": header.cluster_bits,
        "cluster_size": header.cluster_size if header.cluster_bits in CLUSTER_BITS else None,
        "crypt_method": header.crypt_method,
        "encryption": _known(ENCRYPTIONS, header.crypt_method),
        "compression_type": _known(COMPRESSION_TYPES, header.compression_type),
        "l1_size": header.l1_size,
        "l1_table_offset": header.l1_table_offset,
        "refcount_table_offset": header.refcount_table_offset,
        "refcount_table_clusters": header.refcount_table_clusters,
        "refcount_order": header.refcount_order,
        "refcount_bits": 1 << header.refcount_order if header.refcount_order <= MAX_REFCOUNT_ORDER else None,
        "nb_snapshots": header.nb_snapshots,
        "header_length": header.header_length,
    }


def _known(names: tuple[str | None, ...], number: int) -> str | None:
    return names[number] if number < len(names) else f"unknown ({number})"


def _names(header: Header, extensions: Extensions, backing_file: str | None) -> dict[str, Any]:
    """What the header says in words."""
    details: dict[str, Any] = {
        "backing_file": backing_file,
        "backing_file_format": extensions.backing_file_format,
        "data_file": extensions.data_file,
        "incompatible_features": feature_names(header.incompatible_features, INCOMPATIBLE, extensions),
        "compatible_features": feature_names(header.compatible_features, COMPATIBLE, extensions),
        "autoclear_features": feature_names(header.autoclear_features, AUTOCLEAR, extensions),
    }
    if extensions.nb_bitmaps is not None:
        details["bitmaps"] = extensions.nb_bitmaps
    if extensions.unknown:
        details["unknown_header_extensions"] = [f"{kind:#010x}" for kind in extensions.unknown]
    return details


def _feature_problems(header: Header, extensions: Extensions, details: dict[str, Any]) -> list[Problem]:
    problems = []
    unknown = feature_names(header.incompatible_features & ~KNOWN_INCOMPATIBLE, INCOMPATIBLE, extensions)
    if unknown:
        message = f"unknown incompatible features are set: {', '.join(unknown)}"
        problems.append(Problem("qcow2-unknown-feature", message, WHERE, 72))
    if header.incompatible_features & EXTERNAL_DATA:
        message = f"the guest's data is in another file, {_quoted(extensions.data_file)}"
        problems.append(Problem("qcow2-data-file", message, WHERE, 72))
    if header.nb_snapshots:
        message = f"the image holds {header.nb_snapshots} internal snapshot{'s' if header.nb_snapshots > 1 else ''}"
        problems.append(Problem("qcow2-snapshots", message, WHERE, 60))
    return problems


def _quoted(file: str | None) -> str:
    return f'"{printable(file)}"' if file else "whose name is not given"


def _guest(
    source: BlockSource, header: Header, extensions: Extensions, backing_file: str | None
) -> tuple[Guest | None, str, list[Problem]]:
    """The guest's disk, how many L2 tables were audited, and what is wrong with the tables."""
    try:
        l1 = read_l1(source, header)
    except StructureError as error:
        return None, "0 of 0", [problem_from(error, L1_WHERE, "qcow2-table-invalid")]
    problems = list(check_l1(header, l1, source.size))
    blocks, found = check_refcounts(source, header)
    problems += found
    backing = elsewhere = None
    if backing_file is not None:
        backing = f"they are in the backing file {_quoted(backing_file)}, which is not read"
    if header.crypt_method:
        elsewhere = f"they are encrypted ({_known(ENCRYPTIONS, header.crypt_method)})"
    if header.incompatible_features & EXTERNAL_DATA:
        elsewhere = f"they are in the external data file {_quoted(extensions.data_file)}, which is not read"
        audited = "0 of 0"  # the entries lead into a file that is not read
    else:
        audited, wrong = audit_l2(source, header, l1, blocks)
        problems += wrong
    return Guest(source, header, l1.entries, backing, elsewhere), audited, problems


FORMAT = Format(("qcow2",), claims, open_qcow2, own_first_sector=("qcow2",))
