"""The one family of exceptions: whatever else escapes a function of this package is a bug in it."""


class PreflightError(Exception):
    """Base of all errors that this package raises on purpose; its text is fit to be shown."""


class UnreadableImage(PreflightError):
    """The image could not be read at all: absent, no permission, not a regular file."""


class ProfileError(PreflightError):
    """A profile that does not exist, or whose data is wrong."""


class InvalidDocument(PreflightError):
    """A document that is not what it should be: no JSON, or not of the expected schema."""


class NotReady(PreflightError):
    """A request is not written, as errors stand in its way."""


class ToolError(PreflightError):
    """An external program is missing, failed, or gave no usable answer."""


class StructureError(PreflightError):
    """A structure on disk breaks its specification.

    Parsers raise it where they cannot go on, and turn it into a `facts.Problem` where they can.
    """

    def __init__(self, where: str, offset: int | None, reason: str) -> None:
        """`where` names the structure, `offset` is its byte (within the source that was read), if known."""
        self.where = where
        self.offset = offset
        self.reason = reason
        super().__init__(f"{where}{'' if offset is None else f' at byte {offset:#x}'}: {reason}")


class OutOfBounds(StructureError):
    """Bytes were asked for that lie outside the source: the file is too short for what it promises."""


class UnreachableBytes(StructureError):
    """The guest has these bytes, but they are not in this file: a backing or data file, or behind a key."""


class ReadFailed(StructureError):
    """The host could not deliver bytes that the file has (EIO, or the file shrank while it was read)."""


class BudgetExhausted(StructureError):
    """The image asked for more reads or bytes than an honest one needs."""


class ConfigurationError(PreflightError):
    """A configuration file or a baseline that cannot be read, or that says something it cannot say."""

    def __init__(self, *problems: str) -> None:
        """`problems`: each names the file, and the line where one is at fault."""
        self.problems = problems
        super().__init__("; ".join(problems))
