"""The judgement: role, severity, verdict, order and the request that it sums up."""

from collections.abc import Iterator

import msgspec
import pytest

from preflight.checking import check, resolve_role, summarise
from preflight.errors import ProfileError
from preflight.facts import ProblemCode
from preflight.units import GiB
from preflight.verdicts import Declared, Profile, RequestSummary, disk_image_size
from tests import builders
from tests.builders import NO_TABLE, filesystem, image, partition, problem, profile, unread
from tests.documents import read_back

BLANK = image(partition_table=NO_TABLE, partitions=(), filesystems=())


def test_the_role_is_what_was_asked_for_or_else_what_the_disk_shows() -> None:
    assert resolve_role(image(), "auto") == "system"
    assert resolve_role(image(partitions=(partition(),)), "auto") == "data"
    assert resolve_role(BLANK, "auto") == "data"
    assert resolve_role(image(partition_table=None, partitions=()), "auto") == "data"
    assert resolve_role(image(), "data") == "data"
    assert resolve_role(BLANK, "system") == "system"


def test_the_report_says_by_which_role_it_judged() -> None:
    assert check(image(), profile(), Declared(role="data")).role == "data"
    assert check(image(), profile(), Declared()).role == "system"


def test_a_warning_does_not_stand_in_the_way_unless_it_is_strict() -> None:
    dirty = image(problems=(problem("qcow2-dirty"),))
    assert check(dirty, profile(), Declared()).verdict == "ready"
    assert check(dirty, profile(), Declared(), strict=True).verdict == "not-ready"


def test_what_is_undetermined_is_no_finding_and_stands_in_the_way_when_it_is_strict() -> None:
    unknown = image(virtual_size=None)
    report = check(unknown, profile(), Declared())
    assert [entry.rule for entry in report.undetermined] == ["virtual-size-too-large"]
    assert report.findings == ()
    assert check(unknown, profile(), Declared(), strict=True).verdict == "not-ready"
    assert check(image(), profile(), Declared(), strict=True).verdict == "ready"


def test_a_note_never_stands_in_the_way() -> None:
    notes = {rule_id: msgspec.structs.replace(setting, severity="info") for rule_id, setting in profile().rules.items()}
    lenient: Profile = msgspec.structs.replace(profile(), rules=notes)
    report = check(image(problems=(problem("qcow2-corrupt"),)), lenient, Declared(), strict=True)
    assert [finding.severity for finding in report.findings] == ["info"]
    assert report.verdict == "ready"


def test_an_ignored_rule_is_not_judged_and_the_others_are() -> None:
    broken = image(problems=(problem("qcow2-corrupt"), problem("qcow2-backing-file")))
    report = check(broken, profile(), Declared(), ignore=["corrupt-bit"])
    assert [finding.rule for finding in report.findings] == ["backing-file"]
    assert check(broken, profile(), Declared(), ignore=["corrupt-bit", "backing-file"]).verdict == "ready"
    assert not check(image(virtual_size=None), profile(), Declared(), ignore=["virtual-size-too-large"]).undetermined


@pytest.mark.parametrize("name", ["corrupt_bit", "", "corrupt-bits"])
def test_a_rule_that_does_not_exist_cannot_be_ignored(name: str) -> None:
    with pytest.raises(ProfileError, match="preflight rules"):
        check(image(), profile(), Declared(), ignore=[name])


def test_findings_come_worst_first_and_otherwise_in_the_order_of_the_profile() -> None:
    codes: tuple[ProblemCode, ...] = ("gpt-backup-misplaced", "partitions-overlap", "qcow2-dirty", "qcow2-corrupt")
    report = check(image(problems=tuple(problem(code) for code in codes)), profile(), Declared())
    assert [(finding.severity, finding.rule) for finding in report.findings] == [
        ("error", "corrupt-bit"),
        ("error", "overlapping-partitions"),
        ("warning", "dirty-bit"),
        ("warning", "misplaced-gpt-backup"),
    ]


def test_a_finding_carries_what_the_profile_says_of_its_rule() -> None:
    (finding,) = check(image(virtual_size=501 * GiB), profile(), Declared()).findings
    assert finding.api_error == "InvalidImageSize"
    assert finding.detection_item is None
    assert finding.source.startswith("ImportImage, ECS API reference (2018-11-15), read 2026-")
    bare = image(partition_table=NO_TABLE, partitions=(), filesystems=(filesystem("disk"),))
    assert check(bare, profile(), Declared()).findings[0].detection_item == "GUESTOS.SystemImage"


@pytest.mark.parametrize(
    ("size", "gib"),
    [
        (1, 5),
        (GiB, 5),
        (5 * GiB - 1, 5),
        (5 * GiB, 5),
        (5 * GiB + 1, 6),
        (20 * GiB, 20),
        (20 * GiB + 1, 21),
        (20 * GiB - 1, 20),
        (500 * GiB, 500),
        ((1 << 63) - 1, 1 << 33),  # exactly, where floating point would not be
    ],
)
def test_disk_image_size_is_rounded_up_and_not_below_the_minimum(size: int, gib: int) -> None:
    assert disk_image_size(size, 5) == gib
    assert check(image(virtual_size=size), profile(), Declared()).request.disk_image_size == gib
    assert check(image(virtual_size=size), profile(), Declared(role="data")).request.disk_image_size == gib


def test_an_image_below_the_minimum_is_ready() -> None:
    report = check(image(virtual_size=2 * GiB), profile(), Declared())
    assert (report.verdict, report.request.disk_image_size) == ("ready", 5)


def test_the_request_has_what_is_declared_the_detected_format_and_the_size() -> None:
    declared = Declared(os_type="linux", platform="Ubuntu", architecture="i386", image_format="RAW", disk_image_size=40)
    assert summarise(image(), declared, profile().limits) == RequestSummary(
        os_type="linux", platform="Ubuntu", architecture="i386", format="qcow2", disk_image_size=40
    )
    assert summarise(builders.vhd(guest=builders.UNREAD), Declared(), profile().limits) == RequestSummary(
        os_type=None, platform=None, architecture=None, format="VHD", disk_image_size=20
    )


def test_what_cannot_be_imported_has_no_format_and_what_has_no_size_has_none() -> None:
    request = check(unread("gzip"), profile(), Declared()).request
    assert (request.format, request.disk_image_size) == (None, None)


def test_a_judgement_changes_nothing_of_the_image_and_is_the_same_every_time() -> None:
    judged = image(problems=(problem("qcow2-dirty"),))
    first = check(judged, profile(), Declared())
    assert first.image is judged
    assert check(judged, profile(), Declared()) == first


def test_an_image_that_was_written_as_json_and_read_back_is_judged_the_same() -> None:
    judged = builders.vhd(problems=(problem("vhd-sizes-differ"),), guest=builders.UNREAD)
    again = read_back(judged)
    assert check(again, profile(), Declared()) == check(judged, profile(), Declared())


def test_what_another_profile_would_accept_is_told_only_where_this_one_refuses() -> None:
    loaded: list[str] = []

    def others() -> Iterator[Profile]:
        loaded.append("aliyun")
        yield profile("aliyun")

    large = image(virtual_size=501 * GiB)
    assert check(large, profile(), Declared(), others=others()).also_ready_for == ("aliyun",)
    assert loaded == ["aliyun"]
    assert check(image(), profile(), Declared(), others=others()).also_ready_for == ()
    assert loaded == ["aliyun"]
    broken = image(virtual_size=501 * GiB, problems=(problem("qcow2-corrupt"),))
    assert check(broken, profile(), Declared(), others=others()).also_ready_for == ()
    assert check(large, profile(), Declared()).also_ready_for == ()


def test_the_same_strictness_and_exceptions_hold_for_the_other_profile() -> None:
    large = image(virtual_size=501 * GiB, problems=(problem("qcow2-dirty"),))
    others = (profile("aliyun"),)
    assert check(large, profile(), Declared(), others=others).also_ready_for == ("aliyun",)
    assert check(large, profile(), Declared(), others=others, strict=True).also_ready_for == ()
    strict = check(large, profile(), Declared(), others=others, strict=True, ignore=["dirty-bit"])
    assert strict.also_ready_for == ("aliyun",)


def test_a_data_disk_meets_the_error_code_of_data_disks() -> None:
    for role, code in (("system", "InvalidImageSize"), ("data", "InvalidDataDiskSize")):
        declared = Declared(role=role, disk_image_size=4096)  # type: ignore[arg-type]
        disk = image(partitions=(partition(),), guest=None) if role == "data" else image()
        (finding,) = check(disk, profile("aliyun"), declared).findings
        assert (finding.rule, finding.api_error) == ("disk-image-size-out-of-range", code)
