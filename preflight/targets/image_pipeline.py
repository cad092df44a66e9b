"""The request as part of another: `CreateImagePipeline`, which imports the image and builds or repairs upon it.

JSON in the shape that the SDK's models take (`CreateImagePipelineRequest.from_map`).

Specification: Elastic Compute Service API, CreateImagePipeline, as in alibabacloud_ecs20140526 7.11.8,
https://api.aliyun.com/api/Ecs/2014-05-26/CreateImagePipeline
"""

from preflight.import_requests import ImportRequest
from preflight.targets import Target
from preflight.targets._quoting import json_text
from preflight.targets._spelling import Spelling, omitted, spelt

_SPELLING = Spelling(
    tool="CreateImagePipeline",
    names={
        "RegionId": "RegionId",
        "ClientToken": "ClientToken",
        "ImageName": "ImportImageOptions.ImageName",
        "Description": "ImportImageOptions.Description",
        "Architecture": "ImportImageOptions.Architecture",
        "OSType": "ImportImageOptions.OSType",
        "Platform": "ImportImageOptions.Platform",
        "BootMode": "ImportImageOptions.BootMode",
        "LicenseType": "ImportImageOptions.LicenseType",
        "RoleName": "ImportImageOptions.RoleName",
        "Features.NvmeSupport": "ImportImageOptions.Features.NvmeSupport",
        "Features.ImdsSupport": "ImportImageOptions.Features.ImdsSupport",
        "Tag": "ImportImageOptions.ImportImageTags",
        "Tag.Key": "Key",
        "Tag.Value": "Value",
        "DiskDeviceMapping": "ImportImageOptions.DiskDeviceMappings",
        "DiskDeviceMapping.Format": "Format",
        "DiskDeviceMapping.OSSBucket": "OSSBucket",
        "DiskDeviceMapping.OSSObject": "OSSObject",
        "DiskDeviceMapping.DiskImageSize": "DiskImageSize",
    },
    values={"Architecture": ("x86_64", "arm64")},
)


def _render(request: ImportRequest) -> str:
    return json_text({"BaseImageType": "OSS"} | spelt(request, _SPELLING))


TARGET = Target(name="image-pipeline", render=_render, omits=lambda request: omitted(request, _SPELLING))
