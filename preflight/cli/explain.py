"""`preflight explain`: one rule's documentation."""

import click

from preflight import profiles
from preflight.cli import _completing, _options
from preflight.cli._output import Output
from preflight.rules import all_rules
from preflight.verdicts import Profile, Rule


@click.command("explain")
@click.argument("rule", metavar="RULE", shell_complete=_completing.every_rule)
@_options.profile_name(default=profiles.DEFAULT)
@_options.report_format
@_options.output
def command(rule: str, profile_name: str, format_name: str, out: Output) -> None:
    """Tell what RULE looks for, why, and what to do about it."""
    profile = profiles.load(profile_name)
    found = all_rules().get(rule)
    if found is None:
        import difflib

        near = difflib.get_close_matches(rule, all_rules(), n=3, cutoff=0.5)
        hint = f" Did you mean {', '.join(near)}?" if near else ""
        raise click.UsageError(f"there is no rule {rule!r}.{hint} See: preflight rules")
    out.write(_as_json(found, profile) if format_name == "json" else as_text(found, profile))


def _as_json(rule: Rule, profile: Profile) -> str:
    """The rule; what the profile says of it is null where the profile does not judge it."""
    from preflight.reports.json import encode

    setting = profile.rules.get(rule.id)
    return encode(
        {
            "rule": rule.id,
            "title": rule.title,
            "documentation": rule.documentation,
            "profile": profile.name,
            "severity": setting.severity if setting else None,
            "api_error": setting.api_error if setting else None,
            "detection_item": setting.detection_item if setting else None,
            "source": str(profile.sources[setting.source]) if setting else None,
        }
    )


def as_text(rule: Rule, profile: Profile) -> str:
    """The rule's documentation, and what the profile says of it."""
    lines = [rule.id, "=" * len(rule.id), "", rule.documentation.rstrip(), ""]
    setting = profile.rules.get(rule.id)
    if setting is None:
        lines.append(f"Profile {profile.name} does not judge it.")
    else:
        lines.append(f"Profile {profile.name}: {setting.severity}")
        if setting.api_error:
            lines.append(f"API error: {setting.api_error}")
        if setting.detection_item:
            lines.append(f"Image check item: {setting.detection_item}")
        lines.append(f"Stated in: {profile.sources[setting.source]}")
    return "\n".join(lines) + "\n"
