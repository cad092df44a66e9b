"""Finding the targets, and what holds for all of them."""

import importlib
import pkgutil
import re
from pathlib import Path

import pytest

import preflight.targets
from preflight.targets import load, names
from tests.targets import requests

README = (Path(__file__).parents[2] / "README.md").read_text()
NAMES = (
    *("aliyun-cli", "image-pipeline", "json", "packer", "pulumi"),
    *("python-sdk", "query", "terraform", "terraform-json", "url"),
)


def test_every_module_is_a_target_under_its_own_name() -> None:
    assert names() == NAMES
    for info in pkgutil.iter_modules(preflight.targets.__path__):
        if not info.name.startswith("_"):
            module = importlib.import_module(f"preflight.targets.{info.name}")
            assert module.TARGET.name == info.name.replace("_", "-")
            assert load(module.TARGET.name) is module.TARGET


@pytest.mark.parametrize("name", ["no-such", "terraform_json", "_flat", "../x", ""])
def test_another_name_is_refused_with_those_that_there_are(name: str) -> None:
    with pytest.raises(ValueError, match="terraform-json"):
        load(name)


@pytest.mark.parametrize("name", NAMES)
def test_a_text_ends_in_a_newline_and_has_none_of_windows(name: str) -> None:
    text = load(name).render(requests.with_key("a\r\nb\rc"))
    assert text.endswith("\n")
    assert "\r" not in text


@pytest.mark.parametrize("name", ["json", "query", "url", "aliyun-cli", "python-sdk"])
def test_what_speaks_the_api_s_own_language_loses_nothing(name: str) -> None:
    assert not load(name).omits(requests.everything())


@pytest.mark.parametrize("name", NAMES)
def test_the_readme_tells_what_a_target_cannot_send(name: str) -> None:
    (row,) = [line for line in README.splitlines() if re.match(rf"\| .*`{name}`.*\|.*\|.*\|$", line)]
    left_out = {sentence.split()[0] for sentence in load(name).omits(requests.everything()) if "left out" in sentence}
    assert set(re.findall("`([^`]*)`", row.split("|")[3])) == left_out - {"DiskDeviceMapping.3"}  # "and up"
