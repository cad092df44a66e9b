"""Tells whether a disk image will import into a cloud and boot there, before a byte of it is uploaded.

The names below are the public interface; each module is imported when one of its names is first asked for.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from preflight.api import check as check
    from preflight.api import inspect as inspect
    from preflight.api import payload as payload
    from preflight.errors import InvalidDocument as InvalidDocument
    from preflight.errors import NotReady as NotReady
    from preflight.errors import PreflightError as PreflightError
    from preflight.errors import ProfileError as ProfileError
    from preflight.errors import UnreadableImage as UnreadableImage
    from preflight.facts import Image as Image
    from preflight.facts import Problem as Problem
    from preflight.facts import Unknown as Unknown
    from preflight.guest_facts import Guest as Guest
    from preflight.import_requests import ImportRequest as ImportRequest
    from preflight.limits import Limits as Limits
    from preflight.verdicts import Declared as Declared
    from preflight.verdicts import Finding as Finding
    from preflight.verdicts import Report as Report

__version__ = "0.1.0"

_HOMES = {
    "check": "api",
    "inspect": "api",
    "payload": "api",
    "InvalidDocument": "errors",
    "NotReady": "errors",
    "PreflightError": "errors",
    "ProfileError": "errors",
    "UnreadableImage": "errors",
    "Image": "facts",
    "Problem": "facts",
    "Unknown": "facts",
    "Guest": "guest_facts",
    "Limits": "limits",
    "Declared": "verdicts",
    "Finding": "verdicts",
    "ImportRequest": "import_requests",
    "Report": "verdicts",
}

__all__ = [*_HOMES, "__version__"]  # the table says it once


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = globals()[name] = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
