"""Containers that the program which wrote to them has not closed, and what qemu-img makes of them."""

import struct
from pathlib import Path

import pytest

from preflight.binary import crc32c
from preflight.units import KiB
from tests.formats.recognising import opened, problems
from tests.tools import run

SIGABRT = -6
HEADERS = (64 * KiB, 128 * KiB)


@pytest.mark.parametrize(("name", "offset"), [("qed", 16), ("parallels", 44)])
def test_a_program_that_ended_while_it_wrote_is_told_until_it_is_repaired(
    tmp_path: Path, name: str, offset: int
) -> None:
    path = tmp_path / f"disk.{name}"
    run("qemu-img", "create", "-q", "-f", name, path, "16M")
    assert opened(name, path).problems == ()
    run("qemu-io", "-f", name, "-c", "write 0 1M", "-c", "abort", path, ok=(SIGABRT,))
    assert problems(opened(name, path)) == [("container-not-closed", f"{name} header", offset)]
    run("qemu-img", "check", "-q", "-f", name, "-r", "all", path, ok=(0, 3))  # 3: leaked clusters are left
    assert opened(name, path).problems == ()


def test_a_log_of_a_vhdx_is_told_by_the_header_that_counts(tmp_path: Path) -> None:
    path = tmp_path / "disk.vhdx"
    run("qemu-img", "create", "-q", "-f", "vhdx", path, "16M")
    data = bytearray(path.read_bytes())
    first, second = (int.from_bytes(data[start + 8 : start + 16], "little") for start in HEADERS)
    counts, other = HEADERS if first > second else HEADERS[::-1]
    _set_log_guid(data, other)
    assert problems(opened("vhdx", bytes(data))) == []
    _set_log_guid(data, counts)
    assert problems(opened("vhdx", bytes(data))) == [("container-not-closed", "vhdx header", counts + 48)]


def _set_log_guid(data: bytearray, start: int) -> None:
    """In the header at byte `start`, with the checksum that fits: [MS-VHDX] section 2.2.2."""
    data[start + 48 : start + 64] = bytes(range(16))
    data[start + 4 : start + 8] = bytes(4)
    checksum = crc32c(bytes(data[start : start + 4 * KiB])) ^ 0xFFFF_FFFF
    data[start + 4 : start + 8] = checksum.to_bytes(4, "little")


def test_a_vmdk_that_was_not_shut_down_is_told(tmp_path: Path) -> None:
    path = tmp_path / "disk.vmdk"
    run("qemu-img", "create", "-q", "-f", "vmdk", path, "16M")
    data = bytearray(path.read_bytes())
    assert struct.unpack_from("<B4s", data, 72) == (0, b"\n \r\n")
    data[72] = 1
    assert problems(opened("vmdk", bytes(data))) == [("container-not-closed", "vmdk sparse extent header", 72)]
