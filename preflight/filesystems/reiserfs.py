"""The superblocks of ReiserFS 3.5 and 3.6, and of Reiser4.

Specification: Linux kernel, fs/reiserfs/reiserfs.h, struct reiserfs_super_block (until Linux 6.12); reiser4progs,
struct reiser4_master_sb and struct format40_super.
Which positions count: libblkid/src/superblocks/reiserfs.c of util-linux.
"""

from construct import Bytes, Int16ul, Int32ul, Int64ul, Padding, Struct

from preflight.binary import parse_at, uuid_text
from preflight.facts import Problem
from preflight.filesystems import FileSystemReader, Superblock
from preflight.filesystems._fields import label
from preflight.filesystems._sizes import stated_size
from preflight.source import BlockSource
from preflight.units import KiB

OLD_OFFSET = 8 * KiB  # REISERFS_OLD_DISK_OFFSET_IN_BYTES: formats before 3.6
OFFSET = 64 * KiB  # REISERFS_DISK_OFFSET_IN_BYTES, and that of Reiser4's master superblock
MIN_SIZE = 128 * KiB  # libblkid's; the journal alone takes more

SUPERBLOCK = Struct(
    "s_block_count" / Int32ul,
    "s_free_blocks" / Int32ul,
    "s_root_block" / Int32ul,
    "s_journal_block" / Int32ul,  # jp_journal_1st_block
    Padding(28),  # the other journal parameters
    "s_blocksize" / Int16ul,
    Padding(6),  # s_oid_maxsize, s_oid_cursize, s_umount_state
    "s_magic" / Bytes(10),
    Padding(22),  # s_fs_state … s_flags
    "s_uuid" / Bytes(16),  # this and the label: since 3.6
    "s_label" / Bytes(16),
)
S_MAGIC_OFFSET = 0x34
JOURNALLESS_S_MAGIC_OFFSET = 20  # before the journal was invented
REISERFS_SUPER_MAGIC_STRING = b"ReIsErFs"
REISER2FS_SUPER_MAGIC_STRING = b"ReIsEr2Fs"  # 3.6
REISER2FS_JR_SUPER_MAGIC_STRING = b"ReIsEr3Fs"  # 3.6 with a journal that is elsewhere, or of another size

MASTER = Struct(
    "ms_magic" / Bytes(16),
    "ms_format" / Int16ul,
    "ms_blksize" / Int16ul,
    "ms_uuid" / Bytes(16),
    "ms_label" / Bytes(16),
)
MASTER_MAGIC = b"ReIsEr4"
FORMAT40 = Struct(
    "sb_block_count" / Int64ul,
    Padding(44),  # sb_free_blocks … sb_mkfs_id
    "sb_magic" / Bytes(16),
)
FORMAT40_MAGIC = b"ReIsEr40FoRmAt"

_PLACES = (
    (OLD_OFFSET, S_MAGIC_OFFSET, REISERFS_SUPER_MAGIC_STRING),
    (OFFSET, S_MAGIC_OFFSET, REISER2FS_SUPER_MAGIC_STRING),
    (OFFSET, S_MAGIC_OFFSET, REISER2FS_JR_SUPER_MAGIC_STRING),
    (OFFSET, S_MAGIC_OFFSET, REISERFS_SUPER_MAGIC_STRING),
    (OLD_OFFSET, JOURNALLESS_S_MAGIC_OFFSET, REISERFS_SUPER_MAGIC_STRING),
)


def read(source: BlockSource) -> Superblock | None:
    """The superblock of either file system; a copy of one inside ReiserFS' journal is passed over."""
    if source.size < MIN_SIZE:
        return None
    if source.read_at(OFFSET, len(MASTER_MAGIC)) == MASTER_MAGIC:
        return _read_reiser4(source)
    for offset, magic_offset, magic in _PLACES:
        if source.read_at(offset + magic_offset, len(magic)) == magic:
            found = _read_reiserfs(source, offset, magic_offset, magic)
            if found is not None:
                return found
    return None


def _read_reiserfs(source: BlockSource, offset: int, magic_offset: int, magic: bytes) -> Superblock | None:
    superblock = parse_at(SUPERBLOCK, source, offset, "ReiserFS superblock")
    sectors = superblock.s_blocksize // 512
    if not sectors or offset // KiB // sectors > superblock.s_journal_block // 2:  # libblkid's test, KiB and all
        return None
    if magic == REISERFS_SUPER_MAGIC_STRING:  # 3.5 has neither UUID nor label
        has_size = magic_offset == S_MAGIC_OFFSET
        return Superblock("reiserfs", size=superblock.s_block_count * superblock.s_blocksize if has_size else None)
    return Superblock(
        "reiserfs",
        uuid=uuid_text(superblock.s_uuid),
        label=label(superblock.s_label),
        size=superblock.s_block_count * superblock.s_blocksize,
    )


def _read_reiser4(source: BlockSource) -> Superblock:
    master = parse_at(MASTER, source, OFFSET, "Reiser4 master superblock")
    size, problems = _reiser4_size(source, master.ms_blksize)
    return Superblock(
        "reiser4",
        uuid=uuid_text(master.ms_uuid),
        label=label(master.ms_label),
        size=size,
        problems=problems,
    )


def _reiser4_size(source: BlockSource, blksize: int) -> tuple[int | None, tuple[Problem, ...]]:
    """In bytes, from the format superblock in the block after the master's; None where it is of no known format."""
    where = "Reiser4 format40 superblock"
    format40 = parse_at(FORMAT40, source, OFFSET + blksize, where)
    if format40.sb_magic[: len(FORMAT40_MAGIC)] != FORMAT40_MAGIC:
        return None, ()
    return stated_size(format40.sb_block_count, blksize, where, OFFSET + blksize)


FILESYSTEM = FileSystemReader(read)
