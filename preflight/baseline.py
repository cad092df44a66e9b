"""The baseline: findings that were there when it was written, and that do not count until they are seen to.

It is JSON with one entry a line, sorted, and has only what stays the same from run to run: profile, path, rule and
subject, no message and no size. A finding that is there twice has two entries.
"""

from collections import Counter
from collections.abc import Iterable
from typing import Literal

import msgspec

from preflight.checking import verdict_of
from preflight.errors import ConfigurationError
from preflight.facts import Value
from preflight.reports import escape_json
from preflight.verdicts import Finding, Report, Undetermined

NAME = "preflight-baseline.json"
SCHEMA = "preflight/baseline/1"
MAX_BYTES = 64 << 20  # some 300 000 findings: more than anyone reviews


class Entry(Value, frozen=True, forbid_unknown_fields=True):
    """One finding that is known."""

    profile: str
    image: str
    """Path relative to the baseline's folder, with forward slashes."""
    rule: str
    subject: str | None
    """As in `Finding.subject`; null where the rule could not be judged."""


class _Baseline(Value, frozen=True, forbid_unknown_fields=True):
    schema: Literal["preflight/baseline/1"]
    findings: tuple[Entry, ...]


def entries_of(report: Report, image: str, *, strict: bool) -> list[Entry]:
    """What a report has that a later check need not tell again: findings, and where `strict` what is undetermined."""
    known = [Entry(report.profile, image, finding.rule, finding.subject) for finding in report.findings]
    if strict:
        known += [Entry(report.profile, image, undetermined.rule, None) for undetermined in report.undetermined]
    return known


def render(entries: Iterable[Entry]) -> str:
    """The file that holds these entries; the same entries in any order give the same file."""
    lines = [
        escape_json(msgspec.json.format(msgspec.json.encode(entry), indent=0).decode())
        for entry in sorted(entries, key=_order)
    ]
    listed = "".join(f"\n    {line}{',' if number < len(lines) else ''}" for number, line in enumerate(lines, start=1))
    return f'{{\n  "schema": "{SCHEMA}",\n  "findings": [{listed}\n  ]\n}}\n'


def _order(entry: Entry) -> tuple[str, str, str, bool, str]:
    return entry.image, entry.profile, entry.rule, entry.subject is not None, entry.subject or ""


def read(data: bytes, name: str) -> tuple[Entry, ...]:
    """The entries of a baseline, a file that is called `name` in messages; `ConfigurationError` where it is none."""
    try:
        return msgspec.json.decode(data, type=_Baseline).findings
    except msgspec.ValidationError as error:
        raise ConfigurationError(f"{name}: no baseline of preflight: {error}") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigurationError(f"{name}: the baseline is damaged: {error}") from error


def without_known(
    report: Report, image: str, entries: Iterable[Entry], *, strict: bool
) -> tuple[Report, tuple[Entry, ...]]:
    """The report with only what the baseline does not have, and the entries about it that no longer occur.

    An entry of a rule that is ignored, or that could not be judged this time, may still hold.
    """
    known = Counter(entry for entry in entries if (entry.profile, entry.image) == (report.profile, image))

    def is_new(rule: str, subject: str | None) -> bool:
        entry = Entry(report.profile, image, rule, subject)
        known[entry] -= 1
        return known[entry] < 0

    findings: list[Finding] = [finding for finding in report.findings if is_new(finding.rule, finding.subject)]
    undetermined: list[Undetermined] = [entry for entry in report.undetermined if is_new(entry.rule, None)]
    open_rules = {entry.rule for entry in report.undetermined} | {entry.rule for entry in report.ignored}
    stale = (entry for entry in known.elements() if entry.rule not in open_rules)
    verdict = verdict_of(findings, undetermined, strict)
    left_out = len(report.findings) + len(report.undetermined) - len(findings) - len(undetermined)
    changed = msgspec.structs.replace(
        report,
        verdict=verdict,
        findings=tuple(findings),
        undetermined=tuple(undetermined),
        also_ready_for=() if verdict == "ready" else report.also_ready_for,
        in_baseline=left_out,
    )
    return changed, tuple(sorted(stale, key=_order))
