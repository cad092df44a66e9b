"""Words that are worth trying anywhere: magics, and what the parsers of text look for."""

import re
from pathlib import Path

from preflight.filesystems import index as superblocks
from preflight.formats import index as containers

PACKAGE = Path(superblocks.__file__).parents[1]
_STRINGS = re.compile(r"""b?"([A-Za-z][\w./=-]{2,30})\"""")
_NUMBERS = (0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 1 << 31, 1 << 63, (1 << 63) - 1, (1 << 64) - 1)


def write(path: Path) -> Path:
    """A dictionary for libFuzzer."""
    words: list[bytes] = [magic for place in superblocks.PLACES for magic in place.magics]
    words += [magic for _, magic, _ in (*containers._MAGICS, *containers._TAIL_MAGICS)]
    for number in _NUMBERS:
        size = 4 if number < 1 << 32 else 8
        words += [number.to_bytes(size, "little"), number.to_bytes(size, "big")]
    for module in sorted((PACKAGE / "guests").glob("*.py")):
        words += [found.encode() for found in _STRINGS.findall(module.read_text())]
    lines = ['"' + "".join(f"\\x{byte:02x}" for byte in word) + '"' for word in dict.fromkeys(words) if len(word) <= 60]
    path.write_text("\n".join(lines) + "\n")
    return path
