"""What blkid says about an image: the second opinion on every superblock."""

import re
from pathlib import Path

from tests.tools import run

_ESCAPE = re.compile(r"\\(.)")


def blkid(path: Path, *options: str) -> dict[str, str]:
    """The values that `blkid -p -o export` prints for the file, without their escapes; empty where it finds nothing."""
    values = {}
    for line in run("blkid", "-p", "-o", "export", *options, path, ok=(0, 2)).splitlines():
        name, _, value = line.partition("=")
        if "M-" in value or "^" in value:  # as `cat -v` shows what is not ASCII, which cannot be undone
            values[name] = run("blkid", "-p", "-o", "value", "-s", name, *options, path).removesuffix("\n")
        else:
            values[name] = _ESCAPE.sub(r"\1", value)
    return values
