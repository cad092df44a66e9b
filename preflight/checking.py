"""The judgement: an `Image` and what is declared of it, against a `Profile`."""

from collections.abc import Collection, Iterable
from typing import Literal

from preflight.errors import ProfileError
from preflight.facts import Image
from preflight.rules import all_rules
from preflight.rules.role import boot_sign
from preflight.verdicts import (
    Breach,
    Declared,
    Finding,
    Limits,
    Profile,
    Report,
    RequestSummary,
    Role,
    Undetermined,
    disk_image_size,
)

_WORST_FIRST = {"error": 0, "warning": 1, "info": 2}


def resolve_role(image: Image, asked: Literal["auto"] | Role) -> Role:
    """The role to judge by: as asked, or else a disk that shows a way to boot is a system disk."""
    if asked != "auto":
        return asked
    return "system" if boot_sign(image) else "data"


def check(
    image: Image,
    profile: Profile,
    declared: Declared,
    *,
    strict: bool = False,
    ignore: Collection[str] = (),
) -> Report:
    """Judge `image` by every rule of `profile`.

    `strict`: warnings and undetermined rules stand in the way too. `ignore`: ids of rules that are not judged;
    `ProfileError` where there is no such rule.
    """
    for rule_id in ignore:
        if rule_id not in all_rules():
            raise ProfileError(f"there is no rule {rule_id!r} to ignore; see: preflight rules")
    findings: list[Finding] = []
    undetermined: list[Undetermined] = []
    for rule_id, setting in profile.rules.items():
        if rule_id in ignore:
            continue
        for outcome in all_rules()[rule_id].judge(image, profile.limits, declared):
            if isinstance(outcome, Breach):
                findings.append(
                    Finding(
                        rule=rule_id,
                        severity=setting.severity,
                        message=outcome.message,
                        subject=outcome.subject,
                        remedy=outcome.remedy,
                        api_error=setting.api_error,
                        detection_item=setting.detection_item,
                        source=str(profile.sources[setting.source]),
                    )
                )
            else:
                undetermined.append(Undetermined(rule=rule_id, reason=outcome.reason))
    findings.sort(key=lambda finding: _WORST_FIRST[finding.severity])
    return Report(
        profile=profile.name,
        role=declared.role,
        verdict="not-ready" if _stands_in_the_way(findings, undetermined, strict) else "ready",
        image=image,
        request=summarise(image, declared, profile.limits),
        findings=tuple(findings),
        undetermined=tuple(undetermined),
        also_ready_for=(),
    )


def _stands_in_the_way(findings: Iterable[Finding], undetermined: Collection[Undetermined], strict: bool) -> bool:
    severities = {finding.severity for finding in findings}
    return "error" in severities or (strict and ("warning" in severities or bool(undetermined)))


def summarise(image: Image, declared: Declared, limits: Limits) -> RequestSummary:
    """What a request would say of this image: the detected format and size, the rest as declared."""
    size = declared.disk_image_size
    if size is None and image.virtual_size is not None:
        size = disk_image_size(image.virtual_size, limits.disk_gib(declared.role).minimum)
    return RequestSummary(
        os_type=declared.os_type,
        platform=declared.platform,
        architecture=declared.architecture,
        format=limits.formats.get(image.format),
        disk_image_size=size,
    )
