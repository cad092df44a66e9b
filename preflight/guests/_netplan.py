"""Netplan's YAML files.

Specification: netplan, "YAML configuration", https://netplan.readthedocs.io/en/stable/netplan-yaml/; which file
counts: netplan-generate(8).
"""

from collections.abc import Iterator, Sequence
from typing import Any

from preflight.contents import ContentsError
from preflight.contents.tree import Tree
from preflight.guest_facts import Interface
from preflight.guests._addressing import MAX_ADDRESSES, interface
from preflight.guests._directories import distinct, files
from preflight.guests._text import shown
from preflight.units import KiB

DIRECTORIES = ("/etc/netplan", "/usr/lib/netplan", "/lib/netplan")
"""A file hides those of its name in later ones."""
KINDS = ("ethernets", "bonds", "bridges", "vlans")
MAX_FILE_BYTES = 64 * KiB
MAX_BYTES = 128 * KiB  # of all files in a directory: YAML is slow to read
MAX_NESTING = 24  # a file of netplan has some eight levels
TRUE = ("true", "yes", "on", "y")


def paths(tree: Tree) -> list[str]:
    """Netplan's files, in the order in which they count."""
    found: dict[str, str] = {}
    for directory in distinct(tree, DIRECTORIES):
        for name in files(tree, directory, lambda name: name.endswith(".yaml"), MAX_BYTES):
            found.setdefault(name, f"{directory}/{name}")
    return [found[name] for name in sorted(found)]


def read(tree: Tree, ordered: Sequence[str]) -> Iterator[Interface]:
    """The interfaces in these files: a later one overrides what an earlier one says, key by key, and adds to lists."""
    merged: dict[str, dict[str, Any]] = {}
    read_from: dict[str, str] = {}
    for path in ordered:
        network = _mapping(_mapping(_parsed(tree.text(path, MAX_FILE_BYTES) or "", path)).get("network"))
        for kind in KINDS:
            for name, values in _mapping(network.get(kind)).items():
                _merge(merged.setdefault(str(name), {}), _mapping(values))
                read_from[str(name)] = path
    for name, values in merged.items():
        # The key is no name where `match` stands below it: all-en matches en*, as in Debian's cloud images.
        match = _mapping(values.get("match"))
        yield interface(
            _word(values.get("set-name")) or _word(match.get("name")) or name,
            str(values.get("dhcp4")).lower() in TRUE,
            map(_address, _list(values.get("addresses"))),
            read_from[name],
            mac=_word(match.get("macaddress")) or _word(values.get("macaddress")),
            starts=values.get("activation-mode") not in ("manual", "off"),
        )


def _merge(earlier: dict[str, Any], later: dict[str, Any]) -> None:
    for key, value in later.items():
        if isinstance(value, list):
            value = [*_list(earlier.get(key)), *value][:MAX_ADDRESSES]
        earlier[key] = value


def _parsed(text: str, path: str) -> Any:
    """The document: text, lists and mappings, whatever tags it has.

    Aliases and deep nesting, which are how YAML attacks, are refused before anything is built.
    """
    import yaml

    # libyaml's, where PyYAML was built with it; the base loaders make no numbers, dates or objects.
    loader = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
    try:
        depth = 0
        for event in yaml.parse(text, Loader=loader):
            if isinstance(event, yaml.AliasEvent):
                raise ContentsError(f"{shown(path)}: has an alias, which is not followed")
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > MAX_NESTING:
                raise ContentsError(f"{shown(path)}: is nested deeper than {MAX_NESTING} levels")
        return yaml.load(text, Loader=loader)
    except yaml.YAMLError as error:
        raise ContentsError(f"{shown(path)}: not readable as YAML: {type(error).__name__}") from error


def _mapping(value: Any) -> dict[Any, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _word(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _address(entry: Any) -> str:
    """An address is text, or a mapping from it to its options."""
    return _word(next(iter(entry), "") if isinstance(entry, dict) else entry) or ""
