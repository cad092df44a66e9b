"""The enumeration of fields itself: a layout whose fields are left out would be tested by nobody."""

from construct import Array, Bytes, Int8ul, Int16ub, Int32ul, Padding, Struct

from tests.properties.fields import Field, fields, values

LAYOUT = Struct(
    "magic" / Bytes(4),
    Padding(2),
    "big" / Int16ub,
    "inner" / Struct("byte" / Int8ul, "words" / Array(2, Int32ul)),
)


def test_every_byte_of_a_layout_belongs_to_one_field() -> None:
    found = list(fields(LAYOUT, 100))
    assert [(one.name, one.offset, one.size, one.order) for one in found if one.name] == [
        ("magic", 100, 4, "little"),
        ("big", 106, 2, "big"),
        ("inner.byte", 108, 1, "little"),
        ("inner.words[0]", 109, 4, "little"),
        ("inner.words[1]", 113, 4, "little"),
    ]
    assert sum(one.size for one in found) == LAYOUT.sizeof()


def test_a_number_is_set_to_its_limits_and_its_neighbours() -> None:
    field = Field("big", 0, 2, "big", True)
    assert list(values(field, b"\x01\x00")) == [
        b"\0\0",
        b"\0\1",
        b"\xff\xff",
        b"\xff\xfe",
        b"\x80\0",
        b"\1\1",
        b"\0\xff",
    ]
