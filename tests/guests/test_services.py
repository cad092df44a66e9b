"""What starts at boot, on phony guests laid out as distributions lay theirs out."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from preflight.contents.tree import Tree
from preflight.facts import Unknown
from preflight.guest_facts import Services
from preflight.guests import _directories
from preflight.guests.services import read_services
from tests.contents.phony import Content, Link, PhonyReader, Special, tree

SYSTEM = "/etc/systemd/system"
VENDOR = "/usr/lib/systemd/system"
NULL = Link("/dev/null")
UNIT = "[Service]\nExecStart=/bin/true\n"

Files = dict[str, Content]


def wanted(*units: str, target: str = "multi-user.target", base: str = SYSTEM) -> Files:
    return {f"{base}/{target}.wants/{unit}": Link(f"{VENDOR}/{unit}") for unit in units}


def vendor(*units: str, base: str = VENDOR) -> Files:
    return {f"{base}/{unit}": UNIT for unit in units}


SYSTEMD: Files = {
    "/lib": Link("usr/lib"),
    "/sbin": Link("usr/sbin"),
    "/usr/sbin/init": Link("/lib/systemd/systemd"),
    "/usr/lib/systemd/systemd": b"\x7fELF",
    **vendor("multi-user.target", "getty@.service", "systemd-logind.service"),
    f"{VENDOR}/multi-user.target.wants/systemd-logind.service": Link("../systemd-logind.service"),
    f"{SYSTEM}/getty.target.wants/getty@tty1.service": Link(f"{VENDOR}/getty@.service"),
}
SSHD: Files = {"/usr/sbin/sshd": b"\x7fELF"}


def read(files: Files) -> Services:
    found = read_services(tree(files))
    assert isinstance(found, Services)
    return found


def test_rocky_9() -> None:
    found = read(
        SYSTEMD
        | SSHD
        | vendor("sshd.service", "firewalld.service", "NetworkManager.service")
        | wanted("sshd.service", "NetworkManager.service")
        | {f"{SYSTEM}/dbus-org.fedoraproject.FirewallD1.service": Link(f"{VENDOR}/firewalld.service")}
    )
    assert found.init == "systemd"
    assert found.enabled == ("NetworkManager", "getty@tty1", "sshd", "systemd-logind")
    assert found.sshd is True
    assert (found.firewalls, found.qemu_guest_agent, found.cloud_assistant) == ((), False, False)
    assert f"{SYSTEM}/multi-user.target.wants/sshd.service" in found.read_from
    assert "/usr/sbin/sshd" in found.read_from


def test_a_firewall_that_is_enabled() -> None:
    found = read(SYSTEMD | vendor("firewalld.service") | wanted("firewalld.service"))
    assert found.firewalls == ("firewalld",)
    assert f"{SYSTEM}/multi-user.target.wants/firewalld.service" in found.read_from


def test_a_masked_firewall_does_not_start() -> None:
    files = SYSTEMD | vendor("firewalld.service") | wanted("firewalld.service")
    assert read(files | {f"{SYSTEM}/firewalld.service": NULL}).firewalls == ()
    assert read(files | {f"{SYSTEM}/firewalld.service": b""}).firewalls == ()
    assert read(files | {f"{SYSTEM}/firewalld.service": UNIT}).firewalls == ("firewalld",)


def test_a_vendor_link_is_cancelled_by_a_null_link_of_the_administrator() -> None:
    files = SYSTEMD | SSHD | vendor("sshd.socket") | wanted("sshd.socket", target="sockets.target", base=VENDOR)
    assert read(files).sshd is True
    assert read(files | {f"{SYSTEM}/sockets.target.wants/sshd.socket": NULL}).sshd is False


def test_a_link_to_a_unit_that_was_removed_starts_nothing() -> None:
    assert read(SYSTEMD | wanted("firewalld.service")).firewalls == ()


def test_links_are_believed_where_the_units_cannot_be_seen() -> None:
    found = read(wanted("firewalld.service", "sshd.service"))  # /usr is on another disk
    assert (found.init, found.firewalls, found.sshd) == ("systemd", ("firewalld",), True)


@pytest.mark.parametrize("target", ["rescue.target", "emergency.target", "shutdown.target", "initrd.target"])
def test_targets_that_are_not_reached_start_nothing(target: str) -> None:
    assert read(SYSTEMD | vendor("firewalld.service") | wanted("firewalld.service", target=target)).firewalls == ()


def test_sshd_that_is_not_enabled_and_sshd_that_is_not_there() -> None:
    assert read(SYSTEMD | SSHD | vendor("sshd.service")).sshd is False
    assert (
        read(SYSTEMD | SSHD | vendor("sshd.service") | wanted("sshd.service") | {f"{SYSTEM}/sshd.service": NULL}).sshd
        is False
    )
    assert read(SYSTEMD | {"/usr/bin/ssh": b"\x7fELF"}).sshd is None


def test_ubuntu_24_04_starts_ssh_by_its_socket() -> None:
    files = SYSTEMD | SSHD | vendor("ssh.service", "ssh.socket")
    requires: Files = {f"{SYSTEM}/ssh.service.requires/ssh.socket": Link(f"{VENDOR}/ssh.socket")}
    assert read(files | requires | wanted("ssh.socket", target="sockets.target")).sshd is True
    assert read(files | requires).sshd is False
    assert read(files | requires | wanted("ssh.service")).sshd is True


def test_debian_can_forbid_sshd() -> None:
    files = SYSTEMD | SSHD | vendor("ssh.service") | wanted("ssh.service")
    found = read(files | {"/etc/ssh/sshd_not_to_be_run": b""})
    assert found.sshd is False
    assert "/etc/ssh/sshd_not_to_be_run" in found.read_from


@pytest.mark.parametrize(("switch", "firewalls"), [("no", ()), ("yes", ("ufw",))])
def test_ufw_filters_only_where_its_switch_is_on(switch: str, firewalls: tuple[str, ...]) -> None:
    conf = f"# /etc/ufw/ufw.conf\n\n# Set to yes to start on boot.\nENABLED={switch}\n\nLOGLEVEL=low\n"
    found = read(SYSTEMD | vendor("ufw.service") | wanted("ufw.service") | {"/etc/ufw/ufw.conf": conf})
    assert found.firewalls == firewalls
    assert "ufw" in found.enabled
    assert "/etc/ufw/ufw.conf" in found.read_from


def test_flatcar_enables_in_usr() -> None:
    found = read(
        SYSTEMD
        | SSHD
        | vendor("sshd.socket", "sshd@.service", "systemd-networkd.service")
        | wanted("sshd.socket", target="sockets.target", base=VENDOR)
        | wanted("systemd-networkd.service", base=VENDOR)
    )
    assert found.sshd is True
    assert "systemd-networkd" in found.enabled
    assert f"{VENDOR}/sockets.target.wants/sshd.socket" in found.read_from


def test_debian_10_with_lib_of_its_own() -> None:
    found = read(
        SSHD
        | {"/sbin/init": Link("/lib/systemd/systemd"), "/etc/rc2.d/S01ssh": Link("../init.d/ssh")}
        | {"/etc/rc2.d/S01unattended": Link("../init.d/unattended"), "/etc/rc2.d/S01hwclock.sh": Link("../init.d/x")}
        | vendor(
            "multi-user.target", "ssh.service", "networking.service", "hwclock.service", base="/lib/systemd/system"
        )
        | vendor("podman.service")
        | wanted("ssh.service", "networking.service")
    )
    assert found.enabled == ("networking", "ssh", "unattended")
    assert found.sshd is True


def test_the_script_of_a_service_whose_unit_is_disabled_does_not_start() -> None:
    files: Files = SYSTEMD | SSHD | {"/etc/rc3.d/S01ssh": Link("../init.d/ssh"), "/etc/init.d/ssh": "#!/bin/sh\n"}
    assert read(files | vendor("ssh.service")).sshd is False


def test_what_debian_leaves_behind_after_removal_is_not_installed() -> None:
    files: Files = {
        "/etc/rc2.d/S01ssh": Link("../init.d/ssh"),
        "/etc/init.d/ssh": "#!/bin/sh\n",
        "/etc/rc2.d/S01qemu-guest-agent": Link("../init.d/qemu-guest-agent"),
        "/etc/init.d/qemu-guest-agent": "#!/bin/sh\n",
    }
    found = read(SYSTEMD | files)
    assert (found.sshd, found.qemu_guest_agent) == (None, False)


def test_centos_7_has_a_script_for_its_network() -> None:
    found = read(
        SYSTEMD
        | SSHD
        | {
            "/etc/inittab": "# inittab is no longer used when using systemd.\n",
            "/etc/rc.d/rc3.d/S10network": Link("../init.d/network"),
            "/etc/rc.d/rc3.d/K50netconsole": Link("../init.d/netconsole"),
            "/etc/rc3.d": Link("rc.d/rc3.d"),
            "/etc/rc.d/init.d/network": "#!/bin/bash\n",
            "/etc/init.d": Link("rc.d/init.d"),
        }
        | vendor("sshd.service")
        | wanted("sshd.service")
    )
    assert found.init == "systemd"
    assert "network" in found.enabled and "netconsole" not in found.enabled
    assert found.sshd is True


CENTOS_6: Files = SSHD | {
    "/sbin/init": b"\x7fELF",
    "/sbin/initctl": b"\x7fELF",
    "/etc/inittab": "# Default runlevel.\n#id:5:initdefault:\nid:3:initdefault:\n",
    "/etc/init/rc.conf": "start on runlevel [0123456]\ntask\nexec /etc/rc.d/rc $RUNLEVEL\n",
    "/etc/init/tty.conf": "stop on runlevel [S016]\nrespawn\n",
    "/etc/rc.d/rc3.d/S08iptables": Link("../init.d/iptables"),
    "/etc/rc.d/rc3.d/S08ip6tables": Link("../init.d/ip6tables"),
    "/etc/rc.d/rc3.d/S10network": Link("../init.d/network"),
    "/etc/rc.d/rc3.d/S55sshd": Link("../init.d/sshd"),
    "/etc/rc.d/rc5.d/S50cups": Link("../init.d/cups"),
    "/etc/rc3.d": Link("rc.d/rc3.d"),
    "/etc/init.d": Link("rc.d/init.d"),
    "/etc/rc.d/init.d/sshd": "#!/bin/bash\n",
}


def test_centos_6() -> None:
    found = read(CENTOS_6)
    assert found.init == "upstart"
    assert found.enabled == ("ip6tables", "iptables", "network", "rc", "sshd")
    assert (found.sshd, found.firewalls) == (True, ("iptables",))
    assert "/etc/rc.d/rc3.d/S55sshd" in found.read_from


def test_centos_5_and_its_default_run_level() -> None:
    files = {path: content for path, content in CENTOS_6.items() if path not in ("/sbin/initctl", "/etc/init/rc.conf")}
    assert read(files).init == "sysvinit"
    assert "cups" not in read(files).enabled
    assert "sshd" not in read(files | {"/etc/inittab": "id:5:initdefault:\n"}).enabled
    assert read(files | {"/etc/inittab": "id:5:initdefault:\n"}).sshd is False


def test_ubuntu_14_04() -> None:
    files: Files = SSHD | {
        "/sbin/init": b"\x7fELF",
        "/sbin/initctl": b"\x7fELF",
        "/etc/init/ssh.conf": 'description "OpenSSH server"\n\nstart on runlevel [2345]\nstop on runlevel [!2345]\n',
        "/etc/init/ufw.conf": "start on (starting network-interface\n or starting networking)\nstop on starting rc\n",
        "/etc/init/networking.conf": "start on (local-filesystems\n and (stopped udevtrigger or container))\n",
        "/etc/ufw/ufw.conf": "ENABLED=no\n",
        "/etc/rc2.d/S20ssh": Link("../init.d/ssh"),
        "/etc/rc2.d/S99ondemand": Link("../init.d/ondemand"),
    }
    found = read(files)
    assert (found.init, found.sshd, found.firewalls) == ("upstart", True, ())
    assert found.enabled == ("networking", "ondemand", "ssh", "ufw")
    assert read(files | {"/etc/init/ssh.override": "manual\n"}).sshd is False
    assert read(files | {"/etc/init/ssh.override": "manual\nstart on runlevel [2]\n"}).sshd is True
    assert read(files | {"/etc/ufw/ufw.conf": "ENABLED=yes\n"}).firewalls == ("ufw",)


def test_sles_11() -> None:
    found = read(
        SSHD
        | {
            "/sbin/init": b"\x7fELF",
            "/etc/inittab": "id:3:initdefault:\n",
            "/etc/rc.d": Link("init.d"),
            "/etc/init.d/boot.d/S05SuSEfirewall2_init": Link("../SuSEfirewall2_init"),
            "/etc/init.d/rc3.d/S11SuSEfirewall2_setup": Link("../SuSEfirewall2_setup"),
            "/etc/init.d/rc3.d/S02network": Link("../network"),
            "/etc/init.d/rc3.d/S06sshd": Link("../sshd"),
            "/etc/init.d/rc3.d/K01sshd": Link("../sshd"),
        }
    )
    assert found.init == "sysvinit"
    assert found.enabled == ("SuSEfirewall2_init", "SuSEfirewall2_setup", "network", "sshd")
    assert (found.sshd, found.firewalls) == (True, ("SuSEfirewall2",))


def test_sles_12() -> None:
    found = read(
        SYSTEMD | vendor("SuSEfirewall2.service", "wicked.service") | wanted("SuSEfirewall2.service", "wicked.service")
    )
    assert found.firewalls == ("SuSEfirewall2",)


def test_alpine() -> None:
    found = read(
        SSHD
        | {
            "/sbin/init": Link("/bin/busybox"),
            "/bin/busybox": b"\x7fELF",
            "/sbin/openrc": b"\x7fELF",
            "/etc/inittab": "::sysinit:/sbin/openrc sysinit\n",
            "/etc/runlevels/boot/networking": Link("/etc/init.d/networking"),
            "/etc/runlevels/default/sshd": Link("/etc/init.d/sshd"),
            "/etc/runlevels/default/nftables": Link("/etc/init.d/nftables"),
            "/etc/runlevels/shutdown/killprocs": Link("/etc/init.d/killprocs"),
        }
    )
    assert found.init == "openrc"
    assert found.enabled == ("networking", "nftables", "sshd")
    assert (found.sshd, found.firewalls) == (True, ("nftables",))


def test_gentoo() -> None:
    found = read(
        SSHD
        | {
            "/sbin/init": b"\x7fELF",
            "/etc/inittab": "id:3:initdefault:\n",
            "/sbin/openrc": b"\x7fELF",
            "/etc/runlevels/default/net.eth0": Link("/etc/init.d/net.eth0"),
        }
    )
    assert (found.init, found.enabled, found.sshd) == ("openrc", ("net.eth0",), False)


def test_freebsd() -> None:
    files: Files = SSHD | {
        "/sbin/init": b"\x7fELF",
        "/etc/rc.conf": 'sshd_enable="YES"\npf_enable="YES"\nfirewall_enable="NO"\nntpd_enable=yes # on\n',
        "/etc/rc.conf.local": 'pf_enable="NO"\n',
        "/usr/local/bin/qemu-ga": b"\x7fELF",
    }
    found = read(files)
    assert (found.init, found.enabled) == ("other", ("ntpd", "sshd"))
    assert (found.sshd, found.firewalls, found.qemu_guest_agent) == (True, (), True)
    assert "/etc/rc.conf" in found.read_from and "/etc" not in found.read_from
    changed = read(
        files | {"/etc/rc.conf.local": 'firewall_enable="YES"\n', "/etc/rc.conf.d/sshd": 'sshd_enable="NO"\n'}
    )
    assert (changed.sshd, changed.firewalls) == (False, ("ipfw", "pf"))


def test_cirros() -> None:
    found = read(
        {
            "/sbin/init": Link("/bin/busybox"),
            "/bin/busybox": b"\x7fELF",
            "/usr/sbin/dropbear": b"\x7fELF",
            "/etc/inittab": "::sysinit:/etc/init.d/rcS sysinit\n",
            "/etc/rc3.d/S50dropbear": Link("../init.d/dropbear"),
        }
    )
    assert (found.init, found.sshd) == ("busybox", True)


@pytest.mark.parametrize(
    ("path", "fact"),
    [
        ("/usr/bin/qemu-ga", "qemu_guest_agent"),
        ("/usr/sbin/qemu-ga", "qemu_guest_agent"),
        (f"{VENDOR}/qemu-guest-agent.service", "qemu_guest_agent"),
        (f"{SYSTEM}/dev-virtio\\x2dports-org.qemu.guest_agent.0.device.wants/qemu-guest-agent.service", None),
        ("/usr/local/share/aliyun-assist/2.2.3.792/aliyun-service", "cloud_assistant"),
        (f"{SYSTEM}/aliyun.service", "cloud_assistant"),
        ("/usr/sbin/aliyun-service", "cloud_assistant"),
        ("/usr/local/share/assist-daemon/assist_daemon", "cloud_assistant"),
        ("/usr/local/aegis/aegis_client/aegis_12_37/AliYunDun", "security_center_agent"),
        (f"{SYSTEM}/aegis.service", "security_center_agent"),
        ("/etc/init.d/aegis", "security_center_agent"),
        ("/usr/local/aegis/globalcfg/domaincfg.ini", None),  # its uninstaller leaves this
    ],
)
def test_agents(path: str, fact: str | None) -> None:
    found = read(SYSTEMD | {path: UNIT})
    for name in ("qemu_guest_agent", "cloud_assistant", "security_center_agent"):
        assert getattr(found, name) is (name == fact)
    assert fact is None or any(path.startswith(one) for one in found.read_from if len(one) > 12)


def test_an_empty_guest_starts_nothing() -> None:
    assert read({}) == Services("other", (), None, (), False, False, False, ())


def test_the_same_directory_is_not_listed_twice() -> None:
    listed: list[str] = []

    class Counting(Tree):
        def names(self, path: str) -> tuple[str, ...]:
            found = self.find(path)
            listed.extend([found.path] if found else [])
            return super().names(path)

    files = (
        SYSTEMD | wanted("sshd.service") | {"/etc/rc.d/rc3.d/S10network": Link("x"), "/etc/rc3.d": Link("rc.d/rc3.d")}
    )
    read_services(Counting(PhonyReader(files)))
    assert len(listed) == len(set(listed))


def test_too_many_jobs_make_the_fact_unknown() -> None:
    files: Files = {f"/etc/init/{number}.conf": "" for number in range(_directories.MAX_FILES + 1)}
    found = read_services(tree(files | {"/sbin/initctl": b"", "/sbin/init": b"\x7fELF"}))
    assert isinstance(found, Unknown) and "257 files" in found.unknown


def test_links_in_circles_and_special_files_start_nothing() -> None:
    found = read(
        SYSTEMD
        | {
            f"{SYSTEM}/a.target.wants": Link("a.target.wants"),
            f"{SYSTEM}/b.target.wants": Special(),
            f"{SYSTEM}/c.target.wants/sshd.service": Special(),
            "/etc/rc3.d/": b"",
            "/etc/rc2.d": Link("/etc/rc2.d"),
            "/usr/sbin/sshd": Link("sshd"),
            "/etc/ufw/ufw.conf": Special(),
        }
    )
    assert found.sshd is None


WORDS = st.sampled_from(
    ["S10ssh", "ssh.service", "ufw.service", "getty@tty1.service", "@.service", "x.target.wants", "S", "é\udcff", "a"]
)
CONTENT = st.one_of(
    st.binary(max_size=40),
    st.builds(Link, st.sampled_from(["/dev/null", "..", "/", "x", "/etc/init"])),
    st.builds(Special),
)
PLACES = st.sampled_from(
    [
        *(
            SYSTEM,
            VENDOR,
            f"{SYSTEM}/multi-user.target.wants",
            f"{VENDOR}/ssh.service.wants",
            "/etc/rc3.d",
            "/etc/init",
        ),
        *("/etc/runlevels/default", "/etc/rc.conf.d", "/lib/systemd/system"),
    ]
)
FIXED = st.sampled_from(
    ["/sbin/init", "/sbin/initctl", "/etc/inittab", "/etc/rc.conf", "/etc/ufw/ufw.conf", "/sbin/openrc"]
)
PATHS = st.one_of(FIXED, st.builds("{}/{}".format, PLACES, WORDS))


@given(files=st.dictionaries(PATHS, CONTENT, max_size=12), text=st.binary(max_size=200))
@settings(max_examples=200, deadline=None)
def test_any_files_give_a_value(files: Files, text: bytes) -> None:
    found = read_services(tree(files | {"/etc/init/job.conf": text, "/etc/rc.conf": text}))
    assert isinstance(found, Services | Unknown)
    assert "\udcff" not in repr(found)
