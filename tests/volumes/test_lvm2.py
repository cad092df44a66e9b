"""LVM2: a group that the real lvm made, and groups built here with everything that can be wrong."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from preflight.facts import Problem
from preflight.source import BlockSource, Extent, Extents, FileSource, Memory
from preflight.volumes import Member, OpenVolume
from preflight.volumes._lvm_group import MAX_LVS
from preflight.volumes._lvm_label import (
    DISK_LOCN,
    LABEL_HEADER,
    MAX_ALL_TEXTS,
    MDA_HEADER,
    PV_HEADER,
    PV_HEADER_EXTENSION,
    RAW_LOCN_IGNORED,
    lvm_crc,
)
from preflight.volumes._lvm_sources import MAX_STACK
from preflight.volumes.lvm2 import MAX_TOLD, VOLUME
from tests.missing import Missing
from tests.tools import run, sparse
from tests.volumes.captures import FIXTURES, GiB, member, patched, spread, unpacked

MiB = 1 << 20
KIND = "LVM2_member"
CAPTURED_SIZES = (128 * MiB, 96 * MiB, 64 * MiB)  # fixtures/lvm2/make.sh

Result = tuple[tuple[OpenVolume, ...], tuple[Problem, ...]]


# A group of the real lvm. What is expected is what lvm itself printed.


def lines(name: str) -> list[list[str]]:
    return [line.split() for line in (FIXTURES / "lvm2" / name).read_text().splitlines()]


class Marked:
    """Bytes that say where they lie: the name, then the offset, in every 16 bytes from `start` on."""

    def __init__(self, name: str, size: int) -> None:
        self._name = name
        self.size = size

    def read_at(self, offset: int, size: int) -> bytes:
        assert offset >= 0 and offset + size <= self.size
        first, last = offset // 16, (offset + size + 15) // 16
        data = b"".join(f"{self._name}{number * 16:013}".encode() for number in range(first, last))
        return data[offset - first * 16 :][:size]


def captured(index: int, number: int | None = None) -> Member:
    head = unpacked(f"lvm2/pv{index}.xz")
    start = int(next(line for line in lines("pvs.txt") if line[0] == f"pv{index}")[3])  # pe_start
    head = head[:start]
    tail = Marked(f"pv{index}", CAPTURED_SIZES[index])
    rest = Extent(len(head), tail.size - len(head), tail, len(head))
    return member(KIND, Extents([Extent(0, len(head), Memory(head), 0), rest]), index + 1 if number is None else number)


def by_name(volumes: Sequence[OpenVolume]) -> dict[str | None, OpenVolume]:
    return {volume.volume.name: volume for volume in volumes}


def test_a_real_group_has_the_volumes_that_lvs_lists() -> None:
    volumes, problems = VOLUME.read([captured(0), captured(1), captured(2)])
    assert problems == ()
    told = sorted([v.volume.name, v.volume.uuid, str(v.volume.size)] for v in volumes)
    assert told == sorted(line[:3] for line in lines("lvs.txt"))
    assert {v.volume.group for v in volumes} == {lines("vgs.txt")[0][0]}
    assert {v.volume.kind for v in volumes} == {"lvm"}


def test_the_captured_ring_has_wrapped() -> None:
    header = MDA_HEADER.parse(unpacked("lvm2/pv0.xz")[4096 : 4096 + 512])
    assert header.raw_locns[0].offset + header.raw_locns[0].size > header.size


@pytest.mark.parametrize("which", [(0, 2), (1, 2)])
def test_each_captured_metadata_area_alone_tells_the_group(which: tuple[int, ...]) -> None:
    volumes, problems = VOLUME.read([captured(index) for index in which])
    assert {v.volume.name for v in volumes} == {line[0] for line in lines("lvs.txt")}
    assert [problem.code for problem in problems] == ["lvm-incomplete"]


def test_every_real_extent_is_read_from_where_lvs_says_that_it_lies() -> None:
    volumes = by_name(VOLUME.read([captured(0), captured(1), captured(2)])[0])
    pe_start = {line[0]: int(line[3]) for line in lines("pvs.txt")}
    extent_size = int(lines("vgs.txt")[0][4])
    seen = set()
    for name, start, size, kind, stripes, stripe_size, *ranges in lines("segments.txt"):
        if name.startswith("[") or kind not in ("linear", "striped") or name == "snap":
            continue
        source = volumes[name].source
        assert source is not None
        columns = [(pv, int(extents.split("-")[0])) for pv, extents in (one.split(":") for one in ranges)]
        assert len(columns) == int(stripes)
        step = int(stripe_size) or extent_size
        for index in range(int(size) // step):
            pv, first = columns[index % len(columns)]
            expected = f"{pv}{pe_start[pv] + first * extent_size + index // len(columns) * step:013}".encode()
            assert source.read_at(int(start) + index * step, 16) == expected
        seen.add(name)
    assert seen == {"root", "striped", "span", "three"}


def test_a_read_across_stripes_and_segments_is_put_together() -> None:
    volumes = by_name(VOLUME.read([captured(0), captured(1), captured(2)])[0])
    for name in ("root", "striped", "span", "three"):
        source = volumes[name].source
        assert source is not None
        middle = 8 * MiB - 100_000
        whole = source.read_at(middle, 200_000)
        assert whole == b"".join(source.read_at(middle + index, 50) for index in range(0, 200_000, 50))


def test_mirrors_are_read_through_a_leg_and_other_types_are_only_listed() -> None:
    volumes = by_name(VOLUME.read([captured(0), captured(1), captured(2)])[0])
    pe_start = {line[0]: int(line[3]) for line in lines("pvs.txt")}
    for name, pv, extent in (("mir", "pv0", 21), ("oldmir", "pv1", 18)):  # first leg, segments.txt
        source = volumes[name].source
        assert source is not None
        assert source.read_at(0, 16) == f"{pv}{pe_start[pv] + extent * 4 * MiB:013}".encode()
    assert [name for name, volume in volumes.items() if volume.source is None] == ["snap", "pool", "thin"]


def test_a_mirror_is_read_through_its_second_leg_where_the_first_is_not_here() -> None:
    volumes, problems = VOLUME.read([captured(1), captured(2)])
    source = by_name(volumes)["mir"].source
    assert source is not None
    assert source.read_at(0, 16) == f"pv1{MiB + 16 * 4 * MiB:013}".encode()
    assert [v.volume.name for v in volumes if v.source is not None] == ["mir", "oldmir"]
    assert problems[0].code == "lvm-incomplete"
    assert "marked as missing: pv0;" in problems[0].message
    assert problems[0].offset is not None and 2 * GiB < problems[0].offset < 2 * GiB + MiB


def test_a_volume_lies_on_the_partitions_below_it() -> None:
    volumes = by_name(VOLUME.read([captured(0, 5), captured(1, 6), captured(2, 7)])[0])
    on = {name: volume.volume.on for name, volume in volumes.items()}
    assert on == {
        "mir": (5, 6),
        "oldmir": (6, 7),
        "snap": (6,),
        "pool": (7,),
        "thin": (7,),
        "root": (5, 6),
        "striped": (5, 6),
        "span": (5, 7),
        "three": (5, 6, 7),
    }


def test_a_group_on_the_whole_disk_lies_on_no_partition() -> None:
    members = [Member(KIND, None, 0, captured(index).source) for index in range(3)]
    assert {volume.volume.on for volume in VOLUME.read(members)[0]} == {()}


def test_a_volume_whose_metadata_is_on_another_disk_is_reported() -> None:
    volumes, problems = VOLUME.read([captured(2)])
    assert volumes == ()
    assert [problem.code for problem in problems] == ["lvm-incomplete"]
    assert lines("pvs.txt")[2][1] in problems[0].message


def test_few_bytes_are_read() -> None:
    class Counted:
        def __init__(self, parent: BlockSource) -> None:
            self.parent, self.size, self.count, self.total = parent, parent.size, 0, 0

        def read_at(self, offset: int, size: int) -> bytes:
            self.count += 1
            self.total += size
            return self.parent.read_at(offset, size)

    sources = [Counted(captured(index).source) for index in range(3)]
    VOLUME.read([member(KIND, source, index) for index, source in enumerate(sources, 1)])
    assert sum(source.count for source in sources) <= 7
    assert sum(source.total for source in sources) <= 32 * 1024


# Built: labels and areas by `Struct.build`, texts from the template that lvm writes.


def uuid(number: int) -> str:
    return f"{number:032}"


SECTOR = 512
MDA_START, MDA_SIZE = 4096, 64 * 1024
PE_START, EXTENT = MiB, 64 * 1024
PV_SIZE = 4 * MiB
PE_COUNT = (PV_SIZE - PE_START) // EXTENT


def pv_bytes(
    number: int,
    text: str | None,
    *,
    at: int = 512,
    crc: int | None = None,
    mda: Mapping[str, object] = {},
    locn: Mapping[str, int] = {},
    sector: int = 1,
    used: bool = True,
    mdas: int = 1,
    mda_size: int = MDA_SIZE,
) -> bytes:
    """The first MiB of a physical volume with one metadata area, its text at byte `at` of the area."""
    header = PV_HEADER.build({"pv_uuid": uuid(number).encode(), "device_size_xl": PV_SIZE})
    areas = [(PE_START, 0), (0, 0), *[(MDA_START, mda_size)] * (mdas if text is not None else 0), (0, 0)]
    header += b"".join(DISK_LOCN.build({"offset": offset, "size": size}) for offset, size in areas)
    header += PV_HEADER_EXTENSION.build({"version": 2, "flags": int(used)})
    label = {"sector_xl": sector, "crc_xl": 0, "offset_xl": 32, "type": b"LVM2 001"}
    built = (LABEL_HEADER.build(label) + header).ljust(SECTOR, b"\0")
    built = LABEL_HEADER.build({**label, "crc_xl": lvm_crc(built[20:])}) + built[32:]
    data = patched(bytes(MiB if mda_size <= MDA_SIZE else mda_size + MiB), SECTOR, built)
    if text is None:
        return data
    body = text.encode() + b"\0"
    ring = bytearray(mda_size)
    split = mda_size - at
    ring[at : at + len(body)] = body[:split]
    if len(body) > split:
        ring[512 : 512 + len(body) - split] = body[split:]
        ring = ring[:mda_size]
    first = {"offset": at, "size": len(body), "checksum": lvm_crc(body) if crc is None else crc, "flags": 0, **locn}
    fields = {
        "checksum_xl": 0,
        "magic": b" LVM2 x[5A%r0N*>",
        "version": 1,
        "start": MDA_START,
        "size": mda_size,
        "raw_locns": [first, {"offset": 0, "size": 0, "checksum": 0, "flags": 0}],
        "padding": bytes(424),
        **mda,
    }
    ring[:512] = MDA_HEADER.build(fields)
    if "checksum_xl" not in mda:
        ring[:4] = lvm_crc(bytes(ring[4:512])).to_bytes(4, "little")
    return patched(data, MDA_START, bytes(ring))


def pv_member(number: int, text: str | None, *, size: int = PV_SIZE, **changes: Any) -> Member:
    return member(KIND, spread(size, (0, pv_bytes(number, text, **changes)[:size])), number)


def segment(start: int, count: int, body: str, number: int = 1) -> str:
    return f"segment{number} {{\nstart_extent = {start}\nextent_count = {count}\n{body}\n}}\n"


def linear(start: int, count: int, on: str = "pv0", extent: int = 0, number: int = 1) -> str:
    return segment(start, count, f'type = "striped"\nstripe_count = 1\nstripes = ["{on}", {extent}]', number)


def lv(number: int, name: str, *segments: str, visible: bool = True, count: int | None = None) -> str:
    status = '"READ", "WRITE", "VISIBLE"' if visible else '"READ", "WRITE"'
    return (
        f'{name} {{\nid = "{uuid(number)}"\nstatus = [{status}]\nflags = []\n'
        f"segment_count = {len(segments) if count is None else count}\n{''.join(segments)}}}\n"
    )


def vg(
    *volumes: str, pvs: Sequence[int] = (1,), seqno: int = 1, name: str = "vg", number: int = 100, flags: str = ""
) -> str:
    entries = "".join(
        f'pv{index} {{\nid = "{uuid(pv)}"\ndevice = "/dev/sda{pv}"\nstatus = ["ALLOCATABLE"]\nflags = [{flags}]\n'
        f"dev_size = {PV_SIZE // SECTOR}\npe_start = {PE_START // SECTOR}\npe_count = {PE_COUNT}\n}}\n"
        for index, pv in enumerate(pvs)
    )
    inner = f"logical_volumes {{\n{''.join(volumes)}}}\n" if volumes else ""
    return (
        f'{name} {{\nid = "{uuid(number)}"\nseqno = {seqno}\nformat = "lvm2"\n'
        f'status = ["RESIZEABLE", "READ", "WRITE"]\n'
        f"flags = []\nextent_size = {EXTENT // SECTOR}\nmax_lv = 0\nmax_pv = 0\nmetadata_copies = 0\n"
        f"physical_volumes {{\n{entries}}}\n{inner}}}\n# Generated\n"
        'contents = "Text Format Volume Group"\nversion = 1\n'
        'description = "written \\"here\\""\n'
    )


def read_one(text: str, **changes: Any) -> Result:
    return VOLUME.read([pv_member(1, text, **changes)])


def codes(problems: Sequence[Problem]) -> list[str]:
    return [problem.code for problem in problems]


def test_a_built_group_is_read() -> None:
    volumes, problems = read_one(vg(lv(7, "root", linear(0, 3, extent=2))))
    assert problems == ()
    volume, source = volumes[0].volume, volumes[0].source
    assert (volume.name, volume.group, volume.size, volume.on) == ("root", "vg", 3 * EXTENT, (1,))
    assert volume.uuid == "000000-0000-0000-0000-0000-0000-000007"
    assert source is not None and source.size == 3 * EXTENT


def test_a_built_volume_is_what_blkid_takes_it_for(tmp_path: Path) -> None:
    path = sparse(tmp_path / "pv", PV_SIZE)
    path.write_bytes(pv_bytes(1, vg()).ljust(PV_SIZE, b"\0"))
    told = run("blkid", "-p", "-o", "export", path)
    assert "TYPE=LVM2_member" in told
    assert "UUID=000000-0000-0000-0000-0000-0000-000001" in told
    with FileSource(str(path)) as source:
        assert VOLUME.read([member(KIND, source)]) == ((), ())


def test_a_volume_that_no_number_of_a_file_offset_counts_has_no_size() -> None:
    text = vg(lv(7, "root", segment(0, 0xFFFFFFFF, 'type = "zero"')))
    limit = (2**63 - 1) // 512 // 0xFFFFFFFF  # sectors of an extent: so many still fit
    for sectors, size in ((limit, 0xFFFFFFFF * limit * 512), (limit + 1, None), (0xFFFFFFFF, None)):
        volumes, problems = read_one(text.replace("extent_size = 128", f"extent_size = {sectors}"))
        assert [volume.volume.size for volume in volumes] == [size]
        assert codes(problems) == ([] if size else ["lvm-metadata-invalid"])
        msgspec.json.encode([volume.volume for volume in volumes])


def test_the_first_extents_are_read_and_the_last() -> None:
    data = pv_bytes(1, vg(lv(7, "all", linear(0, PE_COUNT))))
    source = spread(PV_SIZE, (0, data), (PE_START, b"first"), (PV_SIZE - 4, b"last"))
    volume = VOLUME.read([member(KIND, source)])[0][0].source
    assert volume is not None
    assert volume.size == PE_COUNT * EXTENT
    assert volume.read_at(0, 5) == b"first"
    assert volume.read_at(volume.size - 4, 4) == b"last"


def test_segments_may_stand_in_any_order() -> None:
    text = vg(lv(7, "root", linear(2, 1, extent=9, number=1), linear(0, 2, extent=4, number=2)))
    source = spread(PV_SIZE, (0, pv_bytes(1, text)), (PE_START + 9 * EXTENT, b"third"))
    volume = VOLUME.read([member(KIND, source)])[0][0].source
    assert volume is not None and volume.read_at(2 * EXTENT, 5) == b"third"


def test_the_highest_seqno_counts() -> None:
    old = vg(lv(7, "old", linear(0, 1)), pvs=(1, 2), seqno=8)
    new = vg(lv(7, "new", linear(0, 1)), pvs=(1, 2), seqno=9)
    for texts in ((old, new), (new, old)):
        volumes, problems = VOLUME.read([pv_member(1, texts[0]), pv_member(2, texts[1])])
        assert [volume.volume.name for volume in volumes] == ["new"]
        assert problems == ()


def test_two_groups_are_kept_apart() -> None:
    one = vg(lv(7, "root", linear(0, 1)), name="one")
    two = vg(lv(8, "root", linear(0, 1)), pvs=(2,), name="two", number=200)
    volumes, problems = VOLUME.read([pv_member(1, one), pv_member(2, two)])
    assert [(v.volume.group, v.volume.on) for v in volumes] == [("one", (1,)), ("two", (2,))]
    assert problems == ()


def test_a_volume_that_moved_to_another_group_is_not_used_by_the_old_one() -> None:
    stale = vg(lv(7, "root", linear(0, 1, on="pv1")), pvs=(1, 2), name="stale")
    two = vg(lv(8, "root", linear(0, 1)), pvs=(2,), name="two", number=200)
    volumes, problems = VOLUME.read([pv_member(1, stale), pv_member(2, two)])
    assert [(v.volume.group, v.source is None) for v in volumes] == [("stale", True), ("two", False)]
    assert codes(problems) == ["lvm-incomplete"]


def test_an_ignored_area_leaves_the_metadata_to_the_others() -> None:
    text = vg(lv(7, "root", linear(0, 1, on="pv1")), pvs=(1, 2))
    ignored = pv_member(2, text, locn={"flags": RAW_LOCN_IGNORED})
    volumes, problems = VOLUME.read([pv_member(1, text), ignored])
    assert [volume.volume.on for volume in volumes] == [(2,)]
    assert problems == ()


def test_a_volume_outside_of_any_group_is_no_problem() -> None:
    assert VOLUME.read([pv_member(1, None, used=False)]) == ((), ())
    assert VOLUME.read([pv_member(1, "", locn={"offset": 0, "size": 0}, used=False)]) == ((), ())


def test_a_volume_marked_as_missing_is_not_used() -> None:
    volumes, problems = read_one(vg(lv(7, "root", linear(0, 1)), flags='"MISSING"'))
    assert volumes[0].source is None
    assert codes(problems) == ["lvm-incomplete"]


def test_a_damaged_copy_is_reported_and_the_other_used() -> None:
    text = vg(lv(7, "root", linear(0, 1)), pvs=(1, 2))
    volumes, problems = VOLUME.read([pv_member(1, text, crc=1), pv_member(2, text)])
    assert [volume.source is None for volume in volumes] == [False]
    assert [(p.code, p.where, p.offset) for p in problems] == [
        ("lvm-metadata-invalid", "lvm2 metadata", GiB + MDA_START + 512)
    ]


def test_the_ring_wraps_behind_the_header() -> None:
    text = vg(lv(7, "root", linear(0, 1)))
    for at in (MDA_SIZE - 512, MDA_SIZE - 1, MDA_SIZE - len(text) - 1, MDA_SIZE - len(text)):
        volumes, problems = read_one(text, at=at)
        assert [volume.volume.name for volume in volumes] == ["root"]
        assert problems == ()


LABEL, PV, MDA = ("lvm2 label_header", 512), ("lvm2 pv_header", 544), ("lvm2 mda_header", MDA_START)


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"sector": 2}, LABEL),
        ({"mda": {"magic": b" LVM2 x[5A%r0N*?"}}, MDA),
        ({"mda": {"version": 2}}, MDA),
        ({"mda": {"checksum_xl": 1}}, MDA),
        ({"mda": {"start": 8192}}, MDA),
        ({"mda": {"size": MDA_SIZE + 512}}, MDA),
        ({"locn": {"size": 2**63}}, MDA),
        ({"locn": {"size": 0}}, MDA),
        ({"locn": {"size": MDA_SIZE - 511}}, MDA),
        ({"locn": {"offset": MDA_SIZE}}, MDA),
        ({"locn": {"offset": 2**64 - 1}}, MDA),
        ({"locn": {"offset": 511}}, MDA),
        ({"mdas": 3}, PV),
    ],
)
def test_a_header_that_is_wrong_is_reported_at_its_byte(changes: dict[str, object], place: tuple[str, int]) -> None:
    volumes, problems = read_one(vg(), **changes)
    assert volumes == ()
    assert [(p.code, p.where, p.offset) for p in problems][:1] == [("lvm-metadata-invalid", place[0], GiB + place[1])]


@pytest.mark.parametrize("field", ["offset", "size"])
def test_a_metadata_area_past_the_end_is_reported(field: str) -> None:
    data = pv_bytes(1, vg())
    header = bytearray(data[512:1024])
    at = 32 + 40 + 2 * 16  # behind label, pv_header and the data area: the disk_locn of the metadata area
    at += 8 if field == "size" else 0
    header[at : at + 8] = (2**64 - 1).to_bytes(8, "little")
    header[16:20] = lvm_crc(bytes(header[20:])).to_bytes(4, "little")
    volumes, problems = VOLUME.read([member(KIND, spread(PV_SIZE, (0, patched(data, 512, bytes(header)))))])
    assert volumes == ()
    assert [(p.code, p.where, p.offset) for p in problems][:1] == [
        ("lvm-metadata-invalid", "lvm2 pv_header", GiB + 512 + 32)
    ]


def test_a_label_with_a_wrong_checksum_is_reported() -> None:
    data = patched(pv_bytes(1, vg()), 512 + 300, b"x")
    volumes, problems = VOLUME.read([member(KIND, spread(PV_SIZE, (0, data)))])
    assert volumes == ()
    assert [(p.code, p.where, p.offset) for p in problems] == [("lvm-metadata-invalid", "lvm2 label_header", GiB + 512)]


def test_a_text_over_the_limit_is_not_read() -> None:
    text = vg() + "#" * MiB
    _, problems = read_one(text, mda_size=2 * MiB, size=8 * MiB)
    assert codes(problems) == ["lvm-metadata-invalid"]
    assert "1 MiB are read" in problems[0].message


def test_many_large_texts_are_bounded_together() -> None:
    members = [
        pv_member(number, vg(pvs=(number,), number=100 + number) + "#" * (900 * 1024), mda_size=MiB, size=8 * MiB)
        for number in range(1, 8)
    ]
    problems = VOLUME.read(members)[1]
    assert codes(problems) == ["lvm-metadata-invalid"] * (7 - MAX_ALL_TEXTS // (900 * 1024))


@pytest.mark.parametrize(
    "text",
    [
        "nothing " * 10,
        vg().replace("Text Format Volume Group", "Other"),
        vg().replace("version = 1\n", "version = 2\n"),
        vg() + "second { }",
        vg().replace(f'id = "{uuid(100)}"', "id = 1"),
        vg().replace("seqno = 1", "seqno = -1"),
        vg().replace("seqno = 1", 'seqno = "1"'),
        vg().replace(f"extent_size = {EXTENT // SECTOR}", "extent_size = 0"),
        vg().replace(f"extent_size = {EXTENT // SECTOR}", "extent_size = 99999999999"),
        vg().replace("pe_start = ", "pe_start = -"),
        vg().replace("pe_count = ", "pe_count = 9999999999"),
        vg().replace("physical_volumes {", "physical_volume {"),
        vg(name="-vg"),
        vg(name="a/b"),
        vg(lv(7, "a/b", linear(0, 1))),
        vg("root = 1\n"),
        vg(*(f"lv{index} {{ }}\n" for index in range(MAX_LVS + 1))),
    ],
)
def test_a_group_that_is_wrong_as_such_is_refused(text: str) -> None:
    volumes, problems = read_one(text, mda_size=256 * 1024)
    assert volumes == ()
    assert [(p.code, p.offset) for p in problems] == [("lvm-metadata-invalid", GiB + MDA_START + 512)]


def striped(count: int, columns: Sequence[tuple[str, int]], stripe_size: int = 8) -> str:
    pairs = ", ".join(f'"{name}", {extent}' for name, extent in columns)
    body = f'type = "striped"\nstripe_count = {len(columns)}\nstripe_size = {stripe_size}\nstripes = [{pairs}]'
    return segment(0, count, body)


@pytest.mark.parametrize(
    ("volumes", "size"),
    [
        ([lv(7, "bad", linear(1, 1))], None),
        ([lv(7, "bad", linear(0, 2), linear(1, 1, number=2))], None),
        ([lv(7, "bad", linear(0, 2), linear(3, 1, number=2))], None),
        ([lv(7, "bad", linear(0, 0))], None),
        ([lv(7, "bad", linear(0, 2**32))], None),
        ([lv(7, "bad", linear(0, 2**32 - 1), linear(2**32 - 1, 5, number=2))], None),
        ([lv(7, "bad", linear(0, 1), count=2)], None),
        ([lv(7, "bad", linear(0, 1), count=10**9)], None),
        ([lv(7, "bad", linear(0, 1)).replace(uuid(7), "short")], None),
        ([lv(7, "bad", linear(0, 1).replace("stripe_count = 1", "stripe_count = 2"))], None),
        ([lv(7, "bad", linear(0, 1).replace("stripe_count = 1", "stripe_count = 254"))], None),
        ([lv(7, "bad", linear(0, 1).replace('"pv0", 0', '0, "pv0"'))], None),
        ([lv(7, "bad", linear(0, 1).replace('"striped"', "1"))], None),
        ([lv(7, "bad", striped(3, [("pv0", 0), ("pv0", 4)]))], None),
        ([lv(7, "bad", striped(4, [("pv0", 0), ("pv0", 4)], stripe_size=0))], None),
        ([lv(7, "bad", striped(4, [("pv0", 0), ("pv0", 4)], stripe_size=7))], 4 * EXTENT),
        ([lv(7, "bad", striped(4, [("pv0", 0), ("pv0", 4)], stripe_size=2**20))], 4 * EXTENT),
        ([lv(7, "bad", linear(0, 1, extent=PE_COUNT))], EXTENT),
        ([lv(7, "bad", linear(0, PE_COUNT + 1))], (PE_COUNT + 1) * EXTENT),
        ([lv(7, "bad", linear(0, 1, on="nobody"))], EXTENT),
        ([lv(7, "bad", linear(0, 1, on="bad"))], EXTENT),
        ([lv(7, "bad", linear(0, 1, on="b")), lv(8, "b", linear(0, 1, on="bad"), visible=False)], EXTENT),
        ([lv(7, "bad", linear(0, 2, on="b")), lv(8, "b", linear(0, 1), visible=False)], 2 * EXTENT),
        ([lv(7, "bad", linear(0, 1, on="b")), lv(8, "b", linear(1, 1), visible=False)], EXTENT),
        ([lv(7, "bad", segment(0, 1, 'type = "raid1"\ndevice_count = 2\nraids = ["a"]'))], None),
        ([lv(7, "bad", segment(0, 1, 'type = "raid1"\ndevice_count = 1\nraids = ["bad", "bad"]'))], EXTENT),
        ([lv(7, "bad", segment(0, 1, 'type = "mirror"\nmirror_count = 1\nmirrors = ["bad", 0]'))], EXTENT),
    ],
)
def test_a_volume_that_is_wrong_is_listed_without_bytes(volumes: list[str], size: int | None) -> None:
    good = lv(9, "good", linear(0, 1))
    found, problems = read_one(vg(*volumes, good))
    assert [(v.volume.name, v.volume.size, v.source is None) for v in found] == [
        ("bad", size, True),
        ("good", EXTENT, False),
    ]
    assert [(p.code, p.where, p.offset) for p in problems] == [
        ("lvm-metadata-invalid", "lvm2 metadata", GiB + MDA_START + 512)
    ]
    assert "vg/bad" in problems[0].message


def test_an_extent_past_the_end_of_a_cut_partition_is_reported() -> None:
    text = vg(lv(7, "inside", linear(0, 1)), lv(8, "outside", linear(0, 2, extent=1)))
    found, problems = read_one(text, size=PE_START + 2 * EXTENT)
    assert [volume.source is None for volume in found] == [False, True]
    assert codes(problems) == ["lvm-metadata-invalid"]
    assert str(PE_START + 3 * EXTENT) in problems[0].message


def chain(length: int) -> list[str]:
    """Volumes each on the next, `length` of them above the one that lies on the physical volume."""
    upper = [lv(1000 + n, f"v{n}", linear(0, 1, on=f"v{n + 1}"), visible=n == 0) for n in range(length)]
    return [*upper, lv(999, f"v{length}", linear(0, 1), visible=length == 0)]


def test_volumes_stand_on_each_other_to_the_limit() -> None:
    volumes, problems = read_one(vg(*chain(MAX_STACK - 1)))
    assert problems == ()
    assert volumes[0].source is not None and volumes[0].source.read_at(0, 4) == bytes(4)
    assert volumes[0].volume.on == (1,)
    volumes, problems = read_one(vg(*chain(MAX_STACK)))
    assert volumes[0].source is None
    assert codes(problems) == ["lvm-metadata-invalid"]


def test_thousands_of_volumes_on_each_other_or_in_a_ring_do_no_harm() -> None:
    deep = chain(2000)
    ring = [lv(2000 + n, f"r{n}", linear(0, 1, on=f"r{(n + 1) % 2000}")) for n in range(2000)]
    for text in (vg(*deep), vg(*reversed(deep)), vg(*ring)):
        volumes, problems = read_one(text, mda_size=MiB, size=8 * MiB)
        assert all(volume.source is None for volume in volumes)
        assert 0 < len(problems) <= MAX_TOLD
        assert all(len(problem.message) < 500 for problem in problems)


def test_doubling_volumes_neither_explode_nor_loop() -> None:
    volumes = [
        lv(1000 + n, f"d{n}", *(linear(i, 1, on=f"d{n + 1}", number=i + 1) for i in range(100))) for n in range(6)
    ]
    found, _ = read_one(vg(*volumes, lv(999, "d6", linear(0, 1))), mda_size=256 * 1024)
    assert len(found) == 7


def test_segments_of_zeros_are_zeros_and_of_errors_have_no_bytes() -> None:
    text = vg(
        lv(7, "zero", segment(0, 2, 'type = "zero"')),
        lv(8, "error", segment(0, 2, 'type = "error"')),
        lv(9, "cached", segment(0, 2, 'type = "cache+METADATA_FORMAT"\norigin = "zero"')),
        lv(10, "nothing"),
    )
    volumes, problems = read_one(text)
    assert [volume.source is None for volume in volumes] == [False, True, True, True]
    assert volumes[0].source is not None and volumes[0].source.read_at(EXTENT, 8) == bytes(8)
    assert problems == ()


def test_an_origin_into_which_a_snapshot_is_merged_is_not_read() -> None:
    merging = segment(0, 1, 'type = "snapshot"\nchunk_size = 8\norigin = "root"\nmerging_store = "snap"')
    volumes, problems = read_one(
        vg(
            lv(7, "root", linear(0, 1)),
            lv(8, "snap", linear(0, 1, extent=1), visible=False),
            lv(9, "snapshot0", merging, visible=False),
        )
    )
    assert [(v.volume.name, v.source) for v in volumes] == [("root", None)]
    assert problems == ()


def test_two_volumes_with_one_id_are_reported_and_the_first_used() -> None:
    text = vg(lv(7, "root", linear(0, 1)))
    twin = Member(KIND, 2, 2 * GiB, pv_member(1, text).source)
    volumes, problems = VOLUME.read([pv_member(1, text), twin])
    assert [volume.volume.on for volume in volumes] == [(1,)]
    assert [(p.code, p.offset) for p in problems] == [("lvm-metadata-invalid", 2 * GiB)]


@pytest.mark.parametrize("size", [0, 100, 512, 1024, 1500, 4096, 5000, MDA_START + 700])
def test_a_member_that_is_cut_short_is_reported(size: int) -> None:
    data = pv_bytes(1, vg(lv(7, "root", linear(0, 1))))
    volumes, problems = VOLUME.read([member(KIND, Memory(data[:size]))])
    assert volumes == ()
    assert codes(problems) == ["lvm-metadata-invalid"]


def test_bytes_that_are_not_in_the_file_are_told_as_such() -> None:
    volumes, problems = VOLUME.read([member(KIND, Missing(PV_SIZE, "they are in a backing file"))])
    assert volumes == ()
    assert codes(problems) == ["contents-unreadable"]


@pytest.mark.parametrize(("gap", "where"), [(MDA_START, "lvm2 mda_header"), (MDA_START + 512, "lvm2 metadata")])
def test_a_gap_in_the_file_is_told_at_the_structure_that_lies_in_it(gap: int, where: str) -> None:
    data = pv_bytes(1, vg(lv(7, "root", linear(0, 1))))
    rest = Missing(PV_SIZE - gap, "they are in a backing file")
    source = Extents([Extent(0, gap, Memory(data), 0), Extent(gap, PV_SIZE - gap, rest, 0)])
    volumes, problems = VOLUME.read([member(KIND, source)])
    assert volumes == ()
    assert [(p.code, p.where, p.offset) for p in problems] == [("contents-unreadable", where, GiB + gap)]


@settings(max_examples=150, deadline=None)
@given(st.integers(512, 1024) | st.integers(MDA_START, MDA_START + 2500), st.integers(0, 255))
def test_any_changed_byte_gives_values(offset: int, value: int) -> None:
    text = vg(lv(7, "root", linear(0, 3), striped(4, [("pv0", 3), ("pv1", 9)]).replace("segment1", "segment2")))
    data = patched(pv_bytes(1, text), offset, bytes([value]))
    volumes, problems = VOLUME.read([member(KIND, spread(PV_SIZE, (0, data)))])
    assert isinstance(volumes, tuple) and isinstance(problems, tuple)


TEMPLATE = vg(
    lv(7, "root", linear(0, 3)),
    lv(8, "mirror", segment(0, 1, 'type = "raid1"\ndevice_count = 1\nraids = ["m", "i"]')),
    lv(9, "i", linear(0, 1, extent=9), visible=False),
    lv(10, "stripes", striped(4, [("pv0", 20), ("pv0", 30)])),
)
WORDS = st.sampled_from(
    ["", "0", "-1", "99999999999", '"', "{", "}", "[", "]", '"root"', '"i"', "raid1", "mirror", "="]
)


@settings(max_examples=150, deadline=None)
@given(st.integers(0, len(TEMPLATE)), st.integers(0, 12), WORDS)
def test_any_changed_text_with_a_right_checksum_gives_values(offset: int, size: int, word: str) -> None:
    volumes, problems = read_one(TEMPLATE[:offset] + word + TEMPLATE[offset + size :])
    for volume in volumes:
        if volume.source is not None:
            assert len(volume.source.read_at(0, 16)) == 16
            assert volume.source.size == volume.volume.size
    assert all(problem.message for problem in problems)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=6000))
def test_any_bytes_give_values(data: bytes) -> None:
    VOLUME.read([member(KIND, Memory(data)), member(KIND, Memory(b"LABELONE" + data), 2)])
