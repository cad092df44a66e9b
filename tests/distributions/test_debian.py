"""Debian from 8 to 13, as its cloud images are."""

from pathlib import Path

import pytest

from tests.distributions.sound_guests import is_known_and_judged

NAMES = ["debian-8", "debian-9", "debian-10", "debian-11", "debian-12", "debian-13"]


@pytest.mark.parametrize("name", NAMES)
def test_a_stock_image_is_known_and_judged_as_its_recipe_states(name: str, tmp_path: Path) -> None:
    is_known_and_judged(name, tmp_path)
