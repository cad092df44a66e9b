"""The superblock and the inodes of XFS, and where its blocks are.

Specification: XFS Algorithms & Data Structures, 3rd edition, sections Superblocks, On-disk Inode and Metadata
Integrity, https://mirrors.edge.kernel.org/pub/linux/utils/fs/xfs/docs/xfs_filesystem_structure.pdf
"""

import msgspec

from preflight.binary import crc32c, parse, parse_at
from preflight.contents import ContentsError
from preflight.contents import _xfs_layouts as layouts
from preflight.filesystems._xfs_journal import log_of
from preflight.filesystems.xfs import SUPERBLOCK, XFS_SB_MAGIC, XFS_SB_VERSION_NUMBITS, impossible
from preflight.source import BlockSource
from preflight.units import KiB

MAX_DIRECTORY_BLOCK = 64 * KiB  # XFS_MAX_BLOCKSIZE holds for blocks of directories too
AGFL_SECTOR = 3  # the last of the headers with which each allocation group begins
WHERE = "xfs superblock"


class Inode(msgspec.Struct, frozen=True):
    """What an inode says of its file."""

    number: int
    mode: int
    """Type and permissions, as `st_mode`."""
    size: int
    """In bytes."""
    flags: int
    """XFS_DIFLAG_…"""
    format: int
    """XFS_DINODE_FMT_…: how to read the fork."""
    nextents: int
    fork: bytes
    """The data fork: the file itself, its extents, or the root of the tree of them."""

    @property
    def where(self) -> str:
        """What it is called in errors."""
        return f"xfs inode {self.number}"


class Filesystem:
    """One file system: where its inodes and blocks are, and what the inodes say."""

    def __init__(self, source: BlockSource) -> None:
        """Read the superblock; `ContentsError` for features that are not read, and fields that cannot be."""
        self.source = source
        superblock = parse_at(SUPERBLOCK, source, 0, WHERE)
        if superblock.sb_magicnum != XFS_SB_MAGIC:
            raise ContentsError(f"{WHERE}: sb_magicnum is {superblock.sb_magicnum!r}, expected is {XFS_SB_MAGIC!r}")
        version = superblock.sb_versionnum & XFS_SB_VERSION_NUMBITS
        self.is_sealed: bool = version == layouts.XFS_SB_VERSION_5
        """Whether metadata have checksums, as in version 5."""
        _check_features(version, superblock.sb_versionnum, superblock.sb_features_incompat)
        if impossible(superblock) or superblock.sb_agblklog != (superblock.sb_agblocks - 1).bit_length():
            raise ContentsError(f"{WHERE}: its sizes of blocks, inodes and allocation groups contradict each other")
        incompat: int = superblock.sb_features_incompat if self.is_sealed else 0
        self.block_size: int = superblock.sb_blocksize
        self.directory_block_size: int = self.block_size << min(superblock.sb_dirblklog, 16)
        if self.directory_block_size > MAX_DIRECTORY_BLOCK:
            raise ContentsError(
                f"{WHERE}: sb_dirblklog is {superblock.sb_dirblklog}, with which a block of a directory has"
                f" over {MAX_DIRECTORY_BLOCK} bytes"
            )
        self.has_ftype = bool(
            incompat & layouts.XFS_SB_FEAT_INCOMPAT_FTYPE
            if self.is_sealed
            else superblock.sb_features2 & layouts.XFS_SB_VERSION2_FTYPE
        )
        self.ignores_case = bool(superblock.sb_versionnum & layouts.XFS_SB_VERSION_BORGBIT)
        self.root: int = superblock.sb_rootino
        has_other = incompat & layouts.XFS_SB_FEAT_INCOMPAT_META_UUID  # since its UUID was changed
        self._uuid: bytes = superblock.sb_meta_uuid if has_other else superblock.sb_uuid
        self._superblock = superblock

    def has_clean_log(self) -> bool:
        """Whether no journal waits to be replayed; raises what `read_at` raises."""
        log = log_of(self.source, self._superblock)
        return log is not None and log.is_clean()

    def inode(self, number: int) -> Inode:
        """The inode of this number; `ContentsError` where there is none, raises what `read_at` raises."""
        where = f"xfs inode {number}"
        block, index = number >> self._superblock.sb_inopblog, number & self._superblock.sb_inopblock - 1
        size: int = self._superblock.sb_inodesize
        offset = self.offset_of(block, 1, where) + index * size
        data = self.source.read_at(offset, size)
        fields = parse(layouts.DINODE, data[: layouts.DINODE_SIZE], where, offset)
        if fields.di_magic != layouts.XFS_DINODE_MAGIC or not fields.di_mode:
            raise ContentsError(f"{where} at byte {offset:#x}: there is no inode, or it is not in use")
        if fields.di_version not in ((3,) if self.is_sealed else (1, 2)):
            raise ContentsError(f"{where} at byte {offset:#x}: di_version is {fields.di_version}")
        nextents: int = fields.di_nextents
        start = layouts.DINODE_SIZE
        if self.is_sealed:
            start = layouts.DINODE_3_SIZE
            self.verify(data, layouts.DINODE_SEAL, number, where)
            more = parse(layouts.DINODE_3, data[layouts.DINODE_SIZE : start], where, offset)
            if more.di_flags2 & layouts.XFS_DIFLAG2_NREXT64:
                nextents = fields.di_big_nextents
        end = start + fields.di_forkoff * 8 if fields.di_forkoff else size
        if end > size:
            raise ContentsError(
                f"{where} at byte {offset:#x}: di_forkoff is {fields.di_forkoff}, past its {size} bytes"
            )
        return Inode(
            number, fields.di_mode, fields.di_size, fields.di_flags, fields.di_format, nextents, data[start:end]
        )

    def offset_of(self, block: int, count: int, where: str) -> int:
        """The byte where a block begins, by its number that has the allocation group in its upper bits.

        `ContentsError` unless `count` blocks are there, in one group; `where` names in it what they belong to.
        """
        agno, agbno = block >> self._superblock.sb_agblklog, block & (1 << self._superblock.sb_agblklog) - 1
        blocks: int = self._superblock.sb_dblocks
        agblocks: int = self._superblock.sb_agblocks
        first: int = agno * agblocks + agbno
        headers = AGFL_SECTOR * self._superblock.sb_sectsize // self.block_size  # the last block that holds any
        if agbno <= headers:
            raise ContentsError(f"{where}: its block {agbno} of allocation group {agno} holds the headers of the group")
        if agbno + count > agblocks or first + count > blocks:
            raise ContentsError(
                f"{where}: {count} of its blocks are at {agbno} of allocation group {agno},"
                f" there are {blocks} blocks in groups of {agblocks}"
            )
        return first * self.block_size

    def verify(self, data: bytes, seal: layouts.Seal, owner: int, where: str) -> None:
        """`ContentsError` unless metadata of version 5 belong to inode `owner` of this file system and are whole.

        In version 4 there is nothing to verify.
        """
        if not self.is_sealed:
            return
        stated = int.from_bytes(data[seal.crc : seal.crc + 4], "little")
        computed = crc32c(data[: seal.crc] + bytes(4) + data[seal.crc + 4 :]) ^ 0xFFFFFFFF
        if stated != computed:
            raise ContentsError(f"{where}: its checksum is {stated:#010x}, computed is {computed:#010x}")
        if data[seal.uuid : seal.uuid + 16] != self._uuid:
            raise ContentsError(f"{where}: it belongs to another file system, whose UUID it has")
        found = int.from_bytes(data[seal.owner : seal.owner + 8], "big")
        if found != owner:
            raise ContentsError(f"{where}: it says to belong to inode {found}, expected is {owner}")


def _check_features(version: int, versionnum: int, incompat: int) -> None:
    if version not in (layouts.XFS_SB_VERSION_4, layouts.XFS_SB_VERSION_5):
        raise ContentsError(f"{WHERE}: it is version {version}, read are 4 and 5")
    if not versionnum & layouts.XFS_SB_VERSION_DIRV2BIT:
        raise ContentsError(f"{WHERE}: its directories have the format of 1994, which Linux never wrote")
    unknown = incompat & ~sum(layouts.INCOMPATIBLE)
    if version == layouts.XFS_SB_VERSION_5 and unknown:
        raise ContentsError(f"{WHERE}: has incompatible features that are not read: {unknown:#x}")
