"""The request as a Pulumi program in YAML."""

import re
from typing import Any

import pytest
import yaml

from preflight.import_requests import ImportRequest
from preflight.targets.pulumi import TARGET
from tests.targets import requests, schemas


def program(request: ImportRequest) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(TARGET.render(request))
    return found


def properties(request: ImportRequest) -> dict[str, Any]:
    found: dict[str, Any] = program(request)["resources"]["image"]["properties"]
    return found


def interpolated(text: str) -> str:
    """As pulumi-yaml's parser does it: two dollar signs are one, and one before a brace begins a reference."""

    def one(found: re.Match[str]) -> str:
        assert found[0] == "$$", f"{text} has a reference"
        return "$"

    return re.sub(r"\$\$|\$\{", one, text)


def test_the_program_is_whole() -> None:
    whole = program(requests.everything())
    properties = whole["resources"]["image"].pop("properties")
    assert whole == {
        "name": "image-import",
        "runtime": "yaml",
        "resources": {
            "provider": {"type": "pulumi:providers:alicloud", "properties": {"region": "cn-hangzhou"}},
            "image": {"type": "alicloud:ecs:ImageImport", "options": {"provider": "${provider}"}},
        },
    }
    assert properties == {
        "imageName": "debian-12",
        "description": "two words",
        "architecture": "x86_64",
        "osType": "linux",
        "platform": "Others Linux",
        "bootMode": "UEFI",
        "licenseType": "BYOL",
        "features": {"nvmeSupport": "supported"},
        "diskDeviceMappings": [
            {"format": "qcow2", "ossBucket": "my-images", "ossObject": "a/system.qcow2", "diskImageSize": 20},
            {"format": "RAW", "ossBucket": "my-images", "ossObject": "a/data.raw", "diskImageSize": 100},
            {"format": "VHD", "ossBucket": "other-images", "ossObject": "b/data 2.vhd", "diskImageSize": 2048},
        ],
    }


@pytest.mark.parametrize("request_", [requests.everything(), requests.request(), requests.page_request()])
def test_the_properties_are_those_of_the_provider(request_: ImportRequest) -> None:
    found = properties(request_)
    schemas.assert_fits(found, schemas.PULUMI, schemas.PULUMI_REQUIRED)
    schemas.assert_fits(found.get("features", {}), schemas.PULUMI_FEATURES)
    for disk in found["diskDeviceMappings"]:
        schemas.assert_fits(disk, schemas.PULUMI_DISK)


@pytest.mark.parametrize("key", requests.HOSTILE)
def test_any_name_is_text_to_pulumi_and_cannot_steer_a_terminal(key: str) -> None:
    request = requests.with_key(key)
    assert interpolated(properties(request)["diskDeviceMappings"][0]["ossObject"]) == key
    assert all(character.isprintable() or character == "\n" for character in TARGET.render(request))


def test_what_the_provider_cannot_send_is_told() -> None:
    assert [sentence.split()[0] for sentence in TARGET.omits(requests.everything())] == [
        *("Features.ImdsSupport", "RoleName", "ResourceGroupId", "DetectionStrategy", "ClientToken", "DryRun", "Tag")
    ]
    assert not TARGET.omits(requests.request())
