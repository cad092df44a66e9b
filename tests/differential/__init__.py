"""Recipes of images, and comparing what an inspection says of them with what the reference tools say."""

import pytest

pytest.register_assert_rewrite("tests.differential.comparing")
