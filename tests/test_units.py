"""Units, and how a size is shown."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from preflight.units import GiB, KiB, MiB, TiB, align_up, ceil_div, human_size, is_power_of_two


def test_units_are_binary() -> None:
    assert (KiB, MiB, GiB, TiB) == (2**10, 2**20, 2**30, 2**40)


@pytest.mark.parametrize(
    ("size", "shown"),
    [
        (0, "0 bytes"),
        (1, "1 byte"),
        (511, "511 bytes"),
        (1023, "1023 bytes"),
        (1024, "1 KiB"),
        (1536, "1.5 KiB"),
        (20 * GiB, "20 GiB"),
        (20 * GiB + 1, "20.0 GiB"),
        (20 * GiB - 1, "20.0 GiB"),
        (2040 * GiB, "2.0 TiB"),
        (2 * TiB, "2 TiB"),
        (2 * TiB + 100 * GiB, "2.1 TiB"),
        (2**63, "8388608 TiB"),
    ],
)
def test_a_size_is_shown_with_its_unit(size: int, shown: str) -> None:
    assert human_size(size) == shown


@given(st.integers(0, 2**70))
def test_only_a_whole_number_of_units_is_shown_without_decimals(size: int) -> None:
    number, unit = human_size(size).split(" ")
    scale = {"byte": 1, "bytes": 1, "KiB": KiB, "MiB": MiB, "GiB": GiB, "TiB": TiB}[unit]
    assert ("." in number) == (size % scale != 0)
    assert abs(float(number) * scale - size) <= 0.051 * scale + size * 1e-9


@pytest.mark.parametrize(
    ("value", "unit", "count"), [(0, 5, 0), (1, 5, 1), (5, 5, 1), (6, 5, 2), (2**64 + 1, 2**32, 2**32 + 1)]
)
def test_ceil_div_rounds_up(value: int, unit: int, count: int) -> None:
    assert ceil_div(value, unit) == count
    assert align_up(value, unit) == count * unit


def test_powers_of_two() -> None:
    assert [value for value in range(-4, 20) if is_power_of_two(value)] == [1, 2, 4, 8, 16]
