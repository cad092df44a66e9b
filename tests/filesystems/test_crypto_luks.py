"""LUKS containers, against cryptsetup and blkid."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from preflight.filesystems.crypto_luks import FILESYSTEM, LUKS2_HDR_DISK
from preflight.units import KiB, MiB
from tests.filesystems.pieces import Pieces
from tests.filesystems.reading import agreed, ask, stays_within_protocol
from tests.tools import run, sparse

UUID = "5b1f6b3e-4c2d-4b1e-9d1e-8d7d0d3d7a10"
SECONDARY = [16 * KiB << shift for shift in range(9)]


def luks_format(path: Path, *options: str) -> Path:
    sparse(path, 32 * MiB)
    cheap = ("--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000")
    run("cryptsetup", "luksFormat", "-q", *cheap, "--uuid", UUID, *options, path, "-", stdin="secret")
    return path


def overwrite(path: Path, offset: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(data)


def test_luks1(tmp_path: Path) -> None:
    found = agreed(FILESYSTEM, luks_format(tmp_path / "disk", "--type", "luks1"))
    assert (found.type, found.uuid, found.label, found.problems) == ("crypto_LUKS", UUID, None, ())


@pytest.mark.parametrize("label", [None, " two words ", "Schlüssel"])
def test_luks2(tmp_path: Path, label: str | None) -> None:
    options = ("--label", label) if label else ()
    found = agreed(FILESYSTEM, luks_format(tmp_path / "disk", "--type", "luks2", *options))
    assert (found.type, found.uuid, found.problems) == ("crypto_LUKS", UUID, ())
    assert found.label == (label.rstrip() if label else None)


@pytest.mark.parametrize("metadata_size", SECONDARY)
def test_secondary_header_is_found_where_the_primary_is_lost(tmp_path: Path, metadata_size: int) -> None:
    options = ("--luks2-metadata-size", str(metadata_size), "--luks2-keyslots-size", str(1 * MiB))
    path = luks_format(tmp_path / "disk", "--type", "luks2", "--label", "copy", *options)
    overwrite(path, 0, bytes(512))
    found = agreed(FILESYSTEM, path)
    assert (found.type, found.uuid, found.label) == ("crypto_LUKS", UUID, "copy")
    assert [(problem.code, problem.offset) for problem in found.problems] == [("luks-header-invalid", 0)]


def test_near_secondary_header_is_found_where_all_before_it_is_lost(tmp_path: Path) -> None:
    path = luks_format(tmp_path / "disk", "--type", "luks2")
    overwrite(path, 0, bytes(16 * KiB))
    assert agreed(FILESYSTEM, path).uuid == UUID


def header(**fields: object) -> bytes:
    values: dict[str, object] = {"magic": b"LUKS\xba\xbe", "version": 2, "hdr_size": 16 * KiB, "seqid": 3}
    values |= {"label": b"built".ljust(48, b"\0"), "checksum_alg": b"sha256".ljust(32, b"\0"), "salt": bytes(64)}
    values |= {"uuid": UUID.encode().ljust(40, b"\0"), "subsystem": bytes(48), "hdr_offset": 0}
    return bytes(LUKS2_HDR_DISK.build(values | fields).ljust(4096, b"\0"))


def test_built_header_is_read(tmp_path: Path) -> None:
    found = agreed(FILESYSTEM, Pieces(8 * MiB, {0: header()}).write(tmp_path / "disk"))
    assert (found.uuid, found.label) == (UUID, "built")


def test_secondary_header_that_says_it_lies_elsewhere_is_left_alone() -> None:
    # as in swap space that once held a page of another container's header; older libblkid takes it
    for magic, offset in ((b"SKUL\xba\xbe", 0x8000), (b"LUKS\xba\xbe", 0x4000)):
        assert ask(FILESYSTEM, Pieces(8 * MiB, {0x4000: header(magic=magic, hdr_offset=offset)})) is None


def test_primary_header_that_says_it_lies_elsewhere_is_named_with_a_problem() -> None:
    found = ask(FILESYSTEM, Pieces(8 * MiB, {0: header(hdr_offset=0x4000)}))
    assert found is not None
    assert (found.type, found.uuid) == ("crypto_LUKS", UUID)
    assert [problem.code for problem in found.problems] == ["luks-header-invalid"]


def test_unknown_version_is_named_with_a_problem(tmp_path: Path) -> None:
    path = Pieces(8 * MiB, {0: header(version=3)}).write(tmp_path / "disk")
    found = agreed(FILESYSTEM, path)
    assert (found.type, found.uuid) == ("crypto_LUKS", None)
    assert [problem.message for problem in found.problems] == ["version is 3, expected 1 or 2"]


@settings(max_examples=200, deadline=None)
@given(at=st.integers(0, 511), value=st.integers(0, 255), secondary=st.booleans())
def test_any_changed_byte_stays_within_the_protocol(at: int, value: int, secondary: bool) -> None:
    start = 0x4000 if secondary else 0
    data = header(magic=b"SKUL\xba\xbe", hdr_offset=0x4000) if secondary else header()
    disk = Pieces(128 * KiB, {start: data}).damaged(start, at, value)
    stays_within_protocol(FILESYSTEM, disk.read_at(0, disk.size))


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=5000))
def test_any_bytes_stay_within_the_protocol(data: bytes) -> None:
    stays_within_protocol(FILESYSTEM, data)
    stays_within_protocol(FILESYSTEM, b"LUKS\xba\xbe" + data)
