"""Alibaba Cloud's own SDKs send what the targets write."""

import json

import pytest
from alibabacloud_ecs20140526 import models
from alibabacloud_ecs20140526.client import Client
from alibabacloud_tea_openapi.utils_models import Config
from aliyunsdkcore.client import AcsClient
from aliyunsdkecs.request.v20140526.ImportImageRequest import ImportImageRequest as OldImportImageRequest

from preflight.import_requests import ImportRequest
from preflight.targets.image_pipeline import TARGET as IMAGE_PIPELINE
from preflight.targets.json import TARGET as JSON
from preflight.targets.query import TARGET as QUERY
from tests.targets import requests
from tests.targets.server import Server

SETTERS = {"DiskDeviceMapping": "DiskDeviceMappings", "Tag": "Tags"}
"""Where the old SDK has another name."""


def client(server: Server) -> Client:
    return Client(Config(access_key_id="id", access_key_secret="secret", protocol="http", endpoint=server.address))


def wire(request: ImportRequest) -> dict[str, str]:
    """What `--as query` has of it, where nothing has to be escaped."""
    return dict(line.split("=", 1) for line in QUERY.render(request).splitlines())


def told(server: Server) -> dict[str, str]:
    """What arrived; both SDKs write booleans as Python does, which the API takes too."""
    arrived = server.parameters()
    if "DryRun" in arrived:
        assert arrived["DryRun"] == "True"
        arrived["DryRun"] = "true"
    return arrived


def send(request: ImportRequest, server: Server) -> None:
    answer = client(server).import_image(models.ImportImageRequest().from_map(json.loads(JSON.render(request))))
    assert answer.body.image_id == "m-1"


def send_old(request: ImportRequest, server: Server) -> None:
    old = OldImportImageRequest()
    whole = json.loads(JSON.render(request))
    region = whole.pop("RegionId")  # the client has it
    for name, value in whole.items():
        getattr(old, f"set_{SETTERS.get(name, name)}")(value)
    old.set_endpoint(server.address)
    old.set_protocol_type("http")
    AcsClient("id", "secret", region).do_action_with_exception(old)


@pytest.mark.parametrize("sent_by", [send, send_old])
@pytest.mark.parametrize("request_", [requests.everything(), requests.request(), requests.page_request()])
def test_the_json_is_sent_as_the_query_says(server: Server, sent_by: object, request_: ImportRequest) -> None:
    sent_by(request_, server)  # type: ignore[operator]
    assert told(server) == wire(request_)


def test_nothing_of_the_json_is_unknown_to_the_sdk() -> None:
    whole = json.loads(JSON.render(requests.everything()))
    assert models.ImportImageRequest().from_map(whole).to_map() == whole


@pytest.mark.parametrize("key", requests.HOSTILE)
def test_any_name_arrives_as_it_was(server: Server, key: str) -> None:
    send(requests.with_key(key), server)
    assert told(server)["DiskDeviceMapping.1.OSSObject"] == key


def test_seventeen_disks_arrive_in_their_order(server: Server) -> None:
    disk = requests.request().disk_device_mapping[0]
    request = requests.request(disk_device_mapping=(disk,) * 16 + requests.with_key("last").disk_device_mapping)
    send(request, server)
    assert told(server) == wire(request)
    assert told(server)["DiskDeviceMapping.17.OSSObject"] == "last"


def send_pipeline(request: ImportRequest, server: Server) -> dict[str, str]:
    whole = json.loads(IMAGE_PIPELINE.render(request))
    client(server).create_image_pipeline(models.CreateImagePipelineRequest().from_map(whole))
    return told(server)


def test_the_pipeline_is_sent_with_the_request_inside(server: Server) -> None:
    inside = "ImportImageOptions."
    assert send_pipeline(requests.everything(), server) == {
        "Action": "CreateImagePipeline",
        "BaseImageType": "OSS",
        "RegionId": "cn-hangzhou",
        "ClientToken": "abc-1",
        f"{inside}ImageName": "debian-12",
        f"{inside}Description": "two words",
        f"{inside}Architecture": "x86_64",
        f"{inside}OSType": "linux",
        f"{inside}Platform": "Others Linux",
        f"{inside}BootMode": "UEFI",
        f"{inside}LicenseType": "BYOL",
        f"{inside}RoleName": "my-role",
        f"{inside}Features.NvmeSupport": "supported",
        f"{inside}Features.ImdsSupport": "v2",
        f"{inside}ImportImageTags.1.Key": "team",
        f"{inside}ImportImageTags.1.Value": "a=b",
        f"{inside}ImportImageTags.2.Key": "empty",
        f"{inside}ImportImageTags.2.Value": "",
        f"{inside}DiskDeviceMappings.1.Format": "QCOW2",
        f"{inside}DiskDeviceMappings.1.OSSBucket": "my-images",
        f"{inside}DiskDeviceMappings.1.OSSObject": "a/system.qcow2",
        f"{inside}DiskDeviceMappings.1.DiskImageSize": "20",
        f"{inside}DiskDeviceMappings.2.Format": "RAW",
        f"{inside}DiskDeviceMappings.2.OSSBucket": "my-images",
        f"{inside}DiskDeviceMappings.2.OSSObject": "a/data.raw",
        f"{inside}DiskDeviceMappings.2.DiskImageSize": "100",
        f"{inside}DiskDeviceMappings.3.Format": "VHD",
        f"{inside}DiskDeviceMappings.3.OSSBucket": "other-images",
        f"{inside}DiskDeviceMappings.3.OSSObject": "b/data 2.vhd",
        f"{inside}DiskDeviceMappings.3.DiskImageSize": "2048",
    }


@pytest.mark.parametrize("key", requests.HOSTILE)
def test_any_name_arrives_through_the_pipeline(server: Server, key: str) -> None:
    arrived = send_pipeline(requests.with_key(key), server)
    assert arrived["ImportImageOptions.DiskDeviceMappings.1.OSSObject"] == key


def test_what_the_pipeline_cannot_say_is_told() -> None:
    sentences = IMAGE_PIPELINE.omits(requests.everything())
    assert [sentence.split()[0] for sentence in sentences] == ["ResourceGroupId", "DetectionStrategy", "DryRun"]
    assert not IMAGE_PIPELINE.omits(requests.request())
