"""qcow2 headers and tables: what real images say, and every hazard refused at its byte."""

import json
import random
import struct
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from preflight.errors import StructureError, UnreachableBytes
from preflight.formats import Container
from preflight.formats.qcow2 import FORMAT
from preflight.source import FileSource, Memory
from preflight.units import GiB, KiB, MiB
from tests.formats.qcow2_images import CLUSTER, COPIED, VIRTUAL_SIZE, ZERO, image, l2_entry
from tests.tools import run

DATA = 5 * CLUSTER  # where the images built here have their `extra`


def open_bytes(data: bytes) -> Container:
    source = Memory(data)
    assert FORMAT.claims(source) == ("qcow2",)
    return FORMAT.open(source, "qcow2")


def open_path(path: Path) -> Container:
    with FileSource(str(path)) as source:
        return FORMAT.open(source, "qcow2")


def told(data: bytes) -> list[tuple[str, int | None]]:
    return [(problem.code, problem.offset) for problem in open_bytes(data).problems]


def extension(kind: int, data: bytes, length: int | None = None) -> bytes:
    padded = data + bytes(-len(data) % 8)
    return struct.pack(">II", kind, len(data) if length is None else length) + padded


# Real images


@pytest.mark.parametrize("compat", ["0.10", "1.1"])
def test_a_plain_image_says_what_qemu_says(tmp_path: Path, compat: str) -> None:
    path = tmp_path / "disk.qcow2"
    options = f"compat={compat},cluster_size=32k"
    run("qemu-img", "create", "-q", "-f", "qcow2", "-o", options, path, str(3 * GiB))
    info = json.loads(run("qemu-img", "info", "--output=json", "-f", "qcow2", path))
    container = open_path(path)
    details = container.format_details
    assert container.problems == ()
    assert container.subformat == ("v2" if compat == "0.10" else "v3")
    assert container.virtual_size == info["virtual-size"] == 3 * GiB
    assert details["cluster_size"] == info["cluster-size"] == 32 * KiB
    assert details["refcount_bits"] == info["format-specific"]["data"]["refcount-bits"]
    assert details["compression_type"] == info["format-specific"]["data"]["compression-type"]
    assert details["l1_size"] == 3 * GiB // (32 * KiB // 8 * 32 * KiB)
    assert details["header_length"] == (72 if compat == "0.10" else 112)
    assert details["encryption"] is details["backing_file"] is details["data_file"] is None
    assert details["snapshots"] == details["incompatible_features"] == details["autoclear_features"] == []


@pytest.mark.parametrize(
    ("options", "key", "value"),
    [
        ("compression_type=zstd", "incompatible_features", ["compression type"]),
        ("compression_type=zstd", "compression_type", "zstd"),
        ("extended_l2=on", "incompatible_features", ["extended L2 entries"]),
        ("lazy_refcounts=on", "compatible_features", ["lazy refcounts"]),
        ("refcount_bits=1", "refcount_bits", 1),
        ("refcount_bits=64", "refcount_order", 6),
        ("cluster_size=2M", "cluster_bits", 21),
    ],
)
def test_an_option_of_qemu_is_seen(tmp_path: Path, options: str, key: str, value: Any) -> None:
    path = tmp_path / "disk.qcow2"
    run("qemu-img", "create", "-q", "-f", "qcow2", "-o", options, path, "10G")
    container = open_path(path)
    assert container.format_details[key] == value
    assert container.problems == ()


def test_an_empty_disk_of_size_0_is_no_problem(tmp_path: Path) -> None:
    path = tmp_path / "disk.qcow2"
    run("qemu-img", "create", "-q", "-f", "qcow2", path, "0")
    container = open_path(path)
    assert (container.virtual_size, container.problems) == (0, ())
    assert container.guest is not None
    assert container.guest.read_at(0, 0) == b""


def test_snapshots_are_listed_and_told(tmp_path: Path) -> None:
    path = tmp_path / "disk.qcow2"
    run("qemu-img", "create", "-q", "-f", "qcow2", path, "64M")
    for name in ("before", "after the update"):
        run("qemu-io", "-f", "qcow2", "-c", "write -P 3 0 1M", path)
        run("qemu-img", "snapshot", "-c", name, path)
    info = json.loads(run("qemu-img", "info", "--output=json", "-f", "qcow2", path))
    container = open_path(path)
    assert [(problem.code, problem.offset) for problem in container.problems] == [("qcow2-snapshots", 60)]
    assert container.format_details["nb_snapshots"] == 2
    for ours, theirs in zip(container.format_details["snapshots"], info["snapshots"], strict=True):
        assert (ours["id"], ours["name"], ours["vm_state_size"], ours["date_sec"]) == (
            theirs["id"],
            theirs["name"],
            theirs["vm-state-size"],
            theirs["date-sec"],
        )
        assert ours["disk_size"] == 64 * MiB


def test_a_disk_with_all_tables_in_use_costs_few_reads(tmp_path: Path) -> None:
    path = tmp_path / "disk.qcow2"
    run("qemu-img", "create", "-q", "-f", "qcow2", "-o", "preallocation=metadata", path, "100G")
    with FileSource(str(path)) as source:
        container = FORMAT.open(source, "qcow2")
        assert container.problems == ()
        assert container.virtual_size == 100 * GiB
        assert container.format_details["audited_l2_tables"] == "4 of 200"
        assert source.reads <= 10
        assert source.bytes_read <= 512 * KiB


# Q1 to Q4: other files


@pytest.mark.parametrize(
    "name",
    [
        "/etc/passwd",
        'json:{"driver":"nbd","host":"example.com"}',
        "nbd:unix:/run/socket",
        "disk.qcow2",  # itself
        "\x1b[2J\u202e" + "x" * 100,
    ],
)
def test_a_backing_file_is_named_and_never_touched(tmp_path: Path, name: str) -> None:
    path = tmp_path / "disk.qcow2"
    raw = name.encode()
    names = extension(0xE2792ACA, b"raw") + extension(0, b"") + raw
    start = 104 + len(names) - len(raw)
    path.write_bytes(image(backing_file_offset=start, backing_file_size=len(raw), extensions=names, l1=[0]))
    container = open_path(path)
    assert [(problem.code, problem.offset) for problem in container.problems] == [("qcow2-backing-file", 8)]
    assert container.format_details["backing_file"] == name
    assert container.format_details["backing_file_format"] == "raw"
    assert "\x1b" not in container.problems[0].message
    assert "\u202e" not in container.problems[0].message
    assert container.guest is not None
    with pytest.raises(UnreachableBytes) as caught:
        container.guest.read_at(0, 1)
    assert "\x1b" not in str(caught.value)


def test_the_longest_backing_file_name_is_read_whole() -> None:
    names = extension(0, b"") + b"n" * 1023
    container = open_bytes(image(backing_file_offset=112, backing_file_size=1023, extensions=names))
    assert container.format_details["backing_file"] == "n" * 1023
    assert [problem.code for problem in container.problems] == ["qcow2-backing-file"]


@pytest.mark.parametrize(
    ("offset", "size", "field"),
    [
        (112, 1024, 16),
        (112, 0xFFFF_FFFF, 16),
        (CLUSTER - 10, 11, 16),
        (CLUSTER, 1, 8),
        (CLUSTER + 1, 1, 8),
        (1 << 63, 5, 8),
        (50, 5, 8),
    ],
)
def test_a_backing_file_name_out_of_place_is_refused(offset: int, size: int, field: int) -> None:
    data = image(backing_file_offset=offset, backing_file_size=size)
    assert told(data) == [("qcow2-backing-file", 8), ("qcow2-header-invalid", field)]
    container = open_bytes(data)
    assert container.format_details["backing_file"] == ""
    assert container.guest is not None
    with pytest.raises(UnreachableBytes):
        container.guest.read_at(0, 1)


def test_an_external_data_file_is_named_and_never_touched(tmp_path: Path) -> None:
    path = tmp_path / "disk.qcow2"
    run("qemu-img", "create", "-q", "-f", "qcow2", "-o", f"data_file={tmp_path}/secret.data", path, "1M")
    (tmp_path / "secret.data").unlink()
    container = open_path(path)
    assert [(problem.code, problem.offset) for problem in container.problems] == [("qcow2-data-file", 72)]
    assert container.format_details["data_file"] == f"{tmp_path}/secret.data"
    assert container.format_details["incompatible_features"] == ["external data file"]


def test_a_data_file_without_its_feature_bit_is_told() -> None:
    assert told(image(extensions=extension(0x44415441, b"/etc/shadow"))) == [("qcow2-header-extension-invalid", 104)]


def test_an_overlong_data_file_name_is_cut() -> None:
    data = image(incompatible_features=4, extensions=extension(0x44415441, b"d" * 2000))
    assert told(data) == [("qcow2-header-extension-invalid", 104), ("qcow2-data-file", 72)]
    assert len(open_bytes(data).format_details["data_file"]) == 1023


# Q6 to Q8, Q10, Q12, Q13, Q16: fields


FIELDS = [
    *(({"cluster_bits": bits}, "qcow2-header-invalid", 20) for bits in (0, 8, 22, 40, 63, 0xFFFF_FFFF)),
    ({"incompatible_features": 16, "cluster_bits": 13}, "qcow2-header-invalid", 20),
    ({"l1_size": 0}, "qcow2-table-invalid", 36),
    ({"l1_size": 0xFFFF_FFFF}, "qcow2-table-invalid", 36),
    ({"l1_size": 4 * MiB + 1}, "qcow2-table-invalid", 36),
    ({"l1_table_offset": 3 * CLUSTER + 8}, "qcow2-table-invalid", 40),
    ({"l1_table_offset": 0}, "qcow2-table-invalid", 40),
    ({"l1_table_offset": 1 << 40}, "truncated-file", 40),
    ({"l1_table_offset": (1 << 64) - CLUSTER}, "qcow2-table-invalid", 40),
    ({"refcount_order": 7}, "qcow2-header-invalid", 96),
    ({"refcount_order": 63}, "qcow2-header-invalid", 96),
    ({"refcount_table_clusters": 0}, "qcow2-table-invalid", 56),
    ({"refcount_table_clusters": 129}, "qcow2-table-invalid", 56),
    ({"refcount_table_clusters": 0xFFFF_FFFF}, "qcow2-table-invalid", 56),
    ({"refcount_table_offset": CLUSTER + 512}, "qcow2-table-invalid", 48),
    ({"refcount_table_offset": 0}, "qcow2-table-invalid", 48),
    ({"refcount_table_offset": 1 << 40}, "truncated-file", 48),
    ({"refcount_table_offset": 3 * CLUSTER}, "qcow2-table-invalid", 48),
    ({"header_length": 0}, "qcow2-header-invalid", 100),
    ({"header_length": 103}, "qcow2-header-invalid", 100),
    ({"header_length": CLUSTER + 8}, "qcow2-header-invalid", 100),
    ({"header_length": 0xFFFF_FFFF}, "qcow2-header-invalid", 100),
    ({"header_length": 107}, "qcow2-header-invalid", 100),
    ({"size": VIRTUAL_SIZE - 1}, "size-not-in-sectors", 24),
    ({"size": (1 << 63) - 512}, "qcow2-header-invalid", 24),
    ({"size": (1 << 64) - 1}, "qcow2-header-invalid", 24),
    ({"size": 512 * MiB + 512}, "qcow2-table-invalid", 36),  # the one L1 entry reaches 8192 clusters
    ({"nb_snapshots": 65537, "snapshots_offset": CLUSTER}, "qcow2-table-invalid", 60),
    ({"nb_snapshots": 0xFFFF_FFFF, "snapshots_offset": CLUSTER}, "qcow2-table-invalid", 60),
    ({"nb_snapshots": 1, "snapshots_offset": CLUSTER + 8}, "qcow2-table-invalid", 64),
    ({"nb_snapshots": 1, "snapshots_offset": 1 << 40}, "truncated-file", 64),
    ({"nb_snapshots": 1, "snapshots_offset": 0}, "qcow2-table-invalid", 64),
    ({"nb_snapshots": 0, "snapshots_offset": 1 << 63}, "qcow2-table-invalid", 64),
    *(({"incompatible_features": 1 << bit}, "qcow2-unknown-feature", 72) for bit in (5, 63)),
    ({"incompatible_features": 8}, "qcow2-header-invalid", 72),  # without the field
    ({"autoclear_features": 2}, "qcow2-header-invalid", 88),
    ({"incompatible_features": 1}, "qcow2-dirty", 72),
    ({"incompatible_features": 2}, "qcow2-corrupt", 72),
    ({"crypt_method": 1}, "qcow2-encrypted", 32),
    ({"crypt_method": 2}, "qcow2-encrypted", 32),
    ({"crypt_method": 3}, "qcow2-header-invalid", 32),
]


@pytest.mark.parametrize(("fields", "code", "offset"), FIELDS, ids=lambda value: str(value).replace(" ", ""))
def test_a_field_out_of_its_limits_is_refused(fields: dict[str, Any], code: str, offset: int) -> None:
    assert (code, offset) in told(image(**fields))


@pytest.mark.parametrize(
    "fields",
    [
        {"cluster_bits": 16},
        {"refcount_order": 6},
        {"size": 512 * MiB},
        {"size": 0},
        {"compatible_features": 1 << 63},
        {"autoclear_features": 1 << 63},
    ],
)
def test_a_field_at_its_limit_is_accepted(fields: dict[str, Any]) -> None:
    assert told(image(refcount_blocks=b"\1", **fields)) == []


def test_what_qemu_refuses_is_told_of(tmp_path: Path) -> None:
    """Fields of real headers take values at and beside their limits; QEMU's word is the measure, not ours."""
    bases = []
    for number, options in enumerate(("compat=0.10", "cluster_size=4096", "extended_l2=on", "compression_type=zstd")):
        path = tmp_path / f"{number}.qcow2"
        run("qemu-img", "create", "-q", "-f", "qcow2", "-o", options, path, "1M")
        run("qemu-img", "snapshot", "-c", "one", path)
        run("qemu-img", "bitmap", "--add", path, "backup", ok=(0, 1))  # version 2 cannot
        bases.append(path.read_bytes())
    widths = {4: 4, 8: 8, 16: 4, 20: 4, 24: 8, 36: 4, 40: 8, 48: 8, 56: 4, 60: 4, 64: 8, 72: 8, 96: 4, 100: 4, 104: 1}
    numbers = [1 << bits for bits in (0, 1, 2, 3, 4, 5, 9, 12, 14, 16, 20, 23, 31, 32, 40, 62, 63)]
    mutate, path, refused = random.Random(4), tmp_path / "mutated.qcow2", 0
    for _ in range(200):
        data = bytearray(mutate.choice(bases))
        offset, width = mutate.choice(list(widths.items()))
        value = mutate.choice(numbers) + mutate.choice((-1, 0, 1))
        data[offset : offset + width] = (value & (1 << 8 * width) - 1).to_bytes(width)
        if data[4:8] == b"\0\0\0\1":
            continue  # the older format
        path.write_bytes(data)
        answer = run("qemu-img", "info", "--output=json", "-f", "qcow2", path, ok=(0, 1))
        container = open_path(path)
        if not answer:
            refused += 1
            assert container.problems, (offset, value)
        elif container.virtual_size is not None:
            assert container.virtual_size // 512 * 512 == json.loads(answer)["virtual-size"]
    assert refused > 50


@pytest.mark.parametrize("version", [0, 4, 5, 0xFFFF_FFFF])
def test_an_unknown_version_is_claimed_and_refused(version: int) -> None:
    container = open_bytes(b"QFI\xfb" + struct.pack(">I", version) + bytes(100))
    assert [(problem.code, problem.offset) for problem in container.problems] == [("qcow2-header-invalid", 4)]
    assert (container.guest, container.virtual_size, container.subformat) == (None, None, None)


def test_version_1_is_another_format() -> None:
    assert FORMAT.claims(Memory(b"QFI\xfb" + struct.pack(">I", 1) + bytes(100))) == ()


@pytest.mark.parametrize("data", [b"", b"QFI", b"QFI\xfa" + bytes(100), b"conectix" + bytes(504)])
def test_another_magic_is_not_claimed(data: bytes) -> None:
    assert FORMAT.claims(Memory(data)) == ()


def test_a_version_2_header_ends_before_the_flags() -> None:
    data = bytearray(image(version=2))
    data[72:112] = b"\0" * 8 + b"\xff" * 32  # an end marker for extensions, then what looks like flags
    container = open_bytes(bytes(data))
    assert container.problems == ()
    assert container.subformat == "v2"
    assert container.format_details["incompatible_features"] == []
    assert container.format_details["refcount_bits"] == 16


@pytest.mark.parametrize(
    ("features", "compression_type", "expected"),
    [
        (0, 0, []),
        (8, 1, []),
        (8, 0, [("qcow2-header-invalid", 104)]),
        (0, 1, [("qcow2-header-invalid", 104)]),
        (8, 2, [("qcow2-header-invalid", 104)]),
        (8, 255, [("qcow2-header-invalid", 104)]),
    ],
)
def test_compression_type_and_its_bit_must_agree(
    features: int, compression_type: int, expected: list[tuple[str, int]]
) -> None:
    data = image(incompatible_features=features, header_length=112, extensions=bytes([compression_type]))
    assert told(data) == expected
    assert (open_bytes(data).guest is None) == bool(expected)


def test_compression_type_is_not_read_past_the_header() -> None:
    assert told(image(header_length=104, extensions=extension(0x01020304, b""))) == []


def test_unknown_features_have_the_names_that_the_image_gives_them() -> None:
    table = b"".join(
        bytes([kind, bit]) + name.ljust(46, b"\0")
        for kind, bit, name in ((0, 63, b"telepathy\x1b[2J"), (1, 9, b"harmless"), (0, 0, b"dirty bit"))
    )
    data = image(
        incompatible_features=1 << 63 | 1 << 40,
        compatible_features=1 << 9 | 1,
        extensions=extension(0x6803F857, table),
    )
    container = open_bytes(data)
    assert [problem.code for problem in container.problems] == ["qcow2-unknown-feature"]
    assert "bit 40, bit 63 (telepathy\\x1b[2J)" in container.problems[0].message
    assert container.format_details["compatible_features"] == ["lazy refcounts", "bit 9 (harmless)"]
    assert container.guest is None
    assert container.virtual_size == VIRTUAL_SIZE


@pytest.mark.parametrize(
    ("offset", "length", "expected"),
    [
        (DATA, CLUSTER, []),
        (DATA + 512, 512, [("qcow2-header-extension-invalid", 112)]),
        (DATA, CLUSTER + 1, [("truncated-file", 112)]),
    ],
)
def test_luks_needs_its_header_in_the_file(offset: int, length: int, expected: list[tuple[str, int]]) -> None:
    pointer = extension(0x0537BE77, struct.pack(">QQ", offset, length))
    data = image(crypt_method=2, extensions=pointer, extra=bytes(CLUSTER))
    assert told(data) == [("qcow2-encrypted", 32), *expected]
    assert open_bytes(data).format_details["encryption"] == "luks"


def test_luks_without_its_header_is_refused() -> None:
    assert told(image(crypt_method=2)) == [("qcow2-encrypted", 32), ("qcow2-header-extension-invalid", 32)]


# Q9: header extensions


def test_unknown_extensions_are_named_by_number() -> None:
    container = open_bytes(image(extensions=extension(0xDEADBEEF, b"?") + extension(0x12345, b"")))
    assert container.problems == ()
    assert container.format_details["unknown_header_extensions"] == ["0xdeadbeef", "0x00012345"]


@pytest.mark.parametrize(
    ("extensions", "offset"),
    [
        (extension(0xDEADBEEF, b"", 1 << 31), 104),
        (extension(0xDEADBEEF, b"", CLUSTER - 104 - 8 + 1), 104),
        (extension(0, b"", 0xFFFF_FFFF), 104),
        (b"".join(extension(1 + number, b"") for number in range(65)), 104 + 64 * 8),
        (extension(7, b"") * 2, 112),
        (extension(0xE2792ACA, b"0123456789abcdef"), 104),
        (extension(0x23852875, b"short"), 104),
        (extension(0x0537BE77, bytes(16)), 104),  # only LUKS has it
    ],
)
def test_a_broken_extension_is_told(extensions: bytes, offset: int) -> None:
    found = told(image(extensions=extensions))
    assert ("qcow2-header-extension-invalid", offset) in found


def test_extensions_end_before_the_backing_file_name() -> None:
    names = extension(0x1234, b"", 16) + b"/base"
    data = image(backing_file_offset=112, backing_file_size=5, extensions=names)
    assert ("qcow2-header-extension-invalid", 104) in told(data)


# Q11: snapshots


def snapshot(**fields: int) -> bytes:
    values = {"l1_table_offset": 3 * CLUSTER, "l1_size": 1, "extra_data_size": 16} | fields
    head = struct.pack(">QIHHIIQII", values["l1_table_offset"], values["l1_size"], 1, 3, 7, 0, 0, 0, 0)
    head = head[:36] + struct.pack(">I", values["extra_data_size"])
    return (head + struct.pack(">QQ", 5, VIRTUAL_SIZE) + b"1" + b"one").ljust(64, b"\0")


def test_snapshots_shown_are_few_whatever_their_number() -> None:
    data = image(nb_snapshots=40, snapshots_offset=DATA, extra=(snapshot() * 40).ljust(CLUSTER, b"\0"))
    container = open_bytes(data)
    assert [(problem.code, problem.offset) for problem in container.problems] == [("qcow2-snapshots", 60)]
    assert len(container.format_details["snapshots"]) == 16
    assert container.format_details["snapshots"][15] == {
        "id": "1",
        "name": "one",
        "vm_state_size": 5,
        "disk_size": VIRTUAL_SIZE,
        "date_sec": 7,
    }


@pytest.mark.parametrize(
    ("fields", "code", "offset"),
    [
        ({"extra_data_size": 1025}, "qcow2-table-invalid", DATA + 36),
        ({"extra_data_size": 0xFFFF_FFFF}, "qcow2-table-invalid", DATA + 36),
        ({"extra_data_size": 8}, "qcow2-table-invalid", DATA + 36),  # version 3 needs the virtual size
        ({"l1_table_offset": 3 * CLUSTER + 8}, "qcow2-table-invalid", DATA),
        ({"l1_size": 0xFFFF_FFFF}, "truncated-file", DATA),
    ],
)
def test_a_broken_snapshot_is_told(fields: dict[str, Any], code: str, offset: int) -> None:
    extra = snapshot(**fields).ljust(CLUSTER, b"\0")
    assert (code, offset) in told(image(nb_snapshots=1, snapshots_offset=DATA, extra=extra))


# Q14: tables


@pytest.mark.parametrize(
    ("entries", "code", "index"),
    [
        ([0, 4 * CLUSTER | 1], "qcow2-table-invalid", 1),
        ([4 * CLUSTER | 1 << 56], "qcow2-table-invalid", 0),
        ([4 * CLUSTER + 512], "qcow2-table-invalid", 0),
        ([4 * CLUSTER, 9 * CLUSTER], "truncated-file", 1),
        ([4 * CLUSTER, 0, 4 * CLUSTER | COPIED], "qcow2-table-invalid", 2),
        ([3 * CLUSTER], "qcow2-table-invalid", 0),  # itself
        ([CLUSTER], "qcow2-table-invalid", 0),  # the refcount table
    ],
)
def test_a_wrong_l1_entry_is_told(entries: list[int], code: str, index: int) -> None:
    problems = open_bytes(image(l1=entries)).problems
    assert (code, 3 * CLUSTER + 8 * index) in [(problem.code, problem.offset) for problem in problems]
    assert "qcow2 l1 table" in [problem.where for problem in problems]


@pytest.mark.parametrize("l1", [(), (0,), (0, 0)])
def test_a_table_without_entries_in_a_file_below_one_cluster_passes_no_end(l1: tuple[int, ...]) -> None:
    whole = image(l1=l1, l1_table_offset=0, refcount_table_offset=0, refcount_table_clusters=0, size=0)
    found = open_bytes(whole[: CLUSTER - 512])
    assert found.virtual_size == 0
    assert "qcow2 l1 table" not in [problem.where for problem in found.problems if problem.code == "truncated-file"]


@pytest.mark.parametrize(
    ("entries", "code", "index"),
    [
        ([DATA, DATA | 2], "qcow2-mapping-invalid", 1),
        ([0, DATA | 1 << 60], "qcow2-mapping-invalid", 1),
        ([DATA + 512], "qcow2-mapping-invalid", 0),
        ([DATA, DATA + CLUSTER], "truncated-file", 1),
        ([0, 0, DATA, DATA | COPIED], "qcow2-mapping-invalid", 3),
        ([COPIED], "qcow2-mapping-invalid", 0),
        ([CLUSTER], "qcow2-mapping-invalid", 0),
        ([2 * CLUSTER], "qcow2-mapping-invalid", 0),
        ([3 * CLUSTER], "qcow2-mapping-invalid", 0),
        ([4 * CLUSTER], "qcow2-mapping-invalid", 0),
        ([l2_entry(DATA, compressed=True), DATA], "qcow2-mapping-invalid", 1),
        ([l2_entry(DATA, compressed=True)] * 2, "qcow2-mapping-invalid", 1),
        ([0, l2_entry(DATA, compressed=True) | COPIED], "qcow2-mapping-invalid", 1),
        ([l2_entry(100, compressed=True)], "qcow2-mapping-invalid", 0),
        ([l2_entry(4 * CLUSTER + 512, compressed=True)], "qcow2-mapping-invalid", 0),
        ([l2_entry(DATA + CLUSTER, compressed=True)], "truncated-file", 0),
        ([l2_entry(DATA + CLUSTER - 512, compressed=True, sectors=2)], "truncated-file", 0),
    ],
)
def test_a_wrong_l2_entry_is_told(entries: list[int], code: str, index: int) -> None:
    assert told(image(l2=entries, extra=bytes(CLUSTER))) == [(code, 4 * CLUSTER + 8 * index)]


def test_right_l2_entries_are_accepted() -> None:
    entries = [DATA | COPIED, ZERO, DATA + CLUSTER | ZERO, 0, l2_entry(DATA + 2 * CLUSTER, compressed=True)]
    entries += [l2_entry(DATA + 2 * CLUSTER + 100, compressed=True, sectors=2)]  # shares a sector with its neighbour
    container = open_bytes(image(l2=entries, extra=bytes(3 * CLUSTER)))
    assert container.problems == ()
    assert container.format_details["audited_l2_tables"] == "1 of 1"


def test_every_table_of_small_clusters_is_audited(tmp_path: Path) -> None:
    path = tmp_path / "disk.qcow2"
    run("qemu-img", "create", "-q", "-f", "qcow2", "-o", "cluster_size=512", path, "8M")
    run("qemu-io", "-f", "qcow2", "-c", "write 0 8M", path)
    container = open_path(path)
    assert container.problems == ()
    assert container.format_details["audited_l2_tables"] == "256 of 256"  # of 64 entries for 512 bytes each
    data = bytearray(path.read_bytes())
    l1 = int.from_bytes(data[40:48])
    last = int.from_bytes(data[l1 + 255 * 8 : l1 + 256 * 8]) & ~COPIED
    data[last + 6 : last + 8] = b"\x01\x00"
    assert told(bytes(data)) == [("qcow2-mapping-invalid", last)]
    (tmp_path / "wrong.qcow2").write_bytes(data)
    run("qemu-img", "check", "-f", "qcow2", tmp_path / "wrong.qcow2", ok=(2,))


@pytest.mark.parametrize(
    ("entries", "code", "index"),
    [
        ([], "qcow2-table-invalid", 0),
        ([0, 2 * CLUSTER], "qcow2-table-invalid", 0),
        ([2 * CLUSTER + 512], "qcow2-table-invalid", 0),
        ([2 * CLUSTER, 1 << 40], "truncated-file", 1),
        ([2 * CLUSTER, 0, 2 * CLUSTER], "qcow2-table-invalid", 2),
        ([3 * CLUSTER], "qcow2-table-invalid", 0),
        ([CLUSTER], "qcow2-table-invalid", 0),
    ],
)
def test_a_wrong_refcount_table_entry_is_told(entries: list[int], code: str, index: int) -> None:
    assert (code, CLUSTER + 8 * index) in told(image(refcount_table=entries))


def test_a_cluster_counted_past_the_end_means_that_the_file_was_cut() -> None:
    data = image(extra=bytes(3 * CLUSTER))  # clusters that no L2 entry mentions
    assert told(data) == []
    assert told(data[: -2 * CLUSTER]) == [("truncated-file", 2 * CLUSTER + 2 * 6)]
    # after a crash the counts prove nothing
    dirty = image(extra=bytes(3 * CLUSTER), incompatible_features=1)
    assert told(dirty[: -2 * CLUSTER]) == [("qcow2-dirty", 72)]


# Q15: truncation


@pytest.mark.parametrize("size", [4, 7, 8, 40, 71, 72, 100, 103])
def test_a_header_cut_short_is_claimed_and_told(size: int) -> None:
    container = open_bytes(image()[:size])
    assert [(problem.code, problem.where) for problem in container.problems] == [("truncated-file", "qcow2 header")]
    assert (container.guest, container.virtual_size) == (None, None)


@pytest.mark.parametrize("size", [104, 200, CLUSTER, 2 * CLUSTER, 3 * CLUSTER, 4 * CLUSTER, 5 * CLUSTER - 1])
def test_tables_cut_short_are_told(size: int) -> None:
    container = open_bytes(image()[:size])
    assert "truncated-file" in {problem.code for problem in container.problems}
    assert container.virtual_size == VIRTUAL_SIZE


# Properties


def exercise(data: bytes) -> None:
    """Whatever the bytes are, the answer is a container whose guest gives bytes or a `StructureError`."""
    source = Memory(data)
    if "qcow2" not in FORMAT.claims(source):
        return
    container = FORMAT.open(source, "qcow2")
    msgspec.json.encode([container.format_details, container.problems])
    guest = container.guest
    if guest is None:
        assert container.problems
        return
    assert guest.size == container.virtual_size
    for offset in (0, guest.size // 2, guest.size - 5000):
        if offset >= 0:
            size = min(5000, guest.size - offset)
            with suppress(StructureError):
                assert len(guest.read_at(offset, size)) == size


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=600), st.sampled_from([b"", b"\0\0\0\2", b"\0\0\0\3"]))
def test_any_bytes_after_the_magic_are_survived(rest: bytes, version: bytes) -> None:
    exercise(b"QFI\xfb" + version + rest)


@settings(max_examples=200, deadline=None)
@given(st.integers(4, 119), st.sampled_from([1, 4, 8]), st.integers(0, 2**64 - 1), st.booleans())
def test_any_mutated_header_field_is_survived(offset: int, width: int, value: int, crowded: bool) -> None:
    data = bytearray(
        image(
            l2=[DATA | COPIED, l2_entry(DATA + CLUSTER, compressed=True)],
            nb_snapshots=1,
            snapshots_offset=DATA + 2 * CLUSTER,
            extensions=extension(0x6803F857, bytes(48)) + extension(0xE2792ACA, b"raw"),
            extra=bytes(2 * CLUSTER) + snapshot().ljust(CLUSTER, b"\0"),
        )
        if crowded
        else image()
    )
    data[offset : offset + width] = value.to_bytes(8)[-width:]
    exercise(bytes(data))


def test_any_mutated_byte_of_the_tables_is_survived() -> None:
    whole = image(l2=[DATA | COPIED, l2_entry(DATA + CLUSTER, compressed=True)], extra=bytes(2 * CLUSTER))
    mutate = random.Random(3)
    for table in (CLUSTER, 2 * CLUSTER, 3 * CLUSTER, 4 * CLUSTER):
        for _ in range(40):
            data = bytearray(whole)
            data[table + mutate.randrange(16)] ^= 1 << mutate.randrange(8)
            exercise(bytes(data))
