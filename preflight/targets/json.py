"""The request as JSON, in the shape that the SDK's models take (`ImportImageRequest.from_map`)."""

from preflight.import_requests import ImportRequest
from preflight.targets import Target, parameters
from preflight.targets._quoting import json_text


def _render(request: ImportRequest) -> str:
    return json_text(parameters(request))


TARGET = Target(name="json", render=_render)
