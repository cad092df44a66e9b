"""V: VHDs whose footer, header or table is wrong, and files that two formats claim."""

import os
import struct
from pathlib import Path

import pytest

from preflight.facts import Unknown
from preflight.units import GiB, KiB, MiB
from tests.formats import qcow2_images
from tests.formats.vhd_images import BLOCKS_AT, HEADER_AT, NONE, TABLE_AT, dynamic, fixed, footer, header
from tests.hazards.rows import hazard, seen, told
from tests.tables.disks import boot_record, record

FOOTER, COPY, HEADER, TABLE = "vhd footer", "vhd footer copy", "vhd dynamic disk header", "vhd block allocation table"
END = 64 * KiB  # where the footer of a fixed disk of 64 KiB begins
CHECKSUM, DISK_TYPE, CURRENT_SIZE, DATA_OFFSET = 64, 60, 48, 16


@hazard("V1")
def test_a_wrong_checksum_of_the_footer_is_told_by_itself(tmp_path: Path) -> None:
    found = seen(tmp_path / "disk.vhd", fixed(checksum=1))
    assert (found.format, found.virtual_size) == ("vhd", 64 * KiB)
    assert told(found) == [("vhd-footer-checksum", FOOTER, END + CHECKSUM)]


@hazard("V1")
def test_a_wrong_checksum_of_the_header_is_told_by_itself(tmp_path: Path) -> None:
    assert told(seen(tmp_path / "disk.vhd", dynamic(checksum=1))) == [("vhd-header-checksum", HEADER, HEADER_AT + 36)]


@hazard("V2")
@pytest.mark.parametrize("block_size", [0, 1, 256, 0x30000, 1 << 31, 0xFFFF_FFFF])
def test_an_impossible_block_size_is_refused(tmp_path: Path, block_size: int) -> None:
    found = seen(tmp_path / "disk.vhd", dynamic(block_size=block_size))
    assert told(found) == [("vhd-header-invalid", HEADER, HEADER_AT + 32)]
    assert isinstance(found.guest, Unknown)


@hazard("V3")
@pytest.mark.parametrize(
    ("entries", "codes"),
    [
        (0xFFFF_FFFF, {"vhd-table-size-mismatch", "vhd-header-invalid"}),
        (0x7FFF_FFFF // 4 + 1, {"vhd-table-size-mismatch", "vhd-header-invalid"}),
        (0, {"vhd-table-size-mismatch"}),
        (1, {"vhd-table-size-mismatch"}),
        (7, {"vhd-table-size-mismatch"}),
        (9, {"vhd-table-size-mismatch"}),
    ],
)
def test_a_table_that_does_not_fit_the_disk_is_refused(tmp_path: Path, entries: int, codes: set[str]) -> None:
    found = told(seen(tmp_path / "disk.vhd", dynamic(max_table_entries=entries)))
    assert {code for code, where, offset in found if (where, offset) == (HEADER, HEADER_AT + 28)} == codes


@hazard("V4")
@pytest.mark.parametrize("table_offset", [0, HEADER_AT, 1 << 40, NONE, 1 << 63])
def test_a_table_out_of_its_place_is_refused(tmp_path: Path, table_offset: int) -> None:
    found = seen(tmp_path / "disk.vhd", dynamic(table_offset=table_offset))
    assert ("vhd-header-invalid", HEADER, HEADER_AT + 16) in told(found)
    assert isinstance(found.guest, Unknown)


@hazard("V4")
@pytest.mark.parametrize("data_offset", [0, 1 << 40, NONE, 1 << 63])
def test_a_header_out_of_its_place_is_refused(tmp_path: Path, data_offset: int) -> None:
    both = footer(disk_type=3, data_offset=data_offset)
    data = dynamic(copy=both, tail=both)
    found = seen(tmp_path / "disk.vhd", data)
    assert ("vhd-footer-invalid", FOOTER, len(data) - 512 + DATA_OFFSET) in told(found) or (
        "vhd-header-invalid" in {code for code, _, _ in told(found)}
    )
    assert isinstance(found.guest, Unknown)


@hazard("V5")
@pytest.mark.parametrize(
    ("table", "index"),
    [
        ([0x7FFF_FFFF, *[NONE & 0xFFFF_FFFF] * 7], 0),  # past the end
        ([0, *[NONE & 0xFFFF_FFFF] * 7], 0),  # on the footer copy
        ([HEADER_AT // 512, *[NONE & 0xFFFF_FFFF] * 7], 0),  # on the header
        ([TABLE_AT // 512, *[NONE & 0xFFFF_FFFF] * 7], 0),  # on the table itself
        ([BLOCKS_AT // 512] * 2 + [NONE & 0xFFFF_FFFF] * 6, 1),  # twice
        ([BLOCKS_AT // 512, BLOCKS_AT // 512 + 1, *[NONE & 0xFFFF_FFFF] * 6], 1),  # overlapping
    ],
)
def test_an_entry_that_leads_elsewhere_is_refused(tmp_path: Path, table: list[int], index: int) -> None:
    found = told(seen(tmp_path / "disk.vhd", dynamic(table=table)))
    assert ("vhd-bat-invalid", TABLE, TABLE_AT + 4 * index) in found


@hazard("V6")
def test_a_missing_footer_at_the_end_is_told(tmp_path: Path) -> None:
    data = dynamic()[:-512]
    found = seen(tmp_path / "disk.vhd", data)
    assert found.format == "vhd"
    assert told(found) == [("vhd-footer-missing", FOOTER, len(data) - 512)]


@hazard("V6")
def test_a_broken_footer_at_the_end_is_told(tmp_path: Path) -> None:
    data = dynamic(tail=b"\xff" * 512)
    assert told(seen(tmp_path / "disk.vhd", data)) == [("vhd-footer-missing", FOOTER, len(data) - 512)]


@hazard("V6")
def test_a_copy_that_differs_is_told(tmp_path: Path) -> None:
    other = footer(disk_type=3, data_offset=HEADER_AT, unique_id=bytes(16))
    assert told(seen(tmp_path / "disk.vhd", dynamic(copy=other))) == [("vhd-footer-copies-differ", COPY, 0)]


@hazard("V7")
@pytest.mark.parametrize("size", [1 << 63, (1 << 64) - 512, 1 << 62])
def test_a_size_without_its_bytes_is_refused(tmp_path: Path, size: int) -> None:
    found = seen(tmp_path / "disk.vhd", fixed(current_size=size))
    codes = {code for code, _, _ in told(found)}
    assert codes & {"truncated-file", "vhd-footer-invalid"}


@hazard("V7")
def test_a_size_over_the_limit_of_the_format_is_refused(tmp_path: Path) -> None:
    size = 2040 * GiB + 512
    both = footer(disk_type=3, data_offset=HEADER_AT, current_size=size)
    data = dynamic(copy=both, tail=both)
    assert ("vhd-footer-invalid", FOOTER, len(data) - 512 + CURRENT_SIZE) in told(seen(tmp_path / "disk.vhd", data))


@hazard("V7")
def test_two_sizes_are_told_with_both_numbers(tmp_path: Path) -> None:
    geometry = {"cylinders": 3, "heads": 4, "sectors_per_track": 16}
    found = seen(tmp_path / "disk.vhd", fixed(disk_geometry=geometry))
    assert [code for code, _, _ in told(found)] == ["vhd-sizes-differ"]
    assert found.virtual_size_alternatives == {"current_size": 64 * KiB, "chs": 96 * KiB}
    assert "65536" in found.problems[0].message and "98304" in found.problems[0].message


@hazard("V8")
@pytest.mark.parametrize("kind", [0, 1, 5, 6, 99])
def test_a_type_that_is_no_disk_is_refused(tmp_path: Path, kind: int) -> None:
    found = seen(tmp_path / "disk.vhd", fixed(disk_type=kind))
    assert told(found) == [("vhd-footer-invalid", FOOTER, END + DISK_TYPE)]
    assert isinstance(found.guest, Unknown)


@hazard("V8")
def test_a_parent_is_named_and_never_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "parent.vhd").write_bytes(fixed())
    locator = {
        "platform_code": b"W2ku",
        "platform_data_space": 1,
        "platform_data_length": 20,
        "platform_data_offset": 0,
    }
    name = "/etc/passwd".encode("utf-16-be").ljust(512, b"\0")
    both = footer(disk_type=4, data_offset=HEADER_AT)
    head = header(parent_unicode_name=name, locators=[locator])
    opened: list[object] = []
    real = os.open

    def watching(path: str, *rest: int, **more: int) -> int:
        opened.append(path)
        return real(path, *rest, **more)

    monkeypatch.setattr(os, "open", watching)
    found = seen(tmp_path / "disk.vhd", dynamic(copy=both, tail=both, head=head))
    assert ("vhd-differencing", HEADER, HEADER_AT + 40) in told(found)
    assert found.format_details["parent_unicode_name"] == "/etc/passwd"
    assert str(tmp_path / "disk.vhd") in opened
    assert not {"/etc/passwd", str(tmp_path / "parent.vhd")}.intersection(map(str, opened))


@hazard("V9")
def test_a_footer_of_511_bytes_is_accepted_with_a_note(tmp_path: Path) -> None:
    found = seen(tmp_path / "disk.vhd", fixed()[:-1])
    assert (found.format, found.virtual_size) == ("vhd", 64 * KiB)
    assert [(code, where) for code, where, _ in told(found)] == [("vhd-footer-511", FOOTER)]


@hazard("V10")
def test_a_fixed_disk_with_a_boot_record_is_the_legal_pair(tmp_path: Path) -> None:
    inside = boot_record(record(0, 0x83, 1, 100)).ljust(64 * KiB, b"\0")
    found = seen(tmp_path / "disk.vhd", fixed(inside))
    assert (found.format, found.problems) == ("vhd", ())
    assert found.partition_table is not None and found.partition_table.type == "mbr"


def _iso() -> bytes:
    descriptor = b"\x01CD001\x01".ljust(2048, b"\0")
    return bytes(32 * KiB) + descriptor + b"\xffCD001\x01".ljust(2048, b"\0") + bytes(MiB)


@hazard("V10")
@pytest.mark.parametrize(
    ("data", "names"),
    [
        (qcow2_images.image() + footer(current_size=5 * 64 * KiB), ("qcow2", "vhd")),
        (qcow2_images.image()[:510] + b"\x55\xaa" + qcow2_images.image()[512:], ("qcow2", "boot sector")),
        (_iso() + footer(current_size=len(_iso())), ("iso9660", "vhd")),
        (struct.pack(">4sI", b"QFI\xfb", 1).ljust(64 * KiB, b"\0") + footer(), ("qcow", "vhd")),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, tuple) else "",
)
def test_two_formats_in_one_file_are_a_conflict(tmp_path: Path, data: bytes, names: tuple[str, ...]) -> None:
    found = seen(tmp_path / "disk", data)
    assert told(found)[0] == ("conflicting-formats", "the file", 0)
    assert all(name in found.problems[0].message for name in names)
    assert isinstance(found.guest, Unknown)


@hazard("V10")
def test_a_boot_record_on_an_optical_disc_is_a_hybrid_disc(tmp_path: Path) -> None:
    inside = boot_record(record(0x80, 0x17, 64, 100)) + _iso()[512:]
    assert seen(tmp_path / "disk.iso", inside).format == "iso9660"
