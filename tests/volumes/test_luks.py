"""LUKS: containers that the real cryptsetup made, and headers built here with everything that can be wrong."""

import hashlib
import json
import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from preflight.facts import Problem
from preflight.source import FileSource, Memory
from preflight.volumes import Member, OpenVolume
from preflight.volumes._luks1 import KEY_SLOTS_OFFSET, PHDR
from preflight.volumes._luks2 import BINARY_HEADER, MAX_HEADER
from preflight.volumes._luks2_metadata import MAX_JSON_DEPTH, MAX_OBJECTS
from preflight.volumes.luks import VOLUME
from tests.missing import Missing
from tests.tools import run, sparse
from tests.volumes.captures import GiB, member, patched, spread

KIND = "crypto_LUKS"
KiB, MiB = 1 << 10, 1 << 20
SIZE = 32 * MiB
FAST = ("--batch-mode", "--pbkdf-force-iterations", "1000", "--key-size", "256")


def read(source: Any, number: int | None = 1) -> tuple[OpenVolume, tuple[Problem, ...]]:
    (opened,), problems = VOLUME.read([member(KIND, source, number)])
    assert opened.volume.kind == "luks"
    assert opened.volume.group is None
    assert opened.source is None
    return opened, problems


def places(problems: Sequence[Problem]) -> list[tuple[str, int | None]]:
    assert {problem.code for problem in problems} <= {"luks-header-invalid"}
    return [(problem.where, None if problem.offset is None else problem.offset - GiB) for problem in problems]


# Containers of the real cryptsetup.


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("luks") / "key"
    path.write_bytes(b"k" * 32)
    return path


def formatted(path: Path, key: Path, *options: str) -> Path:
    run("cryptsetup", "luksFormat", *FAST, *options, sparse(path, SIZE), key)
    return path


@pytest.mark.parametrize("name", ["sha256", "SHA512"])
def test_a_real_luks1_container_says_what_cryptsetup_dumps(name: str, tmp_path: Path, key: Path) -> None:
    path = formatted(tmp_path / "luks1", key, "--type", "luks1", "--hash", name)
    dump = run("cryptsetup", "luksDump", path)
    payload = re.search(r"Payload offset:\s+(\d+)", dump)
    uuid = re.search(r"UUID:\s+(\S+)", dump)
    assert payload is not None and uuid is not None
    with FileSource(str(path)) as source:
        opened, problems = read(source, 4)
        assert source.bytes_read < 4096
    assert problems == ()
    assert opened.volume.uuid == uuid[1]
    assert opened.volume.size == SIZE - int(payload[1]) * 512
    assert (opened.volume.name, opened.volume.on) == (None, (4,))


@pytest.mark.parametrize(
    "options",
    [
        ["--label", "my label"],
        ["--luks2-metadata-size", "64k"],
        ["--luks2-metadata-size", "4m", "--luks2-keyslots-size", "4m"],
    ],
)
def test_a_real_luks2_container_says_what_cryptsetup_dumps(options: list[str], tmp_path: Path, key: Path) -> None:
    path = formatted(tmp_path / "luks2", key, "--type", "luks2", "--pbkdf", "pbkdf2", *options)
    metadata = json.loads(run("cryptsetup", "luksDump", "--dump-json-metadata", path))
    told = dict(line.split("=", 1) for line in run("blkid", "-p", "-o", "export", path).splitlines())
    with FileSource(str(path)) as source:
        opened, problems = read(source, None)
        assert source.bytes_read <= 2 * MAX_HEADER + 4 * KiB
    assert problems == ()
    assert opened.volume.size == SIZE - int(metadata["segments"]["0"]["offset"])
    assert opened.volume.uuid == told["UUID"]
    assert opened.volume.name == ("my label" if "--label" in options else None)
    assert opened.volume.on == ()


def test_a_real_luks2_container_without_its_first_header_is_named_by_its_second(tmp_path: Path, key: Path) -> None:
    path = formatted(tmp_path / "luks2", key, "--type", "luks2", "--pbkdf", "pbkdf2", "--label", "second")
    with FileSource(str(path)) as source:
        whole, _ = read(source)
    with path.open("r+b") as file:
        file.write(bytes(4096))
    with FileSource(str(path)) as source:
        opened, problems = read(source)
    assert opened.volume == whole.volume
    assert places(problems) == [("luks2 primary header", 0)]


# LUKS1, built.


def luks1(**changes: Any) -> bytes:
    slots = changes.pop("slots", {})
    key_slots = [
        {"active": 0x0000DEAD, "iterations": 0, "salt": bytes(32), "key_material_offset": 8 + 256 * n, "stripes": 4000}
        for n in range(8)
    ]
    key_slots[0]["active"] = 0x00AC71F3
    for index, slot in slots.items():
        key_slots[index] |= slot
    fields = {
        "magic": b"LUKS\xba\xbe",
        "version": 1,
        "cipher_name": b"aes".ljust(32, b"\0"),
        "cipher_mode": b"xts-plain64".ljust(32, b"\0"),
        "hash_spec": b"sha256".ljust(32, b"\0"),
        "payload_offset": 4096,
        "key_bytes": 32,
        "mk_digest": bytes(20),
        "mk_digest_salt": bytes(32),
        "mk_digest_iter": 1000,
        "uuid": b"12345678-1234-1234-1234-123456789abc".ljust(40, b"\0"),
        "key_slots": key_slots,
        **changes,
    }
    return bytes(PHDR.build(fields))


def test_a_built_luks1_header_is_read() -> None:
    opened, problems = read(spread(SIZE, (0, luks1())))
    assert problems == ()
    assert opened.volume.uuid == "12345678-1234-1234-1234-123456789abc"
    assert opened.volume.size == SIZE - 2 * MiB


@pytest.mark.parametrize(
    ("slot", "changes"),
    [
        (0, {"active": 1}),
        (3, {"stripes": 3999}),
        (3, {"stripes": 2**32 - 1}),
        (5, {"key_material_offset": 0}),
        (5, {"key_material_offset": 1}),
        (7, {"key_material_offset": 2**32 - 1}),
        (7, {"key_material_offset": 4096 - 249}),
        (2, {"key_material_offset": 8 + 249}),
    ],
)
def test_a_key_slot_out_of_its_place_is_reported(slot: int, changes: dict[str, int]) -> None:
    opened, problems = read(spread(SIZE, (0, luks1(slots={slot: changes}))))
    assert opened.volume.uuid == "12345678-1234-1234-1234-123456789abc"
    assert places(problems) == [("luks1 phdr", KEY_SLOTS_OFFSET + 48 * slot)]
    assert f"key slot {slot}:" in problems[0].message


def test_key_material_may_end_where_the_payload_begins() -> None:
    # 32 bytes of key in 4000 stripes are 250 sectors
    assert read(spread(SIZE, (0, luks1(slots={7: {"key_material_offset": 4096 - 250}}))))[1] == ()


@pytest.mark.parametrize(
    ("changes", "offset"),
    [
        ({"hash_spec": bytes(32)}, 72),
        ({"hash_spec": b"\xff" * 32}, 72),
        ({"hash_spec": b"md6".ljust(32, b"\0")}, 72),
        ({"key_bytes": 0}, 108),
    ],
)
def test_a_luks1_header_that_cryptsetup_refuses_is_reported(changes: dict[str, Any], offset: int) -> None:
    assert places(read(spread(SIZE, (0, luks1(**changes))))[1]) == [("luks1 phdr", offset)]


def test_a_luks1_payload_past_the_end_has_no_size() -> None:
    opened, problems = read(spread(SIZE, (0, luks1(payload_offset=SIZE // 512 + 1))))
    assert opened.volume.size is None
    assert places(problems) == [("luks1 phdr", 104)]


def test_a_luks1_header_apart_from_its_payload_has_no_size() -> None:
    opened, problems = read(spread(SIZE, (0, luks1(payload_offset=0))))
    assert opened.volume.size is None
    assert problems == ()


# LUKS2, built.

KEYSLOTS_SIZE = 1 * MiB


def area(offset: int, size: int = 128 * KiB) -> dict[str, Any]:
    return {
        "type": "luks2",
        "key_size": 64,
        "kdf": {"type": "pbkdf2", "hash": "sha256", "iterations": 1000, "salt": "AAAA"},
        "af": {"type": "luks1", "stripes": 4000, "hash": "sha256"},
        "area": {
            "type": "raw",
            "encryption": "aes-xts-plain64",
            "key_size": 64,
            "offset": str(offset),
            "size": str(size),
        },
    }


def crypt(offset: int, size: str = "dynamic", **more: Any) -> dict[str, Any]:
    common = {"type": "crypt", "encryption": "aes-xts-plain64", "iv_tweak": "0", "sector_size": 512}
    return {**common, "offset": str(offset), "size": size, **more}


def digest(keyslots: Sequence[str], segments: Sequence[str]) -> dict[str, Any]:
    return {"type": "pbkdf2", "keyslots": list(keyslots), "segments": list(segments)}


def metadata(hdr_size: int = 16 * KiB, **changes: Any) -> dict[str, Any]:
    root = {
        "keyslots": {"0": area(2 * hdr_size), "1": area(2 * hdr_size + 128 * KiB)},
        "tokens": {},
        "segments": {"0": crypt(16 * MiB)},
        "config": {"json_size": str(hdr_size - 4096), "keyslots_size": str(KEYSLOTS_SIZE)},
        **changes,
    }
    every = [list(root[key]) if isinstance(root[key], dict) else [] for key in ("keyslots", "segments")]
    return {"digests": {"0": digest(*every)}, **root}


def luks2_copy(
    text: bytes, *, second: bool = False, hdr_size: int = 16 * KiB, label: bytes = b"data", **changes: Any
) -> bytes:
    fields = {
        "magic": b"SKUL\xba\xbe" if second else b"LUKS\xba\xbe",
        "version": 2,
        "hdr_size": hdr_size,
        "seqid": 3,
        "label": label.ljust(48, b"\0"),
        "checksum_alg": b"sha256".ljust(32, b"\0"),
        "salt": bytes(64),
        "uuid": b"12345678-1234-1234-1234-123456789abc".ljust(40, b"\0"),
        "subsystem": bytes(48),
        "hdr_offset": hdr_size if second else 0,
        "padding": bytes(184),
        "csum": bytes(64),
        "padding4096": bytes(3584),
        **changes,
    }
    data = bytes(BINARY_HEADER.build(fields)) + text.ljust(hdr_size - 4096, b"\0")
    if "csum" in changes:
        return data
    return patched(data, 448, hashlib.sha256(data).digest())


def luks2(
    root: object, *, first: Mapping[str, Any] = {}, second: Mapping[str, Any] = {}, hdr_size: int = 16 * KiB
) -> Any:
    text = root if isinstance(root, bytes) else json.dumps(root).encode()
    pieces = [
        (0, luks2_copy(text, **{"hdr_size": hdr_size, **first})),
        (hdr_size, luks2_copy(text, second=True, **{"hdr_size": hdr_size, **second})),
    ]
    return spread(SIZE, *((offset, data[: hdr_size if offset == 0 else None]) for offset, data in pieces))


def test_a_built_luks2_header_is_read_and_taken_for_one_by_cryptsetup(tmp_path: Path) -> None:
    source = luks2(metadata())
    opened, problems = read(source)
    assert problems == ()
    assert (opened.volume.name, opened.volume.size) == ("data", SIZE - 16 * MiB)
    path = sparse(tmp_path / "luks2", SIZE)
    with path.open("r+b") as file:
        file.write(source.read_at(0, MiB))
    assert "LABEL=data" in run("blkid", "-p", "-o", "export", path)


@pytest.mark.parametrize(
    ("segments", "size"),
    [
        ({"0": crypt(16 * MiB, str(4 * MiB))}, 4 * MiB),
        ({"0": crypt(16 * MiB, str(4 * MiB)), "1": crypt(20 * MiB)}, SIZE - 16 * MiB),
        ({"0": crypt(16 * MiB), "1": crypt(20 * MiB, flags=["backup-final"])}, SIZE - 16 * MiB),
        ({"0": crypt(0)}, None),
        ({"0": crypt(SIZE)}, 0),
    ],
)
def test_segments_make_the_size_of_the_payload(segments: dict[str, Any], size: int | None) -> None:
    opened, problems = read(luks2(metadata(segments=segments)))
    assert opened.volume.size == size
    assert problems == ()


@pytest.mark.parametrize(
    "root",
    [
        b"",
        b"{",
        b"[]",
        b"nothing",
        b"\xff\xfe",
        b"x" * (12 * KiB),
        b"{" * (12 * KiB - 1),
        b'"' + b'\\"' * 6000,
        b'{"a":' * (MAX_JSON_DEPTH + 1) + b"1" + b"}" * (MAX_JSON_DEPTH + 1),
        metadata(segments={"0": crypt(16 * MiB, str(SIZE))}),
        metadata(segments={"0": crypt(SIZE + 1)}),
        metadata(segments={"0": crypt(32 * KiB)}),
        metadata(segments={"0": crypt(16 * MiB, "-1")}),
        metadata(segments={"0": crypt(16 * MiB, "9" * 19)}),
        metadata(segments={"0": crypt(16 * MiB, "9" * 5000)}),
        metadata(segments={"0": {"offset": 16777216, "size": "dynamic"}}),
        metadata(segments={"0": None}),
        metadata(segments={str(n): crypt(16 * MiB + n * 512, "512") for n in range(MAX_OBJECTS + 1)}),
        metadata(segments=[]),
        metadata(segments={}),
        metadata(config={}),
        metadata(config=None),
        metadata(keyslots={"0": {}}),
        metadata(keyslots=None),
        metadata(keyslots={"0": area(32 * KiB), "1": area(32 * KiB + 1)}),
        metadata(keyslots={"0": area(0)}),
        metadata(keyslots={"0": area(32 * KiB - 1)}),
        metadata(keyslots={"0": area(32 * KiB + KEYSLOTS_SIZE, 1)}),
        metadata(keyslots={"0": area(2**62, 2**62)}),
        metadata(config={"json_size": "12289", "keyslots_size": str(KEYSLOTS_SIZE)}),
        {},
    ],
)
def test_a_json_area_that_is_wrong_is_reported_and_the_container_still_named(root: object) -> None:
    opened, problems = read(luks2(root))
    assert (opened.volume.name, opened.volume.uuid) == ("data", "12345678-1234-1234-1234-123456789abc")
    assert opened.volume.size is None
    assert {where for where, _ in places(problems)} == {"luks2 json area"}


FIRST, SECOND = "luks2 primary header", "luks2 secondary header"


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ({"csum": bytes(64)}, {}, [(FIRST, 448)]),
        ({}, {"csum": bytes(64)}, [(SECOND, 16 * KiB + 448)]),
        ({"version": 3}, {}, [("luks header", 6)]),
        ({}, {"version": 3}, [(SECOND, 16 * KiB)]),
        ({"checksum_alg": b"md6".ljust(32, b"\0")}, {}, [(FIRST, 72)]),
        ({}, {"checksum_alg": b"sha512".ljust(32, b"\0")}, [(SECOND, 16 * KiB + 448)]),
        ({"hdr_offset": 1}, {}, [(FIRST, 256)]),
        ({}, {"hdr_offset": 0}, [(SECOND, 16 * KiB + 256)]),
        ({}, {"magic": b"LUKS\xba\xbe"}, [(SECOND, 16 * KiB)]),
        ({"magic": b"SKUL\xba\xbe"}, {}, [(FIRST, 0)]),
        ({}, {"seqid": 4, "label": b"newer"}, [(SECOND, 16 * KiB)]),
        ({"csum": bytes(64)}, {"csum": bytes(64)}, [(FIRST, 448), (SECOND, 16 * KiB + 448)]),
    ],
)
def test_damage_to_a_copy_is_reported_at_its_byte(
    first: dict[str, Any], second: dict[str, Any], expected: list[tuple[str, int]]
) -> None:
    opened, problems = read(luks2(metadata(), first=first, second=second))
    assert places(problems) == expected
    if "version" not in first:
        assert opened.volume.name == ("newer" if "seqid" in second else "data")
        assert (opened.volume.size is None) == (len(expected) == 2)


@pytest.mark.parametrize("hdr_size", [0, 4096, 16 * KiB + 1, 8 * MiB, 2**64 - 1])
def test_an_impossible_hdr_size_is_reported(hdr_size: int) -> None:
    data = luks2_copy(json.dumps(metadata()).encode())
    source = spread(SIZE, (0, patched(data, 8, hdr_size.to_bytes(8, "big"))))
    opened, problems = read(source)
    assert opened.volume.name == "data"
    assert places(problems)[0] == (FIRST, 8)


def test_a_second_copy_is_found_at_every_size() -> None:
    for hdr_size in (16 * KiB << n for n in range(9)):
        opened, problems = read(luks2(metadata(hdr_size), first={"magic": bytes(6)}, hdr_size=hdr_size))
        assert opened.volume.size == SIZE - 16 * MiB
        assert places(problems) == [(FIRST, 0)]


def test_a_json_text_beyond_what_is_read_is_reported() -> None:
    root = json.dumps(metadata(4 * MiB, tokens={"0": "x" * MAX_HEADER})).encode()
    opened, problems = read(luks2(root, hdr_size=4 * MiB))
    assert opened.volume.name == "data"
    assert places(problems) == [("luks2 json area", 4096), ("luks2 json area", 4 * MiB + 4096)]
    assert "does not end" in problems[0].message


def test_hostile_json_takes_no_time() -> None:
    begin = time.monotonic()
    for unit in (b'"', b'\\"', b"{", b"[", b'{"', b'"\\', b'{"a":'):
        text = (b'"' + unit * MAX_HEADER)[: MAX_HEADER - 4097]
        read(luks2(text, hdr_size=MAX_HEADER))
    assert time.monotonic() - begin < 3


@pytest.mark.parametrize("size", [0, 5, 100, 591, 4095, 16 * KiB - 1])
def test_a_container_that_is_cut_short_is_reported(size: int) -> None:
    for source in (luks2(metadata()), spread(SIZE, (0, luks1()))):
        opened, problems = read(Memory(source.read_at(0, size)))
        assert opened.volume.size is None
        assert problems


def test_bytes_that_are_not_in_the_file_are_told_as_such() -> None:
    problems = VOLUME.read([Member(KIND, 1, GiB, Missing(SIZE, "they are in a backing file"))])[1]
    assert [problem.code for problem in problems] == ["contents-unreadable"]


@settings(max_examples=150, deadline=None)
@given(st.booleans(), st.integers(0, 5000), st.integers(0, 255))
def test_any_changed_byte_gives_values(version_1: bool, offset: int, value: int) -> None:
    data = luks1() if version_1 else luks2(metadata()).read_at(0, 32 * KiB)
    read(spread(SIZE, (0, patched(data, min(offset, len(data) - 1), bytes([value])))))


SOURCE_TEXT = json.dumps(metadata()).encode()


@settings(max_examples=150, deadline=None)
@given(
    st.integers(0, len(SOURCE_TEXT)),
    st.integers(0, 20),
    st.sampled_from([b"", b"{}", b"[", b'"', b"-1", b'"0"', b"\\"]),
)
def test_any_changed_json_with_a_right_checksum_gives_values(offset: int, size: int, word: bytes) -> None:
    read(luks2(SOURCE_TEXT[:offset] + word + SOURCE_TEXT[offset + size :]))


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=800))
def test_any_bytes_give_values(data: bytes) -> None:
    for head in (b"", b"LUKS\xba\xbe\0\1", b"LUKS\xba\xbe\0\2"):
        read(Memory(head + data))
