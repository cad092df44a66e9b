"""Caches, logs and other storage below file systems, against blkid."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from preflight.filesystems.block_caches import (
    BCACHE_SUPERBLOCK,
    DRBDMANAGE_HEADER,
    DRBDPROXY_HEADER,
    FILESYSTEM,
    VDO_GEOMETRY,
    crc64,
)
from preflight.units import KiB, MiB
from tests.filesystems.blkid import blkid
from tests.filesystems.pieces import Pieces
from tests.filesystems.reading import agreed, ask, stays_within_protocol

SIZE = 4 * MiB
UUID = "8fb7f716-4c19-4517-bfbb-6f4a2becad60"
UUID_BYTES = bytes.fromhex(UUID.replace("-", ""))


def bcache(keys: int = 0, **fields: object) -> bytes:
    values: dict[str, object] = {"csum": 0, "offset": 8, "version": 1, "uuid": UUID_BYTES, "set_uuid": bytes(16)}
    values |= {"magic": bytes.fromhex("c68573f64e1a45ca8265f57f48ba6d81"), "label": bytes(32), "flags": 0, "seq": 1}
    values |= {"nbuckets": 16, "block_size": 1, "bucket_size": 512, "nr_in_set": 1, "nr_this_dev": 0}
    values |= {"last_mount": bytes(4), "first_bucket": 1, "njournal_buckets": keys, "d": [7] * 256, **fields}
    data = BCACHE_SUPERBLOCK.build(values)
    return crc64(data[8 : 208 + keys * 8]).to_bytes(8, "little") + bytes(data[8:])


def test_crc64_has_the_check_value_of_its_catalogue() -> None:
    assert crc64(b"123456789") == 0x62EC59E3F1A4F00A  # CRC-64/WE


@pytest.mark.parametrize("keys", [0, 256])
@pytest.mark.parametrize(("version", "size"), [(1, None), (0, 16 * 512 * 512), (3, 16 * 512 * 512)])
def test_bcache(tmp_path: Path, keys: int, version: int, size: int | None) -> None:
    found = agreed(FILESYSTEM, Pieces(SIZE, {4096: bcache(keys, version=version)}).write(tmp_path / "disk"))
    assert (found.type, found.uuid, found.label, found.size, found.problems) == ("bcache", UUID, None, size, ())


def test_wrong_checksum_of_bcache_is_a_problem() -> None:
    found = ask(FILESYSTEM, Pieces(SIZE, {4096: bcache()}).damaged(4096, 100, 1))
    assert found is not None
    assert [(problem.code, problem.offset) for problem in found.problems] == [("superblock-invalid", 4096)]


def test_too_many_keys_are_a_problem() -> None:
    found = ask(FILESYSTEM, Pieces(SIZE, {4096: bcache()}).damaged(4096, 207, 0xFF))
    assert found is not None
    assert [problem.message for problem in found.problems] == [
        "njournal_buckets is 65280, the superblock has room for 256"
    ]


def test_early_bcachefs_is_not_bcache(tmp_path: Path) -> None:
    disk = Pieces(SIZE, {4096: bcache(offset=0x1234)})
    assert ask(FILESYSTEM, disk) is None
    assert blkid(disk.write(tmp_path / "disk")) == {}


@pytest.mark.parametrize(
    ("name", "start", "uuid"),
    [
        (
            "drbdmanage_control_volume",
            DRBDMANAGE_HEADER.build(
                {"magic": b"$DRBDmgr=q\x1a", "uuid": b"8765f402dcb246529acee269b0ba8f2e", "lf": b"\n"}
            ),
            "8765f402dcb246529acee269b0ba8f2e",
        ),
        (
            "drbdproxy_datalog",
            DRBDPROXY_HEADER.build({"magic": b"DRBDdlh*", "version": 2, "uuid": UUID_BYTES, "flags": 0}),
            UUID,
        ),
        ("ceph_bluestore", b"bluestore block device\n" + UUID.encode(), None),
        ("DM_snapshot_cow", b"SnAp\1\0\0\0", None),
        ("vdo", VDO_GEOMETRY.build({"magic": b"dmvdo001", "uuid": UUID_BYTES}), UUID),
    ],
)
def test_signature_at_the_start(tmp_path: Path, name: str, start: bytes, uuid: str | None) -> None:
    found = agreed(FILESYSTEM, Pieces(SIZE, {0: start}).write(tmp_path / "disk"))
    assert (found.type, found.uuid, found.label) == (name, uuid, None)


def test_drbdmanage_without_a_hexadecimal_uuid_is_none(tmp_path: Path) -> None:
    for uuid, lf in ((b"x" * 32, b"\n"), (b"8" * 32, b"\r")):
        disk = Pieces(SIZE, {0: DRBDMANAGE_HEADER.build({"magic": b"$DRBDmgr=q\x1a", "uuid": uuid, "lf": lf})})
        assert ask(FILESYSTEM, disk) is None
        assert blkid(disk.write(tmp_path / "disk")) == {}


@pytest.mark.parametrize(("magic", "least"), [(b"$DRBDmgr=q", 64 * KiB), (b"DRBDdlh*", 16 * KiB)])
def test_smaller_device_than_the_format_allows_is_none(magic: bytes, least: int) -> None:
    data = (magic + b"\x1a").ljust(43, b"0") + b"\n"
    assert ask(FILESYSTEM, Pieces(least - 1, {0: data})) is None
    assert ask(FILESYSTEM, Pieces(least, {0: data})) is not None


@settings(max_examples=200, deadline=None)
@given(at=st.integers(0, 255), value=st.integers(0, 255))
def test_any_changed_byte_stays_within_the_protocol(at: int, value: int) -> None:
    stays_within_protocol(FILESYSTEM, Pieces(8 * KiB, {4096: bcache(256)}).damaged(4096, at, value).read_at(0, 8 * KiB))


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=1024))
def test_any_bytes_stay_within_the_protocol(data: bytes) -> None:
    stays_within_protocol(FILESYSTEM, data)
    for magic in (b"$DRBDmgr=q", b"DRBDdlh*", b"dmvdo001"):
        stays_within_protocol(FILESYSTEM, (magic + data).ljust(64 * KiB, b"\0"))
