"""`preflight profiles`."""

import json

from preflight import profiles
from tests.cli.conftest import Command


def test_every_profile_is_told_with_its_api_source_and_date(preflight: Command) -> None:
    told = preflight("profiles")
    assert (told.code, told.err) == (0, "")
    for name in profiles.names():
        profile = profiles.load(name)
        document = profile.sources[profile.source]
        for word in (name, profile.title, profile.api, document.url, document.read):
            assert word in told.out
    assert told.out.startswith("aliyun-2018 (default): ")
    assert told.out.count("(default)") == 1


def test_json_has_the_same(preflight: Command) -> None:
    told = json.loads(preflight("profiles", "--format", "json").out)
    assert list(told) == ["profiles"]
    assert [entry["name"] for entry in told["profiles"]] == list(profiles.names())
    for entry in told["profiles"]:
        assert list(entry) == ["name", "title", "api", "source", "default"]
        assert list(entry["source"]) == ["title", "url", "read"]
        assert entry["default"] == (entry["name"] == "aliyun-2018")
