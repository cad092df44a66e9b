"""Rules on the younger parameters of the request."""

from typing import Any

import pytest

from preflight.verdicts import FURTHER_PARAMETERS, Declared, not_offered, sendable
from tests.builders import found, image, profile

VALID: dict[str, Any] = {
    "license_type": "Aliyun",
    "nvme_support": "supported",
    "imds_support": "v2",
    "detection_strategy": "Standard",
    "client_token": "0c593ea1-3bea-11e9-b96b-88e9fe637760",
    "role_name": "AliyunECSImageImportDefaultRole",
    "resource_group_id": "rg-bp67acfmxazb4p",
    "dry_run": True,
    "tags": (("team", "images"), ("empty", "")),
}


def said(**declared: Any) -> dict[str, str]:
    return found(image(), Declared(**declared), "aliyun")


def test_every_younger_parameter_has_a_valid_value_here() -> None:
    assert set(VALID) == set(FURTHER_PARAMETERS)


@pytest.mark.parametrize("field", VALID)
def test_a_valid_value_passes_and_is_not_sent_to_an_api_without_the_parameter(field: str) -> None:
    declared = Declared(**{field: VALID[field]})
    assert found(image(), declared, "aliyun") == {}
    assert sendable(declared, profile("aliyun").limits) == declared
    assert found(image(), declared) == {"parameter-not-offered": "warning"}
    assert not_offered(declared, profile().limits) == {field: FURTHER_PARAMETERS[field]}
    assert sendable(declared, profile().limits) == Declared()


@pytest.mark.parametrize(
    ("field", "value", "rule"),
    [
        ("license_type", "Auto", "license-type-invalid"),
        ("license_type", "byol", "license-type-invalid"),
        ("nvme_support", "yes", "nvme-support-invalid"),
        ("imds_support", "v3", "imds-support-invalid"),
        ("detection_strategy", "standard", "detection-strategy-invalid"),
        ("client_token", "", "client-token-malformed"),
        ("client_token", "a" * 65, "client-token-malformed"),
        ("client_token", "ü", "client-token-malformed"),
        ("client_token", "a\nb", "client-token-malformed"),
        ("tags", (("", "x"),), "tag-malformed"),
        ("tags", (("k" * 129, "x"),), "tag-malformed"),
        ("tags", (("k", "x" * 129),), "tag-malformed"),
        ("tags", (("aliyunx", "x"),), "tag-malformed"),
        ("tags", (("acs:x", "x"),), "tag-malformed"),
        ("tags", (("k", "acs:x"),), "tag-malformed"),
        ("tags", (("k", "see http://x"),), "tag-malformed"),
        ("tags", tuple((f"k{number}", "") for number in range(21)), "tag-malformed"),
        ("tags", (("Key", "1"), ("key", "2")), "tag-repeated"),
    ],
)
def test_a_wrong_value_is_an_error(field: str, value: Any, rule: str) -> None:
    assert said(**{field: value}) == {rule: "error"}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("client_token", "a" * 64),
        ("tags", (("k" * 128, "x" * 128),)),
        ("tags", (("k", "aliyun"),)),
        ("tags", tuple((f"k{number}", "") for number in range(20))),
    ],
)
def test_the_last_value_that_is_allowed_passes(field: str, value: Any) -> None:
    assert said(**{field: value}) == {}


@pytest.mark.parametrize("name", ["aliyun-image", "Aliyun2", "acs:x", "my-http://x", "x.https://y"])
def test_names_that_the_later_api_refuses(name: str) -> None:
    assert said(image_name=name)["image-name-malformed"] == "error"


def test_a_description_has_two_characters_at_least() -> None:
    assert said(description="a") == {"description-malformed": "error"}
    assert said(description="ab") == {}
    assert said(description="a" * 257) == {"description-malformed": "error"}
