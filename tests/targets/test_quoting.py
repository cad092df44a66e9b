"""Literals of other languages give their text back."""

import ast
import itertools
import json
import subprocess
import sys

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from preflight.targets._quoting import double_quoted, json_text, shell_word
from tests import tools
from tests.targets import hcl

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
FRACTIOUS = "\\'\"$`!{}%#&|;<>()*?[]~=-: \t\n\r\x01\x1b\x7f0aé镜\x85\xa0\u202e\U000e0041\U0001f600"


def shown(text: str) -> bool:
    return all(character.isprintable() for character in text)


@settings(max_examples=200, deadline=None)
@given(TEXT)
def test_a_double_quoted_string_is_the_same_in_python_yaml_and_hcl(text: str) -> None:
    literal = double_quoted(text)
    assert shown(literal)
    assert ast.literal_eval(literal) == text
    assert yaml.safe_load(literal) == text
    if "${" not in text and "%{" not in text:
        assert hcl.decoded(literal) == text


@settings(max_examples=200, deadline=None)
@given(TEXT)
def test_json_comes_back_and_can_be_shown(text: str) -> None:
    assert json.loads(json_text({"key": text})) == {"key": text}
    assert shown(json_text(text).removesuffix("\n"))


def test_no_two_characters_together_get_lost_in_bash() -> None:
    words = [*map("".join, itertools.product(FRACTIOUS, repeat=2)), *FRACTIOUS, "", *map(chr, range(1, 0x180))]
    quoted = [shell_word(word) for word in words]
    assert all(map(shown, quoted))
    tools.require("bash")
    printed = subprocess.run(
        ["bash", "--norc"], input=f"printf '%s\\0' {' '.join(quoted)}".encode(), capture_output=True, check=True
    )
    assert printed.stderr == b""
    assert printed.stdout.decode().split("\0")[:-1] == words


def test_every_character_that_unicode_has_can_be_shown() -> None:
    every = "".join(chr(code) for code in range(sys.maxunicode + 1) if not 0xD800 <= code <= 0xDFFF)
    assert shown(double_quoted(every))
    assert ast.literal_eval(double_quoted(every)) == every
