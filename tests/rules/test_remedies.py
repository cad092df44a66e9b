"""The commands of the remedies: run on real images by a shell, they make the finding go away."""

import os
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from preflight.checking import check
from preflight.facts import Image
from preflight.inspection import inspect
from preflight.units import GiB, MiB
from preflight.verdicts import Declared, Finding
from tests import builders
from tests.tools import SEARCH_PATH, require, run, sparse

NAME = '-a b\'s "c" $HOME;d:e,f=g[1]\n镜'
DATA = Declared(role="data")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the images lie, which are named relative to it: only so a leading dash is one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def name() -> str:
    """A file's name without ending, that a careless command would take for options, a protocol, or several words."""
    return NAME


def judged(path: str, declared: Declared = DATA) -> tuple[Image, dict[str, Finding]]:
    image = inspect(path)
    report = check(image, builders.profile(), declared)
    return image, {finding.rule: finding for finding in report.findings}


def cured(path: str, rule: str, made: str | None = None) -> Image:
    """Run the remedy of `rule`; what it made, by default the same file, breaks no rule any more."""
    _, findings = judged(path)
    assert rule in findings
    command = findings[rule].remedy.partition("run: ")[2]
    assert command, findings[rule].remedy
    done = subprocess.run(
        ["bash", "-c", command],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=120,
        check=False,
        env={**os.environ, "PATH": SEARCH_PATH},
    )
    assert done.returncode == 0, (command, done.stdout, done.stderr)
    image, findings = judged(made or path)
    assert findings == {}
    return image


def qcow2(path: str, size: str = "64M", *options: str) -> str:
    """A new qcow2 image with 64 KiB of data; a name that qemu-img would misread is given to it afterwards."""
    run("qemu-img", "create", "-q", "-f", "qcow2", *options, "new.tmp", size)
    run("qemu-io", "-f", "qcow2", "-c", "write -P 0x5a 0 64k", "new.tmp")
    return shutil.move("new.tmp", path)


def vhd(path: str, subformat: str, *options: str) -> str:
    """A new VHD; dynamic ones have 64 KiB of data."""
    extra = "".join(f",{option}" for option in options)
    run("qemu-img", "create", "-q", "-f", "vpc", "-o", f"subformat={subformat}{extra}", "new.tmp", "64M")
    if subformat == "dynamic":
        run("qemu-io", "-f", "vpc", "-c", "write -P 0x5a 0 64k", "new.tmp")
    return shutil.move("new.tmp", path)


def gpt(path: str, size: int = 64 * MiB) -> str:
    """A raw disk with a GPT and one partition of 16 MiB."""
    disk = sparse(Path("new.tmp"), size)
    run("sgdisk", "-n", "1:2048:+16M", disk)
    return shutil.move("new.tmp", path)


def patch(path: str, offset: int, data: bytes) -> None:
    """Overwrite bytes; a negative offset counts from the end."""
    with open(path, "r+b") as file:
        file.seek(offset, os.SEEK_END if offset < 0 else os.SEEK_SET)
        file.write(data)


def patch_vhd(path: str, structure: int, length: int, checksum: int, fields: dict[int, bytes]) -> None:
    """Change fields of a VHD's footer or header, and make its checksum right again."""
    with open(path, "r+b") as file:
        file.seek(structure, os.SEEK_END if structure < 0 else os.SEEK_SET)
        data = bytearray(file.read(length))
        for offset, value in {**fields, checksum: bytes(4)}.items():
            data[offset : offset + len(value)] = value
        data[checksum : checksum + 4] = struct.pack(">I", ~sum(data) & 0xFFFFFFFF)
        file.seek(structure, os.SEEK_END if structure < 0 else os.SEEK_SET)
        file.write(data)


def patch_footers(path: str, fields: dict[int, bytes]) -> None:
    """Change fields of a VHD's footer, and of its copy where it has one."""
    with open(path, "rb") as file:
        copied = file.read(8) == b"conectix"
    for structure in (-512, 0) if copied else (-512,):
        patch_vhd(path, structure, 512, 64, fields)


def patch_header(path: str, fields: dict[int, bytes]) -> None:
    """Change fields of the header of a dynamic VHD, which qemu-img puts behind the copy of the footer."""
    patch_vhd(path, 512, 1024, 36, fields)


def same_content(one: str, other: str, format_name: str = "qcow2") -> None:
    """What both hold must be the same, as qemu-img sees it."""
    # `compare` probes nothing when both formats are given; the names go through a link that it cannot misread.
    for link, path in (("one.tmp", one), ("other.tmp", other)):
        os.symlink(os.path.abspath(path), link)
    run("qemu-img", "compare", "-f", format_name, "-F", "qcow2", "one.tmp", "other.tmp")


def test_a_backing_file_is_merged(name: str) -> None:
    qcow2("base.qcow2")
    run("qemu-img", "create", "-q", "-f", "qcow2", "-b", "base.qcow2", "-F", "qcow2", "new.tmp")
    path = shutil.move("new.tmp", f"{name}.qcow2")
    cured(path, "backing-file", f"{name}.clean.qcow2")
    same_content(path, f"{name}.clean.qcow2")


def test_an_external_data_file_is_merged(name: str) -> None:
    path = qcow2(f"{name}.qcow2", "64M", "-o", "data_file=outside.raw")
    cured(path, "external-data-file", f"{name}.clean.qcow2")
    same_content(path, f"{name}.clean.qcow2")


def test_internal_snapshots_are_left_behind(name: str) -> None:
    path = qcow2("new2.tmp")
    run("qemu-img", "snapshot", "-c", "before", path)
    path = shutil.move(path, f"{name}.qcow2")
    cured(path, "internal-snapshots", f"{name}.clean.qcow2")
    same_content(path, f"{name}.clean.qcow2")


def test_an_image_that_is_marked_corrupt_is_repaired_in_a_copy(name: str) -> None:
    path = qcow2(f"{name}.qcow2")
    patch(path, 79, b"\x02")
    cured(path, "corrupt-bit", f"{name}.clean.qcow2")
    assert "corrupt-bit" in judged(path)[1]


def test_an_image_that_was_not_closed_is_repaired(name: str) -> None:
    path = qcow2(f"{name}.qcow2")
    patch(path, 79, b"\x01")
    cured(path, "dirty-bit")


@pytest.mark.parametrize("format_name", ["vhdx", "vmdk", "vdi", "qed", "parallels", "qcow"])
def test_a_foreign_format_is_converted(name: str, format_name: str) -> None:
    run("qemu-img", "create", "-q", "-f", format_name, "new.tmp", "64M")
    path = shutil.move("new.tmp", f"{name}.{'hdd' if format_name == 'parallels' else format_name}")
    image = cured(path, "format-not-importable", f"{name}.qcow2")
    assert (image.format, image.virtual_size) == ("qcow2", 64 * MiB)


@pytest.mark.parametrize(("tool", "ending"), [("gzip", "gz"), ("xz", "xz"), ("zstd", "zst"), ("bzip2", "bz2")], ids=str)
@pytest.mark.parametrize("named", [True, False], ids=["by its ending", "without its ending"])
def test_a_compressed_image_is_unpacked(name: str, tool: str, ending: str, named: bool) -> None:
    with open(qcow2("inner.tmp"), "rb") as inner:
        packed = subprocess.run([tool, "-c"], stdin=inner, capture_output=True, timeout=60, check=True).stdout
    path = f"{name}.qcow2.{ending}" if named else f"{name}.zip"
    Path(path).write_bytes(packed)
    cured(path, "compressed-container", f"{name}.qcow2" if named else f"{path}.unpacked")


@pytest.mark.parametrize(("ending", "command"), [("zip", "zip -q"), ("tar", "tar -cf"), ("7z", "7z a")])
def test_an_archive_is_unpacked(name: str, ending: str, command: str) -> None:
    qcow2("inner.qcow2")
    run(*command.split(), f"./packed.{ending}", "inner.qcow2")
    os.remove("inner.qcow2")
    require("unzip")
    path = shutil.move(f"packed.{ending}", f"{name}.{ending}")
    cured(path, "compressed-container", "inner.qcow2")


def test_a_backup_gpt_is_moved_to_the_end_of_a_disk_that_grew(name: str) -> None:
    path = gpt(f"{name}.raw")
    os.truncate(path, 80 * MiB)
    cured(path, "misplaced-gpt-backup")


def test_a_backup_gpt_is_made_anew_on_a_disk_that_lost_its_free_end(name: str) -> None:
    path = gpt(f"{name}.raw")
    os.truncate(path, 40 * MiB)
    cured(path, "misplaced-gpt-backup")


def test_a_backup_gpt_inside_a_qcow2_is_moved_by_way_of_a_raw_copy(name: str) -> None:
    run("qemu-img", "convert", "-f", "raw", "-O", "qcow2", gpt("disk.raw"), "new.tmp")
    run("qemu-img", "resize", "-q", "-f", "qcow2", "new.tmp", "80M")
    path = shutil.move("new.tmp", f"{name}.qcow2")
    assert cured(path, "misplaced-gpt-backup", f"{name}.clean.qcow2").virtual_size == 80 * MiB


@pytest.mark.parametrize(
    ("offset", "data"),
    [(512 + 56, b"\xff" * 16), (1024 + 41, b"\xfe"), (-512, bytes(512))],
    ids=["primary header", "primary entries", "backup wiped"],
)
def test_a_damaged_copy_of_a_gpt_is_written_anew_from_the_other(name: str, offset: int, data: bytes) -> None:
    path = gpt(f"{name}.raw")
    uuid = inspect(path).partitions[0].uuid
    patch(path, offset, data)
    image = cured(path, "damaged-gpt")
    assert [partition.uuid for partition in image.partitions] == [uuid]


def test_copies_of_a_gpt_that_differ_become_the_primary(name: str) -> None:
    path = gpt(f"{name}.raw")
    uuid = inspect(path).partitions[0].uuid
    with open(gpt("other.raw"), "rb") as other:
        other.seek(-33 * 512, os.SEEK_END)
        patch(path, -33 * 512, other.read())
    image = cured(path, "damaged-gpt")
    assert [partition.uuid for partition in image.partitions] == [uuid]


def test_a_damaged_gpt_inside_a_vhd_is_written_anew_by_way_of_a_raw_copy(name: str) -> None:
    disk = gpt("disk.raw")
    patch(disk, 512 + 56, b"\xff" * 16)
    run("qemu-img", "convert", "-f", "raw", "-O", "vpc", "-o", "force_size=on", disk, "new.tmp")
    path = shutil.move("new.tmp", f"{name}.vhd")
    assert cured(path, "damaged-gpt", f"{name}.qcow2").virtual_size == 64 * MiB


def test_a_missing_protective_mbr_is_written(name: str) -> None:
    path = gpt(f"{name}.raw")
    uuid = inspect(path).partitions[0].uuid
    patch(path, 0, bytes(512))
    image = cured(path, "missing-protective-mbr")
    assert [partition.uuid for partition in image.partitions] == [uuid]


SIZE = struct.pack(">Q", 64 * MiB)
CHS_63M = struct.pack(">HBB", 126, 16, 64)  # 63 MiB


@pytest.mark.parametrize("subformat", ["fixed", "dynamic"])
@pytest.mark.parametrize(("creator", "size"), [(b"win ", 64 * MiB), (b"qemu", 63 * MiB)], ids=["Hyper-V", "QEMU"])
def test_a_vhd_of_two_sizes_becomes_a_qcow2_of_the_one_that_counts(
    name: str, subformat: str, creator: bytes, size: int
) -> None:
    path = vhd(f"{name}.vhd", subformat, "force_size=on")
    patch_footers(path, {28: creator, 48: SIZE, 56: CHS_63M})
    before, findings = judged(path)
    assert set(findings) == {"ambiguous-vhd-size"}
    assert before.virtual_size == size
    assert cured(path, "ambiguous-vhd-size", f"{name}.qcow2").virtual_size == size


def test_the_ordinary_vhd_of_qemu_img_breaks_no_rule() -> None:
    for subformat in ("fixed", "dynamic"):
        for size in ("64M", "20G"):
            run("qemu-img", "create", "-q", "-f", "vpc", "-o", f"subformat={subformat}", "a.vhd", size)
            assert judged("a.vhd")[1] == {}


def test_a_block_table_that_is_too_large_is_written_anew(name: str) -> None:
    path = vhd(f"{name}.vhd", "dynamic", "force_size=on")
    patch_header(path, {28: struct.pack(">I", 33)})
    cured(path, "vhd-table-size-mismatch", f"{name}.qcow2")
    same_content(path, f"{name}.qcow2", "vpc")


def test_a_block_size_that_is_not_the_usual_one_is_changed(name: str) -> None:
    run("qemu-img", "create", "-q", "-f", "vpc", "-o", "subformat=dynamic,force_size=on", "new.tmp", "64M")
    path = shutil.move("new.tmp", f"{name}.vhd")
    patch_header(path, {28: struct.pack(">II", 64, MiB)})
    cured(path, "unusual-vhd-block-size", f"{name}.qcow2")


@pytest.mark.parametrize("subformat", ["fixed", "dynamic"])
def test_a_footer_with_a_wrong_checksum_is_written_anew(name: str, subformat: str) -> None:
    path = vhd(f"{name}.vhd", subformat, "force_size=on")
    patch(path, -512 + 24, b"\x01")
    assert cured(path, "vhd-footer-checksum", f"{name}.qcow2").virtual_size == 64 * MiB


def test_a_copy_of_the_footer_with_a_wrong_checksum_is_restored(name: str) -> None:
    path = vhd(f"{name}.vhd", "dynamic", "force_size=on")
    patch(path, 24, b"\x01")
    assert cured(path, "vhd-footer-checksum", f"{path}.repaired.vhd").virtual_size == 64 * MiB


def test_a_footer_whose_copy_differs_is_written_anew(name: str) -> None:
    path = vhd(f"{name}.vhd", "dynamic", "force_size=on")
    patch_vhd(path, 0, 512, 64, {24: b"\x01\x02\x03\x04"})
    assert cured(path, "damaged-vhd-footer", f"{name}.qcow2").virtual_size == 64 * MiB


def test_a_short_footer_is_written_anew(name: str) -> None:
    path = vhd(f"{name}.vhd", "fixed", "force_size=on")
    os.truncate(path, 64 * MiB + 511)
    assert cured(path, "short-vhd-footer", f"{name}.qcow2").virtual_size == 64 * MiB


def test_a_raw_file_of_an_odd_size_is_extended(name: str) -> None:
    path = str(sparse(Path(f"{name}.raw"), MiB + 1))
    assert cured(path, "size-not-in-sectors").virtual_size == MiB + 512


def test_a_qcow2_of_an_odd_size_is_extended(name: str) -> None:
    path = qcow2(f"{name}.qcow2")
    patch(path, 24, struct.pack(">Q", 64 * MiB - 1))
    assert cured(path, "size-not-in-sectors").virtual_size == 64 * MiB


@pytest.mark.parametrize("format_name", ["qcow2", "raw", "vpc"])
def test_a_disk_that_is_too_large_is_shrunk(name: str, format_name: str) -> None:
    run("qemu-img", "create", "-q", "-f", format_name, "new.tmp", "1001G")
    path = shutil.move("new.tmp", f"{name}.{'vhd' if format_name == 'vpc' else format_name}")
    made = f"{name}.qcow2" if format_name == "vpc" else None
    assert cured(path, "virtual-size-too-large", made).virtual_size == 1000 * GiB
