"""Results as JSON, in the shape that other programs rely on: `inspection/1` and `report/1`."""

from collections.abc import Sequence

import msgspec

from preflight.reports import ReportFormat, escape_json


def _images(images: Sequence[object]) -> str:
    return encode({"schema": "preflight/inspection/1", "images": images})


def _reports(reports: Sequence[object]) -> str:
    return encode({"schema": "preflight/report/1", "reports": reports})


def encode(value: object) -> str:
    """Any of this package's values as indented JSON, ending in a newline, safe to show on a terminal."""
    text = msgspec.json.format(msgspec.json.encode(value)).decode()
    return "\n".join(map(escape_json, text.split("\n"))) + "\n"


REPORT = ReportFormat(name="json", images=_images, reports=_reports)
