"""Keys of a registry hive by path, and their values.

Specification: M. Suhanov, Windows registry file format specification, "Key node", "Key value", "Hash leaf" and "Fast
leaf", https://github.com/msuhanov/regf
"""

from collections.abc import Iterator
from typing import Any

from construct import Bytes, Int16ul, Int32ul, Int64ul, Struct

from preflight.binary import parse
from preflight.contents.tree import Found
from preflight.guests._hive_cells import HIVE_BINS, NAME_HASHES, NAME_HINTS, NO_CELL, Cells

KEY_NODE = Struct(
    "signature" / Bytes(2),
    "flags" / Int16ul,
    "last_written_timestamp" / Int64ul,
    "access_bits" / Int32ul,
    "parent" / Int32ul,
    "number_of_subkeys" / Int32ul,
    "number_of_volatile_subkeys" / Int32ul,
    "subkeys_list_offset" / Int32ul,
    "volatile_subkeys_list_offset" / Int32ul,
    "number_of_key_values" / Int32ul,
    "key_values_list_offset" / Int32ul,
    "key_security_offset" / Int32ul,
    "class_name_offset" / Int32ul,
    "largest" / Bytes(16),  # lengths of the longest subkey name, class name, value name and data
    "work_var" / Int32ul,
    "key_name_length" / Int16ul,  # bytes
    "class_name_length" / Int16ul,
)
KEY_NODE_SIZE = 76
KEY_COMP_NAME = 0x20  # the name is Latin-1, else UTF-16

KEY_VALUE = Struct(
    "signature" / Bytes(2),
    "name_length" / Int16ul,  # bytes
    "data_size" / Int32ul,  # the highest bit: the data are in data_offset itself
    "data_offset" / Int32ul,
    "data_type" / Int32ul,
    "flags" / Int16ul,
    "spare" / Int16ul,
)
KEY_VALUE_SIZE = 20
VALUE_COMP_NAME = 0x01
DATA_INLINE = 0x80000000
REG_SZ, REG_EXPAND_SZ, REG_BINARY, REG_DWORD, REG_MULTI_SZ, REG_QWORD = 1, 2, 3, 4, 7, 11

MAX_NAME = 512  # bytes of a name: 255 characters of a key; longer names of values nobody asks for
MAX_VALUES = 1024  # of one key: those that are asked have some dozens
MAX_DATA = 16_344  # bytes of a value: a longer one is in fragments
MAX_FOUND = 4096  # subkeys with a certain beginning
MAX_NAMES = 65_536  # remembered of one hive, some 6 MiB: as many as one key may have subkeys
MAX_SCANNED = 64  # subkeys that are looked at one by one where a list could be searched by halves


class Key:
    """A key of a hive. Every method raises `StructureError` where the hive is damaged, and `ContentsError`."""

    def __init__(self, cells: Cells, offset: int) -> None:
        """The key whose node is in the cell at `offset`."""
        data = cells.cell(offset, KEY_NODE_SIZE, KEY_NODE_SIZE + MAX_NAME)
        node = parse(KEY_NODE, data[:KEY_NODE_SIZE], cells.path, HIVE_BINS + offset)
        if node.signature != b"nk":
            raise cells.damage(HIVE_BINS + offset, f"signature is {node.signature.hex()}, expected is 6e6b (nk)")
        self._cells = cells
        self._node = node
        self._offset = offset
        self.name = _name(data[KEY_NODE_SIZE:][: node.key_name_length], bool(node.flags & KEY_COMP_NAME))

    @property
    def is_dirty(self) -> bool:
        """Whether its hive lacks changes that are in the transaction logs."""
        return self._cells.is_dirty

    def find(self, path: str) -> "Key | None":
        r"""The key at `path` below this one, names separated by `\`, without case; None where there is none."""
        key: Key | None = self
        for name in path.upper().split("\\"):
            key = key._subkey(name) if key else None
        return key

    def beginning(self, prefix: str) -> "Iterator[Key]":
        """The subkeys whose names begin with `prefix`, without case, at most `MAX_FOUND`.

        A long list is taken to be sorted, as Windows needs it.
        """
        wanted = prefix.upper()
        offsets = [offset for _, elements, width in self._lists() for offset in elements[::width]]
        low, high = 0, len(offsets)
        halving = high > MAX_SCANNED
        while halving and low < high:
            middle = (low + high) // 2
            if Key(self._cells, offsets[middle]).name.upper() < wanted:
                low = middle + 1
            else:
                high = middle
        for offset in offsets[low : low + MAX_FOUND]:
            key = Key(self._cells, offset)
            if key.name.upper().startswith(wanted):
                yield key
            elif halving:
                return

    def number(self, name: str) -> int | None:
        """A number; None where there is no such value, or one of another type."""
        kind, data = self._value(name)
        return int.from_bytes(data, "little") if kind in (REG_DWORD, REG_QWORD, REG_BINARY) and len(data) <= 8 else None

    def text(self, name: str) -> str | None:
        """A text up to its first NUL; None where there is no such value, or one of another type, or it is empty."""
        return next(iter(self.texts(name)), None)

    def texts(self, name: str) -> tuple[str, ...]:
        """The texts of a list; a single text is a list of one. Empty ones are left out."""
        kind, data = self._value(name)
        if kind not in (REG_SZ, REG_EXPAND_SZ, REG_MULTI_SZ):
            return ()
        parts = _utf16(data).split("\0")
        return tuple(part for part in (parts if kind == REG_MULTI_SZ else parts[:1]) if part)

    def pairs(self, name: str) -> tuple[tuple[str, str], ...]:
        """The texts of a list that counts by twos and may hold empty ones."""
        kind, data = self._value(name)
        parts = _utf16(data).split("\0") if kind == REG_MULTI_SZ else []
        return tuple(zip(parts[::2], parts[1::2], strict=False))

    def has(self, name: str) -> bool:
        """Whether there is a value of this name with any data but zeros."""
        return any(self._value(name)[1])

    def _lists(self) -> Iterator[tuple[bytes, tuple[int, ...], int]]:
        """The lists of subkeys: signature, elements, and words in each of these, of which the first is an offset."""
        if self._node.number_of_subkeys and self._node.subkeys_list_offset != NO_CELL:
            for signature, elements in self._cells.subkeys(self._node.subkeys_list_offset):
                if elements:
                    yield signature, elements, 2 if signature in (NAME_HINTS, NAME_HASHES) else 1

    def _subkey(self, name: str) -> "Key | None":
        """The subkey of this name, in upper case."""
        for signature, elements, width in self._lists():
            offsets, hints = elements[::width], elements[1::width]
            # Windows goes by the hints, and so they are right; some tools write none.
            hinted = width == 2 and _fits(self._name_at(offsets[0]), signature, hints[0])
            for index, offset in enumerate(offsets):
                if (not hinted or _fits(name, signature, hints[index])) and self._name_at(offset) == name:
                    return Key(self._cells, offset)
        return None

    def _name_at(self, offset: int) -> str:
        """The name of the key whose node is at `offset`, in upper case; parsed once, however many lists name it."""
        names = self._cells.names
        if offset not in names:
            if len(names) == MAX_NAMES:
                names.clear()
            names[offset] = Key(self._cells, offset).name.upper()
        return names[offset]

    def _value(self, name: str) -> tuple[int | None, bytes]:
        """Type and data of a value; no type where there is none of this name. The empty name is the default value."""
        wanted = name.upper()
        count, cells = self._node.number_of_key_values, self._cells
        if self._node.key_values_list_offset == NO_CELL:
            return None, b""
        if count > MAX_VALUES:
            raise cells.damage(HIVE_BINS + self._offset, f"a key has {count} values, at most {MAX_VALUES} are read")
        for offset in cells.words(self._node.key_values_list_offset, count):
            data = cells.cell(offset, KEY_VALUE_SIZE, KEY_VALUE_SIZE + MAX_NAME)
            value = parse(KEY_VALUE, data[:KEY_VALUE_SIZE], cells.path, HIVE_BINS + offset)
            if value.signature != b"vk":
                raise cells.damage(HIVE_BINS + offset, f"signature is {value.signature.hex()}, expected is 766b (vk)")
            if _name(data[KEY_VALUE_SIZE:][: value.name_length], bool(value.flags & VALUE_COMP_NAME)).upper() == wanted:
                return value.data_type, self._data(value, offset)
        return None, b""

    def _data(self, value: Any, offset: int) -> bytes:
        size = value.data_size & ~DATA_INLINE
        if value.data_size & DATA_INLINE and size <= 4:
            inline: bytes = value.data_offset.to_bytes(4, "little")[:size]
            return inline
        if size > MAX_DATA:
            found = f"a value has {size} bytes, at most {MAX_DATA} are read"
            raise self._cells.damage(HIVE_BINS + offset, found)
        return self._cells.cell(value.data_offset, size, size) if size else b""


def open_hive(found: Found) -> Key:
    """The root key of a hive. Raises `StructureError` where it is damaged, `ContentsError` where it cannot be read."""
    cells = Cells(found)
    return Key(cells, cells.root)


def _name(raw: bytes, latin: bool) -> str:
    return raw.decode("latin-1") if latin else _utf16(raw)


def _utf16(raw: bytes) -> str:
    return raw[: len(raw) // 2 * 2].decode("utf-16-le", "backslashreplace")


def _fits(name: str, signature: bytes, hint: int) -> bool:
    """Whether a subkey of this name, in upper case, can be where a list has this hint."""
    if signature == NAME_HINTS:  # the first four characters, or zeros where they are no Latin ones
        return hint == 0 or hint.to_bytes(4, "little").decode("latin-1").rstrip("\0").upper() == name[:4]
    value = 0
    for character in name:
        value = (37 * value + ord(character)) & 0xFFFFFFFF
    return value == hint
