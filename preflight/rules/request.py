"""Rules on the request: the parameters of ImportImage, by themselves and against the image."""

import re
from collections.abc import Iterator

from preflight.facts import Image
from preflight.rules import rule
from preflight.rules._guests import os_type_of, platform_of
from preflight.verdicts import Breach, Declared, Limits, Outcome, Range

# Chinese characters as the API's parameters take them: CJK Unified Ideographs with its extension A and the
# compatibility ideographs (Unicode 15, blocks 4E00, 3400 and F900), and those beyond the BMP.
_CHINESE = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003134f"
_IMAGE_NAME_START = re.compile(f"[A-Za-z{_CHINESE}]")
_IMAGE_NAME_FORBIDDEN = re.compile(f"[^A-Za-z0-9{_CHINESE}.:_-]")
_BUCKET = re.compile("[a-z0-9]([a-z0-9-]*[a-z0-9])?")
_REGION = re.compile("[a-z0-9]+(-[a-z0-9]+)+")  # how every region is written, those that are yet to come too
_SURROGATE = re.compile("[\ud800-\udfff]")  # half a character, as the command line gives bytes that are not UTF-8


@rule
def image_name_malformed(image: Image, limits: Limits, declared: Declared) -> Iterator[Outcome]:
    """ImageName breaks the rules for names.

    What: 2 to 128 characters; it begins with a letter or a Chinese character, and has only those, digits, full stops,
    colons, underscores and hyphens; it does not begin with http:// or https://, nor with what the API keeps for itself.
    Why: the API refuses the request.
    Remedy: choose another name.
    Source: ImportImage, ImageName; error code InvalidImageName.Malformed.
    """
    name = declared.image_name
    if name is None:
        return
    beginnings = (*limits.forbidden_beginnings, *limits.image_name_beginnings)
    faults = list(_text_faults(name, limits.image_name_length, beginnings))
    faults += [
        f"it has {part} in it"
        for part in limits.image_name_forbidden
        if part in name.lower() and not name.lower().startswith(part)
    ]
    if name and not _IMAGE_NAME_START.match(name):
        faults.append(f"it begins with {name[0]!r}, not with a letter or a Chinese character")
    if wrong := sorted(set(_IMAGE_NAME_FORBIDDEN.findall(name))):
        faults.append(
            f"it has {', '.join(map(repr, wrong))}, allowed are letters, Chinese characters, digits and . : _ -"
        )
    if faults:
        yield Breach("; ".join(faults), "ImageName", "Choose a name like debian-12.5_2026-11.")


@rule
def description_malformed(image: Image, limits: Limits, declared: Declared) -> Iterator[Outcome]:
    """Description breaks the rules for descriptions.

    What: it is not of the length that the API allows, or begins with http:// or https://.
    Why: the API refuses the request.
    Remedy: shorten it, or put a word in front.
    Source: ImportImage, Description; error code InvalidDescription.Malformed.
    """
    if declared.description is not None:
        faults = list(_text_faults(declared.description, limits.description_length, limits.forbidden_beginnings))
        if _SURROGATE.search(declared.description):
            faults.append("it is not UTF-8")
        if faults:
            yield Breach("; ".join(faults), "Description", "Shorten it, or put a word in front of the address.")


def _text_faults(value: str, length: Range, beginnings: tuple[str, ...]) -> Iterator[str]:
    if len(value) not in length:
        yield f"it has {len(value)} characters, allowed are {length.minimum} to {length.maximum}"
    for beginning in beginnings:
        if value.lower().startswith(beginning):
            yield f"it begins with {beginning}"


@rule
def architecture_invalid(image: Image, limits: Limits, declared: Declared) -> Iterator[Outcome]:
    """Architecture has a value that the API does not know.

    What: the value is not among the profile's architectures; upper and lower case differ.
    Why: the API refuses the request.
    Remedy: take one of its values.
    Source: ImportImage, Architecture; error code InvalidArchitecture.Malformed.
    """
    yield from _unless_among("Architecture", declared.architecture, limits.architectures)


@rule
def os_type_invalid(image: Image, limits: Limits, declared: Declared) -> Iterator[Outcome]:
    """OSType has a value that the API does not know.

    What: the value is not among the profile's OS types; upper and lower case differ.
    Why: the API refuses the request.
    Remedy: take one of its values.
    Source: ImportImage, OSType; error code InvalidOSType.Malformed.
    """
    yield from _unless_among("OSType", declared.os_type, limits.os_types)


@rule
def platform_invalid(image: Image, limits: Limits, declared: Declared) -> Iterator[Outcome]:
    """Platform has a value that the API does not know.

    What: the value is not among the profile's platforms; upper and lower case differ.
    Why: the API refuses the request.
    Remedy: take one of its values; Others Linux where none fits.
    Source: ImportImage, Platform; error code InvalidPlatform.Malformed.
    """
    yield from _unless_among("Platform", declared.platform, tuple(limits.platforms))


def _unless_among(parameter: str, value: str | None, allowed: tuple[str, ...]) -> Iterator[Outcome]:
    if value is not None and value not in allowed:
        near = next((one for one in allowed if one.lower() == value.lower()), None)
        hint = f"Write {near}." if near else f"Take one of: {', '.join(allowed)}."
        yield Breach(f"{value!r} is not a value that the API knows", parameter, hint)


@rule
def platform_contradicts_os_type(image: Image, limits: Limits, declared: Declared) -> Iterator[Outcome]:
    """Platform belongs to another OSType.

    What: for example Platform Ubuntu with OSType windows. Where OSType is not declared, the guest's counts, and where
    that is not known, the default linux.
    Why: the instance is set up by the wrong procedure, or the API refuses the request.
    Remedy: correct the one that is wrong.
    Source: ImportImage, OSType and Platform.
    """
    belongs = limits.platforms.get(declared.platform or "")
    found = os_type_of(image, limits)
    os_type = declared.os_type or found or limits.os_types[0]
    if belongs is not None and os_type in limits.os_types and belongs != os_type:
        said = "is declared" if declared.os_type else "is what the image holds" if found else "is the default"
        yield Breach(
            f"Platform {declared.platform} belongs to OSType {belongs}, and {os_type} {said}",
            "Platform",
            f"Declare --os-type {belongs}, or another platform.",
        )


@rule
def platform_left_to_default(image: Image, limits: Limits, declared: Declared) -> Iterator[Outcome]:
    """Platform is not declared, and its default belongs to another OSType.

    What: for example OSType windows without Platform, whose default is Others Linux, and the guest does not tell it.
    Why: the API takes the default for a parameter that is not sent, and the two contradict each other.
    Remedy: declare the platform too.
    Source: ImportImage, OSType and Platform.
    """
    default = limits.default_platform
    belongs = limits.platforms[default]
    found = limits.platforms.get(platform_of(image, limits) or "")
    if declared.platform is not None or declared.os_type is None or declared.os_type == found:
        return
    if declared.os_type in limits.os_types and declared.os_type != belongs:
        fitting = [platform for platform, os_type in limits.platforms.items() if os_type == declared.os_type]
        yield Breach(
            f"OSType {declared.os_type} is declared and no Platform, whose default {default} belongs to {belongs}",
            "Platform",
            f"Declare --platform, one of: {', '.join(fitting)}.",
        )


@rule
def boot_mode_invalid(image: Image, limits: Limits, declared: Declared) -> Iterator[Outcome]:
    """BootMode has a value that the API does not know, or the API has no such parameter.

    What: the value is not among the profile's boot modes; upper and lower case differ.
    Why: the API refuses the value, or boots the instance in its default mode, BIOS.
    Remedy: take one of its values; without the parameter, boot the image by BIOS.
    Source: ImportImage, BootMode.
    """
    if declared.boot_mode is not None and not limits.boot_modes:
        yield Breach(
            f"{declared.boot_mode!r} cannot be sent, this API has no such parameter and boots by BIOS",
            "BootMode",
            "Leave it away, and make sure that the image boots by BIOS.",
        )
    else:
        yield from _unless_among("BootMode", declared.boot_mode, limits.boot_modes)


@rule
def declared_format_invalid(image: Image, limits: Limits, declared: Declared) -> Iterator[Outcome]:
    """Format has a value that the API does not know.

    What: the declared format is not among the API's, in any case.
    Why: the API refuses the request.
    Remedy: leave it away, so that it is taken from the image.
    Source: ImportImage, DiskDeviceMapping.n.Format; error code InvalidFormat.Malformed.
    """
    accepted = limits.formats.values()
    if declared.image_format is not None and declared.image_format.lower() not in map(str.lower, accepted):
        yield Breach(
            f"{declared.image_format!r} is not a format that the API knows",
            "Format",
            f"Leave it away to have it detected, or take one of: {', '.join(accepted)}.",
        )


@rule
def declared_format_differs(image: Image, limits: Limits, declared: Declared) -> Iterator[Outcome]:
    """The declared Format is not what the image is.

    What: for example RAW is declared for a fixed VHD.
    Why: the service detects the format itself, and the detected one counts.
    Remedy: leave it away, so that it is taken from the image.
    Source: ImportImage, DiskDeviceMapping.n.Format.
    """
    detected = limits.formats.get(image.format)
    known = {accepted.lower() for accepted in limits.formats.values()}
    said = (declared.image_format or "").lower()
    if detected and said in known and said != detected.lower():
        yield Breach(
            f"Format {declared.image_format} is declared, the image is {detected}, and the detected one counts",
            "Format",
            f"Declare {detected}, or leave it away.",
        )


@rule
def region_id_missing(image: Image, limits: Limits, declared: Declared) -> Iterator[Outcome]:
    """RegionId is missing.

    What: the request has no region, or an empty one.
    Why: the API refuses the request.
    Remedy: give the region of the bucket with --region.
    Source: ImportImage, RegionId; error code MissingParameter.
    """
    yield from _missing("RegionId", declared.region_id, "Give the region of the bucket: --region cn-hangzhou.")


@rule
def oss_bucket_missing(image: Image, limits: Limits, declared: Declared) -> Iterator[Outcome]:
    """OSSBucket is missing.

    What: a disk of the request has no bucket, or an empty one.
    Why: the API refuses the request.
    Remedy: give the bucket with --bucket.
    Source: ImportImage, DiskDeviceMapping.n.OSSBucket; error code MissingParameter.
    """
    yield from _missing("OSSBucket", declared.oss_bucket, "Give the bucket that holds the object: --bucket NAME.")


@rule
def oss_object_missing(image: Image, limits: Limits, declared: Declared) -> Iterator[Outcome]:
    """OSSObject is missing.

    What: a disk of the request has no object key, or an empty one.
    Why: the API refuses the request.
    Remedy: give the key with --key.
    Source: ImportImage, DiskDeviceMapping.n.OSSObject; error code MissingParameter.
    """
    yield from _missing("OSSObject", declared.oss_object, "Give the key of the uploaded object: --key KEY.")


def _missing(parameter: str, value: str | None, remedy: str) -> Iterator[Outcome]:
    if value is not None and not value:
        yield Breach("the parameter is mandatory and empty", parameter, remedy)


@rule
def region_id_malformed(image: Image, limits: Limits, declared: Declared) -> Iterator[Outcome]:
    """RegionId is not written as any region is.

    What: regions are lower-case letters and digits in groups, with hyphens between them: cn-hangzhou.
    Why: no such region can exist, today or later.
    Remedy: give the id of the region, not its name, endpoint or zone.
    Source: ImportImage, RegionId; error code RegionId.NotFound.
    """
    if declared.region_id and not _REGION.fullmatch(declared.region_id):
        yield Breach(
            f"{declared.region_id!r} is not written as a region is",
            "RegionId",
            "Give the region's id, such as cn-hangzhou.",
        )


@rule
def region_unknown(image: Image, limits: Limits, declared: Declared) -> Iterator[Outcome]:
    """RegionId is not a region that was known when the profile was written.

    What: the value is not in the profile's list.
    Why: a misspelt region is refused; a new one is right and only not in the list.
    Remedy: compare with DescribeRegions.
    Source: ImportImage, RegionId; error codes RegionId.NotFound, InvalidRegion.NotSupport.
    """
    region = declared.region_id
    if region and _REGION.fullmatch(region) and region not in limits.regions:
        yield Breach(
            f"{region!r} is not a region that is known here",
            "RegionId",
            "Compare it with DescribeRegions, run: aliyun ecs DescribeRegions",
        )


@rule
def oss_bucket_malformed(image: Image, limits: Limits, declared: Declared) -> Iterator[Outcome]:
    """OSSBucket is not a name that a bucket can have.

    What: 3 to 63 lower-case letters, digits and hyphens, beginning and ending with a letter or digit.
    Why: no such bucket can exist.
    Remedy: give the bucket's name alone, without oss:// and path.
    Source: OSS, "Bucket naming conventions".
    """
    bucket = declared.oss_bucket
    if not bucket:
        return
    if len(bucket) not in limits.bucket_length:
        fault = (
            f"it has {len(bucket)} characters, allowed are {limits.bucket_length.minimum} to "
            f"{limits.bucket_length.maximum}"
        )
    elif not _BUCKET.fullmatch(bucket):
        fault = "allowed are lower-case letters, digits and hyphens, not at the ends"
    else:
        return
    yield Breach(
        f"{bucket!r}: {fault}", "OSSBucket", "Give the bucket's name alone, without oss:// and without a path."
    )


@rule
def oss_object_malformed(image: Image, limits: Limits, declared: Declared) -> Iterator[Outcome]:
    """OSSObject is not a key that an object can have.

    What: 1 to 1023 bytes of UTF-8 that do not begin with a slash or backslash.
    Why: no such object can exist.
    Remedy: give the key as OSS shows it, without the bucket.
    Source: OSS, "Object naming conventions".
    """
    key = declared.oss_object
    if not key:
        return
    size = len(key.encode("utf-8", "surrogatepass"))
    if size not in limits.object_bytes:
        fault = f"it has {size} bytes, allowed are {limits.object_bytes.minimum} to {limits.object_bytes.maximum}"
    elif key[0] in "/\\":
        fault = f"it begins with {key[0]}"
    elif _SURROGATE.search(key):
        fault = "it is not UTF-8"
    else:
        return
    yield Breach(f"{key[:80]!r}: {fault}", "OSSObject", "Give the key as OSS shows it, without the bucket.")


@rule
def oss_object_repeated(image: Image, limits: Limits, declared: Declared) -> Iterator[Outcome]:
    """Two disks of the request have the same OSSObject.

    What: the key of this mapping is that of an earlier one; keys made from file names are the same where the files
    are called the same.
    Why: one upload replaces the other, and both disks are made from it.
    Remedy: give the keys with --key.
    Source: ImportImage, DiskDeviceMapping.n.OSSObject.
    """
    if declared.oss_object and declared.oss_object in declared.other_objects:
        yield Breach(
            f"{declared.oss_object!r} is the key of an earlier disk too",
            "OSSObject",
            "Give each disk a key of its own, with one --key for each image.",
        )


@rule
def mapping_count_out_of_range(image: Image, limits: Limits, declared: Declared) -> Iterator[Outcome]:
    """The request has too many disks, or none.

    What: DiskDeviceMapping.n has n from 1 to 17: one system disk and at most 16 data disks.
    Why: what is over is refused or ignored.
    Remedy: import the other data disks by themselves.
    Source: ImportImage, DiskDeviceMapping.n.
    """
    count = declared.mapping_count
    if count is not None and count not in limits.mappings:
        yield Breach(
            f"{count} disks, allowed are {limits.mappings.minimum} to {limits.mappings.maximum}",
            "DiskDeviceMapping",
            "Import the data disks that are over in a request of their own.",
        )
