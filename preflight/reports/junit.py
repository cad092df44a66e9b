"""Judgements as JUnit XML, which most CI systems show: a suite for each image and profile, a case for each outcome.

A finding that is an error is a failure, what could not be judged or is ignored is skipped, and the case `ready` is
the verdict. An image that could not be read is an error.
Specification: there is none; what readers have in common, as https://github.com/testmoapp/junitxml collects it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from preflight.facts import Unread
from preflight.reports import ReportFormat, _summaries, escape
from preflight.verdicts import Finding, Report

if TYPE_CHECKING:  # it costs 10 ms, and only who writes XML needs it
    from xml.etree.ElementTree import Element


class _Case(NamedTuple):
    """A test case, nothing escaped yet."""

    name: str
    outcome: str = ""
    """Element inside the case that says how it ended; none of one that passed and has nothing to say."""
    message: str = ""
    type: str = ""
    lines: Sequence[str] = ()


def _cases(report: Report) -> Iterator[_Case]:
    for finding in report.findings:
        name = f"{finding.rule}: {finding.subject}"
        if finding.severity == "error":
            message = f"{finding.subject}: {finding.message}"
            yield _Case(name, "failure", message, finding.rule, _told(finding))
        else:
            yield _Case(name, "system-out", lines=_told(finding))
    for entry in report.undetermined:
        yield _Case(entry.rule, "skipped", entry.reason)
    for ignored in report.ignored:
        for finding in ignored.findings:
            message = f"ignored: {_summaries.why_ignored(ignored)}"
            yield _Case(f"{finding.rule}: {finding.subject}", "skipped", message, lines=_told(finding))
    counts = _summaries.counts(report)
    if report.verdict == "ready":
        yield _Case("ready")
    elif not _summaries.count(report, "error"):  # else the errors have failed already
        yield _Case("ready", "failure", f"not ready, as warnings and undetermined count: {counts}", "not-ready")


def _told(finding: Finding) -> list[str]:
    names = [name for name in (finding.api_error, finding.detection_item) if name]
    return [
        f"{finding.severity}: {finding.subject}: {finding.message}",
        f"remedy: {finding.remedy}",
        *([f"the cloud calls it: {', '.join(names)}"] if names else ()),
        f"source: {finding.source}",
    ]


def _suite(called: str, cases: Iterable[_Case]) -> Element:
    from xml.etree.ElementTree import Element, SubElement

    name = escape(called)
    suite = Element("testsuite", name=name)
    outcomes: list[str] = []
    seen: dict[str, int] = {}
    for case in cases:
        seen[case.name] = seen.get(case.name, 0) + 1
        number = f" ({seen[case.name]})" if seen[case.name] > 1 else ""  # readers tell cases by their names
        element = SubElement(suite, "testcase", classname=name, name=escape(case.name) + number)
        outcomes.append(case.outcome)
        if case.outcome:
            outcome = SubElement(element, case.outcome)
            for attribute, value in (("message", case.message), ("type", case.type)):
                if value:
                    outcome.set(attribute, escape(value))
            outcome.text = "".join(f"{escape(line)}\n" for line in case.lines) or None
    _count(suite, outcomes)
    return suite


def _count(element: Element, outcomes: Sequence[str]) -> None:
    element.set("tests", str(len(outcomes)))
    for attribute, outcome in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        element.set(attribute, str(outcomes.count(outcome)))


def _reports(reports: Sequence[Report], unread: Sequence[Unread] = ()) -> str:
    from xml.etree.ElementTree import Element, indent, tostring

    suites = [(f"{report.image.path} ({report.profile})", list(_cases(report))) for report in reports]
    suites += [(image.path, [_Case("readable", "error", image.reason, "unreadable")]) for image in unread]
    root = Element("testsuites", name="preflight")
    root.extend(_suite(name, cases) for name, cases in suites)
    _count(root, [case.outcome for _, cases in suites for case in cases])
    indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{tostring(root, encoding="unicode")}\n'


REPORT = ReportFormat(name="junit", reports=_reports)
