"""Directories of configuration: each read once by whatever name, and no more files of it than a machine has."""

from collections.abc import Callable, Iterable

from preflight.contents import ContentsError
from preflight.contents.tree import Tree
from preflight.guests._text import shown
from preflight.units import MiB

MAX_FILES = 256  # of one kind in one directory: a router has some dozens of interfaces, a file each
MAX_BYTES = MiB  # of these files together: an honest one has some 500 bytes


def distinct(tree: Tree, directories: Iterable[str]) -> list[str]:
    """Those that are there, each once: /lib is a link to usr/lib, and /etc/rc.d to init.d, on some systems."""
    found: dict[str, str] = {}
    for directory in directories:
        place = tree.find(directory)
        if place is not None and place.node.kind == "directory":
            found.setdefault(place.path, directory)
    return list(found.values())


def files(tree: Tree, directory: str, fits: Callable[[str], bool], max_bytes: int = MAX_BYTES) -> list[str]:
    """The names in a directory that fit; `ContentsError` where they are too many, or too large together."""
    names = [name for name in tree.names(directory) if fits(name)]
    if len(names) > MAX_FILES:
        raise ContentsError(f"{shown(directory)}: has {len(names)} files to read, at most {MAX_FILES} are read")
    size = sum(tree.size(f"{directory}/{name}") or 0 for name in names)
    if size > max_bytes:
        raise ContentsError(f"{shown(directory)}: has {size} bytes to read, at most {max_bytes} are read")
    return names
