"""The request, made of what was judged and declared."""

import pytest

from preflight.checking import check
from preflight.targets import build_request, parameters
from preflight.units import GiB
from preflight.verdicts import Declared, Report
from tests import builders
from tests.targets import requests


def judged(*declared: Declared) -> list[Report]:
    return [check(builders.image(), builders.profile(), each) for each in declared]


def test_mapping_one_is_the_first_image_and_the_request_is_declared_with_it() -> None:
    first = Declared(
        region_id="cn-hangzhou", oss_bucket="b", oss_object="s", image_name="ab", os_type="linux", description=""
    )
    second = Declared(role="data", oss_bucket="b", oss_object="d", disk_image_size=7)
    built = build_request(judged(first, second), [first, second])
    assert [mapping.oss_object for mapping in built.disk_device_mapping] == ["s", "d"]
    assert [mapping.disk_image_size for mapping in built.disk_device_mapping] == [20, 7]
    assert (built.region_id, built.image_name) == ("cn-hangzhou", "ab")
    assert (built.os_type, built.platform, built.architecture) == ("linux", "Debian", "x86_64")
    assert parameters(built)["Description"] == ""


def test_the_detected_format_is_sent_whatever_was_declared() -> None:
    declared = Declared(region_id="cn-hangzhou", oss_bucket="b", oss_object="s", image_format="VHD")
    assert build_request(judged(declared), [declared]).disk_device_mapping[0].format == "qcow2"


def test_seventeen_disks_keep_their_order() -> None:
    declared = [Declared(region_id="cn-hangzhou", oss_bucket="b", oss_object=str(number)) for number in range(17)]
    built = build_request(judged(*declared), declared)
    assert [mapping.oss_object for mapping in built.disk_device_mapping] == [str(number) for number in range(17)]


def test_the_size_is_of_whole_gib_as_an_integer_and_at_least_the_minimum() -> None:
    for size, gib in ((2 * GiB, 5), (20 * GiB + 1, 21)):
        declared = Declared(region_id="cn-hangzhou", oss_bucket="b", oss_object="s")
        report = check(builders.image(virtual_size=size), builders.profile(), declared)
        assert build_request([report], [declared]).disk_device_mapping[0].disk_image_size == gib


@pytest.mark.parametrize("missing", ["region_id", "oss_bucket", "oss_object"])
def test_a_request_without_a_mandatory_parameter_is_the_callers_mistake(missing: str) -> None:
    known = {"region_id": "cn-hangzhou", "oss_bucket": "b", "oss_object": "s"}
    del known[missing]
    declared = Declared(**known)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="declared"):
        build_request(judged(declared), [declared])


def test_parameters_that_are_not_known_are_not_sent() -> None:
    assert parameters(requests.page_request()) == {
        "RegionId": "cn-hangzhou",
        "DiskDeviceMapping": [
            {"Format": "RAW", "OSSBucket": "ecsimageos", "OSSObject": "CentOS_5.4_32.raw", "DiskImageSize": 20}
        ],
    }
