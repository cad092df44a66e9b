"""What the readers of volumes share: how an error becomes a problem of the guest's disk."""

from preflight.errors import BudgetExhausted, OutOfBounds, ReadFailed, StructureError, UnreachableBytes
from preflight.facts import Problem, ProblemCode
from preflight.volumes import Member

READ_ERRORS = (OutOfBounds, UnreachableBytes, ReadFailed, BudgetExhausted)
"""What `read_at` raises. Its place is one in the source that refused, which may be any of those below the member."""


def problem_of(error: StructureError, code: ProblemCode, member: Member, where: str, offset: int = 0) -> Problem:
    """The problem for `error`, met on `member`; `code` unless the host or the budget refused to read.

    `where` and `offset` (from the start of the member) are the structure that was to be read; a `StructureError` of
    a reader knows its place better, and keeps it.
    """
    if isinstance(error, BudgetExhausted):
        code = "budget-exhausted"
    elif isinstance(error, ReadFailed):
        code = "read-error"
    elif isinstance(error, UnreachableBytes):
        code = "contents-unreadable"
    if not isinstance(error, READ_ERRORS):
        where, offset = error.where, offset if error.offset is None else error.offset
    return Problem(code, error.reason, where, member.start + offset)
