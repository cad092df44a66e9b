"""Virtual hard disks built field by field, and what qemu-img says of a file."""

import json
import struct
from pathlib import Path
from typing import Any

from preflight.facts import Problem
from preflight.formats import Container
from preflight.formats._vhd_dynamic import HEADER
from preflight.formats.vhd import FOOTER, FORMAT
from preflight.source import BlockSource, Memory
from tests import tools

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
BLOCK = 2 * MIB
MAX_CHS = 65535 * 16 * 255 * 512
NONE = 0xFFFFFFFFFFFFFFFF
UUID = bytes(range(16))
UNUSED = 0xFFFFFFFF

# The order of a dynamic disk as the specification draws it.
HEADER_AT, TABLE_AT, BLOCKS_AT = 512, 1536, 2048


def checksum(data: bytes) -> int:
    """As the appendix of the specification computes it, on a structure whose checksum field is still zero."""
    total = 0
    for byte in data:
        total += byte
    return ~total & 0xFFFFFFFF


def footer(**fields: Any) -> bytes:
    """A footer with a right checksum, unless one is given."""
    values: dict[str, Any] = {
        "cookie": b"conectix",
        "features": 2,
        "file_format_version": 0x00010000,
        "data_offset": NONE,
        "time_stamp": 0,
        "creator_application": b"win ",
        "creator_version": 0x000A0000,
        "creator_host_os": b"Wi2k",
        "original_size": fields.get("current_size", 64 * KIB),
        "current_size": 64 * KIB,
        "disk_geometry": {"cylinders": 2, "heads": 4, "sectors_per_track": 16},  # 64 KiB
        "disk_type": 2,
        "checksum": 0,
        "unique_id": UUID,
        "saved_state": 0,
        "reserved": bytes(427),
    }
    data: bytes = FOOTER.build({**values, **fields})
    if "checksum" in fields:
        return data
    return data[:64] + struct.pack(">I", checksum(data)) + data[68:]


def header(**fields: Any) -> bytes:
    """A dynamic disk header with a right checksum, unless one is given."""
    locator = {
        "platform_code": bytes(4),
        "platform_data_space": 0,
        "platform_data_length": 0,
        "reserved": bytes(4),
        "platform_data_offset": 0,
    }
    locators = fields.pop("locators", [])
    values: dict[str, Any] = {
        "cookie": b"cxsparse",
        "data_offset": NONE,
        "table_offset": TABLE_AT,
        "header_version": 0x00010000,
        "max_table_entries": 8,
        "block_size": 8 * KIB,
        "checksum": 0,
        "parent_unique_id": bytes(16),
        "parent_time_stamp": 0,
        "reserved": bytes(4),
        "parent_unicode_name": bytes(512),
        "parent_locator_entries": [{**locator, **each} for each in locators] + [locator] * (8 - len(locators)),
        "reserved_end": bytes(256),
    }
    data: bytes = HEADER.build({**values, **fields})
    if "checksum" in fields:
        return data
    return data[:36] + struct.pack(">I", checksum(data)) + data[40:]


def fixed(data: bytes = bytes(64 * KIB), **fields: Any) -> bytes:
    return data + footer(**fields)


def pattern(block: int, size: int = 8 * KIB) -> bytes:
    """Bytes that tell the block and the sector in which they lie."""
    return b"".join(bytes([block + 1, sector]) * 256 for sector in range(size // 512))


def dynamic(
    *,
    blocks: dict[int, bytes] | None = None,
    table: list[int] | None = None,
    bitmaps: dict[int, bytes] | None = None,
    head: bytes | None = None,
    copy: bytes | None = None,
    tail: bytes | None = None,
    data: bytes | None = None,
    **fields: Any,
) -> bytes:
    """A dynamic disk of 64 KiB in 8 blocks; `fields` are the header's, the rest replaces whole structures."""
    blocks = {0: pattern(0), 2: pattern(2)} if blocks is None else blocks
    entries, stored = [UNUSED] * 8, b""
    for index, content in blocks.items():
        entries[index] = (BLOCKS_AT + len(stored)) // 512
        stored += (bitmaps or {}).get(index, b"\xff" * 512).ljust(512, b"\0") + content
    stored = stored if data is None else data
    foot = footer(disk_type=3, data_offset=HEADER_AT)
    packed = struct.pack(">8I", *(entries if table is None else table)).ljust(512, b"\xff")
    return (
        (foot if copy is None else copy)
        + (header(**fields) if head is None else head)
        + packed
        + stored
        + (foot if tail is None else tail)
    )


def opened(data: bytes | BlockSource) -> Container:
    source = Memory(data) if isinstance(data, bytes) else data
    assert FORMAT.claims(source) == ("vhd",)
    return FORMAT.open(source, "vhd")


def guest_of(container: Container) -> BlockSource:
    assert container.guest is not None
    return container.guest


def codes(container: Container) -> list[str]:
    return [problem.code for problem in container.problems]


def the_problem(container: Container) -> Problem:
    assert len(container.problems) == 1, container.problems
    return container.problems[0]


def with_file(tmp_path: Path, data: bytes) -> Path:
    path = tmp_path / "built.vhd"
    path.write_bytes(data)
    return path


def qemu_size(path: Path, size_calc: str | None = None) -> int:
    image = f"driver=vpc,file.driver=file,file.filename={path}"
    if size_calc is not None:
        image += f",force_size_calc={size_calc}"
    said = tools.run("qemu-img", "info", "--output=json", "--image-opts", image)
    return int(json.loads(said)["virtual-size"])


def qemu_major() -> int:
    return int(tools.run("qemu-img", "--version").split()[2].partition(".")[0])


def qemu_refuses(path: Path) -> None:
    tools.run("qemu-img", "info", "--output=json", "--image-opts", f"driver=vpc,file.filename={path}", ok=(1,))


def raw_by_qemu(path: Path) -> bytes:
    target = path.with_suffix(".raw")
    tools.run("qemu-img", "convert", "-f", "vpc", "-O", "raw", path, target)
    return target.read_bytes()


def geometry(size: int) -> dict[str, int]:
    """A geometry of exactly `size` bytes, at most 31 MiB."""
    return {"cylinders": size // 512, "heads": 1, "sectors_per_track": 1}


DYNAMIC_FOOTER = footer(disk_type=3, data_offset=HEADER_AT)
FOOT = len(dynamic()) - 512  # where the last footer of `dynamic` begins


def both(**fields: Any) -> dict[str, Any]:
    changed = footer(**{"disk_type": 3, "data_offset": HEADER_AT, **fields})
    return {"copy": changed, "tail": changed}


def differencing(**fields: Any) -> bytes:
    foot = footer(disk_type=4, data_offset=HEADER_AT)
    name = "C:\\disks\\base\x1b[2J.vhd".encode("utf-16-be").ljust(512, b"\0")
    values = {"parent_unicode_name": name, "parent_unique_id": UUID, "parent_time_stamp": 60}
    return dynamic(bitmaps={0: b"\xff\x00"}, copy=foot, tail=foot, **{**values, **fields})
