"""What can stand where the cursor is, for the completion of shells: values of options and arguments.

Nothing here may raise or be slow: it runs at every press of Tab, amid what the person types.
"""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:  # all of it is for those who press Tab
    from click.shell_completion import CompletionItem

    from preflight.verdicts import Profile

Completer = Callable[[click.Context, click.Parameter, str], "list[CompletionItem[str]]"]


def profiles(context: click.Context, parameter: click.Parameter, incomplete: str) -> "list[CompletionItem[str]]":
    """The profiles that there are."""
    from preflight import profiles

    return _beginning(incomplete, ((name, "") for name in profiles.names()))


def rules(context: click.Context, parameter: click.Parameter, incomplete: str) -> "list[CompletionItem[str]]":
    """The rules of the profiles at hand, with their titles."""
    from preflight.rules import all_rules

    judged = dict.fromkeys(rule for profile in _profiles(context) for rule in profile.rules)
    return _beginning(incomplete, ((rule, all_rules()[rule].title) for rule in judged))


def every_rule(context: click.Context, parameter: click.Parameter, incomplete: str) -> "list[CompletionItem[str]]":
    """All rules, with their titles."""
    from preflight.rules import all_rules

    return _beginning(incomplete, ((rule.id, rule.title) for rule in all_rules().values()))


def topics(context: click.Context, parameter: click.Parameter, incomplete: str) -> "list[CompletionItem[str]]":
    """What `preflight help` can be asked: commands, topics, rules."""
    from preflight.cli import COMMANDS, _topics

    known = {**COMMANDS, **{name: _topics.title(name) for name in _topics.names()}}
    return _beginning(incomplete, known.items()) + every_rule(context, parameter, incomplete)


def limit(field: str) -> Completer:
    """What the profiles at hand allow: the values, or the keys, of this field of `verdicts.Limits`."""

    def complete(context: click.Context, parameter: click.Parameter, incomplete: str) -> "list[CompletionItem[str]]":
        allowed = dict.fromkeys(value for profile in _profiles(context) for value in getattr(profile.limits, field))
        return _beginning(incomplete, ((value, "") for value in allowed))

    return complete


def formats(context: click.Context, parameter: click.Parameter, incomplete: str) -> "list[CompletionItem[str]]":
    """How the API spells the formats that the profiles at hand allow."""
    spelt = dict.fromkeys(value for profile in _profiles(context) for value in profile.limits.formats.values())
    return _beginning(incomplete, ((value, "") for value in spelt))


def _profiles(context: click.Context) -> "list[Profile]":
    """Those to judge by: as asked, else as configured, else the default one; those that are wrong are left out."""
    from preflight import profiles
    from preflight.cli import _configuring
    from preflight.errors import PreflightError

    said = context.params
    asked = said.get("profile_names") or tuple(name for name in (said.get("profile_name"),) if name)
    if not asked and "config_path" in said:
        try:
            settings = _configuring.settings_of(said["config_path"], bool(said.get("no_config")))
            asked = settings.profile_names()
        except (click.ClickException, PreflightError, OSError):
            asked = ()
    found = []
    for name in asked or (profiles.DEFAULT,):
        try:
            found.append(profiles.load(name))
        except PreflightError:
            continue
    return found


def _beginning(incomplete: str, values: Iterable[tuple[str, str]]) -> "list[CompletionItem[str]]":
    """Those of the values, each with a word on it, that begin with what is typed, whatever its case."""
    from click.shell_completion import CompletionItem

    typed = incomplete.lower()
    return [CompletionItem(value, help=help_ or None) for value, help_ in values if value.lower().startswith(typed)]
