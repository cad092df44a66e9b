"""Recipes of containers: what qemu-img is told, and the disk that it is given."""

import random
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from preflight.units import GiB, KiB, MiB
from tests.differential.placing import place
from tests.tools import run, sparse

SMALL = 24 * MiB
ESP = "C12A7328-F81F-11D2-BA4B-00A0C93EC93B"


class Recipe(NamedTuple):
    """One container."""

    id: str
    format: str
    """As qemu-img names it."""
    options: str = ""
    """Of `-o`."""
    size: int = SMALL
    label: str = "gpt"
    """Kind of the partition table on the disk."""
    convert: tuple[str, ...] = ()
    """Further options of `qemu-img convert`."""
    commands: tuple[str, ...] = ()
    """What qemu-io does to the image."""
    amend: tuple[tuple[str, ...], ...] = ()
    """Calls of qemu-img on the image; `IMAGE` stands for it. They come before `commands`."""
    problems: tuple[str, ...] = ()
    """What is reported of the image."""


def disk(path: Path, size: int, label: str) -> Path:
    """A raw disk with a table, a FAT, an ext4, and data of several kinds: by chance, repeated, written zeros, none."""
    start, first, second = MiB, 4 * MiB, 8 * MiB
    esp, root, last = (value // 512 for value in (start, start + first, size - 2 * MiB))
    types = (ESP, "L", "S") if label == "gpt" else ("ef", "83", "82")
    script = f"label: {label}\nlabel-id: {'0x5eed1234' if label == 'dos' else '5EED1234-0000-4000-8000-000000000001'}\n"
    for begin, length, kind in ((esp, first, types[0]), (root, second, types[1]), (last, MiB, types[2])):
        script += f"start={begin // 2048 * 2048}, size={length // 512}, type={kind}\n"
    run("sfdisk", sparse(path, size), stdin=script)
    parts = path.with_suffix(".part")
    run("mkfs.vfat", "-i", "0badcafe", "-n", "ESP", sparse(parts, first))
    place(path, start, parts)
    run("mke2fs", "-q", "-F", "-t", "ext4", "-L", "Würzel", sparse(parts, second))
    place(path, start + first, parts)
    run("mkswap", "-L", "swap", sparse(parts, MiB))
    place(path, last // 2048 * MiB, parts)
    parts.unlink()
    chance = random.Random(1)
    with path.open("r+b") as file:
        file.seek(14 * MiB + 512)
        file.write(chance.randbytes(MiB + 12345))
        file.seek(17 * MiB)
        file.write(b"the same again. " * (MiB // 16))
        file.seek(19 * MiB)
        file.write(bytes(MiB))
    return path


def make(recipe: Recipe, source: Path, path: Path) -> Path:
    """The container of this recipe around the disk."""
    options = ("-o", recipe.options) if recipe.options else ()
    run("qemu-img", "convert", "-f", "raw", "-O", recipe.format, *options, *recipe.convert, source, path)
    for command in recipe.amend:
        run("qemu-img", *(str(path) if word == "IMAGE" else word for word in command))
    if recipe.commands:
        words = [word for command in recipe.commands for word in ("-c", command)]
        run("qemu-io", "-f", recipe.format, *words, path)
    return path


def _qcow2(id: str, options: str = "", **more: object) -> Recipe:
    return Recipe(f"qcow2-{id}", "qcow2", options, **more)  # type: ignore[arg-type]


def _kib(size: int) -> str:
    return f"{size // KiB}k" if size >= KiB else str(size)


CLUSTERS = [512 << shift for shift in range(13)]  # 512 bytes to 2 MiB, all that the format allows
_WRITES = (
    "write -P 0x5a 123k 77k",
    "write -z 15M 300k",
    "write -z -u 17M 1M",
    "discard 14M 192k",
    "write -P 0xa5 14848k 512",
    "write -c -P 0x33 20M 2M",  # compressed, and then partly written over
    "write -P 0x44 20992k 3k",
)
_SNAPSHOT = ("snapshot", "-q", "-c", "before", "IMAGE")


def _qcow2_recipes() -> Sequence[Recipe]:
    return [
        *(_qcow2(f"v2-{_kib(size)}", f"compat=0.10,cluster_size={size}") for size in CLUSTERS[::3]),
        *(_qcow2(f"v3-{_kib(size)}", f"compat=1.1,cluster_size={size}") for size in CLUSTERS),
        *(_qcow2(f"extended-l2-{_kib(size)}", f"extended_l2=on,cluster_size={size}") for size in CLUSTERS[5:]),
        *(_qcow2(f"zlib-{_kib(size)}", f"cluster_size={size}", convert=("-c",)) for size in CLUSTERS[::3]),
        *(
            _qcow2(f"zstd-{_kib(size)}", f"compression_type=zstd,cluster_size={size}", convert=("-c",))
            for size in CLUSTERS[::3]
        ),
        _qcow2("v2-zlib", "compat=0.10", convert=("-c",)),
        _qcow2("extended-l2-zlib", "extended_l2=on", convert=("-c",)),
        _qcow2("extended-l2-zstd-16k", "extended_l2=on,compression_type=zstd,cluster_size=16384", convert=("-c",)),
        *(_qcow2(f"preallocation-{kind}", f"preallocation={kind}") for kind in ("metadata", "falloc", "full")),
        _qcow2("preallocation-extended-l2", "preallocation=metadata,extended_l2=on"),
        _qcow2("lazy-refcounts", "lazy_refcounts=on"),
        *(_qcow2(f"refcount-{bits}", f"refcount_bits={bits}") for bits in (1, 2, 4, 8, 32, 64)),
        _qcow2("dense", convert=("-S", "0")),
        _qcow2("mbr", label="dos"),
        _qcow2("unordered", "cluster_size=4096", convert=("-W", "-m", "16")),
        _qcow2("written", commands=_WRITES),
        _qcow2("written-v2", "compat=0.10", commands=_WRITES),
        _qcow2("written-4k", "cluster_size=4096", commands=_WRITES),
        _qcow2("written-2048k", "cluster_size=2097152", commands=_WRITES),
        _qcow2("written-extended-l2", "extended_l2=on", commands=_WRITES),
        _qcow2("written-extended-l2-16k", "extended_l2=on,cluster_size=16384", commands=_WRITES),
        _qcow2("written-zstd", "compression_type=zstd", convert=("-c",), commands=_WRITES),
        _qcow2("snapshot", amend=(_SNAPSHOT,), commands=_WRITES, problems=("qcow2-snapshots",)),
        _qcow2("bitmap", amend=(("bitmap", "--add", "IMAGE", "changes"),), commands=_WRITES),
        _qcow2("upgraded", "compat=0.10", amend=(("amend", "-f", "qcow2", "-o", "compat=1.1", "IMAGE"),)),
        _qcow2("downgraded", commands=(), amend=(("amend", "-f", "qcow2", "-o", "compat=0.10", "IMAGE"),)),
        # The end of the disk moves away from the backup of the GPT.
        _qcow2("grown", amend=(("resize", "-q", "IMAGE", "+8M"),), problems=("gpt-backup-misplaced",)),
        _qcow2("grown-by-a-sector", amend=(("resize", "-q", "IMAGE", "+512"),), problems=("gpt-backup-misplaced",)),
        *(
            _qcow2(f"{size // GiB}G-{_kib(cluster)}", f"cluster_size={cluster}", size=size)
            for size in (1 * GiB, 40 * GiB, 2048 * GiB)
            for cluster in (4 * KiB, 64 * KiB, 2 * MiB)
            if size * 8 // cluster // (cluster // 8) <= 32 * MiB  # the L1 table's limit in QEMU
        ),
        _qcow2("25G-512", "cluster_size=512", size=25 * GiB),
        _qcow2("2048G-extended-l2", "extended_l2=on", size=2048 * GiB),
        _qcow2("500G-zstd", "compression_type=zstd", size=500 * GiB, convert=("-c",)),
        _qcow2("odd-size", size=33 * MiB + 7 * 512),
    ]


def _vhd_recipes() -> Sequence[Recipe]:
    """A disk has an MBR where the size grows to a whole number of cylinders: that has nothing at its end."""
    small = [
        Recipe(f"vpc-{kind}-{name}-{size // 512}-sectors", "vpc", f"subformat={kind}{exact}", size, label)
        for kind in ("fixed", "dynamic")
        for name, exact, label in (("chs", "", "dos"), ("exact", ",force_size=on", "gpt"))
        for size in (SMALL, SMALL + 512, 31 * MiB + 5 * 512)
    ]
    large = [
        Recipe(f"vpc-{kind}-{size // GiB}G", "vpc", f"subformat={kind},force_size=on", size)
        for kind in ("fixed", "dynamic")
        for size in (1 * GiB, 20 * GiB, 127 * GiB, 500 * GiB, 2040 * GiB)  # 2040 GiB: the most that QEMU makes
    ]
    return [
        *small,
        *large,
        Recipe("vpc-dynamic-written", "vpc", "subformat=dynamic,force_size=on", commands=_WRITES[:1] + _WRITES[4:5]),
        Recipe("vpc-fixed-written", "vpc", "subformat=fixed,force_size=on", commands=_WRITES[:1] + _WRITES[4:5]),
    ]


RECIPES = (
    *_qcow2_recipes(),
    *_vhd_recipes(),
    Recipe("raw", "raw"),
    Recipe("raw-mbr", "raw", label="dos"),
    Recipe("raw-2048G", "raw", size=2048 * GiB),
)
