"""Results as JSON."""

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from preflight import decoding
from preflight.checking import check
from preflight.facts import Image
from preflight.reports.json import REPORT, encode
from preflight.verdicts import Declared, Report
from tests import builders
from tests.documents import validate
from tests.reports.judging import UNREAD
from tests.reports.showing import inspected


def report(image: Image) -> Report:
    return check(image, builders.profile(), Declared())


def test_images_are_listed_under_their_schema() -> None:
    first, second = builders.image(guest=None), builders.raw(guest=None)
    text = inspected(REPORT, [first, second])
    told = json.loads(text)
    assert list(told) == ["schema", "images", "unread"]
    assert told["schema"] == "preflight/inspection/1"
    assert decoding.images(text) == (first, second)


def test_reports_are_listed_under_their_schema() -> None:
    judged = report(builders.unread("vmdk"))
    text = REPORT.reports([judged])
    told = json.loads(text)
    assert list(told) == ["schema", "reports", "unread"]
    assert told["schema"] == "preflight/report/1"
    assert decoding.reports(text) == (judged,)


def test_no_results_are_a_list_of_none() -> None:
    assert json.loads(inspected(REPORT, [])) == {"schema": "preflight/inspection/1", "images": [], "unread": []}


def test_images_that_could_not_be_read_are_listed_with_the_reason() -> None:
    for text in (REPORT.reports([], UNREAD), REPORT.images([], UNREAD) if REPORT.images else ""):
        validate(text)
        assert json.loads(text)["unread"] == [
            {"path": "gone.raw", "reason": "there is no such file"},
            {"path": "secret.vhd", "reason": "permission denied"},
        ]


def test_it_is_indented_and_ends_in_a_newline() -> None:
    assert encode({"a": [1, "x"]}) == '{\n  "a": [\n    1,\n    "x"\n  ]\n}\n'


def test_letters_of_any_script_stay_as_they_are() -> None:
    assert encode("Größe 磁盘 диск \N{ROCKET}") == '"Größe 磁盘 диск \N{ROCKET}"\n'


def test_what_a_terminal_acts_on_is_escaped() -> None:
    told = encode("\x1b[31m\n\x7f\x9b\u202e\u2028\u200b\ufeff\U000e0041\u00ad\ue000")
    assert told == ('"\\u001b[31m\\n\\u007f\\u009b\\u202e\\u2028\\u200b\\ufeff\\udb40\\udc41\\u00ad\\ue000"\n')


def test_half_of_a_pair_of_utf_16_is_told_as_json_can() -> None:
    assert json.loads(encode({"a\ud800": [b"x\xff".decode("utf-8", "surrogateescape")]})) == {"a\\ud800": ["x\\udcff"]}


@given(st.recursive(st.text() | st.integers(-(2**63), 2**64 - 1) | st.none() | st.booleans(), st.lists, max_leaves=8))
@settings(max_examples=200, deadline=None)
def test_it_is_read_back_as_it_was(value: object) -> None:
    encoded = encode(value)
    assert json.loads(encoded) == value
    assert all(line.isprintable() or not line.isascii() for line in encoded.split("\n"))
    assert "\x1b" not in encoded and "\u202e" not in encoded
