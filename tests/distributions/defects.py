"""Defects that are planted in recipes, each as a function on a recipe that the caller has loaded."""

import lzma
from collections.abc import Callable
from pathlib import Path

from preflight.units import MiB
from tests.distributions.recipes import Recipe, leave_out, replace

Plant = Callable[[Recipe], None]
LVM = Path(__file__).parents[2] / "fixtures" / "lvm2"
STALE = "dead0000-0000-4000-8000-00000000000a"
SWAP = "6d1d1b1e-0000-4000-8000-00000000000c"
ROOT = "6d1d1b1e-0000-4000-8000-00000000000a"
HASH = "$6$uB4QNzwF$7lZJ0m5EAAgj0RuKyYw6Rl3vQnLn1VvBrcBCjyZz1d0yoVnSSUhdvyRwLzzYWZ3ce0SJ8i8JiQ3dKgq1OCTn30"


def text(path: str, content: str) -> Plant:
    """A file with this text."""

    def plant(recipe: Recipe) -> None:
        recipe["files"][path] = content

    return plant


def added(path: str, line: str) -> Plant:
    """A line at the end of a file."""

    def plant(recipe: Recipe) -> None:
        recipe["files"][path] += line + "\n"

    return plant


def changed(path: str, old: str, new: str) -> Plant:
    """Another text in a file."""
    return lambda recipe: replace(recipe, path, old, new)


def without(*paths: str) -> Plant:
    """These files, links or programs are not there."""

    def plant(recipe: Recipe) -> None:
        for path in paths:
            leave_out(recipe, path)

    return plant


def link(path: str, target: str) -> Plant:
    """A link."""

    def plant(recipe: Recipe) -> None:
        recipe["files"].pop(path, None)
        recipe["links"][path] = target

    return plant


def program(path: str) -> Plant:
    """A program."""
    return lambda recipe: recipe["programs"].append(path)


def directory(path: str) -> Plant:
    """An empty directory."""
    return lambda recipe: recipe["directories"].append(path)


def enabled(unit: str, program_path: str) -> Plant:
    """A service of systemd, as `systemctl enable` leaves it."""

    def plant(recipe: Recipe) -> None:
        recipe["programs"].append(program_path)
        recipe["files"][f"/usr/lib/systemd/system/{unit}"] = "[Install]\nWantedBy=multi-user.target\n"
        wanted = f"/etc/systemd/system/multi-user.target.wants/{unit}"
        recipe["links"][wanted] = f"/usr/lib/systemd/system/{unit}"

    return plant


def shadow(field: str) -> Plant:
    """Another password of root."""

    def plant(recipe: Recipe) -> None:
        recipe["files"]["/etc/shadow"] = f"root:{field}:19700:0:99999:7:::\n"

    return plant


def initramfs_without(*modules: str) -> Plant:
    """An initramfs that lacks these modules, as one that was made for other hardware."""

    def plant(recipe: Recipe) -> None:
        for kernel in recipe["kernels"]:
            assert set(modules) <= set(kernel["inside"])
            kernel["inside"] = [name for name in kernel["inside"] if name not in modules]

    return plant


def no_kernel(recipe: Recipe) -> None:
    """The kernel package was removed."""
    recipe["kernels"] = []
    for path in [path for path in recipe["links"] if path.startswith(("/boot/vmlinuz", "/boot/initrd", "/vmlinuz"))]:
        del recipe["links"][path]


def no_boot_code(recipe: Recipe) -> None:
    """Nothing in sector 0 but the table."""
    recipe["disk"]["boot_code"] = ""


def architecture(name: str) -> Plant:
    """Programs for another processor."""

    def plant(recipe: Recipe) -> None:
        recipe["facts"]["architecture"] = name

    return plant


def root_options(*options: str) -> Plant:
    """The root's file system made with other options."""
    return lambda recipe: _root(recipe).update(options=options)


def immutable(path: str) -> Plant:
    """chattr +i."""
    return lambda recipe: _root(recipe).update(immutable=[path])


def swap(*, suspended: bool = False, behind: bool = False) -> Plant:
    """A swap partition, and its line in fstab."""

    def plant(recipe: Recipe) -> None:
        partitions = recipe["disk"]["partitions"]
        one = {"type": "swap", "filesystem": "swap", "uuid": SWAP, "size": 1024, "suspended": suspended}
        if behind:
            partitions[-1]["size"] = 8192
            partitions.append({**one, "number": 5})
        else:
            for index, entry in enumerate(partitions):
                entry.setdefault("number", index + 1)
            partitions.insert(len(partitions) - 1, {**one, "number": 5 if recipe["disk"]["table"] == "gpt" else 4})
        recipe["files"]["/etc/fstab"] += f"UUID={SWAP} swap swap defaults 0 0\n"

    return plant


def lvm(capture: str, group: str, volume: str) -> Plant:
    """The root in a logical volume, which fstab and the boot loader name as installers do."""

    def plant(recipe: Recipe) -> None:
        entry = _root(recipe)
        before = lzma.decompress((LVM / f"{capture}.xz").read_bytes())
        entry.update(type="lvm", size=8192, before=before, offset=1 * MiB)
        name = f"{group.replace('-', '--')}-{volume.replace('-', '--')}"
        for path, content in recipe["files"].items():
            for old in (f"root=UUID={ROOT}", "root=LABEL=cloudimg-rootfs"):
                content = content.replace(old, f"root=/dev/mapper/{name}")
            for old in (f"UUID={ROOT} / ", "LABEL=cloudimg-rootfs\t/\t"):
                content = content.replace(old, f"/dev/mapper/{name} / ")
            recipe["files"][path] = content

    return plant


def luks(*options: str) -> Plant:
    """The root's partition encrypted."""

    def plant(recipe: Recipe) -> None:
        entry = _root(recipe)
        entry.update(filesystem="luks", options=options, mount="")

    return plant


def _root(recipe: Recipe) -> dict[str, object]:
    entry: dict[str, object] = next(one for one in recipe["disk"]["partitions"] if one.get("mount") == "/")
    return entry
