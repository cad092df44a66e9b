"""Compressed loop images, built from their header and compared with what qemu-img says."""

import struct
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from preflight.source import Memory
from preflight.units import MiB
from tests.formats.recognising import claims, only_value_or_structure_error, opened, problems, virtual_size

SCRIPT = b"#!/bin/sh\n#V2.0 Format\nmodprobe cloop file=$0 && mount -r -t iso9660 /dev/cloop $1\nexit $?\n"


def cloop(block_size: int = 65536, num_blocks: int = 2) -> bytes:
    """Header, offsets, and two blocks of zeros."""
    block = zlib.compress(bytes(65536))
    start = 128 + 8 + 8 * 3
    offsets = struct.pack(">3Q", start, start + len(block), start + 2 * len(block))
    return SCRIPT.ljust(128, b"\0") + struct.pack(">II", block_size, num_blocks) + offsets + block * 2


def test_size_is_what_qemu_img_says(tmp_path: Path) -> None:
    path = tmp_path / "live.cloop"
    path.write_bytes(cloop())
    container = opened("cloop", path)
    assert container.virtual_size == virtual_size(path, "cloop") == 2 * 65536
    assert (container.guest, container.problems) == (None, ())


def test_any_other_script_is_text() -> None:
    assert claims(b"#!/bin/sh\nmodprobe cloop\n") == ("text",)


@pytest.mark.parametrize(
    ("image", "offset"),
    [
        (cloop(block_size=0), 128),
        (cloop(block_size=1000), 128),
        (cloop(block_size=64 * MiB + 512), 128),
        (cloop(num_blocks=64 * MiB), 132),
        (cloop()[:130], 0),
    ],
)
def test_a_damaged_header_is_named_with_its_byte(image: bytes, offset: int) -> None:
    container = opened("cloop", image)
    assert container.virtual_size is None
    assert problems(container) == [("container-header-invalid", "cloop header", offset)]


@given(st.integers(128, 143), st.binary(min_size=1, max_size=8))
def test_any_changed_field_gives_a_value_or_a_structure_error(offset: int, value: bytes) -> None:
    data = cloop()
    only_value_or_structure_error("cloop", Memory(data[:offset] + value + data[offset + len(value) :]))
