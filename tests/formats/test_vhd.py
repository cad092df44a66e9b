"""VHD against what qemu-img writes and says, and against files built field by field."""

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from preflight.errors import OutOfBounds, StructureError, UnreachableBytes
from preflight.facts import Problem
from preflight.formats import Container
from preflight.formats._vhd_dynamic import HEADER
from preflight.formats.index import claims as all_claims
from preflight.formats.vhd import FOOTER, FORMAT
from preflight.source import BlockSource, Buffered, FileSource, Memory
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


@pytest.fixture
def sources() -> Iterator[Any]:
    """Opens files, and closes them after the test."""
    files: list[FileSource] = []

    def source(path: Path) -> FileSource:
        files.append(FileSource(str(path)))
        return files[-1]

    yield source
    for file in files:
        file.close()


# What qemu-img writes


@pytest.mark.parametrize("subformat", ["fixed", "dynamic"])
@pytest.mark.parametrize("force_size", ["on", "off"])
@pytest.mark.parametrize("size", [5 * MIB, 33 * MIB + 512, 100 * MIB])
def test_images_of_qemu_img_have_its_size_and_bytes(
    tmp_path: Path, sources: Any, subformat: str, force_size: str, size: int
) -> None:
    path = tmp_path / "disk.vhd"
    tools.run(
        "qemu-img", "create", "-f", "vpc", "-o", f"subformat={subformat},force_size={force_size}", path, str(size)
    )
    writes = [(0, 4096, 1), (BLOCK - 512, 1024, 2), (4 * MIB + 512, 66560, 3), (size // 512 * 512 - 512, 512, 4)]
    for offset, count, value in writes:
        tools.run("qemu-io", "-f", "vpc", "-c", f"write -P {value} {offset} {count}", path)
    container = opened(sources(path))
    guest = guest_of(container)
    assert container.problems == ()
    assert (container.format, container.subformat) == ("vhd", subformat)
    assert container.virtual_size == guest.size == qemu_size(path)
    for name, calculation in (("current_size", "current_size"), ("chs", "chs")):
        if container.virtual_size_alternatives[name] <= (size + 16 * MIB):  # else the largest geometry, no size at all
            assert container.virtual_size_alternatives[name] == qemu_size(path, calculation)
    expected = raw_by_qemu(path)
    assert guest.size == len(expected)
    assert guest.read_at(0, guest.size) == expected
    for offset, count, value in writes:
        assert guest.read_at(offset, count) == bytes([value]) * count
    buffered = Buffered(guest)
    step = 300_000  # no multiple of a page, sector or block
    assert b"".join(buffered.read_at(at, min(step, guest.size - at)) for at in range(0, guest.size, step)) == expected


@pytest.mark.parametrize(
    ("size", "force_size", "virtual_size"),
    [
        (127 * GIB, "off", 65279 * 16 * 255 * 512),  # the last size below the largest geometry that is tried here
        (MAX_CHS, "off", MAX_CHS),
        (128 * GIB, "off", 128 * GIB),  # beyond every geometry: current_size
        (40 * GIB, "on", 40 * GIB),
        (2040 * GIB, "on", 2040 * GIB),
    ],
)
def test_sizes_at_the_edges_of_the_geometry_agree_with_qemu_img(
    tmp_path: Path, sources: Any, size: int, force_size: str, virtual_size: int
) -> None:
    path = tmp_path / "edge.vhd"
    tools.run("qemu-img", "create", "-f", "vpc", "-o", f"force_size={force_size}", path, str(size))
    container = opened(sources(path))
    assert container.virtual_size == virtual_size == qemu_size(path)
    assert container.problems == ()
    assert container.format_details["allocated_blocks"] == 0
    assert guest_of(container).read_at(virtual_size - 512, 512) == bytes(512)


def test_the_largest_table_is_read_in_few_pieces_and_its_last_block_is_found(tmp_path: Path, sources: Any) -> None:
    path = tmp_path / "large.vhd"
    tools.run("qemu-img", "create", "-f", "vpc", "-o", "force_size=on", path, "2040G")
    tools.run("qemu-io", "-f", "vpc", "-c", f"write -P 9 {2040 * GIB - 512} 512", path)
    source = sources(path)
    container = opened(source)
    assert source.reads <= 21
    assert container.problems == ()
    assert container.format_details["allocated_blocks"] == 1
    assert guest_of(container).read_at(2040 * GIB - 1024, 1024) == bytes(512) + b"\x09" * 512


def test_the_footer_of_qemu_img_is_told_in_the_words_of_the_specification(tmp_path: Path, sources: Any) -> None:
    path = tmp_path / "disk.vhd"
    tools.run("qemu-img", "create", "-f", "vpc", path, "1G")
    details = opened(sources(path)).format_details
    assert details.pop("time_stamp").startswith("20")
    assert len(details.pop("unique_id")) == 36
    assert details == {
        "features": 2,
        "file_format_version": "1.0",
        "data_offset": 512,
        "creator_application": "qemu",
        "creator_version": "5.3",
        "creator_host_os": "Wi2k",
        "original_size": 2081 * 16 * 63 * 512,
        "current_size": 2081 * 16 * 63 * 512,
        "disk_geometry": {"cylinders": 2081, "heads": 16, "sectors_per_track": 63},
        "disk_type": 3,
        "saved_state": False,
        "footer_size": 512,
        "table_offset": 1536,
        "header_version": "1.0",
        "max_table_entries": 513,
        "block_size": BLOCK,
        "allocated_blocks": 0,
    }


# What other programs write, by fields


GEOMETRY_1G = {"cylinders": 2080, "heads": 16, "sectors_per_track": 63}  # the specification's formula for 1 GiB
CHS_1G = 2080 * 16 * 63 * 512


@pytest.mark.parametrize(
    ("creator", "virtual_size", "qemu_7"),
    [
        (b"vpc ", CHS_1G, CHS_1G),  # Virtual PC
        (b"qemu", CHS_1G, CHS_1G),
        (b"win ", GIB, GIB),  # Hyper-V
        (b"d2v ", GIB, GIB),  # disk2vhd
        (b"tap\0", GIB, GIB),  # XenServer
        (b"CTXS", GIB, GIB),  # XenConverter
        (b"qem2", GIB, GIB),  # qemu-img with force_size
        (b"vbox", GIB, CHS_1G),  # VirtualBox: here QEMU before 10.0 has the other answer
        (b"vs  ", GIB, CHS_1G),  # Virtual Server
        (bytes(4), GIB, CHS_1G),
    ],
)
def test_the_creator_decides_which_size_counts_and_the_difference_is_told(
    tmp_path: Path, sources: Any, creator: bytes, virtual_size: int, qemu_7: int
) -> None:
    path = tools.sparse(tmp_path / "disk.vhd", GIB)
    with path.open("ab") as file:
        file.write(footer(creator_application=creator, current_size=GIB, disk_geometry=GEOMETRY_1G))
    container = opened(sources(path))
    assert container.virtual_size == guest_of(container).size == virtual_size
    assert container.virtual_size_alternatives == {"current_size": GIB, "chs": CHS_1G}
    problem = the_problem(container)
    assert (problem.code, problem.offset) == ("vhd-sizes-differ", GIB + 48)
    assert str(GIB) in problem.message
    assert str(CHS_1G) in problem.message
    assert qemu_size(path, "current_size") == GIB
    assert qemu_size(path, "chs") == CHS_1G
    assert qemu_size(path) == (virtual_size if qemu_major() >= 10 else qemu_7)


def test_the_largest_geometry_is_no_size_of_its_own(tmp_path: Path) -> None:
    largest = {"cylinders": 65535, "heads": 16, "sectors_per_track": 255}
    for creator in (b"vpc ", b"qemu", b"win ", b"qem2"):
        data = fixed(bytes(1 * MIB), creator_application=creator, current_size=1 * MIB, disk_geometry=largest)
        container = opened(data)
        assert container.virtual_size == qemu_size(with_file(tmp_path, data)) == 1 * MIB
        assert container.virtual_size_alternatives == {"current_size": 1 * MIB, "chs": MAX_CHS}
        assert container.problems == ()


@pytest.mark.parametrize(
    ("creator", "host", "shown"),
    [
        (b"win ", b"Wi2k", ("win", "Wi2k")),
        (b"vpc ", b"Mac ", ("vpc", "Mac")),
        (b"tap\0", bytes(4), ("tap", None)),
        (b"vbox", b"Unix", ("vbox", "Unix")),
        (b"\x1b[2J", b"\xff\xfe\xfd\xfc", (r"\x1b[2J", r"\xff\xfe\xfd\xfc")),
    ],
)
def test_creators_are_shown_as_harmless_text(creator: bytes, host: bytes, shown: tuple[str, str | None]) -> None:
    details = opened(fixed(creator_application=creator, creator_host_os=host)).format_details
    assert (details["creator_application"], details["creator_host_os"]) == shown


def test_a_fixed_disk_is_the_file_up_to_its_footer() -> None:
    data = b"\x5a" * 32 * KIB + b"\xa5" * 32 * KIB
    container = opened(fixed(data, time_stamp=86400 * 366, saved_state=1, original_size=32 * KIB))
    guest = guest_of(container)
    assert container.problems == ()
    assert (container.subformat, container.virtual_size) == ("fixed", 64 * KIB)
    assert guest.read_at(0, 64 * KIB) == data
    assert container.format_details["data_offset"] is None
    assert container.format_details["time_stamp"] == "2001-01-01T00:00:00Z"  # 2000 had 366 days
    assert container.format_details["unique_id"] == "00010203-0405-0607-0809-0a0b0c0d0e0f"
    assert container.format_details["saved_state"] is True
    with pytest.raises(OutOfBounds):
        guest.read_at(64 * KIB - 1, 2)


@pytest.mark.parametrize("data_offset", [NONE, 0xFFFFFFFF, 0, 512])
def test_data_offset_of_a_fixed_disk_is_not_looked_at(data_offset: int) -> None:
    assert opened(fixed(data_offset=data_offset)).problems == ()


def test_features_without_the_reserved_bit_are_accepted() -> None:
    assert opened(fixed(features=0)).problems == ()


def test_bytes_between_the_disk_and_its_footer_are_no_problem() -> None:
    container = opened(fixed(b"\x11" * 64 * KIB + b"\x22" * MIB))
    assert container.problems == ()
    assert guest_of(container).size == 64 * KIB


def test_a_dynamic_disk_is_its_blocks_and_zeros(tmp_path: Path) -> None:
    data = dynamic(blocks={5: pattern(5), 0: pattern(0), 7: pattern(7)})
    container = opened(data)
    guest = guest_of(container)
    expected = pattern(0) + bytes(4 * 8 * KIB) + pattern(5) + bytes(8 * KIB) + pattern(7)
    assert container.problems == ()
    assert (container.subformat, container.virtual_size) == ("dynamic", 64 * KIB)
    assert container.format_details["allocated_blocks"] == 3
    assert guest.read_at(0, 64 * KIB) == expected == raw_by_qemu(with_file(tmp_path, data))
    for offset, size in (
        (1, 1),
        (8 * KIB - 1, 2),
        (5 * 8 * KIB - 3, 4096),
        (64 * KIB - 1, 1),
        (64 * KIB, 0),
        (513, 600),
    ):
        assert guest.read_at(offset, size) == expected[offset : offset + size]
    with pytest.raises(OutOfBounds):
        guest.read_at(64 * KIB, 1)


def test_the_last_block_may_reach_past_the_end_of_the_disk() -> None:
    # 2 × 4 × 15 sectors = 60 KiB: the eighth block is half used.
    geometry = {"cylinders": 2, "heads": 4, "sectors_per_track": 15}
    foot = footer(disk_type=3, data_offset=HEADER_AT, current_size=60 * KIB, disk_geometry=geometry)
    container = opened(dynamic(blocks={7: pattern(7)}, copy=foot, tail=foot))
    assert container.problems == ()
    assert guest_of(container).read_at(56 * KIB, 4 * KIB) == pattern(7)[: 4 * KIB]
    with pytest.raises(OutOfBounds):
        guest_of(container).read_at(60 * KIB, 1)


def test_sectors_without_their_bit_are_zeros() -> None:
    # Bit 7 of byte 0 is sector 0: sectors 0, 2 and 15 are there.
    guest = guest_of(opened(dynamic(blocks={0: pattern(0), 1: pattern(1)}, bitmaps={0: b"\xa0\x01", 1: b"\0"})))
    there = pattern(0)
    expected = b"".join(
        there[at * 512 : at * 512 + 512] if at in (0, 2, 15) else bytes(512) for at in range(16)
    ) + bytes(8 * KIB)
    assert guest.read_at(0, 16 * KIB) == expected
    for offset, size in (
        (0, 512),
        (512, 512),
        (511, 514),
        (1000, 1),
        (1023, 2),
        (1024, 512),
        (7680, 512),
        (7679, 1000),
    ):
        assert guest.read_at(offset, size) == expected[offset : offset + size]


def test_the_bitmap_of_a_block_is_read_once(tmp_path: Path, sources: Any) -> None:
    path = tmp_path / "disk.vhd"
    tools.run("qemu-img", "create", "-f", "vpc", path, "8M")
    tools.run("qemu-io", "-f", "vpc", "-c", "write -P 1 0 4M", path)
    source = sources(path)
    guest = guest_of(opened(source))
    before = source.reads
    guest.read_at(0, 4096)  # the bitmap comes with it
    assert source.reads == before + 1
    guest.read_at(MIB, 512 * KIB)
    assert source.reads == before + 2
    guest.read_at(3 * MIB, 4096)  # far from its bitmap
    assert source.reads == before + 4
    guest.read_at(0, 4 * MIB)
    assert source.reads == before + 6


@pytest.mark.parametrize("block_size", [512, 4096, 512 * KIB])
def test_every_block_size_is_read(tmp_path: Path, sources: Any, block_size: int) -> None:
    bitmap = max(512, block_size // 4096)
    foot = footer(
        disk_type=3, data_offset=HEADER_AT, current_size=2 * block_size, disk_geometry=geometry(2 * block_size)
    )
    content = bytes(index % 251 for index in range(block_size))
    data = b"\xff" * bitmap + content
    table = [UNUSED, BLOCKS_AT // 512] + [UNUSED] * 6
    built = dynamic(table=table, data=data, copy=foot, tail=foot, block_size=block_size, max_table_entries=2)
    container = opened(built)
    assert container.problems == ()
    assert guest_of(container).read_at(0, 2 * block_size) == bytes(block_size) + content
    if block_size >= 4096:  # QEMU overlooks the bitmap of smaller blocks
        assert raw_by_qemu(with_file(tmp_path, built)) == bytes(block_size) + content


def geometry(size: int) -> dict[str, int]:
    """A geometry of exactly `size` bytes, at most 31 MiB."""
    return {"cylinders": size // 512, "heads": 1, "sectors_per_track": 1}


# The two footers


def test_the_footer_of_511_bytes_is_read_with_a_note() -> None:
    for data, size in ((fixed(creator_application=b"vpc ")[:-1], 64 * KIB), (dynamic()[:-1], 64 * KIB)):
        container = opened(data)
        problem = the_problem(container)
        assert (problem.code, problem.offset) == ("vhd-footer-511", len(data) - 511)
        assert container.format_details["footer_size"] == 511
        assert guest_of(container).size == size
        assert len(guest_of(container).read_at(0, size)) == size


def test_a_dynamic_disk_without_its_last_footer_is_read_by_the_copy() -> None:
    data = dynamic()[:-512]
    container = opened(data)
    problem = the_problem(container)
    assert (problem.code, problem.offset) == ("vhd-footer-missing", len(data) - 512)
    assert guest_of(container).read_at(0, 8 * KIB) == pattern(0)


def test_a_fixed_disk_with_nothing_but_a_footer_at_its_start_is_not_read() -> None:
    container = opened(footer() + bytes(64 * KIB))
    assert codes(container) == ["vhd-footer-missing"]
    assert container.guest is None
    assert container.virtual_size == 64 * KIB


DYNAMIC_FOOTER = footer(disk_type=3, data_offset=HEADER_AT)
DAMAGED_FOOTER = DYNAMIC_FOOTER[:50] + b"\x77" + DYNAMIC_FOOTER[51:]


def test_a_damaged_footer_is_replaced_by_its_copy_and_told() -> None:
    data = dynamic(tail=DAMAGED_FOOTER)
    container = opened(data)
    problem = the_problem(container)
    assert (problem.code, problem.where, problem.offset) == ("vhd-footer-checksum", "vhd footer", len(data) - 512 + 64)
    assert container.virtual_size == 64 * KIB
    assert guest_of(container).read_at(0, 8 * KIB) == pattern(0)


def test_a_damaged_copy_of_the_footer_is_told() -> None:
    container = opened(dynamic(copy=DAMAGED_FOOTER))
    problem = the_problem(container)
    assert (problem.code, problem.where, problem.offset) == ("vhd-footer-checksum", "vhd footer copy", 64)
    assert container.virtual_size == 64 * KIB


def test_a_wrong_checksum_alone_does_not_hide_the_disk(tmp_path: Path) -> None:
    data = fixed(checksum=0x12345678)
    container = opened(data)
    problem = the_problem(container)
    assert (problem.code, problem.offset) == ("vhd-footer-checksum", 64 * KIB + 64)
    assert "0x12345678" in problem.message
    assert guest_of(container).size == 64 * KIB
    qemu_refuses(with_file(tmp_path, data))


@pytest.mark.parametrize("cookie", [b"conectiX", bytes(8), b"\xff" * 8])
@pytest.mark.parametrize("recomputed", [False, True])
def test_a_fixed_disk_whose_cookie_alone_is_damaged_is_not_taken_for_raw(cookie: bytes, recomputed: bool) -> None:
    data = fixed(cookie=cookie) if recomputed else fixed()[: 64 * KIB] + cookie + footer()[8:]
    assert [name for name, _ in all_claims(Memory(data))] == ["vhd"]
    container = opened(data)
    problem = container.problems[0]
    assert (problem.code, problem.where, problem.offset) == ("vhd-footer-invalid", "vhd footer", 64 * KIB)
    assert repr(cookie) in problem.message
    assert codes(container)[1:] == ([] if recomputed else ["vhd-footer-checksum"])
    assert guest_of(container).size == 64 * KIB


@pytest.mark.parametrize(
    "fields",
    [{"current_size": 64 * KIB + 512}, {"disk_type": 3}, {"reserved": bytes(426) + b"x"}, {"data_offset": 512}],
)
def test_a_last_sector_that_only_looks_a_little_like_a_footer_is_raw(fields: dict[str, Any]) -> None:
    data = fixed(cookie=b"some boo", **fields)
    assert FORMAT.claims(Memory(data)) == ()
    assert all_claims(Memory(data)) == []


def test_two_sound_footers_that_differ_are_told_by_field() -> None:
    other = footer(disk_type=3, data_offset=HEADER_AT, time_stamp=7, unique_id=bytes(16))
    container = opened(dynamic(copy=other))
    problem = the_problem(container)
    assert (problem.code, problem.where, problem.offset) == ("vhd-footer-copies-differ", "vhd footer copy", 0)
    assert "time_stamp, checksum, unique_id" in problem.message
    assert container.format_details["time_stamp"] == "2000-01-01T00:00:00Z"  # the end decides


def test_a_dynamic_disk_without_the_copy_at_its_start_is_told() -> None:
    container = opened(dynamic(copy=bytes(512)))
    assert codes(container) == ["vhd-footer-copies-differ"]
    assert guest_of(container).read_at(0, 8 * KIB) == pattern(0)


def test_a_fixed_disk_that_begins_with_a_footer_is_told() -> None:
    # QEMU sees the dynamic disk, who begins at the end sees the fixed one.
    data = dynamic(tail=footer(current_size=18 * KIB, disk_geometry=geometry(18 * KIB)))
    container = opened(data)
    assert codes(container) == ["vhd-footer-copies-differ"]
    assert container.subformat == "fixed"


# Refusals: the rows V1 to V9 of the hostile cases


FOOT = len(dynamic()) - 512  # where the last footer of `dynamic` begins


def both(**fields: Any) -> dict[str, Any]:
    changed = footer(**{"disk_type": 3, "data_offset": HEADER_AT, **fields})
    return {"copy": changed, "tail": changed}


@pytest.mark.parametrize("block_size", [0, 1, 256, 0x30000, 1 << 29, 1 << 31, 0xFFFFFFFF])
def test_impossible_block_sizes_are_refused(block_size: int) -> None:
    container = opened(dynamic(block_size=block_size))
    problem = the_problem(container)
    assert (problem.code, problem.offset) == ("vhd-header-invalid", HEADER_AT + 32)
    assert container.guest is None
    assert container.virtual_size == 64 * KIB


@pytest.mark.parametrize("entries", [0, 1, 7, 9, 12])
def test_a_table_that_does_not_fit_the_size_is_told_with_the_numbers(tmp_path: Path, entries: int) -> None:
    data = dynamic(max_table_entries=entries)
    problem = opened(data).problems[0]
    assert (problem.code, problem.offset) == ("vhd-table-size-mismatch", HEADER_AT + 28)
    assert f"is {entries * 8192} bytes, {'less than' if entries < 8 else 'a block or more above'}" in problem.message
    assert "65536 bytes" in problem.message
    if entries < 8:
        qemu_refuses(with_file(tmp_path, data))


def test_reading_past_a_table_that_is_too_short_is_refused() -> None:
    guest = guest_of(opened(dynamic(max_table_entries=1)))
    assert guest.read_at(0, 8 * KIB) == pattern(0)
    with pytest.raises(StructureError):
        guest.read_at(8 * KIB, 1)


@pytest.mark.parametrize("entries", [0x10000, 0x400001, 0x7FFFFFFF, 0xFFFFFFFF])
def test_a_table_larger_than_the_file_is_refused_unread(entries: int) -> None:
    source = Counting(dynamic(max_table_entries=entries))
    container = opened(source)
    assert codes(container) == ["vhd-table-size-mismatch", "vhd-header-invalid"]
    assert container.guest is None
    assert source.bytes_read < 4096


def test_a_table_over_the_cap_is_refused_unread(tmp_path: Path, sources: Any) -> None:
    path = tmp_path / "cap.vhd"
    path.write_bytes(dynamic(max_table_entries=0x400001)[:-512])
    with path.open("r+b") as file:
        file.truncate(GIB)
        file.seek(GIB)
        file.write(DYNAMIC_FOOTER)
    source = sources(path)
    container = opened(source)
    assert "vhd-header-invalid" in codes(container)
    assert container.problems[-1].offset == HEADER_AT + 28
    assert source.bytes_read < 4096


class Counting:
    """Bytes that count how many were asked for."""

    def __init__(self, data: bytes) -> None:
        self._memory = Memory(data)
        self.bytes_read = 0

    @property
    def size(self) -> int:
        return self._memory.size

    def read_at(self, offset: int, size: int) -> bytes:
        self.bytes_read += size
        return self._memory.read_at(offset, size)


@pytest.mark.parametrize("table_offset", [0, 511, 512, 1535, FOOT - 31, FOOT, 1 << 40, 1 << 63, NONE])
def test_a_table_outside_of_the_file_or_on_the_header_is_refused(table_offset: int) -> None:
    container = opened(dynamic(table_offset=table_offset))
    problem = the_problem(container)
    assert (problem.code, problem.offset) == ("vhd-header-invalid", HEADER_AT + 16)
    assert container.guest is None


@pytest.mark.parametrize("data_offset", [0, 511, FOOT - 1023, FOOT, 1 << 40, 1 << 63, NONE])
def test_a_header_outside_of_the_file_is_refused(data_offset: int) -> None:
    container = opened(dynamic(**both(data_offset=data_offset)))
    problem = the_problem(container)
    assert (problem.code, problem.offset) == ("vhd-footer-invalid", FOOT + 16)
    assert container.guest is None


@pytest.mark.parametrize(
    ("fields", "code", "field", "readable"),
    [
        ({"cookie": b"cxsparsf"}, "vhd-header-invalid", 0, False),
        ({"checksum": 1}, "vhd-header-checksum", 36, True),
        ({"header_version": 0x00020000}, "vhd-header-invalid", 24, False),
        ({"header_version": 0}, "vhd-header-invalid", 24, False),
        ({"data_offset": 0x1000}, "vhd-header-invalid", 8, True),
    ],
)
def test_wrong_header_fields_are_told(fields: dict[str, Any], code: str, field: int, readable: bool) -> None:
    container = opened(dynamic(**fields))
    problem = the_problem(container)
    assert (problem.code, problem.offset) == (code, HEADER_AT + field)
    assert (container.guest is not None) is readable


def test_nothing_is_demanded_of_a_next_header_that_is_zero_or_short() -> None:
    assert opened(dynamic(data_offset=0)).problems == ()
    assert opened(dynamic(data_offset=0xFFFFFFFF)).problems == ()


FIRST = BLOCKS_AT // 512
SPAN = 17  # sectors of a block of 8 KiB and its bitmap


@pytest.mark.parametrize(
    ("entries", "at", "counted"),
    [
        ({1: 0}, 1, "1 of 3"),  # on the footer's copy
        ({1: 1}, 1, "1 of 3"),  # on the header
        ({1: 2}, 1, "1 of 3"),
        ({1: 3}, 1, "1 of 3"),  # on the table itself
        ({1: FIRST + 2 * SPAN}, 1, "1 of 3"),  # on the last footer
        ({1: FIRST + SPAN + 1}, 1, "1 of 3"),  # reaches one sector into it
        ({1: 0xFFFFFFFE, 3: 0x7FFFFFFF, 4: 0x10000}, 4, "3 of 5"),
    ],
)
def test_entries_outside_of_the_data_are_counted_in_one_problem(entries: dict[int, int], at: int, counted: str) -> None:
    table = [FIRST, UNUSED, FIRST + SPAN, *[UNUSED] * 5]
    for index, sector in entries.items():
        table[index] = sector
    container = opened(dynamic(table=table))
    first = container.problems[0]
    assert (first.code, first.offset) == ("vhd-bat-invalid", TABLE_AT + 4 * at)
    assert first.message.startswith(counted)
    assert len(container.problems) <= 3
    assert set(codes(container)) == {"vhd-bat-invalid"}
    assert guest_of(container).read_at(16 * KIB, 8 * KIB) == pattern(2)


def test_reading_a_block_outside_of_the_file_is_refused() -> None:
    guest = guest_of(opened(dynamic(table=[FIRST, 0xFFFFFFFE, FIRST + SPAN + 1, *[UNUSED] * 5])))
    for offset in (8 * KIB, 24 * KIB - 512):
        with pytest.raises(StructureError) as caught:
            guest.read_at(offset, 512)
        assert caught.value.offset == TABLE_AT + offset // (8 * KIB) * 4
    assert guest.read_at(16 * KIB, 512) == bytes(512)  # bits of what lies there now: the pattern's, an even byte


@pytest.mark.parametrize(
    ("table", "at", "counted"),
    [
        ([FIRST, UNUSED, FIRST], 2, "1 of 2"),
        ([FIRST, FIRST, FIRST], 1, "2 of 3"),
        ([FIRST + 1, FIRST], 0, "1 of 2"),
        ([FIRST, FIRST + SPAN - 1], 1, "1 of 2"),
    ],
)
def test_blocks_that_share_bytes_are_counted_in_one_problem(table: list[int], at: int, counted: str) -> None:
    problem = the_problem(opened(dynamic(table=table + [UNUSED] * (8 - len(table)))))
    assert (problem.code, problem.offset) == ("vhd-bat-invalid", TABLE_AT + 4 * at)
    assert problem.message.startswith(counted)
    assert "overlaps" in problem.message


def test_blocks_between_two_structures_are_not_counted_as_lying_on_them() -> None:
    # The table is behind the first blocks: one entry lies on the header (sectors 1, 2), one on the table (sector 73).
    rows = [2, 4, 4 + SPAN, 4 + 2 * SPAN, 4 + 3 * SPAN, 4 + 5 * SPAN, 4 + 4 * SPAN + 1, UNUSED]
    table_at = (4 + 4 * SPAN + 1) * 512
    data = bytes(table_at - TABLE_AT - 512) + struct.pack(">8I", *rows).ljust(512, b"\xff") + bytes(3 * SPAN * 512)
    container = opened(dynamic(data=data, table_offset=table_at))
    assert container.problems[0].offset == table_at
    assert container.problems[0].message.startswith("2 of 7 used entries point to blocks that lie on the dynamic disk")


def test_adjoining_blocks_up_to_the_footer_are_no_problem() -> None:
    assert opened(dynamic(table=[FIRST + SPAN, FIRST, *[UNUSED] * 6])).problems == ()


def test_a_dynamic_disk_cut_in_its_last_block_is_told_as_qemu_img_tells_it(tmp_path: Path) -> None:
    data = dynamic()[: -512 - 4096]
    container = opened(data)
    assert codes(container) == ["vhd-footer-missing", "vhd-bat-invalid"]
    assert guest_of(container).read_at(16 * KIB, 4 * KIB) == pattern(2)[: 4 * KIB]
    with pytest.raises(StructureError):
        guest_of(container).read_at(16 * KIB, 8 * KIB)
    qemu_refuses(with_file(tmp_path, data))


def test_a_shortened_last_block_is_told_although_the_disk_ends_before_it(tmp_path: Path) -> None:
    small = {"current_size": 60 * KIB, "disk_geometry": geometry(60 * KIB)}
    foot = footer(disk_type=3, data_offset=HEADER_AT, **small)
    data = dynamic(blocks={7: pattern(7)}, data=b"\xff" * 512 + pattern(7)[: 4 * KIB], copy=foot, tail=foot)
    container = opened(data)
    assert codes(container) == ["vhd-bat-invalid"]
    assert guest_of(container).read_at(56 * KIB, 4 * KIB) == pattern(7)[: 4 * KIB]
    qemu_refuses(with_file(tmp_path, data))


@pytest.mark.parametrize(
    ("fields", "field", "virtual_size"),
    [
        ({"disk_type": 0}, 60, 64 * KIB),
        ({"disk_type": 1}, 60, 64 * KIB),
        ({"disk_type": 5}, 60, 64 * KIB),
        ({"disk_type": 99}, 60, 64 * KIB),
        ({"file_format_version": 0x00020000}, 12, 64 * KIB),
        ({"file_format_version": 0}, 12, 64 * KIB),
    ],
)
def test_footers_of_another_kind_are_refused(fields: dict[str, Any], field: int, virtual_size: int) -> None:
    container = opened(fixed(**fields))
    problem = container.problems[-1]
    assert (problem.code, problem.offset) == ("vhd-footer-invalid", 64 * KIB + field)
    assert container.guest is None
    assert container.virtual_size == virtual_size


LARGEST = {"cylinders": 65535, "heads": 16, "sectors_per_track": 255}


@pytest.mark.parametrize("size", [0, 2040 * GIB + 512, 1 << 63, NONE])
def test_sizes_that_no_vhd_has_are_refused(size: int) -> None:
    container = opened(fixed(current_size=size, disk_geometry=LARGEST))
    problem = the_problem(container)
    assert (problem.code, problem.offset) == ("vhd-footer-invalid", 64 * KIB + 48)
    assert container.guest is None
    assert container.virtual_size is None
    assert container.virtual_size_alternatives["current_size"] == size


def test_a_geometry_of_no_sectors_is_refused_where_it_counts() -> None:
    nothing = {"cylinders": 0, "heads": 0, "sectors_per_track": 0}
    container = opened(fixed(creator_application=b"vpc ", disk_geometry=nothing))
    assert codes(container) == ["vhd-sizes-differ", "vhd-footer-invalid"]
    assert container.problems[1].offset == 64 * KIB + 56
    assert container.guest is None
    assert opened(fixed(creator_application=b"win ", disk_geometry=nothing)).virtual_size == 64 * KIB


def test_the_largest_size_is_accepted_and_one_sector_more_is_not(tmp_path: Path, sources: Any) -> None:
    path = tmp_path / "largest.vhd"
    for size, refused in ((2040 * GIB, False), (2040 * GIB + 512, True)):
        tools.sparse(path, 2040 * GIB + 512)
        with path.open("ab") as file:
            file.write(footer(current_size=size, disk_geometry=LARGEST))
        container = opened(sources(path))
        assert (container.guest is None) is refused
        if refused:
            qemu_refuses(path)
        else:
            assert qemu_size(path) == container.virtual_size == size


def test_a_size_that_is_no_multiple_of_512_is_told() -> None:
    container = opened(fixed(current_size=64 * KIB - 1, disk_geometry=LARGEST))
    problem = the_problem(container)
    assert (problem.code, problem.offset) == ("size-not-in-sectors", 64 * KIB + 48)
    assert guest_of(container).size == 64 * KIB - 1


def test_a_fixed_disk_that_was_cut_is_told_and_never_reads_its_footer_as_data() -> None:
    container = opened(fixed(bytes(32 * KIB)))
    problem = the_problem(container)
    assert (problem.code, problem.offset) == ("truncated-file", 32 * KIB)
    assert guest_of(container).size == 64 * KIB
    assert guest_of(container).read_at(32 * KIB - 512, 512) == bytes(512)
    with pytest.raises(OutOfBounds):
        guest_of(container).read_at(32 * KIB, 512)


def test_a_footer_and_nothing_else_is_a_fixed_disk_without_data() -> None:
    for data in (footer(), footer()[:-1]):
        container = opened(data)
        assert codes(container)[-1] == "truncated-file"
        assert container.problems[-1].offset == 0


# Differencing


def differencing(**fields: Any) -> bytes:
    foot = footer(disk_type=4, data_offset=HEADER_AT)
    name = "C:\\disks\\base\x1b[2J.vhd".encode("utf-16-be").ljust(512, b"\0")
    values = {"parent_unicode_name": name, "parent_unique_id": UUID, "parent_time_stamp": 60}
    return dynamic(bitmaps={0: b"\xff\x00"}, copy=foot, tail=foot, **{**values, **fields})


def test_a_differencing_disk_names_its_parent_and_lacks_the_rest_of_its_bytes() -> None:
    container = opened(differencing())
    problem = the_problem(container)
    assert (problem.code, problem.offset) == ("vhd-differencing", HEADER_AT + 40)
    assert "C:\\disks\\base\\x1b[2J.vhd" in problem.message
    assert "00010203-0405-0607-0809-0a0b0c0d0e0f" in problem.message
    assert container.subformat == "differencing"
    assert container.virtual_size == 64 * KIB
    details = container.format_details
    assert details["parent_unicode_name"] == "C:\\disks\\base\\x1b[2J.vhd"
    assert details["parent_unique_id"] == "00010203-0405-0607-0809-0a0b0c0d0e0f"
    assert details["parent_time_stamp"] == "2000-01-01T00:01:00Z"
    guest = guest_of(container)
    assert guest.read_at(0, 4 * KIB) == pattern(0)[: 4 * KIB]
    for offset in (4 * KIB, 8 * KIB, 4 * KIB - 1, 60 * KIB):
        with pytest.raises(UnreachableBytes):
            guest.read_at(offset, 2)


def test_a_parent_name_of_any_bytes_is_text() -> None:
    for name in (b"\xd8\x00" * 256, b"\xff" * 512, b"\x20\x2e\x00\x0a" + bytes(508), bytes(512)):
        container = opened(differencing(parent_unicode_name=name))
        shown = container.format_details["parent_unicode_name"]
        assert shown is None or shown.isprintable()
        json.dumps(shown).encode("utf-8")


def test_parent_locators_are_bounded_and_never_followed() -> None:
    inside = {"platform_code": b"W2ku", "platform_data_length": 512, "platform_data_offset": 2048}
    outside = {"platform_code": b"W2ru", "platform_data_length": 0xFFFFFFFF, "platform_data_offset": 1 << 63}
    container = opened(differencing(locators=[inside, outside]))
    assert codes(container) == ["vhd-differencing", "vhd-header-invalid"]
    assert container.problems[1].offset == HEADER_AT + 576 + 24


# Claims and arbitrary bytes


def test_a_footer_at_either_end_is_claimed_and_nothing_else() -> None:
    assert FORMAT.claims(Memory(bytes(4096) + footer())) == ("vhd",)
    assert FORMAT.claims(Memory(bytes(4096) + footer()[:-1])) == ("vhd",)
    assert FORMAT.claims(Memory(footer() + bytes(4096))) == ("vhd",)
    assert FORMAT.claims(Memory(footer()[:-1])) == ("vhd",)
    for data in (b"", b"conectix", footer()[:510], bytes(512), bytes(100_000), bytes(512) + footer() + bytes(2)):
        assert FORMAT.claims(Memory(data)) == ()


def exercise(data: bytes) -> None:
    """Open and read; only a StructureError may come out, from reading guest bytes or a host that fails."""
    source = Memory(data)
    if not FORMAT.claims(source):
        return
    container = FORMAT.open(source, "vhd")
    for problem in container.problems:
        assert problem.message
        assert problem.offset is not None
        assert 0 <= problem.offset <= len(data)
    if container.guest is not None:
        assert container.guest.size == container.virtual_size
        for offset in (0, 4096, 8 * KIB - 1, 60 * KIB, container.guest.size - 1):
            try:
                assert len(container.guest.read_at(offset, 600)) == 600
            except StructureError:
                continue


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=3000), st.sampled_from(["", "start", "end", "both"]))
def test_any_bytes_give_a_value_or_a_structure_error(data: bytes, where: str) -> None:
    cookie = b"conectix"
    start = cookie if where in ("start", "both") else b""
    end = cookie + bytes(504) if where in ("end", "both") else b""
    exercise(start + data + end)


VALID = (dynamic(), differencing(), fixed(), dynamic()[:-1], dynamic()[:-512])


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(VALID), st.data())
def test_any_mutated_byte_gives_a_value_or_a_structure_error(data: bytes, draw: st.DataObject) -> None:
    structures = [*range(2048), *range(len(data) - 512, len(data))]
    at = draw.draw(st.sampled_from(structures))
    exercise(data[:at] + bytes([draw.draw(st.integers(0, 255))]) + data[at + 1 :])


@settings(max_examples=150, deadline=None)
@given(
    st.fixed_dictionaries(
        {
            "table_offset": st.one_of(st.integers(0, (1 << 64) - 1), st.integers(0, 30_000)),
            "max_table_entries": st.one_of(st.integers(0, 0xFFFFFFFF), st.integers(0, 40)),
            "block_size": st.one_of(st.integers(0, 0xFFFFFFFF), st.integers(0, 31).map(lambda bits: 1 << bits)),
        }
    ),
    st.lists(st.one_of(st.integers(0, 0xFFFFFFFF), st.integers(0, 50)), min_size=8, max_size=8),
)
def test_any_header_and_table_give_a_value_or_a_structure_error(fields: dict[str, Any], table: list[int]) -> None:
    exercise(dynamic(table=table, **fields))


@settings(max_examples=100, deadline=None)
@given(
    st.dictionaries(st.integers(0, 7), st.binary(min_size=2, max_size=2), max_size=8),
    st.integers(0, 64 * KIB),
    st.integers(0, 64 * KIB),
)
def test_every_read_is_the_same_as_the_slice_of_the_whole(bitmaps: dict[int, bytes], start: int, end: int) -> None:
    expected = bytearray(64 * KIB)
    for index, bitmap in bitmaps.items():
        for sector in range(16):
            if bitmap[sector // 8] & 0x80 >> sector % 8:
                at = index * 8 * KIB + sector * 512
                expected[at : at + 512] = pattern(index)[sector * 512 : sector * 512 + 512]
    guest = guest_of(opened(dynamic(blocks={index: pattern(index) for index in bitmaps}, bitmaps=bitmaps)))
    start, end = min(start, end), max(start, end)
    assert guest.read_at(start, end - start) == expected[start:end]
