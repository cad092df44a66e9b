"""Judgements as SARIF, for code scanning and for other tools that gather results: a run for each profile.

What is ignored is left out, not marked as suppressed: GitHub shows a suppressed result like any other. An image that
could not be read is a notification of each run.

Specification: Static Analysis Results Interchange Format (SARIF) 2.1.0,
https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/sarif-v2.1.0-errata01-os-complete.html;
what GitHub reads of it: SARIF support for code scanning,
https://docs.github.com/en/code-security/code-scanning/integrating-with-code-scanning/sarif-support-for-code-scanning
"""

import hashlib
import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

import preflight
from preflight.facts import Unread
from preflight.reports import ReportFormat, _paths, escape
from preflight.reports._sarif_rules import LEVELS, cloud_names, descriptor, message
from preflight.reports.json import encode
from preflight.verdicts import Finding, Report, Undetermined

_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_PLACE = re.compile(r" at byte 0x[0-9a-f]+")


def _run(profile: str | None, reports: Sequence[Report], unread: Sequence[Unread]) -> dict[str, Any]:
    """The run of one profile; of none, where no image could be read."""
    rules: dict[str, dict[str, Any]] = {}
    for report in reports:
        for finding in report.findings:
            if finding.rule not in rules:
                rules[finding.rule] = descriptor(finding, report)
    numbers = {rule: number for number, rule in enumerate(rules)}
    seen: dict[str, int] = {}
    return {
        "tool": {
            "driver": {
                "name": "preflight",
                "version": preflight.__version__,
                "semanticVersion": preflight.__version__,
                "rules": list(rules.values()),
            }
        },
        "automationDetails": {"id": f"preflight/{profile}/" if profile else "preflight/"},
        "columnKind": "unicodeCodePoints",
        "invocations": [
            {
                "executionSuccessful": not unread,
                "toolExecutionNotifications": [
                    *(_undetermined(report, entry) for report in reports for entry in report.undetermined),
                    *(_unread(image) for image in unread),
                ],
            }
        ],
        "artifacts": [
            {"location": {"uri": uri}, "length": length, "roles": ["analysisTarget"]}
            for uri, length in {_uri(report.image.path): report.image.file_size for report in reports}.items()
        ],
        "results": [_result(report, finding, numbers, seen) for report in reports for finding in report.findings],
    }


def _result(report: Report, finding: Finding, numbers: dict[str, int], seen: dict[str, int]) -> dict[str, Any]:
    location = _location(report.image.path) | {"logicalLocations": [{"fullyQualifiedName": escape(finding.subject)}]}
    fingerprint = _fingerprint(report, finding, seen)
    return {
        "ruleId": finding.rule,
        "ruleIndex": numbers[finding.rule],
        "level": LEVELS[finding.severity],
        "message": {"text": message(f"{finding.subject}: {finding.message}.\n{finding.remedy}")},
        "locations": [location],
        "partialFingerprints": {"preflight/v1": fingerprint, "primaryLocationLineHash": fingerprint},
        "properties": cloud_names(finding) | {"role": report.role},
    }


def _undetermined(report: Report, entry: Undetermined) -> dict[str, Any]:
    return {
        "level": "note",
        "message": {"text": message(f"{entry.rule}: {entry.reason}")},
        "associatedRule": {"id": entry.rule},
        "locations": [_location(report.image.path)],
    }


def _unread(image: Unread) -> dict[str, Any]:
    text = message(f"could not be read: {image.reason}")
    return {"level": "error", "message": {"text": text}, "locations": [_location(image.path)]}


def _location(path: str) -> dict[str, Any]:
    """The image; GitHub takes no result without a line, though a disk has none."""
    place = {"artifactLocation": {"uri": _uri(path)}, "region": {"startLine": 1}}
    return {"physicalLocation": place}


def _uri(path: str) -> str:
    """A reference relative to the working directory, or a file URI; a colon in it is encoded, and makes no scheme."""
    plain = _paths.plain(path)
    try:
        octets = plain.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        octets = plain.encode("utf-8", "surrogatepass")
    return ("file://" if plain.startswith("/") else "") + quote(octets)


def _fingerprint(report: Report, finding: Finding, seen: dict[str, int]) -> str:
    """What tells a result from others and stays when a size, a byte or a sentence changes."""
    parts = (report.profile, finding.rule, _paths.plain(report.image.path), _PLACE.sub("", finding.subject))
    digest = hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:32]
    seen[digest] = seen.get(digest, 0) + 1
    return f"{digest}:{seen[digest]}"


def _reports(reports: Sequence[Report], unread: Sequence[Unread] = ()) -> str:
    by_profile: dict[str | None, list[Report]] = {} if reports or not unread else {None: []}
    for report in reports:
        by_profile.setdefault(report.profile, []).append(report)
    runs = [_run(profile, judged, unread) for profile, judged in by_profile.items()]
    return encode({"$schema": _SCHEMA, "version": "2.1.0", "runs": runs})


REPORT = ReportFormat(name="sarif", reports=_reports)
