"""LVM2: logical volumes on the physical volumes of one disk.

Specification: lvm(8), https://man7.org/linux/man-pages/man8/lvm.8.html; the structures: see `_lvm_label`
(label and areas), `_lvm_text` (grammar), `_lvm_group` (metadata).

Linear and striped volumes are read, and mirrors through a leg that is complete. Every other type (thin, cache,
raid5, snapshot, …) is listed without its bytes.
"""

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from preflight.errors import StructureError
from preflight.facts import Problem, Volume
from preflight.units import MiB
from preflight.volumes import Member, OpenVolume, VolumeReader
from preflight.volumes._lvm_group import Group, read_group
from preflight.volumes._lvm_label import MAX_ALL_TEXTS, PhysicalVolume, invalid, read_physical_volume, read_text
from preflight.volumes._lvm_sources import INVALID, Fault, lies_on, open_volumes
from preflight.volumes._lvm_text import parse
from preflight.volumes._problems import problem_of

MAX_TOLD = 16  # names in one message, and problems of one group, that are told one by one

_WHERE = "lvm2 metadata"


class _Found(msgspec.Struct, frozen=True):
    """The metadata of a group, and where it was read."""

    group: Group
    offset: int
    """On the guest's disk."""


def read(members: Sequence[Member]) -> tuple[tuple[OpenVolume, ...], tuple[Problem, ...]]:
    """The visible logical volumes of all groups on `members`; see `VolumeReader.read`."""
    problems: list[Problem] = []
    volumes: list[OpenVolume] = []
    by_uuid = _physical_volumes(members, problems)
    groups, owners = _newest_groups(by_uuid.values(), problems)
    for found in groups:
        here = {
            name: by_uuid[entry.uuid].member
            for name, entry in found.group.physical_volumes.items()
            if entry.uuid in by_uuid
            and not entry.missing
            and owners.setdefault(entry.uuid, found.group.uuid) == found.group.uuid
        }
        volumes += _open_group(found, here, problems)
    damaged = any(problem.code != "lvm-incomplete" for problem in problems)  # then it is there, but was not read
    for uuid, physical_volume in by_uuid.items():
        if physical_volume.used and uuid not in owners and not damaged:
            message = f"physical volume {uuid} belongs to a volume group whose metadata is not on this disk"
            problems.append(Problem("lvm-incomplete", message, "lvm2 pv_header", physical_volume.member.start))
    return tuple(volumes), tuple(problems)


def _physical_volumes(members: Sequence[Member], problems: list[Problem]) -> dict[str, PhysicalVolume]:
    """By their id; of two with one id the first."""
    by_uuid: dict[str, PhysicalVolume] = {}
    for member in members:
        try:
            physical_volume = read_physical_volume(member, problems)
        except StructureError as error:
            problems.append(problem_of(error, "lvm-metadata-invalid", member, "lvm2 label_header"))
            continue
        if physical_volume is not None and physical_volume.uuid in by_uuid:
            message = f"physical volume {physical_volume.uuid} is there twice, the first is used"
            problems.append(invalid(member, "lvm2 pv_header", 0, message))
        elif physical_volume is not None:
            by_uuid[physical_volume.uuid] = physical_volume
    return by_uuid


def _newest_groups(
    physical_volumes: Iterable[PhysicalVolume], problems: list[Problem]
) -> tuple[list[_Found], dict[str, str]]:
    """The groups by their highest seqno, and per physical volume the group that its own metadata area holds."""
    newest: dict[str, _Found] = {}
    owners: dict[str, str] = {}
    known: dict[tuple[int, int], _Found] = {}  # by size and checksum: equal copies are read once, as lvm does
    total = 0
    for physical_volume in physical_volumes:
        member = physical_volume.member
        for text in physical_volume.texts:
            offset = text.pieces[0][0]
            found = known.get((text.size, text.checksum))
            if found is None:
                total += text.size
                try:
                    if total > MAX_ALL_TEXTS:
                        raise StructureError(_WHERE, offset, f"over {MAX_ALL_TEXTS // MiB} MiB of metadata on one disk")
                    group = read_group(parse(read_text(physical_volume, text), _WHERE, offset), offset)
                except StructureError as error:
                    problems.append(problem_of(error, "lvm-metadata-invalid", member, _WHERE, offset))
                    continue
                found = known[text.size, text.checksum] = _Found(group, member.start + offset)
            group = found.group
            if group.uuid not in newest or group.seqno > newest[group.uuid].group.seqno:
                newest[group.uuid] = found
            if all(entry.uuid != physical_volume.uuid for entry in group.physical_volumes.values()):
                message = (
                    f"volume group {group.name} does not name the physical volume {physical_volume.uuid} it lies on"
                )
                problems.append(invalid(member, _WHERE, offset, message))
            else:
                owners.setdefault(physical_volume.uuid, group.uuid)
    return list(newest.values()), owners


def _open_group(found: _Found, here: Mapping[str, Member], problems: list[Problem]) -> list[OpenVolume]:
    group = found.group
    opened, below = open_volumes(group, here), lies_on(group)
    volumes, unreadable, wrong = [], [], 0
    for name, logical_volume in group.logical_volumes.items():
        if name not in group.visible:
            continue
        contents = opened[name]
        source = None if isinstance(contents, Fault) else contents
        if isinstance(contents, Fault) and contents.rank == INVALID:
            wrong += 1
            if wrong <= MAX_TOLD:
                message = f"logical volume {group.name}/{name} is not usable: {contents.message}"
                problems.append(Problem("lvm-metadata-invalid", message, _WHERE, found.offset))
        elif source is None and any(pv not in here for pv in below[name]):
            unreadable.append(name)
        partitions = {here[pv].partition for pv in below[name] if pv in here}
        count = logical_volume.extent_count
        volume = Volume(
            kind="lvm",
            name=name,
            group=group.name,
            size=None if count is None else count * group.extent_size,
            on=tuple(sorted(number for number in partitions if number is not None)),
            uuid=logical_volume.uuid,
        )
        volumes.append(OpenVolume(volume, source))
    absent = [name for name in group.physical_volumes if name not in here]
    if absent:
        message = (
            f"volume group {group.name} has {len(group.physical_volumes)} physical volumes; not on this disk, or "
            f"marked as missing: {_listed(absent)}; logical volumes that cannot be read for it: {_listed(unreadable)}"
        )
        problems.append(Problem("lvm-incomplete", message, _WHERE, found.offset))
    return volumes


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - MAX_TOLD} more" if len(names) > MAX_TOLD else ""
    return ", ".join(names[:MAX_TOLD]) + more if names else "none"


VOLUME = VolumeReader(read)
