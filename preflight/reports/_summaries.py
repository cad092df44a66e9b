"""A judgement in a few words: its verdict, its counts, and what could not be judged, by reason."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # `inspect` has no need of verdicts, and the start-up counts
    from preflight.verdicts import Ignored, Report, Severity

MAX_RULES_NAMED = 3  # of those with the same reason; JSON has them all
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "info")


def verdict(report: Report) -> str:
    """`READY` or `NOT READY`."""
    return "READY" if report.verdict == "ready" else "NOT READY"


def count(report: Report, severity: Severity) -> int:
    """How many findings have this severity."""
    return sum(finding.severity == severity for finding in report.findings)


def counts(report: Report) -> str:
    """What was found, as `2 errors, 1 info, 3 undetermined`; empty where there is nothing."""
    told = [
        f"{number} {severity}{'s' if number > 1 and severity != 'info' else ''}"
        for severity in SEVERITIES
        if (number := count(report, severity))
    ]
    if report.undetermined:
        told.append(f"{len(report.undetermined)} undetermined")
    return ", ".join(told)


def undetermined(report: Report) -> Iterator[tuple[str, str]]:
    """The rules that could not be judged, by reason: what could not be read at all is in the way of many.

    Of the rules the first are named, as `one-rule, other-rule and 7 more rules`; the reason comes second, not escaped.
    """
    by_reason: dict[str, list[str]] = {}
    for entry in report.undetermined:
        by_reason.setdefault(entry.reason, []).append(entry.rule)
    for reason, rules in by_reason.items():
        more = f" and {len(rules) - MAX_RULES_NAMED} more rules" if len(rules) > MAX_RULES_NAMED else ""
        yield ", ".join(rules[:MAX_RULES_NAMED]) + more, reason


def why_ignored(entry: Ignored) -> str:
    """The reason for which a rule does not count, not escaped."""
    return "on the command line" if entry.reason is None else entry.reason


def known(report: Report) -> str:
    """How much of what was found the baseline has, as `2 known findings left out`."""
    return f"{report.in_baseline} known finding{'s' if report.in_baseline > 1 else ''} left out"


def split_remedy(remedy: str) -> tuple[str, str]:
    """What to do, and the command that does it, which is empty where there is none."""
    action, run, command = remedy.partition("run: ")
    return f"{action}run:" if run else action, command
