"""The request as a Python script that sends it with Alibaba Cloud's SDK."""

from preflight.import_requests import ImportRequest
from preflight.targets import Target, parameters
from preflight.targets._quoting import double_quoted

_SCRIPT = '''\
"""Sends this ImportImage request, once the image files are in their bucket. It needs the package
alibabacloud_ecs20140526, and credentials where the default credential chain finds them: the variables
ALIBABA_CLOUD_ACCESS_KEY_ID and ALIBABA_CLOUD_ACCESS_KEY_SECRET, ~/.aliyun/config.json, a role, and so on.
ALIBABA_CLOUD_ECS_ENDPOINT may name another endpoint, such as http://127.0.0.1:8080 or ecs.example.com.
"""

import os

from alibabacloud_credentials.client import Client as Credentials
from alibabacloud_ecs20140526.client import Client
from alibabacloud_ecs20140526.models import ImportImageRequest
from alibabacloud_tea_openapi.models import Config

REQUEST = {request}

config = Config(credential=Credentials(), region_id=REQUEST["RegionId"])
protocol, _, host = os.environ.get("ALIBABA_CLOUD_ECS_ENDPOINT", "").rpartition("://")
config.protocol = protocol or "https"
config.endpoint = host or None  # the SDK knows the one of the region

answer = Client(config).import_image(ImportImageRequest().from_map(REQUEST))
print(answer.body.to_map())
'''


def _render(request: ImportRequest) -> str:
    return _SCRIPT.replace("{request}", _literal(parameters(request), ""))


def _literal(value: object, pad: str) -> str:
    """The value in Python, an entry a line."""
    deeper = pad + "    "
    if isinstance(value, dict):
        entries = [f'{deeper}"{name}": {_literal(item, deeper)},\n' for name, item in value.items()]
        return f"{{\n{''.join(entries)}{pad}}}"
    if isinstance(value, list):
        items = [f"{deeper}{_literal(entry, deeper)},\n" for entry in value]
        return f"[\n{''.join(items)}{pad}]"
    return double_quoted(value) if isinstance(value, str) else repr(value)


TARGET = Target(name="python-sdk", render=_render)
