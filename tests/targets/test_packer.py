"""The request as Packer's post-processor."""

import re
from typing import Any

import pytest

from preflight.import_requests import DiskDeviceMapping, ImportRequest
from preflight.targets.packer import TARGET
from tests.targets import hcl, requests, schemas


def body(request: ImportRequest) -> dict[str, Any]:
    whole = hcl.loads(TARGET.render(request))
    assert list(whole) == ["post-processor"]
    found: dict[str, Any] = whole["post-processor"][0]["alicloud-import"]
    return found


def rendered(template: str) -> str:
    """What Go's text/template makes of it, when nothing but a quoted string is between braces."""
    assert "{{" not in re.sub(r'\{\{"[^"]*"\}\}', "", template)
    return re.sub(r'\{\{"([^"]*)"\}\}', r"\1", template)


def test_everything_is_spelt_as_the_plugin_does() -> None:
    assert body(requests.everything()) == {
        "region": "cn-hangzhou",
        "image_name": "debian-12",
        "image_description": "two words",
        "image_architecture": "x86_64",
        "image_os_type": "linux",
        "image_platform": "Others Linux",
        "resource_group_id": "rg-1",
        "format": "QCOW2",
        "oss_bucket_name": "my-images",
        "oss_key_name": "a/system.qcow2",
        "image_system_size": "20",
    }


def test_the_attributes_are_those_of_the_plugin() -> None:
    schemas.assert_fits(body(requests.everything()), schemas.PACKER, schemas.PACKER_REQUIRED)
    schemas.assert_fits(body(requests.page_request()), schemas.PACKER)


@pytest.mark.parametrize("key", requests.HOSTILE)
def test_any_name_is_text_to_packer_and_cannot_steer_a_terminal(key: str) -> None:
    request = requests.with_key(key)
    assert rendered(body(request)["oss_key_name"]) == key
    assert all(character.isprintable() or character == "\n" for character in TARGET.render(request))


def test_what_the_plugin_cannot_send_is_told() -> None:
    assert list(TARGET.omits(requests.everything())) == [
        *(
            f"{name} is left out: alicloud-import does not send it"
            for name in ("BootMode", "LicenseType", "Features.NvmeSupport", "Features.ImdsSupport", "RoleName")
        ),
        *(
            f"{name} is left out: alicloud-import does not send it"
            for name in ("DetectionStrategy", "ClientToken", "DryRun", "Tag")
        ),
        "DiskDeviceMapping.1.Format is QCOW2: alicloud-import takes only RAW, VHD",
        "DiskDeviceMapping.2 is left out: alicloud-import imports 1 disk only",
        "DiskDeviceMapping.3 is left out: alicloud-import imports 1 disk only",
    ]


def test_what_the_plugin_needs_and_the_request_lacks_is_told() -> None:
    assert [sentence.split()[0] for sentence in TARGET.omits(requests.page_request())] == [
        *("ImageName", "OSType", "Platform", "Architecture")
    ]


def test_a_raw_disk_with_a_name_goes_without_a_word() -> None:
    assert not TARGET.omits(requests.request(disk_device_mapping=(DiskDeviceMapping("RAW", "b", "a.raw", 5),)))
