"""Members of the RAID sets of disk controllers, against blkid."""

import struct
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from preflight.binary import crc32
from preflight.filesystems.hardware_raid import DDF_HEADER_BE, DDF_HEADER_LE, FILESYSTEM
from preflight.filesystems.promise_raid import FILESYSTEM as PROMISE
from preflight.source import Window
from preflight.units import KiB, MiB
from tests.filesystems.blkid import blkid
from tests.filesystems.pieces import Pieces
from tests.filesystems.reading import agreed, ask, stays_within_protocol

SIZE = 4 * MiB + 100  # the last sector is the last whole one
END = 4 * MiB


def ddf(order: str, primary_lba: int = 0) -> bytes:
    magic = b"\xde\x11\xde\x11"
    values = {"signature": magic if order == "big" else magic[::-1], "crc": b"\xff" * 4, "unused": bytes(56)}
    values |= {"guid": b"LINUX-MD\0 vendor".ljust(24, b"\0"), "ddf_rev": b"02.00.00"}
    layout = DDF_HEADER_BE if order == "big" else DDF_HEADER_LE
    data = layout.build({**values, "primary_lba": primary_lba}).ljust(512, b"\xff")
    return bytes(data[:4] + crc32(data).to_bytes(4, order) + data[8:])  # type: ignore[arg-type]


def via() -> bytes:
    data = b"\x55\xaa\x02" + bytes(range(47))
    return data + bytes([sum(data) & 0xFF])


def silicon(disk_number: int = 1) -> bytes:
    data = bytearray(512)
    data[0x60:0x64] = b"\0\0\0\x2f"
    data[0x116] = disk_number
    data[0x13E:0x140] = (-sum(struct.unpack_from("<159H", data)) & 0xFFFF).to_bytes(2, "little")
    return bytes(data)


def nvidia(chksum: int = 0) -> bytes:
    words = [*struct.unpack("<2I", b"NVIDIA  "), 30, 0, 100, *range(25)]
    words[3] = chksum or -sum(words) & 0xFFFFFFFF
    return struct.pack("<30I", *words)


def adaptec() -> bytes:
    return bytes.fromhex("37fc4d1e").ljust(256, b"\0") + b"DPTM" + bytes(252)


def jmicron(mode: int = 1) -> bytes:
    data = bytearray(b"JM\x01\x00\0\0".ljust(128, b"\0"))
    data[0x30] = mode
    data[4:6] = (-sum(struct.unpack("<64H", data)) & 0xFFFF).to_bytes(2, "little")
    return bytes(data)


FORMATS = {
    "isw_raid_member": (END - 1024, b"Intel Raid ISM Cfg Sig. 1.3.00".ljust(48, b"\0")),
    "lsi_mega_raid_member": (END - 512, b"$XIDE$"),
    "via_raid_member": (END - 512, via()),
    "silicon_medley_raid_member": (END - 512, silicon()),
    "nvidia_raid_member": (END - 1024, nvidia()),
    "hpt45x_raid_member": (END - 11 * 512, b"\xf3\x16\x78\x5a"),
    "hpt37x_raid_member": (4640, b"\xf0\x16\x78\x5a"),
    "adaptec_raid_member": (END - 512, adaptec()),
    "jmicron_raid_member": (END - 512, jmicron()),
}


@pytest.mark.parametrize("name", FORMATS)
def test_member_is_named_as_blkid_names_it(tmp_path: Path, name: str) -> None:
    disk = Pieces(SIZE, dict([FORMATS[name]]))
    found = agreed(FILESYSTEM, disk.write(tmp_path / "disk"))
    assert (found.type, found.uuid, found.label, found.problems) == (name, None, None, ())
    assert ask(FILESYSTEM, Window(disk, 0, SIZE)) is None  # libblkid: whole disks only


@pytest.mark.parametrize("order", ["big", "little"])
@pytest.mark.parametrize("offset", [END - 512, END - 257 * 512])
def test_ddf_is_found_by_either_header(tmp_path: Path, order: str, offset: int) -> None:
    header = ddf(order, primary_lba=2000)
    found = agreed(FILESYSTEM, Pieces(SIZE, {offset: header, 2000 * 512: header}).write(tmp_path / "disk"))
    assert (found.type, found.uuid, found.problems) == ("ddf_raid_member", "LINUX-MD", ())


def test_ddf_whose_primary_header_is_not_there_is_none(tmp_path: Path) -> None:
    for lba in (2000, 1 << 55):
        disk = Pieces(SIZE, {END - 512: ddf("big", primary_lba=lba)})
        assert ask(FILESYSTEM, disk) is None
        assert blkid(disk.write(tmp_path / "disk")) == {}


@pytest.mark.parametrize("order", ["big", "little"])
def test_ddf_as_mdadm_writes_it_has_a_crc_without_inversions(order: Literal["big", "little"]) -> None:
    header = ddf(order)
    register = 0
    for byte in header[:4] + b"\xff" * 4 + header[8:]:
        register ^= byte
        for _ in range(8):
            register = register >> 1 ^ (0xEDB88320 if register & 1 else 0)
    found = ask(FILESYSTEM, Pieces(SIZE, {END - 512: header[:4] + register.to_bytes(4, order) + header[8:]}))
    assert found is not None
    assert found.problems == ()


def test_wrong_crc_of_ddf_is_a_problem() -> None:
    found = ask(FILESYSTEM, Pieces(SIZE, {END - 512: ddf("big")}).damaged(END - 512, 300, 1))
    assert found is not None
    assert [(problem.code, problem.offset) for problem in found.problems] == [("superblock-invalid", END - 508)]


def test_wrong_checksum_of_nvidia_is_a_problem() -> None:
    found = ask(FILESYSTEM, Pieces(SIZE, {END - 1024: nvidia(chksum=1)}))
    assert found is not None
    assert [(problem.code, problem.offset) for problem in found.problems] == [("superblock-invalid", END - 1012)]
    found = ask(FILESYSTEM, Pieces(SIZE, {END - 1024: nvidia()}).damaged(END - 1024, 8, 31))
    assert found is not None
    assert [problem.message for problem in found.problems] == ["size is 31 words, expected 30"]


@pytest.mark.parametrize(("name", "at"), [("via_raid_member", 20), ("silicon_medley_raid_member", 9)])
def test_wrong_checksum_behind_a_short_magic_means_none(tmp_path: Path, name: str, at: int) -> None:
    offset, data = FORMATS[name]
    disk = Pieces(SIZE, {offset: data}).damaged(offset, at, 0xAB)
    assert ask(FILESYSTEM, disk) is None
    assert blkid(disk.write(tmp_path / "disk")) == {}


def test_impossible_fields_behind_a_short_magic_mean_none() -> None:
    for data in (silicon(disk_number=8), jmicron(mode=6), jmicron()[:60] + b"\x02" + jmicron()[61:], b"\x55\xaa\x03"):
        assert ask(FILESYSTEM, Pieces(SIZE, {END - 512: data})) is None


@pytest.mark.parametrize("distance", [16, 63, 255, 256, 399, 3087])
def test_promise_is_found_at_its_distances(tmp_path: Path, distance: int) -> None:
    disk = Pieces(SIZE, {END - distance * 512: b"Promise Technology, Inc."})
    assert agreed(PROMISE, disk.write(tmp_path / "disk")).type == "promise_fasttrack_raid_member"
    assert ask(PROMISE, Window(disk, 0, SIZE)) is None


def test_promise_elsewhere_is_none() -> None:
    assert ask(PROMISE, Pieces(SIZE, {END - 17 * 512: b"Promise Technology, Inc."})) is None
    assert ask(PROMISE, Pieces(1441 * KiB, {})) is None  # shorter than the largest distance


@pytest.mark.parametrize("name", FORMATS)
def test_nothing_is_looked_for_on_a_floppy(tmp_path: Path, name: str) -> None:
    offset, data = FORMATS[name]
    disk = Pieces(1440 * KiB, {offset - END + 1440 * KiB if offset > MiB else offset: data})
    assert ask(FILESYSTEM, disk) is None
    assert blkid(disk.write(tmp_path / "disk")) == {}


@settings(max_examples=200, deadline=None)
@given(at=st.integers(0, 511), value=st.integers(0, 255), offset=st.sampled_from([0, 1024, 512, 257 * 512, 11 * 512]))
def test_any_changed_byte_stays_within_the_protocol(at: int, value: int, offset: int) -> None:
    size = 1500 * KiB
    data = {0: adaptec(), 512: jmicron(), 1024: nvidia(), 257 * 512: ddf("big", 3), 11 * 512: silicon()}[offset]
    start = size - max(offset, 512)
    disk = Pieces(size, {start: data}).damaged(start, at % len(data), value)
    stays_within_protocol(FILESYSTEM, disk.read_at(0, size))


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=1024))
def test_any_bytes_stay_within_the_protocol(data: bytes) -> None:
    for reader in (FILESYSTEM, PROMISE):
        stays_within_protocol(reader, data)
        stays_within_protocol(reader, data.rjust(1500 * KiB, b"\0"))
