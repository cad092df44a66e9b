"""Text from images, made safe to show."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from preflight.reports import escape


@pytest.mark.parametrize("text", ["", "plain /path/to.raw", "Größe", "磁盘", "диск", "a b", "\N{ROCKET}", "é"])
def test_what_is_harmless_stays(text: str) -> None:
    assert escape(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31m", "\\x1b[31m"),
        ("a\nb\rc\td\0", "a\\x0ab\\x0dc\\x09d\\x00"),
        ("\x7f\x9b", "\\x7f\\x9b"),
        ("\u202eevil", "\\u202eevil"),
        ("\u2028\u2029\u200b\ufeff\u2066", "\\u2028\\u2029\\u200b\\ufeff\\u2066"),
        ("\xa0", "\\xa0"),
        ("\udcff", "\\udcff"),
        ("\ue000\uffff", "\\ue000\\uffff"),
        ("\U000e0041", "\\U000e0041"),
    ],
)
def test_what_acts_or_hides_is_escaped(text: str, shown: str) -> None:
    assert escape(text) == shown


@given(st.text(st.characters()))
def test_nothing_but_visible_characters_and_spaces_is_left(text: str) -> None:
    shown = escape(text)
    assert all(char == " " or unicodedata.category(char)[0] not in "CZ" for char in shown)
    assert escape(shown) == shown
