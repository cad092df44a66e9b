"""The drawing of the disk: to scale, and never broken by what the table claims."""

from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from preflight.facts import FileSystem, Image, Partition
from preflight.reports._drawing import Cell, draw
from preflight.units import GiB, MiB, TiB
from tests import builders

WIDTH = 98


def disk(size: int, *partitions: Partition, filesystems: Sequence[FileSystem] = ()) -> Image:
    return builders.image(virtual_size=size, partitions=partitions, filesystems=tuple(filesystems))


def part(number: int, start: int, size: int, type: str = builders.LINUX_DATA) -> Partition:
    return builders.partition(number, type, start=start, size=size)


def line(cells: Sequence[Cell]) -> str:
    return "".join(f"|{cell.text}" for cell in cells) + "|"


def drawn(image: Image, width: int = WIDTH) -> str:
    cells = draw(image, width)
    assert len(line(cells)) <= width
    return line(cells)


def test_partitions_and_free_space_are_to_scale() -> None:
    cells = draw(disk(100 * GiB, part(1, 0, 20 * GiB), part(2, 60 * GiB, 30 * GiB)), WIDTH)
    assert [cell.is_partition for cell in cells] == [True, False, True, False]
    for cell, share in zip(cells, (20, 40, 30, 10), strict=True):
        assert abs(len(cell.text) - (WIDTH - 5) * share / 100) <= 2  # five bars


def test_the_line_is_as_wide_as_there_is_room() -> None:
    image = disk(20 * GiB, part(1, 1 * MiB, 200 * MiB), part(2, 201 * MiB, 15 * GiB))
    for width in (40, 60, 98, 200):
        assert width - 5 <= len(drawn(image, width)) <= width


def test_a_partition_says_its_number_its_contents_and_its_size() -> None:
    root = builders.filesystem("partition 2", "ext4")
    shown = drawn(disk(20 * GiB, part(1, 1 * MiB, 1 * MiB), part(2, 2 * MiB, 10 * GiB), filesystems=[root]))
    assert shown.startswith("|1|2 ext4 10 GiB ====")
    assert " 10.0 GiB free " in shown


def test_what_does_not_fit_is_left_out_from_the_end() -> None:
    root = builders.filesystem("partition 1", "linux_raid_member")
    image = disk(20 * GiB, part(1, 0, 5 * GiB), part(2, 5 * GiB, 15 * GiB), filesystems=[root])
    assert drawn(image, 150).startswith("|1 linux_raid_member 5 GiB =")
    assert drawn(image, 98).startswith("|1 linux_raid_member ")
    assert drawn(image, 40).startswith("|1 ===")


def test_all_superblocks_of_a_place_are_named() -> None:
    both = [builders.filesystem("partition 1", "ext4"), builders.filesystem("partition 1", "xfs")]
    assert drawn(disk(1 * GiB, part(1, 0, 1 * GiB), filesystems=both)).startswith("|1 ext4 xfs 1 GiB =")


def test_gaps_of_alignment_are_not_drawn() -> None:
    cells = draw(disk(20 * GiB, part(1, 1 * MiB, 20 * GiB - 2 * MiB)), WIDTH)
    assert [cell.is_partition for cell in cells] == [True]


def test_tiny_partitions_have_their_numbers() -> None:
    tiny = [part(number, number * MiB, 1 * MiB) for number in range(1, 13)]
    shown = drawn(disk(10 * TiB, *tiny))
    assert shown.startswith("|1|2|3|4|5|6|7|8|9|10|11|12|")
    assert " 10.0 TiB free " in shown


def test_partitions_come_in_the_order_of_their_places() -> None:
    assert drawn(disk(4 * GiB, part(7, 2 * GiB, 2 * GiB), part(3, 0, 2 * GiB))).index("3 ") == 1


def test_logical_partitions_stand_for_the_extended_one() -> None:
    image = disk(
        10 * GiB,
        part(1, 0, 1 * GiB, "0x83"),
        part(2, 1 * GiB, 8 * GiB, "0x0f"),
        part(5, 1 * GiB, 4 * GiB, "0x83"),
        part(6, 5 * GiB, 4 * GiB, "0x83"),
    )
    cells = draw(image, WIDTH)
    assert [cell.text.split()[0] for cell in cells if cell.is_partition] == ["1", "5", "6"]


def test_an_empty_extended_partition_is_drawn() -> None:
    assert "|2 8 GiB =" in drawn(disk(10 * GiB, part(1, 0, 1 * GiB, "0x83"), part(2, 1 * GiB, 8 * GiB, "0x05")))


def test_a_partition_past_the_end_is_drawn_as_far_as_it_is_there() -> None:
    shown = drawn(disk(10 * GiB, part(1, 0, 5 * GiB), part(2, 5 * GiB, 500 * GiB), part(3, 600 * GiB, 5 * GiB)))
    assert "|2 500 GiB =" in shown
    assert shown.endswith("|3|")
    assert shown.index("|2") in range(44, 52)


def test_overlapping_partitions_are_both_drawn() -> None:
    shown = drawn(disk(10 * GiB, part(1, 0, 8 * GiB), part(2, 2 * GiB, 8 * GiB), part(3, 0, 10 * GiB)))
    assert all(f"|{number} " in shown for number in (1, 2, 3))


@pytest.mark.parametrize("size", [None, 0])
def test_a_disk_of_no_size_is_not_drawn(size: int | None) -> None:
    assert draw(msgspec.structs.replace(disk(1 * GiB, part(1, 0, 1 * GiB)), virtual_size=size), WIDTH) == []


def test_a_disk_without_partitions_is_not_drawn() -> None:
    assert draw(disk(1 * GiB), WIDTH) == []


@pytest.mark.parametrize("count", [60, 300, 8192])
def test_more_partitions_than_can_be_told_apart_are_not_drawn(count: int) -> None:
    assert draw(disk(10 * TiB, *(part(number, number * MiB, 1 * MiB) for number in range(1, count))), WIDTH) == []


@given(
    size=st.integers(1, 2**62),
    places=st.lists(st.tuples(st.integers(0, 2**63), st.integers(0, 2**63)), max_size=40),
    extended=st.integers(0, 8),
    width=st.integers(-5, 200),
)
@settings(max_examples=200, deadline=None)
def test_any_table_fits_into_any_width(size: int, places: list[tuple[int, int]], extended: int, width: int) -> None:
    partitions = [
        part(number, start, length, "0x05" if number == extended else "0x83")
        for number, (start, length) in enumerate(places, start=1)
    ]
    cells = draw(disk(size, *partitions), width)
    assert not cells or len(line(cells)) <= width
    numbers = [cell.text.split()[0] for cell in cells if cell.is_partition]
    assert len(numbers) == len(set(numbers))
    if cells:
        expected = {str(one.number) for one in partitions if len(partitions) <= 4 or one.type != "0x05"}
        assert set(numbers) == expected
    for cell in cells:
        assert cell.text.isascii() and cell.text.isprintable() and cell.text
