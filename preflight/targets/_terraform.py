"""The resource `alicloud_image_import`, as both of Terraform's languages have it.

Specification: terraform-provider-alicloud, resource alicloud_image_import, read 2026-11-23,
https://registry.terraform.io/providers/aliyun/alicloud/latest/docs/resources/image_import
"""

from preflight.targets._spelling import Spelling

SPELLING = Spelling(
    tool="alicloud_image_import",
    names={
        "RegionId": "region",  # of the provider
        "ImageName": "image_name",
        "Description": "description",
        "Architecture": "architecture",
        "OSType": "os_type",
        "Platform": "platform",
        "BootMode": "boot_mode",
        "LicenseType": "license_type",
        "DiskDeviceMapping": "disk_device_mapping",
        "DiskDeviceMapping.Format": "format",
        "DiskDeviceMapping.OSSBucket": "oss_bucket",
        "DiskDeviceMapping.OSSObject": "oss_object",
        "DiskDeviceMapping.DiskImageSize": "disk_image_size",
    },
    values={
        "Architecture": ("x86_64", "i386"),
        "OSType": ("linux", "windows"),
        "BootMode": ("BIOS", "UEFI"),
        "LicenseType": ("Auto", "Aliyun", "BYOL"),
        "DiskDeviceMapping.Format": ("RAW", "VHD", "qcow2"),
    },
    disk_defaults={"DiskImageSize": 5},
    composes=True,
)
PROVIDER = {"source": "aliyun/alicloud", "version": ">= 1.225.0"}  # the first one with boot_mode
