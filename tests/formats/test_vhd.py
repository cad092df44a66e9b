"""VHD against what qemu-img writes and says, and against what other programs write."""

from pathlib import Path
from typing import Any

import pytest

from preflight.errors import OutOfBounds
from preflight.source import Buffered
from tests import tools
from tests.formats.vhd_images import (
    BLOCK,
    BLOCKS_AT,
    GIB,
    HEADER_AT,
    KIB,
    MAX_CHS,
    MIB,
    NONE,
    UNUSED,
    dynamic,
    fixed,
    footer,
    geometry,
    guest_of,
    opened,
    pattern,
    qemu_major,
    qemu_size,
    raw_by_qemu,
    the_problem,
    with_file,
)

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
