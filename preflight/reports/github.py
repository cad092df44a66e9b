"""Judgements as workflow commands of GitHub Actions, which show each finding as an annotation of its image.

Specification: Workflow commands for GitHub Actions,
https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands; what is decoded, and in which
order, is in src/Runner.Common/ActionCommand.cs of https://github.com/actions/runner
"""

from collections.abc import Iterator, Sequence

from preflight.facts import Unread
from preflight.reports import ReportFormat, _paths, _summaries, escape
from preflight.verdicts import Report

_COMMANDS = {"error": "error", "warning": "warning", "info": "notice"}


def _lines(report: Report) -> Iterator[str]:
    path = _paths.plain(report.image.path)
    for finding in report.findings:
        told = [f"{finding.subject}: {finding.message}", f"remedy: {finding.remedy}"]
        yield _command(_COMMANDS[finding.severity], path, finding.rule, told)
    if report.undetermined:
        told = [f"{rules}: {reason}" for rules, reason in _summaries.undetermined(report)]
        yield _command("notice", path, "undetermined", told)
    counts = _summaries.counts(report)
    verdict = _summaries.verdict(report)
    told = [f"{verdict} for {report.profile} as a {report.role} disk{f': {counts}' if counts else ''}"]
    if report.also_ready_for and report.verdict == "not-ready":
        told.append(f"it is ready by other rules: {' or '.join(f'--profile {name}' for name in report.also_ready_for)}")
    yield _command("notice" if report.verdict == "ready" else "error", path, verdict, told)


def _command(name: str, path: str, title: str, told: Sequence[str]) -> str:
    """One line; what is `told` becomes lines of the annotation."""
    data = "%0A".join(escape(line).replace("%", "%25") for line in told)
    return f"::{name} file={_property(path)},title={_property(title)}::{data}\n"


def _property(value: str) -> str:
    return escape(value).replace("%", "%25").replace(":", "%3A").replace(",", "%2C")


def _reports(reports: Sequence[Report], unread: Sequence[Unread] = ()) -> str:
    lines = [line for report in reports for line in _lines(report)]
    lines += [_command("error", _paths.plain(image.path), "could not be read", [image.reason]) for image in unread]
    return "".join(lines)


REPORT = ReportFormat(name="github", reports=_reports)
