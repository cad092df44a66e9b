"""The records of files in NTFS, and how attributes begin in them.

Specification: the NTFS documentation of the Linux-NTFS project, concepts FILE Record, Fixup and Attribute Header,
https://flatcap.github.io/linux-ntfs/ntfs/
"""

from construct import Bytes, Int8ul, Int16ul, Int32ul, Int64ul, Struct

from preflight.errors import StructureError

FILE_RECORD = Struct(
    "magic" / Bytes(4),
    "usa_ofs" / Int16ul,  # update sequence array
    "usa_count" / Int16ul,  # words: its number, and one for every 512 bytes
    "lsn" / Int64ul,
    "sequence_number" / Int16ul,
    "link_count" / Int16ul,
    "attrs_offset" / Int16ul,
    "flags" / Int16ul,
    "bytes_in_use" / Int32ul,
    "bytes_allocated" / Int32ul,
)
FILE_RECORD_SIZE = 32
FILE_MAGIC = b"FILE"

ATTRIBUTE = Struct(
    "type" / Int32ul,
    "length" / Int32ul,
    "non_resident" / Int8ul,
    "name_length" / Int8ul,
    "name_offset" / Int16ul,
    "flags" / Int16ul,
    "instance" / Int16ul,
    "value_length" / Int32ul,
    "value_offset" / Int16ul,
)
ATTRIBUTE_SIZE = 22
AT_END = 0xFFFFFFFF
MIN_ATTRIBUTE = 8  # bytes: type and length; a shorter one would lead nowhere

FIXUP_STRIDE = 512  # NTFS_BLOCK_SIZE, whatever the sector size


def fixed_up(data: bytes, usa_ofs: int, usa_count: int, where: str, start: int) -> bytes:
    """A record with the last word of every 512 bytes put back, which an update sequence number replaces on disk.

    libblkid leaves them as they are on disk, and so reads a very long label wrong. `StructureError` where the record
    cannot be put right.
    """
    count = len(data) // FIXUP_STRIDE
    if usa_count != count + 1 or usa_ofs + 2 * usa_count > len(data):
        found = f"the update sequence array has {usa_count} words at byte {usa_ofs:#x}"
        raise StructureError(where, start, f"{found}, expected are {count + 1} within {len(data)} bytes")
    fixed = bytearray(data)
    number = data[usa_ofs : usa_ofs + 2]
    for index in range(1, count + 1):
        last = index * FIXUP_STRIDE - 2
        if data[last : last + 2] != number:
            found = f"block {index} of {count} ends with another update sequence number than the record has"
            raise StructureError(where, start + last, f"{found}: only a part of it was written")
        fixed[last : last + 2] = data[usa_ofs + 2 * index : usa_ofs + 2 * index + 2]
    return bytes(fixed)
