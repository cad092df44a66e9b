"""What a guest's names for block devices mean on this disk: `UUID=…`, `/dev/disk/by-label/…`, `/dev/vda1`.

Specification: fstab(5), https://man7.org/linux/man-pages/man5/fstab.5.html; the kernel's own names and PARTUUID:
Documentation/admin-guide/devices.txt and block/early-lookup.c of Linux; links below /dev/disk: the rules of udev,
60-persistent-storage.rules; names below /dev/mapper: lvm(8); FreeBSD: geom(8), glabel(8).
"""

import re
from collections.abc import Callable, Mapping, Sequence

from preflight.facts import FileSystem, Partition, Volume
from preflight.guests._text import bare

Resolve = Callable[[str], str | None]
"""Where a name is on this disk, as `FileSystem.on`; None where nothing here has it."""

MAX_SPEC = 4096  # PATH_MAX of Linux: no name is longer
MAX_DIGITS = 3  # of a partition's number: no table that is read has more than 999

TAGS = ("UUID", "LABEL", "PARTUUID", "PARTLABEL")
OWNERS = ("LVM2_member", "linux_raid_member", "crypto_LUKS")  # never mounted, but crypttab and initramfs name them
BY_ID = "disk/by-id/"
PARTNROFF = "/PARTNROFF="  # root=PARTUUID=…/PARTNROFF=1: so many partitions further on

# The first disk of each driver, below /dev; other disks are not in this image.
LINUX_DISKS = "[shv]da|xvda|ubda|dasda"
LINUX_NUMBERED_DISKS = "nvme0n1|mmcblk0|pmem0"  # a number at the end takes a `p` before the partition's
FREEBSD_DISKS = "(?:ada|da|vtbd|nvd|nda|xbd)0"
DISK = re.compile(rf"(?:{LINUX_DISKS}|{LINUX_NUMBERED_DISKS}|{FREEBSD_DISKS})\Z")
PARTITION = re.compile(
    rf"(?:(?:{LINUX_DISKS})|(?:{LINUX_NUMBERED_DISKS})p|{FREEBSD_DISKS}[ps])([1-9][0-9]{{0,{MAX_DIGITS - 1}}})\Z"
)
SLICE_PARTITION = re.compile(rf"({FREEBSD_DISKS}s[1-4])[a-h]\Z")  # in the BSD label of an MBR partition
FREEBSD_LINKS = {"gpt/": "PARTLABEL", "gptid/": "PARTUUID", "ufs/": "LABEL", "ufsid/": "UUID"}
UDEV_ESCAPE = re.compile(rb"\\x([0-9a-fA-F]{2})")  # of a byte that a name below /dev/disk cannot have


def resolver(
    partitions: Sequence[Partition],
    filesystems: Sequence[FileSystem],
    volumes: Sequence[Volume],
    mapped: Mapping[str, str] | None = None,
) -> Resolve:
    """Return what finds the names of this disk's partitions, file systems and volumes.

    `mapped`: what crypttab opens, its names below /dev/mapper with the device of each.
    """
    return _Names(partitions, filesystems, volumes, mapped or {}).resolve


class _Names:
    """All names that something on this disk has."""

    def __init__(
        self,
        partitions: Sequence[Partition],
        filesystems: Sequence[FileSystem],
        volumes: Sequence[Volume],
        mapped: Mapping[str, str],
    ) -> None:
        self.numbers = {partition.number for partition in partitions}
        self.tags: dict[tuple[str, str], str] = {}
        self.paths: dict[str, str] = {}  # below /dev
        self.lvm_uuids: dict[str, str] = {}
        self.containers: dict[str, str] = {}  # by the place of their LUKS header
        self.arrays: list[str] = []
        self.mapped = mapped
        # What can be mounted goes before an owner with the same UUID; of equals the first counts, as with udev.
        for filesystem in sorted(filesystems, key=lambda filesystem: filesystem.type in OWNERS):
            self._tag("UUID", filesystem.uuid, filesystem.on)
            self._tag("LABEL", filesystem.label, filesystem.on)
        for partition in partitions:
            self._tag("PARTUUID", partition.uuid, f"partition {partition.number}")
            self._tag("PARTLABEL", partition.name, f"partition {partition.number}")
        for volume in volumes:
            on = f"volume {volume.group}/{volume.name}" if volume.group else f"volume {volume.name or volume.kind}"
            {"lvm": self._lvm, "luks": self._luks, "md": self._md}[volume.kind](volume, on)

    def _tag(self, tag: str, value: str | None, on: str) -> None:
        if value:
            self.tags.setdefault((tag, _folded(tag, value)), on)

    def _lvm(self, volume: Volume, on: str) -> None:
        mapper = f"{_doubled(volume.group)}-{_doubled(volume.name)}"
        for path in (f"mapper/{mapper}", f"{volume.group}/{volume.name}", f"{BY_ID}dm-name-{mapper}"):
            self.paths.setdefault(path, on)
        if volume.uuid:
            self.lvm_uuids.setdefault(volume.uuid.replace("-", ""), on)

    def _luks(self, volume: Volume, on: str) -> None:
        for place in [f"partition {number}" for number in volume.on] or ["disk"]:
            self.containers.setdefault(place, on)
        if volume.uuid:  # the name that installers and dracut give it
            self.paths.setdefault(f"mapper/luks-{volume.uuid}", on)
            self.paths.setdefault(f"{BY_ID}dm-name-luks-{volume.uuid}", on)

    def _md(self, volume: Volume, on: str) -> None:
        self.arrays.append(on)
        if volume.uuid:
            self.paths.setdefault(f"{BY_ID}md-uuid-{volume.uuid}", on)
        if volume.name:
            own = volume.name.rpartition(":")[2]  # the host's name comes before it
            for path in (f"md/{volume.name}", f"md/{own}", f"md{own}", f"{BY_ID}md-name-{volume.name}"):
                self.paths.setdefault(path, on)

    def resolve(self, spec: str) -> str | None:
        """Where `spec` is on this disk, as `FileSystem.on`; None where nothing here has this name."""
        on = self._find(spec)
        device = self.mapped.get(spec.removeprefix("/dev/mapper/")) if spec.startswith("/dev/mapper/") else None
        if on is None and device is not None:
            below = self._find(device)
            return None if below is None else self.containers.get(below, below)
        return on

    def _find(self, spec: str) -> str | None:
        if len(spec) > MAX_SPEC:
            return None
        tag, equals, value = spec.partition("=")
        if equals and tag in TAGS:
            return self._by_tag(tag, bare(value))
        if equals and tag == "ID":
            return self._by_path(BY_ID + bare(value))
        if spec.startswith("/dev/"):
            return self._by_path("/".join(filter(None, spec.split("/")[2:])))
        return None

    def _by_tag(self, tag: str, value: str) -> str | None:
        value, further, offset = value.partition(PARTNROFF) if tag == "PARTUUID" else (value, "", "")
        on = self.tags.get((tag, _folded(tag, value)))
        if on is None or not further:
            return on
        if not (offset.isascii() and offset.isdigit() and len(offset) <= MAX_DIGITS):
            return None
        return self._partition(int(on.removeprefix("partition ")) + int(offset))

    def _by_path(self, path: str) -> str | None:
        """`path` is below /dev."""
        if path in self.paths:
            return self.paths[path]
        for tag in TAGS:
            link = f"disk/by-{tag.lower()}/"
            if path.startswith(link):
                return self._by_tag(tag, _udev_decoded(path.removeprefix(link)))
        for link, tag in FREEBSD_LINKS.items():
            if path.startswith(link):
                return self._by_tag(tag, path.removeprefix(link))
        if path.startswith(BY_ID):
            return self._by_id(path.removeprefix(BY_ID))
        if path.startswith("md") and path[2:].isdigit():  # mdadm.conf numbers it, or the order of assembly
            return self.arrays[0] if len(self.arrays) == 1 else None
        if DISK.match(path):
            return "disk"
        if within := SLICE_PARTITION.match(path):
            path = within[1]
        found = PARTITION.match(path)
        return self._partition(int(found[1])) if found else None

    def _by_id(self, name: str) -> str | None:
        """Names that follow from what is on the disk; those of the hardware (`ata-…`, `virtio-…`) stay behind."""
        if name.startswith("lvm-pv-uuid-"):
            return self._by_tag("UUID", name.removeprefix("lvm-pv-uuid-"))
        if name.startswith("dm-uuid-LVM-"):  # the group's UUID and the volume's, without hyphens
            return self.lvm_uuids.get(name.removeprefix("dm-uuid-LVM-")[32:])
        if name.startswith("dm-uuid-CRYPT-LUKS"):  # dm-uuid-CRYPT-LUKS2-UUID-NAME
            digits = name.removeprefix("dm-uuid-CRYPT-LUKS")[2:34]
            parts = (digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:])
            below = self._by_tag("UUID", "-".join(parts))
            return None if below is None else self.containers.get(below)
        return None

    def _partition(self, number: int) -> str | None:
        return f"partition {number}" if number in self.numbers else None


def _folded(tag: str, value: str) -> str:
    """For comparison. UUIDs compare without case here: tools differ in how they spell those of vfat and ntfs."""
    return value.lower() if tag in ("UUID", "PARTUUID") else value


def _doubled(name: str | None) -> str:
    """As device-mapper has it: one hyphen parts group and volume, one within a name is doubled."""
    return (name or "").replace("-", "--")


def _udev_decoded(name: str) -> str:
    data = UDEV_ESCAPE.sub(lambda found: bytes([int(found[1], 16)]), name.encode("utf-8", "surrogateescape"))
    return data.decode("utf-8", "backslashreplace")
