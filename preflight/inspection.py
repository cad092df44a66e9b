"""The one walk: from a path to an `Image`. The only caller of formats, tables, volumes and file systems."""

import os
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

import msgspec

import preflight.filesystems
import preflight.tables
import preflight.volumes
from preflight.containment import finished
from preflight.errors import BudgetExhausted, OutOfBounds, ReadFailed, StructureError, UnreadableImage
from preflight.facts import FileSystem, Image, Partition, PartitionTable, Problem, ProblemCode, Unknown, Volume
from preflight.filesystems import FileSystemReader, Superblock
from preflight.filesystems.index import recognise
from preflight.formats import Container, Format, index, raw
from preflight.limits import Limits
from preflight.plugins import collect, load
from preflight.source import BlockSource, Buffered, FileSource, Known, Window
from preflight.tables import Layout, Table
from preflight.units import SECTOR, KiB, human_size
from preflight.volumes import MANAGERS, Member, VolumeReader

if TYPE_CHECKING:
    from preflight.contents import Damage
    from preflight.guest_facts import Guest

MAX_NESTING = 4  # LVM on LUKS on md is three; a volume that lies on itself ends here
MAX_PROBED = 256  # partitions and volumes that are looked into; the rest is listed, and said to be unread
NO_TABLE = PartitionTable(type="none", sector_size=512, disk_id=None)
MAX_HINT_BYTES = 16 * KiB  # what libmagic is shown of a file
# Where one of these is told, the disk may hold what was not seen.
_LEFT_UNREAD = ("partition-table-unreadable", "contents-unreadable", "read-error", "budget-exhausted")
_MBR_CONTAINERS = ("0x05", "0x0f", "0x85")  # extended partitions hold others, and nothing of their own


def inspect(path: str, *, guest: bool = True, limits: Limits | None = None) -> Image:
    """All that can be learned of the image file at `path` without opinion.

    `guest`: whether to look inside file systems. `limits`: what that may take; without, the defaults. Raises
    `UnreadableImage`, and nothing else for what the file holds.
    """
    return finished(_inspecting(path, guest, limits or Limits()))


def inspect_all(
    paths: Iterable[str], *, guest: bool = True, limits: Limits | None = None
) -> Iterator[Image | UnreadableImage]:
    """The images at `paths`, or why one cannot be read, in their order; their guests are read side by side."""
    begun: deque[_Begun] = deque()
    try:
        for path in paths:
            begun.append(_Begun(_inspecting(path, guest, limits or Limits())))
            if len(begun) > (os.cpu_count() or 1):
                yield begun.popleft().outcome()
        while begun:
            yield begun.popleft().outcome()
    finally:
        for left in begun:
            left.work.close()


class _Begun:
    """An inspection that has come as far as its guest, which a child reads."""

    def __init__(self, work: Generator[None, None, Image]) -> None:
        self.work = work
        self._outcome: Image | UnreadableImage | None = None
        self._advance()

    def outcome(self) -> Image | UnreadableImage:
        while self._outcome is None:
            self._advance()
        return self._outcome

    def _advance(self) -> None:
        try:
            next(self.work)
        except StopIteration as end:
            self._outcome = end.value
        except UnreadableImage as error:
            self._outcome = error


def _inspecting(path: str, guest: bool, limits: Limits) -> Generator[None, None, Image]:
    """The image at `path`; it yields while a child reads the guest."""
    with FileSource(path, max_reads=limits.layout_reads, max_bytes=limits.layout_bytes) as file:
        return (yield from _Walk(file, limits).image(guest))


class _Area(NamedTuple):
    """A stretch of the guest's disk on which something may lie."""

    on: str
    """As in `FileSystem.on`."""
    partitions: tuple[int, ...]
    start: int
    """First byte on the guest's disk; for a volume, 0."""
    source: BlockSource


class _Walk:
    """What has been found so far, in the order of the walk."""

    def __init__(self, file: FileSource, limits: Limits) -> None:
        self.file = file
        self.limits = limits
        self.problems: list[Problem] = []
        self.partitions: tuple[Partition, ...] = ()
        self.volumes: list[Volume] = []
        self.filesystems: list[FileSystem] = []
        self.places: dict[str, BlockSource] = {}
        self._starts: dict[str, int] = {}  # of the places, on the guest's disk
        self.disk: BlockSource | None = None

    def image(self, guest: bool) -> Generator[None, None, Image]:
        """Walk from the file inwards and return what was found; yield while a child reads the guest."""
        container = self._container()
        self.problems += container.problems
        table = self._disk(container) if container.guest else None
        details = container.format_details
        if container.format == "raw" and table and table.type == "none" and not self.filesystems:
            details = {**details, **self._hint()}
        found_guest = yield from self._guest(guest, container, table)
        if self.file.changed():
            self._report("changed-while-read", "it was written to while it was read", "the file", None)
        path = self.file.path
        return Image(
            path=os.fsencode(path).decode("utf-8", "backslashreplace"),
            file_size=self.file.size,
            allocated_size=self.file.allocated_size,
            format=container.format,
            subformat=container.subformat,
            virtual_size=container.virtual_size,
            virtual_size_alternatives=container.virtual_size_alternatives,
            format_details=details,
            extension_matches=_extension_matches(path, container.format),
            partition_table=table,
            partitions=self.partitions,
            volumes=tuple(self.volumes),
            filesystems=tuple(self.filesystems),
            guest=found_guest,
            problems=tuple(dict.fromkeys(self.problems)),
        )

    def _guest(
        self, asked: bool, container: Container, table: PartitionTable | None
    ) -> "Generator[None, None, Guest | Unknown | None]":
        """The operating system inside, and with it the mount points of the file systems."""
        if container.guest is None and not self.problems:
            return Unknown(f"preflight does not look into {container.format}")
        if table is None or self.disk is None:
            return Unknown("the disk could not be read")
        left_unread = any(problem.code in _LEFT_UNREAD for problem in self.problems)
        nothing = Unknown("part of the disk could not be read") if left_unread else None
        if not self.filesystems:
            return nothing
        if not asked:
            return Unknown("not asked for")
        from preflight.guest_files import Disk  # with their libraries these cost 30 ms
        from preflight.guest_inspection import read_guest, with_mount_points

        guest = yield from read_guest(
            Disk(
                table=table,
                partitions=self.partitions,
                volumes=tuple(self.volumes),
                filesystems=tuple(self.filesystems),
                places=self.places,
                whole=self.disk,
                file=self.file,
            ),
            self.limits,
            self._tell_uncontained,
            self._tell_damage,
        )
        self.filesystems = list(with_mount_points(self.filesystems, guest))
        return nothing if guest is None else guest

    def _tell_uncontained(self, reason: str) -> None:
        message = f"no child process could be started ({reason}), so it was read without limits of memory and time"
        self._report("guest-uncontained", message, "the guest's files", None)

    def _tell_damage(self, on: str, damage: "Damage") -> None:
        """What reading the files has shown, where the superblocks have shown nothing that keeps Linux from them."""
        told = (problem for problem in self.problems if problem.code != "superblock-irregular")
        if not any(problem.code in _LEFT_UNREAD or problem.where.endswith(f" of {on}") for problem in told):
            offset = None if damage.offset is None else self._starts[on] + damage.offset
            self._report("filesystem-damaged", damage.reason, f"{damage.where} of {on}", offset)

    def _container(self) -> Container:
        """The format that claims the file; what nothing claims is raw."""
        file = Buffered(self.file)
        try:
            claimed = index.claims(file)
            conflict = self._conflict(file, claimed)
        except StructureError as error:
            raise UnreadableImage(f"cannot be read: {error}") from error
        if conflict:
            self._report("conflicting-formats", conflict, "the file", 0)
        # Only a VHD is known by its end. Where it is in conflict, what the file begins with is more likely to be what
        # others take it for; where it is not, the rest is its contents.
        claimed.sort(key=lambda claim: (claim[0] == "vhd") == (conflict is not None))
        name, format_ = claimed[0] if claimed else ("raw", raw.FORMAT)
        try:
            container = format_.open(Known(self.file, file), name)
        except StructureError as error:
            code: ProblemCode = "truncated-file" if isinstance(error, OutOfBounds) else "container-header-invalid"
            self._report(_host_fault(error) or code, error.reason, error.where, error.offset)
            container = Container(format=name, guest=None, virtual_size=None)
        return msgspec.structs.replace(container, guest=None) if conflict else container

    def _conflict(self, file: BlockSource, claimed: Sequence[tuple[str, Format]]) -> str | None:
        """What contradicts itself in these claims, in words."""
        names = sorted(name for name, _ in claimed)
        if names == ["luks", "vhd"]:
            return None  # a fixed VHD of a disk that is encrypted as a whole
        if len(names) > 1:
            return f"it shows the signatures of {' and '.join(names)}"
        for name, format_ in claimed:
            if name not in format_.own_first_sector or self.file.size < SECTOR:
                continue
            if file.read_at(SECTOR - 2, 2) == b"\x55\xaa":
                return f"it shows the signatures of {name} and of a boot sector"
        return None

    def _hint(self) -> dict[str, str]:
        """What libmagic calls a file in which nothing else was recognised; it is asked for nothing else."""
        try:
            head = self.file.read_at(0, min(self.file.size, MAX_HINT_BYTES))
        except StructureError:  # the walk has told it, or that the file changed
            return {}
        if not any(head):
            return {}
        from preflight.tools import libmagic  # 60 ms, and most images never come here

        described = libmagic.describe(head)
        return {"content": described} if described else {}

    def _disk(self, container: Container) -> PartitionTable | None:
        """Read the layout of the guest's disk and what lies on it; None where the first sectors are out of reach."""
        assert container.guest is not None
        disk = self.disk = Buffered(container.guest)
        layout = self._layout(disk)
        if layout is None:
            return None
        self.partitions = layout.partitions
        self.problems += layout.problems
        areas = [
            _Area(
                f"partition {partition.number}",
                (partition.number,),
                partition.start,
                Window(disk, partition.start, min(partition.size, disk.size - partition.start), "the partition"),
            )
            for partition in layout.partitions
            if partition.type not in _MBR_CONTAINERS and partition.start < disk.size
        ]
        # A table without partitions is a boot sector that a file system brings, or leaves in its first kilobyte.
        empty = layout.table.type == "mbr" and not layout.partitions
        if layout.table.type == "none" or empty or container.format == "iso9660":
            areas.insert(0, _Area("disk", (), 0, disk))
        self._contents(areas)
        return layout.table

    def _layout(self, disk: BlockSource) -> Layout | None:
        try:
            layouts = [layout for table in _tables() if (layout := table.read(disk)) is not None]
        except StructureError as error:
            code: ProblemCode = _host_fault(error) or "partition-table-unreadable"
            self._report(code, f"its bytes are out of reach: {error.reason}", "partition table", error.offset)
            return None
        return layouts[0] if layouts else Layout(table=NO_TABLE, partitions=())

    def _contents(self, areas: Sequence[_Area]) -> None:
        """Name what lies in the areas, then in the volumes that they make up, and so on."""
        for _ in range(MAX_NESTING):
            members: list[tuple[_Area, str]] = []
            for area in areas[:MAX_PROBED]:
                members += [(area, found.type) for found in self._probe(area)]
            if len(areas) > MAX_PROBED:
                self._report(
                    "budget-exhausted",
                    f"{len(areas)} partitions or volumes, only the first {MAX_PROBED} are looked into",
                    "partition table",
                    None,
                )
            areas = list(self._open_volumes(members))
            if not areas:
                return

    def _probe(self, area: _Area) -> Sequence[Superblock]:
        """The superblocks that this area shows, usually one; all of them are listed."""
        found: list[tuple[FileSystemReader, Superblock]] = []
        modules, unreadable = recognise(area.source, whole_disk=area.on == "disk")
        for module in modules:
            reader: FileSystemReader = load(preflight.filesystems, module, "FILESYSTEM")
            try:
                if superblock := reader.read(area.source):
                    found.append((reader, superblock))
            except OutOfBounds:
                continue  # the place is too small for this kind
            except StructureError as error:
                unreadable = unreadable or error
        superblocks = _settle(found)
        if unreadable and not superblocks:
            code: ProblemCode = _host_fault(unreadable) or "contents-unreadable"
            self._report(code, f"its bytes are out of reach: {unreadable.reason}", area.on, area.start)
        if len(superblocks) > 1:
            kinds = " and ".join(superblock.type for superblock in superblocks)
            self._report("filesystem-ambiguous", f"it shows the superblocks of {kinds}", area.on, area.start)
            if not all(superblock.problems for superblock in superblocks):  # one is whole, the others were left over
                superblocks = [msgspec.structs.replace(superblock, problems=()) for superblock in superblocks]
        for superblock in superblocks:
            self._add(area, superblock)
        if superblocks:
            self.places[area.on] = area.source
            self._starts[area.on] = area.start
        return superblocks

    def _add(self, area: _Area, superblock: Superblock) -> None:
        """List a superblock, with its problems at their places on the disk."""
        for problem in superblock.problems:
            self.problems.append(
                msgspec.structs.replace(
                    problem,
                    where=f"{problem.where} of {area.on}",
                    offset=None if problem.offset is None else area.start + problem.offset,
                )
            )
        if superblock.size is not None and superblock.size > area.source.size:
            self._report(
                "filesystem-past-end",
                f"{superblock.type} covers {human_size(superblock.size)} ({superblock.size} bytes), the place has "
                f"{human_size(area.source.size)} ({area.source.size} bytes)",
                area.on,
                area.start,
            )
        self.filesystems.append(
            FileSystem(
                on=area.on,
                type=superblock.type,
                uuid=superblock.uuid,
                label=superblock.label,
                size=superblock.size,
                features=superblock.features,
            )
        )

    def _open_volumes(self, members: Sequence[tuple[_Area, str]]) -> Iterator[_Area]:
        """List the volumes on these members, and give those whose bytes can be had as areas of their own."""
        for module in dict.fromkeys(MANAGERS[type] for _, type in members if type in MANAGERS):
            reader: VolumeReader = load(preflight.volumes, module, "VOLUME")
            own = [
                Member(type, area.partitions[0] if area.partitions else None, area.start, area.source)
                for area, type in members
                if MANAGERS.get(type) == module
            ]
            volumes, problems = reader.read(own)
            self.problems += problems
            for opened in volumes:
                self.volumes.append(opened.volume)
                if opened.source is not None:
                    group, name = opened.volume.group, opened.volume.name or opened.volume.kind
                    on = f"volume {group}/{name}" if group else f"volume {name}"
                    yield _Area(on, opened.volume.on, 0, opened.source)

    def _report(self, code: ProblemCode, message: str, where: str, offset: int | None) -> None:
        self.problems.append(Problem(code=code, message=message, where=where, offset=offset))


def _host_fault(error: StructureError) -> ProblemCode | None:
    """The problem's code where an error is the host's or the budget's, and not the disk's."""
    if isinstance(error, ReadFailed):
        return "read-error"
    if isinstance(error, BudgetExhausted):
        return "budget-exhausted"
    return None


def _settle(found: Sequence[tuple[FileSystemReader, Superblock]]) -> list[Superblock]:
    """Which of the superblocks found on one place count, by the rules of libblkid.

    The signature of an owner (RAID, volume manager, encryption) hides what shines through it, and a
    kind is hidden by one that is `before` it.
    """
    owners = [superblock for reader, superblock in found if reader.owner]
    if owners:
        return owners[:1]
    hidden = {type for reader, _ in found for type in reader.before}
    return [superblock for _, superblock in found if superblock.type not in hidden]


def _extension_matches(path: str, format_name: str) -> bool | None:
    """Whether the ending of the path is one of the format's; None where it is not the ending of any."""
    ending = os.path.splitext(path)[1].lower()
    if not any(ending in endings for endings in index.ENDINGS.values()):
        return None
    return ending in index.ENDINGS.get(format_name, ())


@cache
def _tables() -> tuple[Table, ...]:
    return collect(preflight.tables, "TABLE")
