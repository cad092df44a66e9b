"""Text from images, made safe to show."""

import json
import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from preflight.reports import escape
from preflight.reports.json import encode


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


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("::error::x", "\\x3a:error::x"),
        ("  ::stop-commands::x", "  \\x3a:stop-commands::x"),
        (":", "\\x3a"),  # what follows it in the line may be a colon
        (" :", " \\x3a"),
        ("##[error]x", "#\\x23[error]x"),
        ("a ###[group]", "a ##\\x23[group]"),
        ("##vso[task.setvariable variable=x]y", "#\\x23vso[task.setvariable variable=x]y"),
        ("##VSO[x]", "#\\x23VSO[x]"),
        ("##teamcity[x] ##[y]", "#\\x23teamcity[x] #\\x23[y]"),
    ],
)
def test_no_runner_takes_it_for_a_command(text: str, shown: str) -> None:
    assert escape(text) == shown
    assert escape(shown) == shown


@pytest.mark.parametrize("text", ["fe80::1", "a::b", ":a", "# heading", "## heading", "#[x]", "a[0]", "C:", "## [x]"])
def test_what_only_looks_like_a_command_stays(text: str) -> None:
    assert escape(text) == text


COMMANDS = st.lists(st.sampled_from([*"#:[] \t\n", "vso", "error"])).map("".join)


@given(COMMANDS)
def test_no_command_is_left_or_made_by_escaping(text: str) -> None:
    shown = escape(text)
    assert not re.match(" *::", shown)
    assert not re.search(r"##[a-z]*\[", shown)
    assert escape(shown) == shown


@given(COMMANDS)
def test_json_tells_a_command_in_its_own_escapes(text: str) -> None:
    shown = encode([text])
    assert not re.search(r"##[a-z]*\[", shown)
    assert json.loads(shown) == [text]
