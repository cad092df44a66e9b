"""The request as a program of Pulumi in YAML: the provider, which has the region, and the resource.

Specification: Pulumi Registry, alicloud.ecs.ImageImport 4.0.0, read 2026-11-23,
https://www.pulumi.com/registry/packages/alicloud/api-docs/ecs/imageimport/
Pulumi YAML language reference, https://www.pulumi.com/docs/iac/languages-sdks/yaml/yaml-language-reference/
"""

from preflight.import_requests import ImportRequest
from preflight.targets import Target
from preflight.targets._quoting import double_quoted
from preflight.targets._spelling import Spelling, omitted, spelt

_SPELLING = Spelling(
    tool="alicloud:ecs:ImageImport",
    names={
        "RegionId": "region",  # of the provider
        "ImageName": "imageName",
        "Description": "description",
        "Architecture": "architecture",
        "OSType": "osType",
        "Platform": "platform",
        "BootMode": "bootMode",
        "LicenseType": "licenseType",
        "Features.NvmeSupport": "features.nvmeSupport",
        "DiskDeviceMapping": "diskDeviceMappings",
        "DiskDeviceMapping.Format": "format",
        "DiskDeviceMapping.OSSBucket": "ossBucket",
        "DiskDeviceMapping.OSSObject": "ossObject",
        "DiskDeviceMapping.DiskImageSize": "diskImageSize",
    },
    values={
        "Architecture": ("x86_64", "i386"),
        "OSType": ("linux", "windows"),
        "BootMode": ("BIOS", "UEFI"),
        "LicenseType": ("Auto", "Aliyun", "BYOL"),
        "DiskDeviceMapping.Format": ("RAW", "VHD", "qcow2"),
    },
    disk_defaults={"DiskImageSize": 5},
)


def _render(request: ImportRequest) -> str:
    properties = spelt(request, _SPELLING)
    region = properties.pop("region")
    return f"""\
name: image-import
runtime: yaml
resources:
  provider:
    type: pulumi:providers:alicloud
    properties:
      region: {_literal(region)}
  image:
    type: alicloud:ecs:ImageImport
    properties:
{_mapping(properties, "      ")}\
    options:
      provider: ${{provider}}
"""


def _mapping(values: dict[str, object], pad: str) -> str:
    lines = []
    for name, value in values.items():
        if isinstance(value, list):
            lines.append(f"{pad}{name}:\n")
            lines += [f"{pad}  - {_mapping(entry, pad + '    ').lstrip(' ')}" for entry in value]
        elif isinstance(value, dict):
            lines.append(f"{pad}{name}:\n{_mapping(value, pad + '  ')}")
        else:
            lines.append(f"{pad}{name}: {_literal(value)}\n")
    return "".join(lines)


def _literal(value: object) -> str:
    """In double quotes no text is anything but text; `$$` is how Pulumi writes a dollar sign."""
    return double_quoted(value.replace("$", "$$")) if isinstance(value, str) else str(value)


TARGET = Target(name="pulumi", render=_render, omits=lambda request: omitted(request, _SPELLING))
