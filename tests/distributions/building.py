"""Disks of recipes, by the tools with which distributions and installers make theirs; no root is needed."""

import shutil
from pathlib import Path
from typing import Any

from preflight.units import MiB
from tests import disks
from tests.distributions import captures, trees
from tests.distributions.recipes import Recipe
from tests.tools import run, sparse

GPT_TYPES = {
    "bios-boot": "21686148-6449-6E6F-744E-656564454649",
    "esp": "C12A7328-F81F-11D2-BA4B-00A0C93EC93B",
    "prep": "9E1A2D38-C612-4316-AA26-8B49521E5A8B",
    "linux": "0FC63DAF-8483-4772-8E79-3D69D8477DE4",
    "root-x86-64": "4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709",
    "swap": "0657FD6D-A4AB-43C4-84E5-0933C84B4F4F",
    "lvm": "E6D6D379-F507-44C2-A23C-238F2A3DF928",
    "coreos-usr": "5DFBF5F4-2848-4BAC-AA5E-0D9A20B745A6",
    "coreos-reserved": "C95DC21A-DF0E-4340-8D7B-26CBFA9A03E0",
    "coreos-root": "3884DD41-8582-4404-B9A8-E9B84F2DF50E",
    "freebsd-boot": "83BD6B9D-7F41-11DC-BE0B-001560B84F0F",
    "freebsd-ufs": "516E7CB6-6ECF-11D6-8FF8-00022D09712B",
    "freebsd-swap": "516E7CB5-6ECF-11D6-8FF8-00022D09712B",
}
MBR_TYPES = {"linux": "83", "swap": "82", "lvm": "8e", "esp": "ef"}
SIZES = {"xfs": 320, "btrfs": 128}  # in MiB: the least that the tools make; the guest grows it on its first start
SECTORS = MiB // 512
GRUB2 = (b"\xeb\x63\x90".ljust(92, b"\0"), 8)
GRUB_MESSAGES = b"GRUB \0Geom\0Hard Disk\0Read\0 Error\r\n\0"
# The beginning of FreeBSD's pmbr, and of the mbr.bin of syslinux with its messages.
PMBR = bytes.fromhex("fc31c08ec08ed88ed0bc007c89e6bf0006b9000250f3a4") + bytes(200) + b"Missing boot loader"
SYSLINUX = bytes.fromhex("33c0fa8ed88ed0bc007c89e60657") + bytes(300) + b"Missing operating system.\r\n"
SYSLINUX_GPT = SYSLINUX[:-27] + b"Missing OS\r\n"


def build(folder: Path, recipe: Recipe, name: str = "disk.raw") -> Path:
    """The recipe as a raw disk."""
    tree = folder / "tree"
    trees.write(recipe, tree)
    return assemble(folder, recipe, tree, name)


def assemble(folder: Path, recipe: Recipe, tree: Path, name: str = "disk.raw") -> Path:
    """A raw disk of a recipe, with the files of `tree`, which are moved out of it."""
    captures.verify(recipe)
    layout = recipe["disk"]
    is_gpt = layout["table"] == "gpt"
    path = folder / name
    lines, start, places = [f"label: {'gpt' if is_gpt else 'dos'}", f"label-id: {layout['id']}"], SECTORS, {}
    end = layout["size"] * SECTORS - SECTORS
    for index, entry in enumerate(layout["partitions"]):
        number = entry.get("number", index + 1)
        size = entry["size"] * SECTORS if "size" in entry else end - start
        kind = (GPT_TYPES if is_gpt else MBR_TYPES)[entry["type"]]
        line = f"{path}{number} : start={start}, size={size}, type={kind}"
        line += f", name={entry['name']}" if "name" in entry else ""
        line += f", uuid={entry['partuuid']}" if "partuuid" in entry else ""
        line += ", bootable" if entry.get("bootable") else ""
        lines.append(line)
        places[index] = start * 512, size * 512
        start += size
    disks.partitioned(path, layout["size"] * MiB, "\n".join(lines) + "\n")
    # The deepest mount points first, so that each file system gets what is not below another one.
    order = sorted(enumerate(layout["partitions"]), key=lambda pair: -len(pair[1].get("mount", "").rstrip("/")))
    for index, entry in order:
        offset, size = places[index]
        content = _filesystem(folder, entry, tree, size)
        if content:
            disks.put(path, offset, content)
    _boot_code(path, layout, places)
    shutil.rmtree(tree)
    return path


def _filesystem(folder: Path, entry: dict[str, Any], tree: Path, size: int) -> Path | None:
    """The file system of a partition, with what lies below its mount point."""
    kind = entry.get("filesystem")
    if kind is None:
        return None
    mount = entry.get("mount", "")
    files = tree if mount == "/" else taken_out(tree, mount, folder / "taken")
    offset = entry.get("offset", 0)  # of the file system, where something else comes first, as in LVM
    made = make_filesystem(folder / f"filesystem{size}", entry, files, size - offset)
    if "before" in entry:
        held = sparse(folder / f"held{size}", size)
        disks.put(held, 0, entry["before"])
        return disks.put(held, offset, made)
    return made


def taken_out(tree: Path, mount: str, place: Path) -> Path:
    """What lies below a mount point, moved to `place`; an empty directory where that is nothing."""
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    if mount:
        below = tree / mount.lstrip("/")
        if below.is_dir():
            place.rmdir()
            below.rename(place)
        below.mkdir(parents=True)
    return place


def make_filesystem(path: Path, entry: dict[str, Any], files: Path, room: int) -> Path:
    """A file system of this kind with these files, in at most `room` bytes."""
    kind, uuid, label = entry["filesystem"], entry.get("uuid"), entry.get("label")
    options = entry.get("options", ())
    if "capture" in entry:
        return captures.unpack(entry, path)
    sparse(path, min(room, SIZES.get(kind, 64) * MiB))
    if kind == "vfat":
        wide = "32" if path.stat().st_size >= 40 * MiB else "16"
        run("mkfs.vfat", "-F", wide, "-n", label or "NO NAME", "-i", (uuid or "12345678").replace("-", ""), path)
        for one in sorted(files.iterdir()):
            run("mcopy", "-s", "-i", path, one, "::/")
    elif kind in ("ext2", "ext3", "ext4"):
        named = [*(("-U", uuid) if uuid else ()), *(("-L", label) if label else ())]
        run("mke2fs", "-q", "-F", "-t", kind, *named, *options, "-d", files, path)
    elif kind == "xfs":
        named = [*(("-m", f"uuid={uuid}") if uuid else ()), *(("-L", label) if label else ())]
        proto = path.with_suffix(".proto")
        proto.write_text("\n".join(["boot", "0 0", *_protofile(files), ""]))
        run("mkfs.xfs", "-q", "-p", proto, *named, *options, path)
    elif kind == "btrfs":
        named = [*(("-U", uuid) if uuid else ()), *(("-L", label) if label else ())]
        run("mkfs.btrfs", "-q", *named, *options, "--rootdir", files, path)
    elif kind == "swap":
        run("mkswap", "-q", *(("-U", uuid) if uuid else ()), path)
        if entry.get("suspended"):  # what the kernel writes in place of SWAPSPACE2 when it suspends
            disks.put(path, 4086, b"S1SUSPEND\0")
    elif kind == "luks":
        (path.parent / "key").write_text("secret")
        command = "cryptsetup luksFormat --batch-mode --pbkdf pbkdf2 --pbkdf-force-iterations 1000 --key-file"
        run(*command.split(), path.parent / "key", *options, path)
    elif kind == "ufs":
        path.unlink()
        run("makefs", "-t", "ffs", "-s", "32m", "-o", "version=2", path, files)
    else:
        raise AssertionError(f"nothing makes {kind}")
    for file in entry.get("immutable", ()):
        if kind == "xfs":
            run("xfs_db", "-x", "-c", f"path {file}", "-c", "write core.immutable 1", path)
        else:
            run("debugfs", "-w", "-R", f"set_inode_field {file} flags 0x80010", path)  # extents and immutable
    return path


def _protofile(folder: Path) -> list[str]:
    """A directory in the language of mkfs.xfs -p: it ends in a line with a dollar sign."""
    lines = ["d--755 0 0"]
    for path in sorted(folder.iterdir()):
        if path.is_symlink():
            lines.append(f"{path.name} l--777 0 0 {path.readlink()}")
        elif path.is_dir():
            first, *rest = _protofile(path)
            lines += [f"{path.name} {first}", *rest]
        else:
            lines.append(f"{path.name} ---644 0 0 {path}")
    return [*lines, "$"]


def _boot_code(path: Path, layout: dict[str, Any], places: dict[int, tuple[int, int]]) -> None:
    """What the boot loader's installer writes into sector 0, the table left alone."""
    code = layout.get("boot_code")
    if code == "grub2":
        embedded = [
            places[index][0] // 512 for index, entry in enumerate(layout["partitions"]) if entry["type"] == "bios-boot"
        ]
        data = GRUB2[0] + (embedded[0] if embedded else 1).to_bytes(GRUB2[1], "little")
        disks.put(path, 0, data.ljust(0x180, b"\0") + GRUB_MESSAGES)
    elif code == "grub-legacy":
        stage1 = bytearray(b"\xeb\x48\x90".ljust(0x180, b"\0") + GRUB_MESSAGES)
        stage1[0x3E:0x40], stage1[0x44:0x48] = b"\x03\x02", (1).to_bytes(4, "little")
        disks.put(path, 0, bytes(stage1))
    elif code:
        disks.put(path, 0, {"pmbr": PMBR, "syslinux": SYSLINUX, "syslinux-gpt": SYSLINUX_GPT}[code])
    for index, entry in enumerate(layout["partitions"]):
        if "boot_sector" in entry:  # what extlinux --install writes into the first sector of its partition
            disks.put(path, places[index][0], b"\xeb\x58\x90" + entry["boot_sector"].encode() + bytes(300))
            disks.put(path, places[index][0] + 0x5A, b"\xfa\xfc" + bytes(100))
            disks.put(path, places[index][0] + 510, b"\x55\xaa")
