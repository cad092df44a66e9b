"""The judgement: an `Image` and what is declared of it, against a `Profile`."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Literal

from preflight.errors import ProfileError
from preflight.facts import Image
from preflight.rules import all_rules
from preflight.rules._guests import (
    architecture_of,
    boot_mode_of,
    license_type_of,
    nvme_support_of,
    os_type_of,
    platform_of,
)
from preflight.rules.role import boot_sign
from preflight.verdicts import (
    Breach,
    Declared,
    Finding,
    Ignored,
    Limits,
    Profile,
    Report,
    RequestSummary,
    Role,
    Undetermined,
    Verdict,
    disk_image_size,
    sendable,
)

_WORST_FIRST = {"error": 0, "warning": 1, "info": 2}


def resolve_role(image: Image, asked: Literal["auto"] | Role) -> Role:
    """The role to judge by: as asked, or else a disk that boots or holds an operating system is a system disk."""
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
    others: Iterable[Profile] = (),
) -> Report:
    """Judge `image` by every rule of `profile`.

    `strict`: warnings and undetermined rules stand in the way too. `ignore`: ids of rules that do not count, each
    with its reason where it is a mapping; `ProfileError` where there is no such rule. `others`: profiles by which the
    image may be ready where it is not by this one; they are taken from the iterable, and loaded if it does so, in that
    case alone.
    """
    for rule_id in ignore:
        if rule_id not in all_rules():
            raise ProfileError(f"there is no rule {rule_id!r} to ignore; see: preflight rules")
    findings, undetermined = _judge(image, profile, declared, _without(profile, ignore))
    verdict = verdict_of(findings, undetermined, strict)
    also_ready_for = (
        other.name
        for other in (() if verdict == "ready" else others)
        if verdict_of(*_judge(image, other, declared, _without(other, ignore)), strict) == "ready"
    )
    reasons = ignore if isinstance(ignore, Mapping) else {}
    ignored = (
        Ignored(rule_id, reasons.get(rule_id), tuple(_judge(image, profile, declared, [rule_id])[0]))
        for rule_id in profile.rules
        if rule_id in ignore
    )
    return Report(
        profile=profile.name,
        role=declared.role,
        verdict=verdict,
        image=image,
        request=summarise(image, declared, profile.limits),
        findings=tuple(findings),
        undetermined=tuple(undetermined),
        also_ready_for=tuple(also_ready_for),
        ignored=tuple(ignored),
    )


def _without(profile: Profile, ignore: Collection[str]) -> list[str]:
    """The ids of the profile's rules that count."""
    return [rule_id for rule_id in profile.rules if rule_id not in ignore]


def _judge(
    image: Image, profile: Profile, declared: Declared, rule_ids: Iterable[str]
) -> tuple[list[Finding], list[Undetermined]]:
    """What these rules of a profile say: what is wrong, worst first, and what could not be judged."""
    findings: list[Finding] = []
    undetermined: list[Undetermined] = []
    for rule_id in rule_ids:
        setting = profile.rules[rule_id]
        api_error = setting.api_error
        if declared.role == "data" and setting.data_disk_api_error is not None:
            api_error = setting.data_disk_api_error
        for outcome in all_rules()[rule_id].judge(image, profile.limits, declared):
            if isinstance(outcome, Breach):
                findings.append(
                    Finding(
                        rule=rule_id,
                        severity=setting.severity,
                        message=outcome.message,
                        subject=outcome.subject,
                        remedy=outcome.remedy,
                        api_error=api_error,
                        detection_item=setting.detection_item,
                        source=str(profile.sources[setting.source]),
                    )
                )
            else:
                undetermined.append(Undetermined(rule=rule_id, reason=outcome.reason))
    findings.sort(key=lambda finding: _WORST_FIRST[finding.severity])
    return findings, undetermined


def verdict_of(findings: Iterable[Finding], undetermined: Sequence[Undetermined], strict: bool) -> Verdict:
    """Not ready where an error stands; where `strict`, also for a warning and for what could not be judged."""
    severities = {finding.severity for finding in findings}
    refused = "error" in severities or (strict and ("warning" in severities or bool(undetermined)))
    return "not-ready" if refused else "ready"


def summarise(image: Image, declared: Declared, limits: Limits) -> RequestSummary:
    """What a request would say of this image: the detected format and size; the rest as declared, else as found."""
    declared = sendable(declared, limits)
    size = declared.disk_image_size
    if size is None and image.virtual_size is not None:
        size = disk_image_size(image.virtual_size, limits.disk_gib(declared.role).minimum)
    os_type, platform = _system(image, declared, limits)
    return RequestSummary(
        os_type=os_type,
        platform=platform,
        architecture=declared.architecture or architecture_of(image, limits),
        format=limits.formats.get(image.format),
        disk_image_size=size,
        boot_mode=(declared.boot_mode or boot_mode_of(image, limits)) if limits.boot_modes else None,
        license_type=declared.license_type or license_type_of(image, limits),
        nvme_support=declared.nvme_support or nvme_support_of(image, limits),
    )


def _system(image: Image, declared: Declared, limits: Limits) -> tuple[str | None, str | None]:
    """OSType and Platform: what is declared of one counts for the other too, before what the image holds does."""
    platform = declared.platform or platform_of(image, limits)
    os_type = declared.os_type or limits.platforms.get(declared.platform or "") or os_type_of(image, limits)
    if declared.platform is None and declared.os_type not in (None, limits.platforms.get(platform or "")):
        platform = None  # of another system than is declared
    return os_type, platform
