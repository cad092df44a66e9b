"""Whatever text an image or a request holds, in whichever field: every format tells it as text and nothing more."""

import ast
import json
import re
import types
import typing
import unicodedata
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, Literal
from urllib.parse import parse_qsl, urlsplit
from xml.etree import ElementTree

import msgspec
import pytest
import yaml

from preflight import decoding, reports, targets
from preflight.facts import Image, Unknown, Unread
from preflight.import_requests import ImportRequest
from preflight.reports import Kind, escape
from preflight.verdicts import Report
from tests import builders
from tests.reports.rendered import github_cells, rendered
from tests.reports.runner import command
from tests.reports.showing import inspected
from tests.targets import hcl

HOSTILE = (
    *("\x1b[31mred", "\x1b]0;title\x07", "\x9b2J", "a\x00b\x7f", "\u202eevil\u2066", "a\nb\r\nc", "\u2028\u2029\x85"),
    *("::error::x", " ::stop-commands::x", "\n::add-mask::x", ":", "##[error]x", "a ##vso[task.complete]b"),
    *("##teamcity[x]", "%0A::error::x", "]]>", "<script>alert(1)</script>", "<!-- x", "&#0;", "&amp;", '"', "'", "`"),
    *("``` ` ```", "|", "\\|", "a | b", "${{ github.token }}", "${x}", "%{if x}", "{{x}}", "{0}", "[x](https://y.org)"),
    *("![x](y)", "# x", "- x", "\\", "a\\", "@user #1 www.x.org", "\ud800", "a\udcffb", "\ufffe\U000e0041"),
    "x" * 20_000,
    *(" x ", "run: x", "é 磁盘 \N{ROCKET}"),
)
every_text = pytest.mark.parametrize("text", HOSTILE, ids=lambda text: ascii(text)[:30])
Choice = Literal["known", "unknown", "none"]


def filled(wanted: Any, text: str, choice: Choice) -> Any:
    """A value of the type `wanted`, in which every string is `text`; `choice` is taken where there is one."""
    origin, arguments = typing.get_origin(wanted), typing.get_args(wanted)
    if origin in (types.UnionType, typing.Union):
        if choice == "unknown" and Unknown in arguments:
            return Unknown(text)
        if choice == "none" and type(None) in arguments:
            return None
        (known,) = (one for one in arguments if one not in (Unknown, type(None)))
        return filled(known, text, choice)
    if origin is Literal:
        return arguments[0]
    if origin is tuple:
        return (filled(arguments[0], text, choice),) * 2
    if origin is dict:
        return {text: filled(arguments[1], text, choice)} | dict.fromkeys(
            ("backing_file", "data_file", "content") if arguments[1] is Any else (), text
        )
    if isinstance(wanted, type) and issubclass(wanted, msgspec.Struct):
        return wanted(**{field.name: filled(field.type, text, choice) for field in decoding.fields(wanted)})
    return {str: text, int: 5, bool: True, Any: text}[wanted]


def strings(value: Any) -> Iterator[str]:
    """Every string in a value, keys too."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from strings(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from strings(item)


@cache
def judgements(text: str) -> list[Report]:
    """Reports of which every string is this text, and what the rules say of such images."""
    choices: tuple[Choice, ...] = typing.get_args(Choice)
    whole: list[Report] = [filled(Report, text, choice) for choice in choices]
    refused = [msgspec.structs.replace(one, verdict="not-ready") for one in whole]
    return [*whole, *refused, *(builders.report(one.image, name="aliyun") for one in whole)]


def assert_harmless(told: str) -> None:
    """Nothing in it acts on a terminal or on a runner, whoever shows it."""
    for line in told.split("\n"):
        assert all(character == " " or unicodedata.category(character)[0] not in "CZ" for character in line)
        assert command(line) is None, line[:200]
        assert not re.search(r"##[a-z]*\[", line, re.IGNORECASE)


def written(text: str) -> str:
    """The text as a document in UTF-8 can hold it."""
    return text.encode("utf-8", "backslashreplace").decode()


def read_json(told: str, judged: list[Report], unread: Unread) -> None:
    (left,) = json.loads(told)["unread"]
    assert left == {"path": written(unread.path), "reason": written(unread.reason)}
    assert set(strings(json.loads(told))) >= {written(one.image.path) for one in judged}
    if not any("\ud800" <= character <= "\udfff" for one in judged for character in one.image.path):
        assert decoding.reports(told) == tuple(judged)


def read_sarif(told: str, judged: list[Report], unread: Unread) -> None:
    runs = json.loads(told)["runs"]
    results = [result for run in runs for result in run["results"]]
    assert len(results) == sum(len(report.findings) for report in judged)
    names = {result["locations"][0]["logicalLocations"][0]["fullyQualifiedName"] for result in results}
    assert names == {escape(finding.subject) for report in judged for finding in report.findings}
    notes = [note for run in runs for note in run["invocations"][0]["toolExecutionNotifications"]]
    assert len(notes) == sum(len(report.undetermined) for report in judged) + len(runs)  # each tells of the unread one


def read_junit(told: str, judged: list[Report], unread: Unread) -> None:
    *suites, last = ElementTree.fromstring(told.encode())
    assert [(error.get("message"), last.get("name")) for error in last.iter("error")] == [
        (escape(unread.reason), escape(unread.path))
    ]
    assert [suite.get("name") for suite in suites] == [escape(f"{one.image.path} ({one.profile})") for one in judged]
    for suite, report in zip(suites, judged, strict=True):
        failures = [failure.get("message") for failure in suite.iter("failure")]
        wanted = [escape(f"{one.subject}: {one.message}") for one in report.findings if one.severity == "error"]
        assert failures[: len(wanted)] == wanted


def read_markdown(told: str, judged: list[Report], unread: Unread) -> None:
    seen = rendered(told)
    assert len(seen.tables[0]) == 1 + len(judged)
    assert seen.headings[-1] == "Could not be read"
    paths = [row[0] for row in seen.tables[0][1:]]
    assert paths == [escape(report.image.path) for report in judged]
    cells = [cell for table in seen.tables for row in table for cell in row]
    assert [cell.strip() for cell in github_cells(told)] == [cell.strip() for cell in cells]


def read_text(told: str, judged: list[Report], unread: Unread) -> None:
    assert told.count("READY") >= len(judged)


READERS: dict[str, Callable[[str, list[Report], Unread], None]] = {
    "json": read_json,
    "sarif": read_sarif,
    "junit": read_junit,
    "markdown": read_markdown,
    "text": read_text,
}


def test_every_format_is_read() -> None:
    assert {*READERS, "github"} == set(reports.names("reports"))


@every_text
@pytest.mark.parametrize("name", READERS)
def test_a_judgement_is_text_in_every_format(name: str, text: str) -> None:
    judged = judgements(text)
    unread = Unread(text, text)
    told = reports.load(name).reports(judged, [unread])
    assert_harmless(told)
    READERS[name](told, judged, unread)


@every_text
def test_a_judgement_is_annotations_and_no_other_command(text: str) -> None:
    judged = judgements(text)
    lines = reports.load("github").reports(judged, [Unread(text, text)]).splitlines()
    wanted = [(finding, report.image.path) for report in judged for finding in report.findings]
    read = [command(line) for line in lines]
    for line, one in zip(lines, read, strict=True):
        assert line.isprintable() and "##[" not in line
        assert one is not None
        assert one.name in ("error", "warning", "notice") and set(one.properties) <= {"file", "title"}
    told = [one.data for one in read if one is not None]
    for finding, _ in wanted:
        assert f"{escape(f'{finding.subject}: {finding.message}')}\n{escape(f'remedy: {finding.remedy}')}" in told


@every_text
@pytest.mark.parametrize("name", reports.names("images"))
def test_an_inspection_is_text_in_every_format(name: str, text: str) -> None:
    kind: Kind = "images"
    assert getattr(reports.load(name), kind) is not None
    images: list[Image] = [report.image for report in judgements(text)]
    told = inspected(reports.load(name), images)
    assert_harmless(told)
    if name == "json":
        assert len(json.loads(told)["images"]) == len(images)


def python_literals(told: str) -> list[str]:
    """The strings in the dictionary that the script begins with."""
    (request,) = (
        node.value for node in ast.parse(told).body if isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict)
    )
    return list(strings(ast.literal_eval(request)))


TARGETS: dict[str, Callable[[str], list[str]]] = {
    "json": lambda told: list(strings(json.loads(told))),
    "image-pipeline": lambda told: list(strings(json.loads(told))),
    "terraform-json": lambda told: list(strings(json.loads(told))),
    "pulumi": lambda told: list(strings(yaml.safe_load(told))),
    "url": lambda told: [value for _, value in parse_qsl(urlsplit(told.strip()).query, keep_blank_values=True)],
    "python-sdk": python_literals,
    "query": lambda told: [line.partition("=")[2] for line in told.splitlines()],
    "terraform": lambda told: list(strings(hcl.loads(told))),
    "packer": lambda told: list(strings(hcl.loads(told))),
    "aliyun-cli": lambda told: told.splitlines(),
}
AS_IT_IS = ("json", "image-pipeline", "url", "python-sdk")  # the others have escapes, which their own tests read


@every_text
@pytest.mark.parametrize("name", targets.names())
def test_a_request_is_text_in_every_target(name: str, text: str) -> None:
    request: ImportRequest = filled(ImportRequest, text, "known")
    told = targets.load(name).render(request)
    assert all(character.isprintable() or character == "\n" for character in told)
    read = TARGETS[name](told)
    if name in AS_IT_IS:
        assert written(text) in read
