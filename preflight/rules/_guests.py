"""What rules on the guest share: the facts that they need, and what one cloud makes of a guest."""

import re
from collections.abc import Callable, Iterable, Iterator
from functools import wraps
from typing import Any, NamedTuple

from preflight.facts import Image, Unknown
from preflight.guest_facts import Guest
from preflight.rules import rule
from preflight.verdicts import Declared, GuestKind, Limits, Outcome, Rule, Unsettled


class Case(NamedTuple):
    """What a rule on the guest judges by."""

    guest: Guest
    image: Image
    limits: Limits
    declared: Declared

    @property
    def kind(self) -> GuestKind | None:
        """What the cloud makes of this guest."""
        return kind_of(self.guest, self.limits)


GuestJudge = Callable[[Any, Case], Iterable[Outcome]]


def guest_rule(*os_types: str, of: str = "") -> Callable[[GuestJudge], Rule]:
    """Make a rule on the guest of a system disk, for guests of these `os_types`, or of all.

    `of` names the fact that it judges, from the guest down: `security.selinux`; the guest itself where it is empty.
    Where that is unknown, the rule is unsettled, with the reason; where there is none, as Windows' facts of a Linux,
    it does not apply.
    """

    def decorate(judge: GuestJudge) -> Rule:
        @wraps(judge)
        def judged(image: Image, limits: Limits, declared: Declared) -> Iterator[Outcome]:
            guest = image.guest
            if declared.role != "system" or guest is None:
                return
            if isinstance(guest, Guest) and os_types and guest.os_type not in os_types:
                return
            fact = _fact(guest, of)
            if isinstance(fact, Unknown):
                yield Unsettled(fact.unknown)
            elif isinstance(guest, Guest) and fact is not None:
                yield from judge(fact, Case(guest, image, limits, declared))

        return rule(judged)

    return decorate


def _fact(guest: Guest | Unknown, of: str) -> Any:
    """The fact of this name; `Unknown` where it or one that it belongs to is."""
    fact: Any = guest
    for name in filter(None, of.split(".")):
        if fact is None or isinstance(fact, Unknown):
            break
        fact = getattr(fact, name)
    return fact


def kind_of(guest: Guest, limits: Limits) -> GuestKind | None:
    """What the cloud makes of this guest; None where it does not know its distribution."""
    name = guest.name if isinstance(guest.name, str) else ""
    for kind in limits.contents.guests:
        if kind.distro == guest.distro and kind.variant in (None, guest.variant) and (kind.name or "") in name:
            return kind
    return None


def platform_of(image: Image, limits: Limits) -> str | None:
    """Platform for the guest of this image; None where it is not known, or where the API has none for it."""
    guest = image.guest
    if not isinstance(guest, Guest) or isinstance(guest.distro, Unknown):
        return None
    if kind := kind_of(guest, limits):
        return kind.platform
    return None if guest.os_type == "windows" else limits.default_platform


def os_type_of(image: Image, limits: Limits) -> str | None:
    """OSType for the guest of this image; None where it is not known."""
    guest = image.guest
    if not isinstance(guest, Guest):
        return None
    belongs = limits.platforms.get(platform_of(image, limits) or "")
    return belongs or (guest.os_type if guest.os_type in limits.os_types else limits.os_types[0])


def architecture_of(image: Image, limits: Limits) -> str | None:
    """Architecture for the guest of this image; None where it is not known, or where the API has none for it."""
    guest = image.guest
    found = guest.architecture if isinstance(guest, Guest) else None
    return found if isinstance(found, str) and found in limits.architectures else None


def boot_mode_of(image: Image, limits: Limits) -> str | None:
    """BootMode for the guest of this image, the API's default where it starts from either firmware."""
    guest = image.guest
    if not isinstance(guest, Guest) or isinstance(guest.boot_modes, Unknown):
        return None
    allowed = limits.boot_modes_by_architecture.get(str(guest.architecture), limits.boot_modes)
    return next((mode for mode in allowed if mode.lower() in guest.boot_modes), None)


def license_type_of(image: Image, limits: Limits) -> str | None:
    """LicenseType for the guest of this image; None where it means nothing."""
    kind = kind_of(image.guest, limits) if isinstance(image.guest, Guest) else None
    return kind.license_type if kind else None


def nvme_support_of(image: Image, limits: Limits) -> str | None:
    """Features.NvmeSupport for the guest of this image; None where it is not known."""
    if not limits.nvme_support or not isinstance(image.guest, Guest):
        return None
    starts = starts_from_nvme(image.guest)
    return None if isinstance(starts, Unknown) else limits.nvme_support[0 if starts else 1]


def starts_from_nvme(guest: Guest) -> bool | Unknown:
    """Whether the guest finds its root file system on an NVMe disk."""
    if guest.os_type == "windows":
        windows = guest.windows
        if windows is None or isinstance(windows, Unknown):
            return windows or Unknown("no facts of Windows")
        if isinstance(windows.drivers, Unknown):
            return windows.drivers
        return any(driver.service.lower() == "stornvme" and driver.start == "boot" for driver in windows.drivers)
    if isinstance(guest.nvme, Unknown):
        return guest.nvme
    driver = guest.nvme.driver
    return driver if isinstance(driver, Unknown) else driver in ("built-in", "initramfs")


def numbers(version: str) -> tuple[int, ...]:
    """The numbers of a version, to compare it by: `5.10.0-28-amd64` begins with 5, 10, 0."""
    return tuple(map(int, re.findall(r"\d{1,9}", version)))


def is_older(version: str | Unknown | None, than: str | None) -> bool:
    """Whether a version is known to be older, as far as both tell; one without numbers, as `trixie/sid`, is not."""
    if than is None or not isinstance(version, str):
        return False
    found, wanted = numbers(version), numbers(than)
    told = min(len(found), len(wanted))
    return found[:told] < wanted[:told]
