"""The request as `Key=value` lines."""

import pytest

from preflight.targets.query import TARGET
from tests.targets import requests


def test_one_parameter_a_line_with_lists_counted_from_one() -> None:
    assert TARGET.name == "query"
    assert TARGET.render(requests.request()) == "".join(f"{key}={value}\n" for key, value in requests.PAIRS)


def test_the_page_s_example_is_that_and_the_format_and_the_size() -> None:
    assert TARGET.render(requests.page_request()).splitlines() == [
        "Action=ImportImage",
        "RegionId=cn-hangzhou",
        "DiskDeviceMapping.1.Format=RAW",
        "DiskDeviceMapping.1.OSSBucket=ecsimageos",
        "DiskDeviceMapping.1.OSSObject=CentOS_5.4_32.raw",
        "DiskDeviceMapping.1.DiskImageSize=20",
    ]


@pytest.mark.parametrize("key", [*requests.HOSTILE, "a\udcffb"])
def test_no_value_makes_a_line_of_its_own_or_steers_a_terminal(key: str) -> None:
    lines = TARGET.render(requests.with_key(key)).splitlines()
    assert len(lines) == 11
    assert lines[9].startswith("DiskDeviceMapping.1.OSSObject=")
    assert all(line.isprintable() for line in lines)


def test_what_can_be_printed_stays_as_it_is() -> None:
    assert "\nDiskDeviceMapping.1.OSSObject=镜像 a&b%20.raw\n" in TARGET.render(requests.with_key("镜像 a&b%20.raw"))
