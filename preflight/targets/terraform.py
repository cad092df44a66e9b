"""The request as a Terraform configuration, whole: the provider, which has the region, and the resource."""

from preflight.import_requests import ImportRequest
from preflight.targets import Target
from preflight.targets._hcl import block
from preflight.targets._spelling import omitted, spelt
from preflight.targets._terraform import PROVIDER, SPELLING

_REQUIRED = f"""\
terraform {{
  required_providers {{
    alicloud = {{
      source  = "{PROVIDER["source"]}"
      version = "{PROVIDER["version"]}"
    }}
  }}
}}
"""


def _render(request: ImportRequest) -> str:
    body = spelt(request, SPELLING)
    provider = {"region": body.pop("region")}
    return "\n".join(
        (_REQUIRED, block('provider "alicloud"', provider), block('resource "alicloud_image_import" "image"', body))
    )


TARGET = Target(name="terraform", render=_render, omits=lambda request: omitted(request, SPELLING))
