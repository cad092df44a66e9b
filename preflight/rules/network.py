"""Rules on the guest's network: how it gets its addresses, and what binds it to the old machine."""

from collections.abc import Iterator

from preflight.guest_facts import CloudInit, Interface, Network
from preflight.rules._guests import Case, guest_rule
from preflight.verdicts import Breach, Outcome

_WITHOUT_PROFILES = ("NetworkManager", "dhcpcd", "connman", "cloud-init")  # ask for an address by themselves
_OWN_FILES = "50-cloud-init"  # cloud-init writes these anew on each new instance
_PATTERNS = frozenset("*?[")


def _configured(network: Network) -> list[Interface]:
    """Those that start with an address."""
    return [one for one in network.interfaces if one.starts_at_boot and one.method in ("dhcp", "static")]


@guest_rule("linux", "freebsd", of="network")
def static_address(network: Network, case: Case) -> Iterator[Outcome]:
    """An interface has a static address.

    What: the configuration gives it an IPv4 address instead of asking DHCP.
    Why: an instance gets its address by DHCP; with another one it has no network.
    Remedy: configure DHCP.
    Source: instructions for importing images; image check item GUESTOS.Dhcp.
    """
    for interface in _configured(network):
        if interface.method == "static":
            yield Breach(
                f"{interface.name} has the static address {', '.join(interface.addresses) or 'that is set there'}",
                interface.read_from,
                "Configure DHCP for it in the guest.",
            )


@guest_rule("linux", "freebsd", of="network")
def dhcp_not_configured(network: Network, case: Case) -> Iterator[Outcome]:
    """Nothing in the guest asks for an address.

    What: no interface is configured for DHCP, and nothing is there that would do so by itself: cloud-init,
    NetworkManager, dhcpcd.
    Why: an instance gets its address by DHCP, and has no network without.
    Remedy: configure DHCP for the first interface, or install cloud-init.
    Source: instructions for importing images; image check item GUESTOS.Dhcp.
    """
    if any(interface.method in ("dhcp", "static") for interface in _configured(network)):
        return
    if set(network.managers) & set(_WITHOUT_PROFILES) or _cloud_init_works(case):
        return
    yield Breach(
        "no interface is configured for DHCP, and nothing asks for an address by itself",
        "network",
        "Configure DHCP for the first interface in the guest, or install cloud-init.",
    )


def _cloud_init_works(case: Case) -> bool:
    """Whether cloud-init configures the network, as far as is known: what is not known is its own rules' affair."""
    cloud_init = case.guest.cloud_init
    return not isinstance(cloud_init, CloudInit) or (cloud_init.installed and cloud_init.disabled is not True)


@guest_rule("linux", "freebsd", of="network")
def several_network_interfaces(network: Network, case: Case) -> Iterator[Outcome]:
    """More than one network interface is configured.

    What: two or more interfaces of different names start with an address.
    Why: an image with several is not supported; a new instance has one, and the boot may wait for the others.
    Remedy: leave the first alone.
    Source: instructions for importing images: multiple network interfaces are not supported.
    """
    names = dict.fromkeys(one.name for one in _configured(network) if not _PATTERNS & set(one.name))
    if len(names) > 1:
        yield Breach(
            f"{len(names)} interfaces are configured: {', '.join(list(names)[:8])}",
            "network",
            "Leave the first interface alone in the guest's configuration.",
        )


@guest_rule("linux", "freebsd", of="network")
def persistent_interface_names(network: Network, case: Case) -> Iterator[Outcome]:
    """Rules give an interface its name by the MAC address of the old machine.

    What: udev rules such as 70-persistent-net.rules, or .link files, name a MAC address.
    Why: an instance has another address: its interface gets another name, for which nothing is configured.
    Remedy: remove the file.
    Source: practice of all clouds; image check item GUESTOS.Dhcp is about what comes of it.
    """
    if network.persistent_names:
        yield Breach(
            f"bound are {', '.join(network.persistent_names[:4])}",
            "udev rules",
            "Remove them in the guest, run: rm -f /etc/udev/rules.d/70-persistent-net.rules",
        )


@guest_rule("linux", "freebsd", of="network")
def interface_bound_to_hardware(network: Network, case: Case) -> Iterator[Outcome]:
    """An interface's configuration is bound to the MAC address of the old machine.

    What: HWADDR, hwaddress, macaddress or the like is set.
    Why: an instance has another address, and the configuration does not apply to its interface.
    Remedy: remove the setting.
    Source: practice of all clouds; image check item GUESTOS.Dhcp is about what comes of it.
    """
    for interface in _configured(network):
        if interface.mac and _OWN_FILES not in interface.read_from:
            yield Breach(
                f"{interface.name} is bound to {interface.mac}",
                interface.read_from,
                "Remove the hardware address from the guest's configuration.",
            )
