"""The names of the first members of a tar archive."""

from construct import Bytes, Struct

from preflight import binary
from preflight.errors import StructureError
from preflight.facts import Problem
from preflight.formats._recognised import MAX_SIZE
from preflight.source import BlockSource
from preflight.units import KiB, align_up

BLOCK = 512
MAGIC = b"ustar"  # POSIX writes NUL and `00` behind it, GNU two blanks and NUL
MAX_MEMBERS = 8  # told
MAX_HEADERS = 4 * MAX_MEMBERS  # a member may have a global, an extended and a long-name header before it
MAX_EXTENDED = 64 * KiB  # of one extended header; honest ones fit into a block or two
EXTENDED, GLOBAL, LONG_NAME, LONG_LINK, SPARSE = b"x", b"g", b"L", b"K", b"S"

Header = Struct(
    "name" / Bytes(100),
    "mode" / Bytes(8),
    "uid" / Bytes(8),
    "gid" / Bytes(8),
    "size" / Bytes(12),
    "mtime" / Bytes(12),
    "chksum" / Bytes(8),
    "typeflag" / Bytes(1),
    "linkname" / Bytes(100),
    "magic" / Bytes(6),
    "version" / Bytes(2),
    "uname" / Bytes(32),
    "gname" / Bytes(32),
    "devmajor" / Bytes(8),
    "devminor" / Bytes(8),
    "prefix" / Bytes(155),
    "padding" / Bytes(12),
)


def is_header(block: bytes) -> bool:
    """Whether these 512 bytes are a header, by their magic and their checksum."""
    if len(block) < BLOCK or block[257:262] != MAGIC:
        return False
    digits = block[148:156].strip(b" \0")
    computed = sum(block) - sum(block[148:156]) + 8 * ord(" ")
    return _octal(digits) == computed


def members(source: BlockSource) -> tuple[tuple[str, ...], tuple[Problem, ...]]:
    """The names of the first members, and what is wrong on the way to the last of them."""
    names: list[str] = []
    long_name: str | None = None
    long_size: int | None = None
    offset = 0
    for _ in range(MAX_HEADERS):
        if len(names) == MAX_MEMBERS:
            break
        if offset == source.size:  # without the two blocks of zeros at the end, which every reader forgives
            break
        if offset + BLOCK > source.size:
            return tuple(names), (_cut("the header of a member is cut off", offset),)
        block = source.read_at(offset, BLOCK)
        if not any(block):
            break
        if not is_header(block):
            message = "neither the header of a member nor the end of the archive"
            return tuple(names), (Problem("container-header-invalid", message, "tar header", offset),)
        header = binary.parse(Header, block, "tar header", offset)
        size = _size(header.size, offset)
        kind = header.typeflag
        if kind in (EXTENDED, LONG_NAME):
            data = source.read_at(offset + BLOCK, min(size, MAX_EXTENDED, source.size - offset - BLOCK))
            if kind == LONG_NAME:
                long_name = binary.text(data)
            else:
                long_name, long_size = _extended(data)
        elif kind not in (GLOBAL, LONG_LINK):
            prefix = binary.text(header.prefix) if header.magic == MAGIC + b"\0" else None
            name = binary.text(header.name) or ""
            names.append(long_name or (f"{prefix}/{name}" if prefix else name))
            size = size if long_size is None else long_size
            long_name = long_size = None
            if kind == SPARSE:  # its map may go on in blocks of its own, which are not followed
                break
        end = offset + BLOCK + size
        if end > source.size:
            return tuple(names), (_cut(f"this member ends at byte {end}, the file at {source.size}", offset),)
        offset = align_up(end, BLOCK)
    return tuple(names), ()


def _cut(message: str, offset: int) -> Problem:
    return Problem("truncated-file", message, "tar header", offset)


def _octal(digits: bytes) -> int | None:
    try:
        return int(digits, 8) if digits.isdigit() else None
    except ValueError:
        return None


def _size(field: bytes, offset: int) -> int:
    """A size in octal digits, or, with the top bit set, in base 256 as GNU tar writes 8 GiB and more."""
    size = int.from_bytes(field[1:], "big") if field[0] == 0x80 else _octal(field.strip(b" \0") or b"0")
    if size is None or size > MAX_SIZE:
        raise StructureError("tar header", offset + 124, "size is not a number that a file can have")
    return size


def _extended(data: bytes) -> tuple[str | None, int | None]:
    """`path` and `size` from the records of an extended header, each `length key=value` and a newline."""
    name: str | None = None
    size: int | None = None
    while data:
        digits = data[:8].partition(b" ")[0]
        length = int(digits) if digits.isdigit() else 0
        if length <= len(digits) + 1:
            break
        key, _, value = data[len(digits) + 1 : length - 1].partition(b"=")
        if key == b"path":
            name = binary.text(value)
        elif key == b"size" and value.isdigit() and len(value) < 20:
            size = min(int(value), MAX_SIZE)
        data = data[length:]
    return name, size
