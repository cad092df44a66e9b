"""What we think: declared requests, rules' outcomes, profiles, reports. Opinion lives here and right of here."""

from collections.abc import Callable, Iterable
from typing import Literal

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
    mapping_count: int | None = None
    """How many DiskDeviceMapping entries the request has."""


class Range(Value, frozen=True, array_like=True):
    """Two numbers, both allowed."""

    minimum: int
    maximum: int

    def __contains__(self, value: int) -> bool:
        return self.minimum <= value <= self.maximum


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

    def disk_gib(self, role: Role) -> Range:
        """The range of DiskImageSize for a system disk or a data disk, in GiB."""
        return self.system_disk_gib if role == "system" else self.data_disk_gib


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


class RequestSummary(
    Value,
    frozen=True,
    rename={
        "os_type": "OSType",
        "platform": "Platform",
        "architecture": "Architecture",
        "format": "Format",
        "disk_image_size": "DiskImageSize",
    },
):
    """What an import of this image would send of it; null where it is neither declared nor known from the image."""

    os_type: str | None
    platform: str | None
    architecture: str | None
    format: str | None
    disk_image_size: int | None
    """In GiB."""


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


class DiskDeviceMapping(
    Value,
    frozen=True,
    rename={
        "format": "Format",
        "oss_bucket": "OSSBucket",
        "oss_object": "OSSObject",
        "disk_image_size": "DiskImageSize",
    },
):
    """One disk of an `ImportRequest`, fields as in the API reference."""

    format: str | None
    oss_bucket: str
    oss_object: str
    disk_image_size: int | None
    """In GiB."""


class ImportRequest(
    Value,
    frozen=True,
    rename={
        "region_id": "RegionId",
        "image_name": "ImageName",
        "description": "Description",
        "architecture": "Architecture",
        "os_type": "OSType",
        "platform": "Platform",
        "disk_device_mapping": "DiskDeviceMapping",
    },
):
    """An ImportImage request; a null parameter is not sent, and the API's default holds."""

    region_id: str
    image_name: str | None
    description: str | None
    architecture: str | None
    os_type: str | None
    platform: str | None
    disk_device_mapping: tuple[DiskDeviceMapping, ...]
    """Mapping 1, the system disk, first."""


def disk_image_size(virtual_size: int, minimum: int) -> int:
    """DiskImageSize in GiB for a disk of `virtual_size` bytes: rounded up, and not under the cloud's `minimum`."""
    return max(ceil_div(virtual_size, GiB), minimum)
