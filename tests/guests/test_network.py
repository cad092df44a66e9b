"""Network configuration, on phony guests with the files that distributions and their installers write."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from preflight.contents.tree import Tree
from preflight.facts import Unknown
from preflight.guest_facts import Interface, Network, Services
from preflight.guests import _interfaces, network
from preflight.guests.network import read_network
from tests.contents.phony import Content, Link, PhonyReader, Special, tree

Files = dict[str, Content]
MAC = "00:16:3e:01:02:03"


def started(*enabled: str) -> Services:
    return Services("systemd", enabled, True, (), False, False, False, ())


def read(files: Files, *enabled: str) -> Network:
    found = read_network(tree(files), started(*enabled))
    assert isinstance(found, Network)
    return found


def dhcp(name: str, path: str, *addresses: str, mac: str | None = None, starts: bool = True) -> Interface:
    return Interface(name, "dhcp", addresses, mac, starts, path)


def static(name: str, path: str, *addresses: str, mac: str | None = None, starts: bool = True) -> Interface:
    return Interface(name, "static", addresses, mac, starts, path)


def reason(files: Files, *enabled: str) -> str:
    found = read_network(tree(files), started(*enabled))
    assert isinstance(found, Unknown)
    return found.unknown


# Red Hat and its kin

IFCFG = "/etc/sysconfig/network-scripts/ifcfg-"


def test_centos_7() -> None:
    found = read(
        {
            f"{IFCFG}eth0": 'TYPE="Ethernet"\nBOOTPROTO="dhcp"\nNAME=System eth0\nDEVICE="eth0"\nONBOOT="yes"\n',
            f"{IFCFG}lo": "DEVICE=lo\nIPADDR=127.0.0.1\nNETMASK=255.0.0.0\nONBOOT=yes\n",
            f"{IFCFG}eth0.rpmsave": "DEVICE=eth0\nBOOTPROTO=static\nIPADDR=10.0.0.1\n",
            "/etc/sysconfig/network-scripts/ifup-eth": "#!/bin/sh\n",
            "/etc/resolv.conf": "; dhclient\nsearch x\nnameserver 100.100.2.136\nnameserver fe80::1%eth0\n",
        },
        "network",
        "NetworkManager",
    )
    assert found.managers == ("NetworkManager", "network-scripts")
    assert found.interfaces == (dhcp("eth0", f"{IFCFG}eth0"),)
    assert found.resolvers == ("100.100.2.136", "fe80::1%eth0")
    assert found.read_from == (f"{IFCFG}eth0", "/etc/resolv.conf")


def test_fixed_addresses_of_centos_6() -> None:
    text = f"""DEVICE=eth0
HWADDR={MAC}
ONBOOT=no
BOOTPROTO=none
IPADDR=192.0.2.10
NETMASK=255.255.255.0
IPADDR1='192.0.2.11'
IPV6INIT=yes
IPV6ADDR=2001:db8::10/64
IPV6ADDR_SECONDARIES="2001:db8::11/64 2001:db8::12/64"
IPADDR_START=192.0.2.20
"""
    ipv6 = ("2001:db8::10/64", "2001:db8::11/64", "2001:db8::12/64")
    found = read({f"{IFCFG}eth0": text, f"{IFCFG}eth0:1": "DEVICE=eth0:1\nIPADDR=192.0.2.12\n"}, "network")
    assert found.interfaces == (
        static("eth0", f"{IFCFG}eth0", "192.0.2.10", "192.0.2.11", *ipv6, "192.0.2.12", mac=MAC, starts=False),
    )


def test_a_fixed_ipv6_address_beside_dhcp() -> None:
    text = "DEVICE=eth0\nBOOTPROTO=dhcp\nIPV6ADDR=2001:db8::5/64\n"
    assert read({f"{IFCFG}eth0": text}, "network").interfaces == (dhcp("eth0", f"{IFCFG}eth0", "2001:db8::5/64"),)


def test_an_ifcfg_file_without_an_address() -> None:
    (found,) = read({f"{IFCFG}eth1": "BOOTPROTO=none\nONBOOT=yes\nMASTER=bond0\nSLAVE=yes\n"}, "network").interfaces
    assert (found.name, found.method, found.addresses) == ("eth1", "none", ())


KEYFILE = "/etc/NetworkManager/system-connections/"


def test_rocky_9() -> None:
    found = read(
        {
            "/etc/sysconfig/network-scripts/readme-ifcfg-rh.txt": "NetworkManager stores new profiles\n",
            f"{KEYFILE}cloud-init-eth0.nmconnection": "[connection]\nid=cloud-init eth0\n"
            "type=ethernet\ninterface-name=eth0\n\n[ethernet]\n\n[ipv4]\nmethod=auto\nmay-fail=false\n\n[ipv6]\nmethod=auto\n",
            f"{KEYFILE}ens3.nmconnection": "# fixed\n[connection]\nid=ens3\ntype=ethernet\nautoconnect=false\n"
            f"[ethernet]\nmac-address={MAC.upper()}\ncloned-mac-address=stable\n"
            "[ipv4]\nmethod=manual\naddress1=192.0.2.5/24,192.0.2.1\naddress2=192.0.2.6/24\ndns=192.0.2.1;\n"
            "[ipv6]\nmethod=manual\naddress1=2001:db8::5/64,2001:db8::1\n",
            f"{KEYFILE}home.nmconnection": "[connection]\nid=home\ntype=wifi\n[wifi]\nssid=home\n",
            f"{KEYFILE}lo.nmconnection": "[connection]\nid=lo\ntype=loopback\ninterface-name=lo\n",
            f"{KEYFILE}ens4.nmconnection~": "[connection]\nid=ens4\ntype=ethernet\n",
            f"{KEYFILE}README": "nothing of the kind = here\n",
        },
        "NetworkManager",
    )
    assert found.managers == ("NetworkManager",)
    addresses = ("192.0.2.5/24", "192.0.2.6/24", "2001:db8::5/64")
    assert found.interfaces == (
        dhcp("eth0", f"{KEYFILE}cloud-init-eth0.nmconnection"),
        static("ens3", f"{KEYFILE}ens3.nmconnection", *addresses, mac=MAC.upper(), starts=False),
    )


def test_key_files_as_networkmanager_once_wrote_them() -> None:
    text = "[connection]\nid=Wired\ntype=802-3-ethernet\n[802-3-ethernet]\nmac-address=0;22;62;1;2;3;\n"
    text += "[ipv4]\nmethod=manual\naddresses1=192.0.2.5;24;192.0.2.1;\n"
    path = f"{KEYFILE}Wired"
    assert read({path: text}, "NetworkManager").interfaces == (
        static("Wired", path, "192.0.2.5", mac="0;22;62;1;2;3;"),
    )


def test_a_port_of_a_bridge_has_no_address_of_its_own() -> None:
    text = "[connection]\nid=eth0\ntype=ethernet\ninterface-name=eth0\nmaster=br0\nslave-type=bridge\n"
    (found,) = read({f"{KEYFILE}eth0.nmconnection": text}, "NetworkManager").interfaces
    assert found.method == "none"


def test_fedora_coreos_has_networkmanager_and_no_connection() -> None:
    found = read({"/etc/NetworkManager/NetworkManager.conf": "[main]\n"}, "NetworkManager", "sshd")
    assert (found.managers, found.interfaces, found.read_from) == (("NetworkManager",), (), ())


# SUSE

SUSE = "/etc/sysconfig/network/ifcfg-"


def test_sles_15() -> None:
    found = read(
        {
            f"{SUSE}eth0": "BOOTPROTO='dhcp'\nSTARTMODE='auto'\n",
            f"{SUSE}eth1": f"BOOTPROTO='static'\nIPADDR='192.0.2.5/24'\nIPADDR_1='2001:db8::5/64'\nLLADDR='{MAC}'\n",
            f"{SUSE}eth2": "BOOTPROTO='dhcp6'\nSTARTMODE='hotplug'\n",
            f"{SUSE}lo": "IPADDR=127.0.0.1/8\nSTARTMODE=nfsroot\n",
            f"{SUSE}eth3.template": "STARTMODE=auto\n",
            "/etc/sysconfig/network/config": 'NETCONFIG_DNS_POLICY="auto"\n',
        },
        "wicked",
        "wickedd-nanny",
    )
    assert found.managers == ("wicked",)
    assert found.interfaces == (
        dhcp("eth0", f"{SUSE}eth0"),
        static("eth1", f"{SUSE}eth1", "192.0.2.5/24", "2001:db8::5/64", mac=MAC, starts=False),
        Interface("eth2", "none", (), None, True, f"{SUSE}eth2"),
    )


def test_sles_10_names_the_file_after_the_card() -> None:
    path = f"{SUSE}eth-id-{MAC}"
    (found,) = read({path: "BOOTPROTO='dhcp'\nSTARTMODE='onboot'\n"}, "network").interfaces
    assert found == dhcp(f"eth-id-{MAC}", path, mac=MAC)


# Debian and Alpine

INTERFACES = "/etc/network/interfaces"


def test_debian() -> None:
    found = read(
        {
            INTERFACES: "# see interfaces(5)\nsource /etc/network/interfaces.d/*\n\nauto lo\niface lo inet loopback\n\n"
            "allow-hotplug eth0\niface eth0 inet dhcp\niface eth0 inet6 static\n\taddress 2001:db8::5/64\n",
            f"{INTERFACES}.d/50-cloud-init": f"auto eth1 eth2\niface eth1 inet static\n  address 192.0.2.5/24 \\\n\n"
            f"  hwaddress ether {MAC}\niface eth2 inet manual\n  hwaddress ether random\niface eth3 inet dhcp\n",
            f"{INTERFACES}.d/.hidden": "iface eth9 inet dhcp\n",
        },
        "networking",
    )
    extra = f"{INTERFACES}.d/50-cloud-init"
    assert found.managers == ("ifupdown",)
    assert found.interfaces == (
        dhcp("eth0", INTERFACES, "2001:db8::5/64"),
        static("eth1", extra, "192.0.2.5/24", mac=MAC),
        Interface("eth2", "manual", (), None, True, extra),
        dhcp("eth3", extra, starts=False),
    )


def test_debian_cloud_images_leave_it_to_a_helper() -> None:
    text = "auto lo\niface lo inet loopback\n\nsource-directory /run/network/interfaces.d\n"
    assert read({INTERFACES: text}, "networking").interfaces == ()


def test_source_directory_leaves_out_names_with_dots() -> None:
    files: Files = {
        INTERFACES: "source-directory interfaces.d\n",
        f"{INTERFACES}.d/setup": "auto /e*\niface eth0 inet dhcp\n",
        f"{INTERFACES}.d/50-cloud-init.cfg": "auto eth1\niface eth1 inet dhcp\n",
    }
    assert read(files, "networking").interfaces == (dhcp("eth0", f"{INTERFACES}.d/setup"),)


def test_alpine() -> None:
    text = "auto lo\niface lo\n\nauto eth0\niface eth0\n\tuse dhcp\n\nauto eth1\niface eth1\n\taddress 192.0.2.5/24\n"
    text += "\nauto eth1:0\niface eth1:0 inet static\n\taddress 192.0.2.6\n\tnetmask 255.255.255.0\n"
    assert read({INTERFACES: text}, "networking").interfaces == (
        dhcp("eth0", INTERFACES),
        static("eth1", INTERFACES, "192.0.2.5/24", "192.0.2.6"),
    )


def test_files_that_include_each_other_are_read_once() -> None:
    files: Files = {
        INTERFACES: f"source {INTERFACES}.d/*\n",
        f"{INTERFACES}.d/a": f"source {INTERFACES}\nsource {INTERFACES}.d/*\niface eth0 inet dhcp\n",
    }
    assert read(files).interfaces == (dhcp("eth0", f"{INTERFACES}.d/a", starts=False),)


def test_limits_of_interfaces() -> None:
    many = {f"{INTERFACES}.d/{number}": "" for number in range(_interfaces.MAX_FILES)}
    assert "includes more than 64 files" in reason({INTERFACES: "source /etc/network/interfaces.d/*\n", **many})
    assert "more than 8192 lines" in reason({INTERFACES: "a\n" * 8193})
    assert "more than 1024 interfaces" in reason({INTERFACES: "".join(f"iface e{n} inet dhcp\n" for n in range(1025))})


# Ubuntu

NETPLAN = "/etc/netplan/50-cloud-init.yaml"


def test_ubuntu_22_04() -> None:
    text = f"""# This file is generated from information provided by the datasource.
network:
    version: 2
    renderer: networkd
    ethernets:
        eth0:
            dhcp4: true
            dhcp6: false
            addresses: ["2001:db8::5/64"]
            match:
                macaddress: {MAC}
            set-name: eth0
"""
    found = read({NETPLAN: text}, "systemd-networkd", "cloud-init", "cloud-init-local")
    assert found.managers == ("cloud-init", "netplan", "systemd-networkd")
    assert found.interfaces == (dhcp("eth0", NETPLAN, "2001:db8::5/64", mac=MAC),)


def test_netplan_interfaces_are_named_by_what_they_match() -> None:
    text = """network:
  ethernets:
    all-en: {match: {name: "en*"}, dhcp4: true}
    id0: {match: {name: "ens*"}, set-name: eth1, dhcp4: true}
    eth0: {match: {driver: virtio_net}, dhcp4: true}
"""
    assert [one.name for one in read({NETPLAN: text}).interfaces] == ["en*", "eth1", "eth0"]


def test_netplan_files_are_merged() -> None:
    files: Files = {
        "/lib": Link("usr/lib"),
        "/usr/lib/netplan/00.yaml": "network: {ethernets: {eth0: {dhcp4: yes, addresses: [192.0.2.4/24]}}}\n",
        "/usr/lib/netplan/01.yaml": "network: {ethernets: {eth7: {dhcp4: yes}}}\n",
        "/etc/netplan/01.yaml": "network:\n  ethernets:\n    eth0:\n      dhcp4: 'off'\n      addresses:\n"
        "      - 192.0.2.5/24\n      - 192.0.2.6/24: {label: a}\n  bonds:\n    bond0: {dhcp4: on}\n",
        "/etc/netplan/02.yaml.bak": "network: {ethernets: {eth8: {dhcp4: yes}}}\n",
    }
    assert read(files).interfaces == (
        static("eth0", "/etc/netplan/01.yaml", "192.0.2.4/24", "192.0.2.5/24", "192.0.2.6/24"),
        dhcp("bond0", "/etc/netplan/01.yaml"),
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: &a [x, x]\nb: &b [*a, *a]\n", "alias"),
        ("[" * 100, "deeper than 24 levels"),
        ("{a: " * 100, "deeper than 24 levels"),
        ("a:\n\t- b: [", "not readable as YAML"),
        ("a: \x00", "not readable as YAML"),
        ("network:\n" + "#" * 70_000, "at most 65536"),
    ],
)
def test_hostile_yaml(text: str, expected: str) -> None:
    assert expected in reason({NETPLAN: text})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "network:\n",
        "- a\n",
        "network: [1]\n",
        "network: {ethernets: {eth0: 5}}\n",
        "network: {ethernets: {eth0: {match: 7, addresses: 8, dhcp4: []}}}\n",
        "network: {ethernets: {eth0: {addresses: [[], {}, !!bool x, !!timestamp x, 1:2:3.4]}}}\n",
        "network: {ethernets: {!!python/object:os.system x: {dhcp4: !!int ''}}}\n",
    ],
)
def test_yaml_of_any_shape_gives_a_value(text: str) -> None:
    assert all(one.method != "dhcp" for one in read({NETPLAN: text}).interfaces)


# systemd-networkd: Flatcar, Arch


def test_flatcar() -> None:
    base = "/usr/lib/systemd/network"
    files: Files = {
        "/lib": Link("usr/lib"),
        f"{base}/zz-default.network": "[Match]\nName=*\nType=!loopback bridge tunnel vxlan wireguard\n\n"
        "[Network]\nDHCP=yes\n",
        f"{base}/yy-vmware.network": "[Match]\nVirtualization=vmware\nName=e*\n[Network]\nDHCP=yes\n",
        f"{base}/yy-azure-sriov.network": "[Match]\nDriver=mlx4_en\n[Link]\nUnmanaged=yes\n",
        f"{base}/80-container-host0.network": "[Match]\nKind=veth\nName=host0\nVirtualization=container\n",
        f"{base}/80-wifi-adhoc.network": "[Match]\nType=wlan\nWLANInterfaceType=ad-hoc\n",
        f"{base}/89-ethernet.network.example": "[Match]\nType=ether\n[Network]\nDHCP=yes\n",
    }
    found = read(files, "systemd-networkd")
    assert found.managers == ("systemd-networkd",)
    assert found.interfaces == (dhcp("*", f"{base}/zz-default.network"),)


def test_networkd_as_an_administrator_writes_it() -> None:
    base = "/etc/systemd/network"
    files: Files = {
        f"{base}/10-eth0.network": f"[Match]\nMACAddress={MAC}\n[Network]\nDHCP=ipv6\nAddress=192.0.2.9/24\nAddress=\n"
        "Address=192.0.2.5/24\n\n[Address]\nAddress=192.0.2.6/24\n[Address]\nAddress=2001:db8::5/64\n",
        f"{base}/20-wired.network": "[Match]\nName=en*\nName=eth*\nKind=!*\n[Network]\nDHCP=no\nDHCP=ipv4\n",
        f"{base}/30-lan.network": "[Match]\nType=ether\n[Link]\nActivationPolicy=manual\n",
        f"{base}/zz-default.network": Link("/dev/null"),
        "/usr/lib/systemd/network/zz-default.network": "[Match]\nName=*\n[Network]\nDHCP=yes\n",
    }
    assert read(files, "systemd-networkd").interfaces == (
        static(MAC, f"{base}/10-eth0.network", "192.0.2.5/24", "192.0.2.6/24", "2001:db8::5/64", mac=MAC),
        dhcp("en* eth*", f"{base}/20-wired.network"),
        Interface("ether", "none", (), None, False, f"{base}/30-lan.network"),
    )


def test_a_file_of_networkd_that_matches_nothing_in_particular_matches_all() -> None:
    base = "/etc/systemd/network"
    files: Files = {f"{base}/zz-default.network": "[Network]\nDHCP=yes\n", f"{base}/10-masked.network": ""}
    assert read(files, "systemd-networkd").interfaces == (dhcp("*", f"{base}/zz-default.network"),)


def test_netctl() -> None:
    files: Files = {
        "/etc/netctl/eth0-dhcp": "Description='DHCP'\nInterface=eth0\nConnection=ethernet\nIP=dhcp\n",
        "/etc/netctl/fixed": "Interface=eth1\nConnection=ethernet\nIP=static\n"
        "Address=('192.0.2.5/24' '192.0.2.6/24')\n",
        "/etc/netctl/home": "Interface=wlan0\nConnection=wireless\nIP=dhcp\n",
        "/etc/netctl/examples/wireless-open": "Interface=wlan0\n",
    }
    found = read(files, "netctl@eth0\\x2ddhcp")
    assert found.managers == ("netctl",)
    assert found.interfaces == (
        dhcp("eth0", "/etc/netctl/eth0-dhcp"),
        static("eth1", "/etc/netctl/fixed", "192.0.2.5/24", "192.0.2.6/24", starts=False),
    )


# Gentoo and FreeBSD


def test_gentoo() -> None:
    text = '# config_eth9="dhcp"\nconfig_eth0="dhcp"\nroutes_eth1="default via 192.0.2.1"\n'
    text += 'config_eth1="192.0.2.5 netmask 255.255.255.0\n'
    text += f'192.0.2.6/24 brd 192.0.2.255\n2001:db8::5/64"\nmac_eth1="{MAC}"\nconfig_eth2="null"\n'
    path = "/etc/conf.d/net"
    found = read({path: text}, "net.lo", "net.eth0", "net.eth2")
    assert found.managers == ("netifrc",)
    assert found.interfaces == (
        dhcp("eth0", path),
        static("eth1", path, "192.0.2.5", "192.0.2.6/24", "2001:db8::5/64", mac=MAC, starts=False),
        Interface("eth2", "none", (), None, True, path),
    )


def test_freebsd() -> None:
    path = "/etc/rc.conf"
    text = f"""hostname="x"
ifconfig_DEFAULT="SYNCDHCP accept_rtadv"
ifconfig_lo0="inet 127.0.0.1"
ifconfig_vtnet0="inet 192.0.2.5 netmask 255.255.255.0 broadcast 192.0.2.255"
ifconfig_vtnet0_ipv6="inet6 2001:db8::5 prefixlen 64 accept_rtadv"
ifconfig_vtnet0_alias0="inet 192.0.2.6/32"
ifconfig_vtnet1="DHCP NOAUTO ether {MAC}"
ifconfig_vtnet2="inet 192.0.2.7 netmask 0xffffff00"
ifconfig_vtnet2_name="lan"
defaultrouter="192.0.2.1"
"""
    assert read({path: text}, "sshd").interfaces == (
        dhcp("DEFAULT", path),
        static("vtnet0", path, "192.0.2.5", "2001:db8::5", "192.0.2.6/32"),
        dhcp("vtnet1", path, mac=MAC, starts=False),
        static("vtnet2", path, "192.0.2.7"),
    )


# Who counts


def test_only_files_of_managers_that_start_count() -> None:
    files: Files = {
        NETPLAN: "network: {ethernets: {eth0: {dhcp4: true}}}\n",
        INTERFACES: "auto eth0\niface eth0 inet static\n  address 192.0.2.5/24\n",  # of the release before
        f"{IFCFG}eth0": "BOOTPROTO=static\nIPADDR=192.0.2.6\n",
    }
    assert read(files, "sshd", "systemd-networkd").interfaces == (dhcp("eth0", NETPLAN),)
    assert {one.method for one in read(files, "networking").interfaces} == {"dhcp", "static"}


def test_all_files_count_where_nobody_is_known_to_start() -> None:
    files: Files = {INTERFACES: "auto eth0\niface eth0 inet dhcp\n", f"{IFCFG}eth1": "BOOTPROTO=dhcp\n"}
    expected = {"eth0", "eth1"}
    assert {one.name for one in read(files, "sshd", "cloud-init").interfaces} == expected
    found = read_network(tree(files), Unknown("not read"))
    assert isinstance(found, Network) and {one.name for one in found.interfaces} == expected
    assert found.managers == ()


@pytest.mark.parametrize(
    "text",
    ["network: {config: disabled}\n", "# x\nnetwork:\n  # y\n  config: disabled\n", '"network": {"config":"disabled"}'],
)
def test_cloud_init_can_be_told_to_leave_the_network_alone(text: str) -> None:
    path = "/etc/cloud/cloud.cfg.d/99-disable-network-config.cfg"
    assert read({path: text}, "cloud-init").managers == ()
    assert read({path: "network:\n  version: 2\nx:\n  config: disabled\n"}, "cloud-init").managers == ("cloud-init",)
    assert read({"/etc/cloud/cloud-init.disabled": b""}, "cloud-init").managers == ()


# Names bound to hardware

RULES = "/etc/udev/rules.d/70-persistent-net.rules"


def test_persistent_names_of_centos_6_and_debian_8() -> None:
    text = f"""# This file was automatically generated by the /lib/udev/write_net_rules
# PCI device 0x1af4:0x1000 (virtio-pci)
SUBSYSTEM=="net", ACTION=="add", DRIVERS=="?*", ATTR{{address}}=="{MAC}", ATTR{{type}}=="1", KERNEL=="eth*", NAME="eth0"
SUBSYSTEM=="net", ATTR{{address}}!="{MAC}", NAME="eth7"
SUBSYSTEM=="net", ATTR{{address}}=="00:*", NAME="eth8"
SUBSYSTEM=="net",\\
 SYSFS{{address}}=="00:16:3e:01:02:04", NAME:="eth1"
"""
    found = read({RULES: text})
    assert found.persistent_names == (f"eth0 {MAC}", "eth1 00:16:3e:01:02:04")
    assert found.read_from == (RULES,)


def test_comments_and_rules_that_bind_nothing() -> None:
    comment = f'# SUBSYSTEM=="net", ATTR{{address}}=="{MAC}", NAME="eth0"\n'
    files: Files = {
        RULES: comment,
        "/etc/udev/rules.d/80-net-setup-link.rules": Link("/dev/null"),
        "/etc/udev/rules.d/75-persistent-net-generator.rules": "",
        "/etc/udev/rules.d/60-net.rules": 'SUBSYSTEM=="net", PROGRAM="/lib/udev/rename_device", NAME="$result"\n',
        "/usr/lib/udev/rules.d/80-net-setup-link.rules": 'SUBSYSTEM!="net", GOTO="x"\nNAME="$env{ID_NET_NAME}"\n',
        "/usr/lib/systemd/network/99-default.link": "[Match]\nOriginalName=*\n[Link]\nNamePolicy=keep kernel\n",
        "/etc/systemd/network/98-default.link": "[Match]\nOriginalName=*\n[Link]\nNamePolicy=keep kernel\n",
    }
    assert read(files).persistent_names == ()


def test_link_files_bind_names() -> None:
    path = "/etc/systemd/network/10-lan.link"
    found = read({path: f"[Match]\nMACAddress={MAC}\n[Link]\nName=lan0\n"})
    assert (found.persistent_names, found.read_from) == ((f"lan0 {MAC}",), (path,))


# Hostile files


def test_an_empty_guest_has_no_network() -> None:
    assert read({}) == Network((), (), (), (), ())


def test_too_large_a_file_makes_the_network_unknown() -> None:
    assert "at most" in reason({f"{IFCFG}eth0": "#" * 200_000})
    assert "at most 256" in reason({f"{IFCFG}eth{number}": "" for number in range(257)})
    big = "#" * 90_000
    assert "at most 1048576" in reason({f"{KEYFILE}{number}": big for number in range(12)})
    assert "at most 131072" in reason({f"/etc/netplan/{number}.yaml": "#" * 60_000 for number in range(3)})
    rule = f'ATTR{{address}}=="{MAC}", NAME="e"\n'
    assert "more than 256 rules" in reason({RULES: rule * 257})


def test_too_many_interfaces() -> None:
    text = "network:\n ethernets:\n" + "".join(
        f"  e{number}: {{dhcp4: on}}\n" for number in range(network.MAX_INTERFACES + 1)
    )
    assert "more than 1024 interfaces" in reason({NETPLAN: text})


def test_many_addresses_are_cut() -> None:
    text = "BOOTPROTO=none\n" + "".join(f"IPADDR{number}=192.0.2.{number}\n" for number in range(200))
    (found,) = read({f"{IFCFG}eth0": text}).interfaces
    assert len(found.addresses) == 64


def test_a_pattern_with_many_stars_costs_little() -> None:
    stars = "*a" * 100
    text = f"auto {stars}\nsource /etc/network/{stars}\niface {'a' * 200}b inet dhcp\n"
    (found,) = read({INTERFACES: text, f"/etc/network/{'a' * 200}b": ""}).interfaces
    assert not found.starts_at_boot


def test_the_same_directory_is_not_listed_twice() -> None:
    listed: list[str] = []

    class Counting(Tree):
        def names(self, path: str) -> tuple[str, ...]:
            found = self.find(path)
            listed.extend([found.path] if found else [])
            return super().names(path)

    files: Files = {
        "/lib": Link("usr/lib"),
        "/usr/lib/systemd/network/x.network": "[Match]\nName=*\n",
        "/usr/lib/netplan/00.yaml": "network:\n",
    }
    read_network(Counting(PhonyReader(files)), started())
    assert sorted(listed) == sorted(set(listed))


TEXTS = st.one_of(
    st.binary(max_size=120),
    st.lists(
        st.sampled_from(
            [
                *(
                    "[Match]",
                    "[Network]",
                    "[ipv4]",
                    "[connection]",
                    "Name=*",
                    "DHCP=yes",
                    "type=ethernet",
                    "address1=,",
                    "=",
                ),
                *(
                    "iface eth0 inet dhcp",
                    "iface a",
                    "auto *",
                    "source *",
                    "source-directory /",
                    "address",
                    "iface a inet",
                ),
                *(
                    "network:",
                    "  ethernets:",
                    "    eth0: {dhcp4: true}",
                    "    - x",
                    "IPADDR=1.2.3.4",
                    "ONBOOT=",
                    "x: &a",
                ),
                *(
                    'NAME="a", ATTR{address}=="b"',
                    'config_a="',
                    '"',
                    "ifconfig_a_alias=",
                    "nameserver ::1",
                    "Address=é\x00",
                ),
            ]
        ),
        max_size=12,
    ).map("\n".join),
    st.builds(Link, st.sampled_from(["/", "..", "/dev/null", "/etc/resolv.conf"])),
    st.builds(Special),
)
PATHS = st.sampled_from(
    [
        *(
            f"{IFCFG}eth0",
            f"{IFCFG}é\udcff",
            f"{SUSE}id-x",
            INTERFACES,
            f"{INTERFACES}.d/a",
            NETPLAN,
            "/lib/netplan/a.yaml",
        ),
        *(f"{KEYFILE}a", f"{KEYFILE}\udcff", "/etc/systemd/network/a.network", "/lib/systemd/network/a.link", RULES),
        *("/etc/rc.conf", "/etc/conf.d/net", "/etc/netctl/a", "/etc/resolv.conf", "/etc/cloud/cloud.cfg", "/lib"),
        *("/etc/systemd/network/a.link", "/etc/netplan", "/etc/systemd/network"),
    ]
)
ENABLED = st.lists(
    st.sampled_from(["networking", "NetworkManager", "systemd-networkd", "network", "cloud-init", "net.é"])
)


def apart(files: Files) -> Files:
    """Without files below other files."""
    return {
        path: content for path, content in files.items() if not any(other.startswith(f"{path}/") for other in files)
    }


@given(files=st.dictionaries(PATHS, TEXTS, max_size=8).map(apart), enabled=ENABLED)
@settings(max_examples=200, deadline=None)
def test_any_files_give_a_value(files: Files, enabled: list[str]) -> None:
    found = read_network(tree(files), started(*enabled))
    assert isinstance(found, Network | Unknown)
    assert "\udcff" not in repr(found)
