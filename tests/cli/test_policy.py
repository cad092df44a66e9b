"""`preflight policy`."""

import json

from tests.cli.conftest import Command


def test_the_role_and_its_policies_are_json(preflight: Command) -> None:
    told = preflight("policy")
    assert (told.code, told.err) == (0, "")
    policy = json.loads(told.out)
    assert list(policy) == ["role_name", "trust_policy", "permission_policy"]
    assert policy["role_name"] == "AliyunECSImageImportDefaultRole"
    (trust,) = policy["trust_policy"]["Statement"]
    assert (trust["Effect"], trust["Action"]) == ("Allow", "sts:AssumeRole")
    assert trust["Principal"] == {"Service": ["ecs.aliyuncs.com"]}
    (permission,) = policy["permission_policy"]["Statement"]
    assert "oss:GetObject" in permission["Action"]
    assert permission["Effect"] == "Allow"


def test_text_has_each_part_ready_to_be_copied(preflight: Command) -> None:
    policy = json.loads(preflight("policy").out)
    told = preflight("policy", "--format", "text").out
    name, trust, permission = told.split("\n\n", 2)
    assert name == f"Role: {policy['role_name']}"
    assert json.loads(trust.removeprefix("Trust policy:\n")) == policy["trust_policy"]
    assert json.loads(permission.removeprefix("Permission policy:\n")) == policy["permission_policy"]


def test_the_role_of_today_may_ask_for_the_bucket_too(preflight: Command) -> None:
    told = json.loads(preflight("policy", "--profile", "aliyun").out)
    assert told["permission_policy"]["Statement"][0]["Action"][-1] == "oss:GetBucketInfo"
    told = json.loads(preflight("policy").out)
    assert "oss:GetBucketInfo" not in told["permission_policy"]["Statement"][0]["Action"]
