import gzip
import os
import random
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from preflight.contents.tree import Tree
from preflight.guests import _decompress, _initramfs
from preflight.units import KiB, MiB
from tests import tools
from tests.contents.phony import PhonyReader

VERSION = "5.14.0-503.el9.x86_64"
DRIVERS = f"usr/lib/modules/{VERSION}/kernel/drivers"
HOSTILE_COUNT = 2**32 - 1

COMPRESSORS = {
    "gzip": ("gzip", "-9n"),
    "bzip2": ("bzip2",),
    "xz": ("xz", "--check=crc32"),
    "lzma": ("xz", "--format=lzma"),
    "lzo": ("lzop", "-9"),
    "lz4": ("lz4", "-l"),
    "lz4 frame": ("lz4",),
    "zstd": ("zstd", "-q"),
}
"""As dracut, mkinitramfs and mkinitcpio call them; lz4's newer format no kernel takes, but people do."""


def pack(kind: str, data: bytes) -> bytes:
    """`data`, compressed by the real tool."""
    command = COMPRESSORS[kind]
    tools.require(command[0])
    return subprocess.run([command[0], *command[1:], "-c"], input=data, stdout=subprocess.PIPE, check=True).stdout


def real_cpio(tmp_path: Path, files: Mapping[str, bytes], form: str = "newc") -> bytes:
    """An archive of these files, by cpio."""
    tools.require("cpio")
    top = tmp_path / "cpio"
    top.mkdir()
    names = []
    for name, data in files.items():
        path = top / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        names.append(name)
    done = subprocess.run(
        ["cpio", "-o", "-H", form, "--quiet"],
        input="\n".join(names).encode(),
        cwd=top,
        stdout=subprocess.PIPE,
        check=True,
    )
    return done.stdout


def member(name: str, data: bytes = b"", **fields: int) -> bytes:
    """One member of a newc archive, with these fields as they are given."""
    raw = name.encode() + b"\0"
    values = {"mode": 0o100644, "filesize": len(data), "namesize": len(raw), **fields}
    owner = ("ino", "mode", "uid", "gid", "nlink", "mtime")
    order = (*owner, "filesize", "devmajor", "devminor", "rdevmajor", "rdevminor", "namesize", "check")
    header = b"070701" + b"".join(b"%08X" % values.get(field, 0) for field in order)
    return pad(header + raw) + pad(data)


def pad(data: bytes, unit: int = 4) -> bytes:
    return data + bytes(-len(data) % unit)


TRAILER = member("TRAILER!!!")


def cpio(files: Mapping[str, bytes]) -> bytes:
    return b"".join(member(name, data) for name, data in files.items()) + TRAILER


def look(
    data: bytes,
    *wanted: str,
    version: str | None = VERSION,
    builtin: bool = False,
    budget: _initramfs.Budget | None = None,
) -> _initramfs.Search:
    search = _initramfs.Search(version, frozenset(wanted or ["virtio_blk", "nvme"]), builtin=builtin)
    found = Tree(PhonyReader({"/boot/initramfs": data})).find("/boot/initramfs")
    assert found
    _initramfs.search(_initramfs.Place("/boot/initramfs", found), search, budget or _initramfs.Budget())
    return search


MICROCODE = cpio({"kernel/x86/microcode/GenuineIntel.bin": bytes(5000)})
MAIN = cpio(
    {
        "init": b"#!/bin/sh\n" * 3000,
        f"{DRIVERS}/block/virtio_blk.ko.xz": random.Random(1).randbytes(70_001),
        f"{DRIVERS}/nvme/host/nvme.ko.xz": random.Random(2).randbytes(33_333),
        "etc/last": b"x",
    }
)


@pytest.mark.parametrize("kind", COMPRESSORS)
@pytest.mark.parametrize("microcode", [False, True])
def test_names_are_found_in_what_real_tools_pack(tmp_path: Path, kind: str, microcode: bool) -> None:
    archive = real_cpio(
        tmp_path,
        {
            "init": b"#!/bin/sh\n" * 3000,
            f"{DRIVERS}/block/virtio_blk.ko.xz": random.Random(1).randbytes(700_001),
            f"{DRIVERS}/net/virtio-net.ko": random.Random(2).randbytes(300_000) + bytes(1_000_000),
            f"{DRIVERS}/nvme/host/nvme.ko.zst": b"",
        },
    )
    data = (pad(MICROCODE, 512) if microcode else b"") + pack(kind, archive)
    search = look(data, "virtio_blk", "virtio_net", "nvme")
    assert search.found == {"virtio_blk", "virtio_net", "nvme"}
    assert search.stopped is None
    absent = look(data, "virtio_blk", "virtio_pci")
    assert absent.found == {"virtio_blk"}
    assert absent.stopped is None


@pytest.mark.parametrize("form", ["newc", "crc"])
def test_an_archive_that_is_not_compressed_is_stepped_through(tmp_path: Path, form: str) -> None:
    data = real_cpio(tmp_path, {"big": bytes(3 * MiB), "lib/virtio_blk.ko": b"elf", "lib/nvme.ko": b"elf"}, form)
    reader = PhonyReader({"/initrd": data})
    found = Tree(reader).find("/initrd")
    assert found
    search = _initramfs.Search(VERSION, frozenset(["virtio_blk", "nvme"]))
    _initramfs.search(_initramfs.Place("/initrd", found), search, _initramfs.Budget())
    assert search.found == {"virtio_blk", "nvme"}
    assert reader.bytes_read < 200 * KiB


GZIP = gzip.compress(MAIN, mtime=0)


@pytest.mark.parametrize(
    "data",
    [
        MAIN,
        MICROCODE + MAIN,
        pad(MICROCODE, 4096) + MAIN,
        MICROCODE + GZIP,
        MICROCODE + MICROCODE + bytes(1024) + GZIP,
        GZIP + bytes(700),
        GZIP + MICROCODE,
        gzip.compress(MICROCODE) + bytes(3) + GZIP,
        gzip.compress(MICROCODE + bytes(512) + MAIN),
        bytes(512) + GZIP,
        MAIN[: -len(TRAILER)],
        GZIP + b"#BOOTCONFIG\n",
    ],
    ids=[
        "one plain", "two plain", "plain and padded", "microcode and gzip", "two of microcode", "padded gzip",
        "gzip first", "two gzip", "two in one gzip", "zeros first", "no trailer", "boot configuration at the end",
    ],
)  # fmt: skip
def test_archives_in_a_row_are_all_searched(data: bytes) -> None:
    search = look(data)
    assert search.found == {"virtio_blk", "nvme"}
    assert search.stopped is None
    assert look(data, "virtio_net").found == set()
    assert look(data, "virtio_net").stopped is None


def test_the_search_ends_with_the_last_thing_wanted() -> None:
    body = random.Random(5).randbytes(20 * MiB)
    data = gzip.compress(cpio({f"{DRIVERS}/block/virtio_blk.ko": b"", "big": body}), 1)
    reader = PhonyReader({"/initrd": data})
    found = Tree(reader).find("/initrd")
    assert found
    search = _initramfs.Search(VERSION, frozenset(["virtio_blk"]))
    _initramfs.search(_initramfs.Place("/initrd", found), search, _initramfs.Budget())
    assert search.satisfied
    assert reader.bytes_read < 1 * MiB


@pytest.mark.parametrize(
    ("path", "module"),
    [
        ("lib/virtio_blk.ko", "virtio_blk"),
        ("./lib/modules/1.2/kernel/virtio-blk.ko.zst", "virtio_blk"),
        ("kernel/drivers/nvme/host/nvme.ko.gz", "nvme"),
        ("kernel/drivers/nvme/host/nvme-core.ko.gz", "nvme_core"),
        ("virtio_blk.ko.xz.bak/x", ""),
        ("virtio_blk.kost", ""),
        ("etc/virtio_blk", ""),
    ],
)
def test_a_module_is_told_by_its_name(path: str, module: str) -> None:
    assert _initramfs.module_of(path) == module


def test_modules_of_another_kernel_do_not_count() -> None:
    data = cpio(
        {"lib/modules/4.18.0/kernel/drivers/block/virtio_blk.ko": b"", f"/lib/modules/{VERSION}/extra/nvme.ko": b""}
    )
    assert look(data).found == {"nvme"}
    assert look(data, version=None).found == {"virtio_blk", "nvme"}


def test_directories_and_other_files_are_no_modules() -> None:
    assert look(cpio({f"{DRIVERS}/virtio_blk.ko/x": b"", "usr/share/doc/virtio_blk.ko.txt/y": b""})).found == set()


def test_the_list_of_what_is_built_in_is_taken_from_inside() -> None:
    text = b"kernel/drivers/block/virtio_blk.ko\n" * 9000
    files = {f"usr/lib/modules/{VERSION}/modules.builtin": text, "lib/modules/1/modules.builtin": b"other", "a": b"b"}
    for data in (cpio(files), gzip.compress(cpio(files))):
        search = look(data, builtin=True)
        assert search.builtin == text
        assert search.stopped is None
        assert look(data).builtin is None


# What cannot be searched to its end.


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "is empty"),
        (b"\x7fELF and so on", "neither a cpio archive nor compressed as kernels know"),
        (MICROCODE + b"garbage", "neither a cpio archive nor compressed as kernels know"),
        (b"070707" + bytes(100), "neither a cpio archive"),  # the old portable format, which kernels refuse
        (
            gzip.compress(bytes(1024) + b"\x53\xef" + bytes(4096)),
            "not a cpio archive; an image of a file system perhaps",
        ),
        (gzip.compress(MAIN[:40_000]), "in the middle of a member"),
        (MAIN[:40_000], "in the middle of a member"),
        (MAIN[:50], "in the middle of a member"),
        (b"07070", "in the middle of a member"),
        (GZIP[:-60_000], "gzip stream at byte 0x0: the file ends in the middle of it"),
        (GZIP[:3000] + b"\xff" * 40 + GZIP[3040:], "gzip stream at byte 0x0: damaged"),
        (gzip.compress(member("a") + b"not a header" * 20), "gzip stream at byte 0x0: damaged"),
        (member("a", filesize=HOSTILE_COUNT), "in the middle of a member"),
        (member("a", namesize=4096), "in the middle of a member"),
        (b"070701" + b"not hexadecimal " * 8, "cpio header at byte 0x0: its fields are no hexadecimal digits"),
        (gzip.compress(GZIP), "not a cpio archive"),
    ],
)
def test_what_cannot_be_searched_says_why(data: bytes, reason: str) -> None:
    search = look(data, "virtio_net")
    assert search.found == set()
    assert reason in (search.stopped or "")
    assert (search.stopped or "").startswith("/boot/initramfs: ")


def test_a_name_longer_than_a_path_is_skipped_as_the_kernel_does() -> None:
    data = member("x" * 5000) + member("y", namesize=0)[:112] + cpio({"lib/nvme.ko": b""})
    assert look(data).found == {"nvme"}


@pytest.mark.parametrize("kind", COMPRESSORS)
def test_a_stream_that_is_cut_short_is_not_searched_to_its_end(kind: str) -> None:
    packed = pack(kind, MAIN)
    for length in (len(packed) // 2, len(packed) - 20_000):
        search = look(packed[:length], "virtio_net")
        assert search.found == set()
        assert search.stopped


@pytest.mark.parametrize("kind", COMPRESSORS)
def test_a_damaged_stream_costs_its_own_findings_only(kind: str) -> None:
    packed = bytearray(pack(kind, MAIN))
    chance = random.Random(7)
    for _ in range(60):
        damaged = bytearray(packed)
        for _ in range(3):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        search = look(bytes(damaged), "virtio_net")
        assert search.found == set()


# Budgets.


@pytest.mark.parametrize("kind", ["gzip", "xz", "zstd", "lz4", "lzma"])
def test_a_bomb_ends_within_its_budget(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_initramfs, "MAX_INFLATED", 16 * MiB)
    bomb = pack(kind, member("a", filesize=200 * MiB) + bytes(20 * MiB))
    began = time.monotonic()
    search = look(bomb)
    assert time.monotonic() - began < 3
    assert "more than 16 MiB when decompressed" in (search.stopped or "")


def test_gibibytes_of_zeros_end_within_the_budget() -> None:
    bomb = pack("zstd", bytes(64 * MiB))
    assert len(bomb) < 8 * KiB
    began = time.monotonic()
    search = look(bomb * 40)
    assert time.monotonic() - began < _initramfs.MAX_SECONDS + 1
    assert "initramfs: more than 1024 MiB when decompressed" in (search.stopped or "")


def test_a_window_of_a_gibibyte_is_refused() -> None:
    # Frame header of RFC 8878, 3.1.1.1: a descriptor without sizes, then a window of 2 ** (10 + 20) bytes.
    hostile = b"\x28\xb5\x2f\xfd" + bytes([0, 20 << 3]) + b"\x01\0\0"
    assert "zstd stream at byte 0x0: damaged" in (look(hostile).stopped or "")


def test_a_dictionary_of_four_gibibytes_is_refused() -> None:
    # LZMA_Alone: properties, u32 size of the dictionary, u64 size of the data.
    packed = pack("lzma", MAIN)
    assert "lzma stream at byte 0x0: damaged" in (look(packed[:1] + b"\0\0\0\xc0" + packed[5:]).stopped or "")


def test_endless_names_end_within_their_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_initramfs, "MAX_MEMBERS", 1000)
    names = b"".join(member(f"n{number}") for number in range(2000))
    for data in (names, gzip.compress(names)):
        assert "more than 1000 files" in (look(data).stopped or "")


def test_the_time_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_initramfs, "MAX_SECONDS", 0.0)
    assert "takes longer than" in (look(GZIP).stopped or "")


def test_the_bytes_read_are_limited_for_all_archives_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_initramfs, "MAX_COMPRESSED", 1 * MiB)
    budget = _initramfs.Budget()
    data = gzip.compress(cpio({"a": os.urandom(600 * KiB)}))
    assert look(data, budget=budget).stopped is None
    assert "more than 1 MiB would have to be read" in (look(data, budget=budget).stopped or "")


def test_many_tiny_streams_end_within_the_budget() -> None:
    began = time.monotonic()
    look(gzip.compress(b"") * 300_000)
    assert time.monotonic() - began < _initramfs.MAX_SECONDS + 1


def test_an_lzop_block_larger_than_the_kernel_takes_is_refused() -> None:
    packed = bytearray(pack("lzo", MAIN))
    start = 34 + packed[33] + 4
    packed[start : start + 4] = (256 * KiB + 1).to_bytes(4, "big")
    assert "at most 262144" in (look(bytes(packed)).stopped or "")


# Properties.


@settings(max_examples=150, deadline=None)
@given(st.sampled_from([b"", *(known.magic for known in _decompress.COMPRESSIONS), b"070701"]), st.binary(max_size=400))
def test_any_bytes_end_the_search(magic: bytes, data: bytes) -> None:
    look(magic + data)


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 255))
def test_any_changed_byte_of_an_archive_ends_the_search(position: int, value: int) -> None:
    data = bytearray(member("lib/virtio_blk.ko", b"12345") + member("lib/nvme.ko") + TRAILER)
    data[position % len(data)] = value
    look(bytes(data))
    look(gzip.compress(bytes(data), 1))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(1, 3000), max_size=40))
def test_the_size_of_the_pieces_does_not_matter(sizes: list[int]) -> None:
    search = _initramfs.Search(VERSION, frozenset(["virtio_blk", "nvme", "none"]))
    archive = _initramfs.Archive(0, search, _initramfs.Budget())
    at = 0
    for size in [*sizes, len(MAIN)]:
        piece = MAIN[at : at + size]
        archive.feed(at, piece)
        at += len(piece)
    archive.finish(at)
    assert search.found == {"virtio_blk", "nvme"}
    assert archive.trailers == 1
