"""`preflight rules`: every rule of a profile."""

import click
import msgspec

from preflight import profiles
from preflight.cli import _options
from preflight.cli._output import Output
from preflight.rules import all_rules
from preflight.verdicts import Profile


@click.command("rules")
@_options.profile_name(default=profiles.DEFAULT)
@click.option("--coverage", is_flag=True, help="List what the cloud asks of images, and the rules that hold each.")
@_options.report_format
@_options.output
def command(profile_name: str, coverage: bool, format_name: str, out: Output) -> None:
    """List the rules of a profile, and the API's errors that nobody can foresee offline."""
    profile = profiles.load(profile_name)
    if coverage:
        _cover(profile, format_name, out)
        return
    if format_name == "json":
        from preflight.reports.json import encode

        listed = [
            {
                "rule": rule_id,
                "severity": setting.severity,
                "title": all_rules()[rule_id].title,
                "api_error": setting.api_error,
                "detection_item": setting.detection_item,
                "source": str(profile.sources[setting.source]),
            }
            for rule_id, setting in profile.rules.items()
        ]
        out.write(encode({"profile": profile.name, "rules": listed, "not_checkable": profile.not_checkable}))
        return
    width = max(map(len, (*profile.rules, *profile.not_checkable)))
    lines = [
        f"{rule_id:{width}}  {setting.severity:13}  {all_rules()[rule_id].title}"
        + (f" ({setting.api_error})" if setting.api_error else "")
        for rule_id, setting in profile.rules.items()
    ]
    lines += [f"{code:{width}}  not checkable  {reason}" for code, reason in profile.not_checkable.items()]
    out.write("\n".join(lines) + "\n")


def _cover(profile: Profile, format_name: str, out: Output) -> None:
    """What the cloud asks of images, with the rules of this profile, or why there is none."""
    covered = [
        msgspec.structs.replace(entry, rules=tuple(rule for rule in entry.rules if rule in profile.rules))
        for entry in profiles.requirements(profile)
    ]
    if format_name == "json":
        from preflight.reports.json import encode

        out.write(encode({"profile": profile.name, "coverage": covered}))
        return
    lines: list[str] = []
    section = ""
    for entry in covered:
        if entry.section != section:
            section = entry.section
            lines += ["", section] if lines else [section]
        rules = ", ".join(entry.rules)
        told = [rules] if rules else []
        if entry.reason:
            told.append(f"not known offline: {entry.reason}" if not rules else f"(beyond them: {entry.reason})")
        elif not rules:
            told.append(f"no rule of profile {profile.name}")
        lines.append(f"  {entry.item}: {' '.join(told)}")
    out.write("\n".join(lines) + "\n")
