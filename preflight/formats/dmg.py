"""Apple disk images (UDIF), by the trailer at their end.

Specification: none is published; the fields are those of hdiutil's `udifheader`, as QEMU's block/dmg.c reads them.
"""

from construct import Bytes, Int32ub, Int64ub, Struct

from preflight import binary
from preflight.formats import Container, Format
from preflight.formats._recognised import MAX_SIZE, open_named, require
from preflight.source import BlockSource
from preflight.units import SECTOR

SIGNATURE = b"koly"
TRAILER_SIZE = 512

Trailer = Struct(
    "signature" / Bytes(4),
    "version" / Int32ub,
    "header_size" / Int32ub,
    "flags" / Int32ub,
    "running_data_fork_offset" / Int64ub,
    "data_fork_offset" / Int64ub,
    "data_fork_length" / Int64ub,
    "rsrc_fork_offset" / Int64ub,
    "rsrc_fork_length" / Int64ub,
    "segment_number" / Int32ub,
    "segment_count" / Int32ub,
    "segment_id" / Bytes(16),
    "data_checksum" / Bytes(136),
    "xml_offset" / Int64ub,
    "xml_length" / Int64ub,
    "reserved1" / Bytes(120),
    "checksum" / Bytes(136),
    "image_variant" / Int32ub,
    "sector_count" / Int64ub,
    "reserved2" / Bytes(12),
)


def _claims(source: BlockSource) -> tuple[str, ...]:
    if source.size < TRAILER_SIZE:
        return ()
    start = source.read_at(source.size - TRAILER_SIZE, 12)
    return ("dmg",) if start[:4] == SIGNATURE and start[8:] == TRAILER_SIZE.to_bytes(4, "big") else ()


def _read(source: BlockSource) -> Container:
    where = "dmg trailer"
    base = source.size - TRAILER_SIZE
    trailer = binary.parse_at(Trailer, source, base, where)

    def check(condition: bool, field: str, reason: str) -> None:
        require(condition, where, Trailer, field, reason, base)

    check(trailer.version == 4, "version", f"is {trailer.version}, expected 4")
    for field in ("data_fork", "rsrc_fork", "xml"):
        end = trailer[f"{field}_offset"] + trailer[f"{field}_length"]
        check(end <= base, f"{field}_offset", f"and length reach byte {end}, the trailer begins at {base}")
    count = trailer.sector_count
    check(count <= MAX_SIZE // SECTOR, "sector_count", f"is {count}, more than a disk has")
    details = {
        "version": trailer.version,
        "flags": trailer.flags,
        "image_variant": trailer.image_variant,
        "segment_number": trailer.segment_number,
        "segment_count": trailer.segment_count,
        "data_fork_length": trailer.data_fork_length,
        "xml_length": trailer.xml_length,
    }
    return Container("dmg", None, count * SECTOR, format_details=details)


def _open(source: BlockSource, name: str) -> Container:
    return open_named(name, source, _read)


FORMAT = Format(("dmg",), _claims, _open)
