"""Linux software RAID: arrays by the superblocks of their members, and the bytes of a mirror.

Specification: md(4), https://man7.org/linux/man-pages/man4/md.4.html; the superblocks: see `_md_superblock`.

A member of a mirror has all of the array's bytes, so that one is enough. Other levels are listed without theirs.
"""

from collections.abc import Sequence

from preflight.errors import StructureError
from preflight.facts import Problem, Volume
from preflight.source import BlockSource, Window
from preflight.volumes import Member, OpenVolume, VolumeReader
from preflight.volumes._md_superblock import Superblock, read_superblock
from preflight.volumes._problems import problem_of

LEVEL_MIRROR = 1
MAX_RAID_DISKS = 1920  # as many as a superblock has room for
PARITY_DISKS = {4: 1, 5: 1, 6: 2}  # of the array, by level


def read(members: Sequence[Member]) -> tuple[tuple[OpenVolume, ...], tuple[Problem, ...]]:
    """The arrays on `members`, in the order of their first one; see `VolumeReader.read`."""
    problems: list[Problem] = []
    arrays: dict[str, list[tuple[Member, Superblock]]] = {}
    for member in members:
        try:
            superblock = read_superblock(member.source)
        except StructureError as error:
            problems.append(problem_of(error, "md-superblock-invalid", member, "md superblock"))
        else:
            arrays.setdefault(superblock.uuid, []).append((member, superblock))
    volumes = []
    for parts in arrays.values():
        # The member that was written last knows best; of equal ones one that is in sync, then the first.
        parts.sort(key=lambda part: (-part[1].events, not part[1].in_sync))
        newest = parts[0][1]
        on = sorted(member.partition for member, _ in parts if member.partition is not None)
        volume = Volume("md", newest.name, None, _array_size(newest), tuple(on), newest.uuid)
        volumes.append(OpenVolume(volume, _mirror(parts, problems)))
    return tuple(volumes), tuple(problems)


def _array_size(superblock: Superblock) -> int | None:
    """Bytes of the whole array; None where its level takes what each member has, or does not say."""
    disks, size = superblock.raid_disks, superblock.size
    if size == 0 or not 0 < disks <= MAX_RAID_DISKS:
        return None
    if superblock.level in PARITY_DISKS:
        return max(0, disks - PARITY_DISKS[superblock.level]) * size or None
    if superblock.level == LEVEL_MIRROR:
        return size
    if superblock.level == 10:
        copies = (superblock.layout & 0xFF) * (superblock.layout >> 8 & 0xFF)  # near copies, far copies
        return disks * size // copies if copies else None
    return None


def _mirror(parts: Sequence[tuple[Member, Superblock]], problems: list[Problem]) -> BlockSource | None:
    """The bytes of a mirror on the first member that has them all and is as new as any; None for other levels."""
    newest = parts[0][1]
    if newest.level != LEVEL_MIRROR or newest.size == 0:
        return None
    for member, superblock in parts:
        if superblock.events != newest.events or superblock.level != newest.level or not superblock.in_sync:
            continue
        end = superblock.data_offset + superblock.size
        if end > member.source.size:
            reason = f"the data ends at byte {end} of the member, which has {member.source.size}"
            where = f"md superblock {superblock.version}"
            problems.append(Problem("md-superblock-invalid", reason, where, member.start + superblock.offset))
            continue
        return Window(member.source, superblock.data_offset, superblock.size, "the array")
    return None


VOLUME = VolumeReader(read)
