"""Rules on the younger parameters of the request: licence, features, tags, tokens."""

from collections.abc import Iterator

from preflight.facts import Image
from preflight.rules import rule
from preflight.verdicts import Breach, Declared, Limits, Outcome, not_offered

MAX_SHOWN = 80  # characters of a value in a message


@rule
def parameter_not_offered(image: Image, limits: Limits, declared: Declared) -> Iterator[Outcome]:
    """A parameter is declared that the API does not have.

    What: for example LicenseType with the reference of 2018.
    Why: it cannot be sent, and is left out of the request.
    Remedy: take a profile that has it, or leave it away.
    Source: ImportImage, request parameters.
    """
    for name in not_offered(declared, limits).values():
        yield Breach("this API has no such parameter, it is not sent", name, "Take a profile that has it: --profile.")


def _unless_among(parameter: str, value: str | None, allowed: tuple[str, ...]) -> Iterator[Outcome]:
    if value is not None and allowed and value not in allowed:
        yield Breach(f"{value[:MAX_SHOWN]!r} is no value of it", parameter, f"Take one of: {', '.join(allowed)}.")


@rule
def license_type_invalid(image: Image, limits: Limits, declared: Declared) -> Iterator[Outcome]:
    """LicenseType has a value that the API does not know.

    What: the value is not among the profile's; upper and lower case differ.
    Why: the API refuses the request.
    Remedy: take one of its values.
    Source: ImportImage, LicenseType; error code InvalidLicenseType.NotSupported.
    """
    yield from _unless_among("LicenseType", declared.license_type, limits.license_types)


@rule
def nvme_support_invalid(image: Image, limits: Limits, declared: Declared) -> Iterator[Outcome]:
    """Features.NvmeSupport has a value that the API does not know.

    What: the value is not among the profile's; upper and lower case differ.
    Why: the API refuses the request, or takes it for no.
    Remedy: take one of its values.
    Source: ImportImage, Features.NvmeSupport.
    """
    yield from _unless_among("Features.NvmeSupport", declared.nvme_support, limits.nvme_support)


@rule
def imds_support_invalid(image: Image, limits: Limits, declared: Declared) -> Iterator[Outcome]:
    """Features.ImdsSupport has a value that the API does not know.

    What: the value is not among the profile's; upper and lower case differ.
    Why: the API refuses the request.
    Remedy: take one of its values.
    Source: ImportImage, Features.ImdsSupport; error code InvalidParameter.FeaturesImdsSupport.
    """
    yield from _unless_among("Features.ImdsSupport", declared.imds_support, limits.imds_support)


@rule
def detection_strategy_invalid(image: Image, limits: Limits, declared: Declared) -> Iterator[Outcome]:
    """DetectionStrategy has a value that the API does not know.

    What: the value is not among the profile's; upper and lower case differ.
    Why: the API refuses the request.
    Remedy: take its one value, or leave it away for no check.
    Source: ImportImage, DetectionStrategy; error code InvalidParameter.DetectionStrategy.
    """
    yield from _unless_among("DetectionStrategy", declared.detection_strategy, limits.detection_strategies)


@rule
def client_token_malformed(image: Image, limits: Limits, declared: Declared) -> Iterator[Outcome]:
    """ClientToken breaks its rules.

    What: it has characters outside ASCII, or more than it may have.
    Why: the API refuses the request.
    Remedy: take a UUID.
    Source: ImportImage, ClientToken; error code InvalidClientToken.Malformed.
    """
    token, length = declared.client_token, limits.client_token_length
    if token is None or length is None:
        return
    if not token.isascii() or not token.isprintable():
        fault = "it has characters outside printable ASCII"
    elif len(token) not in length:
        fault = f"it has {len(token)} characters, allowed are {length.minimum} to {length.maximum}"
    else:
        return
    yield Breach(fault, "ClientToken", "Take a new UUID, run: uuidgen")


@rule
def tag_malformed(image: Image, limits: Limits, declared: Declared) -> Iterator[Outcome]:
    """A tag breaks the rules for tags.

    What: a key is empty, a key or value is too long, begins with what is reserved or has an address in it, or there
    are too many tags.
    Why: the API refuses the request.
    Remedy: choose another key or value.
    Source: ImportImage, Tag.N.Key and Tag.N.Value.
    """
    rules = limits.tags
    if rules is None:
        return
    if len(declared.tags) > rules.maximum:
        yield Breach(f"{len(declared.tags)} tags, allowed are {rules.maximum}", "Tag", "Leave some away.")
    for number, (key, value) in enumerate(declared.tags, start=1):
        if not key:
            yield Breach("the key is empty", f"Tag.{number}.Key", "Write --tag KEY=VALUE.")
        for name, text, beginnings in (("Key", key, rules.key_beginnings), ("Value", value, rules.value_beginnings)):
            faults = [f"it begins with {one}" for one in beginnings if text.lower().startswith(one)]
            faults += [f"it has {one} in it" for one in rules.forbidden if one in text.lower()]
            if len(text) > rules.length:
                faults.append(f"it has {len(text)} characters, allowed are {rules.length}")
            if faults:
                yield Breach("; ".join(faults), f"Tag.{number}.{name}", "Choose another one.")


@rule
def tag_repeated(image: Image, limits: Limits, declared: Declared) -> Iterator[Outcome]:
    """Two tags have the same key.

    What: keys count as the same whatever their case.
    Why: the API refuses the request.
    Remedy: leave one away.
    Source: ImportImage, Tag.N.Key; error code TagKey.Duplication.
    """
    seen: set[str] = set()
    for number, (key, _) in enumerate(declared.tags if limits.tags else (), start=1):
        if key.lower() in seen:
            yield Breach(f"the key {key[:MAX_SHOWN]!r} is there twice", f"Tag.{number}.Key", "Leave one away.")
        seen.add(key.lower())
