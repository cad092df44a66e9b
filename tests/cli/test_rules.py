"""`preflight rules`."""

import json

from preflight import profiles
from preflight.rules import all_rules
from tests.cli.conftest import Command

PROFILE = profiles.load("aliyun-2018")


def test_every_rule_of_the_profile_is_one_line(preflight: Command) -> None:
    told = preflight("rules")
    assert (told.code, told.err) == (0, "")
    lines = [line.split() for line in told.out.splitlines()]
    assert [line[0] for line in lines] == [*PROFILE.rules, *PROFILE.not_checkable]
    for line in lines[: len(PROFILE.rules)]:
        assert line[1] == PROFILE.rules[line[0]].severity


def test_what_nobody_can_foresee_is_listed_too(preflight: Command) -> None:
    listed = preflight("rules").out
    for code, reason in PROFILE.not_checkable.items():
        assert f"not checkable  {reason}" in listed
        assert code in listed


def test_json_has_everything_of_each(preflight: Command) -> None:
    told = json.loads(preflight("rules", "--format", "json").out)
    assert list(told) == ["profile", "rules", "not_checkable"]
    assert told["profile"] == "aliyun-2018"
    assert [entry["rule"] for entry in told["rules"]] == list(PROFILE.rules)
    for entry in told["rules"]:
        assert list(entry) == ["rule", "severity", "title", "api_error", "detection_item", "source"]
        assert entry["title"] == all_rules()[entry["rule"]].title
    assert told["not_checkable"] == PROFILE.not_checkable


def test_each_profile_can_be_listed(preflight: Command) -> None:
    for name in profiles.names():
        assert preflight("rules", "--profile", name).code == 0
