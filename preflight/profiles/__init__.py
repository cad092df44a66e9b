"""Profiles: one cloud's import API at one time, as data. A new cloud is one TOML file in this folder.

The file's keys are the fields of `verdicts.Profile`. A misspelt rule, limit or document fails when it is loaded.
"""

import os
import tomllib
from collections.abc import Iterator
from functools import cache

import msgspec

from preflight.errors import ProfileError
from preflight.rules import all_rules
from preflight.verdicts import FURTHER_PARAMETERS, Profile, Range, Requirement

DEFAULT = "aliyun-2018"


def names() -> tuple[str, ...]:
    """The names of all profiles, the default one first."""
    found = {entry.removesuffix(".toml") for entry in os.listdir(__path__[0]) if entry.endswith(".toml")}
    return (DEFAULT, *sorted(found - {DEFAULT}))


@cache
def load(name: str) -> Profile:
    """The profile of this name; `ProfileError` where there is none, or where its data is wrong."""
    if name not in names():
        raise ProfileError(f"there is no profile {name!r}, only {', '.join(names())}")
    return read(os.path.join(__path__[0], f"{name}.toml"))


def newer_than(profile: Profile) -> Iterator[Profile]:
    """The profiles that may accept what the default one refuses, each loaded when it is asked for."""
    if profile.name == DEFAULT:
        yield from (load(name) for name in names() if name != DEFAULT)


def read(path: str) -> Profile:
    """The profile in the file at `path`; `ProfileError` where its data is wrong."""
    with open(path, "rb") as file:
        try:
            profile = msgspec.convert(tomllib.load(file), Profile)
        except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
            raise ProfileError(f"{path}: {error}") from error
    _verify(profile, path)
    return profile


def requirements(profile: Profile) -> tuple[Requirement, ...]:
    """What the profile's cloud asks of images, item by item; `ProfileError` where the list is wrong."""
    path = os.path.join(__path__[0], "requirements", f"{profile.requirements}.toml")
    with open(path, "rb") as file:
        try:
            listed = msgspec.convert(tomllib.load(file), dict[str, tuple[Requirement, ...]]).get("requirement", ())
        except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
            raise ProfileError(f"{path}: {error}") from error
    for entry in listed:
        for rule_id in entry.rules:
            if rule_id not in all_rules():
                raise ProfileError(f"{path}: {entry.item}: there is no rule {rule_id!r}")
        if not entry.rules and not entry.reason:
            raise ProfileError(f"{path}: {entry.item}: neither a rule nor a reason")
    return listed


def _verify(profile: Profile, path: str) -> None:
    """Names in a profile that refer to something must find it."""
    rules = all_rules()
    for rule_id, setting in profile.rules.items():
        if rule_id not in rules:
            raise ProfileError(f"{path}: [rules.{rule_id}]: there is no such rule")
        if setting.source not in profile.sources:
            raise ProfileError(f"{path}: [rules.{rule_id}]: source {setting.source!r} is not in [sources]")
    if profile.source not in profile.sources:
        raise ProfileError(f"{path}: source {profile.source!r} is not in [sources]")
    limits = profile.limits
    for platform, os_type in limits.platforms.items():
        if os_type not in limits.os_types:
            raise ProfileError(f"{path}: [limits.platforms]: {platform!r} has an unknown OSType {os_type!r}")
    if limits.default_platform not in limits.platforms:
        raise ProfileError(f"{path}: [limits]: default_platform {limits.default_platform!r} is not in platforms")
    for name in limits.__struct_fields__:
        value = getattr(limits, name)
        if isinstance(value, Range) and value.minimum > value.maximum:
            raise ProfileError(f"{path}: [limits]: {name} is empty, {value.minimum} to {value.maximum}")
    contents = limits.contents
    for platform in (*(kind.platform for kind in contents.guests), contents.custom_platform.platform):
        if platform not in limits.platforms:
            raise ProfileError(f"{path}: [limits.contents]: platform {platform!r} is not in [limits.platforms]")
    for kind in contents.guests:
        if kind.license_type is not None and kind.license_type not in limits.license_types:
            raise ProfileError(f"{path}: [limits.contents]: license_type {kind.license_type!r} is not in license_types")
    for parameter in limits.further_parameters:
        if parameter not in FURTHER_PARAMETERS.values():
            raise ProfileError(f"{path}: [limits]: further_parameters has the unknown {parameter!r}")
    if not os.path.exists(os.path.join(__path__[0], "requirements", f"{profile.requirements}.toml")):
        raise ProfileError(f"{path}: there is no list of requirements {profile.requirements!r}")
    for reminder in profile.reminders:
        try:
            reminder.format(region="", bucket="")
        except (LookupError, ValueError) as error:
            raise ProfileError(f"{path}: reminders: {reminder!r} may only name region and bucket") from error
