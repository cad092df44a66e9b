"""The superblocks of file systems that several machines share: GFS, GFS2, OCFS, OCFS2 and Oracle ASM.

Specification: Linux kernel, include/uapi/linux/gfs2_ondisk.h, struct gfs2_sb; fs/ocfs2/ocfs2_fs.h, struct
ocfs2_dinode and ocfs2_super_block, and fs/ocfs2/ocfs1_fs_compat.h; for ASM, which has none in public,
libblkid/src/superblocks/ocfs.c of util-linux.
"""

from construct import Bytes, Int16ul, Int32ub, Int32ul, Padding, Struct

from preflight.binary import parse_at, uuid_text
from preflight.filesystems import FileSystemReader, Superblock
from preflight.filesystems._fields import label
from preflight.source import BlockSource
from preflight.units import KiB, MiB

GFS2_SB_OFFSET = 64 * KiB
GFS2_MAGIC = b"\x01\x16\x19\x70"
GFS2_SB = Struct(
    "mh_magic" / Bytes(4),
    Padding(20),  # mh_type … __pad1
    "sb_fs_format" / Int32ub,
    "sb_multihost_format" / Int32ub,
    Padding(128),  # __pad0 … sb_lockproto
    "sb_locktable" / Bytes(64),  # CLUSTER:FILESYSTEM
    Padding(32),
    "sb_uuid" / Bytes(16),
)
GFS_MIN_SIZE = 32 * MiB  # the smallest journal
GFS_FORMAT_FS, GFS_FORMAT_MULTI = 1309, 1401
GFS2_FORMATS_FS, GFS2_FORMATS_MULTI = range(1800, 1900), range(1900, 2000)

OCFS2_SUPER_OFFSETS = (1 * KiB, 2 * KiB, 4 * KiB, 8 * KiB)  # block 2, of any block size
OCFS2_SUPER_BLOCK_SIGNATURE = b"OCFSV2"
OCFS2_DINODE = Struct(
    "i_signature" / Bytes(8),
    Padding(12),  # i_generation … i_suballoc_loc
    "i_clusters" / Int32ul,
    Padding(228),  # i_uid … s_blocksize_bits
    "s_clustersize_bits" / Int32ul,
    Padding(16),  # s_max_slots … s_first_cluster_group
    "s_label" / Bytes(64),
    "s_uuid" / Bytes(16),
)
OCFS2_CLUSTERSIZE_BITS = range(12, 21)  # OCFS2_MIN_CLUSTERSIZE 4 KiB, OCFS2_MAX_CLUSTERSIZE 1 MiB
OCFS_MIN_SIZE = 14000 * KiB  # libblkid's

OCFS1_SIGNATURE = b"OracleCFS"
# Where the header begins, and where its signature is: at byte 8, as the structure says. libblkid takes the 8 for KiB.
OCFS1_PLACES = ((0, 8), (8 * KiB, 8 * KiB))
OCFS1_VOL_LABEL = Struct(
    Padding(48),  # disk_lock
    "label" / Bytes(64),
    "label_len" / Int16ul,
    "vol_id" / Bytes(16),
)
SECTOR = 512

ASM_DISK_LABEL = Struct(Padding(32), "dl_tag" / Bytes(8), "dl_id" / Bytes(24))
ASM_DISK_LABEL_TAG = b"ORCLDISK"


def read(source: BlockSource) -> Superblock | None:
    """The superblock of whichever of them it is."""
    for reader in (_read_gfs, _read_ocfs2, _read_ocfs, _read_asm):
        found = reader(source)
        if found is not None:
            return found
    return None


def _has(source: BlockSource, offset: int, value: bytes) -> bool:
    return offset + len(value) <= source.size and source.read_at(offset, len(value)) == value


def _read_gfs(source: BlockSource) -> Superblock | None:
    if source.size < GFS_MIN_SIZE or not _has(source, GFS2_SB_OFFSET, GFS2_MAGIC):
        return None
    superblock = parse_at(GFS2_SB, source, GFS2_SB_OFFSET, "GFS superblock")
    formats = superblock.sb_fs_format, superblock.sb_multihost_format
    if formats == (GFS_FORMAT_FS, GFS_FORMAT_MULTI):
        kind = "gfs"
    elif formats[0] in GFS2_FORMATS_FS and formats[1] in GFS2_FORMATS_MULTI:
        kind = "gfs2"
    else:
        return None
    return Superblock(kind, uuid=uuid_text(superblock.sb_uuid), label=label(superblock.sb_locktable))


def _read_ocfs2(source: BlockSource) -> Superblock | None:
    for offset in OCFS2_SUPER_OFFSETS:
        if source.size >= OCFS_MIN_SIZE and _has(source, offset, OCFS2_SUPER_BLOCK_SIGNATURE):
            dinode = parse_at(OCFS2_DINODE, source, offset, "OCFS2 superblock")
            has_size = dinode.s_clustersize_bits in OCFS2_CLUSTERSIZE_BITS
            return Superblock(
                "ocfs2",
                uuid=uuid_text(dinode.s_uuid),
                label=label(dinode.s_label),
                size=dinode.i_clusters << dinode.s_clustersize_bits if has_size else None,
            )
    return None


def _read_ocfs(source: BlockSource) -> Superblock | None:
    """OCFS 1. OCFS2 leaves a header of it, too, against being overwritten, so that it must be asked for first."""
    for start, signature_offset in OCFS1_PLACES:
        if source.size >= OCFS_MIN_SIZE and _has(source, signature_offset, OCFS1_SIGNATURE):
            volume = parse_at(OCFS1_VOL_LABEL, source, start + SECTOR, "OCFS volume label")
            return Superblock("ocfs", uuid=uuid_text(volume.vol_id), label=label(volume.label[: volume.label_len]))
    return None


def _read_asm(source: BlockSource) -> Superblock | None:
    disk_label = parse_at(ASM_DISK_LABEL, source, 0, "ASM disk label")
    return Superblock("oracleasm", label=label(disk_label.dl_id)) if disk_label.dl_tag == ASM_DISK_LABEL_TAG else None


FILESYSTEM = FileSystemReader(read)
