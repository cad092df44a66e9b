"""The recipes as such."""

from tests.distributions import test_chinese, test_debian, test_others, test_red_hat, test_suse, test_ubuntu
from tests.distributions.recipes import names

FAMILIES = (test_chinese, test_debian, test_others, test_red_hat, test_suse, test_ubuntu)


def test_every_recipe_is_tested_once() -> None:
    assert sorted(name for family in FAMILIES for name in family.NAMES) == names()
