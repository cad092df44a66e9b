"""Changed images: what the reference tools refuse we refuse, and what both read is the same."""

import os
from pathlib import Path

import pytest

from tests.differential import damaged, hostile
from tests.properties import images
from tests.tools import require

EVERY = os.environ.get("PREFLIGHT_EVERY_MUTATION") == "1"  # `make differential`
OFTEN = 10 if EVERY else 1


@pytest.fixture(autouse=True)
def _needs_tools() -> None:
    require("qemu-img", "sfdisk", "debugfs", "xfs_db", "btrfs", "ntfscat", "ntfsls", "ntfscp", "mcopy")


def test_what_qemu_img_refuses_we_refuse_and_for_the_rest_we_have_reasons(tmp_path: Path) -> None:
    bases = {name: images.RECIPES[name](tmp_path) for name in hostile.KINDS}
    assert hostile.qemu_disagreements(hostile.picked(bases, 200 * OFTEN, 2024), tmp_path) == []


def test_sfdisk_sees_the_partitions_that_we_see(tmp_path: Path) -> None:
    cases = hostile.picked(hostile.tables(tmp_path), 200 * OFTEN, 77)
    assert hostile.sfdisk_disagreements(cases, tmp_path) == []


@pytest.mark.parametrize("name", damaged.RECIPES)
def test_a_file_of_a_damaged_file_system_is_never_other_bytes(tmp_path: Path, name: str) -> None:
    """Refused by either, or by both the same; where they differ, ours are the bytes that were put there."""
    target = damaged.RECIPES[name](tmp_path)
    assert damaged.ours(target) == target.reference(target.path, tmp_path / "out") == damaged.CONTENT
    for damage in damaged.damages(target, 40 * OFTEN, 1):
        with damaged.applied(target, damage):
            ours, theirs = damaged.ours(target), target.reference(target.path, tmp_path / "out")
        for path, content in damaged.CONTENT.items():
            if isinstance(ours, str):
                assert not any(word in ours for word in ("crashed", "longer than", "the reader failed")), ours
            elif ours[path] not in (None, content):  # then the disk says so: the tool must say the same
                theirs_cut = (theirs[path] or b"")[: damaged.LONGEST]
                assert ours[path] == theirs_cut, f"{path} after {damage.offset:#x} was changed"
