"""The baseline: what is known, what is new, what is gone."""

import json
from itertools import permutations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from preflight.baseline import Entry, entries_of, read, render, without_known
from preflight.errors import ConfigurationError
from preflight.verdicts import Finding, Ignored, Report, RequestSummary, Severity, Undetermined
from tests.builders import image


def finding(rule: str, subject: str = "disk", severity: Severity = "error", message: str = "is 5 GiB") -> Finding:
    return Finding(rule, severity, message, subject, "do it", None, None, "a document")


def report(*findings: Finding, undetermined: tuple[str, ...] = (), ignored: tuple[str, ...] = ()) -> Report:
    return Report(
        profile="aliyun",
        role="system",
        verdict="not-ready",
        image=image(),
        request=RequestSummary(None, None, None, None, None),
        findings=findings,
        undetermined=tuple(Undetermined(rule, "no reason") for rule in undetermined),
        also_ready_for=("other",),
        ignored=tuple(Ignored(rule, None, ()) for rule in ignored),
    )


def entry(rule: str, subject: str | None = "disk", image: str = "a.img", profile: str = "aliyun") -> Entry:
    return Entry(profile, image, rule, subject)


def test_what_was_written_down_does_not_count() -> None:
    found = report(finding("old"), finding("also-old", severity="warning"))
    known = read(render(entries_of(found, "a.img", strict=False)).encode(), "file")
    left, stale = without_known(found, "a.img", known, strict=True)
    assert (left.findings, left.verdict, left.in_baseline, left.also_ready_for, stale) == ((), "ready", 2, (), ())


def test_a_message_that_changes_makes_nothing_new() -> None:
    known = entries_of(report(finding("old", message="is 5 GiB")), "a.img", strict=False)
    left, _ = without_known(report(finding("old", message="is 6 GiB")), "a.img", known, strict=False)
    assert left.findings == ()


@pytest.mark.parametrize(
    "known",
    [
        entry("other"),
        entry("rule", "another subject"),
        entry("rule", None),
        entry("rule", image="b.img"),
        entry("rule", profile="aliyun-2018"),
    ],
)
def test_what_differs_in_rule_subject_image_or_profile_is_new(known: Entry) -> None:
    left, _ = without_known(report(finding("rule")), "a.img", [known], strict=False)
    assert ([entry.rule for entry in left.findings], left.verdict, left.in_baseline) == (["rule"], "not-ready", 0)
    assert left.also_ready_for == ("other",)


def test_a_second_finding_of_the_same_kind_is_new() -> None:
    left, _ = without_known(report(finding("rule"), finding("rule")), "a.img", [entry("rule")], strict=False)
    assert (len(left.findings), left.in_baseline, left.verdict) == (1, 1, "not-ready")
    left, _ = without_known(report(finding("rule"), finding("rule")), "a.img", [entry("rule")] * 2, strict=False)
    assert (len(left.findings), left.in_baseline, left.verdict) == (0, 2, "ready")


def test_what_no_longer_occurs_is_stale_and_that_of_other_images_and_profiles_is_not() -> None:
    known = [
        *(entry("b"), entry("a"), entry("b"), entry("here")),
        *(entry("a", image="b.img"), entry("a", profile="aliyun-2018")),
    ]
    _, stale = without_known(report(finding("here"), finding("b")), "a.img", known, strict=False)
    assert stale == (entry("a"), entry("b"))


def test_what_could_not_be_judged_or_is_ignored_is_not_stale() -> None:
    found = report(undetermined=("unread",), ignored=("ignored",))
    _, stale = without_known(found, "a.img", [entry("unread"), entry("ignored")], strict=False)
    assert stale == ()


def test_undetermined_rules_are_written_down_where_they_count() -> None:
    found = report(undetermined=("unread",))
    assert entries_of(found, "a.img", strict=False) == []
    known = entries_of(found, "a.img", strict=True)
    assert known == [entry("unread", None)]
    left, stale = without_known(found, "a.img", known, strict=True)
    assert (left.verdict, left.undetermined, left.in_baseline, stale) == ("ready", (), 1, ())


def test_the_file_is_sorted_one_entry_a_line_and_the_same_in_any_order() -> None:
    entries = [entry("b"), entry("a", "x"), entry("a", None), entry("z", image="A.img")]
    texts = {render(order) for order in permutations(entries)}
    (text,) = texts
    assert json.loads(text)["schema"] == "preflight/baseline/1"
    assert text.splitlines()[3:7] == [
        '    {"profile": "aliyun", "image": "A.img", "rule": "z", "subject": "disk"},',
        '    {"profile": "aliyun", "image": "a.img", "rule": "a", "subject": null},',
        '    {"profile": "aliyun", "image": "a.img", "rule": "a", "subject": "x"},',
        '    {"profile": "aliyun", "image": "a.img", "rule": "b", "subject": "disk"}',
    ]
    assert text.endswith("}\n")


def test_an_empty_baseline_is_one() -> None:
    assert json.loads(render([])) == {"schema": "preflight/baseline/1", "findings": []}
    assert read(render([]).encode(), "file") == ()


@settings(max_examples=100, deadline=None)
@given(st.lists(st.builds(Entry, *[st.text(max_size=8)] * 3, st.none() | st.text(max_size=8)), max_size=5))
def test_whatever_is_written_is_read_again(entries: list[Entry]) -> None:
    text = render(entries)
    assert sorted(map(repr, read(text.encode(), "file"))) == sorted(map(repr, entries))
    assert "\x1b" not in text and "\u202e" not in text


GOOD = {"schema": "preflight/baseline/1", "findings": [{"profile": "p", "image": "i", "rule": "r", "subject": "s"}]}


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "damaged"),
        (b"{", "damaged"),
        (b'{"schema": "\xff"}', "damaged"),
        (b"<<<<<<< HEAD\n", "damaged"),
        (b"[]", "no baseline"),
        (b"{}", "schema"),
        (json.dumps({**GOOD, "schema": "preflight/baseline/2"}).encode(), "preflight/baseline/2"),
        (json.dumps({**GOOD, "more": 1}).encode(), "more"),
        (json.dumps({**GOOD, "findings": [{"profile": "p"}]}).encode(), "image"),
        (json.dumps({**GOOD, "findings": [{**GOOD["findings"][0], "subject": 3}]}).encode(), "findings[0].subject"),  # type: ignore[dict-item]
        (b"[" * 100_000, "file: "),
    ],
)  # fmt: skip
def test_a_file_that_is_none_is_an_error_that_names_it(data: bytes, words: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^file: ") as raised:
        read(data, "file")
    assert words in str(raised.value)


def test_a_good_one_is_read() -> None:
    assert read(msgspec.json.encode(GOOD), "file") == (Entry("p", "i", "r", "s"),)
