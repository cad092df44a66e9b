"""Which of many files are disk images."""

import bz2
import gzip
import io
import lzma
import os
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from preflight.candidates import has_disk_ending, is_candidate
from preflight.units import GiB, MiB
from tests.tools import run, sparse


@pytest.mark.parametrize(
    "name",
    [
        *("a.qcow2", "a.img", "a.raw", "a.dd", "a.vhd", "a.vhdx", "a.vmdk", "a.vdi", "a.qed", "a.iso", "a.ova"),
        *("A.IMG", "a.b.Qcow2", ".img", "dir.txt/a.img", "a.img.xz", "a.qcow2.gz", "a.raw.tar.gz", "a.vhd.zip"),
        *("a.img.zst", "a.img.bz2", "a.img.7z", "a.raw.tgz"),
    ],
)  # fmt: skip
def test_names_of_disk_images(name: str) -> None:
    assert has_disk_ending(name)


@pytest.mark.parametrize(
    "name", ["a.txt", "a.bin", "a.gz", "a.tar.gz", "img", "a.img.txt", "a.imgx", "a.zip", ".gz", "", "a.img/notes"]
)
def test_names_of_other_files(name: str) -> None:
    assert not has_disk_ending(name)


def qemu(format_: str, *options: str) -> Callable[[Path], object]:
    return lambda path: run("qemu-img", "create", "-q", "-f", format_, *options, path, "16M")


def partitioned(label: str) -> Callable[[Path], object]:
    def make(path: Path) -> None:
        sparse(path, 16 * MiB)
        run("sfdisk", "-q", path, stdin=f"label: {label}\nstart=2048, size=4096\n")

    return make


def large_sectors(path: Path) -> None:
    """A GPT of 4096-byte sectors, as its specification lays it out; nothing in sector 0 but the protective MBR."""
    sparse(path, 16 * MiB)
    with path.open("r+b") as file:
        file.seek(446)
        file.write(struct.pack("<B3sB3sII", 0, b"\0\2\0", 0xEE, b"\xff" * 3, 1, 4095) + bytes(48) + b"\x55\xaa")
        file.seek(4096)
        file.write(b"EFI PART")


def disk_bytes(tmp_path: Path) -> bytes:
    partitioned("gpt")(tmp_path / "inner")
    return (tmp_path / "inner").read_bytes()


@pytest.mark.parametrize(
    "make",
    [
        *map(qemu, ["qcow2", "qcow", "vdi", "vhdx", "vmdk", "qed", "parallels", "luks"][:7]),
        qemu("vpc"),
        qemu("vpc", "-o", "subformat=fixed"),
        qemu("vmdk", "-o", "subformat=streamOptimized"),
        *map(partitioned, ["gpt", "dos"]),
        large_sectors,
    ],
)  # fmt: skip
def test_an_image_by_another_name_is_found(tmp_path: Path, make: Callable[[Path], object]) -> None:
    path = tmp_path / "notes.txt"
    make(path)
    assert is_candidate(str(path))


def test_the_descriptor_of_a_vmdk_and_a_disc_by_other_names_are_found(tmp_path: Path) -> None:
    run("qemu-img", "create", "-q", "-f", "vmdk", "-o", "subformat=monolithicFlat", tmp_path / "notes.txt", "16M")
    assert is_candidate(str(tmp_path / "notes.txt"))
    (tmp_path / "content").write_text("x")
    run("xorriso", "-as", "mkisofs", "-quiet", "-o", tmp_path / "disc.txt", tmp_path / "content")
    assert is_candidate(str(tmp_path / "disc.txt"))


def zipped(name: str, data: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, data)
    return buffer.getvalue()


def tarred(name: str, data: bytes, mode: str = "w") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:  # type: ignore[call-overload]
        info = tarfile.TarInfo(name)
        info.size = len(data)
        archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def test_a_packed_image_by_another_name_is_found(tmp_path: Path) -> None:
    disk = disk_bytes(tmp_path)
    packed = {
        "gzip": gzip.compress(disk),
        "xz": lzma.compress(disk),
        "zip": zipped("disk.qcow2", b"any"),
        "tar": tarred("disk.raw", b"any"),
        "tar.gz": tarred("disk.raw", b"any", "w:gz"),
        "tar.xz": tarred("box/disk.vmdk", b"any", "w:xz"),
    }
    for name, data in packed.items():
        path = tmp_path / f"{name}.dat"
        path.write_bytes(data)
        assert is_candidate(str(path)), name


def test_gzip_names_what_it_holds(tmp_path: Path) -> None:
    with (tmp_path / "notes").open("wb") as file, gzip.GzipFile("disk.qcow2", "wb", fileobj=file) as packed:
        packed.write(b"whatever it is")
    assert is_candidate(str(tmp_path / "notes"))


def boot_sector(entries: bytes) -> bytes:
    return bytes(446) + entries.ljust(64, b"\0") + b"\x55\xaa" + bytes(2 * MiB)


OTHERS = {
    "nothing": b"",
    "text": b"hello\n",
    "script": b"#!/bin/sh\n# disk\n",
    "heading": b"# Disk images\n\nDescriptorFile\n",
    "Without": b"Without further ado, this is text.\n" * 100,
    "three letters": b"EVFer\n" * 100,
    "zip": zipped("notes.txt", b"x" * 1000),
    "tar": tarred("notes.txt", b"x"),
    "tar.gz": tarred("notes.txt", b"x", "w:gz"),
    "gzip": gzip.compress(b"Without further ado"),
    "damaged gzip": b"\x1f\x8b\x08\0" + b"\xff" * 100,
    "cut gzip": gzip.compress(os.urandom(9000))[:12],
    "xz": lzma.compress(b"text"),
    "damaged xz": b"\xfd7zXZ\0" + b"\xff" * 100,
    "bzip2": bz2.compress(b"text"),
    "png": b"\x89PNG\r\n\x1a\n" + bytes(4088),
    "elf": b"\x7fELF\2\1\1" + bytes(2041),
    "LFS pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 12345\n",
    "zeros": bytes(2 * MiB),
    "a boot loader": (bytes(510) + b"\x55\xaa"),
    "a boot sector without partitions": boot_sector(b""),
    "a boot sector with code in place of a table": boot_sector(bytes(range(1, 65))),
    "a partition of no type": boot_sector(struct.pack("<B3sB3sII", 0, b"", 0, b"", 2048, 4096)),
    "a partition of no length": boot_sector(struct.pack("<B3sB3sII", 0x80, b"", 0x83, b"", 2048, 0)),
}


@pytest.mark.parametrize("data", OTHERS.values(), ids=OTHERS)
def test_other_files_are_left_alone(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(data)
    assert not is_candidate(str(path))


def test_a_linux_kernel_has_the_signature_of_a_boot_sector_and_is_no_disk(tmp_path: Path) -> None:
    """Documentation/arch/x86/boot.rst: from setup_sects at 0x1F1 to boot_flag at 0x1FE; header at 0x202."""
    kernel = bytearray(2 * MiB)
    kernel[0:2] = b"MZ"
    kernel[0x1F1:0x206] = struct.pack("<BHIHHHH2s4s", 39, 1, 0x9A3F0, 0, 0xFFFF, 0, 0xAA55, b"\xeb\x6a", b"HdrS")
    (tmp_path / "vmlinuz").write_bytes(kernel)
    assert not is_candidate(str(tmp_path / "vmlinuz"))


def test_an_image_by_name_is_not_even_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = sparse(tmp_path / "disk.img", 1 * GiB)
    monkeypatch.setattr(os, "open", None)
    assert is_candidate(str(path))


def test_what_is_no_regular_file_or_is_gone_is_left_alone(tmp_path: Path) -> None:
    sparse(tmp_path / "disk.img", MiB)
    (tmp_path / "link.img").symlink_to("disk.img")
    (tmp_path / "folder.img").mkdir()
    os.mkfifo(tmp_path / "fifo.img")
    for name in ("link.img", "folder.img", "fifo.img", "absent.img", "a\0b.img"):
        assert not is_candidate(str(tmp_path / name)), name


def test_any_beginning_of_a_file_is_a_yes_or_a_no(tmp_path: Path) -> None:
    path = tmp_path / "file"
    for data in OTHERS.values():
        for size in (1, 3, 7, 26, 29, 31, 257, 261, 511, 513):
            path.write_bytes(data[:size])
            assert not is_candidate(str(path))
