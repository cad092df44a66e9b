"""Which Linux or FreeBSD it is: os-release, refined and replaced by the older release files.

Specification: os-release(5), https://www.freedesktop.org/software/systemd/man/latest/os-release.html; the older
files: see `_release_files`.
"""

from collections.abc import Mapping, Sequence
from typing import Literal

from preflight.contents import ContentsError
from preflight.contents.tree import Tree
from preflight.facts import Unknown, Value
from preflight.guests._release_files import OWN_SYNTAX, RELEASE_FILES, Release, clip, parse_release
from preflight.guests._text import assignments, shown, unique

OS_RELEASE = ("/etc/os-release", "/usr/lib/os-release")

# Where the files of a distribution say more than its `VERSION_ID`: CentOS os-release has only the major version,
# Debian's lacks the point release.
MORE_DETAIL: Mapping[str, Sequence[str]] = {
    "centos": ("/etc/centos-release", "/etc/redhat-release"),
    "rhel": ("/etc/redhat-release",),
    "ol": ("/etc/oracle-release",),
    "rocky": ("/etc/rocky-release", "/etc/redhat-release"),
    "almalinux": ("/etc/almalinux-release", "/etc/redhat-release"),
    "anolis": ("/etc/anolis-release", "/etc/redhat-release"),
    "alinux": ("/etc/alinux-release", "/etc/system-release", "/etc/redhat-release"),
    "debian": ("/etc/debian_version",),
    "raspbian": ("/etc/debian_version",),
    "alpine": ("/etc/alpine-release",),
    "gentoo": ("/etc/gentoo-release",),
    "freebsd": ("/bin/freebsd-version",),
}

# A root without any release file is still one; each of these has to be there.
LINUX_ROOT = (("/etc/passwd", "/usr/lib/passwd"), ("/sbin/init", "/usr/lib/systemd/systemd", "/bin/sh", "/usr/bin/sh"))
FREEBSD_ROOT = (("/COPYRIGHT",), ("/boot/kernel/kernel", "/boot/loader.conf", "/boot/defaults/loader.conf"))


class Identity(Value, frozen=True):
    """Which operating system a tree holds; the fields are those of `guest_facts.Guest`."""

    os_type: Literal["linux", "freebsd"]
    distro: str | Unknown
    name: str | Unknown
    version: str | Unknown | None
    variant: str | None
    read_from: tuple[str, ...]


class _Files:
    """The release files, with what was read and what was not."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self.read_from: list[str] = []
        self.failure: str | None = None
        self.without_id: dict[str, str] = {}

    def text(self, path: str) -> str | None:
        """The file's text; None where there is none, or none that can be read."""
        try:
            return self.tree.text(path)
        except ContentsError as error:
            self.failure = self.failure or shown(str(error))
            return None


def read_identity(tree: Tree) -> Identity | None:
    """Name the system in `tree`; None where the tree is not the root of one. Raises `ContentsError`."""
    files = _Files(tree)
    return _modern(files) or _classic(files) or _nameless(files)


def _modern(files: _Files) -> Identity | None:
    """What os-release says; None where there is none with an ID."""
    for path in OS_RELEASE:
        text = files.text(path)
        values = {name: clip(value) for name, value in assignments(text or "").items() if value}
        distro = values.get("ID")
        if not distro:
            files.without_id = files.without_id or values
            continue
        files.read_from.append(path)
        version = values.get("VERSION_ID")
        for other in MORE_DETAIL.get(distro, ()):
            release = _read(files, other)
            if release and release.distro == distro and _refines(release.version, version):
                version = release.version
                files.read_from.append(other)
                break
        name = values.get("PRETTY_NAME") or values.get("NAME")
        return Identity(
            os_type="freebsd" if distro == "freebsd" else "linux",
            distro=distro,
            name=name or Unknown(f"{path} has neither PRETTY_NAME nor NAME"),
            version=version,
            variant=values.get("VARIANT_ID"),
            read_from=unique(files.read_from),
        )
    return None


def _refines(detailed: str | None, version: str | None) -> bool:
    """Whether `detailed` is the same version with more digits; anything is more than none."""
    return detailed is not None and (version is None or detailed.startswith((f"{version}.", f"{version}-")))


def _classic(files: _Files) -> Identity | None:
    """What the older files say, the most telling first."""
    for path in (*RELEASE_FILES, *OWN_SYNTAX):
        release = _read(files, path)
        if release is None:
            continue
        version: str | Unknown | None = release.version
        if path == "/etc/lsb-release" and release.distro == "debian":
            detailed = _read(files, "/etc/debian_version")
            if detailed and _refines(detailed.version, release.version):
                version = detailed.version
                files.read_from.append("/etc/debian_version")
        return Identity(
            os_type="freebsd" if release.distro == "freebsd" else "linux",
            distro=release.distro,
            name=release.name,
            version=version,
            variant=None,
            read_from=unique([path, *files.read_from]),
        )
    return None


def _nameless(files: _Files) -> Identity | None:
    """A root that no file names."""
    for os_type, needed in (("freebsd", FREEBSD_ROOT), ("linux", (OS_RELEASE,)), ("linux", LINUX_ROOT)):
        if not all(any(files.tree.exists(path) for path in paths) for paths in needed):
            continue
        reason = Unknown(files.failure or "no release file names it")
        if os_type == "freebsd":
            return Identity("freebsd", "freebsd", "FreeBSD", reason, None, ("/COPYRIGHT",))
        stated = files.without_id
        name = stated.get("PRETTY_NAME") or stated.get("NAME") or reason
        read_from = tuple(path for path in OS_RELEASE if stated and files.tree.exists(path))
        return Identity("linux", reason, name, stated.get("VERSION_ID") or reason, stated.get("VARIANT_ID"), read_from)
    return None


def _read(files: _Files, path: str) -> Release | None:
    """What the classic file at `path` says; None where there is none, or it says nothing."""
    text = files.text(path)
    return None if text is None else parse_release(path, text)
