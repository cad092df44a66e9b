"""The two footers of a VHD: damaged, lost, and contradicting each other."""

from pathlib import Path
from typing import Any

import pytest

from preflight.formats.index import claims as all_claims
from preflight.formats.vhd import FORMAT
from preflight.source import Memory
from tests.formats.vhd_images import (
    DYNAMIC_FOOTER,
    HEADER_AT,
    KIB,
    codes,
    dynamic,
    fixed,
    footer,
    geometry,
    guest_of,
    opened,
    pattern,
    qemu_refuses,
    the_problem,
    with_file,
)


def test_the_footer_of_511_bytes_is_read_with_a_note() -> None:
    for data, size in ((fixed(creator_application=b"vpc ")[:-1], 64 * KIB), (dynamic()[:-1], 64 * KIB)):
        container = opened(data)
        problem = the_problem(container)
        assert (problem.code, problem.offset) == ("vhd-footer-511", len(data) - 511)
        assert container.format_details["footer_size"] == 511
        assert guest_of(container).size == size
        assert len(guest_of(container).read_at(0, size)) == size


def test_a_dynamic_disk_without_its_last_footer_is_read_by_the_copy() -> None:
    data = dynamic()[:-512]
    container = opened(data)
    problem = the_problem(container)
    assert (problem.code, problem.offset) == ("vhd-footer-missing", len(data) - 512)
    assert guest_of(container).read_at(0, 8 * KIB) == pattern(0)


def test_a_fixed_disk_with_nothing_but_a_footer_at_its_start_is_not_read() -> None:
    container = opened(footer() + bytes(64 * KIB))
    assert codes(container) == ["vhd-footer-missing"]
    assert container.guest is None
    assert container.virtual_size == 64 * KIB


DAMAGED_FOOTER = DYNAMIC_FOOTER[:50] + b"\x77" + DYNAMIC_FOOTER[51:]


def test_a_damaged_footer_is_replaced_by_its_copy_and_told() -> None:
    data = dynamic(tail=DAMAGED_FOOTER)
    container = opened(data)
    problem = the_problem(container)
    assert (problem.code, problem.where, problem.offset) == ("vhd-footer-checksum", "vhd footer", len(data) - 512 + 64)
    assert container.virtual_size == 64 * KIB
    assert guest_of(container).read_at(0, 8 * KIB) == pattern(0)


def test_a_damaged_copy_of_the_footer_is_told() -> None:
    container = opened(dynamic(copy=DAMAGED_FOOTER))
    problem = the_problem(container)
    assert (problem.code, problem.where, problem.offset) == ("vhd-footer-checksum", "vhd footer copy", 64)
    assert container.virtual_size == 64 * KIB


def test_a_wrong_checksum_alone_does_not_hide_the_disk(tmp_path: Path) -> None:
    data = fixed(checksum=0x12345678)
    container = opened(data)
    problem = the_problem(container)
    assert (problem.code, problem.offset) == ("vhd-footer-checksum", 64 * KIB + 64)
    assert "0x12345678" in problem.message
    assert guest_of(container).size == 64 * KIB
    qemu_refuses(with_file(tmp_path, data))


@pytest.mark.parametrize("cookie", [b"conectiX", bytes(8), b"\xff" * 8])
@pytest.mark.parametrize("recomputed", [False, True])
def test_a_fixed_disk_whose_cookie_alone_is_damaged_is_not_taken_for_raw(cookie: bytes, recomputed: bool) -> None:
    data = fixed(cookie=cookie) if recomputed else fixed()[: 64 * KIB] + cookie + footer()[8:]
    assert [name for name, _ in all_claims(Memory(data))] == ["vhd"]
    container = opened(data)
    problem = container.problems[0]
    assert (problem.code, problem.where, problem.offset) == ("vhd-footer-invalid", "vhd footer", 64 * KIB)
    assert repr(cookie) in problem.message
    assert codes(container)[1:] == ([] if recomputed else ["vhd-footer-checksum"])
    assert guest_of(container).size == 64 * KIB


@pytest.mark.parametrize(
    "fields",
    [{"current_size": 64 * KIB + 512}, {"disk_type": 3}, {"reserved": bytes(426) + b"x"}, {"data_offset": 512}],
)
def test_a_last_sector_that_only_looks_a_little_like_a_footer_is_raw(fields: dict[str, Any]) -> None:
    data = fixed(cookie=b"some boo", **fields)
    assert FORMAT.claims(Memory(data)) == ()
    assert all_claims(Memory(data)) == []


def test_two_sound_footers_that_differ_are_told_by_field() -> None:
    other = footer(disk_type=3, data_offset=HEADER_AT, time_stamp=7, unique_id=bytes(16))
    container = opened(dynamic(copy=other))
    problem = the_problem(container)
    assert (problem.code, problem.where, problem.offset) == ("vhd-footer-copies-differ", "vhd footer copy", 0)
    assert "time_stamp, checksum, unique_id" in problem.message
    assert container.format_details["time_stamp"] == "2000-01-01T00:00:00Z"  # the end decides


def test_a_dynamic_disk_without_the_copy_at_its_start_is_told() -> None:
    container = opened(dynamic(copy=bytes(512)))
    assert codes(container) == ["vhd-footer-copies-differ"]
    assert guest_of(container).read_at(0, 8 * KIB) == pattern(0)


def test_a_fixed_disk_that_begins_with_a_footer_is_told() -> None:
    # QEMU sees the dynamic disk, who begins at the end sees the fixed one.
    data = dynamic(tail=footer(current_size=18 * KIB, disk_geometry=geometry(18 * KIB)))
    container = opened(data)
    assert codes(container) == ["vhd-footer-copies-differ"]
    assert container.subformat == "fixed"
