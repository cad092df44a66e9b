"""Raw images: the file is the disk. It has no signature, so raw is what no other format claims."""

from preflight.facts import Problem
from preflight.formats import Container, Format
from preflight.source import BlockSource
from preflight.units import SECTOR, human_size


def _claims(source: BlockSource) -> tuple[str, ...]:
    return ()


def _open(source: BlockSource, name: str) -> Container:
    over = source.size % SECTOR
    problems: tuple[Problem, ...] = ()
    if over:
        message = f"the file is {human_size(over)} longer than a whole number of {SECTOR}-byte sectors"
        problems = (Problem("size-not-in-sectors", message, "the file", source.size - over),)
    return Container(name, source, source.size, problems=problems)


FORMAT = Format(("raw",), _claims, _open)
