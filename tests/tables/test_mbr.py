"""MBR and logical partitions: against sfdisk, parted and blkid, and against hostile tables."""

import contextlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from preflight.errors import ReadFailed, StructureError
from preflight.facts import Partition, PartitionTable
from preflight.source import Buffered, FileSource, Memory
from preflight.tables import mbr
from preflight.tables._types import MBR_TYPE_NAMES
from preflight.units import GiB, KiB, MiB
from tests.tables.disks import (
    SIZE,
    UNUSED,
    Record,
    as_sfdisk,
    boot_record,
    disk,
    gpt_disk,
    layout,
    patch,
    problems,
    ranges,
    read,
    record,
    sfdisk,
)
from tests.tools import run, sparse

LINUX = record(0, 0x83, 2048, 4096)
CONTAINER = record(0, 0x05, 2048, 8192)  # LBAs 2048 to 10239
SLOT = [446, 462, 478, 494]


def table(*records: Record, disk_signature: int = 0) -> bytes:
    return disk((0, boot_record(*records, disk_signature=disk_signature)))


def extended(*boot_records: tuple[int, bytes], container: Record = CONTAINER) -> bytes:
    """A disk with one extended partition and boot records at these LBAs."""
    return disk((0, boot_record(container)), *((lba * 512, data) for lba, data in boot_records))


def test_partitions_are_those_that_sfdisk_lists(tmp_path: Path) -> None:
    path = sparse(tmp_path / "disk", 1 * GiB)
    script = """label: dos
        label-id: 0x0badcafe
        start=2048, size=204800, type=7, bootable
        start=206848, size=409600, type=83
        start=618496, size=1400000, type=f
        start=620544, size=40960, type=82
        start=663552, size=102400, type=83
        start=768000, size=2048, type=8e
    """
    run("sfdisk", "-q", path, stdin=script)
    with FileSource(str(path)) as source:
        found = mbr.TABLE.read(source)
    assert found is not None and found.problems == ()
    assert found.table == PartitionTable("mbr", 512, "0x0badcafe")
    expected = sfdisk(path)["partitions"]
    assert sorted(expected) == [1, 2, 3, 5, 6, 7]
    assert [one.number for one in found.partitions] == [1, 2, 3, 5, 6, 7]
    for partition in found.partitions:
        shown = {key: value for key, value in expected[partition.number].items() if key != "node"}
        assert as_sfdisk(partition) == shown
    assert found.partitions[0] == Partition(
        1, 2048 * 512, 204800 * 512, "0x07", "HPFS/NTFS/exFAT", None, "0badcafe-01", True
    )


def test_partitions_of_parted_agree_with_blkid(tmp_path: Path) -> None:
    path = sparse(tmp_path / "disk", 128 * MiB)
    script = ["mklabel", "msdos", "mkpart", "primary", "1MiB", "17MiB", "mkpart", "extended", "17MiB", "100%"]
    script += ["mkpart", "logical", "18MiB", "30MiB", "mkpart", "logical", "40MiB", "50MiB", "set", "1", "boot", "on"]
    run("parted", "-s", path, *script)
    found = layout(path.read_bytes())
    assert found.problems == ()
    expected = sfdisk(path)
    assert found.table.disk_id == expected["id"]
    assert {one.number: as_sfdisk(one) for one in found.partitions} == {
        number: {key: value for key, value in one.items() if key != "node"}
        for number, one in expected["partitions"].items()
    }
    identity = run("blkid", "-p", "-o", "export", path)
    assert "PTTYPE=dos" in identity
    assert f"PTUUID={(found.table.disk_id or '')[2:]}" in identity


@pytest.mark.parametrize("number", [1, 5, 10, 15])
def test_uuid_has_the_number_in_hexadecimal(number: int) -> None:
    chain = []
    for index in range(11):
        link = record(0, 0x05, (index + 1) * 64, 64) if index < 10 else UNUSED
        chain.append((2048 + index * 64, boot_record(record(0, 0x83, 1, 8), link)))
    data = patch(extended(*chain), 440, b"\xef\xbe\xad\xde")
    found = {one.number: one for one in layout(data).partitions}
    assert list(found) == [1, *range(5, 16)]
    assert found[number].uuid == f"deadbeef-{number:02x}"
    assert problems(data) == []


def test_there_is_no_disk_id_and_no_uuid_without_a_signature() -> None:
    found = layout(table(LINUX))
    assert found.table.disk_id is None
    assert found.partitions[0].uuid is None


def test_built_table_is_read() -> None:
    data = table(UNUSED, record(0x80, 0x83, 2048, 4096), UNUSED, record(0, 0x99, 8000, 8), disk_signature=0x1F)
    found = layout(data)
    assert found.table == PartitionTable("mbr", 512, "0x0000001f")
    assert found.partitions == (
        Partition(2, 1048576, 2097152, "0x83", "Linux", None, "0000001f-02", True),
        Partition(4, 4096000, 4096, "0x99", None, None, "0000001f-04", False),
    )
    assert found.problems == ()


def test_names_are_those_of_sfdisk() -> None:
    expected = {}
    for line in run("sfdisk", "--list-types", "--label", "dos").splitlines()[2:]:
        number, _, name = line.strip().partition("  ")
        expected[int(number, 16)] = name
    assert len(expected) > 90
    assert {number: MBR_TYPE_NAMES.get(number) for number in expected} == expected


@pytest.mark.parametrize(
    ("boot_code", "loader"),
    [
        (b"\xeb\x63\x90".ljust(0x180, b"\0") + b"GRUB \0Geom\0Hard Disk\0Read\0 Error\r\n\0", "GRUB"),
        (b"\xfa\xeb\x21\x01\xb4\x01LILO\x18\x05", "LILO"),
        (b"\x33\xc0\x8e\xd0".ljust(0x163, b"\0") + b"Invalid partition table\0", None),
        (b"GRUB", None),
    ],
)
def test_boot_loader_in_sector_0_is_named(boot_code: bytes, loader: str | None) -> None:
    assert layout(disk((0, boot_record(LINUX, boot_code=boot_code)))).table.boot_loader == loader


# What is an MBR at all


def test_empty_table_is_an_mbr_for_us_and_for_sfdisk_and_blkid(tmp_path: Path) -> None:
    path = sparse(tmp_path / "disk", 8 * MiB)
    run("sfdisk", "-q", path, stdin="label: dos\n")
    assert sfdisk(path)["label"] == "dos"
    assert "PTTYPE=dos" in run("blkid", "-p", "-o", "export", path)
    found = layout(path.read_bytes())
    assert (found.table.type, found.partitions, found.problems) == ("mbr", (), ())


def test_sector_without_signature_is_no_table() -> None:
    assert read(patch(table(LINUX), 510, b"\x55\x00")) is None
    assert read(bytes(SIZE)) is None
    assert read(b"") is None
    assert read(b"\x55" * 511) is None


@pytest.mark.parametrize(
    "command",
    [
        ("mkfs.vfat", "-F", "12"),
        ("mkfs.vfat", "-F", "16"),
        ("mkfs.vfat", "-F", "32"),
        ("mkntfs", "-qF"),
        ("mkfs.exfat",),
    ],
    ids=" ".join,
)
def test_boot_sector_of_a_file_system_is_no_table(tmp_path: Path, command: tuple[str, ...]) -> None:
    path = sparse(tmp_path / "disk", 2 * MiB if "12" in command else 64 * MiB)
    run(*command, path)
    with path.open("rb") as file:
        data = file.read(MiB)
    assert data[510:512] == b"\x55\xaa"
    assert read(data) is None


def test_table_on_the_boot_sector_of_a_file_system_is_one_where_it_makes_sense(tmp_path: Path) -> None:
    path = sparse(tmp_path / "disk", 64 * MiB)
    run("mkfs.vfat", "-F", "32", path)
    data = path.read_bytes()
    with_table = patch(data, 446, boot_record(LINUX)[446:462])
    path.write_bytes(with_table)
    assert list(sfdisk(path)["partitions"]) == [1]
    assert ranges(layout(with_table)) == [(1, 2048, 4096)]
    assert read(patch(with_table, 446, b"\x7f")) is None
    assert read(patch(data, 446, boot_record(record(0, 0x83, 2**31, 4096))[446:462])) is None


def test_aix_disk_is_no_table() -> None:
    assert read(patch(table(LINUX), 0, b"\xc9\xc2\xd4\xc1")) is None


def test_boot_code_where_the_table_would_be_is_no_table() -> None:
    text = b"Missing operating system. Press any key to restart your machine\0"
    assert read(disk((446, text), (510, b"\x55\xaa"))) is None


def test_unreadable_sector_0_is_the_callers_matter() -> None:
    class Broken(Memory):
        def read_at(self, offset: int, size: int) -> bytes:
            raise ReadFailed("the file", offset, "reading failed")

    with pytest.raises(ReadFailed):
        mbr.TABLE.read(Broken(table(LINUX)))


def test_gpt_left_behind_under_an_mbr_is_reported() -> None:
    data = gpt_disk(sector_0=boot_record(LINUX))
    found = layout(data)
    assert found.table.type == "mbr"
    assert ranges(found) == [(1, 2048, 4096)]
    assert problems(data) == [("gpt-protective-mbr-missing", 512)]


def test_remains_of_a_gpt_that_are_no_longer_valid_are_not_reported() -> None:
    assert problems(patch(gpt_disk(sector_0=boot_record(LINUX)), 1024, b"\xff")) == []


# P2: the records


def test_boot_flag_that_is_neither_0_nor_0x80_is_reported_and_the_table_read() -> None:
    data = table(record(0x7F, 0x83, 2048, 4096), record(0x80, 0x83, 8192, 100))
    found = layout(data)
    assert ranges(found) == [(1, 2048, 4096), (2, 8192, 100)]
    assert [one.bootable for one in found.partitions] == [False, True]
    assert problems(data) == [("mbr-boot-flag-invalid", 446)]
    assert found.problems[0].message == "boot indicator 0x7f, expected 0x00 or 0x80"
    assert found.problems[0].where == "master boot record"


def test_boot_flag_of_an_unused_record_is_reported() -> None:
    assert problems(table(LINUX, record(0x01, 0, 0, 0))) == [("mbr-boot-flag-invalid", SLOT[1])]


def test_partition_that_ends_with_the_disk_is_right_and_one_sector_more_is_not() -> None:
    sectors = SIZE // 512
    assert problems(table(record(0, 0x83, 2048, sectors - 2048))) == []
    data = table(record(0, 0x83, 2048, sectors - 2047))
    assert problems(data) == [("partition-past-end", 446)]
    assert ranges(layout(data)) == [(1, 2048, sectors - 2047)]


@pytest.mark.parametrize("starting_lba", [2**32 - 1, SIZE // 512])
def test_partition_beyond_the_disk_is_reported(starting_lba: int) -> None:
    assert problems(table(LINUX, record(0, 0x83, starting_lba, 2**32 - 1))) == [("partition-past-end", SLOT[1])]


def test_partition_that_begins_at_the_mbr_is_reported() -> None:
    data = table(record(0, 0x83, 0, 100))
    assert problems(data) == [("mbr-entry-invalid", 446)]
    assert ranges(layout(data)) == [(1, 0, 100)]


def test_typed_record_without_size_is_reported_and_is_no_partition() -> None:
    data = table(UNUSED, record(0, 0x83, 2048, 0))
    assert problems(data) == [("mbr-entry-invalid", SLOT[1])]
    assert layout(data).partitions == ()


def test_untyped_record_with_size_is_reported_and_listed_as_linux_and_sfdisk_do(tmp_path: Path) -> None:
    data = table(LINUX, record(0, 0, 8192, 100))
    assert problems(data) == [("mbr-entry-invalid", SLOT[1])]
    path = tmp_path / "disk"
    path.write_bytes(data)
    assert list(sfdisk(path)["partitions"]) == [one.number for one in layout(data).partitions] == [1, 2]


def test_adjacent_partitions_do_not_overlap_and_one_sector_more_does() -> None:
    assert problems(table(record(0, 0x83, 6144, 10), record(0, 0x83, 2048, 4096))) == []
    data = table(record(0, 0x83, 6143, 10), record(0, 0x83, 2048, 4096), record(0, 0x83, 4096, 10))
    assert problems(data) == [("partitions-overlap", SLOT[2]), ("partitions-overlap", SLOT[0])]


def test_logical_partitions_do_not_overlap_their_container_but_each_other() -> None:
    first = boot_record(record(0, 0x83, 63, 1000), record(0, 0x05, 4096, 100))
    assert problems(extended((2048, first), (6144, boot_record(record(0, 0x83, 63, 100))))) == []
    overlapping = boot_record(record(0, 0x83, 63, 4096), record(0, 0x05, 4000, 100))
    data = extended((2048, overlapping), (6048, boot_record(record(0, 0x83, 63, 10))))
    assert problems(data) == [("partitions-overlap", 6048 * 512 + 446)]


# P1: the chain


def test_boot_record_without_data_is_passed_over_as_sfdisk_does(tmp_path: Path) -> None:
    data = extended(
        (2048, boot_record(UNUSED, record(0, 0x05, 4096, 4096))), (6144, boot_record(record(0, 0x83, 63, 100)))
    )
    path = tmp_path / "disk"
    path.write_bytes(data)
    assert list(sfdisk(path)["partitions"]) == [1, 5]
    assert ranges(layout(data)) == [(1, 2048, 8192), (5, 6144 + 63, 100)]
    assert problems(data) == []


def test_empty_extended_partition_of_sfdisk_has_no_problem(tmp_path: Path) -> None:
    path = sparse(tmp_path / "disk", SIZE)
    run("sfdisk", "-q", path, stdin="label: dos\n2048,8192,5\n")
    found = layout(path.read_bytes())
    assert ranges(found) == [(1, 2048, 8192)]
    assert found.problems == ()


@pytest.mark.parametrize("os_type", [0x05, 0x0F, 0x85])
def test_links_are_relative_to_the_container_and_data_to_the_boot_record(os_type: int) -> None:
    data = extended(
        (2048, boot_record(record(0, 0x83, 10, 20), record(0, os_type, 100, 200))),
        (2148, boot_record(record(0, 0x82, 30, 40), record(0, os_type, 300, 400))),
        (2348, boot_record(record(0, 0x8E, 50, 60))),
        container=record(0, os_type, 2048, 8192),
    )
    assert ranges(layout(data)) == [(1, 2048, 8192), (5, 2058, 20), (6, 2178, 40), (7, 2398, 60)]
    assert problems(data) == []


def test_logical_partitions_of_two_containers_are_numbered_through() -> None:
    data = disk(
        (0, boot_record(LINUX, record(0, 0x05, 7000, 100), record(0, 0x0F, 8000, 100))),
        (7000 * 512, boot_record(record(0, 0x83, 1, 2))),
        (8000 * 512, boot_record(record(0, 0x83, 3, 4))),
    )
    assert ranges(layout(data))[3:] == [(5, 7001, 2), (6, 8003, 4)]


def test_third_and_fourth_record_count_only_where_they_fit() -> None:
    third, fourth = record(0, 0x83, 300, 50), record(0x33, 0x83, 300, 9000)
    data = extended((2048, boot_record(record(0, 0x83, 10, 20), UNUSED, third, fourth)))
    assert ranges(layout(data)) == [(1, 2048, 8192), (5, 2058, 20), (6, 2348, 50)]
    assert problems(data) == []


def test_boot_record_that_links_to_itself_ends_the_chain() -> None:
    data = extended((2048, boot_record(record(0, 0x83, 63, 100), record(0, 0x05, 0, 100))))
    assert ranges(layout(data)) == [(1, 2048, 8192), (5, 2111, 100)]
    assert problems(data) == [("ebr-chain-invalid", 2048 * 512 + SLOT[1])]


def test_cycle_of_two_boot_records_ends_the_chain() -> None:
    data = extended(
        (2048, boot_record(record(0, 0x83, 1, 9), record(0, 0x05, 100, 100))),
        (2148, boot_record(record(0, 0x83, 1, 9), record(0, 0x05, 0, 100))),
    )
    assert ranges(layout(data)) == [(1, 2048, 8192), (5, 2049, 9), (6, 2149, 9)]
    assert problems(data) == [("ebr-chain-invalid", 2148 * 512 + SLOT[1])]


def test_chain_of_5000_boot_records_ends_after_256() -> None:
    chain = [
        (2048 + index * 2, boot_record(record(0, 0x83, 1, 1), record(0, 0x05, (index + 1) * 2, 2)))
        for index in range(5000)
    ]
    data = extended(*chain, container=record(0, 0x05, 2048, 12000))
    found = layout(data)
    assert [one.number for one in found.partitions] == [1, *range(5, 261)]
    assert problems(data) == [("ebr-chain-invalid", (2048 + 255 * 2) * 512 + SLOT[1])]


def test_only_the_first_of_four_links_is_followed() -> None:
    links = [record(0, 0x05, lba, 100) for lba in (100, 200, 300, 400)]
    fork = boot_record(*links)
    data = extended(*((lba, fork) for lba in (2048, 2148, 2248, 2348, 2448)))
    assert ranges(layout(data)) == [(1, 2048, 8192)]
    assert problems(data) == [
        ("ebr-chain-invalid", 2048 * 512 + SLOT[1]),
        ("ebr-chain-invalid", 2148 * 512 + SLOT[1]),
        ("ebr-chain-invalid", 2148 * 512 + SLOT[0]),
    ]


@pytest.mark.parametrize("relative", [8192, 2**32 - 2048, 2**32 - 1])
def test_link_out_of_the_container_is_not_followed(relative: int) -> None:
    data = extended((2048, boot_record(record(0, 0x83, 63, 100), record(0, 0x05, relative, 100))))
    data = patch(data, (2048 + 8192) * 512, boot_record(record(0, 0x83, 1, 1)))
    assert ranges(layout(data)) == [(1, 2048, 8192), (5, 2111, 100)]
    assert problems(data) == [("ebr-chain-invalid", 2048 * 512 + SLOT[1])]


def test_logical_partition_out_of_its_container_is_reported() -> None:
    assert problems(extended((2048, boot_record(record(0, 0x83, 63, 8192 - 63))))) == []
    data = extended((2048, boot_record(record(0, 0x83, 63, 8192 - 62))))
    assert problems(data) == [("ebr-chain-invalid", 2048 * 512 + SLOT[0])]


def test_boot_record_without_signature_is_reported() -> None:
    assert problems(extended()) == [("ebr-chain-invalid", 2048 * 512)]


def test_container_past_the_end_is_told_once() -> None:
    assert problems(table(record(0, 0x05, SIZE // 512, 100))) == [("partition-past-end", 446)]


def test_container_at_lba_0_is_not_followed() -> None:
    data = table(record(0, 0x05, 0, 8192))
    assert problems(data) == [("mbr-entry-invalid", 446)]
    assert len(layout(data).partitions) == 1


def test_records_of_a_boot_record_are_checked_as_well() -> None:
    data = extended((2048, boot_record(record(0x7F, 0x83, 0, 100), record(0, 0x83, 200, 0))))
    assert problems(data) == [
        ("mbr-boot-flag-invalid", 2048 * 512 + SLOT[0]),
        ("mbr-entry-invalid", 2048 * 512 + SLOT[0]),
        ("mbr-entry-invalid", 2048 * 512 + SLOT[1]),
    ]


def test_unreadable_boot_record_leaves_the_primary_partitions() -> None:
    class Broken(Memory):
        def read_at(self, offset: int, size: int) -> bytes:
            if offset == 2048 * 512:
                raise ReadFailed("the file", offset, "reading failed")
            return super().read_at(offset, size)

    found = mbr.TABLE.read(Broken(extended()))
    assert found is not None and ranges(found) == [(1, 2048, 8192)]
    assert [(one.code, one.offset) for one in found.problems] == [("partition-table-unreadable", 2048 * 512)]


# Sectors of 4096 bytes


def test_partitions_that_are_only_found_with_4096_byte_sectors_are_taken_so(tmp_path: Path) -> None:
    path = sparse(tmp_path / "disk", 64 * MiB)
    script = "o\nn\np\n1\n256\n+16M\nn\ne\n2\n\n\nn\n\n+8M\nw\n"
    run("fdisk", "-b", "4096", path, stdin=script)
    inside = sparse(tmp_path / "inside", 16 * MiB)
    run("mkfs.ext4", "-q", inside)
    data = path.read_bytes()
    data = patch(data, 256 * 4096, inside.read_bytes())
    path.write_bytes(data)
    found = layout(data)
    assert found.table.sector_size == 4096
    assert found.problems == ()
    listed = [
        line.split() for line in run("fdisk", "-b", "4096", "-l", "-o", "Device,Start,Sectors", path).splitlines()
    ]
    expected = [
        (int(line[0].removeprefix(str(path))), int(line[1]), int(line[2]))
        for line in listed
        if len(line) == 3 and line[0].startswith(str(path))
    ]
    assert len(expected) == 3
    assert [(one.number, one.start // 4096, one.size // 4096) for one in found.partitions] == expected


def test_disk_that_grew_keeps_its_512_byte_sectors() -> None:
    small = table(LINUX)[: 1 * MiB]
    data = (small + b"\1" * KiB).ljust(40 * MiB, b"\0")
    data = patch(data, 2048 * 4096, b"\1")
    assert layout(data).table.sector_size == 512
    assert layout(patch(data, MiB, bytes(KiB))).table.sector_size == 4096
    superblock_of_btrfs_only = patch(patch(data, MiB, bytes(KiB)), MiB + 64 * KiB, b"_BHRfS_M")
    assert layout(superblock_of_btrfs_only).table.sector_size == 512


def test_few_reads_suffice(tmp_path: Path) -> None:
    path = tmp_path / "disk"
    path.write_bytes(table(LINUX, record(0, 0x83, 8192, 100)))
    with FileSource(str(path)) as source:
        assert mbr.TABLE.read(Buffered(source)) is not None
        assert source.reads <= 2


# Any bytes


def harmless(data: bytes) -> None:
    with contextlib.suppress(StructureError):
        read(data)


@given(st.binary(max_size=4096))
@settings(max_examples=100, deadline=None)
def test_any_bytes_give_a_value_or_a_structure_error(data: bytes) -> None:
    harmless(data)
    harmless(data[:510].ljust(510, b"\0") + b"\x55\xaa" + data[510:])


@given(st.lists(st.tuples(st.integers(0, 255), st.integers(0, 255), *[st.integers(0, 2**32 - 1)] * 2), max_size=4))
@settings(max_examples=100, deadline=None)
def test_any_records_give_a_value_or_a_structure_error(records: list[Record]) -> None:
    sector = boot_record(*records)
    harmless(sector * 64)


VALID = extended(
    (2048, boot_record(record(0, 0x83, 63, 100), record(0, 0x05, 4096, 100))),
    (6144, boot_record(record(0, 0x83, 63, 100))),
)


@given(st.sampled_from([0, 2048 * 512, 6144 * 512]), st.integers(440, 511), st.integers(0, 255))
@settings(max_examples=200, deadline=None)
def test_any_changed_byte_gives_a_value_or_a_structure_error(sector: int, offset: int, value: int) -> None:
    harmless(patch(VALID, sector + offset, bytes([value])))


def test_sfdisk_still_reads_what_these_tests_build(tmp_path: Path) -> None:
    path = tmp_path / "disk"
    path.write_bytes(VALID)
    assert list(sfdisk(path)["partitions"]) == [one.number for one in layout(VALID).partitions]
