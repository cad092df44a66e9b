"""What is sent: the parameters of ImportImage, each named as in the API reference."""

from preflight.facts import Value


class DiskDeviceMapping(
    Value,
    frozen=True,
    rename={
        "format": "Format",
        "oss_bucket": "OSSBucket",
        "oss_object": "OSSObject",
        "disk_image_size": "DiskImageSize",
    },
):
    """One disk of an `ImportRequest`, fields as in the API reference."""

    format: str | None
    oss_bucket: str
    oss_object: str
    disk_image_size: int | None
    """In GiB."""


class Features(Value, frozen=True, rename={"nvme_support": "NvmeSupport", "imds_support": "ImdsSupport"}):
    """Features of an `ImportRequest`."""

    nvme_support: str | None = None
    imds_support: str | None = None


class Tag(Value, frozen=True, rename={"key": "Key", "value": "Value"}):
    """One tag of an `ImportRequest`."""

    key: str
    value: str


class ImportRequest(
    Value,
    frozen=True,
    kw_only=True,
    rename={
        "region_id": "RegionId",
        "image_name": "ImageName",
        "description": "Description",
        "architecture": "Architecture",
        "os_type": "OSType",
        "platform": "Platform",
        "boot_mode": "BootMode",
        "license_type": "LicenseType",
        "features": "Features",
        "role_name": "RoleName",
        "resource_group_id": "ResourceGroupId",
        "detection_strategy": "DetectionStrategy",
        "client_token": "ClientToken",
        "dry_run": "DryRun",
        "tag": "Tag",
        "disk_device_mapping": "DiskDeviceMapping",
    },
):
    """An ImportImage request; a null parameter is not sent, and the API's default holds."""

    region_id: str
    image_name: str | None
    description: str | None
    architecture: str | None
    os_type: str | None
    platform: str | None
    boot_mode: str | None = None
    license_type: str | None = None
    features: Features | None = None
    role_name: str | None = None
    resource_group_id: str | None = None
    detection_strategy: str | None = None
    client_token: str | None = None
    dry_run: bool | None = None
    tag: tuple[Tag, ...] | None = None
    disk_device_mapping: tuple[DiskDeviceMapping, ...]
    """Mapping 1, the system disk, first."""
