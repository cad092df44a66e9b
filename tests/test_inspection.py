"""The walk from a path to an `Image`, on whole disks."""

import os
import struct
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from preflight import inspection
from preflight.errors import UnreadableImage
from preflight.facts import Image, PartitionTable, Unknown
from preflight.filesystems import index as superblocks
from preflight.formats import index as formats
from preflight.guest_files import MAX_LISTING_READS, Disk, GuestFiles
from preflight.inspection import MAX_PROBED, inspect
from preflight.source import Buffered, FileSource
from preflight.units import GiB, KiB, MiB, TiB
from tests import disks
from tests.documents import read_back
from tests.formats import qcow2_images
from tests.tables.disks import boot_record, record
from tests.tools import run, sparse
from tests.volumes.test_lvm2 import linear, lv, pv_bytes, vg
from tests.volumes.test_md import superblock_1

ROOT_UUID = "30628ac6-3d56-45e6-b857-fc81683c6f7d"


def seen(path: Path) -> Image:
    """What an inspection finds, having asserted that it survives JSON."""
    image = inspect(str(path))
    assert read_back(image) == image
    return image


def codes(image: Image) -> list[str]:
    return [problem.code for problem in image.problems]


def kinds(image: Image) -> dict[str, str]:
    return {filesystem.on: filesystem.type for filesystem in image.filesystems}


def written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("disks")


@pytest.fixture(scope="module")
def system(folder: Path) -> Path:
    return disks.system(folder)


# real disks, end to end


@pytest.fixture(scope="module", params=["raw", "qcow2", "vpc fixed", "vpc dynamic", "qcow2 compressed", "qcow2 v2"])
def same_disk(request: pytest.FixtureRequest, system: Path) -> Path:
    """The system disk in each format that is read."""
    driver, _, kind = request.param.partition(" ")
    options = {
        "fixed": ("-o", "subformat=fixed,force_size=on"),
        "dynamic": ("-o", "subformat=dynamic,force_size=on"),
        "compressed": ("-c",),
        "v2": ("-o", "compat=0.10"),
    }.get(kind, ())
    if driver == "raw":
        return system
    ending = {"qcow2": "qcow2", "vpc": "vhd"}[driver]
    return disks.converted(system, system.with_name(f"system-{kind}.{ending}"), driver, *options)


def test_the_same_disk_is_seen_through_every_format(same_disk: Path, system: Path) -> None:
    image = seen(same_disk)
    raw = seen(system)
    assert image.format == {".raw": "raw", ".qcow2": "qcow2", ".vhd": "vhd"}[same_disk.suffix]
    assert image.path == str(same_disk)
    assert image.file_size == same_disk.stat().st_size
    assert image.allocated_size == same_disk.stat().st_blocks * 512
    assert image.extension_matches is True
    assert image.virtual_size == 256 * MiB
    assert image.problems == ()
    assert image.partition_table == raw.partition_table
    assert image.partitions == raw.partitions
    assert image.filesystems == raw.filesystems


def test_a_gpt_disk_has_the_partitions_and_file_systems_that_were_made(system: Path) -> None:
    image = seen(system)
    assert image.partition_table is not None
    assert (image.partition_table.type, image.partition_table.disk_id) == (
        "gpt",
        "69e9b183-5f8d-bd41-b514-0dd7fadea46c",
    )
    assert [(one.number, one.start, one.type_name, one.name) for one in image.partitions] == [
        (1, 1 * MiB, "BIOS boot", None),
        (2, 2 * MiB, "EFI System", "EFI System"),
        (3, 66 * MiB, "Linux filesystem", "root"),
    ]
    assert [(one.on, one.type, one.uuid, one.label, one.size) for one in image.filesystems] == [
        ("partition 2", "vfat", "CDE1-1539", "ESP", 64 * MiB),
        ("partition 3", "ext4", ROOT_UUID, "root", 128 * MiB),
    ]


def test_few_reads_are_taken(system: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[FileSource] = []
    real = FileSource.__init__

    def remembering(self: FileSource, path: str, **budget: int) -> None:
        real(self, path, **budget)
        opened.append(self)

    monkeypatch.setattr(FileSource, "__init__", remembering)
    inspect(str(system), guest=False)
    assert len(opened) == 1
    assert opened[0].reads <= 64
    assert opened[0].bytes_read <= 1 * MiB


def test_an_mbr_disk_with_logical_partitions_is_walked(folder: Path) -> None:
    contents = {1: disks.ext4(folder / "boot", 8 * MiB, "boot"), 6: disks.swap(folder / "swap", 4 * MiB)}
    script = (
        "label: dos\nlabel-id: 0x89552d98\nsize=8M, type=83, bootable\ntype=5\nsize=4M, type=83\nsize=4M, type=82\n"
    )
    image = seen(disks.partitioned(folder / "mbr.img", 32 * MiB, script, contents))
    assert image.partition_table is not None
    assert (image.partition_table.type, image.partition_table.disk_id) == ("mbr", "0x89552d98")
    assert [(one.number, one.type, one.bootable) for one in image.partitions] == [
        (1, "0x83", True),
        (2, "0x05", False),
        (5, "0x83", False),
        (6, "0x82", False),
    ]
    assert kinds(image) == {"partition 1": "ext4", "partition 6": "swap"}
    assert image.extension_matches is None
    assert image.problems == ()


@pytest.mark.parametrize("kind", ["ext4", "vfat", "swap"])
def test_a_file_system_on_the_whole_disk_is_found(tmp_path: Path, kind: str) -> None:
    image = seen({"ext4": disks.ext4, "vfat": disks.vfat, "swap": disks.swap}[kind](tmp_path / "disk", 64 * MiB))
    assert image.partition_table is not None
    assert image.partition_table.type == "none"
    assert image.partitions == ()
    assert kinds(image) == {"disk": kind}
    assert image.filesystems[0].size == 64 * MiB
    assert image.problems == ()


def test_a_file_system_behind_a_table_without_partitions_is_found(tmp_path: Path) -> None:
    path = disks.ext4(tmp_path / "disk", 64 * MiB)
    with path.open("r+b") as file:
        file.seek(510)
        file.write(b"\x55\xaa")
    image = seen(path)
    probed = dict(line.split("=", 1) for line in run("blkid", "-p", "-o", "export", path).splitlines())
    assert (probed["PTTYPE"], probed["TYPE"]) == ("dos", "ext4")
    assert image.partition_table is not None
    assert (image.partition_table.type, image.partitions) == ("mbr", ())
    assert kinds(image) == {"disk": "ext4"}
    assert image.problems == ()


def test_a_blank_disk_has_nothing_and_no_guest(tmp_path: Path) -> None:
    image = seen(sparse(tmp_path / "blank.raw", 10 * MiB))
    assert (image.format, image.guest, image.partitions, image.filesystems) == ("raw", None, (), ())
    assert image.partition_table is not None
    assert image.partition_table.type == "none"
    assert image.problems == ()


def test_a_blank_qcow2_has_no_guest(tmp_path: Path) -> None:
    run("qemu-img", "create", "-q", "-f", "qcow2", tmp_path / "blank.qcow2", "1G")
    assert seen(tmp_path / "blank.qcow2").guest is None


def test_a_guest_that_is_not_asked_for_is_unknown_for_that_reason(system: Path) -> None:
    assert inspect(str(system), guest=False).guest == Unknown("not asked for")


def iso(folder: Path) -> Path:
    (folder / "files").mkdir()
    (folder / "files" / "a").write_text("a")
    run("xorriso", "-as", "mkisofs", "-quiet", "-V", "DISC", "-o", folder / "disc.iso", folder / "files")
    return folder / "disc.iso"


def test_an_optical_disc_is_a_file_system_on_the_whole_disk(tmp_path: Path) -> None:
    image = seen(iso(tmp_path))
    assert (image.format, image.extension_matches) == ("iso9660", True)
    assert [(one.on, one.type, one.label) for one in image.filesystems] == [("disk", "iso9660", "DISC")]


def test_a_hybrid_disc_shows_its_file_system_and_its_partitions(tmp_path: Path) -> None:
    disc = iso(tmp_path)
    sectors = disc.stat().st_size // 512
    image = seen(disks.put(disc, 0, boot_record(record(0x80, 0x17, 0, sectors))))
    assert image.format == "iso9660"
    assert kinds(image)["disk"] == "iso9660"
    assert [(one.number, one.type, one.size) for one in image.partitions] == [(1, "0x17", sectors * 512)]


# volumes


def test_a_volume_on_a_mirror_holds_a_file_system(tmp_path: Path) -> None:
    """ext4 on LVM on md RAID1 on a partition."""
    root = disks.ext4(tmp_path / "root", 2 * MiB)
    mirror_at, data_offset, extents_at = 1 * MiB, 1 * MiB, 1 * MiB
    disk = disks.partitioned(tmp_path / "disk.raw", 64 * MiB, "label: gpt\nstart=2048, size=40M, type=R\n")
    disks.put(disk, mirror_at + 4096, superblock_1("1.2"))
    group = vg(lv(7, "root", linear(0, 40)))
    disks.put(disk, mirror_at + data_offset, pv_bytes(1, group))
    disks.put(disk, mirror_at + data_offset + extents_at, root)
    image = seen(disk)
    assert kinds(image) == {
        "partition 1": "linux_raid_member",
        "volume host:data": "LVM2_member",
        "volume vg/root": "ext4",
    }
    assert [(one.kind, one.group, one.name, one.on) for one in image.volumes] == [
        ("md", None, "host:data", (1,)),
        ("lvm", "vg", "root", (1,)),
    ]
    assert image.filesystems[2].uuid == ROOT_UUID
    assert image.problems == ()


def encrypted(path: Path, *options: str) -> None:
    """Make the file a LUKS container, with the least work for its key."""
    options = ("--type", "luks1", "--pbkdf-force-iterations", "1000", "--key-file", "-", *options)
    run("cryptsetup", "luksFormat", "--batch-mode", *options, path, stdin="key")


def test_encryption_on_a_volume_is_listed_and_ends_the_walk(tmp_path: Path) -> None:
    """LUKS on LVM on a partition."""
    secret = sparse(tmp_path / "secret", 2 * MiB)
    encrypted(secret, "--uuid", ROOT_UUID)
    disk = disks.partitioned(tmp_path / "disk.raw", 16 * MiB, "label: gpt\nstart=2048, size=8M, type=V\n")
    disks.put(disk, 1 * MiB, pv_bytes(1, vg(lv(7, "secret", linear(0, 40)))))
    disks.put(disk, 2 * MiB, secret)
    image = seen(disk)
    assert kinds(image) == {"partition 1": "LVM2_member", "volume vg/secret": "crypto_LUKS"}
    assert [(one.kind, one.on) for one in image.volumes] == [("lvm", (1,)), ("luks", (1,))]
    assert image.volumes[1].uuid == ROOT_UUID
    assert isinstance(image.guest, Unknown)


def test_a_disk_that_is_encrypted_as_a_whole_is_named_so(tmp_path: Path) -> None:
    secret = sparse(tmp_path / "disk.luks", 4 * MiB)
    encrypted(secret)
    image = seen(secret)
    assert (image.format, kinds(image)) == ("luks", {"disk": "crypto_LUKS"})
    assert [(one.kind, one.on) for one in image.volumes] == [("luks", ())]


# what contradicts itself


def fixed_vhd(path: Path, raw: Path) -> Path:
    return disks.converted(raw, path, "vpc", "-o", "subformat=fixed,force_size=on")


def footer(folder: Path) -> bytes:
    """The footer of a real fixed VHD of 4 MiB."""
    return fixed_vhd(folder / "footer.vhd", sparse(folder / "footer.raw", 4 * MiB)).read_bytes()[-512:]


def test_a_fixed_vhd_of_a_disk_with_an_mbr_is_no_conflict(tmp_path: Path) -> None:
    raw = disks.partitioned(tmp_path / "disk.raw", 8 * MiB, "label: dos\nsize=2M, type=83\n")
    image = seen(fixed_vhd(tmp_path / "disk.vhd", raw))
    assert (image.format, image.subformat, image.problems) == ("vhd", "fixed", ())
    assert len(image.partitions) == 1


def test_a_fixed_vhd_of_an_encrypted_disk_is_no_conflict(tmp_path: Path) -> None:
    secret = sparse(tmp_path / "disk.luks", 4 * MiB)
    encrypted(secret)
    image = seen(fixed_vhd(tmp_path / "disk.vhd", secret))
    assert (image.format, image.subformat, image.problems) == ("vhd", "fixed", ())
    assert image.virtual_size == 4 * MiB
    assert kinds(image) == {"disk": "crypto_LUKS"}


def test_a_qcow2_with_a_vhd_footer_is_a_conflict_and_is_not_read(system: Path, tmp_path: Path) -> None:
    path = disks.converted(system, tmp_path / "both.qcow2", "qcow2")
    with path.open("ab") as file:
        file.write(footer(tmp_path))
    image = seen(path)
    assert image.format == "qcow2"
    assert codes(image) == ["conflicting-formats"]
    assert image.problems[0].message == "it shows the signatures of qcow2 and vhd"
    assert (image.partition_table, image.partitions, image.filesystems) == (None, (), ())
    assert isinstance(image.guest, Unknown)


def test_a_qcow2_whose_first_sector_is_a_boot_sector_is_a_conflict(tmp_path: Path) -> None:
    data = bytearray(qcow2_images.image())
    data[510:512] = b"\x55\xaa"
    image = seen(written(tmp_path / "both.qcow2", bytes(data)))
    assert image.format == "qcow2"
    assert "conflicting-formats" in codes(image)
    assert image.partition_table is None


def test_a_disc_with_a_vhd_footer_is_a_conflict(tmp_path: Path) -> None:
    disc = iso(tmp_path)
    with disc.open("ab") as file:
        file.write(footer(tmp_path))
    image = seen(disc)
    assert image.format == "iso9660"
    assert codes(image)[0] == "conflicting-formats"
    assert image.partition_table is None


def test_two_superblocks_in_one_place_are_both_listed_and_told(tmp_path: Path) -> None:
    disk = disks.ext4(tmp_path / "disk", 320 * MiB)
    other = sparse(tmp_path / "other", 320 * MiB)
    run("mkfs.xfs", "-q", other)
    with other.open("rb") as file:
        disks.put(disk, 0, file.read(512))  # XFS in sector 0, ext4 in sectors 2 and 3
    image = seen(disk)
    assert sorted(one.type for one in image.filesystems) == ["ext4", "xfs"]
    (problem,) = image.problems
    assert (problem.code, problem.where) == ("filesystem-ambiguous", "disk")
    assert isinstance(image.guest, Unknown)


# what is cut, foreign or hostile


@pytest.mark.parametrize("size", [40, 100, 104, 512])
def test_a_truncated_qcow2_is_not_raw(tmp_path: Path, size: int) -> None:
    image = seen(written(tmp_path / "cut.qcow2", qcow2_images.image()[:size]))
    assert image.format == "qcow2"
    assert image.problems
    assert isinstance(image.guest, Unknown)


def test_a_truncated_dynamic_vhd_is_not_raw(system: Path, tmp_path: Path) -> None:
    whole = disks.converted(system, tmp_path / "whole.vhd", "vpc")
    image = seen(written(tmp_path / "cut.vhd", whole.read_bytes()[: 64 * KiB]))
    assert image.format == "vhd"
    assert "vhd-footer-missing" in codes(image)


def test_a_truncated_raw_disk_has_partitions_past_its_end(system: Path, tmp_path: Path) -> None:
    path = tmp_path / "cut.raw"
    with system.open("rb") as file:
        path.write_bytes(file.read(40 * MiB))
    image = seen(path)
    assert "partition-past-end" in codes(image)
    assert [one.number for one in image.partitions] == [1, 2, 3]
    assert kinds(image) == {"partition 2": "vfat"}


def test_a_backing_file_leaves_the_layout_and_the_guest_unknown(system: Path, tmp_path: Path) -> None:
    base = disks.converted(system, tmp_path / "base.qcow2", "qcow2")
    run("qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", base, tmp_path / "top.qcow2")
    image = seen(tmp_path / "top.qcow2")
    assert "qcow2-backing-file" in codes(image)
    assert image.partition_table is None
    assert isinstance(image.guest, Unknown)
    assert image.format_details["backing_file"] == str(base)


def test_a_backing_file_that_an_image_names_is_never_looked_at(tmp_path: Path) -> None:
    run("qemu-img", "create", "-q", "-f", "qcow2", "-u", "-F", "raw", "-b", "/dev/zero", tmp_path / "top.qcow2", "1G")
    before = os.stat("/dev/zero").st_atime_ns
    image = seen(tmp_path / "top.qcow2")
    assert image.format_details["backing_file"] == "/dev/zero"
    assert os.stat("/dev/zero").st_atime_ns == before


def test_a_file_system_larger_than_its_partition_is_told(tmp_path: Path) -> None:
    root = disks.ext4(tmp_path / "root", 32 * MiB)
    disk = disks.partitioned(tmp_path / "disk.raw", 64 * MiB, "label: gpt\nsize=16M, type=L\n", {1: root})
    image = seen(disk)
    (problem,) = image.problems
    assert (problem.code, problem.where, problem.offset) == ("filesystem-past-end", "partition 1", 1 * MiB)
    assert problem.message == "ext4 covers 32 MiB (33554432 bytes), the place has 16 MiB (16777216 bytes)"


def test_problems_of_a_superblock_have_their_place_on_the_disk(tmp_path: Path) -> None:
    root = disks.ext4(tmp_path / "root", 16 * MiB)
    with root.open("r+b") as file:
        file.seek(1024 + 0x18)
        file.write(struct.pack("<I", 40))  # s_log_block_size
    disk = disks.partitioned(tmp_path / "disk.raw", 64 * MiB, "label: gpt\nsize=16M, type=L\n", {1: root})
    for problem in seen(disk).problems:
        assert problem.where.endswith(" of partition 1")
        assert problem.offset is not None
        assert problem.offset >= 1 * MiB


def test_more_partitions_than_are_looked_into_are_listed_and_the_rest_told(tmp_path: Path) -> None:
    count = MAX_PROBED + 44
    path = sparse(tmp_path / "many.raw", 1 * GiB)
    script = "label: gpt\ntable-length: 512\n" + "".join(
        f"start={2048 * (n + 1)}, size=2048, type=L\n" for n in range(count)
    )
    run("sfdisk", "--quiet", "--no-tell-kernel", path, stdin=script)
    started = time.monotonic()
    image = seen(path)
    assert time.monotonic() - started < 2
    assert len(image.partitions) == count
    assert codes(image) == ["budget-exhausted"]
    assert isinstance(image.guest, Unknown)


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("photo.jpg", b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00", "JPEG image data"),
        ("paper.pdf", b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n\0", "PDF document"),
        ("tool", b"\x7fELF\x02\x01\x01" + bytes(9) + struct.pack("<HHI", 2, 62, 1), "ELF 64-bit"),
    ],
)
def test_what_is_no_disk_is_named_by_libmagic(tmp_path: Path, name: str, data: bytes, words: str) -> None:
    image = seen(written(tmp_path / name, data.ljust(64 * KiB, b"\0")))
    assert image.format == "raw"
    assert image.format_details["content"].startswith(words)


def test_a_text_file_is_named_as_such(tmp_path: Path) -> None:
    image = seen(written(tmp_path / "notes.raw", b"hello\nworld\n"))
    assert (image.format, codes(image), image.extension_matches) == ("text", ["text-file"], False)


def test_an_empty_file_is_named_as_such(tmp_path: Path) -> None:
    image = seen(written(tmp_path / "nothing.raw", b""))
    assert (image.format, image.file_size, image.partition_table) == ("empty", 0, None)


def test_a_format_that_is_not_read_further_says_so_of_its_guest(tmp_path: Path) -> None:
    run("qemu-img", "create", "-q", "-f", "vmdk", tmp_path / "disk.vmdk", "1G")
    image = seen(tmp_path / "disk.vmdk")
    assert (image.format, image.virtual_size, image.partition_table) == ("vmdk", 1 * GiB, None)
    assert image.guest == Unknown("preflight does not look into vmdk")


def test_a_sparse_disk_of_ten_tebibytes_takes_no_time(tmp_path: Path) -> None:
    path = sparse(tmp_path / "huge.raw", 10 * TiB)
    run("sgdisk", "-n", "1:0:0", path)
    started = time.monotonic()
    image = seen(path)
    assert time.monotonic() - started < 2
    assert image.virtual_size == 10 * TiB
    assert image.partitions[0].start == 1 * MiB


# names


@pytest.mark.parametrize(
    ("name", "matches"),
    [
        ("disk.qcow2", True),
        ("DISK.QCOW2", True),
        ("disk.raw", False),
        ("disk.vhd", False),
        ("disk.qcow2.gz", False),
        ("disk.img", None),
        ("disk", None),
        ("qcow2", None),
        (".qcow2", None),
        ("disk.", None),
    ],
)
def test_the_ending_of_the_name_is_compared_with_the_content(tmp_path: Path, name: str, matches: bool | None) -> None:
    assert seen(written(tmp_path / name, qcow2_images.image())).extension_matches is matches


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (b"new\nline.raw", "new\nline.raw"),
        (b"latin-\xe9.raw", "latin-\\xe9.raw"),
        ("größe.raw".encode(), "größe.raw"),
        (b"-", "-"),
        (b"--help", "--help"),
    ],
)
def test_any_name_that_a_file_can_have_is_inspected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: bytes, shown: str
) -> None:
    monkeypatch.chdir(tmp_path)
    sparse(tmp_path / os.fsdecode(name), 1 * MiB)
    image = inspect(os.fsdecode(name))
    assert image.path == shown
    assert read_back(image) == image


# the host


def test_an_unreadable_path_is_the_one_error(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none", Path("/dev/null")):
        with pytest.raises(UnreadableImage):
            inspect(str(path))


class Host:
    """Stands between a FileSource and the host, and does as it is told."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.bad = range(0)
        self.real = os.pread
        monkeypatch.setattr(os, "pread", self.pread)

    def pread(self, descriptor: int, size: int, offset: int) -> bytes:
        if offset < self.bad.stop and self.bad.start < offset + size:
            raise OSError(5, "Input/output error")
        return self.real(descriptor, size, offset)


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Host:
    return Host(monkeypatch)


def test_a_file_whose_first_bytes_cannot_be_read_is_unreadable(system: Path, host: Host) -> None:
    host.bad = range(512)
    with pytest.raises(UnreadableImage, match=r"^cannot be read: the file at byte 0x0: reading failed: Input/output"):
        inspect(str(system))


def test_a_partition_that_the_host_cannot_read_is_told_and_leaves_the_guest_unknown(tmp_path: Path, host: Host) -> None:
    disk = disks.partitioned(tmp_path / "disk.raw", 64 * MiB, "label: gpt\nsize=16M, type=L\nsize=16M, type=L\n")
    host.bad = range(17 * MiB, 33 * MiB)
    image = seen(disk)
    assert [(problem.code, problem.where) for problem in image.problems] == [("read-error", "partition 2")]
    assert isinstance(image.guest, Unknown)


def test_a_table_that_the_host_cannot_read_is_told(tmp_path: Path, host: Host) -> None:
    disk = disks.partitioned(tmp_path / "disk.raw", 64 * MiB, "label: gpt\nsize=16M, type=L\n")
    host.bad = range(512, 1024)
    image = seen(disk)
    assert [(problem.code, problem.offset) for problem in image.problems] == [("partition-table-unreadable", 512)]
    assert image.partition_table is not None  # by the backup
    assert len(image.partitions) == 1
    assert isinstance(image.guest, Unknown)


def test_a_file_that_is_written_to_meanwhile_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = sparse(tmp_path / "disk.raw", 1 * MiB)
    real = os.pread

    def writing(descriptor: int, size: int, offset: int) -> bytes:
        os.utime(path, ns=(1, 1))
        return real(descriptor, size, offset)

    monkeypatch.setattr(os, "pread", writing)
    assert codes(seen(path)) == ["changed-while-read"]


def test_a_file_that_shrinks_meanwhile_is_told(system: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = disks.put(sparse(tmp_path / "disk.raw", 256 * MiB), 0, system)
    real = os.pread

    def shrinking(descriptor: int, size: int, offset: int) -> bytes:
        if 66 * MiB <= offset < 128 * MiB:  # after the footer was looked for
            os.truncate(path, 66 * MiB)
        return real(descriptor, size, offset)

    monkeypatch.setattr(os, "pread", shrinking)
    found = codes(seen(path))
    assert "changed-while-read" in found
    assert "read-error" in found


# any bytes


def magics() -> Iterator[tuple[int, bytes]]:
    """Every magic of every table, with its offset; negative from the end."""
    for offset, magic, _ in formats._MAGICS:
        yield offset, magic
    for back, magic, _ in formats._TAIL_MAGICS:
        yield -back, magic
    for place in superblocks.PLACES:
        for magic in place.magics:
            if place.offset < 512 * KiB:
                yield place.offset, magic
    yield 510, b"\x55\xaa"
    yield 512, b"EFI PART"
    yield 4096, b"EFI PART"
    yield -512, b"EFI PART"
    yield 32769, b"CD001"


MAGICS = sorted(set(magics()))
SIZES = [0, 1, 511, 512, 513, 1024, 4096, 33 * KiB, 70 * KiB, 300 * KiB]


@given(
    size=st.sampled_from(SIZES),
    planted=st.lists(st.sampled_from(MAGICS), max_size=3),
    pieces=st.lists(st.tuples(st.integers(0, 300 * KiB), st.binary(max_size=200)), max_size=4),
    filler=st.sampled_from([b"\0", b"\xff", b"A", b"\x80"]),
)
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_give_an_image_in_time(
    tmp_path: Path, size: int, planted: list[tuple[int, bytes]], pieces: list[tuple[int, bytes]], filler: bytes
) -> None:
    data = bytearray(filler * size)
    # Bytes around a magic are where the fields are that its reader will trust.
    for offset, piece in [
        *pieces,
        *((offset + len(magic), piece) for (offset, magic), (_, piece) in zip(planted, pieces, strict=False)),
    ]:
        at = offset if offset >= 0 else size + offset
        data[at : at + len(piece)] = piece
    for offset, magic in planted:
        at = offset if offset >= 0 else max(size + offset, 0)
        data[at : at + len(magic)] = magic
    image_in_time(written(tmp_path / "any", bytes(data)))


def image_in_time(path: Path) -> Image:
    started = time.monotonic()
    image = seen(path)
    assert time.monotonic() - started < 2
    for problem in image.problems:
        assert problem.message and problem.where
        assert problem.offset is None or problem.offset >= 0
    return image


@pytest.mark.parametrize("filler", [b"\0", b"\xff"])
def test_each_magic_alone_gives_an_image(tmp_path: Path, filler: bytes) -> None:
    for offset, magic in MAGICS:
        data = bytearray(filler * (300 * KiB))
        at = offset if offset >= 0 else len(data) + offset
        data[at : at + len(magic)] = magic
        image_in_time(written(tmp_path / "any", bytes(data)))


# several images


def test_several_images_come_in_their_order_with_those_that_cannot_be_read(tmp_path: Path) -> None:
    paths = []
    for number in range(7):
        path = tmp_path / f"{number}.raw"
        if number == 2:
            path.mkdir()
        elif number != 5:
            disks.ext4(path, 4 * MiB + number * MiB)
        paths.append(str(path))
    outcomes = list(inspection.inspect_all(paths))
    assert [type(outcome) for outcome in outcomes] == [
        UnreadableImage if number in (2, 5) else Image for number in range(7)
    ]
    assert [outcome for outcome in outcomes if isinstance(outcome, Image)] == [
        inspect(path) for number, path in enumerate(paths) if number not in (2, 5)
    ]


def test_who_takes_no_more_images_leaves_no_child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[int] = []
    fork = os.fork

    def counted() -> int:
        begun.append(fork())
        return begun[-1]

    monkeypatch.setattr(os, "fork", counted)
    disks.ext4(tmp_path / "disk.raw", 4 * MiB)
    images = inspection.inspect_all([str(tmp_path / "disk.raw")] * 9)
    next(images)
    images.close()  # type: ignore[attr-defined]
    assert begun
    for child in begun:
        with pytest.raises(ProcessLookupError):
            os.kill(child, 0)


# damage behind a sound superblock


def test_a_btrfs_whose_trees_are_damaged_is_told(tmp_path: Path) -> None:
    disk = sparse(tmp_path / "disk", 128 * MiB)
    run("mkfs.btrfs", "-q", "-f", disk)
    data = disk.read_bytes()
    fsid = data[64 * KiB + 32 : 64 * KiB + 48]
    for start in range(MiB, len(data), 4 * KiB):
        node = data[start : start + 4 * KiB]
        if node[32:48] == fsid and int.from_bytes(node[88:96], "little") == 1:  # a header of the root tree, each copy
            disks.put(disk, start + 101, bytes(byte ^ 0xFF for byte in node[101:109]))
    (problem,) = seen(disk).problems
    assert (problem.code, problem.where) == ("filesystem-damaged", "file system of disk")
    assert "btrfs node at byte" in problem.message


def test_a_btrfs_that_linux_would_not_mount_is_told(tmp_path: Path) -> None:
    """Its files can be read, its tree of extents cannot."""
    disk = sparse(tmp_path / "disk", 128 * MiB)
    run("mkfs.btrfs", "-q", "-f", disk)
    assert not seen(disk).problems
    data = disk.read_bytes()
    fsid = data[64 * KiB + 32 : 64 * KiB + 48]
    for start in range(MiB, len(data), 4 * KiB):
        node = data[start : start + 4 * KiB]
        if node[32:48] == fsid and int.from_bytes(node[88:96], "little") == 2:  # each copy
            disks.put(disk, start + 3000, b"damaged")
    run("btrfs", "check", "--readonly", disk, ok=(1,))
    (problem,) = seen(disk).problems
    assert (problem.code, problem.where) == ("filesystem-damaged", "file system of disk")
    assert "btrfs node at byte" in problem.message
    assert "the csum does not match" in problem.message


def test_an_ntfs_without_its_topmost_directory_is_told(tmp_path: Path) -> None:
    disk = sparse(tmp_path / "disk", 64 * MiB)
    run("mkntfs", "-q", "-F", "-Q", disk)
    with disk.open("rb") as file:
        boot = file.read(512)
    mft = int.from_bytes(boot[48:56], "little") * int.from_bytes(boot[11:13], "little") * boot[13]
    disks.put(disk, mft + 5 * 1024, b"BAAD")  # the record of the topmost directory
    (problem,) = seen(disk).problems
    assert problem.code in ("filesystem-damaged", "superblock-invalid")


def test_a_topmost_directory_with_an_entry_that_cannot_be_listed_is_told(tmp_path: Path) -> None:
    top = tmp_path / "tree"
    for name in ("etc", "usr"):
        (top / name).mkdir(parents=True)
    (top / "many").mkdir()
    for number in range(3000):
        (top / "many" / f"name-{number}").touch()
    disk = sparse(tmp_path / "disk", 64 * MiB)
    run("mke2fs", "-q", "-F", "-t", "ext4", "-O", "^metadata_csum", "-d", top, disk)
    assert not seen(disk).problems
    run("debugfs", "-w", "-R", "set_inode_field usr links_count 0", disk)
    (problem,) = seen(disk).problems
    assert (problem.code, problem.where) == ("filesystem-damaged", "file system of disk")
    assert problem.message.startswith("the entry 'usr' cannot be listed: ext inode ")
    assert problem.message.endswith("i_links_count is 0, the file is deleted")


def test_a_topmost_directory_with_many_entries_takes_few_reads(tmp_path: Path) -> None:
    top = tmp_path / "tree"
    top.mkdir()
    for number in range(3_000):
        (top / f"name-{number}").touch()
    disk = sparse(tmp_path / "disk", 128 * MiB)
    run("mke2fs", "-q", "-F", "-t", "ext4", "-d", top, disk)
    image = inspect(str(disk), guest=False)
    with FileSource(str(disk)) as source:
        pages = Buffered(source)
        found = Disk((), (), image.filesystems, {"disk": pages}, pages, PartitionTable("none", 512, None), source)
        assert GuestFiles(found).damage() == ()
        assert source.reads <= 3_000 * 24 // (64 * KiB) * 2 + MAX_LISTING_READS + 8


@pytest.mark.parametrize("profile", ["raid1", "raid5"])
def test_a_btrfs_that_lies_on_other_disks_too_is_not_damaged(tmp_path: Path, profile: str) -> None:
    members = [sparse(tmp_path / name, 256 * MiB) for name in ("first", "second", "third")]
    run("mkfs.btrfs", "-q", "-f", "-d", profile, "-m", profile, *members)
    assert not [problem for member in members for problem in seen(member).problems]
