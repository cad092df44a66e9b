"""Checksums that always fit: nearly every mutation would otherwise end at the one that guards the structure."""

from functools import partial
from importlib import import_module
from pkgutil import iter_modules

import preflight.filesystems


class _FittingNumber(int):
    def __eq__(self, other: object) -> bool:
        return True

    def __ne__(self, other: object) -> bool:
        return False

    def __xor__(self, other: int) -> "_FittingNumber":
        return self

    def __and__(self, other: int) -> "_FittingNumber":
        return self

    __hash__ = int.__hash__


class _FittingBytes(bytes):
    def __eq__(self, other: object) -> bool:
        return True

    def __ne__(self, other: object) -> bool:
        return False

    def __getitem__(self, _: object) -> "_FittingBytes":  # type: ignore[override]
        return self

    def ljust(self, *_: object) -> "_FittingBytes":
        return self

    __hash__ = bytes.__hash__


_NUMBER = _FittingNumber()
CHECKS: tuple[tuple[str, str, object], ...] = (
    ("preflight.binary", "crc32", _NUMBER),  # as 7z, VHDX and xz call it
    ("preflight.binary", "crc32c", _NUMBER),
    ("preflight.tables._gpt_header", "crc32", _NUMBER),
    ("preflight.guests._hive_cells", "checksum_of", _NUMBER),
    ("preflight.volumes._lvm_label", "lvm_crc", _NUMBER),
    ("preflight.volumes._luks2", "_digest", _FittingBytes(bytes(64))),
    ("preflight.formats._vhd_dynamic", "vhd_checksum", _NUMBER),
    ("preflight.formats.vhd", "vhd_checksum", _NUMBER),
    ("preflight.contents._btrfs_superblock", "checksum", _FittingBytes()),
    ("preflight.contents._btrfs_file_items", "crc32c", _NUMBER),  # of names
    ("preflight.contents._btrfs_nodes", "checksum", _FittingBytes()),
    ("preflight.contents._ext_journal_blocks", "crc32c", _NUMBER),
    ("preflight.contents._xfs_filesystem", "crc32c", _NUMBER),
    ("preflight.filesystems.btrfs", "checksum", _FittingBytes()),
)
"""Module, name, and what is given in the place of each checksum that is computed."""
OF_SUPERBLOCKS = ("crc32", "crc32c", "_crc32_le", "_fletcher64", "_crc")
"""Names in any module of superblocks."""


def without_checksums() -> None:
    """Let every checksum that guards a structure be right."""
    for name, function, fitting in CHECKS:
        module = import_module(name)
        assert hasattr(module, function)
        setattr(module, function, partial(_give, fitting))
    for info in iter_modules(preflight.filesystems.__path__, "preflight.filesystems."):
        module = import_module(info.name)
        for function in OF_SUPERBLOCKS:
            if hasattr(module, function):
                setattr(module, function, partial(_give, _NUMBER))


def _give(value: object, *_: object) -> object:
    return value
