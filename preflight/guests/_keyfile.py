"""Key files: connections of NetworkManager, and the `.network` and `.link` files of systemd.

Specification: nm-settings-keyfile(5); systemd.network(5); systemd.link(5); systemd.syntax(7).
"""

from collections.abc import Iterator, Sequence

from preflight.contents.tree import Tree
from preflight.guest_facts import Interface
from preflight.guests import _directories
from preflight.guests._addressing import interface
from preflight.guests._text import lines

CONNECTIONS = ("/etc/NetworkManager/system-connections", "/usr/lib/NetworkManager/system-connections")
NETWORKS = ("/etc/systemd/network", *(f"{lib}/systemd/network" for lib in ("/usr/local/lib", "/usr/lib", "/lib")))
LINKS = ("/etc/systemd/network",)  # what the others hold is for all machines, and binds nothing
IGNORED = ("~", ".bak", ".orig", ".rpmnew", ".rpmorig", ".rpmsave", ".old")

WIRED = ("ethernet", "802-3-ethernet", "bond", "bridge", "vlan", "team")
CONDITIONS = ("kind", "virtualization", "ssid", "bssid", "wlaninterfacetype", "kernelcommandline", "host", "credential")
"""Of [Match]: what is for containers, tunnels, wireless networks, or some machines only."""
VIRTUAL_MACHINES = ("yes", "true", "1", "on", "vm", "kvm", "qemu")  # Virtualization= of a machine in the cloud
VIRTUAL = ("lo", "veth", "ve-", "vb-", "vz-", "host0", "br-", "docker", "vt-", "wl", "ww", "6to4", "6rd", "sit", "ns-")
"""How names begin of interfaces that no network card has."""

Sections = dict[str, dict[str, list[str]]]
"""Values by section and key, names of both in lower case."""


def files(tree: Tree, directories: Sequence[str], ending: str) -> Iterator[tuple[str, Sections]]:
    """The key files of these directories in the order of their names; one hides those of its name in later ones."""
    found: dict[str, str] = {}
    for directory in _directories.distinct(tree, directories):
        for name in _directories.files(tree, directory, lambda name: _is_honest(name, ending)):
            found.setdefault(name, f"{directory}/{name}")
    for name in sorted(found):
        yield found[name], _sections(tree.text(found[name]) or "")  # an empty one, or none, is a mask


def _is_honest(name: str, ending: str) -> bool:
    return name.endswith(ending) and not name.endswith(IGNORED) and not name.startswith(".")


def _sections(text: str) -> Sections:
    found: Sections = {}
    section: dict[str, list[str]] = {}
    for line in lines(text):
        if line.startswith("[") and line.endswith("]"):
            section = found.setdefault(line[1:-1].strip().lower(), {})
        elif "=" in line and not line.startswith(("#", ";")):
            key, _, value = line.partition("=")
            values = section.setdefault(key.strip().lower(), [])
            if value.strip():
                values.append(value.strip())
            else:
                values.clear()  # systemd.syntax(7): an empty value takes back those before it
    return found


def _last(section: dict[str, list[str]], key: str, default: str = "") -> str:
    return next(reversed(section.get(key, [])), default)


def read_networkmanager(tree: Tree) -> Iterator[Interface]:
    """The wired connections of NetworkManager."""
    for path, sections in files(tree, CONNECTIONS, ""):
        connection = sections.get("connection")
        if connection is None or _last(connection, "type", "ethernet") not in WIRED:
            continue
        ethernet = sections.get("ethernet") or sections.get("802-3-ethernet") or {}
        is_port = any(connection.get(key) for key in ("master", "controller"))  # of a bond or a bridge
        addresses = [
            address
            for family in ("ipv4", "ipv6")
            if _last(sections.get(family, {}), "method") not in ("disabled", "ignore")
            for address in _manager_addresses(sections.get(family, {}))
        ]
        yield interface(
            _last(connection, "interface-name") or _last(connection, "id") or path.rpartition("/")[2],
            _last(sections.get("ipv4", {}), "method", "auto") == "auto" and not is_port,
            addresses,
            path,
            mac=_last(ethernet, "mac-address"),
            starts=_last(connection, "autoconnect", "true").lower() not in ("false", "no", "0", "off"),
        )


def _manager_addresses(family: dict[str, list[str]]) -> Iterator[str]:
    """`address1=192.0.2.5/24,192.0.2.1`; the older `addresses1=192.0.2.5;24;192.0.2.1;` and `addresses=…/24;`."""
    for key in family:
        if key.startswith("address") and (key.lstrip("abcdefghijklmnopqrstuvwxyz").isdigit() or key == "addresses"):
            yield _last(family, key).replace(";", ",").partition(",")[0].strip()


def read_networkd(tree: Tree) -> Iterator[Interface]:
    """The physical interfaces of systemd-networkd; not what it has ready for containers, tunnels and hot spots."""
    for path, sections in files(tree, NETWORKS, ".network"):
        match, network, link = (sections.get(name, {}) for name in ("match", "network", "link"))
        if _is_for_others(match) or _last(link, "unmanaged") in ("yes", "true", "1", "on"):
            continue
        names = " ".join(match.get("name", [])).split()
        macs = " ".join(match.get("macaddress", []) + match.get("permanentmacaddress", [])).split()
        others = [value for key in ("type", "driver", "path") for value in match.get(key, [])]
        # systemd.network(5): "When a network file does not contain valid settings in [Match] section, then the file
        # will match all interfaces".
        matched = " ".join(names or macs or others) if match or not sections else "*"
        if not matched or all(name.startswith(VIRTUAL) for name in names or [matched]):
            continue
        addresses = network.get("address", []) + sections.get("address", {}).get("address", [])
        yield interface(
            matched,
            _last(network, "dhcp").lower() in ("yes", "true", "1", "on", "ipv4", "both", "v4"),
            addresses,
            path,
            mac=" ".join(macs) or _last(link, "macaddress"),
            starts=_last(link, "activationpolicy") not in ("manual", "always-down", "down"),
        )


def _is_for_others(match: dict[str, list[str]]) -> bool:
    """Whether a condition excludes the wired cards of a virtual machine; one with a `!` does not."""
    for key in CONDITIONS:
        value = _last(match, key)
        if value and not value.startswith("!") and not (key == "virtualization" and value in VIRTUAL_MACHINES):
            return True
    return False


def read_links(tree: Tree) -> Iterator[tuple[str, str, str]]:
    """The names that `.link` files give to hardware addresses: name, address, path."""
    for path, sections in files(tree, LINKS, ".link"):
        match, link = sections.get("match", {}), sections.get("link", {})
        mac = _last(match, "macaddress") or _last(match, "permanentmacaddress")
        if mac and _last(link, "name"):
            yield _last(link, "name"), mac, path
