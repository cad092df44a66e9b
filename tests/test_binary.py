"""The one door to construct, and the small decoders."""

import json
import uuid

import msgspec
import pytest
from construct import Bytes, Const, Enum, Int8ub, Int16ub, Int32ul, Struct
from hypothesis import given, settings
from hypothesis import strategies as st

from preflight import binary
from preflight.errors import OutOfBounds, StructureError
from preflight.source import Memory

PAIR = Struct("first" / Int16ub, "second" / Int32ul)


def test_a_layout_is_parsed_where_it_lies() -> None:
    parsed = binary.parse_at(PAIR, Memory(b"xx\x01\x02\x03\x00\x00\x00"), 2, "pair")
    assert (parsed.first, parsed.second) == (0x0102, 3)


def test_no_more_than_the_layout_is_read() -> None:
    assert binary.parse_at(PAIR, Memory(bytes(6)), 0, "pair").second == 0
    with pytest.raises(OutOfBounds):
        binary.parse_at(PAIR, Memory(bytes(5)), 0, "pair")


def test_what_does_not_fit_the_layout_is_a_structure_error_with_its_place() -> None:
    with pytest.raises(StructureError) as raised:
        binary.parse(Const(b"ab"), b"xy", "the magic", 0x40)
    assert (raised.value.where, raised.value.offset) == ("the magic", 0x40)
    assert str(raised.value).startswith("the magic at byte 0x40: not readable as this structure: ")
    with pytest.raises(StructureError):
        binary.parse(PAIR, b"", "pair", 0)


class Troubled:
    """A layout that fails as construct itself is known to."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def parse(self, data: bytes, **_: object) -> object:
        raise self.error


@pytest.mark.parametrize("error", [KeyError("x"), ZeroDivisionError(), ValueError("x"), RecursionError()])
def test_what_construct_lets_out_beside_its_own_family_is_a_structure_error(error: Exception) -> None:
    with pytest.raises(StructureError) as raised:
        binary.parse(Troubled(error), b"x", "layout", 0)
    assert raised.value.__cause__ is error


def test_an_error_that_is_ours_is_not_hidden() -> None:
    with pytest.raises(AttributeError):
        binary.parse(Troubled(AttributeError("misspelt")), b"x", "layout", 0)


@given(st.binary(max_size=20))
@settings(max_examples=100, deadline=None)
def test_any_bytes_give_a_value_or_a_structure_error(data: bytes) -> None:
    layout = Struct("magic" / Const(b"Q"), "kind" / Enum(Int8ub, a=1), "rest" / Bytes(4))
    try:
        assert binary.parse_at(layout, Memory(data), 0, "any").rest == data[2:6]
    except StructureError:
        assert not data.startswith(b"Q") or len(data) < 6


def test_crc32_has_the_check_value_of_its_catalogue() -> None:
    assert binary.crc32(b"123456789") == 0xCBF43926


def test_crc32c_has_the_check_value_of_its_catalogue() -> None:
    assert binary.crc32c(b"123456789") ^ 0xFFFFFFFF == 0xE3069283  # RFC 3720, appendix B.4 has further ones
    assert binary.crc32c(bytes(32)) ^ 0xFFFFFFFF == 0x8A9136AA


def test_crc32c_goes_on_from_a_register() -> None:
    assert binary.crc32c(b"56789", binary.crc32c(b"1234")) == binary.crc32c(b"123456789")


@pytest.mark.parametrize(
    ("data", "encoding", "expected"),
    [
        (b"", "utf-8", None),
        (bytes(16), "utf-8", None),
        (b"root\0\0\0\0", "utf-8", "root"),
        (b"root\0junk", "utf-8", "root"),
        (b"full", "utf-8", "full"),
        ("Größe".encode(), "utf-8", "Größe"),
        (b"bad\xff!", "utf-8", "bad\\xff!"),
        ("EFI\0".encode("utf-16-le"), "utf-16-le", "EFI"),
        ("\N{ROCKET}".encode("utf-16-le"), "utf-16-le", "\N{ROCKET}"),
        (b"a\0\x00\xd8b\0", "utf-16-le", "a\\x00\\xd8b"),
    ],
)
def test_text_of_a_field(data: bytes, encoding: str, expected: str | None) -> None:
    assert binary.text(data, encoding) == expected


@given(st.binary(max_size=72), st.sampled_from(["utf-8", "utf-16-le", "utf-16-be", "ascii"]))
@settings(max_examples=200, deadline=None)
def test_text_of_any_bytes_can_be_printed_and_encoded(data: bytes, encoding: str) -> None:
    found = binary.text(data, encoding)
    assert found is None or "\0" not in found
    assert json.loads(msgspec.json.encode(found)) == found


@given(st.binary(min_size=16, max_size=16))
def test_identifiers_are_spelt_as_the_standard_library_spells_them(data: bytes) -> None:
    assert binary.guid_text(data) == str(uuid.UUID(bytes_le=data))
    assert binary.uuid_text(data) == (str(uuid.UUID(bytes=data)) if any(data) else None)
