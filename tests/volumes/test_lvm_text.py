"""The grammar of the metadata text."""

import time
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from preflight.errors import StructureError
from preflight.volumes._lvm_text import MAX_DEPTH, MAX_TOKENS, parse


def read(text: str) -> object:
    return parse(text, "text", 0)


def test_sections_values_and_comments_of_every_kind_are_read() -> None:
    text = """# head
vg0 { # after
  id = "a\\"b\\\\c"
  seqno = 4
  ratio=0.25
  negative = -1
  status = ["READ", "WRITE"]
  empty = []
  mixed = ["pv0", 0]
  a.b-c+d_e { }
}
version = 1"""
    assert read(text) == {
        "vg0": {
            "id": 'a"b\\c',
            "seqno": 4,
            "ratio": 0.25,
            "negative": -1,
            "status": ["READ", "WRITE"],
            "empty": [],
            "mixed": ["pv0", 0],
            "a.b-c+d_e": {},
        },
        "version": 1,
    }


def test_a_name_may_be_all_digits() -> None:
    assert read("7 { 12 = 3 }") == {"7": {"12": 3}}


@pytest.mark.parametrize(
    "text",
    [
        "vg0 {",
        "vg0 { }}",
        "}",
        "a",
        "a =",
        "a = [1",
        "a = [1 2]",
        "a = [1,]",
        "a = [,1]",
        "a = [[1]]",
        "a = {",
        "a = b",
        'a = "unclosed',
        'a = "unclosed\\',
        '"a" = 1',
        "= 1",
        "a = 1 a = 2",
        "a { } a { }",
        "a = 123456789012345678901234567890",
        "a = 1\xe9",
        "a ; b",
    ],
)
def test_what_breaks_the_grammar_is_refused(text: str) -> None:
    with pytest.raises(StructureError):
        read(text)


def test_sections_nest_to_the_limit_and_no_deeper() -> None:
    depth = MAX_DEPTH - 1  # the whole text is a level, too
    assert read("a {" * depth + "}" * depth)
    with pytest.raises(StructureError, match="deeper"):
        read("a {" * (depth + 1) + "}" * (depth + 1))


def test_tokens_are_counted() -> None:
    with pytest.raises(StructureError, match="tokens"):
        read("a = [" + "1," * MAX_TOKENS + "1]")


@pytest.mark.parametrize("unit", ["{", "a{", '"', '\\"', '"\\', "[", "#", "a=", "a=[", "1", "\0", 'a="\\"'])
def test_a_megabyte_of_anything_is_done_within_seconds(unit: str) -> None:
    text = (unit * (1 << 20))[: 1 << 20]
    begin = time.monotonic()
    for attempt in (text, 'a = "' + text):
        with suppress(StructureError):
            read(attempt)
    assert time.monotonic() - begin < 5


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet='ab1.{}[]=,"\\# \n\0é', max_size=60))
def test_any_text_gives_a_section_or_a_structure_error(text: str) -> None:
    with suppress(StructureError):
        assert isinstance(read(text), dict)
