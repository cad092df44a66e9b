"""`preflight explain`."""

import json

import pytest

from preflight import profiles
from preflight.rules import all_rules
from tests.cli.conftest import Command

PROFILE = profiles.load("aliyun-2018")


@pytest.mark.parametrize("rule", sorted(all_rules()))
def test_every_rule_is_documented(preflight: Command, rule: str) -> None:
    told = preflight("explain", rule)
    assert (told.code, told.err) == (0, "")
    assert told.out.startswith(f"{rule}\n{'=' * len(rule)}\n\n{all_rules()[rule].title}\n")
    for section in ("What: ", "Why: ", "Remedy: ", "Source: "):
        assert f"\n{section}" in told.out


def test_what_the_profile_says_of_it_stands_below(preflight: Command) -> None:
    last = preflight("explain", "virtual-size-too-large").out.splitlines()[-3:]
    setting = PROFILE.rules["virtual-size-too-large"]
    assert last[0] == f"Profile aliyun-2018: {setting.severity}"
    assert last[1] == f"API error: {setting.api_error}"
    assert last[2] == f"Stated in: {PROFILE.sources[setting.source]}"


def test_a_rule_that_the_profile_does_not_judge_is_explained_all_the_same(preflight: Command) -> None:
    assert preflight("explain", "tag-repeated").out.endswith("\nProfile aliyun-2018 does not judge it.\n")
    assert json.loads(preflight("explain", "tag-repeated", "--format", "json").out)["severity"] is None


def test_json_has_the_same(preflight: Command) -> None:
    told = json.loads(preflight("explain", "dirty-bit", "--format", "json").out)
    assert list(told) == [
        *("rule", "title", "documentation", "profile", "severity", "api_error", "detection_item", "source"),
    ]
    assert (told["rule"], told["severity"]) == ("dirty-bit", PROFILE.rules["dirty-bit"].severity)
    assert told["documentation"] == all_rules()["dirty-bit"].documentation


def test_a_misspelt_rule_gets_a_suggestion(preflight: Command) -> None:
    told = preflight("explain", "dirty-bits")
    assert (told.code, told.out) == (2, "")
    assert "Did you mean dirty-bit" in told.err
