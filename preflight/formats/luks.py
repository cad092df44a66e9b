"""LUKS on the whole file: an encrypted disk without anything around it.

What the header says in detail is read by `preflight.volumes.luks`; here the file is named, and is its own guest.

Specification: LUKS1 On-Disk Format Specification 1.2.3, and LUKS2 On-Disk Format Specification 1.1.1, section 2.1,
https://gitlab.com/cryptsetup/cryptsetup/-/wikis/Specification
"""

from construct import Bytes, Int16ub, Int32ub, Struct

from preflight import binary
from preflight.errors import StructureError
from preflight.formats import Container, Format
from preflight.formats._recognised import head, open_named
from preflight.source import BlockSource
from preflight.units import SECTOR

LUKS_MAGIC = b"LUKS\xba\xbe"

LuksPreamble = Struct("magic" / Bytes(6), "version" / Int16ub)

# What follows the preamble in version 1; version 2 keeps where its data begin in JSON.
Luks1Header = Struct(
    "cipher_name" / Bytes(32),
    "cipher_mode" / Bytes(32),
    "hash_spec" / Bytes(32),
    "payload_offset" / Int32ub,  # sectors
    "key_bytes" / Int32ub,
)


def _claims(source: BlockSource) -> tuple[str, ...]:
    return ("luks",) if head(source, 6) == LUKS_MAGIC else ()


def _read(source: BlockSource) -> Container:
    where = "luks header"
    version = binary.parse_at(LuksPreamble, source, 0, where).version
    if version not in (1, 2):
        raise StructureError(where, 6, f"version is {version}, known are 1 and 2")
    if version == 2:
        return Container("luks", source, None, format_details={"version": version})
    start = LuksPreamble.sizeof()
    header = binary.parse_at(Luks1Header, source, start, where)
    payload = header.payload_offset * SECTOR
    if payload > source.size:
        reason = f"payload_offset is byte {payload}, past the end of the file at byte {source.size}"
        raise StructureError(where, start + 96, reason)
    details = {
        "version": version,
        "cipher_name": binary.text(header.cipher_name),
        "cipher_mode": binary.text(header.cipher_mode),
        "hash_spec": binary.text(header.hash_spec),
        "payload_offset": payload,
        "key_bytes": header.key_bytes,
    }
    return Container("luks", source, source.size - payload, format_details=details)


def _open(source: BlockSource, name: str) -> Container:
    return open_named(name, source, _read, guest=source)


FORMAT = Format(("luks",), _claims, _open)
