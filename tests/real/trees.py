"""The files of a real Debian, made once per machine by `fixtures/real/make-tree`, and changed for each image."""

import fcntl
import hashlib
import os
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.tools import SEARCH_PATH, find, require, run

RECIPE = Path(__file__).parents[2] / "fixtures" / "real" / "make-tree"
NO_WAY_OUT = ("Could not resolve", "Unable to connect", "Cannot initiate the connection", "Failed to fetch")
AS_ROOT = () if os.geteuid() == 0 else ("unshare", "--map-root-user", "--map-auto")
"""What makes a command see itself as root, so that the files keep their owners."""


def tarball(architecture: str) -> Path:
    """The tar of the tree, from the cache; skips where this machine cannot make it."""
    require("mmdebstrap", "apt-get", *AS_ROOT[:1])
    if AS_ROOT and subprocess.run([*AS_ROOT, "true"], capture_output=True, check=False).returncode:
        pytest.skip("not root, and no user namespace with more than one user")
    cache = Path(os.environ.get("PREFLIGHT_CACHE") or Path.home() / ".cache" / "preflight")
    cache.mkdir(parents=True, exist_ok=True)
    recipe = hashlib.sha256(RECIPE.read_bytes()).hexdigest()[:16]
    made = cache / f"debian-{architecture}-{recipe}.tar"
    with (cache / "lock").open("w") as lock:  # who runs the tests twice at once makes it once
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            for old in cache.glob(f"debian-{architecture}-*.tar"):
                old.unlink()
            _make(architecture, made)
    return made


def _make(architecture: str, target: Path) -> None:
    done = subprocess.run(
        [RECIPE, architecture, target],
        capture_output=True,
        text=True,
        timeout=1500,
        check=False,
        env={**os.environ, "PATH": SEARCH_PATH},
    )
    if done.returncode == 3 or any(words in done.stderr for words in NO_WAY_OUT):
        pytest.skip(f"no Debian archive can be reached: {done.stderr.strip()[-300:]}")
    assert done.returncode == 0, done.stderr


def unpacked(architecture: str, folder: Path) -> Path:
    """The tree in a folder of its own, without devices, which the kernel makes itself."""
    tar = tarball(architecture)
    root = folder / f"base-{architecture}"
    root.mkdir()
    as_root("tar", "-C", root, "--numeric-owner", "--exclude=./dev/*", "-xf", tar)
    return root


def as_root(*command: str | Path, stdin: str = "") -> str:
    """Run a command that sees files of many owners."""
    if not AS_ROOT:
        return run(*command, stdin=stdin)
    return run(*AS_ROOT, find(str(command[0])) or command[0], *command[1:], stdin=stdin)


class Menu(NamedTuple):
    """What grub-mkconfig is to know of the disk that the tree will lie on."""

    root: str
    """Device of the root file system, on the instance."""
    root_uuid: str
    fs: str
    boot: str = ""
    """Device of /boot; empty where it is on the root file system."""
    boot_uuid: str = ""
    inside: str = ""
    """Path of the guest's / in its file system: a subvolume."""
    abstraction: str = ""
    partmap: str = "gpt"
    hints: str = "--hint=hd0"


# Stands in for grub-probe, which asks the kernel for devices that are not there yet.
PROBE = """#!/bin/sh
target= ; what=
for word; do case $word in
    --target=*) target=${{word#*=}} ;; -t|--device|-d) ;; -*) ;; *) what=$word ;;
esac; done
device={root} uuid={root_uuid} fs={fs} abstraction={abstraction}
case {boot}:$what in :*) ;; *:{boot}|*:/boot*) device={boot} uuid={boot_uuid} fs=ext2 abstraction= ;; esac
case $target in
    device) echo $device ;; fs_uuid) echo $uuid ;; fs) echo $fs ;; abstraction) echo $abstraction ;;
    partmap) echo {partmap} ;; hints_string) echo {hints} ;; compatibility_hint) echo hd0 ;;
    partuuid|cryptodisk_uuid) ;; *) exit 1 ;;
esac
"""
RELATIVE = """#!/bin/sh
for word; do :; done
case $word in /) echo {inside} ;; /boot*) echo {inside}"${{word#{cut}}}" ;; *) echo {inside}"$word" ;; esac
"""


class Tree:
    """The files of one guest: a copy of the base in which a change never reaches the base."""

    def __init__(self, base: Path, folder: Path) -> None:
        self.root = folder / "tree"
        as_root("cp", "-al", base, self.root)

    def read(self, path: str) -> str:
        return (self.root / path).read_text()

    def write(self, path: str, content: str | bytes) -> None:
        """A new file in place of the linked one."""
        file = self.root / path
        new = file.with_name(file.name + ".new")
        new.parent.mkdir(parents=True, exist_ok=True)
        new.write_bytes(content.encode() if isinstance(content, str) else content)
        new.chmod(file.stat().st_mode if file.exists() else 0o644)
        new.replace(file)

    def remove(self, *paths: str) -> None:
        as_root("rm", "-rf", *(self.root / path for path in paths))

    def chroot(self, *command: str) -> str:
        return as_root("chroot", self.root, *command)

    def write_menu(self, menu: Menu) -> None:
        """The menu that Debian's own scripts write for such a disk."""
        for program, text in (("usr/sbin/grub-probe", PROBE), ("usr/bin/grub-mkrelpath", RELATIVE)):
            path = self.root / program
            path.rename(path.with_name(path.name + ".real"))
            path.write_text(text.format(**menu._asdict(), cut="/boot" if menu.boot else ""))
            path.chmod(0o755)
        named = self.root / "dev/disk/by-uuid"
        named.mkdir(parents=True)
        (named / menu.root_uuid).touch()
        device = self.root / menu.root[1:]  # 10_linux names a logical volume by its device where there is one
        device.parent.mkdir(parents=True, exist_ok=True)
        device.touch()
        (self.root / "dev/null").touch()
        (self.root / "boot/grub").mkdir(exist_ok=True)
        self.chroot("grub-mkconfig", "-o", "/boot/grub/grub.cfg")
        shutil.rmtree(self.root / "dev")
        (self.root / "dev").mkdir()
        for program in ("usr/sbin/grub-probe", "usr/bin/grub-mkrelpath"):
            path = self.root / program
            path.with_name(path.name + ".real").replace(path)

    def install_grub_modules(self, platform: str) -> None:
        """As grub-install does, beside the menu."""
        (self.root / "boot/grub").mkdir(exist_ok=True)
        as_root("cp", "-r", self.root / "usr/lib/grub" / platform, self.root / "boot/grub" / platform)
        as_root("grub-editenv", self.root / "boot/grub/grubenv", "create")

    def packages(self) -> dict[str, str]:
        """The installed packages and their versions, as dpkg has them."""
        told = self.chroot("dpkg-query", "-W", "-f", "${Package} ${Version}\n")
        return dict(line.split(" ", 1) for line in told.splitlines())

    def enabled(self) -> set[str]:
        """The units that systemctl calls enabled, services without `.service`."""
        told = self.chroot("systemctl", "list-unit-files", "--root=/", "--state=enabled", "--no-legend", "--no-pager")
        return {line.split()[0].removesuffix(".service") for line in told.splitlines() if line.strip()}

    def modules_of_initramfs(self, path: str) -> set[str]:
        """Names of the modules in an initramfs, as initramfs-tools lists them."""
        listed = self.chroot("lsinitramfs", path).splitlines()
        return {Path(name).name.split(".ko")[0] for name in listed if ".ko" in Path(name).name}
