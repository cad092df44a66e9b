"""Registry hives: what hivexregedit writes, every kind of list, and hostile ones."""

import contextlib
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from preflight.contents import ContentsError
from preflight.errors import BudgetExhausted, StructureError
from preflight.guests import _hives
from preflight.guests._hive_cells import MAX_PAGES, PAGE_SIZE, checksum_of
from preflight.guests._hives import MAX_DATA, MAX_VALUES, Key, open_hive
from preflight.guests._registry import Registry
from tests.contents.phony import tree
from tests.guests.hives import BIN_SIZE, FREE_CELL, KEY_NODE, NO_CELL, ROOT_CELL, Keys, hive, minimal, with_checksum
from tests.tools import run

KEYS: Keys = {
    r"Microsoft\Windows NT\CurrentVersion": {
        "ProductName": "Windows Server 2022",
        "Number": 10,
        "": "the default",
        "Data": b"\x01\x02\x03\x04\x05",
        "Several": ["one", "two", ""],
        "Long": "x" * 8000,
    },
    r"Microsoft\Windows NT\Empty": {},
    "Grün": {"Größe": "ä€"},
}


def opened(data: bytes) -> Key:
    found = tree({"/HIVE": data}).find("/HIVE")
    assert found is not None
    return open_hive(found)


def test_the_minimal_hive_is_empty() -> None:
    key = opened(minimal())
    assert key.name == "ROOT"
    assert key.find("Nothing") is None
    assert list(key.beginning("")) == []


def test_values_are_those_that_hivexget_prints(tmp_path: Path) -> None:
    path = tmp_path / "hive"
    path.write_bytes(hive(KEYS))
    key = opened(path.read_bytes()).find(r"microsoft\WINDOWS nt\currentversion")
    assert key is not None
    printed = run("hivexget", path, r"Microsoft\Windows NT\CurrentVersion", "ProductName")
    assert key.text("ProductName") == printed.strip() == "Windows Server 2022"
    printed = run("hivexget", path, r"Microsoft\Windows NT\CurrentVersion", "Number")
    assert key.number("Number") == int(printed, 0) == 10
    assert key.text("") == "the default"
    assert key.texts("several") == ("one", "two")
    assert key.text("Long") == "x" * 8000
    assert key.has("Data")


def test_values_of_another_type_and_absent_ones_are_none() -> None:
    key = opened(hive(KEYS)).find(r"Microsoft\Windows NT\CurrentVersion")
    assert key is not None
    for found in (key.number("ProductName"), key.text("Number"), key.number("Absent"), key.text("Absent")):
        assert found is None
    assert key.texts("Data") == ()
    assert key.pairs("ProductName") == ()
    assert not key.has("Absent")


def test_libregf_reads_the_same(tmp_path: Path) -> None:
    pyregf = pytest.importorskip("pyregf")
    path = tmp_path / "hive"
    path.write_bytes(hive(KEYS))
    other = pyregf.file()
    other.open(str(path))
    theirs = other.get_key_by_path("\\Microsoft\\Windows NT\\CurrentVersion")
    ours = opened(path.read_bytes()).find(r"Microsoft\Windows NT\CurrentVersion")
    assert ours is not None
    assert {value.name or "": value.data for value in theirs.values} == {
        name: ours._value(name)[1] for name in KEYS[r"Microsoft\Windows NT\CurrentVersion"]
    }
    other.close()


class Cells:
    """A hive of one bin, cell by cell."""

    def __init__(self) -> None:
        self._bin = bytearray(minimal()[BIN_SIZE:])
        self._next = FREE_CELL

    def add(self, content: bytes, size: int | None = None) -> int:
        """A cell in use; `size` where it is to lie."""
        offset, length = self._next, -(-(4 + len(content)) // 8) * 8
        self._bin[offset : offset + 4 + len(content)] = struct.pack("<i", -length if size is None else size) + content
        self._next += length
        return offset

    def key(self, name: str, **fields: int) -> int:
        """A key node; `fields` by the names of the specification."""
        node: dict[str, Any] = {
            field.name: fields.get(field.name, NO_CELL if field.name.endswith("_offset") else 0)
            for field in KEY_NODE.subcons
        }
        node |= {"size": 0, "signature": b"nk", "flags": 0x20, "largest": [0] * 4, "key_name": b"\0" * 4}
        node["key_name_length"] = fields.get("key_name_length", len(name))
        return self.add(KEY_NODE.build(node)[4:-4] + name.encode("latin-1"))

    def patch(self, offset: int, content: bytes) -> None:
        """Change bytes."""
        self._bin[offset : offset + len(content)] = content

    def root(self, **fields: int) -> None:
        """Change fields of the root key."""
        positions = {"number_of_subkeys": 24, "subkeys_list_offset": 32, "number_of_key_values": 40, "list": 44}
        for name, value in fields.items():
            self.patch(ROOT_CELL + positions[name], struct.pack("<I", value))

    def data(self) -> bytes:
        """The whole hive."""
        return with_checksum(minimal()[:BIN_SIZE] + bytes(self._bin))


def leaf(signature: bytes, offsets: Iterable[int], hints: Iterable[int] | None = None) -> bytes:
    pairs = list(zip(offsets, hints, strict=True)) if hints is not None else [(offset,) for offset in offsets]
    return signature + struct.pack("<H", len(pairs)) + b"".join(struct.pack(f"<{len(pair)}I", *pair) for pair in pairs)


def lh_hash(name: str) -> int:
    value = 0
    for character in name.upper():
        value = (value * 37 + ord(character)) % 2**32
    return value


@pytest.mark.parametrize("kind", ["li", "lf", "lh", "lh without hashes", "lf without hints", "ri of li and lh"])
def test_every_kind_of_list_is_searched(kind: str) -> None:
    names = ["Abc", "Bcdefgh", "Setup", "select"]
    cells = Cells()
    keys = [cells.key(name) for name in names]
    hashes = [lh_hash(name) for name in names]
    hints = [int.from_bytes(name.encode()[:4].ljust(4, b"\0"), "little") for name in names]
    if kind == "li":
        top = cells.add(leaf(b"li", keys))
    elif kind.startswith("lf"):
        top = cells.add(leaf(b"lf", keys, hints if kind == "lf" else [0] * 4))
    elif kind.startswith("lh"):
        top = cells.add(leaf(b"lh", keys, hashes if kind == "lh" else [0] * 4))
    else:
        first, second = cells.add(leaf(b"li", keys[:2])), cells.add(leaf(b"lh", keys[2:], hashes[2:]))
        top = cells.add(leaf(b"ri", [first, second]))
    cells.root(number_of_subkeys=4, subkeys_list_offset=top)
    root = opened(cells.data())
    for name in names:
        found = root.find(name.swapcase())
        assert found is not None
        assert found.name == name
    assert root.find("Absent") is root.find("Abc\\Absent") is None
    assert [key.name for key in root.beginning("SE")] == ["Setup", "select"]


def test_a_key_below_itself_ends() -> None:
    cells = Cells()
    top = cells.add(leaf(b"lh", [ROOT_CELL], [lh_hash("ROOT")]))
    cells.root(number_of_subkeys=1, subkeys_list_offset=top)
    root = opened(cells.data())
    key = root.find("ROOT\\ROOT\\ROOT")
    assert key is not None
    assert key.name == "ROOT"
    assert key.find("Other") is None


def looping_root() -> Cells:
    cells = Cells()
    top = cells.add(leaf(b"ri", [FREE_CELL]))  # the index root itself
    cells.root(number_of_subkeys=1, subkeys_list_offset=top)
    return cells


def with_list(content: bytes, size: int | None = None) -> Cells:
    cells = Cells()
    cells.root(number_of_subkeys=1, subkeys_list_offset=cells.add(content, size))
    return cells


def with_list_at(offset: int) -> Cells:
    cells = Cells()
    cells.root(number_of_subkeys=1, subkeys_list_offset=offset)
    return cells


@pytest.mark.parametrize(
    "cells",
    [
        looping_root(),
        with_list(b"xx\0\0"),
        with_list(leaf(b"li", [ROOT_CELL]), size=0),
        with_list(leaf(b"li", [ROOT_CELL]), size=16),  # not in use
        with_list(leaf(b"li", [ROOT_CELL]), size=-4),
        with_list(leaf(b"li", [ROOT_CELL]), size=-(2**31)),
        with_list(b"li\xff\xff"),  # more elements than the cell has room for
        with_list(leaf(b"li", [ROOT_CELL + 4])),
        with_list(leaf(b"li", [BIN_SIZE])),
        with_list(leaf(b"li", [0x78])),  # sk is no nk
        with_list_at(0xFFFFFFF8),
        with_list_at(BIN_SIZE - 2),
    ],
)
def test_hostile_lists_of_subkeys_are_refused(cells: Cells) -> None:
    root = opened(cells.data())
    for search in (lambda: root.find("Name"), lambda: list(root.beginning("Name"))):
        with pytest.raises(StructureError) as caught:
            search()
        assert caught.value.where == "/HIVE"
        assert caught.value.offset is not None


def value(name: bytes, size: int, offset: int, kind: int = 1) -> bytes:
    return struct.pack("<2sHIIIHH", b"vk", len(name), size, offset, kind, 1, 0) + name


@pytest.mark.parametrize(
    ("size", "offset"),
    [
        (0x80000005, 0),  # five bytes in a word
        (MAX_DATA + 1, ROOT_CELL),
        (0x7FFFFFFF, ROOT_CELL),
        (200, ROOT_CELL),  # longer than its cell
        (4, 0xFFFFFFF8),
        (4, 3),
    ],
)
def test_hostile_values_are_refused(size: int, offset: int) -> None:
    cells = Cells()
    values = cells.add(struct.pack("<I", cells.add(value(b"Name", size, offset))))
    cells.root(number_of_key_values=1, list=values)
    with pytest.raises(StructureError):
        opened(cells.data()).text("Name")


def test_too_many_values_are_refused_before_they_are_read() -> None:
    cells = Cells()
    cells.root(number_of_key_values=MAX_VALUES + 1, list=ROOT_CELL)
    with pytest.raises(StructureError, match=f"{MAX_VALUES + 1} values, at most {MAX_VALUES}"):
        opened(cells.data()).text("Name")
    cells.root(number_of_key_values=0xFFFFFFFF, list=ROOT_CELL)
    with pytest.raises(StructureError):
        opened(cells.data()).has("Name")


def test_data_of_the_largest_size_are_read() -> None:
    text = "y" * (MAX_DATA // 2 - 1)  # and a NUL
    key = opened(hive({"Key": {"Long": text}})).find("Key")
    assert key is not None
    assert key.text("Long") == text
    key = opened(hive({"Key": {"Long": text + "y"}})).find("Key")
    assert key is not None
    with pytest.raises(StructureError, match=f"has {MAX_DATA + 2} bytes, at most {MAX_DATA}"):
        key.text("Long")


def test_a_value_in_its_own_word_and_an_empty_one_are_read() -> None:
    cells = Cells()
    inline = cells.add(value(b"Inline", 0x80000004, 0x12345678, 4))
    empty = cells.add(value(b"Empty", 0, NO_CELL))
    cells.root(number_of_key_values=2, list=cells.add(struct.pack("<2I", inline, empty)))
    root = opened(cells.data())
    assert root.number("inline") == 0x12345678
    assert root.text("empty") is None


@pytest.mark.parametrize(
    ("offset", "change"),
    [
        (0, b"regF"),
        (0x14, struct.pack("<I", 2)),  # major_version
        (0x1C, struct.pack("<I", 1)),  # a transaction log
        (0x20, struct.pack("<I", 2)),
        (0x24, struct.pack("<I", 0xFFFFFFFF)),  # root_cell_offset
        (0x24, struct.pack("<I", 0x78)),
        (0x28, struct.pack("<I", 0)),
        (0x28, struct.pack("<I", BIN_SIZE + 8)),
        (0x28, struct.pack("<I", 2 * BIN_SIZE)),
        (0x28, struct.pack("<I", 0xFFFFF000)),
    ],
)
def test_a_base_block_that_cannot_be_is_refused(offset: int, change: bytes) -> None:
    data = minimal()
    with pytest.raises(StructureError):
        opened(with_checksum(data[:offset] + change + data[offset + len(change) :]))


def test_the_checksum_is_never_zero_nor_all_ones() -> None:
    assert checksum_of(bytes(512)) == 1
    assert checksum_of(b"\xff\xff\xff\xff" + bytes(508)) == 0xFFFFFFFE


def test_reading_a_hive_has_an_end() -> None:
    count = MAX_PAGES + 500
    # Each key in a bin of its own, in a list without hints.
    cells = Cells()
    node = KEY_NODE.build(
        {field.name: 0 for field in KEY_NODE.subcons}
        | {"size": -88, "signature": b"nk", "largest": [0] * 4, "key_name": b"Name", "key_name_length": 4}
    )
    starts = [(index + 9) * BIN_SIZE for index in range(count)]
    nodes = b"".join(
        (struct.pack("<4sII20x", b"hbin", start, BIN_SIZE) + node).ljust(BIN_SIZE, b"\0") for start in starts
    )
    elements = leaf(b"li", [start + 32 for start in starts])
    big = struct.pack("<4sII20xi", b"hbin", BIN_SIZE, 8 * BIN_SIZE, -(len(elements) + 12) // 8 * 8) + elements
    cells.root(number_of_subkeys=count, subkeys_list_offset=BIN_SIZE + 32)
    first = cells.data()[BIN_SIZE:]
    base = bytearray(minimal()[:BIN_SIZE])
    base[0x28:0x2C] = struct.pack("<I", (count + 9) * BIN_SIZE)
    root = opened(with_checksum(bytes(base) + first + big.ljust(8 * BIN_SIZE, b"\0") + nodes))
    with pytest.raises(BudgetExhausted, match=f"over {MAX_PAGES * PAGE_SIZE} bytes"):
        root.find("Absent")


def test_a_registry_names_the_hive_that_is_missing() -> None:
    registry = Registry(tree({"/config/system": hive({"Select": {"Current": 1}, "ControlSet001": {}})}), "/config")
    with pytest.raises(ContentsError, match="/config/SOFTWARE is missing"):
        registry.software("Microsoft")
    assert registry.missing == ["SOFTWARE"]
    assert registry.system("Services") is None
    assert registry.read_from == ["/config/system"]


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 2 * BIN_SIZE - 8), st.binary(min_size=1, max_size=8))
def test_any_change_gives_a_value_or_a_structure_error(offset: int, change: bytes) -> None:
    cells = Cells()
    keys = [cells.key("Abc"), cells.key("Name")]
    values = cells.add(struct.pack("<I", cells.add(value(b"Name", 0x80000004, 7, 4))))
    cells.root(
        number_of_subkeys=2, subkeys_list_offset=cells.add(leaf(b"li", keys)), number_of_key_values=1, list=values
    )
    sound = cells.data()
    changed = sound[:offset] + change + sound[offset + len(change) :]
    for data in (changed, with_checksum(changed)):
        with contextlib.suppress(StructureError):
            root = opened(data)
            root.find("Name")
            root.number("Name")
            list(root.beginning("N"))


def test_a_key_that_lists_name_again_and_again_is_parsed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    root = opened(with_list(leaf(b"li", [ROOT_CELL] * 400)).data())
    made: list[int] = []
    parse = vars(_hives)["parse"]

    def counting(*arguments: object) -> object:
        made.append(1)
        return parse(*arguments)

    monkeypatch.setattr(_hives, "parse", counting)
    assert root.find("no such name") is None
    assert len(made) == 1
