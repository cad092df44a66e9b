"""Images that stand for far more than they are: reads, bytes and memory stay within the limits, and facts come out."""

import bz2
import gzip
import lzma
import os
import re
import shutil
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from preflight.limits import Limits
from preflight.units import GiB, KiB, MiB
from tests import sound
from tests.cli.running import environment
from tests.guests import hives
from tests.tools import require, run, sparse
from tests.volumes import test_lvm2
from tests.windows import ntfs_volume

# The command alone takes some 60 MiB.
MEASURED = """
import resource, sys
import preflight.inspection as walk, msgspec
from preflight.source import FileSource
opened = []
class Counted(FileSource):
    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        opened.append(self)
walk.FileSource = Counted
image = walk.inspect(sys.argv[1])
# Not ru_maxrss of its own, which begins with what the process had that started this one.
own = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM:"))
peak = max(own, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
figures = [sum(file.reads for file in opened), sum(file.bytes_read for file in opened), peak * 1024]
sys.stdout.buffer.write(msgspec.json.encode([image, *figures]))
"""
MAX_MEMORY = 300 * MiB
LIMITS = Limits()


class Taken(NamedTuple):
    """What was found, and what it took."""

    image: dict[str, Any]
    reads: int
    bytes: int
    memory: int


def taken(path: Path) -> Taken:
    """Inspect in a process of its own, and hold it to the limits."""
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, path], capture_output=True, env=environment(), timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    found = Taken(*msgspec.json.decode(done.stdout))
    assert found.reads <= LIMITS.layout_reads + LIMITS.reads
    assert found.bytes <= LIMITS.layout_bytes + LIMITS.bytes
    assert found.memory <= MAX_MEMORY
    return found


def guest(folder: Path, change: Callable[[Path], object], *options: str) -> Path:
    """A file system with the sound guest after a change to its tree."""
    tree = sound.tree(folder)
    change(tree)
    path = sparse(folder / "disk", 512 * MiB)
    run("mke2fs", "-q", "-F", "-t", "ext4", *options, "-d", tree, path)
    return path


PIECE = bytes(64 * MiB)
COMPRESSED: dict[str, Callable[[], bytes]] = {
    "gzip": lambda: gzip.compress(PIECE),
    "bzip2": lambda: bz2.compress(PIECE),
    "xz": lambda: lzma.compress(PIECE, check=lzma.CHECK_CRC32, preset=0),
    "zstd": lambda: subprocess.run(["zstd", "-q", "-c"], input=PIECE, capture_output=True, check=True).stdout,
}


@pytest.mark.parametrize("kind", COMPRESSED)
def test_a_gibibyte_of_zeros_in_an_initramfs(tmp_path: Path, kind: str) -> None:
    if kind == "zstd":
        require("zstd")
    data = COMPRESSED[kind]() * 16
    assert len(data) < 2 * MiB
    found = taken(guest(tmp_path, lambda tree: (tree / f"boot/initrd.img-{sound.KERNEL}").write_bytes(data)))
    assert found.image["guest"]["distro"] == "debian"
    assert found.image["guest"]["kernels"]["installed"][0]["version"] == sound.KERNEL
    assert found.bytes < 32 * MiB


@pytest.mark.parametrize(("name", "size"), [("etc/fstab", 100 * MiB), ("etc/os-release", GiB), ("etc/passwd", GiB)])
def test_a_text_file_of_an_absurd_size_is_not_read(tmp_path: Path, name: str, size: int) -> None:
    def grow(tree: Path) -> None:
        (tree / name).unlink()
        sparse(tree / name, size)

    found = taken(guest(tmp_path, grow))
    assert found.bytes < 16 * MiB
    assert found.image["guest"]["distro"] == "debian"  # its release is told by other files too
    if name != "etc/os-release":
        assert f"has {size} bytes, at most" in str(found.image["guest"])


def test_more_files_than_a_directory_honestly_has(tmp_path: Path) -> None:
    tree = sound.tree(tmp_path)
    for number in range(70_000):  # more than MAX_ENTRIES; mke2fs would take minutes for them
        os.symlink("x", tree / f"boot/vmlinuz-6.1.{number}")
    path = sparse(tmp_path / "disk", 512 * MiB)
    run("mkfs.btrfs", "-q", "--rootdir", tree, path)
    found = taken(path)
    assert found.image["guest"]["distro"] == "debian"
    assert found.bytes < 64 * MiB


def test_links_that_double_at_each_step(tmp_path: Path) -> None:
    def farm(tree: Path) -> None:
        for number in range(60):
            os.symlink(f"l{number + 1}/l{number + 1}", tree / f"etc/l{number}")
        os.symlink(".", tree / "etc/l60")
        for name in ("etc/fstab", "etc/passwd", "boot/grub/grub.cfg"):
            (tree / name).unlink()
            os.symlink("/etc/l0/fstab", tree / name)

    found = taken(guest(tmp_path, farm))
    assert found.image["guest"]["distro"] == "debian"
    assert found.reads < 4000


def test_one_compressed_cluster_that_is_a_million_clusters(tmp_path: Path) -> None:
    cluster = 64 * KiB
    count = 1 << 20
    inflater = zlib.compressobj(9, zlib.DEFLATED, -12)
    packed = inflater.compress(bytes(510) + b"\x55\xaa" + bytes(cluster - 512)) + inflater.flush()
    tables = count * 8 // cluster
    l1, l2 = cluster, 2 * cluster
    data = l2 + tables * cluster
    header = struct.pack(
        ">4sIQIIQIIQQIIQ", b"QFI\xfb", 2, 0, 0, 16, count * cluster, 0, tables, l1, data + cluster, 1, 0, 0
    )
    path = tmp_path / "bomb.qcow2"
    with path.open("wb") as file:
        file.write(header)
        file.seek(l1)
        file.write(b"".join(struct.pack(">Q", 1 << 63 | l2 + number * cluster) for number in range(tables)))
        file.seek(l2)
        file.write(struct.pack(">Q", 1 << 62 | data) * count)
        file.write(packed.ljust(cluster, b"\0"))
        file.write(bytes(2 * cluster))
    found = taken(path)
    assert found.image["virtual_size"] == count * cluster
    assert found.bytes < 64 * MiB


def test_a_chain_of_a_hundred_thousand_boot_records(tmp_path: Path) -> None:
    count, step = 100_000, 8  # sectors: a block of the host's each
    path = sparse(tmp_path / "disk", (count + 2) * step * 512)

    def record(kind: int, start: int, size: int) -> bytes:
        return struct.pack("<B3xB3xII", 0, kind, start, size)

    with path.open("r+b") as file:
        file.write((bytes(446) + record(5, step, count * step)).ljust(510, b"\0") + b"\x55\xaa")
        for number in range(count):
            file.seek((number + 1) * step * 512)
            link = record(5, (number + 1) * step, step) if number + 1 < count else bytes(16)
            file.write((bytes(446) + record(0x83, 1, 1) + link).ljust(510, b"\0") + b"\x55\xaa")
    found = taken(path)
    assert "ebr-chain-invalid" in [problem["code"] for problem in found.image["problems"]]
    assert len(found.image["partitions"]) < 1000


@pytest.mark.parametrize("entries", [1_000_000, 0xFFFFFFFF])
def test_a_gpt_of_a_million_entries(tmp_path: Path, entries: int) -> None:
    path = sparse(tmp_path / "disk", 1 * GiB)
    run("sgdisk", "-n", "1:2048:4095", path)
    with path.open("r+b") as file:
        for place in (512, GiB - 512):
            file.seek(place)
            header = bytearray(file.read(92))
            header[80:84] = entries.to_bytes(4, "little")
            header[16:20] = bytes(4)
            header[16:20] = zlib.crc32(header).to_bytes(4, "little")
            file.seek(place)
            file.write(header)
    found = taken(path)
    assert "gpt-damaged" in [problem["code"] for problem in found.image["problems"]]
    assert found.bytes < 32 * MiB


def directory(inode: int, names: Iterable[str]) -> bytes:
    """Blocks of a linear directory of ext: inode, rec_len, name_len, file_type, name."""
    blocks, block, last = [], b"", 0
    for name in names:
        entry = struct.pack("<IHBB", inode, 8 + (len(name) + 3) // 4 * 4, len(name), 1) + name.encode()
        entry += bytes(-len(entry) % 4)
        if len(block) + len(entry) > 4096:
            blocks.append(_closed(block, last))
            block = b""
        last = len(block)
        block += entry
    return b"".join([*blocks, _closed(block, last)])


def _closed(block: bytes, last: int) -> bytes:
    """The last entry reaches to the end of its block."""
    return (block[: last + 4] + struct.pack("<H", 4096 - last) + block[last + 6 :]).ljust(4096, b"\0")


def test_a_million_kernels_in_one_directory(tmp_path: Path) -> None:
    tree = sound.tree(tmp_path)
    shutil.rmtree(tree / "boot")
    (tree / "kernel").write_bytes(bytes(512))
    path = tmp_path / "disk"
    inode = 12
    for _ in range(2):  # the first tells the number of the inode that the names lead to
        (tree / "boot").write_bytes(directory(inode, (f"vmlinuz-6.1.{number}" for number in range(1_000_000))))
        sparse(path, 256 * MiB)
        run("mke2fs", "-q", "-F", "-t", "ext4", "-b", "4096", "-O", "^metadata_csum,^has_journal", "-d", tree, path)
        found = re.search(r"Inode: (\d+)", run("debugfs", "-R", "stat /kernel", path))
        assert found
        inode = int(found[1])
    run("debugfs", "-w", "-R", "set_inode_field /boot mode 040755", path)
    assert run("debugfs", "-R", "ls -l /boot", path).count("vmlinuz-6.1.") == 1_000_000
    image = taken(path)
    assert image.image["guest"]["distro"] == "debian"
    assert image.bytes < 64 * MiB


def test_metadata_of_a_hundred_thousand_segments(tmp_path: Path) -> None:
    segments = [test_lvm2.linear(number, 1, extent=number % 8, number=number + 1) for number in range(100_000)]
    text = test_lvm2.vg(test_lvm2.lv(7, "root", *segments))
    path = sparse(tmp_path / "disk", 64 * MiB)
    with path.open("r+b") as file:
        file.write(test_lvm2.pv_bytes(1, text, mda_size=32 * MiB))
    found = taken(path)
    assert [problem["code"] for problem in found.image["problems"]] == ["lvm-metadata-invalid"]
    assert found.bytes < 8 * MiB


def test_as_many_segments_as_a_text_has_room_for(tmp_path: Path) -> None:
    segments = [test_lvm2.linear(number, 1, extent=number % 8, number=number + 1) for number in range(8000)]
    text = test_lvm2.vg(test_lvm2.lv(7, "root", *segments))
    assert len(text) < MiB
    path = sparse(tmp_path / "disk", 64 * MiB)
    with path.open("r+b") as file:
        file.write(test_lvm2.pv_bytes(1, text, mda_size=2 * MiB))
    found = taken(path)
    assert found.bytes < 8 * MiB
    assert found.reads < 1000


def test_an_archive_of_a_million_names(tmp_path: Path) -> None:
    name = b"lib/modules/6.1/a.ko\0"
    head = b"070701" + b"".join(b"%08X" % value for value in (1, 0o100644, 0, 0, 1, 0, 0)) + b"0" * 32
    member = head + b"%08X" % len(name) + b"0" * 8 + name
    member += bytes(-len(member) % 4)
    data = gzip.compress(member * 1_000_000, 1)
    found = taken(guest(tmp_path, lambda tree: (tree / f"boot/initrd.img-{sound.KERNEL}").write_bytes(data)))
    assert found.image["guest"]["distro"] == "debian"
    assert found.image["guest"]["kernels"]["installed"][0]["version"] == sound.KERNEL


NESTED = {
    "menus": ('submenu "a" {\n', "}\n"),
    "conditions": ("if true; then\n", "fi\n"),
    "functions": ("function f {\n", "}\n"),
    "calls": ("function f { f; f; }\nf\n", ""),
}


@pytest.mark.parametrize("size", [400 * KiB, 50 * MiB])
@pytest.mark.parametrize("kind", NESTED)
def test_a_menu_that_nests_without_end(tmp_path: Path, kind: str, size: int) -> None:
    begin, end = NESTED[kind]
    count = size // len(begin + end)
    text = begin * count + end * count
    found = taken(guest(tmp_path, lambda tree: (tree / "boot/grub/grub.cfg").write_text(text)))
    assert found.image["guest"]["distro"] == "debian"
    assert found.bytes < 16 * MiB


@pytest.mark.parametrize("name", ["etc/netplan/a.yaml", "etc/cloud/cloud.cfg", "etc/cloud/cloud.cfg.d/a.cfg"])
def test_anchors_that_double_at_each_step(tmp_path: Path, name: str) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{number}: &a{number} [{', '.join([f'*a{number - 1}'] * 10)}]" for number in range(1, 40)]
    lines += ["network: *a39", "datasource_list: *a39", "datasource: *a39", "system_info: *a39"]

    def plant(tree: Path) -> None:
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text("\n".join(lines) + "\n")

    found = taken(guest(tmp_path, plant))
    assert found.image["guest"]["distro"] == "debian"
    assert found.reads < 4000


def test_a_key_of_a_million_subkeys(tmp_path: Path) -> None:
    """Lists of lists in which every one is the same, each of the most entries that it can count."""
    data = bytearray(hives.minimal())
    start = len(data)
    root = 0x1000 + int.from_bytes(data[36:40], "little")
    key = root - 0x1000
    leaf = 32
    page = bytearray(0x20000)
    page[:12] = b"hbin" + struct.pack("<II", start - 0x1000, len(page))
    entries = 7000
    page[leaf : leaf + 8] = struct.pack("<i2sH", -(8 + 8 * entries), b"lh", entries)
    page[leaf + 8 : leaf + 8 + 8 * entries] = struct.pack("<I4s", key, b"aaaa") * entries
    index = (leaf + 8 + 8 * entries + 7) // 8 * 8
    count = 143
    page[index : index + 8] = struct.pack("<i2sH", -(8 + 4 * count), b"ri", count)
    page[index + 8 : index + 8 + 4 * count] = struct.pack("<I", start - 0x1000 + leaf) * count
    data[root + 4 + 0x14 : root + 4 + 0x18] = struct.pack("<I", count * entries)
    data[root + 4 + 0x1C : root + 4 + 0x20] = struct.pack("<I", start - 0x1000 + index)
    data[40:44] = struct.pack("<I", len(data) + len(page) - 0x1000)
    hive = hives.with_checksum(bytes(data + page))
    path = ntfs_volume.format_volume(tmp_path / "disk", 16 * MiB)
    with ntfs_volume.opened(path) as volume:
        for name in ("SYSTEM", "SOFTWARE"):
            volume.write(f"/Windows/System32/config/{name}", hive)
        volume.write("/Windows/System32/ntoskrnl.exe", b"MZ")
    found = taken(path)
    assert found.image["guest"]["os_type"] == "windows"
    assert found.reads < 4000
