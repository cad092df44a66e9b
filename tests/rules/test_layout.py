"""Rules on tables, partitions and what lies in them."""

import pytest

from preflight.facts import ProblemCode
from preflight.verdicts import Declared
from tests import builders
from tests.builders import NO_TABLE, breaches, filesystem, found, gpt, image, partition, problem, raw, unread, unsettled

DATA = Declared(role="data")
BARE = image(partition_table=NO_TABLE, partitions=(), filesystems=(filesystem("disk"),))


def test_a_system_disk_needs_a_partition_table_and_a_data_disk_does_not() -> None:
    assert found(BARE) == {"no-partition-table": "error"}
    assert breaches("no-partition-table", BARE)[0].message == (
        "no partition table: the signature of ext4 lies on the bare disk"
    )
    assert found(BARE, DATA) == {}


def test_a_blank_disk_is_no_system_disk_and_a_fine_data_disk() -> None:
    blank = image(partition_table=NO_TABLE, partitions=(), filesystems=())
    assert found(blank) == {"no-partition-table": "error"}
    assert found(blank, DATA) == {}


def test_a_table_that_was_not_read_is_undetermined_for_a_system_disk_of_an_importable_format() -> None:
    unreached = image(partition_table=None, partitions=(), filesystems=())
    assert unsettled("no-partition-table", unreached)
    assert not unsettled("no-partition-table", unreached, DATA)
    assert not unsettled("no-partition-table", unread("vmdk"))


def test_an_empty_table_is_no_system_disk_and_a_fine_data_disk() -> None:
    empty = image(partitions=(), filesystems=())
    assert found(empty) == {"no-partitions": "error"}
    assert found(empty, DATA) == {}
    assert not breaches("no-partitions", image(partitions=(partition(),)))


def test_a_table_that_is_lost_is_not_called_empty_too() -> None:
    lost = image(partitions=(), filesystems=(), problems=(problem("gpt-damaged"),))
    assert found(lost) == {"damaged-gpt": "error"}
    assert found(lost, DATA) == {"damaged-gpt": "error"}


@pytest.mark.parametrize("code", ["gpt-primary-damaged", "gpt-backup-damaged", "gpt-headers-differ"])
def test_one_damaged_copy_of_a_gpt_is_an_error_and_is_written_anew(code: ProblemCode) -> None:
    assert found(raw(problems=(problem(code),))) == {"damaged-gpt": "error"}
    (breach,) = breaches("damaged-gpt", raw(problems=(problem(code),)))
    wiped = "dd if=/dev/zero of=./disk.raw bs=512 seek=1 count=1 conv=notrunc status=none && "
    command = f"{wiped if code == 'gpt-headers-differ' else ''}sgdisk -e ./disk.raw"
    assert breach.remedy.endswith(f", run: {command}")


def test_a_table_in_a_container_is_edited_in_a_raw_copy() -> None:
    (breach,) = breaches("misplaced-gpt-backup", image(path="a b.qcow2", problems=(problem("gpt-backup-misplaced"),)))
    assert breach.remedy == (
        "Move it to the end in a raw copy, run: qemu-img convert -f qcow2 -O raw './a b.qcow2' './a b.qcow2.raw'"
        " && sgdisk -e './a b.qcow2.raw' && qemu-img convert -f raw -O qcow2 './a b.qcow2.raw' './a b.clean.qcow2'"
    )


def test_sgdisk_is_not_let_loose_on_a_file_with_sectors_of_4096_bytes() -> None:
    table = gpt(sector_size=4096)
    for code, rule in (("gpt-backup-misplaced", "misplaced-gpt-backup"), ("gpt-backup-damaged", "damaged-gpt")):
        (breach,) = breaches(rule, raw(partition_table=table, problems=(problem(code),)))  # type: ignore[arg-type]
        assert "run:" not in breach.remedy
        assert "losetup --sector-size 4096" in breach.remedy


def test_a_misplaced_backup_is_a_warning() -> None:
    assert found(image(problems=(problem("gpt-backup-misplaced"),))) == {"misplaced-gpt-backup": "warning"}


def test_a_gpt_that_nothing_announces_is_an_error_for_every_role() -> None:
    hidden = raw(
        partition_table=NO_TABLE, partitions=(), filesystems=(), problems=(problem("gpt-protective-mbr-missing"),)
    )
    assert found(hidden, DATA) == {"missing-protective-mbr": "error"}
    assert found(hidden)["missing-protective-mbr"] == "error"
    assert breaches("missing-protective-mbr", hidden)[0].remedy.endswith("run: sgdisk -e ./disk.raw")


def test_a_gpt_that_was_left_behind_is_a_warning() -> None:
    left = problem("gpt-protective-mbr-missing")
    mbr = image(partition_table=gpt(type="mbr"), problems=(left,), guest=builders.linux())
    assert found(mbr) == {"irregular-protective-mbr": "warning"}
    bare = image(partition_table=NO_TABLE, partitions=(), filesystems=(filesystem("disk"),), problems=(left,))
    assert found(bare, DATA) == {"irregular-protective-mbr": "warning"}
    assert found(image(problems=(problem("gpt-protective-mbr-invalid"),))) == {"irregular-protective-mbr": "warning"}


@pytest.mark.parametrize("content", ["JPEG image data", "ELF 64-bit LSB executable"])
def test_what_passes_for_raw_only_because_nobody_knows_it_is_told_with_what_it_may_be(content: str) -> None:
    unknown = raw(partition_table=NO_TABLE, partitions=(), filesystems=(), format_details={"content": content})
    assert content in breaches("unrecognised-contents", unknown)[0].message
    assert found(unknown, DATA) == {"unrecognised-contents": "warning"}
    assert not breaches("unrecognised-contents", builders.raw())


@pytest.mark.parametrize(
    ("code", "rule", "severity"),
    [
        ("gpt-entry-invalid", "invalid-gpt-entry", "error"),
        ("mbr-entry-invalid", "invalid-partition-entry", "warning"),
        ("mbr-boot-flag-invalid", "invalid-partition-entry", "warning"),
        ("ebr-chain-invalid", "broken-logical-partitions", "error"),
        ("partitions-overlap", "overlapping-partitions", "error"),
        ("partition-table-unreadable", "unreadable-partition-table", "error"),
        ("contents-unreadable", "unreadable-contents", "error"),
        ("filesystem-ambiguous", "ambiguous-filesystem", "warning"),
        ("superblock-invalid", "damaged-superblock", "error"),
        ("filesystem-damaged", "damaged-superblock", "error"),
        ("luks-header-invalid", "damaged-superblock", "error"),
        ("md-superblock-invalid", "damaged-superblock", "error"),
        ("lvm-metadata-invalid", "damaged-superblock", "error"),
        ("superblock-irregular", "irregular-superblock", "warning"),
        ("lvm-incomplete", "incomplete-volume-group", "warning"),
    ],
)
def test_each_defect_of_a_layout_has_the_rule_that_is_named_for_it(code: ProblemCode, rule: str, severity: str) -> None:
    for declared, disk in ((Declared(), image()), (DATA, image(partitions=(partition(),)))):
        assert found(disk, declared) == {}
        broken = image(partitions=disk.partitions, guest=disk.guest, problems=(problem(code),))
        assert found(broken, declared) == {rule: severity}
