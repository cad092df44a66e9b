"""Recipes of partition tables: what each tool is told."""

from pathlib import Path
from typing import NamedTuple

from preflight.units import GiB, MiB, TiB
from tests.tools import run, sparse

SIZE = 256 * MiB


class Recipe(NamedTuple):
    """One disk."""

    id: str
    partitions: int
    """Of its partitions, an extended one among them."""
    calls: tuple[tuple[str, ...], ...]
    """Tools with their arguments; the disk comes last, or where `DISK` stands."""
    stdin: str = ""
    size: int = SIZE
    sector_size: int = 512
    problems: tuple[str, ...] = ()
    """What is reported of the disk."""


def make(recipe: Recipe, path: Path) -> Path:
    """The disk of this recipe."""
    sparse(path, recipe.size)
    for call in recipe.calls:
        words = [str(path) if word == "DISK" else word for word in call]
        run(*words, *([] if "DISK" in call else [path]), stdin=recipe.stdin)
    return path


def _sfdisk(id: str, count: int, script: str, **more: object) -> Recipe:
    return Recipe(f"sfdisk-{id}", count, (("sfdisk", "--no-tell-kernel"),), script, **more)  # type: ignore[arg-type]


def _sgdisk(id: str, count: int, *arguments: str, **more: object) -> Recipe:
    return Recipe(f"sgdisk-{id}", count, (("sgdisk", *arguments),), **more)  # type: ignore[arg-type]


def _parted(id: str, count: int, *arguments: str, **more: object) -> Recipe:
    return Recipe(f"parted-{id}", count, (("parted", "-s", "DISK", *arguments),), **more)  # type: ignore[arg-type]


def _fdisk(id: str, count: int, keys: str, sector_size: int = 512, **more: object) -> Recipe:
    call = ("fdisk", "-b", str(sector_size)) if sector_size != 512 else ("fdisk",)
    stdin = "\n".join(keys.split(" ")) + "\n"
    return Recipe(f"fdisk-{id}", count, (call,), stdin, sector_size=sector_size, **more)  # type: ignore[arg-type]


def _lines(count: int, first: int, step: int, size: int, more: str = "") -> str:
    return "".join(f"start={first + index * step}, size={size}{more}\n" for index in range(count))


_GPT = "label: gpt\n"
_MBR = "label: dos\n"
_EXTENDED = "start=2048, size=2048, type=83\nstart=4096, type=5\n"

_BY_SFDISK = (
    _sfdisk("gpt-empty", 0, _GPT),
    _sfdisk("gpt-one-sector", 1, _GPT + "start=2048, size=1\n"),
    _sfdisk("gpt-all", 1, _GPT + "first-lba: 34\nstart=34\n"),
    *(
        _sfdisk(f"gpt-{count}", count, _GPT + _lines(count, 2048, 2048, 2048, f', name="part {count}"'))
        for count in (2, 3, 4, 16, 127)
    ),
    _sfdisk("gpt-128-odd", 128, _GPT + "first-lba: 34\n" + _lines(128, 35, 37, 36)),
    _sfdisk("gpt-200-entries", 150, _GPT + "table-length: 200\n" + _lines(150, 2049, 33, 32)),
    _sfdisk("gpt-numbers", 3, _GPT + "DISK7: start=2048, size=9\nDISK2: start=99999, size=1\nDISK128: start=50001\n"),
    _sfdisk("gpt-backwards", 4, _GPT + "".join(f"start={start}, size=2048\n" for start in (81920, 40960, 20480, 2048))),
    _sfdisk("gpt-names", 3, _GPT + '2048,9,L,\nname="Würfel – 😀",size=9\nname="' + "x" * 36 + '",size=9\n'),
    _sfdisk("gpt-attributes", 2, _GPT + "size=1MiB, attrs=LegacyBIOSBootable\nsize=1MiB, attrs=RequiredPartition\n"),
    _sfdisk(
        "gpt-identifiers",
        1,
        _GPT + "label-id: 00112233-4455-6677-8899-AABBCCDDEEFF\n"
        "size=1MiB, uuid=FFEEDDCC-BBAA-9988-7766-554433221100, type=21686148-6449-6E6F-744E-656564454649\n",
    ),
    *(_sfdisk(f"gpt-type-{alias}", 1, _GPT + f"type={alias}\n") for alias in ("U", "S", "H", "R", "V", "L")),
    _sfdisk("gpt-4-tib", 2, _GPT + "size=3TiB\ntype=U\n", size=4 * TiB),
    _sfdisk("gpt-smallest", 1, _GPT + "first-lba: 34\nstart=34, size=1\n", size=(34 + 1 + 33) * 512),
    _sfdisk("mbr-empty", 0, _MBR),
    _sfdisk("mbr-identifier", 1, _MBR + "label-id: 0x00c0ffee\nsize=1MiB\n"),
    _sfdisk("mbr-one-sector", 1, _MBR + "start=1, size=1\n"),
    _sfdisk("mbr-four", 4, _MBR + _lines(4, 63, 4097, 4095)),
    _sfdisk("mbr-active", 2, _MBR + "size=1MiB, bootable\nsize=1MiB\n"),
    _sfdisk("mbr-gap", 2, _MBR + "DISK2: start=2048, size=7, type=7\nDISK4: start=4096, size=7, type=c\n"),
    _sfdisk("mbr-backwards", 2, _MBR + "start=409601, size=511\nstart=63, size=8\n"),
    *(
        _sfdisk(f"mbr-type-{kind}", 1, _MBR + f"type={kind}\n")
        for kind in ("1", "7", "b", "82", "8e", "a5", "ef", "fd")
    ),
    _sfdisk("mbr-2-tib", 1, _MBR + "start=2048, size=4294965247\n", size=2 * TiB),
    _sfdisk("mbr-logical-1", 3, _MBR + _EXTENDED + "size=1MiB\n"),
    _sfdisk("mbr-logical-none", 2, _MBR + _EXTENDED),
    _sfdisk("mbr-logical-56", 58, _MBR + _EXTENDED + "size=1MiB\n" * 56),
    _sfdisk(
        "mbr-logical-types",
        6,
        _MBR
        + _EXTENDED.replace("type=5", "type=f")
        + "size=9, type=7\nsize=1, type=82\nsize=9, type=c\nsize=9, type=fd\n",
    ),
    _sfdisk("mbr-extended-85", 4, _MBR + _EXTENDED.replace("type=5", "type=85") + "size=7\nsize=1001\n"),
    _sfdisk(
        "mbr-extended-first",
        4,
        _MBR + "start=8193, size=100001, type=5\nstart=2049, size=99\nstart=4097, size=77\nstart=8200, size=1MiB\n",
    ),
    _sfdisk(
        "mbr-extended-last", 7, _MBR + "size=1MiB\nsize=1MiB\nsize=1MiB\ntype=f\nsize=99, bootable\nsize=98\nsize=97\n"
    ),
)
_BY_SGDISK = (
    _sgdisk("one", 1, "-n", "1:0:0"),
    _sgdisk("odd", 2, "-a", "1", "-n", "1:34:2047", "-n", "2:2049:4098"),
    _sgdisk("bios-boot", 2, "-a", "1", "-n", "1:34:2047", "-t", "1:ef02", "-n", "2:0:0", "-A", "2:set:2"),
    _sgdisk("named", 2, "-n", "1:0:+9M", "-c", "1:EFI System", "-t", "1:ef00", "-n", "2:0:+9M", "-c", "2:日本語"),
    _sgdisk("deleted", 2, "-n", "1:0:+9M", "-n", "2:0:+9M", "-n", "3:0:+9M", "-d", "2"),
    _sgdisk("sorted", 2, "-n", "1:200M:+9M", "-n", "2:10M:+9M", "-s"),
    _sgdisk("transposed", 2, "-n", "1:10M:+9M", "-n", "4:20M:+9M", "-r", "1:4"),
    _sgdisk("table-of-256", 1, "-S", "256", "-n", "200:0:0"),
    _sgdisk("table-of-4", 4, "-S", "4", *(word for n in "1234" for word in ("-n", f"{n}:0:+{n}M"))),
    _sgdisk("moved-table", 1, "-j", "1024", "-n", "1:0:0"),
    _sgdisk("hybrid-1", 1, "-n", "1:1M:+9M", "-h", "1"),
    _sgdisk("hybrid-3", 4, *(word for n in "1234" for word in ("-n", f"{n}:0:+{n}M")), "-h", "1,2,4"),
    _sgdisk("guid", 1, "-U", "01234567-89AB-CDEF-0123-456789ABCDEF", "-n", "1:0:0", "-u", "1:R"),
    _sgdisk("1-gib-swap", 1, "-n", "9:0:+1G", "-t", "9:8200", size=2 * GiB),
    Recipe("sgdisk-from-mbr", 2, (("sfdisk", "--no-tell-kernel"), ("sgdisk", "-g")), _MBR + "size=9MiB\nsize=9MiB\n"),
    _sgdisk("to-mbr", 2, "-n", "1:0:+9M", "-n", "2:0:+9M", "-m", "1:2"),
)
_BY_PARTED = (
    _parted("gpt", 2, "mklabel", "gpt", "mkpart", "a", "1MiB", "50%", "mkpart", "b", "ext4", "50%", "100%"),
    _parted("gpt-bios", 1, "mklabel", "gpt", "mkpart", "b", "34s", "2047s", "set", "1", "bios_grub", "on"),
    _parted("gpt-esp", 1, "mklabel", "gpt", "mkpart", "EFI", "fat32", "1MiB", "100%", "set", "1", "esp", "on"),
    _parted("gpt-pmbr", 1, "mklabel", "gpt", "disk_set", "pmbr_boot", "on", "mkpart", "root", "1MiB", "100%"),
    _parted("gpt-legacy", 1, "mklabel", "gpt", "mkpart", "r", "1MiB", "100%", "set", "1", "legacy_boot", "on"),
    _parted("mbr", 2, "mklabel", "msdos", "mkpart", "primary", "1MiB", "9MiB", "mkpart", "primary", "9MiB", "100%"),
    _parted("mbr-active", 1, "mklabel", "msdos", "mkpart", "primary", "ntfs", "63s", "9999s", "set", "1", "boot", "on"),
    _parted(
        "mbr-logical",
        4,
        *("mklabel", "msdos", "mkpart", "primary", "1MiB", "9MiB", "mkpart", "extended", "9MiB", "100%"),
        *("mkpart", "logical", "10MiB", "20MiB", "mkpart", "logical", "linux-swap", "21MiB", "99%"),
    ),
    _parted(
        "mbr-logical-removed",
        3,
        *("mklabel", "msdos", "mkpart", "extended", "1MiB", "100%", "mkpart", "logical", "2MiB", "9MiB"),
        *("mkpart", "logical", "10MiB", "20MiB", "mkpart", "logical", "21MiB", "30MiB", "rm", "6"),
    ),
    _parted("mbr-lvm", 1, "mklabel", "msdos", "mkpart", "primary", "1MiB", "100%", "set", "1", "lvm", "on"),
    _parted("gpt-2-tib", 1, "mklabel", "gpt", "mkpart", "all", "1MiB", "100%", size=2 * TiB),
)
_BY_FDISK = (
    _fdisk("gpt", 2, "g n   +16M n 7   w"),
    _fdisk("mbr", 2, "o n p 1  +16M n p 3   a 1 w"),
    _fdisk("mbr-logical", 4, "o n p 1  +16M n e 2   n  +16M n   w"),
    _fdisk("gpt-4096", 2, "g n   +16M n 3   t 3 19 w", 4096),
    _fdisk("gpt-4096-empty", 0, "g w", 4096),
    _fdisk("gpt-4096-odd", 2, "g n 2 257 259 n 9 263 263 w", 4096),
)

RECIPES = (*_BY_SFDISK, *_BY_SGDISK, *_BY_PARTED, *_BY_FDISK)
