"""The rules of a SARIF run: each with its documentation, its remedy, and the document that states it.

Specification: SARIF 2.1.0, section 3.49 (reportingDescriptor object) and 3.11 (message strings),
https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/sarif-v2.1.0-errata01-os-complete.html
"""

import re
from typing import Any

from preflight.reports import _markdown, escape
from preflight.verdicts import Finding, Report

LEVELS = {"error": "error", "warning": "warning", "info": "note"}

# A bracket opens or closes a link unless a backslash stands before it; one that stands there already is no escape.
_BRACKET = re.compile(r"(\\*)([\[\]])")


def message(text: str) -> str:
    """`text`, which may have several lines, as a message string: nothing in it is a link or a placeholder."""
    shown = "\n".join(map(escape, text.split("\n")))
    return _braces(_BRACKET.sub(r"\1\1\\\2", shown))


def _braces(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")


def descriptor(finding: Finding, report: Report) -> dict[str, Any]:
    """What a run says of the rule that this finding, of this report, is about."""
    from preflight.rules import all_rules

    found: dict[str, Any] = {"id": finding.rule, "name": finding.rule.title().replace("-", "")}
    if rule := all_rules().get(finding.rule):  # a report that was read back may be of another version
        title, _, documentation = rule.documentation.partition("\n")
        paragraphs = _paragraphs(documentation)
        found["shortDescription"] = {"text": message(title)}
        what_and_why = [told[:1].upper() + told[1:] for _, told in paragraphs[:2]]
        found["fullDescription"] = {"text": message(" ".join([title, *what_and_why]))}
        found["help"] = {
            "text": message("\n\n".join([title, *(f"{heading}: {told}" for heading, told in paragraphs)])),
            "markdown": _braces(
                "\n\n".join(
                    [_markdown.text(title), *(f"**{heading}:** {_markdown.text(told)}" for heading, told in paragraphs)]
                )
            ),
        }
    _, _, url = finding.source.rpartition(", ")
    if re.fullmatch(r"https://[!-~]+", url):
        found["helpUri"] = url
    found["defaultConfiguration"] = {"level": LEVELS[finding.severity]}
    found["properties"] = cloud_names(finding) | {
        "tags": ["disk-image", report.profile],
        "source": escape(finding.source),
    }
    return found


def cloud_names(finding: Finding) -> dict[str, Any]:
    """What the cloud calls the defect, where it has a name for it."""
    names = {"api_error": finding.api_error, "detection_item": finding.detection_item}
    return {key: escape(name) for key, name in names.items() if name}


def _paragraphs(documentation: str) -> list[tuple[str, str]]:
    """The sections of a rule's documentation, in which a line that begins with a word and a colon opens a new one."""
    sections = re.findall(r"^([A-Z][a-z]+): (.*(?:\n(?![A-Z][a-z]+: ).*)*)", documentation, re.MULTILINE)
    return [(heading, " ".join(told.split())) for heading, told in sections]
