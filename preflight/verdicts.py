"""What we think: declared requests, rules' outcomes, profiles, reports. Opinion lives here and right of here."""

from collections.abc import Callable, Iterable
from typing import Any, Literal

import msgspec

from preflight.facts import Image, Value
from preflight.units import GiB, ceil_div

Severity = Literal["error", "warning", "info"]
Role = Literal["system", "data"]
Verdict = Literal["ready", "not-ready"]


class Declared(Value, frozen=True):
    """What the person means to send; `None` is "not said", and then nothing is judged by it.

    Of a request with several disks, the parameters that the request has once are declared with mapping 1 only.
    """

    role: Role = "system"
    os_type: str | None = None
    platform: str | None = None
    architecture: str | None = None
    boot_mode: str | None = None
    image_name: str | None = None
    description: str | None = None
    image_format: str | None = None
    disk_image_size: int | None = None
    """In GiB, as the API counts."""
    region_id: str | None = None
    oss_bucket: str | None = None
    oss_object: str | None = None
    other_objects: tuple[str, ...] = ()
    """OSSObject of the mappings before this one."""
    other_names: tuple[str, ...] = ()
    """What fstab may call the file systems of the request's other disks: `UUID=…`, `LABEL=…`, `PARTUUID=…`."""
    mapping_count: int | None = None
    """How many DiskDeviceMapping entries the request has."""
    license_type: str | None = None
    nvme_support: str | None = None
    imds_support: str | None = None
    role_name: str | None = None
    resource_group_id: str | None = None
    client_token: str | None = None
    detection_strategy: str | None = None
    dry_run: bool | None = None
    tags: tuple[tuple[str, str], ...] = ()
    """Keys and values."""


class Range(Value, frozen=True, array_like=True):
    """Two numbers, both allowed."""

    minimum: int
    maximum: int

    def __contains__(self, value: int) -> bool:
        return self.minimum <= value <= self.maximum


class GuestKind(Value, frozen=True, forbid_unknown_fields=True):
    """What one cloud makes of one sort of guest. The first that fits counts."""

    distro: str
    """As `Guest.distro` has it."""
    platform: str
    name: str | None = None
    """What `Guest.name` must have in it, where more than one sort has this distro."""
    variant: str | None = None
    """The same for `Guest.variant`."""
    license_type: str | None = None
    """What LicenseType has to say for it; null where the parameter means nothing."""
    virtio_since: str | None = None
    """Version from which the cloud itself brings the virtio drivers in; null where it never does."""
    cloud_init: bool = True
    """Whether the cloud sets it up by cloud-init."""
    oldest: str | None = None
    """The oldest version that the cloud's documents name."""
    oldest_on_current_types: str | None = None
    """The oldest version whose kernel runs on the instance types of today."""
    service_pack: int | None = None
    """The lowest service pack of Windows that is supported."""


class CloudInitLimits(Value, frozen=True, forbid_unknown_fields=True):
    """Which cloud-init a cloud can work with."""

    unusable_to: str
    """The last version that does not work."""
    builds: tuple[str, ...]
    """First good version of a series; those of the series before it do not work."""
    datasource: str
    """The one that reads the cloud's metadata, as `datasource_list` has it."""


class CustomPlatform(Value, frozen=True, forbid_unknown_fields=True):
    """What a platform asks for, that the guest's own scripts set up."""

    platform: str
    minimum_gib: int
    """The disk must be larger."""
    filesystems: tuple[str, ...]
    """Of the first partition, as `FileSystem.type` has them."""
    directory: str


class Contents(Value, frozen=True, forbid_unknown_fields=True):
    """What one cloud asks of the guest inside the image: the profile's `[limits.contents]`."""

    guests: tuple[GuestKind, ...]
    cloud_init: CloudInitLimits
    root_filesystems: tuple[str, ...]
    tolerated_root_filesystems: tuple[str, ...]
    disk_names: tuple[str, ...]
    """How the names below /dev of an instance's disks begin."""
    oldest_growing_kernel: str
    """The first version of Linux that lets a mounted root file system grow."""
    bad_updates: tuple[str, ...]
    """Updates of Windows with which an instance does not start, as `KB5009624`."""
    needed_updates: dict[str, tuple[str, ...]]
    """By the name of the Windows, for x86_64."""
    custom_platform: CustomPlatform
    avoided_features: tuple[str, ...] = ()
    """Of the root file system, as `FileSystem.features` has them."""
    conflicting_features: tuple[tuple[str, ...], ...] = ()
    """Those that the root file system may not have together."""
    advised_system_disk_gib: int = 0
    """What the cloud advises as the least; 0 where it does not."""


class TagLimits(Value, frozen=True, forbid_unknown_fields=True):
    """The rules for tags."""

    maximum: int
    length: int
    """In characters, of a key and of a value."""
    key_beginnings: tuple[str, ...]
    """How no key may begin."""
    value_beginnings: tuple[str, ...]
    forbidden: tuple[str, ...]
    """What neither may have in it."""


class Limits(Value, frozen=True, forbid_unknown_fields=True):
    """The numbers and values of one cloud, by which the rules judge. They come from the profile's `[limits]`."""

    formats: dict[str, str]
    """Formats that can be imported, as `Image.format` has them, and how the API spells each."""
    architectures: tuple[str, ...]
    os_types: tuple[str, ...]
    """The one that the API takes where OSType is not sent comes first."""
    platforms: dict[str, str]
    """Every platform, and the OSType that it belongs to."""
    default_platform: str
    """What the API takes where Platform is not sent."""
    boot_modes: tuple[str, ...]
    """Empty where the API has no parameter BootMode."""
    regions: tuple[str, ...]
    """The regions that were known when the profile was written; the cloud adds some every year."""
    system_disk_gib: Range
    data_disk_gib: Range
    mappings: Range
    image_name_length: Range
    """In characters."""
    description_length: Range
    """In characters."""
    forbidden_beginnings: tuple[str, ...]
    """How neither ImageName nor Description may begin."""
    bucket_length: Range
    object_bytes: Range
    """Length of an OSS object's key in UTF-8."""
    vhd_block_size: int
    """Bytes of a dynamic VHD's block that are known to import."""
    contents: Contents
    boot_modes_by_architecture: dict[str, tuple[str, ...]] = {}
    """Where an architecture does not take all boot modes: those that it takes."""
    image_name_beginnings: tuple[str, ...] = ()
    """How ImageName may not begin either."""
    image_name_forbidden: tuple[str, ...] = ()
    """What ImageName may not have in it."""
    license_types: tuple[str, ...] = ()
    nvme_support: tuple[str, ...] = ()
    """The value for "yes" first, then the one for "no"."""
    imds_support: tuple[str, ...] = ()
    detection_strategies: tuple[str, ...] = ()
    client_token_length: Range | None = None
    """In characters of ASCII."""
    tags: TagLimits | None = None
    further_parameters: tuple[str, ...] = ()
    """Of the parameters in `FURTHER_PARAMETERS` those that the API has."""

    def disk_gib(self, role: Role) -> Range:
        """The range of DiskImageSize for a system disk or a data disk, in GiB."""
        return self.system_disk_gib if role == "system" else self.data_disk_gib


FURTHER_PARAMETERS = {
    "license_type": "LicenseType",
    "nvme_support": "Features.NvmeSupport",
    "imds_support": "Features.ImdsSupport",
    "detection_strategy": "DetectionStrategy",
    "client_token": "ClientToken",
    "role_name": "RoleName",
    "resource_group_id": "ResourceGroupId",
    "dry_run": "DryRun",
    "tags": "Tag",
}
"""Parameters that not every version of the API has: fields of `Declared`, and their wire names."""


def not_offered(declared: Declared, limits: Limits) -> dict[str, str]:
    """What is declared and the API has no parameter for: fields of `Declared`, and their wire names."""
    return {
        field: parameter
        for field, parameter in FURTHER_PARAMETERS.items()
        if getattr(declared, field) not in (None, ()) and parameter not in limits.further_parameters
    }


def sendable(declared: Declared, limits: Limits) -> Declared:
    """What is declared, without what the API has no parameter for."""
    cleared: dict[str, Any] = {field: () if field == "tags" else None for field in not_offered(declared, limits)}
    return msgspec.structs.replace(declared, **cleared)


class Breach(Value, frozen=True):
    """A rule is broken: what a rule knows of it. The profile adds how bad that is."""

    message: str
    """The fact and the limit, with units."""
    subject: str
    """What in the image, or which parameter."""
    remedy: str
    """An action; a command, where there is one, stands last, after `run: `."""


class Unsettled(Value, frozen=True):
    """A rule cannot be judged, for lack of a fact."""

    reason: str


Outcome = Breach | Unsettled


class Rule(Value, frozen=True):
    """One rule: pure, without a cloud's numbers. Its documentation is what `preflight explain` prints."""

    id: str
    """Kebab-case, named for the defect."""
    title: str
    """First line of the documentation."""
    documentation: str
    """What, Why, Remedy and Source, in sections."""
    judge: Callable[[Image, Limits, Declared], Iterable[Outcome]]


class RuleSetting(Value, frozen=True, forbid_unknown_fields=True):
    """What a profile says of a rule."""

    severity: Severity
    source: str
    """Key of a document in the profile's `[sources]`."""
    api_error: str | None = None
    """The API's error code that an import would meet, where it is documented."""
    data_disk_api_error: str | None = None
    """The one for data disks, where it is another."""
    detection_item: str | None = None
    """The cloud's own image-check item for the same defect."""


class Document(Value, frozen=True, forbid_unknown_fields=True):
    """A document that states rules."""

    title: str
    url: str
    read: str
    """The date on which it was read, ISO 8601."""

    def __str__(self) -> str:
        return f"{self.title}, read {self.read}, {self.url}"


class Requirement(Value, frozen=True, forbid_unknown_fields=True):
    """Something that a cloud's documents ask of an image, and what becomes of it here."""

    item: str
    """The cloud's own name for it, or its topic."""
    section: str
    """Where it is asked for."""
    rules: tuple[str, ...] = ()
    """Those that judge it."""
    reason: str | None = None
    """Why no rule can, or what of it no rule can."""


class Profile(Value, frozen=True, forbid_unknown_fields=True):
    """A cloud's import API at one time: what `preflight/profiles/NAME.toml` holds."""

    name: str
    title: str
    api: str
    """Product, version and action."""
    source: str
    """Key of the document that defines it."""
    sources: dict[str, Document]
    limits: Limits
    rules: dict[str, RuleSetting]
    not_checkable: dict[str, str]
    """Error codes of the API that nobody can foresee from files and parameters, and why."""
    reminders: tuple[str, ...]
    """What only the person can see to, before the request is sent."""
    role_name: str
    """The RAM role that lets the service read the bucket."""
    trust_policy: dict[str, object]
    permission_policy: dict[str, object]
    requirements: str
    """Name of the file in `preflight/profiles/requirements` that lists what the cloud asks of images."""


class Finding(Value, frozen=True):
    """A broken rule, as reports show it."""

    rule: str
    severity: Severity
    message: str
    subject: str
    remedy: str
    api_error: str | None
    detection_item: str | None
    source: str


class Undetermined(Value, frozen=True):
    """A rule that could not be judged. It never counts as passed."""

    rule: str
    reason: str


class Ignored(Value, frozen=True):
    """A rule that does not count, on the person's word."""

    rule: str
    reason: str | None
    """As the configuration file has it; null where it was ignored on the command line."""
    findings: tuple[Finding, ...]
    """What would have been reported."""


class RequestSummary(
    Value,
    frozen=True,
    rename={
        "os_type": "OSType",
        "platform": "Platform",
        "architecture": "Architecture",
        "format": "Format",
        "disk_image_size": "DiskImageSize",
        "boot_mode": "BootMode",
        "license_type": "LicenseType",
        "nvme_support": "NvmeSupport",
    },
):
    """What an import of this image would send of it; null where it is neither declared nor known from the image."""

    os_type: str | None
    platform: str | None
    architecture: str | None
    format: str | None
    disk_image_size: int | None
    """In GiB."""
    boot_mode: str | None = None
    license_type: str | None = None
    nvme_support: str | None = None
    """Features.NvmeSupport."""


class Report(Value, frozen=True):
    """The judgement of one image by one profile."""

    profile: str
    role: Role
    verdict: Verdict
    image: Image
    request: RequestSummary
    findings: tuple[Finding, ...]
    """Worst first."""
    undetermined: tuple[Undetermined, ...]
    also_ready_for: tuple[str, ...]
    """Other profiles by which the image would be ready."""
    ignored: tuple[Ignored, ...] = ()
    """Rules of the profile that did not count."""
    in_baseline: int = 0
    """How many findings and undetermined rules are left out here, as the baseline has them."""


def disk_image_size(virtual_size: int, minimum: int) -> int:
    """DiskImageSize in GiB for a disk of `virtual_size` bytes: rounded up, and not under the cloud's `minimum`."""
    return max(ceil_div(virtual_size, GiB), minimum)
