"""What an XFS superblock leads to: headers of groups, the log, inodes; against xfs_repair, xfs_db and the kernel.

Every value of the tables was tried with a kernel of version 6.18, under a checksum that fits: it refused to mount, to
list the topmost directory, or to write.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

from preflight.binary import crc32c
from preflight.facts import Problem
from preflight.filesystems import xfs
from preflight.units import GiB, KiB, MiB
from tests.filesystems.reading import ask_file
from tests.tools import run, sparse

BLOCK, SECTOR, GROUP_BLOCKS = 4096, 512, 20480
GROUP = GROUP_BLOCKS * BLOCK
LOG_BLOCKS = 64 * MiB // BLOCK
CRC_OF = {"AGF": 216, "AGI": 312, "AGFL": 32, "inode": 100, "block": 52}

# Byte of the field: values.
AGF = {
    0: (0, 0x58414747),
    4: (0, 2),
    8: (7,),
    12: (0, 63, GROUP_BLOCKS + 1),
    28: (0, 10, 0xFFFFFFFF),
    32: (0, 10),
    40: (128, 0xFFFFFFFF),
    44: (128,),
    48: (129,),
    52: (0, GROUP_BLOCKS + 1),
    56: (GROUP_BLOCKS + 1,),
    60: (0xFFFFFFFF,),
}
AGF_5 = {40: (119,), 44: (119,), 48: (120,), 64: (0,), 84: (0xFFFFFFFF,), 92: (0, 10), 208: (2, 0xFFFFFFFE)}
AGI = {0: (0,), 4: (0,), 8: (7,), 12: (0, GROUP_BLOCKS + 1), 24: (0, 10), 40: (0,), 292: (0, 0xFFFFFFFE)}
AGI_5 = {296: (0,), 320: (2,), 332: (0, 10)}
ROOT = {
    4: (0x03000000, 0x03040000),  # di_format
    56: (0xFFFFFFFF,),
    60: (0, 0xFFFF),
    72: (1, 0xFFFFFFFF),
    76: (1, 0xFFFFFFFF),
    80: (0x00010002, 0x0000FF02, 0x00000003),  # di_anextents, di_forkoff, di_aformat
    88: (1, 0x0800, 0x1000),
    96: (0, 0xFFFFFFFE),
}
ROOT_5 = {24: (1,), 28: (1,), 124: (0x1A, 0x0A), 128: (1,), 156: (129,)}
BESIDE = {0: (0,), 4: (0x09020000,), 96: (0,)}  # of an inode that is not in use
INOBT = {
    0: (0,),
    4: (0x00010001, 0x0000FFFF, 0),
    8: (0,),
    12: (0,),
    16: (1,),
    20: (0,),
    24: (2,),
    32: (0,),
    48: (1,),
    56: (0, 0x81, 0xC0),
    60: (0x0000403E, 0x0000003D, 0x0001403D),
    64: (0,),
    68: (0, 0xFFFFFFF9),
}


class Disk(NamedTuple):
    path: Path
    version: int
    root: int
    """Byte of the root directory's inode."""
    log: int
    """Byte of the log."""


@pytest.fixture(scope="module", params=[5, 4])
def disk(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Disk:
    return formatted(tmp_path_factory.mktemp("xfs") / "disk", request.param)


@pytest.fixture(scope="module")
def sealed_disk(tmp_path_factory: pytest.TempPathFactory) -> Disk:
    return formatted(tmp_path_factory.mktemp("xfs") / "disk", 5)


def formatted(path: Path, version: int) -> Disk:
    sparse(path, 4 * GROUP)
    crc = "crc=1,reflink=1,finobt=1" if version == 5 else "crc=0"
    run("mkfs.xfs", "-q", "-f", "-m", crc, "-d", f"agsize={GROUP}", "-l", f"size={64 * MiB}", path)
    with path.open("rb") as file:
        head = file.read(4096)
    number = int.from_bytes(head[0x38:0x40], "big")
    group, block = divmod(int.from_bytes(head[0x30:0x38], "big"), 1 << head[0x7C])
    return Disk(path, version, number * int.from_bytes(head[0x68:0x6A], "big"), group * GROUP + block * BLOCK)


def problems(path: Path) -> tuple[Problem, ...]:
    found = ask_file(xfs.FILESYSTEM, path)
    assert found is not None
    return found.problems


def told(disk: Disk, *changes: tuple[int, bytes]) -> tuple[Problem, ...]:
    """The problems with these changes, which are undone."""
    kept = []
    with disk.path.open("r+b") as file:
        for offset, data in changes:
            file.seek(offset)
            kept.append((offset, file.read(len(data))))
            file.seek(offset)
            file.write(data)
    try:
        return problems(disk.path)
    finally:
        with disk.path.open("r+b") as file:
            for offset, data in reversed(kept):
                file.seek(offset)
                file.write(data)


def sealed(disk: Disk, offset: int, size: int, crc: int, field: int, value: int) -> tuple[int, bytes]:
    """The structure with this word of 32 bits, and in version 5 with a checksum that fits."""
    with disk.path.open("rb") as file:
        file.seek(offset)
        data = bytearray(file.read(size))
    data[field : field + 4] = value.to_bytes(4, "big")
    if disk.version == 5:
        data[crc : crc + 4] = bytes(4)
        data[crc : crc + 4] = (crc32c(bytes(data)) ^ 0xFFFFFFFF).to_bytes(4, "little")
    return offset, bytes(data)


def cases(table: Mapping[int, tuple[int, ...]]) -> list[tuple[int, int]]:
    return [(field, value) for field, values in table.items() for value in values]


@pytest.mark.parametrize("group", [0, 1, 3])
@pytest.mark.parametrize(("field", "value"), cases(AGF))
def test_a_header_of_free_space_that_linux_refuses_is_told(disk: Disk, group: int, field: int, value: int) -> None:
    (found,) = told(disk, sealed(disk, group * GROUP + SECTOR, SECTOR, CRC_OF["AGF"], field, value))
    assert (found.code, found.where) == ("superblock-invalid", f"XFS AGF {group}")
    assert found.offset in (group * GROUP + SECTOR + field, group * GROUP + SECTOR + 56)  # or longest, above freeblks


@pytest.mark.parametrize(("field", "value"), cases(AGF_5))
def test_what_version_5_has_more_in_it_is_told(sealed_disk: Disk, field: int, value: int) -> None:
    (found,) = told(sealed_disk, sealed(sealed_disk, GROUP + SECTOR, SECTOR, CRC_OF["AGF"], field, value))
    assert (found.where, found.offset) == ("XFS AGF 1", GROUP + SECTOR + field)


@pytest.mark.parametrize("group", [0, 2])
@pytest.mark.parametrize(("field", "value"), cases(AGI))
def test_a_header_of_inodes_that_linux_refuses_is_told(disk: Disk, group: int, field: int, value: int) -> None:
    (found,) = told(disk, sealed(disk, group * GROUP + 2 * SECTOR, SECTOR, CRC_OF["AGI"], field, value))
    assert (found.where, found.offset) == (f"XFS AGI {group}", group * GROUP + 2 * SECTOR + field)


@pytest.mark.parametrize(("field", "value"), cases(AGI_5))
def test_what_version_5_has_more_for_inodes_is_told(sealed_disk: Disk, field: int, value: int) -> None:
    (found,) = told(sealed_disk, sealed(sealed_disk, 2 * SECTOR, SECTOR, CRC_OF["AGI"], field, value))
    assert (found.where, found.offset) == ("XFS AGI 0", 2 * SECTOR + field)


@pytest.mark.parametrize("sector", [1, 2, 3])
def test_a_header_of_a_later_group_that_is_torn_is_told_as_by_xfs_repair(sealed_disk: Disk, sector: int) -> None:
    offset = 2 * GROUP + sector * SECTOR
    (found,) = told(sealed_disk, (offset, bytes(SECTOR)))
    assert (found.code, found.offset) == ("superblock-invalid", offset)
    copy = sealed_disk.path.with_name("torn")
    run("cp", "--sparse=always", sealed_disk.path, copy)
    with copy.open("r+b") as file:
        file.seek(offset)
        file.write(bytes(SECTOR))
    run("xfs_repair", "-n", copy, ok=(1,))


def test_a_list_of_free_blocks_whose_checksum_is_wrong_is_told(sealed_disk: Disk) -> None:
    (found,) = told(sealed_disk, (3 * SECTOR + 32, b"torn"))
    assert (found.where, found.offset) == ("XFS AGFL 0", 3 * SECTOR + 32)


def test_the_last_of_many_groups_is_looked_at_and_may_be_short(tmp_path: Path) -> None:
    size = 128 * MiB
    path = sparse(tmp_path / "disk", 10 * size + 20 * MiB)
    run("mkfs.xfs", "-q", "-f", "-d", f"agsize={size}", path)
    with path.open("rb") as file:
        head = file.read(512)
    assert head[0x58:0x5C] == (11).to_bytes(4, "big")  # sb_agcount
    assert problems(path) == ()
    last = 10 * size
    with path.open("r+b") as file:
        file.seek(last + SECTOR)
        file.write(bytes(SECTOR))
    assert [one.offset for one in problems(path)] == [last + SECTOR]


@pytest.mark.parametrize(("field", "value"), cases(ROOT))
def test_an_inode_of_the_root_directory_that_linux_refuses_is_told(sealed_disk: Disk, field: int, value: int) -> None:
    (found,) = told(sealed_disk, sealed(sealed_disk, sealed_disk.root, 512, CRC_OF["inode"], field, value))
    assert found.code == "superblock-invalid"
    assert found.offset is not None
    assert 0 <= found.offset - sealed_disk.root <= 128


@pytest.mark.parametrize(("field", "value"), cases(ROOT_5))
def test_what_version_3_of_an_inode_has_more_is_told(sealed_disk: Disk, field: int, value: int) -> None:
    (found,) = told(sealed_disk, sealed(sealed_disk, sealed_disk.root, 512, CRC_OF["inode"], field, value))
    assert found.where == "XFS root inode"


@pytest.mark.parametrize(("field", "value"), cases(BESIDE))
def test_an_inode_that_linux_reads_along_with_the_root_directory_is_told(disk: Disk, field: int, value: int) -> None:
    size = 512 if disk.version == 5 else 256
    offset = disk.root + 7 * size
    (found,) = told(disk, sealed(disk, offset, size, CRC_OF["inode"], field, value))
    assert (found.where, found.offset) == ("XFS inode", offset + (field if field == 96 else 0))


@pytest.mark.parametrize("index", [1, 2])
def test_the_inodes_of_the_real_time_part_are_told(sealed_disk: Disk, index: int) -> None:
    """Linux built with such parts reads them where there is none, too."""
    offset = sealed_disk.root + index * 512
    (found,) = told(sealed_disk, (offset + CRC_OF["inode"], b"torn"))
    assert found.offset == offset + CRC_OF["inode"]
    (found,) = told(sealed_disk, sealed(sealed_disk, offset, 512, CRC_OF["inode"], 0, 0x494E41ED))
    assert found.offset == offset


def inobt_of(disk: Disk) -> int:
    return int(run("xfs_db", "-r", "-c", "agi 0", "-c", "print root", disk.path).split("=")[1]) * BLOCK


@pytest.mark.parametrize(("field", "value"), cases(INOBT))
def test_a_tree_of_inodes_without_the_root_directory_is_told(sealed_disk: Disk, field: int, value: int) -> None:
    offset = inobt_of(sealed_disk)
    (found,) = told(sealed_disk, sealed(sealed_disk, offset, BLOCK, CRC_OF["block"], field, value))
    assert (found.code, found.where) == ("superblock-invalid", "XFS IAB 0")
    assert found.offset is not None
    assert offset <= found.offset <= offset + 56


def test_a_tree_of_inodes_that_is_torn_is_told(disk: Disk) -> None:
    (found,) = told(disk, (inobt_of(disk), bytes(16)))
    assert (found.where, found.offset) == ("XFS IAB 0", inobt_of(disk))


def test_a_root_of_the_tree_outside_the_group_is_told_at_the_header(disk: Disk) -> None:
    (found,) = told(disk, sealed(disk, 2 * SECTOR, SECTOR, CRC_OF["AGI"], 20, GROUP_BLOCKS))
    assert (found.where, found.offset) == ("XFS AGI 0", 2 * SECTOR + 20)


def test_the_tree_is_not_judged_before_the_log_is_replayed(sealed_disk: Disk) -> None:
    """What its root leads to may be in the log alone: Linux writes the log before it writes the blocks."""
    torn = (inobt_of(sealed_disk), bytes(BLOCK))
    assert told(sealed_disk, torn)
    no_unmount = (sealed_disk.log + SECTOR + 9, b"\0")  # oh_flags of the one operation in the last record
    assert told(sealed_disk, torn, no_unmount) == ()
    another_record = (sealed_disk.log + 2 * SECTOR, log_record(1, 2))
    assert told(sealed_disk, torn, another_record) == ()


def log_record(cycle: int, block: int, *, flags: int = 0) -> bytes:
    """A record of the log with one operation."""
    head = bytearray(SECTOR)
    head[:4] = b"\xfe\xed\xba\xbe"
    for at, value in ((4, cycle), (8, 2), (12, SECTOR), (16, cycle), (20, block), (40, 1), (300, 1), (320, 32 * KiB)):
        head[at : at + 4] = value.to_bytes(4, "big")
    return bytes(head) + cycle.to_bytes(4, "big") + bytes(5) + bytes([flags]) + bytes(SECTOR - 10)


def test_the_record_of_an_unmount_is_found_where_the_superblock_was_written_last(sealed_disk: Disk) -> None:
    torn = (inobt_of(sealed_disk), bytes(BLOCK))
    superblock = sealed(sealed_disk, 0, SECTOR, 0xE0, 0xF0, 1)
    superblock = (0, superblock[1][:0xF4] + (100).to_bytes(4, "big") + superblock[1][0xF8:])
    data = bytearray(superblock[1])
    data[0xE0:0xE4] = bytes(4)
    data[0xE0:0xE4] = (crc32c(bytes(data)) ^ 0xFFFFFFFF).to_bytes(4, "little")
    used = (sealed_disk.log, log_record(1, 0))
    written = (sealed_disk.log + 100 * SECTOR, log_record(1, 100) + log_record(1, 102, flags=0x20))
    assert told(sealed_disk, torn, (0, bytes(data)), used, written)
    replayed = (sealed_disk.log + 100 * SECTOR, log_record(1, 100, flags=0x20) + log_record(1, 102))
    assert told(sealed_disk, torn, (0, bytes(data)), used, replayed) == ()


@pytest.mark.parametrize(
    ("offset", "data"),
    [
        (0, b"\xff" * 64 * KiB),
        (0, b"no log, but a text of something"),
        (0, (2).to_bytes(4, "big")),
        (64 * MiB - SECTOR, b"\x12\x34\x56\x78"),
        (64 * MiB - SECTOR, (2).to_bytes(4, "big")),
    ],
)
def test_a_log_whose_head_linux_does_not_find_is_told(disk: Disk, offset: int, data: bytes) -> None:
    (found,) = told(disk, (disk.log + offset, data))
    assert (found.where, found.offset) == ("XFS log", disk.log)


def test_a_log_that_was_zeroed_is_told_where_metadata_are_of_later(sealed_disk: Disk) -> None:
    zeroed = (sealed_disk.log, bytes(SECTOR))
    assert told(sealed_disk, zeroed) == ()  # mkfs.xfs logs nothing
    later = sealed(sealed_disk, SECTOR, SECTOR, CRC_OF["AGF"], 208, 1)
    assert told(sealed_disk, later) == ()
    data = bytearray(later[1])
    data[CRC_OF["AGF"] - 1] = 9  # block 9 of cycle 1
    data[216:220] = bytes(4)
    data[216:220] = (crc32c(bytes(data)) ^ 0xFFFFFFFF).to_bytes(4, "little")
    assert told(sealed_disk, (SECTOR, bytes(data))) == ()
    (found,) = told(sealed_disk, (SECTOR, bytes(data)), zeroed)
    assert (found.where, found.offset) == ("XFS AGF 0", SECTOR + 208)


@pytest.mark.parametrize("cycles", [(1, 0), (1, 1), (2, 1), (5, 5), (5, 4), (5, 3)])
def test_a_log_that_goes_round_has_no_problem(disk: Disk, cycles: tuple[int, int]) -> None:
    first = (disk.log + 4, cycles[0].to_bytes(4, "big"))
    assert told(disk, first, (disk.log + 64 * MiB - SECTOR, cycles[1].to_bytes(4, "big"))) == ()


@pytest.mark.parametrize(
    "options",
    [
        ("-d", "agcount=16"),
        ("-d", "agcount=33"),
        ("-d", "extszinherit=8,cowextsize=32"),
        ("-m", "rmapbt=1", "-i", "nrext64=1"),
        ("-m", "inobtcount=0,bigtime=0"),
        ("-b", "size=1024", "-i", "size=512"),
        ("-s", "size=4096"),
        ("-i", "sparse=0,size=2048"),
        ("-m", "crc=0", "-i", "size=256", "-n", "ftype=0"),
        ("-l", "size=128m,su=256k"),
    ],
    ids=" ".join,
)
def test_honest_groups_have_no_problem(tmp_path: Path, options: tuple[str, ...]) -> None:
    path = sparse(tmp_path / "disk", 3 * GiB)
    run("mkfs.xfs", "-q", "-f", *options, path)
    assert problems(path) == ()
    run("xfs_repair", path)
    assert problems(path) == ()
