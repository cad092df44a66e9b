"""The request as JSON."""

import json

import pytest

from preflight.targets.json import TARGET
from tests.targets import requests


def test_it_has_the_shape_that_the_sdk_takes() -> None:
    assert TARGET.name == "json"
    assert json.loads(TARGET.render(requests.request())) == {
        "RegionId": "cn-hangzhou",
        "ImageName": "debian-12",
        "Description": "two words",
        "Architecture": "x86_64",
        "OSType": "linux",
        "Platform": "Others Linux",
        "DiskDeviceMapping": [
            {"Format": "qcow2", "OSSBucket": "my-images", "OSSObject": "a/system.qcow2", "DiskImageSize": 20},
            {"Format": "RAW", "OSSBucket": "my-images", "OSSObject": "a/data.raw", "DiskImageSize": 100},
        ],
    }


def test_the_page_s_example_is_that_and_the_format_and_the_size() -> None:
    assert TARGET.render(requests.page_request()) == (
        '{\n  "RegionId": "cn-hangzhou",\n  "DiskDeviceMapping": [\n    {\n      "Format": "RAW",\n'
        '      "OSSBucket": "ecsimageos",\n      "OSSObject": "CentOS_5.4_32.raw",\n      "DiskImageSize": 20\n'
        "    }\n  ]\n}\n"
    )


@pytest.mark.parametrize("key", requests.HOSTILE)
def test_any_name_comes_back_as_it_was_and_cannot_steer_a_terminal(key: str) -> None:
    text = TARGET.render(requests.with_key(key))
    assert json.loads(text)["DiskDeviceMapping"][0]["OSSObject"] == key
    assert all(character.isprintable() or character == "\n" for character in text)


def test_bytes_that_are_no_text_are_written_as_escapes() -> None:
    text = TARGET.render(requests.with_key("a\udcffb"))
    assert json.loads(text)["DiskDeviceMapping"][0]["OSSObject"] == "a\\udcffb"
