"""Sizes and offsets that 64-bit fields state, where they could state any."""

from preflight.facts import Problem
from preflight.filesystems._fields import MAX_SIZE


def stated_size(count: int, unit: int, where: str, offset: int) -> tuple[int | None, tuple[Problem, ...]]:
    """`count` times `unit` bytes; where no disk can have so many, None and the problem.

    `where` names the superblock, `offset` is the byte of the field with the count.
    """
    if count * unit <= MAX_SIZE:
        return count * unit, ()
    message = f"the size is {count} units of {unit} bytes, expected at most {MAX_SIZE} bytes in all"
    return None, (Problem("superblock-invalid", message, where, offset),)


def shown_offset(offset: int | None) -> int | None:
    """An offset made from fields on disk, as a `Problem` can have it: None for a byte that no disk can have."""
    return offset if offset is not None and 0 <= offset <= MAX_SIZE else None
