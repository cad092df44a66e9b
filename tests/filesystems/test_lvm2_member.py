"""LVM physical volumes, against blkid."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from preflight.filesystems.lvm2_member import FILESYSTEM, LABEL, PV_DISK, calc_crc
from preflight.units import KiB, MiB
from tests.filesystems.blkid import blkid
from tests.filesystems.pieces import Pieces
from tests.filesystems.reading import agreed, ask, ask_file, stays_within_protocol

UUID = b"kdLtEZ1mXb2YcE3fGhIjKlMnOpQrStUv"
SPELLED = "kdLtEZ-1mXb-2YcE-3fGh-IjKl-MnOp-QrStUv"
SIZE = 4 * MiB


def label(sector: int, **fields: object) -> bytes:
    values = {"id": b"LABELONE", "sector_xl": sector, "crc_xl": 0, "offset_xl": 32, "type": b"LVM2 001"}
    data = bytearray(LABEL.build({**values, "pv_uuid": UUID, "device_size_xl": SIZE, **fields}).ljust(512, b"\0"))
    data[16:20] = calc_crc(bytes(data[20:])).to_bytes(4, "little")
    return bytes(data)


@pytest.mark.parametrize("sector", [0, 1, 2, 3])
def test_label_is_found_in_each_of_the_first_four_sectors(tmp_path: Path, sector: int) -> None:
    found = agreed(FILESYSTEM, Pieces(SIZE, {sector * 512: label(sector)}).write(tmp_path / "disk"))
    assert (found.type, found.uuid, found.size, found.problems) == ("LVM2_member", SPELLED, SIZE, ())


def test_label_in_the_fifth_sector_is_not_looked_for(tmp_path: Path) -> None:
    path = Pieces(SIZE, {4 * 512: label(4)}).write(tmp_path / "disk")
    assert ask_file(FILESYSTEM, path) is None
    assert blkid(path) == {}


def test_label_that_says_it_lies_elsewhere_is_no_label(tmp_path: Path) -> None:
    path = Pieces(SIZE, {512: label(2)}).write(tmp_path / "disk")
    assert ask_file(FILESYSTEM, path) is None
    assert blkid(path) == {}


def test_wrong_checksum_is_a_problem_where_blkid_says_nothing(tmp_path: Path) -> None:
    disk = Pieces(SIZE, {512: label(1)}).damaged(512, 400, 1)
    found = ask(FILESYSTEM, disk)
    assert found is not None
    assert (found.type, found.uuid) == ("LVM2_member", SPELLED)
    assert [(problem.code, problem.offset) for problem in found.problems] == [("lvm-metadata-invalid", 512 + 16)]
    assert blkid(disk.write(tmp_path / "disk")) == {}


def test_whole_label_is_preferred_to_a_damaged_one() -> None:
    found = ask(FILESYSTEM, Pieces(SIZE, {0: label(0), 512: label(1)}).damaged(0, 500, 1))
    assert found is not None
    assert found.problems == ()


def test_lvm1_member(tmp_path: Path) -> None:
    header = PV_DISK.build({"id": b"HM", "version": 2, "unused": bytes(40), "pv_uuid": UUID.ljust(128, b"\0")})
    found = agreed(FILESYSTEM, Pieces(SIZE, {0: header}).write(tmp_path / "disk"))
    assert (found.type, found.uuid) == ("LVM1_member", SPELLED)
    assert ask(FILESYSTEM, Pieces(SIZE, {0: header}).damaged(0, 2, 3)) is None


def test_nothing_is_looked_for_on_a_floppy(tmp_path: Path) -> None:
    for size, type_ in ((1440 * KiB, None), (1440 * KiB + 512, "LVM2_member")):
        disk = Pieces(size, {512: label(1)})
        found = ask(FILESYSTEM, disk)
        assert (found and found.type) == type_ == blkid(disk.write(tmp_path / "disk")).get("TYPE")


@settings(max_examples=200, deadline=None)
@given(at=st.integers(0, 511), value=st.integers(0, 255))
def test_any_changed_byte_stays_within_the_protocol(at: int, value: int) -> None:
    disk = Pieces(2 * MiB, {512: label(1)}).damaged(512, at, value)
    stays_within_protocol(FILESYSTEM, disk.read_at(0, disk.size))


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=4096))
def test_any_bytes_stay_within_the_protocol(data: bytes) -> None:
    stays_within_protocol(FILESYSTEM, data)
    stays_within_protocol(FILESYSTEM, data.ljust(2 * MiB, b"\0"))
