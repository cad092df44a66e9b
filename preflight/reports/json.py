"""Results as JSON, in the shape that other programs rely on: `inspection/1` and `report/1`."""

from collections.abc import Sequence
from typing import Any

import msgspec

from preflight.reports import ReportFormat, escape_json


def _images(images: Sequence[object], unread: Sequence[object] = ()) -> str:
    return encode({"schema": "preflight/inspection/1", "images": images, "unread": unread})


def _reports(reports: Sequence[object], unread: Sequence[object] = ()) -> str:
    return encode({"schema": "preflight/report/1", "reports": reports, "unread": unread})


def encode(value: object) -> str:
    """Any of this package's values as indented JSON, ending in a newline, safe to show on a terminal."""
    try:
        encoded = msgspec.json.encode(value)
    except UnicodeEncodeError:  # half of a UTF-16 pair: no valid JSON can hold it
        encoded = msgspec.json.encode(_without_surrogates(msgspec.to_builtins(value)))
    text = msgspec.json.format(encoded).decode()
    return "\n".join(map(escape_json, text.split("\n"))) + "\n"


def _without_surrogates(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, dict):
        return {_without_surrogates(key): _without_surrogates(item) for key, item in value.items()}
    return [_without_surrogates(item) for item in value] if isinstance(value, list | tuple) else value


REPORT = ReportFormat(name="json", images=_images, reports=_reports)
