"""/etc/network/interfaces of Debian's ifupdown, and of Alpine's.

Specification: interfaces(5) of ifupdown; interfaces(5) of ifupdown-ng, whose stanzas need no address family.
"""

from collections.abc import Iterator
from fnmatch import fnmatchcase

import msgspec

from preflight.contents import ContentsError
from preflight.contents.tree import Tree
from preflight.guest_facts import Interface
from preflight.guests._addressing import interface
from preflight.guests._directories import files
from preflight.guests._text import lines, shown

TOP = "/etc/network/interfaces"
MAX_FILES = 64  # that `source` brings in
MAX_LINES = 8192  # of all files together
MAX_STANZAS = 1024
MAX_PATTERNS = 64  # that start interfaces
MAX_PATTERN = 256  # characters; a longer one is no file or interface
WILDCARDS = frozenset("*?[")
ELSEWHERE = ("no-", "allow-", "rename", "template", "mapping")  # keywords of stanzas that say nothing asked here


class Stanzas(msgspec.Struct):
    """All stanzas of an interface."""

    path: str
    method: str = ""
    """Of IPv4; empty where only IPv6 is configured."""
    addresses: list[str] = []
    mac: str | None = None


def read(tree: Tree) -> Iterator[Interface]:
    """The interfaces of the file and of those that it includes."""
    started: dict[str, None] = {}
    found: dict[str, Stanzas] = {}
    current: Stanzas | None = None
    family = ""
    for path, words in _lines(tree):
        keyword, *values = words
        if keyword == "iface" and values:
            current = found.setdefault(values[0], Stanzas(path))
            family = values[1] if len(values) > 1 and values[1].startswith("inet") else ""
            if family == "inet":
                current.method = values[2] if len(values) > 2 and current.method != "dhcp" else current.method
            if len(found) > MAX_STANZAS:
                raise ContentsError(f"{shown(path)}: more than {MAX_STANZAS} interfaces")
        elif keyword in ("auto", "allow-auto", "allow-hotplug"):
            started.update(dict.fromkeys(values))
            current = None
        elif keyword.startswith(ELSEWHERE):
            current = None
        elif current is not None and values:
            _option(current, family, keyword, values)
    patterns = [name.lstrip("/") for name in started if WILDCARDS & set(name) and len(name) <= MAX_PATTERN]
    for name, stanzas in found.items():
        if stanzas.method == "loopback":
            continue
        one = interface(
            name,
            stanzas.method in ("dhcp", "bootp"),
            stanzas.addresses,
            stanzas.path,
            mac=stanzas.mac,
            starts=name in started or any(fnmatchcase(name, pattern) for pattern in patterns[:MAX_PATTERNS]),
        )
        is_manual = one.method == "none" and stanzas.method not in ("", "static")
        yield msgspec.structs.replace(one, method="manual") if is_manual else one


def _option(stanzas: Stanzas, family: str, keyword: str, values: list[str]) -> None:
    if keyword == "address":
        stanzas.addresses.append(values[0])
    elif keyword in ("hwaddress", "hwaddress-ether"):
        stanzas.mac = values[-1]  # `hwaddress ether 00:16:3e:…`; `ether` may be left out
    elif keyword == "use" and not family and values[0] == "dhcp":
        stanzas.method = "dhcp"


def _lines(tree: Tree) -> Iterator[tuple[str, list[str]]]:
    """The words of each line, comments and continuations resolved, with the file that it stands in."""
    waiting = [TOP]
    count = 0
    for path in waiting:  # grows as files are included
        for line in lines((tree.text(path) or "").replace("\\\n", " ")):
            words = line.split()
            if not words or words[0].startswith("#"):
                continue
            count += 1
            if count > MAX_LINES:
                raise ContentsError(f"{TOP}: more than {MAX_LINES} lines with what it includes")
            if words[0] in ("source", "source-directory"):
                included = (name for pattern in words[1:] for name in _matching(tree, pattern, words[0]))
                waiting += [name for name in dict.fromkeys(included) if name not in waiting]
                if len(waiting) > MAX_FILES:
                    raise ContentsError(f"{TOP}: includes more than {MAX_FILES} files")
                words = ["mapping"]  # ends a stanza
            yield path, words


def _matching(tree: Tree, pattern: str, keyword: str) -> list[str]:
    """The files that `source` includes: only the last part may have wildcards, which is what is in use."""
    path = pattern if pattern.startswith("/") else f"/etc/network/{pattern}"
    if len(path) > MAX_PATTERN:
        return []
    if keyword == "source-directory":
        directory = path.rstrip("/*")
        return [f"{directory}/{name}" for name in files(tree, directory, _is_plain)]
    directory, _, last = path.rpartition("/")
    if not WILDCARDS & set(last):
        return [path]
    return [f"{directory}/{name}" for name in files(tree, directory, lambda name: _fits(name, last))]


def _is_plain(name: str) -> bool:
    """What `source-directory` includes: letters, digits, hyphens, underscores. No 50-cloud-init.cfg."""
    return name.isascii() and name.replace("-", "").replace("_", "").isalnum()


def _fits(name: str, pattern: str) -> bool:
    return fnmatchcase(name, pattern) and not name.startswith(".")
