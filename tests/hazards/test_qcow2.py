"""Q: qcow2 images that refer to others, lie about themselves, or are cut short."""

import os
import zlib
from pathlib import Path
from typing import Any

import pytest

from preflight import profiles
from preflight.checking import check
from preflight.facts import Unknown
from preflight.formats import qcow2
from preflight.formats._qcow2_header import HEADER, HEADER_V3
from preflight.formats._qcow2_tables import SNAPSHOT
from preflight.source import FileSource
from preflight.units import GiB, MiB
from preflight.verdicts import Declared
from tests.formats.qcow2_images import CLUSTER, COMPRESSED, VIRTUAL_SIZE, image, l2_entry
from tests.hazards.rows import hazard, seen, told

HEADER_END = HEADER.sizeof() + HEADER_V3.sizeof()
EXTENSIONS = 104
HUGE = 0xFFFF_FFFF
# Bytes of the fields by the specification, section "Header".
BACKING, BACKING_SIZE, CLUSTER_BITS, SIZE, CRYPT = 8, 16, 20, 24, 32
L1_SIZE, L1_OFFSET, REFCOUNTS, REFCOUNT_CLUSTERS, SNAPSHOTS, SNAPSHOTS_OFFSET = 36, 40, 48, 56, 60, 64
INCOMPATIBLE, REFCOUNT_ORDER, HEADER_LENGTH, COMPRESSION = 72, 96, 100, 104
INVALID, TABLE, MAPPING = "qcow2-header-invalid", "qcow2-table-invalid", "qcow2-mapping-invalid"


def extension(kind: int, data: bytes, length: int | None = None) -> bytes:
    size = len(data) if length is None else length
    return kind.to_bytes(4, "big") + size.to_bytes(4, "big") + data.ljust(-(-len(data) // 8) * 8, b"\0")


def backed(name: bytes) -> bytes:
    end = extension(0, b"")
    at = HEADER_END + len(end)
    return image(backing_file_offset=at, backing_file_size=len(name), extensions=end + name)


@pytest.fixture
def no_other_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Fails whatever opens or looks at a file of the host but the image; returns what was touched."""
    touched: list[object] = []

    def watch(name: str) -> None:
        real = getattr(os, name)

        def watching(path: object, *args: Any, **kwargs: Any) -> Any:
            touched.append(path)
            return real(path, *args, **kwargs)

        monkeypatch.setattr(os, name, watching)

    for name in ("open", "stat", "lstat", "readlink", "access"):
        watch(name)
    return touched


@hazard("Q1", "Q2")
@pytest.mark.parametrize(
    "name",
    [
        b"/etc/passwd",
        b"base.qcow2",
        b'json:{"driver":"nbd","server":{"type":"inet","host":"192.0.2.1","port":"10809"}}',
        b"nbd://192.0.2.1/x",
        b"\x1b[2J\x07" + b"n" * 900,
    ],
)
def test_a_backing_file_is_named_and_never_touched(tmp_path: Path, no_other_file: list[object], name: bytes) -> None:
    path = tmp_path / "disk.qcow2"
    path.write_bytes(backed(name))
    no_other_file.clear()
    found = seen(path)
    assert ("qcow2-backing-file", "qcow2 header", BACKING) in told(found)
    assert found.format_details["backing_file"] == name.decode()
    assert isinstance(found.guest, Unknown)
    assert not [one for one in no_other_file if name.decode() in str(one)]
    assert str(path) in no_other_file


@hazard("Q3")
def test_an_image_on_itself_and_a_chain_fail_at_the_first_name(tmp_path: Path) -> None:
    path = tmp_path / "0.qcow2"
    path.write_bytes(backed(b"0.qcow2"))
    assert [code for code, _, _ in told(seen(path))].count("qcow2-backing-file") == 1
    for number in range(17):
        (tmp_path / f"{number}.qcow2").write_bytes(backed(f"{(number + 1) % 17}.qcow2".encode()))
    assert [code for code, _, _ in told(seen(path))].count("qcow2-backing-file") == 1


@hazard("Q4")
def test_an_external_data_file_is_named_and_never_opened(tmp_path: Path, no_other_file: list[object]) -> None:
    path = tmp_path / "disk.qcow2"
    path.write_bytes(image(incompatible_features=4, extensions=extension(0x44415441, b"/etc/shadow")))
    no_other_file.clear()
    found = seen(path)
    assert ("qcow2-data-file", "qcow2 header", INCOMPATIBLE) in told(found)
    assert found.format_details["data_file"] == "/etc/shadow"
    assert "/etc/shadow" not in no_other_file


@hazard("Q5", "Q6", "Q7", "Q8", "Q9", "Q10", "Q12", "Q16")
@pytest.mark.parametrize(
    ("fields", "code", "offset"),
    [
        # Q5
        ({"backing_file_offset": HEADER_END, "backing_file_size": HUGE}, INVALID, BACKING_SIZE),
        ({"backing_file_offset": HEADER_END, "backing_file_size": 1024}, INVALID, BACKING_SIZE),
        ({"backing_file_offset": CLUSTER, "backing_file_size": 8}, INVALID, BACKING),
        ({"backing_file_offset": 1 << 63, "backing_file_size": 8}, INVALID, BACKING),
        # Q6
        *(({"cluster_bits": bits}, INVALID, CLUSTER_BITS) for bits in (0, 8, 22, 63)),
        ({"incompatible_features": 16, "cluster_bits": 13}, INVALID, CLUSTER_BITS),
        # Q7
        ({"l1_size": 0}, TABLE, L1_SIZE),
        ({"l1_size": HUGE}, TABLE, L1_SIZE),
        ({"l1_size": 32 * MiB // 8 + 1}, TABLE, L1_SIZE),
        ({"l1_table_offset": 1 << 40}, "truncated-file", L1_OFFSET),
        ({"l1_table_offset": 3 * CLUSTER + 8}, TABLE, L1_OFFSET),
        ({"size": 512 * MiB + 512}, TABLE, L1_SIZE),
        # Q8
        ({"refcount_order": 7}, INVALID, REFCOUNT_ORDER),
        ({"refcount_order": 63}, INVALID, REFCOUNT_ORDER),
        ({"refcount_table_clusters": HUGE}, TABLE, REFCOUNT_CLUSTERS),
        ({"refcount_table_clusters": 8 * MiB // CLUSTER + 1}, TABLE, REFCOUNT_CLUSTERS),
        ({"refcount_table_offset": CLUSTER + 512}, TABLE, REFCOUNTS),
        # Q9
        *(({"header_length": size}, INVALID, HEADER_LENGTH) for size in (0, 103, CLUSTER + 8, HUGE)),
        # Q10
        ({"size": VIRTUAL_SIZE - 1}, "size-not-in-sectors", SIZE),
        ({"size": (1 << 63) - 1}, INVALID, SIZE),
        # Q12
        ({"incompatible_features": 1 << 63}, "qcow2-unknown-feature", INCOMPATIBLE),
        # Q16
        ({"crypt_method": 1}, "qcow2-encrypted", CRYPT),
        ({"crypt_method": 2}, "qcow2-encrypted", CRYPT),
    ],
    ids=lambda value: str(value).replace(" ", ""),
)  # fmt: skip
def test_a_field_out_of_its_bounds_is_refused_at_its_byte(
    tmp_path: Path, fields: dict[str, Any], code: str, offset: int
) -> None:
    found = seen(tmp_path / "disk.qcow2", image(**fields))
    assert found.format == "qcow2"
    assert (code, "qcow2 header", offset) in told(found)


@hazard("Q9")
@pytest.mark.parametrize(
    "extensions",
    [
        extension(0x12345678, b"", length=1 << 31),
        extension(0x12345678, b"", length=CLUSTER),
        extension(0x12345678, b"") * ((CLUSTER - EXTENSIONS) // 8),  # endless: no end, up to the cluster's end
    ],
)
def test_header_extensions_that_do_not_end_are_refused(tmp_path: Path, extensions: bytes) -> None:
    found = seen(tmp_path / "disk.qcow2", image(extensions=extensions))
    assert {(code, where) for code, where, _ in told(found)} == {
        ("qcow2-header-extension-invalid", "qcow2 header extension")
    }


@hazard("Q10")
def test_a_disk_of_size_0_is_no_damage(tmp_path: Path) -> None:
    found = seen(tmp_path / "disk.qcow2", image(size=0, l1=[], l1_size=0))
    assert (found.virtual_size, found.problems) == (0, ())


@hazard("Q11")
@pytest.mark.parametrize(
    ("fields", "code", "offset"),
    [
        ({"nb_snapshots": HUGE, "snapshots_offset": 5 * CLUSTER}, TABLE, SNAPSHOTS),
        ({"nb_snapshots": 65537, "snapshots_offset": 5 * CLUSTER}, TABLE, SNAPSHOTS),
        ({"nb_snapshots": 1, "snapshots_offset": 1 << 40}, "truncated-file", SNAPSHOTS_OFFSET),
        ({"nb_snapshots": 1, "snapshots_offset": 5 * CLUSTER + 8}, TABLE, SNAPSHOTS_OFFSET),
    ],
)  # fmt: skip
def test_snapshots_out_of_bounds_are_refused(tmp_path: Path, fields: dict[str, Any], code: str, offset: int) -> None:
    found = seen(tmp_path / "disk.qcow2", image(extra=bytes(CLUSTER), **fields))
    assert (code, "qcow2 header", offset) in told(found)


@hazard("Q11")
def test_a_sound_snapshot_is_told_of(tmp_path: Path) -> None:
    values = dict.fromkeys((field.name for field in SNAPSHOT.subcons), 0) | {"extra_data_size": 16}
    values |= {"l1_table_offset": 3 * CLUSTER, "l1_size": 1, "id_str_size": 1, "name_size": 5}
    extra = SNAPSHOT.build(values) + bytes(16) + b"1first"
    found = seen(
        tmp_path / "disk.qcow2", image(extra=extra.ljust(CLUSTER, b"\0"), nb_snapshots=1, snapshots_offset=5 * CLUSTER)
    )
    assert told(found) == [("qcow2-snapshots", "qcow2 header", SNAPSHOTS)]


@hazard("Q12")
@pytest.mark.parametrize("version", [0, 4, HUGE])
def test_an_unknown_version_is_no_raw_disk(tmp_path: Path, version: int) -> None:
    found = seen(tmp_path / "disk.qcow2", image(version=3)[:4] + version.to_bytes(4, "big") + image()[8:])
    assert found.format == "qcow2"
    assert told(found)[0][:2] == (INVALID, "qcow2 header")


@hazard("Q12")
def test_an_unknown_compression_type_is_refused(tmp_path: Path) -> None:
    data = bytearray(image(incompatible_features=8, header_length=112))
    data[COMPRESSION] = 255
    assert (INVALID, "qcow2 header", COMPRESSION) in told(seen(tmp_path / "disk.qcow2", bytes(data)))


@hazard("Q12")
def test_version_2_has_no_feature_bits(tmp_path: Path) -> None:
    data = bytearray(image(version=2))
    data[72 : 72 + 8] = b"\xff" * 8  # where version 3 has them; here it may be anything but an extension
    found = seen(tmp_path / "disk.qcow2", bytes(data))
    assert {"qcow2-unknown-feature", "qcow2-dirty", "qcow2-corrupt", "qcow2-data-file"}.isdisjoint(
        code for code, _, _ in told(found)
    )


@hazard("Q13")
@pytest.mark.parametrize(
    ("bit", "code", "severity"), [(1, "qcow2-dirty", "warning"), (2, "qcow2-corrupt", "error")]
)  # fmt: skip
def test_dirty_warns_and_corrupt_fails(tmp_path: Path, bit: int, code: str, severity: str) -> None:
    found = seen(tmp_path / "disk.qcow2", image(incompatible_features=bit))
    assert told(found) == [(code, "qcow2 header", INCOMPATIBLE)]
    findings = check(found, profiles.load("aliyun"), Declared()).findings
    assert severity in [one.severity for one in findings if code.removeprefix("qcow2-") in one.rule]


@hazard("Q14")
@pytest.mark.parametrize(
    ("l1", "l2", "where"),
    [
        ([1 << 63], [], None),
        ([3 * CLUSTER | 1 << 63], [], "qcow2 l1 table"),  # at itself
        ([CLUSTER | 1 << 63], [], "qcow2 l1 table"),  # at the refcount table
        ([4 * CLUSTER | 1 << 63] * 2, [], "qcow2 l1 table"),
        ([4 * CLUSTER | 1 << 63], [l2_entry(4 * CLUSTER)], "qcow2 l2 table"),  # at itself
        ([4 * CLUSTER | 1 << 63], [l2_entry(5 * CLUSTER)] * 2, "qcow2 l2 table"),  # overlapping
        ([4 * CLUSTER | 1 << 63], [l2_entry(5 * CLUSTER, compressed=True)] * 2, "qcow2 l2 table"),
        ([4 * CLUSTER | 1 << 63], [l2_entry(16, compressed=True)], "qcow2 l2 table"),  # at the header
    ],
)
def test_tables_that_lead_to_metadata_or_twice_to_one_place_are_told(
    tmp_path: Path, l1: list[int], l2: list[int], where: str | None
) -> None:
    found = seen(tmp_path / "disk.qcow2", image(l1=l1, l2=l2, extra=bytes(CLUSTER)))
    codes = {(code, place) for code, place, _ in told(found)}
    assert ((TABLE, where) in codes or (MAPPING, where) in codes) if where else isinstance(found.format, str)


@hazard("Q14")
def test_a_compression_bomb_costs_one_cluster(tmp_path: Path) -> None:
    squeezed = zlib.compressobj(9, zlib.DEFLATED, -12)
    bomb = squeezed.compress(bytes(64 * MiB)) + squeezed.flush()
    sectors = -(-len(bomb) // 512)
    entry = COMPRESSED | (sectors - 1) << (62 - 8) | 5 * CLUSTER
    path = tmp_path / "disk.qcow2"
    path.write_bytes(image(l2=[entry], extra=bomb))
    with FileSource(str(path)) as file:
        guest = qcow2.FORMAT.open(file, "qcow2").guest
        assert guest is not None
        assert guest.read_at(0, CLUSTER) == bytes(CLUSTER)
        assert file.bytes_read < 4 * MiB


@hazard("Q15")
@pytest.mark.parametrize("size", [8, 40, 71, 100, 103])
def test_a_header_cut_short_is_qcow2_and_truncated(tmp_path: Path, size: int) -> None:
    found = seen(tmp_path / "disk.qcow2", image()[:size])
    assert found.format == "qcow2"
    assert [(code, where) for code, where, _ in told(found)] == [("truncated-file", "qcow2 header")]
    assert isinstance(found.guest, Unknown)


@hazard("Q14", "Q7")
def test_a_virtual_disk_of_petabytes_costs_what_its_tables_cost(tmp_path: Path) -> None:
    found = seen(tmp_path / "disk.qcow2", image(cluster_bits=21, size=GiB << 20, l1_size=1))
    assert (TABLE, "qcow2 header") in {(code, where) for code, where, _ in told(found)}
