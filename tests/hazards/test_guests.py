"""G2, G3: hives that loop, and text that acts on who reads it."""

import json
import struct

import pytest

from preflight import reports
from preflight.errors import StructureError
from preflight.facts import Partition
from preflight.plugins import collect
from tests import builders
from tests.guests import test_hives as hives
from tests.guests.hives import ROOT_CELL
from tests.hazards.rows import hazard


@hazard("G2")
@pytest.mark.parametrize(
    "cells",
    [
        hives.with_list(hives.leaf(b"li", [ROOT_CELL]), size=0),
        hives.with_list(hives.leaf(b"li", [ROOT_CELL]), size=16),
        hives.with_list(hives.leaf(b"li", [ROOT_CELL]), size=-(2**31)),
        hives.looping_root(),
        hives.with_list_at(0xFFFF_FFF8),
        hives.with_list(b"li\xff\xff"),
    ],
    ids=["cell size 0", "not in use", "cell size -2^31", "list of itself", "offset 2^32", "65535 keys"],
)
def test_a_hostile_list_of_keys_is_refused_at_its_byte(cells: hives.Cells) -> None:
    with pytest.raises(StructureError) as caught:
        hives.opened(cells.data()).find("Name")
    assert caught.value.offset is not None


@hazard("G2")
@pytest.mark.parametrize("count", [65_536, 0x7FFF_FFFF, 0xFFFF_FFFF])
def test_a_hostile_count_of_values_is_refused(count: int) -> None:
    cells = hives.Cells()
    cells.root(number_of_key_values=count, list=ROOT_CELL)
    with pytest.raises(StructureError):
        hives.opened(cells.data()).text("Name")


@hazard("G2")
@pytest.mark.parametrize("signature", [b"ri", b"li"])
def test_lists_in_a_ring_end(signature: bytes) -> None:
    cells = hives.Cells()
    first = cells.add(struct.pack("<2sHII", b"ri", 1, 0, 0))
    second = cells.add(struct.pack("<2sHI", signature, 1, first))
    cells.patch(first + 4, struct.pack("<2sHI", b"ri", 1, second))
    cells.root(number_of_subkeys=1, subkeys_list_offset=first)
    with pytest.raises(StructureError):
        hives.opened(cells.data()).find("Name")


EVIL = "\x1b[31m::error::x\r\n##vso[task]\u202e\x07<script>&\"'\x9b"


@hazard("G3")
@pytest.mark.parametrize("report", collect(reports, "REPORT"), ids=lambda one: one.name)
def test_text_of_an_image_never_acts_on_who_reads_it(report: reports.ReportFormat) -> None:
    image = builders.image(
        path=EVIL,
        partitions=(Partition(1, 1 << 20, 1 << 20, builders.LINUX_DATA, None, EVIL, None, False),),
        filesystems=(builders.filesystem("partition 1"),),
        guest=builders.linux(name=EVIL, distro=EVIL, version=EVIL),
        format_details={"creator_application": EVIL},
        problems=(builders.problem("superblock-invalid", message=EVIL, where=EVIL),),
    )
    judged = builders.report(image)
    for printed in (report.images([image]) if report.images else "", report.reports([judged])):
        assert not set(printed) & set("\x1b\r\x07\x9b\u202e")
        assert not [line for line in printed.splitlines() if line.lstrip().startswith(("::error::x", "##vso["))]
        if report.name == "junit":
            assert "<script>" not in printed
        if report.name == "json":
            assert EVIL in _strings(json.loads(printed))


def _strings(value: object) -> list[str]:
    waiting: list[object] = [value]
    found: list[str] = []
    while waiting:
        one = waiting.pop()
        if isinstance(one, str):
            found.append(one)
        elif isinstance(one, dict):
            waiting += one.values()
        elif isinstance(one, list):
            waiting += one
    return found
