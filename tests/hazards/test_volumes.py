"""L: LVM metadata that loops or swells, and LUKS headers that lie over each other."""

import json
from pathlib import Path
from typing import Any

import pytest

from preflight.facts import Image
from preflight.source import BlockSource
from preflight.units import KiB, MiB
from tests.hazards.rows import hazard, seen, told
from tests.tools import sparse
from tests.volumes import test_luks, test_lvm2
from tests.volumes.captures import spread

METADATA = "lvm2 metadata"


def seen_of(path: Path, source: BlockSource) -> Image:
    sparse(path, source.size)
    with path.open("r+b") as file:
        for offset in range(0, source.size, MiB):
            data = source.read_at(offset, min(MiB, source.size - offset))
            if any(data):
                file.seek(offset)
                file.write(data)
    return seen(path)


def group(tmp_path: Path, text: str, **changes: Any) -> Image:
    return seen_of(tmp_path / "pv", test_lvm2.pv_member(1, text, **changes).source)


@hazard("L1")
@pytest.mark.parametrize(
    "text",
    [
        "vg {" * 10,
        "vg { id = ",
        'vg { id = "unclosed',
        "vg { seqno = [1, 2",
        "a {" * 33 + "}" * 33,
        "}" * 100,
    ],
)
def test_text_that_does_not_close_or_nests_too_deep_is_refused(tmp_path: Path, text: str) -> None:
    found = group(tmp_path, text)
    assert {code for code, _, _ in told(found)} == {"lvm-metadata-invalid"}
    assert found.volumes == ()


@hazard("L1")
def test_a_ring_that_wraps_is_read(tmp_path: Path) -> None:
    text = test_lvm2.vg(test_lvm2.lv(7, "root", test_lvm2.linear(0, 3)))
    found = group(tmp_path, text, at=test_lvm2.MDA_SIZE - 512)
    assert found.problems == ()
    assert [one.name for one in found.volumes] == ["root"]


@hazard("L1")
def test_a_volume_of_itself_and_volumes_in_a_ring_are_refused(tmp_path: Path) -> None:
    itself = group(tmp_path, test_lvm2.vg(test_lvm2.lv(7, "root", test_lvm2.linear(0, 3, on="root"))))
    assert [(code, where) for code, where, _ in told(itself)] == [("lvm-metadata-invalid", METADATA)]
    ring = test_lvm2.vg(
        test_lvm2.lv(7, "a", test_lvm2.linear(0, 3, on="b")), test_lvm2.lv(8, "b", test_lvm2.linear(0, 3, on="a"))
    )
    assert {code for code, _, _ in told(group(tmp_path, ring))} == {"lvm-metadata-invalid"}


@hazard("L1")
def test_text_of_a_hundred_megabytes_is_not_read(tmp_path: Path) -> None:
    found = group(tmp_path, test_lvm2.vg(), locn={"size": 100 * MiB})
    assert {code for code, _, _ in told(found)} == {"lvm-metadata-invalid"}


@hazard("L1")
def test_text_over_a_megabyte_is_not_read(tmp_path: Path) -> None:
    text = test_lvm2.vg() + "#" * (MiB + 1)
    source = spread(8 * MiB, (0, test_lvm2.pv_bytes(1, text, mda_size=4 * MiB)))
    found = seen_of(tmp_path / "pv", source)
    assert {code for code, _, _ in told(found)} == {"lvm-metadata-invalid"}


@hazard("L2")
@pytest.mark.parametrize("offset", [0, 1])
def test_a_key_slot_over_the_header_of_luks_1_is_told_at_its_byte(tmp_path: Path, offset: int) -> None:
    header = test_luks.luks1(slots={5: {"key_material_offset": offset}})
    found = seen_of(tmp_path / "luks", spread(test_luks.SIZE, (0, header)))
    assert (found.format, [one.kind for one in found.volumes]) in (("luks", []), ("luks", ["luks"]))
    assert ("luks-header-invalid", "luks1 phdr", 208 + 48 * 5) in told(found)


@hazard("L2")
@pytest.mark.parametrize(
    "changes",
    [
        {"keyslots": {"0": test_luks.area(0)}},
        {"keyslots": {"0": test_luks.area(32 * KiB), "1": test_luks.area(32 * KiB + 1)}},
        {"keyslots": {"0": test_luks.area(1 << 62, 1 << 62)}},
        {"config": {"json_size": "12289", "keyslots_size": str(test_luks.KEYSLOTS_SIZE)}},
        {"segments": {}},
        {"keyslots": []},
    ],
    ids=["over the header", "overlap", "past 2^63", "json_size", "no segments", "an array"],
)
def test_an_evil_json_of_luks_2_is_told(tmp_path: Path, changes: dict[str, Any]) -> None:
    found = seen_of(tmp_path / "luks", test_luks.luks2(test_luks.metadata(**changes)))
    assert "luks2 json area" in {where for code, where, _ in told(found) if code == "luks-header-invalid"}


@hazard("L2")
@pytest.mark.parametrize("depth", [100, 5000])
def test_json_that_nests_without_end_is_refused(tmp_path: Path, depth: int) -> None:
    text = b'{"keyslots":' + b"[" * depth + b"]" * depth + b"}"
    found = seen_of(tmp_path / "luks", test_luks.luks2(text))
    assert "luks2 json area" in {where for code, where, _ in told(found) if code == "luks-header-invalid"}


@hazard("L2")
def test_json_of_four_megabytes_is_the_most_that_is_read(tmp_path: Path) -> None:
    text = json.dumps(test_luks.metadata(4 * MiB, tokens={"0": "x" * (4 * MiB)})).encode()
    found = seen_of(tmp_path / "luks", test_luks.luks2(text, hdr_size=4 * MiB))
    assert "luks-header-invalid" in {code for code, _, _ in told(found)}
