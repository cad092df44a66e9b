"""The public functions, for importers written in Python: what the commands do, without printing."""

import os
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Literal

import msgspec

from preflight import checking, declaring, inspection, profiles, targets
from preflight.errors import NotReady
from preflight.facts import Image
from preflight.import_requests import ImportRequest
from preflight.limits import Limits
from preflight.verdicts import Declared, Report, Role, sendable


def inspect(path: str | os.PathLike[str], *, guest: bool = True, limits: Limits | None = None) -> Image:
    """The facts of the image file at `path`.

    `guest`: whether to look inside file systems. `limits`: what reading may take, if not the defaults. Raises
    `UnreadableImage` where the file cannot be read at all; what is wrong with an image is in its `problems`.
    """
    return inspection.inspect(os.fspath(path), guest=guest, limits=limits)


def check(
    image: Image,
    profile: str = profiles.DEFAULT,
    declared: Declared | Mapping[str, Any] | None = None,
    *,
    role: Literal["auto"] | Role | None = None,
    strict: bool = False,
    ignore: Collection[str] = (),
) -> Report:
    """Judge `image` by the rules of `profile`.

    `declared` is the request as far as it is decided, as a `Declared` or its fields. A role that is asked for by `role`
    or else by `declared` holds; without either, a disk that boots or holds an operating system is judged as a system
    disk, and another as a data disk. `strict`: warnings
    and undetermined rules stand in the way too. `ignore`: ids of rules that are not judged. Raises `ProfileError` for
    a profile or a rule that does not exist.
    """
    if isinstance(declared, Mapping):
        asked = role or declared.get("role", "auto")
        declared = Declared(**{**declared, "role": checking.resolve_role(image, asked)})
    else:
        asked = role or (declared.role if declared else "auto")
        declared = msgspec.structs.replace(declared or Declared(), role=checking.resolve_role(image, asked))
    judge = profiles.load(profile)
    others = profiles.newer_than(judge)
    return checking.check(image, judge, declared, strict=strict, ignore=ignore, others=others)


def payload(
    reports: Sequence[Report],
    *,
    region: str,
    bucket: str,
    keys: Sequence[str] | None = None,
    declared: Declared | Mapping[str, Any] | None = None,
    strict: bool = False,
    ignore: Collection[str] = (),
    force: bool = False,
) -> ImportRequest:
    """The request that imports these judged images, of which the first becomes the system disk.

    What a report's request says goes into it; `declared` has what it says once and a report does not, such as
    ImageName, and wins. `keys` are the OSS objects, by default the files' names. The images are judged once more, now
    as the disks of one request, by the profile of the reports: `NotReady` tells of the errors that stand, unless
    `force`. Raises `ValueError` where there is no report, where they are of several profiles, or where the number of
    keys is another.
    """
    if len({report.profile for report in reports}) != 1:
        raise ValueError("a request needs reports, and all of one profile")
    objects = [os.path.basename(report.image.path) for report in reports] if keys is None else list(keys)
    if len(objects) != len(reports):
        raise ValueError(f"{len(objects)} keys for {len(reports)} images")
    profile = profiles.load(reports[0].profile)
    images = [report.image for report in reports]
    sizes = [report.request.disk_image_size for report in reports]
    first = _first(reports[0], declared, region)
    mappings = declaring.of_disks(first, images, objects, bucket=bucket, sizes=sizes)
    judged = [
        checking.check(image, profile, mapping, strict=strict, ignore=ignore)
        for image, mapping in zip(images, mappings, strict=True)
    ]
    if not force and any(report.verdict == "not-ready" for report in judged):
        told = [
            f"mapping {number}: {finding.rule}: {finding.subject}: {finding.message}"
            for number, report in enumerate(judged, start=1)
            for finding in report.findings
            if finding.severity == "error" or strict
        ]
        raise NotReady("; ".join(told) or "rules are undetermined")
    return targets.build_request(judged, [sendable(mapping, profile.limits) for mapping in mappings])


def _first(report: Report, declared: Declared | Mapping[str, Any] | None, region: str) -> Declared:
    """What the request says once: as declared, else as the report of the system disk has it."""
    if declared is None or isinstance(declared, Mapping):
        declared = Declared(**(declared or {}))
    summary = report.request
    return msgspec.structs.replace(
        declared,
        role="system",
        region_id=region,
        os_type=declared.os_type or summary.os_type,
        platform=declared.platform or summary.platform,
        architecture=declared.architecture or summary.architecture,
        boot_mode=declared.boot_mode or summary.boot_mode,
        license_type=declared.license_type or summary.license_type,
        nvme_support=declared.nvme_support or summary.nvme_support,
    )
