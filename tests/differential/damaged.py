"""File systems with a word of their metadata changed: what we read of their files, and what the reference tools do.

No tool here needs root or a kernel: debugfs, xfs_db, `btrfs restore`, ntfscat and mtools read the image themselves.
"""

import random
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import preflight.contents
from preflight.binary import crc32c
from preflight.containment import Task, run_contained
from preflight.contents import OPENERS, ContentsError, FileReader
from preflight.facts import Unknown
from preflight.limits import Limits
from preflight.plugins import load
from preflight.source import Buffered, FileSource
from preflight.units import KiB, MiB
from tests.contents import sources
from tests.tools import SEARCH_PATH, run, sparse

Answers = dict[str, bytes | None]
"""By path the bytes of a file; None where it is refused or not there."""
CONTENT = {
    "/etc/os-release": b"ID=debian\n" * 30,
    "/etc/small": b"x",
    "/etc/empty": b"",
    "/boot/large": b"".join(bytes([number % 251]) * 512 for number in range(600)),
    "/many/name-17": b"seventeen",
    "/a/b/c/d/deep": b"deep",
}
LONGEST = MiB  # what is read of a file
NEIGHBOURS = 150  # files beside the one in /many, so that the directory has more than one block


class Target(NamedTuple):
    """A file system to be damaged."""

    type: str
    """As in `OPENERS`."""
    path: Path
    regions: tuple[tuple[int, int], ...]
    """Offset and size of the metadata that lead to the files."""
    reference: Callable[[Path, Path], Answers]
    """What the tool reads of this image, with a folder for its use."""
    order: str = "little"
    seal: Callable[[bytearray, int], None] | None = None
    """Make the checksum of the region at this offset right again."""


class Damage(NamedTuple):
    """One changed place."""

    offset: int
    data: bytes


def damages(target: Target, count: int, seed: int) -> Iterator[Damage]:
    """`count` words of the regions set to what a hostile hand would choose, always the same for a seed."""
    chance = random.Random(f"{target.type} {seed}")
    with target.path.open("rb") as file:
        for _ in range(count):
            start, size = chance.choice(target.regions)
            file.seek(start)
            region = bytearray(file.read(size))
            used = [at for at in range(0, size - 1, 2) if any(region[at & ~3 : (at & ~3) + 4])]
            at = chance.choice(used if used and chance.random() < 0.8 else range(0, size - 4, 2))
            width = chance.choice((1, 2, 4)) if at + 4 <= size else 1
            order = "big" if target.order == "big" else "little"
            now = int.from_bytes(region[at : at + width], order)  # type: ignore[arg-type]
            top = 1 << 8 * width
            value = chance.choice(
                (0, 1, top - 1, top - 2, top // 2, now + 1, now - 1, now ^ (1 << chance.randrange(8 * width)))
            )
            region[at : at + width] = (value % top).to_bytes(width, order)  # type: ignore[arg-type]
            if target.seal is not None:
                target.seal(region, start)
            yield Damage(start, bytes(region))


@contextmanager
def applied(target: Target, damage: Damage) -> Iterator[None]:
    """The image with the damage, which is undone."""
    with target.path.open("r+b") as file:
        file.seek(damage.offset)
        before = file.read(len(damage.data))
        file.seek(damage.offset)
        file.write(damage.data)
    try:
        yield
    finally:
        with target.path.open("r+b") as file:
            file.seek(damage.offset)
            file.write(before)


def ours(target: Target) -> Answers | str:
    """What our reader gives of the files, in a child with limits; or why it gave up all of them."""

    flat = target.type == "ntfs"

    def read(file: FileSource) -> dict[str, bytes | None]:
        reader: FileReader = load(preflight.contents, OPENERS[target.type], "CONTENTS").open(Buffered(file))
        return {path: _one(reader, path.rpartition("/")[2] if flat else path) for path in CONTENT}

    with sources.unlimited(target.path) as file:  # before the child, which may open nothing
        task = Task(lambda: read(file), dict[str, bytes | None])
        found = run_contained({"files": task}, Limits(task_cpu=2.0), (file.descriptor,))["files"]
    return found.unknown if isinstance(found, Unknown) else found


def _one(reader: FileReader, path: str) -> bytes | None:
    try:
        node = reader.root
        for name in path.strip("/").split("/"):
            found = reader.lookup(node, name)
            if found is None:
                return None
            node = found
        return reader.read(node, 0, min(node.size, LONGEST)) if node.kind == "file" else None
    except ContentsError:
        return None


def tree(folder: Path) -> Path:
    """The files as a folder of the host."""
    root = folder / "tree"
    for path, content in CONTENT.items():
        place = root / path.strip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
    for number in range(NEIGHBOURS):
        (root / "many" / f"name-{number}").write_bytes(CONTENT.get(f"/many/name-{number}", b""))
    return root


def _asked(command: list[str], *, stdin: str = "", seconds: float = 10) -> bytes:
    """What a tool prints, whatever it thinks of the image."""
    try:
        done = subprocess.run(
            command, input=stdin.encode(), capture_output=True, timeout=seconds, check=False,
            env={"PATH": SEARCH_PATH, "LC_ALL": "C.UTF-8", "MTOOLS_SKIP_CHECK": "1"},
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return b""
    return done.stdout if done.returncode == 0 else b""


def _read(path: Path, offset: int, size: int) -> bytes:
    with path.open("rb") as file:
        file.seek(offset)
        return file.read(size)


def _files(folder: Path) -> Answers:
    found: Answers = {}
    for path in CONTENT:
        place = folder / path.strip("/")
        found[path] = place.read_bytes() if place.is_file() else None
    return found


def _emptied(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return folder


# ext


def ext(folder: Path, kind: str) -> Target:
    path = sparse(folder / kind, 4 * MiB)
    options = ("-O", "^metadata_csum") if kind == "ext4" else ()
    run("mke2fs", "-q", "-F", "-t", kind, "-b", "1024", "-N", "512", *options, "-d", tree(folder), path)
    run("e2fsck", "-fyD", path, ok=(0, 1))  # makes the large directory an indexed one
    regions = [(1024, 264), (2048, 64)]
    for name in ("/", "/etc", "/boot", "/many", "/etc/os-release", "/boot/large", "/many/name-17", "/a/b/c"):
        shown = run("debugfs", "-R", f"imap {name}", path).splitlines()[-1]
        block, byte = shown.split("block ")[1].split(", offset ")
        regions.append((int(block) * 1024 + int(byte, 16), 128))
        if name.rpartition("/")[2] in ("", "etc", "boot", "many", "c"):
            blocks = run("debugfs", "-R", f"blocks {name}", path).split()
            regions += [(int(one) * 1024, 1024) for one in blocks[:3]]
    indirect = [
        word for word in run("debugfs", "-R", "stat /boot/large", path).replace(",", " ").split() if "IND" in word
    ]
    regions += [(int(word.rpartition(":")[2]) * 1024, 1024) for word in indirect if word.rpartition(":")[2].isdigit()]
    return Target(kind, path, tuple(regions), _debugfs)


def _debugfs(path: Path, folder: Path) -> Answers:
    out = _emptied(folder)
    for name in CONTENT:
        (out / name.strip("/")).parent.mkdir(parents=True, exist_ok=True)
    commands = "".join(f"dump {name} {out}{name}\n" for name in CONTENT)
    _asked(["debugfs", "-f", "-", str(path)], stdin=commands)
    return _files(out)


# XFS


def xfs(folder: Path) -> Target:
    path = sparse(folder / "xfs", 300 * MiB)
    root = tree(folder)
    lines = ["boot", "0 0", "d--755 0 0"]

    def add(place: Path) -> None:
        for inner in sorted(place.iterdir()):
            if inner.is_dir():
                lines.append(f"{inner.name} d--755 0 0")
                add(inner)
                lines.append("$")
            else:
                lines.append(f"{inner.name} ---644 0 0 {inner}")

    add(root)
    (folder / "proto").write_text("\n".join([*lines, "$", ""]))
    run("mkfs.xfs", "-q", "-m", "crc=0", "-n", "ftype=1", "-p", folder / "proto", path)
    regions = [(0, 208)]
    for name in ("/", "/etc", "/boot", "/many", "/etc/os-release", "/boot/large", "/many/name-17"):
        printed = run("xfs_db", "-r", "-c", f"path {name}", "-c", "addr", "-c", "bmap", path)
        regions.append((int(printed.split("byte offset ")[1].split(",")[0]), 256))
        if name == "/many":
            blocks = [
                int(line.split("startblock ")[1].split()[0]) for line in printed.splitlines() if "startblock" in line
            ]
            regions += [(_xfs_block(path, block), 1024) for block in blocks]
    return Target("xfs", path, tuple(regions), _xfs_db, order="big")


def _xfs_block(path: Path, block: int) -> int:
    """Byte of a file system block."""
    printed = run("xfs_db", "-r", "-c", f"fsblock {block}", "-c", "daddr", path)
    return int(printed.split("daddr is ")[1]) * 512


def _xfs_db(path: Path, folder: Path) -> Answers:
    found: Answers = dict.fromkeys(CONTENT)
    for name in CONTENT:
        commands = [f"path {name}", "print core.size core.mode", "bmap"]
        printed = _asked(["xfs_db", "-r", *(word for one in commands for word in ("-c", one)), str(path)]).decode()
        values = dict(line.split(" = ", 1) for line in printed.splitlines() if " = " in line)
        if "core.size" not in values or not values.get("core.mode", "").startswith("01"):
            continue
        size = min(int(values["core.size"]), LONGEST)
        data = bytearray(size)
        with path.open("rb") as file:
            for line in printed.splitlines():
                words = line.split()
                if "startblock" in words:
                    at = int(words[words.index("offset") + 1]) * 4096
                    block = int(words[words.index("startblock") + 1])
                    count = int(words[words.index("count") + 1])
                    file.seek(_xfs_block(path, block))
                    part = file.read(min(count * 4096, max(0, size - at)))
                    data[at : at + len(part)] = part
        found[name] = bytes(data)
    return found


# btrfs


def btrfs(folder: Path) -> Target:
    path = sparse(folder / "btrfs", 128 * MiB)
    run("mkfs.btrfs", "-q", "--rootdir", tree(folder), path)
    fsid = _read(path, 64 * KiB + 0x20, 16)
    regions = [(64 * KiB, 4096)]
    for place in range(MiB, path.stat().st_size, 16 * KiB):
        header = _read(path, place, 0x60)
        if header[0x20:0x30] == fsid and int.from_bytes(header[0x58:], "little") in (1, 3, 5):
            regions.append((place, 16 * KiB))
    return Target("btrfs", path, tuple(regions), _restore, seal=_btrfs_seal)


def _btrfs_seal(region: bytearray, start: int) -> None:
    region[:4] = (crc32c(bytes(region[32:])) ^ 0xFFFFFFFF).to_bytes(4, "little")


def _restore(path: Path, folder: Path) -> Answers:
    out = _emptied(folder)
    _asked(["btrfs", "restore", "-o", str(path), str(out)])
    return _files(out)


# NTFS


def ntfs(folder: Path) -> Target:
    path = sparse(folder / "ntfs", 8 * MiB)
    run("mkntfs", "-q", "-Q", "-F", "-s", "512", "-c", "4096", path)
    root = tree(folder)
    for name in CONTENT:  # ntfscp makes no directories: the files lie at the top, under their last names
        run("ntfscp", path, root / name.strip("/"), name.rpartition("/")[2])
    boot = _read(path, 0, 512)
    mft = int.from_bytes(boot[48:56], "little") * 4096
    records = (0, 5, *range(64, 64 + len(CONTENT)))
    return Target("ntfs", path, ((0, 84), *((mft + number * 1024, 512) for number in records)), _ntfscat)


def _ntfscat(path: Path, folder: Path) -> Answers:
    found: Answers = {}
    for name in CONTENT:
        last = name.rpartition("/")[2]
        listed = _asked(["ntfsls", "-f", str(path)]).decode("utf-8", "replace").split()
        data = _asked(["ntfscat", "-f", str(path), last])
        found[name] = data if last in listed else None
    return found


# FAT


def fat(folder: Path, bits: int) -> Target:
    path = sparse(folder / f"fat{bits}", {12: 2, 16: 16, 32: 64}[bits] * MiB)
    run("mkfs.vfat", "-F", str(bits), "-s", "1", path)
    run("mcopy", "-s", "-i", path, *sorted(tree(folder).iterdir()), "::/")
    data = _read(path, 0, 512)
    reserved, fats = int.from_bytes(data[14:16], "little"), data[16]
    entries = int.from_bytes(data[17:19], "little")
    length = int.from_bytes(data[22:24], "little") or int.from_bytes(data[36:40], "little")
    start = (reserved + fats * length) * 512
    regions = [(0, 62), (reserved * 512, 512), (reserved * 512, 64), (start, 256)]
    if entries:
        regions.append((start + entries * 32, 2048))
    return Target("vfat", path, tuple(regions), _mtools)


def _mtools(path: Path, folder: Path) -> Answers:
    out = _emptied(folder)
    for name in CONTENT:
        (out / name.strip("/")).parent.mkdir(parents=True, exist_ok=True)
        _asked(["mcopy", "-n", "-i", str(path), f"::{name}", str(out / name.strip("/"))])
    return _files(out)


RECIPES: Mapping[str, Callable[[Path], Target]] = {
    "ext2": lambda folder: ext(folder, "ext2"),
    "ext4": lambda folder: ext(folder, "ext4"),
    "xfs": xfs,
    "btrfs": btrfs,
    "ntfs": ntfs,
    "fat12": lambda folder: fat(folder, 12),
    "fat16": lambda folder: fat(folder, 16),
    "fat32": lambda folder: fat(folder, 32),
}
