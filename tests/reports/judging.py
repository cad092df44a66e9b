"""Judgements as reports get them."""

from typing import Any

import msgspec

from preflight.checking import check
from preflight.facts import Image, Unread
from preflight.verdicts import Declared, Finding, Ignored, Report, Undetermined
from tests import builders

UNREAD = (Unread("gone.raw", "there is no such file"), Unread("secret.vhd", "permission denied"))


def finding(severity: Any = "error", **changes: Any) -> Finding:
    built = Finding(
        rule="virtual-size-too-large",
        severity=severity,
        message="it is 3 TiB, the limit 2 TiB",
        subject="virtual size",
        remedy="Shrink it, run: qemu-img resize --shrink disk.raw 2T",
        api_error=None,
        detection_item=None,
        source="ImportImage, read 2026-11-23, https://example.com/api",
    )
    return msgspec.structs.replace(built, **changes)


def report(image: Image | None = None, **changes: Any) -> Report:
    """A judgement without findings, that is ready, but for the changes."""
    plain: dict[str, Any] = {"findings": (), "undetermined": (), "verdict": "ready"}
    return msgspec.structs.replace(check(image or builders.image(), builders.profile(), Declared()), **plain | changes)


def refused(image: Image | None = None, **changes: Any) -> Report:
    """A judgement with one finding of each severity and two rules that were not judged."""
    plain: dict[str, Any] = {
        "verdict": "not-ready",
        "findings": (
            finding("error", api_error="InvalidImageSize"),
            finding("warning", rule="misleading-extension", subject="name", remedy="Rename it."),
            finding("info", rule="root-account-locked", subject="root", detection_item="GUESTOS.Root"),
        ),
        "undetermined": (Undetermined("no-boot-loader", "unread"), Undetermined("no-operating-system", "unread")),
    }
    return report(image, **plain | changes)


def lenient(**changes: Any) -> Report:
    """A judgement that leaves out two errors of a rule that is ignored, and three more that the baseline has."""
    wide = Ignored("virtual-size-too-large", "the bucket is for tests", (finding(), finding(subject="data disk")))
    plain: dict[str, Any] = {"ignored": (wide, Ignored("no-boot-loader", None, ())), "in_baseline": 3}
    return report(**plain | changes)
