"""Judgements as Markdown."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from preflight.reports import escape
from preflight.reports._markdown import code, text
from preflight.reports.markdown import MAX_SHOWN, REPORT
from preflight.verdicts import Undetermined
from tests import builders
from tests.reports.judging import UNREAD, finding, lenient, refused, report
from tests.reports.rendered import Document, github_cells, rendered

PUNCTUATION = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"
TRICKY = (
    *("*a* _b_ ~~c~~", "<script>x</script>", "<!-- x -->", "&#0; &amp;", "[a](https://b) ![c](d)", "# h", "1. x"),
    *("- x", "> x", "```", "`` ` ``", "`", "a`b``c", "|", "a | b", "\\|", "`|`", "\\", "a\\", "--- | ---", "www.x.org"),
    *("https://x.org", "me@x.org", "@user", "#12", ":smile:", "GH-12", "<https://x.org>", "$x$", "a  b", " x ", "0x8:"),
    *("\\`x", "x\\`", "|\\`|", PUNCTUATION),
)


def told(*reports: object) -> Document:
    return rendered(REPORT.reports(reports))  # type: ignore[arg-type]


def test_all_judgements_are_in_one_table() -> None:
    seen = told(refused(), report(profile="aliyun"))
    assert seen.headings[0] == "preflight: 2 judged, 1 ready, 1 not ready"
    assert seen.tables[0] == [
        ["image", "profile", "role", "verdict", "error", "warning", "info", "undetermined"],
        ["disk.qcow2", "aliyun-2018", "system", "NOT READY", "1", "1", "1", "2"],
        ["disk.qcow2", "aliyun", "system", "READY", "0", "0", "0", "0"],
    ]


def test_each_judgement_has_a_table_of_its_findings() -> None:
    seen = told(refused(), report(builders.raw()))
    assert seen.headings[1:] == ["disk.qcow2 for aliyun-2018"]  # of the other there is nothing to tell
    assert seen.tables[1][:3] == [
        ["severity", "rule", "what", "remedy"],
        [
            "error",
            "virtual-size-too-large",
            "virtual size: it is 3 TiB, the limit 2 TiB",
            "Shrink it, run: qemu-img resize --shrink disk.raw 2T",
        ],
        ["warning", "misleading-extension", "name: it is 3 TiB, the limit 2 TiB", "Rename it."],
    ]
    assert seen.items == ["no-boot-loader, no-operating-system: unread"]


def test_a_command_is_code_and_a_sentence_is_not() -> None:
    document = REPORT.reports([refused()])
    assert "`qemu-img resize --shrink disk.raw 2T`" in document
    assert "Rename it" in document and "`Rename" not in document


def test_other_profiles_that_would_take_it_are_told() -> None:
    assert "It is ready by other rules: `--profile aliyun`\n" in REPORT.reports([refused(also_ready_for=("aliyun",))])
    assert "other rules" not in REPORT.reports([report(also_ready_for=("aliyun",))])


def test_more_than_anybody_reads_is_cut() -> None:
    many = told(report(findings=(finding(),) * (MAX_SHOWN + 5), verdict="not-ready"))
    assert len(many.tables[1]) == 1 + MAX_SHOWN
    assert "5 more findings" in REPORT.reports([report(findings=(finding(),) * (MAX_SHOWN + 5))])


def test_what_is_left_out_is_told_with_the_reason() -> None:
    seen = told(lenient())
    assert seen.headings[1:] == ["disk.qcow2 for aliyun-2018"]
    assert seen.items == ["virtual-size-too-large is ignored: the bucket is for tests", "3 known findings left out"]


def test_images_that_could_not_be_read_come_last() -> None:
    seen = rendered(REPORT.reports([report()], UNREAD))
    assert seen.headings == ["preflight: 1 judged, 1 ready, 0 not ready, 2 could not be read", "Could not be read"]
    assert seen.items == ["gone.raw: there is no such file", "secret.vhd: permission denied"]
    assert rendered(REPORT.reports([], UNREAD)).items == seen.items


def test_nothing_is_a_heading() -> None:
    assert told() == Document(["preflight: 0 judged, 0 ready, 0 not ready"], [], [])


@pytest.mark.parametrize("value", TRICKY)
def test_a_tricky_text_is_seen_as_it_is(value: str) -> None:
    assert_seen(value)


@given(st.text(st.sampled_from(PUNCTUATION + "a1 \n\u202e"), min_size=1, max_size=8))
@settings(max_examples=200, deadline=None)
def test_any_text_is_seen_as_it_is(value: str) -> None:
    if value.strip():  # markdown-it-py takes blanks away from code that is nothing else
        assert_seen(value)


def assert_seen(value: str) -> None:
    shown = escape(value)
    for made in (text(value), code(value)):
        seen = rendered(f"# {made}\n\n| a | b |\n| --- | --- |\n| {made} | x |\n\n- {made}\n")
        assert seen == Document([shown], [[["a", "b"], [shown, "x"]]], [shown])
        assert github_cells(f"# {made}\n\n| a | b |\n| --- | --- |\n| {made} | x |\n\n- {made}\n")[2:] == [shown, "x"]
    judged = report(
        builders.image(path=value),
        findings=(finding(subject=value, message=value, remedy=f"{value} run: {value}"),),
        undetermined=(Undetermined("rule", value),),
    )
    seen = told(judged)
    assert seen.tables[0][1][0] == shown
    assert seen.tables[1][1][2] == f"{shown}: {shown}"
    assert seen.items == [f"rule: {shown}"]


@pytest.mark.parametrize(
    "value", ["www.x.org", "https://x.org", "me@x.org", "@user", "see #12", "a :smile: b", "GH-12", "ftp://x"]
)
def test_what_github_acts_on_in_text_is_code(value: str) -> None:
    assert text(value) == f"`{value}`"


@pytest.mark.parametrize("value", ["a|b", "\\|", "`|", "|@x|"])
def test_no_pipe_is_raw(value: str) -> None:
    """What backslashes mean before a pipe of a table differs among parsers."""
    assert "|" not in text(value) + code(value)


def test_text_has_no_punctuation_without_a_backslash() -> None:
    safe = PUNCTUATION.replace("@", "").replace("#", "")
    assert re.fullmatch(r"(\\[!-/:-~]|&#124;|[a-z])*", text(f"a{safe}b"))
