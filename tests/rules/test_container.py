"""Rules on the container, judged on values."""

import pytest

from preflight.facts import Image, ProblemCode
from preflight.units import MiB
from preflight.verdicts import Declared
from tests import builders
from tests.builders import breaches, found, image, problem, unread, verdict

# CONTRACT.md, without those that import, and what else is named.
NAMES = [
    "vhdx", "vmdk", "vdi", "qed", "qcow", "parallels", "iso9660", "luks", "gzip", "xz",
    "zstd", "bzip2", "zip", "tar", "7z", "dmg", "ewf", "lfs-pointer", "empty", "text", "bochs", "cloop",
]  # fmt: skip


@pytest.mark.parametrize("sound", [builders.image(), builders.raw(), builders.vhd()], ids=["qcow2", "raw", "vhd"])
@pytest.mark.parametrize("declared", [Declared(role="system"), Declared(role="data")], ids=["system", "data"])
def test_a_sound_disk_in_each_importable_format_breaks_no_rule_of_its_role(sound: Image, declared: Declared) -> None:
    disk = sound if declared.role == "system" else builders.image(partitions=(builders.partition(),))
    assert found(disk, declared) == {}
    assert verdict(disk, declared) == "ready"


@pytest.mark.parametrize("name", NAMES)
def test_no_other_format_is_ready(name: str) -> None:
    for size in (None, 20 << 30):
        assert verdict(unread(name, virtual_size=size)) == "not-ready"
        assert verdict(unread(name, virtual_size=size), Declared(role="data")) == "not-ready"


@pytest.mark.parametrize("name", NAMES)
def test_a_format_is_refused_by_one_rule_and_not_by_several(name: str) -> None:
    refusals = [rule for rule, severity in found(unread(name), Declared(role="data")).items() if severity == "error"]
    assert len(refusals) == 1


@pytest.mark.parametrize("name", ["vhdx", "vmdk", "vdi", "qed", "qcow", "parallels", "dmg", "bochs", "cloop"])
def test_what_qemu_reads_is_converted_by_it(name: str) -> None:
    (breach,) = breaches("format-not-importable", unread(name))
    assert breach.message == f"the image is {name}, accepted are RAW, VHD, qcow2"
    assert breach.remedy == f"Convert it, run: qemu-img convert -f {name} -O qcow2 ./disk.{name} ./disk.qcow2"


def test_an_evidence_file_and_a_disk_that_is_encrypted_as_a_whole_have_remedies_of_their_own() -> None:
    assert "ewfexport" in breaches("format-not-importable", unread("ewf"))[0].remedy
    assert "decrypted" in breaches("format-not-importable", unread("luks"))[0].remedy


@pytest.mark.parametrize(
    ("name", "path", "command"),
    [
        ("gzip", "a.qcow2.gz", "gzip -dk ./a.qcow2.gz"),
        ("gzip", "a.qcow2", "gzip -dc ./a.qcow2 > ./a.qcow2.unpacked"),
        ("gzip", "a.tgz", "gzip -dc ./a.tgz > ./a.tgz.unpacked"),
        ("xz", "/b/a.xz", "xz -dk /b/a.xz"),
        ("zstd", "a.raw.zst", "zstd -dk ./a.raw.zst"),
        ("bzip2", "a.bz2", "bzip2 -dk ./a.bz2"),
        ("zip", "a.zip", "unzip ./a.zip"),
        ("tar", "a.ova", "tar -xf ./a.ova"),
        ("7z", "a.7z", "7z x ./a.7z"),
    ],
)
def test_what_is_packed_is_unpacked_by_its_tool(name: str, path: str, command: str) -> None:
    (breach,) = breaches("compressed-container", unread(name, path=path))
    assert breach.remedy.endswith(f", run: {command}")


def test_an_ova_is_called_so() -> None:
    (breach,) = breaches("compressed-container", unread("tar", format_details={"ova": True}))
    assert breach.message.startswith("the image is packed in an OVA, which is a tar archive")


def test_a_packed_image_is_not_called_damaged_too() -> None:
    packed = unread("gzip", problems=(problem("compressed-file"),))
    assert found(packed) == {"compressed-container": "error"}


def test_a_git_lfs_pointer_tells_the_size_of_what_it_stands_for() -> None:
    (breach,) = breaches("git-lfs-pointer", unread("lfs-pointer", path="x/-a b", format_details={"size": 5 * MiB}))
    assert breach.message == "the file is a Git LFS pointer for 5 MiB, the image itself is not here"
    assert breach.remedy.endswith("run: git lfs pull --include='-a b'")
    assert breaches("git-lfs-pointer", unread("lfs-pointer"))[0].message.startswith("the file is a Git LFS pointer, ")


def test_an_empty_file_and_an_empty_disk_are_refused() -> None:
    assert breaches("empty-file", unread("empty"))[0].message == "the file has 0 bytes"
    assert breaches("empty-file", image(virtual_size=0))[0].subject == "virtual size"
    assert breaches("empty-file", image(virtual_size=511))[0].message == "the disk has 511 bytes, a sector has 512"
    assert not breaches("empty-file", image(virtual_size=512))


@pytest.mark.parametrize("name", ["text", "iso9660"])
def test_what_is_no_disk_is_refused(name: str) -> None:
    assert breaches("not-a-disk-image", unread(name))
    assert not breaches("not-a-disk-image", image())


def test_the_usual_block_size_of_a_vhd_passes_and_others_are_told_with_both_numbers() -> None:
    assert not breaches("unusual-vhd-block-size", builders.vhd())
    assert not breaches("unusual-vhd-block-size", builders.vhd(subformat="fixed", format_details={}))
    (breach,) = breaches("unusual-vhd-block-size", builders.vhd(format_details={"block_size": 2 * MiB + 512}))
    assert breach.message == "block_size is 2.0 MiB, known to import is 2 MiB"


def test_a_table_that_is_too_large_is_written_anew_and_one_that_is_too_small_is_not() -> None:
    mismatch = (problem("vhd-table-size-mismatch"),)
    details = {"block_size": 2 * MiB, "max_table_entries": 10241}
    (large,) = breaches("vhd-table-size-mismatch", builders.vhd(problems=mismatch, format_details=details))
    assert "run: qemu-img convert -f vpc -O qcow2 ./disk.vhd ./disk.qcow2" in large.remedy
    (small,) = breaches(
        "vhd-table-size-mismatch",
        builders.vhd(problems=mismatch, format_details=details | {"max_table_entries": 10239}),
    )
    assert "run:" not in small.remedy


@pytest.mark.parametrize(("size", "counts"), [(20 << 30, "current_size"), ((20 << 30) - 512, "chs")])
def test_the_conversion_of_a_vhd_of_two_sizes_names_the_size_that_counts(size: int, counts: str) -> None:
    judged = builders.vhd(
        path="a,b.vhd",
        virtual_size=size,
        virtual_size_alternatives={"current_size": 20 << 30, "chs": (20 << 30) - 512},
        problems=(problem("vhd-sizes-differ", message="current_size is 2 bytes, disk_geometry is 1 bytes"),),
    )
    (breach,) = breaches("ambiguous-vhd-size", judged)
    assert breach.message == "current_size is 2 bytes, disk_geometry is 1 bytes"
    assert f"driver=vpc,force_size_calc={counts},file.driver=file,file.filename=./a,,b.vhd" in breach.remedy
    assert found(judged) == {"ambiguous-vhd-size": "warning"}


def test_an_ending_that_lies_is_a_warning_and_one_that_says_nothing_is_none() -> None:
    lying = image(path="disk.vhd", extension_matches=False)
    assert found(lying) == {"misleading-extension": "warning"}
    assert breaches("misleading-extension", lying)[0].message == "the name ends in .vhd, the content is qcow2"
    assert not breaches("misleading-extension", image(path="disk", extension_matches=None))


@pytest.mark.parametrize(
    ("code", "rule"),
    [
        ("conflicting-formats", "conflicting-formats"),
        ("truncated-file", "truncated-image"),
        ("vhd-footer-missing", "truncated-image"),
        ("qcow2-unknown-feature", "unknown-feature"),
        ("qcow2-backing-file", "backing-file"),
        ("qcow2-data-file", "external-data-file"),
        ("qcow2-encrypted", "encrypted-image"),
        ("qcow2-corrupt", "corrupt-bit"),
        ("vhd-differencing", "differencing-vhd"),
        ("vhd-footer-checksum", "vhd-footer-checksum"),
        ("vhd-table-size-mismatch", "vhd-table-size-mismatch"),
        ("changed-while-read", "unreadable-file"),
        ("second-opinion-differs", "second-opinion-differs"),
    ],
)
def test_each_defect_of_a_container_has_the_rule_that_is_named_for_it(code: ProblemCode, rule: str) -> None:
    assert found(image(problems=(problem(code),))) == {rule: "error"}


def test_each_occurrence_is_a_finding_at_its_place() -> None:
    twice = image(problems=(problem("truncated-file", offset=None), problem("truncated-file", offset=0x1FE)))
    subjects = [breach.subject for breach in breaches("truncated-image", twice)]
    assert subjects == ["some structure", "some structure at byte 0x1fe"]
