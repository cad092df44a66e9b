"""Members of md arrays, against mdadm and blkid."""

import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from preflight.filesystems.linux_raid import FILESYSTEM, MDP1
from preflight.units import KiB, MiB
from tests.filesystems.blkid import blkid
from tests.filesystems.pieces import Pieces
from tests.filesystems.reading import agreed, ask, stays_within_protocol
from tests.tools import run

DISK = 8 * MiB + 20 * KiB  # no multiple of 64 KiB
SET_UUID = bytes.fromhex("00112233445566778899aabbccddeeff")
SPELLED = "00112233-4455-6677-8899-aabbccddeeff"
OFFSETS = {"1.0": 8 * MiB + 12 * KiB, "1.1": 0, "1.2": 4 * KiB}


def version_1(offset: int, max_dev: int = 129, **fields: object) -> bytes:
    """A RAID1 of two disks; an odd `max_dev` leaves half a word at the end of the checksummed bytes."""
    values: dict[str, object] = {name.name: 0 for name in MDP1.subcons}
    values |= {"magic": 0xA92B4EFC, "major_version": 1, "set_uuid": SET_UUID, "set_name": b"host:root".ljust(32, b"\0")}
    values |= {"ctime": 1700000000, "level": 1, "size": 8 * KiB, "raid_disks": 2, "data_offset": 2048}
    values |= {"data_size": 12 * KiB, "super_offset": offset // 512, "device_uuid": bytes(range(16)), "events": 7}
    values |= {"devflags": b"\0", "bblog": bytes(7), "pad3": bytes(32), "max_dev": max_dev, **fields}
    data = bytearray(MDP1.build(values) + b"\0\0\1\0" + b"\xfe\xff" * (max_dev - 2))
    total = sum(struct.unpack(f"<{len(data) // 4}I", data[: len(data) // 4 * 4]))
    total += int.from_bytes(data[len(data) // 4 * 4 :], "little")
    data[216:220] = ((total & 0xFFFFFFFF) + (total >> 32)).to_bytes(4, "little")
    return bytes(data.ljust(4096, b"\0"))


def version_0(order: str, size_in_kib: int, **words: int) -> bytes:
    values = [0] * 1024
    values[:12] = [0xA92B4EFC, 0, 90, 0, 0, 0x00112233, 1700000000, 1, size_in_kib, 2, 2, 0]
    values[13:16] = [0x44556677, 0x8899AABB, 0xCCDDEEFF]
    for name, value in words.items():
        values[int(name[1:])] = value
    total = sum(values)
    values[38] = (total & 0xFFFFFFFF) + (total >> 32)
    return struct.pack(f"{order}1024I", *values)


@pytest.mark.parametrize("version", OFFSETS)
@pytest.mark.parametrize("max_dev", [128, 129])
def test_version_1_is_read_as_the_tools_read_it(tmp_path: Path, version: str, max_dev: int) -> None:
    offset = OFFSETS[version]
    path = Pieces(DISK, {offset: version_1(offset, max_dev)}).write(tmp_path / "disk")
    found = agreed(FILESYSTEM, path)
    assert (found.type, found.uuid, found.label, found.problems) == ("linux_raid_member", SPELLED, "host:root", ())
    assert found.size == 1 * MiB + 6 * MiB
    assert " - correct" in run("mdadm", "--examine", path)


@pytest.mark.parametrize("order", ["<", ">"])
def test_version_0_90_is_read_in_either_byte_order(tmp_path: Path, order: str) -> None:
    path = Pieces(DISK, {8 * MiB - 64 * KiB: version_0(order, 8 * KiB - 64)}).write(tmp_path / "disk")
    found = agreed(FILESYSTEM, path)
    assert (found.type, found.uuid, found.label, found.problems) == ("linux_raid_member", SPELLED, None, ())
    assert found.size == 8 * MiB - 64 * KiB
    if order == "<":  # mdadm reads those of its own machine
        assert " - correct" in run("mdadm", "--examine", path)


def test_version_before_0_90_has_a_short_uuid(tmp_path: Path) -> None:
    path = Pieces(DISK, {8 * MiB - 64 * KiB: version_0("<", 1024, w2=36)}).write(tmp_path / "disk")
    assert agreed(FILESYSTEM, path).uuid == "00112233-0000-0000-0000-000000000000"


@pytest.mark.parametrize("order", ["<", ">"])
def test_version_0_90_larger_than_what_it_lies_on_belongs_to_the_disk_around(tmp_path: Path, order: str) -> None:
    disk = Pieces(DISK, {8 * MiB - 64 * KiB: version_0(order, 8 * KiB)})
    assert ask(FILESYSTEM, disk) is None
    assert blkid(disk.write(tmp_path / "disk")) == {}


def test_version_1_that_says_it_lies_elsewhere_is_no_superblock(tmp_path: Path) -> None:
    for fields in ({"super_offset": 8}, {"major_version": 2}):
        disk = Pieces(DISK, {0: version_1(0, **fields)})
        assert ask(FILESYSTEM, disk) is None
        assert blkid(disk.write(tmp_path / "disk")) == {}


@pytest.mark.parametrize("version", OFFSETS)
def test_wrong_checksum_of_version_1_is_a_problem(tmp_path: Path, version: str) -> None:
    offset = OFFSETS[version]
    disk = Pieces(DISK, {offset: version_1(offset)}).damaged(offset, 200, 99)
    found = ask(FILESYSTEM, disk)
    assert found is not None
    assert [(problem.code, problem.offset) for problem in found.problems] == [("md-superblock-invalid", offset + 216)]
    assert "expected" in run("mdadm", "--examine", disk.write(tmp_path / "disk"))


def test_wrong_checksum_of_version_0_90_is_a_problem() -> None:
    offset = 8 * MiB - 64 * KiB
    found = ask(FILESYSTEM, Pieces(DISK, {offset: version_0("<", 1024)}).damaged(offset, 4000, 1))
    assert found is not None
    assert [(problem.code, problem.offset) for problem in found.problems] == [("md-superblock-invalid", offset + 152)]


def test_too_many_roles_are_a_problem() -> None:
    found = ask(FILESYSTEM, Pieces(DISK, {0: version_1(0).replace(b"\x81\0\0\0", b"\xff\xff\xff\xff", 1)}))
    assert found is not None
    assert [problem.message for problem in found.problems] == [
        "max_dev is 4294967295, the superblock has room for 1920"
    ]


def test_nothing_is_looked_for_on_a_floppy(tmp_path: Path) -> None:
    disk = Pieces(1440 * KiB, {4 * KiB: version_1(4 * KiB)})
    assert ask(FILESYSTEM, disk) is None
    assert blkid(disk.write(tmp_path / "disk")) == {}


@settings(max_examples=200, deadline=None)
@given(at=st.integers(0, 4095), value=st.integers(0, 255), start=st.sampled_from([0, 4 * KiB, 2 * MiB - 64 * KiB]))
def test_any_changed_byte_stays_within_the_protocol(at: int, value: int, start: int) -> None:
    data = version_0("<", 1024) if start > 4 * KiB else version_1(start)
    disk = Pieces(2 * MiB + 4 * KiB, {start: data}).damaged(start, at, value)
    stays_within_protocol(FILESYSTEM, disk.read_at(0, disk.size))


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=4096))
def test_any_bytes_stay_within_the_protocol(data: bytes) -> None:
    stays_within_protocol(FILESYSTEM, data)
    magic = b"\xfc\x4e\x2b\xa9" + data
    for start in (0, 2 * MiB - 64 * KiB, 2 * MiB - 8 * KiB):
        disk = Pieces(2 * MiB, {start: magic})
        stays_within_protocol(FILESYSTEM, disk.read_at(0, disk.size))
