"""The request as a post-processor of Packer, for a `build` block whose artifact is the image file.

Packer uploads the file itself, and takes one disk.

Specification: packer-plugin-alicloud, post-processor alicloud-import, read 2026-11-23,
https://developer.hashicorp.com/packer/integrations/hashicorp/alicloud/latest/components/post-processor/alicloud-import
"""

from preflight.import_requests import ImportRequest
from preflight.targets import Target
from preflight.targets._hcl import block
from preflight.targets._spelling import Spelling, omitted, spelt

_SPELLING = Spelling(
    tool="alicloud-import",
    names={
        "RegionId": "region",
        "ImageName": "image_name",
        "Description": "image_description",
        "Architecture": "image_architecture",
        "OSType": "image_os_type",
        "Platform": "image_platform",
        "ResourceGroupId": "resource_group_id",
        "DiskDeviceMapping": "disks",  # no list there, see below
        "DiskDeviceMapping.Format": "format",
        "DiskDeviceMapping.OSSBucket": "oss_bucket_name",
        "DiskDeviceMapping.OSSObject": "oss_key_name",
        "DiskDeviceMapping.DiskImageSize": "image_system_size",
    },
    values={
        "Architecture": ("x86_64", "i386"),
        "DiskDeviceMapping.Format": ("RAW", "VHD"),
    },
    needed=("ImageName", "OSType", "Platform", "Architecture"),
    disks=1,
    composes=True,
)


def _render(request: ImportRequest) -> str:
    body = spelt(request, _SPELLING)
    body |= body.pop("disks")[0]  # type: ignore[index]
    return block('post-processor "alicloud-import"', {name: _literal(str(value)) for name, value in body.items()})


def _literal(text: str) -> str:
    """Every option is a string to Packer, and after HCL a template of Go."""
    return text.replace("{{", '{{"{{"}}')


TARGET = Target(name="packer", render=_render, omits=lambda request: omitted(request, _SPELLING))
