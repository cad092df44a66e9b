"""`preflight schema`."""

import json

import pytest

from preflight import schemas
from tests.cli.conftest import Command


@pytest.mark.parametrize("name", ["image", "report", "request"])
def test_it_prints_the_schema(preflight: Command, name: str) -> None:
    told = preflight("schema", name)
    assert told.code == 0
    assert json.loads(told.out) == schemas.schema(name)


def test_a_schema_that_is_not_there_is_wrong_usage(preflight: Command) -> None:
    assert preflight("schema", "disk").code == 2
