"""What is laid out in a way of its own: CoreOS, Flatcar, Arch, Alpine, Gentoo, FreeBSD."""

from pathlib import Path

import pytest

from tests.distributions.recipes import names
from tests.distributions.sound_guests import is_known_and_judged

NAMES = [
    name for name in names() if name.startswith(("fedora-coreos-", "flatcar", "arch", "alpine-", "gentoo", "freebsd-"))
]


@pytest.mark.parametrize("name", NAMES)
def test_a_stock_image_is_known_and_judged_as_its_recipe_states(name: str, tmp_path: Path) -> None:
    is_known_and_judged(name, tmp_path)
