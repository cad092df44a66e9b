"""Requests as the targets get them."""

from typing import Any

import msgspec

from preflight.checking import check
from preflight.import_requests import DiskDeviceMapping, Features, ImportRequest, Tag
from preflight.targets import build_request
from preflight.units import GiB
from preflight.verdicts import Declared
from tests import builders

HOSTILE = (
    "a b&c=d?e#f%41+g/h:i",
    "镜像.raw",
    "a\nDiskDeviceMapping.1.OSSBucket=evil",
    "a\r\nb",
    "a\u2028b\x85c\x0bd",
    "\x1b[2Jx",
    "a\u202eb",
    "\"'\\$(reboot)`",
    "a\x00b\x7f\x9b\U000e0041",
    "~-_.!*'()",
    "${var.x} $${y} $$${z} %{if true} %%{a} $%{b} %${c} $",
    "${provider} $$ $",
    "{{user `x`}} {{{a}}",
    "'''' \"\"\" \\",
    "- a: [b] # c",
    "&a !!str *b |",
    "--force",
    "-x",
    "=ls",
    "yes",
    "1e3",
    " leading and trailing ",
    "tab\tand\rreturn",
    "\uffff\ufeff\u2066x",
    "::error::x",
    "##[error]x ##vso[y]",
    "]]><script>&#0;",
    "|`${{ x }}`|",
    "",
)


def page_request() -> ImportRequest:
    """What the page's example asks for, of a raw image of 20 GiB."""
    declared = Declared(region_id="cn-hangzhou", oss_bucket="ecsimageos", oss_object="CentOS_5.4_32.raw")
    report = check(builders.raw(virtual_size=20 * GiB, guest=builders.UNREAD), builders.profile(), declared)
    return build_request([report], [declared])


def request(**changes: Any) -> ImportRequest:
    """A request with every parameter and two disks."""
    full = ImportRequest(
        region_id="cn-hangzhou",
        image_name="debian-12",
        description="two words",
        architecture="x86_64",
        os_type="linux",
        platform="Others Linux",
        disk_device_mapping=(
            DiskDeviceMapping(format="qcow2", oss_bucket="my-images", oss_object="a/system.qcow2", disk_image_size=20),
            DiskDeviceMapping(format="RAW", oss_bucket="my-images", oss_object="a/data.raw", disk_image_size=100),
        ),
    )
    return msgspec.structs.replace(full, **changes)


def everything() -> ImportRequest:
    """A request with all parameters that the API has today, three disks, and tags of which one has no value."""
    return request(
        disk_device_mapping=(
            DiskDeviceMapping("QCOW2", "my-images", "a/system.qcow2", 20),
            DiskDeviceMapping("RAW", "my-images", "a/data.raw", 100),
            DiskDeviceMapping("VHD", "other-images", "b/data 2.vhd", 2048),
        ),
        boot_mode="UEFI",
        license_type="BYOL",
        features=Features("supported", "v2"),
        role_name="my-role",
        resource_group_id="rg-1",
        detection_strategy="Standard",
        client_token="abc-1",
        dry_run=True,
        tag=(Tag("team", "a=b"), Tag("empty", "")),
    )


def with_key(key: str) -> ImportRequest:
    """A request of one disk with this OSSObject."""
    return request(disk_device_mapping=(DiskDeviceMapping("RAW", "my-images", key, 5),))


PAIRS = [
    ("Action", "ImportImage"),
    ("RegionId", "cn-hangzhou"),
    ("ImageName", "debian-12"),
    ("Description", "two words"),
    ("Architecture", "x86_64"),
    ("OSType", "linux"),
    ("Platform", "Others Linux"),
    ("DiskDeviceMapping.1.Format", "qcow2"),
    ("DiskDeviceMapping.1.OSSBucket", "my-images"),
    ("DiskDeviceMapping.1.OSSObject", "a/system.qcow2"),
    ("DiskDeviceMapping.1.DiskImageSize", "20"),
    ("DiskDeviceMapping.2.Format", "RAW"),
    ("DiskDeviceMapping.2.OSSBucket", "my-images"),
    ("DiskDeviceMapping.2.OSSObject", "a/data.raw"),
    ("DiskDeviceMapping.2.DiskImageSize", "100"),
]
"""The parameters of `request()` by their wire names."""
