"""File systems, and the signatures of other owners of a partition, by their superblocks.

A plugin is a module that ends in `FILESYSTEM`, a `FileSystemReader`, and that is named in `index`.
"""

from collections.abc import Callable

import msgspec

from preflight.facts import Problem
from preflight.source import BlockSource


class Superblock(msgspec.Struct, frozen=True):
    """What a superblock says."""

    type: str
    """As `blkid` names it (libblkid's `TYPE`)."""
    uuid: str | None = None
    """As `blkid -p` prints it."""
    label: str | None = None
    """As `blkid -p` prints it."""
    size: int | None = None
    """Bytes that the file system covers; None where the superblock does not say."""
    problems: tuple[Problem, ...] = ()
    """Offsets count from the start of the partition; the caller moves them."""
    features: tuple[str, ...] = ()
    """Its feature bits by the names of its own tools; empty where they are not read."""


class FileSystemReader(msgspec.Struct, frozen=True):
    """A kind of superblock, or a family with one layout. `index` says by which bytes it is recognised."""

    read: Callable[[BlockSource], Superblock | None]
    """The superblock on this partition, None where it is not of this kind after all (bad checksum of a
    backup, impossible fields). Raises only what `read_at` raises; the caller takes `OutOfBounds` for None."""
    owner: bool = False
    """True for RAID, volume and encryption signatures: they own the partition, whatever else is found on it
    (libblkid's BLKID_USAGE_RAID and BLKID_USAGE_CRYPTO)."""
    before: tuple[str, ...] = ()
    """Types that this one hides where both are found: a bridge disc is `udf` before `iso9660`."""
