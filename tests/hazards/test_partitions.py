"""P: partition tables that loop, overlap, overflow or contradict each other."""

from pathlib import Path

import pytest

from preflight.facts import Image
from preflight.units import MiB
from tests.hazards.rows import hazard, seen, told
from tests.tables.disks import (
    PROTECTIVE,
    SIZE,
    boot_record,
    disk,
    entry,
    gpt_disk,
    patch,
    record,
)

MBR, EBR, PRIMARY, BACKUP = "master boot record", "extended boot record", "gpt primary header", "gpt backup header"
LAST = SIZE // 512 - 1
CONTAINER = record(0, 5, 64, 4000)
RECORDS = 446
CHAIN_START = 64


def disk_of(tmp_path: Path, *parts: tuple[int, bytes], size: int = SIZE) -> Image:
    return seen(tmp_path / "disk.raw", disk(*parts, size=size))


def chain(*links: tuple[int, int | None]) -> tuple[tuple[int, bytes], ...]:
    """Boot records: LBA, counted from the extended partition; and where the next one is, None for none."""
    parts = [(0, boot_record(CONTAINER))]
    for lba, following in links:
        second = () if following is None else (record(0, 5, following, 8),)
        parts.append(((CHAIN_START + lba) * 512, boot_record(record(0, 0x83, 1, 1), *second)))
    return tuple(parts)


@hazard("P1")
@pytest.mark.parametrize(
    ("links", "partitions", "at"),
    [
        (((0, 0),), 1, 0),  # itself
        (((0, 10), (10, 0)), 2, 10),  # two in a circle
        (((0, 5000),), 1, 0),  # outside the extended partition
        (((0, 0xFFFF_FFFF),), 1, 0),
    ],
)
def test_a_chain_that_loops_or_leaves_ends(
    tmp_path: Path, links: tuple[tuple[int, int | None], ...], partitions: int, at: int
) -> None:
    found = disk_of(tmp_path, *chain(*links))
    assert len([one for one in found.partitions if one.number >= 5]) == partitions
    assert ("ebr-chain-invalid", EBR, (CHAIN_START + at) * 512 + RECORDS + 16) in told(found)


@hazard("P1")
def test_a_chain_of_thousands_ends_at_256(tmp_path: Path) -> None:
    links = tuple((number * 2, number * 2 + 2) for number in range(1900))
    found = disk_of(tmp_path, *chain(*links))
    assert len(found.partitions) <= 257
    assert "ebr-chain-invalid" in {code for code, where, _ in told(found) if where == EBR}


@hazard("P1")
def test_of_four_links_one_is_followed(tmp_path: Path) -> None:
    fork = boot_record(*(record(0, 5, number * 8, 8) for number in range(1, 5)))
    found = disk_of(tmp_path, (0, boot_record(CONTAINER)), *((lba * 512, fork) for lba in range(64, 200, 8)))
    assert ("ebr-chain-invalid", EBR, CHAIN_START * 512 + RECORDS + 16) in told(found)
    assert len(found.partitions) < 40


@hazard("P2")
@pytest.mark.parametrize(
    ("records", "code", "number"),
    [
        ((record(0, 0x83, 1, 0xFFFF_FFFF),), "partition-past-end", 0),
        ((record(0, 0x83, LAST, 2),), "partition-past-end", 0),
        ((record(0, 0x83, 8, 100), record(0, 0x83, 50, 100)), "partitions-overlap", 1),
        ((record(0, 0x83, 0, 100), record(0, 0x83, 200, 100)), "mbr-entry-invalid", 0),
        ((record(0x7F, 0x83, 8, 100),), "mbr-boot-flag-invalid", 0),
    ],
)
def test_an_entry_that_cannot_be_is_told(
    tmp_path: Path, records: tuple[tuple[int, int, int, int], ...], code: str, number: int
) -> None:
    assert (code, MBR, RECORDS + 16 * number) in told(disk_of(tmp_path, (0, boot_record(*records))))


@hazard("P2")
def test_four_protective_entries_are_told(tmp_path: Path) -> None:
    data = gpt_disk(entry(2048, 4095), sector_0=boot_record(*[PROTECTIVE] * 4))
    found = seen(tmp_path / "disk.raw", data)
    assert {(code, where) for code, where, _ in told(found)} == {("gpt-protective-mbr-invalid", "protective mbr")}
    assert len(found.partitions) == 1


HEADER_FIELDS = [
    {"number_of_partition_entries": 0xFFFF_FFFF},
    {"number_of_partition_entries": MiB // 128 + 1},
    *({"size_of_partition_entry": size} for size in (0, 1, 127, 129, 384, 1 << 31)),
    *({"header_size": size} for size in (0, 91, 513, 0xFFFF_FFFF)),
    {"partition_entry_lba": 0},
    {"partition_entry_lba": 1 << 63},
    {"my_lba": 2},
    {"first_usable_lba": 1 << 63},
]


@hazard("P3")
@pytest.mark.parametrize("fields", HEADER_FIELDS, ids=str)
def test_a_header_that_cannot_be_is_left_for_its_backup(tmp_path: Path, fields: dict[str, int]) -> None:
    found = seen(tmp_path / "disk.raw", gpt_disk(entry(2048, 4095), primary=fields))
    assert [(code, where) for code, where, _ in told(found)] == [("gpt-primary-damaged", PRIMARY)]
    assert [(one.start, one.size) for one in found.partitions] == [(MiB, MiB)]


@hazard("P3")
@pytest.mark.parametrize("fields", HEADER_FIELDS, ids=str)
def test_two_headers_that_cannot_be_are_refused(tmp_path: Path, fields: dict[str, int]) -> None:
    found = seen(tmp_path / "disk.raw", gpt_disk(entry(2048, 4095), primary=fields, backup=fields))
    assert [code for code, where, _ in told(found) if where == PRIMARY] == ["gpt-damaged"]
    assert found.partitions == ()


@hazard("P4")
@pytest.mark.parametrize(
    ("at", "change", "expected"),
    [
        (512 + 16, b"\1\2\3\4", ("gpt-primary-damaged", PRIMARY)),  # checksum of the header
        (512 + 88, b"\1\2\3\4", ("gpt-primary-damaged", PRIMARY)),
        (1024 + 200, b"\1", ("gpt-primary-damaged", PRIMARY)),  # the array
        (512, bytes(512), ("gpt-primary-damaged", PRIMARY)),  # wiped
        (LAST * 512, bytes(512), ("gpt-backup-damaged", BACKUP)),
        (LAST * 512 + 16, b"\1\2\3\4", ("gpt-backup-damaged", BACKUP)),
        ((LAST - 32) * 512 + 200, b"\1", ("gpt-backup-damaged", BACKUP)),
    ],
)
def test_the_good_copy_is_used_and_the_bad_one_named(
    tmp_path: Path, at: int, change: bytes, expected: tuple[str, str]
) -> None:
    found = seen(tmp_path / "disk.raw", patch(gpt_disk(entry(2048, 4095)), at, change))
    assert [(code, where) for code, where, _ in told(found)] == [expected]
    assert [(one.start, one.size) for one in found.partitions] == [(MiB, MiB)]


@hazard("P4")
def test_a_grown_disk_has_its_backup_in_the_wrong_place(tmp_path: Path) -> None:
    found = seen(tmp_path / "disk.raw", gpt_disk(entry(2048, 4095)) + bytes(MiB))
    assert told(found) == [("gpt-backup-misplaced", BACKUP, LAST * 512)]


@hazard("P4")
def test_a_cut_disk_has_its_backup_past_the_end(tmp_path: Path) -> None:
    found = seen(tmp_path / "disk.raw", gpt_disk(entry(2048, 4095))[:-MiB])
    assert {"gpt-backup-misplaced"} <= {code for code, _, _ in told(found)}
    assert len(found.partitions) == 1


@hazard("P5")
@pytest.mark.parametrize(
    ("entries", "code", "number"),
    [
        ((entry(1, 2047),), "gpt-entry-invalid", 0),  # over the header
        ((entry(2048, LAST),), "gpt-entry-invalid", 0),  # over the backup
        ((entry(2048, LAST + 2048),), "partition-past-end", 0),
        ((entry(4095, 2048),), "gpt-entry-invalid", 0),  # reversed
        ((entry(1 << 63, (1 << 64) - 1),), "gpt-entry-invalid", 0),
        ((entry(2048, 4095), entry(4000, 5000, unique=2)), "partitions-overlap", 1),
        ((entry(2048, 4095, name=b"\x00\xd8a\0"),), "gpt-entry-invalid", 0),  # half of a surrogate pair
    ],
)
def test_an_entry_of_the_array_that_cannot_be_is_told(
    tmp_path: Path, entries: tuple[bytes, ...], code: str, number: int
) -> None:
    found = seen(tmp_path / "disk.raw", gpt_disk(*entries))
    assert (code, f"gpt partition entry {number + 1}", 1024 + 128 * number) in told(found)


@hazard("P6")
def test_a_hybrid_table_is_named_and_claims_no_uefi(tmp_path: Path) -> None:
    sector_0 = boot_record(record(0, 0x83, 2048, 2048), record(0, 0xEE, 1, 2047))  # 0xEE is not the first
    found = seen(tmp_path / "disk.raw", gpt_disk(entry(2048, 4095), sector_0=sector_0))
    assert found.partition_table is not None and found.partition_table.type == "hybrid"
    assert getattr(found.guest, "boot_modes", ()) == ()


@hazard("P6")
def test_a_header_at_4096_means_sectors_of_4096_bytes(tmp_path: Path) -> None:
    size = 8 * MiB
    sector_0 = boot_record(record(0, 0xEE, 1, size // 4096 - 1))
    found = seen(tmp_path / "disk.raw", gpt_disk(entry(256, 511), size=size, sector_size=4096, sector_0=sector_0))
    assert found.partition_table is not None
    assert (found.partition_table.type, found.partition_table.sector_size) == ("gpt", 4096)
    assert [(one.start, one.size) for one in found.partitions] == [(MiB, MiB)]
