"""Interfaces as shell variables: rc.conf of FreeBSD, conf.d/net of Gentoo, the profiles of netctl.

Specification: rc.conf(5) of FreeBSD; /usr/share/doc/netifrc-*/net.example of Gentoo; netctl.profile(5).
"""

from collections.abc import Iterator

from preflight.contents.tree import Tree
from preflight.guest_facts import Interface
from preflight.guests._addressing import interface, is_address
from preflight.guests._directories import files
from preflight.guests._text import assignments, lines

RC_CONF = ("/etc/rc.conf", "/etc/rc.conf.local")
RC_CONF_DIRECTORY = "/etc/rc.conf.d"
DYNAMIC = ("dhcp", "syncdhcp", "nosyncdhcp")
CONF_D_NET = "/etc/conf.d/net"
PROFILES = "/etc/netctl"
AFTER_WHICH_NO_ADDRESS = ("netmask", "broadcast", "brd", "peer", "via", "ether", "link", "lladdr", "gw")
MAX_JOINED = 64  # lines of one value in quotes


def rc_conf(tree: Tree) -> dict[str, tuple[str, str]]:
    """The variables of rc.conf(5) with their paths, the last value of each."""
    found: dict[str, tuple[str, str]] = {}
    parts = [f"{RC_CONF_DIRECTORY}/{name}" for name in files(tree, RC_CONF_DIRECTORY, str.isidentifier)]
    for path in (*RC_CONF, *parts):
        found.update((name, (value, path)) for name, value in assignments(tree.text(path) or "").items())
    return found


def read_freebsd(tree: Tree) -> Iterator[Interface]:
    """`ifconfig_vtnet0="DHCP"`, `ifconfig_vtnet0_ipv6="inet6 2001:db8::5/64"`, `ifconfig_vtnet0_alias0="inet …"`."""
    words: dict[str, list[str]] = {}
    read_from: dict[str, str] = {}
    for variable, (value, path) in rc_conf(tree).items():
        name = variable.removeprefix("ifconfig_")
        if name == variable:
            continue
        base, underscore, suffix = name.rpartition("_")
        if underscore and suffix in ("name", "descr"):
            continue
        if underscore and (suffix == "ipv6" or suffix.startswith("alias")):
            name = base
        words.setdefault(name, []).extend(value.split())
        read_from.setdefault(name, path)
    for name, values in words.items():
        lower = [word.lower() for word in values]
        mac = next((after for word, after in zip(lower, values[1:], strict=False) if word in ("ether", "lladdr")), None)
        dynamic = any(word in DYNAMIC for word in lower)
        yield interface(name, dynamic, _addresses(values), read_from[name], mac=mac, starts="noauto" not in lower)


def read_gentoo(tree: Tree, enabled: frozenset[str] | None) -> Iterator[Interface]:
    """`config_eth0="dhcp"`, `config_eth0="192.0.2.5/24"`, and what is started: `net.eth0`. None: that is not known."""
    values = assignments(_joined(tree.text(CONF_D_NET) or ""))
    for variable, value in values.items():
        name = variable.removeprefix("config_")
        if name != variable:
            words = [word.strip("\"'()") for word in value.split()]
            dynamic = any(word.lower() in DYNAMIC for word in words)
            starts = enabled is None or f"net.{name}" in enabled
            mac = values.get(f"mac_{name}")
            yield interface(name, dynamic, _addresses(words), CONF_D_NET, mac=mac, starts=starts)


def read_netctl(tree: Tree, enabled: frozenset[str] | None) -> Iterator[Interface]:
    """The wired profiles of netctl, and which of them are started: `netctl@eth0`, `netctl-ifplugd@eth0`."""
    for file in files(tree, PROFILES, lambda name: not name.startswith(".")):
        path = f"{PROFILES}/{file}"
        values = assignments(tree.text(path) or "")
        name = values.get("Interface")
        if name and values.get("Connection") in ("ethernet", "bond", "bridge", "vlan"):
            escaped = file.replace("-", "\\x2d")  # systemd-escape(1)
            units = (f"netctl@{file}", f"netctl@{escaped}", f"netctl-ifplugd@{name}")
            addresses = f"{values.get('Address', '')} {values.get('Address6', '')}".split()
            yield interface(
                name,
                values.get("IP") == "dhcp",
                _addresses([word.strip("\"'()") for word in addresses]),
                path,
                starts=enabled is None or any(unit in enabled for unit in units),
            )


def _addresses(words: list[str]) -> list[str]:
    before = ["", *words]
    return [
        word
        for previous, word in zip(before, words, strict=False)
        if is_address(word) and previous.lower() not in AFTER_WHICH_NO_ADDRESS
    ]


def _joined(text: str) -> str:
    """Values in double quotes that go on over lines, each in one line."""
    found: list[list[str]] = []
    is_open = False
    for line in lines(text):
        if line.startswith("#"):
            continue
        if is_open and len(found[-1]) < MAX_JOINED:
            found[-1].append(line)
        else:
            found.append([line])
        is_open = is_open != (line.count('"') % 2 == 1)
    return "\n".join(" ".join(parts) for parts in found)
