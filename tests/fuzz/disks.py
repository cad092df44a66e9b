"""The sound disks and files that fuzzing begins with, made of fixtures, and of tools where these are installed."""

import bz2
import gzip
import io
import lzma
import shutil
import subprocess
import tarfile
import zipfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from preflight.filesystems import index as superblocks
from preflight.formats import index as containers
from preflight.source import BlockSource, FileSource, Memory
from preflight.units import KiB, MiB
from tests.contents.sources import capture
from tests.fuzz.guests import TREE
from tests.tools import SEARCH_PATH, find
from tests.volumes.captures import spread, unpacked

FIXTURES = Path(__file__).parents[2] / "fixtures"
BLANK_SIZE = 65 * MiB  # the second superblock of btrfs lies at 64 MiB


class Maker:
    """Makes the disks in a folder; what a missing tool would make is left out."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def made(self, name: str, size: int, *commands: Sequence[str], stdin: str = "") -> list[BlockSource]:
        """A file of `size` bytes after commands in which `@` stands for its path; none where one fails."""
        path = self.folder / name
        if not path.exists():
            if any(find(command[0]) is None for command in commands):
                return []
            with path.open("wb") as file:
                file.truncate(size)
            for command in commands:
                words = [str(path) if word == "@" else word for word in command]
                words[0] = find(words[0]) or words[0]
                environment = {"PATH": SEARCH_PATH, "LC_ALL": "C", "MKE2FS_DEVICE_SECTSIZE": "512"}
                done = subprocess.run(words, input=stdin.encode(), capture_output=True, env=environment, check=False)
                if done.returncode:
                    path.unlink()
                    return []
        return [FileSource(str(path), max_reads=1 << 60, max_bytes=1 << 60)]

    def file(self, name: str, data: bytes) -> BlockSource:
        """A file of these bytes."""
        path = self.folder / name
        path.write_bytes(data)
        return FileSource(str(path), max_reads=1 << 60, max_bytes=1 << 60)

    def converted(self, driver: str, *options: str) -> list[BlockSource]:
        """A small disk in a format of qemu-img."""
        source = str(self.folder / "plain")
        self.file("plain", bytes(510) + b"\x55\xaa" + b"data" * 65_536 + bytes(4 * MiB))
        name = "-".join(("converted", driver, *options)).replace("=", "")
        (self.folder / name).unlink(missing_ok=True)
        return self.made(name, 0, ("qemu-img", "convert", "-f", "raw", "-O", driver, *options, source, "@"))

    def contents(self, kind: str) -> list[BlockSource]:
        """File systems with files in them."""
        tree = str(TREE)
        match kind:
            case "ext":
                options = ("^has_journal", "inline_data,^has_journal", "^extent,^64bit,^has_journal", "64bit,meta_bg")
                found = []
                for number, features in enumerate(options):
                    features = features.replace("meta_bg", "meta_bg,^resize_inode")
                    made = ("mke2fs", "-q", "-F", "-t", "ext4", "-b", "1024", "-O", features, "-d", tree, "@")
                    found += self.made(f"ext{number}", 8 * MiB, made)
                return found
            case "xfs":
                return [capture("xfs/kernel")]
            case "btrfs":
                return [capture("btrfs/layouts"), capture("btrfs/distribution")]
            case "ntfs":
                return [capture("ntfs/windows")]
        found = []
        for bits, size in (("12", 2 * MiB), ("16", 16 * MiB), ("32", 36 * MiB)):
            commands = (
                ("mkfs.vfat", "-F", bits, "-n", "ESP", "@"),
                ("mmd", "-i", "@", "::/EFI", "::/EFI/BOOT"),
                ("mcopy", "-i", "@", f"{tree}/etc/passwd", "::/EFI/BOOT/A long name of some file.txt"),
                ("mcopy", "-i", "@", f"{tree}/etc/fstab", "::/EFI/BOOT/BOOTX64.EFI"),
            )
            found += self.made(f"fat{bits}", size, *commands)
        return found

    def tables(self) -> list[BlockSource]:
        """Disks with partition tables."""
        gpt = "label: gpt\nsize=1M, type=U\nsize=2M, name=root\nsize=1M\n"
        mbr = "label: dos\nsize=1M, type=83, bootable\nsize=5M, type=5\nsize=1M\nsize=1M\nsize=1M\n"
        quiet = ("sfdisk", "--quiet", "--no-tell-kernel", "@")
        return [
            *self.made("gpt", 8 * MiB, quiet, stdin=gpt),
            *self.made("mbr", 8 * MiB, quiet, stdin=mbr),
            *self.made("hybrid", 8 * MiB, ("sgdisk", "-n", "1:2048:4095", "-n", "2:4096:8191", "-h", "1:2", "@")),
            Memory(bytes(MiB)),
        ]

    def volumes(self, module: str) -> list[BlockSource]:
        """Members of a volume manager."""
        if module == "lvm2":
            return [Memory(unpacked(f"lvm2/{name}.xz")) for name in ("pv0", "pv1", "pv2")]
        if module == "md":
            return [Memory(unpacked(str(path.relative_to(FIXTURES)))) for path in sorted(FIXTURES.glob("md/*.xz"))]
        luks = ("cryptsetup", "luksFormat", "--batch-mode", "--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000")
        (self.folder / "key").write_text("secret")
        return [
            source
            for version in ("luks1", "luks2")
            for source in self.made(
                version, 20 * MiB, (*luks, "--type", version, "--key-file", str(self.folder / "key"), "@")
            )
        ]

    def superblocks(self, module: str) -> list[BlockSource]:
        """Disks that show the magics of a module, and sound ones where there are some."""
        found: list[BlockSource] = []
        for place in superblocks.PLACES:
            for magic, names in place.magics.items():
                if module in names.split():
                    at = place.offset if place.offset >= 0 else BLANK_SIZE + place.offset
                    if place.offset < 0:
                        at = at // place.alignment * place.alignment + place.skip
                    found.append(spread(BLANK_SIZE, (at, magic)))
        more = {"vfat": "fat", "ext": "ext", "xfs": "xfs", "btrfs": "btrfs", "ntfs": "ntfs"}
        if module in more:
            found += self.contents(more[module])
        volumes = {"lvm2_member": "lvm2", "linux_raid": "md", "crypto_luks": "luks"}
        if module in volumes:
            found += self.volumes(volumes[module])
        tools = {
            "swap": ("mkswap", "-q", "@"),
            "exfat": ("mkfs.exfat", "-q", "@"),
            "f2fs": ("mkfs.f2fs", "-q", "@"),
            "nilfs2": ("mkfs.nilfs2", "-q", "@"),
            "jfs": ("mkfs.jfs", "-q", "@"),
            "reiserfs": ("mkfs.reiserfs", "-q", "-f", "-f", "@"),
            "minix": ("mkfs.minix", "@"),
            "udf": ("mkudffs", "@"),
            "apfs": ("mkapfs", "@"),
            "hfs": ("hformat", "@"),
        }
        if module in tools:
            found += self.made(f"superblock-{module}", BLANK_SIZE, tools[module])
        return found or [Memory(bytes(BLANK_SIZE))]

    def formats(self, module: str) -> list[BlockSource]:
        """Files of a container format."""
        images = [self.file(path.name, path.read_bytes()) for path in sorted(FIXTURES.glob("images/*.qcow2"))]
        match module:
            case "qcow2":
                zstd = self.converted("qcow2", "-c", "-o", "compression_type=zstd,extended_l2=on")
                return [*images, *zstd, *self.converted("qcow2", "-c", "-o", "compat=0.10")]
            case "vhd":
                return [
                    *self.converted("vpc", "-o", "subformat=dynamic"),
                    *self.converted("vpc", "-o", "subformat=fixed"),
                ]
            case "vmdk":
                kinds = ("monolithicSparse", "streamOptimized")
                return [found for kind in kinds for found in self.converted("vmdk", "-o", f"subformat={kind}")]
            case "vhdx":
                return self.converted("vhdx")
            case "foreign":
                return [found for kind in ("vdi", "qed", "qcow", "parallels") for found in self.converted(kind)]
            case "luks":
                return self.volumes("luks")
            case "archives" | "wrapped":
                return [Memory(data) for data in archives().values()]
            case "iso9660":
                made = ("genisoimage", "-quiet", "-J", "-R", "-o", "@", str(TREE))
                return self.made("iso", 0, made) or [spread(MiB, (32768, b"\1CD001\1"))]
        found: list[BlockSource] = [
            spread(MiB, (offset, magic)) for offset, magic, name in containers._MAGICS if name == module
        ]
        found += [spread(MiB, (MiB - back, magic)) for back, magic, name in containers._TAIL_MAGICS if name == module]
        return found or [Memory(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n")]

    def whole(self) -> list[BlockSource]:
        """Disks with a guest."""
        found = []
        for name in ("accepted", "refused"):
            image = str(FIXTURES / "images" / f"{name}.qcow2")
            found += self.made(f"{name}.raw", 0, ("qemu-img", "convert", "-O", "raw", image, "@"))
        return [*found, *self.contents("ext"), capture("ntfs/windows"), capture("btrfs/distribution")]


@cache
def archives() -> dict[str, bytes]:
    """A little data in every archive and compressed format that Python, or a tool that is there, writes."""
    data = b"070701" + b"0" * 104 + b"TRAILER!!!\0\0\0\0" + bytes(64 * KiB)
    found = {
        "gzip": gzip.compress(data),
        "bzip2": bz2.compress(data),
        "xz": lzma.compress(data, check=lzma.CHECK_CRC32),
        "lzma": lzma.compress(data, lzma.FORMAT_ALONE),
    }
    for name, command in {"zstd": "zstd", "lz4": "lz4", "lz4 -l": "lz4", "lzop": "lzop", "7z": "7z"}.items():
        if program := shutil.which(command):
            words = [program, "-c", *name.split()[1:]] if name != "7z" else [program, "a", "-si", "-so", "-an", "-t7z"]
            done = subprocess.run(words, input=data, capture_output=True, check=False)
            if done.returncode == 0:
                found[name] = done.stdout
    with io.BytesIO() as file:
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("disk.raw", data)
        found["zip"] = file.getvalue()
    with io.BytesIO() as file:
        with tarfile.open(fileobj=file, mode="w") as tar:
            for name in ("disk.ovf", "disk.vmdk"):
                info = tarfile.TarInfo(name)
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
        found["tar"] = file.getvalue()
    return found


def cpio(files: dict[str, bytes]) -> bytes:
    """An archive of these files in the format newc."""
    parts = []
    for name, data in (*files.items(), ("TRAILER!!!", b"")):
        raw = name.encode() + b"\0"
        head = b"070701" + b"".join(b"%08X" % value for value in (1, 0o100644, 0, 0, 1, 0, len(data)))
        head += b"0" * 32 + b"%08X" % len(raw) + b"0" * 8 + raw
        parts += [head, bytes(-len(head) % 4), data, bytes(-len(data) % 4)]
    return b"".join(parts)
