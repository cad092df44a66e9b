"""Network configuration: which interfaces get their address how, and what binds them to hardware.

Specification: none of its own. Each way of configuring has its reader: `_ifcfg`, `_interfaces`, `_netplan`, `_keyfile`,
`_variables`. A guest may have files of several ways; those count whose manager starts at boot.
"""

from collections.abc import Callable, Iterator

import msgspec

from preflight.contents import ContentsError
from preflight.contents.tree import Tree
from preflight.facts import Unknown
from preflight.guest_facts import Interface, Network, Services
from preflight.guests import _ifcfg, _interfaces, _keyfile, _netplan, _variables
from preflight.guests._addressing import MAX_ADDRESSES, MAX_WORD
from preflight.guests._directories import files
from preflight.guests._text import learn, lines, shown, unique
from preflight.units import KiB

MAX_INTERFACES = 1024  # a router has some dozens
MAX_RULES = 256
MAX_RESOLVERS = 16  # the C library asks three
MAX_TEXT = 64 * KiB  # of resolv.conf, and of each configuration of cloud-init
LOOPBACK = ("lo", "lo0")

SERVICES = {
    "NetworkManager": "NetworkManager",
    "systemd-networkd": "systemd-networkd",
    "networking": "ifupdown",
    "network": "network-scripts",
    "wicked": "wicked",
    "wickedd": "wicked",
    "dhcpcd": "dhcpcd",
    "connman": "connman",
    "cloud-init": "cloud-init",
    "cloud-init-local": "cloud-init",
    "cloud-init-main": "cloud-init",
    "cloud-init-network": "cloud-init",
}
"""Services, and the manager that each starts."""
PREFIXES = {"netctl@": "netctl", "netctl-ifplugd@": "netctl", "net.": "netifrc", "dhcpcd@": "dhcpcd"}
"""The same for services with the name of an interface or a profile in theirs."""

RULES = "/etc/udev/rules.d"  # what programs bring along, in /usr/lib, is for all machines
RULE_NAMES = ("net", "ifname", "eth", "mac")
RESOLV_CONF = "/etc/resolv.conf"
CLOUD_CONFIGURATION = "/etc/cloud/cloud.cfg"
CLOUD_DISABLED = "/etc/cloud/cloud-init.disabled"


def read_network(tree: Tree, services: Services | Unknown) -> Network | Unknown:
    """The network configuration of a guest; `Unknown` where it cannot be read."""
    return learn(lambda: _network(tree, None if isinstance(services, Unknown) else frozenset(services.enabled)))


def _network(tree: Tree, enabled: frozenset[str] | None) -> Network:
    plans = _netplan.paths(tree)
    managers = _managers(tree, plans, enabled)
    interfaces = _interfaces_of(tree, plans, managers, enabled)
    bindings = list(_bindings(tree))
    if len(bindings) > MAX_RULES:
        raise ContentsError(f"{RULES}: more than {MAX_RULES} rules for names of interfaces")
    resolvers = [
        words[1][:MAX_WORD]
        for words in map(str.split, lines(_head(tree, RESOLV_CONF)))
        if len(words) > 1 and words[0] == "nameserver"
    ]
    read_from = [one.read_from for one in interfaces]
    read_from += [path for _, _, path in bindings]
    read_from += [RESOLV_CONF] if resolvers else []
    return Network(
        managers=managers,
        interfaces=tuple(interfaces),
        persistent_names=tuple(f"{shown(name)} {shown(mac)}" for name, mac, _ in bindings),
        resolvers=tuple(map(shown, resolvers[:MAX_RESOLVERS])),
        read_from=unique(read_from),
    )


def _managers(tree: Tree, plans: list[str], enabled: frozenset[str] | None) -> tuple[str, ...]:
    found = {"netplan"} if plans else set()
    for service in (enabled or frozenset()) - {"net.lo"}:
        manager = SERVICES.get(service)
        manager = manager or next((PREFIXES[prefix] for prefix in PREFIXES if service.startswith(prefix)), None)
        if manager and (manager != "cloud-init" or not _cloud_init_leaves_it(tree)):
            found.add(manager)
    return tuple(sorted(found))


def _cloud_init_leaves_it(tree: Tree) -> bool:
    """Whether cloud-init is told to stay away from the network, by `network: {config: disabled}`, or altogether."""
    if tree.exists(CLOUD_DISABLED):
        return True
    directory = f"{CLOUD_CONFIGURATION}.d"
    names = files(tree, directory, lambda name: name.endswith(".cfg"))
    for path in (CLOUD_CONFIGURATION, *(f"{directory}/{name}" for name in names)):
        inside = False
        for line in _head(tree, path).split("\n"):
            plain = "".join(line.partition("#")[0].split()).translate(dict.fromkeys(map(ord, "{}\"'")))
            inside = plain.startswith("network:") if line[:1].strip(" \t#") else inside
            if inside and plain.removeprefix("network:").startswith("config:disabled"):
                return True
    return False


def _interfaces_of(
    tree: Tree, plans: list[str], managers: tuple[str, ...], enabled: frozenset[str] | None
) -> list[Interface]:
    """What the files of these managers configure, the loopback left out."""
    readers: tuple[tuple[tuple[str, ...], Callable[[], Iterator[Interface]]], ...] = (
        (("network-scripts", "NetworkManager"), lambda: _ifcfg.read_red_hat(tree)),
        (("network-scripts", "wicked"), lambda: _ifcfg.read_suse(tree)),
        (("ifupdown",), lambda: _interfaces.read(tree)),
        (("netplan",), lambda: _netplan.read(tree, plans)),
        (("NetworkManager",), lambda: _keyfile.read_networkmanager(tree)),
        (("systemd-networkd", "netplan"), lambda: _keyfile.read_networkd(tree)),
        (("netctl",), lambda: _variables.read_netctl(tree, enabled)),
        (("netifrc",), lambda: _variables.read_gentoo(tree, enabled)),
        ((), lambda: _variables.read_freebsd(tree)),
    )
    is_known = any(manager in managers for owners, _ in readers for manager in owners)
    found: dict[tuple[str, str], Interface] = {}
    for owners, reader in readers:
        if is_known and owners and not any(manager in managers for manager in owners):
            continue
        for one in reader():
            if one.name.partition(":")[0] not in LOOPBACK:
                found[one.name, one.read_from] = one
            if len(found) > MAX_INTERFACES:
                raise ContentsError(f"{one.read_from}: more than {MAX_INTERFACES} interfaces")
    return _without_aliases(list(found.values()))


def _without_aliases(interfaces: list[Interface]) -> list[Interface]:
    """`eth0:1` is no interface, but a further address of eth0."""
    names = {one.name for one in interfaces}
    own: list[Interface] = []
    further: dict[str, list[str]] = {}
    for one in interfaces:
        base = one.name.partition(":")[0]
        if base != one.name and base in names:
            further.setdefault(base, []).extend(one.addresses)
        else:
            own.append(one)
    return [
        msgspec.structs.replace(one, addresses=(*one.addresses, *further.pop(one.name, ()))[:MAX_ADDRESSES])
        for one in own
    ]


def _bindings(tree: Tree) -> Iterator[tuple[str, str, str]]:
    """The names that udev rules and `.link` files bind to hardware addresses: name, address, path."""
    for file in files(tree, RULES, lambda name: name.endswith(".rules") and any(word in name for word in RULE_NAMES)):
        path = f"{RULES}/{file}"
        for line in lines((tree.text(path) or "").replace("\\\n", " ")):
            pairs = {} if line.startswith("#") else dict(_pairs(line))
            mac = next((pairs[key] for key in pairs if key.endswith("{address}==")), "")
            name = pairs.get("NAME=") or pairs.get("NAME:=")
            if name and mac and not set("*?[$%") & set(mac):
                yield name[:MAX_WORD], mac[:MAX_WORD], path
    yield from _keyfile.read_links(tree)


def _pairs(line: str) -> Iterator[tuple[str, str]]:
    """`KEY==` and `value` for each `KEY=="value"` of a udev rule, whatever the operator."""
    parts = line.split('"')
    for before, value in zip(parts[::2], parts[1::2], strict=False):
        yield "".join(before.split()).lstrip(","), value


def _head(tree: Tree, path: str) -> str:
    return (tree.head(path, MAX_TEXT) or b"").decode("utf-8", "backslashreplace")
