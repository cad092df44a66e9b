"""Directories of configuration: each read once by whatever name, and no more files of it than a machine has."""

from collections.abc import Callable, Iterable

from preflight.contents import ContentsError
from preflight.contents.tree import Tree
from preflight.guests._text import shown

MAX_FILES = 256  # of one kind in one directory: a router has some dozens of interfaces, a file each


def distinct(tree: Tree, directories: Iterable[str]) -> list[str]:
    """Those that are there, each once: /lib is a link to usr/lib, and /etc/rc.d to init.d, on some systems."""
    found: dict[str, str] = {}
    for directory in directories:
        place = tree.find(directory)
        if place is not None and place.node.kind == "directory":
            found.setdefault(place.path, directory)
    return list(found.values())


def files(tree: Tree, directory: str, fits: Callable[[str], bool]) -> list[str]:
    """The names in a directory that fit; `ContentsError` where they are more than `MAX_FILES`."""
    names = [name for name in tree.names(directory) if fits(name)]
    if len(names) > MAX_FILES:
        raise ContentsError(f"{shown(directory)}: has {len(names)} files to read, at most {MAX_FILES} are read")
    return names
