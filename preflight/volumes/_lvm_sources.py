"""The bytes of LVM2 logical volumes: segments put together from physical volumes and from each other.

Specification: lvm2, lib/metadata/lv_manip.c; in words: lvm(8), lvmraid(7).
https://man7.org/linux/man-pages/man7/lvmraid.7.html
"""

from collections.abc import Iterable, Mapping
from typing import TypeAlias

import msgspec

from preflight.source import BlockSource, Extent, Extents, Window, Zeros
from preflight.volumes import Member
from preflight.volumes._lvm_group import Area, Group, LogicalVolume, Segment
from preflight.volumes._striped import Striped

MAX_STACK = 8  # volumes on volumes; lvm's own deepest is five: thin on its pool on a cache on raid images


class Fault(msgspec.Struct, frozen=True):
    """Why a volume has no bytes."""

    rank: int
    """`INVALID`, `INCOMPLETE` or `NOT_READ`: the worst of the segments counts."""
    message: str = ""


NOT_READ, INCOMPLETE, INVALID = range(3)

Bytes: TypeAlias = BlockSource | Fault


def open_volumes(group: Group, here: Mapping[str, Member]) -> dict[str, Bytes]:
    """The source of every logical volume, hidden ones included, or why it has none.

    `here` are the physical volumes that this disk has, by their name in the group.
    """
    opener = _Opener(group, here)
    for name in group.logical_volumes:
        opener.open(name)
    return opener.opened


def lies_on(group: Group) -> dict[str, list[str]]:
    """Per logical volume the names of the physical volumes below it, through all kinds of segments."""
    pvs = list(group.physical_volumes)
    bits = {name: 1 << index for index, name in enumerate(pvs)}
    below = dict.fromkeys(group.logical_volumes, 0)
    for _ in range(MAX_STACK):  # each round goes one volume deeper
        before = dict(below)
        for name, volume in group.logical_volumes.items():
            for reference in volume.references:
                below[name] |= bits.get(reference) or below.get(reference, 0)
        if below == before:
            break
    return {name: [pv for pv in pvs if mask & bits[pv]] for name, mask in below.items()}


class _Opener:
    """Opens the volumes of a group in the order in which they stand on each other."""

    def __init__(self, group: Group, here: Mapping[str, Member]) -> None:
        self.opened: dict[str, Bytes] = {}
        self._group = group
        self._here = here
        self._height: dict[str, int] = {}

    def open(self, root: str) -> None:
        """Open `root`, and before it what it stands on."""
        stack, entered = [root], set[str]()
        while stack:
            name = stack[-1]
            if name in self.opened:
                stack.pop()
            elif name in entered:
                self.opened[name] = self._volume(self._group.logical_volumes[name])
            else:
                entered.add(name)
                below = {area.name for area in self._areas(name) if self._is_volume(area.name)}
                # What was entered and is not open yet lies under this one on the stack.
                if any(other in entered and other not in self.opened for other in below):
                    self.opened[name] = Fault(INVALID, "it is made of itself")
                self._height[name] = 0
                stack += sorted(below) if name not in self.opened else ()

    def _areas(self, name: str) -> Iterable[Area]:
        return (area for segment in self._group.logical_volumes[name].segments for area in segment.areas)

    def _is_volume(self, name: str) -> bool:
        # lvm looks for a physical volume of that name first
        return name not in self._group.physical_volumes and name in self._group.logical_volumes

    def _volume(self, volume: LogicalVolume) -> Bytes:
        if volume.fault is not None:
            return Fault(INVALID, volume.fault)
        if volume.name in self._group.overlaid or not volume.segments:
            return Fault(NOT_READ)
        below = (self._height[area.name] for area in self._areas(volume.name) if self._is_volume(area.name))
        self._height[volume.name] = 1 + max(below, default=0)
        if self._height[volume.name] > MAX_STACK:
            return Fault(INVALID, f"it stands on more than {MAX_STACK} volumes one upon the other")
        extents, faults = [], []
        for segment in volume.segments:
            source = self._segment(segment)
            if isinstance(source, Fault):
                faults.append(source)
            else:
                extents.append(Extent(segment.start_extent * self._group.extent_size, source.size, source, 0))
        return _worst(faults) if faults else Extents(extents)

    def _segment(self, segment: Segment) -> Bytes:
        count = segment.extent_count
        if segment.type == "zero":
            return Zeros(count * self._group.extent_size)
        if segment.type in ("mirror", "raid1"):
            legs = [self._area(area, count) for area in segment.areas]
            return next((leg for leg in legs if not isinstance(leg, Fault)), None) or _worst(legs)
        if segment.type not in ("striped", "linear"):
            return Fault(NOT_READ)
        columns = [self._area(area, count // len(segment.areas)) for area in segment.areas]
        if any(isinstance(column, Fault) for column in columns):
            return _worst(columns)
        sources = [column for column in columns if not isinstance(column, Fault)]
        if len(sources) == 1:
            return sources[0]
        if sources[0].size % segment.stripe_size:
            return Fault(
                INVALID, f"a stripe of {segment.stripe_size} bytes does not divide its {sources[0].size} bytes"
            )
        return Striped(sources, segment.stripe_size)

    def _area(self, area: Area, count: int) -> Bytes:
        """The `count` extents from where the area begins."""
        extent_size = self._group.extent_size
        start, size = area.extent * extent_size, count * extent_size
        if self._is_volume(area.name):
            below = self.opened[area.name]
            if isinstance(below, Fault):
                message = f"it stands on {area.name}: {below.message}"[:200] if below.message else ""
                return Fault(below.rank, message)
            if start + size > below.size:
                return Fault(INVALID, f"it ends at byte {start + size} of {area.name}, which has {below.size}")
            return Window(below, start, size, "the logical volume")
        entry = self._group.physical_volumes.get(area.name)
        if entry is None:
            return Fault(INVALID, f"it lies on {area.name[:64]!r}, which the group does not have")
        if area.extent + count > entry.pe_count:
            return Fault(INVALID, f"it ends at extent {area.extent + count} of {area.name}, which has {entry.pe_count}")
        member = self._here.get(area.name)
        if member is None:
            return Fault(INCOMPLETE)
        start += entry.pe_start
        if start + size > member.source.size:
            return Fault(INVALID, f"it ends at byte {start + size} of {area.name}, which has {member.source.size}")
        return Window(member.source, start, size, "the logical volume")


def _worst(parts: Iterable[Bytes]) -> Fault:
    return max((part for part in parts if isinstance(part, Fault)), key=lambda fault: fault.rank)
