"""Whether an NTFS volume was left dirty: Windows checks such a volume at its next start.

Specification: the NTFS documentation of the Linux-NTFS project, file $Volume and attribute $VOLUME_INFORMATION,
https://flatcap.github.io/linux-ntfs/ntfs/attributes/volume_information.html
"""

from construct import Bytes, Int8ul, Int16ul, Struct

from preflight.binary import parse, parse_at
from preflight.errors import StructureError
from preflight.filesystems._ntfs_records import (
    AT_END,
    ATTRIBUTE,
    ATTRIBUTE_SIZE,
    FILE_MAGIC,
    FILE_RECORD,
    MIN_ATTRIBUTE,
    fixed_up,
)
from preflight.filesystems.ntfs import BOOT_SECTOR, FILE_VOLUME, OEM_ID, cluster_size_of, record_size_of
from preflight.source import BlockSource

VOLUME_INFORMATION = Struct(
    "reserved" / Bytes(8),
    "major_version" / Int8ul,
    "minor_version" / Int8ul,
    "flags" / Int16ul,
)
VOLUME_INFORMATION_SIZE = 12
AT_VOLUME_INFORMATION = 0x70
VOLUME_IS_DIRTY = 0x0001
WHERE = "NTFS $Volume record"


def is_dirty(source: BlockSource) -> bool:
    """Whether the flag is set in the NTFS file system that fills `source`.

    Raises `StructureError` where there is no NTFS, or its $Volume is damaged or out of reach.
    """
    boot = parse_at(BOOT_SECTOR, source, 0, "NTFS boot sector")
    cluster_size, record_size = cluster_size_of(boot), record_size_of(boot)
    if boot.oem_id != OEM_ID or cluster_size is None or record_size is None:
        raise StructureError("NTFS boot sector", 0, "this is no NTFS, or the sizes of its records cannot be")
    start = boot.mft_lcn * cluster_size + FILE_VOLUME * record_size
    data = source.read_at(start, record_size)
    record = parse(FILE_RECORD, data, WHERE, start)
    if record.magic != FILE_MAGIC:
        raise StructureError(WHERE, start, f"magic is {record.magic.hex()}, expected is {FILE_MAGIC.hex()} (FILE)")
    data = fixed_up(data, record.usa_ofs, record.usa_count, WHERE, start)
    position = record.attrs_offset
    while position + ATTRIBUTE_SIZE <= record_size:
        attribute = parse(ATTRIBUTE, data[position:], WHERE, start + position)
        if attribute.type == AT_END or attribute.length < MIN_ATTRIBUTE:
            break
        value = data[position + attribute.value_offset :][:VOLUME_INFORMATION_SIZE]
        if attribute.type == AT_VOLUME_INFORMATION and not attribute.non_resident:
            information = parse(VOLUME_INFORMATION, value, WHERE, start + position + attribute.value_offset)
            return bool(information.flags & VOLUME_IS_DIRTY)
        position += attribute.length
    raise StructureError(WHERE, start, "it has no attribute $VOLUME_INFORMATION")
