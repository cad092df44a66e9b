"""XFS and its external log, against mkfs.xfs and blkid."""

import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from preflight.filesystems import xfs, xfs_log
from preflight.filesystems._xfs_journal import RECORD
from preflight.source import Memory
from preflight.units import KiB, MiB
from tests.filesystems.blkid import blkid
from tests.filesystems.reading import agreed, ask, ask_file, stays_within_protocol
from tests.tools import run, sparse

UUID = "7d1c2f52-9f0f-4c0b-9d6b-0d5f4b8a1e3c"
SIZE = 320 * MiB  # mkfs.xfs refuses less than 300 MiB


def make(path: Path, *options: str) -> Path:
    run("mkfs.xfs", "-q", "-f", "-m", f"uuid={UUID}", *options, sparse(path, SIZE))
    return path


@pytest.fixture(scope="module")
def sector(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The first 4 KiB of an XFS version 5."""
    with make(tmp_path_factory.mktemp("xfs") / "disk", "-L", "root").open("rb") as file:
        return file.read(4 * KiB)


@pytest.mark.parametrize(
    ("label", "options"),
    [
        (None, []),
        ("twelve-bytes", ["-m", "reflink=1,rmapbt=1,bigtime=1"]),
        ("ß€ x", ["-b", "size=1024"]),
        ("sector 4k", ["-s", "size=4096", "-i", "size=2048"]),
        ("version 4", ["-m", "crc=0", "-n", "ftype=0"]),
    ],
)
def test_type_uuid_label_and_size_are_those_of_the_tools(tmp_path: Path, label: str | None, options: list[str]) -> None:
    path = make(tmp_path / "disk", *(["-L", label] if label else []), *options)
    found = agreed(xfs.FILESYSTEM, path)
    assert (found.type, found.uuid, found.label, found.size) == ("xfs", UUID, label, SIZE)
    assert not found.problems


def test_wrong_checksum_names_the_file_system_and_tells(sector: bytes) -> None:
    data = bytearray(sector)
    data[0x80 + 7] ^= 1  # sb_icount
    found = ask(xfs.FILESYSTEM, Memory(bytes(data)))
    assert found is not None
    assert (found.type, found.uuid, found.label, found.size) == ("xfs", UUID, "root", SIZE)
    assert [(problem.code, problem.offset) for problem in found.problems] == [("superblock-invalid", 0xE0)]


@pytest.mark.parametrize(("offset", "mask"), [(0x64, 0x80), (0xCA, 0x01)])
def test_version_5_without_its_feature_bits_is_a_problem(sector: bytes, offset: int, mask: int) -> None:
    data = bytearray(sector)
    assert data[offset] & mask
    data[offset] &= ~mask
    found = ask(xfs.FILESYSTEM, Memory(bytes(data)))
    assert found is not None
    assert [problem.offset for problem in found.problems] == [offset & ~3]


def test_a_file_system_that_needs_repair_is_told(tmp_path: Path) -> None:
    path = make(tmp_path / "disk")
    incompat = int(run("xfs_db", "-c", "sb 0", "-c", "print features_incompat", path).split("=")[1], 0)
    run("xfs_db", "-x", "-c", "sb 0", "-c", f"write features_incompat {incompat | 0x10:#x}", path)
    assert "NEEDSREPAIR" in run("xfs_db", "-c", "version", path)
    found = agreed(xfs.FILESYSTEM, path)
    assert [(problem.code, problem.offset) for problem in found.problems] == [("superblock-invalid", 0xD8)]
    assert "xfs_repair" in found.problems[0].message


@pytest.mark.parametrize(
    ("offset", "value"),
    [
        (0x58, bytes(4)),  # sb_agcount
        (0x58, b"\xff" * 4),
        (0x66, b"\x00\x00"),  # sb_sectsize
        (0x79, b"\x40"),  # sb_sectlog
        (0x04, b"\x00\x02\x00\x00"),  # sb_blocksize
        (0x78, b"\xff"),  # sb_blocklog
        (0x68, b"\x00\x00"),  # sb_inodesize
        (0x7A, b"\x0c"),  # sb_inodelog
        (0x7B, b"\x09"),  # sb_inopblog
        (0x50, bytes(4)),  # sb_rextsize
        (0x50, b"\x00\x04\x00\x01"),  # one block above 1 GiB
        (0x7F, b"\x65"),  # sb_imax_pct 101
        (0x08, bytes(8)),  # sb_dblocks
        (0x08, b"\xff" * 8),
    ],
)
def test_impossible_field_is_a_problem_and_blkid_does_not_name_it(
    tmp_path: Path, sector: bytes, offset: int, value: bytes
) -> None:
    data = sector[:offset] + value + sector[offset + len(value) :]
    assert refused(data) is not None
    path = tmp_path / "disk"
    path.write_bytes(data.ljust(64 * KiB, b"\0"))
    assert "TYPE" not in blkid(path)


def refused(data: bytes) -> int | None:
    """The byte of the field for which the file system cannot be, None where it can."""
    found = ask(xfs.FILESYSTEM, Memory(data))
    assert found is not None
    assert {problem.code for problem in found.problems} <= {"superblock-invalid"}
    return found.problems[0].offset if found.size is None else None


def test_more_blocks_than_a_system_addresses_are_a_problem() -> None:
    assert refused(superblock(sb_dblocks=1 << 51, sb_agblocks=0x80000000, sb_agcount=1 << 20)) == 0x08
    assert refused(superblock(sb_dblocks=(1 << 51) - 1, sb_agblocks=1 << 31, sb_agcount=1 << 20)) is None


def test_the_field_that_cannot_be_is_named_by_its_byte() -> None:
    assert refused(superblock(sb_agcount=0xFFFF_FFFF)) == 0x54
    assert refused(superblock(sb_sectlog=0xFF)) == 0x79
    assert refused(superblock(sb_inodelog=63)) == 0x7A


def superblock(**fields: object) -> bytes:
    values: dict[str, object] = dict.fromkeys((field.name for field in xfs.SUPERBLOCK.subcons if field.name), 0)
    values |= {"sb_magicnum": b"XFSB", "sb_uuid": bytes(range(16)), "sb_fname": b"built\0\0\0\0\0\0\0"}
    values |= {"sb_blocksize": 4096, "sb_blocklog": 12, "sb_sectsize": 512, "sb_sectlog": 9, "sb_inodesize": 256}
    values |= {"sb_inodelog": 8, "sb_inopblog": 4, "sb_rextsize": 1, "sb_versionnum": 4}
    values |= {"sb_dblocks": 4 * 4096, "sb_agblocks": 4096, "sb_agcount": 4, **fields}
    built: bytes = xfs.SUPERBLOCK.build(values)
    return built.ljust(512, b"\0")


@pytest.mark.parametrize(
    ("dblocks", "sane"), [(3 * 4096 + 63, False), (3 * 4096 + 64, True), (4 * 4096, True), (4 * 4096 + 1, False)]
)
def test_blocks_fit_the_allocation_groups_to_the_block(dblocks: int, sane: bool) -> None:
    found = ask(xfs.FILESYSTEM, Memory(superblock(sb_dblocks=dblocks)))
    assert found is not None
    assert found.label == "built"
    assert found.size == (dblocks * 4096 if sane else None)
    assert ("sb_agblocks" in found.problems[0].message) == (not sane)  # what else it lacks is told in both cases


def log_header(**fields: object) -> bytes:
    values: dict[str, object] = {"h_magicno": b"\xfe\xed\xba\xbe", "h_cycle": 7, "h_version": 2, "h_len": 512}
    values |= {"h_fmt": 1, "h_fs_uuid": bytes(16), **fields}
    built: bytes = RECORD.build({**values, "h_num_logops": 1, "h_size": 32768})
    return built.ljust(512, b"\0")


def test_external_log_is_named(tmp_path: Path) -> None:
    log = sparse(tmp_path / "log", 64 * MiB)
    make(tmp_path / "disk", "-l", f"logdev={log},size=64m")
    found = agreed(xfs_log.FILESYSTEM, log)
    assert (found.type, found.uuid, found.label) == ("xfs_external_log", None, None)
    assert ask_file(xfs_log.FILESYSTEM, tmp_path / "disk") is None


@pytest.mark.parametrize("sector_number", [0, 31, 32, 511])
def test_record_header_deep_in_an_old_log_is_found(tmp_path: Path, sector_number: int) -> None:
    path = sparse(tmp_path / "log", 10 * MiB)
    body = (7).to_bytes(4, "big") + bytes(508)
    with path.open("r+b") as file:
        file.write((body * sector_number + log_header() + body * 512)[: 256 * KiB])
    assert agreed(xfs_log.FILESYSTEM, path).type == "xfs_external_log"


@pytest.mark.parametrize(
    "fields",
    [{"h_version": 0}, {"h_version": 4}, {"h_len": 0}, {"h_len": 0x80000000}, {"h_fmt": 0}, {"h_fmt": 4}],
)
def test_impossible_record_header_is_no_log(tmp_path: Path, fields: dict[str, int]) -> None:
    path = sparse(tmp_path / "log", 10 * MiB)
    with path.open("r+b") as file:
        file.write(log_header(**fields))
    assert ask_file(xfs_log.FILESYSTEM, path) is None
    assert "TYPE" not in blkid(path)


def test_log_below_10_mib_is_no_log(tmp_path: Path) -> None:
    path = sparse(tmp_path / "log", 10 * MiB - 512)
    with path.open("r+b") as file:
        file.write(log_header())
    assert ask_file(xfs_log.FILESYSTEM, path) is None
    assert "TYPE" not in blkid(path)


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 511), st.integers(0, 255))
def test_any_changed_byte_stays_within_the_protocol(position: int, value: int) -> None:
    data = bytearray(superblock(sb_versionnum=0xB4A5, sb_features2=0x100))
    data[position] = value
    stays_within_protocol(xfs.FILESYSTEM, bytes(data))


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=512))
def test_any_bytes_stay_within_the_protocol(data: bytes) -> None:
    stays_within_protocol(xfs.FILESYSTEM, data)
    stays_within_protocol(xfs.FILESYSTEM, b"XFSB" + data)


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=64), st.integers(0, 31))
def test_any_log_header_stays_within_the_protocol(data: bytes, sector_number: int) -> None:
    block = b"\xfe\xed\xba\xbe" + data.ljust(508, b"\0")
    stays_within_protocol(xfs_log.FILESYSTEM, (struct.pack(">I508x", 1) * sector_number + block).ljust(10 * MiB, b"\0"))
