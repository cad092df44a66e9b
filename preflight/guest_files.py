"""Which file system is the guest's root, and how the others are mounted into it.

A root is what holds the files that name a system: on a file system as such, in a subvolume of btrfs, in a deployment
of OSTree, or on a partition that is only mounted at /usr (Flatcar).
"""

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from itertools import islice
from typing import Literal, NamedTuple

import preflight.contents
from preflight.contents import OPENERS, ContentsError, Damage, FileReader, Node, NotRead, Opener, Unmountable
from preflight.contents.tree import Tree
from preflight.errors import BudgetExhausted, OutOfBounds, ReadFailed, UnreachableBytes
from preflight.facts import FileSystem, Partition, PartitionTable, Unknown, Value, Volume
from preflight.guest_facts import Fstab, FstabEntry
from preflight.guests.devices import Resolve, resolver
from preflight.guests.fstab import read_crypttab, read_fstab
from preflight.guests.os_release import read_identity
from preflight.guests.windows import read_windows_identity
from preflight.plugins import load
from preflight.source import BlockSource, FileSource

MAX_ROOTS = 32  # file systems and subvolumes that are looked at for an operating system
MAX_MOUNTS = 32  # of one fstab
MAX_LISTED = 1000  # entries of a topmost directory that are looked at: some 25 are usual
MAX_LISTING_READS = 64  # for that: ext4 spreads the directories in its root over the disk, a read for each
MAX_DEPLOYMENTS = 8  # of OSTree; two are usual

ESP_TYPES = ("c12a7328-f81f-11d2-ba4b-00a0c93ec93b", "0xef")
XBOOTLDR_TYPE = "bc13c2ff-59e6-4262-a352-b275fd6f7172"
FREEBSD_TYPES = (
    "0xa5",
    "516e7cb6-6ecf-11d6-8ff8-00022d09712b",  # freebsd-ufs
    "516e7cba-6ecf-11d6-8ff8-00022d09712b",  # freebsd-zfs
)
NOT_ROOTS = ("vfat", "exfat", "swap", "swsuspend", "iso9660", "udf", "LVM2_member", "linux_raid_member")

_DENIED = (BudgetExhausted, OutOfBounds, ReadFailed, UnreachableBytes)


class Disk(NamedTuple):
    """What the walk has found so far, and where its bytes are."""

    partitions: tuple[Partition, ...]
    volumes: tuple[Volume, ...]
    filesystems: tuple[FileSystem, ...]
    places: Mapping[str, BlockSource]
    """The bytes of each place that has a file system, by `FileSystem.on`."""
    whole: BlockSource
    table: PartitionTable
    file: FileSource
    """The image file, for its counters."""


class Root(Value, frozen=True):
    """Which file system is the root, and which system it holds; the fields are those of `guest_facts.Guest`."""

    os_type: Literal["linux", "windows", "freebsd"]
    distro: str | Unknown
    name: str | Unknown
    version: str | Unknown | None
    variant: str | None
    on: str
    subvolume: str | None
    read_from: tuple[str, ...]


class _Found(NamedTuple):
    root: Root
    reader: FileReader | None
    """None where the system is known by its partition only, as nothing reads its file system."""
    mounts: dict[str, FileReader]


class _Beneath:
    """A directory of another reader as a root of its own."""

    def __init__(self, reader: FileReader, root: Node) -> None:
        self.root = root
        self.lookup = reader.lookup
        self.entries = reader.entries
        self.names = reader.names
        self.listed = reader.listed
        self.read = reader.read
        self.target = reader.target


def import_readers(filesystems: Iterable[FileSystem]) -> None:
    """Import the modules that read these file systems, here and once: a child would do it anew for every image."""
    for kind in {entry.type for entry in filesystems} & OPENERS.keys():
        load(preflight.contents, OPENERS[kind], "CONTENTS")


class GuestFiles:
    """The files of a disk's guest. What has been opened is kept; every property may raise `ContentsError`."""

    def __init__(self, disk: Disk) -> None:
        self.disk = disk
        self._readers: dict[str, FileReader] = {}

    def reader(self, on: str) -> FileReader:
        """The files of the file system on this place."""
        if on not in self._readers:
            self._readers[on] = self._opener(on).open(self.disk.places[on])
        return self._readers[on]

    def _opener(self, on: str) -> Opener:
        kind = next((entry.type for entry in self.disk.filesystems if entry.on == on), None)
        if kind not in OPENERS:
            raise NotRead(f"{on}: the files of {kind} are not read")
        opener: Opener = load(preflight.contents, OPENERS[kind], "CONTENTS")
        return opener

    @cached_property
    def _found(self) -> _Found | None:
        """The root; None where the disk has no operating system that could have been seen."""
        failure: ContentsError | None = None
        for entry in self.disk.filesystems[:MAX_ROOTS]:
            if entry.type in NOT_ROOTS or entry.on not in self.disk.places:
                continue
            try:
                found = self._look_at(entry)
            except ContentsError as error:
                failure = failure or error
                continue
            if found:
                return found
        if freebsd := self._freebsd():
            return freebsd
        if failure:
            raise failure
        return None

    def _freebsd(self) -> _Found | None:
        """FreeBSD by its partition, as its file systems are not read."""
        types = {f"partition {partition.number}": partition.type for partition in self.disk.partitions}
        for entry in self.disk.filesystems:
            if entry.type in ("ufs", "zfs_member") and types.get(entry.on) in FREEBSD_TYPES:
                unread = Unknown(f"{entry.on}: the files of {entry.type} are not read")
                return _Found(Root("freebsd", "freebsd", "FreeBSD", unread, None, entry.on, None, ()), None, {})
        return None

    def _look_at(self, entry: FileSystem) -> _Found | None:
        opener = self._opener(entry.on)
        if opener.subvolumes is None:
            return self._system(entry.on, None, self.reader(entry.on))
        for path, reader in opener.subvolumes(self.disk.places[entry.on])[:MAX_ROOTS]:
            if found := self._system(entry.on, path, reader):
                return found
        return None

    def _system(self, on: str, subvolume: str | None, reader: FileReader) -> _Found | None:
        """The system whose root `reader` is, or has, or whose /usr it is."""
        tree = Tree(reader)
        if root := _root(tree, on, subvolume):
            return _Found(root, reader, {})
        for deployment in _deployments(tree):
            beneath = _Beneath(reader, deployment)
            if root := _root(Tree(beneath), on, subvolume):
                return _Found(root, beneath, {"/sysroot": reader})
        if tree.is_file("/lib/os-release") and not tree.exists("/usr") and not tree.exists("/etc"):
            return self._usr_only(on, reader)
        return None

    def _usr_only(self, usr_on: str, usr: FileReader) -> _Found | None:
        """A system whose /usr is a partition of its own, and whose root is the one that is labelled so."""
        labelled = [entry.on for entry in self.disk.filesystems if (entry.label or "").upper() == "ROOT"]
        on, reader = (labelled[0], self.reader(labelled[0])) if labelled else (usr_on, usr)
        mounts = {"/usr": usr}
        root = _root(Tree(reader, mounts), on, None)
        return _Found(root, reader, mounts) if root else None

    def damage(self) -> tuple[tuple[str, Damage], ...]:
        """The places whose file system cannot be opened or mounted, or has a topmost directory that cannot be listed.

        Each comes with why.

        Left out is what the host or the limits deny, and what is cut off, which are told already.
        """
        damaged = []
        for entry in self.disk.filesystems[:MAX_ROOTS]:
            if entry.type not in OPENERS or entry.on not in self.disk.places:
                continue
            if sum(other.on == entry.on for other in self.disk.filesystems) > 1:  # one of them is not in use
                continue
            try:
                reader = self.reader(entry.on)
                if verify_mount := self._opener(entry.on).verify_mount:
                    verify_mount(reader)
                self._list(reader)
            except NotRead:
                continue
            except Unmountable as error:
                damaged.append((entry.on, error.damage))
            except ContentsError as error:
                if not isinstance(error.__cause__, _DENIED):
                    damaged.append((entry.on, Damage(str(error))))
        return tuple(damaged)

    def _list(self, reader: FileReader) -> None:
        """List the topmost directory, or as much of it as is sensible; `ContentsError` where that fails."""
        end = self.disk.file.reads + MAX_LISTING_READS
        for _ in islice(reader.listed(reader.root), MAX_LISTED):
            if self.disk.file.reads >= end:
                break

    @property
    def root(self) -> Root | None:
        """The root and its system; None where the disk has none."""
        return self._found.root if self._found else None

    def _opened(self) -> tuple[FileReader, dict[str, FileReader]]:
        """The root's reader, and what is mounted into it whatever its fstab says."""
        found = self._found
        if found is None:
            raise ContentsError("there is no root file system")
        if found.reader is None:
            raise ContentsError(f"{found.root.on}: its files are not read")
        return found.reader, dict(found.mounts)

    @cached_property
    def resolve(self) -> Resolve:
        """Return where a block device of the guest is on this disk."""
        found = self._found
        mapped = read_crypttab(Tree(found.reader, found.mounts)) if found and found.reader else {}
        return resolver(self.disk.partitions, self.disk.filesystems, self.disk.volumes, mapped)

    @cached_property
    def fstab(self) -> Fstab | Unknown:
        """The guest's fstab."""
        reader, mounts = self._opened()
        return read_fstab(Tree(reader, mounts), self.resolve)

    @cached_property
    def tree(self) -> Tree:
        """The root with all that is mounted into it."""
        top, mounts = self._opened()
        if isinstance(self.fstab, Fstab):
            for entry in self.fstab.entries[:MAX_MOUNTS]:
                if reader := self._mounted(entry):
                    mounts[entry.mount_point.rstrip("/")] = reader
        return Tree(top, {**mounts, **dict(self._by_convention(Tree(top, mounts), mounts))})

    @property
    def _in_fstab(self) -> set[str | None]:
        """Where the devices are that fstab names."""
        return {entry.on for entry in self.fstab.entries} if isinstance(self.fstab, Fstab) else set()

    def _mounted(self, entry: FstabEntry) -> FileReader | None:
        """What an entry of fstab mounts, None where it is not here, not read, or the root itself."""
        if (
            entry.on is None
            or entry.on not in self.disk.places
            or not entry.mount_point.startswith("/")
            or entry.mount_point == "/"
        ):
            return None
        try:
            opener = self._opener(entry.on)
            subvolume = next((option[7:] for option in entry.options if option.startswith("subvol=")), None)
            if subvolume is None or opener.subvolumes is None:
                return self.reader(entry.on)
            wanted = subvolume.strip("/")
            return dict(opener.subvolumes(self.disk.places[entry.on])).get(wanted)
        except ContentsError:
            return None

    def _by_convention(self, tree: Tree, mounts: Mapping[str, FileReader]) -> Iterator[tuple[str, FileReader]]:
        """Boot partitions that no fstab names: systemd-gpt-auto-generator(8), ignition mount them by type or label."""
        if "/boot" not in mounts and not tree.names("/boot"):
            types = {f"partition {partition.number}": partition.type for partition in self.disk.partitions}
            for entry in self.disk.filesystems:
                if entry.label == "boot" or types.get(entry.on) == XBOOTLDR_TYPE:
                    yield "/boot", self.reader(entry.on)
                    break
            else:  # as Flatcar has it, whose kernels lie there
                own = tree.is_directory("/boot") and not tree.is_directory("/efi")
                for on in self.esp_places[:1] if own and not set(self.esp_places) & self._in_fstab else ():
                    yield "/boot", self.reader(on)
        if "/boot/efi" not in mounts and "/efi" not in mounts and tree.is_directory("/boot/efi"):
            for on in self.esp_places:
                yield "/boot/efi", self.reader(on)
                break

    @cached_property
    def esp_places(self) -> tuple[str, ...]:
        """Where EFI system partitions lie."""
        types = {f"partition {partition.number}": partition.type for partition in self.disk.partitions}
        return tuple(
            entry.on for entry in self.disk.filesystems if entry.type == "vfat" and types.get(entry.on) in ESP_TYPES
        )

    def has_on_first_partition(self, directory: str) -> bool:
        """Whether the file system on the partition that begins first has this directory; subvolumes are not entered.

        Raises `ContentsError` where it is of a kind that is not read.
        """
        first = min(self.disk.partitions, key=lambda partition: partition.start, default=None)
        on = f"partition {first.number}" if first else None
        if not any(entry.on == on for entry in self.disk.filesystems):
            return False
        return Tree(self.reader(str(on))).is_directory(directory)

    @cached_property
    def esps(self) -> tuple[Tree, ...]:
        """The EFI system partitions' own trees."""
        return tuple(Tree(self.reader(on)) for on in self.esp_places)

    @cached_property
    def unmounted(self) -> tuple[Tree, ...]:
        """File systems that fstab does not name and that may hold what boots: a reserved partition, a /boot."""
        root = self._found.root.on if self._found else None
        named = self._in_fstab
        trees = []
        for entry in self.disk.filesystems[:MAX_ROOTS]:
            if entry.on in named or entry.on == root or entry.type not in OPENERS or entry.on in self.esp_places:
                continue
            with contextlib.suppress(ContentsError):
                trees.append(Tree(self.reader(entry.on)))
        return tuple(trees)


def _root(tree: Tree, on: str, subvolume: str | None) -> Root | None:
    identity = read_identity(tree) or read_windows_identity(tree)
    if identity is None:
        return None
    fields = {name: getattr(identity, name) for name in ("distro", "name", "version", "read_from")}
    return Root(
        os_type=getattr(identity, "os_type", "windows"),
        variant=getattr(identity, "variant", None),
        on=on,
        subvolume=subvolume,
        **fields,
    )


def _deployments(tree: Tree) -> Iterator[Node]:
    """The root directories of OSTree's deployments."""
    count = 0
    for name in tree.names("/ostree/deploy"):
        for checksum in tree.names(f"/ostree/deploy/{name}/deploy"):
            found = tree.find(f"/ostree/deploy/{name}/deploy/{checksum}")
            if found and found.node.kind == "directory" and count < MAX_DEPLOYMENTS:
                count += 1
                yield found.node
