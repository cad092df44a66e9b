"""Where the keys of a TOML document stand."""

import tomllib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from preflight.toml_lines import Path, lines


def leaves(value: Any, path: Path = ()) -> dict[Path, Any]:
    """Every scalar of a document, by its path."""
    if isinstance(value, dict):
        return {place: leaf for key, entry in value.items() for place, leaf in leaves(entry, (*path, key)).items()}
    if isinstance(value, list):
        found = enumerate(value)
        return {place: leaf for index, entry in found for place, leaf in leaves(entry, (*path, index)).items()}
    return {path: value}


def holds(text: str) -> None:
    """Each number in the document is that of the line that its key, or its array entry, stands on."""
    found = lines(text)
    for path, value in leaves(tomllib.loads(text)).items():
        assert path in found
        if type(value) is int:
            assert found[path] == value, path


EVERYTHING = r"""# a comment with = and [brackets] and "quotes"
bare = @
"quoted key" = @
'literal "key"' = @
"esc\u0061ped" = @
dotted . "in parts" . 'x.y' = @
text = QQQ

[not.a.table]
not_a_key = 1 \\\QQQ x
"QQQ"
after = @
literal = LLL
it's # no comment
LLL'
array = [ @, # with ] a comment
  @,
  [ @, "a]b" ], { a = @, "b c" = [@] },

  @,
]
empty = []
none = {}
date = 1979-05-27 07:32:00
point = { x = @, y.z = @, w = "}" } # after
float = 1.5e3
basic = "a \" # = ]"

[table]
x = @
[ table . "sub table" ]
x = @
[[entries]]
x = @
[entries.inner]
x = @
[[entries.list]]
x = @
[[entries.list]]
x = @
[[entries]]
x = @
[[entries.list]]
x = @
[[table.deep.list]]
[[table.deep.list]]
x.y = @
""".replace("QQQ", '"""').replace("LLL", "'''")


def numbered(template: str) -> str:
    """The text with each @ replaced by the number of its line."""
    return "\n".join(line.replace("@", str(number)) for number, line in enumerate(template.split("\n"), start=1))


def test_every_form_of_key_and_value() -> None:
    holds(numbered(EVERYTHING))


def test_tables_stand_where_their_headers_are() -> None:
    text = "[b]\nc = 1\n\n[a.b]\n[[list]]\n[list.inner]\n[[list]]\n[a]\nd.e = 1\n"
    assert lines(text) == {
        ("b",): 1,
        ("b", "c"): 2,
        ("a",): 4,
        ("a", "b"): 4,
        ("list",): 5,
        ("list", 0): 5,
        ("list", 0, "inner"): 6,
        ("list", 1): 7,
        ("a", "d"): 9,
        ("a", "d", "e"): 9,
    }


def test_line_ends_of_windows_count_once() -> None:
    holds(numbered(EVERYTHING).replace("\n", "\r\n"))


@pytest.mark.parametrize(
    "text",
    ["", "\n\n", "#", "a=1", "[a]", "[a]\n[[b]]", "[[a]]\n[a.b]\nc=3", 'a=""""""\nb=2', "a=''''''\nb=2",
        'a="""""a"""""\nb=2'],
)  # fmt: skip
def test_small_documents(text: str) -> None:
    holds(text)


KEYS = st.sampled_from(["a", "b", "c-d", "1", '"a b"', '"#"', "'='", '"\\u00e9"', "'['", '"]"', '"."', '"\\""'])
NOISE = st.sampled_from(["", "# x = 1", "  ", "\t# [a]", ""])
VALUES = st.sampled_from(
    ["{n}", '"]"', "'#'", '"""\n[a]\nb = 1\n"""', "'''\n\\\n'''", "[ {n}, [ {n} ] ]", "{{ x = {n}, y.z = {n} }}",
     "[ # ]\n 'x' ]", "1979-05-27", "-1.5", "true", "[{{a={n}}}, {{a={n}}}]", "[]", '"\\\\"', '""""x""""']
)  # fmt: skip


@st.composite
def documents(draw: st.DrawFn) -> str:
    text: list[str] = []

    def line() -> int:
        return "\n".join(text).count("\n") + 2 if text else 1

    for _ in range(draw(st.integers(0, 8))):
        text.append(draw(NOISE))
        header = draw(st.sampled_from(["[{}]", "[[{}]]", None, None]))
        if header:
            text.append(header.format(" . ".join(draw(st.lists(KEYS, min_size=1, max_size=3)))))
        for _ in range(draw(st.integers(0, 3))):
            key = ".".join(draw(st.lists(KEYS, min_size=1, max_size=2)))
            text.append(f"{key} = {draw(VALUES).format(n=line())} {draw(NOISE)}")
    return "\n".join(text)


@settings(max_examples=200, deadline=None)
@given(documents())
def test_any_legal_document(text: str) -> None:
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return
    holds(text)
