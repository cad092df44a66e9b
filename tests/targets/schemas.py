"""What the other tools take, as their documents say: attributes and types, with source and date."""

from collections.abc import Mapping, Set
from typing import Any

TERRAFORM = {
    "architecture": str,
    "os_type": str,
    "platform": str,
    "boot_mode": str,
    "license_type": str,
    "image_name": str,
    "description": str,
    "disk_device_mapping": list,
}
"""aliyun/terraform-provider-alicloud, website/docs/r/image_import.html.markdown (`boot_mode` "since v1.225.0") and
alicloud/resource_alicloud_image_import.go; as of August 2026, read 2026-11-23."""
TERRAFORM_REQUIRED = {"disk_device_mapping"}
TERRAFORM_DISK = {"format": str, "oss_bucket": str, "oss_object": str, "device": str, "disk_image_size": int}
"""The same page, block `disk_device_mapping`: a list in the source, whatever the page calls it."""
TERRAFORM_FORMATS = {"RAW", "VHD", "qcow2"}

PACKER = {
    "region": str,
    "image_name": str,
    "image_description": str,
    "image_architecture": str,
    "image_os_type": str,
    "image_platform": str,
    "resource_group_id": str,
    "oss_bucket_name": str,
    "oss_key_name": str,
    "image_system_size": str,
    "format": str,
}
"""hashicorp/packer-plugin-alicloud, docs/post-processors/alicloud-import.mdx, its partials, and `HCL2Spec` in
post-processor/alicloud-import/post-processor.hcl2spec.go; as of June 2025, read 2026-11-23. Those that
`buildImportImageRequest` sends on; the size is a string there."""
PACKER_REQUIRED = {
    *("region", "image_name", "image_os_type", "image_platform", "image_architecture", "oss_bucket_name", "format")
}

PULUMI = {
    "architecture": str,
    "bootMode": str,
    "description": str,
    "diskDeviceMappings": list,
    "features": dict,
    "imageName": str,
    "licenseType": str,
    "osType": str,
    "platform": str,
}
"""PyPI pulumi-alicloud 4.0.0 of October 2026, pulumi_alicloud/ecs/image_import.py and _inputs.py, read 2026-11-23: the
names are those of its `pulumi.getter`s."""
PULUMI_REQUIRED = {"diskDeviceMappings"}
PULUMI_DISK = {"device": str, "diskImageSize": int, "format": str, "ossBucket": str, "ossObject": str}
PULUMI_FEATURES = {"nvmeSupport": str}


def assert_fits(body: dict[str, Any], schema: Mapping[str, type], required: Set[str] = frozenset()) -> None:
    """Every attribute is in the schema and of its type, and none that is required is missing."""
    for name, value in body.items():
        assert type(value) is schema[name], name
    assert required <= set(body)
