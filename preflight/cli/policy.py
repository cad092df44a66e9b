"""`preflight policy`: what lets the cloud's service read the bucket."""

import click

from preflight import profiles
from preflight.cli import _options
from preflight.cli._output import Output


@click.command("policy")
@_options.profile_name(default=profiles.DEFAULT)
@click.option("--format", "format_name", type=click.Choice(["json", "text"]), default="json", show_default=True)
@_options.output
def command(profile_name: str, format_name: str, out: Output) -> None:
    """Print the RAM role's name, its trust policy and its permission policy, as JSON."""
    from preflight.reports.json import encode

    profile = profiles.load(profile_name)
    if format_name == "json":
        policies = {
            "role_name": profile.role_name,
            "trust_policy": profile.trust_policy,
            "permission_policy": profile.permission_policy,
        }
        out.write(encode(policies))
    else:
        out.write(
            f"Role: {profile.role_name}\n\nTrust policy:\n{encode(profile.trust_policy)}\n"
            f"Permission policy:\n{encode(profile.permission_policy)}"
        )
