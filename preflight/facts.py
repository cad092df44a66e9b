"""What is: the facts that an inspection finds, as frozen values. No opinion lives here.

Every value is a `msgspec.Struct`: frozen, slotted, and encoded to JSON as `inspect --format json` prints it.
(A frozen dataclass says the same, but thirty of them cost 20 ms at every start of the command.)
Sizes and offsets are bytes. `None` means that the disk says "none"; what could not be learned is `Unknown`.
"""

from typing import TYPE_CHECKING, Any, Literal

import msgspec

if TYPE_CHECKING:  # which imports this module; encoding needs no annotations
    from preflight.guest_facts import Guest


class Value(msgspec.Struct, frozen=True):
    """Base of all frozen values of this package."""


class Unknown(Value, frozen=True):
    """A fact that could not be learned."""

    unknown: str
    """Why not, for a person to read."""


ProblemCode = Literal[
    # the file as such
    "conflicting-formats",  # more than one format claims the file
    "truncated-file",  # the container promises bytes past the end of the file
    "size-not-in-sectors",  # a size that is not a multiple of 512 bytes
    "changed-while-read",
    "read-error",
    "budget-exhausted",
    "guest-uncontained",  # no child process could be had: of this host, not of the image
    "text-file",
    "compressed-file",  # what holds the image must be unpacked first
    # VHD
    "vhd-footer-missing",  # only the copy at the start is there
    "vhd-footer-checksum",
    "vhd-footer-invalid",
    "vhd-footer-copies-differ",
    "vhd-footer-511",  # the short footer of Virtual PC before 2004
    "vhd-sizes-differ",  # current_size against disk_geometry
    "vhd-header-checksum",
    "vhd-header-invalid",
    "vhd-table-size-mismatch",  # max_table_entries × block_size against the size
    "vhd-bat-invalid",
    "vhd-differencing",
    # qcow2
    "qcow2-header-invalid",
    "qcow2-header-extension-invalid",
    "qcow2-unknown-feature",
    "qcow2-table-invalid",  # L1, refcount or snapshot table
    "qcow2-mapping-invalid",  # an L2 entry or a compressed cluster
    "qcow2-backing-file",
    "qcow2-data-file",
    "qcow2-encrypted",
    "qcow2-dirty",
    "qcow2-corrupt",
    "qcow2-snapshots",
    # a container that is only recognised
    "container-header-invalid",
    "container-not-closed",  # by the program that wrote to it last
    # partition tables
    "mbr-boot-flag-invalid",
    "mbr-entry-invalid",
    "ebr-chain-invalid",
    "gpt-primary-damaged",
    "gpt-backup-damaged",
    "gpt-damaged",  # neither header can be used
    "gpt-backup-misplaced",  # not at the last LBA of the disk
    "gpt-headers-differ",
    "gpt-protective-mbr-missing",
    "gpt-protective-mbr-invalid",
    "gpt-entry-invalid",
    "partition-past-end",
    "partitions-overlap",
    "partition-table-unreadable",
    # what lies in the partitions
    "filesystem-ambiguous",  # two superblocks claim one place
    "filesystem-past-end",  # larger than what it lies on
    "superblock-invalid",
    "filesystem-damaged",  # its superblock is sound, and leads to nothing that can be read
    "superblock-irregular",  # kernels mount it all the same
    "lvm-metadata-invalid",
    "lvm-incomplete",  # a physical volume is not on this disk
    "luks-header-invalid",
    "md-superblock-invalid",
    "contents-unreadable",  # the bytes of a partition could not be reached
    # qemu-img
    "second-opinion-differs",
    "second-opinion-refused",
]
"""Every code that a `Problem` can have, named for the defect."""


class Problem(Value, frozen=True):
    """Something that is wrong with the image, or that could not be read; each is told once."""

    code: ProblemCode
    message: str
    """What was found and what was expected, as a sentence without its place."""
    where: str
    """The structure, as its specification names it: `qcow2 header`, `gpt backup header`."""
    offset: int | None = None
    """Byte of the structure or field, in the file for a container, in the guest's disk for what lies on it."""


class PartitionTable(Value, frozen=True):
    """How the disk is divided."""

    type: Literal["gpt", "mbr", "hybrid", "none"]
    sector_size: Literal[512, 4096]
    """Bytes in a logical block, as the table counts."""
    disk_id: str | None
    """GPT: the disk GUID, lower case. MBR: the signature as `0x0123abcd`. Null where there is none."""
    boot_loader: str | None = None
    """Loader in sector 0 that needs no active partition: `GRUB` or `LILO`; null for other code or none."""


class Partition(Value, frozen=True):
    """One partition."""

    number: int
    """As the Linux kernel numbers it."""
    start: int
    """First byte."""
    size: int
    """In bytes."""
    type: str
    """GPT: the type GUID, lower case. MBR: `0x83`, always two digits."""
    type_name: str | None
    """What the type is commonly called; null for one that nobody names."""
    name: str | None
    """GPT partition name; null where there is none."""
    uuid: str | None
    """GPT: the unique partition GUID. MBR: disk signature and number as the kernel's PARTUUID, `0123abcd-01`."""
    bootable: bool
    """MBR: the active flag 0x80. GPT: attribute bit 2, legacy BIOS bootable."""


class Volume(Value, frozen=True):
    """What a volume manager makes out of partitions."""

    kind: Literal["lvm", "luks", "md"]
    name: str | None
    """LVM: of the logical volume. LUKS 2: its label. md: its name."""
    group: str | None
    """LVM: of the volume group; null for other kinds."""
    size: int | None
    """In bytes, null where the header does not say."""
    on: tuple[int, ...]
    """Numbers of the partitions that it lies on; empty for the whole disk."""
    uuid: str | None = None
    """In the spelling of its own tools; null where it has none."""


class FileSystem(Value, frozen=True):
    """A file system, or the signature of another owner, and where it lies."""

    on: str
    """`disk`, `partition N` or `volume GROUP/NAME`."""
    type: str
    """As `blkid` names it."""
    uuid: str | None
    label: str | None
    size: int | None
    """What the superblock says that the file system covers, null where it does not say."""
    mount_point: str | None = None
    """From the guest's fstab; null where it is not mounted, or the guest was not read."""
    features: tuple[str, ...] = ()
    """Of ext2, ext3 and ext4, as `dumpe2fs` names them; of others none is told."""


class Image(Value, frozen=True):
    """All that is known of an image file: what `inspect --format json` prints for it."""

    path: str
    """As given."""
    file_size: int
    allocated_size: int | None
    """What the file occupies on the host's disk."""
    format: str
    """What the content is, never what the name says; `CONTRACT.md` has the list."""
    subformat: str | None
    virtual_size: int | None
    """What the guest sees as the size of its disk."""
    virtual_size_alternatives: dict[str, int]
    """By name, where the file states more than one size."""
    format_details: dict[str, Any]
    """The format's own fields, named as in its specification."""
    extension_matches: bool | None
    """Whether the ending of the name fits the content; null where it has none that says anything."""
    partition_table: PartitionTable | None
    """Null where the bytes that would hold it could not be reached."""
    partitions: tuple[Partition, ...]
    volumes: tuple[Volume, ...]
    filesystems: tuple[FileSystem, ...]
    guest: "Guest | Unknown | None"
    """The operating system inside; null where the disk was read and holds none."""
    problems: tuple[Problem, ...]


class Unread(Value, frozen=True):
    """An image that could not be read at all: nothing is known of it, and nothing is judged."""

    path: str
    """As given."""
    reason: str
    """For a person to read."""
