"""NTFS that is changed a field at a time, under update sequences that fit: records and index blocks sealed again."""

import struct
from collections.abc import Callable

from preflight.contents import _ntfs_layouts as layouts
from preflight.source import BlockSource
from tests.contents.sources import Changed

DATA = layouts.AT_DATA
LIST_ENTRY = struct.Struct(layouts.ATTRIBUTE_LIST_ENTRY_FORMAT)

Edit = Callable[[bytearray], None]


def sealed(source: BlockSource, place: int, size: int, edit: Edit) -> Changed:
    """The source with a record or index block that was edited, its update sequence made to fit again."""
    data = bytearray(source.read_at(place, size))
    array = int.from_bytes(data[4:6], "little")
    ends = [number * 512 - 2 for number in range(1, size // 512 + 1)]
    for index, end in enumerate(ends, start=1):
        data[end : end + 2] = data[array + 2 * index : array + 2 * index + 2]
    edit(data)
    assert len(data) == size
    for index, end in enumerate(ends, start=1):
        data[array + 2 * index : array + 2 * index + 2] = data[end : end + 2]
        data[end : end + 2] = data[array : array + 2]
    return Changed(source, {place: bytes(data)})


def put(offset: int, *values: bytes) -> Edit:
    def edit(data: bytearray) -> None:
        new = b"".join(values)
        data[offset : offset + len(new)] = new

    return edit


def attribute_at(data: bytes | bytearray, type_: int) -> int:
    at = int.from_bytes(data[20:22], "little")
    while (found := int.from_bytes(data[at : at + 4], "little")) != type_:
        assert found != 0xFFFFFFFF, hex(type_)
        at += int.from_bytes(data[at + 4 : at + 8], "little")
    return at


def in_attribute(type_: int, offset: int, *values: bytes) -> Edit:
    return lambda data: put(attribute_at(data, type_) + offset, *values)(data)


def le16(value: int) -> bytes:
    return value.to_bytes(2, "little")


def le32(value: int) -> bytes:
    return value.to_bytes(4, "little")


def le64(value: int) -> bytes:
    return value.to_bytes(8, "little")


def runs(*pairs: bytes, clusters: int | None = None) -> Edit:
    """The runs of a file replaced, and with them, where it is told, how many clusters there are."""

    def edit(data: bytearray) -> None:
        at = attribute_at(data, DATA)
        start = at + int.from_bytes(data[at + 32 : at + 34], "little")
        end = at + int.from_bytes(data[at + 4 : at + 8], "little")
        new = b"".join(pairs)
        assert len(new) <= end - start
        data[start:end] = new.ljust(end - start, b"\0")
        if clusters is not None:
            data[at + 24 : at + 32] = le64((clusters - 1) % (1 << 64))

    return edit


def resident(type_: int, value: bytes, instance: int, name: str = "") -> bytes:
    raw = name.encode("utf-16-le")
    start = 24 + -(-len(raw) // 8) * 8
    length = -(-(start + len(value)) // 8) * 8
    head = struct.pack("<IIBBHHHIH2x", type_, length, 0, len(name), 24, 0, instance, len(value), start)
    return (head + raw).ljust(start, b"\0") + value.ljust(length - start, b"\0")


def listed(type_: int, number: int, instance: int, lowest_vcn: int = 0, sequence: int = 0, name: str = "") -> bytes:
    """An entry of an attribute list."""
    raw = name.encode("utf-16-le")
    length = -(-(LIST_ENTRY.size + len(raw)) // 8) * 8
    reference = number | sequence << 48
    head = LIST_ENTRY.pack(type_, length, len(name), LIST_ENTRY.size, lowest_vcn, reference, instance)
    return (head + raw).ljust(length, b"\0")


def with_list(value: bytes) -> Edit:
    """An attribute list put into a record, behind its first attribute."""

    def edit(data: bytearray) -> None:
        at = attribute_at(data, 0x10)
        at += int.from_bytes(data[at + 4 : at + 8], "little")
        new = resident(layouts.AT_ATTRIBUTE_LIST, value, 99)
        used = int.from_bytes(data[24:28], "little")
        assert used + len(new) <= len(data)
        data[:] = (data[:at] + new + data[at:used]).ljust(len(data), b"\0")
        data[24:28] = le32(used + len(new))

    return edit
