"""Logs of XFS, built by the specification, and one that mkfs.xfs made: whether an unmount ended them."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from preflight.filesystems._xfs_journal import log_of
from preflight.filesystems.xfs import SUPERBLOCK
from preflight.source import BlockSource, FileSource, Memory
from preflight.units import KiB, MiB
from tests.tools import run, sparse

SECTOR = 512
BLOCKS = 64  # of the log, in blocks of 4 KiB
LOG_START = 2 * 4 * KiB
COUNT = BLOCKS * 8
UNMOUNT, COMMIT = 0x20, 0x02


def is_clean(source: BlockSource, superblock: Any) -> bool:
    found = log_of(source, superblock)
    return found is not None and found.is_clean()


def superblock(logstart: int = 2) -> Any:
    return SimpleNamespace(
        sb_logstart=logstart,
        sb_logblocks=BLOCKS,
        sb_blocksize=4 * KiB,
        sb_agblocks=100,
        sb_agblklog=7,
        sb_agcount=1,
        sb_dblocks=100,
        sb_sectsize=512,
    )


def record(cycle: int, length: int, flags: int, operations: int = 1, size: int = 32 * KiB) -> list[bytes]:
    """The basic blocks of a record: headers, as many as `size` (h_size) demands, and `length` of data."""
    header = b"\xfe\xed\xba\xbe" + cycle.to_bytes(4, "big") + (2).to_bytes(4, "big")
    header += (length * SECTOR).to_bytes(4, "big") + bytes(24) + operations.to_bytes(4, "big") + bytes(276)
    header += size.to_bytes(4, "big")
    more = [cycle.to_bytes(4, "big")] * (-(-size // (32 * KiB)) - 1)
    first = cycle.to_bytes(4, "big") + bytes(5) + bytes([flags])
    return [block.ljust(SECTOR, b"\0") for block in (header, *more, first, *[cycle.to_bytes(4, "big")] * (length - 1))]


def log(*, begin: int, cycle: int, last: list[bytes]) -> BlockSource:
    """A log whose last record begins at basic block `begin`; before it is this cycle, behind it the one before."""
    blocks = [cycle.to_bytes(4, "big").ljust(SECTOR, b"\0")] * begin
    blocks += [(cycle - 1).to_bytes(4, "big").ljust(SECTOR, b"\0")] * (COUNT - begin)
    for index, block in enumerate(last):
        at = begin + index
        if at >= COUNT:  # it goes round: the cycle there is the next one
            at -= COUNT
            block = (cycle + 1).to_bytes(4, "big") + block[4:]
        blocks[at] = block
    return Memory(bytes(LOG_START) + b"".join(blocks))


@pytest.mark.parametrize("begin", [0, 1, 100, COUNT - 3, COUNT - 2, COUNT - 1])
@pytest.mark.parametrize("cycle", [1, 7])
@pytest.mark.parametrize("size", [32 * KiB, 64 * KiB])
def test_a_log_is_clean_where_its_last_record_is_that_of_an_unmount(begin: int, cycle: int, size: int) -> None:
    if cycle == 1 and begin >= COUNT - 3:
        return  # its first blocks would be of no cycle
    assert is_clean(log(begin=begin, cycle=cycle, last=record(cycle, 1, UNMOUNT, size=size)), superblock())
    for dirty in (
        record(cycle, 1, COMMIT, size=size),
        record(cycle, 1, UNMOUNT, operations=2, size=size),
        record(cycle, 1, UNMOUNT, size=size) + record(cycle, 3, COMMIT, operations=5, size=size),
    ):
        assert not is_clean(log(begin=begin, cycle=cycle, last=dirty), superblock())


def test_a_log_elsewhere_is_not_known_to_be_clean() -> None:
    assert not is_clean(log(begin=5, cycle=3, last=record(3, 1, UNMOUNT)), superblock(logstart=0))


def test_a_log_of_zeros_has_nothing_to_replay() -> None:
    assert is_clean(Memory(bytes(LOG_START + COUNT * SECTOR)), superblock())


def test_the_log_of_a_new_file_system_is_clean(tmp_path: Path) -> None:
    path = sparse(tmp_path / "disk", 300 * MiB)
    run("mkfs.xfs", "-q", path)
    assert "<CLEAN>" in run("xfs_logprint", "-t", path)
    with FileSource(str(path)) as source:
        assert is_clean(source, SUPERBLOCK.parse(source.read_at(0, SUPERBLOCK.sizeof())))
