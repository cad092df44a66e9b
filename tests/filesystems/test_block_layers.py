"""Layers that own their device, against their tools and blkid."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from preflight.binary import crc32c
from preflight.filesystems.block_layers import (
    CS_VOLUME_HEADER,
    DRBD_METADATA,
    FILESYSTEM,
    INTEGRITY_SUPERBLOCK,
    STRATIS_SIGBLOCK,
    UBI_EC_HDR,
)
from preflight.filesystems.vmfs_volume import FILESYSTEM as VMFS
from preflight.units import KiB, MiB
from tests.filesystems.blkid import blkid
from tests.filesystems.pieces import Pieces
from tests.filesystems.reading import agreed, ask, stays_within_protocol
from tests.tools import run, sparse

SIZE = 4 * MiB
UUID = "fc52bfae-5a1f-4f9b-b3a6-f33303a0e401"
UUID_BYTES = bytes.fromhex(UUID.replace("-", ""))


def test_verity_is_read_as_the_tools_read_it(tmp_path: Path) -> None:
    data, hashes = sparse(tmp_path / "data", 64 * KiB), sparse(tmp_path / "hashes", 1 * MiB)
    run("veritysetup", "format", "--uuid", UUID, data, hashes)
    found = agreed(FILESYSTEM, hashes)
    assert (found.type, found.uuid) == ("DM_verity_hash", UUID)


def test_verity_of_another_version_is_none() -> None:
    assert ask(FILESYSTEM, Pieces(SIZE, {0: b"verity\0\0\2".ljust(512, b"\0")})) is None


@pytest.mark.parametrize("version", [4, 5, 6])
@pytest.mark.parametrize("uuid", [0x00AB5E0123456789, 0])
def test_drbd(tmp_path: Path, version: int, uuid: int) -> None:
    fields = {"device_uuid_08": bytes(8), "device_uuid_09": bytes(8)}
    fields["device_uuid_09" if version == 6 else "device_uuid_08"] = uuid.to_bytes(8, "big")
    metadata = DRBD_METADATA.build({"la_sect": 8000, "flags": 0, "magic": 0x83740267 + version, **fields})
    found = agreed(FILESYSTEM, Pieces(SIZE, {SIZE - 4096: metadata}).write(tmp_path / "disk"))
    assert (found.type, found.uuid, found.size) == ("drbd", "ab5e0123456789" if uuid else None, 8000 * 512)


def integrity(version: int) -> bytes:
    values = {"magic": b"integrt\0", "version": version, "log2_interleave_sectors": 15, "integrity_tag_size": 4}
    return bytes(INTEGRITY_SUPERBLOCK.build({**values, "journal_sections": 1, "provided_data_sectors": 7000}))


def test_integrity(tmp_path: Path) -> None:
    found = agreed(FILESYSTEM, Pieces(SIZE, {0: integrity(5)}).write(tmp_path / "disk"))
    assert (found.type, found.uuid, found.size) == ("DM_integrity", None, 7000 * 512)
    assert ask(FILESYSTEM, Pieces(SIZE, {0: integrity(0)})) is None


@pytest.mark.parametrize("image_seq", [0, 2864434397])
def test_ubi(tmp_path: Path, image_seq: int) -> None:
    values = {"magic": b"UBI#", "version": 1, "ec": 3, "vid_hdr_offset": 64, "data_offset": 128}
    header = UBI_EC_HDR.build({**values, "image_seq": image_seq})
    found = agreed(FILESYSTEM, Pieces(SIZE, {0: header}).write(tmp_path / "disk"))
    assert (found.type, found.uuid) == ("ubi", str(image_seq) if image_seq else None)


def stratis() -> bytes:
    values = {"magic": b"!Stra0tis\x86\xff\x02^\x41rh", "sectors": SIZE // 512, "pool_uuid": b"0" * 32}
    data = STRATIS_SIGBLOCK.build({**values, "crc32": 0, "dev_uuid": UUID.replace("-", "").encode()}).ljust(512, b"\0")
    return (crc32c(data[4:]) ^ 0xFFFFFFFF).to_bytes(4, "little") + bytes(data[4:])


@pytest.mark.parametrize("offset", [512, 9 * 512])
def test_stratis_is_found_by_either_copy(tmp_path: Path, offset: int) -> None:
    found = agreed(FILESYSTEM, Pieces(SIZE, {offset: stratis()}).write(tmp_path / "disk"))
    assert (found.type, found.uuid, found.size, found.problems) == ("stratis", UUID, SIZE, ())


def test_whole_copy_of_stratis_is_preferred_to_a_damaged_one() -> None:
    disk = Pieces(SIZE, {512: stratis(), 9 * 512: stratis()}).damaged(512, 200, 1)
    found = ask(FILESYSTEM, disk)
    assert found is not None
    assert found.problems == ()


def test_wrong_checksum_of_stratis_is_a_problem(tmp_path: Path) -> None:
    disk = Pieces(SIZE, {512: stratis()}).damaged(512, 200, 1)
    found = ask(FILESYSTEM, disk)
    assert found is not None
    assert [(problem.code, problem.offset) for problem in found.problems] == [("superblock-invalid", 512)]
    assert blkid(disk.write(tmp_path / "disk")) == {}


def core_storage(**fields: int) -> bytes:
    values = {"checksum": 0, "seed": 0xFFFFFFFF, "version": 1, "block_type": 0x10, "ph_vol_size": SIZE, "magic": b"CS"}
    values |= {"checksum_algo": 1, "key_data_size": 16, "cipher": 2, "ph_vol_uuid": UUID_BYTES, **fields}
    data = CS_VOLUME_HEADER.build(values)
    assert len(data) == 512
    return crc32c(data[8:], 0xFFFFFFFF).to_bytes(4, "little") + bytes(data[4:])


def test_core_storage(tmp_path: Path) -> None:
    disk = Pieces(SIZE, {0: core_storage()})
    found = ask(FILESYSTEM, disk)
    assert found is not None
    assert (found.type, found.uuid, found.size, found.problems) == ("cs_fvault2", UUID, SIZE, ())
    printed = blkid(disk.write(tmp_path / "disk"))
    assert printed.get("TYPE", "cs_fvault2") == "cs_fvault2"  # libblkid before 2.39 does not know it
    assert printed.get("UUID", UUID) == UUID


def test_wrong_checksum_of_core_storage_is_a_problem() -> None:
    found = ask(FILESYSTEM, Pieces(SIZE, {0: core_storage()}).damaged(0, 300, 1))
    assert found is not None
    assert [(problem.code, problem.offset) for problem in found.problems] == [("superblock-invalid", 0)]


def test_core_storage_without_filevault_is_none() -> None:
    for fields in ({"version": 2}, {"block_type": 0x11}, {"checksum_algo": 0}, {"key_data_size": 0}, {"cipher": 0}):
        assert ask(FILESYSTEM, Pieces(SIZE, {0: core_storage(**fields)})) is None


def test_vmfs_volume(tmp_path: Path) -> None:
    uuid = b"54d0c9ba-2f1e6a3b-9c1d-001122334455"
    disk = Pieces(SIZE, {MiB: b"\x0d\xd0\x01\xc0\5\0\0\0".ljust(512, b"\1"), MiB + 512 + 20: uuid})
    found = agreed(VMFS, disk.write(tmp_path / "disk"))
    assert (found.type, found.uuid) == ("VMFS_volume_member", uuid.decode())
    assert ask(VMFS, Pieces(SIZE, {**disk.pieces, 1024: b"\1"})) is None


@settings(max_examples=200, deadline=None)
@given(at=st.integers(0, 511), value=st.integers(0, 255), data=st.sampled_from([core_storage(), integrity(1)]))
def test_any_changed_byte_stays_within_the_protocol(at: int, value: int, data: bytes) -> None:
    stays_within_protocol(
        FILESYSTEM, Pieces(64 * KiB, {0: data}).damaged(0, at % len(data), value).read_at(0, 64 * KiB)
    )
    disk = Pieces(1500 * KiB, {512: stratis()}).damaged(512, at, value)
    stays_within_protocol(FILESYSTEM, disk.read_at(0, disk.size))


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=1024))
def test_any_bytes_stay_within_the_protocol(data: bytes) -> None:
    for reader in (FILESYSTEM, VMFS):
        stays_within_protocol(reader, data)
        stays_within_protocol(reader, data.ljust(1500 * KiB, b"\0"))
        stays_within_protocol(reader, data.rjust(1500 * KiB, b"\0"))
