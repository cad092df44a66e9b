"""LUKS containers, version 1 and 2: what the headers say; the payload needs a key and is never read.

Specification: see `_luks1` and `_luks2`; the magic and the version stand at one place in both.
"""

from collections.abc import Sequence

from construct import Bytes, Int16ub, Struct

from preflight.binary import parse_at
from preflight.errors import StructureError
from preflight.facts import Problem, Volume
from preflight.volumes import Member, OpenVolume, VolumeReader, _luks1, _luks2
from preflight.volumes._luks2 import Header
from preflight.volumes._problems import problem_of

LUKS_MAGIC = b"LUKS\xba\xbe"
PREAMBLE = Struct("magic" / Bytes(6), "version" / Int16ub)


def read(members: Sequence[Member]) -> tuple[tuple[OpenVolume, ...], tuple[Problem, ...]]:
    """A container per member; see `VolumeReader.read`."""
    volumes: list[OpenVolume] = []
    problems: list[Problem] = []
    for member in members:
        on = () if member.partition is None else (member.partition,)
        try:
            header = _read_header(member)
        except StructureError as error:
            header = Header(None, None, None, [error])
        volumes.append(OpenVolume(Volume("luks", header.label, None, header.size, on, header.uuid), None))
        problems += [problem_of(error, "luks-header-invalid", member, "luks header") for error in header.errors]
    return tuple(volumes), tuple(problems)


def _read_header(member: Member) -> Header:
    """What the header of either version says. Raises `StructureError` where there is none that can be read."""
    preamble = parse_at(PREAMBLE, member.source, 0, "luks header")
    if preamble.magic == LUKS_MAGIC and preamble.version == 1:
        return _luks1.read_header(member.source)
    if preamble.magic == LUKS_MAGIC and preamble.version != 2:
        raise StructureError("luks header", 6, f"version {preamble.version}, expected 1 or 2")
    return _luks2.read_header(member.source)


VOLUME = VolumeReader(read)
