"""The last step of the walk: from the file systems of a disk to the facts about the operating system on it.

All of it runs in a contained child (`preflight.containment`), one task for each group of facts, so that what cannot be
read costs only itself. `preflight.guest_files` finds the root and opens what the tasks look at.
"""

import contextlib
from collections.abc import Callable, Generator, Sequence
from functools import cached_property
from typing import Any, TypeVar

import msgspec

from preflight.containment import Task, contained
from preflight.contents import ContentsError, Damage
from preflight.contents.tree import Tree
from preflight.errors import StructureError
from preflight.facts import FileSystem, Unknown, Value
from preflight.filesystems._ntfs_state import is_dirty
from preflight.guest_facts import (
    BootLoader,
    CloudInit,
    Fstab,
    Guest,
    Kernels,
    Network,
    Nvme,
    Security,
    Services,
    Virtio,
    Windows,
)
from preflight.guest_files import Disk, GuestFiles, Root, import_readers
from preflight.guests.architecture import read_architecture
from preflight.guests.boot import boot_modes, read_boot_loader
from preflight.guests.cloud_init import read_cloud_init
from preflight.guests.kernels import nvme_of, read_kernels, virtio_of
from preflight.guests.network import read_network
from preflight.guests.security import read_security
from preflight.guests.services import read_services
from preflight.guests.windows import read_windows, read_windows_identity
from preflight.limits import Limits
from preflight.units import SECTOR

T = TypeVar("T")

NOT_LINUX = Unknown("not a Linux system")
CUSTOM_IMAGE = "/aliyun_custom_image"  # Customize Linux images (2021), AlibabaCloudDocs/ecs
SYSLINUX_XFS_OFFSET = 2048  # where syslinux has its sector on XFS, whose first ones are the superblock's


class _Architecture(Value, frozen=True):
    architecture: str | Unknown
    read_from: str | None


def read_guest(
    disk: Disk,
    limits: Limits | None = None,
    uncontained: Callable[[str], None] | None = None,
    damaged: Callable[[str, Damage], None] | None = None,
) -> Generator[None, None, Guest | Unknown | None]:
    """The operating system on the disk; None where it holds none. Raises nothing for what the disk holds.

    It yields while a child reads, see `containment.contained`. `uncontained` is told why, where it had to be read
    without a child process; `damaged`, which places have a file system that Linux does not mount or that cannot be
    read, and why.
    """
    limits = limits or Limits()
    import_readers(disk.filesystems)
    reader = _Reader(disk, limits)
    in_place: list[str] = []
    facts = yield from contained(
        {
            "root": Task(lambda: reader.files.root, Root | None),
            "architecture": Task(reader.architecture, _Architecture),
            "fstab": Task(lambda: reader.files.fstab, Fstab),
            "boot_loader": Task(lambda: reader.boot_loader, BootLoader),
            "boot_modes": Task(reader.boot_modes, tuple[str, ...]),
            "kernels": Task(reader.kernels, Kernels),
            "cloud_init": Task(reader.cloud_init, CloudInit),
            "services": Task(lambda: reader.services, Services),
            "network": Task(reader.network, Network),
            "security": Task(reader.security, Security),
            "windows": Task(reader.windows, Windows | None),
            "custom_image_directory": Task(lambda: reader.files.has_on_first_partition(CUSTOM_IMAGE), bool),
            "damage": Task(reader.files.damage, tuple[tuple[str, Damage], ...]),
            "cost": Task(reader.cost, tuple[int, int]),
        },
        limits,
        keep=(disk.file.descriptor,),
        uncontained=in_place.append,
    )
    if in_place and uncontained is not None:
        uncontained(in_place[0])
    if not in_place and not isinstance(facts["cost"], Unknown):  # the child's counters are not these
        disk.file.count(*facts["cost"])
    if not isinstance(facts["damage"], Unknown) and damaged is not None:
        for on, damage in facts["damage"]:
            damaged(on, damage)
    root = facts["root"]
    return _guest(root, facts) if isinstance(root, Root) else root


def with_mount_points(filesystems: Sequence[FileSystem], guest: Guest | Unknown | None) -> tuple[FileSystem, ...]:
    """The file systems, each with the place at which the guest mounts it."""
    if not isinstance(guest, Guest):
        return tuple(filesystems)
    points = {guest.root: "/"} if guest.os_type != "windows" else {}
    if isinstance(guest.fstab, Fstab):
        for entry in guest.fstab.entries:
            if entry.on is not None and entry.mount_point.startswith("/"):
                points.setdefault(entry.on, entry.mount_point)
    return tuple(msgspec.structs.replace(entry, mount_point=points.get(entry.on)) for entry in filesystems)


def _guest(root: Root, facts: dict[str, Any]) -> Guest:
    architecture = facts["architecture"]
    kernels = facts["kernels"]
    read_from = root.read_from
    if isinstance(architecture, _Architecture):
        read_from += (architecture.read_from,) if architecture.read_from else ()
        architecture = architecture.architecture
    virtio: Virtio | Unknown
    nvme: Nvme | Unknown
    if isinstance(kernels, Kernels) and kernels.installed:
        virtio, nvme = virtio_of(kernels.installed[0]), nvme_of(kernels.installed[0])
    else:
        virtio = nvme = kernels if isinstance(kernels, Unknown) else Unknown("no kernel was found")
    return Guest(
        os_type=root.os_type,
        distro=root.distro,
        name=root.name,
        version=root.version,
        architecture=architecture,
        boot_modes=facts["boot_modes"],
        root=root.on,
        root_subvolume=root.subvolume,
        variant=root.variant,
        kernels=kernels,
        fstab=facts["fstab"],
        boot_loader=facts["boot_loader"],
        virtio=virtio,
        nvme=nvme,
        cloud_init=facts["cloud_init"],
        network=facts["network"],
        services=facts["services"],
        security=facts["security"],
        windows=facts["windows"],
        read_from=read_from,
        custom_image_directory=facts["custom_image_directory"],
    )


class _Reader:
    """What the child does, task by task; what one has read serves those after it."""

    def __init__(self, disk: Disk, limits: Limits) -> None:
        self.disk = disk
        self.files = GuestFiles(disk)
        self._reads_before = disk.file.reads
        self._bytes_before = disk.file.bytes_read
        disk.file.allow(reads=limits.reads, size=limits.bytes)

    def cost(self) -> tuple[int, int]:
        """How many reads and bytes of the file this child took."""
        return self.disk.file.reads - self._reads_before, self.disk.file.bytes_read - self._bytes_before

    def _is(self, os_type: str) -> bool:
        return self.files.root is not None and self.files.root.os_type == os_type

    def _unless_windows(self, read: Callable[[Tree], T | Unknown]) -> T | Unknown:
        return NOT_LINUX if self._is("windows") else read(self.files.tree)

    def architecture(self) -> _Architecture:
        """The architecture, from the header of a real binary."""
        if self._is("windows"):
            identity = read_windows_identity(self.files.tree)
            return _Architecture(identity.architecture if identity else Unknown("no Windows was found"), None)
        architecture, path = read_architecture(self.files.tree)
        return _Architecture(architecture, path)

    @cached_property
    def boot_loader(self) -> BootLoader:
        """The boot loader and its configuration."""
        return read_boot_loader(
            self.files.tree, self.files.esps, self._sector(0), self.files.resolve, self.files.unmounted
        )

    def boot_modes(self) -> tuple[str, ...]:
        """From which firmware the disk starts, for which the root need not be read."""
        architecture: str | Unknown | None = None
        with contextlib.suppress(ContentsError):
            architecture = self.architecture().architecture
        active = []
        for partition in self.disk.partitions:
            if partition.bootable:
                on = f"partition {partition.number}"
                is_xfs = any(entry.on == on and entry.type == "xfs" for entry in self.disk.filesystems)
                active.append(self._sector(partition.start + (SYSLINUX_XFS_OFFSET if is_xfs else 0)))
        return boot_modes(
            self.disk.table,
            self.disk.partitions,
            self._sector(0),
            active,
            self.files.esps,
            architecture if isinstance(architecture, str) else None,
        )

    def _sector(self, offset: int) -> bytes:
        return self.disk.whole.read_at(offset, SECTOR) if offset + SECTOR <= self.disk.whole.size else b""

    def kernels(self) -> Kernels | Unknown:
        """The kernels, and what the one that boots by default has in its initramfs."""
        if not self._is("linux"):
            return NOT_LINUX
        default = None
        try:
            if self.boot_loader.default is not None:
                default = self.boot_loader.entries[self.boot_loader.default]
        except ContentsError:
            pass  # the boot loader's own task tells why; the newest kernel stands for the one that boots
        if default is None:
            return read_kernels(self.files.tree)
        return read_kernels(self.files.tree, default.kernel, default.initramfs)

    def cloud_init(self) -> CloudInit | Unknown:
        """cloud-init, and what lets the root file system grow."""
        return self._unless_windows(read_cloud_init)

    @cached_property
    def services(self) -> Services | Unknown:
        """What starts at boot."""
        return self._unless_windows(read_services)

    def network(self) -> Network | Unknown:
        """The network's configuration."""
        return self._unless_windows(lambda tree: read_network(tree, self.services))

    def security(self) -> Security | Unknown:
        """Who can log in, and what keeps the cloud out."""
        return self._unless_windows(lambda tree: read_security(tree, self.files.fstab, self.disk.filesystems))

    def windows(self) -> Windows | Unknown | None:
        """What only Windows has."""
        if not self._is("windows"):
            return None
        dirty = [entry.on for entry in self.disk.filesystems if entry.type == "ntfs" and self._is_dirty(entry.on)]
        return read_windows(self.files.tree, self.files.esps, self.files.unmounted, dirty)

    def _is_dirty(self, on: str) -> bool:
        try:
            return is_dirty(self.disk.places[on])
        except StructureError:
            return False  # its superblock has been reported as damaged
