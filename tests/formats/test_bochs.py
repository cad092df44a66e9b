"""Growing disks of Bochs, built from their header and compared with what qemu-img says."""

import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from preflight.source import Memory
from preflight.units import KiB, MiB
from tests.formats.recognising import only_value_or_structure_error, opened, problems, virtual_size

SIZE = 63 * 16 * 512 * 100  # as geometries give them


def bochs(
    *,
    version: int = 0x20000,
    kind: bytes = b"Redolog",
    subtype: bytes = b"Growing",
    catalog: int = 64,
    extent: int = MiB,
    size: int = SIZE,
) -> bytes:
    """Header and a catalog in which nothing is in use."""
    head = b"Bochs Virtual HD Image".ljust(32, b"\0") + kind.ljust(16, b"\0") + subtype.ljust(16, b"\0")
    head += struct.pack("<5I", version, 512, catalog, 512, extent)
    head += struct.pack("<IQ", 0, size) if version == 0x20000 else struct.pack("<Q", size)
    return head.ljust(512, b"\0") + b"\xff" * 4 * min(catalog, 64)


@pytest.mark.parametrize("version", [0x10000, 0x20000])
def test_size_is_what_qemu_img_says(tmp_path: Path, version: int) -> None:
    path = tmp_path / "disk.bochs"
    path.write_bytes(bochs(version=version))
    container = opened("bochs", path)
    assert container.virtual_size == virtual_size(path, "bochs") == SIZE
    assert (container.guest, container.problems) == (None, ())


def test_what_another_disk_has_changed_has_no_size_of_its_own() -> None:
    container = opened("bochs", bochs(subtype=b"Undoable"))
    assert (container.virtual_size, container.problems) == (None, ())
    assert container.format_details["subtype"] == "Undoable"


@pytest.mark.parametrize(
    ("image", "offset"),
    [
        (bochs(version=0x30000), 64),
        (bochs(catalog=0x100001), 72),
        (bochs(catalog=1), 72),
        (bochs(extent=0), 80),
        (bochs(extent=3 * KiB), 80),
        (bochs(extent=16 * MiB), 80),
        (bochs(size=1 << 63), 80),
        (bochs()[:70], 0),
        (bochs()[:90], 88),
    ],
)
def test_a_damaged_header_is_named_with_its_byte(image: bytes, offset: int) -> None:
    container = opened("bochs", image)
    assert container.virtual_size is None
    assert problems(container) == [("container-header-invalid", "bochs header", offset)]


@given(st.integers(0, 95), st.binary(min_size=1, max_size=8))
def test_any_changed_field_gives_a_value_or_a_structure_error(offset: int, value: bytes) -> None:
    data = bochs()
    only_value_or_structure_error("bochs", Memory(data[:offset] + value + data[offset + len(value) :]))
