"""Image file formats: how the guest's disk is wrapped in the host's file.

A plugin is a module that ends in `FORMAT`, a `Format`, and that is named in `index`.
"""

from collections.abc import Callable
from typing import Any

import msgspec

from preflight.facts import Problem
from preflight.source import BlockSource


class Container(msgspec.Struct, frozen=True):
    """What a format says of one file."""

    format: str
    """Name as in `Image.format`."""
    guest: BlockSource | None
    """The guest's disk, `virtual_size` bytes; None where this format is not read further, or cannot be."""
    virtual_size: int | None
    subformat: str | None = None
    virtual_size_alternatives: dict[str, int] = {}
    format_details: dict[str, Any] = {}
    problems: tuple[Problem, ...] = ()


class Format(msgspec.Struct, frozen=True):
    """A format, or a family of formats that are recognised together."""

    names: tuple[str, ...]
    """Those of its formats, as in `Image.format`."""
    claims: Callable[[BlockSource], tuple[str, ...]]
    """The names of the formats whose signature the file shows, usually none. Reads little; never raises for
    what the file holds. A damaged file that shows the signature is claimed."""
    open: Callable[[BlockSource, str], Container]
    """Read the file as the format of that name, one that `claims` gave. What is wrong becomes a `Problem`;
    a `StructureError` may escape, and then nothing but the format's name is known."""
    own_first_sector: tuple[str, ...] = ()
    """Names of those whose header is the first sector of every file, so that a boot sector's signature there is
    a second claim on it."""
