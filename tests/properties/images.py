"""Sound images of every kind that is read, small, with the places of their structures and how to seal these again."""

import hashlib
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from construct import Array, Construct, Int16ub, Int32ub, Int64ub, Struct

from preflight.binary import crc32c
from preflight.contents import _ext_layouts
from preflight.filesystems import _btrfs_layouts, _fat_geometry, _ntfs_records, btrfs, exfat, ext, ntfs, swap, vfat, xfs
from preflight.formats._qcow2_header import COMPRESSION, HEADER, HEADER_V3
from preflight.formats._qcow2_tables import SNAPSHOT
from preflight.formats._vhd_dynamic import HEADER as DYNAMIC_HEADER
from preflight.formats._vhd_dynamic import HEADER_SIZE
from preflight.formats.vhd import FOOTER
from preflight.tables._boot_sector import BOOT_RECORD
from preflight.tables._gpt_entries import PARTITION_ENTRY
from preflight.tables._gpt_header import GPT_HEADER
from preflight.units import KiB, MiB
from preflight.volumes import _luks1, _luks2, _lvm_label, _md_superblock
from preflight.volumes._lvm_label import lvm_crc
from tests import disks, sound
from tests.contents import sources
from tests.properties.fields import fields, values
from tests.tools import run, sparse
from tests.volumes import test_luks, test_lvm2, test_md

Read = Callable[[int, int], bytes]
Writes = list[tuple[int, bytes]]
Seal = Callable[[Read], Writes]


class Place(NamedTuple):
    """A structure in an image."""

    name: str
    layout: Construct
    offset: int
    seal: Seal | None = None
    """What must be written so that checksums fit the changed structure."""


class Sound(NamedTuple):
    """A sound image."""

    path: Path
    places: tuple[Place, ...]


def mutations(image: Sound) -> Iterator[tuple[str, Writes]]:
    """Every field of every structure set to every value, once as it is and once under checksums that fit."""
    data = image.path.open("rb")

    def read(offset: int, size: int) -> bytes:
        data.seek(offset)
        return data.read(size)

    with data:
        for place in image.places:
            for field in fields(place.layout, place.offset):
                now = read(field.offset, field.size)
                for value in values(field, now):
                    name = f"{place.name} {field.name}={value.hex()[:32]}"
                    yield name, [(field.offset, value)]
                    if place.seal is not None:
                        sealed = place.seal(patched(read, [(field.offset, value)]))
                        if sealed != [(field.offset, value)]:
                            yield f"{name} sealed", [(field.offset, value), *sealed]


def patched(read: Read, writes: Writes) -> Read:
    """The same bytes after these writes."""

    def after(offset: int, size: int) -> bytes:
        data = bytearray(read(offset, size))
        for start, new in writes:
            first, last = max(start, offset), min(start + len(new), offset + size)
            if first < last:
                data[first - offset : last - offset] = new[first - start : last - start]
        return bytes(data)

    return after


# Checksums


def _vhd(offset: int, size: int, field: int) -> Seal:
    def seal(read: Read) -> Writes:
        data = read(offset, size)
        total = ~(sum(data) - sum(data[field : field + 4])) & 0xFFFFFFFF
        return [(offset + field, total.to_bytes(4, "big"))]

    return seal


def gpt_seal(header: int) -> Seal:
    """For a GPT header at this byte, whose array of 128 entries lies where it was made."""

    def seal(read: Read) -> Writes:
        start = 1024 if header == 512 else header - 128 * 128
        writes = [(header + 88, struct.pack("<I", zlib.crc32(read(start, 128 * 128))))]
        size = int.from_bytes(read(header + 12, 4), "little")
        data = bytearray(patched(read, writes)(header, size if 20 <= size <= 512 else 92))
        data[16:20] = bytes(4)
        return [*writes, (header + 16, struct.pack("<I", zlib.crc32(bytes(data))))]

    return seal


def _crc32c(start: int, size: int, field: int, *, inverted: bool, blank: bool) -> Seal:
    """CRC-32C of `size` bytes at `start`, stored at byte `field` of them; there `blank` bytes, or the CRC ends."""

    def seal(read: Read) -> Writes:
        data = read(start, size)
        data = data[:field] + bytes(4) + data[field + 4 :] if blank else data[:field]
        value = crc32c(data) ^ (0xFFFFFFFF if inverted else 0)
        return [(start + field, value.to_bytes(4, "little"))]

    return seal


def _btrfs_superblock(offset: int) -> Seal:
    def seal(read: Read) -> Writes:
        return [(offset, (crc32c(read(offset + 32, 4096 - 32)) ^ 0xFFFFFFFF).to_bytes(4, "little"))]

    return seal


def _lvm_header(read: Read) -> Writes:
    mda = test_lvm2.MDA_START
    return [
        (512 + 16, lvm_crc(read(512 + 20, 512 - 20)).to_bytes(4, "little")),
        (mda, lvm_crc(read(mda + 4, 508)).to_bytes(4, "little")),
    ]


def _luks2_copy(offset: int) -> Seal:
    def seal(read: Read) -> Writes:
        data = bytearray(read(offset, 16 * KiB))
        data[448:512] = bytes(64)
        return [(offset + 448, hashlib.sha256(bytes(data)).digest())]

    return seal


def _md(offset: int) -> Seal:
    def seal(read: Read) -> Writes:
        data = bytearray(read(offset, 256 + 2 * 2))
        data[216:220] = bytes(4)
        total = sum(struct.unpack(f"<{len(data) // 4}I", data))
        return [(offset + 216, ((total & 0xFFFFFFFF) + (total >> 32) & 0xFFFFFFFF).to_bytes(4, "little"))]

    return seal


# Images


def _read(path: Path, offset: int, size: int) -> bytes:
    with path.open("rb") as file:
        file.seek(offset)
        return file.read(size)


def _guest_disk(folder: Path) -> Path:
    return sound.disk(folder, sound.tree(folder))


def gpt(folder: Path) -> Sound:
    """A system disk with a Debian: GPT, FAT32, ext4."""
    path = _guest_disk(folder)
    backup = 256 * MiB - 512
    places = [
        Place("mbr", BOOT_RECORD, 0),
        Place("gpt header", GPT_HEADER, 512, gpt_seal(512)),
        Place("gpt entry 1", PARTITION_ENTRY, 1024, gpt_seal(512)),
        Place("gpt entry 3", PARTITION_ENTRY, 1024 + 256, gpt_seal(512)),
        Place("gpt backup", GPT_HEADER, backup, gpt_seal(backup)),
    ]
    return Sound(path, tuple(places))


def mbr(folder: Path) -> Sound:
    """Primary, extended and two logical partitions."""
    root = disks.ext4(folder / "root", 8 * MiB)
    script = "label: dos\nsize=16M, type=83\ntype=f\nsize=8M, type=83\nsize=8M, type=82\n"
    path = disks.partitioned(folder / "mbr.raw", 64 * MiB, script, {1: root, 5: root})
    second = 17 * MiB  # sfdisk begins at 1 MiB
    return Sound(path, (Place("mbr", BOOT_RECORD, 0), Place("ebr", BOOT_RECORD, second)))


def ext4(folder: Path) -> Sound:
    """ext4 with a Debian, over the whole disk; the superblock and the inode of the root."""
    path = sparse(folder / "ext4", 16 * MiB)
    run("mke2fs", "-q", "-F", "-t", "ext4", "-b", "1024", "-d", sound.tree(folder), path)
    seal = _crc32c(1024, 1024, 1020, inverted=False, blank=False)
    shown = run("debugfs", "-R", "imap <2>", path).splitlines()[-1]
    block, byte = shown.split("block ")[1].split(", offset ")
    inode = int(block) * 1024 + int(byte, 16)
    table = Array(4, Int32ub)  # the first words of the group descriptor
    return Sound(
        path,
        (
            Place("superblock", ext.SUPERBLOCK, 1024, seal),
            Place("group descriptor", table, 2048),
            Place("root inode", _ext_layouts.INODE, inode),
            Place("root extents", Array(15, Int32ub), inode + 40),
        ),
    )


def xfs_(folder: Path) -> Sound:
    """XFS with a file, over the whole disk; the superblock and the AGI."""
    path = sparse(folder / "xfs", 300 * MiB)
    (folder / "proto").write_text(f"x\n0 0\nd--755 0 0\netc d--755 0 0\nos-release ---644 0 0 {__file__}\n$\n$\n")
    run("mkfs.xfs", "-q", "-p", folder / "proto", path)
    seal = _crc32c(0, 512, xfs.CRC_OFFSET, inverted=True, blank=True)
    agi = Struct("magic" / Int32ub, "version" / Int32ub, "seqno" / Int32ub, "length" / Int32ub, "count" / Int32ub,
                 "root" / Int32ub, "level" / Int32ub)  # fmt: skip
    node = Struct("magic" / Int32ub, "level" / Int16ub, "numrecs" / Int16ub, "leftsib" / Int32ub, "rightsib" / Int32ub)
    root = _xfs_number(path, "sb 0", "rootino")
    block = _xfs_number(path, "agi 0", "root") * 4096
    inode = (root // 8) * 4096 + root % 8 * 512
    core = Struct(
        "magic" / Int16ub, "mode" / Int16ub, "version_format" / Int16ub, "onlink" / Int16ub,
        "times" / Array(11, Int32ub),
        "size" / Int64ub, "nblocks" / Int64ub, "extsize" / Int32ub, "nextents" / Int32ub, "more" / Array(23, Int32ub),
        "data" / Array(8, Int32ub),
    )  # fmt: skip
    return Sound(
        path,
        (
            Place("superblock", xfs.SUPERBLOCK, 0, seal),
            Place("agi", agi, 1024),
            Place("inode b+tree", node, block),
            Place("root inode", core, inode),
        ),
    )


def _xfs_number(path: Path, where: str, field: str) -> int:
    return int(run("xfs_db", "-r", "-c", where, "-c", f"print {field}", path).rpartition("=")[2])


def btrfs_(folder: Path) -> Sound:
    """btrfs with a Debian, over the whole disk; the superblock and the header of the tree of roots."""
    path = sparse(folder / "btrfs", 128 * MiB)
    run("mkfs.btrfs", "-q", "-O", "^no-holes", "--rootdir", sound.tree(folder), path)
    seal = _btrfs_superblock(64 * KiB)
    return Sound(
        path,
        (
            Place("superblock", btrfs.SUPERBLOCK, 64 * KiB, seal),
            Place("chunk", _btrfs_layouts.CHUNK_ITEM, 64 * KiB + 0x32B + 17, seal),
            Place("stripe", _btrfs_layouts.STRIPE, 64 * KiB + 0x32B + 17 + 48, seal),
        ),
    )


def ntfs_(folder: Path) -> Sound:
    """NTFS with the files of a Windows; boot sector, the first record of the MFT, and the root directory's."""
    path = folder / "ntfs"
    capture = sources.capture("ntfs/windows")
    with sparse(path, capture.size).open("r+b") as file:
        for offset in range(0, capture.size, MiB):
            data = capture.read_at(offset, min(MiB, capture.size - offset))
            if any(data):
                file.seek(offset)
                file.write(data)
    boot = capture.read_at(0, 512)
    cluster = int.from_bytes(boot[11:13], "little") * boot[13]
    mft = int.from_bytes(boot[48:56], "little") * cluster
    words = Array(64, Int32ub)
    return Sound(
        path,
        (
            Place("boot sector", ntfs.BOOT_SECTOR, 0),
            Place("$MFT", _ntfs_records.FILE_RECORD, mft),
            Place("$MFT words", words, mft),
            Place("root directory words", words, mft + 5 * 1024),
        ),
    )


def fat(folder: Path, bits: int) -> Sound:
    """FAT with a loader, over the whole disk."""
    path = sparse(folder / f"fat{bits}", {12: 4, 16: 32, 32: 64}[bits] * MiB)
    run("mkfs.vfat", "-F", str(bits), path)
    run("mmd", "-i", path, "::/EFI", "::/EFI/BOOT")
    run("mcopy", "-i", path, __file__, "::/EFI/BOOT/BOOTX64.EFI")
    reserved = int.from_bytes(_read(path, 14, 2), "little")
    places = [
        Place("bpb", _fat_geometry.BPB, 0),
        Place("end of bpb", _fat_geometry.FAT32 if bits == 32 else _fat_geometry.FAT16, _fat_geometry.BPB.sizeof()),
        Place("table", Array(12, Int16ub), reserved * 512),
    ]
    return Sound(path, (*places, *([Place("fsinfo", vfat.FSINFO, 512)] if bits == 32 else ())))


def exfat_(folder: Path) -> Sound:
    """exFAT and, at other partitions, swap."""
    path = sparse(folder / "exfat", 32 * MiB)
    run("mkfs.exfat", path)
    return Sound(path, (Place("boot sector", exfat.BOOT_SECTOR, 0),))


def swap_(folder: Path) -> Sound:
    """A swap area."""
    path = disks.swap(folder / "swap", 4 * MiB)
    return Sound(path, (Place("header", swap.HEADER_LITTLE, 1024),))


def _written(path: Path, source: Any) -> Path:
    sparse(path, source.size)
    with path.open("r+b") as file:
        for offset in range(0, source.size, MiB):
            data = source.read_at(offset, min(MiB, source.size - offset))
            if any(data):
                file.seek(offset)
                file.write(data)
    return path


def lvm(folder: Path) -> Sound:
    """LVM on the whole disk with two volumes, one of them on a file system."""
    text = test_lvm2.vg(
        test_lvm2.lv(7, "root", test_lvm2.linear(0, 3, extent=2)), test_lvm2.lv(8, "data", test_lvm2.linear(0, 9))
    )
    path = _written(folder / "lvm", test_lvm2.pv_member(1, text).source)
    return Sound(
        path,
        (
            Place("label", _lvm_label.LABEL_HEADER, 512, _lvm_header),
            Place("pv header", _lvm_label.PV_HEADER, 512 + 32, _lvm_header),
            Place("areas", Array(6, _lvm_label.DISK_LOCN), 512 + 32 + 40, _lvm_header),
            Place("mda header", _lvm_label.MDA_HEADER, test_lvm2.MDA_START, _lvm_header),
        ),
    )


def luks_1(folder: Path) -> Sound:
    """LUKS 1 by cryptsetup."""
    path = sparse(folder / "luks1", 8 * MiB)
    fast = ("--batch-mode", "--pbkdf-force-iterations", "1000", "--key-file", "-")
    run("cryptsetup", "luksFormat", "--type", "luks1", *fast, path, stdin="key")
    return Sound(path, (Place("header", _luks1.PHDR, 0),))


def luks_2(folder: Path) -> Sound:
    """LUKS 2, both headers."""
    path = _written(folder / "luks2", test_luks.luks2(test_luks.metadata()))
    return Sound(
        path,
        (
            Place("header", _luks2.BINARY_HEADER, 0, _luks2_copy(0)),
            Place("second header", _luks2.BINARY_HEADER, 16 * KiB, _luks2_copy(16 * KiB)),
        ),
    )


def md(folder: Path) -> Sound:
    """A member of a mirror, metadata 1.2."""
    path = _written(folder / "md", test_md.with_1("1.2").source)
    return Sound(path, (Place("superblock", _md_superblock.SUPERBLOCK_1, 4096, _md(4096)),))


def md_090(folder: Path) -> Sound:
    """A member of a mirror, metadata 0.90."""
    source = test_md.with_90().source
    path = _written(folder / "md090", source)
    return Sound(path, (Place("superblock", _md_superblock.SUPERBLOCK_90, source.size - 64 * KiB),))


def _with_files(folder: Path) -> Path:
    """A small disk with a partition, to be put into containers."""
    path = folder / "inner.raw"
    return path if path.exists() else disks.partitioned(path, 16 * MiB, "label: dos\nsize=8M, type=83\n")


def qcow2(folder: Path, version: int) -> Sound:
    """qcow2 with a snapshot and some clusters; header, both tables, an L2 table and the snapshot."""
    path = folder / f"v{version}.qcow2"
    compat = {2: "0.10", 3: "1.1"}[version]
    disks.converted(_with_files(folder), path, "qcow2", "-o", f"compat={compat}")
    run("qemu-img", "snapshot", "-c", "first", path)
    data = _read(path, 0, MiB)
    l1, refcounts, snapshots = (int.from_bytes(data[at : at + 8], "big") for at in (40, 48, 64))
    l2 = int.from_bytes(data[l1 : l1 + 8], "big") & 0x00FFFFFFFFFFFE00
    places = [
        Place("header", HEADER, 0),
        Place("l1 table", Int64ub, l1),
        Place("refcount table", Array(2, Int64ub), refcounts),
        Place("l2 table", Array(3, Int64ub), l2),
        Place("snapshot", SNAPSHOT, snapshots),
    ]
    if version == 3:
        extension = Struct("type" / Int32ub, "length" / Int32ub)
        places += [
            Place("header v3", HEADER_V3, 72),
            Place("compression", COMPRESSION, 104),
            Place("extension", extension, 112),
        ]
    return Sound(path, tuple(places))


def vhd_fixed(folder: Path) -> Sound:
    """A fixed VHD."""
    path = disks.converted(_with_files(folder), folder / "fixed.vhd", "vpc", "-o", "subformat=fixed,force_size=on")
    footer = path.stat().st_size - 512
    return Sound(path, (Place("footer", FOOTER, footer, _vhd(footer, 512, 64)),))


def vhd_dynamic(folder: Path) -> Sound:
    """A dynamic VHD: both footers together and each alone, the header, and entries of the table."""
    path = disks.converted(_with_files(folder), folder / "dynamic.vhd", "vpc", "-o", "force_size=on")
    footer = path.stat().st_size - 512
    table = int.from_bytes(_read(path, 512 + 16, 8), "big")
    return Sound(
        path,
        (
            Place("footer", FOOTER, footer, _vhd(footer, 512, 64)),
            Place("footer copy", FOOTER, 0, _vhd(0, 512, 64)),
            Place("dynamic header", DYNAMIC_HEADER, 512, _vhd(512, HEADER_SIZE, 36)),
            Place("table", Array(3, Int32ub), table),
        ),
    )


RECIPES: dict[str, Callable[[Path], Sound]] = {
    "gpt": gpt,
    "mbr": mbr,
    "ext4": ext4,
    "xfs": xfs_,
    "btrfs": btrfs_,
    "ntfs": ntfs_,
    "fat12": lambda folder: fat(folder, 12),
    "fat16": lambda folder: fat(folder, 16),
    "fat32": lambda folder: fat(folder, 32),
    "exfat": exfat_,
    "swap": swap_,
    "lvm": lvm,
    "luks1": luks_1,
    "luks2": luks_2,
    "md": md,
    "md 0.90": md_090,
    "qcow2 v2": lambda folder: qcow2(folder, 2),
    "qcow2 v3": lambda folder: qcow2(folder, 3),
    "vhd fixed": vhd_fixed,
    "vhd dynamic": vhd_dynamic,
}
