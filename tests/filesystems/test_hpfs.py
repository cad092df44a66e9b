"""HPFS, which no tool makes any more: built, and read by blkid."""

from pathlib import Path

from hypothesis import given, settings

from preflight.filesystems.hpfs import BOOT_BLOCK, FILESYSTEM, SUPERBLOCK
from preflight.units import KiB, MiB
from tests.filesystems.building import Part, agreed_on, build, found, hostile, join, read, stays_within_protocol

SPARE: Part = (8 * KiB + 512, b"\x49\x18\x91\xf9\xc5\x29\x52\xfa")
SUPER: Part = (8 * KiB, build(SUPERBLOCK, magic=b"\x49\xe8\x95\xf9", n_sectors=2048))


def boot(**fields: object) -> Part:
    values: dict[str, object] = {
        "sig_28h": 0x28,
        "vol_serno": 0x3BC232D5,
        "vol_label": b"P01 S16A   ",
        "sig_hpfs": b"HPFS    ",
        "magic": b"\x55\xaa",
    }
    return 0, build(BOOT_BLOCK, **{**values, **fields})


def test_file_system_is_read_as_blkid_reads_it(tmp_path: Path) -> None:
    superblock = agreed_on(FILESYSTEM, tmp_path / "disk", join(boot(), SUPER, SPARE), 1 * MiB)
    assert (superblock.type, superblock.uuid, superblock.label) == ("hpfs", "3BC2-32D5", "P01 S16A")
    assert superblock.size == 2048 * 512


def test_small_serial_number_keeps_its_zeros(tmp_path: Path) -> None:
    data = join(boot(vol_serno=0xA), SUPER, SPARE)
    assert agreed_on(FILESYSTEM, tmp_path / "disk", data, 1 * MiB).uuid == "0000-000A"


def test_foreign_boot_block_gives_neither_uuid_nor_label(tmp_path: Path) -> None:
    foreign: list[dict[str, object]] = [{"sig_28h": 0x29}, {"sig_hpfs": b"FAT16   "}, {"magic": b"\0\0"}]
    for number, fields in enumerate(foreign):
        data = join(boot(**fields), SUPER, SPARE)
        superblock = agreed_on(FILESYSTEM, tmp_path / f"disk{number}", data, 1 * MiB)
        assert (superblock.uuid, superblock.label) == (None, None)


def test_serial_number_zero_is_none() -> None:
    assert found(FILESYSTEM, join(boot(vol_serno=0), SUPER, SPARE)).uuid is None


def test_superblock_without_its_spare_block_is_none() -> None:
    assert read(FILESYSTEM, join(boot(), SUPER), 1 * MiB) is None


@settings(max_examples=100, deadline=None)
@given(hostile(boot(), SUPER, SPARE))
def test_any_bytes_stay_within_the_protocol(data: bytes) -> None:
    stays_within_protocol(FILESYSTEM, data)
