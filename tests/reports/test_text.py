"""Results for a person."""

import re
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from preflight.checking import check
from preflight.facts import FileSystem, Image, Unknown, Volume
from preflight.reports.text import MAX_SHOWN, REPORT, images, plain, report_lines
from preflight.units import GiB, KiB, MiB
from preflight.verdicts import Declared, Finding, Report, Undetermined
from tests import builders
from tests.reports.showing import inspected

UNKNOWN = Unknown("files inside file systems are not read")


def shown(image: Image) -> list[str]:
    return inspected(REPORT, [image]).splitlines()


def report(image: Image, **changes: Any) -> Report:
    return msgspec.structs.replace(check(image, builders.profile(), Declared()), **changes)


def finding(severity: Any = "error", **changes: Any) -> Finding:
    built = Finding(
        rule="some-rule",
        severity=severity,
        message="it is 3 TiB, the limit 2 TiB",
        subject="virtual size",
        remedy="Shrink it.",
        api_error=None,
        detection_item=None,
        source="a document",
    )
    return msgspec.structs.replace(built, **changes)


# the container


def test_the_first_line_tells_the_container() -> None:
    assert shown(builders.image())[0] == "disk.qcow2: qcow2 v3, disk 20 GiB, file 100 MiB"
    sparse = builders.raw(allocated_size=3 * MiB)
    assert shown(sparse)[0] == "disk.raw: raw, disk 20 GiB, file 20 GiB, 3 MiB allocated"
    assert shown(builders.unread("vmdk"))[0] == "disk.vmdk: vmdk, file 100 MiB"


def test_a_size_that_its_unit_does_not_show_is_told_in_bytes() -> None:
    image = builders.raw(virtual_size=20 * GiB + 512)
    assert "disk 20.0 GiB (21474836992 bytes)" in shown(image)[0]


def test_sizes_that_differ_are_all_told() -> None:
    image = builders.vhd(virtual_size_alternatives={"current_size": 10 * GiB, "chs": 10 * GiB - KiB})
    assert shown(image)[1] == "  the file states several sizes: current_size 10737418240 bytes, chs 10737417216 bytes"
    agreeing = builders.vhd()
    assert "several sizes" not in "\n".join(shown(agreeing))


@pytest.mark.parametrize("field", ["backing_file", "data_file"])
def test_files_that_the_image_names_are_told(field: str) -> None:
    image = builders.image(format_details={field: "/etc/\x1b[31mpasswd"})
    assert f"  {field.replace('_', ' ')}: /etc/\\x1b[31mpasswd" in shown(image)


def test_what_libmagic_says_is_told() -> None:
    assert "  content: PDF document" in shown(builders.raw(format_details={"content": "PDF document"}))


# the disk


def test_the_table_lists_partitions_with_what_lies_on_them() -> None:
    image = builders.image(
        partitions=(
            builders.partition(1, builders.ESP, type_name="EFI System", name="it's \u202e", bootable=True),
            builders.partition(2, "0xee"),
        ),
        filesystems=(
            FileSystem("partition 1", "vfat", "AB-CD", "ESP", 1 * GiB),
            FileSystem("partition 1", "ext4", None, None, 2 * GiB, "/boot"),
        ),
    )
    lines = shown(image)
    assert lines[3:6] == [
        "  partition 1  1 GiB at 1 GiB  EFI System, \"it's \\u202e\", active  vfat  'ESP'  AB-CD",
        "ext4  2 GiB  on /boot".rjust(lines[3].index("vfat") + len("ext4  2 GiB  on /boot")),
        "  partition 2  1 GiB at 2 GiB  0xee",
    ]


def test_volumes_and_whole_disks_are_listed() -> None:
    image = builders.raw(
        partition_table=builders.NO_TABLE,
        partitions=(),
        volumes=(
            Volume("lvm", "root", "vg", 4 * GiB, ()),
            Volume("luks", None, None, None, ()),
        ),
        filesystems=(
            FileSystem("disk", "LVM2_member", "x", None, None),
            FileSystem("volume vg/root", "xfs", None, None, 4 * GiB),
        ),
        guest=UNKNOWN,
    )
    assert shown(image)[1:] == [
        "  volume vg/root  4 GiB  lvm   xfs",
        "  volume luks            luks",
        "  disk                         LVM2_member  x",
        "  operating system unknown: files inside file systems are not read",
    ]


def test_no_file_system_is_left_out() -> None:
    """Whatever the walk calls a place."""
    image = builders.raw(filesystems=(FileSystem("volume nobody/knows", "ext4", "the-uuid", None, None),))
    assert any("volume nobody/knows" in line and "the-uuid" in line for line in shown(image))


def test_a_disk_with_nothing_on_it_says_so() -> None:
    image = builders.raw(partition_table=builders.NO_TABLE, partitions=(), filesystems=())
    assert shown(image)[1:] == ["  no partition table, and no file system that is known"]


def test_the_guest_is_told_where_the_disk_was_read() -> None:
    assert shown(builders.image(guest=None))[-1] == "  no operating system"
    assert shown(builders.image(guest=UNKNOWN))[-1] == f"  operating system unknown: {UNKNOWN.unknown}"
    assert len(shown(builders.unread("vmdk", guest=Unknown("x")))) == 1


def test_problems_are_told_with_their_places() -> None:
    lines = shown(
        builders.image(problems=(builders.problem("qcow2-dirty"), builders.problem("read-error", offset=None)))
    )
    assert lines[-3:] == [
        "  problems",
        "    some structure at byte 0x200: this was found, that was expected",
        "    some structure: this was found, that was expected",
    ]


def test_more_than_anybody_reads_is_cut() -> None:
    many = builders.image(
        partitions=tuple(builders.partition(number) for number in range(1, 300)),
        problems=tuple(builders.problem("gpt-entry-invalid", offset=number) for number in range(300)),
    )
    lines = shown(many)
    assert sum(line.startswith("  partition ") for line in lines) == MAX_SHOWN
    assert sum(line.startswith("    some structure at byte ") for line in lines) == MAX_SHOWN
    assert "    ... and 199 more, all of them in --format json" in lines
    assert "    ... and 200 more, all of them in --format json" in lines


# the judgement


def test_findings_come_with_everything_they_carry() -> None:
    full = finding(api_error="InvalidImageSize", detection_item="GUESTOS.Fstab")
    lines = REPORT.reports([report(builders.image(), findings=(full,))]).splitlines()
    assert lines[-4:-1] == [
        "  error some-rule  (InvalidImageSize, GUESTOS.Fstab)",
        "    virtual size: it is 3 TiB, the limit 2 TiB",
        "    remedy: Shrink it.",
    ]


def test_a_command_has_its_own_line() -> None:
    remedy = "Convert it, run: qemu-img convert -O qcow2 'a run: b' c"
    lines = REPORT.reports([report(builders.image(), findings=(finding(remedy=remedy),))]).splitlines()
    assert lines[-3:-1] == ["    remedy: Convert it, run:", "      qemu-img convert -O qcow2 'a run: b' c"]


def test_the_verdict_comes_last_with_its_counts() -> None:
    findings = (finding("error"), finding("warning"), finding("warning"), finding("info"))
    bad = report(
        builders.image(), findings=findings, verdict="not-ready", undetermined=(Undetermined("other-rule", "unread"),)
    )
    lines = REPORT.reports([bad]).splitlines()
    assert lines[-1] == ("  NOT READY for aliyun-2018 as a system disk: 1 error, 2 warnings, 1 info, 1 undetermined")
    assert lines[-2] == "  undetermined other-rule: unread"
    good = REPORT.reports([report(builders.image(), findings=(), undetermined=(), verdict="ready")]).splitlines()
    assert good[-1] == "  READY for aliyun-2018 as a system disk, DiskImageSize 20 GiB"


def test_other_profiles_that_would_take_it_are_one_line() -> None:
    refused = report(builders.image(), findings=(finding(),), verdict="not-ready", also_ready_for=("aliyun",))
    assert REPORT.reports([refused]).splitlines()[-1] == "  it is ready by other rules: --profile aliyun"
    taken = msgspec.structs.replace(refused, verdict="ready")
    assert "other rules" not in REPORT.reports([taken])


def test_several_judgements_of_one_image_tell_its_facts_once() -> None:
    image = builders.image()
    told = REPORT.reports([report(image), report(image, profile="other")])
    assert told.count("disk.qcow2") == 1
    assert told.count("READY for") == 2


def test_the_summary_names_what_is_not_ready() -> None:
    bad = report(builders.raw(path="b\n.raw"), findings=(finding(),), undetermined=(), verdict="not-ready")
    good = report(builders.image(), findings=(), undetermined=(), verdict="ready")
    assert REPORT.reports([good, bad]).splitlines()[-3:] == [
        "",
        "2 judged: 1 ready, 1 not ready",
        "  NOT READY b\\x0a.raw for aliyun-2018: 1 error",
    ]


def test_one_judgement_needs_no_summary() -> None:
    assert " judged: " not in REPORT.reports([report(builders.image())])


def test_nothing_is_an_empty_text() -> None:
    assert inspected(REPORT, []) == ""
    assert REPORT.reports([]) == ""


def test_styles_name_what_is_good_and_bad() -> None:
    styles = {
        piece.text.strip(): piece.style
        for line in report_lines(report(builders.image(), findings=(finding(),), verdict="not-ready"), 100)
        for piece in line
    }
    assert styles["error"] == "bold red"
    assert styles["NOT READY"] == "bold red"


# hostile text

HOSTILE = st.text(st.characters() | st.sampled_from("\x1b\n\r\0\x9b\u202e\u2028"), min_size=1, max_size=12)
UNSAFE = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")


@given(HOSTILE, st.integers(1, 200))
@settings(max_examples=100, deadline=None)
def test_no_text_of_an_image_reaches_a_person_raw(text: str, width: int) -> None:
    image = builders.image(
        path=text,
        format_details={"backing_file": text, "data_file": text, "content": text},
        partitions=(builders.partition(1, text, type_name=text, name=text),),
        volumes=(Volume("lvm", text, text, None, (1,)),),
        filesystems=(FileSystem("partition 1", text, text, text, 5, text), FileSystem(text, text, text, text, None)),
        guest=Unknown(text),
        problems=(builders.problem("qcow2-dirty", where=text, message=text),),
    )
    hostile = finding(message=text, subject=text, remedy=f"{text} run: {text}")
    judged = report(image, findings=(hostile,), undetermined=(Undetermined("rule", text),))
    safe = msgspec.structs.replace(judged, image=builders.image())
    for told in (plain(images([image], width)), REPORT.reports([judged]), REPORT.reports([judged, safe])):
        assert not UNSAFE.search(told)
    quiet = inspected(REPORT, [msgspec.structs.replace(image, path="x", volumes=())]).count("\n")
    assert quiet == inspected(REPORT, [msgspec.structs.replace(image, volumes=())]).count("\n")
