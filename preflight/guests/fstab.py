"""/etc/fstab: what is mounted at boot, and what of it has to be on this disk; and the names that crypttab gives.

Specification: fstab(5), https://man7.org/linux/man-pages/man5/fstab.5.html; what is escaped and how: libmount,
libmount/src/tab_parse.c of util-linux; crypttab(5).
"""

from collections.abc import Mapping

import msgspec

from preflight.contents import ContentsError
from preflight.contents.tree import Tree
from preflight.facts import Unknown
from preflight.guest_facts import Fstab, FstabEntry
from preflight.guests._text import bare, lines, shown
from preflight.guests.devices import Resolve

FSTAB = "/etc/fstab"
CRYPTTAB = "/etc/crypttab"
MAX_ENTRIES = 1024  # a large server has some dozens
MAX_FIELD = 4096  # PATH_MAX of Linux

# File systems that lie on no disk.
VIRTUAL_TYPES = {
    *("proc", "sysfs", "tmpfs", "devtmpfs", "devpts", "devfs", "ramfs", "rootfs", "cgroup", "cgroup2", "cpuset"),
    *("overlay", "overlayfs", "aufs", "unionfs", "debugfs", "tracefs", "securityfs", "selinuxfs", "smackfs"),
    *("configfs", "hugetlbfs", "mqueue", "pstore", "bpf", "efivarfs", "binfmt_misc", "fusectl", "usbfs"),
    *("usbdevfs", "rpc_pipefs", "nfsd", "autofs", "nsfs", "procfs", "fdescfs", "linprocfs", "linsysfs", "nullfs"),
    *("mfs", "none", "vboxsf", "vmhgfs", "fuse.vmhgfs-fuse", "prl_fs", "xenfs"),
}
NETWORK_TYPES = {
    *("nfs", "nfs4", "cifs", "smbfs", "smb3", "ncpfs", "afs", "coda", "ceph", "glusterfs", "lustre", "beegfs"),
    *("gpfs", "9p", "virtiofs", "davfs", "cpfs", "cvmfs"),
}
DATASET_TYPES = {"zfs"}  # the spec is a dataset, found by the pool's own means
# The root as the kernel mounted it, memory and files: nothing that a partition could be missing for.
NOT_ON_DISK = ("/dev/root", "/dev/shm", "/dev/zram", "/dev/ram", "/dev/loop", "/dev/null")
TAGS = ("UUID=", "LABEL=", "PARTUUID=", "PARTLABEL=", "ID=")

BIND_OPTIONS = {"bind", "rbind", "loop"}  # the spec is a directory or a file
# With these the boot goes on without it. `nobootwait` is mountall's, of Ubuntu before 15.04; `failok` FreeBSD's.
NOT_REQUIRED_OPTIONS = {"noauto", "nofail", "nobootwait", "_netdev", "x-systemd.automount", "failok"}


def read_fstab(tree: Tree, resolve: Resolve) -> Fstab | Unknown:
    """The lines of /etc/fstab; none where there is no such file. `resolve` finds block devices, see `devices`."""
    try:
        if tree.kind(FSTAB) not in ("file", None):
            return Unknown(f"{FSTAB} is no regular file")
        text = tree.text(FSTAB)
    except ContentsError as error:
        return Unknown(shown(str(error)))
    if text is None:
        return Fstab((), ())
    entries: list[FstabEntry] = []
    for number, line in enumerate(lines(text), start=1):
        entry = _entry(line, number)
        if entry is None:
            continue
        if len(entries) == MAX_ENTRIES:
            return Unknown(f"{FSTAB} has more than {MAX_ENTRIES} entries")
        if is_block_spec(entry):
            on = resolve(entry.spec)
            required = not NOT_REQUIRED_OPTIONS.intersection(entry.options)
            entry = msgspec.structs.replace(entry, on=on, device=True, required=required)
        entries.append(entry)
    return Fstab(tuple(entries), (FSTAB,))


def _entry(line: str, number: int) -> FstabEntry | None:
    """One line; None for a comment, and for one with fewer than three fields, which libmount leaves out too."""
    fields = [field for field in line.replace("\t", " ").split(" ") if field]
    if len(fields) < 3 or fields[0].startswith("#"):
        return None
    spec, mount_point, type_, options = (_unescaped(field[:MAX_FIELD]) for field in [*fields, "defaults"][:4])
    tag, equals, value = spec.partition("=")
    if equals and spec.startswith(TAGS):
        spec = f"{tag}={bare(value)}"
    return FstabEntry(
        spec=spec,
        mount_point=mount_point if mount_point == "/" else mount_point.rstrip("/") or "/",
        type=type_,
        options=tuple(_options(options)),
        line=number,
        on=None,
        device=False,
        required=False,
    )


def _options(text: str) -> list[str]:
    """Apart at commas, but not within quotes: `context="system_u:object_r:tmp_t:s0:c1,c2"`."""
    options: list[str] = []
    for index, piece in enumerate(text.split('"')):
        if index % 2 and options:
            options[-1] += f'"{piece}"'
        else:
            first, *more = piece.split(",")
            options = [*options[:-1], options[-1] + first, *more] if options else [first, *more]
    return [option for option in options if option]


def _unescaped(field: str) -> str:
    r"""A field without its octal escapes of bytes: `\040` is a space."""
    if "\\" not in field:
        return field
    first, *pieces = field.encode().split(b"\\")
    data = first
    for piece in pieces:
        digits = piece[:3]
        octal = len(digits) == 3 and all(digit in b"01234567" for digit in digits) and digits[0] <= ord("3")
        data += bytes([int(digits, 8)]) + piece[3:] if octal else b"\\" + piece
    return data.decode("utf-8", "backslashreplace")


def is_block_spec(entry: FstabEntry) -> bool:
    """Whether the first field names a block device: no share, virtual file system, directory, dataset or file."""
    if entry.type in VIRTUAL_TYPES | NETWORK_TYPES | DATASET_TYPES:
        return False
    if BIND_OPTIONS.intersection(option.partition("=")[0] for option in entry.options):
        return False
    if entry.spec.startswith(TAGS):
        return True
    return entry.spec.startswith("/dev/") and not entry.spec.startswith(NOT_ON_DISK)


def read_crypttab(tree: Tree) -> Mapping[str, str]:
    """The devices that /etc/crypttab opens, by their names below /dev/mapper. Raises `ContentsError`."""
    found: dict[str, str] = {}
    for line in lines(tree.text(CRYPTTAB) or ""):
        fields = line.split()
        if len(fields) >= 2 and not line.startswith("#") and len(found) < MAX_ENTRIES:
            found.setdefault(_unescaped(fields[0]), _unescaped(fields[1]))
    return found
