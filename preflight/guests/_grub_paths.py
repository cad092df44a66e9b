"""Paths of GRUB's scripts: which file of the guest they mean, and the files that scripts include.

Specification: GNU GRUB Manual 2.12, "Filesystem" (how a path and its device are written).
"""

from preflight.contents import ContentsError, Kind
from preflight.guests._boot_menu import Files
from preflight.units import MiB

MAX_LOOKUPS = 4096  # paths that one configuration asks for; honest ones ask for a dozen
MAX_PATH = 1024  # characters
MAX_INCLUDED = 16  # files; a Flatcar menu includes three
MAX_INCLUDED_CHARACTERS = 1 * MiB  # of them together


class Paths:
    """The files that one configuration can reach."""

    def __init__(self, files: Files) -> None:
        """`files`: of the file system that the configuration is on."""
        self._files = files
        self._lookups = self._included = self._characters = 0

    def kind(self, path: str) -> Kind | None:
        """What a path of GRUB is; None where nothing is. Raises `ContentsError` beyond `MAX_LOOKUPS`."""
        located = self._locate(path)
        return None if located is None else self._files.kind(located)

    def include(self, path: str) -> tuple[str, str] | None:
        """The text of the file at a path of GRUB, and its path in the guest; None where no file is.

        Raises `ContentsError` beyond `MAX_INCLUDED` files, and where the file cannot be read.
        """
        located = self._locate(path)
        if located is None or self._files.kind(located) != "file":
            return None
        self._included += 1
        text = self._files.text(located) or ""
        self._characters += len(text)
        if self._included > MAX_INCLUDED or self._characters > MAX_INCLUDED_CHARACTERS:
            raise ContentsError(f"includes over {MAX_INCLUDED} files or {MAX_INCLUDED_CHARACTERS} characters")
        return text, located

    def _locate(self, path: str) -> str | None:
        """Where it is in this file system: the device may be the one that has /boot, or the root."""
        device, close, rest = path.partition(")")
        if device.startswith("("):
            # A device that was never found is empty; arrays are not what these files lie on.
            if not close or device == "(" or device.startswith("(md/"):
                return None
            path = rest
        if not path.startswith("/") or len(path) > MAX_PATH:
            return None
        self._lookups += 1
        if self._lookups > MAX_LOOKUPS:
            raise ContentsError(f"asks for over {MAX_LOOKUPS} paths")
        candidates = (path, f"{self._files.boot}{path}")
        return next((candidate for candidate in candidates if self._files.spelt(candidate) is not None), None)
