"""ISO 9660 discs, against genisoimage, xorriso and blkid."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from preflight.filesystems.iso9660 import FILESYSTEM, HIGH_SIERRA_DESCRIPTOR, VOLUME_DESCRIPTOR
from preflight.units import KiB
from tests.filesystems.blkid import blkid
from tests.filesystems.pieces import Pieces
from tests.filesystems.reading import agreed, ask, ask_file, stays_within_protocol
from tests.tools import run

DATE = b"2026112318085400"
SPELLED = "2026-11-23-18-08-54-00"
UNSET = b"0" * 16


@pytest.mark.parametrize("joliet", [(), ("-J",)])
@pytest.mark.parametrize("tool", ["genisoimage", "xorriso"])
@pytest.mark.parametrize("label", ["PLAIN", "Mixed case and more than sixteen", "Käse_und Brot"])
def test_disc_is_read_as_blkid_reads_it(tmp_path: Path, tool: str, label: str, joliet: tuple[str, ...]) -> None:
    tree, path = tmp_path / "tree", tmp_path / "disc.iso"
    tree.mkdir()
    (tree / "file").write_text("content")
    command = ("genisoimage", "-quiet") if tool == "genisoimage" else ("xorriso", "-as", "mkisofs", "-quiet")
    run(*command, "-V", label, *joliet, "-R", "-o", path, tree, env={"LC_ALL": "C.UTF-8"})
    found = agreed(FILESYSTEM, path)
    assert found.type == "iso9660"
    assert found.size is not None
    assert found.size <= path.stat().st_size < found.size + 512 * KiB  # the rest is padding


def descriptor(kind: int, volume_id: bytes, **fields: object) -> bytes:
    values: dict[str, object] = {"type": bytes([kind]), "id": b"CD001", "version": b"\1", "flags": b"\0"}
    values |= {"system_id": b" " * 32, "volume_id": volume_id.ljust(32), "volume_space_size": 100}
    values |= {"escape_sequences": bytes(32), "logical_block_size": 2048}
    values |= {"creation_date": UNSET + b"\0", "modification_date": DATE + b"\0", **fields}
    return bytes(VOLUME_DESCRIPTOR.build(values).ljust(2048, b"\0"))


def disc(*descriptors: bytes) -> Pieces:
    end = b"\xffCD001\1".ljust(2048, b"\0")
    return Pieces(400 * KiB, {32 * KiB: b"".join(descriptors) + end})


def joliet(volume_id: str, escape: bytes = b"%/E") -> bytes:
    text = volume_id.encode("utf-16-be")
    return descriptor(2, text.ljust(32, b"\0"), escape_sequences=escape.ljust(32, b"\0"))


@pytest.mark.parametrize(
    ("primary", "supplementary", "label"),
    [
        (b"SIXTEEN_CAPITALS_AND_MORE", "Sixteen Capitals", "Sixteen Capitals_AND_MORE"),
        (b"NA_VE AND VERY LONG LABEL", "Naïve and very l", "Naïve and very lONG LABEL"),
        (b"lower stays lower", "LOWER STAYS LOWE", "lower stays lower"),
        (b"KEEP", "Other", "Other"),
        (b"CLEF _ AND SO ON", "Clef \U0001d11e and so o", "Clef \U0001d11e and so oN"),
        (b"A-B", "A_B" + " " * 13, "A-B"),
    ],
)
def test_labels_of_both_descriptors_are_joined(tmp_path: Path, primary: bytes, supplementary: str, label: str) -> None:
    disk = disc(descriptor(1, primary), joliet(supplementary))
    assert agreed(FILESYSTEM, disk.write(tmp_path / "disc")).label == label


def test_supplementary_descriptor_that_is_not_joliet_has_no_label(tmp_path: Path) -> None:
    disk = disc(descriptor(1, b"PRIMARY"), joliet("Other", escape=b"%/F"), joliet("Second", escape=b"%/@"))
    assert agreed(FILESYSTEM, disk.write(tmp_path / "disc")).label == "Second"


@pytest.mark.parametrize(
    ("modified", "created", "uuid"),
    [
        (DATE, UNSET, SPELLED),
        (UNSET, DATE, SPELLED),
        (UNSET, UNSET, None),
        (UNSET[:15] + b"1", DATE, "0000-00-00-00-00-00-01"),
        (bytes(16), DATE, None),
        (DATE[:8] + bytes(8), UNSET, "2026-11-23-"),
    ],
)
def test_uuid_is_the_date_of_the_last_change(tmp_path: Path, modified: bytes, created: bytes, uuid: str | None) -> None:
    disk = disc(descriptor(1, b"DATED", modification_date=modified + b"\0", creation_date=created + b"\0"))
    assert agreed(FILESYSTEM, disk.write(tmp_path / "disc")).uuid == uuid


def test_date_that_is_unset_but_for_its_time_zone_is_taken(tmp_path: Path) -> None:
    disk = disc(descriptor(1, b"DATED", modification_date=UNSET + b"\4"))
    assert agreed(FILESYSTEM, disk.write(tmp_path / "disc")).uuid == "0000-00-00-00-00-00-00"


def test_high_sierra(tmp_path: Path) -> None:
    values = {"type": b"\1", "id": b"CDROM", "version": b"\1", "flags": b"\0", "system_id": b" " * 32}
    values |= {"volume_id": b"OLD DISC".ljust(32), "escape_sequences": bytes(32)}
    sizes = {"volume_space_size": 50, "logical_block_size": 2048}
    dates = {"creation_date": UNSET, "modification_date": b"1987050112000000"}
    data = bytes(8) + HIGH_SIERRA_DESCRIPTOR.build({**values, **sizes, **dates})
    disk = Pieces(400 * KiB, {32 * KiB: data})
    found = ask(FILESYSTEM, disk)
    assert found is not None
    assert (found.type, found.uuid, found.label) == ("iso9660", "1987-05-01-12-00-00-00", "OLD DISC")
    assert found.size == 50 * 2048
    printed = blkid(disk.write(tmp_path / "disc"))
    assert (printed["TYPE"], printed["LABEL"]) == (found.type, found.label)
    assert printed.get("UUID", found.uuid) == found.uuid  # older libblkid makes none


def test_disc_without_a_primary_descriptor_is_none(tmp_path: Path) -> None:
    path = disc(joliet("Alone")).write(tmp_path / "disc")
    assert ask_file(FILESYSTEM, path) is None
    assert blkid(path) == {}


def test_disc_that_ends_in_its_descriptors_is_read() -> None:
    disk = Pieces(34 * KiB, {32 * KiB: descriptor(1, b"SHORT")})
    found = ask(FILESYSTEM, disk)
    assert found is not None
    assert found.label == "SHORT"


@settings(max_examples=200, deadline=None)
@given(at=st.integers(0, 4095), value=st.integers(0, 255))
def test_any_changed_byte_stays_within_the_protocol(at: int, value: int) -> None:
    disk = disc(descriptor(1, b"SIXTEEN_CAPITALS_AND"), joliet("Sixteen Capitals")).damaged(32 * KiB, at, value)
    stays_within_protocol(FILESYSTEM, disk.read_at(0, 40 * KiB))


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=4096))
def test_any_bytes_stay_within_the_protocol(data: bytes) -> None:
    stays_within_protocol(FILESYSTEM, data)
    for start in (b"\1CD001", bytes(8) + b"\1CDROM"):
        stays_within_protocol(FILESYSTEM, bytes(32 * KiB) + start + data)
