"""Bytes that go round over columns."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from preflight.errors import OutOfBounds
from preflight.source import Memory
from preflight.volumes._striped import Striped

COLUMNS = [Memory(b"aabbcc"), Memory(b"ddeeff"), Memory(b"gghhii")]
WHOLE = b"aaddggbbeehhccffii"


def test_stripes_go_round() -> None:
    source = Striped(COLUMNS, 2)
    assert source.size == len(WHOLE)
    assert source.read_at(0, len(WHOLE)) == WHOLE


@settings(max_examples=100, deadline=None)
@given(st.integers(0, len(WHOLE)), st.integers(0, len(WHOLE)))
def test_any_part_is_the_part_of_the_whole(offset: int, size: int) -> None:
    size = min(size, len(WHOLE) - offset)
    assert Striped(COLUMNS, 2).read_at(offset, size) == WHOLE[offset : offset + size]


@pytest.mark.parametrize(("offset", "size"), [(-1, 1), (0, 19), (18, 1), (0, -1)])
def test_nothing_is_read_past_the_ends(offset: int, size: int) -> None:
    with pytest.raises(OutOfBounds):
        Striped(COLUMNS, 2).read_at(offset, size)


@pytest.mark.parametrize(
    ("columns", "stripe_size"), [([], 2), (COLUMNS, 0), (COLUMNS, 4), ([Memory(b"ab"), Memory(b"abcd")], 2)]
)
def test_columns_that_do_not_fit_are_refused(columns: list[Memory], stripe_size: int) -> None:
    with pytest.raises(ValueError, match="columns"):
        Striped(columns, stripe_size)
