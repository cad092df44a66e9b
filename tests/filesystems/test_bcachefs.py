"""bcachefs, built: Debian 12 has neither its tools nor a blkid that knows it."""

import pytest
from hypothesis import given, settings

from preflight.binary import crc32c
from preflight.filesystems.bcachefs import FIELD, FILESYSTEM, MEMBER, SUPERBLOCK
from preflight.units import KiB
from tests.filesystems.building import Part, build, change, damage, found, hostile, join, read, stays_within_protocol

SIZE = 4096 * KiB
BCHFS_MAGIC = bytes.fromhex("c68573f666ce90a9d96a60cf803df7ef")
BCACHE_MAGIC = bytes.fromhex("c68573f64e1a45ca8265f57f48ba6d81")
UUID = "00010203-0405-0607-0809-0a0b0c0d0e0f"


def members(version: int, *nbuckets: int) -> bytes:
    """The members field, of buckets with 8 sectors each."""
    width, header = (56, b"") if version == 1 else (72, (72).to_bytes(2, "little").ljust(8, b"\0"))
    entries = b"".join(build(MEMBER, nbuckets=number, bucket_size=8).ljust(width, b"\0") for number in nbuckets)
    content = header + entries
    return build(FIELD, u64s=1 + len(content) // 8, type=1 if version == 1 else 11) + content


def superblock(*fields: bytes, csum_type: int = 1, **values: object) -> Part:
    content = b"".join(fields)
    defaults: dict[str, object] = {
        "version": 24,
        "magic": BCHFS_MAGIC,
        "user_uuid": bytes(range(16)),
        "label": b"Label".ljust(32, b"\0"),
        "offset": 8,
        "block_size": 1,
        "nr_devices": 1,
        "u64s": len(content) // 8,
        "flags0": csum_type << 2,
    }
    data = build(SUPERBLOCK, **{**defaults, **values}).ljust(752, b"\0") + content
    return 4096, change(data, 0, (crc32c(data[16:]) ^ 0xFFFFFFFF).to_bytes(4, "little"))


@pytest.mark.parametrize("version", [1, 2])
def test_type_uuid_label_and_size_are_read(version: int) -> None:
    journal = build(FIELD, u64s=3, type=9).ljust(24, b"\0")
    superblock_ = found(FILESYSTEM, join(superblock(journal, members(version, 1024))), SIZE)
    assert (superblock_.type, superblock_.uuid, superblock_.label) == ("bcachefs", UUID, "Label")
    assert (superblock_.size, superblock_.problems) == (1024 * 8 * 512, ())


@pytest.mark.parametrize("version", [1, 2])
def test_size_is_that_of_this_device(version: int) -> None:
    part = superblock(members(version, 1024, 2048), nr_devices=2, dev_idx=1)
    assert found(FILESYSTEM, join(part), SIZE).size == 2048 * 8 * 512


def test_magic_of_bcache_counts_where_the_layout_is_bcachefs() -> None:
    assert found(FILESYSTEM, join(superblock(magic=BCACHE_MAGIC)), SIZE).type == "bcachefs"
    assert read(FILESYSTEM, join(superblock(magic=BCACHE_MAGIC, offset=0)), SIZE) is None


def test_device_that_the_file_system_does_not_have_is_none() -> None:
    assert read(FILESYSTEM, join(superblock(nr_devices=0)), SIZE) is None
    assert read(FILESYSTEM, join(superblock(nr_devices=2, dev_idx=2)), SIZE) is None


def test_wrong_checksum_is_told_where_its_type_is_known() -> None:
    _, data = superblock(members(1, 1024))
    torn = change(data, 120, b"\2")
    assert damage(found(FILESYSTEM, join((4096, torn)), SIZE)) == [("superblock-invalid", 4096)]
    _, data = superblock(members(1, 1024), csum_type=7)
    assert damage(found(FILESYSTEM, join((4096, change(data, 120, b"\2"))), SIZE)) == []


def test_fields_that_break_off_give_no_size() -> None:
    for field in (members(1, 1024)[:-8], build(FIELD, u64s=0, type=1), build(FIELD, u64s=99, type=1), members(1)):
        assert found(FILESYSTEM, join(superblock(field)), SIZE).size is None


def test_huge_superblock_is_named_unread() -> None:
    superblock_ = found(FILESYSTEM, join(superblock(u64s=0xFFFFFFFF)), SIZE)
    assert (superblock_.type, superblock_.size, superblock_.problems) == ("bcachefs", None, ())


def test_impossible_size_is_none() -> None:
    assert found(FILESYSTEM, join(superblock(members(1, 1 << 63))), SIZE).size is None


def test_less_than_128_kib_is_none() -> None:
    assert read(FILESYSTEM, join(superblock()), 128 * KiB - 1) is None


@settings(max_examples=100, deadline=None)
@given(hostile(superblock(members(1, 1024))) | hostile(superblock(members(2, 5, 6), nr_devices=2, dev_idx=1)))
def test_any_bytes_stay_within_the_protocol(data: bytes) -> None:
    stays_within_protocol(FILESYSTEM, data, SIZE)
