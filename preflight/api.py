"""The public functions, for importers written in Python: what the commands do, without printing."""

import os
from collections.abc import Collection, Mapping
from typing import Any, Literal

import msgspec

from preflight import checking, inspection, profiles
from preflight.facts import Image
from preflight.verdicts import Declared, Report, Role


def inspect(path: str | os.PathLike[str], *, guest: bool = True) -> Image:
    """The facts of the image file at `path`.

    `guest`: whether to look inside file systems. Raises `UnreadableImage` where the file cannot be read at all; what
    is wrong with an image is in its `problems`.
    """
    return inspection.inspect(os.fspath(path), guest=guest)


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
