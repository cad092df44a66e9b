"""What libmagic (the library of `file`) calls a buffer: a name for what nothing of ours recognises."""

import contextlib

from preflight.units import KiB

MAX_BUFFER = 64 * KiB  # libmagic's signatures of containers end before it


def describe(data: bytes) -> str | None:
    """Describe bytes that begin a file, in libmagic's words; at most 64 KiB are looked at.

    None where libmagic has no opinion, or cannot be loaded. It is given bytes, never a path. The description may
    quote the bytes, so it is no safer to print than they are.
    """
    with contextlib.suppress(ImportError):
        import pylibmagic  # noqa: F401  # brings libmagic where the system has none; must come before `magic`
    try:
        import magic
    except (ImportError, OSError):  # no python-magic, no libmagic, or one of another architecture
        return None
    try:
        description = magic.from_buffer(data[:MAX_BUFFER])
    except (magic.MagicException, OSError):
        return None
    return None if description in ("", "data", "empty") else str(description)
