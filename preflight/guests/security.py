"""Who can log in, what keeps the cloud from setting the guest up, and where its swap and its clock are.

Specification: selinux_config(5); passwd(5), shadow(5); sshd_config(5); hwclock(8), section "The adjtime file";
union swap_header of Linux, include/linux/swap.h.
"""

from collections.abc import Sequence
from typing import Literal

from preflight.contents import ContentsError
from preflight.contents.tree import Tree
from preflight.facts import FileSystem, Unknown
from preflight.guest_facts import Fstab, Security
from preflight.guests._root_account import account, root_line
from preflight.guests._sshd_config import sshd_options
from preflight.guests._text import assignments, learn, lines, unique
from preflight.units import KiB

SELINUX = "/etc/selinux/config"  # /etc/sysconfig/selinux is a link to it; libselinux reads this one
MODES: tuple[Literal["enforcing", "permissive", "disabled"], ...] = ("enforcing", "permissive", "disabled")

PASSWD_COMMAND = ("/usr/bin/passwd", "/bin/passwd")
LIBRARIES = ("/lib", "/lib64")
MAX_KEY_FILES = 64  # in authorized_keys.d

ADJTIME = "/etc/adjtime"
FREEBSD_LOCAL_CLOCK = "/etc/wall_cmos_clock"  # adjkerntz(8): its presence means local time
# Where the clock is not in /etc/adjtime: the file, its variable, and the values for UTC and for local time.
CLOCKS: tuple[tuple[str, str, tuple[str, ...], tuple[str, ...]], ...] = (
    ("/etc/conf.d/hwclock", "clock", ("utc",), ("local",)),  # OpenRC: Alpine, Gentoo
    ("/etc/conf.d/clock", "CLOCK", ("utc",), ("local",)),  # Gentoo before
    ("/etc/sysconfig/clock", "UTC", ("true", "yes", "1"), ("false", "no", "0")),  # Red Hat up to 5
    ("/etc/sysconfig/clock", "HWCLOCK", ("-u", "--utc"), ("--localtime", "-l")),  # SUSE up to 11
    ("/etc/default/rcS", "UTC", ("yes",), ("no",)),  # Debian up to 7, Ubuntu up to 14.10
    ("/etc/rc.conf", "HARDWARECLOCK", ("utc",), ("localtime",)),  # Arch before systemd
)

SWAP_TYPES = ("swap", "swsuspend")  # as FileSystem.type has them; the second one holds a suspended system
PAGE_SIZE = 4 * KiB
SUSPENDED = (b"S1SUSPEND", b"S2SUSPEND", b"ULSUSPEND", b"LINHIB0001")  # in the last ten bytes of the first page


def read_security(tree: Tree, fstab: Fstab | Unknown, filesystems: Sequence[FileSystem]) -> Security:
    """Everything that `guest_facts.Security` holds; what cannot be read is `Unknown` each for itself."""
    read_from: list[str] = []
    root = learn(lambda: root_line(tree, read_from))
    options = learn(lambda: sshd_options(tree, read_from))
    permit = options if isinstance(options, Unknown) else options.get("permitrootlogin")
    password = options if isinstance(options, Unknown) else options.get("passwordauthentication")
    swap = _swap(fstab, filesystems)
    return Security(
        selinux=learn(lambda: _selinux(tree, read_from)),
        root_account=root if isinstance(root, Unknown) else learn(lambda: account(tree, root, read_from)),
        root_shell=root if isinstance(root, Unknown) else _shell(root),
        root_authorized_keys=learn(lambda: _has_keys(tree, root, read_from)),
        permit_root_login=permit.lower() if isinstance(permit, str) else permit,
        password_authentication=_yes_no(password) if isinstance(password, str) else password,
        passwd_command=learn(lambda: any(tree.exists(path) for path in PASSWD_COMMAND)),
        shadow_immutable=learn(lambda: _immutable(tree)),
        rtc=learn(lambda: _clock(tree, read_from)),
        absolute_lib_links=learn(lambda: _absolute(tree)),
        swap=swap,
        hibernated=_hibernated(tree, swap, filesystems),
        read_from=unique(read_from),
    )


def _immutable(tree: Tree) -> bool | Unknown:
    found = tree.find("/etc/shadow")
    if found is None:
        return False
    known = found.node.immutable
    return Unknown("the attributes of files are not read on this file system") if known is None else known


def _selinux(tree: Tree, read_from: list[str]) -> Literal["enforcing", "permissive", "disabled"] | None:
    text = tree.text(SELINUX)
    if text is None:
        return None
    read_from.append(SELINUX)
    for line in text.split("\n"):  # libselinux, load_policy.c: from the line's start, by prefix, without case
        value = line.removeprefix("SELINUX=").strip().lower()
        for mode in MODES:
            if line.startswith("SELINUX=") and value.startswith(mode):
                return mode
    return "permissive"  # systemd enforces only what it is told to: mac_selinux_setup


def _shell(root: list[str] | None) -> str | None:
    return None if root is None else root[6] or "/bin/sh"  # passwd(5): that is what an empty field means


def _has_keys(tree: Tree, root: list[str] | Unknown | None, read_from: list[str]) -> bool:
    """Whether root has a key, in the files that sshd reads, and Fedora CoreOS and Flatcar beside them."""
    home = root[5] if isinstance(root, list) and root[5].startswith("/") else "/root"
    directory = f"{home.rstrip('/')}/.ssh"
    fragments = [f"{directory}/authorized_keys.d/{name}" for name in tree.names(f"{directory}/authorized_keys.d")]
    for path in (f"{directory}/authorized_keys", f"{directory}/authorized_keys2", *fragments[:MAX_KEY_FILES]):
        if any(line and not line.startswith("#") for line in lines(tree.text(path) or "")):
            read_from.append(path)
            return True
    return False


def _yes_no(value: str) -> bool | None:
    return {"yes": True, "no": False}.get(value.lower())


def _clock(tree: Tree, read_from: list[str]) -> Literal["utc", "local"]:
    third = lines(tree.text(ADJTIME) or "")[2:3]
    if third and third[0] in ("UTC", "LOCAL"):
        read_from.append(ADJTIME)
        return "local" if third[0] == "LOCAL" else "utc"
    for path, variable, utc, local in CLOCKS:
        value = assignments(tree.text(path) or "").get(variable, "").strip().lower()
        if value in utc or value in local:
            read_from.append(path)
            return "utc" if value in utc else "local"
    if tree.exists(FREEBSD_LOCAL_CLOCK):
        read_from.append(FREEBSD_LOCAL_CLOCK)
        return "local"
    return "utc"


def _absolute(tree: Tree) -> tuple[str, ...]:
    return tuple(path for path in LIBRARIES if (tree.target(path) or "").startswith("/"))


def _swap(fstab: Fstab | Unknown, filesystems: Sequence[FileSystem]) -> tuple[str, ...] | Unknown:
    """Where swap is: what shows its signature, then what fstab says."""
    if isinstance(fstab, Unknown):
        return fstab
    places = [filesystem.on for filesystem in filesystems if filesystem.type in SWAP_TYPES]
    for entry in fstab.entries:
        if entry.type == "swap" and entry.on:
            places.append(entry.on)
        elif entry.type == "swap" and not entry.device and entry.spec.startswith("/") and "noauto" not in entry.options:
            places.append(entry.spec)
    return unique(places)


def _hibernated(tree: Tree, swap: tuple[str, ...] | Unknown, filesystems: Sequence[FileSystem]) -> bool:
    if any(filesystem.type == "swsuspend" for filesystem in filesystems):
        return True
    for path in () if isinstance(swap, Unknown) else swap:
        try:
            page = tree.head(path, PAGE_SIZE) if path.startswith("/") else None
        except ContentsError:
            continue
        if page and len(page) == PAGE_SIZE and page[-10:].startswith(SUSPENDED):
            return True
    return False
