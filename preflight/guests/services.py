"""Services: which start at boot, and which of those that matter to a cloud are there.

Specification: none of its own; how each init system is told what to start: `_units` (systemd), `_scripts` (the others).
"""

from collections.abc import Iterator
from typing import Literal

from preflight.contents.tree import Tree
from preflight.facts import Unknown
from preflight.guest_facts import Services
from preflight.guests import _scripts, _units
from preflight.guests._text import assignments, learn, shown, unique
from preflight.units import KiB

Init = Literal["systemd", "sysvinit", "upstart", "openrc", "busybox", "other"]

MAX_ENABLED = 4096  # a desktop has some two hundred
MAX_SWITCH = 16 * KiB  # what is read of /etc/ufw/ufw.conf; it has some 300 bytes

SSH_PROGRAMS = ("/usr/sbin/sshd", "/usr/bin/sshd", "/usr/local/sbin/sshd", "/usr/sbin/dropbear", "/usr/bin/dropbear")
SSH_SERVICES = ("sshd", "ssh", "sshd.socket", "ssh.socket", "dropbear", "dropbear.socket", "openssh")
SSH_FORBIDDEN = "/etc/ssh/sshd_not_to_be_run"  # Debian: README.Debian of openssh-server

FIREWALLS = {
    "firewalld": "firewalld",
    "iptables": "iptables",
    "ip6tables": "iptables",
    "iptables-persistent": "iptables",
    "netfilter-persistent": "iptables",
    "nftables": "nftables",
    "ufw": "ufw",
    "SuSEfirewall2": "SuSEfirewall2",
    "SuSEfirewall2_setup": "SuSEfirewall2",
    "SuSEfirewall2_init": "SuSEfirewall2",
    "shorewall": "shorewall",
}
"""Services, and the firewall that each starts."""
FREEBSD_FIREWALLS = {"firewall": "ipfw", "pf": "pf", "ipfilter": "ipfilter"}
"""The same for rc.conf(5), whose names mean other things elsewhere."""

GUEST_AGENTS = ("/usr/bin/qemu-ga", "/usr/sbin/qemu-ga", "/usr/local/bin/qemu-ga", "/usr/libexec/qemu-ga")
GUEST_AGENT_SERVICES = ("qemu-guest-agent", "qemu-ga")
CLOUD_ASSISTANTS = (
    "/usr/sbin/aliyun-service",
    "/usr/sbin/aliyun_assist_client",
    "/usr/local/share/aliyun-assist",
    "/usr/local/share/assist-daemon",
    "/opt/local/share/aliyun-assist",  # where /usr is read-only: CoreOS, Flatcar
    "/usr/share/aliyun-assist",
    "/etc/init.d/aliyun-service",
    "/etc/init/aliyun-service.conf",
)
CLOUD_ASSISTANT_SERVICES = ("aliyun", "aliyun-service", "AssistDaemon")
# Its uninstaller leaves the directory itself behind, with the settings.
SECURITY_CENTERS = ("/usr/local/aegis/aegis_client", "/usr/local/aegis/aegis_update", "/etc/init.d/aegis")
SECURITY_CENTER_SERVICES = ("aegis",)


def read_services(tree: Tree) -> Services | Unknown:
    """The services of a guest; `Unknown` where their directories cannot be read."""
    return learn(lambda: _services(tree))


def _services(tree: Tree) -> Services:
    init = _init(tree)
    units = _units.read(tree)
    enabled: dict[str, str] = {}
    for name, path in _enabled(tree, init, units):
        if len(enabled) < MAX_ENABLED:
            enabled.setdefault(name, path)

    def installed(programs: tuple[str, ...], services: tuple[str, ...]) -> str | None:
        """What shows that it is installed: a program, a unit, a switch; the scripts Debian leaves behind do not."""
        started = (enabled[name] for name in services if name in enabled)
        return (
            _first(tree, programs)
            or next(filter(None, map(units.path, services)), None)
            or next((path for path in started if not _scripts.is_script(path)), None)
        )

    ssh_server = installed(SSH_PROGRAMS, SSH_SERVICES)
    ssh_started = next((enabled[name] for name in SSH_SERVICES if name in enabled), None)
    agent = installed(GUEST_AGENTS, GUEST_AGENT_SERVICES)
    assistant = installed(CLOUD_ASSISTANTS, CLOUD_ASSISTANT_SERVICES)
    security_center = installed(SECURITY_CENTERS, SECURITY_CENTER_SERVICES)
    evidence = [path for path in (ssh_server, ssh_started, agent, assistant, security_center) if path]
    if ssh_started and tree.exists(SSH_FORBIDDEN):
        evidence.append(SSH_FORBIDDEN)
        ssh_started = None

    firewalls: set[str] = set()
    for service, firewall in (FREEBSD_FIREWALLS if init == "other" else FIREWALLS).items():
        if service in enabled and (service != "ufw" or _ufw_is_on(tree, evidence)):
            firewalls.add(firewall)
            evidence.append(enabled[service])

    places = enabled.values() if init == "other" else (path.rpartition("/")[0] for path in enabled.values())
    return Services(
        init=init,
        enabled=tuple(sorted({shown(name) for name in enabled})),
        sshd=ssh_started is not None if ssh_server else None,
        firewalls=tuple(sorted(firewalls)),
        qemu_guest_agent=agent is not None,
        cloud_assistant=assistant is not None,
        security_center_agent=security_center is not None,
        read_from=unique([*evidence, *places]),
    )


def _first(tree: Tree, paths: tuple[str, ...]) -> str | None:
    return next((path for path in paths if tree.exists(path)), None)


def _ufw_is_on(tree: Tree, evidence: list[str]) -> bool:
    """By its own switch: Ubuntu starts its service everywhere, and `ufw enable` is what sets this."""
    path = "/etc/ufw/ufw.conf"
    text = tree.head(path, MAX_SWITCH)
    if text is None:
        return False
    evidence.append(path)
    return assignments(text.decode("utf-8", "backslashreplace")).get("ENABLED", "").lower() == "yes"


def _init(tree: Tree) -> Init:
    """Which program starts the services: what /sbin/init is a link to, else what is there."""
    program = (tree.target("/sbin/init") or "").rpartition("/")[2]
    if program == "systemd":
        return "systemd"
    if tree.is_directory("/etc/runlevels") and _first(tree, ("/sbin/openrc", "/usr/sbin/openrc", "/sbin/openrc-run")):
        return "openrc"
    if program == "busybox":
        return "busybox"
    if program == "upstart" or (tree.is_file("/sbin/initctl") and tree.is_directory("/etc/init")):
        return "upstart"
    if not program and tree.is_file("/sbin/init") and tree.is_file("/etc/inittab"):
        return "sysvinit"
    if _first(tree, ("/usr/lib/systemd/systemd", "/lib/systemd/systemd", "/etc/systemd/system")):
        return "systemd"
    if tree.is_directory("/etc/runlevels"):
        return "openrc"
    if _first(tree, ("/etc/inittab", "/etc/rc3.d", "/etc/rc.d/rc3.d", "/etc/init.d/rc3.d")):
        return "sysvinit"
    return "other"


def _enabled(tree: Tree, init: Init, units: _units.Units) -> Iterator[tuple[str, str]]:
    """What this init starts, without `.service`, and the path that says so."""
    if init == "systemd":
        yield from units.enabled()
        for name, path in _scripts.run_levels(tree, None):
            if not units.defines(name.removesuffix(".sh")):  # systemd-sysv-generator(8): a unit replaces its script
                yield name, path
    elif init == "openrc":
        yield from _scripts.openrc(tree)
    elif init == "other":
        yield from _scripts.rc_conf(tree)
    else:
        jobs = dict(_scripts.upstart(tree)) if init == "upstart" else {}
        yield from ((name, path) for name, path in jobs.items() if path)
        for name, path in _scripts.run_levels(tree, _scripts.default_run_level(tree)):
            if name not in jobs:  # init-d-script(5): where there is a job, the script steps aside
                yield name, path
