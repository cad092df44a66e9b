"""The JSON Schemas of what is printed. The command's tests hold all that they see against them."""

import json

import pytest
from jsonschema import ValidationError

from preflight import schemas
from preflight.reports.json import REPORT
from tests import builders
from tests.documents import validator
from tests.reports.showing import inspected


def inspection() -> dict[str, object]:
    document: dict[str, object] = json.loads(inspected(REPORT, [builders.image(guest=builders.linux())]))
    return document


def test_an_inspection_and_each_of_its_images_are_valid() -> None:
    document = inspection()
    validator("image").validate(document)
    validator("image").validate(document["images"][0])  # type: ignore[index]


@pytest.mark.parametrize("key", ["path", "format", "guest", "problems"])
def test_an_image_without_one_of_its_keys_is_not(key: str) -> None:
    document = inspection()
    del document["images"][0][key]  # type: ignore[index]
    with pytest.raises(ValidationError):
        validator("image").validate(document)


def test_a_fact_of_another_type_is_not_valid() -> None:
    document = inspection()
    document["images"][0]["virtual_size"] = "big"  # type: ignore[index]
    with pytest.raises(ValidationError):
        validator("image").validate(document)


def test_a_fact_may_be_unknown() -> None:
    document = inspection()
    document["images"][0]["guest"]["kernels"] = {"unknown": "why"}  # type: ignore[index]
    validator("image").validate(document)


@pytest.mark.parametrize("name", schemas.names())
def test_every_structure_is_described(name: str) -> None:
    definitions = schemas.schema(name)["$defs"]
    assert all(found.get("description") for key, found in definitions.items() if key != "document")


def test_what_is_told_of_a_field_is_in_the_schema() -> None:
    partition = schemas.schema("image")["$defs"]["Partition"]
    assert partition["properties"]["size"]["description"] == "In bytes."


@pytest.mark.parametrize("absent", ["RegionId", "DiskDeviceMapping"])
def test_a_request_needs_what_the_api_requires(absent: str) -> None:
    request = {"RegionId": "cn-hangzhou", "DiskDeviceMapping": [{"OSSBucket": "b", "OSSObject": "o"}]}
    validator("request").validate(request)
    del request[absent]
    with pytest.raises(ValidationError):
        validator("request").validate(request)
