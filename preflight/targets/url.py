"""The request as a URL, percent-encoded as Alibaba Cloud's RPC signature demands (RFC 3986, space as %20).

Signature and common parameters (AccessKeyId, Timestamp and so on) are the caller's to add.
"""

from urllib.parse import quote

from preflight.import_requests import ImportRequest
from preflight.targets import Target
from preflight.targets._flat import flat


def _render(request: ImportRequest) -> str:
    query = "&".join(f"{quote(key, safe='~')}={quote(value, safe='~')}" for key, value in flat(request))
    return f"https://ecs.aliyuncs.com/?{query}\n"


TARGET = Target(name="url", render=_render)
