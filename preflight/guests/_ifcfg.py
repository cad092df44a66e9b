"""ifcfg files: of Red Hat's network-scripts and NetworkManager, and of SUSE's ifup and wicked.

Specification: /usr/share/doc/initscripts/sysconfig.txt of Red Hat; nm-settings-ifcfg-rh(5); ifcfg(5) of wicked.
"""

from collections.abc import Iterator

from preflight.contents.tree import Tree
from preflight.guest_facts import Interface
from preflight.guests._addressing import interface
from preflight.guests._directories import files
from preflight.guests._text import assignments

RED_HAT = "/etc/sysconfig/network-scripts"
SUSE = "/etc/sysconfig/network"
PREFIX = "ifcfg-"
IGNORED = ("~", ".bak", ".old", ".orig", ".rpmnew", ".rpmorig", ".rpmsave", ".scpmbackup", ".template")
FALSE = ("no", "false", "n", "f", "off", "0")  # is_false of /etc/init.d/functions; all else starts
STARTED = ("auto", "boot", "onboot", "on", "hotplug", "ifplugd", "nfsroot")  # the default is `manual`
DYNAMIC = ("dhcp", "dhcp4", "dhcp+autoip", "bootp")
SUSE_BY_MAC = ("id-", "eth-id-")  # ifcfg-eth-id-00:16:3e:… of SLES 10


def read_red_hat(tree: Tree) -> Iterator[Interface]:
    """The interfaces of network-scripts."""
    for name, values, path in _files(tree, RED_HAT):
        yield interface(
            values.get("DEVICE") or name,
            values.get("BOOTPROTO", "").lower() in DYNAMIC,
            _addresses(values),
            path,
            mac=values.get("HWADDR") or values.get("MACADDR"),
            starts=values.get("ONBOOT", "yes").lower() not in FALSE,
        )


def read_suse(tree: Tree) -> Iterator[Interface]:
    """The interfaces of wicked, and of its predecessor."""
    for name, values, path in _files(tree, SUSE):
        by_mac = next((name.removeprefix(prefix) for prefix in SUSE_BY_MAC if name.startswith(prefix)), None)
        yield interface(
            name,
            values.get("BOOTPROTO", "").lower() in DYNAMIC,
            _addresses(values),
            path,
            mac=by_mac or values.get("LLADDR"),
            starts=values.get("STARTMODE", "manual").lower() in STARTED,
        )


def _files(tree: Tree, directory: str) -> Iterator[tuple[str, dict[str, str], str]]:
    """The name of each interface, its values, and the path."""
    for file in files(tree, directory, lambda name: name.startswith(PREFIX) and not name.endswith(IGNORED)):
        path = f"{directory}/{file}"
        text = tree.text(path)
        if text is not None:
            yield file.removeprefix(PREFIX), assignments(text), path


def _addresses(values: dict[str, str]) -> list[str]:
    """IPADDR, IPADDR0, and IPADDR_1 of SUSE, but not IPADDR_START of a range; IPV6ADDR and its secondaries."""
    found: list[str] = []
    for key, value in values.items():
        if key.startswith("IPADDR") and not key.endswith(("_START", "_END")):
            found.append(value)
        elif key in ("IPV6ADDR", "IPV6ADDR_SECONDARIES"):
            found += value.split()
    return found
