"""Linux software RAID: members that the real mdadm made, and superblocks built here."""

import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from preflight.facts import Problem
from preflight.source import BlockSource, Memory
from preflight.volumes import Member
from preflight.volumes._md_superblock import SUPERBLOCK_1, SUPERBLOCK_90, SUPERBLOCK_90_BIG
from preflight.volumes.md import VOLUME
from tests.missing import Missing
from tests.tools import run
from tests.volumes.captures import FIXTURES, GiB, member, patched, spread, unpacked

KIND = "linux_raid_member"
KiB, MiB = 1 << 10, 1 << 20
SIZE = 16 * MiB  # of a member: fixtures/md/make.sh
CAPTURES = sorted(path.stem for path in (FIXTURES / "md").glob("*.xz"))


def captured(name: str, number: int | None = 1, *more: tuple[int, bytes]) -> Member:
    data = unpacked(f"md/{name}.xz")
    head, tail = data[: 8 * KiB], data[8 * KiB :]
    return member(KIND, spread(SIZE, (0, head), (SIZE - 128 * KiB, tail), *more), number)


def examined(name: str) -> dict[str, str]:
    """What `mdadm --examine` printed."""
    pairs = (line.partition(" : ") for line in (FIXTURES / f"md/{name}.txt").read_text().splitlines())
    return {key.strip(): value.strip() for key, separator, value in pairs if separator}


def codes(problems: Sequence[Problem]) -> list[str]:
    return [problem.code for problem in problems]


def test_there_is_a_capture_of_every_version() -> None:
    assert {examined(name)["Version"] for name in CAPTURES} == {"0.90.00", "1.0", "1.1", "1.2"}


@pytest.mark.parametrize("name", CAPTURES)
def test_a_real_member_says_what_mdadm_examine_prints(name: str) -> None:
    told = examined(name)
    (opened,), problems = VOLUME.read([captured(name, 3)])
    assert problems == ()
    assert opened.volume.kind == "md"
    assert opened.volume.on == (3,)
    assert opened.volume.uuid == told.get("Array UUID", told.get("UUID", "")).split()[0]
    assert opened.volume.name == (told["Name"].split()[0] if "Name" in told else None)
    assert opened.volume.size == int(told["Array Size"].split()[0]) * KiB
    assert (opened.source is not None) == (told["Raid Level"] == "raid1")


@pytest.mark.parametrize("name", [name for name in CAPTURES if name.startswith("raid1")])
def test_the_bytes_of_a_real_mirror_begin_at_its_data_offset(name: str) -> None:
    told = examined(name)
    start = int(told.get("Data Offset", "0").split()[0]) * 512
    size = int(told["Array Size"].split()[0]) * KiB
    marks = [(MiB, b"at 1 MiB"), (start + size - 129 * KiB, b"near end")]
    source = VOLUME.read([captured(name, 1, *marks)])[0][0].source
    assert source is not None
    assert source.size == size
    assert source.read_at(MiB - start, 8) == b"at 1 MiB"
    assert source.read_at(size - 129 * KiB, 8) == b"near end"


@pytest.mark.parametrize("version", ["0.90", "1.2"])
def test_members_of_one_array_are_one_volume(version: str) -> None:
    members = [captured(f"raid1-{version}-{index}", 5 + index) for index in (0, 1)]
    other = captured("raid5-1.2-0", 9)
    volumes, problems = VOLUME.read([members[1], other, members[0]])
    assert [volume.volume.on for volume in volumes] == [(5, 6), (9,)]
    assert problems == ()


def test_an_array_on_the_whole_disk_lies_on_no_partition() -> None:
    assert VOLUME.read([captured("raid1-1.0-0", None)])[0][0].volume.on == ()


def test_few_bytes_are_read() -> None:
    class Counted:
        def __init__(self, parent: BlockSource) -> None:
            self.parent, self.size, self.total = parent, parent.size, 0

        def read_at(self, offset: int, size: int) -> bytes:
            self.total += size
            return self.parent.read_at(offset, size)

    for name in CAPTURES:
        source = Counted(captured(name).source)
        VOLUME.read([member(KIND, source)])
        assert source.total < 16 * KiB


# Built superblocks. mdadm and blkid say what it takes them for.

PLACES = {"1.0": SIZE // 512 - 16, "1.1": 0, "1.2": 8}


def superblock_1(
    version: str = "1.2", *, roles: Sequence[int] = (0, 1), csum: int | None = None, **changes: Any
) -> bytes:
    fields: dict[str, Any] = dict.fromkeys((field.name for field in SUPERBLOCK_1.subcons), 0)
    fields |= {
        "magic": 0xA92B4EFC,
        "major_version": 1,
        "set_uuid": bytes(range(16)),
        "set_name": b"host:data".ljust(32, b"\0"),
        "ctime": 1_700_000_000,
        "level": 1,
        "size": 16384,
        "raid_disks": 2,
        "data_offset": 0 if version == "1.0" else 2048,
        "data_size": 20480,
        "super_offset": PLACES[version],
        "device_uuid": bytes(16),
        "resync_offset": 2**64 - 1,
        "max_dev": len(roles),
        "pad3": bytes(32),
        **changes,
    }
    tail = struct.pack(f"<{len(roles)}H", *roles)
    data = SUPERBLOCK_1.build(fields) + tail
    if csum is None:
        padded = data.ljust(-(-len(data) // 4) * 4, b"\0")
        csum = sum(struct.unpack(f"<{len(padded) // 4}I", padded))
        csum = (csum & 0xFFFFFFFF) + (csum >> 32) & 0xFFFFFFFF
    return bytes(SUPERBLOCK_1.build({**fields, "sb_csum": csum})) + tail


def superblock_90(*, big: bool = False, csum: int | None = None, **changes: Any) -> bytes:
    layout = SUPERBLOCK_90_BIG if big else SUPERBLOCK_90
    fields: dict[str, Any] = dict.fromkeys((field.name for field in layout.subcons), 0)
    fields |= {name: [0] * count for name, count in (("gstate_creserved", 16), ("gstate_sreserved", 14))}
    fields |= {"pstate_reserved": [0] * 60, "cp_events": [0, 0], "reshape_position": [0, 0], "disks": bytes(27 * 128)}
    fields |= {"events": [0, 7] if big else [7, 0], "this_disk_reserved": [0] * 27, "this_disk_state": 6}
    fields |= {"md_magic": 0xA92B4EFC, "minor_version": 90, "level": 1, "size": 8192, "raid_disks": 2, "nr_disks": 2}
    fields |= {"set_uuid0": 0x00112233, "set_uuid1": 0x44556677, "set_uuid2": 0x8899AABB, "set_uuid3": 0xCCDDEEFF}
    fields |= changes
    if csum is None:
        csum = sum(struct.unpack(">1024I" if big else "<1024I", layout.build(fields)))
        csum = (csum & 0xFFFFFFFF) + (csum >> 32) & 0xFFFFFFFF
    return bytes(layout.build({**fields, "sb_csum": csum}))


def with_1(version: str = "1.2", number: int = 1, **changes: Any) -> Member:
    return member(KIND, spread(SIZE, (PLACES[version] * 512, superblock_1(version, **changes))), number)


def with_90(number: int = 1, **changes: Any) -> Member:
    return member(KIND, spread(SIZE, (SIZE - 64 * KiB, superblock_90(**changes))), number)


@pytest.mark.parametrize("version", ["0.90", "1.0", "1.1", "1.2"])
def test_a_built_superblock_is_what_mdadm_and_blkid_take_it_for(version: str, tmp_path: Path) -> None:
    built = with_90() if version == "0.90" else with_1(version)
    path = tmp_path / "member"
    path.write_bytes(built.source.read_at(0, SIZE))
    told = run("mdadm", "--examine", path)
    assert "- correct" in told
    (opened,), problems = VOLUME.read([built])
    assert problems == ()
    assert f"UUID : {opened.volume.uuid}" in told
    assert f"Array Size : {(opened.volume.size or 0) // KiB} " in told
    assert opened.source is not None
    assert "TYPE=linux_raid_member" in run("blkid", "-p", "-o", "export", path)


def test_a_big_endian_superblock_is_read() -> None:
    (opened,), problems = VOLUME.read([with_90(big=True)])
    assert problems == ()
    assert opened.volume.uuid == "00112233:44556677:8899aabb:ccddeeff"
    assert opened.volume.size == 8 * MiB


@pytest.mark.parametrize(
    ("changes", "size"),
    [
        ({"level": 0, "size": 0}, None),
        ({"level": -1}, None),
        ({"level": 4, "raid_disks": 3}, 2),
        ({"level": 5, "raid_disks": 5}, 4),
        ({"level": 6, "raid_disks": 5}, 3),
        ({"level": 6, "raid_disks": 1}, None),
        ({"level": 5, "raid_disks": 1}, None),
        ({"level": 10, "raid_disks": 4, "layout": 0x102}, 2),
        ({"level": 10, "raid_disks": 4, "layout": 0}, None),
        ({"level": 5, "raid_disks": 0}, None),
        ({"level": 5, "raid_disks": 2**32 - 1}, None),
        ({"level": 77}, None),
    ],
)
def test_other_levels_have_a_size_and_no_bytes(changes: dict[str, Any], size: int | None) -> None:
    (opened,), problems = VOLUME.read([with_1(**changes)])
    assert problems == ()
    assert opened.volume.size == (None if size is None else size * 8 * MiB)
    assert opened.source is None


@pytest.mark.parametrize(
    ("built", "offset"),
    [
        (with_1(csum=1), 4096 + 216),
        (with_1(major_version=2), 4096),
        (with_1(super_offset=9), 4096),
        (with_1(max_dev=1921), 4096 + 220),
        (with_1(max_dev=2**32 - 1), 4096 + 220),
        (with_1(feature_map=0x2000), 4096 + 8),
        (with_1(size=2**60), 4096),
        (with_1(data_offset=2**64 - 1), 4096),
        (with_1("1.0", csum=1), PLACES["1.0"] * 512 + 216),
        (with_1("1.1", csum=1), 216),
        (with_90(csum=1), SIZE - 64 * KiB + 152),
        (with_90(minor_version=89), SIZE - 64 * KiB + 4),
    ],
)
def test_a_superblock_that_is_wrong_is_reported_at_its_byte(built: Member, offset: int) -> None:
    volumes, problems = VOLUME.read([built])
    assert volumes == ()
    assert [(p.code, p.offset) for p in problems] == [("md-superblock-invalid", GiB + offset)]
    assert problems[0].where.startswith("md superblock ")


@pytest.mark.parametrize("changes", [{"data_offset": SIZE // 512 - 16384 + 1}, {"size": SIZE // 512}])
def test_a_mirror_that_is_larger_than_its_member_has_no_bytes(changes: dict[str, Any]) -> None:
    (opened,), problems = VOLUME.read([with_1(**changes)])
    assert opened.source is None
    assert [(p.code, p.offset) for p in problems] == [("md-superblock-invalid", GiB + 4096)]


def test_a_mirror_may_fill_its_member_to_the_last_byte() -> None:
    (opened,), problems = VOLUME.read([with_1(data_offset=SIZE // 512 - 16384)])
    assert opened.source is not None and opened.source.read_at(opened.source.size - 1, 1) == b"\0"
    assert problems == ()


@pytest.mark.parametrize(
    "built",
    [
        with_1(roles=(0xFFFF,)),  # a spare
        with_1(roles=(0xFFFE, 1)),  # faulty
        with_1(dev_number=2),
        with_1(feature_map=2, recovery_offset=16383),
        with_90(this_disk_state=0),
        with_90(this_disk_state=7),
    ],
)
def test_a_member_without_current_data_gives_no_bytes(built: Member) -> None:
    (opened,), problems = VOLUME.read([built])
    assert opened.source is None
    assert problems == ()


def test_the_member_that_was_written_last_is_read() -> None:
    old, new = with_1(number=1, events=4), with_1(number=2, events=5, dev_number=1, data_offset=2056)
    new = Member(KIND, 2, 2 * GiB, spread(SIZE, (4096, new.source.read_at(4096, 512)), (2056 * 512, b"newest")))
    for members in ([old, new], [new, old]):
        (opened,), _ = VOLUME.read(members)
        assert opened.volume.on == (1, 2)
        assert opened.source is not None and opened.source.read_at(0, 6) == b"newest"


def test_what_an_older_array_has_left_is_passed_over() -> None:
    pieces = [(4096, superblock_1(ctime=1_700_000_001)), (SIZE - 64 * KiB, superblock_90(ctime=1_700_000_000))]
    assert VOLUME.read([member(KIND, spread(SIZE, *pieces))])[0][0].volume.name == "host:data"
    pieces[1] = (SIZE - 64 * KiB, superblock_90(ctime=1_700_000_002))
    assert VOLUME.read([member(KIND, spread(SIZE, *pieces))])[0][0].volume.name is None


def test_a_damaged_superblock_beside_a_good_one_is_passed_over() -> None:
    pieces = [(0, superblock_1("1.1", csum=1)), (4096, superblock_1())]
    (opened,), problems = VOLUME.read([member(KIND, spread(SIZE, *pieces))])
    assert opened.source is not None and problems == ()


@pytest.mark.parametrize("size", [0, 4096, 8191, 70_000])
def test_a_member_without_any_superblock_is_reported(size: int) -> None:
    volumes, problems = VOLUME.read([member(KIND, spread(size))])
    assert volumes == ()
    assert codes(problems) == ["md-superblock-invalid"]


def test_bytes_that_are_not_in_the_file_are_told_as_such() -> None:
    volumes, problems = VOLUME.read([member(KIND, Missing(SIZE, "they are in a backing file"))])
    assert volumes == ()
    assert codes(problems) == ["contents-unreadable"]


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(["0.90", "1.2"]), st.integers(0, 300), st.integers(0, 255), st.booleans())
def test_any_changed_byte_gives_values(version: str, offset: int, value: int, repaired: bool) -> None:
    if version == "0.90":
        data, place = patched(superblock_90(), offset, bytes([value])), SIZE - 64 * KiB
        words, at = list(struct.unpack("<1024I", data)), 152
    else:
        data, place = patched(superblock_1(), min(offset, 259), bytes([value])), 4096
        words, at = list(struct.unpack(f"<{len(data) // 4}I", data)), 216
    if repaired:
        total = sum(words) - words[at // 4]
        data = patched(data, at, struct.pack("<I", (total & 0xFFFFFFFF) + (total >> 32) & 0xFFFFFFFF))
    volumes, problems = VOLUME.read([member(KIND, spread(SIZE, (place, data)))])
    for opened in volumes:
        if opened.source is not None:
            assert opened.source.read_at(0, min(16, opened.source.size)) is not None
    assert volumes or problems


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=400))
def test_any_bytes_give_values(data: bytes) -> None:
    magic = (0xA92B4EFC).to_bytes(4, "little")
    for pieces in ([(0, magic + data)], [(4096, magic + data)], [(SIZE - 64 * KiB, magic + data)]):
        VOLUME.read([member(KIND, spread(SIZE, *pieces))])
    VOLUME.read([member(KIND, Memory(data))])
