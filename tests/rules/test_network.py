"""Rules on the guest's network."""

from typing import Any

import msgspec
import pytest

from preflight.facts import Image, Unknown
from preflight.guest_facts import Interface
from tests.builders import breaches, found, interface, linux, of_guest, unsettled, with_changed


def network(*interfaces: Interface, **changes: Any) -> Image:
    return with_changed("network", interfaces=interfaces, **changes)


def test_an_address_that_is_set_is_a_warning_with_its_file() -> None:
    static = network(interface(method="static", addresses=("192.0.2.7/24",)))
    assert found(static) == {"static-address": "warning"}
    (breach,) = breaches("static-address", static)
    assert breach.message == "eth0 has the static address 192.0.2.7/24"
    assert breach.subject == "/etc/network/interfaces.d/interfaces"
    assert found(network(interface(), interface("eth0:1", "static", starts_at_boot=False))) == {}


@pytest.mark.parametrize("manager", ["NetworkManager", "dhcpcd"])
def test_nothing_configured_is_fine_where_something_asks_by_itself(manager: str) -> None:
    none = msgspec.structs.replace(linux().cloud_init, installed=False, version=None)
    silent = msgspec.structs.replace(linux().network, interfaces=())
    asking = msgspec.structs.replace(silent, managers=(manager,))
    assert found(network()) == {}  # cloud-init configures it
    assert "dhcp-not-configured" not in found(of_guest(cloud_init=none, network=asking))
    assert found(of_guest(cloud_init=none, network=silent))["dhcp-not-configured"] == "warning"
    off = network(interface("eth0", "manual"), interface("eth1", "dhcp", starts_at_boot=False))
    disabled = msgspec.structs.replace(linux().cloud_init, disabled=True)
    off = of_guest(network=off.guest.network, cloud_init=disabled)  # type: ignore[union-attr]
    assert found(off) == {"dhcp-not-configured": "warning", "cloud-init-disabled": "warning"}


def test_several_interfaces_are_a_warning_and_patterns_and_repetitions_are_none() -> None:
    assert found(network(interface(), interface("eth1"))) == {"several-network-interfaces": "warning"}
    assert found(network(interface(), interface(read_from="/etc/netplan/x.yaml"))) == {}
    assert found(network(interface("en*"), interface("eth*"))) == {}
    assert found(network(interface(), interface("docker0", "manual"))) == {}


def test_what_is_bound_to_the_old_machine_is_a_warning() -> None:
    rules = network(interface(), persistent_names=("eth0 52:54:00:12:34:56",))
    assert found(rules) == {"persistent-interface-names": "warning"}
    bound = interface(mac="52:54:00:12:34:56")
    assert found(network(bound)) == {"interface-bound-to-hardware": "warning"}
    own = interface(mac="52:54:00:12:34:56", read_from="/etc/netplan/50-cloud-init.yaml")
    assert found(network(own)) == {}


@pytest.mark.parametrize("rule", ["static-address", "dhcp-not-configured", "persistent-interface-names"])
def test_a_network_that_was_not_read_is_left_open(rule: str) -> None:
    assert unsettled(rule, of_guest(network=Unknown("x"))) == ["x"]
