"""Rules on what the guest is, against what is declared of it and what the API has a value for."""

from collections.abc import Iterator

from preflight.guest_facts import Guest
from preflight.rules._guests import (
    Case,
    architecture_of,
    guest_rule,
    kind_of,
    license_type_of,
    os_type_of,
    platform_of,
)
from preflight.verdicts import Breach, Outcome


@guest_rule(of="architecture")
def architecture_not_offered(architecture: str, case: Case) -> Iterator[Outcome]:
    """The guest is of an architecture that the API does not know.

    What: its programs are for another processor than the profile's values of Architecture.
    Why: there is no instance type on which they run.
    Remedy: build the image for one of the architectures, or import it with an API that has this one.
    Source: ImportImage, Architecture.
    """
    offered = case.limits.architectures
    if architecture not in offered:
        yield Breach(
            f"the guest is {architecture}, offered are {', '.join(offered)}",
            "Architecture",
            f"Build the image for {offered[0]}, or import it by a profile that has {architecture}.",
        )


@guest_rule(of="architecture")
def declared_architecture_differs(architecture: str, case: Case) -> Iterator[Outcome]:
    """The declared Architecture is not that of the guest.

    What: for example x86_64 is declared, and the guest's programs are arm64.
    Why: the instance is started on the wrong processor, or with the wrong firmware.
    Remedy: leave it away, so that it is taken from the image.
    Source: ImportImage, Architecture; image check item GUESTOS.Architecture.
    """
    said = case.declared.architecture
    if said in case.limits.architectures and said != architecture:
        fitting = architecture_of(case.image, case.limits)
        yield Breach(
            f"Architecture {said} is declared, the guest is {architecture}",
            "Architecture",
            f"Declare --architecture {fitting}, or leave it away." if fitting else "Leave it away.",
        )


@guest_rule()
def declared_os_type_differs(guest: Guest, case: Case) -> Iterator[Outcome]:
    """The declared OSType is not that of the guest.

    What: windows is declared for a Linux, or the other way round.
    Why: the instance is set up by the wrong procedure, and gets the wrong drivers and licence.
    Remedy: leave it away, so that it is taken from the image.
    Source: ImportImage, OSType.
    """
    said, found = case.declared.os_type, os_type_of(case.image, case.limits)
    if said in case.limits.os_types and found is not None and said != found:
        yield Breach(
            f"OSType {said} is declared, the guest is {guest.os_type}",
            "OSType",
            f"Declare --os-type {found}, or leave it away.",
        )


@guest_rule(of="distro")
def declared_platform_differs(distro: str, case: Case) -> Iterator[Outcome]:
    """The declared Platform is not that of the guest.

    What: for example Ubuntu is declared for a Debian. Values for systems that the API does not know fit all of their
    OSType.
    Why: the cloud sets the instance up as that system, and fails at files that are elsewhere.
    Remedy: leave it away, so that it is taken from the image.
    Source: ImportImage, Platform; image check item GUESTOS.Platform.
    """
    said, fitting = case.declared.platform, platform_of(case.image, case.limits)
    general = (case.limits.default_platform, case.limits.contents.custom_platform.platform)
    if said in case.limits.platforms and said not in general and said != fitting:
        advice = f"Declare --platform '{fitting}', or leave it away." if fitting else "Leave it away."
        yield Breach(f"Platform {said} is declared, the guest is {_named(case.guest)}", "Platform", advice)


@guest_rule("linux", "freebsd", of="distro")
def platform_without_own_value(distro: str, case: Case) -> Iterator[Outcome]:
    """The API has no value of Platform for the guest's distribution.

    What: it is not among the profile's platforms, so the value for other systems stands for it.
    Why: the cloud does nothing to the instance: host name, password and network are the guest's own affair. With DHCP
    the network works.
    Remedy: none is needed where cloud-init or the like sets the guest up.
    Source: ImportImage, Platform; instructions for importing images, Others Linux.
    """
    default = case.limits.default_platform
    if case.declared.platform is None and platform_of(case.image, case.limits) == default:
        yield Breach(
            f"the API has no Platform for {_named(case.guest)}, so it becomes {default}",
            "Platform",
            "Make sure that the guest sets itself up, as with cloud-init.",
        )


@guest_rule("windows", of="windows")
def windows_release_not_offered(windows: object, case: Case) -> Iterator[Outcome]:
    """The API has no value of Platform for this Windows.

    What: the release is not among the profile's platforms, and no general value fits OSType windows.
    Why: under the name of another release it gets the wrong drivers and the wrong licence.
    Remedy: import it with an API that knows it.
    Source: ImportImage, Platform.
    """
    if platform_of(case.image, case.limits) is None:
        known = ", ".join(name for name, os_type in case.limits.platforms.items() if os_type == "windows")
        yield Breach(
            f"the guest is {_named(case.guest)}, offered are {known}",
            "Platform",
            "Import it by a profile that has this release, see: preflight profiles",
        )


@guest_rule()
def licence_of_the_cloud_not_offered(guest: Guest, case: Case) -> Iterator[Outcome]:
    """The declared LicenseType is not offered for the guest's system.

    What: the cloud's own licence is declared for a system that can only be imported with one's own.
    Why: the API refuses the request: "Only BYOL LicenseType is supported for the current platform provided."
    Remedy: declare the type that fits, or leave it away.
    Source: Import custom images; error code InvalidLicenseType.BYOLOnly.
    """
    said, only = case.declared.license_type, license_type_of(case.image, case.limits)
    kind = kind_of(guest, case.limits)
    if said in case.limits.license_types and guest.os_type != "windows" and kind and only and said != only:
        yield Breach(
            f"LicenseType {said} is declared, {kind.platform} takes {only} only",
            "LicenseType",
            f"Declare --license-type {only}, or leave it away.",
        )


@guest_rule("windows")
def image_check_not_offered(guest: Guest, case: Case) -> Iterator[Outcome]:
    """The cloud's image check is asked for, and a document says that it does not take Windows.

    What: DetectionStrategy is declared for a guest with Windows.
    Why: the API has an error ImageCheckUnsupported.WindowsImage; newer pages list checks of Windows.
    Remedy: leave it away where the request is refused.
    Source: ImportImage, error code ImageCheckUnsupported.WindowsImage.
    """
    if case.declared.detection_strategy and case.limits.detection_strategies:
        yield Breach(
            "DetectionStrategy is declared for an image with Windows",
            "DetectionStrategy",
            "Leave --detection-strategy away where the API refuses it.",
        )


def _named(guest: Guest) -> str:
    """What the guest is, for a person."""
    return guest.name if isinstance(guest.name, str) else str(guest.distro)
