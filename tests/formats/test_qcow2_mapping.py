"""The guest's bytes of a qcow2 image, against what QEMU reads from it."""

import os
import random
import zlib
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from preflight.errors import StructureError, UnreachableBytes
from preflight.formats import Container
from preflight.formats.qcow2 import FORMAT
from preflight.source import FileSource, Memory
from preflight.units import KiB, MiB
from tests.formats.qcow2_images import ZERO, image, l2_entry
from tests.tools import run

SIZE = 5 * MiB + 512  # neither whole clusters nor, with the largest ones, more than a few

OPTIONS = [
    *(f"compat={compat},cluster_size={size}" for compat in ("0.10", "1.1") for size in (512, 4096, 65536, 2097152)),
    *(f"extended_l2=on,cluster_size={size}" for size in (16384, 65536, 2097152)),
    *(f"preallocation={how}" for how in ("metadata", "falloc", "full")),
    "extended_l2=on,preallocation=metadata",
    "lazy_refcounts=on",
    *(f"refcount_bits={bits}" for bits in (1, 2, 4, 8, 16, 32, 64)),
    "refcount_bits=1,cluster_size=512",
]


def write_guest(path: Path) -> None:
    """Give the guest stretches of different bytes, zeros, discarded and overwritten clusters."""
    commands = []
    for pattern, start, length in (
        (0x11, 0, 512),
        (0x22, 3 * KiB, 9 * KiB),
        (0x33, 100 * KiB, 300 * KiB),
        (0x44, 2 * MiB - 1536, 3 * KiB),
        (0x55, 3 * MiB, MiB),
        (0x66, SIZE - 1024, 1024),
    ):
        commands += ["-c", f"write -P {pattern} {start} {length}"]
    commands += ["-c", f"write -z {130 * KiB} {70 * KiB}", "-c", f"write -z -u {3 * MiB + 64 * KiB} {128 * KiB}"]
    commands += ["-c", f"discard {3 * MiB + 512 * KiB} {256 * KiB}", "-c", f"write -P 119 {140 * KiB} 512"]
    run("qemu-io", "-f", "qcow2", *commands, path)


def guest_by_qemu(path: Path, tmp_path: Path) -> bytes:
    raw = tmp_path / "guest.raw"
    run("qemu-img", "convert", "-f", "qcow2", "-O", "raw", path, raw)
    return raw.read_bytes()


def open_file(source: FileSource) -> Container:
    assert FORMAT.claims(source) == ("qcow2",)
    return FORMAT.open(source, "qcow2")


def check_guest(path: Path, expected: bytes) -> Container:
    """The whole guest, and pieces of it at odd places, are as expected; nothing is wrong with the image."""
    with FileSource(str(path), max_reads=100_000) as source:  # each compressed cluster is a read of its own
        container = open_file(source)
        assert container.problems == ()
        guest = container.guest
        assert guest is not None
        assert container.virtual_size == guest.size == len(expected)
        assert guest.read_at(0, guest.size) == expected
        pieces = random.Random(1)
        for _ in range(200):
            offset = pieces.randrange(len(expected) + 1)
            size = min(pieces.choice((0, 1, 511, 16384, 200_000)), len(expected) - offset)
            assert guest.read_at(offset, size) == expected[offset : offset + size]
        return container


@pytest.mark.parametrize("options", OPTIONS)
def test_guest_bytes_are_what_qemu_reads(tmp_path: Path, options: str) -> None:
    path = tmp_path / "disk.qcow2"
    run("qemu-img", "create", "-q", "-f", "qcow2", "-o", options, path, str(SIZE))
    check_guest(path, bytes(SIZE))
    write_guest(path)
    expected = guest_by_qemu(path, tmp_path)
    assert expected[3072:3076] == b"\x22" * 4
    check_guest(path, expected)


@pytest.mark.parametrize(
    "options",
    [
        "compat=0.10",
        "compat=0.10,cluster_size=512",
        "cluster_size=2M",
        "compression_type=zstd",
        "compression_type=zstd,cluster_size=4096",
        "compression_type=zstd,cluster_size=2M",
        "extended_l2=on,compression_type=zstd",
        "extended_l2=on,cluster_size=16384",
    ],
)
def test_compressed_guest_bytes_are_what_qemu_reads(tmp_path: Path, options: str) -> None:
    raw, path = tmp_path / "in.raw", tmp_path / "disk.qcow2"
    text = b"".join(b"line %d of a text that compresses well\n" % number for number in range(20_000))
    noise = random.Random(2).randbytes(600_000)
    guest = text + bytes(MiB) + noise + text + bytes(MiB)
    guest = guest.ljust(SIZE, b"\0")
    raw.write_bytes(guest)
    run("qemu-img", "convert", "-c", "-f", "raw", "-O", "qcow2", "-o", options, raw, path)
    container = check_guest(path, guest)
    assert container.format_details["compression_type"] == ("zstd" if "zstd" in options else "zlib")
    write_guest(path)  # some clusters are now standard ones among compressed ones
    check_guest(path, guest_by_qemu(path, tmp_path))


def test_a_grown_image_whose_file_ends_inside_a_cluster_reads_zeros_there(tmp_path: Path) -> None:
    path = tmp_path / "disk.qcow2"
    run("qemu-img", "create", "-q", "-f", "qcow2", "-o", "preallocation=metadata", path, str(MiB + 512))
    run("qemu-img", "resize", "-q", path, str(3 * MiB))
    check_guest(path, bytes(3 * MiB))


def test_a_disk_of_two_tebibytes_costs_no_more_reads_than_a_small_one(tmp_path: Path) -> None:
    costs = []
    for size in ("1G", "2T"):
        path = tmp_path / f"{size}.qcow2"
        run("qemu-img", "create", "-q", "-f", "qcow2", path, size)
        run("qemu-io", "-f", "qcow2", "-c", "write -P 1 0 1M", "-c", "write -P 2 900M 1M", path)
        with FileSource(str(path)) as source:
            guest = open_file(source).guest
            assert guest is not None
            for offset in (0, 65536, 900 * MiB, guest.size - 4096):
                guest.read_at(offset, 4096)
            costs.append((source.reads, source.bytes_read))
    assert costs[1][0] <= costs[0][0]
    assert costs[1][1] <= costs[0][1] + 64 * KiB  # the L1 table


def test_clusters_that_follow_each_other_are_read_at_once(tmp_path: Path) -> None:
    path = tmp_path / "disk.qcow2"
    run("qemu-img", "create", "-q", "-f", "qcow2", path, "16M")
    run("qemu-io", "-f", "qcow2", "-c", "write -P 7 0 8M", path)
    with FileSource(str(path)) as source:
        guest = open_file(source).guest
        assert guest is not None
        before = source.reads
        assert guest.read_at(1000, 8 * MiB - 2000) == b"\7" * (8 * MiB - 2000)
        assert source.reads == before + 2  # a slice of the L2 table, and the data


def test_unallocated_bytes_of_an_overlay_are_in_the_backing_file(tmp_path: Path) -> None:
    base, path = tmp_path / "base.raw", tmp_path / "disk.qcow2"
    base.write_bytes(b"\x99" * MiB)
    run("qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", base, path)
    run("qemu-io", "-f", "qcow2", "-c", "write -P 1 0 64k", "-c", "write -z 64k 64k", path)
    base.unlink()  # it is not needed, and not looked for
    with FileSource(str(path)) as source:
        guest = open_file(source).guest
        assert guest is not None
        assert guest.read_at(0, 131072) == b"\1" * 65536 + bytes(65536)
        with pytest.raises(UnreachableBytes, match=r"backing file .*base\.raw") as caught:
            guest.read_at(100_000, 100_000)
        assert caught.value.offset == 131072


def test_allocated_bytes_of_an_external_data_file_are_there(tmp_path: Path) -> None:
    path = tmp_path / "disk.qcow2"
    run("qemu-img", "create", "-q", "-f", "qcow2", "-o", f"data_file={tmp_path}/disk.data", path, "1M")
    run("qemu-io", "-f", "qcow2", "-c", "write -P 1 0 64k", path)
    (tmp_path / "disk.data").unlink()
    with FileSource(str(path)) as source:
        guest = open_file(source).guest
        assert guest is not None
        assert guest.read_at(65536, 65536) == bytes(65536)
        with pytest.raises(UnreachableBytes, match=r"external data file .*disk\.data"):
            guest.read_at(0, 1)


@pytest.mark.parametrize("method", ["aes", "luks"])
def test_encrypted_bytes_cannot_be_read_but_unallocated_ones_are_zero(tmp_path: Path, method: str) -> None:
    path = tmp_path / "disk.qcow2"
    secret = ("--object", "secret,id=s,data=opensesame")
    options = f"encrypt.format={method},encrypt.key-secret=s"
    if method == "luks":
        options += ",encrypt.iter-time=10"
    where = f"driver=qcow2,file.filename={path},encrypt.key-secret=s"
    for _ in range(5):  # QEMU measures how fast the host hashes, and on a busy one may give up
        run("qemu-img", "create", "-q", *secret, "-f", "qcow2", "-o", options, path, "1M", ok=(0, 1))
        if "wrote" in run("qemu-io", *secret, "--image-opts", "-c", "write -P 1 0 64k", where, ok=(0, 1)):
            break
    with FileSource(str(path)) as source:
        container = open_file(source)
        assert [problem.code for problem in container.problems] == ["qcow2-encrypted"]
        assert container.guest is not None
        assert container.guest.read_at(65536, 65536) == bytes(65536)
        with pytest.raises(UnreachableBytes, match=method):
            container.guest.read_at(0, 1)


def deflated(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


@pytest.mark.parametrize(
    ("stream", "reason"),
    [
        (deflated(b"a" * 65535), "it gives 65535 bytes, a cluster has 65536"),
        (b"\xff" * 512, "decompressing failed"),
        (b"", "it gives 0 bytes|decompressing failed"),
    ],
)
def test_a_compressed_cluster_that_does_not_give_a_cluster_is_refused(stream: bytes, reason: str) -> None:
    start = 5 * 65536
    data = image(l2=[l2_entry(start, compressed=True)], extra=stream.ljust(512, b"\0"))
    guest = FORMAT.open(Memory(data), "qcow2").guest
    assert guest is not None
    with pytest.raises(StructureError, match=reason):
        guest.read_at(0, 1)


def test_a_compression_bomb_gives_one_cluster_and_no_more() -> None:
    bomb = deflated(bytes(64 * MiB))
    sectors = -(-len(bomb) // 512)
    data = image(l2=[l2_entry(5 * 65536, compressed=True, sectors=sectors)], extra=bomb.ljust(sectors * 512, b"\0"))
    guest = FORMAT.open(Memory(data), "qcow2").guest
    assert guest is not None
    assert guest.read_at(0, 65536) == bytes(65536)


def test_the_zero_flag_is_refused_in_version_2() -> None:
    guest = FORMAT.open(Memory(image(version=2, l2=[ZERO])), "qcow2").guest
    assert guest is not None
    with pytest.raises(StructureError, match="reserved bits"):
        guest.read_at(0, 1)
    assert guest.read_at(65536, 1) == b"\0"


@pytest.mark.parametrize("bitmap", [0x1_0000_0001, 0x8000_0000_8000_0000])
def test_a_subcluster_that_is_allocated_and_zero_is_refused(bitmap: int) -> None:
    data = image(incompatible_features=16, l2=[5 * 65536, bitmap], extra=bytes(65536))
    container = FORMAT.open(Memory(data), "qcow2")
    assert [(problem.code, problem.offset) for problem in container.problems] == [("qcow2-mapping-invalid", 4 * 65536)]
    assert container.guest is not None
    with pytest.raises(StructureError, match="subcluster bitmap"):
        container.guest.read_at(0, 1)


@pytest.mark.parametrize("target", [0, 1, 3, 4])
def test_tables_that_lead_into_tables_end_after_one_step(target: int) -> None:
    """Header, refcount table, L1 and L2 table as guest data: nothing is followed further."""
    data = image(l2=[target * 65536 | 1 << 63])
    container = FORMAT.open(Memory(data), "qcow2")
    assert "qcow2-mapping-invalid" in [problem.code for problem in container.problems]
    assert container.guest is not None
    size = container.guest.size
    assert len(container.guest.read_at(0, size)) == size


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_any_tables_give_bytes_or_a_structure_error(data: st.DataObject) -> None:
    extended = data.draw(st.booleans())
    places = st.integers(0, 8).map(lambda number: number * 65536)
    numbers = st.one_of(places, st.integers(0, 2**64 - 1), places.map(lambda place: place | 1 << 62 | 1 << 54))
    content = image(
        incompatible_features=16 if extended else 0,
        l1=[data.draw(st.one_of(st.just(4 * 65536), numbers))],
        l2=data.draw(st.lists(numbers, max_size=8)),
        extra=data.draw(st.binary(max_size=600)),
    )
    container = FORMAT.open(Memory(content), "qcow2")
    if container.guest is not None:
        for offset in range(0, 8 * 65536, 32768):
            with suppress(StructureError):
                assert len(container.guest.read_at(offset, 40_000)) == 40_000


def test_an_image_cut_anywhere_is_told(tmp_path: Path) -> None:
    path = tmp_path / "disk.qcow2"
    run("qemu-img", "create", "-q", "-f", "qcow2", "-o", "cluster_size=4096", path, "1M")
    run("qemu-io", "-f", "qcow2", "-c", f"write -P 1 0 {MiB}", path)
    whole = path.read_bytes()
    for size in [*range(8, len(whole) - 4096, 9973), len(whole) - 4096, len(whole) - 1, len(whole) - 4095]:
        os.truncate(path, size)
        with FileSource(str(path)) as source:
            codes = {problem.code for problem in open_file(source).problems}
        path.write_bytes(whole)
        assert "truncated-file" in codes, size
