"""The loaders on an EFI system partition, and what a PE header tells of a loader or kernel.

Specification: UEFI 2.10, 3.5.1.1 "Removable Media Boot Behavior" (the names that firmware starts by itself) and
13.3 "File System Format", https://uefi.org/specs/UEFI/2.10/; PE/COFF, "PE Format",
https://learn.microsoft.com/en-us/windows/win32/debug/pe-format; unified kernel images,
https://uapi-group.org/specifications/specs/unified_kernel_image/.
"""

import struct
from collections.abc import Iterator

import msgspec

from preflight.guests._boot_menu import MAX_OPTIONS, MAX_STANZAS, Files, Stanza, stanza
from preflight.guests._text import assignments
from preflight.units import KiB

MAX_VENDORS = 64  # directories below EFI
MAX_LOADERS = 128  # files in one of them
PE_HEAD = 4 * KiB  # has the section table, which follows the optional header of 240 bytes
MAX_SECTIONS = 96  # PE format: more are not loaded by Windows; a unified kernel image has a dozen

FALLBACK = {
    "bootx64.efi": "x86_64",
    "bootaa64.efi": "arm64",
    "bootia32.efi": "i386",
    "bootarm.efi": "arm",
    "bootriscv64.efi": "riscv64",
    "bootloongarch64.efi": "loongarch64",
    "bootia64.efi": "ia64",
}
"""What firmware looks for in EFI/BOOT where it has no entry of its own, and the architecture it stands for."""

MACHINES = {
    0x014C: "i386",
    0x01C0: "arm",
    0x01C2: "arm",
    0x01C4: "arm",
    0x0200: "ia64",
    0x5064: "riscv64",
    0x6264: "loongarch64",
    0x8664: "x86_64",
    0xAA64: "arm64",
}
_SUFFIXES = {"x64": "x86_64", "aa64": "arm64", "ia32": "i386", "riscv64": "riscv64", "loongarch64": "loongarch64"}
# Beside loaders: shim's key manager and fallback, firmware updates, memory tests, shells.
_TOOLS = ("mm", "fb", "mokmanager", "fallback", "fwup", "memtest", "shell", "certmule", "revocations")

_PE_OFFSET = 0x3C  # of the DOS header: e_lfanew
_COFF = struct.Struct("<4sHHIIIHH")  # signature, machine, number of sections, three of no use here, optional header's
_SECTION = struct.Struct("<8sIIII")  # name, virtual size, virtual address, size of raw data, pointer to raw data
_SECTION_SIZE = 40


class Loader(msgspec.Struct, frozen=True):
    """A program on an EFI system partition that starts a system."""

    path: str
    """From the top of the partition, as it is spelt there."""
    architecture: str | None
    """By its PE header, else by its name; None where neither tells."""
    fallback: bool
    """Whether firmware starts it without being told."""

    @property
    def name(self) -> str:
        """The last part of its path, in lower case."""
        return self.path.rpartition("/")[2].lower()


def read_loaders(files: Files) -> Iterator[Loader]:
    """The loaders on this EFI system partition. Raises `ContentsError`."""
    for directory in files.listed("/EFI", MAX_VENDORS):
        vendor = directory.rpartition("/")[2].lower()
        place = f"{directory}/Boot" if vendor == "microsoft" else directory
        for path in files.listed(place, MAX_LOADERS, ".efi"):
            name = path.rpartition("/")[2].lower()
            if name.startswith(_TOOLS) or (vendor == "microsoft" and name != "bootmgfw.efi") or not files.is_file(path):
                continue
            fallback = vendor == "boot" and name in FALLBACK
            machine = pe_architecture(files.piece(path, 0, PE_HEAD)) if fallback else None
            by_name = FALLBACK.get(name) if fallback else _by_suffix(name)
            yield Loader(files.shown(path), machine or by_name, fallback)


def read_unified_kernels(files: Files) -> list[Stanza]:
    """The unified kernel images on this partition, newest name first. Raises `ContentsError`."""
    return [
        _unified_kernel(files, path)
        for path in reversed(files.listed("/EFI/Linux", MAX_STANZAS, ".efi"))
        if files.is_file(path)
    ]


def pe_architecture(head: bytes) -> str | None:
    """The machine of a PE file, of which `head` is the beginning (some KiB); None for anything else.

    EFI programs are such files, and so are kernels with an EFI stub.
    """
    coff = _coff(head)
    return None if coff is None else MACHINES.get(coff[1])


def _by_suffix(name: str) -> str | None:
    stem = name.removesuffix(".efi")
    return next((machine for suffix, machine in _SUFFIXES.items() if stem.endswith(suffix)), None)


def _coff(head: bytes) -> tuple[int, int, int, int] | None:
    """Offset of the PE header, machine, number of sections, and offset of their table."""
    if len(head) < _PE_OFFSET + 4 or not head.startswith(b"MZ"):
        return None
    (offset,) = struct.unpack_from("<I", head, _PE_OFFSET)
    if offset + _COFF.size > len(head):
        return None
    signature, machine, sections, _, _, _, optional_size, _ = _COFF.unpack_from(head, offset)
    if signature != b"PE\0\0":
        return None
    return offset, machine, sections, offset + _COFF.size + optional_size


def _unified_kernel(files: Files, path: str) -> Stanza:
    sections = _sections(files.piece(path, 0, PE_HEAD))
    release = assignments(_section_text(files, path, sections.get(".osrel")))
    options = _section_text(files, path, sections.get(".cmdline"))
    title = release.get("PRETTY_NAME") or release.get("ID")
    files.read_from.append(files.shown(path))
    return stanza(title, files.shown(path), (), " ".join(options.split()), files.shown(path))


def _sections(head: bytes) -> dict[str, tuple[int, int]]:
    """Offset in the file and size of each section, by name; of those whose header is within `head`."""
    coff = _coff(head)
    found: dict[str, tuple[int, int]] = {}
    if coff is None:
        return found
    _, _, count, table = coff
    for index in range(min(count, MAX_SECTIONS)):
        offset = table + index * _SECTION_SIZE
        if offset + _SECTION_SIZE > len(head):
            break
        name, virtual_size, _, raw_size, pointer = _SECTION.unpack_from(head, offset)
        # Raw data is padded to the alignment of the file; the virtual size has the true length.
        size = min(virtual_size, raw_size) if virtual_size else raw_size
        found.setdefault(name.rstrip(b"\0").decode("latin-1"), (pointer, size))
    return found


def _section_text(files: Files, path: str, section: tuple[int, int] | None) -> str:
    if section is None:
        return ""
    offset, size = section
    return files.piece(path, offset, min(size, MAX_OPTIONS)).decode("utf-8", "backslashreplace").rstrip("\0")
