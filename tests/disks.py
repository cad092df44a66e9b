"""Whole disks with real partition tables and file systems, made by the real tools in sparse files."""

import json
import os
from collections.abc import Mapping
from pathlib import Path

from preflight.units import MiB
from tests.tools import run, sparse


def partitioned(path: Path, size: int, script: str, contents: Mapping[int, Path] | None = None) -> Path:
    """A raw disk, divided by an `sfdisk` script, with files put into its partitions by number."""
    sparse(path, size)
    run("sfdisk", "--quiet", "--no-tell-kernel", path, stdin=script)
    if contents:
        printed = run("sfdisk", "-J", path)
        table = json.loads(printed[printed.index("{") :])["partitiontable"]
        for entry in table["partitions"]:
            number = int(entry["node"].removeprefix(str(path)).lstrip("p"))
            if number in contents:
                put(path, entry["start"] * table.get("sectorsize", 512), contents[number])
    return path


def put(path: Path, offset: int, content: Path | bytes) -> Path:
    """Write a file's data, its holes left out, or bytes, into another at `offset`."""
    with path.open("r+b") as disk:
        if isinstance(content, bytes):
            disk.seek(offset)
            disk.write(content)
            return path
        with content.open("rb") as file:
            end = content.stat().st_size
            start = 0
            while start < end:
                try:
                    start = os.lseek(file.fileno(), start, os.SEEK_DATA)
                except OSError:  # ENXIO: nothing but a hole is left
                    break
                stop = os.lseek(file.fileno(), start, os.SEEK_HOLE)
                file.seek(start)
                disk.seek(offset + start)
                while start < stop:
                    start += disk.write(file.read(min(MiB, stop - start)))
    return path


def ext4(path: Path, size: int, label: str = "root") -> Path:
    sparse(path, size)
    run("mke2fs", "-q", "-F", "-t", "ext4", "-L", label, "-U", "30628ac6-3d56-45e6-b857-fc81683c6f7d", path)
    return path


def vfat(path: Path, size: int, label: str = "ESP") -> Path:
    sparse(path, size)
    run("mkfs.vfat", "-F", "32", "-n", label, "-i", "CDE11539", path)
    return path


def swap(path: Path, size: int) -> Path:
    sparse(path, size)
    run("mkswap", "-q", "-L", "swap", path)
    return path


GPT_SYSTEM = (
    "label: gpt\nlabel-id: 69E9B183-5F8D-BD41-B514-0DD7FADEA46C\n"
    "size=1M, type=21686148-6449-6E6F-744E-656564454649\n"
    'size=64M, type=U, name="EFI System"\n'
    'type=L, name="root"\n'
)


def system(folder: Path, size: int = 256 * MiB, name: str = "system.raw") -> Path:
    """A disk that boots by either firmware: GPT, BIOS boot, an EFI system partition, a root of 128 MiB on the rest."""
    esp = vfat(folder / "esp", 64 * MiB)
    root = ext4(folder / "root", 128 * MiB)
    return partitioned(folder / name, size, GPT_SYSTEM, {2: esp, 3: root})


def converted(path: Path, target: Path, driver: str, *options: str) -> Path:
    """The same disk in another format, by `qemu-img convert`."""
    run("qemu-img", "convert", "-f", "raw", "-O", driver, *options, path, target)
    return target
