"""`preflight help`: what can be asked, and the answer from the documentation that there is already."""

import click

from preflight.cli import _completing, _options
from preflight.cli._output import Output


@click.command("help")
@click.argument("topic", required=False, metavar="[TOPIC]", shell_complete=_completing.topics)
@click.option("--man", is_flag=True, help="Write the manual page preflight(1), for man -l or a folder man1.")
@_options.output
@click.pass_context
def command(context: click.Context, topic: str | None, man: bool, out: Output) -> None:
    """Show help on TOPIC: a command, a rule, or one of the topics that it lists without."""
    group = context.parent
    assert group is not None
    assert isinstance(group.command, click.Group)
    if man and topic is not None:
        raise click.UsageError("--man is one page for all topics: give none")
    if man:
        from preflight.cli import _manual

        out.write(_manual.page(group))
    elif topic is None:
        out.write(_listed(group))
    else:
        out.write(_told(group, group.command, topic))


def _listed(context: click.Context) -> str:
    from preflight.cli import COMMANDS, _topics

    topics = [(name, _topics.title(name)) for name in _topics.names()]
    formatter = context.make_formatter()
    formatter.write_text("preflight help TOPIC tells more of each of these:")
    for heading, rows in (("Commands", list(COMMANDS.items())), ("Topics", topics)):
        with formatter.section(heading):
            formatter.write_dl(rows)
    formatter.write_paragraph()
    formatter.write_text("And of every rule that `preflight rules` lists: preflight help RULE")
    return formatter.getvalue()


def _told(context: click.Context, group: click.Group, topic: str) -> str:
    found = group.get_command(context, topic)
    if found is not None:
        return click.Context(found, parent=context, info_name=topic).get_help() + "\n"
    from preflight import profiles
    from preflight.cli import _topics
    from preflight.cli.explain import as_text
    from preflight.rules import all_rules

    if topic in _topics.names():
        return _topics.text(topic)
    rule = all_rules().get(topic)
    if rule is not None:
        return as_text(rule, profiles.load(profiles.DEFAULT))
    import difflib

    known = (*group.list_commands(context), *_topics.names(), *all_rules())
    near = difflib.get_close_matches(topic, known, n=3, cutoff=0.5)
    hint = f" Did you mean {', '.join(near)}?" if near else ""
    raise click.UsageError(f"there is no help on {topic!r}.{hint} See: preflight help")
