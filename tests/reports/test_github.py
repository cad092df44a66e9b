"""Judgements as workflow commands."""

import pytest

from preflight.reports.github import REPORT
from preflight.verdicts import Report
from tests import builders
from tests.reports.judging import UNREAD, finding, refused, report
from tests.reports.runner import Command, command


def commands(*reports: Report) -> list[Command]:
    found = []
    for line in REPORT.reports(reports).splitlines():
        assert line.startswith("::")
        read = command(line)
        assert read is not None
        found.append(read)
    return found


def test_each_finding_is_an_annotation_of_its_image() -> None:
    first, second, third, *_ = commands(refused())
    assert first == Command(
        "error",
        {"file": "disk.qcow2", "title": "virtual-size-too-large"},
        "virtual size: it is 3 TiB, the limit 2 TiB\nremedy: Shrink it, run: qemu-img resize --shrink disk.raw 2T",
    )
    assert (second.name, second.properties["title"]) == ("warning", "misleading-extension")
    assert (third.name, third.properties["title"]) == ("notice", "root-account-locked")


def test_what_could_not_be_judged_is_one_notice_by_reason() -> None:
    undetermined = commands(refused())[3]
    assert undetermined == Command(
        "notice", {"file": "disk.qcow2", "title": "undetermined"}, "no-boot-loader, no-operating-system: unread"
    )


def test_the_verdict_closes_each_judgement() -> None:
    bad = commands(refused(also_ready_for=("aliyun",)))[-1]
    assert bad.name == "error"
    assert bad.data == (
        "NOT READY for aliyun-2018 as a system disk: 1 error, 1 warning, 1 info, 2 undetermined\n"
        "it is ready by other rules: --profile aliyun"
    )
    assert commands(report()) == [
        Command("notice", {"file": "disk.qcow2", "title": "READY"}, "READY for aliyun-2018 as a system disk")
    ]
    assert len([one for one in commands(refused(), report()) if "for aliyun-2018 as a" in one.data]) == 2


@pytest.mark.parametrize(
    "text", ["100% of it", "%0A::error::x", "%25", "a,b=c", "a:b::c", "x,title=y::z", "]##", "a;b"]
)
def test_text_comes_back_from_the_runner_as_it_was(text: str) -> None:
    judged = report(builders.image(path=text), findings=(finding(subject=text, message=text, remedy=text),))
    first, _ = commands(judged)
    assert first.properties == {"file": text, "title": "virtual-size-too-large"}
    assert first.data == f"{text}: {text}\nremedy: {text}"


def test_the_path_is_the_one_of_the_repository() -> None:
    assert commands(report(builders.image(path="./a//b.raw")))[0].properties["file"] == "a/b.raw"


def test_an_image_that_could_not_be_read_is_an_error() -> None:
    (_, first, second) = map(command, REPORT.reports([report()], UNREAD).splitlines())
    assert first == Command("error", {"file": "gone.raw", "title": "could not be read"}, "there is no such file")
    assert second is not None and second.properties["file"] == "secret.vhd"


def test_nothing_is_no_command() -> None:
    assert REPORT.reports([]) == ""
