"""Volume managers: what lies between partitions and file systems.

A plugin is a module that ends in `VOLUME`, a `VolumeReader`, and that is named in `MANAGERS`.
"""

from collections.abc import Callable, Sequence

import msgspec

from preflight.facts import Problem, Volume
from preflight.source import BlockSource


class Member(msgspec.Struct, frozen=True):
    """A partition, or a whole disk, that carries the signature of a volume manager."""

    type: str
    """The signature, as `FileSystem.type` names it: `LVM2_member`, `crypto_LUKS`, `linux_raid_member`."""
    partition: int | None
    """Number of the partition; None for the whole disk."""
    start: int
    """Byte at which it begins on the guest's disk, for the offsets of problems."""
    source: BlockSource


class OpenVolume(msgspec.Struct, frozen=True):
    """A volume, and its bytes where they can be had."""

    volume: Volume
    source: BlockSource | None
    """None for what is encrypted, or spread over disks that are not here."""


MANAGERS = {"LVM2_member": "lvm2", "crypto_LUKS": "luks", "linux_raid_member": "md"}
"""Which module of this package reads the members of a type, so that the others need not be imported."""


class VolumeReader(msgspec.Struct, frozen=True):
    """A volume manager."""

    read: Callable[[Sequence[Member]], tuple[tuple[OpenVolume, ...], tuple[Problem, ...]]]
    """All volumes on these members, which are all of its types that the disk has. What is wrong becomes a
    `Problem`; it raises nothing."""
