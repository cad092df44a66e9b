"""The JSON that this package prints: held against its own schemas, and read back."""

import json
from functools import cache
from typing import Any

import msgspec
from jsonschema import Draft202012Validator

from preflight import decoding, schemas
from preflight.facts import Image


@cache
def validator(name: str) -> Draft202012Validator:
    schema = schemas.schema(name)
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def validate(text: str) -> None:
    """Assert of a document with a schema of ours that it is as the schema says; of other text, nothing."""
    if not text.startswith("{"):
        return
    try:
        document = json.loads(text)
    except ValueError:
        return
    kinds = {decoding.INSPECTION: "image", decoding.REPORT: "report"}
    kind = kinds.get(document.get("schema")) or ("request" if "DiskDeviceMapping" in document else None)
    if kind:
        validator(kind).validate(document)


def read_back(image: Image) -> Image:
    """`image` after it went through JSON, which its schema allows."""
    plain: Any = json.loads(msgspec.json.encode(image))
    validator("image").validate(plain)
    read: Image = decoding.convert(plain, Image, "image")
    return read
