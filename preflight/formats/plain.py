"""What is no image at all: nothing, the pointer that Git LFS leaves in place of a file, and plain text.

Specification: Git LFS, docs/spec.md, "The Pointer", https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md
"""

import codecs
from typing import Any

from preflight import binary
from preflight.errors import StructureError
from preflight.facts import Problem
from preflight.formats import Container, Format
from preflight.formats._recognised import head, open_named
from preflight.source import BlockSource
from preflight.units import KiB

MAX_POINTER = 1024  # the specification: a pointer is shorter
# The second is the address of the beginnings of the project, which it still reads.
POINTER_STARTS = (b"version https://git-lfs.github.com/spec/", b"version https://hawser.github.com/spec/")

MIN_TEXT = 4  # shorter ones say nothing: every third byte is a letter or a digit
TEXT_SAMPLE = 4 * KiB
MAX_FIRST_LINE = 120  # characters told, enough for `<?xml …><Error><Code>AccessDenied</Code>`
BOMS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
CONTROLS = frozenset(map(chr, (*range(0x20), *range(0x7F, 0xA0)))) - frozenset("\t\n\r\f\b\x1b")  # logs have colours


def _claims(source: BlockSource) -> tuple[str, ...]:
    if not source.size:
        return ("empty",)
    data = head(source, TEXT_SAMPLE)
    if source.size < MAX_POINTER and data.startswith(POINTER_STARTS):
        return ("lfs-pointer",)
    # Asked only where nobody else claims the file: a signature of letters is not text.
    return ("text",) if source.size >= MIN_TEXT and _text(data, source.size > len(data)) is not None else ()


def _text(data: bytes, more: bool) -> tuple[str, str] | None:
    """The text and its encoding, None where these are other bytes; with `more`, the last character may be cut off."""
    encoding = "utf-8"
    for bom, name in BOMS:
        if data.startswith(bom):
            data, encoding = data[len(bom) :], name
            break
    try:
        text: str = codecs.getincrementaldecoder(encoding)().decode(data, not more)
    except UnicodeDecodeError:
        return None
    return (text, encoding) if text and CONTROLS.isdisjoint(text) else None


def _pointer(source: BlockSource) -> Container:
    where = "lfs pointer"
    details: dict[str, Any] = {}
    for line in source.read_at(0, source.size).splitlines():
        key, _, value = line.partition(b" ")
        if key == b"version":
            details["version"] = binary.text(value)
        elif key == b"oid" and len(value) == 71 and value.startswith(b"sha256:"):
            details["oid"] = binary.text(value)
        elif key == b"size" and value.isdigit() and len(value) < 20:
            details["size"] = int(value)
    for field in ("oid", "size"):
        if field not in details:
            raise StructureError(where, 0, f"{field} is missing or not of its form")
    return Container("lfs-pointer", None, None, format_details=details)


def _plain(source: BlockSource) -> Container:
    text, encoding = _text(head(source, TEXT_SAMPLE), source.size > TEXT_SAMPLE) or ("", "no encoding that is known")
    first_line = (text.strip().splitlines() or [""])[0][:MAX_FIRST_LINE]
    problem = Problem("text-file", f"the file is plain text ({encoding}), not a disk", "the file", 0)
    return Container("text", None, None, format_details={"first_line": first_line}, problems=(problem,))


def _open(source: BlockSource, name: str) -> Container:
    if name == "empty":
        return Container(name, None, None)
    return open_named(name, source, _pointer if name == "lfs-pointer" else _plain)


FORMAT = Format(("lfs-pointer", "empty", "text"), _claims, _open)
