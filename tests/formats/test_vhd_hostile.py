"""VHDs that break their specification: the rows V1 to V9 of the hostile cases, and arbitrary bytes."""

import json
import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from preflight.errors import OutOfBounds, StructureError, UnreachableBytes
from preflight.formats.vhd import FORMAT
from preflight.source import Memory
from tests import tools
from tests.formats.vhd_images import (
    BLOCKS_AT,
    DYNAMIC_FOOTER,
    FOOT,
    GIB,
    HEADER_AT,
    KIB,
    NONE,
    TABLE_AT,
    UNUSED,
    both,
    codes,
    differencing,
    dynamic,
    fixed,
    footer,
    geometry,
    guest_of,
    opened,
    pattern,
    qemu_refuses,
    qemu_size,
    the_problem,
    with_file,
)


@pytest.mark.parametrize("block_size", [0, 1, 256, 0x30000, 1 << 29, 1 << 31, 0xFFFFFFFF])
def test_impossible_block_sizes_are_refused(block_size: int) -> None:
    container = opened(dynamic(block_size=block_size))
    problem = the_problem(container)
    assert (problem.code, problem.offset) == ("vhd-header-invalid", HEADER_AT + 32)
    assert container.guest is None
    assert container.virtual_size == 64 * KIB


@pytest.mark.parametrize("entries", [0, 1, 7, 9, 12])
def test_a_table_that_does_not_fit_the_size_is_told_with_the_numbers(tmp_path: Path, entries: int) -> None:
    data = dynamic(max_table_entries=entries)
    problem = opened(data).problems[0]
    assert (problem.code, problem.offset) == ("vhd-table-size-mismatch", HEADER_AT + 28)
    assert f"is {entries * 8192} bytes, {'less than' if entries < 8 else 'a block or more above'}" in problem.message
    assert "65536 bytes" in problem.message
    if entries < 8:
        qemu_refuses(with_file(tmp_path, data))


def test_reading_past_a_table_that_is_too_short_is_refused() -> None:
    guest = guest_of(opened(dynamic(max_table_entries=1)))
    assert guest.read_at(0, 8 * KIB) == pattern(0)
    with pytest.raises(StructureError):
        guest.read_at(8 * KIB, 1)


@pytest.mark.parametrize("entries", [0x10000, 0x400001, 0x7FFFFFFF, 0xFFFFFFFF])
def test_a_table_larger_than_the_file_is_refused_unread(entries: int) -> None:
    source = Counting(dynamic(max_table_entries=entries))
    container = opened(source)
    assert codes(container) == ["vhd-table-size-mismatch", "vhd-header-invalid"]
    assert container.guest is None
    assert source.bytes_read < 4096


def test_a_table_over_the_cap_is_refused_unread(tmp_path: Path, sources: Any) -> None:
    path = tmp_path / "cap.vhd"
    path.write_bytes(dynamic(max_table_entries=0x400001)[:-512])
    with path.open("r+b") as file:
        file.truncate(GIB)
        file.seek(GIB)
        file.write(DYNAMIC_FOOTER)
    source = sources(path)
    container = opened(source)
    assert "vhd-header-invalid" in codes(container)
    assert container.problems[-1].offset == HEADER_AT + 28
    assert source.bytes_read < 4096


class Counting:
    """Bytes that count how many were asked for."""

    def __init__(self, data: bytes) -> None:
        self._memory = Memory(data)
        self.bytes_read = 0

    @property
    def size(self) -> int:
        return self._memory.size

    def read_at(self, offset: int, size: int) -> bytes:
        self.bytes_read += size
        return self._memory.read_at(offset, size)


@pytest.mark.parametrize("table_offset", [0, 511, 512, 1535, FOOT - 31, FOOT, 1 << 40, 1 << 63, NONE])
def test_a_table_outside_of_the_file_or_on_the_header_is_refused(table_offset: int) -> None:
    container = opened(dynamic(table_offset=table_offset))
    problem = the_problem(container)
    assert (problem.code, problem.offset) == ("vhd-header-invalid", HEADER_AT + 16)
    assert container.guest is None


@pytest.mark.parametrize("data_offset", [0, 511, FOOT - 1023, FOOT, 1 << 40, 1 << 63, NONE])
def test_a_header_outside_of_the_file_is_refused(data_offset: int) -> None:
    container = opened(dynamic(**both(data_offset=data_offset)))
    problem = the_problem(container)
    assert (problem.code, problem.offset) == ("vhd-footer-invalid", FOOT + 16)
    assert container.guest is None


@pytest.mark.parametrize(
    ("fields", "code", "field", "readable"),
    [
        ({"cookie": b"cxsparsf"}, "vhd-header-invalid", 0, False),
        ({"checksum": 1}, "vhd-header-checksum", 36, True),
        ({"header_version": 0x00020000}, "vhd-header-invalid", 24, False),
        ({"header_version": 0}, "vhd-header-invalid", 24, False),
        ({"data_offset": 0x1000}, "vhd-header-invalid", 8, True),
    ],
)
def test_wrong_header_fields_are_told(fields: dict[str, Any], code: str, field: int, readable: bool) -> None:
    container = opened(dynamic(**fields))
    problem = the_problem(container)
    assert (problem.code, problem.offset) == (code, HEADER_AT + field)
    assert (container.guest is not None) is readable


def test_nothing_is_demanded_of_a_next_header_that_is_zero_or_short() -> None:
    assert opened(dynamic(data_offset=0)).problems == ()
    assert opened(dynamic(data_offset=0xFFFFFFFF)).problems == ()


FIRST = BLOCKS_AT // 512
SPAN = 17  # sectors of a block of 8 KiB and its bitmap


@pytest.mark.parametrize(
    ("entries", "at", "counted"),
    [
        ({1: 0}, 1, "1 of 3"),  # on the footer's copy
        ({1: 1}, 1, "1 of 3"),  # on the header
        ({1: 2}, 1, "1 of 3"),
        ({1: 3}, 1, "1 of 3"),  # on the table itself
        ({1: FIRST + 2 * SPAN}, 1, "1 of 3"),  # on the last footer
        ({1: FIRST + SPAN + 1}, 1, "1 of 3"),  # reaches one sector into it
        ({1: 0xFFFFFFFE, 3: 0x7FFFFFFF, 4: 0x10000}, 4, "3 of 5"),
    ],
)
def test_entries_outside_of_the_data_are_counted_in_one_problem(entries: dict[int, int], at: int, counted: str) -> None:
    table = [FIRST, UNUSED, FIRST + SPAN, *[UNUSED] * 5]
    for index, sector in entries.items():
        table[index] = sector
    container = opened(dynamic(table=table))
    first = container.problems[0]
    assert (first.code, first.offset) == ("vhd-bat-invalid", TABLE_AT + 4 * at)
    assert first.message.startswith(counted)
    assert len(container.problems) <= 3
    assert set(codes(container)) == {"vhd-bat-invalid"}
    assert guest_of(container).read_at(16 * KIB, 8 * KIB) == pattern(2)


def test_reading_a_block_outside_of_the_file_is_refused() -> None:
    guest = guest_of(opened(dynamic(table=[FIRST, 0xFFFFFFFE, FIRST + SPAN + 1, *[UNUSED] * 5])))
    for offset in (8 * KIB, 24 * KIB - 512):
        with pytest.raises(StructureError) as caught:
            guest.read_at(offset, 512)
        assert caught.value.offset == TABLE_AT + offset // (8 * KIB) * 4
    assert guest.read_at(16 * KIB, 512) == bytes(512)  # bits of what lies there now: the pattern's, an even byte


@pytest.mark.parametrize(
    ("table", "at", "counted"),
    [
        ([FIRST, UNUSED, FIRST], 2, "1 of 2"),
        ([FIRST, FIRST, FIRST], 1, "2 of 3"),
        ([FIRST + 1, FIRST], 0, "1 of 2"),
        ([FIRST, FIRST + SPAN - 1], 1, "1 of 2"),
    ],
)
def test_blocks_that_share_bytes_are_counted_in_one_problem(table: list[int], at: int, counted: str) -> None:
    problem = the_problem(opened(dynamic(table=table + [UNUSED] * (8 - len(table)))))
    assert (problem.code, problem.offset) == ("vhd-bat-invalid", TABLE_AT + 4 * at)
    assert problem.message.startswith(counted)
    assert "overlaps" in problem.message


def test_blocks_between_two_structures_are_not_counted_as_lying_on_them() -> None:
    # The table is behind the first blocks: one entry lies on the header (sectors 1, 2), one on the table (sector 73).
    rows = [2, 4, 4 + SPAN, 4 + 2 * SPAN, 4 + 3 * SPAN, 4 + 5 * SPAN, 4 + 4 * SPAN + 1, UNUSED]
    table_at = (4 + 4 * SPAN + 1) * 512
    data = bytes(table_at - TABLE_AT - 512) + struct.pack(">8I", *rows).ljust(512, b"\xff") + bytes(3 * SPAN * 512)
    container = opened(dynamic(data=data, table_offset=table_at))
    assert container.problems[0].offset == table_at
    assert container.problems[0].message.startswith("2 of 7 used entries point to blocks that lie on the dynamic disk")


def test_adjoining_blocks_up_to_the_footer_are_no_problem() -> None:
    assert opened(dynamic(table=[FIRST + SPAN, FIRST, *[UNUSED] * 6])).problems == ()


def test_a_dynamic_disk_cut_in_its_last_block_is_told_as_qemu_img_tells_it(tmp_path: Path) -> None:
    data = dynamic()[: -512 - 4096]
    container = opened(data)
    assert codes(container) == ["vhd-footer-missing", "vhd-bat-invalid"]
    assert guest_of(container).read_at(16 * KIB, 4 * KIB) == pattern(2)[: 4 * KIB]
    with pytest.raises(StructureError):
        guest_of(container).read_at(16 * KIB, 8 * KIB)
    qemu_refuses(with_file(tmp_path, data))


def test_a_shortened_last_block_is_told_although_the_disk_ends_before_it(tmp_path: Path) -> None:
    small = {"current_size": 60 * KIB, "disk_geometry": geometry(60 * KIB)}
    foot = footer(disk_type=3, data_offset=HEADER_AT, **small)
    data = dynamic(blocks={7: pattern(7)}, data=b"\xff" * 512 + pattern(7)[: 4 * KIB], copy=foot, tail=foot)
    container = opened(data)
    assert codes(container) == ["vhd-bat-invalid"]
    assert guest_of(container).read_at(56 * KIB, 4 * KIB) == pattern(7)[: 4 * KIB]
    qemu_refuses(with_file(tmp_path, data))


@pytest.mark.parametrize(
    ("fields", "field", "virtual_size"),
    [
        ({"disk_type": 0}, 60, 64 * KIB),
        ({"disk_type": 1}, 60, 64 * KIB),
        ({"disk_type": 5}, 60, 64 * KIB),
        ({"disk_type": 99}, 60, 64 * KIB),
        ({"file_format_version": 0x00020000}, 12, 64 * KIB),
        ({"file_format_version": 0}, 12, 64 * KIB),
    ],
)
def test_footers_of_another_kind_are_refused(fields: dict[str, Any], field: int, virtual_size: int) -> None:
    container = opened(fixed(**fields))
    problem = container.problems[-1]
    assert (problem.code, problem.offset) == ("vhd-footer-invalid", 64 * KIB + field)
    assert container.guest is None
    assert container.virtual_size == virtual_size


LARGEST = {"cylinders": 65535, "heads": 16, "sectors_per_track": 255}


@pytest.mark.parametrize("size", [0, 2040 * GIB + 512, 1 << 63, NONE])
def test_sizes_that_no_vhd_has_are_refused(size: int) -> None:
    container = opened(fixed(current_size=size, disk_geometry=LARGEST))
    problem = the_problem(container)
    assert (problem.code, problem.offset) == ("vhd-footer-invalid", 64 * KIB + 48)
    assert container.guest is None
    assert container.virtual_size is None
    assert container.virtual_size_alternatives["current_size"] == size


def test_a_geometry_of_no_sectors_is_refused_where_it_counts() -> None:
    nothing = {"cylinders": 0, "heads": 0, "sectors_per_track": 0}
    container = opened(fixed(creator_application=b"vpc ", disk_geometry=nothing))
    assert codes(container) == ["vhd-sizes-differ", "vhd-footer-invalid"]
    assert container.problems[1].offset == 64 * KIB + 56
    assert container.guest is None
    assert opened(fixed(creator_application=b"win ", disk_geometry=nothing)).virtual_size == 64 * KIB


def test_the_largest_size_is_accepted_and_one_sector_more_is_not(tmp_path: Path, sources: Any) -> None:
    path = tmp_path / "largest.vhd"
    for size, refused in ((2040 * GIB, False), (2040 * GIB + 512, True)):
        tools.sparse(path, 2040 * GIB + 512)
        with path.open("ab") as file:
            file.write(footer(current_size=size, disk_geometry=LARGEST))
        container = opened(sources(path))
        assert (container.guest is None) is refused
        if refused:
            qemu_refuses(path)
        else:
            assert qemu_size(path) == container.virtual_size == size


def test_a_size_that_is_no_multiple_of_512_is_told() -> None:
    container = opened(fixed(current_size=64 * KIB - 1, disk_geometry=LARGEST))
    problem = the_problem(container)
    assert (problem.code, problem.offset) == ("size-not-in-sectors", 64 * KIB + 48)
    assert guest_of(container).size == 64 * KIB - 1


def test_a_fixed_disk_that_was_cut_is_told_and_never_reads_its_footer_as_data() -> None:
    container = opened(fixed(bytes(32 * KIB)))
    problem = the_problem(container)
    assert (problem.code, problem.offset) == ("truncated-file", 32 * KIB)
    assert guest_of(container).size == 64 * KIB
    assert guest_of(container).read_at(32 * KIB - 512, 512) == bytes(512)
    with pytest.raises(OutOfBounds):
        guest_of(container).read_at(32 * KIB, 512)


def test_a_footer_and_nothing_else_is_a_fixed_disk_without_data() -> None:
    for data in (footer(), footer()[:-1]):
        container = opened(data)
        assert codes(container)[-1] == "truncated-file"
        assert container.problems[-1].offset == 0


# Differencing


def test_a_differencing_disk_names_its_parent_and_lacks_the_rest_of_its_bytes() -> None:
    container = opened(differencing())
    problem = the_problem(container)
    assert (problem.code, problem.offset) == ("vhd-differencing", HEADER_AT + 40)
    assert "C:\\disks\\base\\x1b[2J.vhd" in problem.message
    assert "00010203-0405-0607-0809-0a0b0c0d0e0f" in problem.message
    assert container.subformat == "differencing"
    assert container.virtual_size == 64 * KIB
    details = container.format_details
    assert details["parent_unicode_name"] == "C:\\disks\\base\\x1b[2J.vhd"
    assert details["parent_unique_id"] == "00010203-0405-0607-0809-0a0b0c0d0e0f"
    assert details["parent_time_stamp"] == "2000-01-01T00:01:00Z"
    guest = guest_of(container)
    assert guest.read_at(0, 4 * KIB) == pattern(0)[: 4 * KIB]
    for offset in (4 * KIB, 8 * KIB, 4 * KIB - 1, 60 * KIB):
        with pytest.raises(UnreachableBytes):
            guest.read_at(offset, 2)


def test_a_parent_name_of_any_bytes_is_text() -> None:
    for name in (b"\xd8\x00" * 256, b"\xff" * 512, b"\x20\x2e\x00\x0a" + bytes(508), bytes(512)):
        container = opened(differencing(parent_unicode_name=name))
        shown = container.format_details["parent_unicode_name"]
        assert shown is None or shown.isprintable()
        json.dumps(shown).encode("utf-8")


def test_parent_locators_are_bounded_and_never_followed() -> None:
    inside = {"platform_code": b"W2ku", "platform_data_length": 512, "platform_data_offset": 2048}
    outside = {"platform_code": b"W2ru", "platform_data_length": 0xFFFFFFFF, "platform_data_offset": 1 << 63}
    container = opened(differencing(locators=[inside, outside]))
    assert codes(container) == ["vhd-differencing", "vhd-header-invalid"]
    assert container.problems[1].offset == HEADER_AT + 576 + 24


# Claims and arbitrary bytes


def test_a_footer_at_either_end_is_claimed_and_nothing_else() -> None:
    assert FORMAT.claims(Memory(bytes(4096) + footer())) == ("vhd",)
    assert FORMAT.claims(Memory(bytes(4096) + footer()[:-1])) == ("vhd",)
    assert FORMAT.claims(Memory(footer() + bytes(4096))) == ("vhd",)
    assert FORMAT.claims(Memory(footer()[:-1])) == ("vhd",)
    for data in (b"", b"conectix", footer()[:510], bytes(512), bytes(100_000), bytes(512) + footer() + bytes(2)):
        assert FORMAT.claims(Memory(data)) == ()


def exercise(data: bytes) -> None:
    """Open and read; only a StructureError may come out, from reading guest bytes or a host that fails."""
    source = Memory(data)
    if not FORMAT.claims(source):
        return
    container = FORMAT.open(source, "vhd")
    for problem in container.problems:
        assert problem.message
        assert problem.offset is not None
        assert 0 <= problem.offset <= len(data)
    if container.guest is not None:
        assert container.guest.size == container.virtual_size
        for offset in (0, 4096, 8 * KIB - 1, 60 * KIB, container.guest.size - 1):
            try:
                assert len(container.guest.read_at(offset, 600)) == 600
            except StructureError:
                continue


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=3000), st.sampled_from(["", "start", "end", "both"]))
def test_any_bytes_give_a_value_or_a_structure_error(data: bytes, where: str) -> None:
    cookie = b"conectix"
    start = cookie if where in ("start", "both") else b""
    end = cookie + bytes(504) if where in ("end", "both") else b""
    exercise(start + data + end)


VALID = (dynamic(), differencing(), fixed(), dynamic()[:-1], dynamic()[:-512])


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(VALID), st.data())
def test_any_mutated_byte_gives_a_value_or_a_structure_error(data: bytes, draw: st.DataObject) -> None:
    structures = [*range(2048), *range(len(data) - 512, len(data))]
    at = draw.draw(st.sampled_from(structures))
    exercise(data[:at] + bytes([draw.draw(st.integers(0, 255))]) + data[at + 1 :])


@settings(max_examples=150, deadline=None)
@given(
    st.fixed_dictionaries(
        {
            "table_offset": st.one_of(st.integers(0, (1 << 64) - 1), st.integers(0, 30_000)),
            "max_table_entries": st.one_of(st.integers(0, 0xFFFFFFFF), st.integers(0, 40)),
            "block_size": st.one_of(st.integers(0, 0xFFFFFFFF), st.integers(0, 31).map(lambda bits: 1 << bits)),
        }
    ),
    st.lists(st.one_of(st.integers(0, 0xFFFFFFFF), st.integers(0, 50)), min_size=8, max_size=8),
)
def test_any_header_and_table_give_a_value_or_a_structure_error(fields: dict[str, Any], table: list[int]) -> None:
    exercise(dynamic(table=table, **fields))


@settings(max_examples=100, deadline=None)
@given(
    st.dictionaries(st.integers(0, 7), st.binary(min_size=2, max_size=2), max_size=8),
    st.integers(0, 64 * KIB),
    st.integers(0, 64 * KIB),
)
def test_every_read_is_the_same_as_the_slice_of_the_whole(bitmaps: dict[int, bytes], start: int, end: int) -> None:
    expected = bytearray(64 * KIB)
    for index, bitmap in bitmaps.items():
        for sector in range(16):
            if bitmap[sector // 8] & 0x80 >> sector % 8:
                at = index * 8 * KIB + sector * 512
                expected[at : at + 512] = pattern(index)[sector * 512 : sector * 512 + 512]
    guest = guest_of(opened(dynamic(blocks={index: pattern(index) for index in bitmaps}, bitmaps=bitmaps)))
    start, end = min(start, end), max(start, end)
    assert guest.read_at(start, end - start) == expected[start:end]
