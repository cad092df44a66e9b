"""GPT: against sfdisk, sgdisk, parted and fdisk, and against damaged and hostile tables."""

import contextlib
import struct
import zlib
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from preflight.errors import ReadFailed, StructureError, UnreachableBytes
from preflight.facts import Partition, PartitionTable
from preflight.source import Buffered, FileSource, Memory
from preflight.tables import Layout, gpt, mbr
from preflight.tables._gpt_header import GPT_HEADER
from preflight.tables._types import GPT_TYPE_NAMES
from preflight.units import GiB, KiB, MiB
from tests.tables.disks import (
    DISK_GUID,
    LINUX,
    PROTECTIVE,
    SIZE,
    UNUSED,
    Record,
    as_sfdisk,
    boot_record,
    disk,
    entry,
    gpt_disk,
    layout,
    patch,
    problems,
    ranges,
    read,
    record,
    seal,
    sfdisk,
)
from tests.tools import run, sparse

LAST = SIZE // 512 - 1  # 16383
BACKUP = LAST * 512
FIRST_USABLE, LAST_USABLE = 34, LAST - 33
ONE = entry(2048, 4095)
VALID = gpt_disk(ONE)


def read_file(path: Path) -> Layout:
    with FileSource(str(path)) as source:
        assert mbr.TABLE.read(source) is None
        found = gpt.TABLE.read(source)
    assert found is not None
    return found


def codes(found: Layout) -> list[str]:
    return [problem.code for problem in found.problems]


def same_as_sfdisk(found: Layout, path: Path) -> None:
    expected = sfdisk(path)
    assert expected["label"] == "gpt"
    assert found.table.disk_id == expected["id"].lower()
    assert {one.number: as_sfdisk(one) for one in found.partitions} == {
        number: {key: value for key, value in one.items() if key not in ("node", "attrs")}
        for number, one in expected["partitions"].items()
    }


def sfdisk_disk(path: Path) -> Path:
    sparse(path, GiB)
    script = """label: gpt
        label-id: 4F1D0A8E-8B9A-4A4C-9E2C-0F4F5A3E1B11
        start=2048, size=2048, type=21686148-6449-6E6F-744E-656564454649, name=bios
        start=4096, size=204800, type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B, name="EFI – ß 😀", attrs=LegacyBIOSBootable
        start=208896, size=409600, type=4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709, uuid=01234567-89AB-CDEF-0123-456789ABCDEF
        start=618496, type=E6D6D379-F507-44C2-A23C-238F2A3DF928, name="123456789012345678901234567890123456"
    """
    run("sfdisk", "-q", path, stdin=script)
    return path


def test_partitions_are_those_that_sfdisk_lists(tmp_path: Path) -> None:
    path = sfdisk_disk(tmp_path / "disk")
    run("sfdisk", "-q", "--delete", path, "1")
    found = read_file(path)
    assert found.table == PartitionTable("gpt", 512, "4f1d0a8e-8b9a-4a4c-9e2c-0f4f5a3e1b11")
    assert found.problems == ()
    same_as_sfdisk(found, path)
    assert [one.number for one in found.partitions] == [2, 3, 4]
    assert [one.bootable for one in found.partitions] == [True, False, False]
    assert found.partitions[1] == Partition(
        3,
        208896 * 512,
        409600 * 512,
        "4f68bce3-e8cd-4db1-96e7-fbcaf984b709",
        "Linux root (x86-64)",
        None,
        "01234567-89ab-cdef-0123-456789abcdef",
        False,
    )


def test_partitions_of_sgdisk_in_any_order_have_their_numbers(tmp_path: Path) -> None:
    path = sparse(tmp_path / "disk", 256 * MiB)
    options = [
        "-n",
        "5:100M:+10M",
        "-c",
        "5:late",
        "-n",
        "2:2M:+50M",
        "-t",
        "2:8200",
        "-n",
        "128:200M:0",
        "-t",
        "128:fd00",
    ]
    run("sgdisk", *options, path)
    found = read_file(path)
    assert found.problems == ()
    assert [one.number for one in found.partitions] == [2, 5, 128]
    assert [one.type_name for one in found.partitions] == ["Linux swap", "Linux filesystem", "Linux RAID"]
    same_as_sfdisk(found, path)


def test_protective_mbr_that_parted_marks_active_is_no_problem(tmp_path: Path) -> None:
    path = sparse(tmp_path / "disk", 64 * MiB)
    run("parted", "-s", path, "mklabel", "gpt", "disk_set", "pmbr_boot", "on", "mkpart", "root", "1MiB", "100%")
    assert path.read_bytes()[446] == 0x80
    found = read_file(path)
    assert found.problems == ()
    assert found.partitions[0].name == "root"
    same_as_sfdisk(found, path)


def test_sectors_of_4096_bytes_are_found_by_the_header(tmp_path: Path) -> None:
    path = sparse(tmp_path / "disk", 128 * MiB)
    run("fdisk", "-b", "4096", path, stdin="g\nn\n\n\n+16M\nn\n3\n\n\nt\n3\n19\nw\n")
    found = read_file(path)
    assert found.table.sector_size == 4096
    assert found.problems == ()
    listing = run("fdisk", "-b", "4096", "-l", "-o", "Device,Start,End,Sectors,Type-UUID,UUID", path)
    expected = [line.split() for line in listing.splitlines() if line.startswith(str(path))]
    assert [one[0].removeprefix(str(path)) for one in expected] == ["1", "3"]
    assert [
        [one.start // 4096, (one.start + one.size) // 4096 - 1, one.size // 4096, one.type, one.uuid]
        for one in found.partitions
    ] == [[*map(int, one[1:4]), one[4].lower(), one[5].lower()] for one in expected]
    assert f"Disk identifier: {(found.table.disk_id or '').upper()}" in listing


def test_names_are_those_of_sfdisk() -> None:
    expected = {}
    for line in run("sfdisk", "--list-types", "--label", "gpt").splitlines()[2:]:
        guid, _, name = line.partition("  ")
        expected[guid.lower()] = name
    assert len(expected) > 100
    renamed = {"6a898cc3-1dd2-11b2-99a6-080020736631"}  # Solaris /usr & Apple ZFS, lately: ZFS pool member
    assert {guid: GPT_TYPE_NAMES.get(guid) for guid in expected if guid not in renamed} == {
        guid: name for guid, name in expected.items() if guid not in renamed
    }
    assert all(guid == guid.lower() and len(guid) == 36 for guid in GPT_TYPE_NAMES)


@pytest.mark.parametrize("sector_size", [512, 4096])
@pytest.mark.parametrize("entry_size", [128, 256, 1024])
def test_built_table_is_read(sector_size: int, entry_size: int) -> None:
    first = 2 + 128 * entry_size // sector_size
    data = gpt_disk(
        entry(first, first, name="é".encode("utf-16-le"), attributes=4, unique=0x01020304),
        bytes(128),
        entry(first + 1, first + 100),
        sector_size=sector_size,
        entry_size=entry_size,
    )
    found = layout(data)
    assert found.problems == ()
    assert found.table == PartitionTable("gpt", sector_size, DISK_GUID)  # type: ignore[arg-type]
    assert found.partitions == (
        Partition(
            1,
            first * sector_size,
            sector_size,
            LINUX,
            "Linux filesystem",
            "é",
            "00000000-0000-0000-0000-000001020304",
            True,
        ),
        Partition(
            3,
            (first + 1) * sector_size,
            100 * sector_size,
            LINUX,
            "Linux filesystem",
            None,
            "00000000-0000-0000-0000-000000000001",
            False,
        ),
    )


def test_few_reads_suffice(tmp_path: Path) -> None:
    path = sfdisk_disk(tmp_path / "disk")
    with FileSource(str(path)) as source:
        buffered = Buffered(source)
        assert mbr.TABLE.read(buffered) is None
        assert gpt.TABLE.read(buffered) is not None
        assert source.reads <= 3
        assert source.bytes_read <= 96 * KiB


# P4: damaged and misplaced copies

DAMAGE = [
    ("signature", 0, bytes(8), "signature zeros, expected EFI PART"),
    ("signature", 0, b"EFI PARU", "signature 45 46 49 20 50 41 52 55, expected EFI PART"),
    ("header checksum", 16, bytes(4), "header_crc32 0x00000000, computed "),
    ("header checksum", 56, b"\x77", "header_crc32 "),
    ("header size", 12, b"\x5b", "header_size 91 bytes, allowed 92 to 512"),
    ("header size", 12, b"\xff\xff\xff\xff", "header_size 4294967295 bytes, allowed 92 to 512"),
]


@pytest.mark.parametrize(("_what", "offset", "new", "message"), DAMAGE)
def test_damaged_primary_is_reported_and_the_backup_used(_what: str, offset: int, new: bytes, message: str) -> None:
    data = patch(VALID, 512 + offset, new)
    found = layout(data)
    assert problems(data) == [("gpt-primary-damaged", 512)]
    assert found.problems[0].message.startswith(message)
    assert found.problems[0].message.endswith(f"; the backup at LBA {LAST} is used")
    assert found.problems[0].where == "gpt primary header"
    assert (found.table.disk_id, ranges(found)) == (DISK_GUID, [(1, 2048, 2048)])


@pytest.mark.parametrize(("_what", "offset", "new", "message"), DAMAGE)
def test_damaged_backup_is_reported_and_the_primary_used(_what: str, offset: int, new: bytes, message: str) -> None:
    data = patch(VALID, BACKUP + offset, new)
    found = layout(data)
    assert problems(data) == [("gpt-backup-damaged", BACKUP)]
    assert found.problems[0].message.startswith(message)
    assert found.problems[0].where == "gpt backup header"
    assert ranges(found) == [(1, 2048, 2048)]


def test_damaged_arrays_are_reported() -> None:
    primary, backup = patch(VALID, 1024, b"\0"), patch(VALID, (LAST - 32) * 512 + 16383, b"\1")
    assert problems(primary) == [("gpt-primary-damaged", 512)]
    assert ranges(layout(primary)) == [(1, 2048, 2048)]
    assert "partition_entry_array_crc32" in layout(primary).problems[0].message
    assert problems(backup) == [("gpt-backup-damaged", BACKUP)]


def test_two_damaged_copies_give_no_partitions() -> None:
    data = patch(patch(VALID, 512, bytes(8)), BACKUP + 16, bytes(4))
    found = layout(data)
    assert found.table == PartitionTable("gpt", 512, None)
    assert found.partitions == ()
    assert problems(data) == [("gpt-damaged", 512)]
    assert "primary: signature zeros" in found.problems[0].message
    assert "backup: header_crc32 0x00000000" in found.problems[0].message


def test_backup_of_sfdisk_is_used_where_the_start_was_wiped(tmp_path: Path) -> None:
    path = sfdisk_disk(tmp_path / "disk")
    before = read_file(path)
    with path.open("r+b") as file:
        file.seek(512)
        file.write(bytes(33 * 512))
    found = read_file(path)
    assert codes(found) == ["gpt-primary-damaged"]
    assert (found.table, found.partitions) == (before.table, before.partitions)
    same_as_sfdisk(found, path)


def test_4096_byte_sectors_are_found_by_the_backup_alone() -> None:
    data = gpt_disk(entry(256, 300), sector_size=4096)
    data = patch(data, 4096, bytes(4096))
    found = layout(data)
    assert found.table.sector_size == 4096
    assert problems(data) == [("gpt-primary-damaged", 4096)]
    assert [(one.start, one.size) for one in found.partitions] == [(MiB, 45 * 4096)]


def test_disk_that_grew_has_its_backup_misplaced(tmp_path: Path) -> None:
    path = sfdisk_disk(tmp_path / "disk")
    with path.open("r+b") as file:
        file.truncate(2 * GiB)
    found = read_file(path)
    assert [(one.code, one.offset) for one in found.problems] == [("gpt-backup-misplaced", GiB - 512)]
    assert (
        f"LBA {GiB // 512 - 1}, expected at the last LBA of the disk, {2 * GiB // 512 - 1}" in found.problems[0].message
    )
    assert len(found.partitions) == 4
    run("sgdisk", "-e", path)
    assert read_file(path).problems == ()


def test_disk_that_lost_its_end_has_its_backup_misplaced_and_partitions_past_the_end(tmp_path: Path) -> None:
    path = sfdisk_disk(tmp_path / "disk")
    with path.open("r+b") as file:
        file.truncate(GiB // 2)
    found = read_file(path)
    assert [(one.code, one.where, one.offset) for one in found.problems] == [
        ("gpt-backup-misplaced", "gpt primary header", 512 + 32),
        ("partition-past-end", "gpt partition entry 4", 1024 + 3 * 128),
    ]
    assert len(found.partitions) == 4


def test_disk_that_grew_and_lost_its_primary_is_read_by_the_address_in_its_remains() -> None:
    data = patch(VALID, 1024, b"\0").ljust(2 * SIZE, b"\0")  # only the array is damaged
    found = layout(data)
    assert problems(data) == [("gpt-primary-damaged", 512), ("gpt-backup-misplaced", BACKUP)]
    assert ranges(found) == [(1, 2048, 2048)]


def test_one_sector_more_or_less_at_the_end_is_a_misplaced_backup() -> None:
    assert problems(VALID + bytes(512)) == [("gpt-backup-misplaced", BACKUP)]
    assert problems(VALID[:-512]) == [("gpt-backup-misplaced", 512 + 32)]
    assert problems(VALID + bytes(511)) == []


def test_missing_backup_on_a_disk_that_grew_is_both() -> None:
    data = patch(VALID, BACKUP, bytes(512)) + bytes(SIZE)
    assert problems(data) == [("gpt-backup-damaged", BACKUP), ("gpt-backup-misplaced", BACKUP)]


def test_valid_copies_that_disagree_are_reported_and_the_primary_used() -> None:
    data = gpt_disk(ONE, backup={"disk_guid": b"\1" * 16, "last_usable_lba": LAST_USABLE - 1})
    found = layout(data)
    assert problems(data) == [("gpt-headers-differ", BACKUP)]
    assert found.problems[0].message.endswith(": disk_guid, last_usable_lba")
    assert found.table.disk_id == DISK_GUID


@pytest.mark.parametrize("which", ["primary", "backup"])
def test_copies_that_do_not_name_each_other_are_reported(which: str) -> None:
    fields: dict[str, Any] = {which: {"alternate_lba": 2**64 - 1}}
    data = gpt_disk(ONE, **fields)
    assert problems(data) == [("gpt-headers-differ", BACKUP)]
    assert layout(data).problems[0].message.endswith(": alternate_lba")


def test_copies_with_different_arrays_are_reported() -> None:
    other = gpt_disk(entry(2048, 9000))
    data = VALID[: SIZE // 2] + other[SIZE // 2 :]
    assert problems(data) == [("gpt-headers-differ", BACKUP)]
    assert ranges(layout(data)) == [(1, 2048, 2048)]


# P3: the fields of a header whose checksum is right

HOSTILE: list[tuple[dict[str, Any], str]] = [
    ({"number_of_partition_entries": 2**32 - 1}, "allowed up to 1048576"),
    ({"number_of_partition_entries": 0}, "not empty"),
    ({"size_of_partition_entry": 0}, "size_of_partition_entry 0 bytes"),
    ({"size_of_partition_entry": 1}, "size_of_partition_entry 1 bytes"),
    ({"size_of_partition_entry": 64}, "size_of_partition_entry 64 bytes"),
    ({"size_of_partition_entry": 384}, "size_of_partition_entry 384 bytes"),
    ({"size_of_partition_entry": 2**31}, "allowed up to 1048576"),
    ({"size_of_partition_entry": 2**32 - 1}, "size_of_partition_entry 4294967295 bytes"),
    ({"partition_entry_lba": 0}, "partition_entry_lba 0"),
    ({"partition_entry_lba": 1}, "partition_entry_lba 1"),
    ({"partition_entry_lba": 2**64 - 1}, "partition_entry_lba 18446744073709551615"),
    ({"partition_entry_lba": LAST - 30}, f"partition_entry_lba {LAST - 30}"),
    ({"my_lba": 2}, "my_lba 2"),
    ({"first_usable_lba": LAST_USABLE + 1}, "are reversed"),
    ({"last_usable_lba": 2**64 - 1}, "the last LBA of the disk"),
    ({"partition_entry_array_crc32": 1}, "partition_entry_array_crc32 0x00000001"),
]


@pytest.mark.parametrize(("fields", "reason"), HOSTILE)
@pytest.mark.parametrize("which", ["primary", "backup"])
def test_hostile_header_is_not_used(which: str, fields: dict[str, Any], reason: str) -> None:
    overrides: dict[str, Any] = {which: fields}
    data = gpt_disk(ONE, **overrides)
    assert problems(data) == [(f"gpt-{which}-damaged", 512 if which == "primary" else BACKUP)]
    assert reason in layout(data).problems[0].message
    assert ranges(layout(data)) == [(1, 2048, 2048)]


def test_largest_array_is_read_and_one_entry_more_is_not() -> None:
    array = bytes(8191 * 128) + entry(6000, 6001)
    last = SIZE // 512 - 1
    fields = {
        "signature": b"EFI PART", "revision": 0x10000, "header_size": 512, "header_crc32": 0, "reserved": bytes(4),
        "my_lba": 1, "alternate_lba": last, "first_usable_lba": 4000, "last_usable_lba": 10000,
        "disk_guid": bytes(16), "partition_entry_lba": 100, "number_of_partition_entries": 8192,
        "size_of_partition_entry": 128, "partition_entry_array_crc32": 0,
    }  # fmt: skip

    def built(count: int) -> bytes:
        content = array.ljust(count * 128, b"\0")
        crc = {"partition_entry_array_crc32": zlib.crc32(content), "number_of_partition_entries": count}
        header = GPT_HEADER.build({**fields, **crc}).ljust(512, b"\x5a")
        return disk((0, boot_record(PROTECTIVE)), (512, seal(header, 512)), (51200, content))

    assert ranges(layout(built(8192))) == [(8192, 6000, 2)]
    assert codes(layout(built(8192))) == ["gpt-backup-damaged"]
    assert codes(layout(built(8193))) == ["gpt-damaged"]


# P5: the entries


def entry_problems(*entries: bytes) -> list[tuple[str, int | None]]:
    return problems(gpt_disk(*entries))


def test_partition_may_fill_the_usable_range_and_no_sector_more() -> None:
    assert entry_problems(entry(FIRST_USABLE, LAST_USABLE)) == []
    assert entry_problems(entry(FIRST_USABLE - 1, LAST_USABLE)) == [("gpt-entry-invalid", 1024)]
    assert entry_problems(entry(FIRST_USABLE, LAST_USABLE + 1)) == [("gpt-entry-invalid", 1024)]


def test_ending_lba_is_inclusive() -> None:
    assert ranges(layout(gpt_disk(entry(2048, 2048)))) == [(1, 2048, 1)]
    assert entry_problems(entry(2048, 4095), entry(4096, 5000)) == []
    assert entry_problems(entry(2048, 4096), entry(4096, 5000)) == [("partitions-overlap", 1024 + 128)]


def test_partition_past_the_end_is_told_once_and_listed() -> None:
    data = gpt_disk(entry(2048, LAST), bytes(128), entry(2048 + 1, LAST + 1))
    assert problems(data) == [
        ("gpt-entry-invalid", 1024),
        ("partition-past-end", 1024 + 256),
        ("partitions-overlap", 1024 + 256),
    ]
    assert [one.number for one in layout(data).partitions] == [1, 3]


@pytest.mark.parametrize(("first", "last"), [(4096, 4094), (2**64 - 1, 0), (0, 2**64 - 1), (2**60, 2**60 + 5)])
def test_entry_that_no_disk_can_have_is_no_partition(first: int, last: int) -> None:
    data = gpt_disk(ONE, entry(first, last))
    assert problems(data) == [("gpt-entry-invalid", 1024 + 128)]
    assert ranges(layout(data)) == [(1, 2048, 2048)]


def test_partition_over_the_headers_is_reported_though_the_header_calls_it_usable() -> None:
    usable = {"first_usable_lba": 0, "last_usable_lba": LAST}
    assert problems(gpt_disk(entry(34, LAST - 33), primary=usable, backup=usable)) == []
    over = [problem.message for problem in layout(gpt_disk(entry(0, LAST), primary=usable, backup=usable)).problems]
    assert over == [
        f"LBAs 0 to {LAST} cover the protective MBR or the primary header",
        f"LBAs 0 to {LAST} cover the header at LBA 1",
        f"LBAs 0 to {LAST} cover the partition entry array at LBA 2",
        f"LBAs 0 to {LAST} cover the header at LBA {LAST}",
        f"LBAs 0 to {LAST} cover the partition entry array at LBA {LAST - 32}",
    ]
    for first, last, count in ((33, 40, 1), (LAST - 32, LAST - 32, 1), (LAST, LAST, 1)):
        assert entry_count(gpt_disk(entry(first, last), primary=usable, backup=usable)) == count


def entry_count(data: bytes) -> int:
    return codes(layout(data)).count("gpt-entry-invalid")


@pytest.mark.parametrize("name", [b"\x00\xd8", b"a\0\x00\xdcb\0", b"a\0" * 35 + b"\x00\xd8"])
def test_name_that_is_not_utf_16_is_reported_and_printable(name: bytes) -> None:
    data = gpt_disk(entry(2048, 4095, name=name))
    assert problems(data) == [("gpt-entry-invalid", 1024)]
    shown = layout(data).partitions[0].name
    assert shown is not None and shown.encode().isascii() and "\\x" in shown


def test_rubbish_behind_the_end_of_a_name_is_ignored() -> None:
    data = gpt_disk(entry(2048, 4095, name=b"a\0\0\0\x00\xd8"))
    assert problems(data) == []
    assert layout(data).partitions[0].name == "a"


def test_problems_of_a_hostile_array_are_limited() -> None:
    data = gpt_disk(*[entry(5000, 4000)] * 128)
    found = layout(data)
    assert len(found.problems) == 64
    assert found.problems[-1].message.endswith("64 more problems of this table are not listed")


# P6: the MBR of a GPT


def with_mbr(*records: Record) -> bytes:
    return patch(VALID, 0, boot_record(*records))


@pytest.mark.parametrize(
    "protective",
    [
        record(0, 0xEE, 1, 2**32 - 1),
        record(0, 0xEE, 1, LAST),
        record(0, 0xEE, 1, 1000),  # the disk was smaller once
        record(0x80, 0xEE, 1, LAST),
    ],
)
def test_common_protective_mbr_is_no_problem(protective: Record) -> None:
    assert problems(with_mbr(protective)) == []


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        ([UNUSED, PROTECTIVE], [("gpt-protective-mbr-invalid", 462)]),
        ([PROTECTIVE] * 2, [("gpt-protective-mbr-invalid", 446)]),
        ([PROTECTIVE] * 4, [("gpt-protective-mbr-invalid", 446)]),
        ([record(0, 0xEE, 2, 100)], [("gpt-protective-mbr-invalid", 446)]),
        ([record(0, 0xEE, 0, 100)], [("gpt-protective-mbr-invalid", 446)]),
        ([record(0, 0xEE, 1, 0)], [("gpt-protective-mbr-invalid", 446)]),
        ([record(0x7F, 0xEE, 1, LAST)], [("mbr-boot-flag-invalid", 446)]),
    ],
)
def test_uncommon_protective_mbr_is_reported_and_the_gpt_read(
    records: list[Record], expected: list[tuple[str, int]]
) -> None:
    data = with_mbr(*records)
    assert problems(data) == expected
    assert layout(data).table.type == "gpt"
    assert ranges(layout(data)) == [(1, 2048, 2048)]


def test_hybrid_mbr_of_sgdisk_is_named_and_the_gpt_partitions_are_listed(tmp_path: Path) -> None:
    path = sparse(tmp_path / "disk", 64 * MiB)
    run("sgdisk", "-n", "1:1M:+10M", "-n", "2:20M:+10M", "-t", "1:ef00", "-h", "1", path)
    found = read_file(path)
    assert found.table.type == "hybrid"
    assert found.problems == ()
    same_as_sfdisk(found, path)


def test_hybrid_mbr_whose_0xee_record_is_not_the_first_is_reported(tmp_path: Path) -> None:
    path = sparse(tmp_path / "disk", 64 * MiB)
    run("sgdisk", "-n", "1:1M:+10M", "-h", "1:EE", path)
    data = path.read_bytes()
    slots = [data[446 + 16 * index + 4] for index in range(4)]
    assert slots.index(0xEE) == 1
    found = read_file(path)
    assert found.table.type == "hybrid"
    assert [(one.code, one.offset) for one in found.problems] == [("gpt-protective-mbr-invalid", 462)]
    assert "number 2, expected to be the first" in found.problems[0].message


@pytest.mark.parametrize(("records", "kind"), [([PROTECTIVE], "gpt"), ([PROTECTIVE, record(0, 7, 99, 9)], "hybrid")])
def test_protective_mbr_without_any_header_is_a_damaged_gpt(records: list[Record], kind: str) -> None:
    data = disk((0, boot_record(*records)))
    found = layout(data)
    assert found.table == PartitionTable(kind, 512, None)  # type: ignore[arg-type]
    assert problems(data) == [("gpt-damaged", 512)]
    assert found.partitions == ()


def test_four_protective_records_without_a_header_are_reported() -> None:
    data = disk((0, boot_record(*[PROTECTIVE] * 4)))
    assert problems(data) == [("gpt-protective-mbr-invalid", 446), ("gpt-damaged", 512)]


def test_gpt_without_any_mbr_is_reported_and_not_followed(tmp_path: Path) -> None:
    data = patch(VALID, 0, bytes(512))
    path = tmp_path / "disk"
    path.write_bytes(data)
    assert "PTTYPE" not in run("blkid", "-p", "-o", "export", path, ok=(0, 2))
    found = layout(data)
    assert found.table == PartitionTable("none", 512, None)
    assert found.partitions == ()
    assert problems(data) == [("gpt-protective-mbr-missing", 512)]


def test_file_system_over_the_remains_of_a_gpt_is_no_table(tmp_path: Path) -> None:
    path = sparse(tmp_path / "disk", 64 * MiB)
    run("sgdisk", "-n", "1:1M:+10M", path)
    whole = path.read_bytes()
    run("mkfs.ext4", "-qF", path)
    formatted = path.read_bytes()
    remains = patch(formatted, 512, whole[512:1024])  # mke2fs cleared what it found; an older one did not
    assert read(formatted) is None
    assert read(remains) is None


def test_grub_in_the_protective_mbr_is_named() -> None:
    code = b"".ljust(0x180, b"\x90") + b"GRUB \0Geom\0Hard Disk\0Read\0 Error\r\n\0"
    data = patch(VALID, 0, boot_record(PROTECTIVE, boot_code=code))
    assert layout(data).table.boot_loader == "GRUB"


# What cannot be read


class Broken(Memory):
    """A disk whose bytes from `start` to `end` are elsewhere."""

    def __init__(self, data: bytes, start: int, end: int) -> None:
        super().__init__(data)
        self.start, self.end = start, end

    def read_at(self, offset: int, size: int) -> bytes:
        if offset < self.end and self.start < offset + size:
            raise UnreachableBytes("the disk", offset, "they are in a backing file")
        return super().read_at(offset, size)


def test_unreachable_backup_is_reported_as_such() -> None:
    found = gpt.TABLE.read(Broken(VALID, SIZE - 4096, SIZE))
    assert found is not None and ranges(found) == [(1, 2048, 2048)]
    assert [(one.code, one.offset) for one in found.problems] == [("partition-table-unreadable", BACKUP)]


def test_unreachable_primary_is_reported_as_such_and_the_backup_used() -> None:
    found = gpt.TABLE.read(Broken(VALID, 512, 40960))
    assert found is not None and ranges(found) == [(1, 2048, 2048)]
    assert [(one.code, one.offset) for one in found.problems] == [("partition-table-unreadable", 512)]


def test_nothing_is_said_of_a_gpt_that_cannot_be_reached() -> None:
    with pytest.raises(UnreachableBytes):
        gpt.TABLE.read(Broken(VALID, 512, SIZE))

    class Failing(Memory):
        def read_at(self, offset: int, size: int) -> bytes:
            raise ReadFailed("the file", offset, "reading failed")

    with pytest.raises(ReadFailed):
        gpt.TABLE.read(Failing(VALID))


# Any bytes


def harmless(data: bytes) -> None:
    with contextlib.suppress(StructureError):
        read(data)


SMALL = gpt_disk(entry(40, 50), entry(60, 70), size=128 * 512)


@given(st.binary(max_size=2048), st.integers(0, 3))
@settings(max_examples=150, deadline=None)
def test_any_bytes_behind_a_protective_mbr_give_a_value(data: bytes, sectors: int) -> None:
    harmless(boot_record(PROTECTIVE) + data)
    harmless(boot_record(PROTECTIVE) + b"EFI PART" + data)
    harmless(SMALL[: 512 * sectors] + data)


@given(st.integers(0, len(SMALL) - 1), st.integers(0, 255))
@settings(max_examples=200, deadline=None)
def test_any_changed_byte_gives_a_value(offset: int, value: int) -> None:
    harmless(patch(SMALL, offset, bytes([value])))


@given(st.integers(8, 91), st.binary(min_size=1, max_size=8))
@settings(max_examples=200, deadline=None)
def test_any_changed_field_under_a_right_checksum_gives_a_value(offset: int, new: bytes) -> None:
    new = new[: 92 - offset]
    for lba in (1, 127):
        header = patch(SMALL[lba * 512 : (lba + 1) * 512], offset, new)
        size = struct.unpack_from("<I", header, 12)[0]
        harmless(patch(SMALL, lba * 512, seal(header, size)))


@given(*[st.integers(0, 2**64 - 1)] * 3, st.binary(max_size=72))
@settings(max_examples=150, deadline=None)
def test_any_entry_gives_a_value_that_can_be_printed(first: int, last: int, attributes: int, name: bytes) -> None:
    data = gpt_disk(entry(first, last, name=name, attributes=attributes), size=128 * 512)
    msgspec.json.encode(layout(data))
