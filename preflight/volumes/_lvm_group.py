"""An LVM2 volume group as its metadata text describes it, checked field by field.

Specification: lvm2, lib/format_text/import_vsn1.c and lib/striped, lib/raid, lib/mirror, lib/snapshot (the
`text_import` of each segment type); in words: lvmraid(7), and libvslvm, "Logical Volume Manager (LVM) format",
section 5.
https://github.com/libyal/libvslvm/blob/main/documentation/Logical%20Volume%20Manager%20(LVM)%20format.asciidoc
"""

import re
from collections.abc import Iterator

import msgspec

from preflight.errors import StructureError
from preflight.units import SECTOR
from preflight.volumes._lvm_label import dashed
from preflight.volumes._lvm_text import Node, Section

MAX_PVS = 1024  # on one disk; lvm itself warns beyond some hundreds
MAX_LVS = 4096  # 1 MiB of text describes half as many
MAX_COLUMNS = 253  # of one segment: device-mapper's raid target; stripes go to 128
MAX_32 = 0xFFFFFFFF  # extents are counted in 32 bits
MAX_SIZE = 2**63 - 1  # bytes of a logical volume: the largest file offset on Linux

_WHERE = "lvm2 metadata"
_NAME = re.compile(r"[A-Za-z0-9+_.][A-Za-z0-9+_.-]{0,126}", re.ASCII)  # lvm(8), "VALID NAMES"


class Area(msgspec.Struct, frozen=True):
    """Where a column of a segment begins: on a physical volume, or on another logical volume."""

    name: str
    extent: int


class Segment(msgspec.Struct, frozen=True):
    """A run of extents of a logical volume."""

    start_extent: int
    extent_count: int
    type: str
    areas: tuple[Area, ...]
    """Columns of a striped segment, legs of a mirror; empty for types that are not read."""
    stripe_size: int
    """In bytes; 0 where there is one column."""


class LogicalVolume(msgspec.Struct, frozen=True):
    """A logical volume, hidden ones included."""

    name: str
    uuid: str | None
    segments: tuple[Segment, ...]
    extent_count: int | None
    """None where the segments are wrong."""
    references: frozenset[str]
    """Every name that its segments give: physical volumes, other logical volumes, and words that are neither."""
    fault: str | None = None
    """What is wrong with its description."""


class PhysicalVolumeEntry(msgspec.Struct, frozen=True):
    """A physical volume as the group knows it."""

    uuid: str
    pe_start: int
    """Byte of extent 0 on it."""
    pe_count: int
    missing: bool
    """lvm found it gone once, and does not use it until it is restored."""


class Group(msgspec.Struct, frozen=True):
    """A volume group."""

    name: str
    uuid: str
    seqno: int
    extent_size: int
    """In bytes."""
    physical_volumes: dict[str, PhysicalVolumeEntry]
    logical_volumes: dict[str, LogicalVolume]
    visible: frozenset[str]
    """Names of the logical volumes that are there for use, not as parts of others."""
    overlaid: frozenset[str]
    """Volumes whose extents are not what they show: stores of snapshots, and origins into which one is merged."""


def read_group(root: Section, offset: int) -> Group:
    """The group that the parsed text describes; `offset` is the text's, for errors.

    Raises `StructureError` where the group as such cannot be used. What is wrong with one logical volume stays
    with it, as its `fault`.
    """
    try:
        if root.get("contents") != "Text Format Volume Group" or root.get("version") != 1:
            raise _Wrong(f"contents {root.get('contents')!r} version {root.get('version')!r}")
        groups = [(name, node) for name, node in root.items() if isinstance(node, dict)]
        if len(groups) != 1:
            raise _Wrong(f"{len(groups)} volume groups, expected 1")
        name, group = groups[0]
        pvs = _sections(group, "physical_volumes", MAX_PVS)
        lvs = _sections(group, "logical_volumes", MAX_LVS) if "logical_volumes" in group else {}
        extent_size = _integer(group, "extent_size", 1, MAX_32) * SECTOR
        volumes = {key: _logical_volume(key, entry, extent_size) for key, entry in lvs.items()}
        visible = {key for key, entry in lvs.items() if "VISIBLE" in _list(entry, "status")}
        overlaid = set()
        for origin, store, merging in _snapshots(lvs):
            overlaid |= {origin, store} if merging else {store}
            # The text marks every store as hidden, yet lvm shows it with its origin, and alone where that is virtual.
            if not merging and (origin in visible or origin.endswith("_vorigin")):
                visible.add(store)
        return Group(
            name=_named(name),
            uuid=_uuid(group),
            seqno=_integer(group, "seqno", 0, MAX_32),
            extent_size=extent_size,
            physical_volumes={key: _physical_volume(entry) for key, entry in pvs.items()},
            logical_volumes=volumes,
            visible=frozenset(visible),
            overlaid=frozenset(overlaid),
        )
    except _Wrong as wrong:
        raise StructureError(_WHERE, offset, str(wrong)) from wrong


class _Wrong(Exception):
    """A field that lacks or is out of its limits."""


def _integer(section: Section, key: str, low: int, high: int) -> int:
    value = section.get(key)
    if not isinstance(value, int) or not low <= value <= high:
        raise _Wrong(f"{key} is {_shown(value)}, expected a number from {low} to {high}")
    return value


def _sections(section: Section, key: str, limit: int) -> dict[str, Section]:
    outer = section.get(key)
    if not isinstance(outer, dict) or len(outer) > limit:
        raise _Wrong(f"{key} must be a section with at most {limit} entries")
    inner = {}
    for name, node in outer.items():
        if not isinstance(node, dict):
            raise _Wrong(f"{name[:64]} in {key} must be a section")
        inner[_named(name)] = node
    return inner


def _list(section: Section, key: str) -> list[int | float | str]:
    value = section.get(key, [])
    if isinstance(value, list):
        return value
    return [value] if isinstance(value, str) else []


def _named(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise _Wrong(f"{name[:64]!r} is no valid name")
    return name


def _uuid(section: Section) -> str:
    value = section.get("id")
    uuid = dashed(value) if isinstance(value, str) else None
    if uuid is None:
        raise _Wrong(f"id is {_shown(value)}, expected 32 letters and digits")
    return uuid


def _shown(node: "Node | None") -> str:
    return "absent" if node is None else "a section" if isinstance(node, dict) else repr(node)[:64]


def _physical_volume(entry: Section) -> PhysicalVolumeEntry:
    return PhysicalVolumeEntry(
        uuid=_uuid(entry),
        pe_start=_integer(entry, "pe_start", 0, 2**54) * SECTOR,
        pe_count=_integer(entry, "pe_count", 0, MAX_32),
        missing="MISSING" in _list(entry, "flags") or "MISSING" in _list(entry, "status"),
    )


def _logical_volume(name: str, entry: Section, extent_size: int) -> LogicalVolume:
    value = entry.get("id")
    uuid = dashed(value) if isinstance(value, str) else None
    sections = [(key, node) for key, node in entry.items() if isinstance(node, dict) and key.startswith("segment")]
    references = frozenset(_references([node for _, node in sections]))
    try:
        if uuid is None:
            raise _Wrong(f"id is {_shown(value)}, expected 32 letters and digits")
        if _integer(entry, "segment_count", 0, MAX_32) != len(sections):
            raise _Wrong(f"segment_count is {_shown(entry['segment_count'])}, there are {len(sections)}")
        segments = sorted((_segment(node) for _, node in sections), key=lambda segment: segment.start_extent)
        end = 0
        for segment in segments:
            if segment.start_extent != end:
                raise _Wrong(f"a segment starts at extent {segment.start_extent}, the one before ends at {end}")
            end += segment.extent_count
        if end > MAX_32:
            raise _Wrong(f"{end} extents, at most {MAX_32} are allowed")
        if end * extent_size > MAX_SIZE:
            raise _Wrong(f"{end} extents of {extent_size} bytes are over {MAX_SIZE} bytes")
    except _Wrong as wrong:
        return LogicalVolume(name, uuid, (), None, references, str(wrong))
    return LogicalVolume(name, uuid, tuple(segments), end, references)


def _references(segments: list[Section]) -> Iterator[str]:
    for segment in segments:
        for key, node in segment.items():
            if key != "type":
                yield from (value for value in (node if isinstance(node, list) else (node,)) if isinstance(value, str))


def _segment(entry: Section) -> Segment:
    kind = entry.get("type")
    if not isinstance(kind, str):
        raise _Wrong(f"the type of a segment is {_shown(kind)}")
    kind = kind.partition("+")[0]  # what follows the plus are flags of newer versions
    start = _integer(entry, "start_extent", 0, MAX_32)
    count = _integer(entry, "extent_count", 1, MAX_32)
    areas: tuple[Area, ...] = ()
    stripe_size = 0
    if kind in ("striped", "linear"):
        areas = _areas(entry, "stripe_count", "stripes")
        if len(areas) > 1:
            stripe_size = _integer(entry, "stripe_size", 1, MAX_32) * SECTOR
            if count % len(areas):
                raise _Wrong(f"{count} extents do not divide into {len(areas)} stripes")
    elif kind == "mirror":
        areas = _areas(entry, "mirror_count", "mirrors")
    elif kind == "raid1":
        areas = _raid_legs(entry, start)
    return Segment(start, count, kind, areas, stripe_size)


def _areas(entry: Section, count_key: str, key: str) -> tuple[Area, ...]:
    """The pairs of a name and an extent."""
    count = _integer(entry, count_key, 1, MAX_COLUMNS)
    pairs = _list(entry, key)
    if len(pairs) != 2 * count:
        raise _Wrong(f"{key} has {len(pairs)} values, expected {2 * count} for {count_key} {count}")
    areas = []
    for name, extent in zip(pairs[::2], pairs[1::2], strict=True):
        if not isinstance(name, str) or not isinstance(extent, int) or not 0 <= extent <= MAX_32:
            raise _Wrong(f"{key} holds {_shown(name)} and {_shown(extent)}, expected a name and an extent")
        areas.append(Area(name, extent))
    return tuple(areas)


def _raid_legs(entry: Section, start: int) -> tuple[Area, ...]:
    """The image volumes of raid1: `raids` pairs each with the volume of its metadata."""
    count = _integer(entry, "device_count", 1, MAX_COLUMNS)
    names = [name for name in _list(entry, "raids") if isinstance(name, str)]
    if len(names) != 2 * count or start:
        raise _Wrong(f"raids has {len(names)} names for device_count {count}, from extent {start}")
    return tuple(Area(name, 0) for name in names[1::2])


def _snapshots(volumes: dict[str, Section]) -> list[tuple[str, str, bool]]:
    """Origin and store of each snapshot, and whether it is being merged into its origin."""
    found = []
    for volume in volumes.values():
        for segment in volume.values():
            if isinstance(segment, dict) and segment.get("type") == "snapshot":
                origin, store = segment.get("origin"), segment.get("merging_store", segment.get("cow_store"))
                if isinstance(origin, str) and isinstance(store, str):
                    found.append((origin, store, "merging_store" in segment))
    return found
