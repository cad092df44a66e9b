"""What a report makes of images."""

from collections.abc import Sequence

from preflight.facts import Image
from preflight.reports import ReportFormat


def inspected(report: ReportFormat, images: Sequence[Image]) -> str:
    """What `inspect` prints in a format that has something to say of images alone."""
    assert report.images is not None, report.name
    return report.images(images)
