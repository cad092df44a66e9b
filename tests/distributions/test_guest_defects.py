"""Defects of the guest's network, services, accounts and cloud-init, in recipes of several families."""

from pathlib import Path

import pytest

from tests.distributions.defects import (
    HASH,
    added,
    changed,
    enabled,
    link,
    program,
    shadow,
    text,
    without,
)
from tests.distributions.planting import Defect, is_found

WANTS = "/etc/systemd/system/multi-user.target.wants"
IFCFG = "/etc/sysconfig/network-scripts/ifcfg-eth0"
INTERFACES = "/etc/network/interfaces"
MAC = "52:54:00:12:34:56"
UDEV_RULE = (
    "# PCI device 0x1af4:0x1000 (virtio-pci)\n"
    f'SUBSYSTEM=="net", ACTION=="add", DRIVERS=="?*", ATTR{{address}}=="{MAC}", ATTR{{dev_id}}=="0x0", '
    'ATTR{type}=="1", KERNEL=="eth*", NAME="eth0"\n'
)
CLOUD_INIT = "/usr/lib/python3/dist-packages/cloudinit/version.py"
NETPLAN_STATIC = """network:
  version: 2
  ethernets:
    eth0:
      addresses: [192.0.2.5/24]
      routes:
        - to: default
          via: 192.0.2.1
"""
PROFILE = """[connection]
id=eth0
type=ethernet
interface-name=eth0

[ipv4]
method=manual
address1=192.0.2.5/24,192.0.2.1
"""

DEFECTS = {
    # the network
    "a static address of ifupdown": Defect(
        "debian-11", "qcow2", (added(INTERFACES, "auto eth0\niface eth0 inet static\n  address 192.0.2.5/24"),),
        {"static-address": "warning"}, facts={"interfaces": ["eth0 static"]},
    ),
    "a static address in an ifcfg file": Defect(
        "rhel-7", "raw", (text(IFCFG, "DEVICE=eth0\nBOOTPROTO=none\nONBOOT=yes\nIPADDR=192.0.2.5\nPREFIX=24\n"),),
        {"static-address": "warning"}, facts={"interfaces": ["eth0 static"]},
    ),
    "a static address of wicked": Defect(
        "sles-15", "dynamic VHD",
        (text("/etc/sysconfig/network/ifcfg-eth0", "BOOTPROTO='static'\nIPADDR='192.0.2.5/24'\nSTARTMODE='auto'\n"),),
        {"static-address": "warning"},
    ),
    "a static address of netplan": Defect(
        "ubuntu-22.04", "qcow2", (text("/etc/netplan/01-static.yaml", NETPLAN_STATIC),), {"static-address": "warning"}
    ),
    "a static address of NetworkManager": Defect(
        "rocky-9", "raw", (text("/etc/NetworkManager/system-connections/eth0.nmconnection", PROFILE),),
        {"static-address": "warning"},
    ),
    "a static address of OpenRC": Defect(
        "gentoo", "raw", (text("/etc/conf.d/net", 'config_eth0="192.0.2.5/24"\n'),), {"static-address": "warning"}
    ),
    "names that are bound to the old card": Defect(
        "rhel-6", "raw", (text("/etc/udev/rules.d/70-persistent-net.rules", UDEV_RULE),),
        {"persistent-interface-names": "warning"},
    ),
    "names that are bound to the old card, of Debian": Defect(
        "debian-8", "qcow2", (text("/etc/udev/rules.d/70-persistent-net.rules", UDEV_RULE),),
        {"persistent-interface-names": "warning"},
    ),
    "a configuration for the old card": Defect(
        "centos-7", "dynamic VHD", (added(IFCFG, f"HWADDR={MAC}"),), {"interface-bound-to-hardware": "warning"}
    ),
    "a configuration for the old card, of netplan": Defect(
        "ubuntu-20.04", "raw",
        (
            text(
                "/etc/netplan/00-installer-config.yaml",
                f"network:\n  ethernets:\n    eth0:\n      dhcp4: true\n      match: {{macaddress: '{MAC}'}}\n",
            ),
        ),
        {"interface-bound-to-hardware": "warning"},
    ),
    "two cards": Defect(
        "debian-9", "raw", (added(INTERFACES, "auto eth1\niface eth1 inet dhcp"),),
        {"several-network-interfaces": "warning"},
    ),
    "two cards, of an ifcfg file": Defect(
        "rhel-8", "qcow2",
        (text(IFCFG.replace("eth0", "eth1"), "DEVICE=eth1\nBOOTPROTO=dhcp\nONBOOT=yes\n"),),
        {"several-network-interfaces": "warning"},
    ),
    # SSH and firewalls
    "SSH that does not start": Defect(
        "debian-12", "qcow2", (without(f"{WANTS}/ssh.service", "/etc/systemd/system/sshd.service"),),
        {"ssh-server-not-started": "warning"}, facts={"sshd": False},
    ),
    "SSH that is masked": Defect(
        "rhel-9", "raw", (link("/etc/systemd/system/sshd.service", "/dev/null"),),
        {"ssh-server-not-started": "warning"}, facts={"sshd": False},
    ),
    "SSH that no run level starts": Defect(
        "centos-6", "qcow2", (without("/etc/rc.d/rc3.d/S55sshd"),), {"ssh-server-not-started": "warning"}
    ),
    "SSH that OpenRC does not start": Defect(
        "alpine-3.19", "raw", (without("/etc/runlevels/default/sshd"),), {"ssh-server-not-started": "warning"}
    ),
    "no SSH": Defect(
        "ubuntu-14.04", "raw", (without("/usr/sbin/sshd", "/etc/init/ssh.conf"),),
        {"ssh-server-not-started": "warning"}, facts={"sshd": None},
    ),
    "firewalld": Defect(
        "almalinux-9", "qcow2", (enabled("firewalld.service", "/usr/sbin/firewalld"),),
        {"firewall-enabled": "warning"}, facts={"firewalls": ["firewalld"]},
    ),
    "nftables": Defect(
        "debian-13", "raw", (enabled("nftables.service", "/usr/sbin/nft"),), {"firewall-enabled": "warning"}
    ),
    "ufw": Defect(
        "ubuntu-22.04", "dynamic VHD", (changed("/etc/ufw/ufw.conf", "ENABLED=no", "ENABLED=yes"),),
        {"firewall-enabled": "warning"}, facts={"firewalls": ["ufw"]},
    ),
    "iptables of System V": Defect(
        "centos-5", "raw", (link("/etc/rc.d/rc3.d/S08iptables", "../init.d/iptables"),),
        {"firewall-enabled": "warning"},
    ),
    "the guest agent": Defect(
        "debian-12", "raw", (program("/usr/sbin/qemu-ga"),), {"qemu-guest-agent-installed": "warning"}
    ),
    "the guest agent, on XFS": Defect(
        "rhel-7", "qcow2", (program("/usr/bin/qemu-ga"),), {"qemu-guest-agent-installed": "warning"}
    ),
    # accounts
    "a root with a password": Defect("debian-12", "raw", (shadow(HASH),), gone=("root-account-locked",)),
    "a root with a password, on XFS": Defect("rhel-9", "qcow2", (shadow(HASH),), gone=("root-account-locked",)),
    "a root with the empty password": Defect(
        "ubuntu-24.04", "qcow2", (shadow(""),), {"root-without-password": "warning"}, gone=("root-account-locked",)
    ),
    "a root with the empty password, on XFS": Defect(
        "sles-15", "raw", (shadow(""),), {"root-without-password": "warning"}, gone=("root-account-locked",)
    ),
    "no root": Defect(
        "debian-10", "raw", (text("/etc/passwd", "toor:x:0:0::/root:/bin/sh\n"),),
        {"root-account-missing": "warning"}, gone=("root-account-locked",),
    ),
    "no root, on XFS": Defect(
        "anolis-8", "qcow2", (text("/etc/passwd", "admin:x:0:0::/root:/bin/sh\n"),),
        {"root-account-missing": "warning"}, gone=("root-account-locked",),
    ),
    "a root that SSH refuses": Defect(
        "debian-9", "raw", (added("/etc/ssh/sshd_config", "PermitRootLogin no"),), {"root-login-refused": "info"}
    ),
    "a root that SSH refuses, in a fragment": Defect(
        "rocky-9", "raw", (text("/etc/ssh/sshd_config.d/01-root.conf", "PermitRootLogin no\n"),),
        {"root-login-refused": "info"},
    ),
    "no command passwd": Defect(
        "debian-12", "raw", (without("/usr/bin/passwd"),), {"passwd-command-missing": "warning"}
    ),
    "no command passwd, on XFS": Defect(
        "rhel-8", "raw", (without("/usr/bin/passwd"),), {"passwd-command-missing": "warning"}
    ),
    # SELinux
    "labels that are to be made anew": Defect("centos-7", "raw", (text("/.autorelabel", ""),)),
    "a permissive SELinux": Defect(
        "rhel-8", "qcow2", (changed("/etc/selinux/config", "SELINUX=enforcing", "SELINUX=permissive"),),
        gone=("selinux-enforcing",), facts={"selinux": "permissive"},
    ),
    "an enforcing SELinux": Defect(
        "alinux-2", "raw", (changed("/etc/selinux/config", "SELINUX=disabled", "SELINUX=enforcing"),),
        {"selinux-enforcing": "warning"},
    ),
    # cloud-init
    "an old cloud-init": Defect(
        "ubuntu-22.04", "raw", (text(CLOUD_INIT, '__VERSION__ = "0.7.9"\n'),), {"cloud-init-too-old": "warning"}
    ),
    "an old build of the cloud's own": Defect(
        "alinux-2", "qcow2",
        (
            text(
                "/usr/lib/python2.7/site-packages/cloudinit/version.py",
                '__VERSION__ = "19.1"\n_PACKAGED_VERSION = "19.1.2"\n',
            ),
        ),
        {"cloud-init-too-old": "warning"},
    ),
    "a cloud-init that is switched off": Defect(
        "debian-12", "qcow2", (text("/etc/cloud/cloud-init.disabled", ""),), {"cloud-init-disabled": "warning"}
    ),
    "a cloud-init that is masked": Defect(
        "rhel-9", "raw", (link("/etc/systemd/system/cloud-init.service", "/dev/null"),),
        {"cloud-init-disabled": "warning"},
    ),
    "a cloud-init for another cloud": Defect(
        "ubuntu-20.04", "qcow2", (text("/etc/cloud/cloud.cfg.d/99-ec2.cfg", "datasource_list: [ Ec2, None ]\n"),),
        {"cloud-init-datasource-missing": "warning"},
    ),
    "a cloud-init for another cloud, on XFS": Defect(
        "sles-15", "raw", (text("/etc/cloud/cloud.cfg.d/99.cfg", "datasource_list:\n  - Azure\n"),),
        {"cloud-init-datasource-missing": "warning"},
    ),
    "no growpart": Defect("debian-11", "raw", (without("/usr/bin/growpart"),), {"root-cannot-grow": "warning"}),
    "no xfs_growfs": Defect("rhel-8", "raw", (without("/usr/sbin/xfs_growfs"),), {"root-cannot-grow": "warning"}),
    # others
    "a clock of local time": Defect(
        "debian-12", "raw", (text("/etc/adjtime", "0.0 0 0.0\n0\nLOCAL\n"),),
        {"hardware-clock-in-local-time": "warning"},
    ),
    "a clock of local time, of OpenRC": Defect(
        "gentoo", "raw", (text("/etc/conf.d/hwclock", 'clock="local"\n'),), {"hardware-clock-in-local-time": "warning"}
    ),
    "a library directory elsewhere": Defect(
        "debian-12", "qcow2", (link("/lib64", "/usr/lib64"),), {"absolute-library-links": "warning"}
    ),
    "a library directory elsewhere, on XFS": Defect(
        "rhel-9", "raw", (link("/lib64", "/usr/lib64"),), {"absolute-library-links": "warning"}
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", DEFECTS)
def test_a_planted_defect_is_found_and_nothing_else(name: str, tmp_path: Path) -> None:
    is_found(DEFECTS[name], tmp_path)
