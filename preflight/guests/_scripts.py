"""What starts at boot where it is not systemd that starts it: System V init, Upstart, OpenRC, rc.conf of FreeBSD.

Specification: LSB 5.0, "Init Script Names" and "Run Levels"; init(5) of Upstart, "start on" and "manual"; rc-update(8)
of OpenRC; rc.conf(5) of FreeBSD.
"""

from collections.abc import Iterator

from preflight.contents.tree import Tree
from preflight.guests import _variables
from preflight.guests._directories import distinct, files
from preflight.guests._text import lines
from preflight.units import KiB

MAX_TEXT = 16 * KiB  # what is read of a job or of inittab; they have some 2 KiB
BASES = ("/etc/rc.d", "/etc", "/etc/init.d")
"""Where the directories of the run levels are: Red Hat, Debian, SUSE."""
RUN_LEVELS = "2345"  # those with a network and several users
OPENRC_LEVELS = ("sysinit", "boot", "default")


def run_levels(tree: Tree, level: str | None) -> Iterator[tuple[str, str]]:
    """`S20ssh` and the like: scripts of a run level and of those that come first; of all levels where none is given."""
    levels = (*"S", *(level or RUN_LEVELS))
    directories = [f"{base}/rc{each}.d" for base in BASES for each in levels]
    for directory in distinct(tree, (*directories, "/etc/init.d/boot.d")):
        for name in tree.names(directory):
            if is_script(name) and len(name) > 3:
                yield name[3:], f"{directory}/{name}"


def is_script(path: str) -> bool:
    """Whether what starts something is a link to a script in the directory of a run level."""
    name = path.rpartition("/")[2]
    return name.startswith("S") and name[1:3].isdigit()


def default_run_level(tree: Tree) -> str | None:
    """`id:3:initdefault:` of /etc/inittab; None where it does not say."""
    for line in lines(_head(tree, "/etc/inittab")):
        fields = line.split(":")
        if line.startswith("#") or len(fields) < 3 or fields[2] != "initdefault":
            continue
        return fields[1] if len(fields[1]) == 1 and fields[1] in RUN_LEVELS else None
    return None


def upstart(tree: Tree) -> Iterator[tuple[str, str]]:
    """All jobs with the path that starts them; an empty one for those that do not start by themselves."""
    directory = "/etc/init"
    names = files(tree, directory, lambda name: name.endswith((".conf", ".override")))
    for name in names:
        job, conf, _ = name.rpartition(".conf")
        if not conf:
            continue
        starts = False
        parts = [name, f"{job}.override"] if f"{job}.override" in names else [name]
        for line in (line for part in parts for line in lines(_head(tree, f"{directory}/{part}"))):
            if line.startswith("start on"):
                starts = True
            elif line.partition("#")[0].strip() == "manual":  # takes back what stands above it
                starts = False
        yield job, f"{directory}/{name}" if starts else ""


def openrc(tree: Tree) -> Iterator[tuple[str, str]]:
    """What is in the run levels that a boot goes through."""
    for level in OPENRC_LEVELS:
        for name in tree.names(f"/etc/runlevels/{level}"):
            yield name, f"/etc/runlevels/{level}/{name}"


def rc_conf(tree: Tree) -> Iterator[tuple[str, str]]:
    """`sshd_enable="YES"`."""
    for name, (value, path) in _variables.rc_conf(tree).items():
        if name.endswith("_enable") and value.lower() in ("yes", "true", "on", "1"):  # checkyesno of rc.subr(8)
            yield name.removesuffix("_enable"), path


def _head(tree: Tree, path: str) -> str:
    return (tree.head(path, MAX_TEXT) or b"").decode("utf-8", "backslashreplace")
