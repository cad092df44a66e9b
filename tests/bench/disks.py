"""Makes the images that are measured: a disk with four partitions, as each kind of container.

A program of its own, so that the memory of the one that measures stays small: `python -m tests.bench.disks FOLDER`.
"""

import sys
from pathlib import Path

from preflight.units import GiB, MiB
from tests.differential.placing import place
from tests.tools import run, sparse

SIZES = {"1 GiB": GiB, "2 TiB": 2048 * GiB}
VHD_MAXIMUM = 2040 * GiB  # as QEMU has it; what is called 2 TiB here is that much as a VHD
CONTAINERS = {
    "raw": ("raw", ""),
    "qcow2": ("qcow2", ""),
    "vhd-dynamic": ("vpc", "subformat=dynamic,force_size=on"),
    "vhd-fixed": ("vpc", "subformat=fixed,force_size=on"),
}


def make_all(folder: Path) -> None:
    """Every container of every size, as `SIZE.CONTAINER` with a hyphen for the space."""
    for name, size in SIZES.items():
        for container, (format_name, options) in CONTAINERS.items():
            source = _disk(folder / "disk", min(size, VHD_MAXIMUM) if format_name == "vpc" else size)
            target = folder / f"{name.replace(' ', '-')}.{container}"
            words = ("-o", options) if options else ()
            run("qemu-img", "convert", "-f", "raw", "-O", format_name, *words, source, target)
            source.unlink()


def _disk(path: Path, size: int) -> Path:
    """EFI system partition, /boot, root, swap."""
    sectors = ((2048, 64 * MiB), (133120, 128 * MiB), (395264, 512 * MiB), (1443840, 64 * MiB))
    words: list[str] = []
    for number, (start, length) in enumerate(sectors, start=1):
        words += ["-n", f"{number}:{start}:+{length // 512}"]
    run("sgdisk", *words, "-t", "1:ef00", "-t", "4:8200", sparse(path, size))
    tools = (
        ("mkfs.vfat", "-F", "32", "-n", "ESP"),
        ("mke2fs", "-q", "-F", "-t", "ext4", "-L", "boot"),
        ("mke2fs", "-q", "-F", "-t", "ext4", "-L", "root"),
        ("mkswap", "-L", "swap"),
    )
    part = path.with_suffix(".part")
    for (start, length), tool in zip(sectors, tools, strict=True):
        run(*tool, sparse(part, length))
        place(path, start * 512, part)
        part.unlink()
    return path


if __name__ == "__main__":
    make_all(Path(sys.argv[1]))
