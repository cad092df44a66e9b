"""VMFS, the file system of VMware's ESX servers, where it is not wrapped in a member of a VMFS volume.

Specification: none is public; layout as vmfs-tools has it, libvmfs/vmfs_fs.h, https://github.com/glandium/vmfs-tools
"""

from construct import Bytes, Int8ul, Int32ul, Struct

from preflight.binary import parse_at
from preflight.filesystems import FileSystemReader, Superblock
from preflight.filesystems._fields import label
from preflight.source import BlockSource
from preflight.units import KiB, MiB

FS_INFO_OFFSET = 2 * MiB
FS_INFO_MAGIC = b"\x5e\xf1\xab\x2f"
FS_INFO = Struct(
    "magic" / Bytes(4),
    "volume_version" / Int32ul,
    "version" / Int8ul,
    "uuid" / Bytes(16),
    "mode" / Int32ul,
    "label" / Bytes(128),
)
UNUSED = 4 * KiB  # of the first MiB, which VMFS leaves to others


def read(source: BlockSource) -> Superblock | None:
    """The file system information.

    libblkid looks for the magic everywhere. Here the first 4 KiB must be empty, as VMFS has them: the magic lies
    where nothing else does, and would cost a read on every partition.
    """
    if source.size < FS_INFO_OFFSET + len(FS_INFO_MAGIC) or any(source.read_at(0, UNUSED)):
        return None
    if source.read_at(FS_INFO_OFFSET, len(FS_INFO_MAGIC)) != FS_INFO_MAGIC:
        return None
    info = parse_at(FS_INFO, source, FS_INFO_OFFSET, "VMFS file system information")
    return Superblock("VMFS", uuid=_uuid_text(info.uuid), label=label(info.label))


def _uuid_text(uuid: bytes) -> str | None:
    """As VMware spells it: numbers of 32, 32 and 16 bits, little-endian, and six bytes."""
    if not any(uuid):
        return None
    return f"{uuid[3::-1].hex()}-{uuid[7:3:-1].hex()}-{uuid[9:7:-1].hex()}-{uuid[10:].hex()}"


FILESYSTEM = FileSystemReader(read)
