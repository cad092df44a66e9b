"""Registry hives: the smallest one by construct, filled by the real tool `hivexregedit`.

Specification: M. Suhanov, Windows registry file format specification, https://github.com/msuhanov/regf
"""

import struct
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from construct import Array, Bytes, Int16ul, Int32sl, Int32ul, Int64ul, Padding, Struct

from tests.tools import run

BASE_BLOCK = Struct(
    "signature" / Bytes(4),
    "primary_sequence_number" / Int32ul,
    "secondary_sequence_number" / Int32ul,
    "last_written_timestamp" / Int64ul,
    "major_version" / Int32ul,
    "minor_version" / Int32ul,
    "file_type" / Int32ul,
    "file_format" / Int32ul,
    "root_cell_offset" / Int32ul,  # from the first hive bin
    "hive_bins_data_size" / Int32ul,
    "clustering_factor" / Int32ul,
    "file_name" / Bytes(64),
    "reserved" / Bytes(396),
    "checksum" / Int32ul,
    Padding(3584),
)
HIVE_BIN = Struct(
    "signature" / Bytes(4), "offset" / Int32ul, "size" / Int32ul, Padding(8), "timestamp" / Int64ul, "spare" / Int32ul
)
KEY_NODE = Struct(
    "size" / Int32sl,  # negative: in use
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
    "largest" / Array(4, Int32ul),
    "work_var" / Int32ul,
    "key_name_length" / Int16ul,
    "class_name_length" / Int16ul,
    "key_name" / Bytes(4),
)
KEY_SECURITY = Struct(
    "size" / Int32sl,
    "signature" / Bytes(2),
    "reserved" / Int16ul,
    "flink" / Int32ul,
    "blink" / Int32ul,
    "reference_count" / Int32ul,
    "descriptor_size" / Int32ul,
    "descriptor" / Bytes(20),
)
BIN_SIZE = 4096
NO_CELL = 0xFFFFFFFF
ROOT_CELL = 0x20
SECURITY_CELL = 0x78
FREE_CELL = 0xA8
KEY_HIVE_ENTRY, KEY_NO_DELETE, KEY_COMP_NAME = 0x04, 0x08, 0x20
SELF_RELATIVE = struct.pack("<BBHIIII", 1, 0, 0x8000, 0, 0, 0, 0)  # a security descriptor that grants nothing


def with_checksum(data: bytes) -> bytes:
    """The hive with the checksum of its base block put right: the XOR of the 127 words before it."""
    value = 0
    for word in struct.unpack_from("<127I", data):
        value ^= word
    value = {0: 1, 0xFFFFFFFF: 0xFFFFFFFE}.get(value, value)
    return data[:508] + struct.pack("<I", value) + data[512:]


@cache
def minimal(minor_version: int = 5) -> bytes:
    """A hive with a root key and nothing in it."""
    base = BASE_BLOCK.build(
        {
            "signature": b"regf",
            "primary_sequence_number": 1,
            "secondary_sequence_number": 1,
            "last_written_timestamp": 0,
            "major_version": 1,
            "minor_version": minor_version,
            "file_type": 0,
            "file_format": 1,
            "root_cell_offset": ROOT_CELL,
            "hive_bins_data_size": BIN_SIZE,
            "clustering_factor": 1,
            "file_name": bytes(64),
            "reserved": bytes(396),
            "checksum": 0,
        }
    )
    bin_header = HIVE_BIN.build({"signature": b"hbin", "offset": 0, "size": BIN_SIZE, "timestamp": 0, "spare": 0})
    root = KEY_NODE.build(
        {
            "size": -KEY_NODE.sizeof(),
            "signature": b"nk",
            "flags": KEY_HIVE_ENTRY | KEY_NO_DELETE | KEY_COMP_NAME,
            "last_written_timestamp": 0,
            "access_bits": 0,
            "parent": NO_CELL,
            "number_of_subkeys": 0,
            "number_of_volatile_subkeys": 0,
            "subkeys_list_offset": NO_CELL,
            "volatile_subkeys_list_offset": NO_CELL,
            "number_of_key_values": 0,
            "key_values_list_offset": NO_CELL,
            "key_security_offset": SECURITY_CELL,
            "class_name_offset": NO_CELL,
            "largest": [0] * 4,
            "work_var": 0,
            "key_name_length": 4,
            "class_name_length": 0,
            "key_name": b"ROOT",
        }
    ).ljust(SECURITY_CELL - ROOT_CELL, b"\0")
    root = struct.pack("<i", -len(root)) + root[4:]
    security = KEY_SECURITY.build(
        {
            "size": -(FREE_CELL - SECURITY_CELL),
            "signature": b"sk",
            "reserved": 0,
            "flink": SECURITY_CELL,
            "blink": SECURITY_CELL,
            "reference_count": 1,
            "descriptor_size": len(SELF_RELATIVE),
            "descriptor": SELF_RELATIVE,
        }
    ).ljust(FREE_CELL - SECURITY_CELL, b"\0")
    cells = bin_header + root + security
    free = struct.pack("<i", BIN_SIZE - len(cells))
    return with_checksum(base + (cells + free).ljust(BIN_SIZE, b"\0"))


Value = int | str | bytes | list[str]
Keys = Mapping[str, Mapping[str, Value]]


def _value(value: Value) -> str:
    """As a .reg file has it: a number REG_DWORD, text REG_SZ, a list REG_MULTI_SZ, bytes REG_BINARY."""
    if isinstance(value, int):
        return f"dword:{value:08x}"
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'
    if isinstance(value, bytes):
        return "hex:" + value.hex(",")
    return "hex(7):" + "".join(f"{text}\0" for text in [*value, ""]).encode("utf-16-le").hex(",")


def hive(keys: Keys, start: bytes | None = None) -> bytes:
    """A hive with these keys by path, each with its values; the empty name is the default value."""
    return merged(registry_text(keys), start or minimal())


def registry_text(keys: Keys) -> str:
    """The keys, and those above them, as a .reg file."""
    lines = ["Windows Registry Editor Version 5.00", ""]
    written: set[str] = set()
    for path, values in keys.items():
        names = path.split("\\")
        above = ["\\".join(names[:depth]) for depth in range(1, len(names))]
        lines += [f"[\\{parent}]\n" for parent in above if parent.lower() not in written]
        written |= {key.lower() for key in [*above, path]}
        lines.append(f"[\\{path}]")
        lines += [f'"{name}"={_value(value)}' if name else f"@={_value(value)}" for name, value in values.items()]
        lines.append("")
    return "\n".join(lines)


@cache
def merged(text: str, start: bytes) -> bytes:
    """The hive `start` with the keys of a .reg file merged into it."""
    with tempfile.TemporaryDirectory() as directory:
        path, registry = Path(directory, "hive"), Path(directory, "keys.reg")
        path.write_bytes(start)
        registry.write_text(text, encoding="utf-8")
        run("hivexregedit", "--merge", path, registry)
        return path.read_bytes()
