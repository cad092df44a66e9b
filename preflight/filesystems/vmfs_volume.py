"""Members of a VMware VMFS volume, by the volume information in their second MiB.

Specification: none is public; layout as vmfs-tools has it, libvmfs/vmfs_volume.h, https://github.com/glandium/vmfs-tools
"""

from preflight.filesystems import FileSystemReader, Superblock
from preflight.filesystems._fields import label
from preflight.filesystems._signatures import is_tiny
from preflight.source import BlockSource
from preflight.units import KiB, MiB

VOLUME_INFO = 1 * MiB
MAGIC = b"\x0d\xd0\x01\xc0"
LVM_UUID = VOLUME_INFO + 512 + 20
LVM_UUID_SIZE = 35
UNUSED = 4 * KiB  # of the first MiB, which VMFS leaves to a boot loader it has never had


def read(source: BlockSource) -> Superblock | None:
    """The member; its UUID is that of the logical volume.

    libblkid looks for the magic on every device. Here the first 4 KiB must be empty, as they are on every VMFS
    partition: the magic lies where nobody else looks, and costs a read.
    """
    if is_tiny(source) or any(source.read_at(0, UNUSED)):
        return None
    if source.read_at(VOLUME_INFO, len(MAGIC)) != MAGIC:
        return None
    return Superblock("VMFS_volume_member", label(source.read_at(LVM_UUID, LVM_UUID_SIZE)))


FILESYSTEM = FileSystemReader(read, owner=True)
