"""The request as a Terraform configuration in JSON, for a file that ends in `.tf.json`.

Specification: Terraform, JSON Configuration Syntax, https://developer.hashicorp.com/terraform/language/syntax/json
"""

from preflight.import_requests import ImportRequest
from preflight.targets import Target
from preflight.targets._hcl import literal_template
from preflight.targets._quoting import json_text
from preflight.targets._spelling import omitted, spelt
from preflight.targets._terraform import PROVIDER, SPELLING


def _render(request: ImportRequest) -> str:
    body = _literal(spelt(request, SPELLING))
    return json_text(
        {
            "terraform": {"required_providers": {"alicloud": PROVIDER}},
            "provider": {"alicloud": {"region": body.pop("region")}},
            "resource": {"alicloud_image_import": {"image": body}},
        }
    )


def _literal(body: dict[str, object]) -> dict[str, object]:
    """Terraform takes every string in JSON as a template."""
    made: dict[str, object] = {}
    for name, value in body.items():
        if isinstance(value, list):
            made[name] = [_literal(entry) for entry in value]
        else:
            made[name] = literal_template(value) if isinstance(value, str) else value
    return made


TARGET = Target(name="terraform-json", render=_render, omits=lambda request: omitted(request, SPELLING))
