"""What is fuzzed: a function over bytes for every format, table, superblock, reader of contents, and parser of text.

Each raises what it is documented to raise, which is caught here, and gives facts that can be sent and printed; all else
is a find.
"""

import pkgutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple, Self

import msgspec

import preflight.contents
import preflight.filesystems
import preflight.formats
import preflight.tables
import preflight.volumes
from preflight import containment, inspection, lzo1x, plugins
from preflight.contents import FileReader, Opener, _ntfs_lznt1, _ntfs_lzx, _ntfs_xpress
from preflight.contents._btrfs_compression import decompress
from preflight.contents.tree import Found, Tree
from preflight.errors import PreflightError, StructureError, UnreadableImage
from preflight.facts import Unknown
from preflight.guests import _hives, _initramfs
from preflight.guests.architecture import read_architecture
from preflight.guests.boot import read_boot_loader
from preflight.guests.cloud_init import read_cloud_init
from preflight.guests.fstab import read_crypttab, read_fstab
from preflight.guests.kernels import read_kernels
from preflight.guests.network import read_network
from preflight.guests.os_release import read_identity
from preflight.guests.security import read_security
from preflight.guests.services import read_services
from preflight.guests.windows import read_windows, read_windows_identity
from preflight.source import BlockSource, Window
from preflight.volumes import MANAGERS, Member
from preflight.volumes._lvm_text import parse as parse_lvm_text
from tests.contents.phony import Content, PhonyReader
from tests.fuzz import guests
from tests.fuzz.bases import Counted, Sparse, changed
from tests.fuzz.disks import Maker, archives, cpio, lvm_texts

MAX_NODES = 24  # files that are looked at of one file system
MAX_ENTRIES = 8  # of one directory
MAX_LEVELS = 8
PIECE = 64 * 1024
CHUNK = 32 * 1024  # that a compressed chunk of NTFS is of
READ = 8 * 1024  # of one file

WHOLE = ("ext", "xfs", "btrfs", "fat", "windows", "containers", "volumes")


class Target(NamedTuple):
    """One thing to fuzz."""

    run: Callable[[bytes], object]
    seeds: Sequence[bytes] = ()
    bases: Sequence[Sparse] = ()
    """Where there are some, the input is changes of them; see `bases`."""


def targets(folder: Path) -> dict[str, Callable[[], Target]]:
    """All targets by name; their disks are made in `folder` when one is wanted."""
    maker = Maker(folder)
    found: dict[str, Callable[[], Target]] = {}
    for module in _modules(preflight.formats, "FORMAT"):
        found[f"format-{module}"] = partial(_on_disks, partial(_format, module), maker.formats, module)
    for module in _modules(preflight.tables, "TABLE"):
        found[f"table-{module}"] = partial(_on_disks, partial(_table, module), maker.tables)
    for module in _modules(preflight.volumes, "VOLUME"):
        found[f"volume-{module}"] = partial(_on_disks, partial(_volume, module), maker.volumes, module)
    for module in _modules(preflight.contents, "CONTENTS"):
        found[f"contents-{module}"] = partial(_on_disks, partial(_contents, module), maker.contents, module)
    found["contents-ext-journal"] = partial(_on_disks, partial(_contents, "ext"), maker.contents, "ext-journal")
    found["contents-xfs-linux"] = partial(_on_disks, partial(_contents, "xfs"), maker.contents, "xfs-linux")
    for module in _modules(preflight.filesystems, "FILESYSTEM"):
        found[f"superblock-{module}"] = partial(_on_disks, partial(_superblock, module), maker.superblocks, module)
    for kind in WHOLE:
        found[f"inspect-{kind}"] = partial(_on_disks, _inspect, maker.whole, kind)
    packed = tuple(archives().values())
    found["initramfs"] = lambda: Target(_search_initramfs, (*packed, cpio({"lib/modules/6.1.1/virtio_blk.ko": b"x"})))
    for number, name in enumerate(("zlib", "lzo", "zstd"), start=1):
        found[f"btrfs-{name}"] = partial(Target, partial(_decompress, number), packed)
    for name, inflate in (("lznt1", _lznt1), ("xpress", _ntfs_xpress.decompress), ("lzx", _ntfs_lzx.decompress)):
        found[f"ntfs-{name}"] = partial(
            Target, partial(_inflate, inflate), (b"\x02\x30abc", bytes([0x88] * 256), *packed)
        )
    found["lzo1x"] = lambda: Target(_lzo1x, (b"\x12\0\x11\0\0", b"\x15abcd\x11\0\0"))
    found["lvm-text"] = lambda: Target(_lvm_text, lvm_texts())
    for name, (read, modules) in _TREES.items():
        seeds = [seed for module in modules for seed in guests.trees(module)]
        found[f"guest-{name}"] = partial(Target, partial(_on_tree, read), seeds)
    for name, (read, path, beside, modules) in _FILES.items():
        found[f"file-{name}"] = partial(Target, partial(_on_file, read, path, beside), guests.texts(*modules))
    found["hive"] = lambda: Target(_hive, _hive_seeds())
    found["guest-windows"] = lambda: Target(partial(_on_file, _windows, _SOFTWARE, _WINDOWS), _hive_seeds())
    return found


def _on_disks(run: Callable[[Counted], object], make: Callable[..., list[Sparse]], *arguments: str) -> Target:
    bases = make(*arguments)
    return Target(lambda data: run(changed(bases, data)), [bytes([number]) for number in range(len(bases))], bases)


def _modules(package: ModuleType, constant: str) -> list[str]:
    names = [info.name for info in pkgutil.iter_modules(package.__path__)]
    public = sorted(name for name in names if not name.startswith("_"))
    return [name for name in public if hasattr(__import__(f"{package.__name__}.{name}", fromlist=["x"]), constant)]


def _checked(value: object) -> object:
    """The value, which must be one that the child can send and a report can print."""
    msgspec.msgpack.encode(value)
    msgspec.json.encode(value)
    return value


def _read_some(source: BlockSource | None) -> None:
    if source is None:
        return
    for offset in (0, 1 << 16, 1 << 20, source.size // 2, max(source.size - PIECE, 0)):
        with suppress(StructureError):
            size = max(min(PIECE, source.size - offset), 0)
            if size:
                assert len(source.read_at(offset, size)) == size


def _format(module: str, source: BlockSource) -> None:
    format_ = plugins.load(preflight.formats, module, "FORMAT")
    with suppress(StructureError):
        for name in format_.claims(source):
            with suppress(StructureError):
                container = format_.open(source, name)
                _checked((container.format_details, container.problems, container.virtual_size_alternatives))
                _read_some(container.guest)


def _table(module: str, source: BlockSource) -> None:
    with suppress(StructureError):
        _checked(plugins.load(preflight.tables, module, "TABLE").read(source))


def _superblock(module: str, source: BlockSource) -> None:
    with suppress(StructureError):
        _checked(plugins.load(preflight.filesystems, module, "FILESYSTEM").read(source))


def _volume(module: str, source: Counted) -> None:
    kind = next(kind for kind, name in MANAGERS.items() if name == module)
    size = source.size // source.parts
    members = [
        Member(kind, number + 1, number * size, Window(source, number * size, size)) for number in range(source.parts)
    ]
    opened, problems = plugins.load(preflight.volumes, module, "VOLUME").read(members)
    _checked(([volume.volume for volume in opened], problems))
    for volume in opened:
        _read_some(volume.source)


def _contents(module: str, source: BlockSource) -> None:
    opener: Opener = plugins.load(preflight.contents, module, "CONTENTS")
    readers: list[FileReader] = []
    with suppress(PreflightError):
        readers.append(opener.open(source))
        if opener.verify_mount:
            opener.verify_mount(readers[0])
    if opener.subvolumes:
        with suppress(PreflightError):
            readers += [reader for _, reader in opener.subvolumes(source)[:2]]
    for reader in readers:
        with suppress(PreflightError):
            _walk(reader)


def _walk(reader: FileReader) -> None:
    waiting, seen = [(reader.root, 0)], 0
    while waiting and seen < MAX_NODES:
        directory, level = waiting.pop()
        with suppress(PreflightError):
            list(reader.names(directory))
        with suppress(PreflightError):
            reader.lookup(directory, "no such name")
        with suppress(PreflightError):
            for name, node in islice(reader.entries(directory), MAX_ENTRIES):
                seen += 1
                with suppress(PreflightError):
                    reader.lookup(directory, name)
                    if node.kind == "file":
                        assert len(reader.read(node, 0, READ)) == min(node.size, READ)
                        reader.read(node, node.size // 2, 512)
                    elif node.kind == "symlink":
                        reader.target(node)
                    elif node.kind == "directory" and level < MAX_LEVELS:
                        waiting.append((node, level + 1))
                if seen >= MAX_NODES:
                    break


class _File(Counted):
    """A disk in the place of `FileSource`."""

    path = "disk"
    descriptor = -1
    allocated_size = None

    def count(self, reads: int, size: int) -> None:
        raise AssertionError("there is no child")

    def changed(self) -> bool:
        return False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass


def _inspect(source: Counted) -> None:
    """The whole walk, with the guest's reader in this process."""
    containment.can_contain = lambda: False
    source.__class__ = _File
    vars(inspection)["FileSource"] = lambda *_, **__: source
    with suppress(UnreadableImage):
        _checked(inspection.inspect("disk"))


def _search_initramfs(data: bytes) -> None:
    reader = PhonyReader({"/initrd": data})
    node = reader.lookup(reader.root, "initrd")
    assert node is not None
    wanted = _initramfs.Search("6.1.1", frozenset({"virtio_blk", "nvme"}), builtin=True)
    _initramfs.search(_initramfs.Place("/initrd", Found("/initrd", reader, node)), wanted, _initramfs.Budget())


def _decompress(kind: int, data: bytes) -> None:
    with suppress(ValueError):
        assert len(decompress(kind, data, PIECE, 4096)) >= PIECE


def _inflate(inflate: Callable[[bytes, int], bytes], data: bytes) -> None:
    with suppress(ValueError):
        assert len(inflate(data, CHUNK)) == CHUNK


def _lznt1(data: bytes, size: int) -> bytes:
    chunks = _ntfs_lznt1.chunks(data, size // _ntfs_lznt1.CHUNK_SIZE)
    return b"".join(map(_ntfs_lznt1.decompress, chunks)).ljust(size, b"\0")


def _lzo1x(data: bytes) -> None:
    with suppress(PreflightError, ValueError):
        assert len(lzo1x.decompress(data, PIECE)) <= PIECE


def _lvm_text(data: bytes) -> None:
    with suppress(StructureError):
        _checked(parse_lvm_text(data.decode("utf-8", "backslashreplace"), "metadata", 0))


def _nowhere(_: str) -> None:
    return None


def _boot_loader(tree: Tree) -> object:
    return read_boot_loader(tree, [tree], bytes(512), _nowhere, [tree])


def _network(tree: Tree) -> object:
    return read_network(tree, read_services(tree))


def _windows(tree: Tree) -> object:
    return read_windows_identity(tree), read_windows(tree, [tree], [tree])


_TREES: dict[str, tuple[Callable[[Tree], object], tuple[str, ...]]] = {
    "os-release": (read_identity, ("test_os_release",)),
    "fstab": (lambda tree: (read_fstab(tree, _nowhere), read_crypttab(tree)), ("test_fstab", "test_devices")),
    "boot-loader": (_boot_loader, ("test_boot", "boot_configs")),
    "network": (_network, ("test_network",)),
    "services": (read_services, ("test_services",)),
    "security": (lambda tree: read_security(tree, Unknown("not read"), ()), ("test_security",)),
    "cloud-init": (read_cloud_init, ("test_cloud_init",)),
    "kernels": (read_kernels, ("test_kernels",)),
    "architecture": (read_architecture, ("test_architecture",)),
}
"""Whole guests: what reads them, and the tests whose guests come first."""

_GRUB = {"/boot/vmlinuz-6.1.1": b"", "/boot/grub/fonts/": b""}
_FILES: dict[str, tuple[Callable[[Tree], object], str, dict[str, Content], tuple[str, ...]]] = {
    "os-release": (read_identity, "/etc/os-release", {}, ("test_os_release",)),
    "redhat-release": (read_identity, "/etc/redhat-release", {}, ("test_os_release",)),
    "fstab": (lambda tree: read_fstab(tree, _nowhere), "/etc/fstab", {}, ("test_fstab",)),
    "crypttab": (read_crypttab, "/etc/crypttab", {}, ("test_fstab",)),
    "grub-cfg": (_boot_loader, "/boot/grub/grub.cfg", {**_GRUB}, ("boot_configs", "test_boot", "test_grub_script")),
    "grubenv": (_boot_loader, "/boot/grub/grubenv", {"/boot/grub/grub.cfg": "load_env\nblscfg\n"}, ("boot_configs",)),
    "menu-lst": (_boot_loader, "/boot/grub/menu.lst", {}, ("boot_configs", "test_boot")),
    "bls": (
        _boot_loader,
        "/boot/loader/entries/a.conf",
        {"/boot/grub2/grub.cfg": "blscfg\n", "/EFI/systemd/systemd-bootx64.efi": b""},
        ("boot_configs", "test_boot"),
    ),
    "loader-conf": (
        _boot_loader,
        "/loader/loader.conf",
        {"/loader/entries/a.conf": "title A\nlinux /l\n", "/EFI/systemd/systemd-bootx64.efi": b""},
        ("boot_configs",),
    ),
    "extlinux": (_boot_loader, "/boot/extlinux/extlinux.conf", {}, ("boot_configs", "test_boot")),
    "lilo": (_boot_loader, "/etc/lilo.conf", {}, ("boot_configs", "test_boot")),
    "netplan": (_network, "/etc/netplan/a.yaml", {}, ("test_network",)),
    "interfaces": (_network, "/etc/network/interfaces", {}, ("test_network",)),
    "ifcfg": (_network, "/etc/sysconfig/network-scripts/ifcfg-eth0", {}, ("test_network",)),
    "suse-ifcfg": (_network, "/etc/sysconfig/network/ifcfg-eth0", {}, ("test_network",)),
    "networkmanager": (_network, "/etc/NetworkManager/system-connections/a", {}, ("test_network",)),
    "networkd": (_network, "/etc/systemd/network/a.network", {}, ("test_network",)),
    "udev-rules": (_network, "/etc/udev/rules.d/70-persistent-net.rules", {}, ("test_network",)),
    "rc-conf": (_network, "/etc/rc.conf", {"/usr/lib/os-release": "ID=freebsd"}, ("test_network",)),
    "unit": (
        read_services,
        "/etc/systemd/system/a.service",
        {"/lib/systemd/systemd": b"", "/etc/systemd/system/multi-user.target.wants/a.service": b""},
        ("test_services",),
    ),
    "inittab": (read_services, "/etc/inittab", {"/sbin/init": b"", "/etc/init.d/a": b"#!/bin/sh"}, ("test_services",)),
    "upstart": (read_services, "/etc/init/a.conf", {"/sbin/initctl": b""}, ("test_services",)),
    "cloud-cfg": (read_cloud_init, "/etc/cloud/cloud.cfg", {"/usr/bin/cloud-init": b""}, ("test_cloud_init",)),
    "sshd-config": (_TREES["security"][0], "/etc/ssh/sshd_config", {}, ("test_security",)),
    "passwd": (_TREES["security"][0], "/etc/passwd", {}, ("test_security",)),
    "shadow": (_TREES["security"][0], "/etc/shadow", {"/etc/passwd": "root:x:0:0::/:/bin/sh\n"}, ("test_security",)),
    "modules-dep": (
        read_kernels,
        "/lib/modules/6.1.1/modules.dep",
        {"/boot/vmlinuz-6.1.1": b"", "/boot/initrd.img-6.1.1": b""},
        ("test_kernels",),
    ),
    "modules-builtin": (read_kernels, "/lib/modules/6.1.1/modules.builtin", {**_GRUB}, ("test_kernels",)),
    "kernel-config": (read_kernels, "/boot/config-6.1.1", {**_GRUB}, ("test_kernels",)),
    "kernel": (read_kernels, "/boot/vmlinuz", {"/lib/modules/6.1.1/modules.dep": b""}, ("test_kernels",)),
}
"""Single files: what reads them, their path, what must lie beside them, and the tests whose texts come first."""

_CONFIG = "/Windows/System32/config"
_SOFTWARE = f"{_CONFIG}/SOFTWARE"
_WINDOWS: dict[str, Content] = {"/Windows/System32/ntoskrnl.exe": b"MZ", "/bootmgr": b""}


def _on_tree(read: Callable[[Tree], object], data: bytes) -> None:
    with suppress(PreflightError):
        _checked(read(Tree(guests.unpacked(data))))


def _on_file(read: Callable[[Tree], object], path: str, beside: dict[str, Content], data: bytes) -> None:
    files = {**beside, path: data}
    if path == _SOFTWARE:
        files[f"{_CONFIG}/SYSTEM"] = data
    with suppress(PreflightError):
        _checked(read(Tree(PhonyReader(files))))


def _hive(data: bytes) -> None:
    reader = PhonyReader({"/hive": data})
    node = reader.lookup(reader.root, "hive")
    assert node is not None
    with suppress(PreflightError):
        root = _hives.open_hive(Found("/hive", reader, node))
        for path in (r"Microsoft\Windows NT\CurrentVersion", r"ControlSet001\Services\viostor", "Select"):
            with suppress(PreflightError):
                _ask(root.find(path))
        for key in root.beginning("C"):
            _ask(key)


def _ask(key: Any) -> None:
    if key:
        _checked((key.texts("ProductName"), key.number("Start"), key.text("ImagePath"), key.pairs("Owners"), key.name))


def _hive_seeds() -> list[bytes]:
    from tests.guests.hives import minimal
    from tests.guests.windows_guests import files
    from tests.tools import find

    found = [minimal(), minimal(3)]
    if find("hivexregedit"):
        whole = files("2012r2")
        found += [data for name in ("SYSTEM", "SOFTWARE") if isinstance(data := whole[f"{_CONFIG}/{name}"], bytes)]
    return found
