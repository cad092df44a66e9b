"""Results read back from JSON."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from preflight import decoding
from preflight.checking import check
from preflight.errors import InvalidDocument
from preflight.facts import Image
from preflight.reports.json import REPORT
from preflight.verdicts import Declared
from tests import builders
from tests.documents import read_back
from tests.reports.showing import inspected


def test_a_guest_comes_back_with_all_its_facts() -> None:
    image = builders.image(guest=builders.linux())
    assert read_back(image) == image


def test_a_report_comes_back() -> None:
    report = check(builders.vhd(guest=builders.linux()), builders.profile(), Declared())
    assert decoding.reports(REPORT.reports([report])) == (report,)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "no JSON"),
        ("[1", "no JSON"),
        ("[" * 100_000, "no JSON"),
        ("[]", "schema is None"),
        ('{"schema": "preflight/report/1"}', "expected 'preflight/inspection/1'"),
        ('{"schema": "preflight/inspection/1"}', "images is no list"),
        ('{"schema": "preflight/inspection/1", "images": [7]}', r"images\[0\]: expected an object, found 7"),
        ('{"schema": "preflight/inspection/1", "images": [{}]}', r"images\[0\]: 'path' is missing"),
    ],
)
def test_what_is_no_inspection_is_refused_by_its_place(text: str, told: str) -> None:
    with pytest.raises(InvalidDocument, match=told):
        decoding.images(text)


def test_a_wrong_fact_is_named_by_its_path() -> None:
    document = json.loads(inspected(REPORT, [builders.image(guest=builders.linux())]))
    document["images"][0]["guest"]["security"]["hibernated"] = "perhaps"
    with pytest.raises(InvalidDocument, match=r"images\[0\]\.guest\.security\.hibernated: Expected `bool`"):
        decoding.images(json.dumps(document))


def test_what_a_later_version_adds_is_passed_over() -> None:
    image = builders.image(guest=builders.linux())
    document = json.loads(inspected(REPORT, [image]))
    document["images"][0]["colour"] = "blue"
    assert decoding.images(json.dumps(document)) == (image,)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(st.sampled_from(Image.__struct_fields__), JSON)
@settings(max_examples=200, deadline=None)
def test_any_value_in_any_field_is_read_or_refused(field: str, value: object) -> None:
    document = json.loads(inspected(REPORT, [builders.image(guest=builders.linux())]))
    document["images"][0][field] = value
    try:
        (read,) = decoding.images(json.dumps(document))
    except InvalidDocument:
        return
    assert isinstance(read, Image)
