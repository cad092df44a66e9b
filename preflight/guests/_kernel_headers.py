"""What the image of a kernel says of itself: the version in an x86 header, the sections of a unified kernel image.

Specification: Linux, Documentation/arch/x86/boot.rst, "The Real-Mode Kernel Header"; Microsoft, PE Format, "COFF File
Header" and "Section Table"; UAPI group, Unified Kernel Image (UKI).
https://www.kernel.org/doc/html/latest/arch/x86/boot.html
https://uapi-group.org/specifications/specs/unified_kernel_image/
"""

import re
import struct

import msgspec

from preflight.contents.tree import Found, Tree
from preflight.units import KiB

MAX_VERSION = 128  # bytes of a version that are looked at: uname has 64
MAX_SECTIONS = 64  # of a UKI: some fifteen are specified
MAX_PE_OFFSET = 4 * KiB  # of the PE header: behind the stub for MS-DOS

_HEADER_MAGIC = b"HdrS"  # at 0x202
_HEADER_MAGIC_AT = 0x202
_KERNEL_VERSION_AT = 0x20E  # u16: where the version is, less 0x200
_HEADER_SIZE = 0x210

_PE_POINTER_AT = 0x3C
_COFF = struct.Struct("<4sHHIIIHH")  # signature, machine, sections, time, symbols, their number, optional size, flags
_SECTION = struct.Struct("<8s4I16x")  # name, virtual size, address, raw size, raw pointer, …

_VERSION = re.compile(rb"\d+\.[\w.+~-]+", re.ASCII)


class Uki(msgspec.Struct, frozen=True):
    """What a unified kernel image has inside."""

    version: str | None
    """Of its kernel, as `uname -r` prints it; None where it has no section for that."""
    initramfs: tuple[int, int] | None
    """Offset and size in bytes of its initramfs; None where it has none."""


def version_of_image(tree: Tree, path: str) -> str | None:
    """The version in the header of an x86 kernel, None for other images."""
    found = tree.find(path)
    if found is None or found.node.kind != "file":
        return None
    header = _bytes(found, 0, _HEADER_SIZE)
    if not header.startswith(_HEADER_MAGIC, _HEADER_MAGIC_AT) or len(header) < _HEADER_SIZE:
        return None
    pointer = int.from_bytes(header[_KERNEL_VERSION_AT : _KERNEL_VERSION_AT + 2], "little")
    if not pointer:
        return None
    return _version(_bytes(found, pointer + 0x200, MAX_VERSION))


def read_uki(tree: Tree, path: str) -> Uki:
    """What a unified kernel image has inside; nothing where its sections cannot be told."""
    nothing = Uki(None, None)
    found = tree.find(path)
    if found is None or found.node.kind != "file":
        return nothing
    start = int.from_bytes(_bytes(found, _PE_POINTER_AT, 4), "little")
    if not 0 < start <= MAX_PE_OFFSET:
        return nothing
    head = _bytes(found, start, _COFF.size)
    if len(head) < _COFF.size or not head.startswith(b"PE\0\0"):
        return nothing
    _, _, count, _, _, _, optional_size, _ = _COFF.unpack(head)
    table = _bytes(found, start + _COFF.size + optional_size, min(count, MAX_SECTIONS) * _SECTION.size)
    sections: dict[bytes, tuple[int, int]] = {}
    for name, virtual_size, _, raw_size, raw_pointer in _SECTION.iter_unpack(table[: len(table) // 40 * 40]):
        sections.setdefault(name.rstrip(b"\0"), (raw_pointer, min(virtual_size, raw_size)))
    version = None
    if b".uname" in sections:
        offset, size = sections[b".uname"]
        version = _version(_bytes(found, offset, min(size, MAX_VERSION)))
    return Uki(version, sections.get(b".initrd"))


def _version(text: bytes) -> str | None:
    match = _VERSION.match(text)
    return match[0].decode("ascii") if match else None


def _bytes(found: Found, offset: int, size: int) -> bytes:
    """Bytes of the file, fewer at its end."""
    size = min(size, found.node.size - offset)
    return found.reader.read(found.node, offset, size) if size > 0 else b""
