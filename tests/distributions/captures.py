"""File systems of recipes that no tool makes without root: btrfs whose root is a subvolume.

`python -m tests.distributions.captures` makes them anew in fixtures/btrfs: it needs root, loop devices and a kernel
with btrfs. Beside NAME.xz lies the digest of the files that went into it: no recipe changes without its capture.
"""

import hashlib
import json
import lzma
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from preflight.units import MiB
from tests.distributions.recipes import Recipe
from tests.tools import run, sparse

CAPTURES = Path(__file__).parents[2] / "fixtures" / "btrfs"
SIZE = 128 * MiB


def digest(recipe: Recipe) -> str:
    """What tells a tree of files from another one: all of a recipe that makes it, as tools differ in how they pack."""
    made_of = {name: value for name, value in recipe.items() if name not in ("title", "facts", "findings")}
    return hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()


def verify(recipe: Recipe) -> None:
    """Fail where a capture was made of another state of this recipe."""
    for name in {entry["capture"] for entry in recipe["disk"]["partitions"] if "capture" in entry}:
        made_of = (CAPTURES / f"{name}.digest").read_text().strip()
        assert digest(recipe) == made_of, f"{name} has changed, run as root: python -m {__spec__.name} {name}"


def unpack(entry: dict[str, Any], path: Path) -> Path:
    """The captured file system of this partition."""
    with lzma.open(CAPTURES / f"{entry['capture']}.xz") as packed, path.open("wb") as file:
        while data := packed.read(MiB):
            if any(data):
                file.write(data)
            else:
                file.seek(len(data), 1)
        file.truncate(SIZE)
    return path


def make(entry: dict[str, Any], files: Path) -> None:
    """Write these files into subvolumes, as the partition's entry has them, and keep the result."""
    name = entry["capture"]
    with tempfile.TemporaryDirectory() as folder:
        disk, mounted = sparse(Path(folder) / "disk", SIZE), Path(folder) / "mounted"
        mounted.mkdir()
        run("mkfs.btrfs", "-q", "-L", entry["label"], "-U", entry["uuid"], disk)
        run("mount", "-o", "loop,compress=zstd", disk, mounted)
        try:
            # A subvolume before those that lie in it; the files of the deepest mount points first.
            for subvolume in sorted(entry["subvolumes"]):
                (mounted / subvolume).parent.mkdir(parents=True, exist_ok=True)
                run("btrfs", "subvolume", "create", mounted / subvolume)
            for subvolume, point in sorted(entry["subvolumes"].items(), key=lambda pair: -len(pair[1])):
                inside = files / point.strip("/")
                if point and inside.is_dir():
                    run("cp", "-a", f"{inside}/.", mounted / subvolume)
                    for one in inside.iterdir():
                        shutil.rmtree(one) if one.is_dir() and not one.is_symlink() else one.unlink()
            if entry.get("default"):
                run("btrfs", "subvolume", "set-default", mounted / entry["default"])
            run("sync", "-f", mounted)
            run("fstrim", mounted)
        finally:
            run("umount", mounted)
        (CAPTURES / f"{name}.xz").write_bytes(lzma.compress(disk.read_bytes(), preset=9 | lzma.PRESET_EXTREME))


def main() -> None:
    """Make the captures of the recipes that are named, or of all."""
    from tests.distributions import building, recipes, trees

    for name in sys.argv[1:] or recipes.names():
        recipe = recipes.load(name)
        wanted = [entry for entry in recipe["disk"]["partitions"] if entry.get("capture") == name]
        for entry in wanted:
            with tempfile.TemporaryDirectory() as folder:
                tree = Path(folder) / "tree"
                trees.write(recipe, tree)
                others = [one for one in recipe["disk"]["partitions"] if one is not entry and one.get("mount")]
                for other in sorted(others, key=lambda one: -len(one["mount"])):
                    building.taken_out(tree, other["mount"], Path(folder) / "taken")
                make(entry, tree)
                (CAPTURES / f"{name}.digest").write_text(digest(recipe) + "\n")


if __name__ == "__main__":
    main()
