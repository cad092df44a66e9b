"""The disks of this directory: each is made once, when a test first asks for it."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from preflight.facts import Image
from preflight.guest_facts import Guest
from preflight.inspection import inspect
from tests.real import layouts
from tests.real.trees import Tree, as_root, unpacked


class Made(NamedTuple):
    """A disk, the files that were put on it, and what `inspect` says of it."""

    path: Path
    tree: Tree
    image: Image

    @property
    def guest(self) -> Guest:
        assert isinstance(self.image.guest, Guest), self.image
        return self.image.guest


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where all this is made; some gigabytes, so it does not outlive the tests."""
    path = tmp_path_factory.mktemp("real")
    yield path
    shutil.rmtree(path, ignore_errors=True)
    if path.exists():  # what has other owners
        as_root("rm", "-rf", path)


@pytest.fixture(scope="session")
def base(folder: Path) -> Path:
    """An installed Debian for x86-64."""
    return unpacked("amd64", folder)


@pytest.fixture(scope="session")
def guest_tree(base: Path, folder: Path) -> Callable[[str], Tree]:
    """Copies of it, to be changed."""

    def copy(name: str) -> Tree:
        (folder / name).mkdir()
        return Tree(base, folder / name)

    return copy


def _made(path: Path, tree: Tree) -> Made:
    return Made(path, tree, inspect(str(path)))


@pytest.fixture(scope="session")
def bios(guest_tree: Callable[[str], Tree], folder: Path) -> Made:
    tree = guest_tree("bios")
    return _made(layouts.bios(folder / "bios", tree, layouts.ADVISED_SIZE), tree)


@pytest.fixture(scope="session")
def uefi(guest_tree: Callable[[str], Tree], folder: Path) -> Made:
    tree = guest_tree("uefi")
    return _made(layouts.uefi(folder / "uefi", tree), tree)


@pytest.fixture(scope="session")
def mbr(guest_tree: Callable[[str], Tree], folder: Path) -> Made:
    tree = guest_tree("mbr")
    return _made(layouts.mbr(folder / "mbr", tree), tree)


@pytest.fixture(scope="session")
def lvm(guest_tree: Callable[[str], Tree], folder: Path) -> Made:
    tree = guest_tree("lvm")
    return _made(layouts.lvm(folder / "lvm", tree), tree)


@pytest.fixture(scope="session")
def btrfs(guest_tree: Callable[[str], Tree], folder: Path) -> Made:
    """In a qcow2 that is compressed by zstd."""
    tree = guest_tree("btrfs")
    disk = layouts.btrfs(folder / "btrfs", tree)
    packed = layouts.converted(disk, "btrfs.qcow2", "qcow2", "-c", "-o", "compression_type=zstd")
    return _made(packed, tree)


@pytest.fixture(scope="session")
def arm64(base: Path, folder: Path) -> Made:
    (folder / "arm64").mkdir()
    tree = Tree(unpacked("arm64", folder), folder / "arm64")
    return _made(layouts.arm64(folder / "arm64", tree, base), tree)
