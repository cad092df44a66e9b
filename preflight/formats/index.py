"""Which module knows the format of a file: one table of magics and endings, so that only that module is imported.

A magic here only names whom to ask; the module's own `claims` decides. What is not in this table is not found;
`tests/formats/test_index.py` holds it against the modules.
"""

import preflight.formats
from preflight import plugins
from preflight.formats import Format
from preflight.source import BlockSource
from preflight.units import SECTOR

ENDINGS: dict[str, tuple[str, ...]] = {
    "raw": (".raw", ".dd"),
    "vhd": (".vhd", ".avhd", ".vhdfixed", ".vpc"),
    "qcow2": (".qcow2",),
    "vhdx": (".vhdx", ".avhdx"),
    "vmdk": (".vmdk",),
    "vdi": (".vdi",),
    "qed": (".qed",),
    "qcow": (".qcow",),
    "parallels": (".hdd", ".hds"),
    "bochs": (".bochs",),
    "cloop": (".cloop",),
    "iso9660": (".iso",),
    "luks": (".luks",),
    "gzip": (".gz", ".tgz"),
    "xz": (".xz", ".txz"),
    "zstd": (".zst", ".zstd", ".tzst"),
    "bzip2": (".bz2", ".tbz2"),
    "zip": (".zip",),
    "tar": (".tar", ".ova"),
    "7z": (".7z",),
    "dmg": (".dmg",),
    "ewf": (".e01", ".ex01", ".l01", ".lx01", ".s01"),
    "text": (".txt", ".log", ".html", ".xml", ".json"),
}
"""Lower-case endings of file names by format. `.img`, `.bin` and the like are used for any of them, and say nothing."""

_MAGICS = (
    (0, b"QFI\xfb", "qcow2"),
    (0, b"QFI\xfb\0\0\0\1", "foreign"),  # qcow, the version before
    (0, b"QED\0", "foreign"),
    (0, b"Withou", "foreign"),  # Parallels, both of its spellings
    (64, b"\x7f\x10\xda\xbe", "foreign"),  # VDI
    (0, b"conectix", "vhd"),
    (0, b"vhdxfile", "vhdx"),
    (0, b"KDMV", "vmdk"),
    (0, b"COWD", "vmdk"),
    (0, b"\xbe\xba\xfe\xca\0\0\0\0", "vmdk"),
    (0, b"#", "vmdk"),  # its text descriptor
    (0, b"#!/bin/sh\n#V2.0 Format\nmodprobe cloop", "cloop"),
    (0, b"Bochs Virtual HD Image\0", "bochs"),
    (0, b"EVF", "ewf"),
    (0, b"LVF", "ewf"),
    (0, b"LEF2", "ewf"),
    (0, b"LUKS\xba\xbe", "luks"),
    (0, b"\x1f\x8b\x08", "wrapped"),
    (0, b"\xfd7zXZ\0", "wrapped"),
    (0, b"\x28\xb5\x2f\xfd", "wrapped"),
    (0, b"BZh", "wrapped"),
    (0, b"PK", "archives"),
    (0, b"7z\xbc\xaf", "archives"),
    (257, b"ustar", "archives"),
)
_TAIL_MAGICS = (
    (SECTOR, b"conectix", "vhd"),
    (SECTOR - 1, b"conectix", "vhd"),
    (SECTOR - 12, b"\0\1\0\0\xff\xff\xff\xff\xff\xff\xff\xff", "vhd"),  # version and no offset, whatever the cookie is
    (SECTOR, b"koly", "dmg"),
)
DISC_DESCRIPTORS = 32768  # 16 sectors of 2048 bytes in, on every optical disc


def claims(source: BlockSource) -> list[tuple[str, Format]]:
    """The formats whose signature the file shows, each name with its plugin, usually one; none for raw.

    Raises what `read_at` raises.
    """
    found = [(name, plugin) for plugin in map(_plugin, _candidates(source)) for name in plugin.claims(source)]
    if not found and _may_be_text(source):
        plain = _plugin("plain")
        found = [(name, plain) for name in plain.claims(source)]
    return found


def _plugin(module: str) -> Format:
    plugin: Format = plugins.load(preflight.formats, module, "FORMAT")
    return plugin


def _candidates(source: BlockSource) -> list[str]:
    """The modules that have a magic in this file, each once."""
    head = source.read_at(0, min(SECTOR, source.size))
    tail = source.read_at(max(source.size - SECTOR, 0), min(SECTOR, source.size))
    found = modules_for(head, tail)
    if source.size >= DISC_DESCRIPTORS + 16 and is_disc(source.read_at(DISC_DESCRIPTORS, 16)):
        found.append("iso9660")
    return found


def is_disc(descriptor: bytes) -> bool:
    """Whether an optical disc's first descriptor, at byte `DISC_DESCRIPTORS`, begins with these 16 bytes."""
    return descriptor[1:6] == b"CD001" or descriptor[9:14] == b"CDROM"


def modules_for(head: bytes, tail: bytes) -> list[str]:
    """The modules that have a magic in the first bytes of a file, or in its last sector, each once."""
    found = [module for offset, magic, module in _MAGICS if head.startswith(magic, offset)]
    found += [module for back, magic, module in _TAIL_MAGICS if tail[len(tail) - back :].startswith(magic)]
    return list(dict.fromkeys(found))


def _may_be_text(source: BlockSource) -> bool:
    """Whether the file is empty, or has no NUL where every disk image has some; UTF-16 has its mark instead."""
    head = source.read_at(0, min(SECTOR, source.size))
    return b"\0" not in head or head.startswith((b"\xff\xfe", b"\xfe\xff"))
