"""UDF discs, against mkudffs, genisoimage and blkid."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from preflight.filesystems.iso9660 import FILESYSTEM as ISO9660
from preflight.filesystems.udf import ANCHOR, FILESYSTEM, LOGICAL_VOLUME, PARTITION, PRIMARY
from preflight.units import KiB, MiB
from tests.filesystems.blkid import blkid
from tests.filesystems.pieces import Pieces
from tests.filesystems.reading import agreed, ask, ask_file, stays_within_protocol
from tests.tools import run, sparse

OSTA = b"\0OSTA Compressed Unicode".ljust(64, b"\0")


@pytest.mark.parametrize("block_size", [512, 1024, 2048, 4096])
@pytest.mark.parametrize("label", ["Latin ä", "日本"])
def test_every_block_size_is_read_as_blkid_reads_it(tmp_path: Path, block_size: int, label: str) -> None:
    path = sparse(tmp_path / "disk", 20 * MiB)
    options = ("--utf8", "-b", str(block_size), "-l", label, "--uuid", "0123456789abcdef")
    run("mkudffs", *options, path)
    found = agreed(FILESYSTEM, path)
    assert (found.type, found.uuid, found.label) == ("udf", "0123456789abcdef", label)
    assert found.size is not None
    assert 20 * MiB - 2 * MiB < found.size <= 20 * MiB


@pytest.mark.parametrize(
    ("media", "revision"),
    [("hd", "1.02"), ("dvdram", "2.01"), ("cdrw", "1.50"), ("cdr", "1.50"), ("dvdr", "2.01"), ("bdr", "2.60")],
)
def test_every_medium_and_revision_is_read_as_blkid_reads_it(tmp_path: Path, media: str, revision: str) -> None:
    path = sparse(tmp_path / "disk", 20 * MiB)
    run("mkudffs", "-m", media, "-r", revision, "-l", "medium", path)
    assert agreed(FILESYSTEM, path).label == "medium"


def test_bridge_disc_is_udf_before_iso9660(tmp_path: Path) -> None:
    tree, path = tmp_path / "tree", tmp_path / "disc.iso"
    tree.mkdir()
    (tree / "file").write_text("content")
    run("genisoimage", "-quiet", "-udf", "-J", "-V", "BRIDGE", "-o", path, tree)
    assert agreed(FILESYSTEM, path).label == "BRIDGE"
    other = ask_file(ISO9660, path)
    assert other is not None
    assert other.type in FILESYSTEM.before


def dstring(encoding: int, text: bytes, clen: int | None = None) -> bytes:
    used = len(text) + 1 if clen is None else clen
    return bytes([encoding]) + text.ljust(126, b"\0") + bytes([used])


def tagged(data: bytes, kind: int, sector: int) -> bytes:
    tag = kind.to_bytes(2, "little") + bytes(10) + sector.to_bytes(4, "little")
    return (tag + data[16:]).ljust(512, b"\0")


def disk(
    volume_set: bytes,
    volume: bytes = dstring(8, b"built"),
    *,
    block_size: int = 2048,
    anchor: int = 256,
    character_set: bytes = OSTA,
) -> Pieces:
    sequence = {
        300: tagged(
            PRIMARY.build({"volume_set_identifier": volume_set, "descriptor_character_set": character_set}), 1, 300
        ),
        301: tagged(PARTITION.build({"partition_starting_location": 400, "partition_length": 600}), 5, 301),
        302: tagged(
            LOGICAL_VOLUME.build({"descriptor_character_set": character_set, "logical_volume_identifier": volume}),
            6,
            302,
        ),
        303: tagged(bytes(512), 8, 303),
    }
    size = max(2048, block_size)
    structures = {32 * KiB + size * at: b"\0" + name + b"\1" for at, name in enumerate((b"BEA01", b"NSR03", b"TEA01"))}
    values = {"tag_identifier": 2, "tag_location": anchor, "main_length": 16 * block_size, "main_location": 300}
    pieces = {sector * block_size: data for sector, data in sequence.items()}
    return Pieces(6 * MiB, {**structures, anchor * block_size: bytes(ANCHOR.build(values)).ljust(512, b"\0"), **pieces})


@pytest.mark.parametrize(
    ("volume_set", "uuid"),
    [
        (dstring(8, b"0123456789ABCDEFrest"), "0123456789abcdef"),
        (dstring(8, b"0123ABCDxyz!rest and more"), "0123abcd78797a21"),
        (dstring(8, b"0123ABCD"), "0123abcd00000000"),
        (dstring(8, b"My Volume Set"), "4d7920566f6c756d"),
        (dstring(8, b"Gr\xfc\xdfe aus"), "4772c3bcc39f6520"),
        (dstring(16, "日本語の円盤".encode("utf-16-be")), "e697a5e69cace8aa"),
        (dstring(8, b"seven 7"), None),
        (dstring(8, b""), None),
        (dstring(254, b"0123456789ABCDEF"), None),
        (dstring(8, b"0123456789ABCDEF", clen=255), "0123456789abcdef"),
        (dstring(8, b"0123456789ABCDEF", clen=0), None),
    ],
)
def test_uuid_is_made_of_the_volume_set_identifier(tmp_path: Path, volume_set: bytes, uuid: str | None) -> None:
    found = agreed(FILESYSTEM, disk(volume_set).write(tmp_path / "disk"))
    assert (found.uuid, found.label, found.size) == (uuid, "built", 1000 * 2048)


@pytest.mark.parametrize(
    "volume", [dstring(8, b"trailing  "), dstring(16, "Ω 🙂".encode("utf-16-be")), dstring(9, b"no"), dstring(8, b"")]
)
def test_label_is_the_logical_volume_identifier(tmp_path: Path, volume: bytes) -> None:
    agreed(FILESYSTEM, disk(dstring(8, b"0123456789ABCDEF"), volume).write(tmp_path / "disk"))


@pytest.mark.parametrize("block_size", [512, 1024, 2048, 4096])
@pytest.mark.parametrize("anchor", [256, 512])
def test_either_anchor_is_found_at_every_block_size(block_size: int, anchor: int) -> None:
    found = ask(FILESYSTEM, disk(dstring(8, b"0123456789ABCDEF"), block_size=block_size, anchor=anchor))
    assert found is not None
    assert (found.uuid, found.label) == ("0123456789abcdef", "built")


def test_text_in_another_character_set_is_not_shown(tmp_path: Path) -> None:
    other = disk(dstring(8, b"0123456789ABCDEF"), character_set=b"\0Latin".ljust(64, b"\0"))
    found = agreed(FILESYSTEM, other.write(tmp_path / "disk"))
    assert (found.uuid, found.label) == (None, None)


def test_disc_without_an_anchor_is_none(tmp_path: Path) -> None:
    lost = disk(dstring(8, b"0123456789ABCDEF"))
    del lost.pieces[256 * 2048]
    assert ask(FILESYSTEM, lost) is None
    assert blkid(lost.write(tmp_path / "disk")) == {}


def test_endless_sequence_ends() -> None:
    endless = disk(dstring(8, b"0123456789ABCDEF"))
    values = {"tag_identifier": 2, "tag_location": 256, "main_length": 0xFFFFFFFF, "main_location": 300}
    endless.pieces[256 * 2048] = ANCHOR.build(values)
    for sector in range(300, 600):
        endless.pieces[sector * 2048] = tagged(bytes(512), 7, sector)
    endless.pieces[599 * 2048] = tagged(
        PRIMARY.build({"volume_set_identifier": dstring(8, b"x" * 16), "descriptor_character_set": OSTA}), 1, 599
    )
    found = ask(FILESYSTEM, endless)
    assert found is not None
    assert found.uuid is None


def test_endless_recognition_sequence_ends() -> None:
    structures = {32 * KiB + 2048 * at: b"\0BEA01\1" for at in range(200)}
    assert ask(FILESYSTEM, Pieces(1 * MiB, structures)) is None


@settings(max_examples=200, deadline=None)
@given(at=st.integers(0, 511), value=st.integers(0, 255), sector=st.sampled_from([256, 300, 301, 302]))
def test_any_changed_byte_stays_within_the_protocol(at: int, value: int, sector: int) -> None:
    damaged = disk(dstring(8, b"0123456789ABCDEF")).damaged(sector * 2048, at, value)
    stays_within_protocol(FILESYSTEM, damaged.read_at(0, 700 * KiB))


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=512))
def test_any_bytes_stay_within_the_protocol(data: bytes) -> None:
    stays_within_protocol(FILESYSTEM, data)
    stays_within_protocol(FILESYSTEM, bytes(32 * KiB) + b"\0NSR02\1" + data)
    hostile = disk(data[:128].ljust(128, b"\0"))
    hostile.pieces[256 * 2048] = b"\2".ljust(12, b"\0") + b"\0\1\0\0" + data
    stays_within_protocol(FILESYSTEM, hostile.read_at(0, 700 * KiB))
