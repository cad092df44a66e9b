"""cloud-init: whether it is there, of which version, what it asks for its data, and what lets the root grow.

Specification: cloud-init, https://docs.cloud-init.io/en/latest/reference/; its version: cloudinit/version.py of each
release; how units are enabled and masked: systemctl(1).
"""

import re
from collections.abc import Sequence
from itertools import islice

from preflight.contents import ContentsError
from preflight.contents.tree import Tree
from preflight.facts import Unknown
from preflight.guest_facts import CloudInit
from preflight.guests._cloud_config import NotRead, datasource_list
from preflight.guests._text import assignments, learn, lines, shown, unique
from preflight.units import KiB, MiB

COMMANDS = ("/usr/bin/cloud-init", "/usr/local/bin/cloud-init", "/bin/cloud-init")
LIBRARIES = ("/usr/lib", "/usr/local/lib", "/usr/lib64", "/usr/local/lib64")
PACKAGES = ("dist-packages", "site-packages")
MAX_PYTHONS = 16  # directories python3, python3.11, … in one library; a machine has two or three

CONFIGURATIONS = ("/etc/cloud/cloud.cfg", "/usr/local/etc/cloud/cloud.cfg")  # the second one on FreeBSD
MAX_CONFIGURATIONS = 64  # files in cloud.cfg.d; a distribution ships up to four
DISABLED = "/etc/cloud/cloud-init.disabled"

UNIT_DIRECTORIES = ("/usr/lib/systemd/system", "/lib/systemd/system")
OWN_UNITS = "/etc/systemd/system"
# Without any one of these, it does not set the guest up. Since 24.3 there are `main` and `network`.
UNITS = (
    *("cloud-init.target", "cloud-init-local.service", "cloud-init.service"),
    *("cloud-init-main.service", "cloud-init-network.service"),
)
RUN_LEVELS = ("/etc/rc2.d", "/etc/rc3.d", "/etc/rc5.d", "/etc/rc.d/rc3.d", "/etc/init.d/rc3.d")

GROWPART = ("/usr/bin/growpart", "/usr/sbin/growpart", "/sbin/growpart", "/bin/growpart", "/usr/local/bin/growpart")
RESIZE_TOOLS = {
    "resize2fs": ("/sbin/resize2fs", "/usr/sbin/resize2fs", "/usr/bin/resize2fs"),
    "xfs_growfs": ("/sbin/xfs_growfs", "/usr/sbin/xfs_growfs", "/usr/bin/xfs_growfs"),
    "btrfs": ("/sbin/btrfs", "/usr/sbin/btrfs", "/bin/btrfs", "/usr/bin/btrfs"),
    "systemd-growfs": ("/usr/lib/systemd/systemd-growfs", "/lib/systemd/systemd-growfs"),
}

MAX_VERSION = 64  # characters
VERSION = re.compile(rf"""^__VERSION__ *= *["']([^"'\n]{{1,{MAX_VERSION}}})["']""", re.MULTILINE)
PACKAGED_VERSION = re.compile(rf"""^_PACKAGED_VERSION *= *["']([^"'\n]{{1,{MAX_VERSION}}})["']""", re.MULTILINE)
# Before 0.7.7: `return vr.StrictVersion("0.7.5")`, `return "0.7.6a15"`.
OLD_VERSION = re.compile(rf"""\breturn (?:vr\.\w{{1,16}}\()?["']([0-9][^"'\n]{{0,{MAX_VERSION}}})["']""")

PACKAGE_LISTS = (  # of dpkg and apk; that of rpm is a database
    ("/var/lib/dpkg/status", b"Package: cloud-init", b"Version: "),
    ("/lib/apk/db/installed", b"P:cloud-init", b"V:"),
)
MAX_PACKAGE_LIST = 16 * MiB  # /var/lib/dpkg/status of a desktop with everything has some 8 MiB
PIECE = 256 * KiB


def read_cloud_init(tree: Tree) -> CloudInit | Unknown:
    """What is known of cloud-init in `tree`; `Unknown` where not even its presence can be learned."""
    return learn(lambda: _read(tree))


def _read(tree: Tree) -> CloudInit:
    packages = _packages(tree)
    commands = [path for path in COMMANDS if tree.exists(path)]
    growpart = [path for path in GROWPART if tree.exists(path)]
    tools = {name: path for name, paths in RESIZE_TOOLS.items() for path in paths if tree.exists(path)}
    read_from = [*commands, *packages]
    installed = bool(read_from)
    version: str | Unknown | None = None
    datasources: tuple[str, ...] | Unknown = ()
    disabled: bool | Unknown = False
    if installed:
        version = learn(lambda: _version(tree, packages, read_from))
        datasources = learn(lambda: _datasources(tree, read_from))
        disabled = learn(lambda: _disabled(tree, read_from))
    return CloudInit(
        installed=installed,
        version=version,
        datasources=datasources,
        disabled=disabled,
        growpart=bool(growpart),
        resize_tools=tuple(tools),
        read_from=unique([*read_from, *growpart, *tools.values()]),
    )


def _packages(tree: Tree) -> list[str]:
    """The directories of its Python package."""
    found = []
    for library in LIBRARIES:
        pythons = (name for name in tree.names(library) if name.startswith("python"))
        for python in islice(pythons, MAX_PYTHONS):
            for packages in PACKAGES:
                path = f"{library}/{python}/{packages}/cloudinit"
                if tree.is_directory(path):
                    found.append(path)
    return found


def _version(tree: Tree, packages: Sequence[str], read_from: list[str]) -> str | Unknown:
    for package in packages:
        path = f"{package}/version.py"
        if version := _version_in(tree.text(path) or ""):
            read_from.append(path)
            return version
    for package in packages:  # cloud_init-19.1.3-py2.7.egg-info, cloud_init-23.4.4.dist-info
        directory = package.rpartition("/")[0]
        for name in tree.names(directory):
            version, dot, kind = name.removeprefix("cloud_init-").rpartition(".")
            if name.startswith("cloud_init-") and dot and kind in ("egg-info", "dist-info", "egg"):
                read_from.append(f"{directory}/{name}")
                return shown(version.partition("-")[0])
    for path, package_line, prefix in PACKAGE_LISTS:
        if version := _packaged(tree, path, package_line, prefix):
            read_from.append(path)
            return version
    return Unknown("it is installed, and no file tells which version")


def _version_in(text: str) -> str | None:
    """The version in version.py. A packager may state a later one beside it: Alibaba's 19.1.3 has `19.1`."""
    own, packaged = VERSION.search(text), PACKAGED_VERSION.search(text)
    if own:
        upstream = _upstream(packaged[1]) if packaged else ""
        return upstream if upstream.startswith(own[1]) else own[1]
    old = OLD_VERSION.search(text)
    return old[1] if old else None


def _packaged(tree: Tree, path: str, package_line: bytes, prefix: bytes) -> str | None:
    """The version in a package manager's list, read piece by piece: such lists are large."""
    within, rest = False, b""
    for piece in tree.chunks(path, PIECE, MAX_PACKAGE_LIST):
        *complete, rest = (rest + piece).split(b"\n")
        for line in complete:
            if line == package_line:
                within = True
            elif not line:
                within = False
            elif within and line.startswith(prefix) and len(line) <= len(prefix) + MAX_VERSION:
                return _upstream(line.removeprefix(prefix).decode("utf-8", "backslashreplace"))
        if len(rest) > PIECE:
            return None  # no list of packages has such lines
    return None


def _upstream(version: str) -> str:
    """Without epoch and packager's suffix: `23.4.4-0ubuntu0~22.04.1` is 23.4.4."""
    epoch, colon, rest = version.partition(":")
    return (rest if colon else epoch).partition("-")[0]


def _datasources(tree: Tree, read_from: list[str]) -> tuple[str, ...] | Unknown:
    """The last `datasource_list` of cloud.cfg and cloud.cfg.d/*.cfg, which are read in the order of their names."""
    found: tuple[str, ...] = ()
    for configuration in CONFIGURATIONS:
        directory = f"{configuration}.d"
        names = [name for name in tree.names(directory) if name.endswith(".cfg")]
        if len(names) > MAX_CONFIGURATIONS:
            return Unknown(f"{directory} has more than {MAX_CONFIGURATIONS} files")
        for path in (configuration, *(f"{directory}/{name}" for name in names)):
            text = tree.text(path)
            if text is None:
                continue
            read_from.append(path)
            try:
                found = found if (stated := datasource_list(text)) is None else stated
            except NotRead as error:
                return Unknown(f"{shown(path)}: {error}")
    return found


def _disabled(tree: Tree, read_from: list[str]) -> bool:
    """By its own file, by a masked unit, or by services that nothing starts."""
    if tree.exists(DISABLED):
        read_from.append(DISABLED)
        return True
    for unit in UNITS:
        path = f"{OWN_UNITS}/{unit}"
        if tree.target(path) == "/dev/null" or tree.size(path) == 0:  # both mask it: systemd.unit(5)
            read_from.append(path)
            return True
    has_units = False
    for unit in UNITS:
        for directory in UNIT_DIRECTORIES:
            text = tree.text(f"{directory}/{unit}")
            if text is not None:
                has_units = True
                if not _enabled(tree, unit, text):
                    read_from.append(f"{directory}/{unit}")
                    return True
                break
    return not has_units and _not_started(tree, read_from)


def _enabled(tree: Tree, unit: str, text: str) -> bool:
    """Whether a unit has the links that its [Install] section asks for; true where it asks for none."""
    wanted = assignments(text).get("WantedBy", "").split()[:8]
    if not wanted or _presets_apply(tree):
        return True
    directories = (OWN_UNITS, *UNIT_DIRECTORIES)
    return any(
        tree.kind(f"{directory}/{target}.wants/{unit}", follow=False) is not None
        for directory in directories
        for target in wanted
    )


def _presets_apply(tree: Tree) -> bool:
    """Whether the first boot is still to come, which enables units by itself: machine-id(5)."""
    try:
        text = tree.text("/etc/machine-id")
    except ContentsError:
        return False
    return text is None or text.strip() == "uninitialized"


def _not_started(tree: Tree, read_from: list[str]) -> bool:
    """Whether it has a script of upstart, OpenRC or System V that no run level starts."""
    override = tree.text("/etc/init/cloud-init.override")
    if override is not None and "manual" in lines(override):
        read_from.append("/etc/init/cloud-init.override")
        return True
    script = "/etc/init.d/cloud-init"
    if tree.exists("/etc/init/cloud-init.conf") or not tree.exists(script):
        return False
    read_from.append(script)
    if levels := tree.names("/etc/runlevels")[:16]:
        return not any(tree.kind(f"/etc/runlevels/{level}/cloud-init", follow=False) for level in levels)
    links = [name for directory in RUN_LEVELS for name in tree.names(directory)]
    return bool(links) and not any(name[:1] == "S" and name[3:] == "cloud-init" for name in links)
