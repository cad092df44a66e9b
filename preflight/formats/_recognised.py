"""What the formats that are only recognised and named have in common."""

from collections.abc import Callable

from construct import Struct

from preflight.errors import BudgetExhausted, OutOfBounds, ReadFailed, StructureError
from preflight.facts import Problem
from preflight.formats import Container
from preflight.source import BlockSource

MAX_SIZE = 2**63 - 1  # no host has a longer disk: off_t is signed


def head(source: BlockSource, size: int) -> bytes:
    """The first `size` bytes, or all where the source is shorter."""
    return source.read_at(0, min(size, source.size))


def invalid(where: str, offset: int | None, message: str) -> Problem:
    """A damaged header, or other structure, of a container; no byte is told that no file can have."""
    if offset is not None and not 0 <= offset <= MAX_SIZE:
        offset = None
    return Problem("container-header-invalid", message, where, offset)


def not_closed(where: str, offset: int, message: str) -> Problem:
    """What was written last may not be in place: the program that had the container open has not closed it."""
    return Problem("container-not-closed", message, where, offset)


def require(condition: bool, where: str, layout: Struct, field: str, reason: str, base: int = 0) -> None:
    """Raise a `StructureError` at `field` of the `layout` that lies at byte `base`, unless `condition` holds."""
    if not condition:
        offset = base
        for subcon in layout.subcons:
            if subcon.name == field:
                break
            offset += subcon.sizeof()
        raise StructureError(where, offset, f"{field} {reason}")


def open_named(
    name: str, source: BlockSource, read: Callable[[BlockSource], Container], guest: BlockSource | None = None
) -> Container:
    """What `read` says; where the header is damaged or cut off, the format's name, `guest`, and the problem.

    Raises as `damage` does.
    """
    try:
        return read(source)
    except StructureError as error:
        return Container(name, guest, None, problems=(damage(name, error),))


def damage(name: str, error: StructureError) -> Problem:
    """What `error` says of a file of this format, as a problem.

    Raises `error` itself where the host or our budget is at fault, not the file.
    """
    if isinstance(error, ReadFailed | BudgetExhausted):
        raise error
    return invalid(f"{name} header" if isinstance(error, OutOfBounds) else error.where, error.offset, error.reason)
