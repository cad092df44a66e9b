"""VMFS, which no tool here makes: built, and read by blkid."""

from pathlib import Path

from hypothesis import given, settings

from preflight.filesystems.vmfs import FILESYSTEM, FS_INFO
from preflight.units import KiB, MiB
from tests.filesystems.building import agreed_on, build, hostile, join, read, stays_within_protocol

INFO = build(
    FS_INFO,
    magic=b"\x5e\xf1\xab\x2f",
    volume_version=4,
    version=31,
    uuid=bytes.fromhex("44f8ed49f328fcebcb650021280083cf"),
    label=b"datastore1".ljust(128, b"\0"),
)


def test_file_system_is_read_as_blkid_reads_it(tmp_path: Path) -> None:
    superblock = agreed_on(FILESYSTEM, tmp_path / "disk", join((2 * MiB, INFO)), 4 * MiB)
    assert (superblock.type, superblock.uuid) == ("VMFS", "49edf844-ebfc28f3-65cb-0021280083cf")
    assert (superblock.label, superblock.size) == ("datastore1", None)


def test_magic_behind_the_beginning_of_something_else_is_none() -> None:
    assert read(FILESYSTEM, join((0, b"\xeb\x3c"), (2 * MiB, INFO)), 4 * MiB) is None


def test_zeros_and_small_disks_are_none() -> None:
    assert read(FILESYSTEM, b"", 4 * MiB) is None
    assert read(FILESYSTEM, b"", 2 * MiB) is None
    assert read(FILESYSTEM, b"", 1 * KiB) is None


@settings(max_examples=50, deadline=None)
@given(hostile((2 * MiB, INFO)))
def test_any_bytes_stay_within_the_protocol(data: bytes) -> None:
    stays_within_protocol(FILESYSTEM, data, 4 * MiB)
