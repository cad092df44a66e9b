"""Rules on how one gets into the guest: SSH, firewall, accounts, and what keeps the cloud from setting them up."""

from collections.abc import Iterator

from preflight.guest_facts import Services
from preflight.rules._guests import Case, guest_rule
from preflight.verdicts import Breach, Outcome


@guest_rule("linux", "freebsd", of="services")
def ssh_server_not_started(services: Services, case: Case) -> Iterator[Outcome]:
    """No SSH server starts with the guest.

    What: none is installed, or it is not enabled.
    Why: the instance cannot be reached but by its console.
    Remedy: install and enable it.
    Source: instructions for importing images: sshd on, port 22 open.
    """
    if not services.sshd:
        told = "no SSH server is installed" if services.sshd is None else "the SSH server is not enabled"
        yield Breach(told, "sshd", "Install and enable it in the guest, run: systemctl enable sshd")


@guest_rule("linux", "freebsd", of="services")
def firewall_enabled(services: Services, case: Case) -> Iterator[Outcome]:
    """A firewall starts with the guest.

    What: one of iptables, nftables, firewalld, ufw, ipf, ipfw or pf is enabled.
    Why: it may shut out SSH and the cloud's agents; security groups do its work.
    Remedy: disable it, or make sure that port 22 is open.
    Source: instructions for importing images: firewall off.
    """
    for name in services.firewalls:
        yield Breach(
            f"{name} is enabled", name, f"Disable it in the guest, or open port 22, run: systemctl disable {name}"
        )


@guest_rule("linux", "freebsd", of="services")
def qemu_guest_agent_installed(services: Services, case: Case) -> Iterator[Outcome]:
    """The QEMU guest agent is installed.

    What: qemu-ga is in the guest.
    Why: it takes the channel that the cloud's own agent needs; the cloud asks for images without it.
    Remedy: remove the package.
    Source: instructions for importing images: qemu-ga must not be installed.
    """
    if services.qemu_guest_agent:
        yield Breach(
            "qemu-ga is installed",
            "qemu-guest-agent",
            "Remove it in the guest, run: dnf remove qemu-guest-agent || apt-get purge qemu-guest-agent",
        )


@guest_rule("linux", of="security.selinux")
def selinux_enforcing(selinux: str, case: Case) -> Iterator[Outcome]:
    """SELinux is enforcing.

    What: its configuration says so.
    Why: the cloud advises to disable it; files that its tools write have no label, and the guest may not start.
    Remedy: disable it, or make it permissive.
    Source: instructions for importing images; image check item GUESTOS.Selinux.
    """
    if selinux == "enforcing":
        yield Breach(
            "SELinux is enforcing",
            "/etc/selinux/config",
            "Make it permissive in the guest, run: sed -i s/^SELINUX=.*/SELINUX=permissive/ /etc/selinux/config",
        )


@guest_rule("linux", "freebsd", of="security.root_account")
def root_account_missing(root_account: str, case: Case) -> Iterator[Outcome]:
    """The account root is missing.

    What: /etc/passwd has no line for it.
    Why: the cloud sets its password or key, and cannot.
    Remedy: restore it.
    Source: instructions for importing images: keep the root account.
    """
    if root_account == "absent":
        yield Breach("there is no account root", "/etc/passwd", "Restore the account in the guest.")


@guest_rule("linux", "freebsd", of="security.root_account")
def root_without_password(root_account: str, case: Case) -> Iterator[Outcome]:
    """The account root has an empty password.

    What: the field in /etc/shadow is empty.
    Why: who reaches a login prompt is root; the cloud asks for a password of 8 to 30 characters.
    Remedy: set a password, or lock the account, as cloud images do.
    Source: instructions for importing images, root password.
    """
    if root_account == "no-password":
        yield Breach("the password is empty", "root", "Lock it in the guest, run: passwd -l root")


@guest_rule("linux", "freebsd", of="security.root_account")
def root_account_locked(root_account: str, case: Case) -> Iterator[Outcome]:
    """Nobody can log in as root by password.

    What: the account is locked, as in most cloud images.
    Why: log-in then depends on cloud-init, which sets a key or password when the instance starts.
    Remedy: none where cloud-init works; else set a password.
    Source: instructions for importing images, root password.
    """
    if root_account == "locked":
        yield Breach(
            "the password is locked", "root", "Rely on cloud-init for the instance's key or password, or set one."
        )


@guest_rule("linux", "freebsd", of="security.permit_root_login")
def root_login_refused(permit_root_login: str, case: Case) -> Iterator[Outcome]:
    """The SSH server does not let root in.

    What: PermitRootLogin is set to no.
    Why: the password and key of an instance are set for root where no other user is made.
    Remedy: remove the line.
    Source: image compliance tool (2019), item ssh: do not set PermitRootLogin.
    """
    if permit_root_login == "no":
        yield Breach(
            "PermitRootLogin no", "/etc/ssh/sshd_config", "Remove the line, or make sure that another user can log in."
        )


@guest_rule("linux", of="security.passwd_command")
def passwd_command_missing(passwd_command: bool, case: Case) -> Iterator[Outcome]:
    """The command passwd is missing.

    What: no program of that name is in the guest.
    Why: the cloud sets the instance's password with it.
    Remedy: install it.
    Source: image compliance tool (2019), item password.
    """
    if not passwd_command:
        yield Breach("there is no command passwd", "passwd", "Install it in the guest (package passwd or shadow).")


@guest_rule("linux", of="security.shadow_immutable")
def shadow_file_immutable(immutable: bool, case: Case) -> Iterator[Outcome]:
    """/etc/shadow cannot be written.

    What: it has the immutable attribute.
    Why: the cloud writes the instance's password into it, and the set-up of the instance fails.
    Remedy: take the attribute away.
    Source: instructions for importing images: do not lock /etc/shadow; image compliance tool (2019), item shadow.
    """
    if immutable:
        yield Breach(
            "it has the immutable attribute", "/etc/shadow", "Take it away in the guest, run: chattr -i /etc/shadow"
        )


@guest_rule("linux", of="security.rtc")
def hardware_clock_in_local_time(rtc: str, case: Case) -> Iterator[Outcome]:
    """The guest takes the hardware clock for local time.

    What: /etc/adjtime or its predecessors say LOCAL.
    Why: instances' hardware clocks hold UTC; the guest's time is wrong until it is set over the network.
    Remedy: set it to UTC.
    Source: image check item GUESTOS.RtcTimeMode.
    """
    if rtc == "local":
        yield Breach(
            "the hardware clock is taken for local time",
            "/etc/adjtime",
            "Set it to UTC in the guest, run: timedatectl set-local-rtc 0",
        )
