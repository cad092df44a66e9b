"""The older release files, each with its own wording; none of them has a specification.

What a file says is quoted where it is read.
"""

from preflight.facts import Value
from preflight.guests._text import assignments, lines

MAX_NAME = 256  # characters of a name or version that are kept; the longest honest one has some 60

# One line, "NAME release VERSION (CODENAME)". Clones come first: they have /etc/redhat-release too, and old Oracle
# Linux writes Red Hat's name into it.
RELEASE_FILES = (
    *("/etc/oracle-release", "/etc/enterprise-release", "/etc/centos-release", "/etc/rocky-release"),
    *("/etc/almalinux-release", "/etc/alinux-release", "/etc/anolis-release", "/etc/openEuler-release"),
    *("/etc/kylin-release", "/etc/neokylin-release", "/etc/uos-release", "/etc/fedora-release"),
    *("/etc/redhat-release", "/etc/system-release"),
)

# What they begin with, in lower case, the longer first, and the `ID` that os-release has for it.
NAMES = (
    ("red hat enterprise linux", "rhel"),
    ("red hat linux", "redhat"),
    ("enterprise linux enterprise linux", "ol"),  # Oracle's first ones
    ("oracle linux", "ol"),
    ("alibaba cloud linux", "alinux"),
    ("aliyun linux", "alinux"),
    ("alibaba group enterprise linux", "alios"),
    ("amazon linux", "amzn"),
    ("rocky linux", "rocky"),
    ("unionos", "uos"),
    ("uniontech os", "uos"),
    ("uos", "uos"),
    ("openeuler", "openEuler"),
    ("neokylin", "neokylin"),
    ("ubuntu kylin", "ubuntukylin"),
    ("kylin", "kylin"),
    ("suse linux enterprise server", "sles"),
    ("suse linux enterprise desktop", "sled"),
    ("opensuse leap", "opensuse-leap"),
    ("opensuse tumbleweed", "opensuse-tumbleweed"),
    ("linux mint", "linuxmint"),
    ("debian gnu/linux", "debian"),
    ("arch linux", "arch"),
)


class Release(Value, frozen=True):
    """What one classic file says."""

    distro: str
    name: str
    version: str | None


def parse_release(path: str, text: str) -> Release | None:
    """What `text`, the file at `path`, says; None where it says nothing."""
    return OWN_SYNTAX.get(path, _release_line)(text)


def clip(text: str) -> str:
    """At most `MAX_NAME` characters of a text."""
    return text[:MAX_NAME]


def _release_line(text: str) -> Release | None:
    """`CentOS Linux release 7.9.2009 (Core)`: of the first line that is one."""
    line = next(filter(None, lines(text)), "")
    name, release, rest = line.partition(" release ")
    words = rest.split(maxsplit=1)
    if not release or not words or not name.strip():
        return None
    return Release(_distro(name), clip(line), clip(words[0]))


def _distro(name: str) -> str:
    """The `ID` for a classic name; for one that is not known, its first word in lower case."""
    name = name.strip().lower()
    for prefix, distro in NAMES:
        if name.startswith(prefix):
            return distro
    return clip(name.split(maxsplit=1)[0]) if name else "linux"


def _bare_version(distro: str, name: str, text: str) -> Release | None:
    """A file that holds nothing but the version: `6.0.10`, `trixie/sid`, `3.19.1`."""
    version = next(filter(None, lines(text)), "")
    return Release(distro, clip(f"{name} {version}"), clip(version)) if version else None


def _debian_version(text: str) -> Release | None:
    return _bare_version("debian", "Debian GNU/Linux", text)


def _alpine_release(text: str) -> Release | None:
    return _bare_version("alpine", "Alpine Linux", text)


def _arch_release(text: str) -> Release:
    return Release("arch", "Arch Linux", None)  # the file is empty; Arch has no versions


def _slackware_version(text: str) -> Release | None:
    """`Slackware 15.0`."""
    line = next(filter(None, lines(text)), "")
    words = line.split()
    return Release("slackware", clip(line), clip(words[1]) if len(words) > 1 else None) if words else None


def _suse_release(text: str) -> Release | None:
    """`SUSE Linux Enterprise Server 11 (x86_64)`, `VERSION = 11`, `PATCHLEVEL = 4`, a line each."""
    title = next(filter(None, lines(text)), "")
    if not title:
        return None
    values = {}
    for line in lines(text):
        name, _, value = line.partition("=")
        values[name.strip()] = value.strip()
    version, level = values.get("VERSION"), values.get("PATCHLEVEL")
    if version and level and level != "0":
        version = f"{version}.{level}"
    return Release(_distro(title), clip(title), clip(version) if version else None)


def _lsb_release(text: str) -> Release | None:
    """`DISTRIB_ID=Ubuntu`, `DISTRIB_RELEASE=10.04`; Red Hat's has only `LSB_VERSION`."""
    values = assignments(text)
    name = values.get("DISTRIB_ID", "")
    if not name.strip():
        return None
    version = values.get("DISTRIB_RELEASE") or None
    if version == "rolling":  # Arch
        version = None
    title = values.get("DISTRIB_DESCRIPTION") or name
    return Release(_distro(name), clip(title), clip(version) if version else None)


def _ini(text: str) -> dict[str, str]:
    """The values of an INI file by key, of whatever section, the first of a key."""
    values: dict[str, str] = {}
    for line in lines(text):
        key, equals, value = line.partition("=")
        if equals and not line.startswith(("#", ";")):
            values.setdefault(key.strip().lower(), value.strip())
    return values


def _os_version(text: str) -> Release | None:
    """UnionTech's: `SystemName=UnionTech OS Server`, `MajorVersion=20`, `MinorVersion=1050`; deepin has it too."""
    values = _ini(text)
    name, version = values.get("systemname"), values.get("majorversion") or None
    if not name:
        return None
    if version and values.get("minorversion", "").replace(".", "").isalnum():
        version = f"{version}.{values['minorversion']}"
    title = f"{name} {version}" if version else name
    return Release(_distro(name), clip(title), clip(version) if version else None)


def _kyinfo(text: str) -> Release | None:
    """Kylin's: `name=Kylin-Server`, `milestone=10-SP1-…` below [dist]."""
    values = _ini(text)
    name = values.get("name", "")
    if not name.lower().startswith("kylin"):
        return None
    version = values.get("milestone") or None
    return Release("kylin", clip(f"{name} {version}" if version else name), clip(version) if version else None)


def _freebsd_version(text: str) -> Release | None:
    """`USERLAND_VERSION="13.2-RELEASE-p5"` in the script /bin/freebsd-version."""
    version = assignments(text).get("USERLAND_VERSION")
    return Release("freebsd", clip(f"FreeBSD {version}"), clip(version)) if version else None


def _issue(text: str) -> Release | None:
    r"""`Ubuntu 10.04 LTS \n \l`; or `Welcome to SUSE Linux Enterprise Server 11 SP4  (x86_64) - Kernel \r`."""
    line = next(filter(None, lines(text)), "").removeprefix("Welcome to ").partition("\\")[0]
    line = line.partition(" - Kernel")[0].strip()
    if release := _release_line(line):
        return release
    known = _distro(line)
    if not any(known == distro for _, distro in NAMES) and known not in ("ubuntu", "fedora", "opensuse", "gentoo"):
        return None  # an administrator's greeting
    version = next((word for word in line.split() if word[:1].isdigit()), None)
    return Release(known, clip(line), clip(version) if version else None)


OWN_SYNTAX = {
    "/etc/SuSE-release": _suse_release,
    "/etc/alpine-release": _alpine_release,
    "/etc/gentoo-release": _release_line,
    "/etc/slackware-version": _slackware_version,
    "/etc/os-version": _os_version,
    "/etc/.kyinfo": _kyinfo,
    "/etc/lsb-release": _lsb_release,
    "/etc/arch-release": _arch_release,
    "/etc/debian_version": _debian_version,
    "/bin/freebsd-version": _freebsd_version,
    "/etc/issue": _issue,
}
