"""What HFS and HFS Plus share: the master directory block, which also wraps an embedded HFS Plus volume."""

from construct import Bytes, Int8ub, Int16ub, Int32ub, Padding, Struct

from preflight.binary import uuid_text

OFFSET = 1024  # of the master directory block, and of the volume header
KHFSSIGWORD = b"BD"
KHFSPLUSSIGWORD = b"H+"
KHFSXSIGWORD = b"HX"  # names may be case-sensitive
SECTOR = 512  # drAlBlSt counts these, whatever the disk has

MASTER_DIRECTORY_BLOCK = Struct(
    "drSigWord" / Bytes(2),
    Padding(16),  # drCrDate … drAllocPtr
    "drNmAlBlks" / Int16ub,
    "drAlBlkSiz" / Int32ub,
    Padding(4),  # drClpSiz
    "drAlBlSt" / Int16ub,
    Padding(6),  # drNxtCNID, drFreeBks
    "drVN_length" / Int8ub,
    "drVN" / Bytes(27),
    Padding(52),  # drVolBkUp … drFndrInfo[5]
    "volume_id" / Bytes(8),  # drFndrInfo[6] and [7]
    "drEmbedSigWord" / Bytes(2),
    "drEmbedExtent_startBlock" / Int16ub,
    "drEmbedExtent_blockCount" / Int16ub,
)

# The name space under which Mac OS X makes a UUID of version 3 from the eight bytes of the volume's identifier.
_NAME_SPACE = bytes.fromhex("b3e20f39f29211d697a400306543ecac")


def volume_uuid(volume_id: bytes) -> str | None:
    """The UUID that belongs to a volume identifier; None where the volume has none."""
    if not any(volume_id):
        return None
    from hashlib import md5

    digest = bytearray(md5(_NAME_SPACE + volume_id, usedforsecurity=False).digest())
    digest[6] = 0x30 | digest[6] & 0x0F  # RFC 4122, section 4.3: version 3
    digest[8] = 0x80 | digest[8] & 0x3F  # and its variant
    return uuid_text(bytes(digest))
