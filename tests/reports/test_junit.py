"""Judgements as JUnit XML."""

from typing import Any

from junitparser import Error, Failure, JUnitXml, Skipped, TestCase, TestSuite

from preflight.reports.junit import REPORT
from preflight.verdicts import Report
from tests import builders
from tests.reports.judging import UNREAD, finding, lenient, refused, report


def read(*reports: Report) -> Any:
    return JUnitXml.fromstring(REPORT.reports(reports).encode())


def suite(judged: Report) -> TestSuite:
    (only,) = read(judged)
    assert isinstance(only, TestSuite)
    return only


def cases(judged: Report) -> dict[str, TestCase]:
    found = {str(case.name): case for case in suite(judged)}
    assert len(found) == suite(judged).tests
    return found


def test_each_image_and_profile_is_a_suite() -> None:
    suites = list(read(refused(), report(profile="aliyun"), report(builders.raw())))
    assert [one.name for one in suites] == ["disk.qcow2 (aliyun-2018)", "disk.qcow2 (aliyun)", "disk.raw (aliyun-2018)"]
    assert all(case.classname == one.name for one in suites for case in one)


def test_counts_are_those_of_the_cases() -> None:
    document = read(refused(), report())
    first, second = document
    assert (first.tests, first.failures, first.errors, first.skipped) == (5, 1, 0, 2)
    assert (second.tests, second.failures, second.errors, second.skipped) == (1, 0, 0, 0)
    assert (document.tests, document.failures, document.errors, document.skipped) == (6, 1, 0, 2)
    document.update_statistics()  # its own count
    assert (document.tests, document.failures, document.errors, document.skipped) == (6, 1, 0, 2)


def test_an_error_is_a_failure_with_its_remedy() -> None:
    (failure,) = cases(refused())["virtual-size-too-large: virtual size"].result
    assert isinstance(failure, Failure)
    assert failure.message == "virtual size: it is 3 TiB, the limit 2 TiB"
    assert failure.type == "virtual-size-too-large"
    assert str(failure.text).splitlines() == [
        "error: virtual size: it is 3 TiB, the limit 2 TiB",
        "remedy: Shrink it, run: qemu-img resize --shrink disk.raw 2T",
        "the cloud calls it: InvalidImageSize",
        "source: ImportImage, read 2026-11-23, https://example.com/api",
    ]


def test_a_warning_and_a_hint_pass_and_are_told() -> None:
    found = cases(refused())
    for name, beginning in (("misleading-extension: name", "warning: "), ("root-account-locked: root", "info: ")):
        assert found[name].is_passed
        assert str(found[name].system_out).startswith(beginning)


def test_what_could_not_be_judged_is_skipped() -> None:
    (skipped,) = cases(refused())["no-boot-loader"].result
    assert isinstance(skipped, Skipped)
    assert skipped.message == "unread"


def test_a_verdict_of_ready_is_a_case_that_passes() -> None:
    assert cases(report())["ready"].is_passed


def test_errors_fail_by_themselves() -> None:
    assert "ready" not in cases(refused())


def test_a_strict_verdict_fails_though_nothing_is_an_error() -> None:
    strict = report(findings=(finding("warning"),), verdict="not-ready")
    (failure,) = cases(strict)["ready"].result
    assert isinstance(failure, Failure)
    assert failure.message == "not ready, as warnings and undetermined count: 1 warning"
    assert suite(strict).failures == 1


def test_cases_of_the_same_defect_have_names_of_their_own() -> None:
    assert list(cases(report(findings=(finding(), finding()), verdict="not-ready"))) == [
        "virtual-size-too-large: virtual size",
        "virtual-size-too-large: virtual size (2)",
    ]


def test_nothing_is_no_suite() -> None:
    assert list(read()) == []
    assert read().tests == 0


def test_what_is_ignored_is_skipped_with_the_reason() -> None:
    found = cases(lenient())
    assert list(found) == ["virtual-size-too-large: virtual size", "virtual-size-too-large: data disk", "ready"]
    (skipped,) = found["virtual-size-too-large: virtual size"].result
    assert isinstance(skipped, Skipped)
    assert skipped.message == "ignored: the bucket is for tests"
    assert str(skipped.text).startswith("error: virtual size: it is 3 TiB")


def test_an_image_that_could_not_be_read_is_an_error() -> None:
    document: Any = JUnitXml.fromstring(REPORT.reports([report()], UNREAD).encode())
    assert (document.tests, document.failures, document.errors) == (3, 0, 2)
    _, gone, secret = document
    assert [gone.name, secret.name] == ["gone.raw", "secret.vhd"]
    (case,) = secret
    (error,) = case.result
    assert isinstance(error, Error)
    assert (error.message, error.type) == ("permission denied", "unreadable")
