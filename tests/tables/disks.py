"""Disks put together by hand, by the layouts of the specification, and what the tools say of disks."""

import json
import struct
import zlib
from pathlib import Path
from typing import Any

from preflight.facts import Partition
from preflight.source import Memory
from preflight.tables import Layout, gpt, mbr
from preflight.tables._boot_sector import BOOT_RECORD
from preflight.tables._gpt_entries import PARTITION_ENTRY
from preflight.tables._gpt_header import GPT_HEADER
from preflight.units import MiB
from tests.tools import run

LINUX = "0fc63daf-8483-4772-8e79-3d69d8477de4"
DISK_GUID = "00112233-4455-6677-8899-aabbccddeeff"
DISK_GUID_BYTES = bytes.fromhex("33221100554477668899aabbccddeeff")  # UEFI appendix A: three little-endian fields
LINUX_BYTES = bytes.fromhex("af3dc60f838472478e793d69d8477de4")
SIZE = 8 * MiB

Record = tuple[int, int, int, int]
"""Boot indicator, type, starting LBA, size in LBAs."""


def record(boot_indicator: int, os_type: int, starting_lba: int, size_in_lba: int) -> Record:
    return boot_indicator, os_type, starting_lba, size_in_lba


UNUSED = record(0, 0, 0, 0)
PROTECTIVE = record(0, 0xEE, 1, SIZE // 512 - 1)


def boot_record(*records: Record, disk_signature: int = 0, boot_code: bytes = b"") -> bytes:
    padded = [*records, *[UNUSED] * (4 - len(records))]
    return bytes(
        BOOT_RECORD.build(
            {
                "boot_code": boot_code.ljust(440, b"\0"),
                "unique_mbr_disk_signature": disk_signature,
                "unknown": bytes(2),
                "partition_record": [
                    {
                        "boot_indicator": boot_indicator,
                        "starting_chs": bytes(3),
                        "os_type": os_type,
                        "ending_chs": bytes(3),
                        "starting_lba": starting_lba,
                        "size_in_lba": size_in_lba,
                    }
                    for boot_indicator, os_type, starting_lba, size_in_lba in padded
                ],
                "signature": b"\x55\xaa",
            }
        )
    )


def disk(*parts: tuple[int, bytes], size: int = SIZE) -> bytes:
    """A disk of zeros with bytes put at offsets."""
    data = bytearray(size)
    for offset, part in parts:
        data[offset : offset + len(part)] = part
    return bytes(data)


def entry(first: int, last: int, *, name: bytes = b"", attributes: int = 0, unique: int = 1) -> bytes:
    return bytes(
        PARTITION_ENTRY.build(
            {
                "partition_type_guid": LINUX_BYTES,
                "unique_partition_guid": unique.to_bytes(16, "big"),
                "starting_lba": first,
                "ending_lba": last,
                "attributes": attributes,
                "partition_name": name.ljust(72, b"\0"),
            }
        )
    )


def seal(header: bytes, header_size: int = 92) -> bytes:
    """The header with the checksum that fits it."""
    blank = header[:16] + bytes(4) + header[20:]
    return header[:16] + struct.pack("<I", zlib.crc32(blank[:header_size])) + header[20:]


def gpt_disk(
    *entries: bytes,
    size: int = SIZE,
    sector_size: int = 512,
    entry_size: int = 128,
    primary: dict[str, Any] | None = None,
    backup: dict[str, Any] | None = None,
    sector_0: bytes | None = None,
) -> bytes:
    """A disk with a GPT of 128 entries; `primary` and `backup` override header fields before these are sealed."""
    array = b"".join(one.ljust(entry_size, b"\0") for one in entries).ljust(128 * entry_size, b"\0")
    sectors = len(array) // sector_size
    last = size // sector_size - 1
    fields = {
        "signature": b"EFI PART",
        "revision": 0x10000,
        "header_size": 92,
        "header_crc32": 0,
        "reserved": bytes(4),
        "my_lba": 1,
        "alternate_lba": last,
        "first_usable_lba": 2 + sectors,
        "last_usable_lba": last - sectors - 1,
        "disk_guid": DISK_GUID_BYTES,
        "partition_entry_lba": 2,
        "number_of_partition_entries": 128,
        "size_of_partition_entry": entry_size,
        "partition_entry_array_crc32": zlib.crc32(array),
    }
    first = {**fields, **(primary or {})}
    second = {**fields, "my_lba": last, "alternate_lba": 1, "partition_entry_lba": last - sectors, **(backup or {})}
    return disk(
        (0, boot_record(record(0, 0xEE, 1, last)) if sector_0 is None else sector_0),
        (sector_size, seal(GPT_HEADER.build(first))),
        (2 * sector_size, array),
        ((last - sectors) * sector_size, array),
        (last * sector_size, seal(GPT_HEADER.build(second))),
        size=size,
    )


def patch(data: bytes, offset: int, new: bytes) -> bytes:
    return data[:offset] + new + data[offset + len(new) :]


def read(data: bytes) -> Layout | None:
    """What the two modules together say: never both."""
    by_gpt, by_mbr = gpt.TABLE.read(Memory(data)), mbr.TABLE.read(Memory(data))
    assert by_gpt is None or by_mbr is None
    return by_gpt or by_mbr


def layout(data: bytes) -> Layout:
    found = read(data)
    assert found is not None
    return found


def problems(data: bytes) -> list[tuple[str, int | None]]:
    return [(problem.code, problem.offset) for problem in layout(data).problems]


def ranges(found: Layout) -> list[tuple[int, int, int]]:
    """Number, first sector of 512 bytes, count of sectors."""
    return [(one.number, one.start // 512, one.size // 512) for one in found.partitions]


def sfdisk(path: Path) -> dict[str, Any]:
    """`sfdisk -J`: the table, its partitions by number."""
    printed = run("sfdisk", "-J", path)  # complaints come first, on the same stream
    table: dict[str, Any] = json.loads(printed[printed.index("{") :])["partitiontable"]
    table["partitions"] = {
        int(one["node"].removeprefix(str(path)).lstrip("p")): one for one in table.get("partitions", [])
    }
    return table


def as_sfdisk(partition: Partition, sector_size: int = 512) -> dict[str, Any]:
    """A partition as `sfdisk -J` shows it, without its node and attributes."""
    shown: dict[str, Any] = {"start": partition.start // sector_size, "size": partition.size // sector_size}
    if partition.type.startswith("0x"):
        shown["type"] = partition.type.removeprefix("0x").lstrip("0")
        if partition.bootable:
            shown["bootable"] = True
    else:
        shown["type"] = partition.type.upper()
        shown["uuid"] = (partition.uuid or "").upper()
        if partition.name is not None:
            shown["name"] = partition.name
    return shown
