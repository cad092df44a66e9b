"""Judgements as SARIF."""

import json
import re
from typing import Any
from urllib.parse import unquote, urlsplit

import msgspec
import pytest

from preflight import __version__
from preflight.reports import escape
from preflight.reports._sarif_rules import message
from preflight.reports.sarif import REPORT
from preflight.rules import all_rules
from preflight.verdicts import Report
from tests import builders
from tests.reports.judging import UNREAD, finding, lenient, refused, report
from tests.reports.sarif_schema import validator


def told(*reports: Report) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(REPORT.reports(reports))
    return document


def run(*reports: Report) -> dict[str, Any]:
    (only,) = told(*reports)["runs"]
    result: dict[str, Any] = only
    return result


def results(*reports: Report) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = run(*reports)["results"]
    return found


def uri(path: str) -> str:
    (result,) = results(report(builders.image(path=path), findings=(finding(),)))
    found: str = result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
    return found


def read(text: str) -> str:
    """A message string as a viewer shows it, by section 3.11: brackets after their backslashes, braces by two."""
    text = re.sub(r"(\\+)([\[\]])", lambda found: found[1][: len(found[1]) // 2] + found[2], text)
    return text.replace("{{", "{").replace("}}", "}")


@pytest.mark.parametrize(
    "reports",
    [
        (),
        (report(),),
        (refused(),),
        (refused(), refused(profile="aliyun"), report(builders.raw())),
        (builders.report(builders.unread("vmdk")), builders.report(builders.raw(path="/a b/c.raw"))),
    ],
)
def test_it_is_what_the_published_schema_says(reports: tuple[Report, ...]) -> None:
    document = told(*reports)
    assert [error.message for error in validator().iter_errors(document)] == []
    assert document["version"] == "2.1.0"


def test_every_rule_can_be_told() -> None:
    findings = tuple(finding(rule=rule) for rule in all_rules())
    document = told(report(findings=findings))
    assert [error.message for error in validator().iter_errors(document)] == []
    for rule in document["runs"][0]["tool"]["driver"]["rules"]:
        known = all_rules()[rule["id"]]
        assert read(rule["shortDescription"]["text"]) == known.title
        assert " ".join(read(rule["help"]["text"]).split()) == " ".join(known.documentation.split())
        assert "**Remedy:** " in rule["help"]["markdown"]


def test_each_profile_has_its_run() -> None:
    runs = told(refused(), refused(profile="aliyun"), report(builders.raw()))["runs"]
    assert [one["automationDetails"]["id"] for one in runs] == ["preflight/aliyun-2018/", "preflight/aliyun/"]
    assert [len(one["artifacts"]) for one in runs] == [2, 1]
    driver = runs[0]["tool"]["driver"]
    assert (driver["name"], driver["version"]) == ("preflight", __version__)


def test_a_result_tells_the_finding_and_where_it_is() -> None:
    first, second, third = results(refused())
    assert first["ruleId"] == "virtual-size-too-large"
    assert [one["level"] for one in (first, second, third)] == ["error", "warning", "note"]
    assert first["message"]["text"].split("\n") == [
        "virtual size: it is 3 TiB, the limit 2 TiB.",
        "Shrink it, run: qemu-img resize --shrink disk.raw 2T",
    ]
    (location,) = first["locations"]
    assert location["physicalLocation"] == {"artifactLocation": {"uri": "disk.qcow2"}, "region": {"startLine": 1}}
    assert location["logicalLocations"] == [{"fullyQualifiedName": "virtual size"}]
    assert (first["properties"]["api_error"], third["properties"]["detection_item"]) == (
        "InvalidImageSize",
        "GUESTOS.Root",
    )


def test_a_rule_is_there_once_and_only_where_it_has_a_result() -> None:
    told = run(refused(), refused(builders.raw()))
    rules = told["tool"]["driver"]["rules"]
    assert [rule["id"] for rule in rules] == ["virtual-size-too-large", "misleading-extension", "root-account-locked"]
    assert all(rules[result["ruleIndex"]]["id"] == result["ruleId"] for result in told["results"])
    assert rules[0]["name"] == "VirtualSizeTooLarge"
    assert rules[0]["helpUri"] == "https://example.com/api"
    assert rules[1]["defaultConfiguration"] == {"level": "warning"}
    assert rules[0]["properties"]["api_error"] == "InvalidImageSize"


def test_a_rule_that_this_version_does_not_know_is_named() -> None:
    (rule,) = run(report(findings=(finding(rule="of-the-future", source="a book"),)))["tool"]["driver"]["rules"]
    assert (rule["id"], "help" in rule, "helpUri" in rule) == ("of-the-future", False, False)


def test_what_could_not_be_judged_is_a_note_of_the_run() -> None:
    (invocation,) = run(refused())["invocations"]
    assert invocation["executionSuccessful"] is True
    notes = invocation["toolExecutionNotifications"]
    assert [note["associatedRule"]["id"] for note in notes] == ["no-boot-loader", "no-operating-system"]
    assert notes[0]["level"] == "note"
    assert notes[0]["message"]["text"] == "no-boot-loader: unread"


def test_the_image_is_an_artifact_with_its_length() -> None:
    (artifact,) = run(refused())["artifacts"]
    assert artifact["location"]["uri"] == "disk.qcow2"
    assert artifact["length"] == builders.image().file_size


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("disk.raw", "disk.raw"),
        ("./a//b/./disk.raw", "a/b/disk.raw"),
        ("../disk.raw", "../disk.raw"),
        ("a b/ü?#%.raw", "a%20b/%C3%BC%3F%23%25.raw"),
        ("c:disk.raw", "c%3Adisk.raw"),  # RFC 3986, 4.2: with a colon it would be a scheme
        ("a\\b.raw", "a%5Cb.raw"),
        ("/var/disk.raw", "file:///var/disk.raw"),
        ("//host/disk.raw", "file:///host/disk.raw"),
        ("\x1b\n\u202e.raw", "%1B%0A%E2%80%AE.raw"),
        ("a\udcff.raw", "a%FF.raw"),
    ],
)
def test_a_path_is_a_uri_reference(path: str, expected: str) -> None:
    assert uri(path) == expected
    parsed = urlsplit(expected)
    assert parsed.netloc == "" and parsed.query == "" and parsed.fragment == ""


def test_a_path_with_half_a_pair_is_one_too() -> None:
    assert unquote(uri("\ud800.raw"), errors="surrogatepass") == "\ud800.raw"


def fingerprints(*reports: Report) -> list[str]:
    return [result["partialFingerprints"]["primaryLocationLineHash"] for result in results(*reports)]


def test_a_fingerprint_stays_while_the_defect_is_the_same() -> None:
    before = report(findings=(finding(subject="qcow2 header at byte 0x8"),))
    moved = finding(subject="qcow2 header at byte 0x10", message="it is 4 TiB", remedy="Other.", severity="warning")
    assert fingerprints(before) == fingerprints(report(builders.image(file_size=1), findings=(moved,)))


def test_fingerprints_of_different_defects_differ() -> None:
    different = [
        report(findings=(finding(), finding())),
        report(findings=(finding(rule="other"), finding(subject="other"))),
        report(builders.raw(), findings=(finding(),)),
    ]
    found = fingerprints(*different) + fingerprints(report(profile="aliyun", findings=(finding(),)))
    assert len(set(found)) == len(found) == 6
    assert found[0].partition(":")[0] == found[1].partition(":")[0]  # the same defect, counted


@pytest.mark.parametrize(
    "text",
    [
        *("[x](https://evil.example)", "\\[x\\](y)", "\\\\[x]\\\\(y)", "{0} {{1}} }{", "[0](1)"),
        *("a\\b", "${{ github.token }}", "plain", "[[x]](y)\n[z]"),
    ],
)
def test_no_text_makes_a_link_or_a_placeholder(text: str) -> None:
    shown = message(text)
    assert read(shown) == text
    for found in re.finditer(r"(\\*)[\[\]]", shown):
        assert len(found[1]) % 2 == 1  # whether or not a reader takes two backslashes for one
    assert not re.search(r"(?<!\{)(\{\{)*\{\d", shown)


def test_no_character_of_a_report_is_raw() -> None:
    hostile = "\x1b[31m\u202e##[error]\n::error::x"
    image = builders.image(path=hostile)
    document = REPORT.reports([refused(image, findings=(finding(subject=hostile, message=hostile, remedy=hostile),))])
    assert all(line.isprintable() and "##[" not in line for line in document.split("\n"))
    (result,) = json.loads(document)["runs"][0]["results"]
    assert read(result["message"]["text"]).split("\n")[0].startswith(escape(hostile)[:6])


def test_a_whole_report_of_a_real_judgement_is_read_by_its_rules() -> None:
    judged = builders.report(builders.unread("vmdk"))
    assert [result["ruleId"] for result in results(judged)] == [one.rule for one in judged.findings]
    assert msgspec.json.decode(REPORT.reports([judged]))["version"] == "2.1.0"


def test_what_is_ignored_opens_no_alert() -> None:
    assert results(lenient()) == []


@pytest.mark.parametrize("reports", [(), (report(),), (report(), report(profile="aliyun"))])
def test_an_image_that_could_not_be_read_fails_the_run(reports: tuple[Report, ...]) -> None:
    document = json.loads(REPORT.reports(reports, UNREAD))
    validator().validate(document)
    assert len(document["runs"]) == max(len(reports), 1)
    for one in document["runs"]:
        (invocation,) = one["invocations"]
        assert invocation["executionSuccessful"] is False
        notes = invocation["toolExecutionNotifications"]
        assert [(note["level"], note["message"]["text"]) for note in notes] == [
            ("error", "could not be read: there is no such file"),
            ("error", "could not be read: permission denied"),
        ]
        places = [note["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] for note in notes]
        assert places == ["gone.raw", "secret.vhd"]
