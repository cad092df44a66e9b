"""Asserting that an inspection says of an image what the reference tools say of it."""

import json
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from preflight.facts import FileSystem, Image, Partition
from preflight.formats import Container, index, raw
from preflight.inspection import inspect
from preflight.source import FileSource
from preflight.units import KiB, MiB
from tests.filesystems.blkid import blkid
from tests.tables.disks import as_sfdisk, sfdisk
from tests.tools import run

WHOLE = 64 * MiB  # a disk up to here is compared byte for byte, of a larger one what it holds and samples of the rest
SAMPLES = 100
CHUNK = MiB + 512  # so that reads begin and end anywhere in a cluster
EXTENDED = ("0x05", "0x0f", "0x85")


class Found(NamedTuple):
    """Two of the facts of a place that blkid knows too, and the type."""

    type: str | None
    uuid: str | None
    label: str | None


def inspected(path: Path, *expected: str) -> Image:
    """The inspection of a sound image: its problems are those expected, most often none."""
    image = inspect(str(path), guest=False)
    assert {problem.code for problem in image.problems} == set(expected), image.problems
    return image


def agrees_with_qemu(image: Image, path: Path, format_name: str) -> None:
    """Assert that qemu-img, told the format, gives the disk the same size."""
    printed = json.loads(run("qemu-img", "info", "--output=json", "-f", format_name, path))
    assert image.format == {"vpc": "vhd"}.get(format_name, format_name)
    assert image.virtual_size == printed["virtual-size"]
    if format_name == "qcow2":
        data = printed["format-specific"]["data"]
        assert image.subformat == {"0.10": "v2", "1.1": "v3"}[data["compat"]]
        assert image.format_details["cluster_size"] == printed["cluster-size"]
        assert image.format_details["compression_type"] == data["compression-type"]
        assert image.format_details["refcount_bits"] == data["refcount-bits"]


def same_guest(path: Path, raw_path: Path) -> None:
    """Assert that the guest's bytes are those of the raw conversion."""
    with FileSource(str(path), max_reads=1 << 40, max_bytes=1 << 50) as file, raw_path.open("rb") as converted:
        guest = _opened(file).guest
        assert guest is not None
        assert guest.size == raw_path.stat().st_size
        for start, end in _stretches(converted.fileno(), guest.size):
            for offset in range(start, end, CHUNK):
                count = min(CHUNK, end - offset)
                expected = os.pread(converted.fileno(), count, offset)
                assert guest.read_at(offset, count) == expected, f"{count} bytes at {offset:#x}"


def _opened(file: FileSource) -> Container:
    claims = index.claims(file)
    assert len(claims) <= 1
    name, format_ = claims[0] if claims else ("raw", raw.FORMAT)
    return format_.open(file, name)


def _stretches(descriptor: int, size: int) -> Iterator[tuple[int, int]]:
    """From byte, to byte: all of a small disk; of a large one the data, its surroundings, and places by chance."""
    if size <= WHOLE:
        yield 0, size
        return
    end = 0
    while end < size:
        try:
            start = os.lseek(descriptor, end, os.SEEK_DATA)
        except OSError:  # ENXIO: no more of it
            break
        end = os.lseek(descriptor, start, os.SEEK_HOLE)
        yield max(start - 64 * KiB, 0), min(end + 64 * KiB, size)
    yield size - 64 * KiB, size
    chance = random.Random(size)
    for _ in range(SAMPLES):
        start = chance.randrange(size - 4 * KiB)
        yield start, start + 4 * KiB


def agrees_with_sfdisk(image: Image, raw_path: Path) -> None:
    """Assert the same table, and the same partitions by number, as `sfdisk -J` prints."""
    expected = sfdisk(raw_path)
    table = image.partition_table
    assert table is not None
    assert {"gpt": "gpt", "mbr": "dos", "hybrid": "gpt"}[table.type] == expected["label"]
    assert table.disk_id == (expected["id"].lower() if expected["id"] != "0x00000000" else None)
    assert {one.number: as_sfdisk(one) for one in image.partitions} == {
        number: {key: value for key, value in one.items() if key not in ("node", "attrs")}
        for number, one in expected["partitions"].items()
    }
    for one in image.partitions:
        if table.type == "mbr":
            assert one.uuid == (f"{table.disk_id[2:]}-{one.number:02x}" if table.disk_id else None)
        else:
            attributes = expected["partitions"][one.number].get("attrs", "").split()
            assert one.bootable == ("LegacyBIOSBootable" in attributes)


def agrees_with_fdisk(image: Image, raw_path: Path, sector_size: int) -> None:
    """Assert the same partitions as `fdisk -b` prints, for sectors that sfdisk cannot be told of."""
    table = image.partition_table
    assert table is not None
    assert table.sector_size == sector_size
    columns = "Device,Start,End,Sectors," + ("Id" if table.type == "mbr" else "Type-UUID,UUID")
    printed = run("fdisk", "-b", str(sector_size), "-l", "-o", columns, raw_path)
    assert f"identifier: {table.disk_id}" in printed.lower()
    rows = [line.split() for line in printed.splitlines() if line.startswith(str(raw_path))]
    expected = {int(row[0].removeprefix(str(raw_path))): row[1:] for row in rows}
    assert {one.number: _as_fdisk(one, sector_size) for one in image.partitions} == expected


def _as_fdisk(one: Partition, sector_size: int) -> list[str]:
    last = (one.start + one.size) // sector_size - 1
    shown = [str(number) for number in (one.start // sector_size, last, one.size // sector_size)]
    if one.type.startswith("0x"):
        return [*shown, one.type[2:].lstrip("0")]
    return [*shown, one.type.upper(), (one.uuid or "").upper()]


def agrees_with_blkid(image: Image, raw_path: Path) -> None:
    """Assert the same type, UUID and label as blkid finds on the disk, or else at the offset of each partition."""
    assert {one.on: Found(one.type, one.uuid, one.label) for one in _on_partitions(image)} == {
        on: Found(printed["TYPE"], printed.get("UUID"), printed.get("LABEL"))
        for on, printed in _printed(image, raw_path)
        if "TYPE" in printed
    }


def _on_partitions(image: Image) -> list[FileSystem]:
    return [one for one in image.filesystems if not one.on.startswith("volume ")]


def _printed(image: Image, raw_path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    table = image.partition_table
    assert table is not None
    if table.type == "none":
        yield "disk", blkid(raw_path)
    for one in image.partitions:
        if one.type not in EXTENDED:
            yield f"partition {one.number}", blkid(raw_path, "-O", str(one.start), "-S", str(one.size))
