"""The request as a URL."""

from urllib.parse import parse_qsl, urlsplit

import pytest

from preflight.targets.url import TARGET
from tests.targets import requests


def test_the_page_s_example_is_that_and_the_format_and_the_size() -> None:
    assert TARGET.name == "url"
    assert TARGET.render(requests.page_request()) == (
        "https://ecs.aliyuncs.com/?Action=ImportImage&RegionId=cn-hangzhou&DiskDeviceMapping.1.Format=RAW"
        "&DiskDeviceMapping.1.OSSBucket=ecsimageos&DiskDeviceMapping.1.OSSObject=CentOS_5.4_32.raw"
        "&DiskDeviceMapping.1.DiskImageSize=20\n"
    )


def test_every_parameter_comes_back() -> None:
    query = urlsplit(TARGET.render(requests.request()).rstrip("\n")).query
    assert parse_qsl(query, strict_parsing=True) == requests.PAIRS


@pytest.mark.parametrize("key", requests.HOSTILE)
def test_any_name_comes_back_as_it_was(key: str) -> None:
    text = TARGET.render(requests.with_key(key))
    assert text.isascii() and text.count("\n") == 1
    pairs = dict(parse_qsl(urlsplit(text.rstrip("\n")).query, keep_blank_values=True, strict_parsing=True))
    assert pairs["DiskDeviceMapping.1.OSSObject"] == key
    assert pairs["DiskDeviceMapping.1.OSSBucket"] == "my-images"


def test_it_is_encoded_as_the_signature_demands() -> None:
    text = TARGET.render(requests.with_key("a b+c*d~e/f"))
    assert "OSSObject=a%20b%2Bc%2Ad~e%2Ff&" in text


def test_bytes_that_are_no_text_are_written_as_escapes() -> None:
    assert "OSSObject=a%5Cudcffb&" in TARGET.render(requests.with_key("a\udcffb"))
