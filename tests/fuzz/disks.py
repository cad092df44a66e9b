"""The sound disks and files that fuzzing begins with, made of fixtures, and of tools where these are installed."""

import bz2
import ctypes.util
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
from preflight.units import KiB, MiB
from tests.formats import vhd_images
from tests.fuzz import filesystems
from tests.fuzz.bases import Sparse
from tests.fuzz.guests import TREE
from tests.tools import SEARCH_PATH, find
from tests.volumes import test_lvm2
from tests.volumes.captures import unpacked

FIXTURES = Path(__file__).parents[2] / "fixtures"
BLANK_SIZE = 65 * MiB  # the second superblock of btrfs lies at 64 MiB


class Maker:
    """Makes the disks in a folder; what a missing tool would make is left out."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def made(
        self, name: str, size: int, *commands: Sequence[str], stdin: str = "", env: dict[str, str] | None = None
    ) -> list[Sparse]:
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
                environment = {"PATH": SEARCH_PATH, "LC_ALL": "C", "MKE2FS_DEVICE_SECTSIZE": "512", **(env or {})}
                done = subprocess.run(words, input=stdin.encode(), capture_output=True, env=environment, check=False)
                if done.returncode not in ((0, 1) if command[0] == "e2fsck" else (0,)):  # 1: it changed something
                    path.unlink(missing_ok=True)
                    return []
        return [Sparse.of_file(path)]

    def plain(self, *pieces: bytes) -> Path:
        """A raw disk, to be converted."""
        path = self.folder / "plain"
        if not path.exists():
            with path.open("wb") as file:
                file.write(bytes(510) + b"\x55\xaa" + b"data" * 4096 + bytes(range(256)) * 64)
                file.truncate(512 * KiB)
        return path

    def converted(self, driver: str, *options: str, source: Path | None = None, name: str = "") -> list[Sparse]:
        """A small disk in a format of qemu-img."""
        name = name or "-".join(("converted", driver, *options)).replace("=", "").replace("/", "")
        convert = ("qemu-img", "convert", "-f", "raw", "-O", driver, *options, str(source or self.plain()), "@")
        return self.made(name, 0, convert)

    def contents(self, kind: str) -> list[Sparse]:
        """File systems with files in them."""
        return filesystems.contents(self, kind)

    def tables(self) -> list[Sparse]:
        """Disks with partition tables."""
        gpt = "label: gpt\nsize=64K, type=U\nsize=64K, name=root\nsize=64K\n"
        mbr = "label: dos\nsize=64K, type=83, bootable\nsize=700K, type=5\nsize=64K\nsize=64K\nsize=64K\n"
        quiet = ("sfdisk", "--quiet", "--no-tell-kernel", "@")
        return [
            *self.made("gpt", 4 * MiB, quiet, stdin=gpt),
            *self.made("mbr", 4 * MiB, quiet, stdin=mbr),
            *self.made("hybrid", 4 * MiB, ("sgdisk", "-a", "1", "-n", "1:34:99", "-n", "2:100:199", "-h", "1:2", "@")),
            *self.made("gpt-4096", 4 * MiB, ("sfdisk", "-b", "4096", "--quiet", "--no-tell-kernel", "@"), stdin=gpt),
            Sparse.of_pieces(MiB, *((1 << bits, b"\x55\xaa") for bits in range(9, 12))),
        ]

    def volumes(self, module: str) -> list[Sparse]:
        """Members of a volume manager, one or more on each disk."""
        if module == "lvm2":
            captured = [unpacked(f"lvm2/{name}.xz") for name in ("pv0", "pv1", "pv2")]
            built = [test_lvm2.pv_bytes(number, _group()) for number in (1, 2)]
            found = [[pv] for pv in (*captured, built[0])]
            return [Sparse.of_members(members) for members in (*found, built, captured)]
        if module == "md":
            paths = sorted(FIXTURES.glob("md/*.xz"))
            members = [unpacked(str(path.relative_to(FIXTURES))) for path in paths]
            pairs = [[members[at] for at, path in enumerate(paths) if kind in path.name] for kind in ("0.90", "1-1.2")]
            return [Sparse.of_members(group) for group in (*([member] for member in members), *pairs)]
        luks = ("cryptsetup", "luksFormat", "--batch-mode", "--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000")
        (self.folder / "key").write_text("secret")
        kinds = {"luks1": (), "luks2": (), "luks2-integrity": ("--integrity-no-wipe", "--integrity", "hmac-sha256")}
        return [
            source
            for name, options in kinds.items()
            for source in self.made(
                name,
                20 * MiB,
                (*luks, "--type", name[:5], *options, "--key-file", str(self.folder / "key"), "@"),
            )
        ]

    def superblocks(self, module: str) -> list[Sparse]:
        """Disks that show the magics of a module, and sound ones where there are some."""
        found: list[Sparse] = []
        for place in superblocks.PLACES:
            for magic, names in place.magics.items():
                if module in names.split():
                    at = place.offset if place.offset >= 0 else BLANK_SIZE + place.offset
                    if place.offset < 0:
                        at = at // place.alignment * place.alignment + place.skip
                    found.append(Sparse.of_pieces(BLANK_SIZE, (at, magic)))
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
            "iso9660": ("genisoimage", "-quiet", "-J", "-R", "-o", "@", str(TREE)),
            "squashfs": ("mksquashfs", str(TREE), "@", "-noappend", "-quiet"),
            "readonly": ("mkfs.erofs", "-E^inline_data", "@", str(TREE)),
        }
        if module in tools:
            found += self.made(f"superblock-{module}", BLANK_SIZE, tools[module])
        return found or [Sparse(BLANK_SIZE)]

    def formats(self, module: str) -> list[Sparse]:
        """Files of a container format."""
        match module:
            case "qcow2":
                return self._qcow2()
            case "vhd":
                dynamic = self.converted("vpc", "-o", "subformat=dynamic")
                return [*dynamic, *self.converted("vpc", "-o", "subformat=fixed"), *_built_vhds()]
            case "vmdk":
                kinds = ("monolithicSparse", "streamOptimized", "monolithicFlat", "twoGbMaxExtentSparse")
                return [found for kind in kinds for found in self.converted("vmdk", "-o", f"subformat={kind}")]
            case "vhdx":
                return self.converted("vhdx")
            case "foreign":
                return [found for kind in ("vdi", "qed", "qcow", "parallels") for found in self.converted(kind)]
            case "luks":
                return self.volumes("luks")
            case "archives" | "wrapped":
                return [Sparse.of_pieces(len(data), (0, data)) for data in archives().values()]
            case "iso9660":
                made = ("genisoimage", "-quiet", "-J", "-R", "-o", "@", str(TREE))
                return self.made("iso", 0, made) or [Sparse.of_pieces(MiB, (32768, b"\1CD001\1"))]
        found = [Sparse.of_pieces(MiB, (offset, magic)) for offset, magic, name in containers._MAGICS if name == module]
        found += [
            Sparse.of_pieces(MiB, (MiB - back, magic))
            for back, magic, name in containers._TAIL_MAGICS
            if name == module
        ]
        pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n"
        return found or [Sparse.of_pieces(len(pointer), (0, pointer))]

    def _qcow2(self) -> list[Sparse]:
        """One image for each feature that has a structure of its own."""
        found = self.converted("qcow2", "-c", "-o", "cluster_size=4096")
        zstd = "compression_type=zstd,extended_l2=on,cluster_size=16384"
        found += self.converted("qcow2", "-c", "-o", zstd, name="qcow2-zstd")
        found += self.converted("qcow2", "-c", "-o", "compat=0.10,cluster_size=512", name="qcow2-old")
        found += self.converted("qcow2", "-o", "refcount_bits=1,cluster_size=512", name="qcow2-bit")
        create = ("qemu-img", "create", "-q", "-f", "qcow2")
        found += self.made(
            "qcow2-snapshots",
            0,
            (*create, "-o", "cluster_size=4096", "@", "256K"),
            ("qemu-img", "snapshot", "-c", "first", "@"),
            ("qemu-img", "snapshot", "-c", "second", "@"),
            ("qemu-img", "bitmap", "--add", "@", "changes"),
        )
        backing = ("-u", "-F", "raw", "-b", "/nowhere/base", "-o", "cluster_size=4096")
        found += self.made("qcow2-backing", 0, (*create, *backing, "@", "256K"))
        key = ("--object", "secret,id=key,data=secret")
        luks = ("-o", "encrypt.format=luks,encrypt.key-secret=key,encrypt.iter-time=10,cluster_size=4096")
        found += self.made("qcow2-luks", 0, (*create, *key, *luks, "@", "256K"))
        data = str(self.folder / "qcow2-data-file")
        found += self.made("qcow2-outside", 0, (*create, "-o", f"data_file={data},data_file_raw=on", "@", "256K"))
        return found

    def whole(self, kind: str) -> list[Sparse]:
        """Disks with a guest, of which all is read."""
        match kind:
            case "windows":
                return self._windows()
            case "containers":
                disks = self._partitioned()
                if not disks:
                    return []
                source = self.folder / "whole"
                options = {"qcow2": ("-c", "-o", "cluster_size=16384"), "vpc": ("-o", "subformat=dynamic")}
                found = [*disks, *_built_vhds()]
                for driver, words in options.items():
                    found += self.converted(driver, *words, source=source, name=f"whole-{driver}")
                return found
            case "volumes":
                captured = [unpacked(f"lvm2/{name}.xz") for name in ("ubuntu", "rhel")]
                pieces = [Sparse.of_pieces(8 * MiB, (0, data)) for data in captured if len(data) <= 8 * MiB]
                return [*pieces, *self.volumes("md"), *self.volumes("luks"), *self.tables()]
        return self.contents(kind)

    def _partitioned(self) -> list[Sparse]:
        """GPT with an EFI system partition and a root."""
        esp, root = self.contents("fat")[:1], self.contents("ext")[:1]
        if not esp or not root:
            return []
        script = "label: gpt\nstart=40, size=200, type=U\nstart=240, size=1024, name=root\n"
        command = ("sfdisk", "--quiet", "--no-tell-kernel", "@")
        whole = self.folder / "whole"
        copies = [
            ("dd", f"if={self.folder / name}", f"of={whole}", "bs=512", f"seek={start}", "conv=notrunc", "status=none")
            for name, start in (("fat12", 40), ("ext4", 240))
        ]
        return self.made("whole", 768 * KiB, command, *copies, stdin=script)

    def _windows(self) -> list[Sparse]:
        if not (find("mkntfs") and find("hivexregedit") and ctypes.util.find_library("ntfs-3g")):
            return []
        path = self.folder / "windows"
        if not path.exists():
            from tests.guests.windows_guests import files
            from tests.windows import ntfs_volume

            ntfs_volume.format_volume(path, 6 * MiB)
            with ntfs_volume.opened(path) as volume:
                for name, data in files("2012r2").items():
                    if isinstance(data, (bytes, str)):
                        volume.write(name, data.encode() if isinstance(data, str) else data)
        return [Sparse.of_file(path)]


def _group() -> str:
    """The metadata of a group with volumes of many kinds, on two members."""
    striped = 'type = "striped"\nstripe_count = 2\nstripe_size = 128\nstripes = ["pv0", 8, "pv1", 8]'
    mirror = 'type = "mirror"\nmirror_count = 2\nmirrors = ["leg0", 0, "leg1", 0]'
    raid = 'type = "raid1"\ndevice_count = 2\nregion_size = 1024\nraids = ["leg0", "leg1", "leg1", "leg0"]'
    thin = 'type = "thin"\nthin_pool = "pool"\ntransaction_id = 1\ndevice_id = 1'
    pool = 'type = "thin-pool"\nmetadata = "leg0"\npool = "leg1"\ntransaction_id = 1\nchunk_size = 128\n'
    volumes = (
        test_lvm2.lv(1, "root", test_lvm2.linear(0, 3, extent=2), test_lvm2.linear(3, 2, extent=6, number=2)),
        test_lvm2.lv(2, "striped", test_lvm2.segment(0, 4, striped)),
        test_lvm2.lv(3, "leg0", test_lvm2.linear(0, 2, extent=20), visible=False),
        test_lvm2.lv(4, "leg1", test_lvm2.linear(0, 2, on="pv1", extent=20), visible=False),
        test_lvm2.lv(5, "mirror", test_lvm2.segment(0, 2, mirror)),
        test_lvm2.lv(6, "raid", test_lvm2.segment(0, 2, raid)),
        test_lvm2.lv(7, "thin", test_lvm2.segment(0, 2, thin)),
        test_lvm2.lv(8, "pool", test_lvm2.segment(0, 2, pool)),
    )
    return test_lvm2.vg(*volumes, pvs=(1, 2))


def _built_vhds() -> list[Sparse]:
    """Dynamic and differencing disks of blocks of 2 KiB, so that the table has many."""
    both = vhd_images.footer(disk_type=3, data_offset=512)
    child = vhd_images.footer(disk_type=4, data_offset=512)
    name = "parent.vhd".encode("utf-16-be").ljust(512, b"\0")
    images = [vhd_images.dynamic(copy=both, tail=both), vhd_images.fixed()]
    images.append(vhd_images.dynamic(copy=child, tail=child, head=vhd_images.header(parent_unicode_name=name)))
    return [Sparse.of_pieces(len(data), (0, data)) for data in images]


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


def lvm_texts() -> list[bytes]:
    """Metadata as LVM wrote it, and as the tests build it."""
    data = unpacked("lvm2/pv0.xz")
    start = data.find(b"\ncontents")
    begin = data.rfind(b"\0", 0, start) + 1
    return [_group().encode(), data[begin : data.find(b"\0", start)]]
