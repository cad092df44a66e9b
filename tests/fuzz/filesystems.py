"""Small file systems with files in them: what fuzzing changes ought to be nearly all structure, and read in no time."""

import ctypes.util
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from preflight.units import KiB, MiB
from tests.contents import ext_journals
from tests.contents.sources import capture
from tests.fuzz.bases import Sparse, materialised
from tests.fuzz.guests import TREE
from tests.tools import find

MANY = 40  # files in one directory: an index in ext and XFS, more than a cluster in FAT
SMALL_XFS = {"TEST_DIR": "1", "TEST_DEV": "1", "QA_CHECK_FS": "1"}  # mkfs.xfs makes none below 300 MiB without


class Made(Protocol):
    """`disks.Maker.made`."""

    folder: Path

    def made(
        self, name: str, size: int, *commands: Sequence[str], stdin: str = "", env: dict[str, str] | None = None
    ) -> list[Sparse]: ...


def contents(maker: Made, kind: str) -> list[Sparse]:
    """File systems of a kind, each with other features; none where a tool is missing."""
    return _KINDS[kind](maker)


def tree(folder: Path) -> Path:
    """A guest, and files of every form that a file system stores in a way of its own."""
    root = folder / "tree"
    if root.exists():
        return root
    shutil.copytree(TREE, root)
    many = root / "etc" / "many"
    many.mkdir()
    for number in range(MANY):
        (many / f"a-file-{number}").touch()
    for number in range(3):
        (root / "etc" / f"l{number}").symlink_to("t" * (10, 70, 300)[number])
    (root / "usr/lib/os-release").write_bytes((root / "etc/os-release").read_bytes())
    (root / "etc/os-release").unlink()
    (root / "etc/os-release").symlink_to("../usr/lib/os-release")
    os.mkfifo(root / "etc" / "fifo")
    with (root / "boot" / "sparse").open("wb") as file:
        for number in range(12):  # extents enough for a tree of them
            file.seek(number * 16 * KiB)
            file.write(b"%d" % number * 40)
    (root / "boot" / "text").write_bytes(b"some words that compress " * 900)
    (root / "boot" / "noise").write_bytes(os.urandom(9 * KiB))
    return root


def _ext(maker: Made) -> list[Sparse]:
    variants = {  # type, size in KiB, features
        "ext4": ("ext4", 512, "^has_journal"),
        "ext4-inline": ("ext4", 512, "inline_data,^has_journal"),
        "ext2": ("ext2", 512, "^has_journal"),
        "ext4-meta-bg": ("ext4", 512, "64bit,meta_bg,^has_journal"),
        "ext4-bigalloc": ("ext4", 4096, "bigalloc,^has_journal"),
    }
    found = []
    for name, (kind, size, features) in variants.items():
        options = ("-t", kind, "-b", "1024", "-I", "256", "-N", "160", "-O", f"^resize_inode,{features}")
        command = ("mke2fs", "-q", "-F", *options, "-d", str(tree(maker.folder)), "@")
        found += maker.made(name, size * KiB, command, ("e2fsck", "-fyD", "@"))
    return found


def _ext_journal(maker: Made) -> list[Sparse]:
    """File systems that were not unmounted, with every form of log; the copies in them are of blocks that files use."""
    found = []
    for number, (compat, incompat) in enumerate(
        ((0, 0), (1, 4), (0, 2), (0, 0x0A), (0, 0x08), (0, 0x12), (0, 0x10), (0, 0x36))
    ):
        path = maker.folder / f"ext-journal-{number}"
        if not path.exists():
            if not find("mke2fs") or not find("debugfs"):
                return []
            kind = ("-t", "ext4") if incompat & ext_journals.BITS64 else ("-t", "ext3")
            ext_journals.made(path, *kind, "-d", str(tree(maker.folder)), blocks=2 * ext_journals.MAXLEN)
            _fill_log(path, ext_journals.Format(compat, incompat))
        found.append(Sparse.of_file(path))
    return found


def _fill_log(path: Path, form: ext_journals.Format) -> None:
    data, size = path.read_bytes(), ext_journals.BLOCK
    used = [at // size for at in range(16 * size, len(data), size) if any(data[at : at + size])]
    copies = [(block, data[block * size :][:size]) for block in used[:40]]
    log = form.descriptor(*copies[:20]) + form.descriptor(*copies[20:]) + _unsummed(form.commit())
    log += form.revocation(*used[30:40], sequence=8) + form.descriptor(*copies[:8], sequence=8, flags=(0, 1))
    log += _unsummed(form.commit(8)) + form.revocation(used[0], sequence=9)
    ext_journals.write(path, form, log)


def _unsummed(commit: bytes) -> bytes:
    """A commit block without the checksum of version 1, so that no mutation ends at it."""
    return commit if commit[12:14] == bytes(2) else commit[:12] + bytes(2) + commit[14:16] + bytes(4) + commit[20:]


def _xfs(maker: Made) -> list[Sparse]:
    root = tree(maker.folder)
    proto = maker.folder / "proto"
    proto.write_text("boot\n0 0\nd--755 0 0\n" + _protofile(root) + "$\n")
    variants = {
        "xfs5": ("-b", "size=1024", "-i", "nrext64=1"),
        "xfs5-deep": ("-b", "size=1024", "-n", "size=4096", "-m", "finobt=0", "-i", "size=512"),
        "xfs4": ("-m", "crc=0,finobt=0", "-b", "size=512", "-i", "size=256"),
        "xfs4-plain": ("-m", "crc=0,finobt=0", "-n", "ftype=0", "-s", "size=4096"),
    }
    found = []
    for name, options in variants.items():
        command = ("mkfs.xfs", "-q", "-f", "-d", "agcount=1", *options, "-p", str(proto), "@")
        found += maker.made(name, 16 * MiB, command, env=SMALL_XFS)
    return found


def _xfs_linux(maker: Made) -> list[Sparse]:
    """Made by Linux: extents and directories in trees, which take longer to read."""
    return [materialised(capture("xfs/kernel"), maker.folder / "xfs-kernel")]


def _protofile(directory: Path) -> str:
    lines = ""
    for path in sorted(directory.iterdir()):
        if path.is_symlink():
            lines += f"{path.name} l--777 0 0 {os.readlink(path)}\n"
        elif path.is_dir():
            lines += f"{path.name} d--755 0 0\n{_protofile(path)}$\n"
        elif path.is_file():
            lines += f"{path.name} ---644 0 0 {path}\n"
        else:
            lines += f"{path.name} p--600 0 0\n"
    return lines


def _btrfs(maker: Made) -> list[Sparse]:
    root = str(tree(maker.folder))
    command = ("mkfs.btrfs", "-q", "--mixed", "-n", "4096", "--rootdir", root, "@")
    found = maker.made("btrfs-mixed", 18 * MiB, command)
    for name in ("layouts", "distribution"):
        found.append(materialised(capture(f"btrfs/{name}"), maker.folder / f"btrfs-{name}"))
    return found


def _ntfs(maker: Made) -> list[Sparse]:
    found = []
    if find("mkntfs") and ctypes.util.find_library("ntfs-3g"):
        for cluster in ("512", "4096"):
            path = maker.folder / f"ntfs-{cluster}"
            if not path.exists():
                _fill_ntfs(path, tree(maker.folder), "-c", cluster)
            found.append(Sparse.of_file(path))
    return [*found, materialised(capture("ntfs/windows"), maker.folder / "ntfs-windows")]


def _fill_ntfs(path: Path, root: Path, *options: str) -> None:
    from tests.windows import ntfs_volume

    ntfs_volume.format_volume(path, 3 * MiB, *options)
    with ntfs_volume.opened(path) as volume:
        volume.directory("/packed", compressed=True)
        for name in ("text", "sparse"):
            volume.write(f"/packed/{name}", (root / "boot" / name).read_bytes())
        for file in sorted(root.rglob("*")):
            if not file.is_symlink() and file.is_file():
                volume.write("/" + str(file.relative_to(root)), file.read_bytes())
        volume.write("/boot/hole", b"some", size=MiB)
        if find("wimcapture"):
            from tests.windows.compact import ALGORITHMS, compacted

            data = (root / "boot" / "text").read_bytes()
            for algorithm in ("xpress4k", "lzx"):
                volume.compact(f"/compact/{algorithm}", len(data), ALGORITHMS[algorithm], compacted(data, algorithm))


def _fat(maker: Made) -> list[Sparse]:
    root = tree(maker.folder)
    found = []
    variants = {"fat12": (100 * KiB, "12"), "fat16": (2500 * KiB, "16"), "fat32": (34 * MiB, "32")}
    for name, (size, bits) in variants.items():
        commands = (
            ("mkfs.vfat", "-F", bits, "-s", "1", "-n", "ESP", "@"),
            ("mmd", "-i", "@", "::/EFI", "::/EFI/BOOT"),
            ("mcopy", "-i", "@", str(root / "etc/passwd"), "::/EFI/BOOT/A long name of some file.txt"),
            ("mcopy", "-i", "@", str(root / "boot/text"), "::/EFI/BOOT/BOOTX64.EFI"),
            ("mcopy", "-s", "-i", "@", str(root / "etc/many"), "::/EFI"),
        )
        found += maker.made(name, size, *commands)
    return found


_KINDS: dict[str, Callable[[Made], list[Sparse]]] = {
    "ext": _ext,
    "ext-journal": _ext_journal,
    "xfs": _xfs,
    "xfs-linux": _xfs_linux,
    "btrfs": _btrfs,
    "ntfs": _ntfs,
    "fat": _fat,
}
