"""The topics of `preflight help` that are neither a command nor a rule, told from the docstrings and the data."""

import importlib
import inspect
import textwrap
from collections.abc import Callable, Iterable, Iterator
from types import ModuleType

WIDTH = 100  # as the help of the commands

_TOPICS: dict[str, Callable[[], Iterable[str]]] = {}


def names() -> tuple[str, ...]:
    """The topics, by name."""
    return tuple(name.replace("_", "-") for name in _TOPICS)


def title(name: str) -> str:
    """What a topic is about, on one line."""
    return (_TOPICS[name.replace("-", "_")].__doc__ or "").partition("\n")[0].rstrip(".")


def text(name: str) -> str:
    """All that is to be said on a topic, ending in a newline."""
    heading = title(name)
    lines = (heading, "=" * len(heading), "", *_TOPICS[name.replace("-", "_")]())
    return "\n".join(lines) + "\n"


def _topic(tell: Callable[[], Iterable[str]]) -> Callable[[], Iterable[str]]:
    _TOPICS[tell.__name__] = tell
    return tell


@_topic
def exit_codes() -> Iterator[str]:
    """Exit codes of all commands."""
    from preflight import cli

    yield from (f"{code:>5}  {meaning}" for code, meaning in cli.exit_codes().items())
    yield ""
    yield from _wrapped(
        "A damaged or hostile image is not code 3: it is judged, gets findings and code 1 under `check`; `inspect` "
        "reports it and ends with 0. Where several codes apply, 3 outweighs 1. Of several images, those that could be "
        "read are still judged. stdout carries the result and nothing else."
    )


@_topic
def formats() -> Iterator[str]:
    """Formats of the reports, as --format takes them."""
    from preflight import plugins, reports

    yield from _plugins(reports, ((name, name) for name in plugins.names(reports)))


@_topic
def targets() -> Iterator[str]:
    """Targets of the import request, as `preflight payload --as` takes them."""
    from preflight import targets

    yield from _plugins(targets, ((name, name.replace("-", "_")) for name in targets.names()))


@_topic
def limits() -> Iterator[str]:
    """Limits and values of the profiles, by which the rules judge."""
    from preflight import profiles

    for name in profiles.names():
        profile = profiles.load(name)
        said = profile.limits
        default = " (default)" if name == profiles.DEFAULT else ""
        yield from (f"{name}{default}: {profile.title}", f"  {profile.sources[profile.source]}", "")
        ranges = {
            "system disk": f"{said.system_disk_gib.minimum} to {said.system_disk_gib.maximum} GiB",
            "data disk": f"{said.data_disk_gib.minimum} to {said.data_disk_gib.maximum} GiB",
            "disks": f"{said.mappings.minimum} to {said.mappings.maximum}, the system disk among them",
        }
        values = {
            "formats": said.formats.values(),
            "architectures": said.architectures,
            "OSTypes": said.os_types,
            "platforms": said.platforms,
            "boot modes": said.boot_modes,
            "licence types": said.license_types,
            "regions": said.regions,
        }
        for what, told in {**ranges, **{key: ", ".join(allowed) for key, allowed in values.items()}}.items():
            yield from _wrapped(f"{what}: {told or 'no such parameter'}", indent="  ", hanging="    ")
        yield ""
    yield from _wrapped("Each rule and its source: preflight rules --profile NAME, preflight explain RULE.")


@_topic
def configuration() -> Iterator[str]:
    """The configuration file, preflight.toml."""
    from preflight import configuration

    documentation = inspect.getdoc(configuration) or ""
    for paragraph in documentation.split("\n\n"):
        yield from (*_wrapped(paragraph), "")
    yield from _wrapped(
        "It is the nearest one from the current folder upwards. Keys: profile (a name, or several), strict, baseline, "
        'the table [ignore] with a reason for each rule, and entries [[image]] with a path (a pattern, as "*.qcow2" '
        f'or "images/**"), role, ignore, and what is declared: {", ".join(configuration.PARAMETERS)}. What the command '
        "line says wins over it. `preflight config` verifies it."
    )


def _plugins(package: ModuleType, plugins: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Each plugin's name, and below it the first paragraph of its module's documentation."""
    for name, module in plugins:
        documentation = inspect.getdoc(importlib.import_module(f"{package.__name__}.{module}")) or ""
        yield name
        yield from _wrapped(documentation.partition("\n\n")[0], indent="  ", hanging="  ")


def _wrapped(paragraph: str, indent: str = "", hanging: str = "") -> list[str]:
    return textwrap.wrap(
        " ".join(paragraph.split()),
        WIDTH,
        initial_indent=indent,
        subsequent_indent=hanging,
        break_on_hyphens=False,
        break_long_words=False,
    )
