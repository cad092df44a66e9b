"""Judgements as Markdown, as for the summary of a CI job: a table of the images, and one of the findings of each."""

from collections.abc import Iterator, Sequence

from preflight.facts import Unread
from preflight.reports import ReportFormat, _summaries
from preflight.reports._markdown import code, text
from preflight.verdicts import Finding, Report

MAX_SHOWN = 100  # findings of one judgement; GitHub refuses a summary of more than 1 MiB


def _document(reports: Sequence[Report], unread: Sequence[Unread]) -> Iterator[str]:
    refused = sum(report.verdict == "not-ready" for report in reports)
    left = f", {len(unread)} could not be read" if unread else ""
    yield f"# preflight: {len(reports)} judged, {len(reports) - refused} ready, {refused} not ready{left}"
    if reports:
        yield ""
        yield from _table(reports)
    for report in reports:
        yield from _section(report)
    if unread:
        yield ""
        yield "## Could not be read"
        yield ""
        for image in unread:
            yield f"- {code(image.path)}: {text(image.reason)}"


def _table(reports: Sequence[Report]) -> Iterator[str]:
    yield _row("image", "profile", "role", "verdict", *_summaries.SEVERITIES, "undetermined")
    yield _row(*["---"] * 4, *["---:"] * 4)
    for report in reports:
        numbers = [str(_summaries.count(report, severity)) for severity in _summaries.SEVERITIES]
        yield _row(
            code(report.image.path),
            code(report.profile),
            report.role,
            f"**{_summaries.verdict(report)}**",
            *numbers,
            str(len(report.undetermined)),
        )


def _section(report: Report) -> Iterator[str]:
    other_rules = report.also_ready_for if report.verdict == "not-ready" else ()
    left_out = [entry for entry in report.ignored if entry.findings]
    if not (report.findings or report.undetermined or left_out or report.in_baseline or other_rules):
        return
    yield ""
    yield f"## {code(report.image.path)} for {code(report.profile)}"
    if report.findings:
        yield ""
        yield _row("severity", "rule", "what", "remedy")
        yield _row(*["---"] * 4)
        for finding in report.findings[:MAX_SHOWN]:
            yield _finding(finding)
    if (left := len(report.findings) - MAX_SHOWN) > 0:
        yield ""
        yield f"{left} more findings are in {code('--format json')}."
    if report.undetermined:
        yield ""
        yield "Undetermined:"
        yield ""
        for rules, reason in _summaries.undetermined(report):
            yield f"- {text(rules)}: {text(reason)}"
    if left_out or report.in_baseline:
        yield ""
        yield "Left out:"
        yield ""
        for entry in left_out:
            yield f"- {code(entry.rule)} is ignored: {text(_summaries.why_ignored(entry))}"
        if report.in_baseline:
            yield f"- {_summaries.known(report)}"
    if other_rules:
        yield ""
        yield f"It is ready by other rules: {' or '.join(code(f'--profile {name}') for name in other_rules)}"


def _finding(finding: Finding) -> str:
    action, command = _summaries.split_remedy(finding.remedy)
    remedy = f"{text(action)} {code(command)}" if command else text(action)
    what = f"{text(finding.subject)}: {text(finding.message)}"
    return _row(finding.severity, code(finding.rule), what, remedy)


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _reports(reports: Sequence[Report], unread: Sequence[Unread] = ()) -> str:
    return "".join(f"{line}\n" for line in _document(reports, unread))


REPORT = ReportFormat(name="markdown", reports=_reports)
