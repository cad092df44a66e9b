"""Targets: the spellings in which an import request is handed on.

A plugin is a module that ends in `TARGET`, a `Target`; `--as` takes the module's name with hyphens for underscores.
"""

import sys
from collections.abc import Callable, Sequence

import msgspec

from preflight import plugins
from preflight.import_requests import DiskDeviceMapping, Features, ImportRequest, Tag
from preflight.verdicts import Declared, Report


def _nothing(request: ImportRequest) -> Sequence[str]:
    return ()


class Target(msgspec.Struct, frozen=True):
    """One spelling of an import request."""

    name: str
    """As `--as` takes it."""
    render: Callable[[ImportRequest], str]
    """The text, ending in a newline."""
    omits: Callable[[ImportRequest], Sequence[str]] = _nothing
    """What of the request the spelling cannot say, a sentence each: what is lost must be told."""


def names() -> tuple[str, ...]:
    """The targets that there are, as `--as` takes them."""
    return tuple(module.replace("_", "-") for module in plugins.names(sys.modules[__name__]))


def load(name: str) -> Target:
    """The target of this name. Raises `ValueError` where there is none."""
    if name not in names():
        raise ValueError(f"there is no target {name!r}, only {', '.join(names())}")
    target: Target = plugins.load(sys.modules[__name__], name.replace("-", "_"), "TARGET")
    return target


def build_request(reports: Sequence[Report], declared: Sequence[Declared]) -> ImportRequest:
    """The request for these judged images, mapping 1 (the system disk) first.

    `declared` goes along with `reports`; what the request says once is taken from the first. Region, buckets and
    objects must be declared: a `ValueError` else, as it is the caller's mistake and not the image's. What the API has
    no parameter for must be gone from `declared`, see `verdicts.sendable`.
    """
    first, summary = declared[0], reports[0].request
    mappings = []
    for report, mapping in zip(reports, declared, strict=True):
        if mapping.oss_bucket is None or mapping.oss_object is None:
            raise ValueError(f"no OSSBucket or OSSObject is declared for {report.image.path}")
        mappings.append(
            DiskDeviceMapping(
                format=report.request.format,
                oss_bucket=mapping.oss_bucket,
                oss_object=mapping.oss_object,
                disk_image_size=report.request.disk_image_size,
            )
        )
    if first.region_id is None:
        raise ValueError("no RegionId is declared")
    return ImportRequest(
        region_id=first.region_id,
        image_name=first.image_name,
        description=first.description,
        architecture=summary.architecture,
        os_type=summary.os_type,
        platform=summary.platform,
        disk_device_mapping=tuple(mappings),
        boot_mode=summary.boot_mode,
        license_type=summary.license_type,
        features=_features(summary.nvme_support, first.imds_support),
        role_name=first.role_name,
        resource_group_id=first.resource_group_id,
        detection_strategy=first.detection_strategy,
        client_token=first.client_token,
        dry_run=first.dry_run,
        tag=tuple(Tag(key, value) for key, value in first.tags) or None,
    )


def _features(nvme_support: str | None, imds_support: str | None) -> Features | None:
    return Features(nvme_support, imds_support) if nvme_support or imds_support else None


def parameters(request: ImportRequest) -> dict[str, object]:
    """The request's parameters by their wire names, without those that are not sent."""
    return _sendable(msgspec.to_builtins(request))


def _sendable(value: dict[str, object]) -> dict[str, object]:
    kept: dict[str, object] = {}
    for key, item in value.items():
        if isinstance(item, list | tuple):
            kept[key] = [_sendable(entry) for entry in item]
        elif isinstance(item, dict):
            kept[key] = _sendable(item)
        elif isinstance(item, str):
            kept[key] = item.encode("utf-8", "backslashreplace").decode()  # a name on the host may have other bytes
        elif item is not None:
            kept[key] = item
    return kept
